//! The aws dialect: what S3's clients ask, signed as they sign it, answered as they read it.

use std::collections::BTreeSet;

use valetkey::ResourcePath;
use valetkey_dialects::RequestHead;
use valetkey_dialects::aws::operation::Operation;
use valetkey_tests::audit::record_of;
use valetkey_tests::aws::{Aws, UNSIGNED, sha256, unsigned_chunks};
use valetkey_tests::expect::accepted;
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Answer, Request};

/// A refusal in S3's words.
#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str, reason: &str) {
    assert_eq!((answer.status, answer.reason()), (status, reason), "{}", answer.text());
    let id = answer.header("x-request-id").unwrap();
    assert_eq!(answer.header("x-amz-request-id"), Some(id));
    assert_eq!(answer.header("content-type"), Some("application/xml"));
    if !answer.body.is_empty() {
        let text = answer.text();
        assert!(text.contains(&format!("<Code>{code}</Code>")), "{text}");
        assert!(text.contains(&format!("<RequestId>{id}</RequestId>")), "{text}");
    }
}

fn signed(gateway: &Gateway, request: Request) -> Answer {
    gateway.send(&Aws::default().sign(request))
}

/// The operations of S3, each as the request of a client; the object `a` is there.
fn operations() -> Vec<Request> {
    let delete = "<Delete><Object><Key>a</Key></Object></Delete>";
    vec![
        Request::get("/"),
        Request::head("/files"),
        Request::put("/files", ""),
        Request::new("POST", "/files").body("forged"),
        Request::get("/files?location"),
        Request::get("/files?versioning"),
        Request::get("/files?acl"),
        Request::get("/files?list-type=2"),
        Request::get("/files?uploads"),
        Request::new("POST", "/files?delete").body(delete),
        Request::get("/files/a"),
        Request::head("/files/a"),
        Request::get("/files/a?acl"),
        Request::get("/files/a?tagging"),
        Request::get("/files/a?attributes").header("x-amz-object-attributes", "ETag"),
        Request::put("/files/a", "forged"),
        Request::put("/files/copy", "").header("x-amz-copy-source", "/files/a"),
        Request::delete("/files/a"),
        Request::new("POST", "/files/a?uploads"),
        Request::put("/files/a?partNumber=1&uploadId=7", "forged"),
        Request::put("/files/a?partNumber=1&uploadId=7", "").header("x-amz-copy-source", "/files/a"),
        Request::new("POST", "/files/a?uploadId=7").body("<CompleteMultipartUpload/>"),
        Request::delete("/files/a?uploadId=7"),
        Request::get("/files/a?uploadId=7"),
    ]
}

/// All that S3's clients may ask: one that is added to the table stands here, and in [`operations`], or nothing compiles
/// or passes.
macro_rules! every_operation {
    ($($name:ident)*) => {
        const EVERY: &[&str] = &[$(stringify!($name)),*];

        fn name(operation: &Operation) -> &'static str {
            match operation {
                $(Operation::$name { .. } => stringify!($name),)*
            }
        }
    };
}

every_operation! {
    ListBuckets HeadBucket CreateBucket GetBucketLocation GetBucketVersioning GetBucketAcl ListObjects
    ListMultipartUploads DeleteObjects PostObject GetObject HeadObject GetObjectAcl GetObjectTagging
    GetObjectAttributes PutObject CopyObject DeleteObject CreateMultipartUpload UploadPart UploadPartCopy
    CompleteMultipartUpload AbortMultipartUpload ListParts
}

#[test]
fn every_operation_is_asked_for_in_these_tests() {
    let asked = operations().into_iter().map(|request| {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let headers: Vec<_> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let head = RequestHead { method: &request.method, path, query, headers: &headers };
        let path = (path != "/").then(|| ResourcePath::from_url(path).unwrap());
        name(&Operation::of(&head, path.as_ref()).unwrap())
    });
    let asked: BTreeSet<_> = asked.collect();
    assert_eq!(asked, EVERY.iter().copied().collect());
}

