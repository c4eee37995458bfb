//! Upload sessions: their use, their bytes, their parts, their end.

use super::*;
use crate::{FinishedPart, NewPart, NewSession, Part, PartId, PartStart, SessionId, SessionQuery};

const MIB: u64 = 1 << 20;
const EXPIRES: UnixSeconds = UnixSeconds(1_700_000_000 + 86_400);

fn new_session(bytes_max: impl Into<Option<u64>>) -> NewSession {
    NewSession {
        owner: "owner".to_owned(),
        owner_sessions_max: 100,
        path: "/files/a".to_owned(),
        bytes_max: bytes_max.into(),
        expires: EXPIRES,
        details: "type: text/plain".to_owned(),
    }
}

fn begin(ledger: &impl Ledger, new: NewSession) -> Result<SessionId, LedgerError> {
    wait(ledger.begin_session(upload(vec![charge("m", 2)]), new))
}

fn begun(ledger: &impl Ledger, bytes_max: impl Into<Option<u64>>) -> SessionId {
    begin(ledger, new_session(bytes_max)).expect("a session begins")
}

fn reserve(ledger: &impl Ledger, session: SessionId, number: u32, bytes: u64) -> Result<PartId, LedgerError> {
    reserve_at(ledger, session, number, PartStart::Anew, bytes)
}

fn reserve_at(
    ledger: &impl Ledger,
    session: SessionId,
    number: u32,
    start: PartStart,
    bytes: u64,
) -> Result<PartId, LedgerError> {
    wait(ledger.reserve_part(NewPart { session, number, start, bytes, charges: vec![], now: NOW }))
}

fn finish(ledger: &impl Ledger, part: PartId, bytes: u64) -> Result<Option<PartId>, LedgerError> {
    wait(ledger.finish_part(part, FinishedPart { bytes, details: format!("{bytes}"), now: NOW }))
}

/// Reserves and finishes a part.
fn send(ledger: &impl Ledger, session: SessionId, number: u32, bytes: u64) -> PartId {
    let part = reserve(ledger, session, number, bytes).expect("the part fits");
    finish(ledger, part, bytes).expect("the part is finished");
    part
}

fn parts(ledger: &impl Ledger, session: SessionId) -> Vec<Part> {
    wait(ledger.parts(session, 0, 100)).expect("parts are told")
}

#[track_caller]
fn check_bytes(ledger: &impl Ledger, session: SessionId, parts: u64, bytes: u64) {
    let found = wait(ledger.session(session)).expect("sessions are told").expect("the session is open");
    assert_eq!((found.parts, found.bytes), (parts, bytes));
}

/// The one use is taken at the beginning, kept by a completion, and given back by an abort.
pub fn session_holds_one_use_until_it_ends(ledger: &impl Ledger) {
    let first = begun(ledger, None);
    check_usage(ledger, "m", 1);
    let second = begun(ledger, None);
    check_usage(ledger, "m", 2);
    check_exhausted(begin(ledger, new_session(None)), 0, 2);
    wait(ledger.abort_session(second)).expect("it ends");
    check_usage(ledger, "m", 1);
    let hold = wait(ledger.complete_session(first, "words".to_owned())).expect("it is completed");
    done(ledger, hold, 5);
    check_usage(ledger, "m", 1);
    for ended in [first, second] {
        assert_eq!(wait(ledger.session(ended)).expect("sessions are told"), None);
    }
}

/// A session of a key without limits is remembered all the same.
pub fn session_needs_no_charge(ledger: &impl Ledger) {
    let id = wait(ledger.begin_session(upload(vec![]), new_session(None))).expect("a session begins");
    send(ledger, id, 1, 5);
    check_bytes(ledger, id, 1, 5);
    let session = wait(ledger.session(id)).expect("sessions are told").expect("the session is open");
    assert_eq!((session.id, session.begun, session.expires), (id, NOW, EXPIRES));
    assert_eq!((session.owner.as_str(), session.path.as_str()), ("owner", "/files/a"));
    assert_eq!(session.details, "type: text/plain");
    let hold = wait(ledger.complete_session(id, "words".to_owned())).expect("it is completed");
    assert_eq!(hold, session.hold);
    done(ledger, hold, 5);
}

