//! Faults between the gateway and its store: a fault, at a point of an exchange, of every verb.
//!
//! Whatever happens, the client is told `backend_unavailable`, or finds a download ended early; in time, in our words,
//! with nothing partial to be seen, and with the use given back wherever nothing can have changed.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::faults::{Cut, Fault, FaultProxy, Point};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{self, Answer, Request, chunked};
use valetkey_tests::key::Key;
use valetkey_tests::process::wait_until;
use valetkey_tests::stores::{SeaweedFs, Store};

/// What a store may say in an error and nobody is to hear.
const SECRET: &str = "AKIAHUSHHUSH";

/// How long a client may wait with the time-outs of [`Place`]: two tries of two seconds each, a look at what became of
/// it, and a busy machine.
const LIMIT: Duration = Duration::from_secs(15);

/// How many cases run at once.
const WORKERS: usize = 12;

/// A gateway before a store that can be hurt.
struct Place {
    gateway: Gateway,
    proxy: FaultProxy,
    store: &'static SeaweedFs,
    bucket: String,
}

impl Place {
    fn new(lines: &str) -> Self {
        let store = SeaweedFs::shared();
        let (proxy, bucket) = (FaultProxy::before(store.address()), store.bucket());
        let patience =
            "connect_timeout = \"1s\"\nstall_timeout = \"2s\"\nretries = 1\nretry_timeout = \"2s\"";
        let builder = Gateway::builder().remote(store, proxy.address(), &bucket);
        let gateway = builder.remote_lines(patience).remote_lines(lines).start();
        Self { gateway, proxy, store, bucket }
    }

    /// The object, as the store has it.
    fn stored(&self, name: &str) -> Option<Vec<u8>> {
        self.store.get(&self.bucket, &format!("files/{name}"))
    }

    fn plant(&self, name: &str, bytes: &[u8]) {
        self.store.put(&self.bucket, &format!("files/{name}"), bytes);
    }

    fn uses_left(&self, key: &Key) -> u64 {
        let answer = self.gateway.get(format!("/-/key?{}", key.query()));
        accepted(&answer, 200);
        answer.json().unwrap()["uses"]["left"].as_u64().unwrap()
    }

    /// The key's one use comes back.
    fn use_comes_back(&self, key: &Key, what: &str) {
        let is_back = || self.uses_left(key) == 1;
        wait_until(Duration::from_secs(1), &format!("{what}: the use comes back"), is_back).unwrap();
    }

    /// Everything works again, and what the store said is nowhere.
    fn is_sound(&self) {
        self.proxy.heal();
        let key = Key::new("/files/sound", "delete,read,write");
        accepted(&self.gateway.send(&Request::put(key.url(), vec![7; 300 << 10])), 200);
        assert_eq!(self.gateway.get(key.url()).body, vec![7; 300 << 10]);
        accepted(&self.gateway.send(&Request::delete(key.url())), 204);
        assert_eq!(self.gateway.health().unwrap(), 200);
        let audit = fs::read_to_string(self.gateway.audit_path()).unwrap();
        for text in [self.gateway.stderr(), audit] {
            assert!(!text.contains(SECRET) && !text.contains("panicked"), "{text}");
        }
        // Of an upload whose beginning was not answered nobody knows the name; the bucket's own rules remove it.
        let is_known = |name: &String| !name.contains("lost-begin");
        let is_empty = || !self.store.open_uploads(&self.bucket).iter().any(is_known);
        wait_until(Duration::from_secs(5), "no upload in parts is left", is_empty).unwrap();
    }
}

/// What is asked of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Get,
    Head,
    PutSmall,
    PutStreamed,
    PutInParts,
    Delete,
    List,
}

/// Which of the requests to the store is hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hurt {
    verb: Verb,
    method: &'static str,
    /// What stands in its target besides the name.
    part: &'static str,
}

const HURTS: [Hurt; 9] = [
    Hurt { verb: Verb::Get, method: "GET", part: "" },
    Hurt { verb: Verb::Head, method: "HEAD", part: "" },
    Hurt { verb: Verb::PutSmall, method: "PUT", part: "" },
    Hurt { verb: Verb::PutStreamed, method: "PUT", part: "" },
    Hurt { verb: Verb::PutInParts, method: "POST", part: "?uploads" },
    Hurt { verb: Verb::PutInParts, method: "PUT", part: "" },
    Hurt { verb: Verb::PutInParts, method: "POST", part: "?uploadId" },
    Hurt { verb: Verb::Delete, method: "DELETE", part: "" },
    Hurt { verb: Verb::List, method: "GET", part: "" },
];

