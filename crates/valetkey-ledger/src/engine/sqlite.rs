//! A ledger in one SQLite file, for one gateway.
//!
//! - One thread owns the database. It takes all commands that wait (at most [`BATCH_MAX`]), decides them within one
//!   transaction, commits it with one sync of the write-ahead log, and answers. A batch that wrote nothing commits
//!   nothing.
//! - A batch that cannot be written is rolled back as a whole, its leases too, and answered `Unavailable`; the ledger
//!   goes on, since a full disk may have room again. That is sound because SQLite takes no failed commit for done: it
//!   writes every page of it anew the next time, and a sync that failed is never believed later. Settlements of such a
//!   batch stay owed: they go first in the next batch, which is tried after a second at the latest. What was found
//!   damaged is another matter: the ledger then refuses everything until it is opened anew, which checks the whole file.
//! - One process: a lock on `FILE.lock`, not on the database itself, so that `sqlite3 -readonly` and backups can read
//!   it at any time. The operator's acceptance is written from another process; the ledger looks for it whenever it is
//!   about to refuse for the lack of it.
//! - The whole file is checked when it is opened, and each counter row bears a seal over its fields, compared at every
//!   read: a count that was damaged, or edited by hand, is never taken for a lower one. (Commits that a damaged
//!   write-ahead log lost after a crash cannot be told from ones that never happened. A clean stop leaves no log.)

mod backup;
mod file;
#[cfg(feature = "conformance")]
mod fill;
mod meters;
mod revocations;
mod schema;
mod seal;
mod sessions;
mod store;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::command::{Command, Reply, Settle};
use crate::state::Machine;
use crate::store::{Standing, Store};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::mpsc;
use crate::{
    Acceptance, Answer, AuditHead, FinishedPart, HoldId, HoldRequest, Ledger, LedgerError, Meter, MeterPage,
    MeterQuery, NewPart, NewRevocation, NewSession, OpenError, Part, PartId, Revocation, RevocationView,
    Session, SessionId, SessionQuery, Settlement, Status, UnixSeconds, Unresolved,
};
pub use backup::backup;
use file::{LockFile, failed};
#[cfg(feature = "conformance")]
pub use fill::fill_sqlite;
use store::SqliteStore;
use writer::Writer;

/// How many commands one commit takes. A few hundred spread the sync thin; more would only make the first one wait.
pub const BATCH_MAX: usize = 512;
/// How many commands may wait. Beyond it the ledger refuses instead of growing; settlements, whose number the open holds
/// bound, are taken all the same.
pub const WAITING_MAX: usize = 65_536;

/// A ledger in one SQLite file.
///
/// Dropping it stops it as [`Ledger::close`] does, and waits until it has stopped.
pub struct SqliteLedger {
    queue: Queue,
    revoked: Arc<RevocationView>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteLedger {
    /// Opens the ledger at `path`, or makes one, readable for its owner only. The folder must be there.
    ///
    /// Uses that an earlier life held for uploads and deletes and did not mark as publishing are given back.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = file::make(path.as_ref())?;
        let lock = LockFile::take(&path)?;
        let life = getrandom::u64().map_err(OpenError::Random)?;
        let store = SqliteStore::open(&path)?;
        let mut machine = Machine::new(store, life).map_err(|fault| store::open_error(&path, fault))?;
        machine.commit().map_err(|fault| store::open_error(&path, fault))?;

        let revoked = machine.revoked();
        let (commands, queue) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let writer = Writer::new(machine, queue, Arc::clone(&waiting));
        let thread = thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || writer.run(lock))
            .map_err(failed(&path))?;
        Ok(Self { queue: Queue { commands, waiting }, revoked, thread: Mutex::new(Some(thread)) })
    }
}

impl Ledger for SqliteLedger {
    fn hold(&self, request: HoldRequest) -> Answer<HoldId> {
        self.queue.hold(request)
    }

