//! Upload sessions: uploads in several requests, whatever protocol they speak.
//!
//! A session goes through the same five stages as any upload, over several requests. Each of them is identified,
//! bounded and admitted like any other; [`begin`] holds the one use, [`receive`] moves the bytes of a part,
//! [`complete`] settles. What the key that began it allows binds the whole object, whoever completes it.

mod marks;
mod part;
mod remote;
mod sweep;
mod terms;

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::Response;
use valetkey::{Denial, MediaTypes, Permit, ResourcePath};
use valetkey_dialects::{Checksum, ChecksumAlgorithm};
use valetkey_ledger::{
    LedgerError, NewSession, Part, Purpose, Session, SessionId, SessionQuery, UnixSeconds,
};

use super::body::Body;
use super::condition::Conditions;
use super::first_bytes::FirstBytes;
use super::integrity::{Confirmed, Integrity, hex};
use super::upload;
use crate::admit::{self, Held, seconds};
use crate::backend::disk::Folder;
use crate::backend::{Attributes, Finished, Space, StoreError, StoredPart};
use crate::gateway::{Gateway, Snapshot};
use crate::running::End;
use crate::settle::{self, Hold, Recorder, SessionHold};

pub(crate) use marks::{Marks, etag_of_md5s};
pub(crate) use part::{PartPlan, receive};
pub(crate) use sweep::{clear, sweep};
pub(crate) use terms::{Sums, Terms};

/// A session that the request may go on with.
pub(crate) struct Open {
    pub(crate) session: Session,
    pub(crate) terms: Terms,
    pub(crate) path: ResourcePath,
    pub(crate) space: Space,
}

impl Open {
    /// The types that the object must be of: those of the key that began it, and those of the request's own.
    fn bounds(&self, permit: &Permit) -> [MediaTypes; 2] {
        [self.terms.types(), permit.types.clone()]
    }

    /// What looks whether an object may begin so.
    fn first_bytes<'a>(&self, bounds: &'a [MediaTypes; 2]) -> [FirstBytes<'a>; 2] {
        bounds.each_ref().map(|types| FirstBytes::of(types, self.terms.content_type.as_deref()))
    }
}

/// What the session is to become.
pub(crate) struct Completion {
    /// The parts of the object, in order.
    pub(crate) parts: Vec<Part>,
    pub(crate) conditions: Conditions,
    /// Of the whole object, as the request says them.
    pub(crate) checksums: Vec<Checksum>,
    pub(crate) etag: WholeEtag,
    /// By which function the whole is hashed besides, to be told and kept.
    pub(crate) tells: Option<ChecksumAlgorithm>,
    /// What is kept beside the headers from the begin.
    pub(crate) headers: Vec<(String, String)>,
}

/// What the entity tag of the whole is.
pub(crate) enum WholeEtag {
    /// Its content's, as of one that came in one piece.
    #[cfg_attr(not(test), expect(dead_code, reason = "resumable uploads have it"))]
    OfContent,
    /// Its content's, with the number of its parts.
    OfParts,
    Given(String),
}

/// Begins a session for an upload that was planned, and holds its one use.
///
/// # Errors
/// As [`admit::hold`], and [`Denial::TooManyAtOnce`] where the owner has too many open.
pub(crate) async fn begin(
    gateway: &Arc<Gateway>,
    snapshot: &Snapshot,
    permit: &Permit,
    plan: &upload::Plan,
    recorder: &Recorder,
) -> Result<SessionId, Denial> {
    let server = &snapshot.settings.server;
    let purpose = Purpose::Upload {
        object: plan.path.clone(),
        file: plan.path.clone(),
        declared_bytes: None,
        copied_bytes: 0,
    };
    let request = admit::request(gateway, permit, recorder.witness(purpose));
    let mut terms = Terms::of(permit, plan);
    if let Space::Remote(remote) = &plan.space {
        remote::check_digests(&permit.digests)?;
        let begun = remote.begin_session(&plan.name, terms.attributes()).await;
        terms.store = Some(begun.map_err(|error| upload::refused(error, permit))?);
    }
    let new = NewSession {
        owner: terms::owner(permit)?,
        owner_sessions_max: server.open_uploads_max,
        path: plan.path.clone(),
        bytes_max: permit.size.max_bytes,
        expires: seconds(gateway.clock.now().highest).plus(server.upload_expiry.as_secs()),
        details: terms.to_words()?,
    };
    let begun = gateway.ledger.begin_session(request, new).await;
    if let (Err(_), Space::Remote(remote), Some(upload)) = (&begun, &plan.space, &terms.store) {
        remote.abort_session(&plan.name, upload).await;
    }
    begun.map_err(|error| denied(error, permit))
}