/// The last session is given, the one after it refused, and others' do not count.
pub fn owner_has_only_so_many_sessions(ledger: &impl Ledger) {
    let new =
        |owner: &str| NewSession { owner: owner.to_owned(), owner_sessions_max: 2, ..new_session(None) };
    let begin = |owner| wait(ledger.begin_session(upload(vec![charge("m", 9)]), new(owner)));
    let first = begin("one").expect("the first");
    begin("one").expect("the second");
    check_is!(begin("one"), Err(LedgerError::TooManySessions(2)));
    check_usage(ledger, "m", 2);
    begin("two").expect("another's");
    wait(ledger.abort_session(first)).expect("it ends");
    begin("one").expect("there is room again");
}

/// Both sides of the edge, finished or only reserved.
pub fn parts_never_sum_beyond_the_session(ledger: &impl Ledger) {
    let session = begun(ledger, 12 * MIB);
    send(ledger, session, 1, 5 * MIB);
    let second = reserve(ledger, session, 2, 5 * MIB).expect("ten of twelve");
    check_is!(
        reserve(ledger, session, 3, 5 * MIB),
        Err(LedgerError::SessionFull { bytes_max }) if *bytes_max == 12 * MIB
    );
    check_is!(reserve(ledger, session, 3, 2 * MIB + 1), Err(LedgerError::SessionFull { .. }));
    let third = reserve(ledger, session, 3, 2 * MIB).expect("twelve of twelve");
    check_is!(reserve(ledger, session, 4, 1), Err(LedgerError::SessionFull { .. }));
    reserve(ledger, session, 4, 0).expect("nothing fits always");
    finish(ledger, second, 5 * MIB).expect("it is finished");
    finish(ledger, third, 2 * MIB).expect("it is finished");
    check_bytes(ledger, session, 3, 12 * MIB);
    check_is!(
        reserve(ledger, begun(ledger, u64::MAX >> 1), 1, u64::MAX),
        Err(LedgerError::SessionFull { .. })
    );
}

/// A full session takes a part again, and no larger one.
pub fn part_that_replaces_another_counts_with_the_larger(ledger: &impl Ledger) {
    let session = begun(ledger, 10);
    send(ledger, session, 1, 4);
    let old = send(ledger, session, 2, 6);
    check_is!(reserve(ledger, session, 2, 7), Err(LedgerError::SessionFull { .. }));
    let again = reserve(ledger, session, 2, 6).expect("as much again");
    // Two at once under one number count both.
    check_is!(reserve(ledger, session, 2, 1), Err(LedgerError::SessionFull { .. }));
    // The old one is still what would be completed.
    check_bytes(ledger, session, 2, 10);
    check_is!(reserve(ledger, session, 3, 1), Err(LedgerError::SessionFull { .. }));
    assert_eq!(finish(ledger, again, 2).expect("it is finished"), Some(old));
    check_bytes(ledger, session, 2, 6);
    let third = reserve(ledger, session, 3, 4).expect("what the smaller one left");
    finish(ledger, third, 4).expect("it is finished");
}

/// Of two under one number, whichever is finished last.
pub fn part_that_is_finished_last_stays(ledger: &impl Ledger) {
    let session = begun(ledger, None);
    let first = reserve(ledger, session, 1, 3).expect("a part");
    let second = reserve(ledger, session, 1, 4).expect("another");
    assert_eq!(finish(ledger, second, 4).expect("it is finished"), None);
    assert_eq!(finish(ledger, first, 3).expect("it is finished"), Some(second));
    let found = parts(ledger, session);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].id, found[0].bytes, found[0].details.as_str()), (first, 3, "3"));
    check_bytes(ledger, session, 1, 3);
}

/// A part that came out smaller leaves the rest to others, and never comes out larger.
pub fn part_gives_back_what_it_did_not_need(ledger: &impl Ledger) {
    let session = begun(ledger, 10);
    let part = reserve(ledger, session, 1, 10).expect("all of it");
    check_is!(finish(ledger, part, 11), Err(LedgerError::OutOfRange { .. }));
    finish(ledger, part, 4).expect("it is finished");
    check_is!(finish(ledger, part, 4), Err(LedgerError::UnknownPart(_)));
    check_is!(reserve(ledger, session, 2, 7), Err(LedgerError::SessionFull { .. }));
    reserve(ledger, session, 2, 6).expect("the rest");
}

