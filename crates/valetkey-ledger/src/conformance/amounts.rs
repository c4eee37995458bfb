//! Bytes, names, and transfers at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;
use crate::{MeterQuery, MeterUsage, Resource, Usage};

const NONE: Limits = Limits { uses: None, in_bytes: None, out_bytes: None, files: None, parallel: None };

fn level(meter: &str, limits: Limits) -> Charge {
    Charge { meter: Meter::new(meter), limits, ends: END, keep_until: END }
}

fn ask(ledger: &impl Ledger, charges: Vec<Charge>, purpose: Purpose) -> Result<HoldId, LedgerError> {
    wait(ledger.hold(HoldRequest { charges, purpose, now: NOW }))
}

fn put(file: &str, declared_bytes: Option<u64>, copied_bytes: u64) -> Purpose {
    let (object, file) = (format!("files/{file}"), file.to_owned());
    Purpose::Upload { object, file, declared_bytes, copied_bytes }
}

fn get(client: &str, ask_bytes: u64) -> Purpose {
    let lease = LeaseRequest { client: client.to_owned(), ..Download::asking(ask_bytes).lease };
    Purpose::Download(lease)
}

fn used(ledger: &impl Ledger, meter: &str) -> Usage {
    wait(ledger.usage(Meter::new(meter))).expect("usage is answered")
}

