//! Downloads, and questions about an object.

use std::net::IpAddr;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use valetkey::{Denial, MediaType, Now, Permit};
use valetkey_dialects::RequestHead;
use valetkey_dialects::aws::operation::PartNumber;
use valetkey_ledger::{LeaseRequest, Purpose};

use super::Transfer;
use super::body::Body;
use super::condition::{Conditions, State, Verdict};
use super::integrity;
use super::made_of::Parts;
use super::range::Asked;
use crate::admit::Held;
use crate::backend::{Content, Metadata, Opened, Space, StoreError};
use crate::flow::Connection;
use crate::gateway::{Gateway, Snapshot};
use crate::settings::Delivery;
use crate::settle::{Recorder, Settling};
use crate::{respond, revocation};

/// How long the URL of a redirected download is good.
const REDIRECT_LIFETIME: Duration = Duration::from_secs(30);

/// Of how many parts an object was made, told to who asks for one of them.
const PARTS_COUNT: HeaderName = HeaderName::from_static("x-amz-mp-parts-count");

/// How a download is to be answered, as far as its key's signature says it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    /// What headers of the answer are to say, names in lower case.
    pub(crate) overrides: &'a [(&'static str, String)],
    /// Which part of the object is asked for, as it was uploaded. What was not uploaded in parts is its own first.
    pub(crate) part: Option<PartNumber>,
}

/// What a download found.
pub(crate) enum Found {
    /// Bytes to be sent.
    Object(Box<FoundObject>),
    /// An answer without a body: 304, 416, or 307 to where the object is.
    Nothing(Response<Body>),
}

/// An open object and the part of it that is asked for.
pub(crate) struct FoundObject {
    opened: Opened,
    offset: u64,
    bytes: u64,
    /// The answer's head: 200 or 206.
    answer: Response<Body>,
    lease_secs: u64,
    path: String,
}

impl FoundObject {
    /// What the ledger is to hold: one client's lease on this version of the object.
    pub(crate) fn purpose(&self, head: &RequestHead<'_>, client: Option<IpAddr>) -> Purpose {
        let mut identity = blake3::Hasher::new();
        let client = client.map_or_else(|| "unknown".to_owned(), |client| client.to_canonical().to_string());
        identity.update(client.as_bytes());
        for agent in head.values("user-agent") {
            identity.update(b"\n").update(agent);
        }
        Purpose::Download(LeaseRequest {
            object: self.path.clone(),
            version: self.opened.metadata.etag.clone(),
            client: identity.finalize().to_hex().to_string(),
            size_bytes: self.opened.metadata.size_bytes,
            ask_bytes: self.bytes,
            lease_secs: self.lease_secs,
        })
    }
}

/// Opens the object and decides which part of it is to be sent.
///
/// # Errors
/// [`Denial::NotFound`], [`Denial::PreconditionFailed`], [`Denial::BackendUnavailable`]; [`Denial::Revoked`] while the
/// store is waited for.
pub(crate) async fn find(
    gateway: &Gateway,
    snapshot: &Snapshot,
    permit: &Permit,
    head: &RequestHead<'_>,
    wanted: &Wanted<'_>,
    now: Now,
) -> Result<Found, Denial> {
    let space = of_object(snapshot, permit)?;
    let opening = async {
        match ahead(snapshot, permit, head, wanted) {
            Some(range) => space.open_ahead(permit.path.name(), range).await,
            None => space.open(permit.path.name()).await,
        }
    };
    let opened = until_revoked(gateway, permit, opening).await?;
    let chosen = match choose(&opened.metadata, permit, head, wanted, now)? {
        Chosen::Body { offset, bytes, answer } => (offset, bytes, answer),
        Chosen::Nothing(answer) => return Ok(Found::Nothing(answer)),
    };
    if let Content::Remote(object) = &opened.content
        && is_redirected(snapshot, permit, head, wanted, &opened.metadata, &chosen.2)
    {
        // No longer than the key opens anything.
        let left = u64::try_from(permit.end.unix().saturating_sub(now.highest.unix())).unwrap_or_default();
        let url =
            object.url(REDIRECT_LIFETIME.min(Duration::from_secs(left.max(1)))).await.map_err(unreadable)?;
        return Ok(Found::Nothing(respond::redirect(&url)));
    }
    let (offset, bytes, answer) = chosen;
    let (lease_secs, path) = (permit.lease.as_secs(), permit.path.as_str().to_owned());
    Ok(Found::Object(Box::new(FoundObject { opened, offset, bytes, answer, lease_secs, path })))
}

