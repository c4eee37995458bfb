//! May this request, now? First by what it is, then by what the ledger remembers.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use hyper::body::Body as _;
use hyper::body::Incoming;
use valetkey::{Action, Client, Denial, Intent, Permit};
use valetkey_dialects::Call;
use valetkey_ledger::{Charge, HoldRequest, LedgerError, Limits, Meter, Purpose, Resource, UnixSeconds};

use crate::bound::BoundedRequest;
use crate::gateway::Gateway;
use crate::notify::BACKLOG_HIGH;
use crate::settle::{Hold, Recorder};

/// How long a request waits before it looks again whether the audit log keeps up.
const BACKLOG_PAUSE: Duration = Duration::from_millis(5);

/// A permit whose uses are reserved, durably.
pub(crate) struct Held {
    pub(crate) permit: Permit,
    pub(crate) hold: Hold,
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
    let BoundedRequest { bounded, path, survey } = request;
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
    let permit = valetkey::admit(bounded, &Intent { action, path: &path, prefix, declared_type, client })?;
    // A listing of a folder's URL asks below that folder.
    if matches!(action, Action::List) && !prefix.starts_with(path.name()) {
        return Err(Denial::OutOfScope);
    }
    match survey.call {
        Some(Call::Multipart) => return Err(Denial::CallNotSupported("multipart upload")),
        Some(Call::Azure) => return Err(Denial::CallNotSupported("this call")),
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
    Ok(permit)
}

/// The one `Content-Type` that a request says.
fn declared_type(parts: &Parts) -> Option<&str> {
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
    let must_record =
        matches!(permit.action, Action::Upload { .. } | Action::Delete) || !permit.charges.is_empty();
    if must_record && !gateway.audit.is_sound() { Err(Denial::LedgerUnavailable) } else { Ok(()) }
}

/// Reserves what the permit is charged with. A permit that is charged with nothing does not touch the ledger.
///
/// # Errors
/// [`Denial::UsesExhausted`], [`Denial::LedgerUnavailable`].
pub(crate) async fn hold(gateway: &Arc<Gateway>, permit: Permit, purpose: Purpose) -> Result<Held, Denial> {
    if permit.charges.is_empty() {
        return Ok(Held { permit, hold: Hold::of_nothing(gateway) });
    }
    let request = request(gateway, &permit, purpose);
    match gateway.ledger.hold(request).await {
        Ok(id) => Ok(Held { permit, hold: Hold::of(gateway, id) }),
        Err(error) => Err(not_held(error, &permit)),
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
        keep_until: charge.end.map_or(UnixSeconds::MAX, seconds),
    });
    charges.collect()
}

/// What a client is told where the ledger does not hold what it asks for.
pub(crate) fn not_held(error: LedgerError, permit: &Permit) -> Denial {
    match error {
        LedgerError::Exhausted { level, resource, .. } => {
            let are_quotas: Vec<bool> = permit.charges.iter().map(|charge| charge.end.is_none()).collect();
            exhausted(&are_quotas, level, resource)
        }
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
fn exhausted(are_quotas: &[bool], level: usize, resource: Resource) -> Denial {
    let is_quota = are_quotas.get(level).copied().unwrap_or_default();
    match resource {
        Resource::Parallel => Denial::TooManyAtOnce,
        _ if is_quota => Denial::OverQuota,
        Resource::Uses => Denial::UsesExhausted,
        Resource::In | Resource::Out => Denial::BytesExhausted,
        Resource::Files => Denial::FilesExhausted,
    }
}

/// The limits as the ledger counts them; a rate is none of its.
fn limits(limits: valetkey::Limits) -> Limits {
    let valetkey::Limits { uses, in_bytes, out_bytes, files, rate_bytes: _, parallel } = limits;
    Limits { uses, in_bytes, out_bytes, files, parallel }
}

/// The ledger counts seconds from the epoch on; what lies before it is its beginning.
pub(crate) fn seconds(time: valetkey::Timestamp) -> UnixSeconds {
    UnixSeconds(u64::try_from(time.unix()).unwrap_or(0))
}
