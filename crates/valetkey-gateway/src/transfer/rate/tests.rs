use super::*;
use valetkey::QuotaOwner;

fn rate(policy: &str, bytes_per_sec: u64) -> Rate {
    Rate { meter: MeterName::of_total(QuotaOwner::Policy(policy)), bytes_per_sec }
}

/// Runs `story` while time moves by itself whenever everybody waits.
fn played<T>(story: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, story)
}

/// How many seconds it takes `count` transfers at once to move `bytes` each.
fn seconds_of(rates: &[Rate], count: usize, bytes: u64) -> f64 {
    played(async {
        let all = std::rc::Rc::new(Rates::new());
        let begun = Instant::now();
        let transfers: Vec<_> = (0..count)
            .map(|_| {
                let mut throttle = all.throttle(rates).unwrap();
                tokio::task::spawn_local(async move { throttle.pay(bytes).await })
            })
            .collect();
        for transfer in transfers {
            transfer.await.unwrap();
        }
        begun.elapsed().as_secs_f64()
    })
}

#[test]
fn a_transfer_moves_a_second_ahead_and_no_more() {
    // Timers wake up to a millisecond late, a few times.
    for (per_sec, count, bytes, secs) in [
        (1000, 1, 500, 0.0),
        (1000, 1, 1000, 0.0),
        (1000, 1, 5000, 4.0),
        (1000, 3, 2000, 5.0),
        (1, 1, 4, 3.0),
        (1, 2, 2, 3.0),
        (7, 1, 21, 2.0),
        (1 << 40, 1, 1 << 30, 0.0),
    ] {
        let took = seconds_of(&[rate("a", per_sec)], count, bytes);
        assert!((secs..secs + 0.1).contains(&took), "{bytes} by {count} at {per_sec}: {took} s");
    }
}

#[test]
fn the_slowest_of_several_rates_decides() {
    let took = seconds_of(&[rate("a", 1_000_000), rate("b", 100), rate("c", 5000)], 2, 200);
    assert!((3.0..3.1).contains(&took), "{took} s");
}

#[test]
fn no_rate_costs_nothing() {
    played(async { assert!(Rates::new().throttle(&[]).is_none()) });
}

#[test]
fn transfers_share_evenly_whenever_they_begin() {
    played(async {
        let all = Rates::new();
        let mut early = all.throttle(&[rate("a", 1000)]).unwrap();
        early.pay(1000).await;
        let moved = [std::cell::Cell::new(0_u64), std::cell::Cell::new(0)];
        let drawing = async |moved: &std::cell::Cell<u64>| {
            let mut throttle = all.throttle(&[rate("a", 1000)]).unwrap();
            loop {
                throttle.pay(10).await;
                moved.set(moved.get() + 10);
            }
        };
        let both = async { tokio::join!(drawing(&moved[0]), drawing(&moved[1])) };
        assert!(tokio::time::timeout(Duration::from_secs(10), both).await.is_err());
        let [one, other] = moved.map(|bytes| bytes.get());
        assert!((9_900..=10_000).contains(&(one + other)), "{one} and {other}");
        assert!(one.abs_diff(other) <= 100, "{one} and {other}");
    });
}

#[test]
fn who_leaves_the_queue_gives_its_place_back() {
    played(async {
        let all = Rates::new();
        let mut first = all.throttle(&[rate("a", 16)]).unwrap();
        first.pay(16).await;
        let waiting = |cx: &mut Context<'_>| {
            let mut throttle = all.throttle(&[rate("a", 16)]).unwrap();
            assert!(throttle.poll_grant(cx, 16).is_pending());
            Poll::Ready(throttle)
        };
        let mut gone = Vec::new();
        for _ in 0..1000 {
            gone.push(std::future::poll_fn(waiting).await);
        }
        drop(gone);
        let begun = Instant::now();
        first.pay(16).await;
        let took = begun.elapsed().as_secs_f64();
        assert!((1.0..1.1).contains(&took), "{took} s");
    });
}

#[test]
fn keys_of_one_name_each_keep_to_their_own_rate() {
    played(async {
        let all = Rates::new();
        let mut slow = all.throttle(&[rate("a", 100)]).unwrap();
        let mut fast = all.throttle(&[rate("a", 1000)]).unwrap();
        let begun = Instant::now();
        tokio::join!(slow.pay(100), fast.pay(2000));
        let took = begun.elapsed().as_secs_f64();
        assert!((2.0..2.1).contains(&took), "{took} s");
    });
}

#[test]
fn idle_buckets_are_forgotten_and_others_are_not() {
    played(async {
        let all = Rates::new();
        let mut busy = all.throttle(&[rate("busy", 10)]).unwrap();
        busy.pay(10).await;
        drop(busy);
        for number in 0..10 * SWEEP_AT_MIN {
            drop(all.throttle(&[rate(&format!("idle-{number}"), 1)]));
        }
        let book = all.book.lock().unwrap();
        assert!(book.buckets.len() <= SWEEP_AT_MIN, "{}", book.buckets.len());
        assert!(book.buckets.contains_key(&rate("busy", 10).meter));
    });
}
