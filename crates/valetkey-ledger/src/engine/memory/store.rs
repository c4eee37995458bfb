//! Rows in maps.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use super::revocations::Revocations;
use super::sessions::Sessions;
use crate::store::{Fault, FileName, FileRow, Header, HoldRow, HoldState, MeterRow, Store};
use crate::{AuditHead, HoldId, Meter, MeterQuery, UnixSeconds};

/// It has no faults, so there is never anything to roll back.
#[derive(Clone)]
pub(crate) struct MemoryStore {
    header: Header,
    meters: BTreeMap<Meter, MeterRow>,
    files: HashMap<(u64, FileName), FileRow>,
    holds: HashMap<HoldId, HoldRow>,
    audit_head: Option<AuditHead>,
    pub(super) sessions: Sessions,
    pub(super) revocations: Revocations,
    pub(super) has_writes: bool,
}

impl MemoryStore {
    pub(crate) fn new(ledger: u64) -> Self {
        Self {
            header: Header::new(ledger),
            meters: BTreeMap::new(),
            files: HashMap::new(),
            holds: HashMap::new(),
            audit_head: None,
            sessions: Sessions::default(),
            revocations: Revocations::default(),
            has_writes: false,
        }
    }
}

impl Store for MemoryStore {
    fn begin(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    fn has_writes(&self) -> bool {
        self.has_writes
    }

    fn commit(&mut self) -> Result<(), Fault> {
        self.has_writes = false;
        Ok(())
    }

    fn rollback(&mut self) {}

    fn header(&mut self) -> Result<Header, Fault> {
        Ok(self.header)
    }

    fn put_header(&mut self, header: &Header) -> Result<(), Fault> {
        self.header = *header;
        Ok(())
    }

    fn meter(&mut self, meter: &Meter) -> Result<Option<MeterRow>, Fault> {
        Ok(self.meters.get(meter).copied())
    }

    fn put_meter(&mut self, meter: &Meter, row: MeterRow) -> Result<(), Fault> {
        self.has_writes = true;
        self.meters.insert(meter.clone(), row);
        Ok(())
    }

    fn meters(&mut self, query: &MeterQuery) -> Result<Vec<(Meter, MeterRow)>, Fault> {
        let prefix = Meter::new(query.prefix.as_str());
        let start = match &query.after {
            Some(after) if *after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(&prefix),
        };
        let rows = self.meters.range((start, Bound::Unbounded));
        let rows = rows.take_while(|(meter, _)| meter.as_str().starts_with(&query.prefix));
        let max = usize::try_from(query.max).unwrap_or(usize::MAX);
        Ok(rows.take(max).map(|(meter, row)| (meter.clone(), *row)).collect())
    }

    fn clear_meters(&mut self, before: UnixSeconds, rows_max: u32) -> Result<Option<UnixSeconds>, Fault> {
        let mut due: Vec<(UnixSeconds, Meter)> = self
            .meters
            .iter()
            .filter(|(_, row)| row.keep_until < before)
            .map(|(meter, row)| (row.keep_until, meter.clone()))
            .collect();
        due.sort();
        due.truncate(usize::try_from(rows_max).unwrap_or(usize::MAX));
        for (_, meter) in &due {
            if let Some(MeterRow { made: cleared, .. }) = self.meters.remove(meter) {
                self.files.retain(|(made, _), _| *made != cleared);
            }
        }
        Ok(due.last().map(|(keep_until, _)| *keep_until))
    }

    fn clear_names(&mut self, _: u32) -> Result<bool, Fault> {
        Ok(false)
    }

    fn file(&mut self, made: u64, name: FileName) -> Result<Option<FileRow>, Fault> {
        Ok(self.files.get(&(made, name)).copied())
    }

    fn put_file(&mut self, made: u64, name: FileName, row: Option<FileRow>) -> Result<(), Fault> {
        self.has_writes = true;
        match row {
            Some(row) => drop(self.files.insert((made, name), row)),
            None => drop(self.files.remove(&(made, name))),
        }
        Ok(())
    }

    fn hold(&mut self, id: HoldId) -> Result<Option<HoldRow>, Fault> {
        Ok(self.holds.get(&id).cloned())
    }

    fn put_hold(&mut self, id: HoldId, row: HoldRow) -> Result<(), Fault> {
        self.has_writes = true;
        self.holds.insert(id, row);
        Ok(())
    }

    fn set_in_bytes(&mut self, id: HoldId, in_bytes: u64) -> Result<(), Fault> {
        self.has_writes = true;
        if let Some(row) = self.holds.get_mut(&id) {
            row.in_bytes = in_bytes;
        }
        Ok(())
    }

    fn mark_publishing(&mut self, id: HoldId) -> Result<(), Fault> {
        self.has_writes = true;
        if let Some(row) = self.holds.get_mut(&id) {
            row.state = HoldState::Publishing;
        }
        Ok(())
    }

    fn remove_hold(&mut self, id: HoldId) -> Result<(), Fault> {
        self.has_writes = true;
        self.holds.remove(&id);
        Ok(())
    }

    fn holds_in(&mut self, state: HoldState) -> Result<Vec<HoldId>, Fault> {
        Ok(self.holds.iter().filter(|(_, row)| row.state == state).map(|(id, _)| *id).collect())
    }

    fn audit_head(&mut self) -> Result<Option<AuditHead>, Fault> {
        Ok(self.audit_head)
    }

    fn put_audit_head(&mut self, head: Option<AuditHead>) -> Result<(), Fault> {
        self.has_writes = true;
        self.audit_head = head;
        Ok(())
    }
}
