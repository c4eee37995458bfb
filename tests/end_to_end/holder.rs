//! What the holder of a key asks about the key itself: what it permits, its renewal, its end.

use serde_json::Value;
use valetkey_tests::audit::record_of;
use valetkey_tests::expect::{accepted, refused, refused_in_words};
use valetkey_tests::gateway::{Gateway, write_secret};
use valetkey_tests::http::{Answer, Request};
use valetkey_tests::key::{Key, from_now, time_text, unix_now};
use valetkey_tests::process::{valetkey, wait_until};

fn about(key: &Key) -> Request {
    Request::get(format!("/-/key?{}", key.query()))
}

fn told(gateway: &Gateway, key: &Key) -> Value {
    let answer = gateway.send(&about(key));
    accepted(&answer, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(!answer.text().contains("vk-sig"), "{}", answer.text());
    answer.json().unwrap()
}

fn renewal(key: &Key) -> Request {
    Request::new("POST", format!("/-/renew?{}", key.query())).body("")
}

/// The query and the end of the renewed key.
fn renewed(answer: &Answer) -> (String, String) {
    accepted(answer, 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let told = answer.json().unwrap();
    assert_eq!(told.as_object().unwrap().len(), 2, "{told}");
    (told["query"].as_str().unwrap().to_owned(), told["end"].as_str().unwrap().to_owned())
}

/// A key of a minute that may be renewed for a day.
fn renewable(id: &str) -> Key {
    let key = Key::new("/files/a", "read").set("path", "/files/a").set("end", &from_now(60));
    key.set("renew", &from_now(86_400)).set("id", id)
}

#[test]
fn a_holder_is_told_what_the_key_permits_and_what_is_left() {
    let gateway = Gateway::builder()
        .toml("[policies.small]\nallow = [\"create\", \"read\"]\nmax = 100\nuses = 5\nscope = [\"/files/\"]")
        .start();
    gateway.plant("/files/u/a", "0123456789");
    let key = Key::new("/files/u/a", "read,write")
        .set("path", "/files/u/")
        .set("id", "k-1")
        .set("max", "500")
        .set("min", "2")
        .set("policy", "small")
        .set("subject", "u42")
        .set("ip", "127.0.0.0/8");
    let before = told(&gateway, &key);
    assert_eq!((&before["valid"], &before["reason"]), (&Value::Bool(true), &Value::Null));
    assert_eq!(before["allow"], serde_json::json!(["create", "read"]));
    assert_eq!((&before["path"], &before["scope"]), (&"/files/u/".into(), &serde_json::json!(["/files/u/"])));
    assert_eq!((&before["max"], &before["min"]), (&100.into(), &2.into()));
    assert_eq!(before["uses"], serde_json::json!({"limit": 5, "left": 5}));
    assert_eq!((&before["id"], &before["subject"]), (&"k-1".into(), &"u42".into()));
    assert_eq!((&before["policy"], &before["signer"]), (&"small".into(), &"web".into()));
    assert_eq!(before["fingerprint"], key.fingerprint());
    assert_eq!(before["ip"], serde_json::json!(["127.0.0.0/8"]));
    assert_eq!((&before["renew"], &before["levels"]), (&Value::Null, &1.into()));

    accepted(&gateway.get(key.url()), 200);
    accepted(&gateway.send(&Request::put(key.clone().on("/files/u/b").url(), "xx")), 200);
    assert_eq!(told(&gateway, &key)["uses"], serde_json::json!({"limit": 5, "left": 3}));

    // Of all levels the strictest limit, and the least that is left.
    let child = key.clone().narrow(&[("uses", "4"), ("id", "child")]);
    assert_eq!(told(&gateway, &child)["uses"], serde_json::json!({"limit": 4, "left": 3}));
    let once = key.clone().narrow(&[("uses", "1"), ("path", "/files/u/a"), ("allow", "read")]);
    let narrowed = told(&gateway, &once);
    assert_eq!((&narrowed["allow"], &narrowed["levels"]), (&serde_json::json!(["read"]), &2.into()));
    assert_eq!(narrowed["scope"], serde_json::json!(["/files/u/a"]));
    assert_eq!(narrowed["fingerprint"], once.fingerprint());
    accepted(&gateway.get(once.url()), 200);
    let spent = told(&gateway, &once);
    assert_eq!((&spent["valid"], &spent["reason"]), (&false.into(), &"uses_exhausted".into()));
    assert_eq!(spent["uses"], serde_json::json!({"limit": 1, "left": 0}));
}

#[test]
fn a_key_that_opens_nothing_is_told_why() {
    let gateway =
        Gateway::builder().signer("short", "a-secret-of-short-keys", "max_lifetime = \"1h\"").start();
    let key = || Key::new("/files/a", "read").set("path", "/files/a");
    for (key, reason) in [
        (key().set("end", &from_now(-1)), "expired"),
        (key().set("start", &from_now(900)), "not_yet_valid"),
        (key().set("policy", "absent"), "policy_missing"),
        (key().signed_by("short", "a-secret-of-short-keys").set("end", &from_now(9000)), "lifetime_too_long"),
        (key().narrow(&[("allow", "delete")]), "not_allowed"),
        (key().narrow(&[("path", "/files/b")]), "out_of_scope"),
    ] {
        let told = told(&gateway, &key);
        assert_eq!((&told["valid"], &told["reason"]), (&false.into(), &reason.into()));
        assert!(told["detail"].is_string());
        assert_eq!(told["path"], "/files/a");
    }
    // What is no key of ours, or not this client's, is refused as anywhere.
    let bad = format!("/-/key?{}", key().query_with_sig(&"A".repeat(43)));
    refused_in_words(&gateway.get(bad), 403, "bad_signature");
    refused(&gateway.get("/-/key"), 401, "no_key");
    let elsewhere = key().set("ip", "192.0.2.0/24");
    refused(&gateway.send(&about(&elsewhere)), 403, "client_not_allowed");
}

#[test]
fn the_key_says_its_path() {
    let gateway = Gateway::new();
    gateway.plant("/files/ä b", "x");
    let silent = Key::new("/files/ä b", "read").set("id", "a").set("renew", &from_now(9000));
    accepted(&gateway.get(silent.url()), 200);
    let query = silent.query();
    for (method, target) in [("GET", "/-/key"), ("POST", "/-/renew"), ("POST", "/-/end")] {
        refused(&gateway.send(&Request::new(method, format!("{target}?{query}"))), 400, "malformed_key");
    }
    // The decoded path, put in, changes neither message nor signature.
    let said = format!("{query}&vk-path=/files/%C3%A4%20b");
    accepted(&gateway.get(format!("/-/key?{said}")), 200);
    let other = format!("{query}&vk-path=/files/b");
    refused(&gateway.get(format!("/-/key?{other}")), 403, "bad_signature");
    let (query, _) = renewed(&gateway.send(&Request::new("POST", format!("/-/renew?{said}"))));
    accepted(&gateway.get(format!("{}?{query}", silent.path())), 200);
}

#[test]
fn each_question_has_its_method_and_no_body() {
    let gateway = Gateway::new();
    let query = renewable("a").query();
    for (method, target) in [
        ("POST", "/-/key"),
        ("PUT", "/-/key"),
        ("DELETE", "/-/key"),
        ("GET", "/-/renew"),
        ("HEAD", "/-/renew"),
        ("PUT", "/-/renew"),
        ("GET", "/-/end"),
        ("DELETE", "/-/end"),
    ] {
        refused(&gateway.send(&Request::new(method, format!("{target}?{query}"))), 400, "bad_request");
    }
    for target in ["/-/renew", "/-/end"] {
        let with_body = Request::new("POST", format!("{target}?{query}")).body("x");
        refused(&gateway.send(&with_body), 400, "bad_request");
    }
    for target in ["/-/keys", "/-/key/", "/-/renew/x", "/-/END"] {
        refused(&gateway.send(&Request::new("POST", format!("{target}?{query}"))), 404, "not_found");
    }
    let head = gateway.send(&Request::head(format!("/-/key?{query}")));
    accepted(&head, 200);
    assert!(head.body.is_empty());
    let header = Request::get("/-/key").header("Authorization", renewable("a").authorization());
    accepted(&gateway.send(&header), 200);
    let twice =
        Request::get(format!("/-/key?{query}")).header("Authorization", renewable("a").authorization());
    refused(&gateway.send(&twice), 400, "bad_request");
    refused(&gateway.get(format!("/-/key?{query}&versionId=1")), 400, "bad_request");
}

#[test]
fn questions_take_no_use_and_are_recorded() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "x");
    let key = renewable("counted").set("uses", "1");
    for _ in 0..3 {
        let answer = gateway.send(&about(&key));
        assert_eq!(answer.json().unwrap()["uses"]["left"], 1);
        let record = record_of(&gateway, answer.header("x-request-id").unwrap()).unwrap();
        assert_eq!((&record["action"], &record["status"]), (&"key".into(), &200.into()));
        assert_eq!((&record["bucket"], &record["object"]), (&"files".into(), &"a".into()));
        assert_eq!((&record["id"], &record["key"]), (&"counted".into(), &key.fingerprint().into()));
    }
    let answer = gateway.send(&renewal(&key));
    let (query, _) = renewed(&answer);
    let record = record_of(&gateway, answer.header("x-request-id").unwrap()).unwrap();
    assert_eq!((&record["action"], &record["status"]), (&"renew".into(), &200.into()));
    let answer = gateway.send(&renewal(&key.clone().without("renew")));
    let record = record_of(&gateway, answer.header("x-request-id").unwrap()).unwrap();
    assert_eq!((&record["action"], &record["reason"]), (&"renew".into(), &"not_allowed".into()));
    accepted(&gateway.get(format!("/files/a?{query}")), 200);
}

