//! The audit log: one thread that writes what every request hands it, in batches.
//!
//! It promises three things. A receipt that was handed over durably is in the log, past power loss, when
//! its future says so. Any other is at most a second later. And nothing is lost silently: while the log
//! cannot be written receipts wait in memory, those beyond a bound are counted, and a record says how many
//! they were. It must never know what a request was about, nor decide about one: the gateway asks
//! [`Audit::is_sound`] and [`Audit::backlog`] and refuses by itself.

mod writer;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;
use valetkey::Timestamp;

use self::writer::Writer;
use super::chain::ChainKeyError;
use super::journal::{Head, Journal, Medium};
use super::log_file::LogFile;
use super::record::Receipt;
use crate::settings;

/// The backlog at which requests should wait before they are answered: what the writer clears in about a
/// second.
pub const BACKLOG_HIGH: usize = 32_768;

/// The backlog beyond which receipts are counted instead of kept: some 64 MiB where they are long.
pub const BACKLOG_MAX: usize = 65_536;

/// How many waiting receipts end a batch's linger.
const BATCH_RECORDS: usize = 4096;

/// An open audit log. Clones are handles of the same log, which ends with the last of them.
#[derive(Clone)]
pub struct Audit(Arc<Handle>);

/// What [`Audit::open`] found.
#[derive(Debug)]
pub struct Opened {
    /// The log.
    pub audit: Audit,
    /// Whether nothing at all was in it.
    pub was_empty: bool,
    /// How many bytes of a half-written last line were cut; a record in the log says so too.
    pub mended: Option<u64>,
}

/// Why there is no audit log, or why a receipt is not in it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuditError {
    /// The log's file or folder cannot be used.
    #[error("{doing} audit log {}", path.display())]
    Io {
        /// What was attempted: `open`, `read`, `mend` …
        doing: &'static str,
        /// The log.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The path leads to a folder, a device, a socket.
    #[error("audit log {} is not a regular file", path.display())]
    NotAFile {
        /// The log.
        path: PathBuf,
    },
    /// Another process writes the log.
    #[error("audit log {} is held by another process; each gateway needs a log of its own", path.display())]
    Held {
        /// The log.
        path: PathBuf,
    },
    /// The key file cannot be used.
    #[error(transparent)]
    Key(#[from] Arc<ChainKeyError>),
    /// There are records and no key to continue their chain with.
    #[error(
        "audit log {} has records, but its key file {} is missing; put the key back, or move the log away \
         to begin a new one",
        path.display(), key_file.display()
    )]
    KeyLost {
        /// The log.
        path: PathBuf,
        /// Where its key should be.
        key_file: PathBuf,
    },
    /// The log does not end as the gateway left it.
    #[error(
        "audit log {} was tampered with or is not an audit log: {why}; move it away, with its key file, to \
         begin a new one, and accept that with: valetkey check --accept-audit-log",
        path.display()
    )]
    Foreign {
        /// The log.
        path: PathBuf,
        /// What is wrong with its end.
        why: String,
    },
    /// The log does not hold the newest record that the ledger knows of.
    #[error(
        "audit log {} was cut: the ledger knows of record {known}, and it is not among the {found} records that \
         are here; put back what is missing, the files that were moved away too, or accept the log as it is with: \
         valetkey check --accept-audit-log",
        path.display()
    )]
    Cut {
        /// The log.
        path: PathBuf,
        /// How many records the log had.
        known: u64,
        /// How many are there, in all files of its chain.
        found: u64,
    },
    /// The batch was not written, or not synced. The receipt waits for a later one.
    #[error("write audit log")]
    NotWritten(#[source] Arc<io::Error>),
    /// Too many receipts wait already. This one is only counted.
    #[error("{BACKLOG_MAX} records wait for the audit log")]
    Full,
    /// The log was closed.
    #[error("the audit log is closed")]
    Closed,
    /// The log was closed while it could not be written.
    #[error("the audit log was closed without its last {0} records")]
    Lost(usize),
}

impl From<ChainKeyError> for AuditError {
    fn from(error: ChainKeyError) -> Self {
        Self::Key(Arc::new(error))
    }
}

impl Audit {
    /// Opens the log and starts its writer; makes it, its key file and its folder where there is no log yet.
    /// Blocks on the disk.
    ///
    /// `known` is the newest record that the ledger knows of, without which the log is refused. `clock` is
    /// asked for the time of the records that are about the log itself, and for the names of rotated files.
    ///
    /// # Errors
    /// [`AuditError`] of opening: nothing that is not surely the trace of a write cut short is changed.
    pub fn open(
        settings: &settings::Audit,
        known: Option<Head>,
        clock: fn() -> Timestamp,
    ) -> Result<Opened, AuditError> {
        let found = LogFile::open(settings, known, clock)?;
        let key = found.file.key().clone();
        let was_empty = found.head == Head::NONE && found.mended.is_none();
        let journal = Journal::new(found.file, key, found.bytes, found.head);
        let audit = Self::start(journal, clock).map_err(|source| AuditError::Io {
            doing: "start writer of",
            path: settings.path.clone(),
            source: source.into(),
        })?;
        if let Some(cut) = found.mended {
            audit.record(Receipt {
                action: Some("mend"),
                reason: Some("a half-written last line was cut".into()),
                bytes_in: Some(cut),
                ..Receipt::at(clock())
            });
        }
        Ok(Opened { audit, was_empty, mended: found.mended })
    }

