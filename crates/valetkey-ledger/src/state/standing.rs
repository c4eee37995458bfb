//! The ledger itself: the highest time seen, whether its counts are trusted, and what it forgets.

use super::{Decided, Machine};
use crate::store::{Fault, Standing, Store};
use crate::{Charge, Distrust, LedgerError, Status, UnixSeconds};

/// How far the clock may lie behind the highest time seen, inclusive.
const CLOCK_BEHIND_SECS_MAX: u64 = 300;
/// How far the durable time mark may lag: each write of it alone costs a sync of the disk.
pub(super) const MARK_LAG_SECS: u64 = 10;
/// How long a meter outlives its keys.
pub(super) const KEEP_SECS: u64 = 86_400;
/// How many meters one commit clears. Enough to keep up with any load that makes them, too few to be felt.
const CLEARED_MAX: u32 = 128;
/// How many names of cleared meters one commit removes: a single one may have millions.
const NAMES_CLEARED_MAX: u32 = 1024;
/// How long to wait with clearing after nothing was left to clear.
const CLEAR_PAUSE_SECS: u64 = 60;

impl<S: Store> Machine<S> {
    pub(crate) fn status(&mut self) -> Decided<Status> {
        self.refresh()?;
        Ok(Ok(Status {
            ledger: self.header.ledger,
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

    pub(crate) fn distrust_counts(&mut self) -> Decided<()> {
        self.header.standing = Standing::Distrusted;
        Ok(Ok(()))
    }

    /// Refuses while the operator must accept something, after a look whether that has happened.
    pub(super) fn trust(&mut self, now: UnixSeconds) -> Decided<()> {
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

    pub(super) fn remembered(&self, charges: &[Charge]) -> Result<(), LedgerError> {
        let cleared_before = self.header.cleared_before;
        match charges.iter().enumerate().find(|(_, charge)| charge.keep_until < cleared_before) {
            Some((level, &Charge { keep_until, .. })) => {
                Err(LedgerError::Forgotten { level, keep_until, cleared_before })
            }
            None => Ok(()),
        }
    }

    /// Takes note of the time, and of the ledger's being in use.
    pub(super) fn see(&mut self, now: UnixSeconds) {
        if now <= UnixSeconds::MAX {
            self.header.time_mark = self.header.time_mark.max(now);
        }
        if self.header.standing == Standing::New {
            self.header.standing = Standing::Accepted;
        }
        self.leases.tick(self.header.time_mark);
    }

    /// Takes over what an operator accepted in another process.
    pub(super) fn refresh(&mut self) -> Result<(), Fault> {
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

    pub(super) fn header_due(&self) -> bool {
        self.header.standing != self.durable.standing
            || self.header.time_mark >= self.durable.time_mark.plus(MARK_LAG_SECS)
    }

    pub(super) fn clear(&mut self) -> Result<(), Fault> {
        let now = self.header.time_mark;
        if now < self.clear_at {
            return Ok(());
        }
        // A meter goes when a whole day lies between its last second and now.
        let before = UnixSeconds(now.0.saturating_sub(KEEP_SECS));
        let cleared = self.store.clear_meters(before, CLEARED_MAX)?;
        let more_names = self.store.clear_names(NAMES_CLEARED_MAX)?;
        match cleared.max(self.clear_revocations(before, CLEARED_MAX)?) {
            Some(latest) => self.header.cleared_before = self.header.cleared_before.max(latest.plus(1)),
            None if more_names => {}
            None => self.clear_at = now.plus(CLEAR_PAUSE_SECS),
        }
        Ok(())
    }
}