#[test]
fn a_renewed_key_ends_when_key_and_house_allow_at_most() {
    let gateway = Gateway::builder()
        .signer("hour", "a-secret-of-an-hour", "max_lifetime = \"1h\"")
        .signer("aged", "a-secret-of-the-aged", "max_renew = \"2h\"")
        .signer("until", "a-secret-until-then", &format!("renew = \"{}\"", from_now(7000)))
        .toml("[policies.brief]\nmax_lifetime = \"10m\"")
        .start();
    let now = unix_now();
    let check = |key: Key, from_now: i64| {
        let (query, end) = renewed(&gateway.send(&renewal(&key)));
        // Seconds may pass between minting and renewing.
        let fits = (0..=15).any(|late| end == time_text(now + from_now + late));
        assert!(fits, "{end}, not {}", time_text(now + from_now));
        assert!(query.starts_with("vk-") && query.contains(&format!("vk-end={end}")), "{query}");
    };
    check(renewable("a"), 86_400);
    check(renewable("a").signed_by("hour", "a-secret-of-an-hour"), 3600);
    check(renewable("a").signed_by("hour", "a-secret-of-an-hour").set("policy", "brief"), 600);
    check(renewable("a").set("policy", "brief"), 600);
    let aged = || renewable("a").signed_by("aged", "a-secret-of-the-aged");
    check(aged().set("issued", &from_now(-3600)), 3600);
    // Never earlier than the end that it has.
    check(aged().set("issued", &from_now(-9000)), 60);
    check(renewable("a").set("renew", &from_now(5)), 60);
    check(renewable("a").signed_by("until", "a-secret-until-then"), 7000);
    refused(&gateway.send(&renewal(&aged())), 403, "not_allowed");
}

