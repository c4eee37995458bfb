//! Hostile HTTP/2, frame by frame: it costs its sender the stream or the connection, and nobody else anything.

use std::time::{Duration, Instant};

use valetkey_tests::expect::accepted;
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::Connection;
use valetkey_tests::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, frame,
    head, opening, read_frame, wait_for,
};
use valetkey_tests::key::Key;
use valetkey_tests::process::memory_bytes;

/// How much more memory a hostile connection may take, in bytes.
const MEMORY_MAX: u64 = 64 << 20;

fn connect(gateway: &Gateway, settings: &[(u16, u32)]) -> Connection {
    let mut connection = gateway.connect();
    connection.send(&opening(settings)).unwrap();
    connection
}

/// Sends a flood on a connection of its own. It must end the connection, the gateway staying small and serving others.
#[track_caller]
fn flood_ends_the_connection(flood: &[u8]) {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let before = memory_bytes(gateway.pid(), "VmHWM").unwrap();
    let mut connection = connect(&gateway, &[]);
    // The gateway may close before it has heard all, or stop listening.
    let _closed_early = connection.send(flood);
    let begun = Instant::now();
    accepted(&gateway.get(Key::new("/files/a", "read").url()), 200);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    connection.set_patience(Duration::from_secs(20)).unwrap();
    while let Ok(frame) = read_frame(&mut connection) {
        if frame.kind == GOAWAY {
            let error = u32::from_be_bytes(frame.payload[4..8].try_into().unwrap());
            assert_ne!(error, 0, "it is told why");
        }
    }
    assert!(connection.drain().is_ok(), "it must be closed");
    let after = memory_bytes(gateway.pid(), "VmHWM").unwrap();
    assert!(after - before < MEMORY_MAX, "{before} to {after}");
}

/// A124: requests that are taken back as soon as they are sent.
#[test]
fn rapid_reset_ends_the_connection() {
    let get = head("GET", &Key::new("/files/a", "read").url(), &[]);
    let streams = (0..20_000u32).map(|number| {
        let stream = 2 * number + 1;
        let request = frame(HEADERS, END_STREAM | END_HEADERS, stream, &get);
        [request, frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()
    });
    flood_ends_the_connection(&streams.collect::<Vec<_>>().concat());
}

/// A124: a head that never ends.
#[test]
fn continuation_flood_ends_the_connection() {
    let get = head("GET", "/files/a", &[]);
    let more = frame(CONTINUATION, 0, 1, &head("GET", "/files/a", &[])[..0]);
    let empty = [frame(HEADERS, END_STREAM, 1, &get), more.repeat(100_000)].concat();
    flood_ends_the_connection(&empty);
    let block = [&[0, 1, b'x', 127, 129, 7][..], &[b'y'; 1024]].concat();
    let large = [frame(HEADERS, END_STREAM, 1, &get), frame(CONTINUATION, 0, 1, &block).repeat(10_000)];
    flood_ends_the_connection(&large.concat());
}

/// A124: frames that carry nothing of a body that never ends.
#[test]
fn flood_of_empty_data_ends_the_connection() {
    let put = head("PUT", &Key::new("/files/new", "write").url(), &[]);
    let flood = [frame(HEADERS, END_HEADERS, 1, &put), frame(DATA, 0, 1, &[]).repeat(200_000)];
    flood_ends_the_connection(&flood.concat());
}

/// A124: each of these asks for an answer, and nobody reads the answers.
#[test]
fn unread_acknowledgements_are_bounded() {
    for asking in [frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[])] {
        let gateway = Gateway::new();
        let before = memory_bytes(gateway.pid(), "VmHWM").unwrap();
        let mut connection = connect(&gateway, &[]);
        connection.set_patience(Duration::from_secs(1)).unwrap();
        // It may stop reading, or close.
        let _blocked = connection.send(&asking.repeat(500_000));
        assert_eq!(gateway.health().unwrap(), 200);
        let after = memory_bytes(gateway.pid(), "VmHWM").unwrap();
        assert!(after - before < MEMORY_MAX, "{before} to {after}");
    }
}

/// A125: a declared length and another one.
#[test]
fn length_that_the_data_belies_is_a_stream_error() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let before = gateway.stored();
    let url = Key::new("/files/new", "write").url();
    for (stream, data) in [(1, &b"hi"[..]), (3, b"hello, world"), (5, b"")] {
        let mut connection = connect(&gateway, &[]);
        let put = head("PUT", &url, &[("content-length", "5")]);
        connection.send(&frame(HEADERS, END_HEADERS, stream, &put)).unwrap();
        connection.send(&frame(DATA, END_STREAM, stream, data)).unwrap();
        let ends = |frame: &Frame| frame.stream == stream || frame.kind == GOAWAY;
        let end = wait_for(&mut connection, Duration::from_secs(10), ends).unwrap();
        assert!(is_error(&end), "{end:?}");
        assert_eq!(gateway.stored(), before);
    }
    for headers in [
        &[("content-length", "4"), ("content-length", "5")][..],
        &[("transfer-encoding", "chunked")],
        &[("connection", "close")],
        &[("Upper", "case")],
        &[("host", "elsewhere")],
        &[(":path", "/files/other")],
    ] {
        let mut connection = connect(&gateway, &[]);
        connection.send(&frame(HEADERS, END_HEADERS, 1, &head("PUT", &url, headers))).unwrap();
        // The connection may be gone already.
        let _gone = connection.send(&frame(DATA, END_STREAM, 1, b"hell"));
        let ends = |frame: &Frame| frame.stream == 1 || frame.kind == GOAWAY;
        let end = wait_for(&mut connection, Duration::from_secs(10), ends).unwrap();
        assert!(is_error(&end), "{headers:?} {end:?}");
        assert_eq!(gateway.stored(), before);
    }
}

/// A reset, the connection's end, or an answer with status 400.
fn is_error(frame: &Frame) -> bool {
    // The static table has `:status: 400` as its twelfth. RFC 7541, appendix A.
    matches!(frame.kind, RST_STREAM | GOAWAY) || (frame.kind == HEADERS && frame.payload[0] == 0x8c)
}

/// A124: a window that stays shut ends the download, however many pings are answered; others on the connection go on.
#[test]
fn download_that_is_not_taken_is_reset() {
    let gateway = Gateway::new();
    gateway.plant("/files/large", vec![7; 3_000_000]);
    let mut connection = connect(&gateway, &[(4, 0)]);
    let get = head("GET", &Key::new("/files/large", "read").url(), &[]);
    let begun = Instant::now();
    connection.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &get)).unwrap();
    let reset = wait_for(&mut connection, Duration::from_secs(45), |frame| frame.kind == RST_STREAM).unwrap();
    assert_eq!(reset.stream, 1);
    assert!(begun.elapsed() > Duration::from_secs(25), "{:?}", begun.elapsed());
    let health = head("HEAD", "/-/health", &[]);
    connection.send(&frame(HEADERS, END_STREAM | END_HEADERS, 3, &health)).unwrap();
    let answer = wait_for(&mut connection, Duration::from_secs(10), |frame| frame.kind == HEADERS).unwrap();
    assert_eq!((answer.stream, answer.payload[0]), (3, 0x88), "status 200");
}

/// A connection on which nothing is asked is ended, however many pings are answered.
#[test]
fn idle_connection_is_ended() {
    let gateway = Gateway::new();
    let mut connection = connect(&gateway, &[]);
    let goaway = wait_for(&mut connection, Duration::from_secs(45), |frame| frame.kind == GOAWAY).unwrap();
    assert_eq!(goaway.payload[4..8], [0; 4], "without a fault");
}
