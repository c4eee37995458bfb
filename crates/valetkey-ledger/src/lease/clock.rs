//! The clock of leases: it only runs forward, and counts what the wall clock gained.

use crate::UnixSeconds;

/// Seconds gained since the first look at the clock.
///
/// A lease must neither live for ever because the clock was set back, nor be measured against a moment that no longer
/// means anything. So it is measured in seconds gained: a step back gains none, and counting goes on from there; a
/// step forward counts in full, which ends leases early and so errs on the safe side.
#[derive(Debug, Default)]
pub(super) struct LeaseClock {
    seen: Option<UnixSeconds>,
    elapsed: u64,
}

impl LeaseClock {
    pub(super) fn tick(&mut self, now: UnixSeconds) {
        let gained = self.seen.map_or(0, |seen| now.0.saturating_sub(seen.0));
        self.elapsed = self.elapsed.saturating_add(gained);
        self.seen = Some(now);
    }

    pub(super) fn elapsed(&self) -> u64 {
        self.elapsed
    }
}
