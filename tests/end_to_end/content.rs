//! What an upload must be: the types and digests that its key says, and the checksums that its client says.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::Digest;
use std::process::Command;
use std::thread;
use std::time::Duration;

use valetkey_tests::expect::{accepted, refused, refused_in_words};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Answer, Request, chunked};
use valetkey_tests::key::{Key, encode};
use valetkey_tests::process::wait_until;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";
const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0";
const EXE: &[u8] = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0\xb8\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0";
const ELF: &[u8] =
    b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0\x01\0\0\0\0\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0\
                     \0\0\0\0\0\0\0\0\0\0\0\0";
const PAGE: &[u8] = b"<!DOCTYPE html><script>alert(1)</script>";
const ZIP: &[u8] = b"PK\x03\x04\x14\0\0\0\x08\0\0\0!\0";
const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

fn put(gateway: &Gateway, key: &Key, declared: &str, bytes: &[u8]) -> Answer {
    gateway.send(&Request::put(key.url(), bytes).header("Content-Type", declared))
}

fn blake3(bytes: &[u8]) -> String {
    format!("blake3:{}", URL_SAFE_NO_PAD.encode(blake3::hash(bytes).as_bytes()))
}

fn sha256(bytes: &[u8]) -> String {
    format!("sha-256:{}", URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(bytes)))
}

/// Waits until the store is as it was: a refused upload's folder goes a moment later.
fn store_returns_to(gateway: &Gateway, before: &[String]) {
    wait_until(Duration::from_secs(10), "nothing of the upload is left", || gateway.stored() == before)
        .unwrap();
}

#[test]
fn declared_type_is_one_that_the_key_takes() {
    let gateway = Gateway::new();
    for (number, (types, declared, status)) in [
        ("image/png", "image/png", 200),
        ("image/png", "IMAGE/PNG; charset=binary", 200),
        ("image/png", "image/jpeg", 415),
        ("image/png", "image/pngx", 415),
        ("image/png", "image", 415),
        ("image/png", "image/*", 415),
        ("image/png", "", 415),
        ("image/png", "image/png,text/html", 415),
        ("image/png", "image/png;,text/html", 415),
        ("image/png", "text/html;image/png", 415),
        ("image/*", "image/png", 200),
        ("image/*", "image/svg+xml", 200),
        ("image/*", "imagex/png", 415),
        ("image/*", "image/", 415),
        ("image/*,text/plain", "text/plain", 200),
        ("image/*,text/plain", "text/html", 415),
        ("application/vnd.api+json", "application/vnd.api+json;charset=utf-8", 200),
    ]
    .into_iter()
    .enumerate()
    {
        let object = format!("/files/{number}");
        let answer = put(&gateway, &Key::new(&object, "create").set("type", types), declared, b"anything");
        assert_eq!(answer.status, status, "{types}: {declared}: {}", answer.text());
        if status == 415 {
            refused_in_words(&answer, 415, "type_not_allowed");
        }
        assert_eq!(gateway.file_of(&object).exists(), status == 200);
    }
    let undeclared = Request::put(Key::new("/files/a", "create").set("type", "text/plain").url(), "x");
    refused_in_words(&gateway.send(&undeclared), 415, "type_not_allowed");
    let twice = undeclared.header("Content-Type", "text/plain").header("Content-Type", "text/html");
    assert!([400, 415].contains(&gateway.send(&twice).status));
    // Only uploads have a type to be limited.
    gateway.plant("/files/there", "x");
    let key = Key::new("/files/there", "delete,read").set("type", "image/png").set("digest", &blake3(b"y"));
    accepted(&gateway.get(key.url()), 200);
    accepted(&gateway.send(&Request::delete(key.url())), 204);
}

/// All that say a type must take it: narrowings, the policy, the signer.
#[test]
fn types_intersect() {
    let gateway = Gateway::builder()
        .signer(
            "app",
            "a secret for the signer app",
            "scope = [\"/files/\"]\ntype = [\"image/*\", \"text/plain\"]",
        )
        .toml("[policies.pictures]\ntype = [\"image/png\", \"image/jpeg\"]\n")
        .start();
    let key = Key::new("/files/a", "write").signed_by("app", "a secret for the signer app");
    for (key, takes) in [
        (key.clone(), [true, true, true, false]),
        (key.clone().set("policy", "pictures"), [true, false, false, false]),
        (key.clone().set("type", "image/gif,video/mp4"), [false, true, false, false]),
        (
            key.clone().set("type", "image/*").narrow(&[("type", "image/png,text/plain")]),
            [true, false, false, false],
        ),
        (key.narrow(&[("type", "image/*")]).narrow(&[("type", "text/plain")]), [false; 4]),
    ] {
        let declared = ["image/png", "image/gif", "text/plain", "video/mp4"];
        let taken = declared.map(|declared| put(&gateway, &key, declared, b"").status == 200);
        assert_eq!(taken, takes, "{}", key.query());
    }
}

