//! Random histories of revocations, and a model that keeps the list of them.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::{NewRevocation, Revocable, Revocation, Target};

const LEVELS: [&str; 2] = ["base", "child"];
const FINGERPRINTS: [[u8; 16]; 2] = [[1; 16], [2; 16]];
const ISSUED: [Option<u64>; 4] = [None, Some(0), Some(10), Some(20)];

#[derive(Clone, Debug)]
enum Step {
    Revoke {
        target: Target,
        before: Option<u64>,
        keep_secs: Option<u64>,
    },
    Lift(Index),
    /// A key was renewed: its level is known by one more fingerprint.
    Alias {
        fingerprint: usize,
        level: usize,
    },
    Advance(u64),
    Restart,
}

fn targets() -> Vec<Target> {
    let signers = || [None, Some("web".to_owned())].into_iter();
    LEVELS
        .map(|level| Target::Level(Meter::new(level)))
        .into_iter()
        .chain(FINGERPRINTS.map(Target::Fingerprint))
        .chain(signers().map(|signer| Target::Id { signer, id: "x".to_owned() }))
        .chain(signers().map(|signer| Target::Subject { signer, subject: "x".to_owned() }))
        .chain([
            Target::Signer("web".to_owned()),
            Target::Policy("x".to_owned()),
            Target::Path("/files/u/".to_owned()),
        ])
        .collect()
}

/// Every name that a target reaches, and some that none does.
fn names() -> Vec<(Revocable<'static>, Vec<Target>)> {
    let all = targets();
    let reached = |wanted: &[usize]| wanted.iter().map(|place| all[*place].clone()).collect();
    vec![
        (Revocable::Level("base"), reached(&[0])),
        (Revocable::Level("child"), reached(&[1])),
        (Revocable::Fingerprint([1; 16]), reached(&[2])),
        (Revocable::Fingerprint([2; 16]), reached(&[3])),
        (Revocable::Id { signer: "web", id: "x" }, reached(&[4, 5])),
        (Revocable::Id { signer: "api", id: "x" }, reached(&[4])),
        (Revocable::Subject { signer: "web", subject: "x" }, reached(&[6, 7])),
        (Revocable::Subject { signer: "api", subject: "x" }, reached(&[6])),
        (Revocable::Signer("web"), reached(&[8])),
        (Revocable::Signer("api"), reached(&[])),
        (Revocable::Policy("x"), reached(&[9])),
        (Revocable::Path("/files/u/a"), reached(&[10])),
        (Revocable::Path("/files/u"), reached(&[])),
    ]
}

