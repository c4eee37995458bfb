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
    pub(crate) rehearsal: Option<Rehearsal>,
}

/// The same grant as if the policies of a dry run were in force.
pub(crate) struct Rehearsal {
    /// The policies of a dry run, separated by commas.
    pub(crate) policies: String,
    pub(crate) bounded: Result<Bounded, Denial>,
}

/// Bounds the grant of a request.
///
/// # Errors
/// As [`valetkey::bound`].
pub(crate) fn bound(snapshot: &Snapshot, identified: Identified, now: Now) -> Result<BoundedRequest, Denial> {
    let Identified { grant, path, survey } = identified;
    let house = snapshot.settings.house(&grant);
    let rehearsal = valetkey::rehearse(&grant, &house, now).map(|bounded| {
        let dry = house.policies.iter().flatten().filter(|(_, ceiling)| ceiling.dry_run);
        let names: Vec<_> = dry.map(|(name, _)| *name).collect();
        Rehearsal { policies: names.join(","), bounded }
    });
    Ok(BoundedRequest { bounded: valetkey::bound(grant, &house, now)?, path, survey, rehearsal })
}
