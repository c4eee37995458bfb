//! Objects that S3's clients made of parts: what is kept of the parts, and what ends an upload under way.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use valetkey_tests::aws::Aws;
use valetkey_tests::expect::accepted;
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Answer, Request};
use valetkey_tests::process::valetkey;

const PART: usize = 5 << 20;

fn signed(gateway: &Gateway, request: Request) -> Answer {
    gateway.send(&Aws::default().sign(request))
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    text.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).map(|(found, _)| found).unwrap()
}

fn begin(gateway: &Gateway, headers: &[(&str, &str)]) -> String {
    let asked = Request::new("POST", "/files/a?uploads");
    let asked = headers.iter().fold(asked, |asked, (name, value)| asked.header(name, *value));
    let answer = signed(gateway, asked);
    accepted(&answer, 200);
    between(&answer.text(), "<UploadId>", "</UploadId>").to_owned()
}

fn part(id: &str, number: usize, body: &[u8]) -> Request {
    Request::put(format!("/files/a?partNumber={number}&uploadId={id}"), body)
}

fn document(etags: &[String]) -> String {
    let part = |(number, etag): (usize, &String)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    };
    let parts: String = (1..).zip(etags).map(part).collect();
    format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
}

/// Makes `/files/a` of these parts.
fn made(gateway: &Gateway, parts: &[&[u8]], headers: &[(&str, &str)]) -> Answer {
    let id = begin(gateway, headers);
    let etags: Vec<_> = (1..)
        .zip(parts)
        .map(|(number, body)| {
            let answer = signed(gateway, part(&id, number, body));
            accepted(&answer, 200);
            answer.header("etag").unwrap().replace('"', "")
        })
        .collect();
    let asked = Request::new("POST", format!("/files/a?uploadId={id}")).body(document(&etags));
    let answer = signed(gateway, asked.clone());
    accepted(&answer, 200);
    // Whoever lost the answer is told the same again.
    let again = signed(gateway, asked).text();
    let told = |text: &str| between(text, "<ETag>", "</Comp").to_owned();
    assert_eq!(told(&answer.text()), told(&again));
    answer
}

#[test]
fn each_part_can_be_asked_for() {
    let gateway = Gateway::new();
    let (a, b, c) = (vec![b'a'; PART], vec![b'b'; PART + 1], vec![b'c'; 7]);
    made(&gateway, &[&a, &b, &c], &[]);
    let total = a.len() + b.len() + c.len();
    let mut offset = 0;
    for (number, body) in [(1, &a), (2, &b), (3, &c)] {
        for method in ["GET", "HEAD"] {
            let answer = signed(&gateway, Request::new(method, format!("/files/a?partNumber={number}")));
            accepted(&answer, 206);
            let range = format!("bytes {offset}-{}/{total}", offset + body.len() - 1);
            let told = ["content-range", "x-amz-mp-parts-count"].map(|name| answer.header(name));
            assert_eq!(told, [Some(range.as_str()), Some("3")], "{method} {number}");
            assert_eq!(answer.header("content-length"), Some(body.len().to_string().as_str()));
            assert!(method == "HEAD" || answer.body == *body, "part {number}");
        }
        offset += body.len();
    }
    let beyond = signed(&gateway, Request::get("/files/a?partNumber=4"));
    assert_eq!(beyond.status, 416);
    assert!(beyond.text().contains("<Code>InvalidPartNumber</Code>"), "{}", beyond.text());
    let both = signed(&gateway, Request::get("/files/a?partNumber=1").header("Range", "bytes=0-1"));
    assert_eq!((both.status, both.reason()), (400, "bad_request"));
    assert_eq!(signed(&gateway, Request::get("/files/a")).header("x-amz-mp-parts-count"), None);

    // What came in one piece, or was copied, is its own first part.
    accepted(&signed(&gateway, Request::put("/files/b", "hello")), 200);
    accepted(&signed(&gateway, Request::put("/files/c", "").header("x-amz-copy-source", "/files/a")), 200);
    for (object, range) in [("b", "bytes 0-4/5".to_owned()), ("c", format!("bytes 0-{}/{total}", total - 1))]
    {
        let first = signed(&gateway, Request::head(format!("/files/{object}?partNumber=1")));
        accepted(&first, 206);
        assert_eq!(
            (first.header("content-range"), first.header("x-amz-mp-parts-count")),
            (Some(&*range), None)
        );
        assert_eq!(signed(&gateway, Request::head(format!("/files/{object}?partNumber=2"))).status, 416);
    }
    // An edited object has the parts of nothing.
    gateway.plant("/files/a", "edited");
    assert_eq!(signed(&gateway, Request::get("/files/a?partNumber=1")).text(), "edited");
    assert_eq!(signed(&gateway, Request::get("/files/a?partNumber=2")).status, 416);
}

