//! A configuration edited while the gateway runs: in force for the next request, whole or not at all.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::gateway::{Gateway, write_secret};
use valetkey_tests::http::Request;
use valetkey_tests::key::{Key, WEB_SECRET};
use valetkey_tests::process::wait_until;

/// The contract's bound for a change to be in force.
const IN_FORCE: Duration = Duration::from_secs(2);

const POLICY: &str = "[policies.guest]\nmax = \"5B\"\n";

/// A gateway with the policy `guest`.
fn gateway() -> Gateway {
    Gateway::builder().toml(POLICY).start()
}

fn key() -> Key {
    Key::new("/files/a", "read,write").set("policy", "guest")
}

/// Rewrites the configuration in place, as most editors do.
fn edit(gateway: &Gateway, from: &str, to: &str) {
    let text = fs::read_to_string(gateway.config_path()).unwrap();
    assert!(text.contains(from), "{from:?} in {text}");
    fs::write(gateway.config_path(), text.replacen(from, to, 1)).unwrap();
}

fn said(gateway: &Gateway, words: &str) {
    wait_until(IN_FORCE, words, || gateway.stderr().contains(words))
        .unwrap_or_else(|_| panic!("{words:?} in {}", gateway.stderr()));
}

#[track_caller]
fn within_two_seconds(what: &str, holds: impl FnMut() -> bool) {
    wait_until(IN_FORCE, what, holds).unwrap();
}

/// A090: a key that was handed out long ago is narrowed, and given back no more than it says itself.
#[test]
fn an_edited_policy_bounds_the_keys_that_name_it() {
    let gateway = gateway();
    let put = |body: &str| gateway.send(&Request::put(key().set("max", "20").url(), body.to_owned()));
    accepted(&put("12345"), 200);
    refused(&put("123456"), 413, "too_large");
    edit(&gateway, "max = \"5B\"", "max = \"4B\"");
    within_two_seconds("the narrower policy", || put("12345").reason() == "too_large");
    accepted(&put("1234"), 200);
    edit(&gateway, "max = \"4B\"", "max = \"100B\"");
    within_two_seconds("the wider policy", || put("12345").status == 200);
    accepted(&put(&"x".repeat(20)), 200);
    refused(&put(&"x".repeat(21)), 413, "too_large");
    edit(&gateway, "max = \"100B\"", "allow = [\"read\"]");
    within_two_seconds("a policy without uploads", || put("1").reason() == "not_allowed");
    edit(&gateway, POLICY.lines().next().unwrap(), "[policies.other]");
    within_two_seconds("no such policy", || put("1").reason() == "policy_missing");
}

#[test]
fn the_next_request_on_an_open_connection_obeys_it() {
    let gateway = gateway();
    let mut connection = gateway.connect();
    let mut put = || connection.exchange(&Request::put(key().url(), "12345")).unwrap();
    accepted(&put(), 200);
    edit(&gateway, "max = \"5B\"", "max = \"4B\"");
    said(&gateway, "is in force");
    refused(&put(), 413, "too_large");
}

#[test]
fn a_rotated_secret_goes_over_without_an_outage() {
    let gateway = Gateway::new();
    let old = Key::new("/files/a", "read,write");
    let new = old.clone().signed_by("web", "a new secret for the signer web");
    accepted(&gateway.send(&Request::put(old.url(), "x")), 200);
    refused(&gateway.get(new.url()), 403, "bad_signature");
    let signers = gateway.home().join("valetkey-data/signers");
    write_secret(&signers.join("web.2.secret"), "a new secret for the signer web").unwrap();
    edit(
        &gateway,
        "web.secret\"",
        "web.2.secret\"\nprevious_secret_file = \"valetkey-data/signers/web.secret\"",
    );
    within_two_seconds("the new secret", || {
        accepted(&gateway.get(old.url()), 200);
        gateway.get(new.url()).status == 200
    });
    edit(&gateway, "previous_secret_file", "# previous_secret_file");
    within_two_seconds("the old secret's end", || gateway.get(old.url()).reason() == "bad_signature");
    // The file that the configuration names is watched too.
    write_secret(&signers.join("web.2.secret"), WEB_SECRET).unwrap();
    within_two_seconds("the edited secret", || gateway.get(old.url()).status == 200);
    refused(&gateway.get(new.url()), 403, "bad_signature");
}

