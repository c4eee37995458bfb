//! Cross-origin requests: preflights tell a page what it may ask, answers and refusals whether it may read them, and
//! nothing is said to an origin that nobody configured.

use std::collections::BTreeSet;

use valetkey_tests::expect::{accepted, refused, refused_in_words};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Answer, Request};
use valetkey_tests::key::{Key, encode};

const APP: &str = "https://app.example.com";
const ADMIN: &str = "http://localhost:5173";
const STRANGER: &str = "https://evil.example";

/// Buckets `app` and `two` for the origins of two applications, `open` for all, `void` for pages without an origin, and
/// `files` for none.
fn gateway() -> Gateway {
    let cors = |name: &str, origins: &str, rest: &str| {
        format!("prefix = \"{name}/\"\n[buckets.{name}.cors]\norigins = {origins}\n{rest}")
    };
    let scope =
        "scope = [\"/app/\", \"/two/\", \"/open/\", \"/void/\"]\nallow = [\"delete\", \"read\", \"write\"]";
    Gateway::builder()
        .bucket("app", &cors("app", &format!("[\"{APP}\", \"{ADMIN}\"]"), "max_age = \"10m\""))
        .bucket("two", &cors("two", &format!("[\"{ADMIN}\"]"), ""))
        .bucket("open", &cors("open", "[\"*\"]", ""))
        .bucket("void", &cors("void", "[\"null\"]", ""))
        .signer("pages", "a-secret-of-the-pages", scope)
        .start()
}

fn key(object: &str, allow: &str) -> Key {
    Key::new(object, allow).signed_by("pages", "a-secret-of-the-pages")
}

fn preflight(target: &str, origin: &str, method: &str) -> Request {
    Request::new("OPTIONS", target).header("Origin", origin).header("Access-Control-Request-Method", method)
}

/// The headers of the CORS protocol, and what they vary with.
fn cors_headers(answer: &Answer) -> BTreeSet<&str> {
    let names = answer.headers.iter().map(|(name, _)| name.as_str());
    names.filter(|name| name.starts_with("access-control-")).collect()
}

fn names(answer: &Answer, header: &str) -> BTreeSet<String> {
    let value = answer.header(header).unwrap_or_default();
    value.split(',').map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty()).collect()
}

/// A page of `origin` may read the answer.
#[track_caller]
fn readable(answer: &Answer, origin: &str) {
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin), "{:?}", answer.headers);
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    assert!(names(answer, "vary").contains("origin"), "{:?}", answer.headers);
    let exposed = names(answer, "access-control-expose-headers");
    for name in [
        "etag",
        "content-range",
        "content-disposition",
        "accept-ranges",
        "x-request-id",
        "x-valetkey-reason",
        "location",
        "upload-offset",
        "upload-length",
        "tus-resumable",
        "*",
    ] {
        assert!(exposed.contains(name), "{name} in {exposed:?}");
    }
}

/// No page may read the answer.
#[track_caller]
fn unreadable(answer: &Answer) {
    assert!(cors_headers(answer).is_empty(), "{:?}", answer.headers);
}

#[test]
fn preflights_answer_by_the_origins_of_the_bucket() {
    let gateway = gateway();
    for (target, origin, allowed) in [
        ("/app/a", APP, Some(APP)),
        ("/app/a", ADMIN, Some(ADMIN)),
        ("/app/a", STRANGER, None),
        ("/app", APP, Some(APP)),
        ("/app/", APP, Some(APP)),
        ("/%61pp/a", APP, Some(APP)),
        ("/app%2Fa", APP, Some(APP)),
        ("/app/%zz", APP, Some(APP)),
        ("/app/a?vk-sig=nonsense", APP, Some(APP)),
        ("/two/a", ADMIN, Some(ADMIN)),
        ("/two/a", APP, None),
        ("/two/a?vk-path=/app/", APP, None),
        ("/two/../app/a", APP, None),
        ("/open/a", STRANGER, Some("*")),
        ("/open/a", "null", Some("*")),
        ("/void/a", "null", Some("null")),
        ("/void/a", APP, None),
        ("/app/a", "null", None),
        ("/files/a", APP, None),
        ("/absent/a", APP, None),
        ("/", APP, None),
        ("*", APP, None),
        // Exactly the origin, and nothing that looks like it.
        ("/app/a", "https://app.example.com.evil.example", None),
        ("/app/a", "https://xapp.example.com", None),
        ("/app/a", "https://app.example.com:8443", None),
        ("/app/a", "https://app.example.com/", None),
        ("/app/a", "http://app.example.com", None),
        ("/app/a", "https://APP.example.com", None),
        ("/app/a", "https://app.example.com, https://evil.example", None),
        ("/app/a", "*", None),
        ("/app/a", "", None),
    ] {
        let answer = gateway.send(&preflight(target, origin, "PUT"));
        accepted(&answer, 204);
        match allowed {
            Some(allowed) => readable(&answer, allowed),
            None => unreadable(&answer),
        }
        assert_eq!(answer.header("access-control-allow-origin"), allowed, "{target} {origin}");
    }
    let twice = preflight("/app/a", APP, "PUT").header("Origin", STRANGER);
    unreadable(&gateway.send(&twice));
}

