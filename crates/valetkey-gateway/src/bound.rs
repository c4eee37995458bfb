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
    pub(crate) rehearsal: Option<Rehearsal>,
}

/// The same grant as if the policies of a dry run were in force.
pub(crate) struct Rehearsal {
    /// The policies of a dry run, separated by commas.
    pub(crate) policies: String,
    pub(crate) bounded: Result<Bounded, Denial>,
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
    let rehearsal = valetkey::rehearse(&grant, &house, now).map(|bounded| {
        let dry = house.policies.iter().flatten().filter(|(_, ceiling)| ceiling.dry_run);
        let names: Vec<_> = dry.map(|(name, _)| *name).collect();
        Rehearsal { policies: names.join(","), bounded }
    });
    let bounded = valetkey::bound(grant, &house, now)?;
    let prefix = survey.prefix.as_deref().unwrap_or("");
    revocation::check(&gateway.revoked, &bounded.identity(), &path, prefix)?;
    Ok(BoundedRequest { bounded, path, survey, rehearsal })
}
