//! The transitions, the same for every engine: what a command reads, decides and writes.
//!
//! A method returns `Err` only when the store failed; a refusal is a result like any other. After a fault the caller
//! must call [`Machine::roll_back`], and everything since the last [`Machine::commit`] is as if it had not been asked.
//!
//! What is decided where:
//! - A refused hold has written nothing: all levels are read and compared before the first is written.
//! - A ride needs no row, so it costs no commit. It is answered after the commit of the batch it stands in all the
//!   same, since the lease it rides on may be of that batch.
//! - Time has two halves. The highest time seen judges ends and measures leases; it is written with every commit that
//!   happens anyway, and by itself after [`MARK_LAG_SECS`] at the latest. The asker's own time is only compared with it.
//! - Meters go a day after their keys have ended, a few at a time. Since clocks lie, that raises `cleared_before` for
//!   good, and a key that ended earlier is refused whatever the clock later says: no key gets a fresh count.

mod sessions;

use crate::hold::LeaseRequest;
use crate::lease::{Ended, LeaseKey, Leases, Opening};
use crate::store::{Charged, Fault, Header, HoldRow, HoldState, MeterRow, Standing, Store};
use crate::{
    Action, AuditHead, Charge, Distrust, HoldId, HoldRequest, LedgerError, Meter, Purpose, Resource,
    Settlement, Status, UnixSeconds, Unresolved, Usage,
};

/// How far the clock may lie behind the highest time seen, inclusive.
pub(crate) const CLOCK_BEHIND_SECS_MAX: u64 = 300;
/// How far the durable time mark may lag: each write of it alone costs a sync of the disk.
pub(crate) const MARK_LAG_SECS: u64 = 10;
/// How long a meter outlives its keys.
pub(crate) const KEEP_SECS: u64 = 86_400;
/// How many meters one commit clears. Enough to keep up with any load that makes them, too few to be felt.
const CLEARED_MAX: u32 = 128;
/// How long to wait with clearing after nothing was left to clear.
const CLEAR_PAUSE_SECS: u64 = 60;
/// How many leases one commit sweeps.
const SWEPT_MAX: usize = 1024;

/// The result of a transition, or the fault that kept it from being decided.
pub(crate) type Decided<T> = Result<Result<T, LedgerError>, Fault>;

pub(crate) struct Machine<S> {
    store: S,
    header: Header,
    /// The header as it was last read or committed.
    durable: Header,
    leases: Leases,
    fresh: bool,
    life: u64,
    sequence: u64,
    clear_at: UnixSeconds,
}

impl<S: Store> Machine<S> {
    /// Begins a life: releases what an earlier one held and did not publish. Not committed yet.
    pub(crate) fn new(mut store: S, life: u64) -> Result<Self, Fault> {
        let header = store.header()?;
        let mut machine = Self {
            store,
            header,
            durable: header,
            leases: Leases::default(),
            fresh: header.standing == Standing::New,
            life,
            sequence: 0,
            clear_at: UnixSeconds(0),
        };
        for id in machine.store.holds_in(HoldState::Held)? {
            if machine.store.session_of(id)?.is_some() {
                continue;
            }
            if let Some(row) = machine.store.hold(id)? {
                machine.give_back(&row.charged)?;
                machine.store.remove_hold(id)?;
            }
        }
        machine.settle_sessions()?;
        Ok(machine)
    }

    pub(crate) fn hold(&mut self, request: HoldRequest) -> Decided<HoldId> {
        let HoldRequest { charges, purpose, now } = request;
        if let Err(refusal) = in_range(&charges, now) {
            return Ok(Err(refusal));
        }
        if let Err(refusal) = self.trust(now)? {
            return Ok(Err(refusal));
        }
        self.see(now);
        if let Err(refusal) = self.remembered(&charges) {
            return Ok(Err(refusal));
        }
        self.sequence += 1;
        let id = HoldId { ledger: self.header.ledger, life: self.life, sequence: self.sequence };
        match purpose {
            Purpose::Upload { object, .. } => self.hold_durably(id, &charges, Action::Upload, object),
            Purpose::Delete { object } => self.hold_durably(id, &charges, Action::Delete, object),
            Purpose::Download(lease) => self.hold_download(id, &charges, lease),
            Purpose::Answer { .. } => Ok(Ok(id)),
        }
    }

    pub(crate) fn publish(&mut self, id: HoldId) -> Decided<()> {
        match self.store.hold(id)? {
            Some(HoldRow { state: HoldState::Publishing, .. }) => Ok(Ok(())),
            Some(HoldRow { state: HoldState::Held, .. }) => {
                self.store.mark_publishing(id)?;
                Ok(Ok(()))
            }
            None => Ok(Err(LedgerError::UnknownHold(id))),
        }
    }

