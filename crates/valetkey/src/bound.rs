//! What the house says about a grant: its signer's ceiling, its stored policies, and the time.
//!
//! Bounding never widens: each limit of the result is at most as wide as the grant's own.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::client::ClientRanges;
use crate::content::{Digest, Disposition};
use crate::denial::Denial;
use crate::foreign::REQUEST_WINDOW;
use crate::grant::{Grant, MeterName, Quota, QuotaOwner};
use crate::identity::Identity;
use crate::key::parameter::Parameters;
use crate::limits::Limits;
use crate::media::MediaRange;
use crate::scope::Scopes;
use crate::size::{SizeRange, stricter};
use crate::time::{Now, Timestamp};
use crate::verb::Verbs;

/// The most that a signer or a stored policy lets a key do. `None` bounds nothing.
#[derive(Clone, Debug, Default)]
pub struct Ceiling {
    /// Where.
    pub scopes: Option<Scopes>,
    /// What may be done.
    pub allow: Option<Verbs>,
    /// Not before.
    pub start: Option<Timestamp>,
    /// The first second at which nothing new opens.
    pub end: Option<Timestamp>,
    /// How far ahead a key's end may lie.
    pub max_lifetime: Option<Duration>,
    /// How long what is remembered under an id outlives a key that used it; `None` is for ever. A signer's alone.
    pub keep_ids: Option<Duration>,
    /// The largest upload, in bytes.
    pub size_max: Option<u64>,
    /// The smallest upload, in bytes.
    pub size_min: Option<u64>,
    /// The counted limits of each key.
    pub limits: Limits,
    /// The limits over all keys together; `uses` is none.
    pub total: Limits,
    /// The limits over all keys of a signer that name one subject; `uses` is none.
    pub per_subject: Limits,
    /// The latest end that a key may be renewed to.
    pub renew: Option<Timestamp>,
    /// How long after it was issued a key may be renewed to.
    pub max_renew: Option<Duration>,
    /// From which addresses.
    pub clients: Option<ClientRanges>,
    /// What an upload must be.
    pub types: Option<Vec<MediaRange>>,
    /// What an upload must hash to.
    pub digest: Option<Digest>,
    /// Whether keys open over TLS only.
    pub require_tls: bool,
    /// How a download presents itself.
    pub disposition: Option<Disposition>,
    /// How long a download's lease lasts after its last request.
    pub lease: Option<Duration>,
    /// Whether answers say what is left of the counted limits.
    pub tell: bool,
    /// Whether it bounds nothing, and only what it would refuse is to be known: see [`rehearse`].
    pub dry_run: bool,
}

/// All that the house says about one grant.
#[derive(Clone, Debug)]
pub struct House<'a> {
    /// The ceiling of the grant's signer.
    pub signer: &'a Ceiling,
    /// The policies that the key and its signer name, each once, `None` for one that does not exist.
    pub policies: Vec<Option<(&'a str, &'a Ceiling)>>,
    /// How far an application's clock may be ahead of ours.
    pub clock_skew: Duration,
    /// How long a lease lasts where no policy says.
    pub lease: Duration,
    /// The parameters that this build enforces.
    pub enforced: Parameters,
}

/// A grant within the bounds of the house, and within its time. What a request asks for is admitted one by one, each
/// by the whole of it.
#[derive(Clone, Debug)]
pub struct Bounded {
    pub(crate) grant: Grant,
    pub(crate) lease: Duration,
    pub(crate) policies: Vec<String>,
}

impl Bounded {
    /// What is left of the grant.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// By what it may be revoked.
    pub fn identity(&self) -> Identity<'_> {
        let grant = &self.grant;
        Identity {
            signer: &grant.signer,
            id: grant.id.as_deref(),
            subject: grant.subject.as_deref(),
            policies: &self.policies,
            levels: &grant.levels,
            issued: grant.issued,
            end: grant.end,
        }
    }
}

/// Bounds `grant` by its signer and policies, but for those of a dry run.
///
/// # Errors
/// In this order: [`Denial::LimitNotSupported`], [`Denial::NotYetValid`], [`Denial::Expired`],
/// [`Denial::PolicyMissing`], [`Denial::LifetimeTooLong`].
pub fn bound(grant: Grant, house: &House<'_>, now: Now) -> Result<Bounded, Denial> {
    bound_by(grant, house, now, |ceiling| !ceiling.dry_run)
}

/// Bounds a copy of `grant` by all its policies, those of a dry run too: what would it be, if they were in
/// force? `None` where none is of a dry run.
pub fn rehearse(grant: &Grant, house: &House<'_>, now: Now) -> Option<Result<Bounded, Denial>> {
    let rehearsed = house.policies.iter().flatten().any(|(_, ceiling)| ceiling.dry_run);
    rehearsed.then(|| bound_by(grant.clone(), house, now, |_| true))
}

