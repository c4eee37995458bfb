//! A ledger in memory: for tests, and to hold the durable ones against.
//!
//! It promises all that the others do but to survive: it ends with its process.

mod revocations;
mod sessions;
mod store;

use std::sync::{Arc, Mutex, PoisonError};

use crate::command::{Command, Reply, Settle};
use crate::state::Machine;
use crate::{
    Answer, AuditHead, FinishedPart, HoldId, HoldRequest, Ledger, LedgerError, Meter, MeterPage, MeterQuery,
    NewPart, NewRevocation, NewSession, OpenError, Part, PartId, Revocation, RevocationView, Session,
    SessionId, SessionQuery, Settlement, Status, UnixSeconds, Unresolved,
};
pub(crate) use store::MemoryStore;

/// A ledger that lives as long as its value.
pub struct MemoryLedger {
    /// `None` once it is closed.
    machine: Shared,
    revoked: Arc<RevocationView>,
}

type Shared = Arc<Mutex<Option<Machine<MemoryStore>>>>;

impl MemoryLedger {
    /// An empty ledger.
    ///
    /// # Errors
    /// [`OpenError::Random`] if the operating system gives no random number.
    pub fn open() -> Result<Self, OpenError> {
        let random = || getrandom::u64().map_err(OpenError::Random);
        let machine = Machine::new(MemoryStore::new(random()?), random()?);
        let revoked = machine.as_ref().map_or_else(|_| Arc::new(RevocationView::new()), Machine::revoked);
        // A store in memory has no faults; if it had, the ledger would answer as a closed one.
        Ok(Self { machine: Arc::new(Mutex::new(machine.ok())), revoked })
    }

    fn ask<T: Send + 'static>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Answer<T> {
        let (reply, answer) = Reply::new();
        run(&self.machine, command(reply));
        answer
    }
}

impl Ledger for MemoryLedger {
    fn hold(&self, request: HoldRequest) -> Answer<HoldId> {
        let (machine, now) = (Arc::clone(&self.machine), request.now);
        let (reply, answer) = Reply::of_hold(move |hold| {
            run(&machine, Command::Settle(Settle { hold, settlement: Settlement::Released, now }, None));
        });
        run(&self.machine, Command::Hold(Some(request), reply));
        answer
    }

    fn grow(&self, hold: HoldId, bytes: u64) -> Answer<u64> {
        self.ask(|reply| Command::Grow(hold, bytes, reply))
    }

    fn publish(&self, hold: HoldId) -> Answer<()> {
        self.ask(|reply| Command::Publish(hold, reply))
    }

    fn settle(&self, hold: HoldId, settlement: Settlement, now: UnixSeconds) -> Answer<()> {
        self.ask(|reply| Command::Settle(Settle { hold, settlement, now }, Some(reply)))
    }

    fn begin_session(&self, request: HoldRequest, session: NewSession) -> Answer<SessionId> {
        match SessionId::draw() {
            Ok(id) => self.ask(|reply| Command::BeginSession(id, Some((request, session)), reply)),
            Err(error) => Box::pin(async move { Err(LedgerError::Unavailable(Arc::new(error))) }),
        }
    }

    fn session(&self, id: SessionId) -> Answer<Option<Session>> {
        self.ask(|reply| Command::Session(id, reply))
    }

    fn sessions(&self, query: SessionQuery) -> Answer<Vec<Session>> {
        self.ask(|reply| Command::Sessions(query, reply))
    }

    fn parts(&self, session: SessionId, after: u32, max: u32) -> Answer<Vec<Part>> {
        self.ask(|reply| Command::Parts { session, after, max, reply })
    }

    fn reserve_part(&self, part: NewPart) -> Answer<PartId> {
        self.ask(|reply| Command::ReservePart(part, reply))
    }

    fn grow_part(&self, part: PartId, bytes: u64) -> Answer<u64> {
        self.ask(|reply| Command::GrowPart(part, bytes, reply))
    }

