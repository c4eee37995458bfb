//! The rules that every engine keeps, each a function over an empty ledger, for [`conformance!`](crate::conformance!)
//! to make into tests.
//!
//! The suite asks nothing of a runtime: it polls on its own threads. Time moves by hand.

mod amounts;
mod chains;
mod leases;
mod revocations;
mod sessions;
mod time;
mod uses;

pub use amounts::*;
pub use chains::*;
pub use leases::*;
pub use revocations::*;
pub use sessions::*;
pub use time::*;
pub use uses::*;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::{
    Charge, HoldId, HoldRequest, LeaseRequest, Ledger, LedgerError, Limits, Meter, Purpose, Settlement,
    UnixSeconds,
};

/// Makes a test of every rule. The expression opens an empty ledger: it is evaluated once a test, and gives the ledger
/// and whatever must outlive it.
#[macro_export]
macro_rules! conformance {
    ($open:expr) => {
        $crate::conformance!(@tests $open;
            each_use_is_counted_and_the_one_after_the_last_refused
            sixty_four_askers_at_once_get_exactly_three_uses
            keys_that_share_a_meter_compare_it_with_their_own_limits
            limit_of_none_counts_and_never_refuses
            released_upload_gives_its_use_back
            upload_that_is_done_keeps_its_use
            published_upload_may_still_be_released
            hold_ends_once
            publishing_needs_an_open_upload_or_delete
            hold_that_nobody_learned_of_is_released
            settlement_that_nobody_waits_for_comes_to_pass
            holds_of_this_life_are_never_unresolved
            hold_without_a_charge_is_refused
            numbers_beyond_the_largest_are_refused
            closed_ledger_refuses
            spent_level_leaves_the_others_uncharged
            every_level_is_charged_and_given_back
            meter_named_twice_is_charged_twice
            ranges_of_one_client_ride_on_one_use
            ride_ends_at_a_quarter_more_than_the_size
            bytes_reserved_by_a_running_request_count
            unsent_bytes_are_given_back
            more_bytes_than_asked_for_are_not_counted
            leases_differ_by_every_part_of_their_name
            lease_belongs_to_a_key_and_to_no_quota
            download_of_which_nothing_was_sent_is_no_use
            ride_of_which_nothing_was_sent_gives_no_use_back
            use_comes_back_when_the_last_of_several_idle_requests_ends
            empty_object_that_was_answered_is_a_use
            lease_ends_its_time_after_the_last_request
            latest_request_says_how_long_its_lease_lasts
            running_request_keeps_its_lease_alive
            every_lease_of_a_key_is_tried
            clock_five_minutes_behind_is_good_and_one_second_more_is_not
            highest_time_seen_never_falls
            cleared_key_never_gets_a_fresh_count
            meter_is_kept_a_day_beyond_the_latest_end
            count_that_is_kept_for_ever_is_that_of_every_later_key
            new_ledger_is_fresh_and_may_be_distrusted
            newest_record_of_the_audit_log_is_kept
            session_holds_one_use_until_it_ends
            session_needs_no_charge
            owner_has_only_so_many_sessions
            parts_never_sum_beyond_the_session
            part_that_replaces_another_counts_with_the_larger
            part_that_is_finished_last_stays
            part_gives_back_what_it_did_not_need
            part_grows_as_far_as_the_session_goes
            part_that_was_dropped_leaves_nothing
            part_goes_on_where_it_ended_and_for_one_at_a_time
            session_that_is_completed_takes_no_part
            session_that_did_not_come_to_show_opens_again
            session_ends_once
            expired_session_takes_no_part
            sessions_and_parts_are_listed_page_by_page
            bytes_of_parts_count_under_every_level
            parts_that_are_received_count_among_what_runs_at_once
            name_of_a_session_counts_as_a_name_of_its_levels
            revocation_is_in_the_view_when_it_is_answered
            every_kind_of_target_reaches_its_own_and_nothing_else
            path_reaches_what_lies_below_it_by_whole_segments
            before_reaches_what_was_issued_earlier_or_does_not_say
            revoking_twice_is_one_revocation_kept_longer
            lifting_leaves_what_another_revocation_holds
            revocations_are_listed_in_pages_by_numbers_never_given_twice
            fingerprint_revokes_the_level_that_is_known_by_it
            revocation_goes_a_day_after_all_that_it_revokes_ended
            every_change_is_told
            declared_bytes_are_charged_up_to_the_last
            upload_that_is_done_is_charged_what_came
            upload_grows_as_far_as_every_level_has_room
            downloaded_bytes_are_charged_and_the_unsent_given_back
            ride_is_charged_to_its_own_chain
            answer_is_charged_its_bytes_and_nothing_else
            copied_bytes_are_charged_both_ways
            different_names_are_counted
            names_are_kept_where_they_matter
            transfers_at_once_are_counted
            askers_at_once_stay_within_every_limit
            sums_beyond_the_largest_number_are_refused
            meters_are_listed_in_pages
        );
    };
    (@tests $open:expr; $($rule:ident)*) => {
        $(
            #[test]
            fn $rule() {
                let (ledger, _guard) = $open;
                $crate::conformance::$rule(&ledger);
            }
        )*
    };
}

