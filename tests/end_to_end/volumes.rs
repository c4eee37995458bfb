//! How much a key moves in all: bytes in, bytes out, names, and transfers at once.

use std::thread;
use std::time::{Duration, Instant};

use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{self, Answer, Connection, Request, chunked};
use valetkey_tests::key::Key;

fn chunked_put(key: &Key, body: &[u8], chunk: usize) -> Request {
    Request::put(key.url(), chunked(body, chunk)).header("Transfer-Encoding", "chunked")
}

/// Sends all of them at once.
fn at_once(gateway: &Gateway, requests: Vec<Request>) -> Vec<Answer> {
    let address = gateway.address();
    thread::scope(|scope| {
        let threads: Vec<_> = requests
            .into_iter()
            .map(|request| scope.spawn(move || http::send(address, &request).unwrap()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Asks until the answer is `status`: what a download left unsent comes back a moment after its client has gone.
fn soon(gateway: &Gateway, request: &Request, status: u16) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = gateway.send(request);
        if answer.status == status || begun.elapsed() > Duration::from_secs(10) {
            accepted(&answer, status);
            return answer;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_declared_length_that_does_not_fit_is_refused_before_the_body() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "write").set("in", "10");
    accepted(&gateway.send(&Request::put(key.url(), "1234")), 200);
    let mut connection = gateway.connect();
    let head = Request::new("PUT", key.url()).header("Content-Length", "7").header("Expect", "100-continue");
    connection.send(&head.head_bytes()).unwrap();
    let answer = connection.read_answer("PUT").unwrap();
    refused(&answer, 403, "bytes_exhausted");
    assert_eq!(answer.interim, Vec::<u16>::new());
    accepted(&gateway.send(&Request::put(key.url(), "123456")), 200);
    refused(&gateway.send(&Request::put(key.url(), "1")), 403, "bytes_exhausted");
    accepted(&gateway.send(&Request::put(key.url(), "")), 200);
    assert_eq!(std::fs::read(gateway.file_of("/files/a")).unwrap(), b"");
}

#[test]
fn an_undeclared_length_fits_to_the_byte_or_stores_nothing() {
    let gateway = Gateway::new();
    for (limit, chunk) in [(10_usize, 3), (3_000_000, 100_000)] {
        let key = Key::new("/files/u/a", "create").set("path", "/files/u/").set("in", &limit.to_string());
        let key = key.set("id", &format!("id-{limit}"));
        let over = vec![7; limit + 1];
        refused(&gateway.send(&chunked_put(&key, &over, chunk)), 403, "bytes_exhausted");
        assert!(!gateway.file_of("/files/u/a").exists());
        // All of it came back, and all of it can be used.
        accepted(&gateway.send(&chunked_put(&key, &over[1..], chunk)), 200);
        let further = chunked_put(&key.clone().on("/files/u/b"), b"1", 1);
        refused(&gateway.send(&further), 403, "bytes_exhausted");
        std::fs::remove_file(gateway.file_of("/files/u/a")).unwrap();
    }
}

#[test]
fn an_upload_that_breaks_off_gives_its_bytes_back() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "create").set("in", "1000000");
    for declared in [true, false] {
        let mut connection = gateway.connect();
        let head = Request::new("PUT", key.url());
        let head = match declared {
            true => head.header("Content-Length", "1000000"),
            false => head.header("Transfer-Encoding", "chunked"),
        };
        connection.send(&head.head_bytes()).unwrap();
        connection.send(b"3e8\r\n").unwrap();
        connection.send(&[1; 1000]).unwrap();
        drop(connection);
    }
    let whole = Request::put(key.url(), vec![1; 1_000_000]);
    soon(&gateway, &whole, 200);
}

/// A072: of two uploads that fit one by one and not together exactly one is stored.
#[test]
fn uploads_at_once_never_exceed_what_is_left() {
    let gateway = Gateway::new();
    let key = Key::new("/files/u/0", "create").set("path", "/files/u/").set("in", "5000");
    let puts = (0..40).map(|number| {
        let key = key.clone().on(&format!("/files/u/{number}"));
        if number % 2 == 0 {
            Request::put(key.url(), vec![1; 1000])
        } else {
            chunked_put(&key, &[1; 1000], 100)
        }
    });
    let answers = at_once(&gateway, puts.collect());
    let stored = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(stored <= 5, "{stored}");
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        refused(answer, 403, "bytes_exhausted");
    }
    // What an upload under way had reserved and did not need came back.
    let rest = Request::put(key.clone().on("/files/u/rest").url(), vec![1; 5000 - 1000 * stored]);
    soon(&gateway, &rest, 200);
}

#[test]
fn a_hundred_downloads_at_once_never_exceed_what_may_go_out() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", vec![7; 100_000]);
    let key = Key::new("/files/a", "read").set("out", "1050000");
    let gets = (0..100).map(|number| Request::get(key.url()).header("User-Agent", format!("agent-{number}")));
    let answers = at_once(&gateway, gets.collect());
    let received: usize =
        answers.iter().filter(|answer| answer.status == 200).map(|answer| answer.body.len()).sum();
    assert_eq!(received, 1_000_000);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        refused(answer, 403, "bytes_exhausted");
    }
    // What is left can be had, to the byte.
    let part = |range: &str| gateway.send(&Request::get(key.url()).header("Range", range));
    refused(&part("bytes=0-50000"), 403, "bytes_exhausted");
    accepted(&part("bytes=0-49999"), 206);
    refused(&part("bytes=0-0"), 403, "bytes_exhausted");
    accepted(&gateway.send(&Request::head(key.url())), 200);
}

