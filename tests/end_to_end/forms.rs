//! Uploads by forms, in both languages: what a key says holds for a form as it does for a PUT.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use valetkey_tests::audit::record_of;
use valetkey_tests::aws::{Aws, sha256};
use valetkey_tests::expect::{accepted, refused_in_words};
use valetkey_tests::form::{Form, Policy};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Answer, Request};
use valetkey_tests::key::{Key, from_now};
use valetkey_tests::process::{valetkey, wait_until};

/// In which language a form is written, and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Native,
    /// For S3; a limit is a condition of its policy.
    S3,
    /// The same, and the form repeats the limits.
    S3Repeating,
}

pub(crate) const ALL: [Written; 3] = [Written::Native, Written::S3, Written::S3Repeating];

/// S3's code and status for a reason, and our own status.
const WORDS: [(&str, &str, u16, u16); 17] = [
    ("bad_request", "MalformedPOSTRequest", 400, 400),
    ("no_key", "AccessDenied", 403, 401),
    ("malformed_key", "InvalidArgument", 400, 400),
    ("bad_signature", "SignatureDoesNotMatch", 403, 403),
    ("not_yet_valid", "AccessDenied", 403, 403),
    ("expired", "AccessDenied", 403, 403),
    ("revoked", "AccessDenied", 403, 403),
    ("client_not_allowed", "AccessDenied", 403, 403),
    ("too_large", "EntityTooLarge", 400, 413),
    ("too_small", "EntityTooSmall", 400, 400),
    ("type_not_allowed", "InvalidRequest", 400, 415),
    ("uses_exhausted", "AccessDenied", 403, 403),
    ("bytes_exhausted", "AccessDenied", 403, 403),
    ("files_exhausted", "AccessDenied", 403, 403),
    ("rate_limited", "SlowDown", 503, 429),
    ("digest_mismatch", "BadDigest", 400, 400),
    ("already_exists", "PreconditionFailed", 412, 412),
];

impl Written {
    /// A form for the object `name` of the bucket `files` under these limits.
    pub(crate) fn form(self, name: &str, limits: &[(&str, &str)]) -> Form {
        if self == Self::Native {
            let key =
                limits.iter().fold(Key::new(&format!("/files/{name}"), "write"), |key, (limit, value)| {
                    key.set(limit, value)
                });
            return Form::native(&key, name);
        }
        let aws = Aws::default();
        let policy = limits.iter().fold(Policy::new(&aws, name), |policy, (limit, value)| {
            if *limit == "end" {
                return Policy { expiration: (*value).to_owned(), ..policy };
            }
            policy.with(json!({ format!("x-vk-{limit}"): value }))
        });
        let policy = policy.with(json!(["starts-with", "$Content-Type", ""]));
        let form = Form::signed(&aws, &policy, name).field("Content-Type", "text/plain");
        if self == Self::S3 {
            return form;
        }
        let repeated = limits.iter().filter(|(limit, _)| *limit != "end");
        repeated.fold(form, |form, (limit, value)| form.field(&format!("x-vk-{limit}"), value))
    }

    /// Checks that a form was stored.
    #[track_caller]
    pub(crate) fn stored(self, answer: &Answer) {
        accepted(answer, if self == Self::Native { 200 } else { 204 });
        let etag = answer.header("etag").expect("an answer to an upload has an ETag");
        assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 10, "{etag}");
    }

    /// Checks that a form was refused for this reason, in its own words.
    #[track_caller]
    pub(crate) fn refused(self, answer: &Answer, reason: &str) {
        let known = WORDS.iter().find(|(known, ..)| *known == reason);
        let (_, code, s3, native) = known.expect("the reason is one of the table");
        if self == Self::Native {
            return refused_in_words(answer, *native, reason);
        }
        refused_by_s3(answer, *s3, code, reason);
    }
}