/// A part of unknown length gets what is left, then nothing.
pub fn part_grows_as_far_as_the_session_goes(ledger: &impl Ledger) {
    let session = begun(ledger, 10);
    send(ledger, session, 1, 3);
    let part = reserve(ledger, session, 2, 0).expect("a part of unknown length");
    assert_eq!(wait(ledger.grow_part(part, 5)).expect("there is room"), 5);
    assert_eq!(wait(ledger.grow_part(part, 5)).expect("there is some"), 2);
    check_is!(wait(ledger.grow_part(part, 1)), Err(LedgerError::SessionFull { bytes_max: 10 }));
    // Under a number that has more already there is as much to be had as that number may have.
    wait(ledger.drop_part(part)).expect("it is dropped");
    let again = reserve(ledger, session, 1, 0).expect("a part of unknown length");
    assert_eq!(wait(ledger.grow_part(again, 99)).expect("there is room"), 10);
}

/// Neither bytes nor a part.
pub fn part_that_was_dropped_leaves_nothing(ledger: &impl Ledger) {
    let session = begun(ledger, 10);
    let part = reserve(ledger, session, 1, 10).expect("all of it");
    wait(ledger.drop_part(part)).expect("it is dropped");
    check_is!(wait(ledger.drop_part(part)), Err(LedgerError::UnknownPart(_)));
    check_is!(finish(ledger, part, 1), Err(LedgerError::UnknownPart(_)));
    assert_eq!(parts(ledger, session), []);
    let next = send(ledger, session, 1, 10);
    assert!(next.attempt != part.attempt);
    check_is!(wait(ledger.drop_part(next)), Err(LedgerError::UnknownPart(_)));
}

/// An upload that goes on keeps what it has, whatever comes of the rest.
pub fn part_goes_on_where_it_ended_and_for_one_at_a_time(ledger: &impl Ledger) {
    let session = begun(ledger, 10);
    check_is!(reserve_at(ledger, session, 1, PartStart::At(0), 1), Err(LedgerError::WrongOffset { end: 0 }));
    let part = send(ledger, session, 1, 4);
    for wrong in [0, 3, 5] {
        let start = PartStart::At(wrong);
        check_is!(reserve_at(ledger, session, 1, start, 1), Err(LedgerError::WrongOffset { end: 4 }));
    }
    check_is!(reserve_at(ledger, session, 1, PartStart::At(4), 7), Err(LedgerError::SessionFull { .. }));
    assert_eq!(reserve_at(ledger, session, 1, PartStart::At(4), 3).expect("it goes on"), part);
    check_is!(reserve_at(ledger, session, 1, PartStart::At(4), 1), Err(LedgerError::PartBusy(1)));
    check_is!(wait(ledger.complete_session(session, String::new())), Err(LedgerError::SessionBusy(_)));
    check_bytes(ledger, session, 1, 4);
    check_is!(finish(ledger, part, 3), Err(LedgerError::OutOfRange { .. }));
    wait(ledger.drop_part(part)).expect("it is dropped");
    check_bytes(ledger, session, 1, 4);
    reserve_at(ledger, session, 1, PartStart::At(4), 6).expect("it goes on");
    assert_eq!(finish(ledger, part, 9).expect("it is finished"), None);
    check_bytes(ledger, session, 1, 9);
    assert_eq!(parts(ledger, session)[0].details, "9");
}

/// From the mark on nothing changes what is to show.
pub fn session_that_is_completed_takes_no_part(ledger: &impl Ledger) {
    let session = begun(ledger, None);
    let late = reserve(ledger, session, 1, 5).expect("a part");
    let hold = wait(ledger.complete_session(session, "words".to_owned())).expect("it is completed");
    check_is!(reserve(ledger, session, 2, 1), Err(LedgerError::SessionBusy(_)));
    check_is!(wait(ledger.grow_part(late, 1)), Err(LedgerError::SessionBusy(_)));
    check_is!(finish(ledger, late, 1), Err(LedgerError::SessionBusy(_)));
    check_is!(wait(ledger.abort_session(session)), Err(LedgerError::SessionBusy(_)));
    check_is!(wait(ledger.complete_session(session, String::new())), Err(LedgerError::SessionBusy(_)));
    wait(ledger.drop_part(late)).expect("what is received may be dropped");
    assert_eq!(wait(ledger.unresolved()).expect("it answers"), []);
    done(ledger, hold, 0);
    check_is!(reserve(ledger, session, 2, 1), Err(LedgerError::UnknownSession(_)));
}

