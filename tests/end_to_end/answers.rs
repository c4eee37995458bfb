//! What answers say: the table of reasons, and the headers that every download carries.

use valetkey_tests::expect::{accepted, refused, refused_in_words};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Answer, Request};
use valetkey_tests::key::{Key, from_now};

/// Every reason that a reading request can meet here, as GET and as HEAD.
#[test]
fn reasons_have_their_status_for_get_and_head() {
    let policies = "[policies.brief]\nmax_lifetime = \"1m\"\n";
    let gateway = Gateway::builder().toml(policies).start();
    gateway.plant("/files/a", "aaaa");
    let key = Key::new("/files/a", "read");
    let spent = key.clone().set("uses", "1").set("id", "spent");
    accepted(&gateway.get(spent.url()), 200);
    let cases = [
        ("/files/a".to_owned(), 401, "no_key"),
        (key.clone().set("max", "05").url(), 400, "malformed_key"),
        (key.url_with_sig(&"A".repeat(43)), 403, "bad_signature"),
        (key.clone().set("start", &from_now(600)).url(), 403, "not_yet_valid"),
        (key.clone().set("issued", &from_now(600)).url(), 403, "not_yet_valid"),
        (key.clone().set("end", &from_now(-1)).url(), 403, "expired"),
        (key.clone().set("policy", "brief").url(), 403, "lifetime_too_long"),
        (key.clone().set("policy", "none-such").url(), 403, "policy_missing"),
        (key.clone().set("allow", "write").url(), 403, "not_allowed"),
        (key.clone().set("path", "/files/b").url(), 403, "out_of_scope"),
        (key.clone().set("ip", "192.0.2.0/24").url(), 403, "client_not_allowed"),
        (key.url() + "&archive", 501, "not_supported"),
        (Key::new("/files/absent", "read").url(), 404, "not_found"),
        (Key::new("/none/absent", "read").url(), 403, "out_of_scope"),
        (key.url() + "&response-content-type=text/html", 400, "bad_request"),
    ];
    for (target, status, reason) in cases {
        refused_in_words(&gateway.get(&target), status, reason);
        let head = gateway.send(&Request::head(&target));
        refused(&head, status, reason);
        assert_eq!(head.header("content-type"), Some("application/problem+json"), "{reason}");
    }
    let other = Request::get(spent.url()).header("User-Agent", "another");
    refused_in_words(&gateway.send(&other), 403, "uses_exhausted");
}

#[test]
fn writing_reasons_have_their_status() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let key = Key::new("/files/a", "create,write").set("path", "/files/").set("max", "4").set("min", "2");
    let put = |object: &str, body: &str| gateway.send(&Request::put(key.clone().on(object).url(), body));
    refused_in_words(&put("/files/b", "12345"), 413, "too_large");
    refused_in_words(&put("/files/b", "1"), 400, "too_small");
    refused_in_words(&put("/files/a/b", "123"), 409, "name_conflict");
    let creating = Key::new("/files/a", "create");
    refused_in_words(&gateway.send(&Request::put(creating.url(), "x")), 412, "already_exists");
    let wrong = Request::put(key.url(), "123").header("If-Match", "\"none\"");
    refused_in_words(&gateway.send(&wrong), 412, "precondition_failed");
    refused_in_words(&gateway.send(&Request::delete(key.url())), 403, "not_allowed");
    let post = Request::new("POST", key.url()).body("x");
    let answer = gateway.send(&post);
    assert!((400..=501).contains(&answer.status) && answer.status != 500, "{}", answer.status);
    assert_eq!(std::fs::read(gateway.file_of("/files/a")).unwrap(), b"aaaa");
}

/// Until the signature holds, an answer tells nothing of what is there.
#[test]
fn answers_before_the_signature_do_not_depend_on_the_object() {
    let gateway = Gateway::new();
    gateway.plant("/files/there", "bytes");
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
        let answers = ["/files/there", "/files/absent", "/files/there/below"].map(|object| {
            let target = Key::new(object, "delete,read,write").url_with_sig(&"A".repeat(43));
            gateway.send(&Request::new(method, target))
        });
        for answer in &answers {
            refused(answer, 403, "bad_signature");
            let id = answer.header("x-request-id").unwrap();
            let first = answers[0].header("x-request-id").unwrap();
            assert_eq!(answer.text().replace(id, ""), answers[0].text().replace(first, ""));
        }
    }
}

#[test]
fn not_found_is_told_only_to_a_key_that_may_look() {
    let gateway = Gateway::new();
    let writer = Key::new("/files/absent", "write");
    refused(&gateway.get(writer.url()), 403, "not_allowed");
    refused(&gateway.get(Key::new("/files/absent", "read").url()), 404, "not_found");
    refused(&gateway.send(&Request::head(Key::new("/files/absent", "stat").url())), 404, "not_found");
    refused(&gateway.get(Key::new("/files/absent", "stat").url()), 403, "not_allowed");
}