    pub(crate) fn settle(&mut self, id: HoldId, settlement: Settlement, now: UnixSeconds) -> Decided<()> {
        self.see(now);
        match self.leases.end(id, settlement) {
            Ended::Kept => return Ok(Ok(())),
            Ended::GiveBack(charged) => {
                self.give_back(&charged)?;
                return Ok(Ok(()));
            }
            Ended::Unknown => {}
        }
        let Some(row) = self.store.hold(id)? else {
            return Ok(Err(LedgerError::UnknownHold(id)));
        };
        if settlement == Settlement::Released {
            self.give_back(&row.charged)?;
        }
        self.store.remove_hold(id)?;
        self.hold_settled(id)?;
        Ok(Ok(()))
    }

    pub(crate) fn usage(&mut self, meter: &Meter) -> Decided<Usage> {
        Ok(Ok(self
            .store
            .meter(meter)?
            .map_or_else(Usage::default, |row| Usage { uses: row.uses, ..Usage::default() })))
    }

    pub(crate) fn unresolved(&mut self) -> Decided<Vec<Unresolved>> {
        let mut unresolved = Vec::new();
        for hold in self.store.holds_in(HoldState::Publishing)? {
            if hold.life == self.life {
                continue;
            }
            if let Some(HoldRow { action, object, .. }) = self.store.hold(hold)? {
                unresolved.push(Unresolved { hold, action, object });
            }
        }
        Ok(Ok(unresolved))
    }

    pub(crate) fn status(&mut self) -> Decided<Status> {
        self.refresh()?;
        Ok(Ok(Status {
            fresh: self.fresh,
            accepted: self.header.standing != Standing::Distrusted,
            time_mark: self.header.time_mark,
            cleared_before: self.header.cleared_before,
        }))
    }

    pub(crate) fn observe(&mut self, now: UnixSeconds) -> Decided<UnixSeconds> {
        if now > UnixSeconds::MAX {
            return Ok(Err(LedgerError::OutOfRange { name: "time", value: now.0 }));
        }
        if self.clock_behind(now).is_some() {
            self.refresh()?;
        }
        self.see(now);
        Ok(Ok(self.header.time_mark))
    }

    pub(crate) fn distrust_new(&mut self) -> Decided<()> {
        self.header.standing = Standing::Distrusted;
        Ok(Ok(()))
    }

    pub(crate) fn note_audit_head(&mut self, head: AuditHead) -> Decided<()> {
        if head.records > UnixSeconds::MAX.0 {
            return Ok(Err(LedgerError::OutOfRange { name: "number of records", value: head.records }));
        }
        self.store.put_audit_head(Some(head))?;
        Ok(Ok(()))
    }

    pub(crate) fn audit_head(&mut self) -> Decided<Option<AuditHead>> {
        Ok(Ok(self.store.audit_head()?))
    }

    /// Makes everything since the last commit durable, if there is anything.
    pub(crate) fn commit(&mut self) -> Result<(), Fault> {
        if self.store.has_writes() || self.header_due() {
            self.store.begin()?;
            self.refresh()?;
            self.clear()?;
            if self.header != self.durable {
                self.store.put_header(&self.header)?;
            }
            self.store.commit()?;
            self.durable = self.header;
        }
        self.leases.keep(SWEPT_MAX);
        Ok(())
    }

    /// Forgets everything since the last commit, but the highest time seen and the numbers that are given once.
    pub(crate) fn roll_back(&mut self) {
        self.store.rollback();
        self.leases.roll_back();
        self.header.standing = self.durable.standing;
        self.header.cleared_before = self.durable.cleared_before;
    }

