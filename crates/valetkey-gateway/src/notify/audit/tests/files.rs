//! One chain over many files, and what was known of it before.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use super::*;
use crate::notify::{Fault, Verified, newest, requests_among, verify_file, verify_log};

/// A clock that is a second further at each look, so that each rotation has a name of its own.
fn running() -> Timestamp {
    static SECOND: AtomicI64 = AtomicI64::new(1_795_305_600);
    Timestamp::from_unix(SECOND.fetch_add(1, Ordering::Relaxed))
}

fn key_of(log: &Log) -> ChainKey {
    ChainKey::load(&log.key_file()).unwrap().unwrap()
}

fn looked_through(log: &Log, known: Option<Head>) -> Verified {
    verify_log(&log.settings(), &key_of(log), known).unwrap()
}

fn moved(log: &Log, to: &str) -> PathBuf {
    let to = log.path().with_file_name(to);
    std::fs::rename(log.path(), &to).unwrap();
    to
}

/// Writes so many records and closes the log. Returns where it ends.
fn written(log: &Log, known: Option<Head>, records: usize) -> Head {
    let audit = Audit::open(&log.settings(), known, running).unwrap().audit;
    for _ in 0..records {
        audit.record(read("a"));
    }
    let other = audit.clone();
    audit.close().unwrap();
    other.head()
}

fn edit(path: &Path, edit: impl FnOnce(&mut Vec<String>)) {
    let mut lines: Vec<_> =
        std::fs::read_to_string(path).unwrap().lines().map(|line| format!("{line}\n")).collect();
    edit(&mut lines);
    std::fs::write(path, lines.concat()).unwrap();
}

#[track_caller]
fn check_fault(verified: &Verified, file: &Path, line: u64, why: &str) {
    let Some(fault) = &verified.fault else { panic!("no fault in {verified:?}") };
    let Fault { file: found, line: found_line, why: found_why } = fault;
    assert_eq!((found.as_path(), *found_line), (file, line), "{found_why}");
    assert!(found_why.contains(why), "{found_why}");
}

#[test]
fn a_full_file_is_left_for_a_new_one_and_the_chain_goes_on() {
    let log = Log::new();
    let settings = settings::Audit { rotate_bytes: Some(4096), ..log.settings() };
    let audit = Audit::open(&settings, None, running).unwrap().audit;
    for _ in 0..60 {
        wait(audit.record_durably(read("a"))).unwrap();
    }
    let head = audit.head();
    assert_eq!(head.records, 60);
    audit.close().unwrap();
    let verified = looked_through(&log, Some(head));
    assert!(verified.fault.is_none() && verified.files.len() > 4, "{verified:?}");
    assert_eq!((verified.records, verified.last), (60, head.hash));
    for (path, _) in &verified.files {
        let metadata = path.metadata().unwrap();
        assert!(metadata.len() <= 4096 && metadata.permissions().mode() & 0o7777 == 0o600, "{path:?}");
    }
    // The next life counts on, with what the ledger knows and without.
    assert_eq!(written(&log, Some(head), 1).records, 61);
    assert_eq!(written(&log, None, 1).records, 62);
}

#[test]
fn two_rotations_never_have_one_name() {
    let log = Log::new();
    let settings = settings::Audit { rotate_bytes: Some(1024), ..log.settings() };
    // Its clock stands still.
    let audit = Audit::open(&settings, None, clock).unwrap().audit;
    for _ in 0..20 {
        wait(audit.record_durably(read("a"))).unwrap();
    }
    audit.close().unwrap();
    let verified = looked_through(&log, None);
    assert_eq!((verified.records, verified.files.len()), (20, 2), "{verified:?}");
}

#[test]
fn only_as_many_old_files_are_kept_as_was_said() {
    let log = Log::new();
    let settings = settings::Audit { rotate_bytes: Some(2048), keep: Some(3), ..log.settings() };
    let audit = Audit::open(&settings, None, running).unwrap().audit;
    for _ in 0..60 {
        wait(audit.record_durably(read("a"))).unwrap();
    }
    let head = audit.head();
    audit.close().unwrap();
    let verified = verify_log(&settings, &key_of(&log), Some(head)).unwrap();
    assert!(verified.fault.is_none() && verified.files.len() == 4, "{verified:?}");
    assert!(verified.records < 60 && verified.notes[0].contains("were let go of"), "{verified:?}");

    // Fewer than were to be kept is another matter, and so is a file that went where all were to be kept.
    std::fs::remove_file(&verified.files[0].0).unwrap();
    let fewer = verify_log(&settings, &key_of(&log), Some(head)).unwrap();
    check_fault(&fewer, &verified.files[1].0, 1, "in none of the files");
    check_fault(&looked_through(&log, Some(head)), &verified.files[1].0, 1, "in none of the files");
    // The gateway needs no more than the newest record that is known.
    assert_eq!(written(&log, Some(head), 1).records, 61);
}

