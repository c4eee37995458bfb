//! The transitions of upload sessions; the module `session` has their rules.

use super::{Decided, Machine, in_range};
use crate::account::Cost;
use crate::store::{Charged, Fault, FileName, Finished, HoldRow, HoldState, PartRow, SessionRow, Store};
use crate::undo::Undo;
use crate::{
    Action, Charge, FinishedPart, HoldId, HoldRequest, LedgerError, NewPart, NewSession, Part, PartId,
    PartStart, Purpose, Session, SessionId, SessionQuery, Settlement, UnixSeconds,
};

/// How many rows one answer has at most, whatever is asked for.
pub(crate) const ROWS_MAX: u32 = 1000;

/// What is known of sessions in this life alone.
#[derive(Default)]
pub(super) struct Uploading {
    /// The parts that are being received, as far as they count among what runs at once.
    running: Undo<PartId, Vec<Charged>>,
    /// The holds of the sessions that were completed, and not opened again.
    completed: Undo<HoldId, ()>,
}

impl Uploading {
    pub(super) fn is_completed(&self, hold: HoldId) -> bool {
        self.completed.get(&hold).is_some()
    }

    pub(super) fn keep(&mut self) {
        self.running.keep();
        self.completed.keep();
    }

    pub(super) fn roll_back(&mut self) {
        self.running.roll_back();
        self.completed.roll_back();
    }
}

