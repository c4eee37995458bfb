//! What S3's clients change besides putting objects: markers of folders, deletes under conditions, buckets.

use std::fs;

use valetkey_tests::audit::record_of;
use valetkey_tests::aws::Aws;
use valetkey_tests::expect::accepted;
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Answer, Request};
use valetkey_tests::key::{Key, WEB_SECRET};

fn signed(gateway: &Gateway, request: Request) -> Answer {
    gateway.send(&Aws::default().sign(request))
}

/// A refusal in S3's words.
#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    let text = answer.text();
    assert_eq!(answer.status, status, "{text}");
    assert!(text.contains(&format!("<Code>{code}</Code>")), "{text}");
}

/// What stands in the bucket `files`, on disk.
fn stored(gateway: &Gateway) -> Vec<String> {
    gateway.stored().into_iter().filter(|name| name.starts_with("files/")).collect()
}

fn deletes(gateway: &Gateway, objects: &str) -> String {
    let request = Request::new("POST", "/files?delete").body(format!("<Delete>{objects}</Delete>"));
    let answer = signed(gateway, request);
    accepted(&answer, 200);
    answer.text()
}

#[test]
fn a_marker_shows_a_folder_that_holds_nothing() {
    let gateway = Gateway::new();
    let put = Request::put("/files/a/b/", "").header("Content-Type", "application/x-directory");
    let answer = signed(&gateway, put.header("x-amz-meta-mode", "16877"));
    accepted(&answer, 200);
    let record = record_of(&gateway, answer.header("x-request-id").unwrap()).unwrap();
    assert_eq!((&record["object"], &record["action"]), (&"a/b/".into(), &"upload".into()), "{record}");
    let head = signed(&gateway, Request::head("/files/a/b/"));
    accepted(&head, 200);
    let told = ["content-length", "content-type", "x-amz-meta-mode", "etag"].map(|name| head.header(name));
    assert_eq!(told, [Some("0"), Some("application/x-directory"), Some("16877"), answer.header("etag")]);
    assert_eq!(signed(&gateway, Request::head("/files/a/")).status, 404);
    assert_eq!(signed(&gateway, Request::head("/files/a/b")).status, 404);

    let list = |query: &str| signed(&gateway, Request::get(format!("/files?{query}"))).text();
    assert!(list("list-type=2").contains("<Key>a/b/</Key>"));
    assert!(list("delimiter=%2F").contains("<CommonPrefixes><Prefix>a/</Prefix>"));
    let below = list("delimiter=%2F&prefix=a%2Fb%2F");
    assert!(below.contains("<Key>a/b/</Key>") && below.contains("<Size>0</Size>"), "{below}");

    // It stays when the last object of the folder goes, and goes by itself.
    accepted(&signed(&gateway, Request::put("/files/a/b/c", "x")), 200);
    accepted(&signed(&gateway, Request::delete("/files/a/b/c")), 204);
    accepted(&signed(&gateway, Request::head("/files/a/b/")), 200);
    accepted(&signed(&gateway, Request::delete("/files/a/b/")), 204);
    assert!(!gateway.file_of("/files/a").exists());
    assert!(deletes(&gateway, "<Object><Key>a/b/</Key></Object>").contains("<Key>a/b/</Key></Deleted>"));
}

