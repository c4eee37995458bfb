//! Hostile HTTP: whatever comes over the socket, the gateway answers soundly or closes, and goes on serving.

use std::time::{Duration, Instant};

use valetkey_tests::expect::{accepted, refused_in_words};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Connection, Request, USER_AGENT, chunked};
use valetkey_tests::key::Key;
use valetkey_tests::process::raise_file_limit;

/// Sends bytes, and gives all answers' status codes in order. The gateway must close by itself, or when we have.
fn statuses(gateway: &Gateway, bytes: &[u8]) -> Vec<u16> {
    let mut connection = gateway.connect();
    // A gateway that has heard enough may close before we are done.
    let _closed_early = connection.send(bytes);
    let _gone = connection.finish_sending();
    codes(
        &connection.drain().unwrap_or_else(|error| panic!("{error:?}: {:?}", String::from_utf8_lossy(bytes))),
    )
}

fn codes(bytes: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(bytes);
    text.split("HTTP/1.1 ").skip(1).filter_map(|rest| rest.get(..3)?.parse().ok()).collect()
}

fn head(method: &str, target: &str, headers: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: a\r\nUser-Agent: {USER_AGENT}\r\n{headers}\r\n").into_bytes()
}

#[track_caller]
fn refused_and_nothing_run(gateway: &Gateway, bytes: &[u8]) {
    let got = statuses(gateway, bytes);
    assert!(
        got.iter().all(|status| (400..500).contains(status) || *status == 501),
        "{got:?} for {:?}",
        String::from_utf8_lossy(bytes)
    );
    assert!(got.len() <= 1, "{got:?} for {:?}", String::from_utf8_lossy(bytes));
    assert!(gateway.file_of("/files/victim").exists());
}

/// A116 to A119: the end of a body is never in doubt.
#[test]
fn doubtful_framing_is_refused_and_nothing_behind_it_run() {
    let gateway = Gateway::new();
    gateway.plant("/files/victim", "x");
    let before = gateway.stored();
    let put = Key::new("/files/a", "write").url();
    let inner =
        String::from_utf8(Request::delete(Key::new("/files/victim", "delete").url()).head_bytes()).unwrap();
    let length = 5 + inner.len();
    let framings = [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: 5\r\nContent-Length: {length}\r\n"),
        "Content-Length: +5\r\n".to_owned(),
        "Content-Length: -5\r\n".to_owned(),
        "Content-Length: 5a\r\n".to_owned(),
        "Content-Length: 0x5\r\n".to_owned(),
        "Content-Length: 5 5\r\n".to_owned(),
        "Content-Length: 5, 6\r\n".to_owned(),
        "Content-Length:\r\n".to_owned(),
        "Content-Length: 18446744073709551621\r\n".to_owned(),
        "Transfer-Encoding: gzip, chunked\r\n".to_owned(),
        "Transfer-Encoding: chunked, identity\r\n".to_owned(),
        "Transfer-Encoding: xchunked\r\n".to_owned(),
        "Transfer-Encoding: identity\r\n".to_owned(),
        "Transfer-Encoding: \x0bchunked\r\n".to_owned(),
        "Transfer-Encoding : chunked\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".to_owned(),
        " Content-Length: 5\r\n".to_owned(),
        "Content-Length : 5\r\n".to_owned(),
        "X: y\r\n Content-Length: 5\r\n".to_owned(),
        "X: a\0b\r\nContent-Length: 5\r\n".to_owned(),
        "X: a\rb\r\nContent-Length: 5\r\n".to_owned(),
    ];
    for framing in framings {
        let mut bytes = head("PUT", &put, &framing);
        bytes.extend_from_slice(b"0\r\n\r\n");
        bytes.extend_from_slice(inner.as_bytes());
        refused_and_nothing_run(&gateway, &bytes);
    }
    let chunks = [
        "fffffffffffffffff\r\nx",
        "5;\n\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5 \u{b}\r\nhello\r\n0\r\n\r\n",
        "\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
    ];
    for chunk in chunks {
        let mut bytes = head("PUT", &put, "Transfer-Encoding: chunked\r\n");
        bytes.extend_from_slice(chunk.as_bytes());
        bytes.extend_from_slice(inner.as_bytes());
        refused_and_nothing_run(&gateway, &bytes);
    }
    assert_eq!(gateway.stored(), before);
}