/// A001, A098: whatever is asked, however the body comes, a forged signature opens nothing.
#[test]
fn no_operation_is_open_to_a_forged_signature() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "old");
    let forger = Aws { secret: "another".to_owned(), ..Aws::default() };
    let payloads = [
        UNSIGNED,
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    ];
    for request in operations() {
        let what = format!("{} {}", request.method, request.target);
        for payload in payloads {
            let mut asked = request.clone();
            if payload != UNSIGNED {
                asked = asked.header("x-amz-decoded-content-length", "0");
                asked.body = Some(unsigned_chunks(&[], &[]));
            }
            let answer = gateway.send(&forger.signed(asked, payload).0);
            assert_eq!((answer.status, answer.reason()), (403, "bad_signature"), "{what} {payload}");
        }
        refused(&gateway.send(&forger.sign(request.clone())), 403, "SignatureDoesNotMatch", "bad_signature");
        let stranger = Aws { signer: "nobody".to_owned(), ..Aws::default() };
        refused(&gateway.send(&stranger.sign(request.clone())), 403, "InvalidAccessKeyId", "bad_signature");
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs: Vec<_> = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
        let url = forger.presigned(&request.method, path, &pairs, &[]);
        let answer = gateway.send(&Request { target: url, ..request.clone() });
        assert!(matches!(answer.status, 400 | 403), "{what}: {}", answer.status);
    }
    assert_eq!(std::fs::read(gateway.file_of("/files/a")).unwrap(), b"old");
    assert!(!gateway.file_of("/files/copy").exists());
}

#[test]
fn an_object_is_put_read_and_deleted_by_signed_headers() {
    let gateway = Gateway::new();
    let put = Request::put("/files/a%20b", "hello")
        .header("Content-Type", "text/plain")
        .header("x-amz-meta-colour", "red");
    let answer = signed(&gateway, put);
    accepted(&answer, 200);
    let etag = answer.header("etag").unwrap().to_owned();
    let record = record_of(&gateway, answer.header("x-request-id").unwrap()).unwrap();
    assert_eq!((&record["dialect"], &record["action"]), (&"aws".into(), &"upload".into()), "{record}");
    let answer = signed(&gateway, Request::get("/files/a%20b"));
    accepted(&answer, 200);
    assert_eq!((answer.text().as_str(), answer.header("etag")), ("hello", Some(etag.as_str())));
    assert_eq!(answer.header("x-amz-meta-colour"), Some("red"));
    accepted(&signed(&gateway, Request::head("/files/a%20b")), 200);
    let range = signed(&gateway, Request::get("/files/a%20b").header("Range", "bytes=9-"));
    assert_eq!(range.status, 416);
    assert!(range.text().contains("<Code>InvalidRange</Code>"), "{}", range.text());
    accepted(&signed(&gateway, Request::delete("/files/a%20b")), 204);
    refused(&signed(&gateway, Request::get("/files/a%20b")), 404, "NoSuchKey", "not_found");
    refused(&signed(&gateway, Request::head("/files/a%20b")), 404, "", "not_found");
    refused(&signed(&gateway, Request::get("/nothere/a")), 403, "AccessDenied", "out_of_scope");
}