    fn hold_durably(
        &mut self,
        id: HoldId,
        charges: &[Charge],
        action: Action,
        object: String,
    ) -> Decided<HoldId> {
        let charged = match self.charge(charges)? {
            Ok(charged) => charged,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.store.put_hold(id, HoldRow { state: HoldState::Held, action, object, charged })?;
        Ok(Ok(id))
    }

    fn hold_download(&mut self, id: HoldId, charges: &[Charge], request: LeaseRequest) -> Decided<HoldId> {
        let Some(last) = charges.last() else {
            return Ok(Err(LedgerError::NoCharge));
        };
        let LeaseRequest { object, version, client, size_bytes, ask_bytes, lease_secs } = request;
        let key = LeaseKey { meter: last.meter.clone(), object, version, client };
        if self.leases.ride(id, &key, ask_bytes, lease_secs) {
            return Ok(Ok(id));
        }
        match self.charge(charges)? {
            Ok(charged) => {
                self.leases.open(id, Opening { key, size_bytes, ask_bytes, lease_secs, charged });
                Ok(Ok(id))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Takes one use of every charge, or of none.
    fn charge(&mut self, charges: &[Charge]) -> Decided<Vec<Charged>> {
        // A meter that is named twice in one chain is charged twice, and the second time compared after the first.
        let mut rows: Vec<(&Meter, MeterRow)> = Vec::with_capacity(charges.len());
        let mut charged = Vec::with_capacity(charges.len());
        let mut meters_made = self.header.meters_made;
        for (level, charge) in charges.iter().enumerate() {
            let place = match rows.iter().position(|(meter, _)| *meter == &charge.meter) {
                Some(place) => place,
                None => {
                    let row = self.store.meter(&charge.meter)?.unwrap_or_else(|| {
                        meters_made += 1;
                        MeterRow { uses: 0, keep_until: charge.keep_until, made: meters_made }
                    });
                    rows.push((&charge.meter, row));
                    rows.len() - 1
                }
            };
            let row = &mut rows[place].1;
            if let Some(limit) = charge.limits.uses
                && row.uses >= limit
            {
                return Ok(Err(LedgerError::Exhausted { level, resource: Resource::Uses, limit }));
            }
            row.uses += 1;
            row.keep_until = row.keep_until.max(charge.keep_until);
            charged.push(Charged { meter: charge.meter.clone(), made: row.made });
        }
        for (meter, row) in rows {
            self.store.put_meter(meter, row)?;
        }
        self.header.meters_made = meters_made;
        Ok(Ok(charged))
    }

    fn give_back(&mut self, charged: &[Charged]) -> Result<(), Fault> {
        for Charged { meter, made } in charged {
            if let Some(mut row) = self.store.meter(meter)?
                && row.made == *made
            {
                row.uses = row.uses.saturating_sub(1);
                self.store.put_meter(meter, row)?;
            }
        }
        Ok(())
    }

    /// Refuses while the operator must accept something, after a look whether that has happened.
    fn trust(&mut self, now: UnixSeconds) -> Decided<()> {
        if self.distrust(now).is_some() {
            self.refresh()?;
        }
        Ok(self.distrust(now).map_or(Ok(()), |distrust| Err(LedgerError::NotAccepted(distrust))))
    }

    fn distrust(&self, now: UnixSeconds) -> Option<Distrust> {
        if self.header.standing == Standing::Distrusted {
            return Some(Distrust::NewLedger);
        }
        self.clock_behind(now)
    }

    fn clock_behind(&self, now: UnixSeconds) -> Option<Distrust> {
        let mark = self.header.time_mark;
        (now.plus(CLOCK_BEHIND_SECS_MAX) < mark).then_some(Distrust::ClockBehind { mark, now })
    }

    fn remembered(&self, charges: &[Charge]) -> Result<(), LedgerError> {
        let cleared_before = self.header.cleared_before;
        match charges.iter().enumerate().find(|(_, charge)| charge.keep_until < cleared_before) {
            Some((level, &Charge { keep_until, .. })) => {
                Err(LedgerError::Forgotten { level, keep_until, cleared_before })
            }
            None => Ok(()),
        }
    }

    /// Takes note of the time, and of the ledger's being in use.
    fn see(&mut self, now: UnixSeconds) {
        if now <= UnixSeconds::MAX {
            self.header.time_mark = self.header.time_mark.max(now);
        }
        if self.header.standing == Standing::New {
            self.header.standing = Standing::Accepted;
        }
        self.leases.tick(self.header.time_mark);
    }

    /// Takes over what an operator accepted in another process.
    fn refresh(&mut self) -> Result<(), Fault> {
        let found = self.store.header()?;
        if found.acceptances != self.header.acceptances {
            self.header.acceptances = found.acceptances;
            self.header.standing = found.standing;
            self.header.time_mark = found.time_mark;
            self.durable = found;
            self.clear_at = UnixSeconds(0);
            self.leases.tick(found.time_mark);
        }
        Ok(())
    }

    fn header_due(&self) -> bool {
        self.header.standing != self.durable.standing
            || self.header.time_mark >= self.durable.time_mark.plus(MARK_LAG_SECS)
    }

    fn clear(&mut self) -> Result<(), Fault> {
        let now = self.header.time_mark;
        if now < self.clear_at {
            return Ok(());
        }
        // A meter goes when a whole day lies between its last second and now.
        let before = UnixSeconds(now.0.saturating_sub(KEEP_SECS));
        match self.store.clear_meters(before, CLEARED_MAX)? {
            Some(latest) => self.header.cleared_before = self.header.cleared_before.max(latest.plus(1)),
            None => self.clear_at = now.plus(CLEAR_PAUSE_SECS),
        }
        Ok(())
    }
}

fn in_range(charges: &[Charge], now: UnixSeconds) -> Result<(), LedgerError> {
    let check = |name, value: u64| match value <= UnixSeconds::MAX.0 {
        true => Ok(()),
        false => Err(LedgerError::OutOfRange { name, value }),
    };
    if charges.is_empty() {
        return Err(LedgerError::NoCharge);
    }
    check("time", now.0)?;
    for charge in charges {
        check("limit", charge.limits.uses.unwrap_or(0))?;
        check("end", charge.keep_until.0)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