#[test]
fn request_ids_differ() {
    let gateway = Gateway::new();
    let ids: std::collections::BTreeSet<String> =
        (0..50).map(|_| gateway.get("/files/a").header("x-request-id").unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 50);
}

#[test]
fn downloads_carry_the_headers_that_disarm_them() {
    let gateway = Gateway::new();
    gateway.plant("/files/a.bin", "0123456789");
    let key = Key::new("/files/a.bin", "read").set("end", &from_now(300));
    for request in [
        Request::get(key.url()),
        Request::head(key.url()),
        Request::get(key.url()).header("Range", "bytes=2-3"),
    ] {
        let answer = gateway.send(&request);
        assert!([200, 206].contains(&answer.status));
        disarmed(&answer);
        let caching = answer.header("cache-control").unwrap();
        assert!(caching.contains("private"), "{caching}");
        assert!(max_age(caching) <= 300, "{caching} outlives the key");
        assert!(answer.header("last-modified").is_some_and(|date| date.ends_with(" GMT")));
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
    }
    let counted = gateway.get(key.set("uses", "5").url());
    disarmed(&counted);
    assert!(counted.header("cache-control").unwrap().contains("no-store"));
}

#[test]
fn get_and_head_agree() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a.txt", "read,write");
    accepted(
        &gateway.send(&Request::put(key.url(), "hello").header("Content-Type", "text/plain; charset=utf-8")),
        200,
    );
    let (get, head) = (gateway.get(key.url()), gateway.send(&Request::head(key.url())));
    assert_eq!(get.body, b"hello");
    for name in
        ["content-type", "content-length", "etag", "last-modified", "content-disposition", "accept-ranges"]
    {
        assert_eq!(get.header(name), head.header(name), "{name}");
    }
    assert_eq!(get.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(get.header("content-length"), Some("5"));
}

/// A131: what a browser would run is saved, not shown, unless the key's issuer says otherwise.
#[test]
fn active_content_is_an_attachment() {
    let gateway = Gateway::new();
    let active = [
        "text/html",
        "TEXT/HTML; charset=x",
        "image/svg+xml",
        "application/xhtml+xml",
        "text/xml",
        "application/xml",
    ];
    for (number, kind) in active.into_iter().enumerate() {
        let key = Key::new(&format!("/files/{number}"), "read,write");
        accepted(
            &gateway.send(&Request::put(key.url(), "<script>1</script>").header("Content-Type", kind)),
            200,
        );
        let answer = gateway.get(key.url());
        disarmed(&answer);
        let disposition = answer.header("content-disposition").unwrap_or_default();
        assert!(disposition.starts_with("attachment"), "{kind}: {disposition:?}");
        let inline = gateway.get(key.set("disposition", "inline").url());
        disarmed(&inline);
        assert_eq!(inline.header("content-disposition"), Some("inline"), "{kind}");
    }
    // A file that an operator put there has no declared type; its name must not make it a page.
    gateway.plant("/files/page.html", "<script>1</script>");
    let answer = gateway.get(Key::new("/files/page.html", "read").url());
    let shown = answer.header("content-type").unwrap_or_default().starts_with("text/html")
        && !answer.header("content-disposition").unwrap_or_default().starts_with("attachment");
    assert!(!shown, "{:?}", answer.headers);
}

/// A132: the key's disposition is answered to the letter.
#[test]
fn disposition_is_answered_as_signed() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "x");
    for text in [
        "attachment",
        "inline",
        "attachment; filename=\"a b.txt\"",
        "attachment; filename*=UTF-8''%e2%82%ac.txt",
    ] {
        let key = Key::new("/files/a", "read").set("disposition", text);
        assert_eq!(gateway.get(key.url()).header("content-disposition"), Some(text));
    }
    let injected = Key::new("/files/a", "read").set("disposition", "inline\r\nX-Evil: 1");
    let answer = gateway.get(injected.url());
    refused(&answer, 400, "malformed_key");
    assert_eq!(answer.header("x-evil"), None);
}

/// An uploader's own caching wish, which nobody signed, can only make it stricter.
#[test]
fn uploaders_cache_control_only_tightens() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "read,write").set("end", &from_now(300));
    let after = |wish: &str| {
        accepted(&gateway.send(&Request::put(key.url(), "x").header("Cache-Control", wish)), 200);
        gateway.get(key.url()).header("cache-control").unwrap().to_owned()
    };
    let loose = after("public, max-age=31536000, immutable");
    assert!(!loose.contains("public") && max_age(&loose) <= 300, "{loose}");
    assert!(after("no-store").contains("no-store"));
    assert!(max_age(&after("max-age=5")) <= 5);
}

