//! Files of earlier releases.

use super::*;
use crate::engine::sqlite::{meters::versions, schema, seal::Seal};
use crate::{Limits, MeterQuery, MeterUsage, Usage};

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
    assert!(connection.execute_batch(versions::TABLES_2).is_ok(), "nothing of version 2 is there");
}

/// The limits of the meter in [`version_2`].
const LIMITS: Limits =
    Limits { uses: Some(4), in_bytes: None, out_bytes: Some(9), files: None, parallel: Some(2) };

/// A file as version 2 made it, with one meter.
fn version_2(path: &Path) {
    version_1(path);
    let connection = Connection::open(path).unwrap();
    schema::migrate_to(&connection, 1, 2).unwrap();
    connection.execute_batch("DELETE FROM holds; DELETE FROM hold_charges; DELETE FROM meters").unwrap();
    let (none, end) = (u64::MAX, END.0);
    let seal = [3, 0, 5, 0, end, 2, 4, none, 9, none, 2, NOW.0].into_iter();
    let seal = seal.fold(Seal::new().text("m"), Seal::number).to_integer();
    let row = format!("'m', 3, 0, 5, 0, 4, NULL, 9, NULL, 2, {NOW}, {END}, 2, {seal}");
    connection.execute_batch(&format!("INSERT INTO meters VALUES ({row})")).unwrap();
}

#[test]
fn ledger_of_version_2_is_carried_over_and_its_counts_are_kept_for_ever() {
    let (_folder, path) = folder();
    version_2(&path);
    let ledger = open(&path);
    let query = MeterQuery { prefix: String::new(), live_at: NOW, after: None, max: 9 };
    let [MeterUsage { usage, limits, ends, .. }] = wait(ledger.meters(query)).unwrap().meters[..] else {
        panic!("there is one meter");
    };
    let expected = Usage { uses: 3, out_bytes: 5, last_seen: Some(NOW), ..Usage::default() };
    assert_eq!((usage, limits, ends), (expected, LIMITS, END));
    let later = END.plus(400 * 86_400);
    let charges = vec![Charge { ends: later.plus(1), keep_until: later.plus(1), ..charge("other", 1) }];
    wait(ledger.hold(HoldRequest { charges, ..request("other", upload_of("files/b"), later) })).unwrap();
    check_usage(&ledger, "m", 3);
}

#[test]
fn ledger_of_version_2_that_was_changed_by_hand_stays_as_it_is() {
    let (_folder, path) = folder();
    version_2(&path);
    Connection::open(&path).unwrap().execute_batch("UPDATE meters SET out_bytes = 0").unwrap();
    assert!(matches!(SqliteLedger::open(&path), Err(OpenError::Damaged { .. })));
    let connection = Connection::open(&path).unwrap();
    let version: i64 = connection.query_row("PRAGMA user_version", (), |row| row.get(0)).unwrap();
    assert_eq!(version, 2);
}

#[test]
fn many_names_of_a_cleared_meter_go_a_part_with_each_commit() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    let answers: Vec<_> = (0..2500)
        .map(|number| {
            let (object, file) = ("files/a".to_owned(), number.to_string());
            let purpose = Purpose::Upload { object, file, declared_bytes: None, copied_bytes: 0 };
            let charges = vec![Charge { limits: Limits::default(), ..charge("m", 9) }];
            ledger.hold(HoldRequest { charges, purpose, now: NOW })
        })
        .collect();
    for answer in answers {
        wait(answer).unwrap();
    }
    let reader = Connection::open(&path).unwrap();
    let count = |table: &str| -> i64 {
        reader.query_row(&format!("SELECT count(*) FROM {table}"), (), |row| row.get(0)).unwrap()
    };
    let later = END.plus(86_401);
    let mut left = vec![count("meter_files")];
    for number in 0..5 {
        let charges =
            vec![Charge { ends: UnixSeconds::MAX, keep_until: UnixSeconds::MAX, ..charge("quota", 9) }];
        let upload = upload_of(&number.to_string());
        wait(ledger.hold(HoldRequest { charges, ..request("quota", upload, later) })).unwrap();
        check_usage(&ledger, "m", 0);
        left.push(count("meter_files"));
    }
    assert_eq!(left, [2500, 1476, 452, 0, 0, 0]);
    assert_eq!(count("cleared_meters"), 0);
    // None of them counts under a meter of the same name that comes later.
    let charges = vec![Charge { ends: later, keep_until: later, ..charge("m", 9) }];
    wait(ledger.hold(HoldRequest { charges, ..request("m", upload_of("files/a"), later) })).unwrap();
    assert_eq!(wait(ledger.usage(Meter::new("m"))).unwrap().files, 1);
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
    let (ends, keep_until) = (UnixSeconds::MAX, UnixSeconds::MAX);
    let charges = vec![Charge { ends, keep_until, ..charge("quota", 9) }];
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
