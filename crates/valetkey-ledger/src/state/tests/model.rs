//! The model: all that ever happened, and what follows from it.

use std::cmp::Reverse;

/// The meters of the levels, the base first.
pub(super) const METERS: [&str; 3] = ["base", "child", "grandchild"];

#[derive(Clone, Debug)]
pub(super) enum Ask {
    Upload,
    Download { client: usize, size: u64, ask: u64, lease_secs: u64 },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    Done(u64),
    Released,
}

#[derive(Clone)]
pub(super) struct Model {
    pub(super) now: u64,
    holds: Vec<Hold>,
    /// Every use that was ever taken. The holds name theirs by its place.
    uses: Vec<Use>,
}

/// A use, and what is common to all that rides on it.
#[derive(Clone)]
struct Use {
    levels: usize,
    given_back: bool,
    /// The client and the size of a download; the size is also the version.
    lease: Option<(usize, u64)>,
    lease_secs: u64,
    last_end: u64,
    /// The process that knew the lease has died.
    forgotten: bool,
}

#[derive(Clone)]
struct Hold {
    used: usize,
    ask: u64,
    published: bool,
    open: bool,
    /// What was sent, of one that ended as done.
    sent: Option<u64>,
}

impl Model {
    pub(super) fn new(now: u64) -> Self {
        Self { now, holds: Vec::new(), uses: Vec::new() }
    }

    pub(super) fn uses(&self, level: usize) -> u64 {
        self.uses.iter().filter(|used| !used.given_back && level < used.levels).map(|_| 1).sum()
    }

    pub(super) fn unresolved(&self) -> usize {
        self.holds.iter().filter(|hold| hold.open && hold.published).count()
    }

    /// Gives a hold, or says which level is spent.
    pub(super) fn hold(&mut self, limits: &[u64], ask: &Ask) -> Result<(), usize> {
        let (lease, ask, lease_secs) = match *ask {
            Ask::Upload => (None, 0, 0),
            Ask::Download { client, size, ask, lease_secs } => (Some((client, size)), ask, lease_secs),
        };
        let used = match self.ridden(limits.len(), lease, ask) {
            Some(used) => used,
            None => {
                if let Some(spent) = (0..limits.len()).find(|level| self.uses(*level) >= limits[*level]) {
                    return Err(spent);
                }
                let levels = limits.len();
                self.uses.push(Use {
                    levels,
                    given_back: false,
                    lease,
                    lease_secs,
                    last_end: 0,
                    forgotten: false,
                });
                self.uses.len() - 1
            }
        };
        self.uses[used].lease_secs = lease_secs;
        self.holds.push(Hold { used, ask, published: false, open: true, sent: None });
        Ok(())
    }

    /// Says whether there was something to settle.
    pub(super) fn settle(&mut self, which: usize, ending: Ending) -> bool {
        let Hold { used, open: true, ask, .. } = self.holds[which] else {
            return false;
        };
        self.holds[which].open = false;
        if let Ending::Done(bytes) = ending {
            self.holds[which].sent = Some(bytes.min(ask));
        }
        self.uses[used].last_end = self.now;
        let came_to_nothing = self.riders(used).all(|hold| !hold.open && hold.sent.is_none());
        self.uses[used].given_back = came_to_nothing;
        true
    }

    /// Says whether there was something to publish.
    pub(super) fn publish(&mut self, which: usize) -> bool {
        let hold = &mut self.holds[which];
        let may = hold.open && self.uses[hold.used].lease.is_none();
        hold.published |= may;
        may
    }

    pub(super) fn restart(&mut self) {
        for used in &mut self.uses {
            used.forgotten = true;
        }
        for hold in self.holds.iter_mut().filter(|hold| hold.open && !hold.published) {
            hold.open = false;
            let used = &mut self.uses[hold.used];
            used.given_back |= used.lease.is_none();
        }
    }

    /// The use of the living lease with the least room that is enough, the oldest of equals.
    fn ridden(&self, levels: usize, lease: Option<(usize, u64)>, ask: u64) -> Option<usize> {
        let (_, size) = lease?;
        let taken = |used| -> u64 {
            self.riders(used).map(|hold| if hold.open { hold.ask } else { hold.sent.unwrap_or(0) }).sum()
        };
        let lives = |used: usize| {
            let Use { last_end, lease_secs, .. } = self.uses[used];
            self.riders(used).any(|hold| hold.open) || self.now - last_end < lease_secs
        };
        let named = |used: usize| self.uses[used].lease == lease && self.uses[used].levels == levels;
        (0..self.uses.len())
            .filter(|used| named(*used) && !self.uses[*used].given_back && !self.uses[*used].forgotten)
            .filter(|used| lives(*used) && 4 * (taken(*used) + ask) <= 5 * size)
            .max_by_key(|used| (taken(*used), Reverse(*used)))
    }

    fn riders(&self, used: usize) -> impl Iterator<Item = &Hold> {
        self.holds.iter().filter(move |hold| hold.used == used)
    }
}
