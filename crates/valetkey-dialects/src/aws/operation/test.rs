use alloc::string::String;
use alloc::vec::Vec;

use super::*;

/// What a request without headers asks for.
pub(crate) fn operation(method: &str, path: &str, query: &str) -> Result<Operation, Refusal> {
    with_headers(method, path, query, &[])
}

pub(crate) fn with_headers(
    method: &str,
    path: &str,
    query: &str,
    headers: &[(&str, &str)],
) -> Result<Operation, Refusal> {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let head = RequestHead { method, path, query, headers: &headers };
    let parsed = (path != "/").then(|| ResourcePath::from_url(path).unwrap());
    Operation::of(&head, parsed.as_ref())
}

/// The name of the operation, or the code of the refusal.
fn check(method: &str, path: &str, query: &str, expected: &str) {
    let found = match operation(method, path, query) {
        Ok(operation) => {
            let name = alloc::format!("{operation:?}");
            String::from(name.split([' ', '(']).next().unwrap())
        }
        Err(refusal) => refusal.code.name().into(),
    };
    assert_eq!(found, expected, "{method} {path}?{query}");
}

#[test]
fn each_request_line_is_one_operation() {
    for (method, path, query, expected) in [
        ("GET", "/", "", "ListBuckets"),
        ("GET", "/", "x-id=ListBuckets", "ListBuckets"),
        ("HEAD", "/", "", "NotImplemented"),
        ("GET", "/files", "", "ListObjects"),
        ("GET", "/files/", "list-type=2&prefix=a", "ListObjects"),
        ("HEAD", "/files/", "", "HeadBucket"),
        ("GET", "/files/", "location", "GetBucketLocation"),
        ("GET", "/files/", "versioning=", "GetBucketVersioning"),
        ("GET", "/files/", "acl", "GetBucketAcl"),
        ("GET", "/files/", "uploads", "ListMultipartUploads"),
        ("POST", "/files/", "delete", "DeleteObjects"),
        ("POST", "/files/", "", "PostObject"),
        ("PUT", "/files/", "", "CreateBucket"),
        ("DELETE", "/files/", "", "NotImplemented"),
        ("PUT", "/files/", "versioning", "NotImplemented"),
        ("PUT", "/files/", "acl", "NotImplemented"),
        ("GET", "/files/", "tagging", "NotImplemented"),
        ("GET", "/files/a", "", "GetObject"),
        ("GET", "/files/a", "partNumber=1", "GetObject"),
        ("GET", "/files/a", "versionId=null", "GetObject"),
        ("GET", "/files/a", "utm_source=x&X-Amz-Signature=0&response-expires=0", "GetObject"),
        ("HEAD", "/files/a", "", "HeadObject"),
        ("GET", "/files/a", "acl", "GetObjectAcl"),
        ("GET", "/files/a", "tagging", "GetObjectTagging"),
        ("PUT", "/files/a", "", "PutObject"),
        ("PUT", "/files/a/", "", "PutObject"),
        ("DELETE", "/files/a", "", "DeleteObject"),
        ("POST", "/files/a", "uploads", "CreateMultipartUpload"),
        ("PUT", "/files/a", "uploadId=7&partNumber=1", "UploadPart"),
        ("POST", "/files/a", "uploadId=7", "CompleteMultipartUpload"),
        ("DELETE", "/files/a", "uploadId=7", "AbortMultipartUpload"),
        ("GET", "/files/a", "uploadId=7", "ListParts"),
        ("HEAD", "/files/a", "uploadId=7", "NotImplemented"),
        ("POST", "/files/a", "", "NotImplemented"),
        ("PATCH", "/files/a", "", "NotImplemented"),
        ("get", "/files/a", "", "NotImplemented"),
    ] {
        check(method, path, query, expected);
    }
}

#[test]
fn what_s3_knows_and_is_not_offered_is_refused() {
    for query in [
        "lifecycle",
        "policy",
        "cors=",
        "versions",
        "website",
        "object-lock",
        "versionId=3sL4kqtJlcpXroDTDmJ",
        "versionId=",
        "session",
        "metadataTable",
    ] {
        check("GET", "/files/", query, "NotImplemented");
        check("PUT", "/files/a", query, "NotImplemented");
    }
    for query in
        ["restore", "select&select-type=2", "torrent", "legal-hold", "retention", "renameObject", "append"]
    {
        check("POST", "/files/a", query, "NotImplemented");
    }
}

#[test]
fn a_part_is_never_taken_for_the_whole() {
    check("PUT", "/files/a", "partNumber=1", "InvalidRequest");
    check("PUT", "/files/a", "uploadId=7", "InvalidArgument");
    check("DELETE", "/files/a", "partNumber=1", "InvalidRequest");
    check("POST", "/files/a", "uploadId=7&partNumber=1", "InvalidRequest");
    check("PUT", "/files/a", "uploadId=7&partNumber=1&partNumber=1", "InvalidRequest");
    check("PUT", "/files/a", "uploadId=7&uploadId=7&partNumber=1", "InvalidRequest");
    check("PUT", "/files/a", "uploadId=&partNumber=1", "NoSuchUpload");
    check("PUT", "/files/a", "uploadId=..%2F7&partNumber=1", "NoSuchUpload");
    for number in ["0", "10001", "abc", "", "-1", "%2B1", "1.0", "01", "99999999999999999999"] {
        check("PUT", "/files/a", &alloc::format!("uploadId=7&partNumber={number}"), "InvalidArgument");
        check("GET", "/files/a", &alloc::format!("partNumber={number}"), "InvalidArgument");
    }
    check("PUT", "/files/a", "uploadId=7&partNumber=10000", "UploadPart");
}