/// The client is told before it sends.
#[test]
fn wrong_declaration_is_refused_before_the_body() {
    let gateway = Gateway::new();
    let before = gateway.stored();
    let key = Key::new("/files/a", "create").set("type", "image/png").set("max", "10");
    for declared in [Some("text/html"), None] {
        let mut request =
            Request::new("PUT", key.url()).header("Content-Length", "5").header("Expect", "100-continue");
        if let Some(declared) = declared {
            request = request.header("Content-Type", declared);
        }
        let mut connection = gateway.connect();
        connection.send(&request.head_bytes()).unwrap();
        let answer = connection.read_answer("PUT").unwrap();
        assert_eq!(answer.interim, Vec::<u16>::new(), "no 100 Continue before a refusal");
        refused_in_words(&answer, 415, "type_not_allowed");
    }
    // The size is looked at first, what is there only later.
    refused(&put(&gateway, &key, "text/html", &[b'x'; 11]), 413, "too_large");
    assert_eq!(gateway.stored(), before);
    gateway.plant("/files/a", "old");
    refused(&put(&gateway, &key, "text/html", b"x"), 415, "type_not_allowed");
    refused(&put(&gateway, &key, "image/png", b"x"), 412, "already_exists");
}

#[test]
fn first_bytes_do_not_belie_the_declared_type() {
    let gateway = Gateway::new();
    let before = gateway.stored();
    for (number, (declared, bytes, status)) in [
        ("image/png", PNG, 200),
        ("image/png", &b""[..], 200),
        ("image/png", b"no magic tells what this is", 200),
        ("image/png", JPEG, 415),
        ("image/png", PAGE, 415),
        ("image/png", b"\n  <p onclick=x>", 415),
        ("image/png", b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", 415),
        ("image/png", b"<?xml version='1.0'?><html/>", 415),
        ("image/png", EXE, 415),
        ("image/png", ELF, 415),
        ("image/png", b"%PDF-1.7", 415),
        ("image/png", b"#!/bin/sh\n", 415),
        ("application/pdf", b"%PDF-1.7", 200),
        ("application/pdf", ZIP, 415),
        ("text/plain", b"MZ are the first letters of this text", 200),
        ("text/plain", PAGE, 415),
        ("text/plain", EXE, 415),
        ("text/markdown", b"<p align=center>\n\n# Title", 200),
        ("text/html", PAGE, 200),
        ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>", 200),
        ("image/svg+xml", b"<?xml version='1.0'?><svg/>", 200),
        ("image/svg+xml", PAGE, 415),
        ("application/json", b"{}", 200),
        ("application/zip", ZIP, 200),
        (DOCX, ZIP, 200),
        (DOCX, EXE, 415),
        ("application/octet-stream", EXE, 200),
    ]
    .into_iter()
    .enumerate()
    {
        for form in ["declared", "chunked"] {
            let object = format!("/files/{number}-{form}");
            let key =
                Key::new(&object, "create").set("type", declared).set("uses", "1").set("id", &object[7..]);
            let send = |bytes: &[u8]| match form {
                "declared" => put(&gateway, &key, declared, bytes),
                _ => gateway.send(
                    &Request::put(key.url(), chunked(bytes, 3))
                        .header("Transfer-Encoding", "chunked")
                        .header("Content-Type", declared),
                ),
            };
            let answer = send(bytes);
            assert_eq!(answer.status, status, "{declared} {form}: {:?}", String::from_utf8_lossy(bytes));
            assert_eq!(gateway.file_of(&object).exists(), status == 200);
            if status == 415 {
                refused_in_words(&answer, 415, "type_not_allowed");
                // The use came back.
                accepted(&send(b""), 200);
                std::fs::remove_file(gateway.file_of(&object)).unwrap();
            } else {
                std::fs::remove_file(gateway.file_of(&object)).unwrap();
            }
        }
    }
    store_returns_to(&gateway, &before);
}

/// What the bytes tell need not be what was declared, if the key takes both.
#[test]
fn bytes_of_another_type_that_the_key_takes_pass() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "write").set("type", "image/jpeg,image/png");
    accepted(&put(&gateway, &key, "image/png", JPEG), 200);
    accepted(&put(&gateway, &Key::new("/files/a", "write").set("type", "image/*"), "image/png", JPEG), 200);
    // Without a limit nothing is looked at.
    accepted(&put(&gateway, &Key::new("/files/a", "write"), "image/png", PAGE), 200);
}

