//! From a connection to calls: who may ask, and within what bounds.

use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinSet, LocalSet};
use valetkey_dialects::Language;

use super::desk::Desk;
use super::listen::{Listener, SocketFile};
use super::problem::Problem;
use super::request::Call;
use crate::serve::runtime;
use crate::settings::SecretText;
use crate::transfer::body::Body;

/// How many connections are open at once; further ones wait.
const CONNECTIONS_MAX: usize = 64;

/// How long the head of a call may take, and the time between two.
const HEAD_MAX: Duration = Duration::from_secs(10);

/// How large a head may be, in bytes, and how many headers it may have.
const HEAD_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 64;

/// How long a stop waits for what was asked.
const STOP_MAX: Duration = Duration::from_secs(5);

/// How long to pause when no connection can be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stopped`.
pub(super) fn run(listener: Listener, desk: Desk, stopped: watch::Receiver<bool>) {
    let served = runtime().map_err(io::Error::other).and_then(|runtime| {
        LocalSet::new().block_on(&runtime, async {
            let (door, _file) = Door::open(listener)?;
            take_calls(door, Rc::new(desk), stopped).await;
            Ok(())
        })
    });
    if let Err(error) = served {
        tracing::error!(%error, "the admin listener cannot serve");
    }
}

/// A listener on this thread's runtime.
enum Door {
    Unix(UnixListener),
    Tcp(TcpListener, Rc<SecretText>),
}

impl Door {
    fn open(listener: Listener) -> io::Result<(Self, Option<SocketFile>)> {
        Ok(match listener {
            Listener::Unix(listener, file) => (Self::Unix(UnixListener::from_std(listener)?), Some(file)),
            Listener::Tcp(listener, token) => {
                (Self::Tcp(TcpListener::from_std(listener)?, Rc::new(token)), None)
            }
        })
    }

    /// The next connection, as a task that serves it.
    async fn next(&self, desk: &Rc<Desk>, stopped: &watch::Receiver<bool>) -> io::Result<Served> {
        let (desk, stopped) = (Rc::clone(desk), stopped.clone());
        match self {
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Box::pin(async move {
                    match peer_may_ask(&stream) {
                        Ok(true) => serve(stream, None, desk, stopped).await,
                        Ok(false) => {
                            tracing::warn!("another user came to the admin socket and was sent away")
                        }
                        Err(error) => tracing::warn!(%error, "who came to the admin socket is unknown"),
                    }
                }))
            }
            Self::Tcp(listener, token) => {
                let (stream, _) = listener.accept().await?;
                let token = Rc::clone(token);
                Ok(Box::pin(serve(stream, Some(token), desk, stopped)))
            }
        }
    }
}

type Served = std::pin::Pin<Box<dyn Future<Output = ()>>>;

/// Whether the process at the other end is the gateway's own user's, or root's. The socket's mode says the same;
/// this holds where somebody changed that.
fn peer_may_ask(stream: &UnixStream) -> io::Result<bool> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?.uid;
    Ok(peer.is_root() || peer == rustix::process::geteuid())
}

async fn take_calls(door: Door, desk: Rc<Desk>, mut stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let told = stopped.clone();
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((place, door.next(&desk, &told).await?))
        };
        tokio::select! {
            // The sender lives until it has told.
            _ = stopped.changed() => break,
            _ = connections.join_next(), if !connections.is_empty() => {}
            accepted = accepted => match accepted {
                Ok((place, served)) => {
                    connections.spawn_local(async move {
                        served.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the admin listener cannot be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    let ended = async { while connections.join_next().await.is_some() {} };
    // What does not end by then is an operator who asks nothing.
    let _ = tokio::time::timeout(STOP_MAX, ended).await;
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    token: Option<Rc<SecretText>>,
    desk: Rc<Desk>,
    mut stopped: watch::Receiver<bool>,
) {
    let service = service_fn(|request| {
        let (desk, token) = (Rc::clone(&desk), token.clone());
        async move { Ok::<_, Infallible>(answer(&desk, token.as_deref(), request).await) }
    });
    let mut served = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_MAX)
            .max_header_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        _ = stopped.changed() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the admin listener ended early");
    }
}

async fn answer(desk: &Desk, token: Option<&SecretText>, request: Request<Incoming>) -> Response<Body> {
    let request_id = desk.gateway.request_ids.next();
    let (parts, body) = request.into_parts();
    let answered = async {
        if token.is_some_and(|token| !carries(token, &parts)) {
            return Err(Problem::NoToken);
        }
        let call = Call::receive(parts, body).await?;
        desk.answer(&call, &request_id).await
    };
    let mut answer = match answered.await {
        Ok(answer) => answer,
        Err(problem) => problem.answer(&request_id),
    };
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    crate::respond::named(answer, &request_id, Language::Native)
}

/// Whether a call carries the token, once.
fn carries(token: &SecretText, parts: &http::request::Parts) -> bool {
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let bytes = value.as_bytes();
    let Some((scheme, text)) = bytes.split_at_checked("Bearer ".len()) else { return false };
    scheme.eq_ignore_ascii_case(b"Bearer ") && token.is(text)
}