#[test]
fn what_its_holder_may_not_renew_is_not_renewed() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "x");
    let refuses = |key: &Key| refused_in_words(&gateway.send(&renewal(key)), 403, "not_allowed");
    refuses(&renewable("a").without("renew"));
    refuses(&renewable("a").without("id"));
    refuses(&renewable("a").set("end", &from_now(-1)));
    // A child is not renewed into its parent, nor into a longer child.
    refuses(&renewable("a").narrow(&[("uses", "1")]));
    refuses(&renewable("a").narrow(&[("id", "a")]));
    refuses(&renewable("a").narrow(&[("end", &from_now(-1))]));
    let widened = renewable("a").narrow(&[("renew", &from_now(9000))]);
    refused(&gateway.send(&renewal(&widened)), 400, "malformed_key");
    // The other causes are told as anywhere.
    refused(
        &gateway.send(&renewal(&renewable("a").set("start", &from_now(900)).set("end", &from_now(999)))),
        403,
        "not_yet_valid",
    );
    refused(&gateway.send(&renewal(&renewable("a").set("policy", "absent"))), 403, "policy_missing");
    refused(&gateway.send(&renewal(&renewable("a").set("ip", "192.0.2.0/24"))), 403, "client_not_allowed");
    let bad = format!("/-/renew?{}", renewable("a").query_with_sig(&"A".repeat(43)));
    refused(&gateway.send(&Request::new("POST", bad)), 403, "bad_signature");
    renewed(&gateway.send(&renewal(&renewable("a"))));
}

