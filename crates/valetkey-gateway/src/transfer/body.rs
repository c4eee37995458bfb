//! The body of an answer.
//!
//! A small body is one piece of memory. An object is offered in pieces of at most 1 MiB: on plain HTTP/1.1 as
//! ranges of its file, which the connection's [`Wire`](crate::serve::wire::Wire) sends without copying them;
//! elsewhere read into memory, 64 KiB at a time. What the page cache does not hold is fetched on the blocking
//! pool first, so that the event loop does not wait for the disk; of a range only its two ends are looked at, so
//! a hole that the kernel cut into the middle of it can still make the loop wait.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use rustix::io::{Errno, ReadWriteFlags};
use tokio::task::JoinHandle;
use tokio::time::Sleep;

use super::Transfer;
use super::rate::Throttle;
use crate::backend::{Reading, remote};
use crate::serve::outbox::{Outbox, PIECE_BYTES_MAX};

/// How much of an object is read into memory at once, in bytes; one that is smaller is one piece.
pub(crate) const READ_BYTES: usize = 64 << 10;

/// How long, and for how many bytes, the rest of a refused upload is read and dropped.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(5);
pub(crate) const DRAIN_BYTES_MAX: usize = 64 << 20;

/// The body of an answer.
pub(crate) enum Body {
    Empty,
    Text(Bytes),
    Slowed(Box<SlowedText>),
    Refusal(Box<RefusalBody>),
    Object(Box<ObjectBody>),
    Streamed(Box<StreamedBody>),
}

/// A text that is sent as fast as its key may move bytes.
pub(crate) struct SlowedText {
    text: Bytes,
    throttle: Throttle,
}

impl SlowedText {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let granted = ready!(self.throttle.poll_grant(cx, as_u64(self.text.len())));
        let length = self.text.len().min(usize::try_from(granted).unwrap_or(usize::MAX));
        self.throttle.moved(as_u64(length));
        Poll::Ready(self.text.split_to(length))
    }
}

impl Body {
    /// `bytes` bytes of an object, from where `reading` stands.
    pub(crate) fn of_object(
        reading: Reading,
        bytes: u64,
        transfer: Transfer,
        outbox: Option<Outbox>,
        throttle: Option<Throttle>,
    ) -> Self {
        match reading {
            Reading::File { file, offset } => {
                Self::Object(Box::new(ObjectBody::new(file, offset, bytes, transfer, outbox, throttle)))
            }
            Reading::Stream(stream) => Self::Streamed(Box::new(StreamedBody {
                stream,
                piece: Bytes::new(),
                bytes_left: bytes,
                transfer: Rc::new(transfer),
                outbox,
                throttle,
            })),
        }
    }

    /// The same body, if it is a text, as fast as `throttle` lets it.
    pub(crate) fn slowed(self, throttle: Throttle) -> Self {
        match self {
            Self::Text(text) => Self::Slowed(Box::new(SlowedText { text, throttle })),
            body => body,
        }
    }
}

/// The text of a refusal, on HTTP/2 before the upload that it refuses was read.
///
/// The stream ends only when the client has sent the rest, within limits: a reset meanwhile, although
/// [RFC 9113, section 8.1](https://www.rfc-editor.org/rfc/rfc9113#section-8.1) allows it, keeps some clients
/// from reading the answer.
pub(crate) struct RefusalBody {
    text: Bytes,
    rest: Incoming,
    bytes_left: usize,
    until: Pin<Box<Sleep>>,
}

impl RefusalBody {
    pub(crate) fn new(text: Bytes, rest: Incoming) -> Self {
        Self { text, rest, bytes_left: DRAIN_BYTES_MAX, until: Box::pin(tokio::time::sleep(DRAIN_MAX)) }
    }

    /// Drops what the client still sends; ready when that is over or was enough.
    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.bytes_left > 0 && self.until.as_mut().poll(cx).is_pending() {
            match ready!(Pin::new(&mut self.rest).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    self.bytes_left = self.bytes_left.saturating_sub(bytes);
                }
                Some(Err(_)) | None => break,
            }
        }
        Poll::Ready(())
    }
}