#[test]
fn a_presigned_url_opens_its_own_method_alone() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "old");
    let aws = Aws::default();
    let get = aws.presigned("GET", "/files/a", &[], &[]);
    assert_eq!(gateway.send(&Request::get(get.clone())).text(), "old");
    for method in ["HEAD", "PUT", "DELETE"] {
        let answer = gateway.send(&Request::new(method, get.clone()));
        assert_eq!((answer.status, answer.reason()), (403, "bad_signature"), "{method}");
    }
    let put = aws.presigned("PUT", "/files/b", &[], &[("if-none-match", "*")]);
    accepted(&gateway.send(&Request::put(put.clone(), "one").header("If-None-Match", "*")), 200);
    refused(
        &gateway.send(&Request::put(put.clone(), "two").header("If-None-Match", "*")),
        412,
        "PreconditionFailed",
        "already_exists",
    );
    assert_eq!(gateway.send(&Request::put(put, "two")).status, 403);
    for (name, value) in
        [("x-amz-acl", "private"), ("x-amz-meta-a", "b"), ("x-amz-copy-source", "files/a"), ("x-vk-max", "1")]
    {
        let url = aws.presigned("PUT", "/files/c", &[], &[]);
        let answer = gateway.send(&Request::put(url, "x").header(name, value));
        assert_eq!(answer.status, 400, "{name}: {}", answer.text());
    }
    assert!(!gateway.file_of("/files/c").exists());
    let expired = Aws { time: aws.time - 4000, ..aws.clone() }.presigned("GET", "/files/a", &[], &[]);
    let answer = gateway.send(&Request::get(expired));
    refused(&answer, 403, "AccessDenied", "expired");
    assert!(answer.text().contains("Request has expired"), "{}", answer.text());
    let shown = [("response-content-type", "text/css"), ("response-content-disposition", "inline")];
    let answer = gateway.send(&Request::get(aws.presigned("GET", "/files/a", &shown, &[])));
    assert_eq!(answer.header("content-type"), Some("text/css"));
    assert_eq!(answer.header("content-disposition"), Some("inline"));
}

#[test]
fn limits_are_signed_with_the_url() {
    let gateway = Gateway::new();
    let aws = Aws::default();
    let limits = [("x-vk-max", "5"), ("x-vk-uses", "1"), ("x-vk-id", "once")];
    let url = aws.presigned("PUT", "/files/a", &limits, &[]);
    refused(&gateway.send(&Request::put(url.clone(), "123456")), 400, "EntityTooLarge", "too_large");
    accepted(&gateway.send(&Request::put(url.clone(), "12345")), 200);
    refused(&gateway.send(&Request::put(url.clone(), "12345")), 403, "AccessDenied", "uses_exhausted");
    let wider = url.replace("x-vk-max=5", "x-vk-max=6");
    refused(&gateway.send(&Request::put(wider, "x")), 403, "SignatureDoesNotMatch", "bad_signature");
    let unknown = aws.presigned("PUT", "/files/a", &[("x-vk-colour", "red")], &[]);
    refused(
        &gateway.send(&Request::put(unknown, "x")),
        400,
        "AuthorizationQueryParametersError",
        "malformed_key",
    );
}

