//! Revocations in maps.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use super::store::MemoryStore;
use crate::revocation::rows::RevocationRows;
use crate::store::Fault;
use crate::{Meter, Revocation, Target, UnixSeconds};

#[derive(Clone, Default)]
pub(crate) struct Revocations {
    made: u64,
    rows: BTreeMap<u64, Revocation>,
    by_target: HashMap<Target, BTreeSet<u64>>,
    aliases: HashMap<[u8; 16], (Meter, UnixSeconds)>,
}

impl RevocationRows for MemoryStore {
    fn next_revocation(&mut self) -> Result<u64, Fault> {
        Ok(self.revocations.made + 1)
    }

    fn put_revocation(&mut self, row: &Revocation) -> Result<(), Fault> {
        self.has_writes = true;
        let revocations = &mut self.revocations;
        revocations.made = revocations.made.max(row.number);
        revocations.by_target.entry(row.target.clone()).or_default().insert(row.number);
        revocations.rows.insert(row.number, row.clone());
        Ok(())
    }

    fn remove_revocation(&mut self, number: u64) -> Result<(), Fault> {
        self.has_writes = true;
        let revocations = &mut self.revocations;
        if let Some(row) = revocations.rows.remove(&number)
            && let Some(numbers) = revocations.by_target.get_mut(&row.target)
        {
            numbers.remove(&number);
            if numbers.is_empty() {
                revocations.by_target.remove(&row.target);
            }
        }
        Ok(())
    }

    fn revocation(&mut self, number: u64) -> Result<Option<Revocation>, Fault> {
        Ok(self.revocations.rows.get(&number).cloned())
    }

    fn revocations_of(&mut self, target: &Target) -> Result<Vec<Revocation>, Fault> {
        let numbers = self.revocations.by_target.get(target).into_iter().flatten();
        Ok(numbers.filter_map(|number| self.revocations.rows.get(number).cloned()).collect())
    }

    fn revocations(&mut self, after: u64, rows_max: u32) -> Result<Vec<Revocation>, Fault> {
        let rows = self.revocations.rows.range((Bound::Excluded(after), Bound::Unbounded));
        Ok(rows.take(as_usize(rows_max)).map(|(_, row)| row.clone()).collect())
    }

    fn due_revocations(&mut self, before: UnixSeconds, rows_max: u32) -> Result<Vec<Revocation>, Fault> {
        let mut due: Vec<_> =
            self.revocations.rows.values().filter(|row| row.keep_until < before).cloned().collect();
        due.sort_by_key(|row| (row.keep_until, row.number));
        due.truncate(as_usize(rows_max));
        Ok(due)
    }

    fn alias(&mut self, fingerprint: [u8; 16]) -> Result<Option<Meter>, Fault> {
        Ok(self.revocations.aliases.get(&fingerprint).map(|(level, _)| level.clone()))
    }

    fn put_alias(
        &mut self,
        fingerprint: [u8; 16],
        level: &Meter,
        keep_until: UnixSeconds,
    ) -> Result<(), Fault> {
        self.has_writes = true;
        let known = self.revocations.aliases.get(&fingerprint).map_or(keep_until, |(_, known)| *known);
        self.revocations.aliases.insert(fingerprint, (level.clone(), keep_until.max(known)));
        Ok(())
    }

    fn clear_aliases(&mut self, before: UnixSeconds, _: u32) -> Result<usize, Fault> {
        let aliases = &mut self.revocations.aliases;
        let count = aliases.len();
        aliases.retain(|_, (_, keep_until)| *keep_until >= before);
        Ok(count - aliases.len())
    }
}

fn as_usize(rows: u32) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}
