//! Commands as they travel to the engine, and the answers on their way back.
//!
//! A command carries the place for its answer. The engine decides a whole batch first and answers after its commit, so
//! that nobody learns of what is not durable.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::state::{Decided, Machine};
use crate::store::{Fault, Store};
use crate::sync::between_steps;
use crate::{
    Answer, AuditHead, FinishedPart, HoldId, HoldRequest, LedgerError, Meter, MeterPage, MeterQuery, NewPart,
    NewRevocation, NewSession, Part, PartId, Revocation, Session, SessionId, SessionQuery, Settlement,
    Status, UnixSeconds, Unresolved, Usage,
};

pub(crate) enum Command {
    Hold(Option<HoldRequest>, Reply<HoldId>),
    Grow(HoldId, u64, Reply<u64>),
    Publish(HoldId, Reply<()>),
    Settle(Settle, Option<Reply<()>>),
    Usage(Meter, Reply<Usage>),
    Meters(MeterQuery, Reply<MeterPage>),
    Unresolved(Reply<Vec<Unresolved>>),
    Status(Reply<Status>),
    Observe(UnixSeconds, Reply<UnixSeconds>),
    Distrust(Reply<()>),
    NoteAuditHead(AuditHead, Reply<()>),
    AuditHead(Reply<Option<AuditHead>>),
    BeginSession(SessionId, Option<(HoldRequest, NewSession)>, Reply<SessionId>),
    Session(SessionId, Reply<Option<Session>>),
    Sessions(SessionQuery, Reply<Vec<Session>>),
    Parts { session: SessionId, after: u32, max: u32, reply: Reply<Vec<Part>> },
    ReservePart(NewPart, Reply<PartId>),
    GrowPart(PartId, u64, Reply<u64>),
    FinishPart(PartId, FinishedPart, Reply<Option<PartId>>),
    DropPart(PartId, Reply<()>),
    CompleteSession(SessionId, String, Reply<HoldId>),
    ReopenSession(SessionId, Reply<()>),
    AbortSession(SessionId, Reply<()>),
    ExpiredSessions(UnixSeconds, u32, Reply<Vec<SessionId>>),
    Revoke(NewRevocation, Reply<Revocation>),
    Lift(u64, Reply<Option<Revocation>>),
    Revocations { after: u64, max: u32, reply: Reply<Vec<Revocation>> },
    NoteAlias { fingerprint: [u8; 16], level: Meter, keep_until: UnixSeconds, reply: Reply<()> },
    Close(Reply<()>),
}

/// The end of a hold, which must come to pass even if nobody waits for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settle {
    pub(crate) hold: HoldId,
    pub(crate) settlement: Settlement,
    pub(crate) now: UnixSeconds,
}

