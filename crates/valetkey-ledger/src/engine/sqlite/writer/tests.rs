//! What the writer does when a batch cannot be written. The store is one in memory that fails when told to.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::thread;

use super::*;
use crate::command::Reply;
use crate::conformance::wait;
use crate::engine::failing::{FailingStore, Mode};
use crate::sync::mpsc;
use crate::{
    Answer, Charge, HoldId, HoldRequest, LeaseRequest, Limits, Meter, Purpose, Settlement, UnixSeconds,
};

const NOW: UnixSeconds = UnixSeconds(1_700_000_000);

/// A writer that is served by hand, one batch a call.
struct Bench {
    writer: Writer<FailingStore>,
    commands: mpsc::Sender<Command>,
    mode: Arc<Mutex<Mode>>,
}

impl Bench {
    fn new() -> Self {
        let store = FailingStore::new();
        let mode = Arc::clone(&store.mode);
        let (commands, queue) = mpsc::channel();
        let machine = Machine::new(store, 1).unwrap();
        // The count of those that wait begins high, since nothing here raises it.
        let waiting = Arc::new(AtomicUsize::new(1_000_000));
        Self { writer: Writer::new(machine, queue, waiting), commands, mode }
    }

    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn ask<T: Send + 'static>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Answer<T> {
        let (reply, answer) = Reply::new();
        self.commands.send(command(reply)).unwrap();
        answer
    }

    fn hold(&self, purpose: Purpose) -> Answer<HoldId> {
        let charge = Charge {
            meter: Meter::new("m"),
            limits: Limits { uses: Some(9), ..Limits::default() },
            ends: NOW.plus(3600),
            keep_until: NOW.plus(3600),
        };
        self.ask(|reply| Command::Hold(Some(HoldRequest { charges: vec![charge], purpose, now: NOW }), reply))
    }

    fn settle(&self, hold: HoldId, settlement: Settlement) -> Answer<()> {
        self.ask(|reply| Command::Settle(Settle { hold, settlement, now: NOW }, Some(reply)))
    }

    /// Serves all that waits and all that is owed, as one batch.
    fn serve(&mut self) {
        let mut batch = self.writer.take_owed();
        self.writer.collect(&mut batch);
        assert!(!batch.is_empty(), "there is something to serve");
        self.writer.serve(batch);
    }

    #[track_caller]
    fn check_usage(&mut self, expected: u64) {
        let usage = self.ask(|reply| Command::Usage(Meter::new("m"), reply));
        self.serve();
        assert_eq!(wait(usage).unwrap().uses, expected);
    }
}

fn upload() -> Purpose {
    Purpose::Upload {
        object: "files/a".to_owned(),
        file: "a".to_owned(),
        declared_bytes: None,
        copied_bytes: 0,
    }
}

fn download(ask_bytes: u64) -> Purpose {
    Purpose::Download(LeaseRequest {
        object: "files/a".to_owned(),
        version: "1".to_owned(),
        client: "client".to_owned(),
        size_bytes: 100,
        ask_bytes,
        lease_secs: 600,
    })
}

#[test]
fn failed_batch_gives_no_hold_and_no_lease() {
    let mut bench = Bench::new();
    bench.set(Mode::Fails);
    let answers = [bench.hold(download(50)), bench.hold(download(50)), bench.hold(upload())];
    bench.serve();
    for answer in answers {
        assert!(matches!(wait(answer), Err(LedgerError::Unavailable(_))));
    }
    bench.set(Mode::Works);
    bench.check_usage(0);
    let hold = bench.hold(download(50));
    bench.serve();
    wait(hold).unwrap();
    bench.check_usage(1);
}

#[test]
fn settlement_of_a_failed_batch_is_owed_until_it_is_written() {
    let mut bench = Bench::new();
    let holds = [bench.hold(upload()), bench.hold(download(100))];
    bench.serve();
    let [upload, download] = holds.map(|hold| wait(hold).unwrap());
    bench.check_usage(2);

    bench.set(Mode::Fails);
    let answers = [upload, download].map(|hold| bench.settle(hold, Settlement::Released));
    bench.serve();
    for answer in answers {
        assert!(matches!(wait(answer), Err(LedgerError::Unavailable(_))));
    }
    assert_eq!(bench.writer.owed.len(), 2);
    let usage = bench.ask(|reply| Command::Usage(Meter::new("m"), reply));
    bench.serve();
    assert!(matches!(wait(usage), Err(LedgerError::Unavailable(_))));
    assert_eq!(bench.writer.owed.len(), 2, "it fails again, and is owed again");

    bench.set(Mode::Works);
    bench.check_usage(0);
    assert!(bench.writer.owed.is_empty());
    let again = bench.settle(upload, Settlement::Released);
    bench.serve();
    assert!(matches!(wait(again), Err(LedgerError::UnknownHold(_))));
}

