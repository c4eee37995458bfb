//! One connection: which protocol it speaks, and its limits.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::outbox::Outbox;
use super::wire::Wire;
use crate::flow::{self, Connection};
use crate::gateway::Gateway;

/// How long a client may take to send the head of a request, and to begin a next one.
const HEAD_MAX: Duration = Duration::from_secs(10);

/// How large a head may be, in bytes, and how many headers it may have.
const HEAD_BYTES_MAX: usize = 32 << 10;
const HEADERS_MAX: usize = 100;

/// How much of a connection's bytes hyper holds, in each direction.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// HTTP/2: streams at once, and how much a client may send ahead on one and on all of them.
const STREAMS_MAX: u32 = 100;
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
const HEADER_LIST_BYTES_MAX: u32 = 32 << 10;
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_MAX: Duration = Duration::from_secs(20);

/// What an HTTP/2 client sends first. [RFC 9113, section 3.4](https://www.rfc-editor.org/rfc/rfc9113#section-3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum Protocol {
    Http1,
    Http2,
}

/// Serves a connection until its client or the gateway ends it.
pub(super) async fn serve(
    gateway: Arc<Gateway>,
    stream: TcpStream,
    peer: SocketAddr,
    draining: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended at once");
        return;
    }
    match protocol(&stream).await {
        Some(Protocol::Http1) => serve_http1(gateway, stream, peer, draining).await,
        Some(Protocol::Http2) => serve_http2(gateway, stream, peer, draining).await,
        None => {}
    }
}

/// Looks at the first bytes without taking them; `None` where none come in time.
async fn protocol(stream: &TcpStream) -> Option<Protocol> {
    let deadline = Instant::now() + HEAD_MAX;
    let mut first = [0; PREFACE.len()];
    loop {
        let seen = timeout_at(deadline, stream.peek(&mut first)).await.ok()?.ok()?;
        match &first[..seen] {
            [] => return None,
            seen if seen == PREFACE => return Some(Protocol::Http2),
            seen if !PREFACE.starts_with(seen) => return Some(Protocol::Http1),
            // A piece of the preface; the rest follows, and until then a look returns at once.
            _ => sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn serve_http1(
    gateway: Arc<Gateway>,
    stream: TcpStream,
    peer: SocketAddr,
    mut draining: watch::Receiver<bool>,
) {
    let outbox = Outbox::default();
    let wire = Wire::new(stream, outbox.clone());
    let from = Connection { client: peer.ip(), outbox: Some(outbox) };
    let service = service_fn(|request| {
        let (gateway, from) = (Arc::clone(&gateway), from.clone());
        async move { Ok::<_, Infallible>(flow::answer(&gateway, &from, request).await) }
    });
    let mut served = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_MAX)
            .max_header_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .max_buf_size(BUFFER_BYTES_MAX)
            // A client that has sent all that it will send still reads its answer.
            .half_close(true)
            .serve_connection(wire, service)
    );
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        _ = draining.wait_for(|draining| *draining) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn serve_http2(
    gateway: Arc<Gateway>,
    stream: TcpStream,
    peer: SocketAddr,
    mut draining: watch::Receiver<bool>,
) {
    let from = Connection { client: peer.ip(), outbox: None };
    let service = service_fn(|request| {
        let (gateway, from) = (Arc::clone(&gateway), from.clone());
        async move { Ok::<_, Infallible>(flow::answer(&gateway, &from, request).await) }
    });
    let mut served = pin!(
        http2::Builder::new(OnThisThread)
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(HEADER_LIST_BYTES_MAX)
            .max_send_buf_size(BUFFER_BYTES_MAX)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        _ = draining.wait_for(|draining| *draining) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Runs the streams of an HTTP/2 connection on the thread that accepted it.
#[derive(Clone, Copy)]
struct OnThisThread;

impl<F: Future + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}