#[test]
fn a_marker_is_empty_and_nothing_else() {
    let gateway = Gateway::new();
    for request in [
        Request::put("/files/a/", "x"),
        Request::new("POST", "/files/a/?uploads"),
        Request::new("PUT", "/files/a/").header("Transfer-Encoding", "chunked").header("x-amz-meta-a", "b"),
    ] {
        let answer = signed(&gateway, request);
        assert_eq!((answer.status, answer.reason()), (400, "bad_request"), "{}", answer.text());
    }
    assert!(stored(&gateway).is_empty(), "{:?}", stored(&gateway));
    accepted(&signed(&gateway, Request::put("/files/a/", "")), 200);
    for request in [
        Request::get("/files/a/"),
        Request::get("/files/a/?acl"),
        Request::get("/files/a/?tagging"),
        Request::put("/files/b", "").header("x-amz-copy-source", "/files/a/"),
    ] {
        let answer = signed(&gateway, request);
        assert_eq!((answer.status, answer.reason()), (400, "bad_request"), "{}", answer.text());
    }
    // A name is that of an object or of a folder, and our own file is neither.
    refused(&signed(&gateway, Request::put("/files/a", "x")), 409, "InvalidRequest");
    accepted(&signed(&gateway, Request::put("/files/c", "x")), 200);
    refused(&signed(&gateway, Request::put("/files/c/", "")), 409, "InvalidRequest");
    assert_eq!(signed(&gateway, Request::get("/files/a/.valetkey-folder")).status, 400);

    // To a native key a trailing slash is a folder's still, and a presigned URL opens no more than its own.
    let key = Key::new("/files/", "delete,read,write").set("path", "/files/").on("/files/a/");
    for method in ["PUT", "DELETE"] {
        assert_eq!(gateway.send(&Request::new(method, key.url())).status, 400, "{method}");
    }
    let url = Aws::default().presigned("DELETE", "/files/a/", &[], &[]);
    accepted(&gateway.send(&Request::delete(&url).header("Host", "localhost")), 204);
    assert_eq!(stored(&gateway), ["files/c"]);
}

#[test]
fn a_delete_keeps_to_its_conditions() {
    let gateway = Gateway::new();
    let put = || signed(&gateway, Request::put("/files/a", "hello"));
    let delete = |headers: &[(&str, &str)]| {
        let asked =
            headers.iter().fold(Request::delete("/files/a"), |it, (name, value)| it.header(name, *value));
        signed(&gateway, asked)
    };
    let etag = put().header("etag").unwrap().to_owned();
    let head = signed(&gateway, Request::head("/files/a"));
    let modified = head.header("last-modified").unwrap();
    let (size, time) = ("x-amz-if-match-size", "x-amz-if-match-last-modified-time");
    for headers in [
        &[("If-Match", "\"other\"")][..],
        &[(size, "6")],
        &[(time, "Thu, 01 Jan 2015 00:00:00 GMT")],
        &[("If-Match", etag.as_str()), (size, "4")],
    ] {
        refused(&delete(headers), 412, "PreconditionFailed");
    }
    refused(&delete(&[(size, "five")]), 400, "InvalidArgument");
    accepted(&delete(&[("If-Match", &etag), (size, "5"), (time, modified)]), 204);
    // Of what is not there every condition holds, as S3 has it.
    accepted(&delete(&[("If-Match", "\"other\""), (size, "6")]), 204);
    put();
    accepted(&delete(&[("If-Match", "*")]), 204);

    // Whoever has a URL cannot add what nobody signed, and no other call leaves a condition out.
    put();
    let url = Aws::default().presigned("DELETE", "/files/a", &[], &[]);
    let unsigned = Request::delete(&url).header("Host", "localhost").header(size, "5");
    assert_eq!(gateway.send(&unsigned).status, 400);
    refused(&signed(&gateway, Request::put("/files/a", "x").header(size, "9")), 501, "NotImplemented");
    assert_eq!(fs::read(gateway.file_of("/files/a")).unwrap(), b"hello");
}

