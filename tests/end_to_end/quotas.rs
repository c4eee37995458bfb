//! What the house counts over many keys, what it tells of it, and what it only tries out.

use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::Request;
use valetkey_tests::key::Key;

fn with_policy(lines: &str) -> Gateway {
    Gateway::builder().toml(lines).start()
}

/// A key under policy `p`, of this id.
fn key(object: &str, allow: &str, id: &str) -> Key {
    Key::new(object, allow).set("policy", "p").set("id", id)
}

fn put(gateway: &Gateway, key: &Key, bytes: usize) -> valetkey_tests::http::Answer {
    gateway.send(&Request::put(key.url(), vec![1; bytes]))
}

#[test]
fn a_total_is_shared_by_all_keys_of_a_policy() {
    let gateway = with_policy("[policies.p]\n[policies.p.total]\nin = 100\nfiles = 2\nout = \"1KiB\"");
    accepted(&put(&gateway, &key("/files/a", "write", "one"), 60), 200);
    let mut connection = gateway.connect();
    let over = Request::new("PUT", key("/files/a", "write", "two").url());
    let over = over.header("Content-Length", "41").header("Expect", "100-continue");
    connection.send(&over.head_bytes()).unwrap();
    let answer = connection.read_answer("PUT").unwrap();
    refused(&answer, 507, "quota_exceeded");
    assert!(answer.interim.is_empty());
    accepted(&put(&gateway, &key("/files/b", "write", "two"), 40), 200);
    refused(&put(&gateway, &key("/files/c", "write", "three"), 0), 507, "quota_exceeded");
    accepted(&put(&gateway, &key("/files/a", "write", "four"), 0), 200);
    gateway.plant("/files/big", vec![1; 600]);
    let answer = gateway.get(key("/files/big", "read", "five").url());
    accepted(&answer, 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    refused(&gateway.get(key("/files/big", "read", "six").url()), 507, "quota_exceeded");
    // Another policy's keys, and those of none, have nothing to do with it.
    accepted(&put(&gateway, &Key::new("/files/z", "write"), 500), 200);
}

#[test]
fn each_subject_has_an_account_and_those_that_name_none_share_one() {
    let gateway = with_policy("[policies.p]\n[policies.p.per_subject]\nfiles = 1");
    let of =
        |subject: &str, id: &str| key("/files/a", "write", id).set("path", "/files/").set("subject", subject);
    accepted(&put(&gateway, &of("ann", "1"), 1), 200);
    refused(&put(&gateway, &of("ann", "2").on("/files/b"), 1), 507, "quota_exceeded");
    accepted(&put(&gateway, &of("bob", "3").on("/files/b"), 1), 200);
    let nobody = |id: &str| key("/files/c", "write", id).set("path", "/files/");
    accepted(&put(&gateway, &nobody("4"), 1), 200);
    refused(&put(&gateway, &nobody("5").on("/files/d"), 1), 507, "quota_exceeded");
}

#[test]
fn transfers_at_once_are_shared_by_a_quota_too() {
    let gateway = with_policy("[policies.p]\n[policies.p.total]\nparallel = 1");
    gateway.plant("/files/a", vec![1; 64 << 20]);
    let mut connection = gateway.connect();
    connection.send(&Request::get(key("/files/a", "read", "1").url()).head_bytes()).unwrap();
    assert_eq!(connection.read_head().unwrap().status, 200);
    refused(&gateway.get(key("/files/a", "read", "2").url()), 429, "rate_limited");
}

#[test]
fn a_policy_may_have_its_keys_told_what_is_left() {
    let gateway = with_policy(
        "[policies.p]\ntell = true\nuses = 5\n[policies.p.total]\nin = 100\n[policies.quiet]\nuses = 5",
    );
    let writer = key("/files/a", "delete,read,write", "1").set("files", "3").set("path", "/files/");
    let told = |answer: &valetkey_tests::http::Answer| answer.header("x-valetkey-left").map(str::to_owned);
    assert_eq!(told(&put(&gateway, &writer, 10)).as_deref(), Some("uses=4, in=90, files=2"));
    let narrowed = writer.clone().narrow(&[("uses", "1"), ("id", "x")]);
    assert_eq!(told(&gateway.get(narrowed.url())).as_deref(), Some("uses=0, in=90, files=2"));
    assert_eq!(told(&gateway.send(&Request::head(writer.url()))).as_deref(), Some("uses=3, in=90, files=2"));
    assert_eq!(
        told(&gateway.send(&Request::delete(writer.url()))).as_deref(),
        Some("uses=2, in=90, files=2")
    );
    assert_eq!(told(&gateway.get(narrowed.url())), None);
    let quiet = Key::new("/files/b", "write").set("policy", "quiet");
    assert_eq!(told(&put(&gateway, &quiet, 1)), None);
}

#[test]
fn a_dry_run_refuses_nothing_and_says_what_it_would() {
    let gateway = with_policy(
        "[policies.p]\ndry_run = true\nallow = [\"create\"]\nmax = 10\nuses = 1\nmax_lifetime = \"7d\"\n\
         [policies.p.total]\nin = 1\n",
    );
    gateway.plant("/files/a", "a");
    let reader = key("/files/a", "read", "reads");
    for _ in 0..3 {
        accepted(&gateway.get(reader.url()), 200);
    }
    let writer = key("/files/b", "create", "writes");
    accepted(&put(&gateway, &writer, 11), 200);
    accepted(&put(&gateway, &key("/files/c", "create", "well"), 10), 200);
    let log = gateway.stderr();
    let said: Vec<_> = log.lines().filter(|line| line.contains("a dry run would have refused")).collect();
    assert_eq!(said.len(), 4, "{log}");
    for line in &said {
        assert!(line.contains("policies=\"p\"") || line.contains("policies=p"), "{line}");
        assert!(!line.contains("vk-"), "{line}");
    }
    for line in &said[..3] {
        assert!(line.contains("not_allowed") && line.contains(&reader.fingerprint()), "{line}");
    }
    assert!(said[3].contains("too_large") && said[3].contains(&writer.fingerprint()), "{}", said[3]);
    // A key that is refused without it is refused, and nothing is said.
    refused(&put(&gateway, &key("/files/d", "read", "no"), 1), 403, "not_allowed");
    assert_eq!(gateway.stderr().matches("a dry run would have refused").count(), 4);
}
