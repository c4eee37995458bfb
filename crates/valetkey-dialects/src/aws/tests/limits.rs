//! What a request permits, and what bounds it.

use super::*;
use valetkey::MeterName;

fn allows(request: Request) -> String {
    request.verify().unwrap().0.allow().to_string()
}

#[test]
fn a_url_grants_the_one_thing_that_it_was_signed_for() {
    for (method, path, query, allowed) in [
        ("GET", "/files/a", "", "read,stat"),
        ("HEAD", "/files/a", "", "stat"),
        ("PUT", "/files/a", "", "create,write"),
        ("DELETE", "/files/a", "", "delete"),
        ("PUT", "/files/a/", "", "create,write"),
        ("GET", "/files/", "list-type=2", "list"),
        ("GET", "/files", "", "list"),
        ("HEAD", "/files/", "", "list"),
        ("POST", "/files/a", "uploads", "create,write"),
        ("PUT", "/files/a", "partNumber=1&uploadId=x", "create,write"),
        ("POST", "/files/a", "uploadId=x", "create,write"),
        ("GET", "/files/a", "uploadId=x", "create,write"),
        ("DELETE", "/files/a", "uploadId=x", "create,write"),
        ("POST", "/files/a", "", ""),
        ("POST", "/files/", "delete", ""),
        ("PUT", "/files/", "", ""),
        ("DELETE", "/files/", "", ""),
        ("PATCH", "/files/a", "", ""),
        ("GET", "/", "", ""),
    ] {
        assert_eq!(allows(Request::new(method, path, query).presigned()), allowed, "{method} {path} {query}");
    }
}

#[test]
fn a_url_that_signs_the_condition_only_creates() {
    let put = |value| Request::new("PUT", "/files/a", "").with("if-none-match", value).presigned();
    assert_eq!(allows(put("*")), "create");
    assert_eq!(allows(put("\"x\"")), "create,write");
    let unsigned = Request::new("PUT", "/files/a", "").presigned().with("if-none-match", "*");
    assert_eq!(allows(unsigned), "create,write");
    let complete = Request::new("POST", "/files/a", "uploadId=x").with("if-none-match", "*").presigned();
    assert_eq!(allows(complete), "create");
    let mut dropped = put("*");
    dropped.headers.pop();
    assert_eq!(dropped.reason(), Some("bad_signature"));
}

#[test]
fn a_signed_request_has_no_bound_of_its_own() {
    let request = Request::new("POST", "/files/", "delete").header_signed("UNSIGNED-PAYLOAD");
    let (grant, _) = request.verify().unwrap();
    assert_eq!(grant.allow().to_string(), "create,delete,list,read,stat,write");
    assert_eq!(grant.scopes(), &valetkey::Scopes::EVERYWHERE);
    let buckets = Request::new("GET", "/", "").header_signed(EMPTY);
    assert_eq!(buckets.reason(), None);
}

#[test]
fn a_url_opens_its_own_path_until_its_end() {
    let (grant, _) = Request::new("GET", "/files/a%20b", "").presigned().verify().unwrap();
    assert_eq!(grant.scopes().paths(), [ResourcePath::from_text("/files/a b").unwrap()]);
    assert_eq!((grant.start(), grant.end()), (Some(time()), time().plus(Duration::from_secs(3600))));
}

#[test]
fn counted_levels_are_named() {
    let name = |request: Request| request.verify().unwrap().0.levels()[0].name.clone();
    let text = |name: MeterName| name.to_string();
    let get = |query| Request::new("GET", "/files/a", query);
    assert_eq!(text(name(get("x-vk-id=a7").presigned())), "[\"web\",\"id\",\"a7\"]");
    assert_eq!(text(name(get("").with("x-vk-id", "a7").header_signed(EMPTY))), "[\"web\",\"id\",\"a7\"]");
    assert_eq!(text(name(get("").header_signed(EMPTY))), "[\"web\",\"header\"]");
    let (grant, _) = get("").presigned().verify().unwrap();
    let expected = format!("[\"web\",\"fp\",\"{}\"]", grant.fingerprint());
    assert_eq!(grant.levels()[0].name.as_str(), expected);
    assert_ne!(name(get("a=1").presigned()), name(get("a=2").presigned()));
}