fn steps() -> impl Strategy<Value = Vec<(Step, bool)>> {
    let revoke = (
        select(targets()),
        select(vec![None, Some(5), Some(10), Some(15)]),
        select(vec![None, Some(0), Some(100), Some(200_000)]),
    );
    let step = prop_oneof![
        6 => revoke.prop_map(|(target, before, keep_secs)| Step::Revoke { target, before, keep_secs }),
        3 => any::<Index>().prop_map(Step::Lift),
        1 => (0..2_usize, 0..2_usize).prop_map(|(fingerprint, level)| Step::Alias { fingerprint, level }),
        3 => select(vec![1, 61, 100, 86_400, 86_461]).prop_map(Step::Advance),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec((step, prop::bool::weighted(0.1)), 1..60)
}

/// The revocations that were made and neither lifted nor seen to be dropped, and what levels fingerprints are of.
#[derive(Clone, Default)]
struct Model {
    rows: Vec<Revocation>,
    highest: u64,
    aliases: [Option<usize>; 2],
}

impl Model {
    /// Compares what was made with what the rules say of it.
    fn revoke(&mut self, new: &NewRevocation, made: &Revocation) {
        let target = match &new.target {
            Target::Fingerprint(bytes) => {
                let known = FINGERPRINTS.iter().position(|fingerprint| fingerprint == bytes);
                let level = known.and_then(|place| self.aliases[place]);
                level.map_or(new.target.clone(), |level| Target::Level(Meter::new(LEVELS[level])))
            }
            target => target.clone(),
        };
        match self.rows.iter_mut().find(|row| row.target == target && row.before == new.before) {
            Some(row) => {
                row.keep_until = row.keep_until.max(new.keep_until);
                assert_eq!(made, row);
            }
            None => {
                assert!(made.number > self.highest, "number {} was given before", made.number);
                self.highest = made.number;
                let NewRevocation { before, now, keep_until, .. } = *new;
                let row = Revocation { number: made.number, target, before, made: now, keep_until };
                assert_eq!(*made, row);
                self.rows.push(row);
            }
        }
    }

    fn revokes(&self, reached: &[Target], issued: Option<u64>) -> bool {
        self.rows.iter().filter(|row| reached.contains(&row.target)).any(|row| match (row.before, issued) {
            (Some(before), Some(issued)) => issued < before.0,
            _ => true,
        })
    }
}

fn step(machine: &mut Machine<FailingStore>, model: &mut Model, now: UnixSeconds, step: &Step, faults: bool) {
    let mut would_be = model.clone();
    match step {
        Step::Revoke { target, before, keep_secs } => {
            let keep_until = keep_secs.map_or(UnixSeconds::MAX, |secs| now.plus(secs));
            let new =
                NewRevocation { target: target.clone(), before: before.map(UnixSeconds), now, keep_until };
            let made = machine.revoke(&new).unwrap().unwrap();
            would_be.revoke(&new, &made);
        }
        Step::Lift(which) if !model.rows.is_empty() => {
            let row = would_be.rows.remove(which.index(model.rows.len()));
            assert_eq!(machine.lift(row.number).unwrap().unwrap(), Some(row));
        }
        Step::Alias { fingerprint, level } => {
            let name = Meter::new(LEVELS[*level]);
            let noted = machine.note_alias(FINGERPRINTS[*fingerprint], &name, UnixSeconds::MAX);
            noted.unwrap().unwrap();
            would_be.aliases[*fingerprint] = Some(*level);
        }
        Step::Advance(_) => drop(machine.observe(now).unwrap().unwrap()),
        Step::Lift(_) | Step::Restart => {}
    }
    match faults {
        true => machine.roll_back(),
        false => {
            machine.commit().unwrap();
            *model = would_be;
        }
    }
}

/// What is listed is what the model has, less what was due; and the view says exactly what is listed.
fn check(machine: &mut Machine<FailingStore>, model: &mut Model, now: UnixSeconds) {
    let listed = machine.revocations(0, 1000).unwrap().unwrap();
    let view = machine.revoked();
    model.rows.retain(|row| {
        let stays = listed.contains(row);
        if !stays {
            assert!(row.keep_until.plus(standing::KEEP_SECS) <= now, "{row:?} was dropped at {now}");
            assert!(view.cleared_before() > row.keep_until, "what {row:?} revoked may open again");
        }
        stays
    });
    assert_eq!(listed, model.rows);
    for (name, reached) in names() {
        for issued in ISSUED {
            let revoked = view.read().is_some_and(|reading| reading.revokes(name, issued.map(UnixSeconds)));
            assert_eq!(revoked, model.revokes(&reached, issued), "{name:?} of {issued:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn what_is_revoked_is_what_the_list_says(steps in steps()) {
        let mut machine = Machine::new(FailingStore::new(), 1).unwrap();
        machine.observe(START).unwrap().unwrap();
        machine.commit().unwrap();
        let (mut model, mut now) = (Model::default(), START);
        for (life, (next, faults)) in (2..).zip(&steps) {
            if let Step::Advance(secs) = next {
                now = now.plus(*secs);
            }
            if matches!(next, Step::Restart) {
                machine = Machine::new(machine.store, life).unwrap();
                machine.commit().unwrap();
            } else {
                step(&mut machine, &mut model, now, next, *faults);
            }
            check(&mut machine, &mut model, now);
        }
    }
}