#[test]
fn a_file_that_was_moved_away_is_noticed_within_a_second() {
    let log = Log::new();
    let audit = log.open().unwrap().audit;
    wait(audit.record_durably(read("before"))).unwrap();
    moved(&log, "audit.jsonl.1");
    let begun = Instant::now();
    until(|| log.path().exists());
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(audit.is_sound());

    // With something to write it is noticed at once, and an empty file that stands there already is taken.
    moved(&log, "audit.jsonl-20261122");
    wait(audit.record_durably(read("after"))).unwrap();
    let away = moved(&log, "audit.jsonl.odd name");
    std::fs::write(log.path(), "").unwrap();
    wait(audit.record_durably(read("last"))).unwrap();
    let head = audit.head();
    audit.close().unwrap();
    assert_eq!(std::fs::read_to_string(&away).unwrap().lines().count(), 1);
    let verified = looked_through(&log, Some(head));
    assert_eq!((verified.records, verified.fault), (3, None));
    assert_eq!(verified.files.iter().map(|(_, records)| *records).collect::<Vec<_>>(), [1, 1, 1]);
}

#[test]
fn a_strangers_file_in_the_logs_place_is_left_alone() {
    let log = Log::new();
    let audit = log.open().unwrap().audit;
    wait(audit.record_durably(read("before"))).unwrap();
    moved(&log, "audit.jsonl.1");
    std::fs::write(log.path(), "something else\n").unwrap();
    let error = wait(audit.record_durably(read("during"))).unwrap_err();
    let AuditError::NotWritten(source) = error else { panic!("{error}") };
    assert!(source.to_string().contains("another file stands in its place"), "{source}");
    assert_eq!(log.text(), "something else\n");
    std::fs::remove_file(log.path()).unwrap();
    until(|| audit.is_sound());
    let head = audit.head();
    audit.close().unwrap();
    assert_eq!(looked_through(&log, Some(head)).fault, None);
}

#[test]
fn what_was_moved_away_while_the_gateway_stood_is_found_again() {
    for to in ["audit.jsonl.1", "audit.jsonl-20261122"] {
        let log = Log::new();
        let head = written(&log, None, 3);
        moved(&log, to);
        let head = written(&log, Some(head), 2);
        assert_eq!(head.records, 5);
        moved(&log, &format!("{to}.2"));
        assert_eq!(written(&log, None, 1).records, 6);
        assert_eq!(looked_through(&log, None).records, 6);
    }
    // Where a shift of names was under way.
    let log = Log::new();
    let head = written(&log, None, 3);
    moved(&log, "audit.jsonl.2");
    let head = written(&log, Some(head), 3);
    moved(&log, "audit.jsonl.1");
    assert_eq!(written(&log, Some(head), 0), head);
}

#[test]
fn a_log_that_lacks_what_the_ledger_knows_is_refused_and_left_alone() {
    let log = Log::new();
    let head = written(&log, None, 5);
    let known = |log: &Log| Audit::open(&log.settings(), Some(head), clock);
    edit(&log.path(), |lines| drop(lines.pop()));
    let cut = log.text();
    let error = known(&log).unwrap_err();
    assert!(matches!(error, AuditError::Cut { known: 5, found: 4, .. }), "{error}");
    assert!(error.to_string().contains("valetkey check --accept-audit-log"), "{error}");
    assert_eq!(log.text(), cut);
    check_fault(&looked_through(&log, Some(head)), &log.path(), 5, "the last 1 are missing");
    assert_eq!(looked_through(&log, None).fault, None, "by itself it cannot tell");

    std::fs::write(log.path(), "").unwrap();
    assert!(matches!(known(&log), Err(AuditError::Cut { found: 0, .. })));
    std::fs::remove_file(log.path()).unwrap();
    assert!(matches!(known(&log), Err(AuditError::Cut { found: 0, .. })));
    std::fs::remove_file(log.key_file()).unwrap();
    assert!(matches!(known(&log), Err(AuditError::Cut { found: 0, .. })));
    assert!(!log.key_file().exists(), "no new key is made");
    // Where the operator accepts it, nothing is known any more.
    assert_eq!(written(&log, None, 1).records, 1);
}

#[test]
fn more_than_the_ledger_knows_is_no_fault() {
    let log = Log::new();
    let head = written(&log, None, 5);
    assert_eq!(looked_through(&log, Some(Head::NONE)).fault, None);
    assert_eq!(written(&log, Some(Head::NONE), 0), head);
    let later = written(&log, Some(head), 4);
    assert_eq!(later.records, 9);
    assert_eq!(looked_through(&log, Some(head)).fault, None);
    assert_eq!(written(&log, Some(head), 1).records, 10);
    // What comes after the newest that is known is followed at the start.
    edit(&log.path(), |lines| lines[6] = lines[6].replace("null", "true"));
    assert!(Audit::open(&log.settings(), Some(head), clock).is_err());
}

