//! Uploads on their way to the store.
//!
//! What is small is gathered, and sent when the object may appear. What is larger and declares its length is streamed
//! in one request, whose last piece is held back until then. What declares none, or more than the store takes in one
//! request, goes in parts of the store's own multipart calls.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};
use http_body::{Body, Frame, SizeHint};
use object_store::path::Path;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::attributes::{self, Marks};
use super::parts::{self, Completion, OwnUpload, PartName};
use super::{Kind, Remote, Service, error};
use crate::backend::{Attributes, StoreError};
use crate::transfer::body::as_u64;

/// Up to how much an object is gathered in memory, in bytes.
const SMALL_BYTES_MAX: usize = 256 << 10;

/// How large an object the stores take in one request, in bytes; Azure's limit is the least of them.
const SINGLE_BYTES_MAX: u64 = 5000 << 20;

/// How large the first parts are, in bytes: S3 takes no smaller ones.
const PART_BYTES_MIN: usize = 5 << 20;

/// After so many parts they grow, so that the ten thousand that S3 takes are enough for its largest object.
const PARTS_OF_ONE_SIZE: usize = 1000;

/// An upload that is being received.
pub(crate) struct Writing {
    to: Target,
    declared_bytes: Option<u64>,
    only_create: bool,
    size_bytes: u64,
    hasher: blake3::Hasher,
    way: Way,
}

/// Which object it is to become.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) remote: Remote,
    pub(super) path: Path,
    pub(super) attributes: Attributes,
    /// A random name of this upload.
    pub(super) upload: String,
}

enum Way {
    Gathered(Vec<Bytes>),
    Streamed(Streamed),
    InParts(InParts),
}

/// An object that is whole but for what makes it appear. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(super) to: Target,
    /// Its length, in bytes.
    pub(crate) size_bytes: u64,
    /// Its content's BLAKE3; `None` of parts that went to the store in requests of their own.
    pub(crate) digest: Option<[u8; 32]>,
    pub(super) rest: Rest,
}

/// What is still to be sent.
#[derive(Debug)]
pub(super) enum Rest {
    All { pieces: Vec<Bytes>, _memory: Option<OwnedSemaphorePermit> },
    LastPiece(Streamed),
    Completion(Completion),
}

impl Remote {
    /// Begins an upload.
    ///
    /// # Errors
    /// [`StoreError::BadName`], [`StoreError::Io`].
    pub(crate) fn begin(
        &self,
        name: &str,
        declared_bytes: Option<u64>,
        only_create: bool,
        attributes: Attributes,
    ) -> Result<Writing, StoreError> {
        let to = self.target(name, attributes)?;
        let way = Way::Gathered(Vec::new());
        Ok(Writing { to, declared_bytes, only_create, size_bytes: 0, hasher: blake3::Hasher::new(), way })
    }
}

impl Remote {
    /// What an upload is to become, under a random name of its own.
    ///
    /// # Errors
    /// [`StoreError::BadName`], [`StoreError::Io`].
    pub(super) fn target(&self, name: &str, attributes: Attributes) -> Result<Target, StoreError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|source| StoreError::Io {
            attempt: "name an upload",
            source: std::io::Error::other(source),
        })?;
        let upload = format!("{:032x}", u128::from_ne_bytes(random));
        Ok(Target { remote: self.clone(), path: self.path(name)?, attributes, upload })
    }
}

impl Writing {
    /// Takes the next bytes, and waits while the store takes no more. After an error the upload can only be dropped.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] of a create that the store refuses already, [`StoreError::Io`].
    pub(crate) async fn push(&mut self, piece: Bytes) -> Result<(), StoreError> {
        if piece.is_empty() {
            return Ok(());
        }
        self.hasher.update(&piece);
        self.size_bytes += as_u64(piece.len());
        match &mut self.way {
            Way::Gathered(pieces) => {
                pieces.push(piece);
                if self.size_bytes > as_u64(SMALL_BYTES_MAX) {
                    let pieces = std::mem::take(pieces);
                    self.leave_memory(pieces).await?;
                }
                Ok(())
            }
            Way::Streamed(streamed) => streamed.push(piece, self.to.service()).await,
            Way::InParts(parts) => parts.push(piece, &self.to).await,
        }
    }

    /// The BLAKE3 of what was taken.
    pub(crate) fn digest(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }

    /// Ends the content. What came with its end is kept with it where the store has not been told of the object yet.
    ///
    /// # Errors
    /// [`StoreError::BadAttribute`], [`StoreError::Io`].
    pub(crate) async fn finish(
        mut self,
        late: impl Iterator<Item = (String, String)>,
    ) -> Result<Finished, StoreError> {
        self.to.attributes.headers.extend(late);
        let digest = Some(self.digest());
        let rest = match self.way {
            Way::Gathered(pieces) => Rest::All { pieces, _memory: None },
            Way::Streamed(streamed) => Rest::LastPiece(streamed),
            Way::InParts(mut parts) if parts.upload.is_some() => {
                parts.send(&self.to).await?;
                match parts.upload {
                    Some(upload) => Rest::Completion(Completion::of(upload, parts.done)),
                    None => return Err(error::stalled("begin an upload in parts")),
                }
            }
            Way::InParts(parts) => Rest::All { pieces: parts.gathered, _memory: parts.memory },
        };
        Ok(Finished { to: self.to, size_bytes: self.size_bytes, digest, rest })
    }