#[track_caller]
fn check_refused<T: std::fmt::Debug>(result: Result<T, LedgerError>, level: usize, of: Resource, limit: u64) {
    match result {
        Err(LedgerError::Exhausted { level: found, resource, limit: found_limit }) => {
            assert_eq!((found, resource, found_limit), (level, of, limit));
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// What fits to the last byte is taken, and one byte more is not.
pub fn declared_bytes_are_charged_up_to_the_last(ledger: &impl Ledger) {
    let charges = |in_bytes| vec![level("m", Limits { in_bytes: Some(in_bytes), ..NONE })];
    let hold = ask(ledger, charges(100), put("a", Some(60), 0)).expect("60 of 100");
    check_refused(ask(ledger, charges(100), put("b", Some(41), 0)), 0, Resource::In, 100);
    assert_eq!((used(ledger, "m").in_bytes, used(ledger, "m").uses), (60, 1));
    ask(ledger, charges(100), put("b", Some(40), 0)).expect("100 of 100");
    ask(ledger, charges(100), put("c", Some(0), 0)).expect("nothing fits where nothing is left");
    // A limit that was lowered below what is used refuses, and does not underflow.
    check_refused(ask(ledger, charges(5), put("d", Some(1), 0)), 0, Resource::In, 5);
    settle(ledger, hold, Settlement::Released).expect("an open hold ends");
    assert_eq!(used(ledger, "m").in_bytes, 40);
}

/// The surplus comes back once.
pub fn upload_that_is_done_is_charged_what_came(ledger: &impl Ledger) {
    let charges = || vec![level("m", Limits { in_bytes: Some(100), ..NONE })];
    let hold = ask(ledger, charges(), put("a", Some(100), 0)).expect("100 of 100");
    done(ledger, hold, 30);
    assert_eq!(used(ledger, "m").in_bytes, 30);
    check_is!(settle(ledger, hold, Settlement::Released), Err(LedgerError::UnknownHold(_)));
    assert_eq!(used(ledger, "m").in_bytes, 30);
    // Where no limit is, nothing need be reserved, and what came is counted all the same.
    let hold = ask(ledger, vec![level("n", NONE)], put("a", None, 0)).expect("there is no limit");
    assert_eq!(wait(ledger.grow(hold, 50)).expect("there is no limit"), 50);
    done(ledger, hold, 50);
    assert_eq!(used(ledger, "n").in_bytes, 50);
}

/// To the first byte over the limit of whichever level has least.
pub fn upload_grows_as_far_as_every_level_has_room(ledger: &impl Ledger) {
    let charges = || {
        vec![
            level("base", Limits { in_bytes: Some(100), ..NONE }),
            level("child", Limits { in_bytes: Some(70), ..NONE }),
        ]
    };
    let hold = ask(ledger, charges(), put("a", None, 0)).expect("nothing is charged yet");
    assert_eq!(wait(ledger.grow(hold, 0)).expect("none is always left"), 0);
    assert_eq!(wait(ledger.grow(hold, 64)).expect("64 of 70"), 64);
    assert_eq!(wait(ledger.grow(hold, 64)).expect("6 are left"), 6);
    check_refused(wait(ledger.grow(hold, 1)), 1, Resource::In, 70);
    assert_eq!([used(ledger, "base").in_bytes, used(ledger, "child").in_bytes], [70, 70]);
    // A sibling has what is left of the base.
    let sibling = vec![charges().remove(0), level("sibling", Limits { in_bytes: Some(70), ..NONE })];
    let other = ask(ledger, sibling, put("b", None, 0)).expect("nothing is charged yet");
    assert_eq!(wait(ledger.grow(other, 64)).expect("30 are left"), 30);
    check_refused(wait(ledger.grow(other, u64::MAX)), 0, Resource::In, 100);
    settle(ledger, hold, Settlement::Released).expect("an open hold ends");
    assert_eq!([used(ledger, "base").in_bytes, used(ledger, "child").in_bytes], [30, 0]);
    check_is!(wait(ledger.grow(hold, 1)), Err(LedgerError::UnknownHold(_)));
    wait(ledger.publish(other)).expect("the hold is open");
    check_is!(wait(ledger.grow(other, 1)), Err(LedgerError::UnknownHold(_)));
    let twice = vec![charges().remove(0), charges().remove(0)];
    let hold = ask(ledger, twice, put("c", None, 0)).expect("nothing is charged yet");
    assert_eq!(wait(ledger.grow(hold, 64)).expect("70 are left for both"), 35);
}

/// A ride charges its bytes, and the unsent ones come back.
pub fn downloaded_bytes_are_charged_and_the_unsent_given_back(ledger: &impl Ledger) {
    let charges = || vec![level("m", Limits { uses: Some(1), out_bytes: Some(120), ..NONE })];
    let first = ask(ledger, charges(), get("c", 100)).expect("100 of 120");
    check_refused(ask(ledger, charges(), get("c", 21)), 0, Resource::Out, 120);
    let ride = ask(ledger, charges(), get("c", 20)).expect("120 of 120");
    assert_eq!((used(ledger, "m").out_bytes, used(ledger, "m").uses), (120, 1));
    done(ledger, first, 10);
    settle(ledger, ride, Settlement::Released).expect("an open hold ends");
    assert_eq!((used(ledger, "m").out_bytes, used(ledger, "m").uses), (10, 1));
    let ride = ask(ledger, charges(), get("c", 110)).expect("the lease has room");
    done(ledger, ride, u64::MAX);
    assert_eq!(used(ledger, "m").out_bytes, 120);
    ask(ledger, charges(), get("c", 0)).expect("no byte is always left");
    check_is!(settle(ledger, ride, Settlement::Released), Err(LedgerError::UnknownHold(_)));
    assert_eq!(used(ledger, "m").out_bytes, 120);
}

/// A quota that only the rider's chain has is charged by the ride.
pub fn ride_is_charged_to_its_own_chain(ledger: &impl Ledger) {
    let key = || level("m", Limits { uses: Some(1), ..NONE });
    ask(ledger, vec![key()], get("c", 50)).expect("a use is left");
    let quota = || level("quota", Limits { out_bytes: Some(30), ..NONE });
    let ride = ask(ledger, vec![quota(), key()], get("c", 30)).expect("30 of 30");
    check_refused(ask(ledger, vec![quota(), key()], get("c", 1)), 0, Resource::Out, 30);
    assert_eq!((used(ledger, "quota").out_bytes, used(ledger, "quota").uses), (30, 0));
    settle(ledger, ride, Settlement::Released).expect("an open hold ends");
    assert_eq!(used(ledger, "quota").out_bytes, 0);
}

/// It takes no use, and is ended as soon as it is charged.
pub fn answer_is_charged_its_bytes_and_nothing_else(ledger: &impl Ledger) {
    let charges = || vec![level("m", Limits { uses: Some(1), out_bytes: Some(10), ..NONE })];
    let answer = ask(ledger, charges(), Purpose::Answer { bytes: 10 }).expect("10 of 10");
    check_refused(ask(ledger, charges(), Purpose::Answer { bytes: 1 }), 0, Resource::Out, 10);
    check_is!(settle(ledger, answer, Settlement::Released), Err(LedgerError::UnknownHold(_)));
    let Usage { uses, out_bytes, parallel, last_seen, .. } = used(ledger, "m");
    assert_eq!((uses, out_bytes, parallel, last_seen), (0, 10, 0, Some(NOW)));
}

/// What a copy reads goes under both.
pub fn copied_bytes_are_charged_both_ways(ledger: &impl Ledger) {
    let charges = || vec![level("m", Limits { in_bytes: Some(50), out_bytes: Some(40), ..NONE })];
    check_refused(ask(ledger, charges(), put("a", Some(41), 41)), 0, Resource::Out, 40);
    assert_eq!(used(ledger, "m").in_bytes, 0);
    let hold = ask(ledger, charges(), put("a", Some(40), 40)).expect("it fits");
    settle(ledger, hold, Settlement::Released).expect("an open hold ends");
    let hold = ask(ledger, charges(), put("a", Some(40), 40)).expect("it fits again");
    done(ledger, hold, 40);
    assert_eq!((used(ledger, "m").in_bytes, used(ledger, "m").out_bytes), (40, 40));
}

/// Once each; what came to nothing is no name.
pub fn different_names_are_counted(ledger: &impl Ledger) {
    let charges = || vec![level("m", Limits { files: Some(2), ..NONE })];
    let upload = |file| ask(ledger, charges(), put(file, None, 0));
    let first = upload("a").expect("1 of 2");
    let again = upload("a").expect("it is the same name");
    let other = upload("b").expect("2 of 2");
    check_refused(upload("c"), 0, Resource::Files, 2);
    settle(ledger, other, Settlement::Released).expect("an open hold ends");
    assert_eq!(used(ledger, "m").files, 1);
    settle(ledger, first, Settlement::Released).expect("an open hold ends");
    assert_eq!(used(ledger, "m").files, 1, "another upload has the name");
    done(ledger, again, 1);
    let replaced = upload("a").expect("it is the same name");
    settle(ledger, replaced, Settlement::Released).expect("an open hold ends");
    assert_eq!(used(ledger, "m").files, 1, "an upload under the name was done");
    upload("c").expect("2 of 2");
    check_refused(upload("b"), 0, Resource::Files, 2);
    ask(ledger, charges(), Purpose::Delete { object: "files/z".to_owned() }).expect("a delete has no name");
    assert_eq!(used(ledger, "m").files, 2);
}

/// A name under a key is counted even without a limit; a quota for ever keeps names only where it limits them.
pub fn names_are_kept_where_they_matter(ledger: &impl Ledger) {
    let quota =
        |limits| Charge { ends: UnixSeconds::MAX, keep_until: UnixSeconds::MAX, ..level("quota", limits) };
    ask(ledger, vec![quota(NONE), level("m", NONE)], put("a", None, 0)).expect("there is no limit");
    assert_eq!((used(ledger, "quota").files, used(ledger, "m").files), (0, 1));
    let limited = quota(Limits { files: Some(1), ..NONE });
    let hold = ask(ledger, vec![limited.clone()], put("a", None, 0)).expect("1 of 1");
    let unlimited = ask(ledger, vec![quota(NONE)], put("a", None, 0)).expect("there is no limit");
    settle(ledger, unlimited, Settlement::Released).expect("an open hold ends");
    assert_eq!(used(ledger, "quota").files, 1, "only who counted a name gives it back");
    settle(ledger, hold, Settlement::Released).expect("an open hold ends");
    assert_eq!(used(ledger, "quota").files, 0);
}

/// Uploads and downloads alike, rides among them; their ends make room.
pub fn transfers_at_once_are_counted(ledger: &impl Ledger) {
    let charges = || vec![level("m", Limits { parallel: Some(2), ..NONE })];
    let upload = ask(ledger, charges(), put("a", None, 0)).expect("1 of 2");
    let download = ask(ledger, charges(), get("c", 10)).expect("2 of 2");
    for refused in [put("b", None, 0), get("c", 10), get("d", 10)] {
        check_refused(ask(ledger, charges(), refused), 0, Resource::Parallel, 2);
    }
    ask(ledger, charges(), Purpose::Answer { bytes: 1 }).expect("it is over at once");
    assert_eq!((used(ledger, "m").parallel, used(ledger, "m").uses), (2, 2));
    done(ledger, download, 10);
    let ride = ask(ledger, charges(), get("c", 10)).expect("2 of 2");
    check_refused(ask(ledger, charges(), get("c", 10)), 0, Resource::Parallel, 2);
    settle(ledger, upload, Settlement::Released).expect("an open hold ends");
    settle(ledger, ride, Settlement::Released).expect("an open hold ends");
    for ended in [upload, ride] {
        check_is!(settle(ledger, ended, Settlement::Released), Err(LedgerError::UnknownHold(_)));
    }
    assert_eq!(used(ledger, "m").parallel, 0);
    ask(ledger, charges(), get("e", 1)).expect("1 of 2");
    ask(ledger, charges(), get("f", 1)).expect("2 of 2");
    check_refused(ask(ledger, charges(), get("g", 1)), 0, Resource::Parallel, 2);
}

/// Whoever wins, the limits hold.
pub fn askers_at_once_stay_within_every_limit(ledger: &impl Ledger) {
    let limits = Limits { in_bytes: Some(100), parallel: Some(64), files: Some(64), ..NONE };
    let given = AtomicUsize::new(0);
    thread::scope(|scope| {
        for asker in 0..32 {
            let given = &given;
            scope.spawn(move || {
                let file = asker.to_string();
                match ask(ledger, vec![level("m", limits)], put(&file, Some(30), 0)) {
                    Ok(_) => drop(given.fetch_add(1, Ordering::Relaxed)),
                    Err(refusal) => check_refused(Err::<(), _>(refusal), 0, Resource::In, 100),
                }
            });
        }
    });
    assert_eq!(given.into_inner(), 3);
    let Usage { uses, in_bytes, files, parallel, .. } = used(ledger, "m");
    assert_eq!((uses, in_bytes, files, parallel), (3, 90, 3, 3));
}

/// A count that is full refuses even where no limit is.
pub fn sums_beyond_the_largest_number_are_refused(ledger: &impl Ledger) {
    let max = UnixSeconds::MAX.0;
    let charges = || vec![level("m", NONE)];
    ask(ledger, charges(), put("a", Some(max), max)).expect("the largest number");
    check_refused(ask(ledger, charges(), put("b", Some(1), 0)), 0, Resource::In, max);
    check_refused(ask(ledger, charges(), Purpose::Answer { bytes: 1 }), 0, Resource::Out, max);
    for purpose in [put("c", Some(max + 1), 0), put("c", None, max + 1), Purpose::Answer { bytes: max + 1 }] {
        check_is!(ask(ledger, charges(), purpose), Err(LedgerError::OutOfRange { .. }));
    }
    let over = Limits { parallel: Some(max + 1), ..NONE };
    check_is!(
        ask(ledger, vec![level("m", over)], put("c", None, 0)),
        Err(LedgerError::OutOfRange { name: "limit", .. })
    );
    let growing = ask(ledger, vec![level("n", NONE)], put("a", None, 0)).expect("there is no limit");
    assert_eq!(wait(ledger.grow(growing, u64::MAX)).expect("there is no limit"), max);
    done(ledger, growing, u64::MAX);
    assert_eq!(used(ledger, "n").in_bytes, max);
}

/// By name, a page at a time, without those whose keys have ended.
pub fn meters_are_listed_in_pages(ledger: &impl Ledger) {
    let limits = Limits { uses: Some(5), parallel: Some(3), ..NONE };
    for name in ["b/2", "a", "b/1", "b/3", "c"] {
        let ends = if name == "b/2" { END.plus(10) } else { END };
        ask(ledger, vec![Charge { ends, keep_until: UnixSeconds::MAX, ..level(name, limits) }], get("c", 7))
            .expect("a use is left");
    }
    let page = |prefix: &str, after: Option<&str>, live_at, max| {
        let (prefix, after) = (prefix.to_owned(), after.map(Meter::new));
        wait(ledger.meters(MeterQuery { prefix, live_at, after, max })).expect("the list is answered")
    };
    let names = |page: &crate::MeterPage| -> Vec<String> {
        page.meters.iter().map(|found| found.meter.to_string()).collect()
    };
    let all = page("", None, NOW, 1000);
    assert_eq!(
        (names(&all), &all.next),
        (["a", "b/1", "b/2", "b/3", "c"].map(str::to_owned).to_vec(), &None)
    );
    let usage = Usage { uses: 1, out_bytes: 7, parallel: 1, last_seen: Some(NOW), ..Usage::default() };
    let expected = MeterUsage { meter: Meter::new("a"), usage, limits, ends: END };
    assert_eq!(all.meters[0], expected);
    let first = page("b/", None, NOW, 2);
    assert_eq!(
        (names(&first), first.next.as_ref().map(Meter::as_str)),
        (vec!["b/1".into(), "b/2".into()], Some("b/2"))
    );
    let second = page("b/", Some("b/2"), NOW, 2);
    assert_eq!((names(&second), second.next), (vec!["b/3".to_owned()], None));
    let ended = page("b/", None, END, 3);
    assert_eq!(
        (names(&ended), ended.next.as_ref().map(Meter::as_str)),
        (vec!["b/2".to_owned()], Some("b/3"))
    );
    assert_eq!(page("b/", Some("b/3"), END, 3), crate::MeterPage::default());
    assert_eq!(page("d", None, NOW, 9), crate::MeterPage::default());
}
