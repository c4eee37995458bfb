//! Random histories of holds, settlements, faults, restarts and time, through the machine and through a model of it.
//!
//! The model is written from the contract and shares nothing with the machine: it keeps every event, and works out what
//! is used by looking at all of them.

#![allow(clippy::unwrap_used)]

mod amounts;
mod kept;
mod model;
mod renewed;
mod revoked;
mod uploading;

use proptest::prelude::*;

use super::*;
use crate::LeaseRequest;
use crate::engine::failing::FailingStore;
use model::{Ask, Ending, Model};

const START: UnixSeconds = UnixSeconds(1_700_000_000);

/// How many histories a test takes: about as many steps as `VALETKEY_LEDGER_STEPS` says, or some that take seconds.
fn cases() -> u32 {
    const STEPS_OF_A_HISTORY: u32 = 30;
    let steps = std::env::var("VALETKEY_LEDGER_STEPS").ok().and_then(|steps| steps.parse::<u32>().ok());
    steps.map_or(1000, |steps| (steps / STEPS_OF_A_HISTORY).max(1))
}

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    /// Asks for a hold; the chain goes down that many levels, with these limits.
    Hold {
        limits: Vec<u64>,
        ask: Ask,
    },
    /// Settles one of the holds that were ever given.
    Settle {
        which: prop::sample::Index,
        ending: Ending,
    },
    Publish {
        which: prop::sample::Index,
    },
    Advance {
        secs: u64,
    },
    /// The process dies and comes back.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<(Step, bool)>> {
    let ask = prop_oneof![
        1 => Just(Ask::Upload),
        3 => (0..2_usize, prop::sample::select(vec![0, 1, 7, 100]), 0..130_u64, prop::sample::select(vec![0, 10, 600]))
            .prop_map(|(client, size, ask, lease_secs)| Ask::Download { client, size, ask, lease_secs }),
    ];
    let ending = prop_oneof![Just(Ending::Released), (0..130_u64).prop_map(Ending::Done)];
    let step = prop_oneof![
        8 => (prop::collection::vec(0..8_u64, 1..4), ask).prop_map(|(limits, ask)| Step::Hold { limits, ask }),
        8 => (any::<prop::sample::Index>(), ending).prop_map(|(which, ending)| Step::Settle { which, ending }),
        2 => any::<prop::sample::Index>().prop_map(|which| Step::Publish { which }),
        3 => prop::sample::select(vec![1, 9, 10, 11, 599, 600, 601]).prop_map(|secs| Step::Advance { secs }),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec((step, prop::bool::weighted(0.1)), 1..120)
}

/// The machine under test, and what it has given.
struct History {
    machine: Machine<FailingStore>,
    given: Vec<HoldId>,
    now: UnixSeconds,
}

impl History {
    /// Takes a step in both, and compares the answers. A step that faults happens in neither.
    fn step(&mut self, model: &mut Model, step: &Step, faults: bool) {
        let mut would_be = model.clone();
        match step {
            Step::Hold { limits, ask } => {
                let expected = would_be.hold(limits, ask);
                let result = self.machine.hold(self.request(limits, ask)).unwrap();
                match (&result, &expected) {
                    (Ok(_), Ok(())) => {}
                    (Err(LedgerError::Exhausted { level, .. }), Err(spent)) => assert_eq!(level, spent),
                    _ => panic!("{result:?} instead of {expected:?}"),
                }
                if let (Ok(id), false) = (result, faults) {
                    self.given.push(id);
                }
            }
            Step::Settle { which, ending } if !self.given.is_empty() => {
                let which = which.index(self.given.len());
                let settlement = match *ending {
                    Ending::Done(bytes) => Settlement::Done { bytes },
                    Ending::Released => Settlement::Released,
                };
                let result = self.machine.settle(self.given[which], settlement, self.now).unwrap();
                assert_eq!(result.is_ok(), would_be.settle(which, *ending), "{result:?}");
            }
            Step::Publish { which } if !self.given.is_empty() => {
                let which = which.index(self.given.len());
                let result = self.machine.publish(self.given[which]).unwrap();
                assert_eq!(result.is_ok(), would_be.publish(which), "{result:?}");
            }
            Step::Advance { secs } => {
                self.now = self.now.plus(*secs);
                assert_eq!(self.machine.observe(self.now).unwrap().unwrap(), self.now);
                model.now = self.now.0;
                would_be.now = self.now.0;
            }
            Step::Settle { .. } | Step::Publish { .. } | Step::Restart => {}
        }
        match faults {
            true => self.machine.roll_back(),
            false => {
                self.machine.commit().unwrap();
                *model = would_be;
            }
        }
    }

    fn request(&self, limits: &[u64], ask: &Ask) -> HoldRequest {
        let level = |(level, limit): (usize, &u64)| Charge {
            meter: Meter::new(model::METERS[level]),
            limits: crate::Limits { uses: Some(*limit), ..crate::Limits::default() },
            ends: UnixSeconds::MAX,
            keep_until: UnixSeconds::MAX,
        };
        let purpose = match *ask {
            Ask::Upload => Purpose::Upload {
                object: "o".to_owned(),
                file: "a".to_owned(),
                declared_bytes: None,
                copied_bytes: 0,
            },
            Ask::Download { client, size, ask, lease_secs } => Purpose::Download(LeaseRequest {
                object: "o".to_owned(),
                version: size.to_string(),
                client: client.to_string(),
                size_bytes: size,
                ask_bytes: ask,
                lease_secs,
            }),
        };
        HoldRequest { charges: limits.iter().enumerate().map(level).collect(), purpose, now: self.now }
    }

    fn check(&mut self, model: &Model) {
        for (level, meter) in model::METERS.into_iter().enumerate() {
            let uses = self.machine.usage(&Meter::new(meter)).unwrap().unwrap().uses;
            assert_eq!(uses, model.uses(level), "uses of {meter}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn machine_does_as_the_model_says(steps in steps()) {
        let machine = Machine::new(FailingStore::new(), 1).unwrap();
        let mut history = History { machine, given: Vec::new(), now: START };
        let mut model = Model::new(START.0);
        for (life, (step, faults)) in (2..).zip(&steps) {
            if matches!(step, Step::Restart) {
                // What waits may be lost by a crash, which costs uses; here it is written first.
                history.machine.flush();
                history.machine.commit().unwrap();
                let mut machine = Machine::new(history.machine.store, life).unwrap();
                machine.commit().unwrap();
                history.machine = machine;
                model.restart();
                let unresolved = history.machine.unresolved().unwrap().unwrap();
                assert_eq!(unresolved.len(), model.unresolved());
            } else {
                history.step(&mut model, step, *faults);
            }
            history.check(&model);
        }
    }
}
