//! What is left of a key, told in the answers to its requests where its policy says so.

use std::sync::Arc;

use http::Response;
use http::header::HeaderName;
use valetkey::{Charge, Permit};
use valetkey_ledger::{Ledger, Meter};

use crate::gateway::Gateway;
use crate::respond;
use crate::transfer::body::Body;

const LEFT: HeaderName = HeaderName::from_static("x-valetkey-left");

/// What a key is charged with, to be asked for once the request has been.
pub(crate) struct Left {
    ledger: Arc<dyn Ledger>,
    /// Empty where nothing is to be told.
    charges: Vec<Charge>,
}

/// What is left for the bearer of `permit`. Where nothing is to be told, it costs nothing.
pub(crate) fn of(gateway: &Gateway, permit: &Permit) -> Left {
    let charges = if permit.tell { permit.charges.clone() } else { Vec::new() };
    Left { ledger: Arc::clone(&gateway.ledger), charges }
}

impl Left {
    /// Says in `answer` what is left: of each counted limit the least of all levels and quotas. A ledger that does
    /// not answer is no reason to answer otherwise.
    pub(crate) async fn tell(self, mut answer: Response<Body>) -> Response<Body> {
        let mut least = [("uses", None), ("in", None), ("out", None), ("files", None)];
        for Charge { meter, limits, .. } in self.charges.iter().filter(|charge| charge.limits.are_counted()) {
            let Ok(used) = self.ledger.usage(Meter::new(meter.as_str())).await else { return answer };
            let counts = [
                (limits.uses, used.uses),
                (limits.in_bytes, used.in_bytes),
                (limits.out_bytes, used.out_bytes),
                (limits.files, used.files),
            ];
            for ((_, least), (limit, used)) in least.iter_mut().zip(counts) {
                let left = limit.map(|limit| limit.saturating_sub(used));
                *least = [*least, left].into_iter().flatten().min();
            }
        }
        let told: Vec<_> =
            least.into_iter().filter_map(|(name, left)| Some(format!("{name}={}", left?))).collect();
        if !told.is_empty() {
            respond::insert(&mut answer, LEFT, &told.join(", "));
        }
        answer
    }
}
