//! Copies that a store makes by itself: their bytes do not pass through the gateway, and all else is as if they did.

use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use valetkey_tests::audit::record_of;
use valetkey_tests::aws::Aws;
use valetkey_tests::expect::accepted;
use valetkey_tests::faults::{Cut, Fault, FaultProxy, Point};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Answer, Request};
use valetkey_tests::process::{binary, wait_until};
use valetkey_tests::stores::{Azurite, SeaweedFs, Store};

use crate::listing::elements;

const MIB: usize = 1 << 20;

/// What goes in one request, and what goes in parts.
const SINGLE: usize = 64 * MIB;
const IN_PARTS: usize = SINGLE + 6 * MIB;

const SECRET: &str = "a secret of the signer of the buckets here";

/// A gateway before a store whose way is watched. Of its buckets `files` and `more` are in the store, `sums` too with MD5
/// sums for entity tags, and `near` is on the disk.
struct Place {
    gateway: Gateway,
    proxy: FaultProxy,
    store: &'static dyn Store,
    bucket: String,
}

impl Place {
    fn new() -> Self {
        Self::over(SeaweedFs::shared())
    }

    fn over(store: &'static dyn Store) -> Self {
        let (proxy, bucket) = (FaultProxy::before(store.address()), store.bucket());
        let patience =
            "connect_timeout = \"1s\"\nstall_timeout = \"2s\"\nretries = 1\nretry_timeout = \"2s\"";
        let gateway = Gateway::builder()
            .remote(store, proxy.address(), &bucket)
            .remote_lines(patience)
            .bucket("more", "prefix = \"more/\"")
            .bucket("sums", "prefix = \"sums/\"\netag = \"md5\"")
            .toml("[backends.disk]\nkind = \"disk\"\nroot = \"near\"")
            .toml("[buckets.near]\nbackend = \"disk\"")
            .signer(
                "copier",
                SECRET,
                "scope = [\"/files/\", \"/more/\", \"/sums/\", \"/near/\"]\nallow = [\"read\", \"write\"]",
            )
            .start();
        Self { gateway, proxy, store, bucket }
    }

    fn send(&self, request: Request) -> Answer {
        let host = self.gateway.address().to_string();
        let aws = Aws { signer: "copier".to_owned(), secret: SECRET.to_owned(), host, ..Aws::default() };
        self.gateway.send(&aws.sign(request))
    }

    fn copy(&self, from: &str, to: &str, headers: &[(&str, &str)]) -> Answer {
        let request = Request::put(to, "").header("x-amz-copy-source", from);
        self.send(headers.iter().fold(request, |request, (name, value)| request.header(name, *value)))
    }

    /// A copy by a key of one use.
    fn copy_once(&self, from: &str, to: &str, id: &str) -> Answer {
        self.copy(from, to, &[("x-vk-id", id), ("x-vk-uses", "1")])
    }

    /// Whether the one use of that key is there still; it is not any more then.
    fn had_use(&self, id: &str) -> bool {
        let request = Request::put("/near/use", "x").header("x-vk-id", id).header("x-vk-uses", "1");
        let answer = self.send(request);
        assert!(answer.status == 200 || answer.reason() == "uses_exhausted", "{}", answer.text());
        answer.status == 200
    }

    /// The object, as the store has it.
    fn stored(&self, name: &str) -> Option<Vec<u8>> {
        self.store.get(&self.bucket, name)
    }

    fn plant(&self, name: &str, bytes: &[u8]) {
        self.store.put(&self.bucket, name, bytes);
    }

    /// How many bytes pass between the gateway and the store while this is done.
    fn passed(&self, done: impl FnOnce()) -> usize {
        let before = self.proxy.passed_bytes();
        done();
        self.proxy.passed_bytes() - before
    }

    fn asked(&self, method: &str, part: &str) -> bool {
        let requests = self.proxy.requests();
        requests.iter().any(|request| request.starts_with(method) && request.contains(part))
    }

    /// Nothing is there under the name, and no part of it either.
    fn left_nothing(&self, name: &str) {
        assert_eq!(self.stored(name), None);
        let is_empty = || SeaweedFs::shared().open_uploads(&self.bucket).is_empty();
        wait_until(Duration::from_secs(5), "no upload in parts is left", is_empty).unwrap();
    }
}

fn body(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(b"copies").finalize_xof().fill(&mut bytes);
    bytes
}

