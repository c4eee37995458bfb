//! One request whose bytes come as the upload's do, and whose last piece is held back until the object may appear.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};
use http_body::{Body, Frame, SizeHint};
use object_store::path::Path;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::parts::{self, PartName};
use super::write::Target;
use super::{Kind, Remote, Service, attributes, error};
use crate::backend::StoreError;
use crate::transfer::body::as_u64;

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
    pub(super) fn begin(
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
        let tag = self.commit(service).await.map_err(parts::of_no_object)?;
        parts::name_of_part(service.kind, id, part, tag)
    }

    /// Why the request took no more.
    async fn ended_early(&mut self, service: &Service) -> StoreError {
        match timeout(service.stall, &mut self.request.0).await {
            Ok(Ok(Ok(answer))) => error::refused("send an object", answer.status().as_u16()),
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
            status if error::refuses(status.as_u16()) => {
                Err(error::refused("send an object", status.as_u16()))
            }
            // A fault of the store may come after it took the object.
            status => {
                Err(unsettled(std::io::Error::other(format!("the store answered {}", status.as_u16()))))
            }
        }
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
