//! Copies: an upload as others, whoever moves its bytes.

use valetkey_tests::expect::accepted;
use valetkey_tests::http::{Answer, Request};

use super::s3::{PART, S3};
use super::{Place, bytes};
use crate::listing::elements;

/// Names that mean something else in a header, in a URL or to a store.
const NAMES: [&str; 6] = ["a b", "a+b", "a%2Fb", "ü&<x>", "it's ?#=", "日本/語"];

#[track_caller]
fn refused(answer: &Answer, status: u16, reason: &str) {
    assert_eq!((answer.status, answer.reason()), (status, reason), "{}", answer.text());
}

pub(super) fn objects_are_copied(place: &Place) {
    let s3 = S3::of(place);
    for length in [0, 10, 300 << 10] {
        let body = bytes(length);
        accepted(
            &place.send("from", &body, &[("x-amz-meta-place", "Łódź"), ("Content-Type", "text/plain")]),
            200,
        );
        let to = format!("to {length}+ü");
        let copied = s3.copy("/files/from", &format!("/files/{to}"), &[]);
        accepted(&copied, 200);
        let answer = place.get(&to);
        assert!(answer.body == body);
        assert_eq!(answer.header("x-amz-meta-place"), Some("Łódź"));
        assert_eq!(answer.header("content-type"), Some("text/plain"));
        assert_eq!(elements(&copied.text(), "ETag"), [answer.header("etag").unwrap()]);
    }
    for name in NAMES {
        place.put(name, name.as_bytes());
        let to = format!("copies/{name}");
        accepted(&s3.copy(&format!("/files/{name}"), &format!("/files/{to}"), &[]), 200);
        assert_eq!(place.get(&to).text(), name);
    }
    // To another bucket, with a prefix of its own.
    accepted(&s3.copy("/files/from", "/other/to", &[]), 200);
    assert!(s3.send(Request::get("/other/to")).body == bytes(300 << 10));
}

pub(super) fn a_copy_keeps_what_its_source_says_or_says_something_else(place: &Place) {
    let s3 = S3::of(place);
    for length in [10, 300 << 10] {
        let body = bytes(length);
        let said = [
            ("Content-Type", "text/plain"),
            ("Cache-Control", "no-store"),
            ("Content-Language", "de"),
            ("x-amz-meta-place", "here"),
        ];
        accepted(&place.send("from", &body, &said), 200);
        let told = |name: &str| {
            let answer = place.get(name);
            assert!(answer.body == body, "{name}");
            let told = ["content-type", "content-language", "x-amz-meta-place", "x-amz-meta-by"];
            told.map(|name| answer.header(name).map(str::to_owned))
        };
        let both = [Some("text/plain".to_owned()), Some("de".to_owned()), Some("here".to_owned()), None];
        accepted(&s3.copy("/files/from", "/files/to", &[("x-amz-metadata-directive", "COPY")]), 200);
        assert_eq!(told("to"), both);
        let replaced = [Some("image/png".to_owned()), None, None, Some("copy".to_owned())];
        let replace = [
            ("x-amz-metadata-directive", "REPLACE"),
            ("Content-Type", "image/png"),
            ("x-amz-meta-by", "copy"),
        ];
        accepted(&s3.copy("/files/from", "/files/to", &replace), 200);
        assert_eq!(told("to"), replaced);
        // Onto itself, which changes what is said of it and nothing else.
        accepted(&s3.copy("/files/from", "/files/from", &replace), 200);
        assert_eq!(told("from"), replaced);
    }
}

pub(super) fn a_copy_keeps_to_its_conditions(place: &Place) {
    let s3 = S3::of(place);
    let (first, second) = (place.put("from", b"first"), place.put("to", b"second"));
    let copy = |headers: &[(&str, &str)]| s3.copy("/files/from", "/files/to", headers);
    refused(&copy(&[("If-None-Match", "*")]), 412, "already_exists");
    refused(&copy(&[("If-Match", &first)]), 412, "precondition_failed");
    refused(&copy(&[("x-amz-copy-source-if-match", &second)]), 412, "precondition_failed");
    refused(&copy(&[("x-amz-copy-source-if-none-match", &first)]), 412, "precondition_failed");
    assert_eq!(place.get("to").body, b"second");
    accepted(&copy(&[("If-Match", &second), ("x-amz-copy-source-if-match", &first)]), 200);
    assert_eq!(place.get("to").body, b"first");
    accepted(&s3.copy("/files/from", "/files/new", &[("If-None-Match", "*")]), 200);
    assert_eq!(place.get("new").body, b"first");
    refused(&s3.copy("/files/none", "/files/new", &[]), 404, "not_found");
}