#[test]
fn each_of_many_deletes_has_conditions_of_its_own() {
    let gateway = Gateway::new();
    let etag = signed(&gateway, Request::put("/files/a", "hello")).header("etag").unwrap().to_owned();
    gateway.plant("/files/b", "x");
    let object = |key: &str, more: &str| format!("<Object><Key>{key}</Key>{more}</Object>");
    let told = deletes(
        &gateway,
        &[
            object("a", "<ETag>other</ETag>"),
            object("b", "<Size>1</Size>"),
            object("none", "<ETag>other</ETag><Size>7</Size>"),
        ]
        .concat(),
    );
    assert!(told.contains("<Error><Key>a</Key><Code>PreconditionFailed</Code>"), "{told}");
    assert!(told.contains("<Key>b</Key></Deleted>") && told.contains("<Key>none</Key></Deleted>"), "{told}");
    assert_eq!(stored(&gateway), ["files/a"]);
    let time = "<LastModifiedTime>2015-01-01T00:00:00Z</LastModifiedTime>";
    assert!(deletes(&gateway, &object("a", time)).contains("PreconditionFailed"));
    // What the request's own headers ask is asked of its document, which no condition holds for.
    let quoted = etag.replace('"', "&quot;");
    assert!(deletes(&gateway, &object("a", &format!("<ETag>{quoted}</ETag>"))).contains("</Deleted>"));
    assert!(stored(&gateway).is_empty());
}

#[test]
fn a_bucket_of_the_configuration_can_be_created_again() {
    let limits = "scope = [\"/files/\"]\nallow = [\"list\", \"read\"]";
    let gateway = Gateway::builder()
        .signer("half", "a-secret-for-one-bucket", limits)
        .signer("all", WEB_SECRET, "")
        .start();
    let create = |signer: &str, secret: &str, bucket: &str, body: &str| {
        let aws = Aws { signer: signer.to_owned(), secret: secret.to_owned(), ..Aws::default() };
        gateway.send(&aws.sign(Request::put(format!("/{bucket}"), body)))
    };
    let body = "<CreateBucketConfiguration><LocationConstraint>eu-1</LocationConstraint></CreateBucketConfiguration>";
    for body in ["", body] {
        let answer = create("all", WEB_SECRET, "files", body);
        accepted(&answer, 200);
        assert_eq!(answer.header("location"), Some("/files"));
    }
    accepted(&create("half", "a-secret-for-one-bucket", "files", ""), 200);
    refused(&create("all", WEB_SECRET, "brandnew", ""), 501, "NotImplemented");
    // Nothing is told of buckets that the signer does not see.
    for bucket in ["other", "brandnew"] {
        refused(&create("half", "a-secret-for-one-bucket", bucket, ""), 403, "AccessDenied");
    }
    refused(&signed(&gateway, Request::delete("/files")), 501, "NotImplemented");
    let url = Aws::default().presigned("PUT", "/files", &[], &[]);
    assert_eq!(gateway.send(&Request::put(url, "").header("Host", "localhost")).status, 403);
}

#[test]
fn what_is_not_there_cannot_be_replaced() {
    let gateway = Gateway::new();
    for tag in ["*", "\"other\""] {
        let put = Request::put("/files/a", "x").header("If-Match", tag);
        refused(&signed(&gateway, put), 404, "NoSuchKey");
        // A native key's holder is told as HTTP has it.
        let key = Key::new("/files/a", "read,write");
        assert_eq!(gateway.send(&Request::put(key.url(), "x").header("If-Match", tag)).status, 412);
    }
    accepted(&signed(&gateway, Request::put("/files/a", "x")), 200);
    refused(
        &signed(&gateway, Request::put("/files/a", "y").header("If-Match", "\"other\"")),
        412,
        "PreconditionFailed",
    );
    accepted(&signed(&gateway, Request::put("/files/a", "y").header("If-Match", "*")), 200);
}

#[test]
fn small_words_are_read_as_s3_reads_them() {
    let gateway = Gateway::new();
    let listed = signed(&gateway, Request::get("/files?list-type=2&continuation-token="));
    accepted(&listed, 200);
    assert!(listed.text().contains("<ContinuationToken></ContinuationToken>"), "{}", listed.text());
    refused(
        &signed(&gateway, Request::put("/files/a", "x").header("Content-MD5", "none")),
        400,
        "InvalidDigest",
    );
    accepted(&signed(&gateway, Request::put("/files/a", "x").header("x-amz-storage-class", "STANDARD")), 200);
    refused(
        &signed(&gateway, Request::put("/files/a", "x").header("x-amz-storage-class", "GLACIER")),
        501,
        "NotImplemented",
    );
}
