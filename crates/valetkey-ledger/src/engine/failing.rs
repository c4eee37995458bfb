//! A store that fails when told to, for the tests of what happens then.

mod sessions;

use std::sync::{Arc, Mutex};

use super::memory::MemoryStore;
use crate::revocation::rows::RevocationRows;
use crate::store::{Fault, FileName, FileRow, Header, HoldRow, HoldState, MeterRow, Store};
use crate::{AuditHead, HoldId, Meter, MeterQuery, Revocation, Target, UnixSeconds};

/// What commits do.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    Works,
    Fails,
    ShowsDamage,
}

/// Rows in memory, of which those that were not committed can be lost.
pub(crate) struct FailingStore {
    rows: MemoryStore,
    committed: MemoryStore,
    pub(crate) mode: Arc<Mutex<Mode>>,
}

impl FailingStore {
    pub(crate) fn new() -> Self {
        let rows = MemoryStore::new(1);
        Self { committed: rows.clone(), rows, mode: Arc::new(Mutex::new(Mode::Works)) }
    }
}

impl Store for FailingStore {
    fn begin(&mut self) -> Result<(), Fault> {
        self.rows.begin()
    }

    fn has_writes(&self) -> bool {
        self.rows.has_writes()
    }

    fn commit(&mut self) -> Result<(), Fault> {
        let error = || Arc::from(Box::from("told to fail"));
        let mode = *self.mode.lock().expect("no test panics with the lock");
        match mode {
            Mode::Works => {
                self.rows.commit()?;
                self.committed = self.rows.clone();
                Ok(())
            }
            Mode::Fails => Err(Fault::Failed(error())),
            Mode::ShowsDamage => Err(Fault::Damaged(error())),
        }
    }

    fn rollback(&mut self) {
        self.rows = self.committed.clone();
    }

    fn header(&mut self) -> Result<Header, Fault> {
        self.rows.header()
    }

    fn put_header(&mut self, header: &Header) -> Result<(), Fault> {
        self.rows.put_header(header)
    }

    fn meter(&mut self, meter: &Meter) -> Result<Option<MeterRow>, Fault> {
        self.rows.meter(meter)
    }

    fn put_meter(&mut self, meter: &Meter, row: MeterRow) -> Result<(), Fault> {
        self.rows.put_meter(meter, row)
    }

    fn meters(&mut self, query: &MeterQuery) -> Result<Vec<(Meter, MeterRow)>, Fault> {
        self.rows.meters(query)
    }

    fn clear_meters(&mut self, before: UnixSeconds, rows_max: u32) -> Result<Option<UnixSeconds>, Fault> {
        self.rows.clear_meters(before, rows_max)
    }

    fn clear_names(&mut self, rows_max: u32) -> Result<bool, Fault> {
        self.rows.clear_names(rows_max)
    }

    fn file(&mut self, made: u64, name: FileName) -> Result<Option<FileRow>, Fault> {
        self.rows.file(made, name)
    }

    fn put_file(&mut self, made: u64, name: FileName, row: Option<FileRow>) -> Result<(), Fault> {
        self.rows.put_file(made, name, row)
    }

    fn hold(&mut self, id: HoldId) -> Result<Option<HoldRow>, Fault> {
        self.rows.hold(id)
    }

    fn put_hold(&mut self, id: HoldId, row: HoldRow) -> Result<(), Fault> {
        self.rows.put_hold(id, row)
    }

    fn set_in_bytes(&mut self, id: HoldId, in_bytes: u64) -> Result<(), Fault> {
        self.rows.set_in_bytes(id, in_bytes)
    }

    fn mark_publishing(&mut self, id: HoldId) -> Result<(), Fault> {
        self.rows.mark_publishing(id)
    }

    fn remove_hold(&mut self, id: HoldId) -> Result<(), Fault> {
        self.rows.remove_hold(id)
    }

    fn holds_in(&mut self, state: HoldState) -> Result<Vec<HoldId>, Fault> {
        self.rows.holds_in(state)
    }

    fn audit_head(&mut self) -> Result<Option<AuditHead>, Fault> {
        self.rows.audit_head()
    }

    fn put_audit_head(&mut self, head: Option<AuditHead>) -> Result<(), Fault> {
        self.rows.put_audit_head(head)
    }
}

impl RevocationRows for FailingStore {
    fn next_revocation(&mut self) -> Result<u64, Fault> {
        self.rows.next_revocation()
    }

    fn put_revocation(&mut self, row: &Revocation) -> Result<(), Fault> {
        self.rows.put_revocation(row)
    }

    fn remove_revocation(&mut self, number: u64) -> Result<(), Fault> {
        self.rows.remove_revocation(number)
    }

    fn revocation(&mut self, number: u64) -> Result<Option<Revocation>, Fault> {
        self.rows.revocation(number)
    }

    fn revocations_of(&mut self, target: &Target) -> Result<Vec<Revocation>, Fault> {
        self.rows.revocations_of(target)
    }

    fn revocations(&mut self, after: u64, rows_max: u32) -> Result<Vec<Revocation>, Fault> {
        self.rows.revocations(after, rows_max)
    }

    fn due_revocations(&mut self, before: UnixSeconds, rows_max: u32) -> Result<Vec<Revocation>, Fault> {
        self.rows.due_revocations(before, rows_max)
    }

    fn alias(&mut self, fingerprint: [u8; 16]) -> Result<Option<Meter>, Fault> {
        self.rows.alias(fingerprint)
    }

    fn put_alias(
        &mut self,
        fingerprint: [u8; 16],
        level: &Meter,
        keep_until: UnixSeconds,
    ) -> Result<(), Fault> {
        self.rows.put_alias(fingerprint, level, keep_until)
    }

    fn clear_aliases(&mut self, before: UnixSeconds, rows_max: u32) -> Result<usize, Fault> {
        self.rows.clear_aliases(before, rows_max)
    }
}
