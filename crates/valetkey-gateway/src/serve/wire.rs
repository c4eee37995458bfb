//! The writer and reader of an HTTP/1.1 connection.
//!
//! It sends the file ranges of an [`Outbox`] by `sendfile(2)` where nothing is encrypted, closes a connection whose client takes nothing
//! for too long, and lingers at the end, so that a client that is still sending reads the refusal of its
//! upload instead of a reset.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use rustix::net::{SendAncillaryBuffer, SendFlags};
use tokio::io::{AsyncRead, AsyncWrite as _, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::emptied::Emptied;
use super::framing::{Framing, Verdicts};
use super::outbox::{Next, Outbox};
use super::stream::Stream;
use crate::running::End;
use crate::transfer::body::{DRAIN_BYTES_MAX, DRAIN_MAX};

/// How long a client may take nothing of an answer.
pub(super) const STALL_MAX: Duration = Duration::from_secs(30);

/// A connection under hyper's HTTP/1.1.
pub(crate) struct Wire {
    stream: TokioIo<Followed>,
    outbox: Outbox,
    /// Runs while the socket takes nothing.
    stall: Option<Pin<Box<Sleep>>>,
    linger: Option<Linger>,
    emptied: Emptied,
    end: Rc<End>,
}

struct Linger {
    until: Pin<Box<Sleep>>,
    bytes_left: usize,
}

impl Wire {
    /// A connection that sends the pieces of `outbox`, gives `verdicts` on the requests that it reads, and tells
    /// through `emptied` when all is sent.
    pub(super) fn new(
        stream: Stream,
        outbox: Outbox,
        verdicts: Verdicts,
        emptied: Emptied,
        end: Rc<End>,
    ) -> Self {
        let followed = Followed { stream, framing: Framing::new(verdicts) };
        Self { stream: TokioIo::new(followed), outbox, stall: None, linger: None, emptied, end }
    }

    /// Passes on how far the client was served, unless it has taken nothing for too long.
    fn or_stalled<T>(&mut self, cx: &mut Context<'_>, served: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if served.is_ready() {
            self.stall = None;
            return served;
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(STALL_MAX)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match &mut self.stream.inner_mut().stream {
            Stream::Plain(socket) => {
                poll_writable(socket, cx, || send(socket, self.outbox.next(slices), slices))
            }
            Stream::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        }
    }

    /// What the socket takes although it is not called writable: the kernel does so only once a third of its
    /// buffer is free, and a client that reads slowly and steadily may take minutes for that.
    fn send_anyway(&mut self, slices: &[io::IoSlice<'_>]) -> Option<usize> {
        match &self.stream.inner().stream {
            Stream::Plain(socket) => send(socket, self.outbox.next(slices), slices).ok(),
            Stream::Tls(_) => None,
        }
    }
}

/// Hands what is next to the socket, which takes some of it or would block.
fn send(socket: &TcpStream, next: Next, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
    match next {
        Next::Write { slices: count, more } => {
            let flags = if more { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL };
            let mut control = SendAncillaryBuffer::default();
            Ok(rustix::net::sendmsg(socket, &slices[..count], &mut control, flags)?)
        }
        Next::Send { file, mut offset, bytes } => {
            match rustix::fs::sendfile(socket, &file, Some(&mut offset), bytes)? {
                // Someone cut the file short: the client must notice.
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                sent => Ok(sent),
            }
        }
        Next::Mistake => {
            tracing::error!("a piece of a file lost its file; the connection is closed");
            Err(io::ErrorKind::InvalidData.into())
        }
    }
}

/// Runs `send` whenever the socket is writable, until it took something.
fn poll_writable(
    socket: &TcpStream,
    cx: &mut Context<'_>,
    mut send: impl FnMut() -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(socket.poll_write_ready(cx))?;
        match socket.try_io(Interest::WRITABLE, &mut send) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return Poll::Ready(result),
        }
    }
}

impl Write for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let served = this.poll_send(cx, slices);
        let sent = match ready!(this.or_stalled(cx, served)) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                this.stall = None;
                this.send_anyway(slices).ok_or(error)?
            }
            served => served?,
        };
        this.outbox.sent(slices, sent);
        Poll::Ready(Ok(sent))
    }

    fn is_write_vectored(&self) -> bool {
        // hyper then hands body pieces on uncopied, by their own addresses.
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let served = Pin::new(&mut this.stream.inner_mut().stream).poll_flush(cx);
        ready!(this.or_stalled(cx, served))?;
        this.emptied.look(this.stream.inner_mut().stream.socket());
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            let served = Pin::new(&mut this.stream.inner_mut().stream).poll_shutdown(cx);
            ready!(this.or_stalled(cx, served))?;
        }
        let linger = this.linger.get_or_insert_with(|| Linger {
            until: Box::pin(tokio::time::sleep(DRAIN_MAX)),
            bytes_left: DRAIN_BYTES_MAX,
        });
        let mut scratch = [0; 16 << 10];
        while linger.bytes_left > 0 && linger.until.as_mut().poll(cx).is_pending() {
            let mut dropped = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(this.stream.inner_mut().stream.socket()).poll_read(cx, &mut dropped)) {
                Ok(()) if !dropped.filled().is_empty() => {
                    linger.bytes_left = linger.bytes_left.saturating_sub(dropped.filled().len());
                }
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Read for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, into)
    }
}

/// A stream whose bytes are followed as they are read.
struct Followed {
    stream: Stream,
    framing: Framing,
}

impl AsyncRead for Followed {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, into))?;
        this.framing.follow(&into.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.end.is_told() {
            // What was revoked is not sent from the kernel's buffer either: it drops that, and resets the connection.
            let socket = self.stream.inner_mut().stream.socket();
            if let Err(error) = rustix::net::sockopt::set_socket_linger(&*socket, Some(Duration::ZERO)) {
                tracing::warn!(%error, "a connection cannot be reset");
            }
        }
        self.outbox.clear();
    }
}
