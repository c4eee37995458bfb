//! What a holder may say beside the key: taken from a list, refused where it would change the answer or the object, and
//! else without effect.

use valetkey_tests::expect::{accepted, refused, refused_in_words};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::Request;
use valetkey_tests::key::Key;

#[test]
fn parameters_that_change_an_answer_are_refused() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let key = Key::new("/files/a", "delete,read,write");
    let names = [
        "response-content-type",
        "response-content-disposition",
        "response-cache-control",
        "response-expires",
        "response-content-encoding",
        "response-content-language",
        "versionId",
        "acl",
        "tagging",
        "torrent",
        "retention",
        "legal-hold",
        "attributes",
        "policy",
        "cors",
        "lifecycle",
        "website",
        "restore",
        "select",
    ];
    for name in names {
        for part in [format!("{name}=x"), name.to_owned(), name.replacen('e', "%65", 1) + "=x"] {
            let target = format!("{}&{part}", key.url());
            refused_in_words(&gateway.get(&target), 400, "bad_request");
            refused_in_words(&gateway.send(&Request::put(&target, "new")), 400, "bad_request");
            refused_in_words(&gateway.send(&Request::delete(&target)), 400, "bad_request");
        }
    }
    assert_eq!(std::fs::read(gateway.file_of("/files/a")).unwrap(), b"aaaa");
}

#[test]
fn parameters_that_nobody_knows_are_ignored() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let url = Key::new("/files/a", "read").url();
    for part in [
        "utm_source=x",
        "fbclid=1&gclid=2",
        "utm_source",
        "&&",
        "=",
        "a=%41&a=b",
        "cb=%zz",
        "x=%ff",
        "_method=DELETE",
        "x-id=GetObject",
    ] {
        let answer = gateway.get(format!("{url}&{part}"));
        assert_eq!((answer.status, answer.text().as_str()), (200, "aaaa"), "{part}");
    }
    assert!(gateway.file_of("/files/a").exists());
}

/// A097 for the native dialect: no header of another dialect has any effect that its signature did not cover.
#[test]
fn unsigned_vendor_headers_are_refused() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    gateway.plant("/files/secret", "secret");
    let key = Key::new("/files/a", "delete,read,write");
    let headers = [
        ("x-amz-acl", "public-read"),
        ("X-AMZ-ACL", "public-read"),
        ("x-amz-copy-source", "/files/secret"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-storage-class", "GLACIER"),
        ("x-amz-website-redirect-location", "http://example.com"),
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-security-token", "x"),
        ("x-amz-new-thing", "x"),
        ("x-goog-acl", "public-read"),
        ("x-goog-meta-a", "b"),
        ("x-goog-copy-source", "files/secret"),
        ("x-ms-copy-source", "http://example.com/"),
        ("x-ms-meta-a", "b"),
        ("x-ms-blob-type", "BlockBlob"),
        ("x-vk-max", "5"),
        ("x-vk-anything", "x"),
    ];
    for (name, value) in headers {
        refused_in_words(
            &gateway.send(&Request::put(key.url(), "new").header(name, value)),
            400,
            "bad_request",
        );
        refused_in_words(&gateway.send(&Request::get(key.url()).header(name, value)), 400, "bad_request");
        refused_in_words(&gateway.send(&Request::delete(key.url()).header(name, value)), 400, "bad_request");
    }
    assert_eq!(std::fs::read(gateway.file_of("/files/a")).unwrap(), b"aaaa");
}

#[test]
fn headers_that_only_describe_the_client_are_ignored() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let url = Key::new("/files/a", "read").url();
    let headers = [
        ("x-amz-user-agent", "aws-sdk-js/3"),
        ("x-amz-cf-id", "abc"),
        ("x-goog-api-client", "gl-python/3"),
        ("x-ms-client-request-id", "1"),
        ("X-Anything-Else", "x"),
        ("Origin", "https://example.com"),
        ("Referer", "https://example.com/"),
        ("Cookie", "a=b"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "for=192.0.2.1"),
        ("X-Original-URL", "/files/secret"),
        ("X-Rewrite-URL", "/files/secret"),
    ];
    for (name, value) in headers {
        let answer = gateway.send(&Request::get(&url).header(name, value));
        assert_eq!((answer.status, answer.text().as_str()), (200, "aaaa"), "{name}");
        assert!(!format!("{:?}", answer.headers).contains("evil.example"));
    }
}

