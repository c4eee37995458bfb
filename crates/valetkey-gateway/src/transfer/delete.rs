//! Deletes.

use valetkey::{Denial, Permit};
use valetkey_ledger::Purpose;

use super::condition::{Conditions, State, Verdict};
use super::upload::{absent, refused};
use crate::backend::{Space, StoreError};
use crate::gateway::Snapshot;

/// A delete of something that is there.
pub(crate) struct Plan {
    pub(crate) space: Space,
    pub(crate) name: String,
    pub(crate) conditions: Conditions,
    path: String,
}

impl Plan {
    /// What the ledger is to hold.
    pub(crate) fn purpose(&self) -> Purpose {
        Purpose::Delete { object: self.path.clone() }
    }
}

/// Looks what there is to delete; `None` where there is nothing, which is free.
///
/// # Errors
/// [`Denial::PreconditionFailed`], [`Denial::NotFound`] for a bucket that does not exist.
pub(crate) async fn plan(
    snapshot: &Snapshot,
    permit: &Permit,
    conditions: Conditions,
) -> Result<Option<Plan>, Denial> {
    let space = snapshot.space(&permit.path).ok_or_else(|| absent(permit))?.clone();
    let name = permit.path.name().to_owned();
    let there = match space.probe(&name).await {
        Ok(there) => there,
        // A folder, or an object where a folder would have to be: no object of this name is there.
        Err(StoreError::NameConflict) => None,
        Err(error) => return Err(refused(error, permit)),
    };
    match conditions.judge_change(there.as_ref().map(State::of)) {
        Verdict::Fails | Verdict::NotModified => return Err(Denial::PreconditionFailed),
        Verdict::Holds => {}
    }
    let path = permit.path.as_str().to_owned();
    Ok(there.map(|_| Plan { space, name, conditions, path }))
}
