//! Leases: one use pays for all that one client reads of one version of one object, up to a quarter more than its size.
//!
//! A request rides on a lease if the bytes it asks for, with those sent and those still reserved, stay within 1.25
//! times the object's size. They are reserved when it starts, and what was not sent is given back when it ends. One key
//! may have several leases; a request takes the one with the least room that is enough, the oldest of equals.
//!
//! A lease lives while a request on it is open, and from the end of the last one for `lease_secs` seconds, exclusive:
//! at the end plus `lease_secs` it is gone. If nothing was ever sent on it when its last request ends, it is gone at
//! once and its use is given back.
//!
//! Leases live in memory, so a restart ends them; their use stays spent. They are bounded by the uses that paid for
//! them within the last `lease_secs`, and what has expired is swept a bounded number at a time.
//!
//! Changes are provisional until [`Leases::keep`]: when the engine cannot write the uses of a batch,
//! [`Leases::roll_back`] undoes its leases with them.

mod book;
mod clock;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::store::Charged;
use crate::{HoldId, Meter, Settlement, UnixSeconds};
pub(crate) use book::LeaseId;
use book::{Book, Lease, Running};
use clock::LeaseClock;

/// Whose lease it is. A tuple, so that no choice of names makes two of them one.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct LeaseKey {
    /// The last level of the key.
    pub(crate) meter: Meter,
    pub(crate) object: String,
    pub(crate) version: String,
    pub(crate) client: String,
}

/// What a new lease is opened with.
pub(crate) struct Opening {
    pub(crate) key: LeaseKey,
    pub(crate) size_bytes: u64,
    pub(crate) ask_bytes: u64,
    pub(crate) lease_secs: u64,
    /// The levels that paid for it.
    pub(crate) charged: Vec<Charged>,
}

/// What rides on a lease.
pub(crate) struct Ride {
    pub(crate) ask_bytes: u64,
    pub(crate) lease_secs: u64,
    /// The levels of its own chain.
    pub(crate) charged: Vec<Charged>,
}

/// What the end of a download leaves to be done.
pub(crate) struct Ended {
    /// The levels that its bytes were charged to.
    pub(crate) charged: Arc<[Charged]>,
    /// How many bytes it had reserved and did not send.
    pub(crate) unsent_bytes: u64,
    /// The levels whose use bought nothing, if that is so.
    pub(crate) unused: Option<Arc<[Charged]>>,
}

/// All leases of one life of the ledger.
#[derive(Default)]
pub(crate) struct Leases {
    clock: LeaseClock,
    book: Book,
    /// When to look at a lease again; at most one entry a lease, and possibly too early.
    looks: BinaryHeap<Reverse<(u64, LeaseId)>>,
    opened: LeaseId,
}

impl Leases {
    /// Moves the leases' clock to the highest time seen.
    pub(crate) fn tick(&mut self, mark: UnixSeconds) {
        self.clock.tick(mark);
    }

    /// Finds a living lease with room for that much.
    pub(crate) fn with_room(&self, key: &LeaseKey, ask_bytes: u64) -> Option<LeaseId> {
        let now = self.clock.elapsed();
        self.book.with_room(key, ask_bytes).find(|(_, lease)| lease.lives(now)).map(|(id, _)| id)
    }

    /// Puts a hold onto the lease that was found to have room for it.
    pub(crate) fn ride(&mut self, hold: HoldId, id: LeaseId, ride: Ride) {
        let Ride { ask_bytes, lease_secs, charged } = ride;
        self.book.change(id, |lease| {
            lease.reserved += u128::from(ask_bytes);
            lease.open += 1;
            lease.secs = lease_secs;
        });
        let running = Running { lease: id, reserved: ask_bytes, charged: charged.into() };
        self.book.set_running(hold, Some(running));
    }

    /// Opens a lease with its first hold, whatever that asks for: its use is paid.
    pub(crate) fn open(&mut self, hold: HoldId, opening: Opening) {
        self.opened += 1;
        let charged: Arc<[Charged]> = opening.charged.into();
        let lease = Lease {
            key: Arc::new(opening.key),
            size: opening.size_bytes,
            secs: opening.lease_secs,
            sent: 0,
            reserved: u128::from(opening.ask_bytes),
            open: 1,
            used: false,
            ended: 0,
            look_due: false,
            charged: Arc::clone(&charged),
        };
        self.book.set_lease(self.opened, Some(lease));
        let running = Running { lease: self.opened, reserved: opening.ask_bytes, charged };
        self.book.set_running(hold, Some(running));
    }

    /// Ends a hold, if a download of that name is open.
    pub(crate) fn end(&mut self, hold: HoldId, settlement: Settlement) -> Option<Ended> {
        let Running { lease: id, reserved, charged } = self.book.running(hold)?;
        self.book.set_running(hold, None);
        let now = self.clock.elapsed();
        let sent = match settlement {
            Settlement::Done { bytes } => bytes.min(reserved),
            Settlement::Released => 0,
        };
        let lease = self.book.change(id, |lease| {
            lease.reserved -= u128::from(reserved);
            lease.open -= 1;
            lease.ended = now;
            lease.sent += u128::from(sent);
            lease.used |= matches!(settlement, Settlement::Done { .. });
        });
        let mut unused = None;
        if lease.open == 0 && lease.used {
            self.look_later(id, &lease);
        } else if lease.open == 0 {
            self.book.set_lease(id, None);
            unused = Some(lease.charged);
        }
        Some(Ended { charged, unsent_bytes: reserved - sent, unused })
    }

    /// Makes the changes since the last `keep` final, and sweeps at most `looks_max` leases.
    pub(crate) fn keep(&mut self, looks_max: usize) {
        self.book.keep();
        let now = self.clock.elapsed();
        for _ in 0..looks_max {
            match self.looks.peek() {
                Some(&Reverse((due, id))) if due <= now => {
                    self.looks.pop();
                    self.look(id, now);
                }
                _ => break,
            }
        }
        self.book.keep();
    }

    /// Undoes the changes since the last `keep`.
    pub(crate) fn roll_back(&mut self) {
        self.book.roll_back();
    }

    fn look(&mut self, id: LeaseId, now: u64) {
        let Some(lease) = self.book.lease(id) else {
            return;
        };
        if !lease.lives(now) {
            self.book.set_lease(id, None);
            return;
        }
        let lease = self.book.change(id, |lease| lease.look_due = false);
        // An open one is put back when its last request ends.
        if lease.open == 0 {
            self.look_later(id, &lease);
        }
    }

    fn look_later(&mut self, id: LeaseId, lease: &Lease) {
        if !lease.look_due {
            self.looks.push(Reverse((lease.ended.saturating_add(lease.secs), id)));
            self.book.change(id, |lease| lease.look_due = true);
        }
    }
}

#[cfg(test)]
mod tests;