    fn grow(&self, hold: HoldId, bytes: u64) -> Answer<u64> {
        self.queue.ask(|reply| Command::Grow(hold, bytes, reply))
    }

    fn publish(&self, hold: HoldId) -> Answer<()> {
        self.queue.ask(|reply| Command::Publish(hold, reply))
    }

    fn settle(&self, hold: HoldId, settlement: Settlement, now: UnixSeconds) -> Answer<()> {
        self.queue.ask(|reply| Command::Settle(Settle { hold, settlement, now }, Some(reply)))
    }

    fn begin_session(&self, request: HoldRequest, session: NewSession) -> Answer<SessionId> {
        match SessionId::draw() {
            Ok(id) => self.queue.ask(|reply| Command::BeginSession(id, Some((request, session)), reply)),
            Err(error) => Box::pin(async move { Err(LedgerError::Unavailable(Arc::new(error))) }),
        }
    }

    fn session(&self, id: SessionId) -> Answer<Option<Session>> {
        self.queue.ask(|reply| Command::Session(id, reply))
    }

    fn sessions(&self, query: SessionQuery) -> Answer<Vec<Session>> {
        self.queue.ask(|reply| Command::Sessions(query, reply))
    }

    fn parts(&self, session: SessionId, after: u32, max: u32) -> Answer<Vec<Part>> {
        self.queue.ask(|reply| Command::Parts { session, after, max, reply })
    }

    fn reserve_part(&self, part: NewPart) -> Answer<PartId> {
        self.queue.ask(|reply| Command::ReservePart(part, reply))
    }

    fn grow_part(&self, part: PartId, bytes: u64) -> Answer<u64> {
        self.queue.ask(|reply| Command::GrowPart(part, bytes, reply))
    }

    fn finish_part(&self, part: PartId, finished: FinishedPart) -> Answer<Option<PartId>> {
        self.queue.ask(|reply| Command::FinishPart(part, finished, reply))
    }

    fn drop_part(&self, part: PartId) -> Answer<()> {
        self.queue.ask(|reply| Command::DropPart(part, reply))
    }

    fn complete_session(&self, id: SessionId, object: String) -> Answer<HoldId> {
        self.queue.ask(|reply| Command::CompleteSession(id, object, reply))
    }

    fn reopen_session(&self, id: SessionId) -> Answer<()> {
        self.queue.ask(|reply| Command::ReopenSession(id, reply))
    }

    fn abort_session(&self, id: SessionId) -> Answer<()> {
        self.queue.ask(|reply| Command::AbortSession(id, reply))
    }

    fn expired_sessions(&self, now: UnixSeconds, max: u32) -> Answer<Vec<SessionId>> {
        self.queue.ask(|reply| Command::ExpiredSessions(now, max, reply))
    }

    fn usage(&self, meter: Meter) -> Answer<crate::Usage> {
        self.queue.ask(|reply| Command::Usage(meter, reply))
    }

    fn meters(&self, query: MeterQuery) -> Answer<MeterPage> {
        self.queue.ask(|reply| Command::Meters(query, reply))
    }

    fn unresolved(&self) -> Answer<Vec<Unresolved>> {
        self.queue.ask(Command::Unresolved)
    }

    fn status(&self) -> Answer<Status> {
        self.queue.ask(Command::Status)
    }

    fn observe(&self, now: UnixSeconds) -> Answer<UnixSeconds> {
        self.queue.ask(|reply| Command::Observe(now, reply))
    }

    fn distrust(&self) -> Answer<()> {
        self.queue.ask(Command::Distrust)
    }

    fn note_audit_head(&self, head: AuditHead) -> Answer<()> {
        self.queue.ask(|reply| Command::NoteAuditHead(head, reply))
    }

    fn audit_head(&self) -> Answer<Option<AuditHead>> {
        self.queue.ask(Command::AuditHead)
    }

    fn revoke(&self, revocation: NewRevocation) -> Answer<Revocation> {
        self.queue.ask(|reply| Command::Revoke(revocation, reply))
    }

