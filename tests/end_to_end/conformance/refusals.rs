//! Uploads that are refused or break off: nothing of them is in the store, and their use comes back.

use std::process::Command;
use std::time::Duration;

use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::http::{Connection, Request, chunked};
use valetkey_tests::key::Key;
use valetkey_tests::process::{binary, wait_until};

use super::{Place, bytes};

/// More than is gathered, and more than one part.
const LARGE: usize = 6 << 20;

/// A key for one upload.
fn once(name: &str) -> Key {
    Key::new(&format!("/files/{name}"), "write").set("uses", "1").set("id", name)
}

/// How an upload says its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Declared,
    Chunked,
}

/// Both ways for a small body, one that is streamed and one in parts.
const WAYS: [(usize, Way); 6] = [
    (1000, Way::Declared),
    (1000, Way::Chunked),
    (300 << 10, Way::Declared),
    (300 << 10, Way::Chunked),
    (LARGE, Way::Declared),
    (LARGE, Way::Chunked),
];

fn upload(key: &Key, body: &[u8], way: Way) -> Request {
    match way {
        Way::Declared => Request::put(key.url(), body),
        Way::Chunked => {
            Request::put(key.url(), chunked(body, 100_000)).header("Transfer-Encoding", "chunked")
        }
    }
}

/// Whether the emulator lacks what such an upload needs.
fn is_lacking(place: &Place, length: usize, way: Way) -> bool {
    !place.kind.parts && length == LARGE && way == Way::Chunked
}

/// The store holds what it held before, and the key's use is there again.
fn left_nothing(place: &Place, key: &Key, before: &[String], what: &str) {
    let is_clean = || place.kept() == before;
    if wait_until(Duration::from_secs(2), "the store is as before", is_clean).is_err() {
        assert_eq!(place.kept(), before, "{what}");
    }
    let is_back = || uses_left(place, key) == 1;
    wait_until(Duration::from_secs(2), &format!("the use comes back: {what}"), is_back).unwrap();
}

fn uses_left(place: &Place, key: &Key) -> u64 {
    let answer = place.gateway.get(format!("/-/key?vk-path={}&{}", key.path(), key.query()));
    accepted(&answer, 200);
    answer.json().unwrap()["uses"]["left"].as_u64().unwrap()
}

/// What the store holds before anything: an object, which is there to be replaced.
fn begun(place: &Place) -> Vec<String> {
    place.put("a", b"before");
    place.kept()
}

fn stands(place: &Place) {
    assert_eq!(place.get("a").body, b"before");
}

pub(super) fn what_is_too_large_leaves_nothing(place: &Place) {
    let before = begun(place);
    for (length, way) in WAYS {
        if is_lacking(place, length, way) {
            continue;
        }
        let key = once("a").set("max", &(length - 1).to_string());
        refused(&place.gateway.send(&upload(&key, &bytes(length), way)), 413, "too_large");
        left_nothing(place, &key, &before, &format!("{length} {way:?}"));
        let key = once("a").set("min", &(length + 1).to_string());
        refused(&place.gateway.send(&upload(&key, &bytes(length), way)), 400, "too_small");
        left_nothing(place, &key, &before, &format!("{length} {way:?}"));
    }
    stands(place);
}

pub(super) fn what_hashes_to_something_else_leaves_nothing(place: &Place) {
    let before = begun(place);
    for (length, way) in WAYS {
        if is_lacking(place, length, way) {
            continue;
        }
        let key = once("a");
        let other = upload(&key, &bytes(length), way).header("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==");
        refused(&place.gateway.send(&other), 400, "digest_mismatch");
        left_nothing(place, &key, &before, &format!("{length} {way:?}"));
    }
    stands(place);
}

pub(super) fn what_belies_its_type_leaves_nothing(place: &Place) {
    let before = begun(place);
    for (length, way) in WAYS {
        let key = once("a").set("type", "image/png");
        let mut body = bytes(length);
        body[..8].copy_from_slice(b"%PDF-1.7");
        let request = upload(&key, &body, way).header("Content-Type", "image/png");
        refused(&place.gateway.send(&request), 415, "type_not_allowed");
        left_nothing(place, &key, &before, &format!("{length} {way:?}"));
    }
    stands(place);
}

/// The head of an upload and the first half of its body.
fn half(place: &Place, key: &Key, length: usize, way: Way) -> Connection {
    let request = upload(key, &bytes(length), way);
    let body = request.body.as_deref().unwrap();
    let mut connection = place.gateway.connect();
    connection.send(&request.head_bytes()).unwrap();
    connection.send(&body[..body.len() / 2]).unwrap();
    connection
}

pub(super) fn what_breaks_off_leaves_nothing(place: &Place) {
    let before = begun(place);
    for (length, way) in WAYS {
        let key = once("a");
        let connection = half(place, &key, length, way);
        let is_under_way = || uses_left(place, &key) == 0;
        wait_until(Duration::from_secs(2), "it is under way", is_under_way).unwrap();
        drop(connection);
        left_nothing(place, &key, &before, &format!("{length} {way:?}"));
    }
    stands(place);
}

fn revoke(place: &Place, key: &Key) {
    let credentials = place.kind.store.map_or_else(Vec::new, |store| store().credentials());
    let output = Command::new(binary())
        .args(["revoke", &format!("http://{}{}", place.gateway.address(), key.url())])
        .current_dir(place.gateway.home())
        .envs(credentials)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub(super) fn what_is_revoked_leaves_nothing(place: &Place) {
    let before = begun(place);
    for (number, way) in [(1, Way::Declared), (2, Way::Chunked)] {
        let key = once("a").set("id", &format!("revoked-{number}"));
        let mut connection = half(place, &key, LARGE, way);
        let is_under_way = || uses_left(place, &key) == 0;
        wait_until(Duration::from_secs(2), "it is under way", is_under_way).unwrap();
        revoke(place, &key);
        let answer = connection.drain().unwrap();
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        if wait_until(Duration::from_secs(2), "the store is as before", || place.kept() == before).is_err() {
            assert_eq!(place.kept(), before, "{way:?}");
        }
        refused(&place.gateway.send(&Request::put(key.url(), "x")), 403, "revoked");
    }
    stands(place);
}
