//! The leases and their open holds, with an index by room and a way back.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::LeaseKey;
use crate::HoldId;
use crate::store::Charged;

pub(crate) type LeaseId = u64;

#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) key: Arc<LeaseKey>,
    pub(super) size: u64,
    /// How long it outlives its last request, as the latest one said.
    pub(super) secs: u64,
    /// Bytes. Many requests of up to 2^64 bytes each must add up without overflow, hence the width.
    pub(super) sent: u128,
    pub(super) reserved: u128,
    /// How many holds are open.
    pub(super) open: u64,
    /// Something was answered on it.
    pub(super) used: bool,
    /// When the last hold ended so far, on the leases' clock.
    pub(super) ended: u64,
    /// It stands in the queue of those to be looked at.
    pub(super) look_due: bool,
    pub(super) charged: Arc<[Charged]>,
}

impl Lease {
    pub(super) fn lives(&self, now: u64) -> bool {
        self.open > 0 || now.saturating_sub(self.ended) < self.secs
    }

    /// How many bytes may still be asked for; `None` where even none would be too many.
    ///
    /// `4·(sent + reserved + ask) ≤ 5·size`, solved for `ask`, in whole bytes.
    fn room(&self) -> Option<u128> {
        (u128::from(self.size) * 5 / 4).checked_sub(self.sent + self.reserved)
    }
}

/// An open download.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) lease: LeaseId,
    pub(super) reserved: u64,
    /// The levels of its own chain, which may have quotas that its lease's opener had not.
    pub(super) charged: Arc<[Charged]>,
}

#[derive(Default)]
pub(super) struct Book {
    leases: HashMap<LeaseId, Lease>,
    /// Every lease that has room, so that a client with many full leases costs no search.
    rooms: HashMap<Arc<LeaseKey>, BTreeSet<(u128, LeaseId)>>,
    running: HashMap<HoldId, Running>,
    undo: Vec<Undo>,
}

/// What stood there before a change.
enum Undo {
    Lease(LeaseId, Option<Lease>),
    Running(HoldId, Option<Running>),
}

impl Book {
    pub(super) fn lease(&self, id: LeaseId) -> Option<&Lease> {
        self.leases.get(&id)
    }

    pub(super) fn running(&self, hold: HoldId) -> Option<Running> {
        self.running.get(&hold).cloned()
    }

    /// The leases of a key with at least that much room, the least first, expired ones among them.
    pub(super) fn with_room(
        &self,
        key: &LeaseKey,
        ask_bytes: u64,
    ) -> impl Iterator<Item = (LeaseId, &Lease)> {
        let rooms = self.rooms.get(key).into_iter();
        let ids = rooms.flat_map(move |rooms| rooms.range((u128::from(ask_bytes), 0)..));
        ids.filter_map(|&(_, id)| self.leases.get(&id).map(|lease| (id, lease)))
    }

    /// Changes a lease that is known to be there, and returns what it became.
    pub(super) fn change(&mut self, id: LeaseId, change: impl FnOnce(&mut Lease)) -> Lease {
        let mut lease =
            self.leases.get(&id).expect("a lease stays while a hold or the sweep refers to it").clone();
        change(&mut lease);
        self.set_lease(id, Some(lease.clone()));
        lease
    }

    pub(super) fn set_lease(&mut self, id: LeaseId, lease: Option<Lease>) {
        let before = self.place_lease(id, lease);
        self.undo.push(Undo::Lease(id, before));
    }

    pub(super) fn set_running(&mut self, hold: HoldId, running: Option<Running>) {
        let before = self.place_running(hold, running);
        self.undo.push(Undo::Running(hold, before));
    }

    pub(super) fn keep(&mut self) {
        self.undo.clear();
    }

    pub(super) fn roll_back(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Lease(id, before) => drop(self.place_lease(id, before)),
                Undo::Running(hold, before) => drop(self.place_running(hold, before)),
            }
        }
    }

    fn place_running(&mut self, hold: HoldId, running: Option<Running>) -> Option<Running> {
        match running {
            Some(running) => self.running.insert(hold, running),
            None => self.running.remove(&hold),
        }
    }

    /// Keeps the leases and the index by room in step: nothing else writes either.
    fn place_lease(&mut self, id: LeaseId, lease: Option<Lease>) -> Option<Lease> {
        let room = lease.as_ref().and_then(|lease| Some((Arc::clone(&lease.key), lease.room()?)));
        let before = match lease {
            Some(lease) => self.leases.insert(id, lease),
            None => self.leases.remove(&id),
        };
        if let Some(before) = &before
            && let Some(room) = before.room()
            && let Some(rooms) = self.rooms.get_mut(&before.key)
        {
            rooms.remove(&(room, id));
            if rooms.is_empty() {
                self.rooms.remove(&before.key);
            }
        }
        if let Some((key, room)) = room {
            self.rooms.entry(key).or_default().insert((room, id));
        }
        before
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.leases.is_empty() && self.rooms.is_empty() && self.running.is_empty()
    }
}
