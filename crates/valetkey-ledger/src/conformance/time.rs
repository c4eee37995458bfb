//! The highest time seen, and what is forgotten.

use super::*;
use crate::{AuditHead, Distrust, MeterQuery, Status};

const DAY: u64 = 86_400;

fn ending(meter: &str, keep_until: UnixSeconds, now: UnixSeconds) -> HoldRequest {
    HoldRequest { now, ..upload(vec![Charge { keep_until, ..charge(meter, 1) }]) }
}

fn hold_ending(
    ledger: &impl Ledger,
    meter: &str,
    keep_until: UnixSeconds,
    now: UnixSeconds,
) -> Result<HoldId, LedgerError> {
    wait(ledger.hold(ending(meter, keep_until, now)))
}

/// Uploads and rides alike; what was begun can be ended.
pub fn clock_five_minutes_behind_is_good_and_one_second_more_is_not(ledger: &impl Ledger) {
    let begun = Download::asking(1).hold(ledger).expect("a use is left");
    let mark = NOW.plus(301);
    wait(ledger.observe(mark)).expect("time is observed");
    let behind = |result: Result<HoldId, LedgerError>| {
        check_is!(
            result,
            Err(LedgerError::NotAccepted(Distrust::ClockBehind { mark: found, now: NOW })) if *found == mark
        );
    };
    behind(hold_upload(ledger, "n", 1));
    behind(Download::asking(1).hold(ledger));
    check_usage(ledger, "n", 0);
    let just = NOW.plus(1);
    hold_ending(ledger, "n", END, just).expect("300 seconds are allowed");
    Download::asking(1).at(just).hold(ledger).expect("300 seconds are allowed");
    check_usage(ledger, "m", 1);
    done(ledger, begun, 1);
}

/// Whoever saw it.
pub fn highest_time_seen_never_falls(ledger: &impl Ledger) {
    let observe = |now| wait(ledger.observe(now)).expect("time is observed");
    assert_eq!(observe(NOW), NOW);
    assert_eq!(observe(UnixSeconds(5)), NOW);
    hold_ending(ledger, "m", END, NOW.plus(7)).expect("a use is left");
    assert_eq!(observe(NOW), NOW.plus(7));
    let hold = Download::asking(1).hold(ledger).expect("a use is left");
    wait(ledger.settle(hold, Settlement::Released, NOW.plus(8))).expect("an open hold ends");
    assert_eq!(observe(NOW), NOW.plus(8));
    check_is!(wait(ledger.status()), Ok(Status { time_mark, .. }) if *time_mark == NOW.plus(8));
}

/// A meter is cleared, the clock goes back: its key is refused, and one that ends a second later is not.
pub fn cleared_key_never_gets_a_fresh_count(ledger: &impl Ledger) {
    hold_ending(ledger, "m", NOW, NOW).expect("a use is left");
    let later = NOW.plus(DAY + 1);
    hold_ending(ledger, "other", later, later).expect("a use is left");
    check_usage(ledger, "m", 0);
    check_is!(
        hold_ending(ledger, "m", NOW, later),
        Err(LedgerError::Forgotten { level: 0, keep_until: NOW, cleared_before }) if *cleared_before == NOW.plus(1)
    );
    check_is!(
        hold_ending(ledger, "never seen", NOW, later.min(NOW.plus(DAY - 200))),
        Err(LedgerError::Forgotten { .. })
    );
    hold_ending(ledger, "n", NOW.plus(1), later).expect("no record of so late an end was cleared");
    check_is!(wait(ledger.status()), Ok(Status { cleared_before, .. }) if *cleared_before == NOW.plus(1));
}

