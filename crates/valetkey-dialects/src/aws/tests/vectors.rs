//! Worked values that Amazon publishes.

use super::*;
use crate::aws::chunked::{ChunkSigner, encode};
use crate::aws::signature::Signature;
use crate::aws::{Decoder, Framing};
use crate::{ChecksumAlgorithm, aws};
use serde_json::Value;

/// The key of Amazon's S3 documentation.
const DOCUMENTED: &[u8] = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn documented() -> SignerSecrets {
    SignerSecrets { current: Secret::new(DOCUMENTED), previous: None }
}

/// [Amazon's suite](https://github.com/awslabs/aws-c-auth/tree/main/tests/aws-signing-test-suite) of requests,
/// of which the file has those that S3's rules cover.
#[test]
fn the_signing_suite() {
    let suite: Value = serde_json::from_str(include_str!("signing_suite.json")).unwrap();
    let time = Timestamp::parse(suite["time"].as_str().unwrap()).unwrap();
    let scope = CredentialScope::new(time, suite["region"].as_str().unwrap());
    let scope = scope.of_service(suite["service"].as_str().unwrap());
    let key = SigningKey::derive(&Secret::new(suite["secret"].as_str().unwrap().as_bytes()), &scope);
    let mut count = 0;
    for case in suite["cases"].as_array().unwrap() {
        for kind in ["header", "query"] {
            let (it, name) = (&case[kind], &case["name"]);
            let text = |member: &str| it[member].as_str().unwrap();
            let (raw_path, raw_query) = text("target").split_once('?').unwrap_or((text("target"), ""));
            let expected = text("canonical_request");
            let names = expected.rsplit('\n').nth(1).unwrap();
            let mut headers: Vec<(&str, Cow<'_, str>)> = Vec::new();
            for header in it["headers"].as_array().unwrap() {
                let header_name = header[0].as_str().unwrap();
                if names.split(';').any(|signed| signed == header_name) {
                    headers.push((header_name, header_value(header[1].as_str().unwrap())));
                }
            }
            headers.sort();
            let canonical = Canonical {
                method: case["method"].as_str().unwrap(),
                raw_path,
                query: &Query::parse(raw_query).unwrap(),
                headers: &headers,
                payload: expected.rsplit('\n').next().unwrap(),
            };
            assert_eq!(canonical.text().unwrap(), expected, "{name} {kind}");
            let string_to_sign = scope.string_to_sign(&canonical.hash().unwrap());
            assert_eq!(string_to_sign, text("string_to_sign"), "{name} {kind}");
            assert_eq!(key.sign(&string_to_sign).reveal(), text("signature"), "{name} {kind}");
            count += 1;
        }
    }
    assert_eq!(count, 54);
}

/// [Query string authentication](https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html).
#[test]
fn the_documented_presigned_url() {
    let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2F\
                 s3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-\
                 Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    let request = Request {
        headers: [("host".to_owned(), "examplebucket.s3.amazonaws.com".to_owned())].into(),
        ..Request::new("GET", "/test.txt", query)
    };
    let path = ResourcePath::from_text("/examplebucket/test.txt").unwrap();
    let verified = request.check(|head| {
        let presented = present(head, Some(&path)).unwrap();
        assert_eq!(presented.signer(), "AKIAIOSFODNN7EXAMPLE");
        presented.verify(Some(&documented())).unwrap()
    });
    assert_eq!(verified.grant.allow().to_string(), "read,stat");
    assert_eq!(verified.grant.scopes().paths(), [path]);
    assert_eq!(verified.grant.end().to_string(), "2013-05-25T00:00:00Z");
}

/// [Signing in the header](https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
#[test]
fn the_documented_signed_headers() {
    let signed = |names: &str, signature: &str| {
        format!(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders={names},\
             Signature={signature}"
        )
    };
    let request = |method: &str, path: &str, query: &str, payload: &str| Request {
        headers: [
            ("host".to_owned(), "examplebucket.s3.amazonaws.com".to_owned()),
            ("x-amz-content-sha256".to_owned(), payload.to_owned()),
            ("x-amz-date".to_owned(), "20130524T000000Z".to_owned()),
        ]
        .into(),
        ..Request::new(method, path, query)
    };
    let usual = "host;x-amz-content-sha256;x-amz-date";
    let get = request("GET", "/test.txt", "", EMPTY).with("range", "bytes=0-9").with(
        "authorization",
        &signed(
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
    );
    let put_hash = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    let put = request("PUT", "/test%24file.text", "", put_hash)
        .with("date", "Fri, 24 May 2013 00:00:00 GMT")
        .with("x-amz-storage-class", "REDUCED_REDUNDANCY")
        .with(
            "authorization",
            &signed(
                "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ),
        );
    let lifecycle = request("GET", "/", "lifecycle", EMPTY).with(
        "authorization",
        &signed(usual, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    );
    let list = request("GET", "/", "max-keys=2&prefix=J", EMPTY).with(
        "authorization",
        &signed(usual, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    );
    for request in [get, put, lifecycle, list] {
        assert!(request.verify_with(Some(&documented())).is_ok(), "{request:?}");
        assert_eq!(request.verify_with(Some(&secrets())).unwrap_err().reason(), "bad_signature");
    }
}

fn streaming(payload: &str, signed: &str, signature: &str) -> Request {
    let text = format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders={signed},\
         Signature={signature}"
    );
    Request {
        headers: [("host".to_owned(), "s3.amazonaws.com".to_owned())].into(),
        ..Request::new("PUT", "/examplebucket/chunkObject.txt", "")
    }
    .with("x-amz-date", "20130524T000000Z")
    .with("x-amz-storage-class", "REDUCED_REDUNDANCY")
    .with("authorization", &text)
    .with("x-amz-content-sha256", payload)
    .with("content-encoding", "aws-chunked")
    .with("x-amz-decoded-content-length", "66560")
    .with("content-length", "66824")
}

fn body_of(signatures: [&str; 3], trailer: &str) -> Vec<u8> {
    let [one, two, three] = signatures;
    let (long, short) = ("a".repeat(65_536), "a".repeat(1024));
    format!(
        "10000;chunk-signature={one}\r\n{long}\r\n400;chunk-signature={two}\r\n{short}\r\n0;chunk-signature={three}\r\n\
         {trailer}\r\n"
    )
    .into_bytes()
}

fn decode(request: &Request, body: &[u8]) -> Result<(usize, Vec<crate::Checksum>), Denial> {
    let verified = request.verify_with(Some(&documented()))?;
    let request = verified.aws.unwrap();
    let aws::Payload::Chunked(framing) = &request.payload else { panic!("{:?}", request.payload) };
    let mut decoder = Decoder::new(framing, request.chunk_signer())?;
    let (mut input, mut bytes) = (body, 0);
    while let Some(piece) = decoder.next(&mut input)? {
        bytes += piece.len();
    }
    Ok((bytes, decoder.finish()?))
}

/// [Signed chunks](https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html).
#[test]
fn the_documented_signed_chunks() {
    let request = streaming(
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;\
         x-amz-storage-class",
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    );
    let signatures = [
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ];
    let body = body_of(signatures, "");
    assert_eq!(body.len(), 66_824);
    assert_eq!(decode(&request, &body).unwrap(), (66_560, Vec::new()));
}

/// [Trailers](https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html).
#[test]
fn the_documented_trailer() {
    let request = streaming(
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;\
         x-amz-trailer",
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    )
    .with("x-amz-trailer", "x-amz-checksum-crc32c");
    let signatures = [
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    ];
    let sealed =
        "x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n";
    for line_end in ["\r\n", "\n\r\n"] {
        let trailer = format!("x-amz-checksum-crc32c:sOO8/Q=={line_end}{sealed}");
        let (bytes, checksums) = decode(&request, &body_of(signatures, &trailer)).unwrap();
        assert_eq!((bytes, checksums.len()), (66_560, 1));
        assert_eq!(checksums[0].algorithm, ChecksumAlgorithm::Crc32c);
        assert_eq!(checksums[0].value, [0xb0, 0xe3, 0xbc, 0xfd]);
    }
}

/// The framing that tests use is the documented one.
#[test]
fn the_documented_body_is_what_a_client_writes() {
    let scope = CredentialScope::new(Timestamp::parse("2013-05-24T00:00:00Z").unwrap(), "us-east-1");
    let key = SigningKey::derive(&Secret::new(DOCUMENTED), &scope);
    let seed = b"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
    let signer = ChunkSigner::new(key, scope, Signature::parse(seed).unwrap());
    let pieces = ["a".repeat(65_536), "a".repeat(1024)];
    let pieces: Vec<&[u8]> = pieces.iter().map(String::as_bytes).collect();
    let body = encode(&pieces, Some(signer), Some(&[("x-amz-checksum-crc32c", "sOO8/Q==")]));
    let text = String::from_utf8(body).unwrap();
    assert!(text.contains(
        "\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n"
    ));
    assert!(text.ends_with("d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"));
    let framing = Framing { decoded_bytes: 0, is_signed: true, trailer: None };
    assert!(Decoder::new(&framing, None).is_err());
}
