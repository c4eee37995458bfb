//! Files of earlier releases.

use super::*;
use crate::engine::sqlite::{meters, schema, seal::Seal};
use crate::{Limits, Usage};

/// A file as version 1 made it, with meters "a" and "m", and an open upload that was charged to "m" alone.
fn version_1(path: &Path) {
    let seal = |name: &str, uses: u64, made: u64| {
        Seal::new().text(name).number(uses).number(END.0).number(made).to_integer()
    };
    let header =
        [NOW.0, 0, 2, 0].into_iter().fold(Seal::new().number(7).text("accepted"), Seal::number).to_integer();
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(schema::TABLES).unwrap();
    let sql = format!(
        "PRAGMA application_id = {}; PRAGMA user_version = 1;
         INSERT INTO ledger VALUES (1, '0000000000000007', 'accepted', {NOW}, 0, 2, 0, {});
         INSERT INTO meters VALUES ('a', 1, {END}, 1, {});
         INSERT INTO meters VALUES ('m', 3, {END}, 2, {});
         INSERT INTO holds VALUES ('0000000000000007-0000000000000001-1', 'held', 'upload', 'files/a');
         INSERT INTO holds VALUES ('0000000000000007-0000000000000001-2', 'publishing', 'upload', 'files/b');
         INSERT INTO hold_charges VALUES ('0000000000000007-0000000000000001-1', 0, 'm', 2);
         INSERT INTO hold_charges VALUES ('0000000000000007-0000000000000001-2', 0, 'm', 2);",
        0x766b_6579,
        header,
        seal("a", 1, 1),
        seal("m", 3, 2),
    );
    connection.execute_batch(&sql).unwrap();
}

#[test]
fn ledger_of_version_1_is_carried_over() {
    let (_folder, path) = folder();
    version_1(&path);
    accept(&path, Acceptance::AuditLog).unwrap();
    let ledger = open(&path);
    check_usage(&ledger, "a", 1);
    check_usage(&ledger, "m", 2);
    let usage = wait(ledger.usage(Meter::new("a"))).unwrap();
    assert_eq!(usage, Usage { uses: 1, ..Usage::default() });
    assert_eq!(wait(ledger.unresolved()).unwrap().len(), 1);
    let charges = vec![Charge { limits: Limits { uses: Some(2), ..Limits::default() }, ..charge("m", 2) }];
    let refused = wait(ledger.hold(HoldRequest { charges, ..request("m", upload_of("files/c"), NOW) }));
    assert!(matches!(refused, Err(LedgerError::Exhausted { .. })));
    drop(ledger);
    let ledger = open(&path);
    check_usage(&ledger, "m", 2);
    hold(&ledger, "m", upload_of("files/c"));
}

#[test]
fn ledger_of_version_1_that_was_changed_by_hand_stays_as_it_is() {
    let (_folder, path) = folder();
    version_1(&path);
    Connection::open(&path).unwrap().execute_batch("UPDATE meters SET uses = 0 WHERE name = 'm'").unwrap();
    assert!(matches!(SqliteLedger::open(&path), Err(OpenError::Damaged { .. })));
    let connection = Connection::open(&path).unwrap();
    let number = |sql| connection.query_row(sql, (), |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(number("PRAGMA user_version"), 1);
    assert_eq!(number("SELECT count(*) FROM meters"), 2);
    assert!(connection.execute_batch(meters::TABLES).is_ok(), "nothing of version 2 is there");
}

#[test]
fn a_name_under_a_meter_that_was_edited_is_refused() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    let upload = hold(&ledger, "m", upload_of("files/a"));
    wait(ledger.settle(upload, Settlement::Done { bytes: 1 }, NOW)).unwrap();
    drop(ledger);
    Connection::open(&path).unwrap().execute_batch("UPDATE meter_files SET kept = 0").unwrap();
    assert!(matches!(SqliteLedger::open(&path), Err(OpenError::Damaged { .. })));
}

#[test]
fn names_go_with_their_meter() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    hold(&ledger, "m", upload_of("files/a"));
    let later = END.plus(86_401);
    let charges = vec![Charge { keep_until: UnixSeconds::MAX, ..charge("quota", 9) }];
    wait(ledger.hold(HoldRequest { charges, ..request("quota", upload_of("files/b"), later) })).unwrap();
    check_usage(&ledger, "m", 0);
    check_usage(&ledger, "quota", 1);
    let reader = Connection::open(&path).unwrap();
    let left = reader.query_row("SELECT count(*) FROM meter_files", (), |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(left, 0, "the quota limits none, and has none");
}

#[test]
fn restart_gives_back_what_a_held_upload_reserved_and_keeps_what_a_published_one_did() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    let limits = Limits {
        in_bytes: Some(100),
        out_bytes: Some(100),
        files: Some(9),
        parallel: Some(9),
        uses: Some(9),
    };
    let ask = |file: &str, out| {
        let charges = vec![Charge { limits, ..charge("m", 9) }];
        let (object, file) = (file.to_owned(), file.to_owned());
        let purpose = Purpose::Upload { object, file, declared_bytes: Some(10), copied_bytes: out };
        wait(ledger.hold(HoldRequest { charges, purpose, now: NOW })).unwrap()
    };
    let (held, published) = (ask("a", 5), ask("b", 7));
    for hold in [held, published] {
        assert_eq!(wait(ledger.grow(hold, 20)).unwrap(), 20);
    }
    wait(ledger.publish(published)).unwrap();
    let ledger = open(&killed(&path).1);
    let expected = |uses| Usage {
        uses,
        in_bytes: 30 * uses,
        out_bytes: 7 * uses,
        files: uses,
        parallel: 0,
        last_seen: Some(NOW),
    };
    let usage = || wait(ledger.usage(Meter::new("m"))).unwrap();
    assert_eq!(usage(), expected(1));
    // Nobody knows how much of it came, so all of it did.
    wait(ledger.settle(published, Settlement::Done { bytes: 0 }, NOW)).unwrap();
    assert_eq!(usage(), expected(1));
}