/// The part of an object that is sent.
pub(crate) struct ObjectBody {
    file: Arc<File>,
    offset: u64,
    bytes_left: u64,
    transfer: Rc<Transfer>,
    /// Where plain HTTP/1.1 queues its pieces; `None` where the transport copies.
    outbox: Option<Outbox>,
    /// What slows it, if something does.
    throttle: Option<Throttle>,
    fetch: Option<JoinHandle<io::Result<Bytes>>>,
    /// The end of the range that is known to be in the page cache.
    warm_until: u64,
}

impl ObjectBody {
    /// Sends `bytes` bytes of `file` from `offset` on, which the file has.
    fn new(
        file: Arc<File>,
        offset: u64,
        bytes: u64,
        transfer: Transfer,
        outbox: Option<Outbox>,
        throttle: Option<Throttle>,
    ) -> Self {
        let transfer = Rc::new(transfer);
        Self { file, offset, bytes_left: bytes, transfer, outbox, throttle, fetch: None, warm_until: 0 }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let granted = match &mut self.throttle {
            Some(throttle) => ready!(throttle.poll_grant(cx, self.bytes_left)).min(self.bytes_left),
            None => self.bytes_left,
        };
        let small = self.offset == 0 && self.bytes_left <= as_u64(READ_BYTES);
        match self.outbox.clone() {
            Some(outbox) if !small => self.poll_range(cx, granted, &outbox),
            outbox => {
                let piece = ready!(self.poll_read(cx, granted))?;
                Poll::Ready(Ok(match outbox {
                    Some(outbox) => outbox.memory(piece, Rc::clone(&self.transfer)),
                    None => {
                        self.transfer.sent(as_u64(piece.len()));
                        piece
                    }
                }))
            }
        }
    }

    /// Offers the next range of the file, at most `granted` bytes, once it is in the page cache.
    fn poll_range(&mut self, cx: &mut Context<'_>, granted: u64, outbox: &Outbox) -> Poll<io::Result<Bytes>> {
        let bytes = granted.min(as_u64(PIECE_BYTES_MAX));
        if self.warm_until < self.offset + bytes {
            if let Some(fetch) = &mut self.fetch {
                ready!(Pin::new(fetch).poll(cx)).map_err(io::Error::other)??;
                self.fetch = None;
            } else if !is_cached(&self.file, self.offset, bytes) {
                let (file, offset) = (Arc::clone(&self.file), self.offset);
                self.fetch = Some(tokio::task::spawn_blocking(move || {
                    warm(&file, offset, bytes)?;
                    Ok(Bytes::new())
                }));
                return self.poll_range(cx, granted, outbox);
            }
            self.warm_until = self.offset + bytes;
        }
        let length = usize::try_from(bytes).map_err(io::Error::other)?;
        let piece = outbox.file(Arc::clone(&self.file), self.offset, length, Rc::clone(&self.transfer));
        Poll::Ready(Ok(piece))
    }

    /// Reads the next piece into memory, at most `granted` bytes.
    fn poll_read(&mut self, cx: &mut Context<'_>, granted: u64) -> Poll<io::Result<Bytes>> {
        if let Some(fetch) = &mut self.fetch {
            let piece = ready!(Pin::new(fetch).poll(cx)).map_err(io::Error::other)?;
            self.fetch = None;
            return Poll::Ready(piece);
        }
        let bytes = granted.min(as_u64(READ_BYTES));
        let length = usize::try_from(bytes).map_err(io::Error::other)?;
        match read(&self.file, self.offset, length, ReadWriteFlags::NOWAIT) {
            Ok(piece) if piece.len() == length => Poll::Ready(Ok(piece)),
            _ => {
                let (file, offset) = (Arc::clone(&self.file), self.offset);
                self.fetch = Some(tokio::task::spawn_blocking(move || read_exactly(&file, offset, length)));
                self.poll_read(cx, granted)
            }
        }
    }
}

/// Bytes of an object that come over a network, and go on as they come.
pub(crate) struct StreamedBody {
    stream: remote::Stream,
    /// What came and was not offered yet.
    piece: Bytes,
    bytes_left: u64,
    transfer: Rc<Transfer>,
    outbox: Option<Outbox>,
    throttle: Option<Throttle>,
}

