//! Changes under conditions and at once, deletes, and uploads in parts.

use std::thread;

use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::http::{Answer, Request};
use valetkey_tests::key::Key;

use super::s3::{PART, S3};
use super::{Place, bytes};
use crate::listing::elements;

pub(super) fn conditions_are_judged(place: &Place) {
    let first = place.put("a", b"first");
    let got = place.get("a");
    let modified = got.header("last-modified").unwrap();
    let ask = |name: &str, value: &str| place.ask("GET", "a", &[(name, value)]).status;
    assert_eq!(ask("If-None-Match", &first), 304);
    assert_eq!(ask("If-None-Match", "\"other\""), 200);
    assert_eq!(ask("If-Match", &first), 200);
    assert_eq!(ask("If-Match", "\"other\""), 412);
    assert_eq!(ask("If-Modified-Since", modified), 304);
    assert_eq!(ask("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"), 412);

    // Small ones go in one request, and large ones are streamed.
    for &length in place.kind.lengths() {
        let body = bytes(length);
        let change = |condition: (&str, &str)| place.send("a", &body, &[condition]);
        let before = place.get("a");
        refused(&change(("If-None-Match", "*")), 412, "already_exists");
        refused(&change(("If-Match", "\"other\"")), 412, "precondition_failed");
        assert_eq!(place.get("a").body, before.body);
        accepted(&change(("If-Match", before.header("etag").unwrap())), 200);
        refused(&change(("If-Match", before.header("etag").unwrap())), 412, "precondition_failed");
        assert!(place.get("a").body == body);
        let create = Key::new("/files/a", "create").url();
        refused(&place.gateway.send(&Request::put(create, "x")), 412, "already_exists");
        let new = format!("new-{length}");
        refused(&place.send(&new, &body, &[("If-Match", "*")]), 412, "precondition_failed");
        accepted(&place.send(&new, &body, &[("If-None-Match", "*")]), 200);
        accepted(&place.send(&new, &body, &[("If-Match", "*")]), 200);
    }
    refused(&place.get("none"), 404, "not_found");
    assert_eq!(place.ask("HEAD", "none", &[]).status, 404);
}

/// Sends what `request` gives for each of eight clients at once, and returns the answers.
fn at_once(place: &Place, request: impl Fn(u8) -> Request + Sync) -> Vec<Answer> {
    let send = |number| place.gateway.send(&request(number));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|number| scope.spawn(move || send(number))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

/// One of them won, whose bytes are there, and the others were told the reason.
fn has_one_winner(place: &Place, name: &str, length: usize, answers: &[Answer], reason: &str) {
    let winners: Vec<_> = (0..answers.len()).filter(|&at| answers[at].status == 200).collect();
    assert_eq!(winners.len(), 1, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        refused(answer, 412, reason);
    }
    let body = place.get(name).body;
    assert!(body.len() == length && body.iter().all(|&byte| usize::from(byte) == winners[0]), "{name}");
}

pub(super) fn a_race_of_creates_has_one_winner(place: &Place) {
    for &length in place.kind.lengths() {
        let name = format!("new-{length}");
        let url = Key::new(&format!("/files/{name}"), "create").url();
        let answers = at_once(place, |number| Request::put(&*url, vec![number; length]));
        has_one_winner(place, &name, length, &answers, "already_exists");
    }
}

pub(super) fn a_race_of_replacements_has_one_winner(place: &Place) {
    for &length in place.kind.lengths() {
        let tag = place.put("a", format!("before {length}").as_bytes());
        let url = Place::key("a").url();
        let answers =
            at_once(place, |number| Request::put(&*url, vec![number; length]).header("If-Match", &*tag));
        has_one_winner(place, "a", length, &answers, "precondition_failed");
    }
}

pub(super) fn deletes_take_what_is_there(place: &Place) {
    accepted(&place.ask("DELETE", "none", &[]), 204);
    let tag = place.put("a", b"first");
    place.put("b", b"other");
    refused(&place.ask("DELETE", "a", &[("If-Match", "\"other\"")]), 412, "precondition_failed");
    assert_eq!(place.get("a").body, b"first");
    accepted(&place.ask("DELETE", "a", &[("If-Match", &tag)]), 204);
    refused(&place.get("a"), 404, "not_found");
    refused(&place.ask("DELETE", "a", &[("If-Match", &tag)]), 412, "precondition_failed");
    // A delete that removed something is one use, and one of nothing is none.
    place.put("c", b"another");
    let counted = Key::new("/files/", "delete").set("path", "/files/").set("uses", "1").set("id", "one");
    accepted(&place.gateway.send(&Request::delete(counted.clone().on("/files/b").url())), 204);
    refused(&place.gateway.send(&Request::delete(counted.on("/files/c").url())), 403, "uses_exhausted");
    let none = Key::new("/files/b", "delete").set("uses", "1").set("id", "two");
    for _ in 0..2 {
        accepted(&place.gateway.send(&Request::delete(none.url())), 204);
    }
    assert_eq!(place.get("b").status, 404);
}

pub(super) fn parts_become_one_object(place: &Place) {
    let s3 = S3::of(place);
    if !place.kind.parts {
        let begun = s3.send(Request::new("POST", "/files/a?uploads="));
        assert_eq!((begun.status, begun.reason()), (503, "backend_unavailable"), "{}", begun.text());
        return;
    }
    place.put("a", b"before");
    let id = s3.begin("a");
    let last = s3.part("a", &id, 7, b"the end");
    // A part that is sent again takes the place of the one before.
    s3.part("a", &id, 2, &vec![b'o'; PART]);
    let first = s3.part("a", &id, 2, &bytes(PART));
    assert_eq!(place.get("a").body, b"before", "nothing shows before the end");
    let done = s3.complete("a", &id, &[(2, first.clone()), (7, last.clone())]);
    accepted(&done, 200);
    let answer = place.get("a");
    accepted(&answer, 200);
    assert!(answer.body == [&bytes(PART)[..], b"the end"].concat());
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    assert_eq!(answer.header("x-amz-meta-place"), Some("here"));
    let tag = answer.header("etag").unwrap();
    assert_eq!(elements(&done.text(), "ETag"), [tag]);
    let range = place.ask("GET", "a", &[("Range", &format!("bytes={}-", PART - 1))]);
    assert_eq!(range.body.len(), 8);
    // Whoever did not hear the answer asks again, and hears the same.
    let again = s3.complete("a", &id, &[(2, first), (7, last)]);
    if place.kind.completes_twice {
        assert_eq!(again.text(), done.text());
    } else {
        assert_eq!(again.status, 404, "{}", again.text());
    }
    assert!(!place.kept().iter().any(|name| name.starts_with("parts of")), "{:?}", place.kept());
}

pub(super) fn parts_that_are_given_up_leave_nothing(place: &Place) {
    if !place.kind.parts {
        return;
    }
    let s3 = S3::of(place);
    let id = s3.begin("first");
    accepted(&s3.send(Request::delete(format!("/files/first?uploadId={id}"))), 204);
    let before = place.kept();
    let id = s3.begin("a");
    let part = s3.part("a", &id, 1, &bytes(PART));
    accepted(&s3.send(Request::delete(format!("/files/a?uploadId={id}"))), 204);
    assert_eq!(s3.complete("a", &id, &[(1, part)]).status, 404);
    refused(&place.get("a"), 404, "not_found");
    assert_eq!(place.kept(), before);
}