#[test]
fn what_parts_hash_to_together_is_kept_and_told() {
    let gateway = Gateway::new();
    let (a, b) = (vec![b'a'; PART], vec![b'b'; 7]);
    let sums = [&a, &b].map(|body| Sha256::digest(body).to_vec());
    let composite = format!("{}-2", STANDARD.encode(Sha256::digest(sums.concat())));
    let answer = made(&gateway, &[&a, &b], &[("x-amz-checksum-algorithm", "SHA256")]).text();
    let told = format!("<ChecksumSHA256>{composite}</ChecksumSHA256><ChecksumType>COMPOSITE</ChecksumType>");
    assert!(answer.contains(&told), "{answer}");
    let head = |mode: &str| signed(&gateway, Request::head("/files/a").header("x-amz-checksum-mode", mode));
    let found = head("ENABLED");
    assert_eq!(found.header("x-amz-checksum-sha256"), Some(composite.as_str()));
    assert_eq!(found.header("x-amz-checksum-type"), Some("COMPOSITE"));
    assert_eq!(head("").header("x-amz-checksum-sha256"), None);

    for (number, sum) in (1..).zip(&sums) {
        let asked =
            Request::get(format!("/files/a?partNumber={number}")).header("x-amz-checksum-mode", "ENABLED");
        let part = signed(&gateway, asked);
        assert_eq!(part.header("x-amz-checksum-sha256"), Some(STANDARD.encode(sum).as_str()), "{number}");
    }
    let range =
        Request::get("/files/a").header("Range", "bytes=0-9").header("x-amz-checksum-mode", "ENABLED");
    assert_eq!(signed(&gateway, range).header("x-amz-checksum-sha256"), None);

    let attributes = |more: &[(&str, &str)]| {
        let asked = Request::get("/files/a?attributes");
        let asked = asked.header("x-amz-object-attributes", "Checksum,ObjectParts");
        signed(&gateway, more.iter().fold(asked, |asked, (name, value)| asked.header(name, *value))).text()
    };
    let all = attributes(&[]);
    assert!(all.contains(&told) && all.contains("<PartsCount>2</PartsCount>"), "{all}");
    for (number, (body, sum)) in [(&a, &sums[0]), (&b, &sums[1])].into_iter().enumerate() {
        let part = format!(
            "<Part><PartNumber>{}</PartNumber><Size>{}</Size><ChecksumSHA256>{}</ChecksumSHA256></Part>",
            number + 1,
            body.len(),
            STANDARD.encode(sum)
        );
        assert!(all.contains(&part), "{all}");
    }
    let page = attributes(&[("x-amz-max-parts", "1"), ("x-amz-part-number-marker", "1")]);
    assert!(page.matches("<Part>").count() == 1 && page.contains("<PartNumber>2</PartNumber>"), "{page}");

    made(
        &gateway,
        &[&a, &b],
        &[("x-amz-checksum-algorithm", "CRC32"), ("x-amz-checksum-type", "FULL_OBJECT")],
    );
    let found = head("ENABLED");
    assert!(
        found.header("x-amz-checksum-crc32").is_some_and(|sum| !sum.contains('-')),
        "{:?}",
        found.headers
    );
    assert_eq!(found.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
}

#[test]
fn a_completion_keeps_to_its_conditions() {
    let gateway = Gateway::new();
    let complete = |headers: &[(&str, &str)]| {
        let id = begin(&gateway, &[]);
        let etag = signed(&gateway, part(&id, 1, b"x")).header("etag").unwrap().replace('"', "");
        let asked = Request::new("POST", format!("/files/a?uploadId={id}")).body(document(&[etag]));
        signed(&gateway, headers.iter().fold(asked, |asked, (name, value)| asked.header(name, *value)))
    };
    let missing = complete(&[("If-Match", "*")]);
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("<Code>NoSuchKey</Code>"), "{}", missing.text());
    accepted(&complete(&[("If-None-Match", "*")]), 200);
    for headers in [("If-None-Match", "*"), ("If-Match", "\"other\"")] {
        assert_eq!(complete(&[headers]).status, 412, "{headers:?}");
    }
    accepted(&complete(&[("If-Match", "*")]), 200);
}

/// A revocation reaches an upload that is under way: no part comes after it, and no object.
#[test]
fn a_revoked_signer_completes_nothing() {
    let gateway = Gateway::new();
    let id = begin(&gateway, &[]);
    let etag = signed(&gateway, part(&id, 1, b"x")).header("etag").unwrap().replace('"', "");
    let revoked = valetkey(gateway.home(), ["revoke", "--signer", "web", "--json"]).unwrap();
    assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
    let complete = Request::new("POST", format!("/files/a?uploadId={id}")).body(document(&[etag]));
    // What was signed before the second of the revocation is what it ends.
    let aws = Aws { time: Aws::default().time - 5, ..Aws::default() };
    for request in [part(&id, 2, b"y"), complete, Request::new("POST", "/files/a?uploads")] {
        let answer = gateway.send(&aws.sign(request));
        assert_eq!((answer.status, answer.reason()), (403, "revoked"), "{}", answer.text());
    }
    assert!(!gateway.file_of("/files/a").exists());
}
