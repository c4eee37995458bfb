//! From settings to a gateway that answers, and back to nothing on SIGTERM.
//!
//! Each core has a single-threaded runtime with its own listener, so that what a connection owns need not be
//! shared between threads, and nothing on it may wait for the disk.

mod connection;
mod listener;
pub(crate) mod outbox;
mod start;
pub(crate) mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::admit::seconds;
use crate::gateway::Gateway;
use crate::settings::Settings;

pub use start::StartError;

/// How long running transfers may take to end once the gateway is told to stop.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// How often the ledger is asked whether it answers, and told the time.
const TICK: Duration = Duration::from_secs(2);

/// Serves until SIGTERM or SIGINT, then lets running transfers end.
///
/// `ready` is called with the address once connections are taken.
///
/// # Errors
/// [`StartError`] where the gateway cannot start.
pub fn run(settings: Settings, ready: impl FnOnce(SocketAddr)) -> Result<(), StartError> {
    start::raise_descriptor_limit();
    let runtime = start::runtime()?;
    let listeners = listener::bind(settings.server.listen, start::workers(&settings))?;
    let address = listener::address(&listeners)?;
    let gateway = Arc::new(runtime.block_on(start::gateway(settings))?);
    let (drain, draining) = watch::channel(false);
    let mut workers = Vec::new();
    for listener in listeners {
        let (gateway, draining) = (Arc::clone(&gateway), draining.clone());
        let worker = std::thread::Builder::new().name("worker".into());
        workers.push(
            worker.spawn(move || listener::work(&gateway, listener, draining)).map_err(StartError::Worker)?,
        );
    }
    ready(address);
    runtime.block_on(until_told_to_stop(&gateway))?;
    tracing::info!("stopping: running transfers may end");
    gateway.draining.store(true, Ordering::Relaxed);
    // Workers that are gone need not be told.
    let _ = drain.send(true);
    for worker in workers {
        if worker.join().is_err() {
            tracing::error!("a worker ended by a panic");
        }
    }
    runtime.block_on(close(&gateway));
    Ok(())
}

async fn until_told_to_stop(gateway: &Gateway) -> Result<(), StartError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Signal)?;
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = tick.tick() => observe(gateway).await,
        }
    }
}

/// Tells the ledger the time, and learns whether it answers and what the highest time is.
async fn observe(gateway: &Gateway) {
    let now = gateway.clock.now();
    let observed = gateway.ledger.observe(seconds(now.clock)).await;
    let answers = observed.is_ok();
    if gateway.ledger_answers.swap(answers, Ordering::Relaxed) != answers {
        match &observed {
            Ok(_) => tracing::info!("the ledger answers again"),
            Err(error) => tracing::error!(%error, "the ledger does not answer"),
        }
    }
    if let Ok(mark) = observed {
        let mark = start::timestamp(mark);
        if mark < now.highest {
            // Only an operator who accepts the clock lowers the mark.
            gateway.clock.accept(mark);
        }
    }
}

async fn close(gateway: &Gateway) {
    if let Err(error) = gateway.ledger.close().await {
        tracing::error!(%error, "the ledger did not close");
    }
    if let Err(error) = gateway.audit.clone().close() {
        tracing::error!(%error, "the audit log did not close");
    }
}
