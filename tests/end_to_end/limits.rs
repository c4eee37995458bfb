//! Every name of the key format is enforced or refused: none is ever ignored, in the base or in a narrowing.

use valetkey_tests::expect::{accepted, refused, refused_in_words};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Answer, Request};
use valetkey_tests::key::{Key, from_now};

/// A request that breaks one limit, and what it is refused with.
struct Breach {
    name: &'static str,
    value: String,
    method: &'static str,
    size: usize,
    status: u16,
    reason: &'static str,
}

fn breaches() -> Vec<Breach> {
    let breach = |name, value: &str, method, size, status, reason| Breach {
        name,
        value: value.to_owned(),
        method,
        size,
        status,
        reason,
    };
    vec![
        breach("allow", "stat", "GET", 0, 403, "not_allowed"),
        breach("path", "/files/elsewhere/", "GET", 0, 403, "out_of_scope"),
        breach("end", &from_now(-1), "GET", 0, 403, "expired"),
        breach("start", &from_now(100), "GET", 0, 403, "not_yet_valid"),
        breach("issued", &from_now(100), "GET", 0, 403, "not_yet_valid"),
        breach("max", "3", "PUT", 4, 413, "too_large"),
        breach("min", "5", "PUT", 4, 400, "too_small"),
        breach("ip", "192.0.2.0/24", "GET", 0, 403, "client_not_allowed"),
        breach("policy", "absent", "GET", 0, 403, "policy_missing"),
        breach("in", "3", "PUT", 4, 403, "bytes_exhausted"),
        breach("out", "3", "GET", 0, 403, "bytes_exhausted"),
        breach("type", "image/png", "PUT", 4, 415, "type_not_allowed"),
        breach(
            "digest",
            "blake3:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "PUT",
            4,
            400,
            "digest_mismatch",
        ),
    ]
}

const NOT_IN_BLOCKS: [&str; 7] = ["signer", "policy", "subject", "disposition", "renew", "issued", "sig"];

#[test]
fn every_limit_is_enforced_or_refused_in_the_base() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    for breach in breaches() {
        let key = good().set(breach.name, &breach.value);
        refused_in_words(&send(&gateway, &key, &breach), breach.status, breach.reason);
    }
    assert_eq!(std::fs::read(gateway.file_of("/files/a")).unwrap(), b"aaaa");
}

#[test]
fn every_limit_is_enforced_or_refused_in_each_block() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    for breach in breaches() {
        let block = [(breach.name, breach.value.as_str())];
        for key in [
            good().narrow(&block),
            good().narrow(&[("allow", "read,write")]).narrow(&block).narrow(&[("end", &from_now(1000))]),
        ] {
            let answer = send(&gateway, &key, &breach);
            if NOT_IN_BLOCKS.contains(&breach.name) {
                refused_in_words(&answer, 400, "malformed_key");
            } else {
                refused_in_words(&answer, breach.status, breach.reason);
            }
        }
    }
    assert_eq!(std::fs::read(gateway.file_of("/files/a")).unwrap(), b"aaaa");
}

/// The table above misses none: names that it lacks are shown to hold elsewhere in this suite.
#[test]
fn table_of_limits_is_whole() {
    let elsewhere =
        ["signer", "uses", "files", "rate", "parallel", "disposition", "renew", "subject", "id", "sig"];
    let all = [
        "signer",
        "allow",
        "path",
        "end",
        "start",
        "issued",
        "max",
        "min",
        "uses",
        "in",
        "out",
        "files",
        "rate",
        "parallel",
        "ip",
        "type",
        "digest",
        "disposition",
        "renew",
        "policy",
        "subject",
        "id",
        "sig",
    ];
    let table = breaches();
    for name in all {
        assert!(elsewhere.contains(&name) || table.iter().any(|breach| breach.name == name), "{name}");
    }
}

/// The stricter of each limit wins, whichever level says it.
#[test]
fn intersection_takes_the_stricter_of_each() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let base = good().set("max", "3");
    let wider = base.clone().narrow(&[("max", "100")]);
    refused(&gateway.send(&Request::put(wider.url(), "aaaa")), 413, "too_large");
    let here_only = good().set("ip", "127.0.0.0/8").narrow(&[("ip", "192.0.2.0/24")]);
    refused(&gateway.get(here_only.url()), 403, "client_not_allowed");
    let ended = good().set("end", &from_now(-5)).narrow(&[("end", &from_now(500))]);
    refused(&gateway.get(ended.url()), 403, "expired");
    let begun = good().set("start", &from_now(500)).narrow(&[("start", &from_now(-500))]);
    refused(&gateway.get(begun.url()), 403, "not_yet_valid");
    let elsewhere = Key::new("/files/a", "read").set("path", "/files/b/").narrow(&[("path", "/files/")]);
    refused(&gateway.get(elsewhere.url()), 403, "out_of_scope");
    accepted(&gateway.get(good().narrow(&[("allow", "read"), ("ip", "127.0.0.1/32")]).url()), 200);
}

/// `read` holds `stat`, `write` holds `create`: a block may take the smaller of the two.
#[test]
fn verbs_intersect_by_what_they_hold() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let read = Key::new("/files/a", "read").narrow(&[("allow", "stat")]);
    accepted(&gateway.send(&Request::head(read.url())), 200);
    refused(&gateway.get(read.url()), 403, "not_allowed");
    let write = Key::new("/files/a", "write").narrow(&[("allow", "create")]);
    refused(&gateway.send(&Request::put(write.url(), "x")), 412, "already_exists");
    let create = Key::new("/files/new", "create").narrow(&[("allow", "write")]);
    accepted(&gateway.send(&Request::put(create.url(), "x")), 200);
    refused(&gateway.send(&Request::put(create.url(), "x")), 412, "already_exists");
    let nothing = Key::new("/files/a", "stat").narrow(&[("allow", "delete")]);
    refused(&gateway.send(&Request::head(nothing.url())), 403, "not_allowed");
    refused(&gateway.send(&Request::delete(nothing.url())), 403, "not_allowed");
}

fn good() -> Key {
    Key::new("/files/a", "read,write").set("path", "/files/")
}

fn send(gateway: &Gateway, key: &Key, breach: &Breach) -> Answer {
    let mut request = Request::new(breach.method, key.url());
    if breach.method == "PUT" {
        request = request.body(vec![b'x'; breach.size]);
    }
    gateway.send(&request)
}
