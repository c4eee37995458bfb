//! May this request, now? First by what it is, then by what the ledger remembers.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use hyper::body::Body as _;
use hyper::body::Incoming;
use valetkey::{Action, Bounded, Client, Denial, Intent, Permit};
use valetkey_dialects::Call;
use valetkey_ledger::{Charge, HoldRequest, LedgerError, Limits, Meter, Purpose, Resource, UnixSeconds};

use crate::bound::{BoundedRequest, Rehearsal};
use crate::gateway::Gateway;
use crate::notify::BACKLOG_HIGH;
use crate::revocation;
use crate::running::End;
use crate::settle::{Hold, Recorder};
use crate::transfer::rate::Throttle;

/// How long a request waits before it looks again whether the audit log keeps up.
const BACKLOG_PAUSE: Duration = Duration::from_millis(5);

/// A permit whose uses and bytes are reserved, durably, and which ends where it is revoked.
pub(crate) struct Held {
    pub(crate) permit: Rc<Permit>,
    pub(crate) hold: Hold,
    /// What slows the transfer; `None` where nothing does.
    pub(crate) throttle: Option<Throttle>,
    pub(crate) end: Rc<End>,
}

/// Admits a request by its method, its path and its declared length.
///
/// # Errors
/// As [`valetkey::admit`]; [`Denial::BadRequest`] where the method does not fit the path, and
/// [`Denial::CallNotSupported`] for a call that this version does not offer.
pub(crate) fn admit(
    request: BoundedRequest,
    parts: &Parts,
    body: &Incoming,
    client: Client,
    recorder: &Recorder,
) -> Result<Permit, Denial> {
    let BoundedRequest { bounded, path, survey, rehearsal } = request;
    let whole = !path.is_object();
    let action = match parts.method {
        Method::GET | Method::HEAD if whole => Action::List,
        Method::GET => Action::Read,
        Method::HEAD => Action::Stat,
        Method::DELETE => Action::Delete,
        _ => Action::Upload { declared_bytes: body.size_hint().exact() },
    };
    recorder.intends(action, &path);
    let prefix = match &survey.prefix {
        _ if !matches!(action, Action::List) => "",
        Some(prefix) if !prefix.is_empty() => prefix,
        _ => path.name(),
    };
    let declared_type = declared_type(parts);
    let intent = Intent { action, path: &path, prefix, declared_type, client };
    let permit = valetkey::admit(bounded, &intent)?;
    // A listing of a folder's URL asks below that folder.
    if matches!(action, Action::List) && !prefix.starts_with(path.name()) {
        return Err(Denial::OutOfScope);
    }
    match survey.call {
        Some(Call::Multipart | Call::Azure) => return Err(Denial::CallNotSupported("this call")),
        Some(Call::Archive) => return Err(Denial::CallNotSupported("an archive of a folder")),
        None => {}
    }
    if parts.method == Method::POST || parts.method == Method::PATCH {
        return Err(Denial::CallNotSupported("an upload by POST or PATCH"));
    }
    if whole && !matches!(action, Action::List) {
        return Err(Denial::BadRequest(
            "the URL names a folder; this request needs the name of an object".into(),
        ));
    }
    if let Some(Rehearsal { policies, bounded }) = rehearsal
        && let Err(denial) = bounded.and_then(|bounded| valetkey::admit(bounded, &intent))
    {
        recorder.would_refuse(&policies, &denial);
    }
    Ok(permit)
}

/// Admits one of the things that an operation of S3 does, or the upload of a form.
///
/// # Errors
/// As [`revocation::check`], [`valetkey::admit`] and [`audit_is_sound`].
pub(crate) fn admit_one(
    gateway: &Gateway,
    bounded: &Bounded,
    rehearsal: Option<&Rehearsal>,
    intent: &Intent<'_>,
    recorder: &Recorder,
) -> Result<Permit, Denial> {
    recorder.intends(intent.action, intent.path);
    revocation::check(&gateway.revoked, &bounded.identity(), Some(intent.path), intent.prefix)?;
    let permit = valetkey::admit(bounded.clone(), intent)?;
    if let Some(Rehearsal { policies, bounded }) = rehearsal
        && let Err(denial) = bounded.clone().and_then(|bounded| valetkey::admit(bounded, intent))
    {
        recorder.would_refuse(policies, &denial);
    }
    audit_is_sound(gateway, &permit)?;
    Ok(permit)
}

