//! The audit log: one whole record for each request, chained, and nothing in it that opens a door.

use std::time::Duration;

use serde_json::Value;
use valetkey_tests::audit::{FIELDS, record_of, records, verify_chain};
use valetkey_tests::expect::accepted;
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Answer, Request};
use valetkey_tests::key::Key;
use valetkey_tests::process::wait_until;

fn record(gateway: &Gateway, answer: &Answer) -> Value {
    let record = record_of(gateway, answer.header("x-request-id").unwrap()).unwrap();
    let fields: Vec<_> = record.as_object().unwrap().keys().map(String::as_str).collect();
    for field in FIELDS {
        assert!(fields.contains(&field), "{field} in {record}");
    }
    assert_eq!(fields.len(), FIELDS.len(), "{fields:?}");
    record
}

#[test]
fn upload_and_download_and_delete_are_told_in_full() {
    let gateway = Gateway::builder().toml("[policies.open]\nmax = 100\n").start();
    let key = Key::new("/files/u/a b.txt", "delete,read,write")
        .set("path", "/files/u/")
        .set("id", "k-1")
        .set("subject", "ü42")
        .set("policy", "open");
    let put = gateway.send(&Request::put(key.url(), "hello"));
    accepted(&put, 200);
    // An upload is in the log before it is answered.
    let id = put.header("x-request-id").unwrap();
    let written = records(&gateway.audit_path()).unwrap();
    assert!(
        written.iter().any(|record| record["request_id"] == id),
        "the upload's record is there when it is answered"
    );

    let told = record(&gateway, &put);
    for (name, value) in [
        ("dialect", "native"),
        ("signer", "web"),
        ("subject", "ü42"),
        ("id", "k-1"),
        ("policy", "open"),
        ("bucket", "files"),
        ("object", "u/a b.txt"),
        ("client", "127.0.0.1"),
    ] {
        assert_eq!(told[name], value, "{name} in {told}");
    }
    assert_eq!(told["key"], key.fingerprint());
    assert_eq!(told["status"], 200);
    assert_eq!(told["reason"], Value::Null);
    assert_eq!((&told["bytes_in"], &told["bytes_out"]), (&5.into(), &Value::Null), "{told}");
    let digest = told["digest"].as_str().unwrap();
    assert!(digest.contains(&*blake3::hash(b"hello").to_hex()), "{digest}");
    assert!(told["duration_ms"].is_number(), "{told}");
    assert!(
        told["time"].as_str().is_some_and(|time| time.starts_with("20") && time.ends_with('Z')),
        "{told}"
    );

    let get = record(&gateway, &gateway.get(key.url()));
    assert_eq!((&get["status"], &get["bytes_out"]), (&200.into(), &5.into()));
    let range = gateway.send(&Request::get(key.url()).header("Range", "bytes=1-2"));
    assert_eq!(record(&gateway, &range)["bytes_out"], 2);
    let delete = gateway.send(&Request::delete(key.url()));
    let id = delete.header("x-request-id").unwrap();
    assert!(records(&gateway.audit_path()).unwrap().iter().any(|record| record["request_id"] == id));
    let actions = [&put, &delete].map(|answer| record(&gateway, answer)["action"].clone());
    assert!(actions.iter().all(Value::is_string) && actions[0] != actions[1], "{actions:?}");
}

#[test]
fn narrowed_key_is_named_by_its_last_level() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "x");
    let key = Key::new("/files/a", "read").narrow(&[("allow", "read")]);
    assert_eq!(record(&gateway, &gateway.get(key.url()))["key"], key.fingerprint());
}

#[test]
fn refusals_are_recorded_with_their_reason() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "x");
    let key = Key::new("/files/a", "read").set("id", "k-2");
    let cases = [
        ("/files/a".to_owned(), 401, "no_key"),
        (key.clone().set("max", "05").url(), 400, "malformed_key"),
        (key.url_with_sig(&"A".repeat(43)), 403, "bad_signature"),
        (key.clone().set("path", "/files/b").url(), 403, "out_of_scope"),
        (Key::new("/files/absent", "read").url(), 404, "not_found"),
        (key.url() + "&archive", 501, "not_supported"),
    ];
    for (target, status, reason) in cases {
        for method in ["GET", "HEAD"] {
            let answer = gateway.send(&Request::new(method, &target));
            let told = record(&gateway, &answer);
            assert_eq!((&told["status"], &told["reason"]), (&status.into(), &reason.into()), "{told}");
            assert_eq!(told["digest"], Value::Null);
        }
    }
}