#[test]
fn what_was_not_sent_comes_back() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", vec![7; 64 << 20]);
    let key = Key::new("/files/a", "read").set("out", &(65 << 20).to_string());
    let mut connection = gateway.connect();
    connection.send(&Request::get(key.url()).head_bytes()).unwrap();
    connection.read_head().unwrap();
    connection.read_some(1000).unwrap();
    let half = Request::get(key.url()).header("Range", "bytes=0-33554431");
    refused(&gateway.send(&half), 403, "bytes_exhausted");
    drop(connection);
    soon(&gateway, &half, 206);
}

#[test]
fn forty_eight_ranges_at_once_are_one_use_and_no_more_than_a_quarter_over() {
    let gateway = Gateway::new();
    let size = 48_000;
    gateway.plant("/files/a", vec![1; size]);
    let key = Key::new("/files/a", "read").set("uses", "1");
    let gets = (0..48).map(|number| {
        let range = format!("bytes={}-{}", number * 1000, (number * 1000 + 1999).min(size - 1));
        Request::get(key.url()).header("Range", range)
    });
    let answers = at_once(&gateway, gets.collect());
    let received: usize =
        answers.iter().filter(|answer| answer.status == 206).map(|answer| answer.body.len()).sum();
    assert!(received <= size * 5 / 4, "{received}");
    assert!(received >= size, "{received}");
    for answer in answers.iter().filter(|answer| answer.status != 206) {
        refused(answer, 403, "uses_exhausted");
    }
}

#[test]
fn a_listing_counts_its_bytes() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "a");
    let key = Key::new("/files/", "list");
    let bytes = gateway.get(key.url()).body.len();
    let exact = key.clone().set("out", &bytes.to_string());
    accepted(&gateway.send(&Request::head(exact.url())), 200);
    accepted(&gateway.get(exact.url()), 200);
    refused(&gateway.get(exact.url()), 403, "bytes_exhausted");
    refused(&gateway.get(key.set("out", &(bytes - 1).to_string()).url()), 403, "bytes_exhausted");
}

