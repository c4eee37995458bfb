//! Many at once.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::*;

fn check_one_creator_wins(store: &Store) {
    const RACERS: usize = 32;
    for round in 0..8 {
        let name = format!("new-{round}/folder/object");
        let start = Barrier::new(RACERS);
        let outcomes: Vec<_> = thread::scope(|scope| {
            let racers: Vec<_> = (0..RACERS)
                .map(|racer| {
                    let (start, name) = (&start, &name);
                    scope.spawn(move || {
                        let finished = store.finished(&racer.to_string());
                        start.wait();
                        store.folder.publish(finished, name, Publish::Create)
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        let winners: Vec<usize> = (0..RACERS).filter(|racer| outcomes[*racer].is_ok()).collect();
        assert_eq!(winners.len(), 1, "{outcomes:?}");
        assert_eq!(store.read(&name), winners[0].to_string());
        for outcome in outcomes.into_iter().filter(Result::is_err) {
            assert_refused!(outcome, StoreError::AlreadyExists);
        }
    }
    assert_eq!(store.temporaries(), 0);
}

#[test]
fn of_many_creates_exactly_one_wins() {
    check_one_creator_wins(&Store::new());
}

#[test]
fn of_many_creates_by_link_exactly_one_wins() {
    check_one_creator_wins(&Store::lacking(|capabilities| {
        capabilities.rename_noreplace = false;
    }));
}

#[test]
fn of_many_replaces_of_one_version_exactly_one_wins() {
    const RACERS: usize = 16;
    let store = Store::new();
    let etag = store.create("a", "first").unwrap().etag;
    let start = Barrier::new(RACERS);
    let wins = AtomicUsize::new(0);
    let judging = AtomicUsize::new(0);
    thread::scope(|scope| {
        for racer in 0..RACERS {
            let (store, start, wins, etag) = (&store, &start, &wins, &etag);
            let judging = &judging;
            scope.spawn(move || {
                let finished = store.finished(&format!("by {racer}"));
                let guard = |there: Option<&Metadata>| {
                    assert_eq!(judging.fetch_add(1, Ordering::SeqCst), 0, "one judges at a time");
                    // Whoever could come in between gets the chance to.
                    (0..100).for_each(|_| thread::yield_now());
                    judging.fetch_sub(1, Ordering::SeqCst);
                    there.is_some_and(|there| there.etag == *etag)
                };
                start.wait();
                match store.folder.publish(finished, "a", Publish::Replace { guard: &guard }) {
                    Ok(_) => _ = wins.fetch_add(1, Ordering::Relaxed),
                    Err(StoreError::PreconditionFailed) => {}
                    Err(error) => panic!("{error:?}"),
                }
            });
        }
    });
    assert_eq!(wins.into_inner(), 1);
}

/// Objects come and go in one folder, so that it is made and removed all the time.
#[test]
fn folders_come_and_go_beneath_uploads_without_loss() {
    const ROUNDS: usize = 100;
    let store = Store::new();
    thread::scope(|scope| {
        for worker in 0..8 {
            let store = &store;
            scope.spawn(move || {
                let name = format!("a/b/c/{worker}");
                for round in 0..ROUNDS {
                    let content = format!("{worker} {round}");
                    store.create(&name, &content).unwrap();
                    assert_eq!(store.read(&name), content);
                    assert_eq!(store.delete(&name).unwrap(), Removed::Yes);
                }
            });
        }
    });
    assert_eq!(store.entries(), [""; 0]);
    assert_eq!(store.temporaries(), 0);
}

#[test]
fn a_reader_sees_one_version_whole_and_never_none() {
    let store = Store::new();
    let version = |round: usize| round.to_string().repeat(20_000);
    store.create("a", &version(0)).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let opened = store.folder.open("a").unwrap();
                    let text = content(&opened);
                    let digest = *blake3::hash(text.as_bytes()).as_bytes();
                    assert_eq!(opened.metadata.digest, Some(digest));
                }
            });
        }
        for round in 1..60 {
            store.replace("a", &version(round)).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(store.read("a"), version(59));
}
