//! Listeners, one for each worker, and the worker that takes their connections.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinSet, LocalSet};

use super::{DRAIN_MAX, StartError, connection, start};
use crate::gateway::Gateway;
use crate::running;
use crate::settings::Settings;

/// How many connections wait to be taken.
const BACKLOG: u32 = 1024;

/// How long a draining worker waits before it looks again whether all is settled.
const SETTLE_PAUSE: Duration = Duration::from_millis(10);

/// How long a worker pauses when no descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds `count` listeners to the same address.
///
/// # Errors
/// [`StartError::Listen`], also where another process listens there.
pub(super) fn bind(address: SocketAddr, count: usize) -> Result<Vec<std::net::TcpListener>, StartError> {
    let failed = |error| StartError::Listen(address, error);
    // A listener that shares its port is silent about another one; one that does not is not.
    let alone = std::net::TcpListener::bind(address).map_err(failed)?;
    let address = alone.local_addr().map_err(failed)?;
    drop(alone);
    (0..count).map(|_| shared(address).map_err(failed)).collect()
}

fn shared(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    // The worker's runtime takes it over.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    socket.listen(BACKLOG)?.into_std()
}

/// The address that was bound, its port known where it was left to the kernel.
pub(super) fn address(listeners: &[std::net::TcpListener]) -> Result<SocketAddr, StartError> {
    let first = listeners.first().ok_or(StartError::NoWorker)?;
    first.local_addr().map_err(StartError::Worker)
}

/// Serves one listener's connections on this thread until the gateway drains.
pub(super) fn work(gateway: &Arc<Gateway>, listener: std::net::TcpListener, draining: watch::Receiver<bool>) {
    let local = LocalSet::new();
    let outcome = start::runtime()
        .map(|runtime| runtime.block_on(local.run_until(take_connections(gateway, listener, draining))));
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "a worker cannot listen"),
        Err(error) => tracing::error!(%error, "a worker cannot start"),
    }
}

async fn take_connections(
    gateway: &Arc<Gateway>,
    listener: std::net::TcpListener,
    mut draining: watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(places(&gateway.snapshot().settings)));
    let mut connections = JoinSet::new();
    tokio::task::spawn_local(running::heed_revocations(Arc::clone(gateway)));
    // Who asks a draining gateway for its health is still told, until what runs has ended.
    let mut told = draining.clone();
    let mut drained = pin!(async {
        let _ = told.wait_for(|draining| *draining).await;
        tokio::time::sleep(DRAIN_MAX).await;
    });
    loop {
        let is_draining = *draining.borrow_and_update();
        let settled = gateway.settling.load(Ordering::Acquire) == 0;
        if is_draining && connections.is_empty() && settled {
            return Ok(());
        }
        let accepted = tokio::select! {
            _ = draining.changed(), if !is_draining => continue,
            _ = connections.join_next(), if !connections.is_empty() => continue,
            () = drained.as_mut() => return Ok(()),
            () = tokio::time::sleep(SETTLE_PAUSE), if is_draining && !settled => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let served = connection::serve(Arc::clone(gateway), stream, peer, draining.clone());
                let open = &gateway.metrics;
                open.connections.fetch_add(1, Ordering::Relaxed);
                let open = Arc::clone(open);
                connections.spawn_local(async move {
                    served.await;
                    open.connections.fetch_sub(1, Ordering::Relaxed);
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// How many connections one worker has open at once.
fn places(settings: &Settings) -> usize {
    settings.server.connections_max.get().div_ceil(start::workers(settings))
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}