#[test]
fn a_preflight_tells_methods_and_for_how_long() {
    let gateway = gateway();
    for method in ["PUT", "DELETE", "PATCH", "QUERY"] {
        let answer = gateway.send(&preflight("/app/a", APP, method));
        let methods = ["get", "head", "put", "post", "patch", "delete"].map(str::to_owned);
        assert_eq!(names(&answer, "access-control-allow-methods"), BTreeSet::from(methods), "{method}");
        assert_eq!(answer.header("access-control-max-age"), Some("600"));
        assert_eq!(answer.header("access-control-allow-private-network"), None);
    }
    let answer = gateway.send(&preflight("/two/a", ADMIN, "PUT"));
    assert_eq!(answer.header("access-control-max-age"), Some("7200"));
    for (asked, expected) in [("true", Some("true")), ("false", None)] {
        let private = preflight("/app/a", APP, "PUT").header("Access-Control-Request-Private-Network", asked);
        let answer = gateway.send(&private);
        assert_eq!(answer.header("access-control-allow-private-network"), expected);
        let stranger =
            preflight("/app/a", STRANGER, "PUT").header("Access-Control-Request-Private-Network", asked);
        unreadable(&gateway.send(&stranger));
    }
}

#[test]
fn a_preflight_allows_the_headers_that_a_key_may_need() {
    let gateway = gateway();
    let ask = |asked: &str| {
        let request = preflight("/app/a", APP, "PUT").header("Access-Control-Request-Headers", asked);
        let answer = gateway.send(&request);
        accepted(&answer, 204);
        names(&answer, "access-control-allow-headers")
    };
    let taken = [
        "authorization",
        "cache-control",
        "content-digest",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-md5",
        "content-type",
        "digest",
        "expires",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "range",
        "repr-digest",
        "tus-resumable",
        "upload-checksum",
        "upload-complete",
        "upload-concat",
        "upload-defer-length",
        "upload-draft-interop-version",
        "upload-length",
        "upload-metadata",
        "upload-offset",
        "x-amz-acl",
        "x-amz-checksum-crc32",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-meta-colour",
        "x-amz-sdk-checksum-algorithm",
        "x-amz-user-agent",
        "x-goog-content-length-range",
        "x-ms-blob-type",
        "x-ms-version",
        "x-vk-max",
    ];
    for name in taken {
        assert_eq!(ask(name), BTreeSet::from([name.to_owned()]), "{name}");
        assert_eq!(ask(&name.to_uppercase()), BTreeSet::from([name.to_owned()]), "{name}");
    }
    let without_effect = [
        "cookie",
        "forwarded",
        "host",
        "x-forwarded-for",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-requested-with",
        "x-anything",
        "range2",
        "x-amz",
        "",
        "*",
        "x-amz-meta-a b",
        "x-amz-meta-a\"",
        "\u{e9}",
    ];
    for name in without_effect {
        assert_eq!(ask(name), BTreeSet::new(), "{name}");
    }
    // Each by itself: one that has no effect does not take the others with it.
    let both = BTreeSet::from(["content-type".to_owned(), "x-amz-meta-a".to_owned()]);
    assert_eq!(ask("content-type,x-requested-with , x-amz-meta-a,"), both);
    let lines = preflight("/app/a", APP, "PUT")
        .header("Access-Control-Request-Headers", "content-type")
        .header("Access-Control-Request-Headers", "x-amz-meta-a");
    assert_eq!(names(&gateway.send(&lines), "access-control-allow-headers"), both);
    // It answers what was asked, and volunteers nothing.
    let nothing = gateway.send(&preflight("/app/a", APP, "PUT"));
    assert_eq!(nothing.header("access-control-allow-headers"), None);
}