/// The faults of every request: what they are called, and whether the store certainly does not do what it is asked.
fn faults() -> Vec<(String, Fault, bool)> {
    let mut faults = Vec::new();
    for cut in [Cut::Reset, Cut::Close, Cut::Stall, Cut::HalfClose] {
        faults.push((format!("request-{cut:?}-head"), Fault::Request(Point::Head, cut), true));
        faults.push((format!("request-{cut:?}-body"), Fault::Request(Point::Body(100), cut), true));
        faults.push((format!("answer-{cut:?}-head"), Fault::Answer(Point::Head, cut), false));
    }
    for (status, code) in [(503, "SlowDown"), (500, "InternalError"), (403, "AccessDenied")] {
        let fault = Fault::s3_error(status, code, &format!("{SECRET} is not welcome"));
        faults.push((format!("status-{status}"), fault, true));
    }
    faults.push(("redirect".to_owned(), Fault::redirect(&format!("http://127.0.0.1:1/{SECRET}")), true));
    faults.push(("garbage".to_owned(), Fault::garbage(), true));
    faults
}

/// One fault of one verb.
struct Case {
    name: String,
    hurt: Hurt,
    fault: Fault,
    /// Whether the store certainly does not do what it is asked.
    undone: bool,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for hurt in HURTS {
        let has_body = matches!(hurt.verb, Verb::PutSmall | Verb::PutStreamed | Verb::PutInParts);
        for (name, fault, undone) in faults() {
            // A request without a body has no middle.
            if matches!(fault, Fault::Request(Point::Body(_), _)) && (!has_body || hurt.part == "?uploads") {
                continue;
            }
            let number = cases.len();
            let lost = if hurt.part == "?uploads" && !undone { "lost-begin-" } else { "" };
            cases.push(Case { name: format!("case{number}-{lost}{name}-"), hurt, fault, undone });
        }
    }
    cases
}

const SMALL: usize = 1000;
const STREAMED: usize = 1 << 20;
const IN_PARTS: usize = 6 << 20;

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

impl Case {
    fn length(&self) -> usize {
        match self.hurt.verb {
            Verb::PutSmall => SMALL,
            Verb::PutInParts => IN_PARTS,
            _ => STREAMED,
        }
    }

    fn key(&self) -> Key {
        let (path, allow) = match self.hurt.verb {
            Verb::Get | Verb::Head => (format!("/files/{}", self.name), "read"),
            Verb::Delete => (format!("/files/{}", self.name), "delete"),
            Verb::List => (format!("/files/{}/", self.name), "list"),
            Verb::PutSmall | Verb::PutStreamed | Verb::PutInParts => {
                (format!("/files/{}", self.name), "write")
            }
        };
        Key::new(&path, allow).set("path", &path).set("uses", "1").set("id", &self.name)
    }

    fn request(&self, key: &Key) -> Request {
        match self.hurt.verb {
            Verb::Get => Request::get(key.url()),
            Verb::Head => Request::head(key.url()),
            Verb::Delete => Request::delete(key.url()),
            Verb::List => {
                let prefix = format!("{}/", self.name);
                Request::get(format!("/files/?list-type=2&prefix={prefix}&{}", key.query()))
            }
            Verb::PutSmall | Verb::PutStreamed => Request::put(key.url(), body(self.length())),
            Verb::PutInParts => Request::put(key.url(), chunked(&body(IN_PARTS), 100_000))
                .header("Transfer-Encoding", "chunked"),
        }
    }

    /// Sends the request, and judges what came of it.
    fn check(&self, place: &Place) {
        let what = format!("{:?} {}", self.hurt, self.name);
        match self.hurt.verb {
            Verb::Get | Verb::Head | Verb::Delete => place.plant(&self.name, &body(STREAMED)),
            Verb::List => place.plant(&format!("{}/a", self.name), b"x"),
            _ => {}
        }
        let key = self.key();
        place.proxy.always(self.hurt.method, &format!("{}{}", self.name, self.hurt.part), self.fault.clone());
        let begun = Instant::now();
        let answer = http::send(place.gateway.address(), &self.request(&key));
        let answer = answer.unwrap_or_else(|error| panic!("{what}: {error:#}\n{}", place.gateway.stderr()));
        assert!(begun.elapsed() < LIMIT, "{what} took {:?}", begun.elapsed());
        assert!(!answer.text().contains(SECRET), "{what}: {}", answer.text());
        self.judge(place, &key, &answer, &what);
    }

