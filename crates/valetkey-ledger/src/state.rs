//! The transitions, the same for every engine: what a command reads, decides and writes.
//!
//! A method returns `Err` only when the store failed; a refusal is a result like any other. After a fault the caller
//! must call [`Machine::roll_back`], and everything since the last [`Machine::commit`] is as if it had not been asked.
//!
//! What is decided where:
//! - A refused hold has written nothing: all levels are read and compared before the first is written.
//! - What is charged to which meter, and whether that must be durable at once, is in `account`.
//! - A ride that no level limits the bytes of costs no commit. It is answered after the commit of the batch it stands in all the
//!   same, since the lease it rides on may be of that batch.
//! - Time has two halves. The highest time seen judges ends and measures leases; it is written with every commit that
//!   happens anyway, and by itself after [`standing::MARK_LAG_SECS`] at the latest. The asker's own time is only compared with it.
//! - Meters go a day after their keys have ended, a few at a time. Since clocks lie, that raises `cleared_before` for
//!   good, and a key that ended earlier is refused whatever the clock later says: no key gets a fresh count.

mod revocations;
mod sessions;
mod standing;

use std::sync::Arc;

use self::sessions::Uploading;
use crate::account::{Accounts, Cost};
use crate::hold::LeaseRequest;
use crate::lease::{Ended, LeaseKey, Leases, Opening, Ride};
use crate::revocation::view::Change;
use crate::store::{Charged, Fault, FileName, Header, HoldRow, HoldState, Standing, Store};
use crate::{
    Action, AuditHead, Charge, HoldId, HoldRequest, LedgerError, Limits, Meter, MeterPage, MeterQuery,
    MeterUsage, Purpose, RevocationView, Settlement, UnixSeconds, Unresolved, Usage,
};

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
    accounts: Accounts,
    uploading: Uploading,
    /// What waits is to be written with the next commit, though nothing needs it.
    flush_due: bool,
    revoked: Arc<RevocationView>,
    /// What becomes of the view with the next commit.
    changes: Vec<Change>,
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
            accounts: Accounts::default(),
            uploading: Uploading::default(),
            flush_due: false,
            revoked: Arc::new(RevocationView::new()),
            changes: Vec::new(),
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
                machine.end_durable(id, &row, Settlement::Released)?;
            }
        }
        machine.settle_sessions()?;
        machine.load_revocations()?;
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
            Purpose::Upload { object, file, declared_bytes, copied_bytes } => {
                let cost = Cost {
                    uses: 1,
                    in_bytes: declared_bytes.unwrap_or(0),
                    out_bytes: copied_bytes,
                    parallel: 1,
                    file: Some(FileName::of(&file)),
                };
                self.hold_durably(id, &charges, cost, (Action::Upload, object), now)
            }
            Purpose::Delete { object } => {
                let cost = Cost { uses: 1, ..Cost::default() };
                self.hold_durably(id, &charges, cost, (Action::Delete, object), now)
            }
            Purpose::Download(lease) => self.hold_download(id, &charges, lease, now),
            Purpose::Answer { bytes } => {
                let cost = Cost { out_bytes: bytes, ..Cost::default() };
                Ok(self.charge(&charges, cost, now)?.map(|_| id))
            }
        }
    }

    pub(crate) fn grow(&mut self, id: HoldId, bytes: u64) -> Decided<u64> {
        let row = match self.store.hold(id)? {
            Some(row) if row.state == HoldState::Held && row.action == Action::Upload => row,
            _ => return Ok(Err(LedgerError::UnknownHold(id))),
        };
        // More than a count can hold is never left, so there is nothing to refuse but the rest.
        let bytes = bytes.min(UnixSeconds::MAX.0.saturating_sub(row.in_bytes));
        match self.accounts.grow(&mut self.store, &row.charged, bytes)? {
            Ok(Some(granted)) => {
                self.store.set_in_bytes(id, row.in_bytes + granted)?;
                Ok(Ok(granted))
            }
            Ok(None) => Ok(Ok(bytes)),
            Err(refusal) => Ok(Err(refusal)),
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
        if let Some(Ended { charged, unsent_bytes, unused }) = self.leases.end(id, settlement) {
            self.accounts.end(&charged);
            let unsent = Cost { out_bytes: unsent_bytes, ..Cost::default() };
            self.accounts.give_back(&mut self.store, &charged, unsent)?;
            if let Some(unused) = unused {
                let use_of_it = Cost { uses: 1, ..Cost::default() };
                self.accounts.give_back(&mut self.store, &unused, use_of_it)?;
            }
            return Ok(Ok(()));
        }
        match self.store.hold(id)? {
            Some(row) => self.end_durable(id, &row, settlement).map(Ok),
            None => Ok(Err(LedgerError::UnknownHold(id))),
        }
    }

    pub(crate) fn usage(&mut self, meter: &Meter) -> Decided<Usage> {
        self.accounts.usage(&mut self.store, meter).map(Ok)
    }

    pub(crate) fn meters(&mut self, query: &MeterQuery) -> Decided<MeterPage> {
        let max = query.max.min(MeterQuery::PAGE_MAX);
        // The store is asked for names in their order, so it must have them all.
        self.accounts.write(&mut self.store)?;
        let rows = self.store.meters(&MeterQuery { max, ..query.clone() })?;
        let is_full = u32::try_from(rows.len()).is_ok_and(|found| found >= max);
        let next = rows.last().filter(|_| is_full).map(|(meter, _)| meter.clone());
        let live = rows.into_iter().filter(|(_, row)| row.ends > query.live_at);
        let meters = live
            .map(|(meter, row)| {
                let usage = Usage { parallel: self.accounts.running(&meter), ..row.usage };
                MeterUsage { meter, usage, limits: row.limits, ends: row.ends }
            })
            .collect();
        Ok(Ok(MeterPage { meters, next }))
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

    /// Makes everything since the last commit durable that must be, and with it all that waits.
    pub(crate) fn commit(&mut self) -> Result<(), Fault> {
        if self.store.has_writes() || self.accounts.is_urgent() || self.header_due() || self.flush_due {
            self.store.begin()?;
            self.refresh()?;
            self.accounts.write(&mut self.store)?;
            self.clear()?;
            if self.header != self.durable {
                self.store.put_header(&self.header)?;
            }
            self.store.commit()?;
            self.durable = self.header;
            self.accounts.written();
            self.flush_due = false;
        }
        self.accounts.keep();
        self.uploading.keep();
        self.show_revocations();
        self.leases.keep(SWEPT_MAX);
        Ok(())
    }

    /// Whether something waits to be written that nothing needs yet.
    pub(crate) fn has_unwritten(&self) -> bool {
        self.accounts.has_unwritten()
    }

    /// Lets the next commit write what waits.
    pub(crate) fn flush(&mut self) {
        self.flush_due = self.accounts.has_unwritten();
    }

    /// Forgets everything since the last commit, but the highest time seen and the numbers that are given once.
    pub(crate) fn roll_back(&mut self) {
        self.store.rollback();
        self.accounts.roll_back();
        self.uploading.roll_back();
        self.leases.roll_back();
        self.changes.clear();
        self.header.standing = self.durable.standing;
        self.header.cleared_before = self.durable.cleared_before;
    }

    fn hold_durably(
        &mut self,
        id: HoldId,
        charges: &[Charge],
        cost: Cost,
        (action, object): (Action, String),
        now: UnixSeconds,
    ) -> Decided<HoldId> {
        let charged = match self.charge(charges, cost, now)? {
            Ok(charged) => charged,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Cost { in_bytes, out_bytes, file, .. } = cost;
        let state = HoldState::Held;
        self.store.put_hold(id, HoldRow { state, action, object, in_bytes, out_bytes, file, charged })?;
        Ok(Ok(id))
    }

    fn hold_download(
        &mut self,
        id: HoldId,
        charges: &[Charge],
        request: LeaseRequest,
        now: UnixSeconds,
    ) -> Decided<HoldId> {
        let Some(key_level) = key_level(charges) else {
            return Ok(Err(LedgerError::NoCharge));
        };
        let LeaseRequest { object, version, client, size_bytes, ask_bytes, lease_secs } = request;
        let key = LeaseKey { meter: key_level.meter.clone(), object, version, client };
        let lease = self.leases.with_room(&key, ask_bytes);
        let uses = u64::from(lease.is_none());
        let cost = Cost { uses, out_bytes: ask_bytes, parallel: 1, ..Cost::default() };
        let charged = match self.charge(charges, cost, now)? {
            Ok(charged) => charged,
            Err(refusal) => return Ok(Err(refusal)),
        };
        match lease {
            Some(lease) => self.leases.ride(id, lease, Ride { ask_bytes, lease_secs, charged }),
            None => self.leases.open(id, Opening { key, size_bytes, ask_bytes, lease_secs, charged }),
        }
        Ok(Ok(id))
    }

    fn charge(&mut self, charges: &[Charge], cost: Cost, now: UnixSeconds) -> Decided<Vec<Charged>> {
        if let Err(refusal) = cost_in_range(cost) {
            return Ok(Err(refusal));
        }
        self.accounts.charge(&mut self.store, charges, cost, now, &mut self.header.meters_made)
    }

    /// Ends an upload or a delete.
    fn end_durable(&mut self, id: HoldId, row: &HoldRow, settlement: Settlement) -> Result<(), Fault> {
        let HoldRow { action, in_bytes, out_bytes, file, charged, .. } = row;
        // What was received of a session is known to whoever completed it in this life.
        let session = self.store.session_of(id)?;
        let is_ours = match session {
            Some(_) => self.uploading.is_completed(id),
            None => id.life == self.life,
        };
        match settlement {
            Settlement::Released => {
                let cost = Cost { uses: 1, in_bytes: *in_bytes, out_bytes: *out_bytes, ..Cost::default() };
                self.accounts.give_back(&mut self.store, charged, cost)?;
            }
            // What an upload of an earlier life had received is known to nobody: all that it reserved is spent.
            Settlement::Done { bytes } if is_ours && *action == Action::Upload => {
                let surplus = Cost { in_bytes: in_bytes.saturating_sub(bytes), ..Cost::default() };
                self.accounts.give_back(&mut self.store, charged, surplus)?;
                self.accounts.charge_in(&mut self.store, charged, bytes.saturating_sub(*in_bytes))?;
            }
            Settlement::Done { .. } => {}
        }
        if let Some(name) = *file {
            let done = settlement != Settlement::Released;
            self.accounts.release_file(&mut self.store, charged, name, done)?;
        }
        match session {
            Some(session) => self.store.remove_session(session)?,
            None if is_ours && *action == Action::Upload => self.accounts.end(charged),
            None => {}
        }
        self.store.remove_hold(id)
    }
}

/// The last level of the key itself. What follows it has no end: quotas, which other keys share and which no lease may
/// belong to.
fn key_level(charges: &[Charge]) -> Option<&Charge> {
    charges.iter().rfind(|charge| charge.ends < UnixSeconds::MAX).or(charges.last())
}

fn in_range(charges: &[Charge], now: UnixSeconds) -> Result<(), LedgerError> {
    if charges.is_empty() {
        return Err(LedgerError::NoCharge);
    }
    check_range("time", now.0)?;
    for Charge { limits, ends, keep_until, .. } in charges {
        let Limits { uses, in_bytes, out_bytes, files, parallel } = *limits;
        for limit in [uses, in_bytes, out_bytes, files, parallel].into_iter().flatten() {
            check_range("limit", limit)?;
        }
        check_range("end", ends.0)?;
        check_range("end", keep_until.0)?;
    }
    Ok(())
}

fn cost_in_range(cost: Cost) -> Result<(), LedgerError> {
    check_range("size", cost.in_bytes)?;
    check_range("size", cost.out_bytes)
}

fn check_range(name: &'static str, value: u64) -> Result<(), LedgerError> {
    match value <= UnixSeconds::MAX.0 {
        true => Ok(()),
        false => Err(LedgerError::OutOfRange { name, value }),
    }
}

#[cfg(test)]
mod tests;