/// To an origin that may not, a bucket that is there, one without rules and one that is not there look the same.
#[test]
fn a_refused_preflight_tells_nothing() {
    let gateway = gateway();
    gateway.plant("/app/there", "x");
    let said = |target: &str, origin: &str| {
        let mut answer = gateway.send(&preflight(target, origin, "PUT"));
        answer.headers.retain(|(name, _)| name != "x-request-id" && name != "date");
        (answer.status, answer.headers, answer.body)
    };
    let absent = said("/absent/a", STRANGER);
    for target in ["/app/there", "/app/gone", "/app/", "/void/a", "/files/a", "/", "/../app/a"] {
        assert_eq!(said(target, STRANGER), absent, "{target}");
    }
    assert_eq!(said("/app/there", APP), said("/app/gone", APP));
    let vary = BTreeSet::from(
        ["origin", "access-control-request-method", "access-control-request-headers"].map(str::to_owned),
    );
    for origin in [APP, STRANGER] {
        assert_eq!(names(&gateway.send(&preflight("/app/a", origin, "PUT")), "vary"), vary);
    }
}

#[test]
fn answers_are_readable_by_the_origins_of_the_bucket() {
    let gateway = gateway();
    gateway.plant("/app/a", "0123456789");
    gateway.plant("/open/a", "open");
    let both = key("/app/a", "delete,read,write");
    for origin in [APP, ADMIN] {
        let from = |request: Request| gateway.send(&request.header("Origin", origin));
        for (answer, status) in [
            (from(Request::get(both.url())), 200),
            (from(Request::head(both.url())), 200),
            (from(Request::get(both.url()).header("Range", "bytes=2-3")), 206),
            (from(Request::get(both.url()).header("Range", "bytes=20-")), 416),
            (from(Request::put(key("/app/new", "write").url(), "x")), 200),
            (from(Request::delete(key("/app/new", "delete").url())), 204),
        ] {
            assert_eq!(answer.status, status, "{:?}", answer.headers);
            readable(&answer, origin);
        }
        let etag = gateway.get(both.url()).header("etag").unwrap().to_owned();
        let known = from(Request::get(both.url()).header("If-None-Match", etag));
        assert_eq!(known.status, 304);
        readable(&known, origin);
    }
    let stranger = gateway.send(&Request::get(both.url()).header("Origin", STRANGER));
    accepted(&stranger, 200);
    unreadable(&stranger);
    let anyone = gateway.send(&Request::get(key("/open/a", "read").url()).header("Origin", STRANGER));
    readable(&anyone, "*");
}

/// A cache between must not give one page's answer to another.
#[test]
fn answers_of_a_bucket_with_origins_vary_with_the_origin() {
    let gateway = gateway();
    gateway.plant("/app/a", "x");
    gateway.plant("/files/a", "x");
    let app = key("/app/a", "read");
    for request in [Request::get(app.url()), Request::get(app.url()).header("Origin", STRANGER)] {
        let answer = gateway.send(&request);
        accepted(&answer, 200);
        assert_eq!(names(&answer, "vary"), BTreeSet::from(["origin".to_owned()]));
        unreadable(&answer);
    }
    assert_eq!(names(&gateway.get("/app/a"), "vary"), BTreeSet::from(["origin".to_owned()]));
    assert_eq!(gateway.get(Key::new("/files/a", "read").url()).header("vary"), None);
}