    async fn leave_memory(&mut self, pieces: Vec<Bytes>) -> Result<(), StoreError> {
        match self.declared_bytes {
            Some(bytes) if bytes <= SINGLE_BYTES_MAX => {
                let mut streamed = Streamed::begin(&self.to, bytes, self.only_create, None)?;
                for piece in pieces {
                    streamed.push(piece, self.to.service()).await?;
                }
                self.way = Way::Streamed(streamed);
            }
            _ => {
                let mut parts = InParts::default();
                for piece in pieces {
                    parts.push(piece, &self.to).await?;
                }
                self.way = Way::InParts(parts);
            }
        }
        Ok(())
    }
}

impl Target {
    pub(super) fn service(&self) -> &Service {
        &self.remote.service
    }

    /// What is kept with the object.
    pub(super) fn stored(&self, digest: Option<[u8; 32]>) -> Result<object_store::Attributes, StoreError> {
        let marks = Marks { upload: &self.upload, digest };
        attributes::to_store(self.remote.service.kind, &self.attributes, &marks)
    }
}

/// One request, under way. Dropped, it breaks off before its end.
#[derive(Debug)]
pub(super) struct Streamed {
    pieces: mpsc::Sender<Bytes>,
    held_back: Bytes,
    request: UnderWay,
}