/// A116: the answer says what was wrong, and is the last on its connection.
#[test]
fn two_lengths_are_refused_in_words() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let good = Request::get(Key::new("/files/a", "read").url()).head_bytes();
    let put = Key::new("/files/new", "write").url();
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
    let twice = "Content-Length: 5\r\nContent-Length: 5\r\n";
    for (method, target, lengths) in [
        ("PUT", put.as_str(), both),
        ("PUT", &put, twice),
        ("OPTIONS", "/", both),
        ("GET", "/-/health", both),
    ] {
        let mut connection = gateway.connect();
        connection.send(&good).unwrap();
        connection.send(&head(method, target, lengths)).unwrap();
        connection.send(b"0\r\n\r\n").unwrap();
        connection.send(&good).unwrap();
        accepted(&connection.read_answer("GET").unwrap(), 200);
        let answer = connection.read_answer(method).unwrap();
        refused_in_words(&answer, 400, "bad_request");
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(connection.drain().unwrap().is_empty(), "nothing follows");
    }
}

#[test]
fn connection_survives_uploads_in_chunks() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "read,write").url();
    let mut connection = gateway.connect();
    for size in [0, 1, 70_000, 300_000] {
        connection.send(&head("PUT", &key, "Transfer-Encoding: chunked\r\n")).unwrap();
        connection.send(&chunked(&vec![b'\n'; size], 1000)).unwrap();
        accepted(&connection.read_answer("PUT").unwrap(), 200);
        let answer = connection.exchange(&Request::get(&key)).unwrap();
        accepted(&answer, 200);
        assert_eq!(answer.body.len(), size);
    }
}

/// A119: what only decorates a chunked body is bounded.
#[test]
fn endless_chunk_extensions_and_trailers_are_cut() {
    let gateway = Gateway::new();
    gateway.plant("/files/victim", "x");
    let put = Key::new("/files/a", "write").url();
    let start = head("PUT", &put, "Transfer-Encoding: chunked\r\n");
    let extension = [&start[..], b"5;", &vec![b'e'; 1 << 20], b"\r\nhello\r\n0\r\n\r\n"].concat();
    refused_and_nothing_run(&gateway, &extension);
    let trailers = "X-Trailer: value\r\n".repeat(100_000);
    let trailing = [&start[..], b"5\r\nhello\r\n0\r\n", trailers.as_bytes(), b"\r\n"].concat();
    refused_and_nothing_run(&gateway, &trailing);
    assert!(!gateway.file_of("/files/a").exists());
}