/// A renewed key goes on counting where the old one stopped, and so does the old one.
#[test]
fn a_renewed_key_shares_the_count_of_the_old_one() {
    let mut gateway = Gateway::new();
    gateway.plant("/files/a", "x");
    let key = renewable("shared").set("uses", "3");
    accepted(&gateway.get(key.url()), 200);
    let (query, _) = renewed(&gateway.send(&renewal(&key)));
    let url = format!("/files/a?{query}");
    let agent = |number: u8| Request::get(&url).header("User-Agent", format!("agent {number}"));
    accepted(&gateway.send(&agent(1)), 200);
    gateway.restart().unwrap();
    accepted(&gateway.send(&agent(2)), 200);
    refused(&gateway.send(&agent(3)), 403, "uses_exhausted");
    refused(&gateway.send(&Request::get(key.url()).header("User-Agent", "agent 4")), 403, "uses_exhausted");
    assert_eq!(told(&gateway, &key)["uses"], serde_json::json!({"limit": 3, "left": 0}));
}

/// The renewed key stays the same in all but its end, and can be renewed again.
#[test]
fn all_else_stays_as_it_was() {
    let gateway = Gateway::new();
    gateway.plant("/files/u/ä", "x");
    let key = Key::new("/files/u/ä", "list,read,write")
        .set("path", "/files/u/")
        .set("end", &from_now(60))
        .set("renew", &from_now(5000))
        .set("id", "a")
        .set("subject", "ü & + =")
        .set("max", "10")
        .set("disposition", "attachment; filename=\"a b.txt\"");
    let (query, end) = renewed(&gateway.send(&renewal(&key)));
    let expected = key.clone().set("end", &end);
    let answer = gateway.get(format!("{}?{query}", key.path()));
    accepted(&answer, 200);
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"a b.txt\""));
    let told = gateway.get(format!("/-/key?{query}")).json().unwrap();
    assert_eq!(told["fingerprint"], expected.fingerprint());
    let again = gateway.send(&Request::new("POST", format!("/-/renew?{query}")));
    assert_eq!(renewed(&again).1, end);
}

/// A secret that was rotated out cannot be laundered: what it signed ends when it does.
#[test]
fn a_key_of_the_previous_secret_opens_and_is_not_renewed() {
    let gateway = Gateway::builder()
        .signer("rotated", "the-new-secret-of-it", "previous_secret_file = \"valetkey-data/old.secret\"")
        .write()
        .unwrap();
    write_secret(&gateway.home().join("valetkey-data/old.secret"), "the-old-secret-of-it").unwrap();
    let mut gateway = gateway;
    gateway.start().unwrap();
    gateway.plant("/files/a", "x");
    let old = renewable("a").signed_by("rotated", "the-old-secret-of-it");
    accepted(&gateway.get(old.url()), 200);
    assert_eq!(told(&gateway, &old)["renew"], Value::Null);
    refused(&gateway.send(&renewal(&old)), 403, "not_allowed");
    let new = renewable("a").signed_by("rotated", "the-new-secret-of-it");
    renewed(&gateway.send(&renewal(&new)));
}

/// A limit of the policy is charged at the base: neither a narrowing nor a renewal gives it anew.
#[test]
fn no_narrowing_or_renewal_renews_a_limit_of_the_policy() {
    let gateway = Gateway::builder().toml("[policies.two]\nuses = 2").start();
    gateway.plant("/files/a", "x");
    let key = renewable("a").set("policy", "two");
    let get = |url: String, agent: &str| gateway.send(&Request::get(url).header("User-Agent", agent));
    accepted(&get(key.clone().narrow(&[("id", "x")]).url(), "1"), 200);
    let (query, _) = renewed(&gateway.send(&renewal(&key)));
    accepted(&get(format!("/files/a?{query}"), "2"), 200);
    refused(&get(key.clone().narrow(&[("id", "y")]).url(), "3"), 403, "uses_exhausted");
    refused(&get(format!("/files/a?{query}"), "4"), 403, "uses_exhausted");
}

