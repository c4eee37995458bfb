//! Uploads in parts by S3's calls, with native keys: one key, one use, one object, and nothing in between.

use valetkey_tests::expect::{accepted, refused, refused_in_words};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Answer, Request};
use valetkey_tests::key::Key;

const PART: usize = 5 << 20;

fn call(gateway: &Gateway, method: &str, key: &Key, query: &str, body: &[u8]) -> Answer {
    gateway.send(&Request::new(method, format!("{}&{query}", key.url())).body(body))
}

fn begin(gateway: &Gateway, key: &Key) -> String {
    let answer = call(gateway, "POST", key, "uploads", b"");
    accepted(&answer, 200);
    id_in(&answer)
}

fn id_in(answer: &Answer) -> String {
    let text = answer.text();
    let (_, rest) = text.split_once("<UploadId>").unwrap();
    rest.split_once("</UploadId>").unwrap().0.to_owned()
}

fn part(gateway: &Gateway, key: &Key, id: &str, number: u32, body: &[u8]) -> Answer {
    call(gateway, "PUT", key, &format!("uploadId={id}&partNumber={number}"), body)
}

fn complete(gateway: &Gateway, key: &Key, id: &str, parts: &[(u32, &str)]) -> Answer {
    let part = |(number, etag): &(u32, &str)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    };
    let parts: String = parts.iter().map(part).collect();
    let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    call(gateway, "POST", key, &format!("uploadId={id}"), document.as_bytes())
}

fn etag(answer: &Answer) -> String {
    accepted(answer, 200);
    answer.header("etag").unwrap().to_owned()
}

#[test]
fn parts_become_one_object_for_one_use() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "write").set("id", "k1").set("uses", "1");
    let answer = gateway.send(
        &Request::new("POST", format!("{}&uploads", key.url()))
            .header("Content-Type", "text/plain")
            .header("x-amz-meta-colour", "red"),
    );
    accepted(&answer, 200);
    let id = id_in(&answer);
    refused_in_words(&call(&gateway, "POST", &key, "uploads", b""), 403, "uses_exhausted");
    refused_in_words(&gateway.send(&Request::put(key.url(), "other")), 403, "uses_exhausted");

    let first = etag(&part(&gateway, &key, &id, 2, &vec![b'a'; PART]));
    let replaced = etag(&part(&gateway, &key, &id, 7, b"old"));
    let last = etag(&part(&gateway, &key, &id, 7, b"end"));
    assert_ne!(replaced, last);
    let listed = call(&gateway, "GET", &key, &format!("uploadId={id}&max-parts=1"), b"");
    accepted(&listed, 200);
    for piece in ["<IsTruncated>true</IsTruncated>", "<NextPartNumberMarker>2<", "<Size>5242880</Size>"] {
        assert!(listed.text().contains(piece), "{}", listed.text());
    }
    let rest = call(&gateway, "GET", &key, &format!("uploadId={id}&part-number-marker=2"), b"").text();
    assert!(rest.contains("<PartNumber>7<") && rest.contains("<IsTruncated>false<"), "{rest}");
    let reader = Key::new("/files/a", "read");
    refused(&gateway.get(reader.url()), 404, "not_found");

    let done = complete(&gateway, &key, &id, &[(2, &first), (7, &last)]);
    accepted(&done, 200);
    let object = gateway.get(reader.url());
    accepted(&object, 200);
    assert_eq!(object.body, [vec![b'a'; PART], b"end".to_vec()].concat());
    assert_eq!(object.header("content-type"), Some("text/plain"));
    assert_eq!(object.header("x-amz-meta-colour"), Some("red"));
    let whole = object.header("etag").unwrap();
    assert!(whole.ends_with("-2\"") && done.text().contains(&whole.replace('"', "&quot;")), "{whole}");

    // Whoever did not hear the answer asks again, and hears the same; the parts are gone.
    assert_eq!(complete(&gateway, &key, &id, &[(2, &first), (7, &last)]).text(), done.text());
    refused_in_words(&part(&gateway, &key, &id, 1, b"late"), 404, "not_found");
    refused_in_words(&gateway.send(&Request::put(key.url(), "other")), 403, "uses_exhausted");
}

#[test]
fn a_cap_holds_for_all_parts_together() {
    let gateway = Gateway::new();
    let before = gateway.stored();
    let key = Key::new("/files/a", "write").set("id", "k1").set("max", "12582912").set("uses", "1");
    let id = begin(&gateway, &key);
    let body = vec![b'a'; PART];
    let first = etag(&part(&gateway, &key, &id, 1, &body));
    let second = etag(&part(&gateway, &key, &id, 2, &body));
    refused(&part(&gateway, &key, &id, 3, &body), 413, "too_large");
    // A part that is sent again counts once.
    assert_eq!(etag(&part(&gateway, &key, &id, 2, &body)), second);
    refused_in_words(
        &complete(&gateway, &key, &id, &[(1, &first), (2, &second), (3, &second)]),
        400,
        "bad_request",
    );
    accepted(&call(&gateway, "DELETE", &key, &format!("uploadId={id}"), b""), 204);
    let mut after = gateway.stored();
    // The folder of all uploads stays, empty.
    after.retain(|name| name != ".valetkey-sessions");
    assert_eq!(after, before);
    refused_in_words(&call(&gateway, "DELETE", &key, &format!("uploadId={id}"), b""), 404, "not_found");
    refused(&gateway.get(Key::new("/files/a", "read").url()), 404, "not_found");
    // The use came back.
    begin(&gateway, &key);
}