    fn finish_part(&self, part: PartId, finished: FinishedPart) -> Answer<Option<PartId>> {
        self.ask(|reply| Command::FinishPart(part, finished, reply))
    }

    fn drop_part(&self, part: PartId) -> Answer<()> {
        self.ask(|reply| Command::DropPart(part, reply))
    }

    fn complete_session(&self, id: SessionId, object: String) -> Answer<HoldId> {
        self.ask(|reply| Command::CompleteSession(id, object, reply))
    }

    fn reopen_session(&self, id: SessionId) -> Answer<()> {
        self.ask(|reply| Command::ReopenSession(id, reply))
    }

    fn abort_session(&self, id: SessionId) -> Answer<()> {
        self.ask(|reply| Command::AbortSession(id, reply))
    }

    fn expired_sessions(&self, now: UnixSeconds, max: u32) -> Answer<Vec<SessionId>> {
        self.ask(|reply| Command::ExpiredSessions(now, max, reply))
    }

    fn usage(&self, meter: Meter) -> Answer<crate::Usage> {
        self.ask(|reply| Command::Usage(meter, reply))
    }

    fn meters(&self, query: MeterQuery) -> Answer<MeterPage> {
        self.ask(|reply| Command::Meters(query, reply))
    }

    fn unresolved(&self) -> Answer<Vec<Unresolved>> {
        self.ask(Command::Unresolved)
    }

    fn status(&self) -> Answer<Status> {
        self.ask(Command::Status)
    }

    fn observe(&self, now: UnixSeconds) -> Answer<UnixSeconds> {
        self.ask(|reply| Command::Observe(now, reply))
    }

    fn distrust(&self) -> Answer<()> {
        self.ask(Command::Distrust)
    }

    fn note_audit_head(&self, head: AuditHead) -> Answer<()> {
        self.ask(|reply| Command::NoteAuditHead(head, reply))
    }

    fn audit_head(&self) -> Answer<Option<AuditHead>> {
        self.ask(Command::AuditHead)
    }

    fn revoke(&self, revocation: NewRevocation) -> Answer<Revocation> {
        self.ask(|reply| Command::Revoke(revocation, reply))
    }

    fn lift(&self, number: u64) -> Answer<Option<Revocation>> {
        self.ask(|reply| Command::Lift(number, reply))
    }

    fn revocations(&self, after: u64, max: u32) -> Answer<Vec<Revocation>> {
        self.ask(|reply| Command::Revocations { after, max, reply })
    }

    fn revocations_view(&self) -> Arc<RevocationView> {
        Arc::clone(&self.revoked)
    }

    fn note_alias(&self, fingerprint: [u8; 16], level: Meter, keep_until: UnixSeconds) -> Answer<()> {
        self.ask(|reply| Command::NoteAlias { fingerprint, level, keep_until, reply })
    }

    fn close(&self) -> Answer<()> {
        self.ask(Command::Close)
    }
}

fn run(machine: &Shared, mut command: Command) {
    // A command that panicked half way has left counts that nobody should trust: the ledger is closed then.
    let mut place = machine.lock().unwrap_or_else(|poisoned| {
        let mut place = PoisonError::into_inner(poisoned);
        *place = None;
        place
    });
    let Some(machine) = place.as_mut() else {
        command.fail(LedgerError::Closed);
        return;
    };
    let outcome = command.decide(machine).and_then(|()| machine.commit());
    match outcome {
        Ok(()) => {
            if matches!(command, Command::Close(_)) {
                *place = None;
            }
            // The answer of a hold cannot be gone yet: this runs before the answer is handed out.
            command.answer();
        }
        Err(fault) => {
            machine.roll_back();
            command.fail(fault.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MemoryLedger;

    crate::conformance!((MemoryLedger::open().expect("the system gives random numbers"), ()));
}