#[test]
fn a_page_of_another_origin_renews_by_the_bucket_of_the_key() {
    let cors = "prefix = \"app/\"\n[buckets.app.cors]\norigins = [\"https://app.example.com\"]";
    let gateway = Gateway::builder()
        .bucket("app", cors)
        .signer("pages", "a-secret-of-the-pages", "scope = [\"/app/\"]")
        .start();
    let key = Key::new("/app/a", "read").set("path", "/app/a").set("id", "a").set("renew", &from_now(9000));
    let key = key.signed_by("pages", "a-secret-of-the-pages");
    let preflight = Request::new("OPTIONS", "/-/renew")
        .header("Origin", "https://app.example.com")
        .header("Access-Control-Request-Method", "POST");
    let answer = gateway.send(&preflight);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example.com"));
    for (origin, allowed) in
        [("https://app.example.com", Some("https://app.example.com")), ("https://evil.example", None)]
    {
        for request in [about(&key), renewal(&key), renewal(&key.clone().without("id"))] {
            let answer = gateway.send(&request.header("Origin", origin));
            assert_eq!(answer.header("access-control-allow-origin"), allowed);
        }
    }
}

#[test]
fn both_protocols_answer_a_holder() {
    let gateway = Gateway::new();
    let query = renewable("a").query();
    let curl = |arguments: &[&str], target: &str| {
        let output = std::process::Command::new("curl")
            .args(["--silent", "--http2-prior-knowledge", "--max-time", "20"])
            .args(["--write-out", "\n%{http_code} %{http_version}"])
            .args(arguments)
            .arg(format!("http://{}{target}?{query}", gateway.address()))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let told = curl(&[], "/-/key");
    assert!(told.starts_with("{\"valid\":true") && told.ends_with("200 2"), "{told}");
    for arguments in [vec!["--request", "POST"], vec!["--data", ""]] {
        let told = curl(&arguments, "/-/renew");
        assert!(told.starts_with("{\"query\":\"vk-") && told.ends_with("200 2"), "{told}");
    }
    assert!(curl(&["--data", "x"], "/-/renew").ends_with("400 2"));
}

/// Whoever removes a policy is told how many keys that were used lately it concerns, and nothing of the keys.
#[test]
fn the_removal_of_a_policy_says_how_many_recent_keys_name_it() {
    let gateway = Gateway::builder().toml("[policies.gone]\nmax = 100").start();
    gateway.plant("/files/a", "x");
    for id in ["first", "second", "second"] {
        accepted(&gateway.get(renewable(id).set("policy", "gone").url()), 200);
    }
    accepted(&gateway.get(renewable("third").url()), 200);
    let text = std::fs::read_to_string(gateway.config_path()).unwrap();
    std::fs::write(gateway.config_path(), text.replace("[policies.gone]\nmax = 100", "")).unwrap();
    let line =
        || gateway.stderr().lines().find(|line| line.contains("a policy was removed")).map(str::to_owned);
    wait_until(std::time::Duration::from_secs(10), "the log line", || line().is_some()).unwrap();
    let line = line().unwrap();
    assert!(line.contains("keys_of_the_last_day=2") && line.contains("gone"), "{line}");
    assert!(!line.contains("first") && !line.contains("vk-"), "{line}");
    let key = renewable("first").set("policy", "gone");
    refused(&gateway.get(key.url()), 403, "policy_missing");
    assert_eq!(told(&gateway, &key)["reason"], "policy_missing");
}

/// A key that `valetkey sign` makes can be renewed, and none is signed beyond its ceiling.
#[test]
fn signing_asks_the_ceiling() {
    let gateway = Gateway::builder().toml("[policies.aged]\nmax_renew = \"1h\"").start();
    let sign = |renew: i64| {
        std::process::Command::new(valetkey_tests::process::binary())
            .args([
                "sign", "/files/a", "--allow", "read", "--policy", "aged", "--scope", "/files/", "--config",
            ])
            .arg(gateway.config_path())
            .args(["--renew", &from_now(renew)])
            .output()
            .unwrap()
    };
    let beyond = sign(9000);
    assert_eq!(beyond.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&beyond.stderr).contains("lies further ahead than policy aged allows, 1h")
    );
    let signed = sign(3000);
    assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    let url = String::from_utf8(signed.stdout).unwrap();
    let query = url.trim().split_once('?').unwrap().1;
    let (_, end) = renewed(&gateway.send(&Request::new("POST", format!("/-/renew?{query}"))));
    assert!(query.contains(&format!("vk-renew={end}")), "{end} {query}");
}