/// Of all that were charged to it, the one that ends last decides.
pub fn meter_is_kept_a_day_beyond_the_latest_end(ledger: &impl Ledger) {
    hold_ending(ledger, "late", NOW.plus(500), NOW).expect("a use is left");
    check_exhausted(hold_ending(ledger, "late", NOW, NOW), 0, 1);
    let early = HoldRequest { charges: vec![charge("late", 9)], ..ending("late", NOW, NOW) };
    let early =
        HoldRequest { charges: vec![Charge { keep_until: NOW, ..early.charges[0].clone() }], ..early };
    wait(ledger.hold(early)).expect("a use is left");
    // Each of these commits, and clears what is due.
    let end = NOW.plus(500 + DAY);
    hold_ending(ledger, "a", end, end).expect("a use is left");
    check_usage(ledger, "late", 2);
    // The next look at what is due comes a minute after one that found nothing.
    hold_ending(ledger, "b", end.plus(60), end.plus(60)).expect("a use is left");
    check_usage(ledger, "late", 0);
}

/// The keys that used it have ended and are listed no more; the next one that shares it finds what they used.
pub fn count_that_is_kept_for_ever_is_that_of_every_later_key(ledger: &impl Ledger) {
    let key = |ends: UnixSeconds, uses_max, now| {
        let charges = vec![Charge { ends, keep_until: UnixSeconds::MAX, ..charge("id", uses_max) }];
        wait(ledger.hold(HoldRequest { now, ..upload(charges) }))
    };
    let done_by =
        |hold, now| wait(ledger.settle(hold, Settlement::Done { bytes: 0 }, now)).expect("it is open");
    done_by(key(NOW.plus(60), 2, NOW).expect("a use is left"), NOW);
    for (years, used) in [(1, 1), (2, 3), (3, 4)] {
        let now = NOW.plus(years * 366 * DAY);
        hold_ending(ledger, &format!("other {years}"), now.plus(60), now).expect("a use is left");
        let query = MeterQuery { prefix: "id".to_owned(), live_at: now, after: None, max: 9 };
        check_is!(wait(ledger.meters(query)), Ok(page) if page.meters.is_empty());
        check_usage(ledger, "id", used);
        match (years, key(now.plus(60), 2, now)) {
            (1, held) => done_by(held.expect("one of two is left"), now),
            (_, held) => check_exhausted(held, 0, 2),
        }
        done_by(key(now.plus(60), 9, now).expect("it allows more"), now);
        wait(ledger.settle(key(now, 9, now).expect("it allows more"), Settlement::Released, now))
            .expect("open");
    }
}

/// It stays fresh as long as this life lasts, and is refused while it is distrusted.
pub fn new_ledger_is_fresh_and_may_be_distrusted(ledger: &impl Ledger) {
    check_is!(wait(ledger.status()), Ok(Status { fresh: true, accepted: true, .. }));
    let hold = hold_upload(ledger, "m", 5).expect("a use is left");
    check_is!(wait(ledger.status()), Ok(Status { fresh: true, accepted: true, .. }));
    wait(ledger.distrust()).expect("it is distrusted");
    check_is!(wait(ledger.status()), Ok(Status { fresh: true, accepted: false, .. }));
    check_is!(hold_upload(ledger, "m", 5), Err(LedgerError::NotAccepted(Distrust::NewLedger)));
    check_is!(Download::asking(1).hold(ledger), Err(LedgerError::NotAccepted(Distrust::NewLedger)));
    check_usage(ledger, "m", 1);
    wait(ledger.publish(hold)).expect("what was begun goes on");
    done(ledger, hold, 1);
}

/// It replaces the one before, says nothing of the uses, and takes no ledger into use.
pub fn newest_record_of_the_audit_log_is_kept(ledger: &impl Ledger) {
    let kept = || wait(ledger.audit_head()).expect("it is answered");
    assert_eq!(kept(), None);
    for records in [1, 7, UnixSeconds::MAX.0, 3] {
        let head = AuditHead { records, hash: [u8::try_from(records % 251).expect("it fits"); 32] };
        wait(ledger.note_audit_head(head)).expect("it is kept");
        assert_eq!(kept(), Some(head));
    }
    let beyond = AuditHead { records: UnixSeconds::MAX.0 + 1, hash: [0; 32] };
    check_is!(wait(ledger.note_audit_head(beyond)), Err(LedgerError::OutOfRange { .. }));
    check_is!(wait(ledger.status()), Ok(Status { fresh: true, .. }));
}