#[track_caller]
fn refused(answer: &Answer, status: u16, reason: &str) {
    assert_eq!((answer.status, answer.reason()), (status, reason), "{}", answer.text());
}

/// What is little: the looks, and what a judgement of the first bytes reads.
const LITTLE: usize = MIB / 2;

#[test]
fn no_byte_of_a_copy_passes() {
    none_passes(&Place::new());
}

#[test]
fn no_byte_of_a_copy_passes_to_azure() {
    none_passes(&Place::over(Azurite::shared()));
}

fn none_passes(place: &Place) {
    for length in [SINGLE, IN_PARTS] {
        let object = body(length);
        place.plant("files/from", &object);
        for (to, name, headers) in [
            ("/files/to", "files/to", &[][..]),
            ("/more/to", "more/to", &[("If-None-Match", "*")]),
            ("/files/typed", "files/typed", &[("x-vk-type", "application/*"), ("x-vk-max", "999999999")]),
        ] {
            let type_said = [("x-amz-metadata-directive", "REPLACE"), ("Content-Type", "application/pdf")];
            let headers = [headers, &type_said].concat();
            if place.stored(name).is_some() {
                place.store.delete(&place.bucket, name);
            }
            let passed = place.passed(|| {
                let answer = place.copy("/files/from", to, &headers);
                accepted(&answer, 200);
                let record = record_of(&place.gateway, answer.header("x-request-id").unwrap()).unwrap();
                assert_eq!((&record["action"], &record["bytes_in"]), (&"upload".into(), &length.into()));
                assert_eq!(record["digest"], Value::Null, "nobody hashed it");
            });
            assert!(passed < LITTLE, "{length} to {to}: {passed}");
            assert!(place.stored(name).is_some_and(|stored| stored == object), "{length} to {to}");
        }
        // Who must be slowed, or hash to something, is read and written.
        let slowed = [("x-vk-rate", "1000000000")];
        let passed = place.passed(|| accepted(&place.copy("/files/from", "/files/to", &slowed), 200));
        assert!(passed >= 2 * length, "{passed}");
    }
}

#[test]
fn what_is_kept_of_a_copy_is_its_own() {
    let place = Place::new();
    let put = Request::put("/files/from", "hello").header("x-amz-checksum-crc32", "NhCmhg==");
    let first = place.send(put.header("x-amz-meta-a", "b").header("Content-Type", "text/plain"));
    accepted(&first, 200);
    let of_first = record_of(&place.gateway, first.header("x-request-id").unwrap()).unwrap();
    let copied = place.copy_once("/files/from", "/files/to", "kept");
    accepted(&copied, 200);
    assert_eq!(elements(&copied.text(), "ChecksumCRC32"), ["NhCmhg=="]);
    let record = record_of(&place.gateway, copied.header("x-request-id").unwrap()).unwrap();
    assert!(record["digest"].is_string() && record["digest"] == of_first["digest"], "{record}");
    let marks = |name: &str| {
        let answer = place.store.ask(place.store.reading(&place.bucket, name));
        [
            "x-amz-meta-valetkey-upload",
            "x-amz-meta-valetkey-hold",
            "x-amz-meta-a",
            "x-amz-meta-valetkey-digest",
        ]
        .map(|header| answer.header(header).map(str::to_owned))
    };
    let (from, to) = (marks("files/from"), marks("files/to"));
    assert!(to[0].is_some() && to[0] != from[0], "{to:?}");
    assert!(to[1].is_some() && from[1].is_none(), "{to:?}");
    assert_eq!(from[2..], to[2..]);
    let head = place.send(Request::head("/files/to").header("x-amz-checksum-mode", "ENABLED"));
    assert_eq!(head.header("x-amz-checksum-crc32"), Some("NhCmhg=="));
    refused(&place.copy_once("/files/from", "/files/to", "kept"), 403, "uses_exhausted");
}

#[test]
fn an_entity_tag_that_is_an_md5_stays_one() {
    let place = Place::new();
    for (length, passes) in [(MIB, false), (IN_PARTS, true)] {
        let object = body(length);
        let uploaded = place.send(Request::put("/sums/from", &*object));
        accepted(&uploaded, 200);
        let tag = uploaded.header("etag").unwrap();
        assert!(!tag.contains('-'), "{tag}");
        let passed = place.passed(|| {
            let copied = place.copy("/sums/from", "/sums/to", &[]);
            accepted(&copied, 200);
            assert_eq!(elements(&copied.text(), "ETag"), [tag]);
        });
        // What is made in parts has no MD5 that the store could tell, so it is not.
        assert_eq!(passed > length, passes, "{passed}");
        assert_eq!(place.send(Request::head("/sums/to")).header("etag"), Some(tag));
    }
}

