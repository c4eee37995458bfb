//! From settings to a gateway that answers, and back to nothing on SIGTERM.
//!
//! Each core has a single-threaded runtime with its own listener, so that what a connection owns need not be
//! shared between threads, and nothing on it may wait for the disk.

mod connection;
mod listener;
pub(crate) mod outbox;
mod reload;
mod start;
pub(crate) mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use valetkey::Timestamp;

use crate::admit::seconds;
use crate::gateway::Gateway;
use crate::settings::{Settings, Watch};

use self::start::Disks;

pub use start::StartError;

/// How long running transfers may take to end once the gateway is told to stop.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// How often the ledger is asked whether it answers, and told the time.
const TICK: Duration = Duration::from_secs(2);

/// Serves until SIGTERM or SIGINT, then lets running transfers end. The configuration is read again when its
/// files change, and on SIGHUP.
///
/// `ready` is called with the address once connections are taken.
///
/// # Errors
/// [`StartError`] where the gateway cannot start.
pub fn run(settings: Settings, watch: Watch, ready: impl FnOnce(SocketAddr)) -> Result<(), StartError> {
    start::raise_descriptor_limit();
    let runtime = start::runtime()?;
    let listeners = listener::bind(settings.server.listen, start::workers(&settings))?;
    let address = listener::address(&listeners)?;
    let mut disks = Disks::default();
    let gateway = Arc::new(runtime.block_on(start::gateway(settings, &mut disks))?);
    let (drain, draining) = watch::channel(false);
    let mut workers = Vec::new();
    for listener in listeners {
        let (gateway, draining) = (Arc::clone(&gateway), draining.clone());
        let worker = std::thread::Builder::new().name("worker".into());
        workers.push(
            worker.spawn(move || listener::work(&gateway, listener, draining)).map_err(StartError::Worker)?,
        );
    }
    let reload = reload::start(Arc::clone(&gateway), disks, watch)?;
    runtime.block_on(until_told_to_stop(&gateway, reload, || ready(address)))?;
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

/// `ready` is called once signals are waited for, so that none ends the gateway unheard.
async fn until_told_to_stop(
    gateway: &Gateway,
    reload: Sender<()>,
    ready: impl FnOnce(),
) -> Result<(), StartError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Signal)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(StartError::Signal)?;
    ready();
    let mut tick = tokio::time::interval(TICK);
    let mut mark = gateway.clock.now().highest;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            // The reloader lives as long as its sender.
            _ = hangup.recv() => drop(reload.send(())),
            _ = tick.tick() => mark = observe(gateway, mark).await,
        }
    }
}

/// Tells the ledger the highest time, and learns whether it answers and whether an operator has accepted the
/// clock, which alone lowers the ledger's `mark`. Returns the mark as it is now.
async fn observe(gateway: &Gateway, mark: Timestamp) -> Timestamp {
    let observed = async {
        let known = start::timestamp(gateway.ledger.status().await?.time_mark);
        if known < mark {
            tracing::info!(%known, "an operator has accepted the clock");
            gateway.clock.accept(known);
        }
        gateway.ledger.observe(seconds(gateway.clock.now().highest)).await
    };
    let observed = observed.await;
    let answers = observed.is_ok();
    if gateway.ledger_answers.swap(answers, Ordering::Relaxed) != answers {
        match &observed {
            Ok(_) => tracing::info!("the ledger answers again"),
            Err(error) => tracing::error!(%error, "the ledger does not answer"),
        }
    }
    observed.map_or(mark, start::timestamp)
}

async fn close(gateway: &Gateway) {
    // What was seen since the last tick is kept too, so that a clock set back meanwhile revives nothing.
    if let Err(error) = gateway.ledger.observe(seconds(gateway.clock.now().highest)).await {
        tracing::error!(%error, "the highest time seen is not kept");
    }
    if let Err(error) = gateway.ledger.close().await {
        tracing::error!(%error, "the ledger did not close");
    }
    if let Err(error) = gateway.audit.clone().close() {
        tracing::error!(%error, "the audit log did not close");
    }
}