fn bound_by(
    mut grant: Grant,
    house: &House<'_>,
    now: Now,
    binds: impl Fn(&Ceiling) -> bool,
) -> Result<Bounded, Denial> {
    if let Some(parameter) = grant.named.first_beyond(house.enforced) {
        return Err(Denial::LimitNotSupported(parameter));
    }
    check_window(&grant, house.clock_skew, now)?;
    // A policy may set a lease of its own; of two the shorter counts.
    let (mut lease, mut said) = (house.lease, false);
    for policy in &house.policies {
        policy.ok_or(Denial::PolicyMissing)?;
    }
    let policies = house.policies.iter().flatten().filter(|(_, ceiling)| binds(ceiling));
    let policies = policies.map(|(name, ceiling)| (QuotaOwner::Policy(name), *ceiling));
    let signer = grant.signer.clone();
    let ceilings = core::iter::once((QuotaOwner::Signer(&signer), house.signer)).chain(policies);
    for (_, ceiling) in ceilings.clone() {
        let Some(max) = ceiling.max_lifetime else { continue };
        match grant.issued {
            // Nobody chose the end of a request that is signed anew each time, so it is cut.
            Some(issued) if grant.is_of_request => grant.end = grant.end.min(issued.plus(max)),
            _ if grant.end > now.clock.plus(max) => return Err(Denial::LifetimeTooLong),
            _ => {}
        }
    }
    for (owner, ceiling) in ceilings {
        restrict(&mut grant, ceiling);
        add_quotas(&mut grant, owner, ceiling);
        if let Some(theirs) = ceiling.lease {
            lease = if said { lease.min(theirs) } else { theirs };
            said = true;
        }
    }
    keep_counts(&mut grant, house.signer.keep_ids);
    // A ceiling may have a window of its own.
    check_window(&grant, house.clock_skew, now)?;
    let policies = house.policies.iter().flatten().map(|(name, _)| (*name).to_owned()).collect();
    Ok(Bounded { grant, lease, policies })
}

/// Says until when what each level counts matters.
///
/// A fingerprint is that of one key, so its count goes with it. An id may stand in a further key at any later time,
/// and the two share one count. In a narrowing it is its holder's word, who is not to make us remember anything for
/// ever: there it is kept as long as what it narrows, and with it every key that it could be in today.
fn keep_counts(grant: &mut Grant, keep_ids: Option<Duration>) {
    let mut above = None;
    for level in &mut grant.levels {
        let by_id = level.name.is_by_id();
        let end = if by_id { above.unwrap_or(level.end) } else { level.end };
        level.kept = match (by_id, above) {
            (true, None) => keep_ids.map(|keep| end.plus(keep)),
            _ => Some(end),
        };
        above = Some(end);
    }
}

impl Grant {
    /// The grant within the bounds of its signer and its policies, as far as they exist, whether it opens anything
    /// now or not: what its holder may be told of it. It admits nothing, only a [`Bounded`] does.
    #[must_use]
    pub fn within(mut self, house: &House<'_>) -> Self {
        let policies = house.policies.iter().flatten().map(|(_, ceiling)| *ceiling);
        for ceiling in core::iter::once(house.signer).chain(policies).filter(|ceiling| !ceiling.dry_run) {
            restrict(&mut self, ceiling);
        }
        self
    }
}

/// Adds what is counted over many keys.
fn add_quotas(grant: &mut Grant, owner: QuotaOwner<'_>, ceiling: &Ceiling) {
    if ceiling.total != Limits::default() {
        let name = MeterName::of_total(owner);
        grant.quotas.push(Quota { name, limits: ceiling.total });
    }
    if ceiling.per_subject != Limits::default() {
        let name = MeterName::of_subject(owner, &grant.signer, grant.subject.as_deref());
        grant.quotas.push(Quota { name, limits: ceiling.per_subject });
    }
}

fn check_window(grant: &Grant, clock_skew: Duration, now: Now) -> Result<(), Denial> {
    let latest = |skew| now.clock.plus(skew);
    if let Some(start) = grant.start
        && start > latest(clock_skew)
    {
        return Err(Denial::NotYetValid(start));
    }
    let issue_skew = if grant.is_of_request { clock_skew.max(REQUEST_WINDOW) } else { clock_skew };
    if let Some(issued) = grant.issued
        && issued > latest(issue_skew)
    {
        return Err(Denial::NotYetValid(issued));
    }
    if now.highest >= grant.end { Err(Denial::Expired(grant.end)) } else { Ok(()) }
}

fn restrict(grant: &mut Grant, ceiling: &Ceiling) {
    if let Some(allow) = ceiling.allow {
        grant.allow = grant.allow.intersect(allow);
    }
    if let Some(scopes) = &ceiling.scopes {
        let mine = core::mem::replace(&mut grant.scopes, Scopes::any_of(Vec::new()));
        grant.scopes = mine.intersect(scopes);
    }
    grant.start = grant.start.max(ceiling.start);
    grant.end = stricter(Some(grant.end), ceiling.end).expect("the grant has an end");
    grant.size = grant
        .size
        .intersect(SizeRange { min_bytes: ceiling.size_min.unwrap_or(0), max_bytes: ceiling.size_max });
    grant.clients.extend(ceiling.clients.clone());
    grant.types.restrict(ceiling.types.clone());
    grant.digests.extend(ceiling.digest);
    grant.require_tls |= ceiling.require_tls;
    grant.tell |= ceiling.tell;
    // The house's limits are charged at the base, so that no narrowing renews them.
    let base = grant.levels.first_mut().expect("a grant has a level");
    base.limits = base.limits.stricter(ceiling.limits);
    // An attachment is stricter than inline; of two alike the key's own stands.
    let stricter_disposition = match (&grant.disposition, &ceiling.disposition) {
        (Some(own), Some(theirs)) => !own.is_attachment() && theirs.is_attachment(),
        (None, Some(_)) => true,
        (_, None) => false,
    };
    if stricter_disposition {
        grant.disposition.clone_from(&ceiling.disposition);
    }
}
