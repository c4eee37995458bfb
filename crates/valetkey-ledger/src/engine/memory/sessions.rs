//! Rows of sessions in maps.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::store::MemoryStore;
use crate::store::{Fault, PartRow, SessionRow, SessionRows};
use crate::{HoldId, PartId, SessionId, SessionQuery, UnixSeconds};

/// Sessions and their parts, in the order in which they are listed.
#[derive(Clone, Default)]
pub(crate) struct Sessions {
    sessions: BTreeMap<SessionId, SessionRow>,
    parts: BTreeMap<(SessionId, u32, u64), PartRow>,
}

impl SessionRows for MemoryStore {
    fn session(&mut self, id: SessionId) -> Result<Option<SessionRow>, Fault> {
        Ok(self.sessions.sessions.get(&id).cloned())
    }

    fn session_of(&mut self, hold: HoldId) -> Result<Option<SessionId>, Fault> {
        Ok(self.sessions.sessions.values().find(|row| row.session.hold == hold).map(|row| row.session.id))
    }

    fn put_session(&mut self, row: &SessionRow) -> Result<(), Fault> {
        self.has_writes = true;
        self.sessions.sessions.insert(row.session.id, row.clone());
        Ok(())
    }

    fn remove_session(&mut self, id: SessionId) -> Result<(), Fault> {
        self.has_writes = true;
        self.sessions.sessions.remove(&id);
        self.sessions.parts.retain(|(session, ..), _| *session != id);
        Ok(())
    }

    fn count_sessions(&mut self, owner: &str) -> Result<u64, Fault> {
        let count = self.sessions.sessions.values().filter(|row| row.session.owner == owner).count();
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    fn sessions(&mut self, query: &SessionQuery) -> Result<Vec<SessionRow>, Fault> {
        let SessionQuery { path_start, after, max } = query;
        let is_after = |row: &SessionRow| match after {
            None => true,
            Some((path, None)) => row.session.path > *path,
            Some((path, Some(id))) => (&row.session.path, row.session.id) > (path, *id),
        };
        let mut found: Vec<SessionRow> = (self.sessions.sessions.values())
            .filter(|row| row.session.path.starts_with(path_start) && is_after(row))
            .cloned()
            .collect();
        found.sort_by(|one, other| {
            (&one.session.path, one.session.id).cmp(&(&other.session.path, other.session.id))
        });
        found.truncate(usize::try_from(*max).unwrap_or(usize::MAX));
        Ok(found)
    }

    fn sessions_expired(&mut self, by: UnixSeconds, rows_max: u32) -> Result<Vec<SessionId>, Fault> {
        let mut due: Vec<_> = (self.sessions.sessions.values())
            .filter(|row| row.session.expires <= by)
            .map(|row| (row.session.expires, row.session.id))
            .collect();
        due.sort();
        due.truncate(usize::try_from(rows_max).unwrap_or(usize::MAX));
        Ok(due.into_iter().map(|(_, id)| id).collect())
    }

    fn parts_of(&mut self, session: SessionId, number: u32) -> Result<Vec<PartRow>, Fault> {
        let range = (session, number, 0)..=(session, number, u64::MAX);
        Ok(self.sessions.parts.range(range).map(|(_, row)| row.clone()).collect())
    }

    fn put_part(&mut self, row: &PartRow) -> Result<(), Fault> {
        self.has_writes = true;
        let PartId { session, number, attempt } = row.id;
        self.sessions.parts.insert((session, number, attempt), row.clone());
        Ok(())
    }

    fn remove_part(&mut self, id: PartId) -> Result<(), Fault> {
        self.has_writes = true;
        self.sessions.parts.remove(&(id.session, id.number, id.attempt));
        Ok(())
    }

    fn parts(&mut self, session: SessionId, after: u32, rows_max: u32) -> Result<Vec<PartRow>, Fault> {
        let from = Bound::Excluded((session, after, u64::MAX));
        let to = Bound::Included((session, u32::MAX, u64::MAX));
        let finished = self.sessions.parts.range((from, to)).filter(|(_, row)| row.finished.is_some());
        let rows_max = usize::try_from(rows_max).unwrap_or(usize::MAX);
        Ok(finished.take(rows_max).map(|(_, row)| row.clone()).collect())
    }

    fn receiving(&mut self, session: Option<SessionId>) -> Result<Vec<PartRow>, Fault> {
        let is_asked = |row: &PartRow| session.is_none_or(|session| row.id.session == session);
        let rows = self.sessions.parts.values();
        Ok(rows.filter(|row| row.receiving_bytes.is_some() && is_asked(row)).cloned().collect())
    }
}