/// The one `Content-Type` that a request says.
pub(crate) fn declared_type(parts: &Parts) -> Option<&str> {
    let mut values = parts.headers.get_all(CONTENT_TYPE).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Waits while the audit log is far behind, so that a flood of requests is slowed and none goes unrecorded.
pub(crate) async fn records_keep_up(gateway: &Gateway) {
    while gateway.audit.backlog() > BACKLOG_HIGH && gateway.audit.is_sound() {
        tokio::time::sleep(BACKLOG_PAUSE).await;
    }
}

/// Refuses what must be recorded while nothing can be: uploads, deletes and counted transfers.
///
/// # Errors
/// [`Denial::LedgerUnavailable`].
pub(crate) fn audit_is_sound(gateway: &Gateway, permit: &Permit) -> Result<(), Denial> {
    let must_record = matches!(permit.action, Action::Upload { .. } | Action::Delete) || permit.is_counted;
    if must_record && !gateway.audit.is_sound() { Err(Denial::LedgerUnavailable) } else { Ok(()) }
}

/// Notes what begins, and reserves what the permit is charged with. A permit that is charged with nothing does
/// not touch the ledger.
///
/// # Errors
/// [`Denial::Revoked`], [`Denial::UsesExhausted`], [`Denial::BytesExhausted`], [`Denial::FilesExhausted`],
/// [`Denial::OverQuota`], [`Denial::TooManyAtOnce`], [`Denial::Expired`], [`Denial::LedgerDistrusted`],
/// [`Denial::LedgerUnavailable`].
pub(crate) async fn hold(gateway: &Arc<Gateway>, permit: Permit, purpose: Purpose) -> Result<Held, Denial> {
    let permit = Rc::new(permit);
    let end = End::begin(gateway, &permit)?;
    let throttle = gateway.rates.throttle(&permit.rates);
    if permit.charges.is_empty() {
        return Ok(Held { permit, hold: Hold::of_nothing(gateway), throttle, end });
    }
    // What has no length to give back is charged as a whole, and nothing of it stays open.
    let stays_open = !matches!(purpose, Purpose::Answer { .. });
    let request = request(gateway, &permit, purpose);
    let began = Instant::now();
    let answered = gateway.ledger.hold(request).await;
    gateway.metrics.held(began.elapsed());
    match answered {
        Ok(id) if stays_open => Ok(Held { permit, hold: Hold::of(gateway, id), end, throttle }),
        Ok(_) => Ok(Held { permit, hold: Hold::of_nothing(gateway), end, throttle }),
        Err(error) => Err(refused(&permit, error)),
    }
}

/// What the ledger is asked to hold.
pub(crate) fn request(gateway: &Gateway, permit: &Permit, purpose: Purpose) -> HoldRequest {
    HoldRequest { charges: charges(permit), purpose, now: seconds(gateway.clock.now().clock) }
}

/// What the permit is charged with, as the ledger names it.
pub(crate) fn charges(permit: &Permit) -> Vec<Charge> {
    let charges = permit.charges.iter().map(|charge| Charge {
        meter: Meter::new(charge.meter.as_str()),
        limits: limits(charge.limits),
        ends: charge.end.map_or(UnixSeconds::MAX, seconds),
        keep_until: charge.kept.map_or(UnixSeconds::MAX, seconds),
    });
    charges.collect()
}

/// Reserves up to `bytes` more for an upload of unknown length, and returns how many there are; never none.
///
/// # Errors
/// [`Denial::BytesExhausted`] or [`Denial::OverQuota`] where nothing is left, [`Denial::LedgerUnavailable`].
pub(crate) async fn grow(held: &Held, bytes: u64) -> Result<u64, Denial> {
    held.hold.grow(bytes).await.map_err(|error| refused(&held.permit, error))
}

/// What a client is told of a ledger that does not reserve what was asked.
pub(crate) fn refused(permit: &Permit, error: LedgerError) -> Denial {
    match error {
        LedgerError::Exhausted { level, resource, .. } => exhausted(permit, level, resource),
        LedgerError::Forgotten { .. } => Denial::Expired(permit.end),
        LedgerError::NotAccepted(distrust) => {
            tracing::error!(%distrust, "a key with limits is refused: see valetkey check --help on --accept");
            Denial::LedgerDistrusted
        }
        error => {
            tracing::error!(%error, "the ledger cannot hold a use");
            Denial::LedgerUnavailable
        }
    }
}

/// What a client is told of a meter that has not enough left.
fn exhausted(permit: &Permit, level: usize, resource: Resource) -> Denial {
    let is_quota = permit.charges.get(level).is_some_and(|charge| charge.end.is_none());
    match resource {
        Resource::Parallel => Denial::TooManyAtOnce,
        _ if is_quota => Denial::OverQuota,
        Resource::Uses => Denial::UsesExhausted,
        Resource::In | Resource::Out => Denial::BytesExhausted,
        Resource::Files => Denial::FilesExhausted,
    }
}

/// The limits as the ledger counts them; a rate is none of its.
pub(crate) fn limits(limits: valetkey::Limits) -> Limits {
    let valetkey::Limits { uses, in_bytes, out_bytes, files, rate_bytes: _, parallel } = limits;
    Limits { uses, in_bytes, out_bytes, files, parallel }
}

/// The ledger counts seconds from the epoch on; what lies before it is its beginning.
pub(crate) fn seconds(time: valetkey::Timestamp) -> UnixSeconds {
    UnixSeconds(u64::try_from(time.unix()).unwrap_or(0))
}
