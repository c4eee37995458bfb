//! What a use is, and how a hold ends.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;
use crate::Usage;

/// The last use is given, the one after it refused, and a refusal takes nothing.
pub fn each_use_is_counted_and_the_one_after_the_last_refused(ledger: &impl Ledger) {
    for used in 1..=3 {
        hold_upload(ledger, "m", 3).expect("a use is left");
        check_usage(ledger, "m", used);
    }
    check_exhausted(hold_upload(ledger, "m", 3), 0, 3);
    check_usage(ledger, "m", 3);
    check_usage(ledger, "other", 0);
}

/// Askers race for three uses; whoever wins, three do.
pub fn sixty_four_askers_at_once_get_exactly_three_uses(ledger: &impl Ledger) {
    let given = AtomicUsize::new(0);
    thread::scope(|scope| {
        for asker in 0..64 {
            let given = &given;
            scope.spawn(move || {
                let mut download = Download::asking(100);
                download.uses_max = 3;
                download.lease.client = format!("client {asker}");
                match download.hold(ledger) {
                    Ok(_) => drop(given.fetch_add(1, Ordering::Relaxed)),
                    Err(refusal) => check_exhausted(Err::<(), _>(refusal), 0, 3),
                }
            });
        }
    });
    assert_eq!(given.into_inner(), 3);
    check_usage(ledger, "m", 3);
}

/// One count, several limits.
pub fn keys_that_share_a_meter_compare_it_with_their_own_limits(ledger: &impl Ledger) {
    hold_upload(ledger, "m", 2).expect("0 of 2");
    hold_upload(ledger, "m", 5).expect("1 of 5");
    check_exhausted(hold_upload(ledger, "m", 2), 0, 2);
    hold_upload(ledger, "m", 3).expect("2 of 3");
    check_usage(ledger, "m", 3);
}

/// A level without a limit is counted, so that a key with one can be compared later.
pub fn limit_of_none_counts_and_never_refuses(ledger: &impl Ledger) {
    for _ in 0..5 {
        wait(ledger.hold(upload(vec![charge("m", None)]))).expect("there is no limit");
    }
    check_usage(ledger, "m", 5);
    check_exhausted(hold_upload(ledger, "m", 5), 0, 5);
}

/// A released upload never was.
pub fn released_upload_gives_its_use_back(ledger: &impl Ledger) {
    let hold = hold_upload(ledger, "m", 1).expect("a use is left");
    check_exhausted(hold_upload(ledger, "m", 1), 0, 1);
    settle(ledger, hold, Settlement::Released).expect("an open hold ends");
    check_usage(ledger, "m", 0);
    hold_upload(ledger, "m", 1).expect("the use came back");
}

/// A use that was spent is spent, whether or not it was marked as publishing.
pub fn upload_that_is_done_keeps_its_use(ledger: &impl Ledger) {
    let first = hold_upload(ledger, "m", 2).expect("a use is left");
    wait(ledger.publish(first)).expect("the hold is open");
    wait(ledger.publish(first)).expect("marking twice does no harm");
    done(ledger, first, 7);
    let second = hold_upload(ledger, "m", 2).expect("a use is left");
    done(ledger, second, 7);
    check_usage(ledger, "m", 2);
    check_exhausted(hold_upload(ledger, "m", 2), 0, 2);
}

/// The object may lose its race after the mark.
pub fn published_upload_may_still_be_released(ledger: &impl Ledger) {
    let hold = hold_upload(ledger, "m", 1).expect("a use is left");
    wait(ledger.publish(hold)).expect("the hold is open");
    settle(ledger, hold, Settlement::Released).expect("an open hold ends");
    check_usage(ledger, "m", 0);
}

/// The second settlement changes nothing, whichever it is.
pub fn hold_ends_once(ledger: &impl Ledger) {
    for first in [Settlement::Released, Settlement::Done { bytes: 10 }] {
        for second in [Settlement::Released, Settlement::Done { bytes: 10 }] {
            let upload = hold_upload(ledger, "uploads", 1000).expect("a use is left");
            let download = Download::asking(10).hold(ledger).expect("a use is left");
            for hold in [upload, download] {
                settle(ledger, hold, first).expect("an open hold ends");
            }
            let used = ["uploads", "m"]
                .map(|meter| wait(ledger.usage(Meter::new(meter))).expect("usage is answered").uses);
            for hold in [upload, download] {
                check_is!(settle(ledger, hold, second), Err(LedgerError::UnknownHold(id)) if *id == hold);
            }
            check_usage(ledger, "uploads", used[0]);
            check_usage(ledger, "m", used[1]);
        }
    }
    // Of four rounds two were done; the downloads of those two shared a lease.
    check_usage(ledger, "uploads", 2);
    check_usage(ledger, "m", 1);
}