impl Command {
    /// Decides the command and keeps the result with it.
    pub(crate) fn decide<S: Store>(&mut self, machine: &mut Machine<S>) -> Result<(), Fault> {
        match self {
            Self::Hold(request, reply) => match request.take() {
                Some(request) => {
                    reply.now = request.now;
                    reply.keep(machine.hold(request))
                }
                None => Ok(()),
            },
            Self::Grow(hold, bytes, reply) => reply.keep(machine.grow(*hold, *bytes)),
            Self::Publish(hold, reply) => reply.keep(machine.publish(*hold)),
            Self::Settle(Settle { hold, settlement, now }, reply) => {
                let decided = machine.settle(*hold, *settlement, *now);
                match reply {
                    Some(reply) => reply.keep(decided),
                    None => decided.map(drop),
                }
            }
            Self::Usage(meter, reply) => reply.keep(machine.usage(meter)),
            Self::Meters(query, reply) => reply.keep(machine.meters(query)),
            Self::Unresolved(reply) => reply.keep(machine.unresolved()),
            Self::Status(reply) => reply.keep(machine.status()),
            Self::Observe(now, reply) => reply.keep(machine.observe(*now)),
            Self::Distrust(reply) => reply.keep(machine.distrust_counts()),
            Self::NoteAuditHead(head, reply) => reply.keep(machine.note_audit_head(*head)),
            Self::AuditHead(reply) => reply.keep(machine.audit_head()),
            Self::BeginSession(id, new, reply) => match new.take() {
                Some((request, session)) => reply.keep(machine.begin_session(*id, request, session)),
                None => Ok(()),
            },
            Self::Session(id, reply) => reply.keep(machine.session(*id)),
            Self::Sessions(query, reply) => reply.keep(machine.sessions(query.clone())),
            Self::Parts { session, after, max, reply } => reply.keep(machine.parts(*session, *after, *max)),
            Self::ReservePart(part, reply) => reply.keep(machine.reserve_part(part.clone())),
            Self::GrowPart(part, bytes, reply) => reply.keep(machine.grow_part(*part, *bytes)),
            Self::FinishPart(part, finished, reply) => {
                reply.keep(machine.finish_part(*part, finished.clone()))
            }
            Self::DropPart(part, reply) => reply.keep(machine.drop_part(*part)),
            Self::CompleteSession(id, object, reply) => {
                reply.keep(machine.complete_session(*id, std::mem::take(object)))
            }
            Self::ReopenSession(id, reply) => reply.keep(machine.reopen_session(*id)),
            Self::AbortSession(id, reply) => reply.keep(machine.abort_session(*id)),
            Self::ExpiredSessions(now, max, reply) => reply.keep(machine.expired_sessions(*now, *max)),
            Self::Revoke(new, reply) => reply.keep(machine.revoke(new)),
            Self::Lift(number, reply) => reply.keep(machine.lift(*number)),
            Self::Revocations { after, max, reply } => reply.keep(machine.revocations(*after, *max)),
            Self::NoteAlias { fingerprint, level, keep_until, reply } => {
                reply.keep(machine.note_alias(*fingerprint, level, *keep_until))
            }
            Self::Close(reply) => reply.keep(Ok(Ok(()))),
        }
    }

    /// Gives the result that was kept, which is durable now. Returns what is owed since nobody was there to take it.
    pub(crate) fn answer(self) -> Option<Settle> {
        match self {
            Self::Hold(_, reply) => {
                let now = reply.now;
                let hold = reply.answer()?.ok()?;
                return Some(Settle { hold, settlement: Settlement::Released, now });
            }
            Self::Settle(_, reply) => drop(reply.map(Reply::answer)),
            Self::Publish(_, reply)
            | Self::Distrust(reply)
            | Self::NoteAuditHead(_, reply)
            | Self::DropPart(_, reply)
            | Self::ReopenSession(_, reply)
            | Self::AbortSession(_, reply)
            | Self::NoteAlias { reply, .. }
            | Self::Close(reply) => drop(reply.answer()),
            Self::Revoke(_, reply) => drop(reply.answer()),
            Self::Lift(_, reply) => drop(reply.answer()),
            Self::Revocations { reply, .. } => drop(reply.answer()),
            Self::Session(_, reply) => drop(reply.answer()),
            Self::Sessions(_, reply) => drop(reply.answer()),
            Self::ReservePart(_, reply) => drop(reply.answer()),
            Self::GrowPart(_, _, reply) => drop(reply.answer()),
            Self::FinishPart(_, _, reply) => drop(reply.answer()),
            Self::CompleteSession(_, _, reply) => drop(reply.answer()),
            Self::BeginSession(_, _, reply) => drop(reply.answer()),
            Self::ExpiredSessions(_, _, reply) => drop(reply.answer()),
            Self::Parts { reply, .. } => drop(reply.answer()),
            Self::AuditHead(reply) => drop(reply.answer()),
            Self::Grow(.., reply) => drop(reply.answer()),
            Self::Usage(_, reply) => drop(reply.answer()),
            Self::Meters(_, reply) => drop(reply.answer()),
            Self::Unresolved(reply) => drop(reply.answer()),
            Self::Status(reply) => drop(reply.answer()),
            Self::Observe(_, reply) => drop(reply.answer()),
        }
        None
    }