/// Finds a session by the name that a request says, if it belongs to whom the request is from.
///
/// # Errors
/// [`Denial::NotFound`], also for another's and for one that has expired, and [`Denial::LedgerUnavailable`].
pub(crate) async fn find(
    gateway: &Gateway,
    snapshot: &Snapshot,
    id: &str,
    permit: &Permit,
) -> Result<Open, Denial> {
    let id: SessionId = id.parse().map_err(|_| Denial::NotFound)?;
    let session = gateway.ledger.session(id).await.map_err(|error| unanswered(&error))?;
    let now = seconds(gateway.clock.now().highest);
    let owner = terms::owner(permit)?;
    let session =
        session.filter(|session| session.owner == owner && session.expires > now).ok_or(Denial::NotFound)?;
    let terms = Terms::from_words(&session.details)?;
    let path = ResourcePath::from_text(&session.path).map_err(|_| Denial::NotFound)?;
    let space = snapshot.space(&path).ok_or(Denial::NotFound)?.clone();
    Ok(Open { session, terms, path, space })
}

/// The finished parts with a number above `after`, at most `max`.
///
/// # Errors
/// [`Denial::LedgerUnavailable`].
pub(crate) async fn parts(gateway: &Gateway, open: &Open, after: u32, max: u32) -> Result<Vec<Part>, Denial> {
    gateway.ledger.parts(open.session.id, after, max).await.map_err(|error| unanswered(&error))
}

