//! Random histories of keys that end, are renewed and narrowed, under a clock that goes forth and back, with an
//! operator who accepts it, and crashes: however the records of ended keys are cleared, no key gets a fresh count.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

const KEYS: usize = 3;
const LIMIT: u64 = 2;
const CHILD_LIMIT: u64 = 1;
/// How long a key can be renewed after its first end.
const RENEW_SECS: u64 = 150_000;

#[derive(Clone, Debug)]
enum Step {
    /// A hold with a key, or with a child of it; every renewal of a key has the same meter.
    Hold {
        key: usize,
        child: bool,
    },
    Settle(Index, bool),
    /// The key goes on until so long after now.
    Renew {
        key: usize,
        secs: u64,
    },
    /// The clock moves by so much: back too.
    Clock(i64),
    /// The operator says that the clock is right.
    Accept,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<(Step, bool)>> {
    let step = prop_oneof![
        8 => (0..KEYS, any::<bool>()).prop_map(|(key, child)| Step::Hold { key, child }),
        4 => (any::<Index>(), any::<bool>()).prop_map(|(which, done)| Step::Settle(which, done)),
        2 => (0..KEYS, select(vec![100, 100_000])).prop_map(|(key, secs)| Step::Renew { key, secs }),
        5 => select(vec![1, 61, 90_000, 200_000, -100, -90_000, -200_000]).prop_map(Step::Clock),
        2 => Just(Step::Accept),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec((step, prop::bool::weighted(0.1)), 1..120)
}

/// A key: when it ends, until when it can be renewed, and what it and its child were ever given.
#[derive(Clone, Copy)]
struct Key {
    end: UnixSeconds,
    renew: UnixSeconds,
    given: u64,
    given_to_child: u64,
}

struct History {
    machine: Machine<FailingStore>,
    now: UnixSeconds,
    keys: [Key; KEYS],
    /// Holds that were given: of which key, and whether of its child.
    open: Vec<(HoldId, usize, bool)>,
}

impl History {
    fn hold(&mut self, key: usize, child: bool, faults: bool) {
        // As the gateway does: an end is judged by the highest time seen.
        let judged = self.machine.observe(self.now).unwrap().unwrap();
        if self.keys[key].end <= judged {
            return;
        }
        let level = |meter: String, limit: u64| Charge {
            meter: Meter::new(meter),
            limits: Limits { uses: Some(limit), ..Limits::default() },
            ends: self.keys[key].renew,
            keep_until: self.keys[key].renew,
        };
        let child_level = child.then(|| level(format!("key {key} child"), CHILD_LIMIT));
        let charges = [level(format!("key {key}"), LIMIT)].into_iter().chain(child_level).collect();
        let purpose = Purpose::Delete { object: "o".to_owned() };
        if let (Ok(id), false) =
            (self.machine.hold(HoldRequest { charges, purpose, now: self.now }).unwrap(), faults)
        {
            self.open.push((id, key, child));
            self.keys[key].given += 1;
            self.keys[key].given_to_child += u64::from(child);
        }
    }

    fn settle(&mut self, which: &Index, done: bool, faults: bool) {
        if self.open.is_empty() {
            return;
        }
        let place = which.index(self.open.len());
        let (id, key, child) = self.open[place];
        let settlement = if done { Settlement::Done { bytes: 0 } } else { Settlement::Released };
        self.machine.settle(id, settlement, self.now).unwrap().unwrap();
        if !faults {
            self.open.remove(place);
            if !done {
                self.keys[key].given -= 1;
                self.keys[key].given_to_child -= u64::from(child);
            }
        }
    }

    fn accept(&mut self) {
        let store = &mut self.machine.store;
        store.begin().unwrap();
        let mut header = store.header().unwrap();
        header.time_mark = self.now;
        header.acceptances += 1;
        store.put_header(&header).unwrap();
        store.commit().unwrap();
    }

    fn step(&mut self, step: &Step, life: u64, faults: bool) {
        match step {
            Step::Hold { key, child } => self.hold(*key, *child, faults),
            Step::Settle(which, done) => self.settle(which, *done, faults),
            Step::Renew { key, secs } => {
                let judged = self.machine.observe(self.now).unwrap().unwrap();
                let Key { end, renew, .. } = &mut self.keys[*key];
                if *end > judged {
                    *end = judged.plus(*secs).min(*renew).max(*end);
                }
            }
            Step::Clock(secs) => {
                self.now = UnixSeconds(self.now.0.saturating_add_signed(*secs));
                self.machine.observe(self.now).unwrap().unwrap();
            }
            Step::Accept => return self.accept(),
            Step::Restart => return self.restart(life),
        }
        match faults {
            true => self.machine.roll_back(),
            false => self.machine.commit().unwrap(),
        }
    }

    /// What was held and not marked as publishing comes back.
    fn restart(&mut self, life: u64) {
        let fresh = FailingStore::new();
        let store = std::mem::replace(&mut self.machine.store, fresh);
        self.machine = Machine::new(store, life).unwrap();
        self.machine.commit().unwrap();
        for (_, key, child) in self.open.drain(..) {
            self.keys[key].given -= 1;
            self.keys[key].given_to_child -= u64::from(child);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn no_renewal_and_no_clock_refills_a_count(steps in steps()) {
        let ends = [100, 100_000, 400_000].map(|secs| START.plus(secs));
        let mut history = History {
            machine: Machine::new(FailingStore::new(), 1).unwrap(),
            now: START,
            keys: ends.map(|end| Key { end, renew: end.plus(RENEW_SECS), given: 0, given_to_child: 0 }),
            open: Vec::new(),
        };
        for (life, (step, faults)) in (2..).zip(&steps) {
            history.step(step, life, *faults);
            for Key { given, given_to_child, .. } in history.keys {
                prop_assert!(given <= LIMIT && given_to_child <= CHILD_LIMIT, "{given}, {given_to_child}");
            }
        }
    }
}