    fn judge(&self, place: &Place, key: &Key, answer: &Answer, what: &str) {
        let is_unavailable = || {
            let (status, reason) = (answer.status, answer.reason());
            assert_eq!((status, reason), (503, "backend_unavailable"), "{what}: {}", answer.text());
            refused(answer, 503, "backend_unavailable");
        };
        match self.hurt.verb {
            Verb::Get | Verb::Head | Verb::List => {
                is_unavailable();
                if self.hurt.verb == Verb::Get {
                    place.use_comes_back(key, what);
                }
            }
            Verb::Delete if self.undone => {
                is_unavailable();
                assert!(place.stored(&self.name).is_some(), "{what}");
                // What the store may have read it may do later. Nothing was sent where the turn of another name with the
                // same lock did not end in time.
                let is_it = |request: &String| request.starts_with("DELETE") && request.contains(&self.name);
                match self.is_refusal() || !place.proxy.requests().iter().any(is_it) {
                    true => place.use_comes_back(key, what),
                    false => assert_eq!(place.uses_left(key), 0, "{what}"),
                }
            }
            // The answer was lost, and a look shows that it is gone.
            Verb::Delete => {
                accepted(answer, 204);
                assert_eq!((place.stored(&self.name), place.uses_left(key)), (None, 0), "{what}");
            }
            Verb::PutSmall | Verb::PutStreamed | Verb::PutInParts
                if self.undone || self.is_before_the_end() =>
            {
                is_unavailable();
                assert!(place.stored(&self.name).is_none(), "{what}");
                if self.is_refusal() || self.is_before_the_end() {
                    place.use_comes_back(key, what);
                }
            }
            // The answer was lost, and a look finds the object by its mark.
            Verb::PutSmall | Verb::PutStreamed | Verb::PutInParts => {
                assert_eq!(answer.status, 200, "{what}: {}", answer.text());
                assert!(
                    place.stored(&self.name).is_some_and(|stored| stored == body(self.length())),
                    "{what}"
                );
                assert_eq!(place.uses_left(key), 0, "{what}");
            }
        }
    }

    /// Whether the request that is hurt makes nothing appear, and the one that does never comes.
    fn is_before_the_end(&self) -> bool {
        self.hurt.verb == Verb::PutInParts && self.hurt.part != "?uploadId"
    }

    /// Whether the store says that it did nothing.
    fn is_refusal(&self) -> bool {
        ["status-503", "status-403", "redirect"].iter().any(|name| self.name.contains(name))
    }
}

#[test]
fn a_fault_at_any_point_of_any_verb_is_told_in_time_and_leaves_nothing() {
    let place = Place::new("");
    let cases = cases();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    case.check(&place);
                }
            });
        }
    });
    place.is_sound();
}

#[test]
fn a_download_that_the_store_cuts_ends_early() {
    let place = Place::new("");
    let object = body(STREAMED);
    for (number, cut) in [Cut::Reset, Cut::Close, Cut::Stall, Cut::HalfClose].into_iter().enumerate() {
        let name = format!("cut{number}-");
        place.plant(&name, &object);
        // The rest is asked for again, and cut again.
        place.proxy.always("GET", &name, Fault::Answer(Point::Body(100_000), cut));
        let path = format!("/files/{name}");
        let key = Key::new(&path, "read").set("path", &path).set("uses", "1").set("id", &name);
        let begun = Instant::now();
        let mut connection = place.gateway.connect();
        connection.send(&Request::get(key.url()).head_bytes()).unwrap();
        let head = connection.read_head().unwrap();
        assert_eq!(head.header("content-length"), Some(object.len().to_string().as_str()));
        let got = connection.drain().unwrap();
        assert!(got.len() < object.len() && object.starts_with(&got), "{cut:?}: {}", got.len());
        assert!(begun.elapsed() < LIMIT, "{cut:?} took {:?}", begun.elapsed());
        if !got.is_empty() {
            assert_eq!(place.uses_left(&key), 0, "{cut:?}: what was sent was sent");
        }
    }
    place.is_sound();
}