/// All finished parts, by their numbers.
///
/// # Errors
/// [`Denial::LedgerUnavailable`].
pub(crate) async fn all_parts(gateway: &Gateway, open: &Open) -> Result<Vec<Part>, Denial> {
    let mut all: Vec<Part> = Vec::new();
    loop {
        let after = all.last().map_or(0, |part| part.id.number);
        let page = parts(gateway, open, after, PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// How much of a list is asked of the ledger at once.
const PAGE: u32 = 1000;

/// Some of the sessions of one owner.
pub(crate) struct Sessions {
    /// In the order of their paths.
    pub(crate) sessions: Vec<Session>,
    /// Of how many, whoever's they are, they were picked.
    pub(crate) looked_at: usize,
    /// Where the next page begins; `None` where there is none.
    pub(crate) next: Option<(String, Option<SessionId>)>,
}

/// Sessions that belong to whom the request is from, whose paths begin with `path_start`.
///
/// # Errors
/// [`Denial::LedgerUnavailable`].
pub(crate) async fn of_bearer(
    gateway: &Gateway,
    permit: &Permit,
    path_start: String,
    after: Option<(String, Option<SessionId>)>,
) -> Result<Sessions, Denial> {
    let query = SessionQuery { path_start, after, max: PAGE };
    let mut sessions = gateway.ledger.sessions(query).await.map_err(|error| unanswered(&error))?;
    let looked_at = sessions.len();
    let next = sessions.last().map(|last| (last.path.clone(), Some(last.id)));
    let (owner, now) = (terms::owner(permit)?, seconds(gateway.clock.now().highest));
    sessions.retain(|session| session.owner == owner && session.expires > now);
    Ok(Sessions { sessions, looked_at, next })
}

/// What stays of the name of a session with the object that was made of it: known to its owner alone.
///
/// # Errors
/// [`Denial::LedgerUnavailable`].
pub(crate) fn mark(permit: &Permit, id: &str) -> Result<String, Denial> {
    let text = format!("{}\n{}\n{id}", terms::owner(permit)?, permit.path);
    Ok(hex(&blake3::hash(text.as_bytes()).as_bytes()[..16]))
}

/// Makes the object of its parts, and answers once that and its record are durable. Whatever is refused leaves the
/// session open.
///
/// # Errors
/// [`Denial::TooLarge`], [`Denial::TooSmall`], [`Denial::TypeBelied`], [`Denial::DigestMismatch`] of the whole,
/// [`Denial::NotFound`] where the session or a part is gone, [`Denial::TooManyAtOnce`] while another request
/// completes it or appends to it, and as [`settle::upload`].
#[cfg_attr(not(test), expect(dead_code, reason = "resumable uploads end so"))]
pub(crate) async fn complete(
    gateway: &Arc<Gateway>,
    open: Open,
    permit: Rc<Permit>,
    completion: Completion,
    recorder: &Recorder,
) -> Result<Response<Body>, Denial> {
    let _claim = gateway.sessions.claim(open.session.id)?;
    let (held, received) = put_together(gateway, open, permit, completion, recorder).await?;
    settle::upload(gateway, held, received, recorder).await
}

/// As [`complete`]; returns what was made, for its caller to tell.
///
/// # Errors
/// As [`complete`].
pub(crate) async fn publish(
    gateway: &Arc<Gateway>,
    open: Open,
    permit: Rc<Permit>,
    completion: Completion,
    recorder: &Recorder,
) -> Result<settle::Published, Denial> {
    let _claim = gateway.sessions.claim(open.session.id)?;
    let (held, received) = put_together(gateway, open, permit, completion, recorder).await?;
    settle::publish(gateway, held, received, recorder).await
}

async fn put_together(
    gateway: &Arc<Gateway>,
    open: Open,
    permit: Rc<Permit>,
    completion: Completion,
    recorder: &Recorder,
) -> Result<(Held, upload::Received), Denial> {
    let Open { session, mut terms, path, space } = open;
    let Completion { parts, conditions, checksums, etag, tells, headers } = completion;
    let end = End::begin(gateway, &permit)?;
    permit.types.check_declared(terms.content_type.as_deref())?;
    let size = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.bytes));
    let caps = [session.bytes_max, permit.size.max_bytes];
    if let Some(cap) = caps.into_iter().flatten().min().filter(|cap| size > *cap) {
        return Err(Denial::TooLarge { size, cap });
    }
    let least = terms.min_bytes.max(permit.size.min_bytes);
    if size < least {
        return Err(Denial::TooSmall { size, least });
    }
    recorder.received(size);
    let mut confirmed = Confirmed::of(&checksums);
    let mut digests = terms.digests();
    digests.extend(permit.digests.iter().cloned());
    let expected = checksums.clone();
    let integrity = Integrity::of(&digests, checksums).awaiting(tells.as_slice());
    terms.headers.extend(headers);
    let only_create = terms.only_create || conditions.only_create() || !permit.may_replace;
    let purpose = Purpose::Upload {
        object: session.path.clone(),
        file: session.path.clone(),
        declared_bytes: None,
        copied_bytes: 0,
    };
    let Purpose::Upload { object: words, .. } = recorder.witness(purpose) else {
        return Err(Denial::LedgerUnavailable);
    };
    let (finished, whole) = match &space {
        Space::Disk(folder) => {
            let (folder, session, types) = (folder.clone(), session.clone(), permit.types.clone());
            super::blocking(move || {
                let bounds = [terms.types(), types];
                assemble(&folder, &session, &parts, terms, &bounds, integrity, Told { etag, sum: tells })
            })
            .await??
        }
        Space::Remote(store) => {
            remote::check_digests(&digests)?;
            remote::assemble(store, path.name(), &parts, terms, &expected, tells)?
        }
    };
    confirmed.add(&whole);
    let name = path.name().to_owned();
    let hold = Hold::of_session(gateway, SessionHold { session, words, space: space.clone() });
    let received = upload::Received { space, name, finished, conditions, only_create, confirmed };
    Ok((Held { permit, hold, throttle: None, end }, received))
}

/// What is told of the whole.
struct Told {
    etag: WholeEtag,
    sum: Option<ChecksumAlgorithm>,
}

/// Puts the parts together aside, and judges them as one.
fn assemble(
    folder: &Folder,
    session: &Session,
    parts: &[Part],
    terms: Terms,
    types: &[valetkey::MediaTypes],
    mut integrity: Integrity,
    told: Told,
) -> Result<(Finished, Vec<Checksum>), Denial> {
    let stored = |part: &Part| StoredPart { name: part.id.store_name(), bytes: part.bytes };
    let stored: Vec<StoredPart> = parts.iter().map(stored).collect();
    let declared = terms.content_type.as_deref();
    let mut first_bytes: Vec<_> = types.iter().map(|types| FirstBytes::of(types, declared)).collect();
    let see = |piece: Bytes| {
        first_bytes.iter_mut().try_for_each(|first_bytes| first_bytes.take(&piece))?;
        integrity.update(std::slice::from_ref(&piece));
        Ok::<_, Refusal>(())
    };
    let upload = folder.assemble(&session.store_name(), &stored, see).map_err(|refusal| refusal.0)?;
    first_bytes.iter_mut().try_for_each(FirstBytes::judge)?;
    let digest = upload.digest();
    let hashed = integrity.hashed(digest)?;
    let tell = |algorithm: ChecksumAlgorithm| {
        let value = hashed.value(algorithm)?.to_vec();
        Some(Checksum { algorithm, value, by_s3_header: true })
    };
    let whole: Vec<Checksum> = told.sum.and_then(tell).into_iter().collect();
    let mut headers = terms.headers;
    headers.extend(Confirmed::of(&whole).headers());
    let etag = match told.etag {
        WholeEtag::OfContent => hashed.md5_to_tell(),
        WholeEtag::OfParts => Some(format!("{}-{}", hex(&digest[..16]), parts.len())),
        WholeEtag::Given(etag) => Some(etag),
    };
    let attributes =
        Attributes { content_type: terms.content_type, headers, hold: Some(session.hold.to_string()), etag };
    Ok((Finished::Disk(upload.finish(attributes).map_err(upload::unwritable)?), whole))
}

/// What ends an assembly: a judgement, or the store.
struct Refusal(Denial);

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self(denial)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self(match error {
            // It was replaced, or the session was aborted, meanwhile.
            StoreError::NotFound => Denial::NotFound,
            error => upload::unwritable(error),
        })
    }
}

