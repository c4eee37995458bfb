//! The bytes of an upload as they arrive, and how long they are waited for.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming};
use tokio::time::{Instant, timeout_at};
use valetkey::Denial;

use super::body::as_u64;
use super::receiving::Receiving;
use super::source::Source;

/// A client sends at least this much in each window in which we wait for it.
const WINDOW: Duration = Duration::from_secs(30);
const WINDOW_BYTES_MIN: u64 = 30 << 10;

/// The next bytes of the upload; they may be none.
pub(super) async fn next_piece(
    source: &mut Source<'_>,
    file: &mut Receiving,
    pace: &mut Pace,
) -> Result<Option<Bytes>, Denial> {
    if let Source::Object(copied) = source {
        let piece = copied.next().await?;
        return Ok(Some(piece).filter(|piece| !piece.is_empty()));
    }
    if let Some(begun) = source.begun() {
        return source.decode(begun).map(Some);
    }
    let Some(body) = source.body() else { return Ok(None) };
    let Some(frame) = next_frame(body, file, pace).await? else { return Ok(None) };
    source.decode(pace.data(frame)).map(Some)
}

/// The next frame; while the client pauses, what has been gathered goes to the disk.
async fn next_frame(
    body: &mut Incoming,
    file: &mut Receiving,
    pace: &mut Pace,
) -> Result<Option<Frame<Bytes>>, Denial> {
    let ready = poll_fn(|cx| Poll::Ready(Pin::new(&mut *body).poll_frame(cx))).await;
    match ready {
        Poll::Ready(frame) => frame.transpose().map_err(broken_off),
        Poll::Pending => {
            file.pause().await?;
            pace.frame(body).await
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what an error is mapped by")]
pub(super) fn broken_off(error: hyper::Error) -> Denial {
    tracing::debug!(%error, "the body of an upload broke off");
    Denial::BadRequest("the body broke off before its end".into())
}

/// Whether the client keeps sending, by the time that we spent waiting for it: what the disk takes is not the
/// client's.
pub(super) struct Pace {
    waited: Duration,
    bytes: u64,
    bytes_min: u64,
}

impl Pace {
    /// A client that may send `rate` bytes a second need not send more than that in a whole window: it may keep to
    /// its rate by itself, and share it with others.
    pub(super) fn new(rate: Option<u64>) -> Self {
        let bytes_min = rate.unwrap_or(u64::MAX).min(WINDOW_BYTES_MIN);
        Self { waited: Duration::ZERO, bytes: 0, bytes_min }
    }

    /// The next frame, which the client sends fast enough.
    ///
    /// # Errors
    /// [`Denial::BadRequest`].
    pub(super) async fn frame(&mut self, body: &mut Incoming) -> Result<Option<Frame<Bytes>>, Denial> {
        let frame = self.wait(poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx))).await?;
        frame.transpose().map_err(broken_off)
    }

    /// What a frame brings.
    pub(super) fn data(&mut self, frame: Frame<Bytes>) -> Bytes {
        let data = frame.into_data().unwrap_or_default();
        self.bytes += as_u64(data.len());
        data
    }

    async fn wait<T>(&mut self, next: impl Future<Output = T>) -> Result<T, Denial> {
        let mut next = std::pin::pin!(next);
        loop {
            let begun = Instant::now();
            let waited = timeout_at(begun + WINDOW.saturating_sub(self.waited), next.as_mut()).await;
            self.waited += begun.elapsed();
            if self.waited >= WINDOW {
                if self.bytes < self.bytes_min {
                    let (least, secs) = (self.bytes_min, WINDOW.as_secs());
                    let text = format!("the body came slower than {least} bytes in {secs} s");
                    return Err(Denial::BadRequest(text));
                }
                (self.waited, self.bytes) = (Duration::ZERO, 0);
            }
            if let Ok(frame) = waited {
                return Ok(frame);
            }
        }
    }
}