/// As after a condition that did not hold: nothing is lost, and it may be completed or aborted yet.
pub fn session_that_did_not_come_to_show_opens_again(ledger: &impl Ledger) {
    let session = begun(ledger, 10);
    send(ledger, session, 1, 5);
    wait(ledger.complete_session(session, "words".to_owned())).expect("it is completed");
    wait(ledger.reopen_session(session)).expect("it is open again");
    send(ledger, session, 2, 5);
    check_bytes(ledger, session, 2, 10);
    wait(ledger.abort_session(session)).expect("it ends");
    check_usage(ledger, "m", 0);
}

/// What has ended is unknown to everything.
pub fn session_ends_once(ledger: &impl Ledger) {
    let session = begun(ledger, None);
    let part = reserve(ledger, session, 1, 5).expect("a part");
    wait(ledger.abort_session(session)).expect("it ends");
    check_is!(wait(ledger.abort_session(session)), Err(LedgerError::UnknownSession(_)));
    check_is!(wait(ledger.reopen_session(session)), Err(LedgerError::UnknownSession(_)));
    check_is!(wait(ledger.complete_session(session, String::new())), Err(LedgerError::UnknownSession(_)));
    check_is!(reserve(ledger, session, 1, 1), Err(LedgerError::UnknownSession(_)));
    check_is!(wait(ledger.grow_part(part, 1)), Err(LedgerError::UnknownPart(_)));
    check_is!(finish(ledger, part, 1), Err(LedgerError::UnknownPart(_)));
    check_is!(wait(ledger.drop_part(part)), Err(LedgerError::UnknownPart(_)));
    assert_eq!(parts(ledger, session), []);
    check_usage(ledger, "m", 0);
}

/// The last good second and the first bad one; a clock that is set back changes neither.
pub fn expired_session_takes_no_part(ledger: &impl Ledger) {
    let session = begun(ledger, None);
    let part = |number, now| {
        wait(ledger.reserve_part(NewPart {
            session,
            number,
            start: PartStart::Anew,
            bytes: 1,
            charges: vec![],
            now,
        }))
    };
    let last = UnixSeconds(EXPIRES.0 - 1);
    let expired = |now| wait(ledger.expired_sessions(now, 9)).expect("it answers");
    part(1, last).expect("the last second");
    assert_eq!(expired(last), []);
    check_is!(part(2, EXPIRES), Err(LedgerError::UnknownSession(_)));
    check_is!(part(2, last), Err(LedgerError::UnknownSession(_)));
    assert_eq!(expired(last), [session]);
    assert_eq!(wait(ledger.expired_sessions(EXPIRES, 0)).expect("it answers"), []);
    wait(ledger.abort_session(session)).expect("it ends");
    check_usage(ledger, "m", 0);
    assert_eq!(expired(EXPIRES), []);
}