/// A refusal in S3's words.
#[track_caller]
pub(crate) fn refused_by_s3(answer: &Answer, status: u16, code: &str, reason: &str) {
    let text = answer.text();
    assert_eq!((answer.status, answer.reason()), (status, reason), "{text}");
    assert!(text.contains(&format!("<Error><Code>{code}</Code>")), "{code} in {text}");
    assert_eq!(answer.header("content-type"), Some("application/xml"));
    assert!(answer.header("x-amz-request-id").is_some());
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01";

#[test]
fn a_form_becomes_the_object_that_it_names() {
    let gateway = Gateway::new();
    let content = b"\r\n--almost\r\n\0\xff a file of any bytes".to_vec();
    for written in ALL {
        for target in ["/files", "/files/"] {
            let form = written.form("in/a b+c%2F.bin", &[]).file(content.clone());
            written.stored(&gateway.send(&Form::post(target).body(form.body())));
            assert_eq!(std::fs::read(gateway.file_of("/files/in/a b+c%2F.bin")).unwrap(), content);
            std::fs::remove_file(gateway.file_of("/files/in/a b+c%2F.bin")).unwrap();
        }
    }
    let key = Key::new("/files/typed", "create,read");
    let form = Form::native(&key, "typed").file_type("text/x-files").file("1");
    accepted(&gateway.send(&form.request()), 200);
    assert_eq!(gateway.get(key.url()).header("content-type"), Some("text/x-files"));
    let form = Form::native(&key, "typed").field("Content-Type", "text/x-fields").file_type("text/x-files");
    refused_in_words(&gateway.send(&form.request()), 412, "already_exists");
    let key = Key::new("/files/typed", "read,write");
    let form = Form::native(&key, "typed").field("Content-Type", "text/x-fields").file_type("text/x-files");
    accepted(&gateway.send(&form.request()), 200);
    assert_eq!(gateway.get(key.url()).header("content-type"), Some("text/x-fields"));
}

#[test]
fn an_empty_file_and_one_in_chunks_are_stored() {
    let gateway = Gateway::new();
    for written in ALL {
        let form = written.form("a", &[]);
        written.stored(&gateway.send(&form.request()));
        assert_eq!(std::fs::read(gateway.file_of("/files/a")).unwrap(), b"");
        let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        for size in [1 << 20, 4099, 97] {
            let body = valetkey_tests::http::chunked(&form.clone().file(content.clone()).body(), size);
            let request = Form::post("/files").header("Transfer-Encoding", "chunked").body(body);
            written.stored(&gateway.send(&request));
            assert!(std::fs::read(gateway.file_of("/files/a")).unwrap() == content, "in chunks of {size}");
        }
    }
}

/// A071, A111 of forms, and the like for every limit: each is tried on both of its sides.
#[test]
fn every_limit_holds_on_both_of_its_sides() {
    let gateway = Gateway::new();
    let digest = |bytes: &[u8]| {
        let hash = blake3::hash(bytes);
        let text = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, hash.as_bytes());
        format!("blake3:{text}")
    };
    let (hour_ago, later) = (from_now(-3600), from_now(600));
    let digest = digest(b"12345");
    let five = b"12345".as_slice();
    let cases = [
        (&[("max", "5")][..], Some(five), Some(&b"123456"[..]), "too_large"),
        (&[("min", "5")], Some(five), Some(b"1234"), "too_small"),
        (&[("in", "5")], Some(five), Some(b"123456"), "bytes_exhausted"),
        (&[("digest", digest.as_str())], Some(five), Some(b"12346"), "digest_mismatch"),
        (&[("end", later.as_str())], Some(five), None, ""),
        (&[("end", hour_ago.as_str())], None, Some(five), "expired"),
        (&[("start", hour_ago.as_str())], Some(five), None, ""),
        (&[("start", later.as_str())], None, Some(five), "not_yet_valid"),
        (&[("ip", "127.0.0.0/8")], Some(five), None, ""),
        (&[("ip", "10.0.0.0/8")], None, Some(five), "client_not_allowed"),
        (&[("type", "text/plain")], Some(five), Some(b"<html>"), "type_not_allowed"),
        (&[("type", "image/png")], None, Some(five), "type_not_allowed"),
    ];
    for (number, (limits, sound, unsound, reason)) in cases.into_iter().enumerate() {
        for written in ALL {
            let id = format!("{written:?}-{number}");
            let limits = &[limits, &[("id", id.as_str())]].concat();
            let form = written.form("limits/a", limits).file_type("text/plain");
            let before = gateway.stored();
            if let Some(unsound) = unsound {
                written.refused(&gateway.send(&form.clone().file(unsound).request()), reason);
            }
            assert_eq!(gateway.stored(), before, "{written:?} {limits:?}: a refusal stores nothing");
            if let Some(sound) = sound {
                written.stored(&gateway.send(&form.file(sound).request()));
                std::fs::remove_file(gateway.file_of("/files/limits/a")).unwrap();
                std::fs::remove_dir(gateway.file_of("/files/limits")).unwrap();
            }
        }
    }
    // A form for S3 declares by its field alone, a native one by that first.
    for (written, field, file, status) in [
        (Written::Native, None, Some("image/png"), 200),
        (Written::Native, Some("image/png"), Some("text/html"), 200),
        (Written::Native, None, None, 415),
        (Written::S3, Some("image/png"), None, 204),
        (Written::S3, None, Some("image/png"), 400),
    ] {
        let mut form = written.form("typed", &[("type", "image/png")]).without("Content-Type").file(PNG);
        if let Some(field) = field {
            form = form.field("Content-Type", field);
        } else if written == Written::S3 {
            form = form.field("Content-Type", "");
        }
        if let Some(file) = file {
            form = form.file_type(file);
        }
        assert_eq!(gateway.send(&form.request()).status, status, "{written:?} {field:?} {file:?}");
    }
}