/// A large upload is refused by its beginning, not when the client is done.
#[test]
fn belied_upload_is_cut_early() {
    let gateway = Gateway::new();
    let before = gateway.stored();
    let key = Key::new("/files/a", "create").set("type", "image/png");
    let request = Request::new("PUT", key.url())
        .header("Content-Type", "image/png")
        .header("Content-Length", "100000000");
    let mut connection = gateway.connect();
    connection.send(&request.head_bytes()).unwrap();
    let mut page = PAGE.to_vec();
    page.resize(8 << 10, b' ');
    connection.send(&page).unwrap();
    refused_in_words(&connection.read_answer("PUT").unwrap(), 415, "type_not_allowed");
    store_returns_to(&gateway, &before);
}

#[test]
fn key_with_a_digest_is_for_exactly_these_bytes() {
    let gateway = Gateway::new();
    let before = gateway.stored();
    for (name, digest) in [("a", blake3(b"hello")), ("b", sha256(b"hello"))] {
        let object = format!("/files/{name}");
        let key = Key::new(&object, "create").set("digest", &digest).set("uses", "1").set("id", name);
        for other in ["hellO", "hell", "hello\n", ""] {
            refused_in_words(&gateway.send(&Request::put(key.url(), other)), 400, "digest_mismatch");
        }
        store_returns_to(&gateway, &before);
        accepted(&gateway.send(&Request::put(key.url(), "hello")), 200);
        std::fs::remove_file(gateway.file_of(&object)).unwrap();
    }
    let large = vec![7; 3_000_000];
    let key = Key::new("/files/large", "create").set("digest", &sha256(&large));
    let mut other = large.clone();
    other[2_999_999] = 8;
    refused_in_words(&gateway.send(&Request::put(key.url(), other)), 400, "digest_mismatch");
    let request = Request::put(key.url(), chunked(&large, 100_000)).header("Transfer-Encoding", "chunked");
    accepted(&gateway.send(&request), 200);
    assert_eq!(std::fs::read(gateway.file_of("/files/large")).unwrap(), large);
}

#[test]
fn digests_of_all_levels_hold() {
    let policy = format!("[policies.one]\ndigest = \"{}\"\n", blake3(b"one"));
    let gateway = Gateway::builder().toml(&policy).start();
    let key = Key::new("/files/a", "write");
    let put = |key: &Key, body: &str| gateway.send(&Request::put(key.url(), body));
    let narrowed = key.clone().set("digest", &blake3(b"one")).narrow(&[("digest", &sha256(b"one"))]);
    accepted(&put(&narrowed, "one"), 200);
    let torn = key.clone().set("digest", &blake3(b"one")).narrow(&[("digest", &sha256(b"two"))]);
    refused(&put(&torn, "one"), 400, "digest_mismatch");
    refused(&put(&torn, "two"), 400, "digest_mismatch");
    let bounded = key.set("policy", "one");
    accepted(&put(&bounded, "one"), 200);
    refused(&put(&bounded, "two"), 400, "digest_mismatch");
}

/// A race of uploads under one key of one use: the honest one gets it, however many others fail.
#[test]
fn mismatches_spend_no_use_in_a_race() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "write").set("digest", &blake3(b"good")).set("uses", "1").set("id", "one");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let answer = gateway.send(&Request::put(key.url(), "evil"));
                    assert!([400, 403].contains(&answer.status), "{}", answer.status);
                }
            });
        }
    });
    accepted(&gateway.send(&Request::put(key.url(), "good")), 200);
    refused(&gateway.send(&Request::put(key.url(), "good")), 403, "uses_exhausted");
}