/// In order, from where the last page ended, and nothing of others.
pub fn sessions_and_parts_are_listed_page_by_page(ledger: &impl Ledger) {
    let session = |path: &str| {
        let new = NewSession { path: path.to_owned(), ..new_session(None) };
        wait(ledger.begin_session(upload(vec![]), new)).expect("a session begins")
    };
    let (b, c) = (session("/files/b"), session("/files/c"));
    let mut twins = [session("/files/a/x"), session("/files/a/x")];
    twins.sort();
    session("/filet/a");
    session("/file");
    let list = |path_start: &str, after: Option<(&str, Option<SessionId>)>, max| {
        let after = after.map(|(path, id)| (path.to_owned(), id));
        let query = SessionQuery { path_start: path_start.to_owned(), after, max };
        let found = wait(ledger.sessions(query)).expect("sessions are told");
        found.into_iter().map(|session| session.id).collect::<Vec<_>>()
    };
    assert_eq!(list("/files/", None, 9), [twins[0], twins[1], b, c]);
    assert_eq!(list("/files/", None, 2), twins);
    assert_eq!(list("/files/", Some(("/files/a/x", Some(twins[0]))), 2), [twins[1], b]);
    assert_eq!(list("/files/", Some(("/files/a/x", None)), 9), [b, c]);
    assert_eq!(list("/files/a/", None, 9), twins);
    assert_eq!(list("/files/", Some(("/files/z", None)), 9), []);

    for number in [3, 1, 10_000, 2] {
        send(ledger, b, number, u64::from(number));
    }
    reserve(ledger, b, 4, 5).expect("one that is not finished");
    send(ledger, c, 7, 7);
    let numbers = |after, max| {
        let found = wait(ledger.parts(b, after, max)).expect("parts are told");
        found.into_iter().map(|part| part.id.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(0, 9), [1, 2, 3, 10_000]);
    assert_eq!(numbers(1, 2), [2, 3]);
    assert_eq!(numbers(10_000, 9), []);
}

fn limited(limits: Limits) -> Charge {
    Charge { meter: Meter::new("limited"), limits, ends: END, keep_until: END }
}

fn usage(ledger: &impl Ledger) -> crate::Usage {
    wait(ledger.usage(Meter::new("limited"))).expect("usage is answered")
}

/// Reserved before they flow, given back where nothing comes of them, and what came stays.
pub fn bytes_of_parts_count_under_every_level(ledger: &impl Ledger) {
    let charges = vec![limited(Limits { in_bytes: Some(10), ..Limits::default() })];
    let session = wait(ledger.begin_session(upload(charges), new_session(None))).expect("a session begins");
    let first = reserve(ledger, session, 1, 6).expect("six of ten");
    assert_eq!(usage(ledger).in_bytes, 6);
    check_is!(
        reserve(ledger, session, 2, 5),
        Err(LedgerError::Exhausted { resource: crate::Resource::In, limit: 10, .. })
    );
    assert_eq!(usage(ledger).in_bytes, 6);
    let second = reserve(ledger, session, 2, 0).expect("one of unknown length");
    assert_eq!(wait(ledger.grow_part(second, 9)).expect("there is some"), 4);
    check_is!(wait(ledger.grow_part(second, 1)), Err(LedgerError::Exhausted { .. }));
    wait(ledger.drop_part(second)).expect("it is dropped");
    assert_eq!(usage(ledger).in_bytes, 6);
    finish(ledger, first, 5).expect("it is finished");
    assert_eq!(usage(ledger).in_bytes, 5);
    // While both are there both count: both came over the wire.
    let again = reserve(ledger, session, 1, 5).expect("once more");
    assert_eq!(usage(ledger).in_bytes, 10);
    finish(ledger, again, 3).expect("it is finished");
    assert_eq!(usage(ledger).in_bytes, 3);
    send(ledger, session, 2, 2);
    let hold = wait(ledger.complete_session(session, "words".to_owned())).expect("it is completed");
    done(ledger, hold, 3);
    assert_eq!((usage(ledger).in_bytes, usage(ledger).uses), (3, 1));
}

/// An open session runs nothing; a part that is received does, until it ends either way.
pub fn parts_that_are_received_count_among_what_runs_at_once(ledger: &impl Ledger) {
    let charges = vec![limited(Limits { parallel: Some(1), ..Limits::default() })];
    let session =
        wait(ledger.begin_session(upload(charges.clone()), new_session(None))).expect("a session begins");
    assert_eq!(usage(ledger).parallel, 0);
    let reserve = |number| {
        let start = PartStart::Anew;
        let charges = charges.clone();
        wait(ledger.reserve_part(NewPart { session, number, start, bytes: 1, charges, now: NOW }))
    };
    let first = reserve(1).expect("one at once");
    check_is!(reserve(2), Err(LedgerError::Exhausted { resource: crate::Resource::Parallel, limit: 1, .. }));
    finish(ledger, first, 1).expect("it is finished");
    let second = reserve(2).expect("one at once");
    wait(ledger.drop_part(second)).expect("it is dropped");
    let third = reserve(3).expect("one at once");
    wait(ledger.abort_session(session)).expect("it ends");
    check_is!(wait(ledger.drop_part(third)), Err(LedgerError::UnknownPart(_)));
    assert_eq!(usage(ledger).parallel, 0);
}

/// The name is held with the session, and stays only if the object came to be.
pub fn name_of_a_session_counts_as_a_name_of_its_levels(ledger: &impl Ledger) {
    let limits = Limits { files: Some(1), ..Limits::default() };
    let begin = || wait(ledger.begin_session(upload(vec![limited(limits)]), new_session(None)));
    let first = begin().expect("a session begins");
    assert_eq!(usage(ledger).files, 1);
    wait(ledger.abort_session(first)).expect("it ends");
    assert_eq!(usage(ledger).files, 0);
    let second = begin().expect("a session begins");
    let hold = wait(ledger.complete_session(second, "words".to_owned())).expect("it is completed");
    done(ledger, hold, 0);
    assert_eq!(usage(ledger).files, 1);
}
