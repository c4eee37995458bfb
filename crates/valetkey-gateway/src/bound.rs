//! What the house says about a grant.

use valetkey::{Bounded, Denial, Now, ResourcePath};
use valetkey_dialects::Survey;

use crate::gateway::Snapshot;
use crate::identify::Identified;

/// A request whose grant is bounded by its signer, its policies and the time.
pub(crate) struct BoundedRequest {
    pub(crate) bounded: Bounded,
    pub(crate) path: ResourcePath,
    pub(crate) survey: Survey,
}

/// Bounds the grant of a request.
///
/// # Errors
/// As [`valetkey::bound`].
pub(crate) fn bound(snapshot: &Snapshot, identified: Identified, now: Now) -> Result<BoundedRequest, Denial> {
    let Identified { grant, path, survey } = identified;
    let house = snapshot.settings.house(&grant);
    Ok(BoundedRequest { bounded: valetkey::bound(grant, &house, now)?, path, survey })
}
