use super::*;

const START: UnixSeconds = UnixSeconds(1_000_000);

fn hold(sequence: u64) -> HoldId {
    HoldId { ledger: 1, life: 1, sequence }
}

fn key() -> LeaseKey {
    LeaseKey { meter: Meter::new("m"), object: "o".into(), version: "v".into(), client: "c".into() }
}

fn charged() -> Vec<Charged> {
    vec![Charged { meter: Meter::new("m"), made: 1, in_max: None, named: false }]
}

fn opening(size_bytes: u64) -> Opening {
    Opening { key: key(), size_bytes, ask_bytes: size_bytes, lease_secs: 600, charged: charged() }
}

/// Ends a download that is open, and says how many bytes it left unsent and whether its use bought nothing.
fn end(leases: &mut Leases, sequence: u64, settlement: Settlement) -> (u64, bool) {
    let Ended { unsent_bytes, unused, .. } =
        leases.end(hold(sequence), settlement).expect("the download is open");
    (unsent_bytes, unused.is_some())
}

/// Leases at `START`, with one of 100 bytes that was read once and is idle since.
fn idle_lease() -> Leases {
    let mut leases = Leases::default();
    leases.tick(START);
    leases.open(hold(1), opening(100));
    assert_eq!(end(&mut leases, 1, Settlement::Done { bytes: 10 }), (90, false));
    leases.keep(10);
    leases
}

fn ride(leases: &mut Leases, sequence: u64, ask_bytes: u64) -> bool {
    let found = leases.with_room(&key(), ask_bytes);
    if let Some(lease) = found {
        leases.ride(hold(sequence), lease, Ride { ask_bytes, lease_secs: 600, charged: charged() });
    }
    found.is_some()
}

#[test]
fn expired_lease_is_swept_and_not_a_second_before() {
    let mut leases = idle_lease();
    leases.tick(START.plus(599));
    leases.keep(10);
    assert!(!leases.book.is_empty());
    leases.tick(START.plus(600));
    leases.keep(10);
    assert!(leases.book.is_empty());
    assert!(leases.looks.is_empty());
}

#[test]
fn sweep_is_bounded_and_what_it_leaves_is_dead_all_the_same() {
    let mut leases = Leases::default();
    leases.tick(START);
    for sequence in 0..10 {
        leases.open(hold(sequence), opening(100));
        leases.end(hold(sequence), Settlement::Done { bytes: 1 });
    }
    leases.tick(START.plus(600));
    leases.keep(4);
    assert_eq!(leases.looks.len(), 6);
    assert!(!ride(&mut leases, 11, 1));
    leases.keep(6);
    assert!(leases.book.is_empty());
}

#[test]
fn lease_that_is_ridden_often_stands_in_the_queue_once() {
    let mut leases = idle_lease();
    for sequence in 2..1000 {
        leases.tick(START.plus(sequence));
        assert!(ride(&mut leases, sequence, 0));
        leases.end(hold(sequence), Settlement::Done { bytes: 0 });
        leases.keep(10);
        assert_eq!(leases.looks.len(), 1);
    }
    leases.tick(START.plus(999 + 599));
    leases.keep(10);
    assert!(ride(&mut leases, 1000, 0));
}

#[test]
fn batch_that_fails_leaves_no_trace() {
    let mut leases = idle_lease();
    assert!(ride(&mut leases, 2, 115));
    leases.open(hold(3), opening(100));
    leases.end(hold(3), Settlement::Released);
    leases.open(hold(4), opening(100));
    leases.roll_back();
    assert!(leases.end(hold(4), Settlement::Released).is_none());
    assert!(!ride(&mut leases, 5, 116), "10 were sent");
    assert!(ride(&mut leases, 5, 115), "the ride of the batch is undone");
    leases.keep(10);

    // An end that was undone can be had again.
    leases.end(hold(5), Settlement::Done { bytes: 115 });
    leases.roll_back();
    assert_eq!(end(&mut leases, 5, Settlement::Released), (115, false));
    assert!(ride(&mut leases, 6, 115));
    leases.end(hold(6), Settlement::Released);
    leases.keep(10);
    leases.tick(START.plus(10_000));
    leases.keep(10);
    assert!(leases.book.is_empty());
}

#[test]
fn clock_set_back_does_not_prolong_a_lease() {
    let mut leases = idle_lease();
    leases.tick(START.plus(100));
    leases.tick(UnixSeconds(5));
    leases.tick(UnixSeconds(5 + 499));
    assert!(ride(&mut leases, 2, 0), "599 seconds were gained");
    leases.roll_back();
    leases.tick(UnixSeconds(5 + 500));
    assert!(!ride(&mut leases, 2, 0), "600 seconds were gained");
}

#[test]
fn clock_at_its_ends_does_not_panic() {
    let mut leases = idle_lease();
    for now in
        [UnixSeconds::MAX, UnixSeconds(0), UnixSeconds(u64::MAX), UnixSeconds(0), UnixSeconds(u64::MAX)]
    {
        leases.tick(now);
        leases.keep(10);
    }
    assert!(leases.book.is_empty());
}

#[test]
fn sizes_near_the_largest_number_do_not_overflow() {
    let mut leases = Leases::default();
    leases.tick(START);
    leases.open(hold(1), opening(u64::MAX));
    assert!(ride(&mut leases, 2, u64::MAX / 4));
    assert!(!ride(&mut leases, 3, 1), "a quarter more than the size is asked for");
    leases.open(hold(3), opening(u64::MAX));
    assert_eq!(end(&mut leases, 1, Settlement::Done { bytes: u64::MAX }), (0, false));
    assert_eq!(end(&mut leases, 2, Settlement::Released), (u64::MAX / 4, false));
    assert_eq!(end(&mut leases, 3, Settlement::Released), (u64::MAX, true));
    assert!(ride(&mut leases, 4, u64::MAX / 4));
}
