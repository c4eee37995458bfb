//! A store that takes what it is asked and does not answer: nobody waits for it who wants nothing of it.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use valetkey_tests::audit::records;
use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::faults::{Cut, Fault, FaultProxy, Point};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{self, Answer, Request};
use valetkey_tests::key::Key;
use valetkey_tests::process::wait_until;
use valetkey_tests::stores::{SeaweedFs, Store};

/// How long what does not wait for the store may take on a busy machine: much less than the store may stall.
const SOON: Duration = Duration::from_secs(4);
const STALL: &str = "connect_timeout = \"1s\"\nstall_timeout = \"15s\"\nretries = 0";

const NOT_SENT: Fault = Fault::Request(Point::Head, Cut::Stall);
const NOT_ANSWERED: Fault = Fault::Answer(Point::Head, Cut::Stall);

const NEAR: (&str, &str) = ("near", "YW5vdGhlciBzZWNyZXQgYW5vdGhlciBzZWNyZXQ=");

/// A gateway with a bucket in a store that can be hurt, and one on disk.
struct Place {
    gateway: Gateway,
    proxy: FaultProxy,
    store: &'static SeaweedFs,
    bucket: String,
}

impl Place {
    fn new() -> Self {
        let store = SeaweedFs::shared();
        let (proxy, bucket) = (FaultProxy::before(store.address()), store.bucket());
        let gateway = Gateway::builder()
            .remote(store, proxy.address(), &bucket)
            .remote_lines(STALL)
            .toml("[backends.near]\nkind = \"disk\"\nroot = \"valetkey-data/near\"\n[buckets.near]\nbackend = \"near\"\n")
            .signer(NEAR.0, NEAR.1, "scope = [\"/near/\"]\nallow = [\"delete\", \"write\"]")
            .start();
        Self { gateway, proxy, store, bucket }
    }

    fn stored(&self, name: &str) -> Option<Vec<u8>> {
        self.store.get(&self.bucket, &format!("files/{name}"))
    }

    /// How many requests of `method` came to the store with the name.
    fn asked(&self, method: &str, name: &str) -> usize {
        let is_it = |request: &&String| request.starts_with(method) && request.contains(name);
        self.proxy.requests().iter().filter(is_it).count()
    }

    fn wait_for(&self, count: usize, method: &str, name: &str) {
        let what = format!("{count} of {method} {name} reach the store");
        wait_until(SOON, &what, || self.asked(method, name) >= count).unwrap();
    }

    /// Ends a key as its holder does, in time.
    fn end(&self, key: &Key) {
        let ended = || self.gateway.send(&Request::new("POST", format!("/-/end?{}", key.query())).body(""));
        accepted(&in_time(&format!("the end of {}", key.path()), ended), 204);
    }

    /// Changes on disk are made in time.
    fn disk_works(&self) {
        let key = Key::new("/near/a", "delete,write").signed_by(NEAR.0, NEAR.1);
        accepted(&in_time("an upload", || self.gateway.send(&Request::put(key.url(), "x"))), 200);
        accepted(&in_time("a delete", || self.gateway.send(&Request::delete(key.url()))), 204);
    }

    fn uses_left(&self, key: &Key) -> u64 {
        let answer = self.gateway.get(format!("/-/key?{}", key.query()));
        accepted(&answer, 200);
        answer.json().unwrap()["uses"]["left"].as_u64().unwrap()
    }

    /// What is recorded of an object by who was not there.
    fn found_later(&self, name: &str) -> Vec<String> {
        let all = records(&self.gateway.audit_path()).unwrap();
        let of_it = all.iter().filter(|record| record["object"] == name);
        let reasons = of_it.filter_map(|record| record["reason"].as_str().map(str::to_owned));
        reasons.filter(|reason| reason.starts_with("the gateway stopped")).collect()
    }
}

fn key(name: &str, allow: &str) -> Key {
    let path = format!("/files/{name}");
    Key::new(&path, allow).set("path", &path).set("id", name)
}

fn in_time<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    assert!(begun.elapsed() < SOON, "{what} took {:?}", begun.elapsed());
    done
}

#[test]
fn a_stalled_upload_holds_up_no_revocation_and_no_change_elsewhere() {
    let place = Place::new();
    let (slow, other) = (key("slow-", "write").set("uses", "6"), key("other", "read"));
    place.proxy.always("PUT", "slow-", NOT_ANSWERED);
    thread::scope(|scope| {
        let uploads: Vec<_> =
            (0..6).map(|_| scope.spawn(|| place.gateway.send(&Request::put(slow.url(), "x")))).collect();
        place.wait_for(1, "PUT", "slow-");
        place.end(&other);
        place.disk_works();
        let ending = scope.spawn(|| place.end(&slow));
        place.disk_works();
        ending.join().unwrap();
        let answers: Vec<Answer> =
            in_time("an answer", || uploads.into_iter().map(|upload| upload.join().unwrap()).collect());
        // What was with the store may show, so it counts. The others waited for their turn and sent nothing.
        let (unsettled, refusals): (Vec<_>, _) = answers.iter().partition(|answer| answer.status == 503);
        assert_eq!((unsettled.len(), refusals.len()), (1, 5));
        refused(unsettled[0], 503, "backend_unavailable");
        refusals.into_iter().for_each(|answer| refused(answer, 403, "revoked"));
    });
    let has_come_back = || place.uses_left(&slow) == 5;
    wait_until(Duration::from_secs(1), "what sent nothing takes no use", has_come_back).unwrap();
    assert_eq!(place.asked("PUT", "slow-"), 1);
    assert!(place.stored("slow-").is_some());
}

