//! Its rows of sessions.

use super::FailingStore;
use crate::store::{Fault, PartRow, SessionRow, SessionRows};
use crate::{HoldId, PartId, SessionId, SessionQuery, UnixSeconds};

impl SessionRows for FailingStore {
    fn session(&mut self, id: SessionId) -> Result<Option<SessionRow>, Fault> {
        self.rows.session(id)
    }

    fn session_of(&mut self, hold: HoldId) -> Result<Option<SessionId>, Fault> {
        self.rows.session_of(hold)
    }

    fn put_session(&mut self, row: &SessionRow) -> Result<(), Fault> {
        self.rows.put_session(row)
    }

    fn remove_session(&mut self, id: SessionId) -> Result<(), Fault> {
        self.rows.remove_session(id)
    }

    fn count_sessions(&mut self, owner: &str) -> Result<u64, Fault> {
        self.rows.count_sessions(owner)
    }

    fn sessions(&mut self, query: &SessionQuery) -> Result<Vec<SessionRow>, Fault> {
        self.rows.sessions(query)
    }

    fn sessions_expired(&mut self, by: UnixSeconds, rows_max: u32) -> Result<Vec<SessionId>, Fault> {
        self.rows.sessions_expired(by, rows_max)
    }

    fn parts_of(&mut self, session: SessionId, number: u32) -> Result<Vec<PartRow>, Fault> {
        self.rows.parts_of(session, number)
    }

    fn put_part(&mut self, row: &PartRow) -> Result<(), Fault> {
        self.rows.put_part(row)
    }

    fn remove_part(&mut self, id: PartId) -> Result<(), Fault> {
        self.rows.remove_part(id)
    }

    fn parts(&mut self, session: SessionId, after: u32, rows_max: u32) -> Result<Vec<PartRow>, Fault> {
        self.rows.parts(session, after, rows_max)
    }

    fn receiving(&mut self, session: Option<SessionId>) -> Result<Vec<PartRow>, Fault> {
        self.rows.receiving(session)
    }
}