impl StreamedBody {
    /// The next piece. A store that ends too early is an error, so that the client notices.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if self.piece.is_empty() {
            self.piece = ready!(self.stream.poll_next(cx)).inspect_err(|error| {
                tracing::error!(%error, "the store broke off while an object was sent");
            })?;
            if self.piece.is_empty() {
                tracing::error!("the store sent less of an object than it has");
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        let length = self.bytes_left.min(as_u64(self.piece.len()));
        let length = match &mut self.throttle {
            Some(throttle) => ready!(throttle.poll_grant(cx, length)).min(length),
            None => length,
        };
        let piece = self.piece.split_to(usize::try_from(length).map_err(io::Error::other)?);
        self.bytes_left -= length;
        if let Some(throttle) = &mut self.throttle {
            throttle.moved(length);
        }
        Poll::Ready(Ok(match &self.outbox {
            Some(outbox) => outbox.memory(piece, Rc::clone(&self.transfer)),
            None => {
                self.transfer.sent(length);
                piece
            }
        }))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Text(text) if text.is_empty() => Poll::Ready(None),
            Self::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            Self::Slowed(slowed) if slowed.text.is_empty() => Poll::Ready(None),
            Self::Slowed(slowed) => slowed.poll_piece(cx).map(|piece| Some(Ok(Frame::data(piece)))),
            Self::Refusal(refusal) if refusal.text.is_empty() => refusal.poll_drained(cx).map(|()| None),
            Self::Refusal(refusal) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut refusal.text))))),
            Self::Object(object) if object.bytes_left == 0 => Poll::Ready(None),
            Self::Object(object) => {
                let piece = ready!(object.poll_piece(cx))?;
                object.offset += as_u64(piece.len());
                object.bytes_left -= as_u64(piece.len());
                if let Some(throttle) = &mut object.throttle {
                    throttle.moved(as_u64(piece.len()));
                }
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Self::Streamed(streamed) if streamed.bytes_left == 0 => Poll::Ready(None),
            Self::Streamed(streamed) => streamed.poll_piece(cx).map(|piece| Some(piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        !matches!(self, Self::Refusal(_)) && self.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Empty => 0,
            Self::Text(text) => as_u64(text.len()),
            Self::Slowed(slowed) => as_u64(slowed.text.len()),
            Self::Refusal(refusal) => as_u64(refusal.text.len()),
            Self::Object(object) => object.bytes_left,
            Self::Streamed(streamed) => streamed.bytes_left,
        })
    }
}

/// Whether the first and the last byte of a range are in the page cache: the kernel reads ahead in between.
fn is_cached(file: &File, offset: u64, bytes: u64) -> bool {
    let probe = |at| read(file, at, 1, ReadWriteFlags::NOWAIT).is_ok_and(|piece| !piece.is_empty());
    probe(offset) && probe(offset + bytes - 1)
}

/// Brings a range of the file into the page cache.
fn warm(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    let end = offset + bytes;
    let mut at = offset;
    while at < end {
        let length = usize::try_from((end - at).min(as_u64(4 * READ_BYTES))).map_err(io::Error::other)?;
        read_exactly(file, at, length)?;
        at += as_u64(length);
    }
    Ok(())
}

fn read(file: &File, offset: u64, bytes: usize, flags: ReadWriteFlags) -> Result<Bytes, Errno> {
    let mut buffer = vec![0; bytes];
    let read = rustix::io::preadv2(file, &mut [IoSliceMut::new(&mut buffer)], offset, flags)?;
    buffer.truncate(read);
    Ok(Bytes::from(buffer))
}

/// Reads all of a range; an end of the file within it is an error, so that the client notices.
fn read_exactly(file: &File, offset: u64, bytes: usize) -> io::Result<Bytes> {
    use std::os::unix::fs::FileExt as _;
    let mut buffer = vec![0; bytes];
    file.read_exact_at(&mut buffer, offset)?;
    Ok(Bytes::from(buffer))
}

pub(crate) fn as_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