#[test]
fn owed_settlement_needs_no_other_command() {
    let mut bench = Bench::new();
    // Nobody waits for this hold, so its release is owed.
    drop(bench.hold(upload()));
    bench.serve();
    assert_eq!(bench.writer.owed.len(), 1);
    bench.serve();
    assert!(bench.writer.owed.is_empty());
    bench.check_usage(0);
}

#[test]
fn what_no_limit_depends_on_needs_no_commit() {
    let mut bench = Bench::new();
    let download_with = |limits, ask_bytes| {
        let charge =
            Charge { meter: Meter::new("m"), limits, ends: NOW.plus(3600), keep_until: NOW.plus(3600) };
        HoldRequest { charges: vec![charge], purpose: download(ask_bytes), now: NOW }
    };
    let none = Limits::default();
    let uses = Limits { uses: Some(9), ..none };
    let first = bench.ask(|reply| Command::Hold(Some(download_with(uses, 50)), reply));
    bench.serve();
    let first = wait(first).unwrap();

    bench.set(Mode::Fails);
    let settled = bench.settle(first, Settlement::Done { bytes: 50 });
    let ride = bench.ask(|reply| Command::Hold(Some(download_with(uses, 50)), reply));
    let parallel = Limits { parallel: Some(9), ..none };
    let elsewhere = bench.ask(|reply| Command::Hold(Some(download_with(parallel, 101)), reply));
    let answer = HoldRequest { purpose: Purpose::Answer { bytes: 7 }, ..download_with(none, 0) };
    let answer = bench.ask(|reply| Command::Hold(Some(answer), reply));
    bench.serve();
    wait(settled).unwrap();
    wait(ride).unwrap();
    wait(elsewhere).unwrap();
    wait(answer).unwrap();
    for limits in [Limits { out_bytes: Some(999), ..none }, uses] {
        let refused = bench.ask(|reply| Command::Hold(Some(download_with(limits, 101)), reply));
        bench.serve();
        assert!(matches!(wait(refused), Err(LedgerError::Unavailable(_))), "{limits:?}");
    }

    // What waited is still known, and written when it can be.
    bench.set(Mode::Works);
    bench.check_usage(2);
    assert!(bench.writer.machine.has_unwritten());
    bench.writer.serve(Vec::new());
    assert!(!bench.writer.machine.has_unwritten());
    bench.check_usage(2);
}

#[test]
fn damage_ends_the_service() {
    let mut bench = Bench::new();
    bench.set(Mode::ShowsDamage);
    let hold = bench.hold(upload());
    bench.serve();
    assert!(matches!(wait(hold), Err(LedgerError::Unavailable(_))));
    bench.set(Mode::Works);
    let usage = bench.ask(|reply| Command::Usage(Meter::new("m"), reply));
    bench.serve();
    assert!(matches!(wait(usage), Err(LedgerError::Unavailable(_))));
}

#[test]
fn batch_is_bounded() {
    let mut bench = Bench::new();
    let answers: Vec<_> =
        (0..=BATCH_MAX).map(|_| bench.ask(|reply| Command::Usage(Meter::new("m"), reply))).collect();
    let mut batch = Vec::new();
    assert!(bench.writer.collect(&mut batch));
    assert_eq!(batch.len(), BATCH_MAX);
    bench.writer.serve(batch);
    bench.serve();
    for answer in answers {
        assert_eq!(wait(answer).unwrap().uses, 0);
    }
}

#[test]
fn writer_ends_when_nobody_can_ask_any_more() {
    let Bench { writer, commands, .. } = Bench::new();
    let folder = tempfile::tempdir().unwrap();
    let lock = LockFile::take(&folder.path().join("ledger.db")).unwrap();
    let thread = thread::spawn(move || writer.run(lock));
    drop(commands);
    thread.join().unwrap();
}
