use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, LocalSet};

use super::*;

/// A gate, and names of which some are revoked.
#[derive(Clone, Default)]
struct Place {
    gate: Gate,
    revoked: Rc<RefCell<BTreeSet<&'static str>>>,
}

/// A change that waits to be told what it comes to.
struct Begun {
    end: oneshot::Sender<&'static str>,
    passed: JoinHandle<Result<Option<&'static str>, Denial>>,
    is_dropped: Rc<Cell<bool>>,
}

struct Dropped(Rc<Cell<bool>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

impl Place {
    async fn begin(&self, name: &'static str, patience: Option<Duration>) -> Begun {
        let (end, told) = oneshot::channel();
        let is_dropped = Rc::new(Cell::new(false));
        let dropped = Dropped(Rc::clone(&is_dropped));
        let place = self.clone();
        let passed = tokio::task::spawn_local(async move {
            let check = || match place.revoked.borrow().contains(name) {
                true => Err(Denial::Revoked),
                false => Ok(()),
            };
            let change = async move {
                let _dropped = dropped;
                told.await.unwrap()
            };
            place.gate.pass_if(check, patience, change).await
        });
        settled().await;
        Begun { end, passed, is_dropped }
    }

    fn revoke(&self, name: &'static str) -> JoinHandle<()> {
        self.revoked.borrow_mut().insert(name);
        let gate = self.gate.clone();
        tokio::task::spawn_local(async move { gate.emptied().await })
    }
}

/// Lets everything run that can.
async fn settled() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn check(work: impl AsyncFnOnce(Place)) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, work(Place::default()));
}

#[test]
fn a_revocation_waits_for_what_it_reaches_and_for_nothing_else() {
    check(async |place| {
        let (reached, other) = (place.begin("a", None).await, place.begin("b", None).await);
        let revocation = place.revoke("a");
        settled().await;
        assert!(!revocation.is_finished());
        let of_nobody = place.revoke("c");
        settled().await;
        assert!(!of_nobody.is_finished(), "what was revoked before it is still on its way");
        reached.end.send("done").unwrap();
        settled().await;
        assert!(revocation.is_finished() && of_nobody.is_finished());
        assert_eq!(reached.passed.await.unwrap().unwrap(), Some("done"));
        assert!(!other.passed.is_finished());
        other.end.send("done").unwrap();
        assert_eq!(other.passed.await.unwrap().unwrap(), Some("done"));
    });
}

#[test]
fn what_went_in_before_and_is_not_reached_is_not_waited_for() {
    check(async |place| {
        let stalled = place.begin("a", None).await;
        for name in ["b", "c", "d"] {
            let revocation = place.revoke(name);
            settled().await;
            assert!(revocation.is_finished(), "{name}");
        }
        // It is still known.
        let revocation = place.revoke("a");
        settled().await;
        assert!(!revocation.is_finished());
        drop(stalled.end);
    });
}

#[test]
fn nothing_waits_behind_a_revocation() {
    check(async |place| {
        let stalled = place.begin("a", None).await;
        let revocation = place.revoke("a");
        let later = place.begin("b", None).await;
        later.end.send("done").unwrap();
        settled().await;
        assert!(later.passed.is_finished() && !revocation.is_finished());
        drop(stalled.end);
    });
}

#[test]
fn what_is_revoked_does_not_begin() {
    check(async |place| {
        place.revoke("a").await.unwrap();
        let begun = place.begin("a", None).await;
        assert!(begun.is_dropped.get());
        assert!(matches!(begun.passed.await.unwrap(), Err(Denial::Revoked)));
        place.revoke("b").await.unwrap();
    });
}

#[test]
fn patience_ends_and_what_is_given_up_is_gone_when_the_revocation_is_answered() {
    check(async |place| {
        let patience = Duration::from_secs(1);
        let stalled = place.begin("a", Some(patience)).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!stalled.is_dropped.get(), "nobody revoked it");
        let begun = tokio::time::Instant::now();
        place.revoke("a").await.unwrap();
        assert!(stalled.is_dropped.get());
        assert_eq!(begun.elapsed().as_secs(), 1);
        assert_eq!(stalled.passed.await.unwrap().unwrap(), None);

        let quick = place.begin("b", Some(patience)).await;
        let revocation = place.revoke("b");
        settled().await;
        quick.end.send("done").unwrap();
        revocation.await.unwrap();
        assert_eq!(quick.passed.await.unwrap().unwrap(), Some("done"));
    });
}

/// Threads make changes without a pause, while another revokes and allows in turn: whatever shows after a revocation
/// was answered and before the next change is allowed is one too many.
#[test]
fn nothing_shows_once_a_revocation_is_answered() {
    const ROUNDS: usize = 300;
    let gate = Gate::default();
    let [is_revoked, is_over] = [const { AtomicBool::new(false) }; 2];
    let (shown, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let check = || match is_revoked.load(Ordering::Relaxed) {
                    true => Err(Denial::Revoked),
                    false => Ok(()),
                };
                runtime().block_on(async {
                    while !is_over.load(Ordering::Relaxed) {
                        let change = async {
                            for _ in 0..10 {
                                tokio::task::yield_now().await;
                            }
                            shown.fetch_add(1, Ordering::SeqCst);
                        };
                        if gate.pass_if(check, None, change).await.is_err() {
                            refused.fetch_add(1, Ordering::Relaxed);
                            thread::yield_now();
                        }
                    }
                });
            });
        }
        runtime().block_on(async {
            for round in 0..ROUNDS {
                is_revoked.store(true, Ordering::Relaxed);
                gate.emptied().await;
                let seen = shown.load(Ordering::SeqCst);
                thread::sleep(Duration::from_micros(200));
                assert_eq!(shown.load(Ordering::SeqCst), seen, "round {round}");
                is_revoked.store(false, Ordering::Relaxed);
                thread::sleep(Duration::from_micros(200));
            }
        });
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(shown.into_inner() > 0 && refused.into_inner() > 0, "both happened");
}
