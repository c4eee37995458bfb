//! What the house says about a grant.

use valetkey::{Bounded, Denial, Now, ResourcePath};
use valetkey_dialects::Survey;

use crate::gateway::Gateway;
use crate::gateway::Snapshot;
use crate::identify::Identified;
use crate::revocation;

/// A request whose grant is bounded by its signer, its policies and the time, and which is not revoked.
pub(crate) struct BoundedRequest {
    pub(crate) bounded: Bounded,
    pub(crate) path: ResourcePath,
    pub(crate) survey: Survey,
}

/// Bounds the grant of a request, and refuses what was revoked.
///
/// # Errors
/// As [`valetkey::bound`], then as [`revocation::check`].
pub(crate) fn bound(
    gateway: &Gateway,
    snapshot: &Snapshot,
    identified: Identified,
    now: Now,
) -> Result<BoundedRequest, Denial> {
    let Identified { grant, path, survey } = identified;
    let house = snapshot.settings.house(&grant);
    let bounded = valetkey::bound(grant, &house, now)?;
    let prefix = survey.prefix.as_deref().unwrap_or("");
    revocation::check(&gateway.revoked, &bounded.identity(), &path, prefix)?;
    Ok(BoundedRequest { bounded, path, survey })
}
