//! What is refused: the ledger never opens with less than it held.

use super::*;
use crate::{NewRevocation, Target};

/// A ledger that has stopped, in which "m" has three uses among those of forty others.
fn used() -> (tempfile::TempDir, PathBuf) {
    let (folder, path) = folder();
    let ledger = open(&path);
    for _ in 0..3 {
        hold(&ledger, "m", download_by("client"));
    }
    for meter in 0..40 {
        hold(&ledger, &format!("meter {meter}"), download_by("client"));
    }
    drop(ledger);
    (folder, path)
}

fn edit(path: &Path, sql: &str) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(sql).unwrap();
    connection.close().unwrap();
}

#[track_caller]
fn check_damaged(path: &Path) {
    match SqliteLedger::open(path) {
        Err(OpenError::Damaged { .. }) => {}
        Err(other) => panic!("refused otherwise: {other}"),
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn count_that_was_edited_is_refused() {
    let (_folder, path) = used();
    edit(&path, "UPDATE meters SET uses = 0 WHERE name = 'm'");
    check_damaged(&path);
}

#[test]
fn revocation_that_was_edited_is_refused() {
    for sql in [
        "UPDATE revocations SET name = 'another'",
        "UPDATE revocations SET issued_before = 1",
        "UPDATE revocations SET keep_until = 1",
        "UPDATE aliases SET level = 'another'",
    ] {
        let (_folder, path) = used();
        let ledger = open(&path);
        let target = Target::Signer("web".to_owned());
        let new = NewRevocation { target, before: None, now: NOW, keep_until: UnixSeconds::MAX };
        wait(ledger.revoke(new)).unwrap();
        wait(ledger.note_alias([1; 16], Meter::new("m"), UnixSeconds::MAX)).unwrap();
        drop(ledger);
        edit(&path, sql);
        check_damaged(&path);
    }
}

#[test]
fn header_that_was_edited_is_refused() {
    for sql in
        ["UPDATE ledger SET cleared_before = 1", "UPDATE ledger SET time_mark = -1", "DELETE FROM ledger"]
    {
        let (_folder, path) = used();
        edit(&path, sql);
        check_damaged(&path);
        assert!(matches!(accept(&path, Acceptance::NewLedger(NOW)), Err(OpenError::Damaged { .. })), "{sql}");
    }
}

#[test]
fn running_ledger_that_meets_damage_refuses_everything() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    hold(&ledger, "n", upload_of("files/a"));
    hold(&ledger, "m", upload_of("files/a"));
    edit(&path, "UPDATE meters SET uses = 0 WHERE name = 'm'");
    for meter in ["m", "n"] {
        let refused = wait(ledger.hold(request(meter, upload_of("files/a"), NOW)));
        assert!(matches!(refused, Err(LedgerError::Unavailable(_))), "{refused:?}");
    }
    drop(ledger);
    check_damaged(&path);
}

/// Says whether the file was refused; if it was not, every count must be what it was.
#[track_caller]
fn refuses_or_is_whole(path: &Path) -> bool {
    let refused = match SqliteLedger::open(path) {
        Err(_) => true,
        Ok(ledger) => {
            check_usage(&ledger, "m", 3);
            (0..40).for_each(|meter| check_usage(&ledger, &format!("meter {meter}"), 1));
            false
        }
    };
    for name in ["ledger.db-wal", "ledger.db-shm"] {
        drop(fs::remove_file(path.with_file_name(name)));
    }
    refused
}

#[test]
fn file_that_was_cut_is_refused() {
    let (_folder, path) = used();
    let whole = fs::read(&path).unwrap();
    for length in [1, 99, 100, 511, 512, 4095, 4096, 8192, whole.len() - 4096] {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(refuses_or_is_whole(&path), "{length} of {} bytes", whole.len());
    }
    // The last byte may be part of nothing.
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    refuses_or_is_whole(&path);
    fs::write(&path, &whole).unwrap();
    assert!(!refuses_or_is_whole(&path));
}

#[test]
fn file_that_lost_its_content_beside_its_log_is_refused() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    hold(&ledger, "m", download_by("client"));
    let (_copy, path) = killed(&path);
    fs::write(&path, "").unwrap();
    check_damaged(&path);
}

#[test]
fn flipped_bit_is_refused_or_leaves_every_count() {
    let (_folder, path) = used();
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    // A stride that is prime to the size of pages and rows visits every kind of place.
    for place in (0..whole.len()).step_by(97) {
        let mut flipped = whole.clone();
        flipped[place] ^= 1 << (place % 8);
        fs::write(&path, &flipped).unwrap();
        refused += usize::from(refuses_or_is_whole(&path));
    }
    assert!(refused > 10, "{refused} flips were seen");
}

#[test]
fn what_is_no_ledger_is_left_alone() {
    let (_folder, path) = folder();
    fs::write(&path, "not a database, and longer than a header of one hundred bytes. ".repeat(9)).unwrap();
    check_damaged(&path);
    let (_folder, path) = folder();
    edit(&path, "CREATE TABLE notes (text)");
    let before = fs::read(&path).unwrap();
    assert!(matches!(SqliteLedger::open(&path), Err(OpenError::Foreign(_))));
    assert!(matches!(accept(&path, Acceptance::NewLedger(NOW)), Err(OpenError::Foreign(_))));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn ledger_of_a_newer_release_is_left_alone() {
    let (_folder, path) = used();
    edit(&path, "PRAGMA user_version = 4");
    let error = SqliteLedger::open(&path).err().unwrap();
    assert!(matches!(error, OpenError::Newer { found: 4, known: 3, .. }), "{error}");
}
