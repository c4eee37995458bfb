//! What an operator accepts from another process, while the gateway runs or before it starts.

use super::*;
use crate::Distrust;

#[test]
fn accepted_clock_is_taken_over_by_the_running_ledger() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    let year = NOW.plus(31_536_000);
    wait(ledger.observe(year)).unwrap();
    let behind = || wait(ledger.hold(request("m", upload_of("files/a"), NOW)));
    assert!(matches!(behind(), Err(LedgerError::NotAccepted(Distrust::ClockBehind { .. }))));
    accept(&path, Acceptance::Clock(NOW)).unwrap();
    assert_eq!(wait(ledger.observe(NOW)).unwrap(), NOW);
    behind().unwrap();
    drop(ledger);
    assert_eq!(wait(open(&path).status()).unwrap().time_mark, NOW);
}

#[test]
fn accepted_clock_is_not_undone_by_the_next_commit() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    let year = NOW.plus(31_536_000);
    let far = HoldRequest {
        charges: vec![Charge { keep_until: year, ..charge("m", 9) }],
        ..request("m", upload_of("files/a"), year)
    };
    let begun = wait(ledger.hold(far)).unwrap();
    accept(&path, Acceptance::Clock(NOW)).unwrap();
    // This commits, and has no reason to look for an acceptance but that it writes.
    wait(ledger.publish(begun)).unwrap();
    assert_eq!(wait(open(&killed(&path).1).status()).unwrap().time_mark, NOW);
}

#[test]
fn lease_does_not_outlive_its_time_by_an_accepted_clock() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    let year = NOW.plus(31_536_000);
    let by = |client, now| HoldRequest {
        charges: vec![Charge { keep_until: year.plus(3600), ..charge("m", 9) }],
        ..request("m", download_by(client), now)
    };
    let download = wait(ledger.hold(by("client", year))).unwrap();
    wait(ledger.settle(download, Settlement::Done { bytes: 1 }, year)).unwrap();
    accept(&path, Acceptance::Clock(NOW)).unwrap();
    wait(ledger.observe(NOW)).unwrap();
    wait(ledger.hold(by("someone else", NOW.plus(600)))).unwrap();
    wait(ledger.hold(by("client", NOW.plus(600)))).unwrap();
    check_usage(&ledger, "m", 3);
}

#[test]
fn distrust_lasts_until_the_operator_accepts() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    wait(ledger.distrust()).unwrap();
    drop(ledger);
    let ledger = open(&path);
    let status = wait(ledger.status()).unwrap();
    assert!(!status.fresh && !status.accepted, "{status:?}");
    let refused = wait(ledger.hold(request("m", upload_of("files/a"), NOW)));
    assert!(matches!(refused, Err(LedgerError::NotAccepted(Distrust::NewLedger))));
    accept(&path, Acceptance::NewLedger(NOW)).unwrap();
    hold(&ledger, "m", upload_of("files/a"));
    assert!(wait(ledger.status()).unwrap().accepted);
    drop(ledger);
    assert!(wait(open(&path).status()).unwrap().accepted);
}

#[test]
fn ledger_is_fresh_until_it_is_taken_into_use() {
    let (_folder, path) = folder();
    let fresh = || wait(open(&path).status()).unwrap().fresh;
    assert!(fresh());
    assert!(fresh(), "asking takes nothing into use");
    wait(open(&path).observe(NOW)).unwrap();
    assert!(!fresh());
}

#[test]
fn acceptance_makes_no_ledger() {
    let (_folder, path) = folder();
    assert!(matches!(accept(&path, Acceptance::NewLedger(NOW)), Err(OpenError::Missing(_))));
    assert!(!path.exists());
    fs::write(&path, "").unwrap();
    assert!(matches!(accept(&path, Acceptance::NewLedger(NOW)), Err(OpenError::Missing(_))));
}

#[test]
fn head_of_the_audit_log_survives_and_is_forgotten_by_acceptance() {
    let (_folder, path) = folder();
    let head = AuditHead { records: 7, hash: [171; 32] };
    let ledger = open(&path);
    wait(ledger.note_audit_head(head)).unwrap();
    assert_eq!(audit_head(&path).unwrap(), Some(head), "another process reads it while it is open");
    assert_eq!(wait(open(&killed(&path).1).audit_head()).unwrap(), Some(head));
    drop(ledger);
    accept(&path, Acceptance::AuditLog).unwrap();
    assert_eq!(wait(open(&path).audit_head()).unwrap(), None);
    assert!(matches!(audit_head(path.with_file_name("other")), Err(OpenError::Missing(_))));
}

#[test]
fn head_that_was_changed_by_hand_is_damage() {
    let (_folder, path) = folder();
    wait(open(&path).note_audit_head(AuditHead { records: 7, hash: [171; 32] })).unwrap();
    Connection::open(&path).unwrap().execute_batch("UPDATE audit_head SET records = 6").unwrap();
    assert!(matches!(SqliteLedger::open(&path), Err(OpenError::Damaged { .. })));
}
