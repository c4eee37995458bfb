//! The rows of upload sessions.

use crate::store::Fault;
use crate::{HoldId, PartId, Session, SessionId, SessionQuery, UnixSeconds};

/// The half of a store that keeps sessions. What is removed or changed follows the same transaction as all else.
pub(crate) trait SessionRows {
    fn session(&mut self, id: SessionId) -> Result<Option<SessionRow>, Fault>;
    fn session_of(&mut self, hold: HoldId) -> Result<Option<SessionId>, Fault>;
    fn put_session(&mut self, row: &SessionRow) -> Result<(), Fault>;
    /// Removes a session and all its parts.
    fn remove_session(&mut self, id: SessionId) -> Result<(), Fault>;
    /// How many sessions an owner has.
    fn count_sessions(&mut self, owner: &str) -> Result<u64, Fault>;
    fn sessions(&mut self, query: &SessionQuery) -> Result<Vec<SessionRow>, Fault>;
    fn sessions_expired(&mut self, by: UnixSeconds, rows_max: u32) -> Result<Vec<SessionId>, Fault>;

    /// All parts of a number, finished or not.
    fn parts_of(&mut self, session: SessionId, number: u32) -> Result<Vec<PartRow>, Fault>;
    fn put_part(&mut self, row: &PartRow) -> Result<(), Fault>;
    fn remove_part(&mut self, id: PartId) -> Result<(), Fault>;
    /// The parts with finished bytes whose number lies above `after`, in order.
    fn parts(&mut self, session: SessionId, after: u32, rows_max: u32) -> Result<Vec<PartRow>, Fault>;
    /// The parts that are being received, of all sessions or of one.
    fn receiving(&mut self, session: Option<SessionId>) -> Result<Vec<PartRow>, Fault>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionRow {
    pub(crate) session: Session,
    /// What counts under its largest size.
    pub(crate) counted_bytes: u64,
    /// How many parts were ever begun.
    pub(crate) attempts: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartRow {
    pub(crate) id: PartId,
    /// What is finished of it, if anything was.
    pub(crate) finished: Option<Finished>,
    /// What is reserved for it in all, while it is received.
    pub(crate) receiving_bytes: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) bytes: u64,
    pub(crate) details: String,
    pub(crate) at: UnixSeconds,
}

impl PartRow {
    /// What of its number it makes count.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.receiving_bytes.unwrap_or_else(|| self.finished_bytes())
    }

    pub(crate) fn finished_bytes(&self) -> u64 {
        self.finished.as_ref().map_or(0, |finished| finished.bytes)
    }
}
