//! `valetkey narrow`: a lesser key, offline, from nothing but a URL.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::Request;
use valetkey_tests::key::{Key, from_now};
use valetkey_tests::process::{binary, valetkey};

/// Runs it where there is no configuration.
fn narrow(url: &str, limits: &[&str]) -> Output {
    let nowhere = tempfile::tempdir().unwrap();
    valetkey(nowhere.path(), [&["narrow", url], limits].concat()).unwrap()
}

#[track_caller]
fn narrowed(url: &str, limits: &[&str]) -> String {
    let output = narrow(url, limits);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let url = text.strip_suffix('\n').unwrap();
    assert!(!url.contains(['\n', ' ']), "the URL stands alone: {text:?}");
    url.to_owned()
}

#[test]
fn a_lesser_key_opens_less_and_the_first_still_opens_all() {
    let gateway = Gateway::new();
    let whole = Key::new("/files/a b", "read,write").set("id", "whole").set("max", "10").url();
    let put = |url: &str, body: &str| gateway.send(&Request::put(url, body));
    accepted(&put(&narrowed(&whole, &["--max", "5"]), "12345"), 200);
    refused(&put(&narrowed(&whole, &["--max", "5"]), "123456"), 413, "too_large");
    refused(&put(&narrowed(&whole, &["--max", "50"]), "12345678901"), 413, "too_large");
    refused(&put(&narrowed(&whole, &["--allow", "read"]), "1"), 403, "not_allowed");
    accepted(&gateway.get(narrowed(&whole, &["--allow", "read"])), 200);
    refused(&gateway.get(narrowed(&whole, &["--end", &from_now(-5)])), 403, "expired");
    refused(&gateway.get(narrowed(&whole, &["--ip", "192.0.2.0/24"])), 403, "client_not_allowed");
    refused(
        &gateway.get(narrowed(&whole, &["--start", &from_now(600), "--expires", "1h"])),
        403,
        "not_yet_valid",
    );
    accepted(&put(&whole, "1234567890"), 200);
    // And again, down to the eighth.
    let mut least = whole.clone();
    for max in 1..=8 {
        least = narrowed(&least, &["--max", &(10 - max).to_string()]);
    }
    refused(&put(&least, "123"), 413, "too_large");
    accepted(&put(&least, "12"), 200);
    assert_eq!(narrow(&least, &["--max", "1"]).status.code(), Some(1), "a ninth");
}

/// Each lesser key is one of its own, and all share what the first one has.
#[test]
fn lesser_keys_are_counted_each_and_all_together() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let whole = Key::new("/files/a", "read").set("id", "whole").set("uses", "3").url();
    // Two clients, so that the second is no continuation of the first.
    let get = |url: &str, client: &str| gateway.send(&Request::get(url).header("User-Agent", client));
    let (one, other) = (narrowed(&whole, &["--uses", "1"]), narrowed(&whole, &["--uses", "1"]));
    assert_ne!(one, other);
    accepted(&get(&one, "a"), 200);
    refused(&get(&one, "b"), 403, "uses_exhausted");
    accepted(&get(&other, "b"), 200);
    accepted(&get(&whole, "c"), 200);
    refused(&get(&narrowed(&whole, &["--uses", "1"]), "d"), 403, "uses_exhausted");
}

#[test]
fn a_key_for_a_folder_becomes_one_for_an_object_in_it() {
    let gateway = Gateway::new();
    gateway.plant("/files/d/a b+ü.txt", "aaaa");
    gateway.plant("/files/d/other", "bbbb");
    for folder in [
        Key::new("/files/d/", "read").url(),
        Key::new("/files/d/x", "read").set("path", "/files/d/").url(),
        format!("http://{}{}#fragment", gateway.address(), Key::new("/files/d/", "read").url()),
    ] {
        let url = narrowed(&folder, &["--scope", "/files/d/a b+ü.txt"]);
        let target = url.strip_prefix(&format!("http://{}", gateway.address())).unwrap_or(&url);
        assert!(target.starts_with("/files/d/a%20b%2B%C3%BC.txt?"), "{target}");
        let answer = gateway.get(target);
        accepted(&answer, 200);
        assert_eq!(answer.body, b"aaaa");
        let query = target.split_once('?').unwrap().1;
        refused(&gateway.get(format!("/files/d/other?{query}")), 403, "out_of_scope");
        let outside = narrow(&folder, &["--scope", "/files/e"]);
        assert_eq!(outside.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&outside.stderr).contains("/files/d/"));
        assert_eq!(narrow(&url, &["--scope", "/files/d/other"]).status.code(), Some(1));
    }
}

#[test]
fn what_cannot_be_narrowed_is_refused() {
    let whole = Key::new("/files/a", "read").url();
    for url in ["/files/a", "nonsense", "/files/a?vk-signer=web", "/files/a?vk-max=05&vk-sig=x", "/a/../b?x"]
    {
        let output = narrow(url, &["--uses", "1"]);
        assert_eq!(output.status.code(), Some(1), "{url}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{url}");
    }
    for limits in [
        &[][..],
        &["--allow"],
        &["--allow", "fly"],
        &["--uses", "0"],
        &["--subject", "me"],
        &["--policy", "mine"],
        &["--signer", "web"],
        &["--renew", "2030-01-01T00:00:00Z"],
        &["--end", "2030-01-01T00:00:00Z", "--expires", "1h"],
    ] {
        assert_eq!(narrow(&whole, limits).status.code(), Some(2), "{limits:?}");
    }
    assert_eq!(narrow(&whole, &["--min", "5", "--max", "4"]).status.code(), Some(1));
}

#[test]
fn the_url_may_come_from_standard_input_and_the_answer_be_json() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let mut child = Command::new(binary())
        .args(["narrow", "-", "--json", "--uses", "1", "--id", "lesser"])
        .current_dir(Path::new("/"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{}", Key::new("/files/a", "read").url()).unwrap();
    let output = child.wait_with_output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["id"], "lesser");
    let url = told["url"].as_str().unwrap();
    assert!(url.contains("vk-id.1=lesser") && url.contains("vk-uses.1=1"), "{url}");
    accepted(&gateway.get(url), 200);
    let recorded = || std::fs::read_to_string(gateway.audit_path()).unwrap();
    let fingerprint = told["fingerprint"].as_str().unwrap().to_owned();
    valetkey_tests::process::wait_until(std::time::Duration::from_secs(3), "its record", || {
        recorded().contains(&fingerprint)
    })
    .unwrap();
}
