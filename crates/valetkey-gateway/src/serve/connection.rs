//! One connection: its requests, and its limits.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use valetkey::Client;

use super::arrival::{self, Arrival, Protocol};
use super::emptied::Emptied;
use super::framing::Verdicts;
use super::outbox::Outbox;
use super::stream::Stream;
use super::streams::{self, Offered, Streams};
use super::wire::{STALL_MAX, Wire};
use crate::flow::{self, Connection};
use crate::gateway::Gateway;
use crate::running::End;

/// How long a client may take to send the head of a request, and to begin a next one.
pub(super) const HEAD_MAX: Duration = Duration::from_secs(10);

/// How large a head may be, in bytes, and how many headers it may have.
pub(super) const HEAD_BYTES_MAX: usize = 32 << 10;
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

/// Serves a connection until its client or the gateway ends it.
pub(super) async fn serve(
    gateway: Arc<Gateway>,
    stream: TcpStream,
    peer: SocketAddr,
    draining: watch::Receiver<bool>,
) {
    let arrived = arrival::receive(&gateway.snapshot().settings.server, stream, peer).await;
    match arrived {
        Ok(Arrival { stream, client, protocol: Protocol::Http1 }) => {
            serve_http1(gateway, stream, client, draining).await;
        }
        Ok(Arrival { stream, client, protocol: Protocol::Http2 }) => {
            serve_http2(gateway, stream, client, draining).await;
        }
        Err(error) => tracing::debug!(%error, %peer, "a connection ended before its first request"),
    }
}

async fn serve_http1(
    gateway: Arc<Gateway>,
    stream: Stream,
    client: Client,
    mut draining: watch::Receiver<bool>,
) {
    let outbox = Outbox::default();
    let verdicts = Verdicts::default();
    // What is encrypted must pass through our memory.
    let offered = matches!(stream, Stream::Plain(_)).then(|| outbox.clone());
    let end = Rc::new(End::default());
    let emptied = Emptied::default();
    let wire = Wire::new(stream, outbox, verdicts.clone(), emptied.clone(), Rc::clone(&end));
    let from = Connection { client, outbox: offered, end: Rc::clone(&end) };
    let service = service_fn(|mut request: Request<Incoming>| {
        if let Err(doubtful) = verdicts.next() {
            request.extensions_mut().insert(doubtful);
        }
        let (gateway, from, emptied) = (Arc::clone(&gateway), from.clone(), emptied.clone());
        async move {
            if from.end.is_noted() {
                if emptied.wait().await.is_err() {
                    // With what its client never took.
                    from.end.tell();
                    std::future::pending::<()>().await;
                }
                from.end.forget();
            }
            Ok::<_, Infallible>(flow::answer(&gateway, &from, request).await)
        }
    });
    let mut served = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_MAX)
            .max_header_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .max_buf_size(BUFFER_BYTES_MAX)
            .keep_alive(!*draining.borrow())
            // A client that has sent all that it will send still reads its answer.
            .half_close(true)
            .serve_connection(wire, service)
    );
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = told_to_drain(&mut draining) => {
            served.as_mut().graceful_shutdown();
            tokio::select! {
                ended = served => ended,
                () = end.told() => Ok(()),
            }
        }
        () = end.told() => Ok(()),
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Ready when the gateway begins to drain. A connection that is taken while it drains already, to ask for its
/// health, is served as long as the others are waited for.
async fn told_to_drain(draining: &mut watch::Receiver<bool>) {
    if *draining.borrow_and_update() {
        std::future::pending().await
    }
    // The sender lives as long as the gateway.
    let _ = draining.changed().await;
}

async fn serve_http2(
    gateway: Arc<Gateway>,
    stream: Stream,
    client: Client,
    mut draining: watch::Receiver<bool>,
) {
    let streams = Streams::new();
    let service = service_fn(|request| {
        let gateway = Arc::clone(&gateway);
        async move {
            let from = Connection { client, outbox: None, end: streams::end() };
            Ok::<_, Infallible>(flow::answer(&gateway, &from, request).await.map(Offered::new))
        }
    });
    let mut served = pin!(
        http2::Builder::new(streams.clone())
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
        () = told_to_drain(&mut draining) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
        () = streams.idle() => {
            served.as_mut().graceful_shutdown();
            // What is left unsent by now will not be taken.
            timeout(STALL_MAX, served).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