/// Only what will show can be marked as about to show.
pub fn publishing_needs_an_open_upload_or_delete(ledger: &impl Ledger) {
    let request = HoldRequest {
        charges: vec![charge("m", 10)],
        purpose: Purpose::Delete { object: "files/a".to_owned() },
        now: NOW,
    };
    let delete = wait(ledger.hold(request)).expect("a use is left");
    wait(ledger.publish(delete)).expect("a delete is published");
    done(ledger, delete, 0);
    check_is!(wait(ledger.publish(delete)), Err(LedgerError::UnknownHold(_)));
    let download = Download::asking(10).hold(ledger).expect("a use is left");
    check_is!(wait(ledger.publish(download)), Err(LedgerError::UnknownHold(_)));
}

/// A client that goes away while its hold is made must not keep it.
pub fn hold_that_nobody_learned_of_is_released(ledger: &impl Ledger) {
    for _ in 0..20 {
        drop(ledger.hold(upload(vec![charge("m", 1)])));
        let lease = Download::asking(100).lease;
        let (charges, purpose) = (vec![charge("n", 1)], Purpose::Download(lease));
        let answer = ledger.hold(HoldRequest { charges, purpose, now: NOW });
        // By now it is decided, and its answer lies unread.
        check_is!(wait(ledger.usage(Meter::new("n"))), Ok(Usage { uses: 0 | 1, .. }));
        drop(answer);
    }
    // Whatever is released by the engine itself comes with a later batch than the hold.
    let freed =
        |meter| (0..10_000).any(|_| wait(ledger.usage(Meter::new(meter))).is_ok_and(|usage| usage.uses == 0));
    assert!(freed("m"), "uploads are released");
    assert!(freed("n"), "downloads are released");
    hold_upload(ledger, "m", 1).expect("the use came back");
}

/// A command is given when the method is called.
pub fn settlement_that_nobody_waits_for_comes_to_pass(ledger: &impl Ledger) {
    let hold = hold_upload(ledger, "m", 1).expect("a use is left");
    drop(ledger.settle(hold, Settlement::Released, NOW));
    check_usage(ledger, "m", 0);
}

/// What is under way is nobody else's to resolve.
pub fn holds_of_this_life_are_never_unresolved(ledger: &impl Ledger) {
    let hold = hold_upload(ledger, "m", 1).expect("a use is left");
    wait(ledger.publish(hold)).expect("the hold is open");
    check_is!(wait(ledger.unresolved()), Ok(unresolved) if unresolved.is_empty());
}

/// A hold that costs nothing is a mistake of the asker.
pub fn hold_without_a_charge_is_refused(ledger: &impl Ledger) {
    check_is!(wait(ledger.hold(upload(vec![]))), Err(LedgerError::NoCharge));
}

/// 2^63−1 is the largest number, for limits and moments.
pub fn numbers_beyond_the_largest_are_refused(ledger: &impl Ledger) {
    let largest = UnixSeconds::MAX;
    let too_large = UnixSeconds(largest.0 + 1);
    let limit = |uses_max| upload(vec![charge("m", uses_max)]);
    let end = |ends| upload(vec![Charge { ends, ..charge("m", 9) }]);
    wait(ledger.hold(limit(largest.0))).expect("the largest limit");
    wait(ledger.hold(end(largest))).expect("the last moment");
    for request in [limit(too_large.0), end(too_large), HoldRequest { now: too_large, ..limit(9) }] {
        check_is!(wait(ledger.hold(request)), Err(LedgerError::OutOfRange { value, .. }) if *value == too_large.0);
    }
    check_is!(wait(ledger.observe(too_large)), Err(LedgerError::OutOfRange { .. }));
    check_usage(ledger, "m", 2);
}

/// It does what was asked before, and nothing that is asked after.
pub fn closed_ledger_refuses(ledger: &impl Ledger) {
    let before = ledger.hold(upload(vec![charge("m", 1)]));
    let close = ledger.close();
    wait(before).expect("it was asked before");
    wait(close).expect("it closes");
    check_is!(hold_upload(ledger, "m", 1), Err(LedgerError::Closed));
    check_is!(wait(ledger.usage(Meter::new("m"))), Err(LedgerError::Closed));
    check_is!(wait(ledger.close()), Err(LedgerError::Closed));
}