#[test]
fn bytes_go_between_stores_through_the_gateway() {
    let place = Place::new();
    let object = body(MIB);
    place.plant("files/from", &object);
    accepted(&place.copy("/files/from", "/near/to", &[]), 200);
    accepted(&place.copy("/near/to", "/more/back", &[]), 200);
    assert!(place.stored("more/back").is_some_and(|stored| stored == object));
    assert!(place.send(Request::get("/near/to")).body == object);
}

#[test]
fn parts_are_copied_where_they_are() {
    let place = Place::new();
    let object = body(20 * MIB);
    place.plant("files/from", &object);
    let begun = |bucket: &str, headers: &[(&str, &str)]| {
        let request = Request::new("POST", format!("/{bucket}/to?uploads="));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, *value));
        let answer = place.send(request);
        accepted(&answer, 200);
        elements(&answer.text(), "UploadId").pop().unwrap()
    };
    let part = |bucket: &str, id: &str, number: usize| {
        let first = (number - 1) * 8 * MIB;
        let range = format!("bytes={first}-{}", object.len().min(first + 8 * MIB) - 1);
        let to = format!("/{bucket}/to?partNumber={number}&uploadId={id}");
        let answer = place.copy("/files/from", &to, &[("x-amz-copy-source-range", &range)]);
        accepted(&answer, 200);
        elements(&answer.text(), "ETag").pop().unwrap()
    };
    let complete = |bucket: &str, id: &str, tags: &[String]| {
        let parts: String = (1..)
            .zip(tags)
            .map(|(number, tag): (usize, _)| {
                format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>")
            })
            .collect();
        let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let answer = place.send(Request::new("POST", format!("/{bucket}/to?uploadId={id}")).body(document));
        accepted(&answer, 200);
    };
    let copied = |bucket: &str, headers: &[(&str, &str)]| {
        place.passed(|| {
            let id = begun(bucket, headers);
            let tags: Vec<_> = (1..=3).map(|number| part(bucket, &id, number)).collect();
            complete(bucket, &id, &tags);
            assert!(place.stored(&format!("{bucket}/to")).is_some_and(|stored| stored == object), "{bucket}");
        })
    };
    assert!(copied("files", &[]) < LITTLE);
    // What is hashed is read: for a checksum of all parts, and for an MD5.
    assert!(copied("more", &[("x-amz-checksum-algorithm", "CRC32")]) > object.len());
    assert!(copied("sums", &[]) > object.len());

    // A part that begins with another type than the object's is no first part of it.
    place.plant("files/from", b"<!DOCTYPE html><title>x</title>");
    let image = [("Content-Type", "image/png"), ("x-vk-type", "image/*"), ("x-vk-id", "typed")];
    let id = begun("files", &image);
    let to = format!("/files/to?partNumber=1&uploadId={id}");
    let answer = place.copy("/files/from", &to, &image[2..]);
    accepted(&answer, 200);
    let tag = elements(&answer.text(), "ETag").pop().unwrap();
    let document = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part></CompleteMultipartUpload>"
    );
    let asked = Request::new("POST", format!("/files/to?uploadId={id}")).header("x-vk-id", "typed");
    refused(&place.send(asked.body(document)), 400, "type_not_allowed");
}

#[test]
fn an_answer_that_was_lost_is_looked_for() {
    let place = Place::new();
    for (length, method, part) in [(MIB, "PUT", ""), (IN_PARTS, "POST", "?uploadId")] {
        let object = body(length);
        place.plant("files/from", &object);
        for (number, cut) in [Cut::Reset, Cut::Close, Cut::Stall].into_iter().enumerate() {
            let name = format!("lost{number}-{length}");
            place.proxy.once(method, &format!("files/{name}{part}"), Fault::Answer(Point::Head, cut));
            accepted(&place.copy_once("/files/from", &format!("/files/{name}"), &name), 200);
            assert!(place.stored(&format!("files/{name}")).is_some_and(|stored| stored == object), "{name}");
            assert!(!place.had_use(&name), "{name}");
        }
    }
}