/// A048
#[test]
fn method_overrides_have_no_effect() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let key = Key::new("/files/a", "delete,read,write");
    for name in ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"] {
        for method in ["DELETE", "PUT"] {
            let answer = gateway.send(&Request::get(key.url()).header(name, method));
            assert_eq!((answer.status, answer.text().as_str()), (200, "aaaa"), "{name}");
        }
        let reader = Key::new("/files/a", "read");
        let smuggled = Request::delete(reader.url()).header(name, "GET");
        refused(&gateway.send(&smuggled), 403, "not_allowed");
    }
    assert_eq!(std::fs::read(gateway.file_of("/files/a")).unwrap(), b"aaaa");
}

/// A026: an address that the client says of itself is no address.
#[test]
fn forwarded_address_is_not_believed() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let key = Key::new("/files/a", "read").set("ip", "192.0.2.0/24");
    for (name, value) in
        [("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.1"), ("X-Real-IP", "192.0.2.1")]
    {
        refused(&gateway.send(&Request::get(key.url()).header(name, value)), 403, "client_not_allowed");
    }
}

#[test]
fn metadata_of_an_upload_is_stored_and_served() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "read,write");
    let put = Request::put(key.url(), "x")
        .header("x-amz-meta-colour", "red")
        .header("X-Amz-Meta-Name", "value with spaces, and commas")
        .header("Content-Language", "de, en");
    accepted(&gateway.send(&put), 200);
    for answer in [gateway.get(key.url()), gateway.send(&Request::head(key.url()))] {
        assert_eq!(answer.header("x-amz-meta-colour"), Some("red"));
        assert_eq!(answer.header("x-amz-meta-name"), Some("value with spaces, and commas"));
        assert_eq!(answer.header("content-language"), Some("de, en"));
    }
    // The next upload's metadata replaces it whole.
    accepted(&gateway.send(&Request::put(key.url(), "y")), 200);
    let answer = gateway.get(key.url());
    assert_eq!(answer.header("x-amz-meta-colour"), None);
    assert_eq!(answer.header("content-language"), None);
}

/// 2 KiB in all, as S3 counts it: the names after the prefix and the values.
#[test]
fn metadata_is_at_most_two_kibibytes_in_all() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "read,write");
    let put = |a: usize, b: usize| {
        gateway.send(
            &Request::put(key.url(), "x")
                .header("x-amz-meta-a", "v".repeat(a))
                .header("x-amz-meta-b", "v".repeat(b)),
        )
    };
    accepted(&put(1000, 1000), 200);
    assert_eq!(gateway.get(key.url()).header("x-amz-meta-b").map(str::len), Some(1000));
    refused_in_words(&put(1024, 1025), 400, "bad_request");
    refused_in_words(&put(2049, 0), 400, "bad_request");
    // Refused as a whole: the object keeps what it had.
    assert_eq!(gateway.get(key.url()).header("x-amz-meta-a").map(str::len), Some(1000));
}

/// Nobody signed them, so they are dropped: a holder does not choose how others see the object.
#[test]
fn unsigned_disposition_and_expires_of_an_upload_are_dropped() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "read,write");
    let put = Request::put(key.url(), "x")
        .header("Content-Disposition", "inline; filename=evil.html")
        .header("Expires", "Fri, 01 Jan 2100 00:00:00 GMT");
    accepted(&gateway.send(&put), 200);
    let answer = gateway.get(key.url());
    assert!(
        !answer.header("content-disposition").unwrap_or_default().contains("evil"),
        "{:?}",
        answer.headers
    );
    assert_eq!(answer.header("expires"), None);
}
