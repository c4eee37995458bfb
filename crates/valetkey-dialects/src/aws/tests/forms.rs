//! Which requests are sound, and what becomes of those that are not.

use super::*;
use alloc::vec;
use proptest::prelude::*;

fn get() -> Request {
    Request::new("GET", "/files/a%20b.txt", "x-id=GetObject").presigned()
}

fn put() -> Request {
    Request::new("PUT", "/files/a%20b.txt", "")
        .with("x-amz-meta-colour", "red")
        .header_signed("UNSIGNED-PAYLOAD")
}

/// The request with `from` in its query replaced.
fn edited(from: &str, to: &str) -> Request {
    let request = get();
    assert!(request.query.contains(from), "{}", request.query);
    Request { query: request.query.replace(from, to), ..request }
}

#[test]
fn what_is_signed_holds() {
    assert_eq!(get().reason(), None);
    assert_eq!(put().reason(), None);
    let (grant, request) = put().verify().unwrap();
    assert_eq!((grant.signer(), request.value("x-amz-meta-colour")), ("web", Some("red")));
    assert!(request.is_header_signed() && !get().verify().unwrap().1.is_header_signed());
}

#[test]
fn either_secret_of_a_signer_holds_and_no_other() {
    let other = || Secret::new(b"another secret, long enough");
    let rotated = SignerSecrets { current: other(), previous: Some(Secret::new(SECRET)) };
    let wrong = SignerSecrets { current: other(), previous: None };
    for request in [get(), put()] {
        assert!(request.verify_with(Some(&rotated)).is_ok());
        assert_eq!(request.verify_with(Some(&wrong)).unwrap_err(), Denial::BadSignature);
        assert_eq!(request.verify_with(None).unwrap_err(), Denial::BadSignature);
    }
}

#[test]
fn what_verifies_under_the_decoy_is_not_taken() {
    let decoy = SignerSecrets::decoy();
    let scope = CredentialScope::new(time(), "eu-central-1");
    let request = get();
    let text = request.check(|head| super::super::in_query(head, None).unwrap().string_to_sign().to_owned());
    let signature = SigningKey::derive(&decoy.current, &scope).sign(&text).reveal();
    let (rest, _) = request.query.rsplit_once('=').unwrap();
    let forged = Request { query: format!("{rest}={signature}"), ..request.clone() };
    assert!(forged.verify_with(Some(&decoy)).is_ok());
    assert_eq!(forged.verify_with(None).unwrap_err(), Denial::BadSignature);
}

/// Every byte of the target and of each signed header counts.
#[test]
fn no_edit_of_a_request_holds() {
    for request in [get(), put()] {
        let mut edits = Vec::new();
        for (part, text) in [(0, &request.path), (1, &request.query)] {
            for (at, byte) in text.bytes().enumerate() {
                let other = if byte == b'a' { 'b' } else { 'a' };
                let text = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                let mut edit = request.clone();
                *(if part == 0 { &mut edit.path } else { &mut edit.query }) = text;
                edits.push(edit);
            }
        }
        for (number, (_, value)) in request.headers.iter().enumerate() {
            for (at, byte) in value.bytes().enumerate() {
                let other = if byte == b'1' { '2' } else { '1' };
                let mut edit = request.clone();
                edit.headers[number].1 = format!("{}{other}{}", &value[..at], &value[at + 1..]);
                edits.push(edit);
            }
        }
        for method in ["GET", "HEAD", "PUT", "POST", "DELETE", "get"] {
            if method != request.method {
                edits.push(Request { method: method.to_owned(), ..request.clone() });
            }
        }
        assert!(edits.len() > 200);
        for edit in edits {
            let reason = edit.reason();
            let refused = ["bad_signature", "malformed_key", "bad_request", "no_key"];
            assert!(reason.is_some_and(|reason| refused.contains(&reason)), "{reason:?} {edit:?}");
        }
    }
}

#[test]
fn the_order_of_parameters_is_free_and_their_escapes_are_one() {
    let request = get();
    let mut pairs: Vec<_> = request.query.split('&').collect();
    pairs.reverse();
    assert_eq!(Request { query: pairs.join("&"), ..request.clone() }.reason(), None);
    let fingerprint = |request: &Request| request.verify().unwrap().0.fingerprint();
    for path in ["/files/%61%20b.txt", "/files/a%20b%2etxt"] {
        let same = Request { path: path.to_owned(), ..request.clone() };
        assert_eq!(fingerprint(&same), fingerprint(&request), "{path}");
    }
    for path in [
        "/files/a+b.txt",
        "/files/a%2520b.txt",
        "/files//a%20b.txt",
        "/files/./a%20b.txt",
        "/files/a%20b.txt/",
    ] {
        assert_eq!(
            Request { path: path.to_owned(), ..request.clone() }.reason(),
            Some("bad_signature"),
            "{path}"
        );
    }
    for added in ["&a", "&a=1", "&", "&="] {
        let edit = Request { query: request.query.clone() + added, ..request.clone() };
        assert_eq!(edit.reason(), Some("bad_signature"), "{added}");
    }
    let odd = Request::new("GET", "/files/a", "a+b=%2B&empty&=x").presigned();
    assert_eq!(odd.reason(), None);
}

