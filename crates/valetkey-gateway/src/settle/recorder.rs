//! What one request did, for the audit log and the metrics.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::{Response, StatusCode};
use hyper::body::Body as _;
use valetkey::{Action, Bearer, Denial, ResourcePath};
use valetkey_ledger::Purpose;

use super::Witness;
use crate::gateway::Gateway;
use crate::notify::{Audit, Receipt};
use crate::observe::Metrics;
use crate::transfer::body::Body;

/// Writes down what one request did, exactly once: when it was answered, or when it is given up.
#[derive(Clone)]
pub(crate) struct Recorder(Rc<Record>);

struct Record {
    audit: Audit,
    metrics: Arc<Metrics>,
    /// As which action the request is counted while it runs.
    running: Cell<Option<&'static str>>,
    /// How an upload is answered that is stored.
    stored: Cell<StatusCode>,
    started: Instant,
    receipt: RefCell<Option<Receipt>>,
}

impl Recorder {
    pub(crate) fn begin(gateway: &Gateway, client: Option<IpAddr>, request_id: &str) -> Self {
        let receipt = Receipt {
            request_id: Some(request_id.to_owned()),
            client: client.map(|client| client.to_canonical()),
            ..Receipt::at(gateway.clock.now().clock)
        };
        Self(Rc::new(Record {
            audit: gateway.audit.clone(),
            metrics: Arc::clone(&gateway.metrics),
            running: Cell::new(None),
            stored: Cell::new(StatusCode::OK),
            started: Instant::now(),
            receipt: RefCell::new(Some(receipt)),
        }))
    }

    /// Notes on whose behalf the request comes.
    pub(crate) fn speaks_for(&self, bearer: Bearer) {
        self.note(|receipt| {
            receipt.dialect = Some(bearer.dialect);
            receipt.signer = Some(bearer.signer);
            receipt.subject = bearer.subject;
            receipt.key = Some(bearer.key);
            receipt.id = bearer.id;
            receipt.policy = bearer.policy;
        });
    }

    /// Notes what the request wants. What wants several things runs as the first of them.
    pub(crate) fn intends(&self, action: Action, path: &ResourcePath) {
        if self.0.running.get().is_none() {
            self.0.metrics.began(action.name());
            self.0.running.set(Some(action.name()));
        }
        self.note(|receipt| {
            receipt.action = Some(action.name());
            receipt.bucket = Some(path.bucket().to_owned());
            receipt.object = Some(path.name().to_owned());
        });
    }

    /// A record of one of several things that the request does, by itself.
    pub(crate) fn another(&self) -> Self {
        Self(Rc::new(Record {
            audit: self.0.audit.clone(),
            metrics: Arc::clone(&self.0.metrics),
            running: Cell::new(None),
            stored: Cell::new(StatusCode::OK),
            started: Instant::now(),
            receipt: RefCell::new(self.0.receipt.borrow().clone()),
        }))
    }

    /// Notes how the upload will be answered once it is stored, if that is not 200.
    pub(crate) fn answers_with(&self, status: StatusCode) {
        self.0.stored.set(status);
    }

    /// The name of the request.
    pub(crate) fn request_id(&self) -> String {
        let receipt = self.0.receipt.borrow();
        receipt.as_ref().and_then(|receipt| receipt.request_id.clone()).unwrap_or_default()
    }

    /// Notes what a holder wants to know or to be done about a key for `path`.
    pub(crate) fn asks(&self, action: &'static str, path: &ResourcePath) {
        self.note(|receipt| {
            receipt.action = Some(action);
            receipt.bucket = Some(path.bucket().to_owned());
            receipt.object = Some(path.name().to_owned());
        });
    }

    /// Notes that the request is about no bucket in particular.
    pub(crate) fn asks_of_all(&self) {
        self.note(|receipt| (receipt.bucket, receipt.object) = (None, None));
    }

    /// Notes that the request brings a part of an upload.
    pub(crate) fn brings_part(&self) {
        self.does("part");
    }

    /// Notes by a closer name what the request does.
    pub(crate) fn does(&self, action: &'static str) {
        self.note(|receipt| receipt.action = Some(action));
    }