/// The headers that say what "123456789" hashes to, by published values.
fn integrity_headers() -> Vec<(&'static str, String)> {
    let sha256 = "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=";
    let sha512 = "2eZ2LdHI6vbWGzxhkvxAjU1tXxF20MKRabwk5xw/J0rSf81YEbMT1oH35V7ALXPUmclUVba1u1A6z1dPuo/+hQ==";
    let sha1 = "98O8HYCOBHMq32eZZczDTKeuNEE=";
    let md5 = "JfnnlDI7RTiF9RgfG2JNCw==";
    let hex: String = STANDARD.decode(sha256).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    vec![
        ("Content-MD5", md5.to_owned()),
        ("Digest", format!("SHA-256={sha256}")),
        ("Digest", format!("md5={md5},sha-256={sha256}, unixsum=30637")),
        ("Repr-Digest", format!("sha-256=:{sha256}:")),
        ("Repr-Digest", format!("sha-512=:{sha512}:, unknown=:AAAA:")),
        ("Content-Digest", format!("sha-256=:{sha256}:,sha-512=:{sha512}:")),
        ("x-amz-checksum-crc32", "y/Q5Jg==".to_owned()),
        ("x-amz-checksum-crc32c", "4waSgw==".to_owned()),
        ("x-amz-checksum-crc64nvme", "rosUhgp5mIg=".to_owned()),
        ("x-amz-checksum-sha1", sha1.to_owned()),
        ("x-amz-checksum-sha256", sha256.to_owned()),
        ("x-amz-content-sha256", hex),
    ]
}

/// A134: what the client says its bytes hash to is compared, and what does not match stores nothing.
#[test]
fn checksums_of_the_client_are_compared() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "old");
    let before = gateway.stored();
    for (number, (name, value)) in integrity_headers().into_iter().enumerate() {
        let key = Key::new("/files/a", "write").set("uses", "1").set("id", &format!("k{number}"));
        let put = |body: &str| gateway.send(&Request::put(key.url(), body).header(name, value.as_str()));
        for other in ["123456780", "12345678", ""] {
            refused_in_words(&put(other), 400, "digest_mismatch");
        }
        assert_eq!(std::fs::read(gateway.file_of("/files/a")).unwrap(), b"old", "{name}");
        store_returns_to(&gateway, &before);
        let answer = put("123456789");
        accepted(&answer, 200);
        if name.starts_with("x-amz-checksum-") {
            assert_eq!(answer.header(name), Some(value.as_str()));
            assert_eq!(answer.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
        }
        refused(&put("123456789"), 403, "uses_exhausted");
        gateway.plant("/files/a", "old");
    }
}

/// Several are all compared, in a large body too.
#[test]
fn every_checksum_must_hold() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "write");
    let all = |request: Request| {
        let headers = integrity_headers().into_iter().filter(|(name, _)| *name != "Digest");
        headers.fold(request, |request, (name, value)| request.header(name, value))
    };
    accepted(&gateway.send(&all(Request::put(key.url(), "123456789"))), 200);
    let wrong = all(Request::put(key.url(), "123456789")).header("Digest", "md5=AAAAAAAAAAAAAAAAAAAAAA==");
    refused_in_words(&gateway.send(&wrong), 400, "digest_mismatch");
    let large: Vec<u8> = (0..2_500_000u32).map(|number| number.to_le_bytes()[1]).collect();
    let digest = STANDARD.encode(sha2::Sha256::digest(&large));
    for (body, status) in [(large.clone(), 200), ([&large[..], b"x"].concat(), 400)] {
        let request = Request::put(key.url(), body).header("x-amz-checksum-sha256", digest.as_str());
        assert_eq!(gateway.send(&request).status, status);
    }
    assert_eq!(std::fs::read(gateway.file_of("/files/a")).unwrap(), large);
}