/// The time at which each rule begins.
const NOW: UnixSeconds = UnixSeconds(1_700_000_000);
/// The end of its keys.
const END: UnixSeconds = UnixSeconds(1_700_003_600);

/// Polls an answer on this thread until it is there.
pub fn wait<T>(answer: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut answer = pin!(answer);
    loop {
        match answer.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => thread::park(),
        }
    }
}

fn charge(meter: &str, uses_max: impl Into<Option<u64>>) -> Charge {
    Charge {
        meter: Meter::new(meter),
        limits: Limits { uses: uses_max.into(), ..Limits::default() },
        ends: END,
        keep_until: END,
    }
}

fn upload(charges: Vec<Charge>) -> HoldRequest {
    HoldRequest {
        charges,
        purpose: Purpose::Upload {
            object: "files/a".to_owned(),
            file: "a".to_owned(),
            declared_bytes: None,
            copied_bytes: 0,
        },
        now: NOW,
    }
}

fn hold_upload(ledger: &impl Ledger, meter: &str, uses_max: u64) -> Result<HoldId, LedgerError> {
    wait(ledger.hold(upload(vec![charge(meter, uses_max)])))
}

/// A download of an object of 100 bytes by one client, as the rules of leases vary it.
#[derive(Clone)]
struct Download {
    meter: &'static str,
    uses_max: u64,
    lease: LeaseRequest,
    now: UnixSeconds,
}

impl Download {
    fn asking(ask_bytes: u64) -> Self {
        let lease = LeaseRequest {
            object: "files/a".to_owned(),
            version: "1".to_owned(),
            client: "client".to_owned(),
            size_bytes: 100,
            ask_bytes,
            lease_secs: 600,
        };
        Self { meter: "m", uses_max: 1000, lease, now: NOW }
    }

    fn at(self, now: UnixSeconds) -> Self {
        Self { now, ..self }
    }

    fn hold(self, ledger: &impl Ledger) -> Result<HoldId, LedgerError> {
        let Self { meter, uses_max, lease, now } = self;
        wait(ledger.hold(HoldRequest {
            charges: vec![charge(meter, uses_max)],
            purpose: Purpose::Download(lease),
            now,
        }))
    }
}

fn settle(ledger: &impl Ledger, hold: HoldId, settlement: Settlement) -> Result<(), LedgerError> {
    wait(ledger.settle(hold, settlement, NOW))
}

fn done(ledger: &impl Ledger, hold: HoldId, bytes: u64) {
    settle(ledger, hold, Settlement::Done { bytes }).expect("an open hold ends");
}

#[track_caller]
fn check_usage(ledger: &impl Ledger, meter: &str, expected: u64) {
    let uses = wait(ledger.usage(Meter::new(meter))).expect("usage is answered").uses;
    assert_eq!(uses, expected, "uses of {meter}");
}

#[track_caller]
fn check_exhausted<T: std::fmt::Debug>(result: Result<T, LedgerError>, level: usize, limit: u64) {
    match result {
        Err(LedgerError::Exhausted { level: found_level, limit: found_limit, .. }) => {
            assert_eq!((found_level, found_limit), (level, limit));
        }
        other => panic!("not exhausted: {other:?}"),
    }
}

/// Asserts that a result has the form of a pattern, and shows it if not.
macro_rules! check_is {
    ($result:expr, $pattern:pat $(if $guard:expr)?) => {{
        let result = $result;
        assert!(matches!(&result, $pattern $(if $guard)?), "{result:?}");
    }};
}
use check_is;
