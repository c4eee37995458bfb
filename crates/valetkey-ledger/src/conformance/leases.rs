//! Leases: what rides on a use, and until when.

use super::*;

/// A viewer that reads an object in pieces uses it once.
pub fn ranges_of_one_client_ride_on_one_use(ledger: &impl Ledger) {
    for _ in 0..60 {
        let hold = Download { uses_max: 1, ..Download::asking(2) }.hold(ledger).expect("the lease has room");
        done(ledger, hold, 2);
    }
    check_usage(ledger, "m", 1);
}

/// Of 100 bytes, 125 may be asked for; of 101, 126 (and a quarter); of 1, 1.
pub fn ride_ends_at_a_quarter_more_than_the_size(ledger: &impl Ledger) {
    for (place, (size_bytes, room)) in
        [(100, 125), (101, 126), (103, 128), (4, 5), (1, 1), (0, 0)].into_iter().enumerate()
    {
        let mut whole = Download::asking(size_bytes);
        whole.lease.size_bytes = size_bytes;
        whole.lease.object = format!("files/{place}");
        let mut over = whole.clone();
        over.lease.ask_bytes = room - size_bytes + 1;
        let mut fitting = whole.clone();
        fitting.lease.ask_bytes = room - size_bytes;
        let before = wait(ledger.usage(Meter::new("m"))).expect("usage is answered").uses;

        let hold = whole.hold(ledger).expect("a use is left");
        done(ledger, hold, size_bytes);
        over.uses_max = before + 1;
        check_exhausted(over.hold(ledger), 0, before + 1);
        done(ledger, fitting.hold(ledger).expect("the lease has room"), room - size_bytes);
        check_usage(ledger, "m", before + 1);
    }
}

/// Two requests at once do not fit where one after the other would not.
pub fn bytes_reserved_by_a_running_request_count(ledger: &impl Ledger) {
    Download::asking(100).hold(ledger).expect("a use is left");
    Download::asking(25).hold(ledger).expect("the lease has room");
    check_usage(ledger, "m", 1);
    Download::asking(1).hold(ledger).expect("a use is left");
    check_usage(ledger, "m", 2);
}

/// A request that broke off has used only what it sent.
pub fn unsent_bytes_are_given_back(ledger: &impl Ledger) {
    let hold = Download::asking(100).hold(ledger).expect("a use is left");
    done(ledger, hold, 30);
    let hold = Download::asking(95).hold(ledger).expect("the lease has room");
    settle(ledger, hold, Settlement::Released).expect("an open hold ends");
    let hold = Download::asking(95).hold(ledger).expect("the lease has room again");
    check_usage(ledger, "m", 1);
    done(ledger, hold, 95);
    Download::asking(1).hold(ledger).expect("a use is left");
    check_usage(ledger, "m", 2);
}

/// A reservation is the most that its request can use.
pub fn more_bytes_than_asked_for_are_not_counted(ledger: &impl Ledger) {
    let hold = Download::asking(10).hold(ledger).expect("a use is left");
    done(ledger, hold, u64::MAX);
    Download::asking(115).hold(ledger).expect("the lease has room");
    check_usage(ledger, "m", 1);
}

/// Joined text would make some of these one.
pub fn leases_differ_by_every_part_of_their_name(ledger: &impl Ledger) {
    let named = |meter, object: &str, version: &str, client: &str| {
        let mut download = Download::asking(1);
        (download.meter, download.lease.object) = (meter, object.to_owned());
        (download.lease.version, download.lease.client) = (version.to_owned(), client.to_owned());
        download.hold(ledger).expect("a use is left");
    };
    named("m", "ab", "c", "d");
    named("m", "a", "bc", "d");
    named("m", "ab", "", "cd");
    named("m", "ab", "cd", "");
    check_usage(ledger, "m", 4);
    named("n", "ab", "c", "d");
    check_usage(ledger, "n", 1);
    named("m", "ab", "c", "d");
    check_usage(ledger, "m", 4);
}

/// Keys that share a quota share no lease, and a quota that is new does not end one.
pub fn lease_belongs_to_a_key_and_to_no_quota(ledger: &impl Ledger) {
    let hold = |key: &str, quota: Option<&str>| {
        let quota = quota.map(|name| Charge {
            ends: UnixSeconds::MAX,
            keep_until: UnixSeconds::MAX,
            ..charge(name, None)
        });
        let request = HoldRequest {
            charges: [charge("base", None), charge(key, 1)].into_iter().chain(quota).collect(),
            purpose: Purpose::Download(Download::asking(10).lease),
            now: NOW,
        };
        done(ledger, wait(ledger.hold(request)).expect("a use is left, or a lease has room"), 10);
    };
    hold("m", None);
    hold("m", Some("quota"));
    hold("n", Some("quota"));
    hold("n", Some("other"));
    hold("n", None);
    check_usage(ledger, "m", 1);
    check_usage(ledger, "n", 1);
    check_usage(ledger, "base", 2);
}

