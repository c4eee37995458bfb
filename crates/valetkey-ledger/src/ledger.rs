//! The surface that every engine offers.

use std::pin::Pin;
use std::sync::Arc;

use crate::{
    Action, FinishedPart, HoldId, HoldRequest, LedgerError, Meter, MeterPage, MeterQuery, NewPart,
    NewRevocation, NewSession, Part, PartId, Revocation, RevocationView, Session, SessionId, SessionQuery,
    Settlement, UnixSeconds, Usage,
};

/// What a ledger answers. The command is given when the method is called, not when the answer is polled.
///
/// Dropping an answer undoes nothing but a [`Ledger::hold`]: a hold that nobody learned of is released.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send>>;

/// The record of what keys have used.
///
/// Nothing here assumes one process: an engine may be shared by several gateways.
pub trait Ledger: Send + Sync + 'static {
    /// Holds what the purpose costs of every charge, or of none. Resolves once that is durable, as far as a level
    /// limits it.
    ///
    /// A download that rides on a lease takes no use. An [`Answer`](crate::Purpose::Answer) is charged and ended at
    /// once. Dropping the answer releases the hold.
    ///
    /// # Errors
    /// [`LedgerError::Exhausted`] if a level has no use left, [`LedgerError::NotAccepted`] while the operator must
    /// accept something, [`LedgerError::Forgotten`] for a key of which no record is kept any more, and every fault.
    fn hold(&self, request: HoldRequest) -> Answer<HoldId>;

    /// Reserves up to that many more bytes under [`Resource::In`](crate::Resource::In) for an upload that is open and
    /// not published, and says how many there were: all of them, or what was left. Resolves once that is durable.
    ///
    /// # Errors
    /// [`LedgerError::Exhausted`] if a level has not one byte left, [`LedgerError::UnknownHold`] if no such upload is
    /// open, and every fault.
    fn grow(&self, hold: HoldId, bytes: u64) -> Answer<u64>;

    /// Marks an upload or a delete as about to show: from here on a crash leaves it unresolved, not released.
    /// Resolves once that is durable. Doing it twice does no harm.
    ///
    /// # Errors
    /// [`LedgerError::UnknownHold`] if no upload or delete of that name is open, and every fault.
    fn publish(&self, hold: HoldId) -> Answer<()>;

    /// Ends a hold. `now` is the time at which it ended.
    ///
    /// A fault does not undo it: the ledger goes on trying until it is written, so it is not to be repeated. What a
    /// crash then finds counts as spent.
    ///
    /// # Errors
    /// [`LedgerError::UnknownHold`] if it has ended already, and every fault.
    fn settle(&self, hold: HoldId, settlement: Settlement, now: UnixSeconds) -> Answer<()>;

    /// Begins an upload session, and holds its one use until it ends. Resolves once that is durable.
    ///
    /// The request's purpose is an upload, of which nothing is declared; it may have no charges. A session of which
    /// nobody learned stays until it expires.
    ///
    /// # Errors
    /// [`LedgerError::TooManySessions`] of its owner, and those of [`Ledger::hold`].
    fn begin_session(&self, request: HoldRequest, session: NewSession) -> Answer<SessionId>;

    /// The open session of this name, also one that has expired and is not yet aborted.
    ///
    /// # Errors
    /// Every fault.
    fn session(&self, id: SessionId) -> Answer<Option<Session>>;

    /// Open sessions, as asked for.
    ///
    /// # Errors
    /// Every fault.
    fn sessions(&self, query: SessionQuery) -> Answer<Vec<Session>>;

    /// At most `max` finished parts with a number above `after`, in order.
    ///
    /// # Errors
    /// Every fault.
    fn parts(&self, session: SessionId, after: u32, max: u32) -> Answer<Vec<Part>>;

    /// Reserves the bytes of a part, all or none, before they flow. Whoever has the answer finishes or drops the
    /// part; one of which nobody learned stays reserved until the session ends or the ledger is opened anew.
    ///
    /// # Errors
    /// [`LedgerError::UnknownSession`], also of one that has expired; [`LedgerError::SessionBusy`] while it is
    /// completed; [`LedgerError::SessionFull`] beyond its largest size; [`LedgerError::Exhausted`] of the bytes of
    /// a level, or of what may run at once; [`LedgerError::WrongOffset`] and [`LedgerError::PartBusy`] of a part that goes on; every fault.
    fn reserve_part(&self, part: NewPart) -> Answer<PartId>;

    /// Reserves up to `bytes` more for a part, and says how many were to be had: at least one.
    ///
    /// # Errors
    /// As [`Ledger::reserve_part`], and [`LedgerError::UnknownPart`].
    fn grow_part(&self, part: PartId, bytes: u64) -> Answer<u64>;

    /// Keeps a part that was received, and gives back what it had reserved too much. Returns the part of its number
    /// that it replaced, whose bytes nobody needs any more. Resolves once that is durable.
    ///
    /// # Errors
    /// [`LedgerError::UnknownPart`], [`LedgerError::SessionBusy`], and every fault: the part is to be dropped then.
    fn finish_part(&self, part: PartId, finished: FinishedPart) -> Answer<Option<PartId>>;

    /// Gives back what a part has reserved and not finished.
    ///
    /// # Errors
    /// [`LedgerError::UnknownPart`], and every fault.
    fn drop_part(&self, part: PartId) -> Answer<()>;

    /// Marks a session's object as about to show, as [`Ledger::publish`] does, and returns its hold, whose settlement
    /// ends the session too. From here on it takes no further part. `object` replaces the words that were held, for
    /// it is this request that a crash would now leave unrecorded.
    ///
    /// # Errors
    /// [`LedgerError::UnknownSession`]; [`LedgerError::SessionBusy`] if it is marked already, or while a part goes on;
    /// every fault.
    fn complete_session(&self, id: SessionId, object: String) -> Answer<HoldId>;

    /// Opens a session again whose object did not come to show.
    ///
    /// # Errors
    /// [`LedgerError::UnknownSession`], and every fault.
    fn reopen_session(&self, id: SessionId) -> Answer<()>;

    /// Ends a session and gives back all that it held.
    ///
    /// # Errors
    /// [`LedgerError::UnknownSession`], [`LedgerError::SessionBusy`] while it is completed, and every fault.
    fn abort_session(&self, id: SessionId) -> Answer<()>;

    /// At most `max` sessions that have expired by `now` and by the highest time seen, for somebody to abort.
    ///
    /// # Errors
    /// Every fault.
    fn expired_sessions(&self, now: UnixSeconds, max: u32) -> Answer<Vec<SessionId>>;

    /// How much is held or spent under a meter.
    ///
    /// # Errors
    /// Every fault.
    fn usage(&self, meter: Meter) -> Answer<Usage>;

    /// The meters that a query asks for, in the order of their names, a page at a time.
    ///
    /// # Errors
    /// Every fault.
    fn meters(&self, query: MeterQuery) -> Answer<MeterPage>;

    /// The holds that an earlier life left publishing. Whoever asks looks what became of each, and settles it.
    ///
    /// # Errors
    /// Every fault.
    fn unresolved(&self) -> Answer<Vec<Unresolved>>;

    /// How the ledger stands.
    ///
    /// # Errors
    /// Every fault.
    fn status(&self) -> Answer<Status>;

    /// Raises the highest time seen, and returns it: the time by which ends are to be judged.
    ///
    /// It is durable with the next commit, or within about ten seconds of time seen. The first call takes a new ledger
    /// into use: [`Status::fresh`] is to be judged before.
    ///
    /// # Errors
    /// Every fault.
    fn observe(&self, now: UnixSeconds) -> Answer<UnixSeconds>;

    /// Refuses every hold until the operator accepts this ledger ([`Acceptance::NewLedger`]): it is new, or was restored
    /// from a copy, and other records say that more was counted. Durable.
    ///
    /// # Errors
    /// Every fault.
    fn distrust(&self) -> Answer<()>;

    /// Keeps how far the audit log reaches, in place of what was kept before. Durable. Whoever tells it has made the
    /// record durable first, so that a log which ends before it was cut.
    ///
    /// # Errors
    /// Every fault.
    fn note_audit_head(&self, head: AuditHead) -> Answer<()>;

    /// How far the audit log reached when that was last told; `None` where it never was, or where an operator has
    /// accepted the log as it is since ([`Acceptance::AuditLog`]).
    ///
    /// # Errors
    /// Every fault.
    fn audit_head(&self) -> Answer<Option<AuditHead>>;

    /// Revokes. Once it is answered it is durable, and in the [view](Ledger::revocations_view).
    ///
    /// The same target and `before` again is the revocation that there is, kept until the later of the two ends. A
    /// [fingerprint](crate::Target::Fingerprint) whose level is [known](Ledger::note_alias) revokes that level.
    ///
    /// # Errors
    /// [`LedgerError::OutOfRange`], and every fault.
    fn revoke(&self, revocation: NewRevocation) -> Answer<Revocation>;

    /// Takes a revocation back, and returns it; `None` where none of that number is in force. What another
    /// revocation holds stays revoked.
    ///
    /// # Errors
    /// Every fault.
    fn lift(&self, number: u64) -> Answer<Option<Revocation>>;

    /// At most `max` revocations in force whose number is above `after`, in the order of their numbers.
    ///
    /// # Errors
    /// Every fault.
    fn revocations(&self, after: u64, max: u32) -> Answer<Vec<Revocation>>;

    /// The revocations in force, to be asked at once and without a fault.
    fn revocations_view(&self) -> Arc<RevocationView>;

    /// Notes that the level of this name has (also) this fingerprint, as a renewed one has, so that whoever revokes
    /// the fingerprint revokes the name. Durable; kept a day beyond `keep_until`.
    ///
    /// # Errors
    /// [`LedgerError::OutOfRange`], and every fault.
    fn note_alias(&self, fingerprint: [u8; 16], level: Meter, keep_until: UnixSeconds) -> Answer<()>;

    /// Does what was asked before, then stops and lets go of everything. What is asked later is
    /// [`LedgerError::Closed`]. Holds that are open count as after a crash.
    ///
    /// # Errors
    /// [`LedgerError::Closed`] if it was closed before.
    fn close(&self) -> Answer<()>;
}

/// A hold that a crash left between its publishing mark and its settlement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    /// Which hold.
    pub hold: HoldId,
    /// What it was about to do.
    pub action: Action,
    /// To which object, in the words of the request.
    pub object: String,
}

/// The newest durable record of the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// How many records the log had, this one included.
    pub records: u64,
    /// The hash that the next one carries.
    pub hash: [u8; 32],
}

/// How a ledger stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// What tells this ledger from others: drawn when it was made.
    pub ledger: u64,
    /// Nothing was ever recorded in it before it was opened.
    pub fresh: bool,
    /// Its counts are trusted: false from [`Ledger::distrust`] until the operator's acceptance.
    pub accepted: bool,
    /// The highest time seen.
    pub time_mark: UnixSeconds,
    /// Keys that ended before this moment are refused for ever, since their counts may be gone.
    pub cleared_before: UnixSeconds,
}

/// What an operator accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// The ledger may go on from what it holds, which may be nothing. It has seen this time:
    /// what was recorded elsewhere until now is known to lie before.
    NewLedger(UnixSeconds),
    /// The clock is right, and the highest time seen was not: from here on it is this one.
    Clock(UnixSeconds),
    /// The audit log may lack what the ledger knows to have been in it.
    AuditLog,
}
