//! What a restart finds.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::*;
use crate::{Action, NewRevocation, Revocable, Target, Unresolved};

#[test]
fn restart_releases_the_held_reports_the_publishing_and_keeps_downloads_spent() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    hold(&ledger, "held", upload_of("files/held"));
    let upload = hold(&ledger, "upload", upload_of("files/up"));
    let delete = hold(&ledger, "delete", Purpose::Delete { object: "files/down".to_owned() });
    hold(&ledger, "download", download_by("client"));
    for hold in [upload, delete] {
        wait(ledger.publish(hold)).unwrap();
    }
    let (_copy, killed_path) = killed(&path);
    drop(ledger);

    // A stop without settling and a kill leave the same.
    for path in [path, killed_path] {
        let ledger = open(&path);
        check_usage(&ledger, "held", 0);
        check_usage(&ledger, "upload", 1);
        check_usage(&ledger, "delete", 1);
        check_usage(&ledger, "download", 1);
        let mut unresolved = wait(ledger.unresolved()).unwrap();
        unresolved.sort_by_key(|unresolved| unresolved.object.clone());
        let expected = [
            Unresolved { hold: delete, action: Action::Delete, object: "files/down".to_owned() },
            Unresolved { hold: upload, action: Action::Upload, object: "files/up".to_owned() },
        ];
        assert_eq!(unresolved, expected);

        // They can wait for another life, and are settled once.
        drop(ledger);
        let ledger = open(&path);
        wait(ledger.settle(upload, Settlement::Done { bytes: 0 }, NOW)).unwrap();
        wait(ledger.settle(delete, Settlement::Released, NOW)).unwrap();
        assert!(wait(ledger.unresolved()).unwrap().is_empty());
        assert!(matches!(
            wait(ledger.settle(upload, Settlement::Done { bytes: 0 }, NOW)),
            Err(LedgerError::UnknownHold(_))
        ));
        check_usage(&ledger, "upload", 1);
        check_usage(&ledger, "delete", 0);
    }
}

#[test]
fn restart_and_kill_leave_every_answered_revocation_in_force() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    let new = |target, before| NewRevocation { target, before, now: NOW, keep_until: UnixSeconds::MAX };
    let targets = [
        Target::Level(Meter::new("[\"web\",\"id\",\"x\"]")),
        Target::Fingerprint([9; 16]),
        Target::Id { signer: None, id: "x".to_owned() },
        Target::Id { signer: Some("web".to_owned()), id: "x".to_owned() },
        Target::Subject { signer: None, subject: "ann".to_owned() },
        Target::Signer("web".to_owned()),
        Target::Policy("avatar".to_owned()),
        Target::Path("/files/u42/".to_owned()),
    ];
    let mut made = Vec::new();
    for (target, before) in targets.into_iter().zip([None, Some(NOW)].into_iter().cycle()) {
        made.push(wait(ledger.revoke(new(target, before))).unwrap());
    }
    // Of two of one target the later moment counts, whichever is read first.
    for before in [Some(NOW.plus(9)), Some(NOW.plus(5))] {
        made.push(wait(ledger.revoke(new(Target::Signer("two".to_owned()), before))).unwrap());
    }
    wait(ledger.note_alias([7; 16], Meter::new("renewed"), UnixSeconds::MAX)).unwrap();
    let lifted = wait(ledger.revoke(new(Target::Signer("lifted".to_owned()), None))).unwrap();
    wait(ledger.lift(lifted.number)).unwrap();
    let (_copy, killed_path) = killed(&path);
    drop(ledger);
    for path in [path, killed_path] {
        let ledger = open(&path);
        assert_eq!(wait(ledger.revocations(0, 100)).unwrap(), made);
        let view = ledger.revocations_view();
        assert_eq!(view.len(), made.len() - 1);
        let reading = view.read().unwrap();
        assert!(reading.revokes(Revocable::Level("[\"web\",\"id\",\"x\"]"), Some(NOW)));
        assert!(reading.revokes(Revocable::Path("/files/u42/x"), None));
        assert!(reading.revokes(Revocable::Signer("two"), Some(NOW.plus(8))));
        assert!(!reading.revokes(Revocable::Signer("two"), Some(NOW.plus(9))));
        assert!(!reading.revokes(Revocable::Signer("lifted"), None));
        drop(reading);
        let next = wait(ledger.revoke(new(Target::Fingerprint([7; 16]), None))).unwrap();
        assert_eq!(next.target, Target::Level(Meter::new("renewed")));
        assert!(next.number > lifted.number, "a number is never given twice");
    }
}

#[test]
fn restart_ends_leases_and_their_holds() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    let download = hold(&ledger, "m", download_by("client"));
    drop(ledger);
    let ledger = open(&path);
    assert!(matches!(
        wait(ledger.settle(download, Settlement::Released, NOW)),
        Err(LedgerError::UnknownHold(_))
    ));
    check_usage(&ledger, "m", 1);
    hold(&ledger, "m", download_by("client"));
    check_usage(&ledger, "m", 2);
}

