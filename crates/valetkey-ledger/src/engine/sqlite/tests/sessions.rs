//! Upload sessions through restarts and kills.

use super::*;
use crate::{Action, FinishedPart, NewPart, NewSession, PartId, PartStart, Unresolved};

fn begin(ledger: &SqliteLedger) -> SessionId {
    let new = NewSession {
        owner: "owner".to_owned(),
        owner_sessions_max: 100,
        path: "/files/a".to_owned(),
        bytes_max: Some(10),
        expires: END,
        details: "details".to_owned(),
    };
    wait(ledger.begin_session(request("m", upload_of("begun"), NOW), new)).unwrap()
}

fn reserve(ledger: &SqliteLedger, session: SessionId, number: u32, start: PartStart, bytes: u64) -> PartId {
    wait(ledger.reserve_part(NewPart { session, number, start, bytes, charges: vec![], now: NOW })).unwrap()
}

fn finish(ledger: &SqliteLedger, part: PartId, bytes: u64) {
    let finished = FinishedPart { bytes, details: "etag".to_owned(), now: NOW };
    wait(ledger.finish_part(part, finished)).unwrap();
}

#[test]
fn session_and_its_finished_parts_survive_and_what_was_received_does_not() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    let session = begin(&ledger);
    let part = reserve(&ledger, session, 1, PartStart::Anew, 4);
    finish(&ledger, part, 4);
    reserve(&ledger, session, 1, PartStart::At(4), 2);
    let lost = reserve(&ledger, session, 2, PartStart::Anew, 4);
    let (_copy, copied) = killed(&path);

    let ledger = open(&copied);
    check_usage(&ledger, "m", 1);
    let found = wait(ledger.session(session)).unwrap().unwrap();
    assert_eq!((found.parts, found.bytes, found.details.as_str()), (1, 4, "details"));
    let parts = wait(ledger.parts(session, 0, 9)).unwrap();
    assert_eq!(parts.len(), 1);
    assert_eq!((parts[0].id, parts[0].bytes, parts[0].details.as_str()), (part, 4, "etag"));
    assert!(wait(ledger.drop_part(lost)).is_err());
    // What was reserved is to be had again, all of it and no more.
    assert_eq!(reserve(&ledger, session, 1, PartStart::At(4), 2), part);
    let again = reserve(&ledger, session, 2, PartStart::Anew, 4);
    assert!(again.attempt > lost.attempt);
    let more = NewPart { session, number: 3, start: PartStart::Anew, bytes: 1, charges: vec![], now: NOW };
    assert!(matches!(wait(ledger.reserve_part(more)), Err(LedgerError::SessionFull { .. })));
}

#[test]
fn session_that_was_about_to_show_is_unresolved_and_ends_with_its_hold() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    let session = begin(&ledger);
    let part = reserve(&ledger, session, 1, PartStart::Anew, 4);
    finish(&ledger, part, 4);
    let hold = wait(ledger.complete_session(session, "completed".to_owned())).unwrap();
    let (_copy, copied) = killed(&path);

    let ledger = open(&copied);
    let unresolved = Unresolved { hold, action: Action::Upload, object: "completed".to_owned() };
    assert_eq!(wait(ledger.unresolved()).unwrap(), [unresolved]);
    wait(ledger.settle(hold, Settlement::Done { bytes: 4 }, NOW)).unwrap();
    check_usage(&ledger, "m", 1);
    assert_eq!(wait(ledger.session(session)).unwrap(), None);
    assert_eq!(wait(ledger.parts(session, 0, 9)).unwrap(), []);
}

#[test]
fn session_that_was_opened_again_survives() {
    let (_folder, path) = folder();
    let ledger = open(&path);
    let session = begin(&ledger);
    wait(ledger.complete_session(session, "completed".to_owned())).unwrap();
    wait(ledger.reopen_session(session)).unwrap();
    drop(ledger);
    let ledger = open(&path);
    assert_eq!(wait(ledger.unresolved()).unwrap(), []);
    assert!(wait(ledger.session(session)).unwrap().is_some());
    check_usage(&ledger, "m", 1);
    wait(ledger.abort_session(session)).unwrap();
    check_usage(&ledger, "m", 0);
}

#[test]
fn damaged_session_is_no_larger_session() {
    for sql in [
        "UPDATE sessions SET bytes_max = 1000",
        "UPDATE sessions SET counted_bytes = 0",
        "UPDATE session_parts SET bytes = 1",
        "UPDATE session_parts SET details = 'other'",
    ] {
        let (_folder, path) = folder();
        let ledger = open(&path);
        let session = begin(&ledger);
        let part = reserve(&ledger, session, 1, PartStart::Anew, 4);
        finish(&ledger, part, 4);
        drop(ledger);
        Connection::open(&path).unwrap().execute(sql, ()).unwrap();
        assert!(matches!(SqliteLedger::open(&path), Err(OpenError::Damaged { .. })), "{sql}");
    }
}