/// Which bytes are asked for before anything is known of the object: those that will be sent, unless nothing is there.
///
/// Where there is something to count, it is counted first.
fn ahead(
    snapshot: &Snapshot,
    permit: &Permit,
    head: &RequestHead<'_>,
    wanted: &Wanted<'_>,
) -> Option<Range<u64>> {
    let is_sent = Conditions::of(head).are_none() && wanted.part.is_none() && !redirects(snapshot, permit);
    if is_sent && !is_limited(permit) { Asked::ahead(head.values("range")) } else { None }
}

fn redirects(snapshot: &Snapshot, permit: &Permit) -> bool {
    let bucket = snapshot.settings.buckets.get(permit.path.bucket());
    bucket.is_some_and(|bucket| bucket.delivery == Delivery::Redirect)
}

/// Whether a download is counted or slowed at any level.
fn is_limited(permit: &Permit) -> bool {
    permit.is_counted || !permit.charges.is_empty() || !permit.rates.is_empty()
}

/// Whether an object is fetched from its store by the client itself: nothing of what we would say or count is lost by
/// that.
fn is_redirected(
    snapshot: &Snapshot,
    permit: &Permit,
    head: &RequestHead<'_>,
    wanted: &Wanted<'_>,
    metadata: &Metadata,
    answer: &Response<Body>,
) -> bool {
    let is_limited = is_limited(permit) || permit.is_for_some_clients || permit.tell;
    // The store would answer with what it has, where we say something stricter.
    let stored = &metadata.attributes;
    let is_told_as_stored = stored
        .content_type
        .as_deref()
        .is_none_or(|text| MediaType::parse(text).is_some())
        && !stored.headers.iter().any(|(name, _)| {
            matches!(name.as_str(), "cache-control" | "expires" | "content-disposition" | "content-encoding")
        });
    let is_presented = wanted.part.is_some()
        || !wanted.overrides.is_empty()
        || answer.headers().contains_key(header::CONTENT_DISPOSITION);
    // A client would send the header to the other host too, which takes no two credentials.
    let bears_a_header = head.values("authorization").next().is_some();
    // The store tells other entity tags.
    let sets_conditions = !Conditions::of(head).are_none();
    redirects(snapshot, permit)
        && !is_limited
        && is_told_as_stored
        && !is_presented
        && !bears_a_header
        && !sets_conditions
}

/// Sends what was found. The transfer settles when the transport took the last of it, or gave up.
///
/// # Errors
/// [`Denial::NotFound`] where it was deleted meanwhile, [`Denial::BackendUnavailable`]; [`Denial::Revoked`] while the
/// store is waited for.
pub(crate) async fn send(
    held: Held,
    found: FoundObject,
    connection: &Connection,
    recorder: &Recorder,
) -> Result<Response<Body>, Denial> {
    let reading = tokio::select! {
        biased;
        reading = found.opened.read(found.offset, found.bytes) => reading.map_err(unreadable)?,
        () = held.end.told() => return Err(Denial::Revoked),
    };
    let status = found.answer.status();
    // From here on it ends with its connection.
    connection.end.take_over(&held.end);
    let settling =
        Settling::new(held.hold, recorder.clone(), status, found.bytes, Rc::clone(&connection.end));
    let transfer = Transfer::new(settling);
    let outbox = connection.outbox.clone();
    let body = Body::of_object(reading, found.bytes, transfer, outbox, held.throttle);
    Ok(found.answer.map(|_| body))
}

/// Answers a question about an object. It takes no use.
///
/// # Errors
/// As [`find`].
pub(crate) async fn stat(
    gateway: &Gateway,
    snapshot: &Snapshot,
    permit: Permit,
    head: &RequestHead<'_>,
    wanted: &Wanted<'_>,
    recorder: &Recorder,
    now: Now,
) -> Result<Response<Body>, Denial> {
    let space = snapshot.space(&permit.path).ok_or(Denial::NotFound)?;
    let metadata = until_revoked(gateway, &permit, space.open(permit.path.name())).await?.metadata;
    let answer = match choose(&metadata, &permit, head, wanted, now)? {
        Chosen::Body { bytes, mut answer, .. } => {
            answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
            answer
        }
        Chosen::Nothing(answer) => answer,
    };
    Ok(recorder.answered(answer))
}

enum Chosen {
    Body { offset: u64, bytes: u64, answer: Response<Body> },
    Nothing(Response<Body>),
}