/// Its lease goes with it.
pub fn download_of_which_nothing_was_sent_is_no_use(ledger: &impl Ledger) {
    let hold = Download::asking(100).hold(ledger).expect("a use is left");
    check_usage(ledger, "m", 1);
    settle(ledger, hold, Settlement::Released).expect("an open hold ends");
    check_usage(ledger, "m", 0);
    Download::asking(100).hold(ledger).expect("a use is left");
    check_usage(ledger, "m", 1);
}

/// The use paid for what was sent before.
pub fn ride_of_which_nothing_was_sent_gives_no_use_back(ledger: &impl Ledger) {
    let first = Download::asking(50).hold(ledger).expect("a use is left");
    let ride = Download::asking(50).hold(ledger).expect("the lease has room");
    done(ledger, first, 1);
    settle(ledger, ride, Settlement::Released).expect("an open hold ends");
    check_usage(ledger, "m", 1);
}

/// Not before, in whatever order they end.
pub fn use_comes_back_when_the_last_of_several_idle_requests_ends(ledger: &impl Ledger) {
    let first = Download::asking(50).hold(ledger).expect("a use is left");
    let ride = Download::asking(50).hold(ledger).expect("the lease has room");
    settle(ledger, first, Settlement::Released).expect("an open hold ends");
    check_usage(ledger, "m", 1);
    settle(ledger, ride, Settlement::Released).expect("an open hold ends");
    check_usage(ledger, "m", 0);
}

/// No byte is all there is of it.
pub fn empty_object_that_was_answered_is_a_use(ledger: &impl Ledger) {
    let mut empty = Download::asking(0);
    empty.lease.size_bytes = 0;
    let hold = empty.clone().hold(ledger).expect("a use is left");
    done(ledger, hold, 0);
    check_usage(ledger, "m", 1);
    let ride = empty.hold(ledger).expect("the lease has room");
    settle(ledger, ride, Settlement::Released).expect("an open hold ends");
    check_usage(ledger, "m", 1);
}

/// It lives up to the second before its end, and each ride puts that off.
pub fn lease_ends_its_time_after_the_last_request(ledger: &impl Ledger) {
    let ride = |now, uses| {
        let hold = Download::asking(1).at(now).hold(ledger).expect("a use is left");
        wait(ledger.settle(hold, Settlement::Done { bytes: 1 }, now)).expect("an open hold ends");
        check_usage(ledger, "m", uses);
    };
    ride(NOW, 1);
    ride(NOW.plus(599), 1);
    ride(NOW.plus(599 + 599), 1);
    ride(NOW.plus(599 + 599 + 600), 2);
    ride(NOW.plus(599 + 599 + 600 + 599), 2);
}

/// A policy may have changed since it was opened.
pub fn latest_request_says_how_long_its_lease_lasts(ledger: &impl Ledger) {
    let mut short = Download::asking(1);
    short.lease.lease_secs = 10;
    for (download, now, uses) in [
        (Download::asking(1), NOW, 1),
        (short.clone(), NOW.plus(599), 1),
        (short, NOW.plus(599 + 9), 1),
        (Download::asking(1), NOW.plus(599 + 9 + 10), 2),
    ] {
        let hold = download.at(now).hold(ledger).expect("a use is left");
        wait(ledger.settle(hold, Settlement::Done { bytes: 1 }, now)).expect("an open hold ends");
        check_usage(ledger, "m", uses);
    }
}

/// However long it runs, and its time begins at its end.
pub fn running_request_keeps_its_lease_alive(ledger: &impl Ledger) {
    let slow = Download::asking(1).hold(ledger).expect("a use is left");
    let hold = Download::asking(1).at(NOW.plus(40_000)).hold(ledger).expect("the lease lives");
    done(ledger, hold, 1);
    wait(ledger.settle(slow, Settlement::Done { bytes: 1 }, NOW.plus(80_000))).expect("an open hold ends");
    Download::asking(1).at(NOW.plus(80_599)).hold(ledger).expect("the lease lives");
    check_usage(ledger, "m", 1);
}

/// The newest need not be the one with room.
pub fn every_lease_of_a_key_is_tried(ledger: &impl Ledger) {
    let first = Download::asking(100).hold(ledger).expect("a use is left");
    Download::asking(100).hold(ledger).expect("a use is left");
    done(ledger, first, 40);
    check_usage(ledger, "m", 2);
    Download::asking(85).hold(ledger).expect("the first lease has room");
    Download::asking(25).hold(ledger).expect("the second lease has room");
    check_usage(ledger, "m", 2);
    Download::asking(1).hold(ledger).expect("a use is left");
    check_usage(ledger, "m", 3);
}
