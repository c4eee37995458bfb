//! Sizes of uploads: the caps hold to the byte, and what is refused or broken off leaves nothing behind.

use std::thread;
use std::time::Duration;

use valetkey_tests::expect::{accepted, refused, refused_in_words};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{self, Connection, Request};
use valetkey_tests::key::Key;
use valetkey_tests::process::wait_until;

fn chunked_put(key: &Key, body: &[u8], chunk: usize) -> Request {
    Request::put(key.url(), http::chunked(body, chunk)).header("Transfer-Encoding", "chunked")
}

fn begin(gateway: &Gateway, request: &Request) -> Connection {
    let mut connection = gateway.connect();
    connection.send(&request.head_bytes()).unwrap();
    connection
}

/// Waits until the store is as it was: a gateway learns of a vanished client a moment later.
fn store_returns_to(gateway: &Gateway, before: &[String]) {
    wait_until(Duration::from_secs(10), "nothing of the upload is left", || gateway.stored() == before)
        .unwrap();
}

/// A065, A120: the client is told before it sends.
#[test]
fn declared_too_large_is_refused_before_the_body() {
    let gateway = Gateway::new();
    let before = gateway.stored();
    let key = Key::new("/files/a", "create").set("max", "10");
    for (length, reason, status) in [("11", "too_large", 413), ("9223372036854775807", "too_large", 413)] {
        let request =
            Request::new("PUT", key.url()).header("Content-Length", length).header("Expect", "100-continue");
        let answer = begin(&gateway, &request).read_answer("PUT").unwrap();
        assert_eq!(answer.interim, Vec::<u16>::new(), "no 100 Continue before a refusal");
        refused_in_words(&answer, status, reason);
        let unasked = Request::new("PUT", key.url()).header("Content-Length", length);
        refused_in_words(&begin(&gateway, &unasked).read_answer("PUT").unwrap(), status, reason);
    }
    let small = Key::new("/files/a", "create").set("min", "5");
    let request =
        Request::new("PUT", small.url()).header("Content-Length", "4").header("Expect", "100-continue");
    let answer = begin(&gateway, &request).read_answer("PUT").unwrap();
    assert_eq!(answer.interim, Vec::<u16>::new());
    refused_in_words(&answer, 400, "too_small");
    assert_eq!(gateway.stored(), before);
}

/// A120: no refusal of any kind asks for the body first.
#[test]
fn refused_uploads_are_not_asked_to_continue() {
    let gateway = Gateway::new();
    gateway.plant("/files/there", "old");
    let targets = [
        ("/files/a".to_owned(), 401),
        (Key::new("/files/a", "read").url(), 403),
        (Key::new("/files/a", "create").url_with_sig(&"A".repeat(43)), 403),
        (Key::new("/files/there", "create").url(), 412),
        (Key::new("/files/there/below", "create").url(), 409),
        (Key::new("/files/a", "create").set("in", "3").url(), 403),
    ];
    for (target, status) in targets {
        let request = Request::new("PUT", target.clone())
            .header("Content-Length", "4")
            .header("Expect", "100-continue");
        let answer = begin(&gateway, &request).read_answer("PUT").unwrap();
        assert_eq!((answer.status, answer.interim), (status, Vec::new()), "{target}");
    }
}

#[test]
fn welcome_upload_is_asked_to_continue_once() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "create").set("max", "5");
    let request =
        Request::new("PUT", key.url()).header("Content-Length", "5").header("Expect", "100-continue");
    let mut connection = begin(&gateway, &request);
    assert_eq!(connection.read_head().unwrap().status, 100);
    connection.send(b"hello").unwrap();
    let answer = connection.read_answer("PUT").unwrap();
    assert_eq!(answer.interim, Vec::<u16>::new());
    accepted(&answer, 200);
    assert_eq!(std::fs::read(gateway.file_of("/files/a")).unwrap(), b"hello");
}

/// A071: both sides of each edge, declared and chunked.
#[test]
fn edges_of_min_and_max_are_exact() {
    let gateway = Gateway::new();
    let cases = [
        (None, Some("10"), 10, 200, ""),
        (None, Some("10"), 11, 413, "too_large"),
        (Some("5"), None, 5, 200, ""),
        (Some("5"), None, 4, 400, "too_small"),
        (Some("5"), None, 0, 400, "too_small"),
        (Some("5"), Some("5"), 5, 200, ""),
        (None, Some("0"), 0, 200, ""),
        (None, Some("0"), 1, 413, "too_large"),
        (Some("0"), None, 0, 200, ""),
        (None, None, 0, 200, ""),
    ];
    for (number, (min, max, size, status, reason)) in cases.into_iter().enumerate() {
        for form in ["declared", "chunked"] {
            let object = format!("/files/{number}-{form}");
            let mut key = Key::new(&object, "create");
            for (name, value) in [("min", min), ("max", max)] {
                if let Some(value) = value {
                    key = key.set(name, value);
                }
            }
            let body = vec![1; size];
            let request =
                if form == "declared" { Request::put(key.url(), body) } else { chunked_put(&key, &body, 3) };
            let answer = gateway.send(&request);
            assert_eq!((answer.status, answer.reason()), (status, reason), "{min:?}..{max:?} {size} {form}");
            assert_eq!(gateway.file_of(&object).exists(), status == 200);
        }
    }
}

