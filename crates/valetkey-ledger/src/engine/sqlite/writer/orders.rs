//! The claim path in thousands of orders of its threads: whoever asks, stops asking, revokes or serves.
//!
//! The channel of an answer is not of the modelled ones; the steps around it are.

#![allow(clippy::unwrap_used)]

use std::pin::Pin;
use std::task::{Context, Poll};

use shuttle::future::block_on;
use shuttle::thread;

use super::*;
use crate::engine::failing::{FailingStore, Mode};
use crate::engine::sqlite::Queue;
use crate::sync::mpsc;
use crate::{
    Answer, Charge, HoldId, HoldRequest, Limits, Meter, NewRevocation, Purpose, Revocable, Settlement,
    Target, UnixSeconds,
};

const NOW: UnixSeconds = UnixSeconds(1_700_000_000);

/// How many orders are tried; `VALETKEY_ORDERS` says otherwise.
fn check(orders: impl Fn() + Send + Sync + 'static) {
    let count = std::env::var("VALETKEY_ORDERS").ok().and_then(|count| count.parse().ok());
    // Another thread at every step as likely as not: the windows here are one step wide.
    shuttle::check_random(orders, count.unwrap_or(10_000));
}

/// A writer on a thread of its own, which ends when nobody can ask any more.
fn writer() -> (Queue, Arc<crate::RevocationView>, Arc<std::sync::Mutex<Mode>>, thread::JoinHandle<()>) {
    let store = FailingStore::new();
    let mode = Arc::clone(&store.mode);
    let machine = Machine::new(store, 1).unwrap();
    let revoked = machine.revoked();
    let (commands, queue) = mpsc::channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let mut writer = Writer::new(machine, queue, Arc::clone(&waiting));
    let serving = thread::spawn(move || {
        let mut open = true;
        while open {
            let mut batch = writer.take_owed();
            open = writer.collect(&mut batch);
            writer.serve(batch);
        }
    });
    (Queue { commands, waiting }, revoked, mode, serving)
}

fn hold(queue: &Queue) -> Answer<HoldId> {
    let charge = Charge {
        meter: Meter::new("m"),
        limits: Limits { uses: Some(1), ..Limits::default() },
        ends: NOW.plus(3600),
        keep_until: NOW.plus(3600),
    };
    queue.hold(HoldRequest {
        charges: vec![charge],
        purpose: Purpose::Delete { object: "o".to_owned() },
        now: NOW,
    })
}

fn used(queue: &Queue) -> u64 {
    block_on(queue.ask(|reply| Command::Usage(Meter::new("m"), reply))).unwrap().uses
}

/// Asks for an answer once, as a runtime does that is then told to stop.
struct Once<'a>(&'a mut Answer<HoldId>);

impl Future for Once<'_> {
    type Output = Option<Result<HoldId, LedgerError>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.0.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => Poll::Ready(None),
        }
    }
}

/// Two who want the one use and one who goes away: at most one has it, and what nobody has comes back.
#[test]
fn one_use_has_one_owner_and_what_is_dropped_comes_back() {
    check(|| {
        let (queue, _, _, serving) = writer();
        let wanting: Vec<_> = (0..2)
            .map(|_| {
                let queue = queue.clone();
                thread::spawn(move || block_on(hold(&queue)).is_ok())
            })
            .collect();
        let leaving = {
            let queue = queue.clone();
            thread::spawn(move || {
                let mut answer = hold(&queue);
                // Who has learned of the hold ends it; else the drop of the answer does.
                if let Some(Ok(hold)) = block_on(Once(&mut answer)) {
                    let settle = Settle { hold, settlement: Settlement::Released, now: NOW };
                    queue.push(Command::Settle(settle, None));
                }
            })
        };
        let owners = wanting.into_iter().map(|thread| u64::from(thread.join().unwrap())).sum::<u64>();
        leaving.join().unwrap();
        assert!(owners <= 1, "{owners} own one use");
        // The release of what was dropped may be owed to the next batch.
        used(&queue);
        assert_eq!(used(&queue), owners);
        drop(queue);
        serving.join().unwrap();
    });
}

/// A batch that cannot be written gives nobody anything, whoever is waiting or gone.
#[test]
fn a_fault_gives_no_use_away_and_loses_none() {
    check(|| {
        let (queue, _, mode, serving) = writer();
        let set = move |to: Mode| *mode.lock().unwrap() = to;
        set(Mode::Fails);
        let asking: Vec<_> = (0..2)
            .map(|stays| {
                let queue = queue.clone();
                thread::spawn(move || {
                    let answer = hold(&queue);
                    if stays == 0 { u64::from(block_on(answer).is_ok()) } else { 0 }
                })
            })
            .collect();
        thread::yield_now();
        set(Mode::Works);
        let owners = asking.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>();
        used(&queue);
        assert_eq!(used(&queue), owners);
        drop(queue);
        serving.join().unwrap();
    });
}

/// Who asks after the answer of a revocation finds it; who asks after its lift does not.
#[test]
fn a_revocation_is_seen_by_whoever_asks_after_its_answer() {
    check(|| {
        let (queue, revoked, _, serving) = writer();
        let is_revoked = |revoked: &crate::RevocationView, level: &str| {
            revoked.read().is_some_and(|reading| reading.revokes(Revocable::Level(level), None))
        };
        let revoking: Vec<_> = ["one", "two"]
            .into_iter()
            .map(|level| {
                let (queue, revoked) = (queue.clone(), Arc::clone(&revoked));
                thread::spawn(move || {
                    let target = Target::Level(Meter::new(level));
                    let new = NewRevocation { target, before: None, now: NOW, keep_until: UnixSeconds::MAX };
                    let made = block_on(queue.ask(|reply| Command::Revoke(new, reply))).unwrap();
                    assert!(is_revoked(&revoked, level), "{level} opens after its revocation");
                    if level == "one" {
                        block_on(queue.ask(|reply| Command::Lift(made.number, reply))).unwrap();
                        assert!(!is_revoked(&revoked, level), "{level} is revoked after its lift");
                    }
                })
            })
            .collect();
        // A request that comes meanwhile never finds the table half changed.
        let asking = {
            let revoked = Arc::clone(&revoked);
            thread::spawn(move || {
                let mut seen = false;
                for _ in 0..4 {
                    let now = is_revoked(&revoked, "two");
                    assert!(now || !seen, "it was revoked, and opens again");
                    seen |= now;
                }
            })
        };
        revoking.into_iter().for_each(|thread| thread.join().unwrap());
        asking.join().unwrap();
        assert!(is_revoked(&revoked, "two") && !is_revoked(&revoked, "one"));
        drop(queue);
        serving.join().unwrap();
    });
}