/// Decides what a download or a question is answered with, apart from the bytes.
fn choose(
    metadata: &Metadata,
    permit: &Permit,
    head: &RequestHead<'_>,
    wanted: &Wanted<'_>,
    now: Now,
) -> Result<Chosen, Denial> {
    let object = |code| respond::object(code, metadata, permit, wanted.overrides, now);
    let conditions = Conditions::of(head);
    let state = State::of(metadata);
    match conditions.judge_download(state) {
        Verdict::Fails => return Err(Denial::PreconditionFailed),
        Verdict::NotModified => {
            return Ok(Chosen::Nothing(object(StatusCode::NOT_MODIFIED)));
        }
        Verdict::Holds => {}
    }
    let size = metadata.size_bytes;
    let parts = wanted.part.and_then(|_| Parts::of(metadata));
    let asked = match wanted.part {
        Some(number) => part(number, parts.as_ref(), size),
        None if conditions.range_counts(state) => Asked::of(head.values("range"), size),
        None => Asked::Whole,
    };
    let object = |code| {
        let mut answer = object(code);
        if let Some(parts) = &parts {
            respond::insert(&mut answer, PARTS_COUNT, &parts.sizes.len().to_string());
        }
        if head.values("x-amz-checksum-mode").any(|mode| mode == b"ENABLED") {
            let sums = match (wanted.part, &parts) {
                (Some(number), Some(parts)) => parts.sum(number.get(), metadata).into_iter().collect(),
                // A range of what was hashed hashes to something else.
                (None, _) if code != StatusCode::OK => Vec::new(),
                _ => integrity::kept(&metadata.attributes),
            };
            integrity::tell(&sums, &mut answer);
        }
        answer
    };
    Ok(match asked {
        Asked::Whole => {
            let answer = object(StatusCode::OK);
            Chosen::Body { offset: 0, bytes: size, answer }
        }
        Asked::Part { offset, bytes } => {
            let mut answer = object(StatusCode::PARTIAL_CONTENT);
            let range = format!("bytes {offset}-{}/{size}", offset + bytes - 1);
            respond::insert(&mut answer, header::CONTENT_RANGE, &range);
            Chosen::Body { offset, bytes, answer }
        }
        Asked::Nothing => {
            let mut answer = respond::status(StatusCode::RANGE_NOT_SATISFIABLE);
            respond::insert(&mut answer, header::CONTENT_RANGE, &format!("bytes */{size}"));
            Chosen::Nothing(answer)
        }
    })
}

/// Where part `number` of an object is.
fn part(number: PartNumber, parts: Option<&Parts>, size: u64) -> Asked {
    let range = match parts {
        Some(parts) => parts.part(number.get()),
        None => (number.get() == 1).then_some((0, size)),
    };
    match range {
        Some((_, 0)) if size == 0 => Asked::Whole,
        Some((_, 0)) | None => Asked::Nothing,
        Some((offset, bytes)) => Asked::Part { offset, bytes },
    }
}

/// The space of an object that has content: a folder's marker has none.
fn of_object<'a>(snapshot: &'a Snapshot, permit: &Permit) -> Result<&'a Space, Denial> {
    if !permit.path.is_object() {
        return Err(super::of_a_marker());
    }
    snapshot.space(&permit.path).ok_or(Denial::NotFound)
}

/// Opens an object that is not sent, where `conditions` hold, which have the names that a download gives them.
///
/// # Errors
/// As [`find`].
pub(crate) async fn open_under(
    gateway: &Gateway,
    snapshot: &Snapshot,
    permit: &Permit,
    conditions: &[(&'static str, String)],
) -> Result<Opened, Denial> {
    let space = of_object(snapshot, permit)?;
    let opened = until_revoked(gateway, permit, space.open(permit.path.name())).await?;
    let headers: Vec<_> = conditions.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let head = RequestHead { method: "GET", path: permit.path.as_str(), query: "", headers: &headers };
    let state = State::of(&opened.metadata);
    match Conditions::of(&head).judge_download(state) {
        Verdict::Holds => Ok(opened),
        Verdict::Fails | Verdict::NotModified => Err(Denial::PreconditionFailed),
    }
}

async fn until_revoked(
    gateway: &Gateway,
    permit: &Permit,
    opening: impl Future<Output = Result<Opened, StoreError>>,
) -> Result<Opened, Denial> {
    revocation::until_revoked(&gateway.revoked, permit, opening).await?.map_err(unreadable)
}

fn unreadable(error: StoreError) -> Denial {
    match error {
        StoreError::NotFound | StoreError::NameConflict => Denial::NotFound,
        StoreError::BadName => super::bad_name(),
        error => super::fault(&error),
    }
}
