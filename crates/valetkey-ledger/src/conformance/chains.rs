//! Chains of levels: all are charged, or none.

use super::*;

fn chain(limits: [Option<u64>; 3]) -> HoldRequest {
    upload(vec![charge("base", limits[0]), charge("child", limits[1]), charge("grandchild", limits[2])])
}

#[track_caller]
fn check_chain(ledger: &impl Ledger, expected: [u64; 3]) {
    for (meter, expected) in ["base", "child", "grandchild"].into_iter().zip(expected) {
        check_usage(ledger, meter, expected);
    }
}

/// Wherever the spent level stands.
pub fn spent_level_leaves_the_others_uncharged(ledger: &impl Ledger) {
    wait(ledger.hold(chain([Some(2), None, Some(2)]))).expect("a use is left at every level");
    for level in 0..3 {
        let mut limits = [Some(9); 3];
        limits[level] = Some(1);
        check_exhausted(wait(ledger.hold(chain(limits))), level, 1);
        check_chain(ledger, [1, 1, 1]);
    }
    let lease = Download::asking(100).lease;
    let request = HoldRequest { purpose: Purpose::Download(lease), ..chain([Some(9), Some(1), Some(9)]) };
    check_exhausted(wait(ledger.hold(request)), 1, 1);
    check_chain(ledger, [1, 1, 1]);
    // Of several that are spent, the first is named.
    check_exhausted(wait(ledger.hold(chain([Some(9), Some(1), Some(1)]))), 1, 1);
}

/// Uploads and downloads alike.
pub fn every_level_is_charged_and_given_back(ledger: &impl Ledger) {
    let upload = wait(ledger.hold(chain([Some(5), Some(5), Some(5)]))).expect("a use is left");
    let lease = Download::asking(100).lease;
    let request = HoldRequest { purpose: Purpose::Download(lease), ..chain([Some(5), Some(5), Some(5)]) };
    let download = wait(ledger.hold(request)).expect("a use is left");
    check_chain(ledger, [2, 2, 2]);
    // A sibling shares the upper two.
    let sibling = vec![charge("base", 5), charge("child", 5), charge("sibling", 5)];
    wait(ledger.hold(super::upload(sibling))).expect("a use is left");
    check_chain(ledger, [3, 3, 2]);
    settle(ledger, upload, Settlement::Released).expect("an open hold ends");
    check_chain(ledger, [2, 2, 1]);
    settle(ledger, download, Settlement::Released).expect("an open hold ends");
    check_chain(ledger, [1, 1, 0]);
}

/// No chain of keys has one name twice; if one had, neither charge would be lost.
pub fn meter_named_twice_is_charged_twice(ledger: &impl Ledger) {
    let twice = |uses_max: u64| upload(vec![charge("m", uses_max), charge("m", uses_max)]);
    check_exhausted(wait(ledger.hold(twice(1))), 1, 1);
    check_usage(ledger, "m", 0);
    let hold = wait(ledger.hold(twice(2))).expect("two uses are left");
    check_usage(ledger, "m", 2);
    settle(ledger, hold, Settlement::Released).expect("an open hold ends");
    check_usage(ledger, "m", 0);
}