/// A066: refused as soon as it is known, not when the client is done.
#[test]
fn chunked_upload_is_cut_at_the_first_byte_over() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "old");
    let before = gateway.stored();
    let key = Key::new("/files/a", "write").set("max", "10");
    let request = Request::new("PUT", key.url()).header("Transfer-Encoding", "chunked");
    let mut connection = begin(&gateway, &request);
    connection.send(b"8\r\n01234567\r\n3\r\n89a\r\n").unwrap();
    refused_in_words(&connection.read_answer("PUT").unwrap(), 413, "too_large");
    store_returns_to(&gateway, &before);
    assert_eq!(std::fs::read(gateway.file_of("/files/a")).unwrap(), b"old");
}

#[test]
fn narrowed_and_intersected_caps_take_the_stricter() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "write")
        .set("max", "10")
        .narrow(&[("max", "4"), ("min", "2")])
        .narrow(&[("max", "9")]);
    refused(&gateway.send(&Request::put(key.url(), "01234")), 413, "too_large");
    refused(&gateway.send(&Request::put(key.url(), "0")), 400, "too_small");
    accepted(&gateway.send(&Request::put(key.url(), "0123")), 200);
}

/// A068 and its chunked kin: what does not come whole does not appear.
#[test]
fn short_bodies_store_nothing() {
    let gateway = Gateway::new();
    gateway.plant("/files/old", "old");
    let before = gateway.stored();
    for object in ["/files/new/deep/er", "/files/old"] {
        let key = Key::new(object, "write");
        let declared = Request::new("PUT", key.url()).header("Content-Length", "100000");
        let chunked = Request::new("PUT", key.url()).header("Transfer-Encoding", "chunked");
        for (request, piece) in [
            (&declared, vec![1; 50_000]),
            (&chunked, b"ffff\r\nabc".to_vec()),
            (&chunked, b"3\r\nabc\r\n".to_vec()),
        ] {
            let mut half = begin(&gateway, request);
            half.send(&piece).unwrap();
            half.finish_sending().unwrap();
            let rest = String::from_utf8_lossy(&half.drain().unwrap()).into_owned();
            assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400"), "{rest}");
            let mut gone = begin(&gateway, request);
            gone.send(&piece).unwrap();
            drop(gone);
        }
    }
    store_returns_to(&gateway, &before);
    assert_eq!(std::fs::read(gateway.file_of("/files/old")).unwrap(), b"old");
}

/// A067: bytes behind the declared length are no part of the object and no request either.
#[test]
fn bytes_behind_the_body_are_not_stored() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "write");
    let mut connection = begin(&gateway, &Request::new("PUT", key.url()).header("Content-Length", "5"));
    connection.send(b"helloXXXX not a request\r\n\r\n").unwrap();
    accepted(&connection.read_answer("PUT").unwrap(), 200);
    let rest = String::from_utf8_lossy(&connection.drain().unwrap()).into_owned();
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400"), "{rest}");
    assert_eq!(std::fs::read(gateway.file_of("/files/a")).unwrap(), b"hello");
}

/// A073: stored as sent; nothing is inflated, and an encoding nobody signed for is not taken over.
#[test]
fn encodings_are_neither_inflated_nor_believed() {
    let gateway = Gateway::new();
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let key = Key::new("/files/a.gz", "read,write");
    let put =
        |encoding: &str| gateway.send(&Request::put(key.url(), gzip).header("Content-Encoding", encoding));
    refused(&put("gzip"), 400, "bad_request");
    refused(&put("br, identity"), 400, "bad_request");
    accepted(&put("identity"), 200);
    let answer = gateway.get(key.url());
    assert_eq!(answer.body, gzip);
    assert_eq!(answer.header("content-encoding"), None);
}

#[test]
fn readers_see_the_old_object_until_the_new_is_whole() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "read,write");
    accepted(&gateway.send(&Request::put(key.url(), "old")), 200);
    let mut connection = begin(&gateway, &Request::new("PUT", key.url()).header("Content-Length", "6"));
    connection.send(b"new").unwrap();
    assert_eq!(gateway.get(key.url()).body, b"old");
    connection.send(b"new").unwrap();
    accepted(&connection.read_answer("PUT").unwrap(), 200);
    assert_eq!(gateway.get(key.url()).body, b"newnew");
}

#[test]
fn race_of_creates_has_one_winner() {
    let gateway = Gateway::new();
    let address = gateway.address();
    let outcomes: Vec<(u16, String)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..32)
            .map(|number| {
                let request =
                    Request::put(Key::new("/files/new/one", "create").url(), format!("body {number}"));
                scope.spawn(move || {
                    let answer = http::send(address, &request).unwrap();
                    (answer.status, answer.reason().to_owned())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|(status, _)| *status == 200).count(), 1, "{outcomes:?}");
    let losers =
        outcomes.iter().filter(|(status, reason)| (*status, reason.as_str()) == (412, "already_exists"));
    assert_eq!(losers.count(), 31, "{outcomes:?}");
}

/// A client that sends on after it was refused hears the refusal, not a reset.
#[test]
fn refusal_reaches_a_client_that_is_still_sending() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "create").set("max", "10");
    for _ in 0..5 {
        let answer = gateway.send(&Request::put(key.url(), vec![1; 3_000_000]));
        refused_in_words(&answer, 413, "too_large");
    }
}