#[test]
fn counts_are_those_of_the_key() {
    let gateway = Gateway::new();
    for (number, written) in ALL.into_iter().enumerate() {
        let id = |text: &str| format!("{text}{number}");
        let (once, names) = (id("once"), id("names"));
        let counted = written.form("once", &[("id", &once), ("uses", "1"), ("max", "5")]);
        written.refused(&gateway.send(&counted.clone().file("123456").request()), "too_large");
        written.stored(&gateway.send(&counted.clone().file("1").request()));
        written.refused(&gateway.send(&counted.file("1").request()), "uses_exhausted");

        let limits = [("id", names.as_str()), ("files", "2")];
        for (name, reason) in [
            ("n1", ""),
            ("n2", ""),
            ("n1", ""),
            ("n3", "files_exhausted"),
            ("n2", ""),
            ("n3", "files_exhausted"),
        ] {
            let answer = gateway.send(&written.form(name, &limits).file(name).request());
            if reason.is_empty() { written.stored(&answer) } else { written.refused(&answer, reason) }
        }
    }
    // A form and a PUT by one key share its uses.
    let key = Key::new("/files/shared", "write").set("uses", "1");
    accepted(&gateway.send(&Form::native(&key, "shared").request()), 200);
    refused_in_words(&gateway.send(&Request::put(key.url(), "x")), 403, "uses_exhausted");
}

/// What is under way counts at once, and what breaks off is given back.
#[test]
fn a_form_that_breaks_off_gives_its_use_back() {
    let gateway = Gateway::new();
    for (number, written) in ALL.into_iter().enumerate() {
        let id = format!("one{number}");
        let form = written.form("a", &[("id", &id), ("uses", "1")]).file(vec![7; 200_000]);
        let before = gateway.stored();
        let mut half = gateway.connect();
        let body = form.body();
        let head = Form::post("/files").header("Content-Length", body.len().to_string()).head_bytes();
        half.send(&[head, body[..100_000].to_vec()].concat()).unwrap();
        wait_until(Duration::from_secs(5), "the upload begins", || gateway.stored() != before).unwrap();
        written.refused(&gateway.send(&form.request()), "uses_exhausted");
        drop(half);
        wait_until(Duration::from_secs(10), "nothing of it is left", || gateway.stored() == before).unwrap();
        written.stored(&gateway.send(&form.request()));
        std::fs::remove_file(gateway.file_of("/files/a")).unwrap();
    }
}