    /// Puts what is known of the request beside the object's name, for the ledger to keep while it is under way.
    pub(crate) fn witness(&self, purpose: Purpose) -> Purpose {
        let words = |path| Witness { path, receipt: self.0.receipt.borrow().clone() }.into_words();
        match purpose {
            Purpose::Upload { object, file, declared_bytes, copied_bytes } => {
                Purpose::Upload { object: words(object), file, declared_bytes, copied_bytes }
            }
            Purpose::Delete { object } => Purpose::Delete { object: words(object) },
            other @ (Purpose::Download(_) | Purpose::Answer { .. }) => other,
        }
    }

    /// Notes how much of an upload came in so far.
    pub(crate) fn received(&self, bytes: u64) {
        self.note(|receipt| receipt.bytes_in = Some(bytes));
    }

    fn note(&self, note: impl FnOnce(&mut Receipt)) {
        if let Some(receipt) = &mut *self.0.receipt.borrow_mut() {
            note(receipt);
        }
    }

    /// Says in the log what a policy of a dry run would have refused. The request goes on.
    pub(crate) fn would_refuse(&self, policies: &str, denial: &Denial) {
        if let Some(receipt) = &*self.0.receipt.borrow() {
            let request_id = receipt.request_id.as_deref().unwrap_or_default();
            let key = receipt.key.map(|key| key.to_string()).unwrap_or_default();
            let reason = denial.reason();
            tracing::warn!(policies, reason, %denial, key, request_id, "a dry run would have refused");
        }
    }

    /// What is known of the request so far, for a record that is made elsewhere.
    pub(crate) fn receipt(&self, status: StatusCode) -> Receipt {
        let receipt = self.0.receipt.borrow().clone();
        let receipt = receipt.unwrap_or_else(|| Receipt::at(crate::clock::now()));
        Receipt { status: Some(status.as_u16()), duration_ms: Some(self.0.lasted_ms()), ..receipt }
    }

    /// Leaves the request's record to the one that was made elsewhere.
    pub(crate) fn was_recorded(&self, status: StatusCode) {
        drop(self.0.take(Some(status.as_u16())));
    }

    /// Records a refusal.
    pub(crate) fn refused(&self, denial: &Denial, status: u16) {
        self.note(|receipt| receipt.reason = Some(denial.reason().into()));
        self.record(status);
    }

    /// Records an answer that moved no bytes.
    pub(crate) fn answered(&self, answer: Response<Body>) -> Response<Body> {
        self.record(answer.status().as_u16());
        answer
    }

    /// Records a listing, whose bytes take no use.
    pub(crate) fn listed(&self, answer: Response<Body>) -> Response<Body> {
        self.note(|receipt| receipt.bytes_out = answer.body().size_hint().exact());
        self.answered(answer)
    }

    pub(super) fn downloaded(&self, status: StatusCode, bytes: u64, revoked: bool) {
        self.note(|receipt| {
            receipt.bytes_out = Some(bytes);
            if revoked {
                receipt.reason = Some(Denial::Revoked.reason().into());
            }
        });
        self.record(status.as_u16());
    }

    pub(super) async fn uploaded(&self, digest: Option<[u8; 32]>) -> Result<(), Denial> {
        self.note(|receipt| receipt.digest = digest.map(blake3::Hash::from_bytes));
        self.record_durably(self.0.stored.get()).await
    }

    pub(super) async fn deleted(&self) -> Result<(), Denial> {
        self.record_durably(StatusCode::NO_CONTENT).await
    }

    fn record(&self, status: u16) {
        if let Some(receipt) = self.0.take(Some(status)) {
            self.0.audit.record(receipt);
        }
    }

    async fn record_durably(&self, status: StatusCode) -> Result<(), Denial> {
        let Some(receipt) = self.0.take(Some(status.as_u16())) else { return Ok(()) };
        self.0.audit.record_durably(receipt).await.map_err(|error| {
            tracing::error!(%error, "what was done cannot be recorded");
            Denial::ChangeUnrecorded
        })
    }
}

impl Record {
    fn lasted_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn take(&self, status: Option<u16>) -> Option<Receipt> {
        let mut receipt = self.receipt.take()?;
        receipt.status = status;
        receipt.duration_ms = Some(self.lasted_ms());
        self.metrics.ended(&receipt, self.running.take());
        Some(receipt)
    }
}

impl Drop for Record {
    /// A request that was given up before it was answered is recorded without a status.
    fn drop(&mut self) {
        if let Some(receipt) = self.take(None) {
            self.audit.record(receipt);
        }
    }
}