fn ending(key: &Key) -> Request {
    Request::new("POST", format!("/-/end?{}", key.query())).body("")
}

#[test]
fn an_ended_key_opens_nothing_more_and_stays_ended() {
    let mut gateway = Gateway::new();
    gateway.plant("/files/a", "x");
    let key = renewable("over").set("uses", "9");
    accepted(&gateway.get(key.url()), 200);
    let answer = gateway.send(&ending(&key));
    accepted(&answer, 204);
    let record = record_of(&gateway, answer.header("x-request-id").unwrap()).unwrap();
    assert_eq!((&record["action"], &record["status"]), (&"revoke".into(), &204.into()));
    assert_eq!((&record["key"], &record["id"]), (&key.fingerprint().into(), &"over".into()));
    for _ in 0..2 {
        refused(&gateway.get(key.url()), 403, "revoked");
        refused(&gateway.send(&Request::head(key.url())), 403, "revoked");
        // Another request would be answered `revoked`; this is no reason of a renewal.
        refused(&gateway.send(&renewal(&key)), 403, "not_allowed");
        let told = told(&gateway, &key);
        assert_eq!((&told["valid"], &told["reason"]), (&false.into(), &"revoked".into()));
        assert_eq!(told["uses"], serde_json::json!({"limit": 9, "left": 8}));
        // Whoever lost the answer may ask again.
        let again = gateway.send(&ending(&key));
        accepted(&again, 204);
        let record = record_of(&gateway, again.header("x-request-id").unwrap()).unwrap();
        assert_eq!((&record["action"], &record["status"]), (&"end".into(), &204.into()));
        gateway.kill9().unwrap();
        gateway.start().unwrap();
    }
}

/// A key that was renewed is ended by its old URL, and the old one by the new: they have one name.
#[test]
fn old_and_renewed_key_end_together() {
    for old_ends in [true, false] {
        let gateway = Gateway::new();
        gateway.plant("/files/a", "x");
        let key = renewable("both");
        let (query, end) = renewed(&gateway.send(&renewal(&key)));
        let new = key.clone().set("end", &end);
        assert_eq!(gateway.get(format!("/-/key?{query}")).json().unwrap()["fingerprint"], new.fingerprint());
        accepted(&gateway.get(new.url()), 200);
        accepted(&gateway.send(&ending(if old_ends { &key } else { &new })), 204);
        refused(&gateway.get(new.url()), 403, "revoked");
        refused(&gateway.get(key.url()), 403, "revoked");
        refused(&gateway.send(&renewal(&new)), 403, "not_allowed");
    }
}