#[test]
fn malformed_checksums_are_refused_before_the_body() {
    let gateway = Gateway::new();
    let before = gateway.stored();
    let key = Key::new("/files/a", "create");
    for (name, value, status, reason) in [
        ("Content-MD5", "nonsense", 400, "bad_request"),
        ("Content-MD5", "", 400, "bad_request"),
        ("Digest", "sha-256", 400, "bad_request"),
        ("Digest", "sha-256=AAAA", 400, "bad_request"),
        ("Repr-Digest", "sha-256=AAAA", 400, "bad_request"),
        ("Content-Digest", "sha-256=:AAAA:", 400, "bad_request"),
        ("Content-Digest", "sha-256=:", 400, "bad_request"),
        ("x-amz-checksum-crc32", "AAAAAAAA", 400, "bad_request"),
        ("x-amz-content-sha256", "UNSIGNED", 400, "bad_request"),
        ("x-amz-checksum-xxhash3", "AAAAAAAAAAA=", 501, "not_supported"),
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", 501, "not_supported"),
        ("x-amz-trailer", "x-amz-checksum-crc32", 501, "not_supported"),
        ("x-amz-decoded-content-length", "5", 501, "not_supported"),
        ("Content-Encoding", "aws-chunked", 501, "not_supported"),
    ] {
        let request = Request::new("PUT", key.url())
            .header("Content-Length", "5")
            .header("Expect", "100-continue")
            .header(name, value);
        let mut connection = gateway.connect();
        connection.send(&request.head_bytes()).unwrap();
        let answer = connection.read_answer("PUT").unwrap();
        assert_eq!(answer.interim, Vec::<u16>::new(), "{name}: {value}");
        refused_in_words(&answer, status, reason);
    }
    for (name, value) in [
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("x-amz-sdk-checksum-algorithm", "CRC32"),
        ("Repr-Digest", "unknown=:AAAA:"),
        ("Digest", "crc32c=AAAAAA=="),
        ("Want-Repr-Digest", "sha-256=1"),
    ] {
        let key = Key::new("/files/b", "write");
        accepted(&gateway.send(&Request::put(key.url(), "x").header(name, value)), 200);
    }
    std::fs::remove_file(gateway.file_of("/files/b")).unwrap();
    assert_eq!(gateway.stored(), before);
}

/// A135 and its kin: a browser splits a type at a comma and believes the last part.
#[test]
fn stored_type_is_served_only_if_it_is_one() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "read,write");
    for (declared, served) in [
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("image/png;,text/html", "application/octet-stream"),
        ("image/png, text/html", "application/octet-stream"),
        ("not a type", "application/octet-stream"),
        ("*/*", "application/octet-stream"),
    ] {
        accepted(&put(&gateway, &key, declared, b"<script>"), 200);
        assert_eq!(gateway.get(key.url()).header("content-type"), Some(served), "{declared}");
    }
}

/// Minted by the command, uploaded by curl over both versions of HTTP.
#[test]
fn curl_uploads_under_types_and_digests() {
    let gateway = Gateway::new();
    let home = gateway.home();
    for (name, bytes) in [("good.png", PNG), ("evil.png", PAGE), ("other.png", &b"\x89PNG\r\n\x1a\n2"[..])] {
        std::fs::write(home.join(name), bytes).unwrap();
    }
    let sign = |arguments: &[&str]| {
        let words = ["sign", "/files/a.png", "--allow", "write", "--max", "1KiB"];
        let output = valetkey_tests::process::valetkey(home, words.iter().chain(arguments).copied()).unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let curl = |url: &str, file: &str, arguments: &[&str]| {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "20", "--write-out", "%{http_code}"])
            .args(["--output", "/dev/null", "--upload-file", file])
            .args(arguments)
            .arg(url)
            .current_dir(home)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let png = ["--header", "Content-Type: image/png"];
    let typed = sign(&["--type", "image/png,image/jpeg"]);
    let exact = sign(&["--digest", &sha256(PNG)]);
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let typed_as = |file, header: &[&str]| curl(&typed, file, &[&[version], header].concat());
        assert_eq!(typed_as("good.png", &png), "200");
        assert_eq!(typed_as("evil.png", &png), "415");
        assert_eq!(typed_as("good.png", &["--header", "Content-Type: text/html"]), "415");
        assert_eq!(typed_as("good.png", &[]), "415");
        assert_eq!(curl(&exact, "good.png", &[version]), "200");
        assert_eq!(curl(&exact, "other.png", &[version]), "400");
        let md5 = ["--header", "Content-MD5: AAAAAAAAAAAAAAAAAAAAAA=="];
        assert_eq!(curl(&exact, "good.png", &[&[version], &md5[..]].concat()), "400");
    }
    assert_eq!(std::fs::read(gateway.file_of("/files/a.png")).unwrap(), PNG);
    assert!(exact.contains(&encode(&sha256(PNG), ":")), "{exact}");
}