#[test]
fn an_upload_belongs_to_its_key() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "write").set("id", "k1");
    let id = begin(&gateway, &key);
    let mine = etag(&part(&gateway, &key, &id, 1, b"mine"));
    for other in [
        Key::new("/files/a", "write").set("id", "k2"),
        Key::new("/files/a", "write"),
        key.clone().narrow(&[("max", "100")]),
        Key::new("/files/b", "write").set("id", "k1"),
    ] {
        refused_in_words(&part(&gateway, &other, &id, 1, b"theirs"), 404, "not_found");
        refused_in_words(&complete(&gateway, &other, &id, &[(1, &mine)]), 404, "not_found");
        refused_in_words(&call(&gateway, "GET", &other, &format!("uploadId={id}"), b""), 404, "not_found");
        refused_in_words(&call(&gateway, "DELETE", &other, &format!("uploadId={id}"), b""), 404, "not_found");
    }
    refused_in_words(&part(&gateway, &key, &"0".repeat(32), 1, b"x"), 404, "not_found");
    refused_in_words(&part(&gateway, &key, "no/upload", 1, b"x"), 404, "not_found");
    for verb in ["read", "delete", "list", "stat"] {
        let lesser = Key::new("/files/a", verb);
        refused_in_words(&call(&gateway, "POST", &lesser, "uploads", b""), 403, "not_allowed");
    }
    accepted(&complete(&gateway, &key, &id, &[(1, &mine)]), 200);
    assert_eq!(gateway.get(Key::new("/files/a", "read").url()).body, b"mine");
}

#[test]
fn a_completion_names_what_was_uploaded() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "write").set("id", "k1");
    let id = begin(&gateway, &key);
    for number in ["0", "10001", "-1", "x", "01", ""] {
        let query = format!("uploadId={id}&partNumber={number}");
        refused_in_words(&call(&gateway, "PUT", &key, &query, b"x"), 400, "bad_request");
    }
    let small = etag(&part(&gateway, &key, &id, 1, b"small"));
    let last = etag(&part(&gateway, &key, &id, 10_000, b"last"));
    for (parts, reason) in [
        (&[][..], "bad_request"),
        (&[(1, last.as_str())], "bad_request"),
        (&[(2, small.as_str())], "bad_request"),
        (&[(10_000, last.as_str()), (1, small.as_str())], "bad_request"),
        (&[(1, small.as_str()), (10_000, last.as_str())], "too_small"),
    ] {
        refused_in_words(&complete(&gateway, &key, &id, parts), 400, reason);
    }
    let query = format!("uploadId={id}");
    refused_in_words(&call(&gateway, "POST", &key, &query, b"<Complete"), 400, "bad_request");
    accepted(&complete(&gateway, &key, &id, &[(10_000, &last)]), 200);
    assert_eq!(gateway.get(Key::new("/files/a", "read").url()).body, b"last");
}

#[test]
fn what_an_upload_must_be_holds_for_the_whole() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "create").set("id", "k1").set("type", "image/png").set("min", "10");
    refused_in_words(&call(&gateway, "POST", &key, "uploads", b""), 415, "type_not_allowed");
    let typed = Request::new("POST", format!("{}&uploads", key.url())).header("Content-Type", "image/png");
    let id = id_in(&gateway.send(&typed));
    let short = etag(&part(&gateway, &key, &id, 1, b"short"));
    refused_in_words(&complete(&gateway, &key, &id, &[(1, &short)]), 400, "too_small");
    let page = etag(&part(&gateway, &key, &id, 1, b"<!doctype html><p>hello"));
    refused_in_words(&complete(&gateway, &key, &id, &[(1, &page)]), 415, "type_not_allowed");
    let honest = etag(&part(&gateway, &key, &id, 1, b"\x89PNG\r\n\x1a\n and so on"));
    gateway.plant("/files/a", "somebody was first");
    refused_in_words(&complete(&gateway, &key, &id, &[(1, &honest)]), 412, "already_exists");
    refused_in_words(&gateway.send(&typed), 412, "already_exists");
    assert_eq!(gateway.get(Key::new("/files/a", "read").url()).body, b"somebody was first");
}

#[test]
fn uploads_outlive_a_restart_and_are_listed_to_their_key() {
    let mut gateway = Gateway::new();
    let key = Key::new("/files/", "create,list").set("id", "k1").set("path", "/files/").set("uses", "2");
    let in_folder = |name: &str| key.clone().on(name);
    let id = begin(&gateway, &in_folder("/files/x/a"));
    begin(&gateway, &in_folder("/files/b"));
    let first = etag(&part(&gateway, &in_folder("/files/x/a"), &id, 1, b"kept"));
    gateway.restart().unwrap();
    let list = |query: &str| call(&gateway, "GET", &key, &format!("uploads&{query}"), b"").text();
    let all = list("");
    assert!(all.contains("<Key>b</Key>") && all.contains("<Key>x/a</Key>") && all.contains(&id), "{all}");
    let page = list("max-uploads=1");
    assert!(page.contains("<NextKeyMarker>b</NextKeyMarker>") && !page.contains("x/a"), "{page}");
    let folders = list("delimiter=/&key-marker=b");
    assert!(
        folders.contains("<CommonPrefixes><Prefix>x/</Prefix>") && !folders.contains("<Upload>"),
        "{folders}"
    );
    let other = Key::new("/files/", "list").set("id", "k2");
    assert!(!call(&gateway, "GET", &other, "uploads", b"").text().contains("<Upload>"));
    accepted(&complete(&gateway, &in_folder("/files/x/a"), &id, &[(1, &first)]), 200);
    assert_eq!(gateway.get(Key::new("/files/x/a", "read").url()).body, b"kept");
}
