//! The streams of an HTTP/2 connection, each a task on the thread that accepted it.
//!
//! A stream may wait for us as long as it must, but not for its client: HTTP/2 lets a client keep its windows
//! shut for ever while it answers every ping. A stream whose client takes nothing of its answer is reset, and
//! a connection on which nothing has run for a while is ended.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Duration, Instant, sleep_until};

use super::wire::STALL_MAX;
use crate::running::End;
use crate::transfer::body::Body;

/// How long a connection may have no stream.
const IDLE_MAX: Duration = Duration::from_secs(30);

tokio::task_local! {
    static STALL: Stall;
    static END: Rc<End>;
}

/// How the stream whose task this is is told to end.
pub(super) fn end() -> Rc<End> {
    END.with(Rc::clone)
}

/// Runs the streams of one connection.
#[derive(Clone)]
pub(super) struct Streams(Rc<Activity>);

struct Activity {
    running: Cell<usize>,
    /// When the last stream ended.
    idle_since: Cell<Instant>,
}

impl Streams {
    pub(super) fn new() -> Self {
        Self(Rc::new(Activity { running: Cell::new(0), idle_since: Cell::new(Instant::now()) }))
    }

    /// Ends when no stream has run for [`IDLE_MAX`].
    pub(super) async fn idle(&self) {
        loop {
            let idle = self.0.running.get() == 0;
            let since = if idle { self.0.idle_since.get() } else { Instant::now() };
            if since.elapsed() >= IDLE_MAX {
                return;
            }
            sleep_until(since + IDLE_MAX).await;
        }
    }
}

impl<F: Future + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let running = Running::begin(self);
        tokio::task::spawn_local(async move {
            let (stall, end) = (Stall::default(), Rc::new(End::default()));
            tokio::select! {
                _ = END.scope(Rc::clone(&end), STALL.scope(stall.clone(), stream)) => {}
                // What is dropped by this resets the stream.
                () = stall.over() => tracing::debug!("a stream ended early: its client took nothing"),
                () = end.told() => tracing::debug!("a stream ended early: it was revoked"),
            }
            drop(running);
        });
    }
}

/// Counts a stream while it runs.
struct Running(Rc<Activity>);

impl Running {
    fn begin(streams: &Streams) -> Self {
        streams.0.running.set(streams.0.running.get() + 1);
        Self(Rc::clone(&streams.0))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get() - 1);
        self.0.idle_since.set(Instant::now());
    }
}

/// Since when a stream has waited for its client; `None` while it waits for us.
#[derive(Clone, Default)]
struct Stall(Rc<Cell<Option<Instant>>>);

impl Stall {
    /// Ends when the stream has waited for [`STALL_MAX`].
    async fn over(&self) {
        loop {
            let since = self.0.get().unwrap_or_else(Instant::now);
            if since.elapsed() >= STALL_MAX {
                return;
            }
            sleep_until(since + STALL_MAX).await;
        }
    }
}

/// The body of an answer that notes how its client takes it.
pub(super) struct Offered {
    body: Body,
    stall: Stall,
}

impl Offered {
    /// Begins to offer `body` on the stream whose task this is.
    pub(super) fn new(body: Body) -> Self {
        let stall = STALL.with(Stall::clone);
        stall.0.set(Some(Instant::now()));
        Self { body, stall }
    }
}

impl hyper::body::Body for Offered {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        // hyper asks for the next piece once the client has made room for the one before.
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.stall.0.set(polled.is_ready().then(Instant::now));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