#[test]
fn transfers_at_once_and_their_speed_are_bounded() {
    let gateway = Gateway::new();
    for (number, written) in ALL.into_iter().enumerate() {
        let id = format!("p{number}");
        let form = written.form("a", &[("id", &id), ("parallel", "1")]).file(vec![7; 200_000]);
        let (body, before) = (form.body(), gateway.stored());
        let mut half = gateway.connect();
        let head = Form::post("/files").header("Content-Length", body.len().to_string()).head_bytes();
        half.send(&[head, body[..150_000].to_vec()].concat()).unwrap();
        wait_until(Duration::from_secs(5), "the upload begins", || gateway.stored() != before).unwrap();
        written.refused(&gateway.send(&form.request()), "rate_limited");
        half.send(&body[150_000..]).unwrap();
        written.stored(&half.read_answer("POST").unwrap());
        std::fs::remove_file(gateway.file_of("/files/a")).unwrap();
    }
    let slow = Written::Native.form("slow", &[("rate", "100000")]).file(vec![7; 200_000]);
    let begun = Instant::now();
    Written::Native.stored(&gateway.send(&slow.request()));
    assert!(begun.elapsed() > Duration::from_millis(800), "{:?}", begun.elapsed());
}

#[test]
fn what_may_only_create_replaces_nothing() {
    let only = "scope = [\"/files/\"]\nallow = [\"create\"]";
    let gateway = Gateway::builder().signer("maker", "a-secret-of-the-maker", only).start();
    gateway.plant("/files/there", "old");
    let maker =
        Aws { signer: "maker".to_owned(), secret: "a-secret-of-the-maker".to_owned(), ..Aws::default() };
    for (name, status, reason) in [("there", 412, "already_exists"), ("new", 0, "")] {
        let native = Form::native(&Key::new(&format!("/files/{name}"), "create"), name).file("new");
        let s3 = Form::signed(&maker, &Policy::new(&maker, ""), name).file("new");
        for (written, form) in [(Written::Native, native), (Written::S3, s3)] {
            let answer = gateway.send(&form.request());
            if status == 412 {
                written.refused(&answer, reason);
                assert_eq!(std::fs::read(gateway.file_of("/files/there")).unwrap(), b"old");
            } else {
                written.stored(&answer);
                std::fs::remove_file(gateway.file_of("/files/new")).unwrap();
            }
        }
    }
    // A condition of the request is one of a form's too.
    for written in ALL {
        let form = written.form("there", &[]).file("new").request();
        written.refused(&gateway.send(&form.clone().header("If-None-Match", "*")), "already_exists");
        assert_eq!(gateway.send(&form.clone().header("If-Match", "\"other\"")).status, 412);
        written.stored(&gateway.send(&form.header("If-Match", "*")));
    }
}

#[test]
fn a_revocation_ends_a_form_that_runs() {
    let gateway = Gateway::new();
    for (number, written) in ALL.into_iter().enumerate() {
        let id = format!("running{number}");
        let form = written.form("a", &[("id", &id)]).file(vec![7; 400_000]);
        let before = gateway.stored();
        let body = form.body();
        let mut half = gateway.connect();
        let head = Form::post("/files").header("Content-Length", body.len().to_string()).head_bytes();
        half.send(&[head, body[..200_000].to_vec()].concat()).unwrap();
        wait_until(Duration::from_secs(5), "the upload begins", || gateway.stored() != before).unwrap();
        let output = valetkey(gateway.home(), ["revoke", "--id", &id]).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let begun = Instant::now();
        written.refused(&half.read_answer("POST").unwrap(), "revoked");
        assert!(begun.elapsed() < Duration::from_secs(1));
        wait_until(Duration::from_secs(5), "nothing is left", || gateway.stored() == before).unwrap();
        written.refused(&gateway.send(&form.request()), "revoked");
    }
}

