//! Random histories of every resource through the machine, and through a model that keeps all events and adds them up.
//!
//! Leases have a model of their own; here each download is another client's.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::{Limits, MeterQuery, Resource};

const METERS: [&str; 3] = ["base", "child", "quota"];

#[derive(Clone, Debug)]
enum Ask {
    Upload { file: u8, declared: Option<u64>, copied: u64 },
    Delete,
    Download(u64),
    Answer(u64),
}

/// One level of a chain: which meter, what limits, and whether it is kept for ever.
#[derive(Clone, Debug)]
struct Level {
    meter: usize,
    limits: Limits,
    for_ever: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Hold(Vec<Level>, Ask),
    Grow(Index, u64),
    Publish(Index),
    Settle(Index, Option<u64>),
    Restart,
}

/// A hold that was given, and what it counts for by now.
#[derive(Clone)]
struct Event {
    levels: Vec<Level>,
    ask: Ask,
    in_bytes: u64,
    out_bytes: u64,
    open: bool,
    published: bool,
    /// It counts no more, but for a use of nothing.
    released: bool,
    life: u64,
}

#[derive(Clone, Default)]
struct Model {
    events: Vec<Event>,
    life: u64,
}

fn names(level: &Level) -> bool {
    level.limits.files.is_some() || !level.for_ever
}

impl Event {
    fn file(&self) -> Option<u8> {
        match self.ask {
            Ask::Upload { file, .. } => Some(file),
            _ => None,
        }
    }

    fn is_durable(&self) -> bool {
        matches!(self.ask, Ask::Upload { .. } | Ask::Delete)
    }
}

impl Model {
    /// What is used of a meter: the sum over all that ever happened.
    fn usage(&self, meter: usize) -> [u64; 5] {
        let [mut uses, mut in_bytes, mut out_bytes, mut parallel] = [0; 4];
        let mut files = std::collections::HashSet::new();
        for event in self.events.iter().filter(|event| !event.released) {
            for level in event.levels.iter().filter(|level| level.meter == meter) {
                uses += u64::from(!matches!(event.ask, Ask::Answer(_)));
                in_bytes += event.in_bytes;
                out_bytes += event.out_bytes;
                let runs = event.open && event.life == self.life;
                parallel += u64::from(runs && matches!(event.ask, Ask::Upload { .. } | Ask::Download(_)));
                files.extend(event.file().filter(|_| names(level)));
            }
        }
        [uses, in_bytes, out_bytes, u64::try_from(files.len()).unwrap(), parallel]
    }

    /// Charges a hold level by level to a copy, or says which level has not enough of what.
    fn hold(&mut self, levels: &[Level], ask: &Ask) -> Result<(), (usize, Resource)> {
        let (in_bytes, out_bytes) = match *ask {
            Ask::Upload { declared, copied, .. } => (declared.unwrap_or(0), copied),
            Ask::Delete => (0, 0),
            Ask::Download(bytes) | Ask::Answer(bytes) => (0, bytes),
        };
        let open = !matches!(ask, Ask::Answer(_));
        let mut event = Event {
            levels: Vec::new(),
            ask: ask.clone(),
            in_bytes,
            out_bytes,
            open,
            published: false,
            released: false,
            life: self.life,
        };
        for (place, level) in levels.iter().enumerate() {
            let before = self.with(&event).usage(level.meter);
            event.levels.push(level.clone());
            let after = self.with(&event).usage(level.meter);
            let Limits { uses, in_bytes, out_bytes, files, parallel } = level.limits;
            let resources =
                [Resource::Uses, Resource::In, Resource::Out, Resource::Files, Resource::Parallel];
            for (at, limit) in [uses, in_bytes, out_bytes, files, parallel].into_iter().enumerate() {
                if after[at] > before[at] && limit.is_some_and(|limit| after[at] > limit) {
                    return Err((place, resources[at]));
                }
            }
        }
        self.events.push(event);
        Ok(())
    }

    fn with(&self, event: &Event) -> Self {
        let mut with = self.clone();
        with.events.push(event.clone());
        with
    }

