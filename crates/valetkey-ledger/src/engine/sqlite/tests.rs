//! What only a ledger in a file can show: that it survives, and what it refuses to open.

#![allow(clippy::unwrap_used)]

mod acceptance;
mod backup;
mod crash;
mod damage;
mod sessions;
mod versions;

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::*;
use crate::conformance::wait;
use crate::{Charge, LeaseRequest, Limits, Purpose};

mod conformance {
    use crate::SqliteLedger;

    crate::conformance!({
        let folder = tempfile::tempdir().expect("a folder is made");
        (SqliteLedger::open(folder.path().join("ledger.db")).expect("a ledger is made"), folder)
    });
}

const NOW: UnixSeconds = UnixSeconds(1_700_000_000);
const END: UnixSeconds = UnixSeconds(1_700_003_600);

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    (folder, path)
}

fn open(path: &Path) -> SqliteLedger {
    SqliteLedger::open(path).unwrap()
}

fn charge(meter: &str, uses_max: u64) -> Charge {
    Charge {
        meter: Meter::new(meter),
        limits: Limits { uses: Some(uses_max), ..Limits::default() },
        ends: END,
        keep_until: END,
    }
}

fn request(meter: &str, purpose: Purpose, now: UnixSeconds) -> HoldRequest {
    HoldRequest { charges: vec![charge(meter, 1000)], purpose, now }
}

fn upload_of(object: &str) -> Purpose {
    Purpose::Upload { object: object.to_owned(), file: "a".to_owned(), declared_bytes: None, copied_bytes: 0 }
}

fn download_by(client: &str) -> Purpose {
    Purpose::Download(LeaseRequest {
        object: "files/a".to_owned(),
        version: "1".to_owned(),
        client: client.to_owned(),
        size_bytes: 100,
        ask_bytes: 100,
        lease_secs: 600,
    })
}

fn hold(ledger: &SqliteLedger, meter: &str, purpose: Purpose) -> HoldId {
    wait(ledger.hold(request(meter, purpose, NOW))).unwrap()
}

#[track_caller]
fn check_usage(ledger: &SqliteLedger, meter: &str, expected: u64) {
    assert_eq!(wait(ledger.usage(Meter::new(meter))).unwrap().uses, expected, "uses of {meter}");
}

/// The files as a process killed at this moment would leave them.
fn killed(path: &Path) -> (tempfile::TempDir, PathBuf) {
    let (copy, copied) = folder();
    for name in ["ledger.db", "ledger.db-wal"] {
        let from = path.with_file_name(name);
        if from.exists() {
            fs::copy(from, copied.with_file_name(name)).unwrap();
        }
    }
    (copy, copied)
}

#[test]
fn second_opener_is_told_that_the_ledger_is_in_use() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    assert!(matches!(SqliteLedger::open(&path), Err(OpenError::InUse(_))));
    let other_name = path.with_file_name("other-name.db");
    std::os::unix::fs::symlink(&path, &other_name).unwrap();
    assert!(matches!(SqliteLedger::open(&other_name), Err(OpenError::InUse(_))));
    drop(ledger);
    open(&other_name);
    open(&path);
}

#[test]
fn closed_ledger_lets_go_of_its_lock_before_it_says_so() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    wait(ledger.close()).unwrap();
    open(&path);
}

#[test]
fn others_can_read_while_it_writes() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    hold(&ledger, "m", upload_of("files/a"));
    let reader = Connection::open_with_flags(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let uses = || {
        reader.query_row("SELECT uses FROM meters WHERE name = 'm'", (), |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(uses(), 1);
    hold(&ledger, "m", upload_of("files/b"));
    assert_eq!(uses(), 1, "a reader sees one moment");
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(uses(), 2);
}

#[test]
fn files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, path) = folder();
    let ledger = open(&path);
    hold(&ledger, "m", upload_of("files/a"));
    let mut names = Vec::new();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["ledger.db", "ledger.db-shm", "ledger.db-wal", "ledger.db.lock"]);
}

#[test]
fn every_commit_syncs_the_log() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(&file::make(&path).unwrap()).unwrap();
    assert_eq!(store.pragma("synchronous"), rusqlite::types::Value::Integer(2), "full");
    assert_eq!(store.pragma("journal_mode"), rusqlite::types::Value::Text("wal".to_owned()));
}

#[test]
fn hold_ids_of_two_lives_differ() {
    let (_folder, path) = folder();
    let first = hold(&open(&path), "m", upload_of("files/a"));
    let second = hold(&open(&path), "m", upload_of("files/a"));
    assert_eq!(first.ledger, second.ledger);
    assert_ne!(first.to_string(), second.to_string());
}

#[test]
fn missing_folder_is_an_error_that_names_the_file() {
    let (_folder, path) = folder();
    let path = path.join("ledger.db");
    let error = SqliteLedger::open(&path).err().unwrap();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}