impl<S: Store> Machine<S> {
    pub(crate) fn begin_session(
        &mut self,
        id: SessionId,
        request: HoldRequest,
        new: NewSession,
    ) -> Decided<SessionId> {
        let HoldRequest { mut charges, purpose, now } = request;
        let Purpose::Upload { object, file, .. } = purpose else {
            return Ok(Err(LedgerError::NoCharge));
        };
        if !charges.is_empty() {
            if let Err(refusal) = in_range(&charges, now) {
                return Ok(Err(refusal));
            }
            if let Err(refusal) = self.trust(now)? {
                return Ok(Err(refusal));
            }
        }
        if let Err(refusal) = new_in_range(&new, now) {
            return Ok(Err(refusal));
        }
        self.see(now);
        if let Err(refusal) = self.remembered(&charges) {
            return Ok(Err(refusal));
        }
        if self.store.count_sessions(&new.owner)? >= new.owner_sessions_max {
            return Ok(Err(LedgerError::TooManySessions(new.owner_sessions_max)));
        }
        for charge in &mut charges {
            // What a session is charged with must not be cleared before the session is over.
            charge.keep_until = charge.keep_until.max(new.expires);
        }
        let file = FileName::of(&file);
        let cost = Cost { uses: 1, file: Some(file), ..Cost::default() };
        let charged = match self.charge(&charges, cost, now)? {
            Ok(charged) => charged,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.sequence += 1;
        let hold = HoldId { ledger: self.header.ledger, life: self.life, sequence: self.sequence };
        let row = HoldRow {
            state: HoldState::Held,
            action: Action::Upload,
            object,
            in_bytes: 0,
            out_bytes: 0,
            file: Some(file),
            charged,
        };
        self.store.put_hold(hold, row)?;
        let NewSession { owner, owner_sessions_max: _, path, bytes_max, expires, details } = new;
        let session =
            Session { id, hold, owner, path, bytes_max, begun: now, expires, details, parts: 0, bytes: 0 };
        self.store.put_session(&SessionRow { session, counted_bytes: 0, attempts: 0 })?;
        Ok(Ok(id))
    }

    pub(crate) fn session(&mut self, id: SessionId) -> Decided<Option<Session>> {
        Ok(Ok(self.store.session(id)?.map(|row| row.session)))
    }

    pub(crate) fn sessions(&mut self, mut query: SessionQuery) -> Decided<Vec<Session>> {
        query.max = query.max.min(ROWS_MAX);
        Ok(Ok(self.store.sessions(&query)?.into_iter().map(|row| row.session).collect()))
    }

    pub(crate) fn parts(&mut self, session: SessionId, after: u32, max: u32) -> Decided<Vec<Part>> {
        let rows = self.store.parts(session, after, max.min(ROWS_MAX))?;
        Ok(Ok(rows.into_iter().filter_map(part).collect()))
    }

    pub(crate) fn reserve_part(&mut self, new: NewPart) -> Decided<PartId> {
        let NewPart { session: id, number, start, bytes, charges, now } = new;
        self.see(now);
        let mut session = match self.receptive(id)? {
            Ok(session) => session,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if session.session.expires <= now.max(self.header.time_mark) {
            return Ok(Err(LedgerError::UnknownSession(id)));
        }
        let mut rows = self.store.parts_of(id, number)?;
        let before = counted(&rows);
        let place = match start {
            PartStart::Anew => {
                session.attempts += 1;
                let id = PartId { session: id, number, attempt: session.attempts };
                rows.push(PartRow { id, finished: None, receiving_bytes: Some(bytes) });
                rows.len() - 1
            }
            PartStart::At(at) => {
                let place = rows.iter().position(|row| row.finished.is_some());
                let end = place.map_or(0, |place| rows[place].finished_bytes());
                let Some(place) = place.filter(|_| end == at) else {
                    return Ok(Err(LedgerError::WrongOffset { end }));
                };
                if rows[place].receiving_bytes.is_some() {
                    return Ok(Err(LedgerError::PartBusy(number)));
                }
                rows[place].receiving_bytes = Some(end.saturating_add(bytes));
                place
            }
        };
        if let Err(refusal) = session.count(before, counted(&rows)) {
            return Ok(Err(refusal));
        }
        let part = rows[place].id;
        if let Err(refusal) = self.run(part, &charges, now)? {
            return Ok(Err(refusal));
        }
        if let Err(refusal) = self.take_bytes(session.session.hold, bytes)? {
            self.ran(part);
            return Ok(Err(refusal));
        }
        self.store.put_part(&rows[place])?;
        self.store.put_session(&session)?;
        Ok(Ok(part))
    }

    pub(crate) fn grow_part(&mut self, id: PartId, bytes: u64) -> Decided<u64> {
        let Receiving { mut session, mut rows, place } = match self.receiving_part(id)? {
            Ok(part) => part,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let before = counted(&rows);
        let reserved = rows[place].held_bytes();
        // What the number may still grow by, as far as the session goes.
        let room = match session.session.bytes_max {
            None => UnixSeconds::MAX.0,
            Some(bytes_max) => {
                let others = session.counted_bytes - before;
                let receiving: u64 = rows.iter().filter_map(|row| row.receiving_bytes).sum();
                bytes_max.saturating_sub(others).saturating_sub(receiving)
            }
        };
        let wanted = bytes.min(room).min(UnixSeconds::MAX.0 - reserved.min(UnixSeconds::MAX.0));
        if wanted == 0 {
            let bytes_max = session.session.bytes_max.unwrap_or(UnixSeconds::MAX.0);
            return Ok(Err(LedgerError::SessionFull { bytes_max }));
        }
        let granted = match self.grow(session.session.hold, wanted)? {
            Ok(granted) => granted,
            Err(refusal) => return Ok(Err(refusal)),
        };
        rows[place].receiving_bytes = Some(reserved + granted);
        if let Err(refusal) = session.count(before, counted(&rows)) {
            return Ok(Err(refusal));
        }
        self.store.put_part(&rows[place])?;
        self.store.put_session(&session)?;
        Ok(Ok(granted))
    }

    pub(crate) fn finish_part(&mut self, id: PartId, finished: FinishedPart) -> Decided<Option<PartId>> {
        let FinishedPart { bytes, details, now } = finished;
        self.see(now);
        let Receiving { mut session, mut rows, place } = match self.receiving_part(id)? {
            Ok(part) => part,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let reserved = rows[place].held_bytes();
        if bytes > reserved || bytes < rows[place].finished_bytes() {
            return Ok(Err(LedgerError::OutOfRange { name: "length of a part", value: bytes }));
        }
        let before = counted(&rows);
        session.session.bytes -= rows[place].finished_bytes();
        session.session.parts -= u64::from(rows[place].finished.is_some());
        rows[place].receiving_bytes = None;
        rows[place].finished = Some(Finished { bytes, details, at: now });
        session.session.bytes += bytes;
        session.session.parts += 1;
        self.store.put_part(&rows[place])?;
        let mut surplus = reserved - bytes;
        let replaced = rows.iter().position(|row| row.id != id && row.finished.is_some());
        let mut replaced_id = None;
        if let Some(replaced) = replaced {
            let row = rows.remove(replaced);
            session.session.bytes -= row.finished_bytes();
            session.session.parts -= 1;
            // One that is being appended to goes whole: whoever appends learns that it is gone.
            surplus += row.held_bytes();
            self.store.remove_part(row.id)?;
            replaced_id = Some(row.id);
        }
        session.recount(before, counted(&rows));
        self.store.put_session(&session)?;
        self.return_bytes(session.session.hold, surplus)?;
        self.ran(id);
        Ok(Ok(replaced_id))
    }

    pub(crate) fn drop_part(&mut self, id: PartId) -> Decided<()> {
        self.ran(id);
        let Some(session) = self.store.session(id.session)? else {
            return Ok(Err(LedgerError::UnknownPart(id)));
        };
        self.unreserve(session, id)
    }

    pub(crate) fn complete_session(&mut self, id: SessionId, object: String) -> Decided<HoldId> {
        let session = match self.receptive(id)? {
            Ok(session) => session,
            Err(refusal) => return Ok(Err(refusal)),
        };
        // A file that may become the object must not grow meanwhile.
        if self.store.receiving(Some(id))?.iter().any(|row| row.finished.is_some()) {
            return Ok(Err(LedgerError::SessionBusy(id)));
        }
        let hold = session.session.hold;
        if let Some(mut row) = self.store.hold(hold)? {
            self.store.remove_hold(hold)?;
            row.object = object;
            row.state = HoldState::Publishing;
            self.store.put_hold(hold, row)?;
            self.uploading.completed.set(&hold, Some(()));
        }
        Ok(Ok(hold))
    }

    pub(crate) fn reopen_session(&mut self, id: SessionId) -> Decided<()> {
        let Some(session) = self.store.session(id)? else {
            return Ok(Err(LedgerError::UnknownSession(id)));
        };
        let hold = session.session.hold;
        if let Some(mut row) = self.store.hold(hold)? {
            self.store.remove_hold(hold)?;
            row.state = HoldState::Held;
            self.store.put_hold(hold, row)?;
            self.uploading.completed.set(&hold, None);
        }
        Ok(Ok(()))
    }

    pub(crate) fn abort_session(&mut self, id: SessionId) -> Decided<()> {
        let session = match self.receptive(id)? {
            Ok(session) => session,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let hold = session.session.hold;
        if let Some(row) = self.store.hold(hold)? {
            self.end_durable(hold, &row, Settlement::Released)?;
        }
        self.store.remove_session(id)?;
        Ok(Ok(()))
    }

    pub(crate) fn expired_sessions(&mut self, now: UnixSeconds, max: u32) -> Decided<Vec<SessionId>> {
        let by = now.max(self.header.time_mark).min(UnixSeconds::MAX);
        Ok(Ok(self.store.sessions_expired(by, max.min(ROWS_MAX))?))
    }

    /// Gives back what an earlier life was receiving.
    pub(super) fn settle_sessions(&mut self) -> Result<(), Fault> {
        for row in self.store.receiving(None)? {
            if let Some(session) = self.store.session(row.id.session)? {
                // A part that was received is there, or this would be damage.
                drop(self.unreserve(session, row.id)?);
            }
        }
        Ok(())
    }

    /// Takes all of these bytes from what the hold's levels may upload, or none.
    fn take_bytes(&mut self, hold: HoldId, bytes: u64) -> Decided<()> {
        let granted = match self.grow(hold, bytes)? {
            Ok(granted) => granted,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if granted == bytes {
            return Ok(Ok(()));
        }
        // Now that some level has nothing left, it says which.
        let refusal = self.grow(hold, bytes - granted)?;
        self.return_bytes(hold, granted)?;
        Ok(refusal.map(drop))
    }

    /// Gives back bytes of a hold, as far as a level limits them: others are not charged before they have come.
    fn return_bytes(&mut self, hold: HoldId, bytes: u64) -> Result<(), Fault> {
        let Some(row) = self.store.hold(hold)? else { return Ok(()) };
        let in_bytes = bytes.min(row.in_bytes);
        if in_bytes > 0 {
            self.accounts.give_back(&mut self.store, &row.charged, Cost { in_bytes, ..Cost::default() })?;
            self.store.set_in_bytes(hold, row.in_bytes - in_bytes)?;
        }
        Ok(())
    }

    /// Counts a part among what runs at once.
    fn run(&mut self, part: PartId, charges: &[Charge], now: UnixSeconds) -> Decided<()> {
        if charges.is_empty() {
            return Ok(Ok(()));
        }
        let charged = match self.charge(charges, Cost { parallel: 1, ..Cost::default() }, now)? {
            Ok(charged) => charged,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.uploading.running.set(&part, Some(charged));
        Ok(Ok(()))
    }

    fn ran(&mut self, part: PartId) {
        if let Some(charged) = self.uploading.running.get(&part).cloned() {
            self.accounts.end(&charged);
            self.uploading.running.set(&part, None);
        }
    }

    fn unreserve(&mut self, mut session: SessionRow, id: PartId) -> Decided<()> {
        let mut rows = self.store.parts_of(id.session, id.number)?;
        let Some(place) = rows.iter().position(|row| row.id == id && row.receiving_bytes.is_some()) else {
            return Ok(Err(LedgerError::UnknownPart(id)));
        };
        let before = counted(&rows);
        let surplus = rows[place].held_bytes() - rows[place].finished_bytes();
        rows[place].receiving_bytes = None;
        match rows[place].finished {
            Some(_) => self.store.put_part(&rows[place])?,
            None => self.store.remove_part(rows.remove(place).id)?,
        }
        session.recount(before, counted(&rows));
        self.store.put_session(&session)?;
        self.return_bytes(session.session.hold, surplus)?;
        Ok(Ok(()))
    }

    /// The session, if it is not being completed.
    fn receptive(&mut self, id: SessionId) -> Decided<SessionRow> {
        let Some(session) = self.store.session(id)? else {
            return Ok(Err(LedgerError::UnknownSession(id)));
        };
        match self.store.hold(session.session.hold)? {
            Some(HoldRow { state: HoldState::Publishing, .. }) => Ok(Err(LedgerError::SessionBusy(id))),
            _ => Ok(Ok(session)),
        }
    }

    /// A part that is being received, and what else is there of its number.
    fn receiving_part(&mut self, id: PartId) -> Decided<Receiving> {
        let session = match self.receptive(id.session)? {
            Ok(session) => session,
            Err(LedgerError::UnknownSession(_)) => return Ok(Err(LedgerError::UnknownPart(id))),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let rows = self.store.parts_of(id.session, id.number)?;
        let place = rows.iter().position(|row| row.id == id && row.receiving_bytes.is_some());
        Ok(place.map(|place| Receiving { session, rows, place }).ok_or(LedgerError::UnknownPart(id)))
    }
}

/// A part that is being received, among all of its number.
struct Receiving {
    session: SessionRow,
    rows: Vec<PartRow>,
    place: usize,
}

impl SessionRow {
    /// Counts the parts of one number anew, unless that is too much.
    fn count(&mut self, before: u64, after: u64) -> Result<(), LedgerError> {
        self.recount(before, after);
        let bytes_max = self.session.bytes_max.unwrap_or(UnixSeconds::MAX.0);
        match self.counted_bytes > bytes_max {
            true => Err(LedgerError::SessionFull { bytes_max }),
            false => Ok(()),
        }
    }

    fn recount(&mut self, before: u64, after: u64) {
        self.counted_bytes = self.counted_bytes.saturating_sub(before).saturating_add(after);
    }
}

/// What the parts of one number count: the more of what is finished and what is received.
fn counted(rows: &[PartRow]) -> u64 {
    let receiving = rows.iter().filter_map(|row| row.receiving_bytes);
    let finished = rows.iter().filter(|row| row.receiving_bytes.is_none()).map(PartRow::finished_bytes);
    receiving.fold(0, u64::saturating_add).max(finished.max().unwrap_or(0))
}

fn part(row: PartRow) -> Option<Part> {
    let Finished { bytes, details, at } = row.finished?;
    Some(Part { id: row.id, bytes, details, finished: at })
}

fn new_in_range(new: &NewSession, now: UnixSeconds) -> Result<(), LedgerError> {
    let numbers = [("time", now.0), ("end", new.expires.0), ("limit", new.bytes_max.unwrap_or(0))];
    match numbers.into_iter().find(|(_, value)| *value > UnixSeconds::MAX.0) {
        Some((name, value)) => Err(LedgerError::OutOfRange { name, value }),
        None => Ok(()),
    }
}
