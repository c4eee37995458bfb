//! The transitions of revocations.

use std::sync::Arc;

use super::{Decided, Machine};
use crate::revocation::view::Change;
use crate::store::{Fault, Store};
use crate::{LedgerError, Meter, NewRevocation, Revocation, RevocationView, Target, UnixSeconds};

/// How many rows are read at once when a ledger is opened.
const LOADED_AT_ONCE: u32 = 4096;

impl<S: Store> Machine<S> {
    /// What is shared with all who ask.
    pub(crate) fn revoked(&self) -> Arc<RevocationView> {
        Arc::clone(&self.revoked)
    }

    pub(crate) fn revoke(&mut self, new: &NewRevocation) -> Decided<Revocation> {
        let NewRevocation { target, before, now, keep_until } = new;
        for (name, time) in [("time", *now), ("end", *keep_until), ("time", before.unwrap_or_default())] {
            if time > UnixSeconds::MAX {
                return Ok(Err(LedgerError::OutOfRange { name, value: time.0 }));
            }
        }
        self.see(*now);
        let target = match target {
            Target::Fingerprint(fingerprint) => self.store.alias(*fingerprint)?.map(Target::Level),
            _ => None,
        }
        .unwrap_or_else(|| target.clone());
        let same = self.store.revocations_of(&target)?.into_iter().find(|row| row.before == *before);
        let row = match same {
            Some(row) if row.keep_until >= *keep_until => return Ok(Ok(row)),
            Some(row) => Revocation { keep_until: *keep_until, ..row },
            None => {
                let number = self.store.next_revocation()?;
                Revocation { number, target, before: *before, made: *now, keep_until: *keep_until }
            }
        };
        self.store.put_revocation(&row)?;
        self.change(&row.target)?;
        Ok(Ok(row))
    }

    pub(crate) fn lift(&mut self, number: u64) -> Decided<Option<Revocation>> {
        let row = self.store.revocation(number)?;
        if let Some(row) = &row {
            self.store.remove_revocation(number)?;
            self.change(&row.target)?;
        }
        Ok(Ok(row))
    }

    pub(crate) fn revocations(&mut self, after: u64, max: u32) -> Decided<Vec<Revocation>> {
        Ok(Ok(self.store.revocations(after, max)?))
    }

    pub(crate) fn note_alias(
        &mut self,
        fingerprint: [u8; 16],
        level: &Meter,
        keep_until: UnixSeconds,
    ) -> Decided<()> {
        if keep_until > UnixSeconds::MAX {
            return Ok(Err(LedgerError::OutOfRange { name: "end", value: keep_until.0 }));
        }
        self.store.put_alias(fingerprint, level, keep_until)?;
        Ok(Ok(()))
    }

    /// Shows what an earlier life revoked.
    pub(super) fn load_revocations(&mut self) -> Result<(), Fault> {
        let mut after = 0;
        loop {
            let rows = self.store.revocations(after, LOADED_AT_ONCE)?;
            let Some(last) = rows.last() else { break };
            after = last.number;
            self.revoked.load(rows);
        }
        self.revoked.clear_before(self.header.cleared_before);
        Ok(())
    }

    /// Shows what the commit made durable.
    pub(super) fn show_revocations(&mut self) {
        if self.revoked.cleared_before() != self.header.cleared_before {
            self.revoked.clear_before(self.header.cleared_before);
        }
        if !self.changes.is_empty() {
            self.revoked.apply(self.changes.drain(..));
        }
    }

    /// Removes revocations, and what is known of fingerprints, that matter no more. Returns the latest `keep_until`
    /// of a revocation among them.
    pub(super) fn clear_revocations(
        &mut self,
        before: UnixSeconds,
        rows_max: u32,
    ) -> Result<Option<UnixSeconds>, Fault> {
        self.store.clear_aliases(before, rows_max)?;
        let due = self.store.due_revocations(before, rows_max)?;
        for row in &due {
            self.store.remove_revocation(row.number)?;
            self.change(&row.target)?;
        }
        Ok(due.iter().map(|row| row.keep_until).max())
    }

    /// Has the view changed to what the rows say of a target.
    fn change(&mut self, target: &Target) -> Result<(), Fault> {
        // None is stricter than any time.
        let rows = self.store.revocations_of(target)?;
        let revoked = rows.iter().map(|row| row.before).max_by_key(|before| (before.is_none(), *before));
        self.changes.push(Change { target: target.clone(), revoked });
        Ok(())
    }
}
