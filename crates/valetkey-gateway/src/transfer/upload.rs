//! Uploads: what is asked, what is received, and never more than the permit says.

use std::rc::Rc;

use valetkey::{Action, Denial, Dialect, Permit};
use valetkey_dialects::{Checksum, RequestHead, UploadHeaders, checksums};
use valetkey_ledger::Purpose;

use super::arriving::{Pace, next_piece};
use super::body::as_u64;
use super::condition::{Conditions, State, Verdict};
use super::first_bytes::FirstBytes;
use super::integrity::{Confirmed, Integrity};
use super::rate::Throttle;
use super::receiving::Receiving;
use super::session::Sums;
use super::source::Source;
use crate::admit::{self, Held};
use crate::backend::{Attributes, Finished, Space, StoreError};
use crate::gateway::Snapshot;
use crate::settings::Etag;
use crate::settle::Recorder;

/// How much an upload of unknown length reserves at once, in bytes: twice as much each time, within these.
const GROWTH_BYTES_MIN: u64 = 1 << 20;
const GROWTH_BYTES_MAX: u64 = 8 << 20;

/// The attribute that names those of an object's headers that its upload's signature covered.
pub(crate) const SIGNED: &str = "x-valetkey-signed";

/// What an upload is to become, checked against what is there.
pub(crate) struct Plan {
    pub(crate) space: Space,
    pub(crate) path: String,
    pub(super) name: String,
    pub(super) headers: UploadHeaders,
    pub(super) checksums: Vec<Checksum>,
    pub(super) conditions: Conditions,
    pub(super) declared_bytes: Option<u64>,
    pub(super) only_create: bool,
    pub(super) etag: Etag,
    /// Which checksum an upload in parts has of all of them.
    pub(super) sums: Option<Sums>,
    /// How much of it is read from another object here.
    copied_bytes: u64,
}

/// An upload that is whole, on disk, and not yet visible.
pub(crate) struct Received {
    pub(crate) space: Space,
    pub(crate) name: String,
    pub(crate) finished: Finished,
    pub(crate) conditions: Conditions,
    pub(crate) only_create: bool,
    /// The checksums that S3 answers with again.
    pub(crate) confirmed: Confirmed,
}

impl Plan {
    /// The same of an upload whose bytes are `bytes` of another object.
    pub(crate) fn copying(self, bytes: u64) -> Self {
        Self { copied_bytes: bytes, ..self }
    }

    /// The same of an upload in parts that has a checksum of all of them.
    pub(crate) fn summing(self, sums: Option<Sums>) -> Self {
        Self { sums, ..self }
    }

    /// The headers that are kept with the object.
    pub(super) fn stored_headers(headers: UploadHeaders) -> Vec<(String, String)> {
        let mut stored = headers.others;
        if headers.signed.iter().any(|name| name == "cache-control") {
            stored.push((SIGNED.to_owned(), "cache-control".to_owned()));
        }
        stored
    }

    /// What the ledger is to hold.
    pub(crate) fn purpose(&self) -> Purpose {
        Purpose::Upload {
            object: self.path.clone(),
            file: self.path.clone(),
            declared_bytes: self.declared_bytes,
            copied_bytes: self.copied_bytes,
        }
    }
}

/// What a request says of the object that it uploads.
pub(crate) struct Description {
    /// What is kept with it.
    pub(crate) headers: UploadHeaders,
    /// What it must hash to.
    pub(crate) checksums: Vec<Checksum>,
}

impl Description {
    /// What the headers say of a request whose key signs none of them.
    ///
    /// # Errors
    /// As [`UploadHeaders::of`] and [`checksums`].
    pub(crate) fn of(head: &RequestHead<'_>) -> Result<Self, Denial> {
        Ok(Self { headers: UploadHeaders::of(head)?, checksums: checksums(head)? })
    }
}

/// Checks an upload as far as that can be done before its body is read.
///
/// # Errors
/// As [`check_there`]; [`Denial::NotFound`] for a bucket that does not exist, and [`Denial::BadRequest`] for a folder's
/// marker that is not declared empty.
pub(crate) async fn plan(
    snapshot: &Snapshot,
    permit: &Permit,
    head: &RequestHead<'_>,
    described: Description,
) -> Result<Plan, Denial> {
    let Description { headers, checksums } = described;
    let conditions = Conditions::of(head);
    let space = snapshot.space(&permit.path).ok_or_else(|| absent(permit))?.clone();
    let declared_bytes = match permit.action {
        Action::Upload { declared_bytes } => declared_bytes,
        _ => None,
    };
    if !permit.path.is_object() && declared_bytes != Some(0) {
        return Err(super::of_a_marker());
    }
    let only_create = conditions.only_create() || !permit.may_replace;
    check_there(&space, permit, &conditions, only_create).await?;
    let name = permit.path.name().to_owned();
    let path = permit.path.as_str().to_owned();
    let etag = snapshot.settings.buckets.get(permit.path.bucket()).map_or(Etag::Blake3, |bucket| bucket.etag);
    Ok(Plan {
        space,
        path,
        name,
        headers,
        checksums,
        conditions,
        declared_bytes,
        only_create,
        etag,
        sums: None,
        copied_bytes: 0,
    })
}