#[test]
fn a_download_that_is_cut_once_goes_on_where_it_was() {
    let place = Place::new("");
    let object = body(STREAMED);
    place.plant("a", &object);
    place.proxy.once("GET", "files/a", Fault::Answer(Point::Body(400_000), Cut::Reset));
    let answer = place.gateway.get(Key::new("/files/a", "read").url());
    accepted(&answer, 200);
    assert!(answer.body == object);
    place.is_sound();
}

#[test]
fn an_answer_that_was_lost_once_changes_nothing_for_the_client() {
    let place = Place::new("");
    for (name, length, method, part) in [
        ("small-", SMALL, "PUT", ""),
        ("streamed-", STREAMED, "PUT", ""),
        ("parts-", IN_PARTS, "POST", "?uploadId"),
    ] {
        for cut in [Cut::Reset, Cut::Close] {
            let name = format!("{name}{cut:?}-");
            place.proxy.once(method, &format!("{name}{part}"), Fault::Answer(Point::Head, cut));
            let path = format!("/files/{name}");
            let key = Key::new(&path, "write").set("path", &path).set("uses", "1").set("id", &name);
            let request = match length {
                IN_PARTS => Request::put(key.url(), chunked(&body(length), 100_000))
                    .header("Transfer-Encoding", "chunked"),
                _ => Request::put(key.url(), body(length)),
            };
            accepted(&place.gateway.send(&request), 200);
            assert!(place.stored(&name).is_some_and(|stored| stored == body(length)), "{name}");
            assert_eq!(place.uses_left(&key), 0, "{name}");
            refused(&place.gateway.send(&Request::put(key.url(), "again")), 403, "uses_exhausted");
        }
    }
    place.is_sound();
}

#[test]
fn a_store_that_is_slow_is_waited_for() {
    let place = Place::new("");
    let object = body(STREAMED);
    // What the kernel has of an upload when its last byte is given to it, the store must take in the time of one stall.
    place.proxy.always("PUT", "files/slow", Fault::SlowRequest(2 << 20));
    place.proxy.always("GET", "files/slow", Fault::SlowAnswer(400 << 10));
    let key = Key::new("/files/slow", "read,write");
    accepted(&place.gateway.send(&Request::put(key.url(), &*object)), 200);
    let begun = Instant::now();
    assert!(place.gateway.get(key.url()).body == object);
    assert!(
        begun.elapsed() > Duration::from_secs(2),
        "longer than the store may stall: {:?}",
        begun.elapsed()
    );
    place.is_sound();
}

#[test]
fn a_store_that_cannot_be_reached_costs_no_use() {
    let place = Place::new("");
    place.plant("a", b"there");
    place.proxy.refuse(true);
    place.proxy.cut_all();
    let key =
        Key::new("/files/a", "delete,read,write").set("path", "/files/a").set("uses", "1").set("id", "one");
    for length in [SMALL, STREAMED] {
        let begun = Instant::now();
        refused(&place.gateway.send(&Request::put(key.url(), body(length))), 503, "backend_unavailable");
        refused(&place.gateway.get(key.url()), 503, "backend_unavailable");
        refused(&place.gateway.send(&Request::delete(key.url())), 503, "backend_unavailable");
        let list = Key::new("/files/", "list").url();
        refused(&place.gateway.get(list), 503, "backend_unavailable");
        assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
        place.use_comes_back(&key, "the store is down");
    }
    assert_eq!(place.gateway.health().unwrap(), 200, "the gateway is no less healthy for it");
    place.proxy.refuse(false);
    assert_eq!(place.gateway.get(key.url()).body, b"there");
    place.is_sound();
}

/// A request that the store keeps waiting is given up, and does not stay under way for ever.
#[test]
fn stalled_requests_give_their_places_back() {
    let place = Place::new("connections_max = 2");
    for number in 0..3 {
        for (length, point) in [(STREAMED, Point::Head), (8 << 20, Point::Body(1000)), (SMALL, Point::Head)] {
            let name = format!("stall{number}-{length}-");
            place.proxy.always("PUT", &name, Fault::Request(point, Cut::Stall));
            let key = Key::new(&format!("/files/{name}"), "write");
            refused(&place.gateway.send(&Request::put(key.url(), body(length))), 503, "backend_unavailable");
        }
    }
    place.is_sound();
}
