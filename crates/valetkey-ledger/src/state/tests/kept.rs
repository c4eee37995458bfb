//! Random histories of keys of one id that come one after another, each when the others may have ended long ago: what
//! one has used, all later ones have. A key that is named otherwise is forgotten when it has ended, and stays refused.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// A use of a key of the id that ends so long after now, and allows so many in all.
    OfId {
        secs: u64,
        limit: u64,
    },
    /// A use of the one key that has a name of its own.
    Own,
    Advance(u64),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<(Step, bool)>> {
    let step = prop_oneof![
        6 => (select(vec![1, 60, 100_000]), 0..9_u64).prop_map(|(secs, limit)| Step::OfId { secs, limit }),
        2 => Just(Step::Own),
        4 => select(vec![1, 61, 90_000, 5_000_000]).prop_map(Step::Advance),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec((step, prop::bool::weighted(0.1)), 1..60)
}

fn use_once(
    machine: &mut Machine<FailingStore>,
    charge: Charge,
    now: UnixSeconds,
) -> Result<HoldId, LedgerError> {
    let purpose = Purpose::Delete { object: "o".to_owned() };
    let held = machine.hold(HoldRequest { charges: vec![charge], purpose, now }).unwrap();
    if let Ok(id) = held {
        machine.settle(id, Settlement::Done { bytes: 0 }, now).unwrap().unwrap();
    }
    held
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn keys_of_one_id_share_its_count_whenever_they_come(steps in steps()) {
        let mut machine = Machine::new(FailingStore::new(), 1).unwrap();
        let (mut now, end) = (START, START.plus(1000));
        let (mut used, mut own_used) = (0, 0);
        for (life, (step, faults)) in (2..).zip(&steps) {
            let (used_before, own_before) = (used, own_used);
            match step {
                Step::OfId { secs, limit } => {
                    let limits = Limits { uses: Some(*limit), ..Limits::default() };
                    let (meter, keep_until) = (Meter::new("id"), UnixSeconds::MAX);
                    let charge = Charge { meter, limits, ends: now.plus(*secs), keep_until };
                    let held = use_once(&mut machine, charge, now);
                    prop_assert_eq!(held.is_ok(), used < *limit, "{} of {} used: {:?}", used, limit, held);
                    used += u64::from(held.is_ok());
                }
                Step::Own => {
                    let limits = Limits { uses: Some(1), ..Limits::default() };
                    let charge = Charge { meter: Meter::new("own"), limits, ends: end, keep_until: end };
                    own_used += u64::from(use_once(&mut machine, charge, now).is_ok());
                    // That it has ended is for the gateway to judge; here it is forgotten at most.
                    prop_assert!(own_used <= 1, "a key of one use had {}", own_used);
                }
                Step::Advance(secs) => {
                    now = now.plus(*secs);
                    machine.observe(now).unwrap().unwrap();
                }
                Step::Restart => {
                    let store = std::mem::replace(&mut machine.store, FailingStore::new());
                    machine = Machine::new(store, life).unwrap();
                }
            }
            if *faults {
                machine.roll_back();
                (used, own_used) = (used_before, own_before);
            } else {
                machine.commit().unwrap();
            }
        }
    }
}
