//! Use counts: exact across threads, clients, restarts and kills, and free where the contract says free.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{self, Request};
use valetkey_tests::key::Key;
use valetkey_tests::process::wait_until;

/// A counted key on one object.
fn counted(object: &str, allow: &str, uses: u32) -> Key {
    Key::new(object, allow).set("uses", &uses.to_string())
}

/// GETs from as many threads as there are user agents; how often each (status, reason) came.
fn storm(address: SocketAddr, url: &str, agents: &[String]) -> BTreeMap<(u16, String), usize> {
    let answers: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = agents
            .iter()
            .map(|agent| {
                scope.spawn(move || {
                    http::send(address, &Request::get(url).header("User-Agent", agent)).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry((answer.status, answer.reason().to_owned())).or_default() += 1;
    }
    counts
}

fn agents(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("agent-{number}")).collect()
}

fn ranged(key: &Key, range: &str) -> Request {
    Request::get(key.url()).header("Range", format!("bytes={range}"))
}

#[test]
fn two_hundred_clients_at_once_share_three_uses() {
    let gateway = Gateway::new();
    gateway.plant("/files/a.bin", vec![7; 4096]);
    let key = counted("/files/a.bin", "read", 3);
    let counts = storm(gateway.address(), &key.url(), &agents(200));
    let expected = BTreeMap::from([((200, String::new()), 3), ((403, "uses_exhausted".to_owned()), 197)]);
    assert_eq!(counts, expected);
}

#[test]
fn one_client_two_hundred_times_gets_three() {
    let gateway = Gateway::new();
    gateway.plant("/files/a.bin", "ten bytes!");
    let key = counted("/files/a.bin", "read", 3);
    let same = vec!["one client".to_owned(); 200];
    let counts = storm(gateway.address(), &key.url(), &same);
    let expected = BTreeMap::from([((200, String::new()), 3), ((403, "uses_exhausted".to_owned()), 197)]);
    assert_eq!(counts, expected);
}

#[test]
fn refusals_and_answers_without_a_body_are_free() {
    let gateway = Gateway::new();
    gateway.plant("/files/u/a.bin", "0123456789");
    let key = counted("/files/u/a.bin", "read", 1).set("path", "/files/u/");
    for _ in 0..10 {
        let head = gateway.send(&Request::head(key.url()));
        accepted(&head, 200);
        let etag = head.header("etag").unwrap();
        accepted(&gateway.send(&Request::get(key.url()).header("If-None-Match", etag)), 304);
        refused(
            &gateway.send(&Request::get(key.url()).header("If-Match", "\"other\"")),
            412,
            "precondition_failed",
        );
        assert_eq!(gateway.send(&ranged(&key, "10-")).status, 416);
        refused(&gateway.get(key.clone().on("/files/u/absent").url()), 404, "not_found");
        refused(&gateway.get(key.clone().on("/files/elsewhere").url()), 403, "out_of_scope");
        refused(&gateway.send(&Request::put(key.url(), "x")), 403, "not_allowed");
        refused(&gateway.get(key.url() + "&response-content-type=text/html"), 400, "bad_request");
        refused(&gateway.get(key.url_with_sig(&"A".repeat(43))), 403, "bad_signature");
        gateway.send(&Request::new("OPTIONS", key.url()));
    }
    accepted(&gateway.get(key.url()), 200);
    let other = Request::get(key.url()).header("User-Agent", "another");
    refused(&gateway.send(&other), 403, "uses_exhausted");
    // A spent key may still look.
    accepted(&gateway.send(&Request::head(key.url())), 200);
}

#[test]
fn ranges_of_one_client_ride_on_one_use_to_a_quarter_over_the_size() {
    let gateway = Gateway::new();
    gateway.plant("/files/a.bin", vec![1; 1000]);
    let key = counted("/files/a.bin", "read", 1);
    for part in 0..10 {
        let range = format!("{}-{}", part * 100, part * 100 + 99);
        accepted(&gateway.send(&ranged(&key, &range)), 206);
    }
    accepted(&gateway.send(&ranged(&key, "0-249")), 206);
    refused(&gateway.send(&ranged(&key, "0-0")), 403, "uses_exhausted");
}

#[test]
fn sixty_ranges_at_once_are_one_use() {
    let gateway = Gateway::new();
    gateway.plant("/files/a.pdf", vec![1; 60_000]);
    let key = counted("/files/a.pdf", "read", 1);
    let address = gateway.address();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let threads: Vec<_> = (0..60)
            .map(|part| {
                let request = ranged(&key, &format!("{}-{}", part * 1000, part * 1000 + 999));
                scope.spawn(move || http::send(address, &request).unwrap().status)
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses, vec![206; 60]);
    let other = ranged(&key, "0-0").header("User-Agent", "another");
    refused(&gateway.send(&other), 403, "uses_exhausted");
}

#[test]
fn all_but_the_last_byte_again_is_another_use() {
    let gateway = Gateway::new();
    gateway.plant("/files/a.bin", vec![1; 1000]);
    let key = counted("/files/a.bin", "read", 2);
    accepted(&gateway.send(&ranged(&key, "0-998")), 206);
    accepted(&gateway.send(&ranged(&key, "0-998")), 206);
    refused(&gateway.send(&ranged(&key, "0-998")), 403, "uses_exhausted");
}

/// They share the account, and nothing that one of them paid for.
#[test]
fn keys_under_one_quota_share_no_lease() {
    let gateway = Gateway::builder()
        .toml("[policies.small]\n[policies.small.total]\nout = \"1GiB\"\n[policies.small.per_subject]\nparallel = 9\n")
        .start();
    gateway.plant("/files/a", "0123456789");
    let key = |id: &str| counted("/files/a", "read", 1).set("id", id).set("policy", "small");
    accepted(&gateway.get(key("one").url()), 200);
    accepted(&gateway.get(key("two").url()), 200);
    // The lease of each has two bytes left of the quarter more.
    for id in ["one", "two"] {
        accepted(&gateway.send(&ranged(&key(id), "0-1")), 206);
        refused(&gateway.send(&ranged(&key(id), "0-1")), 403, "uses_exhausted");
    }
}

#[test]
fn each_object_and_each_version_of_it_is_a_use() {
    let gateway = Gateway::new();
    gateway.plant("/files/u/a", "aaaa");
    gateway.plant("/files/u/b", "bbbb");
    let key = |name: &str| counted(name, "read", 3).set("path", "/files/u/").set("id", "versions");
    accepted(&gateway.send(&ranged(&key("/files/u/a"), "0-0")), 206);
    accepted(&gateway.send(&ranged(&key("/files/u/b"), "0-0")), 206);
    let writer = Key::new("/files/u/a", "write");
    accepted(&gateway.send(&Request::put(writer.url(), "AAAA")), 200);
    accepted(&gateway.send(&ranged(&key("/files/u/a"), "0-0")), 206);
    accepted(&gateway.send(&Request::put(writer.url(), "aAaA")), 200);
    refused(&gateway.send(&ranged(&key("/files/u/a"), "0-0")), 403, "uses_exhausted");
    // The lease on what has not changed is still open.
    accepted(&gateway.send(&ranged(&key("/files/u/b"), "1-1")), 206);
}

#[test]
fn lease_ends_after_its_last_request() {
    let gateway = Gateway::builder().server("lease = \"1s\"").start();
    gateway.plant("/files/a.bin", vec![1; 1000]);
    let key = counted("/files/a.bin", "read", 1);
    accepted(&gateway.send(&ranged(&key, "0-9")), 206);
    accepted(&gateway.send(&ranged(&key, "10-19")), 206);
    thread::sleep(Duration::from_millis(2500));
    refused(&gateway.send(&ranged(&key, "20-29")), 403, "uses_exhausted");
}

#[test]
fn answered_empty_object_is_a_use() {
    let gateway = Gateway::new();
    gateway.plant("/files/empty", "");
    let key = counted("/files/empty", "read", 1);
    accepted(&gateway.get(key.url()), 200);
    let other = Request::get(key.url()).header("User-Agent", "another");
    refused(&gateway.send(&other), 403, "uses_exhausted");
}

#[test]
fn upload_is_one_use_and_an_aborted_one_gives_it_back() {
    let gateway = Gateway::new();
    let key = counted("/files/a.bin", "write", 1);
    for _ in 0..3 {
        let mut connection = gateway.connect();
        let head = Request::new("PUT", key.url()).header("Content-Length", "1000").head_bytes();
        connection.send(&head).unwrap();
        connection.send(&[1; 100]).unwrap();
    }
    // The gateway learns of a vanished client a moment later.
    wait_until(Duration::from_secs(10), "the use is given back", || {
        gateway.send(&Request::put(key.url(), "whole")).status == 200
    })
    .unwrap();
    refused(&gateway.send(&Request::put(key.url(), "again")), 403, "uses_exhausted");
    assert_eq!(std::fs::read(gateway.file_of("/files/a.bin")).unwrap(), b"whole");
}

#[test]
fn use_is_held_while_an_upload_runs() {
    let gateway = Gateway::new();
    let key = counted("/files/u/a", "write", 1).set("path", "/files/u/");
    let mut connection = gateway.connect();
    let head = Request::new("PUT", key.url())
        .header("Content-Length", "4")
        .header("Expect", "100-continue")
        .head_bytes();
    connection.send(&head).unwrap();
    assert_eq!(connection.read_head().unwrap().status, 100, "the use is held before the body is asked for");
    refused(&gateway.send(&Request::put(key.clone().on("/files/u/b").url(), "no")), 403, "uses_exhausted");
    connection.send(b"body").unwrap();
    accepted(&connection.read_answer("PUT").unwrap(), 200);
    assert!(!gateway.file_of("/files/u/b").exists());
}

#[test]
fn refused_uploads_are_free() {
    let gateway = Gateway::new();
    gateway.plant("/files/u/there", "old");
    let key =
        counted("/files/u/there", "create", 1).set("path", "/files/u/").set("max", "10").set("min", "2");
    refused(&gateway.send(&Request::put(key.url(), "new")), 412, "already_exists");
    let fresh = key.clone().on("/files/u/fresh");
    refused(&gateway.send(&Request::put(fresh.url(), "0123456789a")), 413, "too_large");
    refused(&gateway.send(&Request::put(fresh.url(), "0")), 400, "too_small");
    let over = Request::put(fresh.url(), http::chunked(&[1; 11], 4)).header("Transfer-Encoding", "chunked");
    refused(&gateway.send(&over), 413, "too_large");
    let under = Request::put(fresh.url(), http::chunked(&[1; 1], 4)).header("Transfer-Encoding", "chunked");
    refused(&gateway.send(&under), 400, "too_small");
    refused(
        &gateway.send(&Request::put(key.clone().on("/files/u/there/below").url(), "new")),
        409,
        "name_conflict",
    );
    accepted(&gateway.send(&Request::put(fresh.url(), "new")), 200);
    refused(&gateway.send(&Request::put(key.on("/files/u/more").url(), "new")), 403, "uses_exhausted");
}

#[test]
fn delete_of_nothing_is_free_and_of_something_a_use() {
    let gateway = Gateway::new();
    gateway.plant("/files/u/a", "a");
    gateway.plant("/files/u/b", "b");
    let key = counted("/files/u/absent", "delete", 1).set("path", "/files/u/");
    for _ in 0..5 {
        accepted(&gateway.send(&Request::delete(key.url())), 204);
    }
    accepted(&gateway.send(&Request::delete(key.clone().on("/files/u/a").url())), 204);
    assert!(!gateway.file_of("/files/u/a").exists());
    refused(&gateway.send(&Request::delete(key.on("/files/u/b").url())), 403, "uses_exhausted");
    assert!(gateway.file_of("/files/u/b").exists());
}

#[test]
fn children_share_their_parents_count() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let parent = counted("/files/a", "read", 3).set("id", "parent");
    let child = |name: &str| parent.clone().narrow(&[("id", name), ("uses", "2")]);
    let get = |key: &Key, agent: &str| gateway.send(&Request::get(key.url()).header("User-Agent", agent));
    accepted(&get(&child("one"), "a"), 200);
    accepted(&get(&child("one"), "b"), 200);
    refused(&get(&child("one"), "c"), 403, "uses_exhausted");
    // The refused third took nothing from the parent: one is left for the second child, none for a third.
    accepted(&get(&child("two"), "a"), 200);
    refused(&get(&child("two"), "b"), 403, "uses_exhausted");
    refused(&get(&child("three"), "a"), 403, "uses_exhausted");
    refused(&get(&parent, "d"), 403, "uses_exhausted");
    // A narrowing without limits of its own is charged to its parent all the same.
    refused(&get(&parent.clone().narrow(&[("allow", "read")]), "e"), 403, "uses_exhausted");
}

#[test]
fn narrowing_an_uncounted_key_counts_only_below() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let parent = Key::new("/files/a", "read");
    let child = parent.clone().narrow(&[("uses", "1")]);
    let get = |key: &Key, agent: &str| gateway.send(&Request::get(key.url()).header("User-Agent", agent));
    accepted(&get(&child, "a"), 200);
    refused(&get(&child, "b"), 403, "uses_exhausted");
    accepted(&get(&parent, "c"), 200);
    refused(&get(&child.clone().narrow(&[("uses", "5")]), "a"), 403, "uses_exhausted");
}

#[test]
fn base_keys_of_one_id_share_one_count() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    gateway.plant("/files/b", "bbbb");
    let small = counted("/files/a", "read", 2).set("id", "shared");
    let large = counted("/files/b", "read", 3).set("id", "shared").set("subject", "someone");
    let get = |key: &Key, agent: &str| gateway.send(&Request::get(key.url()).header("User-Agent", agent));
    accepted(&get(&small, "a"), 200);
    accepted(&get(&large, "a"), 200);
    refused(&get(&small, "b"), 403, "uses_exhausted");
    accepted(&get(&large, "b"), 200);
    refused(&get(&large, "c"), 403, "uses_exhausted");
    // Another id, no id, and an id that spells the fingerprint are other keys.
    accepted(&get(&counted("/files/a", "read", 1).set("id", "own"), "a"), 200);
    let nameless = counted("/files/a", "read", 1);
    accepted(&get(&nameless, "a"), 200);
    accepted(&get(&counted("/files/a", "read", 1).set("id", &nameless.fingerprint()), "a"), 200);
}

#[test]
fn signers_with_the_same_key_id_do_not_share() {
    let secret = "second secret second secret second secret";
    let gateway =
        Gateway::builder().signer("second", secret, "scope = [\"/files/\"]\nallow = [\"read\"]").start();
    gateway.plant("/files/a", "aaaa");
    let key = counted("/files/a", "read", 1).set("id", "same");
    accepted(&gateway.get(key.url()), 200);
    accepted(&gateway.get(key.signed_by("second", secret).url()), 200);
}

#[test]
fn counts_survive_restarts_and_kills() {
    let mut gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let key = counted("/files/a", "read", 3);
    accepted(&gateway.get(key.url()), 200);
    gateway.restart().unwrap();
    accepted(&gateway.get(key.url()), 200);
    gateway.kill9().unwrap();
    gateway.start().unwrap();
    accepted(&gateway.get(key.url()), 200);
    refused(&gateway.get(key.url()), 403, "uses_exhausted");
    gateway.kill9().unwrap();
    gateway.start().unwrap();
    refused(&gateway.get(key.url()), 403, "uses_exhausted");
}