#[test]
fn what_was_answered_survives_a_kill_at_any_moment() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    for round in 0..12 {
        let upload = hold(&ledger, "m", upload_of("files/a"));
        let kill = killed(&path);
        check_usage(&open(&kill.1), "m", round);
        wait(ledger.publish(upload)).unwrap();
        let kill = killed(&path);
        let after = open(&kill.1);
        check_usage(&after, "m", round + 1);
        assert_eq!(wait(after.unresolved()).unwrap().len(), 1);
        wait(ledger.settle(upload, Settlement::Done { bytes: 1 }, NOW)).unwrap();
        let kill = killed(&path);
        let after = open(&kill.1);
        check_usage(&after, "m", round + 1);
        assert!(wait(after.unresolved()).unwrap().is_empty());
    }
}

#[test]
fn released_download_is_given_back_with_the_next_commit_or_by_itself() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    let released = |client| {
        let download = hold(&ledger, "m", download_by(client));
        wait(ledger.settle(download, Settlement::Released, NOW)).unwrap();
    };
    released("client");
    hold(&ledger, "n", upload_of("files/a"));
    check_usage(&open(&killed(&path).1), "m", 0);
    released("another client");
    let written = || {
        let reader = Connection::open_with_flags(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let sql = "SELECT uses FROM meters WHERE name = 'm'";
        reader.query_row(sql, (), |row| row.get::<_, i64>(0)).unwrap()
    };
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while written() > 0 {
        assert!(std::time::Instant::now() < patience, "it is never written");
        std::thread::yield_now();
    }
    released("a third");
    drop(ledger);
    check_usage(&open(&path), "m", 0);
}

#[test]
fn highest_time_seen_is_durable_within_ten_seconds_of_it() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    let mark_after_kill = || wait(open(&killed(&path).1).status()).unwrap().time_mark;
    wait(ledger.observe(NOW)).unwrap();
    assert_eq!(mark_after_kill(), NOW);
    wait(ledger.observe(NOW.plus(9))).unwrap();
    assert_eq!(mark_after_kill(), NOW);
    wait(ledger.observe(NOW.plus(10))).unwrap();
    assert_eq!(mark_after_kill(), NOW.plus(10));
    wait(ledger.observe(NOW.plus(11))).unwrap();
    hold(&ledger, "m", upload_of("files/a"));
    assert_eq!(mark_after_kill(), NOW.plus(11), "a commit that happens anyway takes it along");
}

#[test]
fn clearing_is_remembered() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    hold(&ledger, "m", upload_of("files/a"));
    let later = END.plus(86_401);
    let late = |meter| {
        let charges = vec![Charge { keep_until: later, ..charge(meter, 9) }];
        HoldRequest { charges, ..request(meter, upload_of("files/b"), later) }
    };
    wait(ledger.hold(late("n"))).unwrap();
    check_usage(&ledger, "m", 0);
    drop(ledger);
    // Even an operator who accepts the clock of then does not bring the key back.
    accept(&path, Acceptance::Clock(NOW)).unwrap();
    let ledger = open(&path);
    assert!(matches!(
        wait(ledger.hold(request("m", upload_of("files/a"), NOW))),
        Err(LedgerError::Forgotten { .. })
    ));
}

#[test]
fn use_is_not_given_back_to_a_later_meter_of_the_same_name() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    let stalled = hold(&ledger, "m", upload_of("files/a"));
    let later = END.plus(86_401);
    let renewed = |name| {
        let charges = vec![Charge { keep_until: later, ..charge(name, 9) }];
        HoldRequest { charges, ..request(name, upload_of("files/b"), later) }
    };
    wait(ledger.hold(renewed("other"))).unwrap();
    check_usage(&ledger, "m", 0);
    wait(ledger.hold(renewed("m"))).unwrap();
    wait(ledger.settle(stalled, Settlement::Released, later)).unwrap();
    check_usage(&ledger, "m", 1);
}

/// The test runs itself as the process that is killed; the variable tells it where its ledger is.
#[test]
fn killed_process_loses_no_hold_that_was_answered() {
    const LEDGER: &str = "VALETKEY_TEST_KILLED_LEDGER";
    const READY: &str = "answered ";
    if let Some(path) = std::env::var_os(LEDGER) {
        let ledger = open(Path::new(&path));
        loop {
            hold(&ledger, "m", download_by("client"));
            let uses = wait(ledger.usage(Meter::new("m"))).unwrap().uses;
            writeln!(std::io::stdout(), "{READY}{uses}").unwrap();
        }
    }

    let (_folder, path) = folder();
    let mut answered = 0;
    for round in 1..=5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("engine::sqlite::tests::crash::killed_process_loses_no_hold_that_was_answered")
            .env(LEDGER, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = lines.filter_map(|line| line.unwrap().strip_prefix(READY)?.parse::<u64>().ok());
        for _ in 0..round * 3 {
            answered = told.next().unwrap();
        }
        child.kill().unwrap();
        answered = told.last().unwrap_or(answered);
        child.wait().unwrap();
        let uses = wait(open(&path).usage(Meter::new("m"))).unwrap().uses;
        assert!((answered..=answered + 1).contains(&uses), "{uses} uses, {answered} answered");
    }
}