    /// How many more bytes an upload gets: as many as break no limit. `None` where it is not open to growth.
    fn grow(&mut self, which: usize, bytes: u64) -> Option<u64> {
        let event = &self.events[which];
        if !event.open || event.published || event.life != self.life || event.file().is_none() {
            return None;
        }
        if event.levels.iter().all(|level| level.limits.in_bytes.is_none()) {
            return Some(bytes);
        }
        let fits = |granted: u64| {
            let mut grown = self.clone();
            grown.events[which].in_bytes += granted;
            let event = &grown.events[which];
            (0..event.levels.len()).all(|place| {
                let level = &event.levels[place];
                // Levels further down compare after this one.
                let later =
                    event.levels[place + 1..].iter().filter(|other| other.meter == level.meter).count();
                let used = grown.usage(level.meter)[1] - u64::try_from(later).unwrap() * granted;
                granted == 0 || level.limits.in_bytes.is_none_or(|limit| used <= limit)
            })
        };
        let granted = (0..=bytes).rev().find(|granted| fits(*granted)).unwrap();
        self.events[which].in_bytes += granted;
        Some(granted)
    }

    fn settle(&mut self, which: usize, done: Option<u64>) -> bool {
        let life = self.life;
        let event = &mut self.events[which];
        if !event.open || (event.life != life && !event.is_durable()) {
            return false;
        }
        event.open = false;
        match (done, &event.ask) {
            (None, _) => event.released = true,
            (Some(bytes), Ask::Download(ask)) => event.out_bytes = bytes.min(*ask),
            (Some(bytes), Ask::Upload { .. }) if event.life == life => event.in_bytes = bytes,
            _ => {}
        }
        true
    }