pub(super) fn a_copy_keeps_to_every_limit_of_an_upload(place: &Place) {
    let s3 = S3::of(place);
    for length in [1000, 300 << 10] {
        let body = [b"<!DOCTYPE html><title>x</title>".to_vec(), bytes(length)].concat();
        let digest = |bytes: &[u8]| format!("blake3:{}", base64url(blake3::hash(bytes).as_bytes()));
        accepted(&place.send("from", &body, &[("Content-Type", "text/html")]), 200);
        let before = place.kept();
        let id = |number: u32| format!("{length}-{number}");
        let bytes = |more: i64| (i64::try_from(body.len()).unwrap() + more).to_string();
        let to = |name: &str, id: &str, headers: &[(&str, &str)]| {
            let named = [&[("x-vk-id", id)], headers].concat();
            s3.copy("/files/from", &format!("/files/{name}"), &named)
        };
        let png = [("x-amz-metadata-directive", "REPLACE"), ("Content-Type", "image/png")];
        let image = [&[("x-vk-type", "image/*")][..], &png].concat();
        refused(&to("to", &id(1), &[("x-vk-max", &bytes(-1))]), 400, "too_large");
        refused(&to("to", &id(2), &[("x-vk-min", &bytes(1))]), 400, "too_small");
        refused(&to("to", &id(3), &[("x-vk-type", "image/*")]), 400, "type_not_allowed");
        refused(&to("to", &id(4), &image), 400, "type_not_allowed");
        refused(&to("to", &id(5), &[("x-vk-digest", &digest(b"other"))]), 400, "digest_mismatch");
        refused(&to("to", &id(6), &[("x-vk-in", &bytes(-1))]), 403, "bytes_exhausted");
        refused(&to("to", &id(7), &[("x-vk-out", &bytes(-1))]), 403, "bytes_exhausted");
        assert_eq!(place.kept(), before, "nothing shows of what is refused");

        let edge = [
            ("x-vk-max", &*bytes(0)),
            ("x-vk-min", &bytes(0)),
            ("x-vk-in", &bytes(0)),
            ("x-vk-out", &bytes(0)),
            ("x-vk-type", "text/html"),
            ("x-vk-uses", "1"),
        ];
        accepted(&to("edge", &id(8), &edge), 200);
        assert!(place.get("edge").body == body);
        refused(&to("edge", &id(8), &edge), 403, "uses_exhausted");
        accepted(&to("digest", &id(9), &[("x-vk-digest", &digest(&body))]), 200);
        assert!(place.get("digest").body == body);
        for name in ["edge", "digest", "from"] {
            accepted(&place.ask("DELETE", name, &[]), 204);
        }
    }
}

pub(super) fn parts_are_copied(place: &Place) {
    if !place.kind.parts {
        return;
    }
    let s3 = S3::of(place);
    let body = bytes(PART + 300_000);
    place.put("from", &body);
    let id = s3.begin("to");
    let copy = |number: u32, headers: &[(&str, &str)]| {
        s3.copy_part("/files/from", &format!("/files/to?partNumber={number}&uploadId={id}"), headers)
    };
    let beyond = format!("bytes=0-{}", body.len());
    refused(&copy(1, &[("x-amz-copy-source-range", &beyond)]), 400, "bad_request");
    refused(&copy(1, &[("x-amz-copy-source-if-match", "\"other\"")]), 412, "precondition_failed");
    let mut parts = Vec::new();
    let rest = format!("bytes={PART}-{}", body.len() - 1);
    for (number, range) in [(1, Some(format!("bytes=0-{}", PART - 1))), (2, None), (3, Some(rest))] {
        let range: Vec<_> = range.iter().map(|range| ("x-amz-copy-source-range", range.as_str())).collect();
        let answer = copy(number, &range);
        accepted(&answer, 200);
        parts.push((number, elements(&answer.text(), "ETag").pop().unwrap()));
    }
    let listed = s3.send(Request::get(format!("/files/to?uploadId={id}"))).text();
    let tags: Vec<_> = parts.iter().map(|(_, tag)| tag.clone()).collect();
    assert_eq!(elements(&listed, "ETag"), tags);
    assert_eq!(place.get("to").status, 404, "nothing shows before the end");
    let swapped = [(1, parts[1].1.clone()), (2, parts[0].1.clone())];
    assert_eq!(s3.complete("to", &id, &swapped).status, 400);
    accepted(&s3.complete("to", &id, &parts), 200);
    let got = place.get("to");
    assert!(got.body == [&body[..PART], &body, &body[PART..]].concat());
    assert_eq!(got.header("x-amz-meta-place"), Some("here"));
}

fn base64url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