/// Looks whether an upload may take the place of what is there.
///
/// # Errors
/// [`Denial::AlreadyExists`], [`Denial::PreconditionFailed`], [`Denial::NameConflict`]; [`Denial::NotFound`] where S3
/// says so of a replacement of nothing.
pub(crate) async fn check_there(
    space: &Space,
    permit: &Permit,
    conditions: &Conditions,
    only_create: bool,
) -> Result<(), Denial> {
    let name = permit.path.name();
    // A store that does not even answer that is one to which nothing counted is sent.
    if !only_create && !conditions.restrict_changes() && !permit.is_counted {
        return space.check_name(name).await.map_err(|error| refused(error, permit));
    }
    let there = space.probe(name).await.map_err(|error| refused(error, permit))?;
    if only_create && there.is_some() {
        return Err(Denial::AlreadyExists);
    }
    let replaces_nothing = there.is_none() && conditions.only_replace();
    match conditions.judge_change(there.as_ref().map(State::of)) {
        Verdict::Holds => Ok(()),
        _ if replaces_nothing && permit.may_know_absence && permit.bearer.dialect == Dialect::Aws => {
            Err(Denial::NotFound)
        }
        Verdict::Fails | Verdict::NotModified => Err(Denial::PreconditionFailed),
    }
}

/// Receives the body into a temporary file, until it is revoked. Dropping the future removes the file.
///
/// # Errors
/// [`Denial::Revoked`], and as [`receive_all`].
pub(crate) async fn receive(
    held: &mut Held,
    plan: Plan,
    source: Source<'_>,
    recorder: &Recorder,
) -> Result<Received, Denial> {
    let end = Rc::clone(&held.end);
    // Boxed, since a connection has room for all that it may ever have to do, and this is most of it.
    let receiving = Box::pin(receive_all(held, plan, source, recorder));
    tokio::select! {
        received = receiving => received,
        () = end.told() => Err(Denial::Revoked),
    }
}

/// Receives the body, whole.
///
/// # Errors
/// [`Denial::RunsOver`] at the first byte over the cap, [`Denial::BytesExhausted`] or [`Denial::OverQuota`] at the
/// first byte over what is left of a count, [`Denial::TooSmall`], [`Denial::BadRequest`] where
/// the body breaks off or stalls, [`Denial::TypeBelied`], [`Denial::DigestMismatch`],
/// [`Denial::QuotaExceeded`] on a full disk.
async fn receive_all(
    held: &mut Held,
    plan: Plan,
    mut source: Source<'_>,
    recorder: &Recorder,
) -> Result<Received, Denial> {
    let permit = Rc::clone(&held.permit);
    let content_type = plan.headers.content_type.clone();
    let mut first_bytes = FirstBytes::of(&permit.types, content_type.as_deref());
    let mut confirmed = Confirmed::of(&plan.checksums);
    let mut integrity = Integrity::of(&permit.digests, plan.checksums).awaiting(source.announced());
    if plan.etag == Etag::Md5 {
        integrity = integrity.telling_md5();
    }
    let mut headers = Plan::stored_headers(plan.headers);
    headers.extend(confirmed.headers());
    let attributes = Attributes { content_type, headers, hold: held.hold.name(), etag: None };
    // What has to hash to something, or is slowed, passes through here. The checksums of a copy are those of its source.
    let is_seen = !permit.digests.is_empty() || held.throttle.is_some();
    let in_store = source.copied().filter(|_| !is_seen).and_then(|copied| copied.object_in(&plan.space));
    let finished = match in_store {
        Some(copy) => {
            first_bytes.take(&copy.beginning(first_bytes.wanted_bytes()).await?)?;
            first_bytes.judge()?;
            let bytes = copy.bytes;
            let finished = copy.object(&plan.name, attributes).await?;
            recorder.received(bytes);
            finished
        }
        None => {
            let known = (plan.declared_bytes, plan.only_create);
            let mut file = Receiving::object(&plan.space, &plan.name, known, attributes, integrity)?;
            file.reserve(plan.declared_bytes).await?;
            let reserved = Reserved::of(held, plan.declared_bytes);
            receive_bytes(held, &mut source, &mut file, (first_bytes, reserved), recorder).await?;
            let trailer = source.finish()?;
            let told = confirmed.headers().count();
            confirmed.add(&trailer);
            file.finish(confirmed.headers().skip(told), trailer).await?
        }
    };
    Ok(Received {
        space: plan.space,
        name: plan.name,
        finished,
        conditions: plan.conditions,
        only_create: plan.only_create,
        confirmed,
    })
}