#[test]
fn etag_is_the_md5_where_the_bucket_says_so() {
    let secret = "a secret for the sums alone";
    let gateway = Gateway::builder()
        .bucket("sums", "prefix = \"sums/\"\netag = \"md5\"")
        .signer("sums", secret, "scope = [\"/sums/\"]\nallow = [\"create\", \"read\"]")
        .start();
    let key = Key::new("/sums/digits.txt", "create,read").signed_by("sums", secret);
    let put = gateway.send(&Request::put(key.url(), b"123456789"));
    assert_eq!(put.header("etag"), Some("\"25f9e794323b453885f5181f1b624d0b\""));
    assert_eq!(gateway.get(key.url()).header("etag"), put.header("etag"));
    // What an operator has edited no longer has it.
    std::fs::write(gateway.file_of("/sums/digits.txt"), "ops").unwrap();
    assert_etag_form(gateway.get(key.url()).header("etag").unwrap());
}

#[test]
fn etag_is_opaque_and_follows_the_bytes() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "read,write");
    let put = gateway.send(&Request::put(key.url(), "one"));
    let first = put.header("etag").unwrap().to_owned();
    assert_etag_form(&first);
    assert_eq!(gateway.get(key.url()).header("etag"), Some(first.as_str()));
    accepted(&gateway.send(&Request::put(key.url(), "two")), 200);
    let second = gateway.get(key.url()).header("etag").unwrap().to_owned();
    assert_ne!(first, second);
    // An operator's edit shows, even one of the same length.
    std::fs::write(gateway.file_of("/files/a"), "ops").unwrap();
    let answer = gateway.get(key.url());
    assert_eq!(answer.body, b"ops");
    let third = answer.header("etag").unwrap().to_owned();
    assert_etag_form(&third);
    assert!(third != second && third != first);
    accepted(&gateway.send(&Request::delete(Key::new("/files/a", "delete").url())), 204);
    refused(&gateway.get(key.url()), 404, "not_found");
}

#[test]
fn content_type_is_kept_and_an_unfit_one_never_breaks_an_answer() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "read,write");
    accepted(&gateway.send(&Request::put(key.url(), "x")), 200);
    assert_eq!(gateway.get(key.url()).header("content-type"), Some("application/octet-stream"));
    // A135
    for unfit in ["x".repeat(10_000), "\u{1}".to_owned(), "text/\u{e9}".to_owned(), "not a type".to_owned()] {
        let answer = gateway.send(&Request::put(key.url(), "y").header("Content-Type", unfit.as_str()));
        assert!([200, 400, 415, 431].contains(&answer.status), "{unfit:.20}: {}", answer.status);
        accepted(&gateway.get(key.url()), 200);
    }
}

#[test]
fn health_is_public_and_the_rest_of_our_own_space_is_not() {
    let gateway = Gateway::new();
    assert_eq!(gateway.get("/-/health").status, 200);
    for target in [
        "/-/metrics",
        "/-/",
        "/-",
        "/-/healthz",
        "/-/health/x",
        "/metrics",
        "/v1/keys",
        "/v1/usage",
        "/debug/pprof",
        "/",
    ] {
        let answer = gateway.get(target);
        assert!((400..500).contains(&answer.status) || answer.status == 501, "{target}: {}", answer.status);
    }
}

/// A170
#[test]
fn refusals_name_no_path_version_or_backend() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "x");
    let home = gateway.home().to_string_lossy().into_owned();
    for target in
        ["/files/a".to_owned(), Key::new("/files/absent", "read").url(), Key::new("/files/a/b", "read").url()]
    {
        let answer = gateway.get(target);
        let all = format!("{:?} {}", answer.headers, answer.text());
        assert!(!all.contains(&home) && !all.contains("valetkey-data") && !all.contains("objects"), "{all}");
        assert!(answer.header("server").is_none_or(|server| !server.contains('/')), "{all}");
    }
}

fn disarmed(answer: &Answer) {
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("content-security-policy"), Some("default-src 'none'; sandbox"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
}

fn max_age(caching: &str) -> u64 {
    let ages = caching.split(',').filter_map(|part| part.trim().strip_prefix("max-age="));
    let ages: Vec<u64> = ages.map(|age| age.parse().unwrap()).collect();
    match ages.as_slice() {
        [] if caching.contains("no-store") || caching.contains("no-cache") => 0,
        [age] => *age,
        other => panic!("{} max-ages in {caching:?}", other.len()),
    }
}

fn assert_etag_form(etag: &str) {
    let inner = etag
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or_else(|| panic!("{etag} is not quoted"));
    let (hash, number) = inner.split_once('-').unwrap_or_else(|| panic!("{etag} has no hyphen"));
    assert!(
        hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)),
        "{etag}"
    );
    assert!(!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()), "{etag}");
}