    fn restart(&mut self) {
        self.life += 1;
        for event in self.events.iter_mut().filter(|event| event.open && event.is_durable()) {
            if !event.published {
                (event.open, event.released) = (false, true);
            }
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<(Step, bool)>> {
    let limit = || prop::option::of(0..60_u64);
    let few = || prop::option::of(0..6_u64);
    let limits =
        (few(), limit(), limit(), few(), few()).prop_map(|(uses, in_bytes, out_bytes, files, parallel)| {
            Limits { uses: uses.map(|uses| uses * 3), in_bytes, out_bytes, files, parallel }
        });
    let level = (0..METERS.len(), limits, any::<bool>());
    let level = level.prop_map(|(meter, limits, for_ever)| Level { meter, limits, for_ever });
    let ask = prop_oneof![
        4 => (0..4_u8, prop::option::of(0..20_u64), select(vec![0, 0, 5]))
            .prop_map(|(file, declared, copied)| Ask::Upload { file, declared, copied }),
        1 => Just(Ask::Delete),
        3 => (0..20_u64).prop_map(Ask::Download),
        1 => (0..10_u64).prop_map(Ask::Answer),
    ];
    let step = prop_oneof![
        8 => (prop::collection::vec(level, 1..4), ask).prop_map(|(levels, ask)| Step::Hold(levels, ask)),
        4 => (any::<Index>(), 0..30_u64).prop_map(|(which, bytes)| Step::Grow(which, bytes)),
        2 => any::<Index>().prop_map(Step::Publish),
        7 => (any::<Index>(), prop::option::of(0..30_u64)).prop_map(|(which, done)| Step::Settle(which, done)),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec((step, prop::bool::weighted(0.1)), 1..60)
}

/// The machine under test, and the names of the model's events.
struct History {
    machine: Machine<FailingStore>,
    given: Vec<HoldId>,
}

impl History {
    fn step(&mut self, model: &mut Model, step: &Step, faults: bool) {
        let mut would_be = model.clone();
        let which = |index: &Index| index.index(model.events.len());
        match step {
            Step::Hold(levels, ask) => {
                let result = self.machine.hold(self.request(levels, ask)).unwrap();
                match (&result, would_be.hold(levels, ask)) {
                    (Ok(id), Ok(())) if !faults => self.given.push(*id),
                    (Ok(_), Ok(())) => {}
                    (Err(LedgerError::Exhausted { level, resource, .. }), Err(expected)) => {
                        assert_eq!((*level, *resource), expected);
                    }
                    (_, expected) => panic!("{result:?} instead of {expected:?}"),
                }
            }
            Step::Grow(index, bytes) if !model.events.is_empty() => {
                let result = self.machine.grow(self.given[which(index)], *bytes).unwrap();
                match (&result, would_be.grow(which(index), *bytes)) {
                    (Ok(granted), Some(expected)) => assert_eq!(*granted, expected),
                    (Err(LedgerError::Exhausted { resource: Resource::In, .. }), Some(0)) if *bytes > 0 => {}
                    (Err(LedgerError::UnknownHold(_)), None) => {}
                    (_, expected) => panic!("{result:?} instead of {expected:?}"),
                }
            }
            Step::Publish(index) if !model.events.is_empty() => {
                let event = &mut would_be.events[which(index)];
                let may = event.open && event.is_durable();
                event.published |= may;
                assert_eq!(self.machine.publish(self.given[which(index)]).unwrap().is_ok(), may);
            }
            Step::Settle(index, done) if !model.events.is_empty() => {
                let settlement = done.map_or(Settlement::Released, |bytes| Settlement::Done { bytes });
                let result = self.machine.settle(self.given[which(index)], settlement, START).unwrap();
                assert_eq!(result.is_ok(), would_be.settle(which(index), *done), "{result:?}");
            }
            _ => {}
        }
        match faults {
            true => self.machine.roll_back(),
            false => {
                self.machine.commit().unwrap();
                *model = would_be;
            }
        }
    }

    fn request(&self, levels: &[Level], ask: &Ask) -> HoldRequest {
        let purpose = match *ask {
            Ask::Upload { file, declared, copied } => Purpose::Upload {
                object: "o".to_owned(),
                file: file.to_string(),
                declared_bytes: declared,
                copied_bytes: copied,
            },
            Ask::Delete => Purpose::Delete { object: "o".to_owned() },
            Ask::Download(bytes) => Purpose::Download(LeaseRequest {
                object: "o".to_owned(),
                version: "1".to_owned(),
                // No two are one client.
                client: self.machine.sequence.to_string(),
                size_bytes: bytes,
                ask_bytes: bytes,
                lease_secs: 600,
            }),
            Ask::Answer(bytes) => Purpose::Answer { bytes },
        };
        let charges = levels.iter().map(|level| Charge {
            meter: Meter::new(METERS[level.meter]),
            limits: level.limits,
            ends: if level.for_ever { UnixSeconds::MAX } else { START.plus(3600) },
            keep_until: if level.for_ever { UnixSeconds::MAX } else { START.plus(3600) },
        });
        HoldRequest { charges: charges.collect(), purpose, now: START }
    }

    fn check(&mut self, model: &Model) {
        for (place, meter) in METERS.into_iter().enumerate() {
            let usage = self.machine.usage(&Meter::new(meter)).unwrap().unwrap();
            let Usage { uses, in_bytes, out_bytes, files, parallel, .. } = usage;
            assert_eq!([uses, in_bytes, out_bytes, files, parallel], model.usage(place), "{meter}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn every_resource_adds_up(steps in steps()) {
        let machine = Machine::new(FailingStore::new(), 0).unwrap();
        let mut history = History { machine, given: Vec::new() };
        let mut model = Model::default();
        for (step, faults) in &steps {
            if matches!(step, Step::Restart) {
                // What waits may be lost by a crash, which costs uses; here it is written first.
                history.machine.flush();
                history.machine.commit().unwrap();
                model.restart();
                let mut machine = Machine::new(history.machine.store, model.life).unwrap();
                machine.commit().unwrap();
                history.machine = machine;
            } else {
                history.step(&mut model, step, *faults);
            }
            history.check(&model);
        }
        let query = MeterQuery { prefix: String::new(), live_at: UnixSeconds(0), after: None, max: 9 };
        let listed = history.machine.meters(&query).unwrap().unwrap();
        for found in listed.meters {
            let place = METERS.iter().position(|meter| *meter == found.meter.as_str()).unwrap();
            prop_assert_eq!(found.usage.in_bytes, model.usage(place)[1]);
        }
    }
}