/// Whoever revokes a key need not know that it was renewed: its old URL, its old fingerprint and its id all do.
#[test]
fn a_renewed_key_is_revoked_by_what_was_known_of_the_old_one() {
    let mut gateway = Gateway::new();
    gateway.plant("/files/a", "x");
    let mut ended = Vec::new();
    for (place, what) in
        ["url", "fingerprint", "id", "the new url", "the new fingerprint"].into_iter().enumerate()
    {
        let key = renewable(&format!("known-{place}"));
        let (query, end) = renewed(&gateway.send(&renewal(&key)));
        let new = key.clone().set("end", &end);
        accepted(&gateway.get(format!("/files/a?{query}")), 200);
        let url = |key: &Key| format!("http://{}{}", gateway.address(), key.url());
        let (option, value) = match what {
            "url" => (None, url(&key)),
            "fingerprint" => (Some("--fingerprint"), key.fingerprint()),
            "id" => (Some("--id"), format!("known-{place}")),
            "the new url" => (None, url(&new)),
            _ => (Some("--fingerprint"), new.fingerprint()),
        };
        let arguments = ["revoke"].into_iter().chain(option).chain([value.as_str()]);
        let output = valetkey(gateway.home(), arguments).unwrap();
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
        ended.extend([(what, key.clone()), (what, new.clone()), (what, new.narrow(&[("uses", "1")]))]);
    }
    for _ in 0..2 {
        for (what, key) in &ended {
            assert_eq!(gateway.get(key.url()).reason(), "revoked", "by {what}");
            refused(&gateway.send(&renewal(key)), 403, "not_allowed");
        }
        gateway.restart().unwrap();
    }
}

/// A key ends its own last level: not its parent, not its siblings, and nobody whose id it took.
#[test]
fn a_narrowed_key_ends_itself_and_what_is_below() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "x");
    let (parent, victim) = (renewable("parent"), renewable("victim"));
    let child = parent.clone().narrow(&[("id", "victim"), ("uses", "2")]);
    let below = child.clone().narrow(&[("uses", "1")]);
    let sibling = parent.clone().narrow(&[("id", "sibling")]);
    let unnamed = parent.clone().narrow(&[("uses", "5")]);
    accepted(&gateway.send(&ending(&child)), 204);
    for ended in [&child, &below] {
        refused(&gateway.get(ended.url()), 403, "revoked");
    }
    for open in [&parent, &victim, &sibling, &unnamed] {
        accepted(&gateway.get(open.url()), 200);
    }
    accepted(&gateway.send(&ending(&unnamed)), 204);
    refused(&gateway.get(unnamed.url()), 403, "revoked");
    for open in [&parent, &victim, &sibling] {
        accepted(&gateway.get(open.url()), 200);
    }
    accepted(&gateway.send(&ending(&parent)), 204);
    refused(&gateway.get(sibling.url()), 403, "revoked");
    accepted(&gateway.get(victim.url()), 200);
}

/// Spending a child that took a victim's id spends nothing of the victim's.
#[test]
fn an_id_in_a_block_is_not_the_id_of_a_key() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "x");
    let victim = renewable("victim").set("uses", "1");
    let child = renewable("thief").narrow(&[("id", "victim"), ("uses", "1")]);
    accepted(&gateway.get(child.url()), 200);
    refused(&gateway.send(&Request::get(child.url()).header("User-Agent", "other")), 403, "uses_exhausted");
    assert_eq!(told(&gateway, &victim)["uses"], serde_json::json!({"limit": 1, "left": 1}));
}

/// Who finds a key that is past its end must not end the one that took its place.
#[test]
fn a_key_past_its_end_ends_nothing() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "x");
    let (old, new) = (renewable("same").set("end", &from_now(-5)), renewable("same"));
    refused(&gateway.send(&ending(&old)), 403, "expired");
    refused(&gateway.send(&ending(&renewable("same").set("ip", "192.0.2.0/24"))), 403, "client_not_allowed");
    let bad = format!("/-/end?{}", renewable("same").query_with_sig(&"A".repeat(43)));
    refused(&gateway.send(&Request::new("POST", bad)), 403, "bad_signature");
    accepted(&gateway.get(new.url()), 200);
}

/// The fingerprint in a record of the old key names the renewed one as well.
#[test]
fn a_fingerprint_from_before_the_renewal_revokes_the_renewed_key() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "x");
    let key = renewable("leaked");
    let (query, _) = renewed(&gateway.send(&renewal(&key)));
    let url = format!("/files/a?{query}");
    accepted(&gateway.get(&url), 200);
    let revoked = std::process::Command::new(valetkey_tests::process::binary())
        .args(["revoke", "--fingerprint", &key.fingerprint(), "--config"])
        .arg(gateway.config_path())
        .current_dir(gateway.home())
        .output()
        .unwrap();
    assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
    refused(&gateway.get(&url), 403, "revoked");
    refused(&gateway.get(key.url()), 403, "revoked");
}