#[test]
fn tampering_is_found_in_the_exact_file_and_line() {
    let tampered = |file: &str, change: &dyn Fn(&mut Vec<String>)| {
        let log = Log::new();
        let mut head = written(&log, None, 4);
        for to in ["audit.jsonl.2", "audit.jsonl.1"] {
            moved(&log, to);
            head = written(&log, Some(head), 4);
        }
        assert_eq!(looked_through(&log, Some(head)).fault, None);
        edit(&log.path().with_file_name(file), change);
        (looked_through(&log, Some(head)), log)
    };
    let check = |file: &str, change: &dyn Fn(&mut Vec<String>), (at, line): (&str, u64), why: &str| {
        let (verified, log) = tampered(file, change);
        check_fault(&verified, &log.path().with_file_name(at), line, why);
    };
    let change = |at: usize| move |lines: &mut Vec<String>| lines[at] = lines[at].replace("\"a\"", "\"b\"");
    let leave_out = |at: usize| move |lines: &mut Vec<String>| drop(lines.remove(at));
    check("audit.jsonl.2", &change(0), ("audit.jsonl.2", 2), "changed");
    check("audit.jsonl.1", &change(1), ("audit.jsonl.1", 3), "changed");
    check("audit.jsonl", &change(2), ("audit.jsonl", 4), "changed");
    check("audit.jsonl.1", &leave_out(2), ("audit.jsonl.1", 3), "left out");
    check("audit.jsonl.2", &leave_out(0), ("audit.jsonl.2", 1), "in none of the files");
    // Between two files, and at the very end.
    check("audit.jsonl.1", &change(3), ("audit.jsonl", 1), "in none of the files");
    check("audit.jsonl.1", &leave_out(3), ("audit.jsonl", 1), "in none of the files");
    check("audit.jsonl", &change(3), ("audit.jsonl", 4), "was changed");
    check("audit.jsonl", &leave_out(3), ("audit.jsonl", 4), "are missing");
    check("audit.jsonl", &|lines| lines.clear(), ("audit.jsonl", 1), "the last 4 are missing");
    check("audit.jsonl", &|lines| lines.push("{\"time\":\"20".into()), ("audit.jsonl", 5), "half-written");
}

#[test]
fn one_file_is_verified_with_the_one_before_it() {
    let log = Log::new();
    let head = written(&log, None, 4);
    let first = moved(&log, "audit.jsonl.1");
    written(&log, Some(head), 4);
    let key = key_of(&log);
    let verified = |path: &Path, after| verify_file(path, &log.settings(), &key, after).unwrap();
    assert_eq!((verified(&first, None).records, verified(&first, None).fault), (4, None));
    assert_eq!((verified(&log.path(), None).records, verified(&log.path(), None).fault), (4, None));

    std::fs::remove_file(&first).unwrap();
    check_fault(&verified(&log.path(), None), &log.path(), 1, "say with --after");
    assert_eq!(verified(&log.path(), Some(head.hash)).fault, None);
    let other = crate::notify::LineHash::from_bytes([1; 32]);
    check_fault(&verified(&log.path(), Some(other)), &log.path(), 1, "left out");
    assert!(verify_file(&first, &log.settings(), &key, None).is_err());
}

#[test]
fn the_newest_records_are_read_over_all_files() {
    let log = Log::new();
    let mut head = None;
    for file in 0..3 {
        let audit = Audit::open(&log.settings(), head, running).unwrap().audit;
        for record in 0..3 {
            let request_id = Some(format!("{file}-{record}"));
            wait(audit.record_durably(Receipt { request_id, ..read("a") })).unwrap();
        }
        head = Some(audit.head());
        audit.close().unwrap();
        moved(&log, &format!("audit.jsonl.{file}"));
    }
    let key = key_of(&log);
    let lines = newest(&log.settings(), &key, 5).unwrap();
    let ids: Vec<_> = lines
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["request_id"].clone())
        .collect();
    assert_eq!(ids, ["1-1", "1-2", "2-0", "2-1", "2-2"]);
    assert_eq!(newest(&log.settings(), &key, 50).unwrap().len(), 9);

    let sought = ["0-1", "2-2", "2-"].map(str::to_owned);
    let among = |lines| requests_among(&log.settings(), &key, &sought, lines).unwrap();
    assert_eq!(among(100), HashSet::from(["0-1", "2-2"].map(str::to_owned)));
    assert_eq!(among(3), HashSet::from(["2-2"].map(str::to_owned)));
}
