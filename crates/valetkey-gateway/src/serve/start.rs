//! What a gateway needs before its first connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit};
use tokio::runtime::{Builder, Runtime};
use valetkey::Timestamp;
use valetkey_ledger::{AuditHead, Ledger, LedgerError, MemoryLedger, SqliteLedger, UnixSeconds};

use super::backends::{Backends, Opened};
use super::unresolved::{self, InStores};
use crate::admin::ListenError;
use crate::admit::seconds;
use crate::backend::disk::OpenError;
use crate::backend::remote;
use crate::clock::{self, Clock};
use crate::gateway::{Gateway, Snapshot};
use crate::notify::{self, Audit, AuditError, ChainKey, Head, LineHash};
use crate::settings::{self, Settings};
use crate::transfer::session;

/// How many threads of each worker may wait for the disk at once.
const BLOCKING_THREADS_MAX: usize = 64;

/// From how far behind the highest time seen the ledger distrusts the clock, in seconds.
const CLOCK_BEHIND_MAX_SECS: u64 = 300;

/// How far the newest record may lie after the highest time that the ledger saw, in seconds. A running gateway tells the
/// ledger the time every second, and the ledger keeps it within ten, so a crash leaves them less apart.
const LEDGER_BEHIND_MAX_SECS: u64 = 60;

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// No worker is configured.
    #[error("start a worker: there is none")]
    NoWorker,
    /// A worker cannot run.
    #[error("start a worker: {0}")]
    Worker(#[source] io::Error),
    /// Signals cannot be waited for.
    #[error("wait for signals: {0}")]
    Signal(#[source] io::Error),
    /// The ledger cannot be opened.
    #[error(transparent)]
    LedgerOpen(#[from] valetkey_ledger::OpenError),
    /// The ledger does not answer.
    #[error("ask the ledger: {0}")]
    Ledger(#[from] LedgerError),
    /// The audit log cannot be opened.
    #[error("open the audit log: {0}")]
    Audit(#[from] AuditError),
    /// The admin listener cannot be opened.
    #[error(transparent)]
    Admin(#[from] ListenError),
    /// A backend cannot be opened.
    #[error("open backend {0}: {1}")]
    Backend(String, #[source] OpenError),
    /// A remote backend cannot be prepared.
    #[error("open backend {0}: {1}")]
    Store(String, #[source] remote::OpenError),
    /// There is no randomness.
    #[error("name requests: {0}")]
    Random(getrandom::Error),
}

/// A single-threaded runtime.
pub(crate) fn runtime() -> Result<Runtime, StartError> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
        .map_err(StartError::Worker)
}

/// How many workers serve: one for each core unless the settings say otherwise.
pub(super) fn workers(settings: &Settings) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, Into::into);
    settings.server.workers.map_or_else(cores, Into::into)
}

/// Allows as many descriptors as the operator's hard limit does: each download takes two.
pub(super) fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = rustix::process::getrlimit(Resource::Nofile);
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Opens everything that the settings name. What a crash left in remote stores is still to be looked for.
pub(super) async fn gateway(
    settings: Settings,
    backends: &mut Backends,
) -> Result<(Gateway, InStores), StartError> {
    let ledger: Arc<dyn Ledger> = match &settings.ledger {
        settings::Ledger::Sqlite { path } => Arc::new(SqliteLedger::open(path)?),
        settings::Ledger::Memory => Arc::new(MemoryLedger::open()?),
    };
    let known = ledger.audit_head().await?.map(head);
    // Before the log is opened, which may write a record of now.
    let newest = newest_record(&settings.audit);
    let opened = Audit::open(&settings.audit, known, clock::now)?;
    if let Some(bytes) = opened.mended {
        tracing::warn!(bytes, "the last line of the audit log was half-written and is cut");
    }
    let status = ledger.status().await?;
    if status.fresh && !opened.was_empty {
        ledger.distrust().await?;
        tracing::error!(
            "the ledger is new while the audit log is not: keys with limits are refused until an operator \
             accepts it with: valetkey check --accept-new-ledger"
        );
    } else if let Some(newest) = newest
        && status.accepted
        && seconds(newest).0 > status.time_mark.0.saturating_add(LEDGER_BEHIND_MAX_SECS)
    {
        ledger.distrust().await?;
        tracing::error!(
            mark = %timestamp(status.time_mark),
            %newest,
            "the audit log goes on after the ledger ends, as where an old copy was restored: keys with limits are \
             refused until an operator accepts it with: valetkey check --accept-new-ledger"
        );
    }
    if status.time_mark.0 > seconds(clock::now()).0.saturating_add(CLOCK_BEHIND_MAX_SECS) {
        tracing::error!(
            mark = %timestamp(status.time_mark),
            "the clock lies behind the highest time seen: keys with limits are refused until an operator accepts \
             it with: valetkey check --accept-clock"
        );
    }
    let mark = ledger.observe(seconds(clock::now())).await?;
    let Opened { buckets, stores } = backends.buckets(&settings)?;
    let left = unresolved::resolve(ledger.as_ref(), &buckets, &opened.audit, &settings.audit).await?;
    session::clear(ledger.as_ref(), &buckets).await?;
    let start = getrandom::u64().map_err(StartError::Random)?;
    let clock = Clock::starting_at(timestamp(mark));
    let snapshot = Snapshot { settings, buckets, stores };
    Ok((Gateway::new(snapshot, ledger, opened.audit, clock, start), left))
}

/// When the newest record of the log was made; `None` where there is none, or it cannot be read, which opening the log
/// says better. The very last line may be half-written.
fn newest_record(log: &settings::Audit) -> Option<Timestamp> {
    let key = ChainKey::load(&log.key_file).ok()??;
    let lines = notify::newest(log, &key, 2).ok()?;
    let time = |line: &String| {
        let record: serde_json::Value = serde_json::from_str(line).ok()?;
        Timestamp::parse(record.get("time")?.as_str()?)
    };
    lines.iter().filter_map(time).max()
}

/// The newest record of the log, as the ledger keeps it.
fn head(kept: AuditHead) -> Head {
    Head { records: kept.records, hash: LineHash::from_bytes(kept.hash) }
}

pub(crate) fn timestamp(seconds: UnixSeconds) -> Timestamp {
    i64::try_from(seconds.0).map_or(Timestamp::MAX, Timestamp::from_unix)
}