/// Who a key says it is counts for nothing until the signature holds.
#[test]
fn forged_key_gives_no_name_to_its_record() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "read").set("subject", "somebody").set("id", "k-3");
    let told = record(&gateway, &gateway.get(key.url_with_sig(&"A".repeat(43))));
    assert_eq!((&told["subject"], &told["id"]), (&Value::Null, &Value::Null), "{told}");
}

#[test]
fn chain_holds_over_restarts_and_a_half_written_line() {
    let mut gateway = Gateway::new();
    gateway.plant("/files/a", "x");
    let key = Key::new("/files/a", "read,write");
    for _ in 0..5 {
        gateway.get(key.url());
        gateway.send(&Request::put(key.url(), "y"));
    }
    gateway.restart().unwrap();
    gateway.send(&Request::put(key.url(), "z"));
    gateway.kill9().unwrap();
    let mut log = std::fs::read(gateway.audit_path()).unwrap();
    log.extend_from_slice(b"{\"time\":\"2026-11-21T12:0");
    std::fs::write(gateway.audit_path(), log).unwrap();
    gateway.start().unwrap();
    gateway.send(&Request::put(key.url(), "z"));
    gateway.stop().unwrap();
    let count = verify_chain(&gateway.audit_path()).unwrap();
    assert!(count >= 12, "{count} records");
}

#[test]
fn log_and_its_key_are_for_the_operator_alone() {
    use std::os::unix::fs::PermissionsExt;
    let gateway = Gateway::new();
    gateway.get("/files/a");
    let folder = gateway.audit_path().parent().unwrap().to_owned();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let mode = entry.metadata().unwrap().permissions().mode();
        if name.starts_with("audit") || name.starts_with("ledger") {
            assert_eq!(mode & 0o077, 0, "{name} has mode {mode:o}");
        }
    }
}

#[test]
fn stopped_gateway_has_recorded_every_request() {
    let mut gateway = Gateway::new();
    gateway.plant("/files/a", "x");
    let key = Key::new("/files/a", "read");
    let ids: Vec<String> =
        (0..100).map(|_| gateway.get(key.url()).header("x-request-id").unwrap().to_owned()).collect();
    assert!(gateway.stop().unwrap().success());
    let told = records(&gateway.audit_path()).unwrap();
    for id in ids {
        assert_eq!(told.iter().filter(|record| record["request_id"] == id.as_str()).count(), 1);
    }
    verify_chain(&gateway.audit_path()).unwrap();
}

/// A166: one line a record, whatever the name.
#[test]
fn odd_text_in_a_name_stays_in_its_record() {
    let gateway = Gateway::new();
    let key = Key::new("/files/quote\"back\\slash\u{2028}", "read").set("subject", "a\"b\\c\u{2028}d");
    let told = record(&gateway, &gateway.get(key.url()));
    assert_eq!(told["object"], "quote\"back\\slash\u{2028}");
    assert_eq!(told["subject"], "a\"b\\c\u{2028}d");
    let raw = gateway.get(format!("/files/a%0A%7B%22forged%22:1%7D?{}", key.query()));
    record(&gateway, &raw);
    wait_until(Duration::from_secs(2), "records", || records(&gateway.audit_path()).is_ok()).unwrap();
    let all = records(&gateway.audit_path()).unwrap();
    assert!(all.iter().all(|record| record["forged"].is_null()));
}

/// A client that breaks off is told of as well, with what it took.
#[test]
fn broken_off_transfers_are_recorded() {
    let gateway = Gateway::new();
    let key = Key::new("/files/gone", "write").set("id", "broken-off");
    let mut connection = gateway.connect();
    connection.send(&Request::new("PUT", key.url()).header("Content-Length", "1000").head_bytes()).unwrap();
    connection.send(&[1; 10]).unwrap();
    drop(connection);
    let told = || {
        let all = records(&gateway.audit_path()).unwrap_or_default();
        all.into_iter().find(|record| record["id"] == "broken-off")
    };
    wait_until(Duration::from_secs(5), "a record of the broken upload", || told().is_some()).unwrap();
    let told = told().unwrap();
    assert_ne!(told["status"], 200, "{told}");
    assert_eq!(told["bytes_in"], 10, "{told}");
}