/// A025: one host, and the one that the target names.
#[test]
fn two_hosts_or_none_are_refused() {
    let gateway = Gateway::new();
    gateway.plant("/files/victim", "x");
    let url = Key::new("/files/victim", "read").url();
    for (target, headers) in [
        (url.clone(), "Host: a\r\nHost: b\r\n"),
        (url.clone(), "Host: a\r\nHost: a\r\n"),
        (url.clone(), ""),
        (url.clone(), "Host: a b\r\n"),
        (url.clone(), "Host: a/../b\r\n"),
        (format!("http://b{url}"), "Host: a\r\n"),
    ] {
        let bytes = format!("GET {target} HTTP/1.1\r\n{headers}\r\n");
        let got = statuses(&gateway, bytes.as_bytes());
        assert_eq!(got, [400], "{headers:?} {target:.30}");
    }
    let absolute = format!("GET http://a{url} HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(statuses(&gateway, absolute.as_bytes()), [200]);
}

/// A121
#[test]
fn oversized_heads_are_refused() {
    let gateway = Gateway::new();
    gateway.plant("/files/victim", "x");
    let url = Key::new("/files/victim", "read").url();
    let heads = [
        head("GET", &format!("{url}&x={}", "y".repeat(100_000)), ""),
        head("GET", &url, &format!("X: {}\r\n", "y".repeat(1_000_000))),
        head("GET", &url, &"X: y\r\n".repeat(10_000)),
    ];
    for bytes in heads {
        let got = statuses(&gateway, &bytes);
        assert!(got.len() <= 1 && got.iter().all(|status| [400, 414, 431].contains(status)), "{got:?}");
    }
}

/// A122 and noise: lines that are no requests.
#[test]
fn garbage_is_refused() {
    let gateway = Gateway::new();
    gateway.plant("/files/victim", "x");
    let url = Key::new("/files/victim", "read").url();
    let lines: [&[u8]; 14] = [
        b"\0\0\0\0\0\0\0\0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET  /files/victim HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /files/victim HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET /files/victim HTTP/1.1 x\r\nHost: a\r\n\r\n",
        b"GET files/victim HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /files/a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /files/\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /files/a#b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"G\0T /files/a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /files/a\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage behind the preface",
        b"\r\n\r\n\r\n\r\n",
    ];
    for bytes in lines {
        let got = statuses(&gateway, bytes);
        assert!(
            got.iter().all(|status| (400..=505).contains(status) && *status != 500),
            "{got:?} for {bytes:?}"
        );
    }
    let null = head("GET", &url, "X: a\0b\r\n");
    assert!(statuses(&gateway, &null).iter().all(|status| *status == 400));
    assert_eq!(gateway.health().unwrap(), 200);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    gateway.plant("/files/b", "bbbb");
    let mut bytes = Vec::new();
    for object in ["/files/a", "/files/absent", "/files/b"] {
        bytes.extend(Request::get(Key::new(object, "read").url()).head_bytes());
    }
    let mut connection = gateway.connect();
    connection.send(&bytes).unwrap();
    let answers: Vec<_> = (0..3).map(|_| connection.read_answer("GET").unwrap()).collect();
    assert_eq!(answers[0].body, b"aaaa");
    assert_eq!(answers[1].status, 404);
    assert_eq!(answers[2].body, b"bbbb");
}

#[test]
fn connection_survives_refusals() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let mut connection = gateway.connect();
    for _ in 0..3 {
        assert_eq!(connection.exchange(&Request::get("/files/a")).unwrap().status, 401);
        accepted(&connection.exchange(&Request::get(Key::new("/files/a", "read").url())).unwrap(), 200);
        accepted(&connection.exchange(&Request::head(Key::new("/files/a", "read").url())).unwrap(), 200);
    }
}

/// A171 in small: heads that never end are dropped in time, and others are served meanwhile.
#[test]
fn slow_heads_are_dropped_and_others_served() {
    raise_file_limit();
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let url = Key::new("/files/a", "read").url();
    let mut slow: Vec<Connection> = (0..1000)
        .map(|_| {
            let mut connection = gateway.connect();
            connection.send(b"GET /files/a HTTP/1.1\r\nHost: a\r\nX: ").unwrap();
            connection
        })
        .collect();
    for _ in 0..20 {
        let begun = Instant::now();
        accepted(&gateway.get(&url), 200);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    // The head's limit is some seconds; a minute is more than it may be.
    let begun = Instant::now();
    let last = slow.last_mut().unwrap();
    last.set_patience(Duration::from_secs(60)).unwrap();
    let said = last.drain().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert!(
        codes(&said).iter().all(|status| [400, 408].contains(status)),
        "{:?}",
        String::from_utf8_lossy(&said)
    );
    accepted(&gateway.get(&url), 200);
}

/// Clients that vanish at any point of an upload or a download leave nothing behind and harm nobody.
#[test]
fn vanishing_clients_harm_nobody() {
    let gateway = Gateway::new();
    gateway.plant("/files/large", vec![5; 3_000_000]);
    let before = gateway.stored();
    let (get, put) = (Key::new("/files/large", "read").url(), Key::new("/files/new", "write").url());
    for round in 0..30 {
        let mut reader = gateway.connect();
        reader.send(&Request::get(&get).head_bytes()).unwrap();
        if round % 2 == 0 {
            reader.read_head().unwrap();
            reader.read_some(round * 100).unwrap();
        }
        drop(reader);
        let mut writer = gateway.connect();
        writer.send(&Request::new("PUT", &put).header("Content-Length", "1000000").head_bytes()).unwrap();
        // The gateway may have refused already; that is not what is asked here.
        let _broken = writer.send(&vec![1; round * 10_000]);
        drop(writer);
    }
    let answer = gateway.get(&get);
    assert_eq!((answer.status, answer.body.len()), (200, 3_000_000));
    valetkey_tests::process::wait_until(Duration::from_secs(10), "nothing is left", || {
        gateway.stored() == before
    })
    .unwrap();
    assert!(!gateway.stderr().to_lowercase().contains("panic"), "{}", gateway.stderr());
}