#[test]
fn limits_are_signed_parameters_or_signed_headers() {
    let query = Request::new("PUT", "/files/a", "x-vk-max=5&x-vk-uses=2&x-vk-subject=u%2042").presigned();
    let header = Request::new("PUT", "/files/a", "")
        .with("x-vk-max", "5")
        .with("x-vk-uses", "2")
        .with("x-vk-subject", "u 42")
        .presigned();
    for request in [query, header] {
        let (grant, _) = request.verify().unwrap();
        assert_eq!((grant.size().max_bytes, grant.subject()), (Some(5), Some("u 42")));
        assert_eq!(grant.levels()[0].limits.uses, Some(2));
    }
}

#[test]
fn a_limit_in_another_spelling_is_never_ignored() {
    for query in [
        "X-Vk-max=5",
        "x-vk-Max=5",
        "x-VK-max=5",
        "%78-vk-max=5",
        "x-vk-max=05",
        "x-vk-max=",
        "x-vk-max",
        "x-vk-max=5&x-vk-max=5",
        "x-vk-colour=red",
        "x-vk-",
        "x-vk-max.1=5",
        "x-vk-allow=read",
        "x-vk-path=%2Ffiles%2F",
        "x-vk-signer=web",
        "x-vk-sig=x",
        "x-vk-min=6&x-vk-max=5",
        "x-vk-subject=a%0Ab",
    ] {
        // The harness signs what it is told, names as they are decoded; only escapes are put back.
        let mut request = Request::new("PUT", "/files/a", query).presigned();
        if query.starts_with('%') {
            request.query = request.query.replace("x-vk-max", "%78-vk-max");
        }
        assert_eq!(request.reason(), Some("malformed_key"), "{query}");
    }
    let both = Request::new("PUT", "/files/a", "x-vk-max=5").with("x-vk-max", "5").presigned();
    assert_eq!(both.reason(), Some("malformed_key"));
    let mut spaced = Request::new("PUT", "/files/a", "").with("x-vk-subject", "a b").presigned();
    assert_eq!(spaced.reason(), None);
    spaced.headers[1].1 = "a  b".to_owned();
    assert_eq!(spaced.reason(), Some("malformed_key"));
}

#[test]
fn uploads_keep_what_is_signed() {
    let upload = |request: &Request| {
        let (_, signed) = request.verify().unwrap();
        request.check(|head| signed.upload_headers(head)).map_err(|denial| denial.reason())
    };
    let put = || Request::new("PUT", "/files/a", "");
    let stored = |name: &str, value: &str| (name.to_owned(), value.to_owned());

    let signed =
        upload(&put().with("content-disposition", "inline").with("cache-control", "no-cache").presigned());
    let signed = signed.unwrap();
    assert_eq!(signed.others, [stored("content-disposition", "inline"), stored("cache-control", "no-cache")]);
    assert_eq!(signed.signed, ["content-disposition", "cache-control"]);

    let unsigned = put().presigned().with("content-disposition", "inline").with("expires", "0");
    let unsigned = upload(&unsigned.with("cache-control", "no-cache").with("content-type", "a/b")).unwrap();
    assert_eq!(unsigned.others, [stored("cache-control", "no-cache")]);
    assert_eq!((unsigned.signed.len(), unsigned.content_type.as_deref()), (0, Some("a/b")));

    assert_eq!(upload(&put().presigned().with("content-encoding", "gzip")), Err("bad_request"));
    let gzip = upload(&put().with("content-encoding", "gzip").presigned()).unwrap();
    assert_eq!(gzip.others, [stored("content-encoding", "gzip")]);
    let by_signer =
        upload(&put().header_signed("UNSIGNED-PAYLOAD").with("content-encoding", "gzip")).unwrap();
    assert_eq!((by_signer.others, by_signer.signed.len()), (gzip.others, 1));
    let framed = put().header_signed("UNSIGNED-PAYLOAD").with("content-encoding", "aws-chunked");
    assert_eq!(upload(&framed), Err("not_supported"));

    let hoisted = Request::new("PUT", "/files/a", "X-Amz-Meta-Colour=red").presigned();
    assert_eq!(upload(&hoisted).unwrap().others, [stored("x-amz-meta-colour", "red")]);
}
