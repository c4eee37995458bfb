//! A store that lies: what it sends costs bounded requests, time and memory, and nobody but its own clients waits.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{self, Answer, Request};
use valetkey_tests::key::Key;
use valetkey_tests::process::{memory_bytes, wait_until};
use valetkey_tests::stores::{Asked, LyingStore, answer, page};

use crate::listing::Page;

const SECRET: &str = "a secret of the signer of the bucket of lies";

/// How long a listing may take with the time-outs of [`Place`], on a busy machine.
const LIMIT: Duration = Duration::from_secs(12);

/// A gateway with the bucket `far` in a store that lies, and with `files` on its disk.
struct Place {
    gateway: Gateway,
    store: LyingStore,
}

impl Place {
    fn new(answers: impl Fn(&Asked, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let store = LyingStore::start(answers);
        let patience =
            "connect_timeout = \"1s\"\nstall_timeout = \"2s\"\nretries = 1\nretry_timeout = \"2s\"";
        let (name, value) = store.credential();
        let gateway = Gateway::builder()
            .env(name, value)
            .toml(&format!(
                "{}{patience}\n[buckets.far]\nbackend = \"far\"\nprefix = \"far/\"",
                store.section("far")
            ))
            .signer("far", SECRET, "scope = [\"/far/\"]\nallow = [\"list\", \"read\", \"write\"]")
            .start();
        Self { gateway, store }
    }

    /// A store that answers listings of the bucket so, and nothing else.
    fn listed(pages: impl Fn(&Asked) -> String + Send + Sync + 'static) -> Self {
        Self::new(move |asked, stream| match asked.parameter("prefix").starts_with("far/") {
            true => answer(stream, 200, &pages(asked)),
            false => answer(stream, 200, &page([], None)),
        })
    }

    fn list(&self, query: &str) -> Answer {
        let key = Key::new("/far/", "list").signed_by("far", SECRET);
        let begun = Instant::now();
        let answer = self.gateway.get(format!("/far/?list-type=2&{query}&{}", key.query()));
        assert!(begun.elapsed() < LIMIT, "{query} took {:?}", begun.elapsed());
        answer
    }

    /// How many pages of the bucket it was asked for.
    fn pages(&self) -> usize {
        self.store.asked("prefix=far").len()
    }
}

#[test]
fn a_listing_that_goes_round_in_a_circle_is_given_up() {
    let one = Place::listed(|_| page([], Some("same")));
    refused(&one.list(""), 503, "backend_unavailable");
    assert_eq!(one.pages(), 2);
    let two = Place::listed(|asked| {
        page([], Some(if asked.parameter("continuation-token") == "one" { "two" } else { "one" }))
    });
    refused(&two.list(""), 503, "backend_unavailable");
    assert_eq!(two.pages(), 3);
}

/// The token after the one that a page was asked for with.
fn next(asked: &Asked) -> usize {
    asked.parameter("continuation-token").parse().map_or(1, |token: usize| token + 1)
}

#[test]
fn a_listing_without_end_and_without_entries_is_given_up() {
    let place = Place::listed(|asked| page([], Some(&next(asked).to_string())));
    refused(&place.list(""), 503, "backend_unavailable");
    let pages = place.pages();
    assert!((2..=1100).contains(&pages), "{pages}");
    thread::sleep(Duration::from_millis(500));
    assert_eq!(place.pages(), pages, "nothing is asked for once nobody waits");
}

#[test]
fn a_listing_of_many_short_pages_ends_with_what_there_is() {
    let place = Place::listed(|asked| {
        let next = next(asked);
        page([format!("far/{next:06}").as_str()], Some(&next.to_string()))
    });
    let first = Page::of(&place.list(""));
    let pages = place.pages();
    assert!((2..=100).contains(&pages), "{pages}");
    assert_eq!(first.names.len(), pages);
    assert_eq!(first.names.last().map(String::as_str), Some(format!("{pages:06}").as_str()));
    assert!(first.next.is_some(), "there is more");
}

#[test]
fn a_listing_by_folders_of_many_short_pages_ends_with_what_there_is() {
    let place = Place::new(|asked, stream| {
        let after = asked.parameter("start-after").max(asked.parameter("continuation-token"));
        let number = after.trim_start_matches("far/").trim_end_matches('/').parse().unwrap_or(0) + 1;
        let name = format!("far/{number:06}");
        let page = match asked.target.contains("prefix=far") {
            true => page([name.as_str()], Some(&name)),
            false => page([], None),
        };
        let head = "HTTP/1.1 200 OK\r\nServer: SeaweedFS S3\r\nConnection: close\r\n";
        write!(stream, "{head}Content-Length: {}\r\n\r\n{page}", page.len())
    });
    // What store it is, its first answer tells.
    Page::of(&place.list("max-keys=1"));
    let before = place.pages();
    let first = Page::of(&place.list(""));
    let pages = place.pages() - before;
    assert!((2..=101).contains(&pages), "{pages}");
    assert!(first.names.len() > 90 && first.names.is_sorted() && first.next.is_some(), "{first:?}");
}

#[test]
fn a_listing_of_slow_pages_ends_with_what_there_is() {
    let place = Place::listed(|asked| {
        let next = next(asked);
        thread::sleep(Duration::from_millis(1500 * u64::from(next > 1)));
        page([format!("far/{next:06}").as_str()], Some(&next.to_string()))
    });
    let first = Page::of(&place.list(""));
    assert!((1..5).contains(&first.names.len()) && first.next.is_some(), "{first:?}");
    let pages = place.pages();
    thread::sleep(Duration::from_secs(2));
    assert_eq!(place.pages(), pages, "nothing is asked for once nobody waits");
}

#[test]
fn names_that_are_taken_together_are_jumped_over() {
    let names: Vec<_> =
        (0..20_000).map(|at| format!("far/{}-{at:06}", if at < 15_000 { "log" } else { "tmp" })).collect();
    let place = Place::listed(move |asked| {
        let (after, token) = (asked.parameter("start-after"), asked.parameter("continuation-token"));
        let begin = names.partition_point(|name| *name <= after.clone().max(token.clone()));
        let end = names.len().min(begin + asked.parameter("max-keys").parse::<usize>().unwrap());
        let more = (end < names.len()).then(|| names[end - 1].as_str());
        page(names[begin..end].iter().map(String::as_str), more)
    });
    let first = Page::of(&place.list("max-keys=1&delimiter=-"));
    assert_eq!(first.entries(), ["log-"]);
    let second = Page::of(&place.list(&format!("delimiter=-&continuation-token={}", first.next.unwrap())));
    assert_eq!((second.entries(), second.next), (vec!["tmp-".to_owned()], None));
    assert_eq!(Page::of(&place.list("delimiter=-")).entries(), ["log-", "tmp-"]);
    assert!(place.pages() <= 8, "{} pages", place.pages());
    let inside = Page::of(&place.list("max-keys=2&start-after=log-007"));
    assert_eq!(inside.entries(), ["log-007000", "log-007001"]);
}

#[test]
fn below_a_text_that_no_name_begins_with_stands_nothing() {
    let place = Place::listed(|_| page(["far/a"], None));
    for prefix in ["//", "/", "a//", "../", "a/./", "a%5C", "a/../b"] {
        let found = Page::of(&place.list(&format!("prefix={prefix}")));
        assert!(found.entries().is_empty() && found.next.is_none(), "{prefix}");
    }
    assert_eq!(place.pages(), 0);
    for prefix in ["a", "..", "a/..b"] {
        Page::of(&place.list(&format!("prefix={prefix}")));
    }
    assert_eq!(place.pages(), 3);
}

#[test]
fn what_does_not_fit_in_a_url_of_the_store_is_none_of_its_requests() {
    let place = Place::new(|asked, stream| match asked.method.as_str() {
        "POST" => {
            let id = "(".repeat(60_000);
            answer(
                stream,
                200,
                &format!(
                    "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                ),
            )
        }
        _ => {
            let token = "(".repeat(60_000);
            let next = asked.target.contains("refused").then_some(token.as_str());
            answer(stream, 200, &page([], next))
        }
    });
    let found = Page::of(&place.list(&format!("start-after={}", "(".repeat(20_000))));
    assert!(found.entries().is_empty());
    refused(&place.list("prefix=refused"), 503, "backend_unavailable");
    let key = Key::new("/far/a", "write").signed_by("far", SECRET);
    let body = http::chunked(&vec![7; 6 << 20], 100_000);
    let put = Request::put(key.url(), body).header("Transfer-Encoding", "chunked");
    refused(&place.gateway.send(&put), 503, "backend_unavailable");
    assert!(!place.gateway.stderr().contains("panicked"), "{}", place.gateway.stderr());
}

/// More than any answer may take in memory.
const HUGE: usize = 200 << 20;

fn huge(stream: &mut TcpStream, status: u16) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {HUGE}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let piece = vec![b' '; 1 << 20];
    for _ in 0..HUGE / piece.len() {
        stream.write_all(&piece)?;
    }
    Ok(())
}

/// Without a length, and slowly enough that it never stalls.
fn drip(stream: &mut TcpStream, status: u16) -> io::Result<()> {
    write!(stream, "HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    loop {
        stream.write_all(b"1\r\n \r\n")?;
        thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn an_answer_takes_no_more_memory_than_it_may() {
    // All that it is asked, the look whether it answers among it.
    let place = Place::new(|asked, stream| match asked.target.contains("refused") {
        true => huge(stream, 403),
        false => huge(stream, 200),
    });
    let memory = || memory_bytes(place.gateway.pid(), "VmHWM").unwrap() >> 20;
    let key = Key::new("/far/refused", "read").signed_by("far", SECRET);
    refused(&place.gateway.get(key.url()), 503, "backend_unavailable");
    refused(&place.list(""), 503, "backend_unavailable");
    refused(&place.list("prefix=refused"), 503, "backend_unavailable");
    wait_until(Duration::from_secs(3), "it was looked at", || !place.store.asked("max-keys=1").is_empty())
        .unwrap();
    assert!(memory() < 150, "{} MiB", memory());
}

#[test]
fn an_answer_that_drips_is_not_waited_for() {
    let place = Place::new(|asked, stream| match asked.target.contains("refused") {
        true => drip(stream, 403),
        false => drip(stream, 200),
    });
    let key = Key::new("/far/refused", "read").signed_by("far", SECRET);
    let begun = Instant::now();
    refused(&place.gateway.get(key.url()), 503, "backend_unavailable");
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
    refused(&place.list(""), 503, "backend_unavailable");
}

#[test]
fn listings_of_a_store_that_stalls_keep_no_other_waiting() {
    let place = Place::new(|asked, stream| match asked.target.contains("prefix=far") {
        true => drip(stream, 200),
        false => answer(stream, 200, &page([], None)),
    });
    place.gateway.plant("files/a", "a");
    thread::scope(|scope| {
        for _ in 0..12 {
            // As many are under way as may be, and others wait for their turn: none for longer than it may.
            scope.spawn(|| refused(&place.list(""), 503, "backend_unavailable"));
        }
        wait_until(Duration::from_secs(2), "they are under way", || place.pages() >= 4).unwrap();
        let begun = Instant::now();
        let key = Key::new("/files/", "list");
        let request = Request::get(format!("/files/?list-type=2&{}", key.query()));
        let answer = http::send(place.gateway.address(), &request).unwrap();
        accepted(&answer, 200);
        assert_eq!(Page::of(&answer).names, ["a"]);
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    });
}