#[test]
fn a_faulty_edit_leaves_the_old_one_in_force_and_says_each_fault() {
    let gateway = gateway();
    let text = fs::read_to_string(gateway.config_path()).unwrap();
    // The first of these edits alone would be sound; none of it may come into force.
    let faulty = text.replace("max = \"5B\"", "max = \"4B\"\nusess = 1") + "[polices.x]\n";
    fs::write(gateway.config_path(), &faulty).unwrap();
    said(&gateway, "stays in force");
    for fault in ["usess", "polices"] {
        let line = 1 + faulty.lines().position(|line| line.contains(fault)).unwrap();
        assert!(gateway.stderr().contains(&format!("valetkey.toml:{line}:")), "{}", gateway.stderr());
    }
    accepted(&gateway.send(&Request::put(key().url(), "12345")), 200);
    let times = gateway.stderr().matches("stays in force").count();
    std::thread::sleep(IN_FORCE);
    assert_eq!(gateway.stderr().matches("stays in force").count(), times, "once for each edit");
    fs::write(gateway.config_path(), text.replace("max = \"5B\"", "max = \"4B\"")).unwrap();
    within_two_seconds("the mended edit", || {
        gateway.send(&Request::put(key().url(), "12345")).reason() == "too_large"
    });
}

#[test]
fn a_secret_that_is_open_to_others_or_gone_is_a_faulty_edit() {
    use std::os::unix::fs::PermissionsExt;
    let gateway = Gateway::new();
    let secret = gateway.home().join("valetkey-data/signers/web.secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    said(&gateway, "chmod 600");
    fs::remove_file(&secret).unwrap();
    said(&gateway, "No such file");
    accepted(&gateway.send(&Request::put(Key::new("/files/a", "write").url(), "x")), 200);
}

#[test]
fn a_file_replaced_by_rename_or_by_its_link_is_an_edit() {
    let gateway = gateway();
    let config = gateway.config_path();
    let with = |max: &str| {
        let text = fs::read_to_string(&config).unwrap();
        let at = text.find("[policies.guest]").unwrap();
        format!("{}[policies.guest]\nmax = \"{max}\"\n", &text[..at])
    };
    let too_large = || gateway.send(&Request::put(key().url(), "12345")).reason() == "too_large";
    let place = |name: &str, text: String| {
        let path = gateway.home().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    fs::rename(place("draft.toml", with("4B")), &config).unwrap();
    within_two_seconds("the renamed file", too_large);
    // As a mounted ConfigMap does it.
    std::os::unix::fs::symlink(place("one.toml", with("9B")), gateway.home().join("link")).unwrap();
    fs::rename(gateway.home().join("link"), &config).unwrap();
    within_two_seconds("the link", || !too_large());
    std::os::unix::fs::symlink(place("two.toml", with("4B")), gateway.home().join("link")).unwrap();
    fs::rename(gateway.home().join("link"), &config).unwrap();
    within_two_seconds("the link to another file", too_large);
}

/// A file cut off at the end of a line is sound TOML that lacks a limit.
#[test]
fn a_half_written_file_is_never_in_force() {
    let gateway = gateway();
    let text = fs::read_to_string(gateway.config_path()).unwrap();
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let begun = std::time::Instant::now();
    let mut written = String::new();
    for line in lines {
        written.push_str(line);
        fs::write(gateway.config_path(), &written).unwrap();
        refused(&gateway.send(&Request::put(key().url(), "123456")), 413, "too_large");
        accepted(&gateway.send(&Request::put(key().url(), "12345")), 200);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(begun.elapsed() > IN_FORCE, "a slow writer");
    // One that stays empty would refuse every key.
    fs::write(gateway.config_path(), "").unwrap();
    said(&gateway, "neither a bucket nor a signer");
    accepted(&gateway.send(&Request::put(key().url(), "12345")), 200);
}

#[test]
fn buckets_come_and_go() {
    let gateway = gateway();
    let more = "[backends.second]\nkind = \"disk\"\nroot = \"second\"\n\
                [buckets.more]\nbackend = \"second\"\n[buckets.beside]\nbackend = \"local\"\nprefix = \"beside/\"\n";
    edit(&gateway, "\"/other/\"]", "\"/other/\", \"/more/\", \"/beside/\"]");
    let text = fs::read_to_string(gateway.config_path()).unwrap();
    fs::write(gateway.config_path(), text.clone() + more).unwrap();
    let put = |path: &str| gateway.send(&Request::put(Key::new(path, "write").url(), "x"));
    within_two_seconds("the new buckets", || put("/more/a").status == 200);
    accepted(&put("/beside/a"), 200);
    assert!(Path::exists(&gateway.home().join("second/a")) && gateway.file_of("/beside/a").exists());
    let without = text.replace(", \"/more/\", \"/beside/\"", "");
    fs::write(gateway.config_path(), without).unwrap();
    within_two_seconds("the buckets are gone", || put("/more/b").reason() == "out_of_scope");
    refused(&put("/beside/b"), 403, "out_of_scope");
    assert!(gateway.home().join("second/a").exists(), "objects stay");
}

#[test]
fn what_cannot_change_is_said_and_stays() {
    let gateway = gateway();
    let text = fs::read_to_string(gateway.config_path()).unwrap();
    let edited = text
        .replace(&format!("listen = \"{}\"", gateway.address()), "listen = \"127.0.0.1:1\"\nworkers = 1")
        .replace("ledger.db", "elsewhere.db")
        .replace("max = \"5B\"", "max = \"4B\"");
    fs::write(gateway.config_path(), edited).unwrap();
    within_two_seconds("the rest of the edit", || {
        gateway.send(&Request::put(key().url(), "12345")).reason() == "too_large"
    });
    for name in ["server.listen", "server.workers", "[ledger]"] {
        assert!(gateway.stderr().contains(&format!("{name} cannot change")), "{}", gateway.stderr());
    }
    assert!(!gateway.home().join("valetkey-data/elsewhere.db").exists());
}

#[test]
fn a_hangup_reads_it_at_once() {
    let mut gateway = gateway();
    let pid = Pid::from_raw(i32::try_from(gateway.pid()).unwrap()).unwrap();
    let times = || gateway.stderr().matches("is in force").count();
    kill_process(pid, Signal::HUP).unwrap();
    within_two_seconds("read again", || times() == 1);
    edit(&gateway, "max = \"5B\"", "max = \"4B\"");
    kill_process(pid, Signal::HUP).unwrap();
    wait_until(Duration::from_millis(400), "at once", || times() == 2).unwrap();
    refused(&gateway.send(&Request::put(key().url(), "12345")), 413, "too_large");
    assert!(gateway.is_running());
}

/// An upload goes on under the configuration that it began with, and a use stays a use.
#[test]
fn what_runs_is_not_disturbed() {
    let gateway = gateway();
    let counted = key().set("uses", "1").set("id", "once").set("max", "5");
    let mut connection = gateway.connect();
    let head = Request::new("PUT", counted.url()).header("Content-Length", "5");
    connection.send(&head.head_bytes()).unwrap();
    connection.send(b"12").unwrap();
    edit(&gateway, "max = \"5B\"", "max = \"4B\"");
    said(&gateway, "is in force");
    connection.send(b"345").unwrap();
    accepted(&connection.read_answer("PUT").unwrap(), 200);
    refused(&gateway.send(&Request::put(counted.url(), "1234")), 403, "uses_exhausted");
}