    /// Answers that the command was not done. Returns the settlement that is owed in spite of that.
    pub(crate) fn fail(self, error: LedgerError) -> Option<Settle> {
        match self {
            Self::Hold(_, reply) => reply.send(Err(error)),
            Self::Settle(settle, reply) => {
                if let Some(reply) = reply {
                    reply.send(Err(error));
                }
                return Some(settle);
            }
            Self::Publish(_, reply)
            | Self::Distrust(reply)
            | Self::NoteAuditHead(_, reply)
            | Self::DropPart(_, reply)
            | Self::ReopenSession(_, reply)
            | Self::AbortSession(_, reply)
            | Self::NoteAlias { reply, .. }
            | Self::Close(reply) => reply.send(Err(error)),
            Self::Revoke(_, reply) => reply.send(Err(error)),
            Self::Lift(_, reply) => reply.send(Err(error)),
            Self::Revocations { reply, .. } => reply.send(Err(error)),
            Self::Session(_, reply) => reply.send(Err(error)),
            Self::Sessions(_, reply) => reply.send(Err(error)),
            Self::ReservePart(_, reply) => reply.send(Err(error)),
            Self::GrowPart(_, _, reply) => reply.send(Err(error)),
            Self::FinishPart(_, _, reply) => reply.send(Err(error)),
            Self::CompleteSession(_, _, reply) => reply.send(Err(error)),
            Self::BeginSession(_, _, reply) => reply.send(Err(error)),
            Self::ExpiredSessions(_, _, reply) => reply.send(Err(error)),
            Self::Parts { reply, .. } => reply.send(Err(error)),
            Self::AuditHead(reply) => reply.send(Err(error)),
            Self::Grow(.., reply) => reply.send(Err(error)),
            Self::Usage(_, reply) => reply.send(Err(error)),
            Self::Meters(_, reply) => reply.send(Err(error)),
            Self::Unresolved(reply) => reply.send(Err(error)),
            Self::Status(reply) => reply.send(Err(error)),
            Self::Observe(_, reply) => reply.send(Err(error)),
        }
        None
    }
}

/// The place for an answer, and the answer while it is not durable yet.
pub(crate) struct Reply<T> {
    to: oneshot::Sender<Result<T, LedgerError>>,
    kept: Option<Result<T, LedgerError>>,
    /// When it was asked, as far as that is known.
    now: UnixSeconds,
}

impl<T: Send + 'static> Reply<T> {
    /// A place for an answer, and the answer that will come from it.
    pub(crate) fn new() -> (Self, Answer<T>) {
        let (reply, receiver) = Self::with_receiver();
        (reply, Box::pin(async move { receiver.await.unwrap_or(Err(LedgerError::Closed)) }))
    }

    fn with_receiver() -> (Self, oneshot::Receiver<Result<T, LedgerError>>) {
        let (to, receiver) = oneshot::channel();
        (Self { to, kept: None, now: UnixSeconds(0) }, receiver)
    }

    fn keep(&mut self, decided: Decided<T>) -> Result<(), Fault> {
        self.kept = Some(decided?);
        Ok(())
    }

    /// Returns the result if nobody waits for it any more.
    fn answer(self) -> Option<Result<T, LedgerError>> {
        between_steps();
        self.to.send(self.kept.unwrap_or(Err(LedgerError::Closed))).err()
    }

    pub(crate) fn send(self, result: Result<T, LedgerError>) {
        // Whoever has stopped waiting does not want to know.
        drop(self.to.send(result));
    }
}

impl Reply<HoldId> {
    /// A place for a hold. If its answer is dropped with the hold in it, `release` is given the hold: a hold that
    /// nobody learned of would otherwise stay open for ever.
    pub(crate) fn of_hold(release: impl FnOnce(HoldId) + Send + 'static) -> (Self, Answer<HoldId>) {
        let (reply, receiver) = Self::with_receiver();
        (reply, Box::pin(HoldAnswer { receiver, release: Some(Box::new(release)) }))
    }
}

struct HoldAnswer {
    receiver: oneshot::Receiver<Result<HoldId, LedgerError>>,
    release: Option<Box<dyn FnOnce(HoldId) + Send>>,
}

impl Future for HoldAnswer {
    type Output = Result<HoldId, LedgerError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let result = std::task::ready!(Pin::new(&mut self.receiver).poll(context));
        self.release = None;
        Poll::Ready(result.unwrap_or(Err(LedgerError::Closed)))
    }
}

impl Drop for HoldAnswer {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            between_steps();
            // From here on the engine's send fails, and it releases the hold itself.
            self.receiver.close();
            between_steps();
            if let Ok(Ok(hold)) = self.receiver.try_recv() {
                release(hold);
            }
        }
    }
}
