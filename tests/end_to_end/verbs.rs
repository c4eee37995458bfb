//! Verbs: a key opens what it names, and a request is judged by its real method alone.

use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::Request;
use valetkey_tests::key::Key;

/// A046, A047: every verb against every method.
#[test]
fn each_verb_opens_its_methods_and_no_other() {
    let gateway = Gateway::new();
    let opened = |verb: &str, method: &str| {
        matches!(
            (verb, method),
            ("read", "GET" | "HEAD") | ("stat", "HEAD") | ("create" | "write", "PUT") | ("delete", "DELETE")
        )
    };
    for verb in ["create", "delete", "list", "read", "stat", "write"] {
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            let object = format!("/files/{verb}-{method}");
            if method != "PUT" {
                gateway.plant(&object, "old");
            }
            let answer =
                gateway.send(&Request::new(method, Key::new(&object, verb).url()).body(if method == "PUT" {
                    "new"
                } else {
                    ""
                }));
            if opened(verb, method) {
                assert!([200, 204].contains(&answer.status), "{verb} {method}: {}", answer.status);
            } else {
                refused(&answer, 403, "not_allowed");
                assert_eq!(gateway.file_of(&object).exists(), method != "PUT");
            }
        }
    }
}

/// A051: what is no verb of ours is refused, and nothing of the request comes back.
#[test]
fn other_methods_are_refused() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let key = Key::new("/files/a", "create,delete,list,read,stat,write");
    for method in
        ["PATCH", "TRACE", "get", "Get", "PROPFIND", "MKCOL", "COPY", "MOVE", "LOCK", "BREW", "POST"]
    {
        let answer = gateway.send(&Request::new(method, key.url()).header("X-Probe", "probe-value"));
        assert!([400, 403, 405, 501].contains(&answer.status), "{method}: {}", answer.status);
        assert!(!answer.text().contains("probe-value") && !answer.text().contains("vk-sig"), "{method}");
    }
    let mut connection = gateway.connect();
    connection.send(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n").unwrap();
    let answer = connection.read_head().unwrap();
    assert!((400..=501).contains(&answer.status) && answer.status != 500, "{}", answer.status);
    assert_eq!(std::fs::read(gateway.file_of("/files/a")).unwrap(), b"aaaa");
}

/// A049
#[test]
fn create_does_not_replace() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "create");
    accepted(&gateway.send(&Request::put(key.url(), "first")), 200);
    refused(&gateway.send(&Request::put(key.url(), "second")), 412, "already_exists");
    refused(&gateway.send(&Request::put(key.url(), "second").header("If-Match", "*")), 412, "already_exists");
    assert_eq!(std::fs::read(gateway.file_of("/files/a")).unwrap(), b"first");
    accepted(&gateway.send(&Request::put(Key::new("/files/a", "write").url(), "third")), 200);
    assert_eq!(std::fs::read(gateway.file_of("/files/a")).unwrap(), b"third");
}

/// A050: a preflight needs no key and tells nothing.
#[test]
fn options_tells_nothing_of_objects() {
    let gateway = Gateway::new();
    gateway.plant("/files/there", "x");
    let preflight = |target: &str| {
        let request = Request::new("OPTIONS", target)
            .header("Origin", "https://app.example.com")
            .header("Access-Control-Request-Method", "PUT");
        let mut answer = gateway.send(&request);
        answer.headers.retain(|(name, _)| name != "x-request-id" && name != "date");
        let reason = answer.reason().to_owned();
        (answer.status, answer.headers, reason)
    };
    let there = preflight("/files/there");
    assert!([200, 204, 401, 403, 405, 501].contains(&there.0), "{}", there.0);
    assert_eq!(there, preflight("/files/absent"));
    assert!(
        !there.1.iter().any(|(name, _)| name == "access-control-allow-origin"),
        "no origins are configured"
    );
}

/// A052: a body where none is expected is never run as the next request.
#[test]
fn body_of_a_get_is_not_the_next_request() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let inner =
        String::from_utf8(Request::delete(Key::new("/files/a", "delete").url()).head_bytes()).unwrap();
    let key = Key::new("/files/a", "read");
    for method in ["GET", "HEAD"] {
        let mut connection = gateway.connect();
        let mut bytes =
            Request::new(method, key.url()).header("Content-Length", inner.len().to_string()).head_bytes();
        bytes.extend_from_slice(inner.as_bytes());
        connection.send(&bytes).unwrap();
        let answer = connection.read_answer(method).unwrap();
        assert!([200, 400].contains(&answer.status), "{method}: {}", answer.status);
        connection.finish_sending().unwrap();
        let rest = String::from_utf8_lossy(&connection.drain().unwrap()).into_owned();
        assert!(!rest.contains("204"), "{method}: {rest}");
        assert!(gateway.file_of("/files/a").exists(), "{method}");
    }
}

/// A053
#[test]
fn delete_takes_one_object_and_no_folder() {
    let gateway = Gateway::new();
    gateway.plant("/files/d/a", "a");
    gateway.plant("/files/d/b", "b");
    let key = Key::new("/files/d/a", "delete").set("path", "/files/d/");
    for target in ["/files/d/", "/files/d", "/files/"] {
        let answer = gateway.send(&Request::delete(format!("{target}?{}", key.query())));
        assert!((400..=501).contains(&answer.status) && answer.status != 500, "{target}: {}", answer.status);
    }
    let many = Request::new("POST", format!("/files/?delete&{}", key.query()))
        .body("<Delete><Object><Key>d/b</Key></Object></Delete>");
    let answer = gateway.send(&many);
    assert!((400..=501).contains(&answer.status) && answer.status != 500, "{}", answer.status);
    accepted(&gateway.send(&Request::delete(key.url())), 204);
    accepted(&gateway.send(&Request::delete(key.url())), 204);
    assert!(!gateway.file_of("/files/d/a").exists());
    assert!(gateway.file_of("/files/d/b").exists());
}