#[test]
fn refusals_are_readable_by_the_origins_of_the_bucket() {
    let gateway = gateway();
    gateway.plant("/app/a", "0123456789");
    gateway.plant("/app/counted", "x");
    let counted = key("/app/counted", "read").set("id", "once").set("uses", "1");
    accepted(&gateway.get(counted.url()), 200);
    let other = |request: Request| request.header("User-Agent", "another");
    for (request, status, reason) in [
        (Request::get("/app/a"), 401, "no_key"),
        (Request::get("/app/a?vk-sig="), 400, "malformed_key"),
        (Request::get("/app/%zz"), 400, "bad_request"),
        (Request::get(key("/app/a", "read").url_with_sig(&"A".repeat(43))), 403, "bad_signature"),
        (Request::get(key("/app/a", "read").set("end", "2020-01-01T00:00:00Z").url()), 403, "expired"),
        (Request::put(key("/app/a", "read").url(), "x"), 403, "not_allowed"),
        (Request::get(key("/app/a", "read").set("path", "/app/b/").url()), 403, "out_of_scope"),
        (Request::get(key("/app/absent", "read").url()), 404, "not_found"),
        (Request::put(key("/app/a", "write").set("max", "3").url(), "1234"), 413, "too_large"),
        (Request::put(key("/app/a", "create").url(), "x"), 412, "already_exists"),
        (Request::get(key("/app/a", "read").url()).header("If-Match", "\"x\""), 412, "precondition_failed"),
        (other(Request::get(counted.url())), 403, "uses_exhausted"),
        (Request::new("BREW", "/app/a"), 400, "bad_request"),
    ] {
        let answer = gateway.send(&request.clone().header("Origin", APP));
        refused_in_words(&answer, status, reason);
        readable(&answer, APP);
        let answer = gateway.send(&request.header("Origin", STRANGER));
        refused(&answer, status, reason);
        unreadable(&answer);
    }
    let head = gateway.send(&Request::head(key("/app/absent", "read").url()).header("Origin", APP));
    refused(&head, 404, "not_found");
    readable(&head, APP);
    let elsewhere = gateway.send(&Request::get("/absent/a").header("Origin", APP));
    unreadable(&elsewhere);
}

/// In the gateway's own space a preflight does not say which bucket the key is about, but the request does.
#[test]
fn own_space_goes_by_the_bucket_of_the_key() {
    let gateway = gateway();
    for target in ["/-/key", "/-/renew", "/-/end", "/-/uploads/abc", "/-/health"] {
        for origin in [APP, ADMIN] {
            // Of any bucket; the bucket that answers `*` is one of them.
            let answer = gateway.send(&preflight(target, origin, "POST"));
            assert!(
                [Some(origin), Some("*")].contains(&answer.header("access-control-allow-origin")),
                "{target}"
            );
        }
    }
    let ask = |query: &str, origin: &str| {
        gateway.send(&Request::get(format!("/-/key?{query}")).header("Origin", origin))
    };
    let about = |path: &str| {
        let plain = key(path, "read").set("path", path).query();
        [plain.clone(), plain.replace(path, &encode(path, ""))]
    };
    for query in about("/app/a") {
        readable(&ask(&query, APP), APP);
        unreadable(&ask(&query, STRANGER));
    }
    for query in about("/two/") {
        readable(&ask(&query, ADMIN), ADMIN);
        unreadable(&ask(&query, APP));
    }
    let header = Request::get("/-/key")
        .header("Authorization", key("/app/a", "read").set("path", "/app/a").authorization())
        .header("Origin", APP);
    readable(&gateway.send(&header), APP);
    for query in ["", "vk-path=/absent/", "vk-path=", "vk-path=%zz", "vk-path", "path=/app/"] {
        unreadable(&ask(query, APP));
    }
}

/// Without a bucket that any page may use, our own space says so too.
#[test]
fn own_space_is_closed_to_origins_that_no_bucket_names() {
    let gateway = Gateway::builder()
        .bucket("app", &format!("prefix = \"app/\"\n[buckets.app.cors]\norigins = [\"{APP}\"]"))
        .start();
    readable(&gateway.send(&preflight("/-/key", APP, "GET")), APP);
    for origin in [STRANGER, "null"] {
        unreadable(&gateway.send(&preflight("/-/key", origin, "GET")));
    }
}