#[test]
fn credentials_have_one_form() {
    for (from, to, reason) in [
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256&", "", "malformed_key"),
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", "not_supported"),
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1", "malformed_key"),
        ("X-Amz-Date=20261122T100000Z", "X-Amz-Date=20261122T100000", "malformed_key"),
        ("X-Amz-Date=20261122T100000Z", "X-Amz-Date=20261123T100000Z", "malformed_key"),
        ("X-Amz-Date=20261122T100000Z", "X-Amz-Date=20261122T240000Z", "malformed_key"),
        ("X-Amz-Date=20261122T100000Z", "X-Amz-Date=2026-11-22T100000Z", "malformed_key"),
        ("X-Amz-Date=20261122T100000Z", "X-Amz-Date=%C3%A90261122T100000Z", "malformed_key"),
        ("X-Amz-Date=", "x-amz-date=", "malformed_key"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=0", "malformed_key"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=604801", "malformed_key"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=604800", "bad_signature"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=-1", "malformed_key"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=%2B1", "malformed_key"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=3600.0", "malformed_key"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=99999999999999999999", "malformed_key"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=3600&X-Amz-Expires=3600", "malformed_key"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=3600&x-amz-expires=3600", "malformed_key"),
        ("%2Fs3%2F", "%2Fsts%2F", "malformed_key"),
        ("aws4_request", "aws5_request", "malformed_key"),
        ("aws4_request", "aws4_request%2Fx", "malformed_key"),
        ("eu-central-1", "", "malformed_key"),
        ("eu-central-1", "us-east-1", "bad_signature"),
        ("web%2F", "%2F", "malformed_key"),
        ("web%2F", "we%0Ab%2F", "malformed_key"),
        ("SignedHeaders=host", "SignedHeaders=", "malformed_key"),
        ("SignedHeaders=host", "SignedHeaders=range", "bad_signature"),
        ("SignedHeaders=host", "SignedHeaders=host%3Brange", "bad_signature"),
        ("SignedHeaders=host", "SignedHeaders=range%3Bhost", "malformed_key"),
        ("SignedHeaders=host", "SignedHeaders=host%3Bhost", "malformed_key"),
        ("SignedHeaders=host", "SignedHeaders=Host", "malformed_key"),
        ("SignedHeaders=host", "SignedHeaders=host%3B", "malformed_key"),
        ("x-id=GetObject", "x-id=%ff", "bad_request"),
        ("x-id=GetObject", "x-id=%2", "bad_request"),
    ] {
        assert_eq!(edited(from, to).reason(), Some(reason), "{from} -> {to}");
    }
}

#[test]
fn a_signature_has_one_spelling() {
    let request = get();
    let (rest, signature) = request.query.rsplit_once('=').unwrap();
    for other in [
        signature.to_uppercase(),
        signature[..63].to_owned(),
        format!("{signature}0"),
        format!("{signature}%00"),
        format!("%20{signature}"),
        String::new(),
    ] {
        let edit = Request { query: format!("{rest}={other}"), ..request.clone() };
        assert_eq!(edit.reason(), Some("bad_signature"), "{other}");
    }
}

#[test]
fn the_header_has_three_parts_once_each() {
    let request = put();
    let (_, value) = request.headers.last().unwrap().clone();
    let check = |value: String, reason: Option<&str>| {
        let mut edit = request.clone();
        edit.headers.last_mut().unwrap().1 = value.clone();
        assert_eq!(edit.reason(), reason, "{value}");
    };
    check(value.replace(", ", ","), None);
    check(value.replace(", Signature", ", Signatur"), Some("malformed_key"));
    check(format!("{value}, Signature=0"), Some("malformed_key"));
    check(format!("{value},"), Some("malformed_key"));
    check(value.split(", Signature").next().unwrap().to_owned(), Some("malformed_key"));
    check(value.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"), Some("malformed_key"));
    for name in ["x-amz-date", "x-amz-content-sha256"] {
        let mut edit = request.clone();
        edit.headers.retain(|(header, _)| header != name);
        assert!(edit.reason().is_some(), "{name}");
    }
}

#[test]
fn signed_headers_come_once_and_their_spaces_do_not_count() {
    let spaced = |value: &str| {
        let mut edit = put();
        edit.headers[1].1 = value.to_owned();
        edit.reason()
    };
    assert_eq!(spaced("  red "), None);
    assert_eq!(spaced("re d"), Some("bad_signature"));
    let words = Request::new("PUT", "/files/a", "")
        .with("x-amz-meta-a", "one  two")
        .header_signed("UNSIGNED-PAYLOAD");
    let mut edit = words.clone();
    edit.headers[1].1 = "one two".to_owned();
    assert_eq!(edit.reason(), None);
    assert_eq!(put().with("x-amz-meta-colour", "red").reason(), Some("bad_request"));
    assert_eq!(put().with("host", "files.example.com").reason(), Some("bad_request"));
}

#[test]
fn what_could_change_what_is_done_must_be_signed() {
    for request in [get(), put()] {
        for name in [
            "x-amz-acl",
            "x-amz-copy-source",
            "x-amz-tagging",
            "x-amz-meta-b",
            "x-goog-acl",
            "x-ms-blob-type",
        ] {
            assert_eq!(request.clone().with(name, "x").reason(), Some("bad_request"), "{name}");
        }
        assert_eq!(request.clone().with("x-vk-max", "5").reason(), Some("malformed_key"));
        for name in ["x-amz-user-agent", "x-amz-checksum-crc32", "content-type", "range", "x-forwarded-host"]
        {
            assert_eq!(request.clone().with(name, "x").reason(), None, "{name}");
        }
    }
    assert_eq!(get().with("x-amz-date", "20200101T000000Z").reason(), None);
}

#[test]
fn what_is_signed_and_not_done_is_refused_after_the_signature() {
    for (name, value, reason) in [
        ("x-amz-server-side-encryption", "AES256", Some("not_supported")),
        ("x-amz-copy-source", "/files/b", None),
        ("x-amz-security-token", "x", Some("not_supported")),
        ("x-amz-acl", "public-read", Some("not_supported")),
        ("x-amz-acl", "private", None),
        ("x-amz-storage-class", "GLACIER", Some("not_supported")),
        ("x-amz-storage-class", "STANDARD", None),
        ("x-goog-acl", "x", Some("not_supported")),
    ] {
        let header = Request::new("PUT", "/files/a", "").with(name, value).header_signed("UNSIGNED-PAYLOAD");
        assert_eq!(header.reason(), reason, "{name}");
        let unknown = header.verify_with(None).unwrap_err();
        assert_eq!(unknown, Denial::BadSignature, "{name}");
        let query =
            Request::new("PUT", "/files/a", &format!("{name}={value}").replace('/', "%2F")).presigned();
        assert_eq!(query.reason(), reason, "{name}");
    }
    assert_eq!(
        Request::new("PUT", "/files/a", "X-Amz-Acl=private&x-amz-acl=private").presigned().reason(),
        Some("bad_request")
    );
    let both = Request::new("PUT", "/files/a", "x-amz-meta-a=1").with("x-amz-meta-a", "1").presigned();
    assert_eq!(both.reason(), Some("bad_request"));
}

#[test]
fn answers_are_overridden_by_what_is_signed() {
    let request = |query: &str| Request::new("GET", "/files/a", query).presigned();
    let (_, signed) = request("response-content-type=text%2Fplain&response-expires=0").verify().unwrap();
    assert_eq!(signed.overrides, [("content-type", "text/plain".to_owned()), ("expires", "0".to_owned())]);
    assert_eq!(request("response-content-type=a%0D%0Ab").reason(), Some("bad_request"));
    assert_eq!(request("response-content-type=a&response-content-type=a").reason(), Some("bad_request"));
    assert_eq!(request("response-colour=a").reason(), Some("not_supported"));
    let most = |bytes| request(&format!("response-content-disposition={}", "a".repeat(bytes))).reason();
    assert_eq!((most(1024), most(1025)), (None, Some("bad_request")));
}

#[test]
fn a_query_has_a_bound() {
    let query = |count: usize| {
        Request::new("GET", "/files/a", &"a=1&".repeat(count)[..4 * count - 1]).presigned().reason()
    };
    // Six parameters are the credential's.
    assert_eq!((query(122), query(123)), (None, Some("bad_request")));
}

proptest! {
    #[test]
    fn what_is_signed_verifies_whatever_it_is(
        method in prop::sample::select(vec!["GET", "PUT", "HEAD", "DELETE", "POST"]),
        name in "[^\\p{C}/]{1,40}",
        parameters in prop::collection::vec(("[a-z]\\PC{0,8}", "\\PC{0,20}"), 0..6),
        value in "[ -~]{0,40}",
    ) {
        prop_assume!(!matches!(name.as_str(), "." | ".."));
        let path = ResourcePath::from_text(&format!("/files/{name}")).unwrap().encoded();
        let encode = |text: &str| valetkey::encode_component(text, b"");
        let pairs: Vec<_> = parameters.iter().map(|(name, value)| format!("q{}={}", encode(name), encode(value))).collect();
        let request = Request::new(method, &path, &pairs.join("&")).with("x-amz-meta-a", &value);
        prop_assert_eq!(request.clone().presigned().reason(), None);
        prop_assert_eq!(request.header_signed("UNSIGNED-PAYLOAD").reason(), None);
    }

    #[test]
    fn no_text_makes_the_reader_panic(query in "(X-Amz-[A-Z][a-z]{2,6}=|[&=%;/]|\\PC){0,20}", header in "\\PC{0,60}") {
        let query = format!("X-Amz-Signature={query}");
        prop_assert!(Request::new("GET", "/files/a", &query).verify().is_err());
        let request = Request::new("GET", "/files/a", "").with("authorization", &format!("AWS4-HMAC-SHA256 {header}"));
        prop_assert!(request.verify().is_err());
    }
}