    fn lift(&self, number: u64) -> Answer<Option<Revocation>> {
        self.queue.ask(|reply| Command::Lift(number, reply))
    }

    fn revocations(&self, after: u64, max: u32) -> Answer<Vec<Revocation>> {
        self.queue.ask(|reply| Command::Revocations { after, max, reply })
    }

    fn revocations_view(&self) -> Arc<RevocationView> {
        Arc::clone(&self.revoked)
    }

    fn note_alias(&self, fingerprint: [u8; 16], level: Meter, keep_until: UnixSeconds) -> Answer<()> {
        self.queue.ask(|reply| Command::NoteAlias { fingerprint, level, keep_until, reply })
    }

    fn close(&self) -> Answer<()> {
        self.queue.ask(Command::Close)
    }
}

impl Drop for SqliteLedger {
    fn drop(&mut self) {
        drop(self.close());
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(_)) = thread.map(JoinHandle::join) {
            tracing::error!("ledger thread panicked");
        }
    }
}

/// Accepts what a ledger refuses for, from any process: the gateway may be running, and takes it over at the next
/// request that it would have refused.
///
/// # Errors
/// [`OpenError::Missing`] if there is no ledger, and see [`OpenError`].
pub fn accept(path: impl AsRef<Path>, acceptance: Acceptance) -> Result<(), OpenError> {
    let path = path.as_ref();
    if !path.try_exists().map_err(failed(path))? {
        return Err(OpenError::Missing(path.to_owned()));
    }
    let mut store = SqliteStore::open_beside(path)?;
    let mut write = || {
        store.begin()?;
        let mut header = store.header()?;
        match acceptance {
            Acceptance::NewLedger(now) => {
                header.standing = Standing::Accepted;
                header.time_mark = header.time_mark.max(now.min(UnixSeconds::MAX));
            }
            Acceptance::Clock(now) => header.time_mark = now.min(UnixSeconds::MAX),
            Acceptance::AuditLog => store.put_audit_head(None)?,
        }
        header.acceptances += 1;
        store.put_header(&header)?;
        store.commit()
    };
    write().map_err(|fault| store::open_error(path, fault))
}

/// Reads how far the audit log reached, from any process: the gateway may be running.
///
/// # Errors
/// [`OpenError::Missing`] if there is no ledger, and see [`OpenError`].
pub fn audit_head(path: impl AsRef<Path>) -> Result<Option<AuditHead>, OpenError> {
    let path = path.as_ref();
    if !path.try_exists().map_err(failed(path))? {
        return Err(OpenError::Missing(path.to_owned()));
    }
    SqliteStore::open_beside(path)?.audit_head().map_err(|fault| store::open_error(path, fault))
}

/// The way to the thread that owns the database.
#[derive(Clone)]
struct Queue {
    commands: mpsc::Sender<Command>,
    waiting: Arc<AtomicUsize>,
}

impl Queue {
    fn ask<T: Send + 'static>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Answer<T> {
        let (reply, answer) = Reply::new();
        self.push(command(reply));
        answer
    }

    fn hold(&self, request: HoldRequest) -> Answer<HoldId> {
        let (queue, now) = (self.clone(), request.now);
        let (reply, answer) = Reply::of_hold(move |hold| {
            queue.push(Command::Settle(Settle { hold, settlement: Settlement::Released, now }, None));
        });
        self.push(Command::Hold(Some(request), reply));
        answer
    }

    fn push(&self, command: Command) {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let must_come = matches!(
            command,
            Command::Settle(..) | Command::DropPart(..) | Command::ReopenSession(..) | Command::Close(_)
        );
        if waiting >= WAITING_MAX && !must_come {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            command.fail(LedgerError::Busy(waiting));
        } else if let Err(mpsc::SendError(command)) = self.commands.send(command) {
            command.fail(LedgerError::Closed);
        }
    }
}

#[cfg(test)]
mod tests;
