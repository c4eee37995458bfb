//! Answers of the store, no longer and no slower than what was asked for can be.
//!
//! `object_store` reads whatever is no object's content into memory, to its end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, StatusCode};
use http_body::{Body, Frame, SizeHint};
use object_store::client::{HttpError, HttpErrorKind, HttpResponseBody};
use tokio::time::{Sleep, sleep};

use crate::transfer::body::as_u64;

/// How long an answer is that is neither content nor a page, and what is read of a refusal, in bytes.
const DOCUMENT_BYTES_MAX: usize = 64 << 10;

/// How long a page of a listing is, in bytes: a thousand names of 1024 bytes each, every one of them escaped.
const PAGE_BYTES_MAX: usize = 8 << 20;

/// What a request is answered with where that is no short document. It goes with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// The content of an object, which is handed on as it comes.
    Content,
    /// A page of a listing.
    Page,
}

impl Expected {
    /// How a request says so.
    pub(super) fn extensions(self) -> Extensions {
        let mut extensions = Extensions::new();
        extensions.insert(self);
        extensions
    }
}

/// The body of an answer. What was held for its request is held until it is read or dropped.
pub(super) struct Bounded<T> {
    body: HttpResponseBody,
    bounds: Bounds,
    _held: T,
}

enum Bounds {
    /// It is waited for piece by piece.
    None,
    Document(Within),
    /// Of a refusal only the status counts. The rest is read so that the connection can be used again, and given up
    /// where it does not end.
    Refusal(Within),
}

struct Within {
    bytes_left: usize,
    late: Pin<Box<Sleep>>,
}

impl<T> Bounded<T> {
    /// The body of an answer that begins now, and ends within `patience` unless it is content.
    pub(super) fn new(
        body: HttpResponseBody,
        status: StatusCode,
        expected: Option<Expected>,
        patience: Duration,
        held: T,
    ) -> Self {
        let within = |bytes_left| Within { bytes_left, late: Box::pin(sleep(patience)) };
        let bounds = match expected {
            _ if !status.is_success() => Bounds::Refusal(within(DOCUMENT_BYTES_MAX)),
            Some(Expected::Content) => Bounds::None,
            Some(Expected::Page) => Bounds::Document(within(PAGE_BYTES_MAX)),
            None => Bounds::Document(within(DOCUMENT_BYTES_MAX)),
        };
        Self { body, bounds, _held: held }
    }
}

impl Within {
    fn poll_frame(
        &mut self,
        body: &mut HttpResponseBody,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if self.late.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Timeout, Beyond::Patience))));
        }
        let Some(frame) = ready!(Pin::new(body).poll_frame(cx)).transpose()? else {
            return Poll::Ready(None);
        };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let Some(bytes_left) = self.bytes_left.checked_sub(bytes) else {
            return Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Decode, Beyond::Length))));
        };
        self.bytes_left = bytes_left;
        Poll::Ready(Some(Ok(frame)))
    }
}

impl<T: Unpin> Body for Bounded<T> {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let Self { body, bounds, .. } = &mut *self;
        match bounds {
            Bounds::None => Pin::new(body).poll_frame(cx),
            Bounds::Document(within) => within.poll_frame(body, cx),
            Bounds::Refusal(within) => loop {
                match ready!(within.poll_frame(body, cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Poll::Ready(None),
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    /// For so many bytes room may be made at once, whatever the store says.
    fn size_hint(&self) -> SizeHint {
        let said = self.body.size_hint();
        match &self.bounds {
            Bounds::None => said,
            Bounds::Document(within) => {
                let mut hint = SizeHint::new();
                hint.set_lower(said.lower().min(as_u64(within.bytes_left)));
                hint
            }
            Bounds::Refusal(_) => SizeHint::new(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Beyond {
    #[error("the answer does not end in time")]
    Patience,
    #[error("the answer is too long")]
    Length,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A body that says it is as long as `said`, in pieces of this length, and then stands still or ends.
    struct Pieces {
        left: usize,
        bytes: usize,
        said: u64,
        ends: bool,
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = HttpError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
            match (self.left, self.ends) {
                (0, true) => Poll::Ready(None),
                (0, false) => Poll::Pending,
                _ => {
                    self.left -= 1;
                    Poll::Ready(Some(Ok(Frame::data(vec![b'a'; self.bytes].into()))))
                }
            }
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.said)
        }
    }

    const KIB: usize = 1 << 10;

    /// What is read of an answer of so many KiB: how many bytes, or of which kind the error is.
    async fn read(
        status: u16,
        expected: Option<Expected>,
        kib: usize,
        ends: bool,
    ) -> Result<usize, HttpErrorKind> {
        let pieces = Pieces { left: kib, bytes: KIB, said: u64::MAX, ends };
        let status = StatusCode::from_u16(status).unwrap();
        let body = Bounded::new(HttpResponseBody::new(pieces), status, expected, Duration::from_secs(2), ());
        let read = HttpResponseBody::new(body).bytes().await;
        read.map(|bytes| bytes.len()).map_err(|error| error.kind())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_as_long_as_it_can_be_and_no_longer() {
        let page = Some(Expected::Page);
        assert_eq!(read(200, None, 64, true).await, Ok(64 * KIB));
        assert_eq!(read(200, None, 65, true).await, Err(HttpErrorKind::Decode));
        assert_eq!(read(200, page, 8 * KIB, true).await, Ok(8 * KIB * KIB));
        assert_eq!(read(200, page, 8 * KIB + 1, true).await, Err(HttpErrorKind::Decode));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_end_is_waited_for_no_longer_than_so() {
        assert_eq!(read(200, None, 1, false).await, Err(HttpErrorKind::Timeout));
        assert_eq!(read(200, Some(Expected::Page), 1, false).await, Err(HttpErrorKind::Timeout));
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_refusal_only_the_status_is_kept() {
        for expected in [None, Some(Expected::Page), Some(Expected::Content)] {
            for (kib, ends) in [(1, true), (1, false), (1 << 20, true)] {
                assert_eq!(read(403, expected, kib, ends).await, Ok(0), "{kib} {ends}");
            }
        }
    }

    #[tokio::test]
    async fn content_has_no_bound() {
        let pieces = Pieces { left: 9 * KIB, bytes: KIB, said: 0, ends: true };
        let content = Some(Expected::Content);
        let body = Bounded::new(
            HttpResponseBody::new(pieces),
            StatusCode::PARTIAL_CONTENT,
            content,
            Duration::ZERO,
            (),
        );
        assert_eq!(HttpResponseBody::new(body).bytes().await.unwrap().len(), 9 * KIB * KIB);
    }
}