#[test]
fn a_further_name_is_refused_and_a_known_one_is_free() {
    let gateway = Gateway::new();
    let key = Key::new("/files/u/a", "write").set("path", "/files/u/").set("files", "2");
    let put = |name: &str| gateway.send(&Request::put(key.clone().on(name).url(), "x"));
    accepted(&put("/files/u/a"), 200);
    accepted(&put("/files/u/b"), 200);
    refused(&put("/files/u/c"), 403, "files_exhausted");
    accepted(&put("/files/u/a"), 200);
    assert!(!gateway.file_of("/files/u/c").exists());

    // A name of which nothing came is no name that it has.
    let other = Key::new("/files/v/a", "write").set("path", "/files/v/").set("files", "1").set("max", "1");
    refused(&gateway.send(&chunked_put(&other, b"xx", 1)), 413, "too_large");
    accepted(&gateway.send(&Request::put(other.clone().on("/files/v/b").url(), "x")), 200);
    refused(&gateway.send(&Request::put(other.url(), "x")), 403, "files_exhausted");
}

#[test]
fn one_transfer_too_many_at_once_is_told_to_come_again() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", vec![7; 64 << 20]);
    let key = Key::new("/files/a", "read,write").set("parallel", "2");
    let open = |request: &Request| {
        let mut connection: Connection = gateway.connect();
        connection.send(&request.head_bytes()).unwrap();
        connection
    };
    let mut download = open(&Request::get(key.url()));
    assert_eq!(download.read_head().unwrap().status, 200);
    let mut upload =
        open(&Request::new("PUT", key.url()).header("Content-Length", "5").header("Expect", "100-continue"));
    assert_eq!(upload.read_head().unwrap().status, 100);
    let small = Request::get(key.url()).header("Range", "bytes=0-9");
    let answer = gateway.send(&small);
    refused(&answer, 429, "rate_limited");
    assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    // What moves nothing is not counted.
    accepted(&gateway.send(&Request::head(key.url())), 200);
    drop(download);
    let served = soon(&gateway, &small, 206);
    // Neither is a key uncounted by it that may be cached.
    assert!(!served.header("cache-control").unwrap().contains("no-store"));
    upload.send(b"12345").unwrap();
    accepted(&upload.read_answer("PUT").unwrap(), 200);
}

#[test]
fn answers_are_kept_by_nobody_where_something_is_used_up() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "a");
    let caching = |name: &str, value: &str| {
        let answer = gateway.get(Key::new("/files/a", "read").set(name, value).url());
        accepted(&answer, 200);
        answer.header("cache-control").unwrap().to_owned()
    };
    for (name, value) in [("uses", "9"), ("in", "9"), ("out", "9"), ("files", "9")] {
        assert_eq!(caching(name, value), "no-store", "{name}");
    }
    for (name, value) in [("rate", "1000"), ("parallel", "9")] {
        assert!(caching(name, value).starts_with("private, max-age="), "{name}");
    }
}

#[test]
fn narrowed_keys_share_the_bytes_of_their_parent() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", vec![1; 100]);
    let key = Key::new("/files/a", "read").set("out", "250");
    let child = |id: &str| key.clone().narrow(&[("id", id), ("out", "150")]);
    accepted(&gateway.get(child("one").url()), 200);
    refused(&gateway.get(child("one").url()), 403, "bytes_exhausted");
    accepted(&gateway.get(child("two").url()), 200);
    refused(&gateway.get(child("three").url()), 403, "bytes_exhausted");
}

#[test]
fn counts_outlive_a_restart() {
    let mut gateway = Gateway::new();
    gateway.plant("/files/a", vec![1; 100]);
    let key = Key::new("/files/u/a", "write").set("path", "/files/u/").set("in", "100").set("files", "1");
    let reader = Key::new("/files/a", "read").set("out", "150");
    accepted(&gateway.send(&Request::put(key.url(), vec![1; 60])), 200);
    accepted(&gateway.get(reader.url()), 200);
    gateway.restart().unwrap();
    refused(&gateway.send(&Request::put(key.url(), vec![1; 41])), 403, "bytes_exhausted");
    refused(&gateway.send(&Request::put(key.clone().on("/files/u/b").url(), "1")), 403, "files_exhausted");
    accepted(&gateway.send(&Request::put(key.url(), vec![1; 40])), 200);
    refused(&gateway.get(reader.url()), 403, "bytes_exhausted");
    gateway.kill9().unwrap();
    gateway.start().unwrap();
    refused(&gateway.send(&Request::put(key.url(), "1")), 403, "bytes_exhausted");
}