/// Ends a session, and gives back its use and its bytes.
///
/// # Errors
/// [`Denial::NotFound`] where it has ended, [`Denial::TooManyAtOnce`] while it is completed, and
/// [`Denial::LedgerUnavailable`].
pub(crate) async fn abort(gateway: &Gateway, open: Open) -> Result<(), Denial> {
    let Open { session, space, .. } = open;
    gateway.ledger.abort_session(session.id).await.map_err(|error| match error {
        LedgerError::UnknownSession(_) => Denial::NotFound,
        LedgerError::SessionBusy(_) => Denial::TooManyAtOnce,
        error => unanswered(&error),
    })?;
    space.remove_session(terms::parked(&session)).await;
    Ok(())
}

/// What a client is told where the ledger does not do for its session what it asks for.
fn denied(error: LedgerError, permit: &Permit) -> Denial {
    match error {
        LedgerError::UnknownSession(_) | LedgerError::UnknownPart(_) => Denial::NotFound,
        LedgerError::TooManySessions(_) | LedgerError::SessionBusy(_) | LedgerError::PartBusy(_) => {
            Denial::TooManyAtOnce
        }
        LedgerError::SessionFull { bytes_max } => Denial::RunsOver { cap: bytes_max },
        LedgerError::WrongOffset { end } => {
            Denial::BadRequest(format!("the upload goes on at {end} bytes and nowhere else"))
        }
        error => admit::refused(permit, error),
    }
}

fn unanswered(error: &LedgerError) -> Denial {
    tracing::error!(%error, "the ledger does not answer for an upload session");
    Denial::LedgerUnavailable
}

/// The sessions that one request at a time has for itself: to complete them, or to append to a part.
#[derive(Default)]
pub(crate) struct Claims(Arc<Mutex<HashSet<SessionId>>>);

/// A session that is one request's until this is dropped.
pub(crate) struct Claim {
    claims: Arc<Mutex<HashSet<SessionId>>>,
    id: SessionId,
}

impl Claims {
    /// # Errors
    /// [`Denial::TooManyAtOnce`] while another request has it.
    pub(crate) fn claim(&self, id: SessionId) -> Result<Claim, Denial> {
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match claims.insert(id) {
            true => Ok(Claim { claims: Arc::clone(&self.0), id }),
            false => Err(Denial::TooManyAtOnce),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// The wall clock, as the ledger counts it.
fn now(gateway: &Gateway) -> UnixSeconds {
    seconds(gateway.clock.now().clock)
}

#[cfg(test)]
mod tests;