/// A099, A100: the limits and checks count what is decoded.
#[test]
fn bodies_in_chunks_are_decoded_and_compared() {
    let gateway = Gateway::new();
    let aws = Aws::default();
    let pieces: [&[u8]; 2] = [b"hello ", b"world"];
    let asked = || Request::put("/files/a", "").header("x-amz-decoded-content-length", "11");
    let (mut request, seed) = aws.signed(asked(), "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    request.body = Some(aws.chunks(&seed, &pieces));
    accepted(&gateway.send(&request), 200);
    assert_eq!(std::fs::read(gateway.file_of("/files/a")).unwrap(), b"hello world");
    let swapped = aws.chunks(&seed, &[b"HELLO ", b"world"]);
    request.body = Some(swapped.iter().map(|byte| if *byte == b'H' { b'h' } else { *byte }).collect());
    refused(&gateway.send(&request), 403, "SignatureDoesNotMatch", "bad_signature");

    // The CRC32 of "hello world".
    for (crc, status) in [("DUoRhQ==", 200), ("DUoRhA==", 400)] {
        let trailer = [("x-amz-checksum-crc32", crc)];
        let asked = Request::put("/files/b", "")
            .header("x-amz-decoded-content-length", "11")
            .header("x-amz-trailer", "x-amz-checksum-crc32");
        let (mut request, _) = aws.signed(asked, "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
        request.body = Some(unsigned_chunks(&pieces, &trailer));
        let answer = gateway.send(&request);
        assert_eq!(answer.status, status, "{}", answer.text());
        if status == 200 {
            assert_eq!(answer.header("x-amz-checksum-crc32"), Some(crc));
            let asked = Request::head("/files/b").header("x-amz-checksum-mode", "ENABLED");
            assert_eq!(signed(&gateway, asked).header("x-amz-checksum-crc32"), Some(crc));
            assert_eq!(signed(&gateway, Request::head("/files/b")).header("x-amz-checksum-crc32"), None);
            let asked =
                Request::get("/files/b?attributes").header("x-amz-object-attributes", "Checksum,ObjectSize");
            let text = signed(&gateway, asked).text();
            assert!(text.contains(crc) && text.contains("<ObjectSize>11</ObjectSize>"), "{text}");
        } else {
            refused(&answer, 400, "BadDigest", "digest_mismatch");
        }
    }
    let (mut request, _) = aws.signed(Request::put("/files/c", ""), &sha256(b"one"));
    request.body = Some(b"two".to_vec());
    refused(&gateway.send(&request), 400, "BadDigest", "digest_mismatch");
    assert!(!gateway.file_of("/files/c").exists());
}

#[test]
fn an_object_is_copied_within_what_its_key_opens() {
    let gateway = Gateway::builder()
        .signer(
            "reader",
            "another-secret-another-secret-42",
            "scope = [\"/files/\"]\nallow = [\"read\", \"create\"]\nmax = 5",
        )
        .start();
    let put =
        Request::put("/files/a", "hello").header("Content-Type", "text/plain").header("x-amz-meta-b", "c");
    accepted(&signed(&gateway, put), 200);
    gateway.plant("/other/secret", "no");
    gateway.plant("/files/large", "123456");
    let copy = |to: &str, from: &str| Request::put(to, "").header("x-amz-copy-source", from);
    let answer = signed(&gateway, copy("/other/b", "/files/a"));
    accepted(&answer, 200);
    assert!(answer.text().contains("<CopyObjectResult"), "{}", answer.text());
    let answer = signed(&gateway, Request::get("/other/b"));
    assert_eq!((answer.text().as_str(), answer.header("content-type")), ("hello", Some("text/plain")));
    assert_eq!(answer.header("x-amz-meta-b"), Some("c"));
    let reader =
        Aws { signer: "reader".into(), secret: "another-secret-another-secret-42".into(), ..Aws::default() };
    let by_reader = |request| gateway.send(&reader.sign(request));
    accepted(&by_reader(copy("/files/c", "files/a")), 200);
    refused(&by_reader(copy("/files/c", "files/a")), 412, "PreconditionFailed", "already_exists");
    refused(&by_reader(copy("/files/d", "other/secret")), 403, "AccessDenied", "out_of_scope");
    refused(&by_reader(copy("/other/d", "files/a")), 403, "AccessDenied", "out_of_scope");
    refused(&by_reader(copy("/files/d", "files/large")), 400, "EntityTooLarge", "too_large");
    refused(&by_reader(copy("/files/d", "files/none")), 404, "NoSuchKey", "not_found");
    assert!(!gateway.file_of("/files/d").exists());
}

#[test]
fn many_objects_are_deleted_each_by_itself() {
    let gateway = Gateway::builder()
        .signer(
            "cleaner",
            "another-secret-another-secret-42",
            "scope = [\"/files/u1/\"]\nallow = [\"delete\"]\nuses = 2",
        )
        .start();
    for name in ["u1/a", "u1/b", "u1/c", "u2/a"] {
        gateway.plant(&format!("/files/{name}"), "x");
    }
    let cleaner =
        Aws { signer: "cleaner".into(), secret: "another-secret-another-secret-42".into(), ..Aws::default() };
    let keys = ["u1/a", "u2/a", "u1/none", "../x", "u1/b", "u1/c"];
    let objects: String = keys.iter().map(|key| format!("<Object><Key>{key}</Key></Object>")).collect();
    let request = Request::new("POST", "/files?delete").body(format!("<Delete>{objects}</Delete>"));
    let answer = gateway.send(&cleaner.sign(request.clone()));
    accepted(&answer, 200);
    let text = answer.text();
    for key in ["u1/a", "u1/none", "u1/b"] {
        assert!(text.contains(&format!("<Deleted><Key>{key}</Key></Deleted>")), "{text}");
    }
    for (key, code) in [("u2/a", "AccessDenied"), ("../x", "InvalidRequest"), ("u1/c", "AccessDenied")] {
        assert!(text.contains(&format!("<Error><Key>{key}</Key><Code>{code}</Code>")), "{key} {text}");
    }
    let left: Vec<_> = ["u1/a", "u1/b", "u1/c", "u2/a"]
        .map(|name| gateway.file_of(&format!("/files/{name}")).exists())
        .into();
    assert_eq!(left, [false, false, true, true]);
    let (mut forged, _) = cleaner.signed(request, &sha256(b"another body"));
    forged.body = Some(b"<Delete><Object><Key>u1/c</Key></Object></Delete>".to_vec());
    refused(&gateway.send(&forged), 400, "BadDigest", "digest_mismatch");
    let url = Aws::default().presigned("POST", "/files", &[("delete", "")], &[]);
    refused(&gateway.send(&Request::new("POST", url).body("<Delete/>")), 403, "AccessDenied", "not_allowed");
}

#[test]
fn buckets_are_told_to_who_may_list_in_them() {
    let gateway = Gateway::builder()
        .signer("team", "another-secret-another-secret-42", "scope = [\"/files/team/\"]\nallow = [\"list\"]")
        .start();
    gateway.plant("/files/team/a", "x");
    let all = signed(&gateway, Request::get("/")).text();
    assert!(all.contains("<Name>files</Name>") && all.contains("<Name>other</Name>"), "{all}");
    let team =
        Aws { signer: "team".into(), secret: "another-secret-another-secret-42".into(), ..Aws::default() };
    let by_team = |request| gateway.send(&team.sign(request));
    let all = by_team(Request::get("/")).text();
    assert!(all.contains("<Name>files</Name>") && !all.contains("other"), "{all}");
    accepted(&by_team(Request::head("/files")), 200);
    assert!(by_team(Request::get("/files?location")).text().contains("LocationConstraint"));
    refused(&by_team(Request::head("/other")), 403, "", "out_of_scope");
    refused(&by_team(Request::get("/files?list-type=2")), 403, "AccessDenied", "out_of_scope");
    let page = by_team(Request::get("/files?list-type=2&prefix=team%2F"));
    assert!(page.text().contains("<Key>team/a</Key>"), "{}", page.text());
    refused(&by_team(Request::get("/files/team/a")), 403, "AccessDenied", "not_allowed");
}

#[test]
fn refusals_are_in_the_language_of_the_request() {
    let gateway = Gateway::builder()
        .signer("plain", "another-secret-another-secret-42", "dialects = [\"native\"]\nallow = [\"read\"]")
        .start();
    let answer = gateway.send(&Request::get("/files/a").header("amz-sdk-invocation-id", "1"));
    refused(&answer, 403, "AccessDenied", "no_key");
    let answer = gateway.send(&Request::get("/files/a").header("Authorization", "AWS4-HMAC-SHA256 nonsense"));
    refused(&answer, 400, "AuthorizationHeaderMalformed", "malformed_key");
    refused(
        &gateway.send(&Request::get("/files/a?X-Amz-Algorithm=x")),
        400,
        "AuthorizationQueryParametersError",
        "malformed_key",
    );
    let plain =
        Aws { signer: "plain".into(), secret: "another-secret-another-secret-42".into(), ..Aws::default() };
    refused(&gateway.send(&plain.sign(Request::get("/files/a"))), 403, "InvalidAccessKeyId", "bad_signature");
    refused(&signed(&gateway, Request::get("/files/?lifecycle")), 501, "NotImplemented", "not_supported");
    refused(
        &signed(&gateway, Request::put("/files/a?tagging", "<Tagging/>")),
        501,
        "NotImplemented",
        "not_supported",
    );
}
