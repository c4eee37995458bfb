//! The admin listener and the commands that speak to it: who may ask, what is answered, and that it is in force.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use valetkey_tests::audit;
use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::gateway::{Gateway, write_secret};
use valetkey_tests::http::{self, Answer, Request};
use valetkey_tests::key::{Key, WEB_SECRET};
use valetkey_tests::process::{binary, valetkey};

const TOKEN: &str = "a token of thirty-two characters";

/// Asks on the socket, and reads the status and the document.
fn ask(gateway: &Gateway, method: &str, target: &str, body: Option<&str>) -> (u16, Value) {
    let (status, text) = ask_text(gateway, method, target, body);
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

pub(crate) fn ask_text(gateway: &Gateway, method: &str, target: &str, body: Option<&str>) -> (u16, String) {
    let mut stream = UnixStream::connect(gateway.home().join("valetkey-data/admin.sock")).unwrap();
    let length = body.map_or_else(String::new, |body| {
        format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())
    });
    let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{length}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.unwrap_or("").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

fn typed(gateway: &Gateway, words: &[&str]) -> Output {
    valetkey(gateway.home(), words).unwrap()
}

fn said(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A gateway whose admin listener is at an address.
fn over_tcp() -> (Gateway, std::net::SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let admin = format!("[admin]\nlisten = \"{address}\"\ntoken_file = \"admin.token\"");
    let mut gateway = Gateway::builder().toml(&admin).write().unwrap();
    write_secret(&gateway.home().join("admin.token"), TOKEN).unwrap();
    gateway.start().unwrap();
    (gateway, address)
}

/// A155: nothing of it is on the public listener.
#[test]
fn clients_of_the_gateway_find_none_of_it() {
    let gateway = Gateway::new();
    for path in ["/metrics", "/v1/keys", "/v1/health", "/v1/revocations", "/v1/openapi.json", "/-/metrics"] {
        let answer = gateway.get(path);
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
        assert!(!answer.text().contains("valetkey_"), "{path}: {}", answer.text());
    }
}

/// A156, and what becomes of a socket: private, replaced when its gateway is dead, left when it lives.
#[test]
fn the_socket_is_private_and_there_is_one_gateway_behind_it() {
    let mut gateway = Gateway::new();
    let socket = gateway.home().join("valetkey-data/admin.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(ask(&gateway, "GET", "/v1/health", None).0, 200);
    gateway.kill9().unwrap();
    assert!(socket.exists(), "a killed gateway leaves it");
    gateway.start().unwrap();
    assert_eq!(ask(&gateway, "GET", "/v1/health", None).0, 200);
    gateway.stop().unwrap();
    assert!(!socket.exists(), "a stopped one does not");
    let output = typed(&gateway, &["revocations"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is it running"));
}

#[test]
fn a_folder_that_others_can_write_to_stops_the_start() {
    let mut gateway = Gateway::builder().toml("[admin]\nlisten = \"unix:run/admin.sock\"").write().unwrap();
    let folder = gateway.home().join("run");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    let error = gateway.start().unwrap_err().to_string();
    assert!(error.contains("chmod go-w"), "{error}");
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    gateway.start().unwrap();
}

/// A157: without the token, or with anything else, an address answers nothing.
#[test]
fn an_address_asks_for_its_token() {
    let (gateway, address) = over_tcp();
    let send = |request: &Request| -> Answer { http::send(address, request).unwrap() };
    let health = || Request::get("/v1/health");
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(send(&health().header("Authorization", bearer.clone())).status, 200);
    for header in
        ["Bearer", "Bearer ", "Bearer x", "Basic YTpi", TOKEN, "Bearer  a token of thirty-two characters"]
    {
        let answer = send(&health().header("Authorization", header));
        assert_eq!(answer.status, 401, "{header}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    let twice = health().header("Authorization", bearer.clone()).header("Authorization", bearer);
    assert_eq!(send(&twice).status, 401);
    for path in ["/v1/keys", "/metrics", "/nothing"] {
        assert_eq!(send(&Request::get(path)).status, 401, "{path}");
    }
    let key = Key::new("/files/a", "read");
    assert_eq!(send(&health().header("Authorization", key.authorization())).status, 401);
    // The command line finds the token by itself.
    assert_eq!(said(&typed(&gateway, &["revocations", "--json"]))["revocations"], json!([]));
}

/// A158: a key is signed within the ceiling of its signer, or not at all.
#[test]
fn a_key_is_signed_within_its_ceiling_and_recorded() {
    let limits =
        "scope = [\"/files/in/\"]\nallow = [\"read\", \"write\"]\nmax = \"1MiB\"\nmax_lifetime = \"1h\"";
    let gateway = Gateway::builder().signer("app", "a secret of the signer app", limits).start();
    let asked = json!({"signer": "app", "path": "/files/in/a", "allow": ["write", "read"], "max": 10,
        "uses": 2, "id": "one", "subject": "u 1"});
    let (status, signed) = ask(&gateway, "POST", "/v1/keys", Some(&asked.to_string()));
    assert_eq!((status, &signed["id"]), (201, &"one".into()), "{signed}");
    let url = signed["url"].as_str().unwrap();
    let target = &url[url.find("/files").unwrap()..];
    accepted(&gateway.send(&Request::put(target, "0123456789")), 200);
    refused(&gateway.send(&Request::put(target, "0123456789a")), 413, "too_large");
    for (name, value) in [
        ("path", json!("/files/out")),
        ("allow", json!(["delete"])),
        ("max", json!(2 << 20)),
        ("expires", json!("2h")),
        ("policy", json!("none")),
        ("signer", json!("none")),
    ] {
        let mut beyond = asked.clone();
        beyond[name] = value;
        let (status, problem) = ask(&gateway, "POST", "/v1/keys", Some(&beyond.to_string()));
        assert_eq!((status, &problem["reason"]), (403, &"not_allowed".into()), "{name}: {problem}");
    }
    let records = audit::records(&gateway.audit_path()).unwrap();
    let signed: Vec<_> = records.iter().filter(|record| record["action"] == "sign").collect();
    assert_eq!(signed.len(), 1);
    assert_eq!((&signed[0]["id"], &signed[0]["subject"]), (&"one".into(), &"u 1".into()));
}

/// A159: what is not exactly a sound call is refused.
#[test]
fn what_is_unknown_twice_deep_or_large_is_refused() {
    let gateway = Gateway::new();
    let deep = format!("{{\"url\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let unknown_deep = format!("{{\"x\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [
        "",
        "null",
        "[]",
        "[\"/files/a\"]",
        "{\"url\": \"/files/a\"} x",
        "{\"url\": \"/files/a\", \"url\": \"/files/a\"}",
        "{\"url\": \"/files/a\", \"uri\": 1}",
        "{\"url\": null}",
        "{\"url\": 1}",
        "{\"url\": \"\u{0}\"}",
        &deep,
        &unknown_deep,
    ] {
        for path in ["/v1/keys/inspect", "/v1/usage", "/v1/revocations"] {
            let (status, problem) = ask(&gateway, "POST", path, Some(body));
            assert_eq!((status, &problem["reason"]), (400, &"bad_request".into()), "{path} {:.60}", body);
        }
    }
    let large = format!("{{\"url\": \"{}\"}}", "x".repeat(100 << 20));
    assert_eq!(ask(&gateway, "POST", "/v1/usage", Some(&large)).0, 413);
    assert_eq!(ask(&gateway, "GET", "/v1/keys?max=1&max=1", None).0, 400);
    assert_eq!(ask(&gateway, "GET", "/v1/keys?limit=1", None).0, 400);
    assert_eq!(ask(&gateway, "PUT", "/v1/keys", None).0, 405);
    assert_eq!(ask(&gateway, "GET", "/v1/secrets", None).0, 404);
}

/// A160: what is secret is told by no call.
#[test]
fn no_secret_is_read_back() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "read,write").set("uses", "3").set("id", "one");
    accepted(&gateway.send(&Request::put(key.url(), "x")), 200);
    let url = json!({ "url": key.url() }).to_string();
    let mut all = String::new();
    for (method, target, body) in [
        ("GET", "/v1/keys", None),
        ("GET", "/v1/health", None),
        ("GET", "/v1/openapi.json", None),
        ("GET", "/metrics", None),
        ("POST", "/v1/keys/inspect", Some(url.as_str())),
        ("POST", "/v1/usage", Some(url.as_str())),
        ("POST", "/v1/revocations", Some(url.as_str())),
        ("GET", "/v1/revocations", None),
        ("POST", "/v1/reload", None),
    ] {
        let (status, text) = ask_text(&gateway, method, target, body);
        assert!(status < 300, "{target}: {status} {text}");
        all.push_str(&text);
    }
    all.push_str(&gateway.stderr());
    all.push_str(&fs::read_to_string(gateway.audit_path()).unwrap());
    let signature = valetkey_tests::key::encoded_sig(&key.sig());
    assert!(!all.contains(WEB_SECRET) && !all.contains(&signature));
}

#[test]
fn usage_is_told_by_url_id_and_signer() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "read,write").set("uses", "3").set("id", "one");
    let other = Key::new("/files/b", "write").set("uses", "5").set("id", "two");
    accepted(&gateway.send(&Request::put(key.url(), "x")), 200);
    accepted(&gateway.send(&Request::put(other.url(), "x")), 200);
    let lesser = key.clone().narrow(&[("uses", "1"), ("id", "child")]);
    accepted(&gateway.get(lesser.url()), 200);
    let uses = |words: &[&str]| said(&typed(&gateway, &[&["usage"], words].concat()))["uses"].clone();
    let count = |limit: Option<u64>, used: u64| json!({"limit": limit, "used": used, "left": limit.map(|it| it - used)});
    assert_eq!(uses(&[&key.url()]), count(Some(3), 2));
    assert_eq!(uses(&[&lesser.url()]), count(Some(1), 1), "the level that ends first");
    assert_eq!(uses(&["--id", "one"]), count(Some(3), 2));
    assert_eq!(uses(&["--id", "two", "--signer", "web"]), count(Some(5), 1));
    assert_eq!(uses(&["--id", "none"]), count(None, 0));
    assert_eq!(uses(&["--signer", "web"]), count(None, 3));
    let whole = said(&typed(&gateway, &["usage", &key.url()]));
    for name in ["uses", "in", "out", "files"] {
        assert!(whole[name].is_object(), "{name} in {whole}");
    }
    assert!(whole["last_seen"].as_str().unwrap().ends_with('Z'));
    let forged = typed(&gateway, &["usage", &key.clone().set("uses", "9").url_with_sig("x")]);
    assert_eq!(forged.status.code(), Some(1));
    let (_, list) = ask(&gateway, "GET", "/v1/keys", None);
    let ids: Vec<_> =
        list["keys"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["child", "one", "two"], "{list}");
}

#[test]
fn usage_of_a_subject_is_the_account_that_is_kept_of_it() {
    let accounts = "[policies.guest]\nmax = \"1MiB\"\n[policies.guest.per_subject]\nfiles = 3\nin = 100";
    let gateway = Gateway::builder().toml(accounts).start();
    for (object, id) in [("/files/a", "one"), ("/files/b", "two")] {
        let key = Key::new(object, "write").set("policy", "guest").set("subject", "u \"1\"").set("id", id);
        accepted(&gateway.send(&Request::put(key.url(), "12345")), 200);
    }
    let usage = said(&typed(&gateway, &["usage", "--subject", "u \"1\"", "--signer", "web"]));
    assert_eq!(usage["files"], json!({"limit": 3, "used": 2, "left": 1}), "{usage}");
    assert_eq!(usage["in"], json!({"limit": 100, "used": 10, "left": 90}));
    let nobody = typed(&gateway, &["usage", "--subject", "nobody"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("per_subject"));
}

#[test]
fn revocations_are_made_listed_lifted_and_recorded() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "read,write").set("id", "one");
    let revoke = |words: &[&str]| said(&typed(&gateway, &[&["revoke", "--json"], words].concat()));
    let by_url = revoke(&[&key.url()]);
    assert_eq!(by_url["level"], json!(["web", "id", "one"]));
    assert_eq!(by_url["before"], Value::Null);
    let ended = key.clone().set("end", &valetkey_tests::key::from_now(-5));
    assert_eq!(revoke(&[&ended.url()])["number"], by_url["number"], "an ended key names its level too");
    let fingerprint = key.fingerprint();
    for (words, kind) in [
        (&["--id", "two", "--signer", "web"][..], "id"),
        (&["--fingerprint", &fingerprint], "fingerprint"),
        (&["--signer", "other"], "signer"),
        (&["--subject", "u", "--before", "2026-01-01T00:00:00Z"], "subject"),
        (&["--policy", "guest"], "policy"),
        (&["--path", "/files/folder/"], "path"),
    ] {
        assert_eq!(revoke(words)["kind"], kind);
    }
    let listed = said(&typed(&gateway, &["revocations", "--json"]));
    let listed = listed["revocations"].as_array().unwrap();
    assert_eq!(listed.len(), 7);
    assert_eq!(listed[4]["before"], "2026-01-01T00:00:00Z");
    assert!(listed[3]["before"].is_string(), "a class is what was issued up to now");
    let number = by_url["number"].to_string();
    assert!(typed(&gateway, &["revocations", "--lift", &number]).status.success());
    assert_eq!(typed(&gateway, &["revocations", "--lift", &number]).status.code(), Some(1));
    for words in
        [&["revoke"][..], &["revoke", "--id", "a", "--policy", "b"], &["revoke", "x", "--signer", "web"]]
    {
        assert_eq!(typed(&gateway, words).status.code(), Some(2), "{words:?}");
    }
    let forged = typed(&gateway, &["revoke", &key.url_with_sig(&"A".repeat(43))]);
    assert_eq!(forged.status.code(), Some(1));
    let mut from_input = Command::new(binary())
        .args(["revoke", "-"])
        .current_dir(gateway.home())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    from_input.stdin.take().unwrap().write_all(key.url().as_bytes()).unwrap();
    assert!(from_input.wait().unwrap().success());
    let records = audit::records(&gateway.audit_path()).unwrap();
    let count = |action: &str| records.iter().filter(|record| record["action"] == action).count();
    assert_eq!((count("revoke"), count("lift")), (9, 1));
}

/// What is revoked opens no more from the answer on, and opens again when the revocation is lifted.
#[test]
fn a_revocation_is_in_force_when_it_is_answered() {
    let gateway = Gateway::builder().toml("[policies.guest]\nmax = \"1MiB\"").start();
    let object = gateway.plant("/files/folder/a", "x");
    assert!(object.exists());
    let key = Key::new("/files/folder/a", "read")
        .set("id", "one")
        .set("subject", "u")
        .set("policy", "guest")
        .set("issued", &valetkey_tests::key::from_now(0));
    let neighbour = Key::new("/other/a", "read").set("id", "two").set("subject", "v");
    gateway.plant("/other/a", "x");
    let url = key.url();
    let fingerprint = key.fingerprint();
    for words in [
        &[url.as_str()][..],
        &["--fingerprint", &fingerprint],
        &["--id", "one"],
        &["--id", "one", "--signer", "web"],
        &["--subject", "u"],
        &["--policy", "guest"],
        &["--path", "/files/folder/"],
        &["--path", "/files/folder/a"],
    ] {
        accepted(&gateway.get(key.url()), 200);
        let revoked = said(&typed(&gateway, &[&["revoke", "--json"], words].concat()));
        refused(&gateway.get(key.url()), 403, "revoked");
        refused(&gateway.get(key.clone().narrow(&[("id", "child")]).url()), 403, "revoked");
        accepted(&gateway.get(neighbour.url()), 200);
        let number = revoked["number"].to_string();
        assert!(typed(&gateway, &["revocations", "--lift", &number]).status.success());
    }
    accepted(&gateway.get(key.url()), 200);
    // A class is what was issued up to now, or says no time.
    let past = valetkey_tests::key::from_now(-60);
    said(&typed(&gateway, &["revoke", "--json", "--signer", "web", "--before", &past]));
    accepted(&gateway.get(key.url()), 200);
    refused(&gateway.get(neighbour.url()), 403, "revoked");
}

#[test]
fn a_reload_is_answered_with_what_came_of_it() {
    let gateway = Gateway::new();
    let text = fs::read_to_string(gateway.config_path()).unwrap();
    assert_eq!(ask(&gateway, "POST", "/v1/reload", None).0, 200);
    fs::write(gateway.config_path(), text.clone() + "[polices.x]\n").unwrap();
    let (status, problem) = ask(&gateway, "POST", "/v1/reload", None);
    assert_eq!(status, 422);
    assert!(problem["errors"][0].as_str().unwrap().contains("polices"), "{problem}");
    fs::write(gateway.config_path(), text + "[policies.tight]\nmax = 1\n").unwrap();
    assert_eq!(ask(&gateway, "POST", "/v1/reload", None).0, 200);
    let key = Key::new("/files/a", "write").set("policy", "tight");
    refused(&gateway.send(&Request::put(key.url(), "12")), 413, "too_large");
}

#[test]
fn metrics_count_each_reason_and_carry_no_names() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "read,write").set("subject", "somebody").set("uses", "9");
    accepted(&gateway.send(&Request::put(key.url(), "12345")), 200);
    accepted(&gateway.get(key.url()), 200);
    refused(&gateway.get("/files/a"), 401, "no_key");
    refused(&gateway.get(key.url_with_sig(&"A".repeat(43))), 403, "bad_signature");
    let (status, text) = ask_text(&gateway, "GET", "/metrics", None);
    assert_eq!(status, 200);
    for line in [
        "valetkey_requests_total{action=\"upload\",status=\"200\",reason=\"\"} 1",
        "valetkey_requests_total{action=\"none\",status=\"401\",reason=\"no_key\"} 1",
        "valetkey_requests_total{action=\"none\",status=\"403\",reason=\"bad_signature\"} 1",
        "valetkey_bytes_received_total{action=\"upload\"} 5",
        "valetkey_requests_running{action=\"upload\"} 0",
        "valetkey_audit_sound 1",
        "valetkey_ledger_answers 1",
        "valetkey_revocations 0",
    ] {
        assert!(text.lines().any(|there| there == line), "{line} in {text}");
    }
    assert!(!text.contains("somebody") && !text.contains("/files"), "{text}");
    let mut named = "";
    for line in text.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(rest) => named = rest.split(' ').next().unwrap(),
            None if line.starts_with('#') => {}
            None => {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                assert!(sample.starts_with(named) && value.parse::<f64>().is_ok(), "{line} after {named}");
            }
        }
    }
}

#[test]
fn the_description_is_served_as_it_is_written() {
    let gateway = Gateway::new();
    let written = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    let (status, served) = ask_text(&gateway, "GET", "/v1/openapi.json", None);
    assert_eq!((status, served), (200, fs::read_to_string(written).unwrap()));
}

/// The running server answers as its description says, to calls made from it: sound, unsound, in sequence.
/// tests/run installs what tries it.
#[test]
fn the_description_holds() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let (gateway, address) = over_tcp();
    let output = Command::new(format!("{root}/tests/.tools/schemathesis/bin/schemathesis"))
        .args(["run", &format!("{root}/docs/openapi.json"), "--url", &format!("http://{address}")])
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        .args(["--checks", "all", "--max-examples", "20", "--seed", "1", "--generation-database", "none"])
        .current_dir(gateway.home())
        .output()
        .expect("schemathesis is installed by tests/run");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("12 selected / 12 total"), "{said}");
}