/// A request under way. Dropped, it is given up: nothing else would end one that the store keeps waiting.
#[derive(Debug)]
struct UnderWay(JoinHandle<Result<reqwest::Response, StoreError>>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Streamed {
    fn begin(
        to: &Target,
        bytes: u64,
        only_create: bool,
        digest: Option<[u8; 32]>,
    ) -> Result<Self, StoreError> {
        let kind = to.remote.service.kind;
        let mut headers = attributes::headers(kind, &to.stored(digest)?)?;
        if kind == Kind::Azure {
            headers.insert(HeaderName::from_static("x-ms-blob-type"), HeaderValue::from_static("BlockBlob"));
        }
        if only_create {
            let (name, value) = match kind {
                Kind::Gcs => (HeaderName::from_static("x-goog-if-generation-match"), "0"),
                Kind::S3 | Kind::Azure => (IF_NONE_MATCH, "*"),
            };
            headers.insert(name, HeaderValue::from_static(value));
        }
        Ok(Self::request(&to.remote, &to.path, Vec::new(), headers, bytes))
    }

    /// An object whose bytes are all there.
    ///
    /// # Errors
    /// As [`Streamed::commit`].
    pub(super) async fn whole(
        to: &Target,
        pieces: Vec<Bytes>,
        bytes: u64,
        only_create: bool,
        digest: Option<[u8; 32]>,
    ) -> Result<Option<String>, StoreError> {
        let mut streamed = Self::begin(to, bytes, only_create, digest)?;
        for piece in pieces {
            streamed.push(piece, to.service()).await?;
        }
        streamed.commit(to.service()).await
    }

    /// A part of an upload in parts.
    pub(super) fn part(remote: &Remote, path: &Path, id: &str, part: PartName, bytes: u64) -> Self {
        let query = parts::query_of_part(remote.service.kind, id, part);
        Self::request(remote, path, query, HeaderMap::new(), bytes)
    }

    fn request(
        remote: &Remote,
        path: &Path,
        query: Vec<(&'static str, String)>,
        headers: HeaderMap,
        bytes: u64,
    ) -> Self {
        let (pieces, receiver) = mpsc::channel(1);
        let body = reqwest::Body::wrap(Pieces { receiver, bytes_left: bytes });
        let (service, path) = (Arc::clone(&remote.service), path.clone());
        let request =
            tokio::spawn(async move { service.send(Method::PUT, &path, &query, headers, body).await });
        Self { pieces, held_back: Bytes::new(), request: UnderWay(request) }
    }

    pub(super) async fn push(&mut self, piece: Bytes, service: &Service) -> Result<(), StoreError> {
        let before = std::mem::replace(&mut self.held_back, piece);
        if before.is_empty() {
            return Ok(());
        }
        match timeout(service.stall, self.pieces.send(before)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.ended_early(service).await),
            Err(_) => Err(error::stalled("send an object")),
        }
    }

    /// As [`Streamed::commit`], of a part; returns the store's name of it.
    pub(super) async fn commit_part(
        self,
        service: &Service,
        id: &str,
        part: PartName,
    ) -> Result<String, StoreError> {
        let tag = self.commit(service).await.map_err(|error| match error {
            // A part that may be there is not part of anything.
            StoreError::Unsettled { attempt, source } => StoreError::Io { attempt, source },
            error => error,
        })?;
        parts::name_of_part(service.kind, id, part, tag)
    }

    /// Why the request took no more.
    async fn ended_early(&mut self, service: &Service) -> StoreError {
        match timeout(service.stall, &mut self.request.0).await {
            Ok(Ok(Ok(answer))) => refused(answer.status().as_u16()),
            Ok(Ok(Err(error))) => error,
            Ok(Err(_)) | Err(_) => error::stalled("send an object"),
        }
    }

    /// Sends what was held back, and waits for the answer: the store's entity tag.
    ///
    /// # Errors
    /// With nothing changed: [`StoreError::AlreadyExists`], [`StoreError::Io`] for an answer that refuses. With no
    /// promise either way: [`StoreError::Unsettled`].
    pub(super) async fn commit(mut self, service: &Service) -> Result<Option<String>, StoreError> {
        let last = std::mem::take(&mut self.held_back);
        if timeout(service.stall, self.pieces.send(last)).await.is_err() {
            return Err(error::stalled("send an object"));
        }
        drop(self.pieces);
        let unsettled = |source| StoreError::Unsettled { attempt: "send an object", source };
        let answer = match timeout(service.stall, &mut self.request.0).await {
            Ok(Ok(Ok(answer))) => answer,
            Ok(Ok(Err(StoreError::Io { source, .. }))) => return Err(unsettled(source)),
            Ok(Ok(Err(error))) => return Err(error),
            Ok(Err(error)) => return Err(unsettled(std::io::Error::other(error))),
            Err(_) => return Err(unsettled(std::io::ErrorKind::TimedOut.into())),
        };
        match answer.status() {
            status if status.is_success() => Ok(parts::tag_of(answer.headers())),
            status if error::refuses(status.as_u16()) => Err(refused(status.as_u16())),
            // A fault of the store may come after it took the object.
            status => {
                Err(unsettled(std::io::Error::other(format!("the store answered {}", status.as_u16()))))
            }
        }
    }
}

/// An answer to an upload that says that nothing was changed.
fn refused(status: u16) -> StoreError {
    match status {
        409 | 412 => StoreError::AlreadyExists,
        status => error::status("send an object", status),
    }
}

/// The body of a request whose pieces come one by one. Where they end too early, so does the connection.
struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    bytes_left: u64,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if self.bytes_left == 0 {
            return Poll::Ready(None);
        }
        match ready!(self.receiver.poll_recv(cx)) {
            Some(piece) => {
                self.bytes_left = self.bytes_left.saturating_sub(as_u64(piece.len()));
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            None => Poll::Ready(Some(Err(std::io::Error::other("the upload was given up")))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.bytes_left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes_left)
    }
}

/// An upload in parts, under way. Dropped, it is aborted.
#[derive(Debug, Default)]
struct InParts {
    /// `None` until a part is full: what has only one is no upload in parts.
    upload: Option<OwnUpload>,
    done: Vec<String>,
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
    /// What the gathered bytes take of the memory that all uploads share.
    memory: Option<OwnedSemaphorePermit>,
}

impl InParts {
    fn part_bytes(&self) -> usize {
        let doublings = u32::try_from(self.done.len() / PARTS_OF_ONE_SIZE).unwrap_or(u32::MAX);
        PART_BYTES_MIN.saturating_mul(1_usize.checked_shl(doublings).unwrap_or(usize::MAX))
    }

    async fn push(&mut self, mut piece: Bytes, to: &Target) -> Result<(), StoreError> {
        while !piece.is_empty() {
            if self.gathered_bytes == self.part_bytes() {
                self.send(to).await?;
            }
            if self.memory.is_none() {
                self.memory = Some(self.room(to).await?);
            }
            let room = self.part_bytes() - self.gathered_bytes;
            let taken = piece.split_to(room.min(piece.len()));
            self.gathered_bytes += taken.len();
            self.gathered.push(taken);
        }
        Ok(())
    }

    async fn room(&self, to: &Target) -> Result<OwnedSemaphorePermit, StoreError> {
        let service = to.service();
        let wanted = u32::try_from(self.part_bytes() >> 10).unwrap_or(u32::MAX);
        let wanted = wanted.min(super::service::GATHERED_KIB_MAX);
        let memory = timeout(service.stall, Arc::clone(&service.gathered).acquire_many_owned(wanted)).await;
        memory.ok().and_then(Result::ok).ok_or_else(|| error::stalled("wait for memory"))
    }

    /// Sends the part that was gathered.
    async fn send(&mut self, to: &Target) -> Result<(), StoreError> {
        if self.gathered_bytes == 0 {
            return Ok(());
        }
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => none.insert(OwnUpload::begin(to).await?),
        };
        let (pieces, bytes) = (std::mem::take(&mut self.gathered), self.gathered_bytes);
        self.gathered_bytes = 0;
        let name = PartName { number: u32::try_from(self.done.len() + 1).unwrap_or(u32::MAX), attempt: 0 };
        let mut part = Streamed::part(&to.remote, &to.path, upload.id(), name, as_u64(bytes));
        for piece in pieces {
            part.push(piece, to.service()).await?;
        }
        self.done.push(part.commit_part(to.service(), upload.id(), name).await?);
        self.memory = None;
        Ok(())
    }
}