/// The records tell of a form what they tell of a PUT, and neither they nor the log what opens a door.
#[test]
fn a_form_is_recorded_as_an_upload() {
    let gateway = Gateway::builder().env("RUST_LOG", "debug").start();
    let mut keys = Vec::new();
    for (written, status) in [(Written::Native, 200), (Written::S3, 204)] {
        let form = written.form("in/a", &[("id", "one"), ("subject", "u42"), ("max", "5")]);
        let answer = gateway.send(&form.clone().file("hello").request());
        written.stored(&answer);
        let record = record_of(&gateway, answer.header("x-request-id").unwrap()).unwrap();
        for (name, value) in [
            ("dialect", json!(if written == Written::Native { "native" } else { "aws" })),
            ("signer", json!("web")),
            ("subject", json!("u42")),
            ("id", json!("one")),
            ("action", json!("upload")),
            ("bucket", json!("files")),
            ("object", json!("in/a")),
            ("status", json!(status)),
            ("reason", json!(null)),
            ("bytes_in", json!(5)),
            ("digest", json!(blake3::hash(b"hello").to_hex().as_str())),
        ] {
            assert_eq!(record[name], value, "{name} of {record}");
        }
        let refused = gateway.send(&form.clone().file("hello!").request());
        let second = record_of(&gateway, refused.header("x-request-id").unwrap()).unwrap();
        assert_eq!((&second["reason"], &second["action"]), (&json!("too_large"), &json!("upload")));
        assert_eq!(second["key"], record["key"], "one policy is one key");
        keys.push(form);
    }
    let log = std::fs::read_to_string(gateway.audit_path()).unwrap() + &gateway.stderr();
    for secret in [keys[0].value("vk-sig"), keys[1].value("policy"), keys[1].value("x-amz-signature")] {
        assert!(!log.contains(secret), "{secret} is in a log");
    }
}

#[test]
fn pages_of_other_origins_send_forms_as_they_send_puts() {
    let cors = "prefix = \"app/\"\n[buckets.app.cors]\norigins = [\"https://app.example\"]";
    let gateway = Gateway::builder()
        .bucket("app", cors)
        .signer("pages", "a-secret-of-the-pages", "scope = [\"/app/\"]\nallow = [\"create\"]")
        .start();
    let preflight = Request::new("OPTIONS", "/app")
        .header("Origin", "https://app.example")
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "content-type");
    let answer = gateway.send(&preflight);
    assert!(answer.header("access-control-allow-methods").unwrap().contains("POST"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("content-type"));
    let key = Key::new("/app/a", "create").signed_by("pages", "a-secret-of-the-pages");
    let body = Form::native(&key, "a").body();
    for (origin, allowed) in [("https://app.example", true), ("https://other.example", false)] {
        let post = || Form::post("/app").header("Origin", origin).body(body.clone());
        let first = gateway.send(&post());
        accepted(&first, 200);
        let second = gateway.send(&post());
        refused_in_words(&second, 412, "already_exists");
        for answer in [first, second] {
            let found = answer.header("access-control-allow-origin");
            assert_eq!(found, allowed.then_some(origin), "{:?}", answer.headers);
        }
        std::fs::remove_file(gateway.file_of("/app/a")).unwrap();
    }
}

/// What curl writes as a form, over both versions of HTTP.
#[test]
fn curl_sends_forms() {
    let gateway = Gateway::new();
    let file = gateway.home().join("photo.png");
    std::fs::write(&file, [PNG, &vec![7; 300_000]].concat()).unwrap();
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        for written in [Written::Native, Written::S3] {
            let form = written.form("curl/photo.png", &[("max", "1000000")]);
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--show-error", "--max-time", "20", version]);
            curl.args(["--write-out", "%{http_code}", "--output", "/dev/null"]);
            for (name, value) in form.fields() {
                curl.args(["--form-string", &format!("{name}={value}")]);
            }
            let output = curl
                .args(["--form", &format!("file=@{};type=image/png", file.display())])
                .arg(format!("http://{}/files/", gateway.address()))
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let expected = if written == Written::Native { "200" } else { "204" };
            assert_eq!(said, expected, "{version} {}", String::from_utf8_lossy(&output.stderr));
            assert!(std::fs::read(gateway.file_of("/files/curl/photo.png")).unwrap().starts_with(PNG));
            std::fs::remove_file(gateway.file_of("/files/curl/photo.png")).unwrap();
        }
    }
}

#[test]
fn a_race_of_forms_has_as_many_winners_as_uses() {
    let gateway = Gateway::new();
    for written in [Written::Native, Written::S3] {
        let id = format!("{written:?}");
        let form = written.form("raced", &[("id", &id), ("uses", "3")]).file(sha256(b"x")).request();
        let answers: Vec<Answer> = thread::scope(|scope| {
            let threads: Vec<_> = (0..24).map(|_| scope.spawn(|| gateway.send(&form))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let stored = answers.iter().filter(|answer| answer.status < 300).count();
        let spent = answers.iter().filter(|answer| answer.reason() == "uses_exhausted").count();
        assert_eq!((stored, spent), (3, 21), "{written:?}");
    }
}