#[test]
fn a_copy_that_fails_leaves_nothing() {
    let place = Place::new();
    let sorry = "AKIAHUSHHUSH is not welcome";
    for (length, part) in [(MIB, ""), (IN_PARTS, "?partNumber=2")] {
        place.plant("files/from", &body(length));
        for (number, (fault, is_refusal)) in [
            (Fault::s3_error(503, "SlowDown", sorry), true),
            (Fault::s3_error(403, "AccessDenied", sorry), true),
            (Fault::s3_error(500, "InternalError", sorry), false),
            // It began well, and ended in an error.
            (Fault::s3_error(200, "InternalError", sorry), false),
            (Fault::Request(Point::Head, Cut::Reset), false),
            (Fault::Request(Point::Head, Cut::Stall), false),
        ]
        .into_iter()
        .enumerate()
        {
            let name = format!("failed{number}-{length}");
            place.proxy.always("PUT", &format!("files/{name}{part}"), fault);
            let answer = place.copy_once("/files/from", &format!("/files/{name}"), &name);
            refused(&answer, 503, "backend_unavailable");
            assert!(!answer.text().contains("AKIA"), "{}", answer.text());
            place.left_nothing(&format!("files/{name}"));
            // Of a part it is certain that nothing shows.
            assert_eq!(place.had_use(&name), is_refusal || length == IN_PARTS, "{name}");
        }
    }
    assert!(!place.gateway.stderr().contains("AKIA"));
}

#[test]
fn a_source_that_is_replaced_meanwhile_is_not_mixed_with_the_other() {
    let place = Place::new();
    // Its first bytes are read slowly, and then it is another.
    place.plant("files/from", &body(MIB));
    place.proxy.once("GET", "files/from", Fault::SlowAnswer(8 << 10));
    let typed = [
        ("x-vk-type", "image/*"),
        ("x-vk-id", "single"),
        ("x-amz-metadata-directive", "REPLACE"),
        ("Content-Type", "image/png"),
    ];
    let replaced = |method: &str, part: &str, headers: &[(&str, &str)]| {
        thread::scope(|scope| {
            let copying = scope.spawn(|| place.copy("/files/from", "/files/to", headers));
            let is_read = || place.asked(method, part);
            wait_until(Duration::from_secs(10), "it is under way", is_read).unwrap();
            place.plant("files/from", b"<!DOCTYPE html>");
            copying.join().unwrap()
        })
    };
    refused(&replaced("GET", "files/from", &typed), 503, "backend_unavailable");
    place.left_nothing("files/to");
    refused(&place.copy("/files/from", "/files/to", &typed), 400, "type_not_allowed");

    place.plant("files/from", &body(IN_PARTS));
    place.proxy.once("PUT", "files/to?partNumber=1&", Fault::SlowAnswer(200));
    refused(&replaced("PUT", "files/to?partNumber=1&", &[]), 503, "backend_unavailable");
    place.left_nothing("files/to");
    accepted(&place.copy("/files/from", "/files/to", &[]), 200);
    assert_eq!(place.stored("files/to").unwrap(), b"<!DOCTYPE html>");
}

#[test]
fn a_copy_whose_key_is_revoked_leaves_nothing() {
    let place = Place::new();
    place.plant("files/from", &body(IN_PARTS));
    place.proxy.once("PUT", "files/to?partNumber=1&", Fault::SlowAnswer(50));
    let answer = thread::scope(|scope| {
        let copying = scope.spawn(|| place.copy_once("/files/from", "/files/to", "gone"));
        let is_begun = || place.asked("PUT", "files/to?partNumber=1&");
        wait_until(Duration::from_secs(10), "it is under way", is_begun).unwrap();
        let revoked = Command::new(binary())
            .args(["revoke", "--id", "gone"])
            .current_dir(place.gateway.home())
            .envs(place.store.credentials())
            .output()
            .unwrap();
        assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
        copying.join().unwrap()
    });
    refused(&answer, 403, "revoked");
    place.left_nothing("files/to");
    assert!(!place.asked("PUT", "files/to?partNumber=2&"), "{:?}", place.proxy.requests());
}

#[test]
fn a_store_that_is_slow_to_copy_is_waited_for() {
    let place = Place::new();
    let object = body(MIB);
    place.plant("files/from", &object);
    // It says something all the time, and takes longer than it may stall.
    place.proxy.once("PUT", "files/to", Fault::SlowAnswer(50));
    accepted(&place.copy_once("/files/from", "/files/to", "slow"), 200);
    assert!(place.stored("files/to").is_some_and(|stored| stored == object));
}