#[test]
fn nothing_more_is_sent_to_a_stalled_store_of_what_was_revoked() {
    let place = Place::new();
    let created = key("create-", "create");
    let mut connection = place.gateway.connect();
    connection
        .send(&Request::new("PUT", created.url()).header("Content-Length", "1000").head_bytes())
        .unwrap();
    place.wait_for(1, "HEAD", "create-");
    place.proxy.always("HEAD", "create-", NOT_SENT);
    connection.send(&[7; 1000]).unwrap();
    // What stands there is looked at again in the upload's turn.
    place.wait_for(2, "HEAD", "create-");
    place.end(&created);
    refused(&in_time("an answer", || connection.read_head().unwrap()), 503, "backend_unavailable");
    place.proxy.heal();
    place.proxy.cut_all();
    thread::sleep(Duration::from_secs(1));
    assert_eq!((place.asked("PUT", "create-"), place.stored("create-")), (0, None));
}

#[test]
fn a_download_that_waits_for_a_stalled_store_ends_when_it_is_revoked() {
    let place = Place::new();
    let cases = [
        ("plain-", "GET", "GET", ""),
        // A counted one looks first, and asks for the bytes when its use is held.
        ("looks-", "GET", "HEAD", "1"),
        ("counted-", "GET", "GET", "1"),
        ("asks-", "HEAD", "HEAD", ""),
    ];
    for (name, method, stalled, uses) in cases {
        place.store.put(&place.bucket, &format!("files/{name}"), b"0123456789");
        place.proxy.always(stalled, name, NOT_SENT);
        let key = match uses {
            "" => key(name, "read,stat"),
            uses => key(name, "read,stat").set("uses", uses),
        };
        let request = Request::new(method, key.url());
        thread::scope(|scope| {
            let asking = scope.spawn(|| http::send(place.gateway.address(), &request).unwrap());
            place.wait_for(1, stalled, name);
            place.end(&key);
            let answer = in_time(name, || asking.join().unwrap());
            assert_eq!((answer.status, answer.reason()), (403, "revoked"), "{name}");
        });
        if !uses.is_empty() {
            let has_come_back = || place.uses_left(&key) == 1;
            wait_until(Duration::from_secs(1), "its use comes back", has_come_back).unwrap();
        }
    }
}

/// Counted uploads whose object is in the store, or is not, when the gateway is killed.
#[test]
fn what_a_crash_left_in_a_stalled_store_is_looked_for_while_the_gateway_serves() {
    let mut place = Place::new();
    let (there, absent) = (key("there-", "write").set("uses", "1"), key("absent-", "write").set("uses", "1"));
    place.proxy.always("PUT", "there-", NOT_ANSWERED);
    place.proxy.always("PUT", "absent-", NOT_SENT);
    let address = place.gateway.address();
    let uploads: Vec<_> = [&there, &absent]
        .map(|key| Request::put(key.url(), "x"))
        .into_iter()
        .map(|request| thread::spawn(move || http::send(address, &request)))
        .collect();
    place.wait_for(1, "PUT", "absent-");
    wait_until(SOON, "the store has it", || place.stored("there-").is_some()).unwrap();
    place.gateway.kill9().unwrap();
    uploads.into_iter().for_each(|upload| assert!(upload.join().unwrap().is_err()));

    place.proxy.heal();
    place.proxy.always("HEAD", "there-", Fault::s3_error(503, "SlowDown", "later"));
    place.proxy.always("HEAD", "absent-", NOT_SENT);
    in_time("the start", || place.gateway.start().unwrap());
    place.disk_works();
    place.wait_for(1, "HEAD", "there-");
    place.wait_for(1, "HEAD", "absent-");
    for key in [&there, &absent] {
        assert_eq!(place.uses_left(key), 0);
    }
    // A stop in between leaves it to the next start.
    in_time("a restart", || place.gateway.restart().unwrap());
    place.wait_for(2, "HEAD", "there-");
    for name in ["there-", "absent-"] {
        assert_eq!(place.found_later(name), Vec::<String>::new(), "nobody knows yet");
    }

    place.proxy.heal();
    place.proxy.cut_all();
    let reasons = || ["there-", "absent-"].map(|name| place.found_later(name));
    let begins = "the gateway stopped before it was answered; the object is";
    let expected = [vec![format!("{begins} there")], vec![format!("{begins} not there")]];
    wait_until(Duration::from_secs(15), "both are recorded", || reasons() == expected).unwrap();
    for key in [&there, &absent] {
        refused(&place.gateway.send(&Request::put(key.url(), "y")), 403, "uses_exhausted");
    }
    place.gateway.restart().unwrap();
    assert_eq!(["there-", "absent-"].map(|name| place.found_later(name)), expected, "once each");
    let all = records(&place.gateway.audit_path()).unwrap();
    let mut late = all.iter().filter(|record| record["object"] == "there-" && record["id"] == "there-");
    assert!(late.any(|record| record["status"] == Value::Null && record["action"] == "upload"));
}