/// Takes all bytes of the body.
async fn receive_bytes(
    held: &mut Held,
    source: &mut Source<'_>,
    file: &mut Receiving,
    (mut first_bytes, mut reserved): (FirstBytes<'_>, Reserved),
    recorder: &Recorder,
) -> Result<(), Denial> {
    let size = held.permit.size;
    let mut pace = Pace::new(held.throttle.as_ref().map(Throttle::slowest));
    let mut received_bytes = 0;
    while let Some(piece) = next_piece(source, file, &mut pace).await? {
        received_bytes += as_u64(piece.len());
        recorder.received(received_bytes);
        if let Some(cap) = size.max_bytes
            && received_bytes > cap
        {
            return Err(Denial::RunsOver { cap });
        }
        reserved.cover(held, received_bytes).await?;
        first_bytes.take(&piece)?;
        let piece_bytes = as_u64(piece.len());
        file.push(piece).await?;
        if let Some(throttle) = &mut held.throttle {
            throttle.pay(piece_bytes).await;
        }
    }
    first_bytes.judge()?;
    match received_bytes < size.min_bytes {
        true => Err(Denial::TooSmall { size: received_bytes, least: size.min_bytes }),
        false => Ok(()),
    }
}

/// Collects a document of at most `bytes_max` bytes that is compared with what is said of it; `None` where it is
/// longer.
///
/// # Errors
/// [`Denial::BadRequest`] where the body breaks off or stalls, [`Denial::DigestMismatch`], and as
/// [`Source::decode`].
pub(crate) async fn collect(
    mut source: Source<'_>,
    checksums: Vec<Checksum>,
    bytes_max: usize,
) -> Result<Option<Vec<u8>>, Denial> {
    let mut integrity = Integrity::of(&[], checksums).awaiting(source.announced());
    let mut pace = Pace::new(None);
    let mut document = Vec::new();
    while let Some(body) = source.body() {
        let Some(frame) = pace.frame(body).await? else { break };
        let piece = source.decode(pace.data(frame))?;
        if document.len() + piece.len() > bytes_max {
            return Ok(None);
        }
        document.extend_from_slice(&piece);
        integrity.update(&[piece]);
    }
    integrity.expecting(source.finish()?).check(*blake3::hash(&document).as_bytes())?;
    Ok(Some(document))
}

/// How much of an upload is reserved in the ledger.
struct Reserved {
    /// `None` where all of it is, or nothing limits it.
    bytes: Option<u64>,
    step_bytes: u64,
}

impl Reserved {
    fn of(held: &Held, declared_bytes: Option<u64>) -> Self {
        let is_limited = held.permit.charges.iter().any(|charge| charge.limits.in_bytes.is_some());
        let grows = is_limited && declared_bytes.is_none();
        Self { bytes: grows.then_some(0), step_bytes: GROWTH_BYTES_MIN }
    }

    /// Reserves more until it covers what was received, of which nothing is kept otherwise.
    async fn cover(&mut self, held: &Held, received_bytes: u64) -> Result<(), Denial> {
        let Some(reserved) = &mut self.bytes else { return Ok(()) };
        while *reserved < received_bytes {
            let wanted = self.step_bytes.max(received_bytes - *reserved);
            *reserved += admit::grow(held, wanted).await?;
            self.step_bytes = (self.step_bytes * 2).min(GROWTH_BYTES_MAX);
        }
        Ok(())
    }
}

/// The answer where nothing is there: only a key that may look is told so.
pub(crate) fn absent(permit: &Permit) -> Denial {
    if permit.may_know_absence { Denial::NotFound } else { Denial::OutOfScope }
}

/// The answer to an upload that the store refuses before or while it is received.
pub(crate) fn refused(error: StoreError, permit: &Permit) -> Denial {
    match error {
        StoreError::NameConflict => Denial::NameConflict,
        StoreError::BadName => super::bad_name(),
        StoreError::AlreadyExists => Denial::AlreadyExists,
        StoreError::PreconditionFailed => Denial::PreconditionFailed,
        // A link stands in the way, which is never followed.
        StoreError::NotFound => absent(permit),
        error => unwritable(error),
    }
}

pub(super) fn unwritable(error: StoreError) -> Denial {
    match error {
        StoreError::NoSpace => Denial::QuotaExceeded,
        StoreError::AttributesTooLarge => {
            Denial::BadRequest("the store cannot hold this much metadata".into())
        }
        error => super::fault(&error),
    }
}
