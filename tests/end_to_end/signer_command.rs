//! `valetkey signer`: secrets that are made, and exchanged while the gateway runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::Request;
use valetkey_tests::key::{Key, WEB_SECRET};
use valetkey_tests::process::{valetkey, wait_until};

fn run(gateway: &Gateway, arguments: &[&str]) -> Output {
    valetkey(gateway.home(), arguments).unwrap()
}

#[track_caller]
fn done(gateway: &Gateway, arguments: &[&str]) -> String {
    let output = run(gateway, arguments);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn not_done(gateway: &Gateway, arguments: &[&str]) -> String {
    let (before, files) = (configuration(gateway), secrets(gateway));
    let output = run(gateway, arguments);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((configuration(gateway), secrets(gateway)), (before, files), "nothing is left behind");
    String::from_utf8(output.stderr).unwrap()
}

fn configuration(gateway: &Gateway) -> String {
    fs::read_to_string(gateway.config_path()).unwrap()
}

/// Every secret's file, and what it holds.
fn secrets(gateway: &Gateway) -> Vec<(String, String)> {
    let entries = fs::read_dir(gateway.home().join("valetkey-data/signers")).unwrap();
    let mut found: Vec<_> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .collect();
    found.sort();
    found
}

fn secret(gateway: &Gateway, name: &str) -> String {
    let path = gateway.home().join("valetkey-data/signers").join(name);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::read_to_string(path).unwrap().trim_end().to_owned()
}

#[track_caller]
fn within_two_seconds(what: &str, holds: impl FnMut() -> bool) {
    wait_until(Duration::from_secs(2), what, holds).unwrap();
}

fn signed(gateway: &Gateway, arguments: &[&str]) -> String {
    let url = done(gateway, &[&["sign"], arguments].concat());
    url.trim_end().strip_prefix(&format!("http://{}", gateway.address())).unwrap().to_owned()
}

#[test]
fn a_new_signer_signs_within_two_seconds() {
    let gateway = Gateway::builder().toml("# the last line").start();
    gateway.plant("/files/a", "aaaa");
    let before = configuration(&gateway);
    let told = done(&gateway, &["signer", "new", "app"]);
    assert!(told.contains("valetkey-data/signers/app.secret") && told.contains("/files/, "), "{told}");
    let secret = secret(&gateway, "app.secret");
    assert!(secret.len() >= 43 && !told.contains(&secret));
    let after = configuration(&gateway);
    assert!(before.lines().all(|line| after.contains(line)), "nothing that was typed is lost: {after}");
    let url = signed(&gateway, &["/files/a", "--allow", "read", "--signer", "app"]);
    within_two_seconds("the new signer", || gateway.get(&url).status == 200);
    accepted(&gateway.get(Key::new("/files/a", "read").signed_by("app", &secret).url()), 200);
    assert_eq!(run(&gateway, &["check"]).status.code(), Some(0));
    assert!(not_done(&gateway, &["signer", "new", "app"]).contains("there already"));
}

#[test]
fn a_new_signer_has_the_limits_that_were_asked_for() {
    let gateway = Gateway::new();
    done(
        &gateway,
        &["signer", "new", "app", "--scope", "/files/in", "--allow", "write,create", "--max-lifetime", "1h"],
    );
    let key = |object: &str, allow: &str| {
        Key::new(object, allow).set("max", "9").signed_by("app", &secret(&gateway, "app.secret"))
    };
    // A path without a slash is one object.
    let put = |key: Key| gateway.send(&Request::put(key.set("end", &in_half_an_hour()).url(), "x"));
    within_two_seconds("the new signer", || put(key("/files/in", "write")).status == 200);
    refused(&put(key("/files/other", "write")), 403, "out_of_scope");
    refused(&gateway.get(key("/files/in", "read").set("end", &in_half_an_hour()).url()), 403, "not_allowed");
    let long = key("/files/in", "write").set("end", &valetkey_tests::key::from_now(7200));
    refused(&gateway.send(&Request::put(long.url(), "x")), 403, "lifetime_too_long");
    assert!(not_done(&gateway, &["signer", "new", "b", "--scope", "/nowhere/"]).contains("/nowhere/"));
    for wrong in [&["new"][..], &["new", "We_b"], &["new", "b", "--allow", "fly"], &["rotate"], &[]] {
        let output = run(&gateway, &[&["signer"], wrong].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}

fn in_half_an_hour() -> String {
    valetkey_tests::key::from_now(1800)
}

#[test]
fn nothing_that_exists_is_overwritten() {
    let gateway = Gateway::new();
    let path = gateway.home().join("valetkey-data/signers/app.secret");
    fs::write(&path, "somebody's own").unwrap();
    assert!(not_done(&gateway, &["signer", "new", "app"]).contains("app.secret"));
    done(&gateway, &["signer", "new", "app", "--secret-file", "elsewhere/app"]);
    assert_eq!(fs::read_to_string(path).unwrap(), "somebody's own");
    let folder = gateway.home().join("elsewhere");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(configuration(&gateway).contains("secret_file = \"elsewhere/app\""));
    // A bucket serves this folder.
    assert!(
        not_done(&gateway, &["signer", "new", "b", "--secret-file", "valetkey-data/objects/files/b"])
            .contains("bucket files")
    );
}

#[test]
fn rotation_is_no_outage() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let old = Key::new("/files/a", "read");
    let by = |secret: &str| Key::new("/files/a", "read").signed_by("web", secret);
    let told = done(&gateway, &["signer", "rotate", "web"]);
    assert!(told.contains("web.2.secret") && told.contains("still open"), "{told}");
    let second = secret(&gateway, "web.2.secret");
    within_two_seconds("the new secret", || {
        accepted(&gateway.get(old.url()), 200);
        gateway.get(by(&second).url()).status == 200
    });
    assert_eq!(secret(&gateway, "web.secret"), WEB_SECRET, "the old secret stays where it is");
    accepted(&gateway.get(signed(&gateway, &["/files/a", "--allow", "read"])), 200);
    // Again only on demand: it ends the keys of the first secret.
    let words = not_done(&gateway, &["signer", "rotate", "web"]);
    assert!(words.contains("--force") && words.contains("web.secret"), "{words}");
    done(&gateway, &["signer", "rotate", "web", "--force"]);
    let third = secret(&gateway, "web.3.secret");
    within_two_seconds("the third secret", || gateway.get(by(&third).url()).status == 200);
    accepted(&gateway.get(by(&second).url()), 200);
    refused(&gateway.get(old.url()), 403, "bad_signature");
    assert!(not_done(&gateway, &["signer", "rotate", "nobody"]).contains("nobody"));
}

#[test]
fn a_leaked_secret_opens_nothing_after_two_seconds() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let old = Key::new("/files/a", "read");
    accepted(&gateway.get(old.url()), 200);
    let told = done(&gateway, &["signer", "rotate", "web", "--leaked", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["signer"], &told["written"]), (&"web".into(), &true.into()));
    assert!(!told["toml"].as_str().unwrap().contains("previous"), "{told}");
    within_two_seconds("the leaked secret's end", || gateway.get(old.url()).reason() == "bad_signature");
    let secret = fs::read_to_string(gateway.home().join(told["secret_file"].as_str().unwrap())).unwrap();
    accepted(&gateway.get(old.signed_by("web", secret.trim_end()).url()), 200);
}

#[test]
fn printed_tables_are_for_those_who_edit_by_other_means() {
    let gateway = Gateway::new();
    let before = configuration(&gateway);
    let table = done(&gateway, &["signer", "new", "app", "--print"]);
    assert_eq!(configuration(&gateway), before);
    fs::write(gateway.config_path(), before + &table).unwrap();
    gateway.plant("/files/a", "aaaa");
    let url = Key::new("/files/a", "read").signed_by("app", &secret(&gateway, "app.secret")).url();
    within_two_seconds("the printed signer", || gateway.get(&url).status == 200);
    let table = done(&gateway, &["signer", "rotate", "app", "--print"]);
    assert!(table.starts_with("[signers.app]\n") && table.contains("previous_secret_file"), "{table}");
}

#[test]
fn a_configuration_behind_a_link_is_edited_where_it_is() {
    let gateway = Gateway::builder().write().unwrap();
    let (link, real) = (gateway.config_path(), gateway.home().join("real.toml"));
    fs::rename(&link, &real).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("real.toml", &link).unwrap();
    done(&gateway, &["signer", "rotate", "web"]);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&real).unwrap().contains("web.2.secret"));
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(left_over(gateway.home()).is_empty());
}

fn left_over(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".new")).collect()
}
