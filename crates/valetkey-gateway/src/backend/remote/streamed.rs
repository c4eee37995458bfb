//! One request whose bytes come as the upload's do, and whose last piece is held back until the object may appear.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use object_store::path::Path;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::parts::{self, PartName};
use super::publish::Expects;
use super::service::Answer;
use super::write::Target;
use super::{Kind, Remote, Service, answer, attributes, error};
use crate::backend::StoreError;
use crate::transfer::body::as_u64;

/// What is tried, in the words of an error.
const ATTEMPT: &str = "send an object";

/// What became of the last piece: it is decided once whether the connection takes it or the request is given up.
const OPEN: u8 = 0;
const TAKEN: u8 = 1;
const GIVEN_UP: u8 = 2;

/// One request, under way. Dropped, it breaks off before its end.
#[derive(Debug)]
pub(super) struct Streamed {
    pieces: mpsc::Sender<Bytes>,
    held_back: Bytes,
    request: UnderWay,
    end: Arc<AtomicU8>,
}

/// A request under way. Dropped, it is given up: nothing else would end one that the store keeps waiting.
#[derive(Debug)]
struct UnderWay(JoinHandle<Result<Answer, StoreError>>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Streamed {
    pub(super) fn begin(
        to: &Target,
        bytes: u64,
        expects: &Expects,
        digest: Option<[u8; 32]>,
    ) -> Result<Self, StoreError> {
        let kind = to.remote.service.kind;
        let mut headers = attributes::headers(kind, &to.stored(digest)?)?;
        if kind == Kind::Azure {
            headers.insert(HeaderName::from_static("x-ms-blob-type"), HeaderValue::from_static("BlockBlob"));
        }
        headers.extend(expects.header(kind)?);
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
        expects: &Expects,
        digest: Option<[u8; 32]>,
    ) -> Result<Option<String>, StoreError> {
        let mut streamed = Self::begin(to, bytes, expects, digest)?;
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
        let end = Arc::new(AtomicU8::new(if bytes == 0 { TAKEN } else { OPEN }));
        let body = match bytes {
            0 => reqwest::Body::default(),
            bytes_left => reqwest::Body::wrap(Pieces { receiver, bytes_left, end: Arc::clone(&end) }),
        };
        let (service, path) = (Arc::clone(&remote.service), path.clone());
        let request = tokio::spawn(async move {
            let request = service.request(Method::PUT, &path, &query, headers, body).await?;
            request.send(ATTEMPT).await
        });
        Self { pieces, held_back: Bytes::new(), request: UnderWay(request), end }
    }

    pub(super) async fn push(&mut self, piece: Bytes, service: &Service) -> Result<(), StoreError> {
        let before = std::mem::replace(&mut self.held_back, piece);
        if before.is_empty() {
            return Ok(());
        }
        match timeout(service.stall, self.pieces.send(before)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.ended_early(service).await),
            Err(_) => Err(error::stalled(ATTEMPT)),
        }
    }

    /// As [`Streamed::commit`], of a part; returns the store's name of it.
    pub(super) async fn commit_part(
        self,
        service: &Service,
        id: &str,
        part: PartName,
    ) -> Result<String, StoreError> {
        let tag = self.commit(service).await.map_err(answer::nothing_shows)?;
        parts::name_of_part(service.kind, id, part, tag)
    }

    /// Why the request took no more.
    async fn ended_early(&mut self, service: &Service) -> StoreError {
        match timeout(service.stall, &mut self.request.0).await {
            Ok(Ok(Ok(answer))) => error::refused(ATTEMPT, answer.response.status().as_u16()),
            // It was not sent to its end, so that it is none.
            Ok(Ok(Err(error))) => answer::nothing_shows(error),
            Ok(Err(_)) | Err(_) => error::stalled(ATTEMPT),
        }
    }

    /// Sends what was held back, and waits for the answer: the store's entity tag.
    ///
    /// # Errors
    /// With nothing changed: [`StoreError::AlreadyExists`], [`StoreError::Io`] for an answer that refuses. With no
    /// promise either way: [`StoreError::Unsettled`].
    pub(super) async fn commit(mut self, service: &Service) -> Result<Option<String>, StoreError> {
        let unsettled = |source| StoreError::Unsettled { attempt: ATTEMPT, source };
        let last = std::mem::take(&mut self.held_back);
        // Where it is not taken, the request has ended already, and its answer says why.
        if !last.is_empty() && timeout(service.stall, self.pieces.send(last)).await.is_err() {
            return Err(error::stalled(ATTEMPT));
        }
        drop(self.pieces);
        let asked =
            async { (&mut self.request.0).await.map_err(|error| unsettled(io::Error::other(error)))? };
        let answer = answer::to_change(ATTEMPT, service.stall, asked).await;
        let is_whole =
            self.end.compare_exchange(OPEN, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire).is_err();
        match (answer, is_whole) {
            (Ok(answer), true) => Ok(parts::tag_of(answer.response.headers())),
            (Ok(_), false) => {
                Err(unsettled(io::Error::other("the store answered before the end of what it was sent")))
            }
            (Err(error), true) => Err(error),
            // Of what is not sent to its end, a store makes nothing.
            (Err(error), false) => Err(answer::nothing_shows(error)),
        }
    }
}

fn given_up() -> io::Error {
    io::Error::other("the upload was given up")
}

/// The body of a request whose pieces come one by one. Where they end too early, so does the connection.
struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    bytes_left: u64,
    end: Arc<AtomicU8>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.bytes_left == 0 {
            return Poll::Ready(None);
        }
        match ready!(self.receiver.poll_recv(cx)) {
            Some(piece) => {
                self.bytes_left = self.bytes_left.saturating_sub(as_u64(piece.len()));
                let is_last = self.bytes_left == 0;
                let take = || self.end.compare_exchange(OPEN, TAKEN, Ordering::AcqRel, Ordering::Acquire);
                if is_last && take().is_err() {
                    return Poll::Ready(Some(Err(given_up())));
                }
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            None => Poll::Ready(Some(Err(given_up()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.bytes_left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes_left)
    }
}