    fn start(journal: Journal<impl Medium>, clock: fn() -> Timestamp) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        *shared.head() = journal.head();
        shared.sound.store(true, Ordering::Release);
        let mut writer = Writer { shared: Arc::clone(&shared), journal, clock, waiters: Vec::new() };
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || writer.run())?;
        Ok(Self(Arc::new(Handle { shared, thread: Mutex::new(Some(thread)) })))
    }

    /// Hands over a receipt, which is durable at most a second later. Never blocks.
    pub fn record(&self, receipt: Receipt) {
        if let Err(error) = self.0.shared.enqueue(receipt, None) {
            // Those beyond the backlog are counted, and told when the log works again.
            if matches!(error, AuditError::Closed) {
                tracing::error!(%error, "a record was lost");
            }
        }
    }

    /// Hands over a receipt at once, and resolves when it is durable. Dropping the future does not take it
    /// back.
    ///
    /// # Errors
    /// [`AuditError::NotWritten`]: it is not durable now, and will be written as soon as that is possible.
    /// [`AuditError::Full`] and [`AuditError::Closed`]: it will not be written.
    pub fn record_durably(
        &self,
        receipt: Receipt,
    ) -> impl Future<Output = Result<(), AuditError>> + Send + use<> {
        let (done, answer) = oneshot::channel();
        let enqueued = self.0.shared.enqueue(receipt, Some(done));
        async move {
            enqueued?;
            answer.await.unwrap_or(Err(AuditError::Closed))
        }
    }

    /// Whether the last batch was written and synced. While it was not, whatever must be recorded before it
    /// is answered must be refused.
    pub fn is_sound(&self) -> bool {
        self.0.shared.sound.load(Ordering::Acquire)
    }

    /// How many receipts are not durable yet. At [`BACKLOG_HIGH`] requests should wait.
    pub fn backlog(&self) -> usize {
        self.0.shared.waiting.load(Ordering::Acquire)
    }

    /// The newest record that is durable.
    pub fn head(&self) -> Head {
        *self.0.shared.head()
    }

    /// Writes and syncs what waits, and ends the log for all its handles. Blocks on the disk.
    ///
    /// # Errors
    /// [`AuditError::Lost`] if the log cannot be written.
    pub fn close(self) -> Result<(), AuditError> {
        self.0.stop()
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sound, backlog) = (self.is_sound(), self.backlog());
        f.debug_struct("Audit").field("sound", &sound).field("backlog", &backlog).finish()
    }
}

/// What the handles of a log share, and the thread that ends with the last of them.
struct Handle {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<Result<(), AuditError>>>>,
}

impl Handle {
    fn stop(&self) -> Result<(), AuditError> {
        self.shared.queue().closed = true;
        self.shared.wake.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        thread.map_or(Ok(()), |thread| thread.join().unwrap_or(Err(AuditError::Closed)))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::error!(%error, "records were lost");
        }
    }
}

/// What the handles and the writer share.
#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Wakes the writer.
    wake: Condvar,
    /// How many receipts are not durable, wherever they are.
    waiting: AtomicUsize,
    sound: AtomicBool,
    head: Mutex<Head>,
}

/// What the writer has not taken yet.
#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    /// How many receipts found no room after those.
    lost: u64,
    /// Whether someone waits for one of them.
    urgent: bool,
    closed: bool,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.lost == 0
    }
}

struct Entry {
    receipt: Receipt,
    waiter: Option<Waiter>,
}

type Waiter = oneshot::Sender<Result<(), AuditError>>;

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics between two states of the queue, so a poisoned one is sound.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn head(&self) -> MutexGuard<'_, Head> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(&self, receipt: Receipt, waiter: Option<Waiter>) -> Result<(), AuditError> {
        let receipt = receipt.bounded();
        let mut queue = self.queue();
        if queue.closed {
            return Err(AuditError::Closed);
        }
        if self.waiting.load(Ordering::Acquire) >= BACKLOG_MAX {
            queue.lost += 1;
            return Err(AuditError::Full);
        }
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let becomes_urgent = waiter.is_some() && !queue.urgent;
        queue.urgent |= waiter.is_some();
        queue.entries.push_back(Entry { receipt, waiter });
        let count = queue.entries.len();
        drop(queue);
        if becomes_urgent || count == 1 || count == BATCH_RECORDS {
            self.wake.notify_one();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