#[test]
fn two_operations_at_once_are_refused() {
    check("POST", "/files/a", "uploads&uploadId=7", "InvalidRequest");
    check("GET", "/files/a", "acl&tagging", "InvalidRequest");
    check("GET", "/files/a", "acl&acl", "InvalidRequest");
}

#[test]
fn headers_that_ask_for_what_is_not_offered_are_refused() {
    let code = |name, value| {
        with_headers("PUT", "/files/a", "", &[(name, value)]).map_err(|refusal| refusal.code.name()).err()
    };
    for (name, value) in [
        ("x-amz-acl", "public-read"),
        ("x-amz-grant-read", "id=a"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-server-side-encryption-customer-key", "k"),
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-amz-website-redirect-location", "/"),
        ("x-amz-write-offset-bytes", "5"),
        ("x-amz-storage-class", "GLACIER"),
        ("x-amz-mfa", "1 2"),
        ("x-amz-if-match-size", "1"),
    ] {
        assert_eq!(code(name, value), Some("NotImplemented"), "{name}");
    }
    for (name, value) in [
        ("x-amz-acl", "private"),
        ("x-amz-acl", "bucket-owner-full-control"),
        ("x-amz-storage-class", "STANDARD"),
        ("x-amz-tagging", ""),
        ("x-amz-meta-colour", "red"),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-checksum-crc32", "AAAAAA=="),
    ] {
        assert_eq!(code(name, value), None, "{name}");
    }
    for query in ["X-Amz-Acl=public-read", "x-amz-acl=%ff", "x-amz-server-side-encryption=AES256"] {
        check("PUT", "/files/a", query, "NotImplemented");
    }
    check("PUT", "/files/a", "x-amz-acl=private", "PutObject");
    let copied = with_headers("GET", "/files/a", "", &[("x-amz-copy-source", "/files/b")]);
    assert_eq!(copied.map_err(|refusal| refusal.code), Err(Code::InvalidRequest));
}

#[test]
fn what_is_no_md5_is_told_from_a_wrong_one() {
    let code = |value| {
        let found = with_headers("PUT", "/files/a", "", &[("content-md5", value)]);
        found.map_err(|refusal| refusal.code.name()).err()
    };
    assert_eq!(code("XUFAKrxLKna5cZ2REBfFkg=="), None);
    for value in ["", "XUFAKrxLKna5cZ2REBfFkgAA", "5d41402abc4b2a76b9719d911017c592", "\u{e9}"] {
        assert_eq!(code(value), Some("InvalidDigest"), "{value}");
    }
}

#[test]
fn what_a_signed_url_says_in_its_query_counts_as_a_header() {
    let source = "X-Amz-Copy-Source=files%2Fb%2520c";
    let Ok(Operation::CopyObject { source: copied, .. }) = operation("PUT", "/files/a", source) else {
        panic!("a copy is no upload of nothing")
    };
    assert_eq!(copied.path.as_str(), "/files/b c");
    check("GET", "/files/a", source, "InvalidRequest");
    let twice = with_headers("PUT", "/files/a", source, &[("x-amz-copy-source", "files/b")]);
    assert_eq!(twice.map_err(|refusal| refusal.code), Err(Code::InvalidArgument));
    check("GET", "/files/a", "attributes&x-amz-object-attributes=ETag", "GetObjectAttributes");
}

#[test]
fn each_operation_says_what_it_needs() {
    for (method, path, query, verb, presignable) in [
        ("GET", "/", "", None, false),
        ("GET", "/files", "", Some(Verb::List), true),
        ("POST", "/files", "delete", Some(Verb::Delete), false),
        ("POST", "/files", "", Some(Verb::Create), false),
        ("PUT", "/files", "", Some(Verb::List), false),
        ("GET", "/files/a", "", Some(Verb::Read), true),
        ("HEAD", "/files/a", "", Some(Verb::Stat), true),
        ("GET", "/files/a", "tagging", Some(Verb::Stat), true),
        ("PUT", "/files/a", "", Some(Verb::Create), true),
        ("DELETE", "/files/a", "", Some(Verb::Delete), true),
        ("DELETE", "/files/a", "uploadId=7", Some(Verb::Create), true),
        ("GET", "/files/a", "uploadId=7", Some(Verb::Create), true),
    ] {
        let operation = operation(method, path, query).unwrap();
        assert_eq!((operation.verb(), operation.is_presignable()), (verb, presignable), "{operation:?}");
    }
    assert!(operation("PUT", "/files/a", "").unwrap().is_upload());
    assert!(!operation("POST", "/files/a", "uploads").unwrap().is_upload());
}
