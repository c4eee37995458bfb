//! What the house says about a grant.

use valetkey::{Bounded, Denial, Grant, Now, ResourcePath};
use valetkey_dialects::Survey;

use crate::gateway::{Gateway, Snapshot};
use crate::identify::{Asked, AskedForm, Call, Identified, IdentifiedForm};
use crate::revocation;

/// A request whose grant is bounded by its signer, its policies and the time, and which is not revoked.
pub(crate) struct BoundedRequest {
    pub(crate) bounded: Bounded,
    pub(crate) path: ResourcePath,
    pub(crate) survey: Survey,
    pub(crate) rehearsal: Option<Rehearsal>,
}

/// The same of an operation of S3, each of whose parts is to be admitted by itself.
pub(crate) struct BoundedCall {
    pub(crate) bounded: Bounded,
    pub(crate) call: Call,
    pub(crate) rehearsal: Option<Rehearsal>,
}

/// The same of a form, whose upload is to be admitted.
pub(crate) struct BoundedForm {
    pub(crate) bounded: Bounded,
    pub(crate) asked: AskedForm,
    pub(crate) rehearsal: Option<Rehearsal>,
}

/// A bounded request, by what it asks for.
#[expect(clippy::large_enum_variant, reason = "the common case does not allocate")]
pub(crate) enum Bound {
    Resource(BoundedRequest),
    S3(Box<BoundedCall>),
}

impl Bound {
    /// What is left of the grant.
    pub(crate) fn grant(&self) -> &Grant {
        match self {
            Self::Resource(request) => request.bounded.grant(),
            Self::S3(call) => call.bounded.grant(),
        }
    }
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
) -> Result<Bound, Denial> {
    let Identified { grant, asked } = identified;
    let (bounded, rehearsal) = within(snapshot, grant, now)?;
    let check = |path, prefix| revocation::check(&gateway.revoked, &bounded.identity(), path, prefix);
    Ok(match asked {
        Asked::Resource { path, survey } => {
            check(Some(&path), survey.prefix.as_deref().unwrap_or(""))?;
            Bound::Resource(BoundedRequest { bounded, path, survey, rehearsal })
        }
        Asked::S3(call) => {
            check(call.path.as_ref(), "")?;
            Bound::S3(Box::new(BoundedCall { bounded, call: *call, rehearsal }))
        }
    })
}

/// As [`bound`], of a form.
///
/// # Errors
/// As [`bound`].
pub(crate) fn bound_form(
    gateway: &Gateway,
    snapshot: &Snapshot,
    identified: IdentifiedForm,
    now: Now,
) -> Result<BoundedForm, Denial> {
    let IdentifiedForm { grant, asked } = identified;
    let (bounded, rehearsal) = within(snapshot, grant, now)?;
    revocation::check(&gateway.revoked, &bounded.identity(), Some(&asked.path), "")?;
    Ok(BoundedForm { bounded, asked, rehearsal })
}

/// The grant within what the house says, and as if its dry runs were in force.
fn within(snapshot: &Snapshot, grant: Grant, now: Now) -> Result<(Bounded, Option<Rehearsal>), Denial> {
    let house = snapshot.settings.house(&grant);
    let rehearsal = valetkey::rehearse(&grant, &house, now).map(|bounded| {
        let dry = house.policies.iter().flatten().filter(|(_, ceiling)| ceiling.dry_run);
        let names: Vec<_> = dry.map(|(name, _)| *name).collect();
        Rehearsal { policies: names.join(","), bounded }
    });
    Ok((valetkey::bound(grant, &house, now)?, rehearsal))
}
