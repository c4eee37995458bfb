//! From settings to a gateway that answers, and back to nothing on SIGTERM.
//!
//! Each core has a single-threaded runtime with its own listener, so that what a connection owns need not be
//! shared between threads, and nothing on it may wait for the disk.

mod arrival;
mod backends;
mod connect;
mod connection;
mod emptied;
pub(crate) mod forwarded;
pub(crate) mod framing;
mod listener;
pub(crate) mod outbox;
mod proxy_protocol;
pub(crate) mod reload;
mod start;
mod stream;
mod streams;
mod unresolved;
pub(crate) mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use valetkey::Timestamp;
use valetkey_ledger::{AuditHead, LedgerError};

use crate::admin;
use crate::admit::seconds;
use crate::gateway::Gateway;
use crate::notify::Head;
use crate::settings::{self, Settings, Watch};
use crate::transfer::session;

use self::backends::Backends;
use self::reload::Asked;

pub use connect::connect;
pub use start::StartError;
pub(crate) use start::{runtime, timestamp};

/// How long running transfers may take to end once the gateway is told to stop.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// How often the ledger is told how far the audit log has come.
const NOTE: Duration = Duration::from_secs(1);

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
    let signals = runtime.block_on(async { Signals::listen() })?;
    let listeners = listener::bind(settings.server.listen, start::workers(&settings))?;
    let address = listener::address(&listeners)?;
    let mut backends = Backends::default();
    let (gateway, left) = runtime.block_on(start::gateway(settings, &mut backends))?;
    let gateway = Arc::new(gateway);
    let reload = reload::start(Arc::clone(&gateway), backends, watch)?;
    let admin = listen_to_operators(&gateway, &reload)?;
    let (drain, draining) = watch::channel(false);
    let mut workers = Vec::new();
    for listener in listeners {
        let (gateway, draining) = (Arc::clone(&gateway), draining.clone());
        let worker = std::thread::Builder::new().name("worker".into());
        workers.push(
            worker.spawn(move || listener::work(&gateway, listener, draining)).map_err(StartError::Worker)?,
        );
    }
    let sweeping = runtime.spawn(session::sweep(Arc::clone(&gateway)));
    let watching = runtime.spawn(backends::watch(Arc::clone(&gateway)));
    let resolving = runtime.spawn(unresolved::resolve_in_stores(Arc::clone(&gateway), left));
    let noting = runtime.spawn(note_audit_head(Arc::clone(&gateway)));
    ready(address);
    runtime.block_on(until_told_to_stop(&gateway, signals, reload));
    tracing::info!("stopping: running transfers may end");
    gateway.draining.store(true, Ordering::Relaxed);
    // Workers that are gone need not be told.
    let _ = drain.send(true);
    for worker in workers {
        if worker.join().is_err() {
            tracing::error!("a worker ended by a panic");
        }
    }
    if let Some(admin) = admin {
        admin.stop();
    }
    noting.abort();
    resolving.abort();
    watching.abort();
    sweeping.abort();
    runtime.block_on(close(&gateway));
    Ok(())
}

/// Opens the admin listener, if there is to be one. One that nobody asked for does not keep the gateway from
/// serving.
fn listen_to_operators(
    gateway: &Arc<Gateway>,
    reload: &Sender<Asked>,
) -> Result<Option<admin::Running>, StartError> {
    let snapshot = gateway.snapshot();
    let Some(settings::Admin { listen, is_said }) = &snapshot.settings.admin else { return Ok(None) };
    match admin::Running::start(gateway, listen, reload.clone()) {
        Ok(running) => Ok(Some(running)),
        Err(error) if *is_said => Err(StartError::Admin(error)),
        Err(error) => {
            tracing::warn!(%error, "there is no admin listener: say [admin] listen");
            Ok(None)
        }
    }
}

/// The signals that mean something, waited for from before the first connection on, so that none ends the
/// gateway unheard.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> Result<Self, StartError> {
        let listen = |kind| signal(kind).map_err(StartError::Signal);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }
}

async fn until_told_to_stop(gateway: &Gateway, mut signals: Signals, reload: Sender<Asked>) {
    let mut tick = tokio::time::interval(TICK);
    // Nothing is known of the ledger's mark yet: the clock may have moved on since it was told the time.
    let mut mark = Timestamp::from_unix(0);
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return,
            _ = signals.interrupt.recv() => return,
            // The reloader lives as long as its sender.
            _ = signals.hangup.recv() => drop(reload.send(None)),
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

/// Tells the ledger the newest durable record, where there is a newer one, at most once a second.
async fn note_audit_head(gateway: Arc<Gateway>) {
    let mut tick = tokio::time::interval(NOTE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut noted = None;
    loop {
        tick.tick().await;
        let head = gateway.audit.head();
        // What the ledger did not take is tried again; that it does not answer is said elsewhere.
        if noted != Some(head) && note(&gateway, head).await.is_ok() {
            noted = Some(head);
        }
    }
}

async fn note(gateway: &Gateway, head: Head) -> Result<(), LedgerError> {
    gateway.ledger.note_audit_head(AuditHead { records: head.records, hash: head.hash.into() }).await
}

/// The log is closed first, so that the ledger knows its very last record. It is told the time too: what ended
/// before a stop stays ended after it, whatever the clock says then.
async fn close(gateway: &Gateway) {
    if let Err(error) = gateway.audit.clone().close() {
        tracing::error!(%error, "the audit log did not close");
    }
    if let Err(error) = note(gateway, gateway.audit.head()).await {
        tracing::error!(%error, "the ledger did not note how far the audit log has come");
    }
    if let Err(error) = gateway.ledger.observe(seconds(gateway.clock.now().highest)).await {
        tracing::error!(%error, "the ledger did not note the time");
    }
    if let Err(error) = gateway.ledger.close().await {
        tracing::error!(%error, "the ledger did not close");
    }
}
