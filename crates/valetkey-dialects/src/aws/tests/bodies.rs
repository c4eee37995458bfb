//! What a request says of its body, and bodies in aws-chunked form.

use super::*;
use crate::aws::chunked::{ChunkSigner, encode};
use crate::aws::signature::Signature;
use crate::aws::{Decoder, Framing, Payload};
use crate::{Checksum, ChecksumAlgorithm};
use proptest::prelude::*;

const TRAILER: &[(&str, &str)] = &[("x-amz-checksum-crc32", "NhCmhg==")];
const UNSIGNED: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
const SIGNED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";

fn signer() -> ChunkSigner {
    let scope = CredentialScope::new(time(), "eu-central-1");
    let key = SigningKey::derive(&Secret::new(SECRET), &scope);
    ChunkSigner::new(key, scope, Signature::parse(EMPTY.as_bytes()).unwrap())
}

/// Decodes `body`, pushed in pieces of at most `piece` bytes.
fn decode_by(framing: &Framing, body: &[u8], piece: usize) -> Result<(Vec<u8>, Vec<Checksum>), &'static str> {
    let mut decoder = Decoder::new(framing, framing.is_signed.then(signer)).unwrap();
    let mut decoded = Vec::new();
    for mut input in body.chunks(piece) {
        while let Some(bytes) = decoder.next(&mut input).map_err(|denial| denial.reason())? {
            decoded.extend_from_slice(bytes);
        }
    }
    let checksums = decoder.finish().map_err(|denial| denial.reason())?;
    Ok((decoded, checksums))
}

fn check(framing: &Framing, body: &[u8], expected: Result<&[u8], &'static str>) {
    for piece in [body.len().max(1), 1, 7] {
        let decoded = decode_by(framing, body, piece).map(|(bytes, _)| bytes);
        assert_eq!(
            decoded.as_deref().map_err(|reason| *reason),
            expected,
            "{:?}",
            String::from_utf8_lossy(body)
        );
    }
}

fn framing(decoded_bytes: u64, is_signed: bool, has_trailer: bool) -> Framing {
    Framing { decoded_bytes, is_signed, trailer: has_trailer.then(|| [ChecksumAlgorithm::Crc32].into()) }
}

fn forms() -> impl Iterator<Item = (Framing, Vec<u8>)> {
    [(false, true), (true, false), (true, true)].into_iter().map(|(is_signed, has_trailer)| {
        let body = encode(&[b"hello ", b"world"], is_signed.then(signer), has_trailer.then_some(TRAILER));
        (framing(11, is_signed, has_trailer), body)
    })
}

#[test]
fn each_form_is_taken_apart() {
    for (framing, body) in forms() {
        check(&framing, &body, Ok(b"hello world"));
        let (_, checksums) = decode_by(&framing, &body, 3).unwrap();
        assert_eq!(checksums.len(), usize::from(framing.trailer.is_some()));
    }
    check(&framing(0, false, true), b"0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", Ok(b""));
    check(&framing(0, true, false), &encode(&[], Some(signer()), None), Ok(b""));
}

/// A body that is cut, lengthened or changed anywhere is never taken for whole.
#[test]
fn no_edit_of_a_signed_body_is_taken() {
    for (framing, body) in forms() {
        for end in 0..body.len() {
            check(&framing, &body[..end], Err("bad_request"));
        }
        check(&framing, &[&body, b"0".as_slice()].concat(), Err("bad_request"));
        check(&framing, &[&body, body.as_slice()].concat(), Err("bad_request"));
        if !framing.is_signed {
            continue;
        }
        for at in 0..body.len() {
            let mut edit = body.clone();
            edit[at] ^= 1;
            let decoded = decode_by(&framing, &edit, body.len());
            assert!(matches!(decoded, Err("bad_request" | "bad_signature")), "{at} {decoded:?}");
        }
    }
}

#[test]
fn chunks_stand_in_their_order_and_all_of_them() {
    let framing = framing(6, true, false);
    let body = encode(&[b"aaa", b"bbb"], Some(signer()), None);
    let (one, rest) = body.split_at(3 + 81 + 2 + 3);
    let (two, last) = rest.split_at(one.len());
    assert!(one.ends_with(b"aaa\r\n") && two.ends_with(b"bbb\r\n"));
    check(&framing, &[one, two, last].concat(), Ok(b"aaabbb"));
    check(&framing, &[two, one, last].concat(), Err("bad_signature"));
    check(&framing, &[one, one, last].concat(), Err("bad_signature"));
    check(&framing, &[one, last].concat(), Err("bad_request"));
    check(&framing, &[one, two].concat(), Err("bad_request"));
}

#[test]
fn the_length_is_the_one_that_was_said() {
    let body = encode(&[b"hello"], None, Some(TRAILER));
    let of = |bytes| framing(bytes, false, true);
    check(&of(5), &body, Ok(b"hello"));
    check(&of(4), &body, Err("bad_request"));
    check(&of(6), &body, Err("bad_request"));
    // The first excess byte is refused when its chunk is announced, before it comes.
    let mut decoder = Decoder::new(&of(4), None).unwrap();
    assert!(decoder.next(&mut b"5\r\n".as_slice()).is_err());
    assert!(decoder.next(&mut b"".as_slice()).is_err(), "nothing comes after an error");
    check(&of(4), b"ffffffffffffffff\r\n", Err("bad_request"));
}

#[test]
fn lines_have_one_form_and_a_bound() {
    let of = framing(1, false, true);
    let with = |line: &str| [line, "a\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"].concat().into_bytes();
    check(&of, &with("1\r\n"), Ok(b"a"));
    check(&of, &with("0000000000000001\r\n"), Ok(b"a"));
    for line in [
        "00000000000000001\r\n",
        "1\n",
        "+1\r\n",
        "0x1\r\n",
        " 1\r\n",
        "1 \r\n",
        "\r\n",
        "1;x=y\r\n",
        "g\r\n",
        "-1\r\n",
    ] {
        check(&of, &with(line), Err("bad_request"));
    }
    check(&of, &[b'0'; 129], Err("bad_request"));
    check(&of, b"1\r\nab\r\n0\r\n", Err("bad_request"));
    let signed = framing(1, true, false);
    check(&signed, b"1\r\na\r\n", Err("bad_request"));
    check(&signed, b"1;chunk-signature=\r\na\r\n", Err("bad_signature"));
    check(&signed, b"1;signature=x\r\na\r\n", Err("bad_request"));
}

#[test]
fn a_trailer_is_what_was_announced() {
    let of = framing(0, false, true);
    for (trailer, expected) in [
        ("x-amz-checksum-crc32:AAAAAA==\r\n\r\n", Ok(b"".as_slice())),
        ("X-Amz-Checksum-Crc32: AAAAAA== \r\n\r\n", Ok(b"")),
        ("\r\n", Err("bad_request")),
        ("x-amz-checksum-crc32:AAAAAA==\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", Err("bad_request")),
        ("x-amz-checksum-sha1:2jmj7l5rSw0yVb/vlWAYkK/YBwk=\r\n\r\n", Err("bad_request")),
        ("x-amz-checksum-crc32:AAAA\r\n\r\n", Err("bad_request")),
        ("x-amz-meta-a:1\r\n\r\n", Err("bad_request")),
        ("x-amz-checksum-crc32\r\n\r\n", Err("bad_request")),
        ("x-amz-trailer-signature:00\r\n\r\n", Err("bad_request")),
    ] {
        check(&of, format!("0\r\n{trailer}").as_bytes(), expected);
    }
    let long = format!("0\r\nx-amz-checksum-crc32:{}", "A".repeat(4096));
    check(&of, long.as_bytes(), Err("bad_request"));
    let none_signed = framing(0, true, true);
    let body = String::from_utf8(encode(&[], Some(signer()), Some(TRAILER))).unwrap();
    let (without, _) = body.split_once("x-amz-trailer-signature").unwrap();
    check(&none_signed, format!("{without}\r\n").as_bytes(), Err("bad_request"));
    let wrong = body.replace("NhCmhg==", "NhCmhA==");
    check(&none_signed, wrong.as_bytes(), Err("bad_signature"));
}

fn payload(request: &Request) -> Result<Payload, &'static str> {
    request.verify().map(|(_, signed)| signed.payload).map_err(|denial| denial.reason())
}

#[test]
fn the_payload_is_a_hash_or_a_known_word() {
    let put = || Request::new("PUT", "/files/a", "");
    assert_eq!(payload(&put().header_signed("UNSIGNED-PAYLOAD")), Ok(Payload::Unsigned));
    assert!(matches!(payload(&put().header_signed(EMPTY)), Ok(Payload::Hash(_))));
    for (word, reason) in [
        ("", "bad_request"),
        ("STREAMING", "bad_request"),
        (&EMPTY.to_uppercase(), "bad_request"),
        (&EMPTY[1..], "bad_request"),
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "not_supported"),
        (UNSIGNED, "bad_request"),
    ] {
        assert_eq!(payload(&put().header_signed(word)), Err(reason), "{word}");
    }
    let chunked = |payload: &str, length: &str| {
        put().with("x-amz-decoded-content-length", length).header_signed(payload)
    };
    let is_signed = |request: &Request| match payload(request) {
        Ok(Payload::Chunked(framing)) => {
            let (_, signed) = request.verify().unwrap();
            assert_eq!(signed.chunk_signer().is_some(), framing.is_signed);
            Ok((framing.is_signed, framing.trailer, framing.decoded_bytes))
        }
        other => Err(other),
    };
    assert_eq!(is_signed(&chunked(SIGNED, "5")), Ok((true, None, 5)));
    let crc = Some([ChecksumAlgorithm::Crc32].into());
    assert_eq!(
        is_signed(&chunked(UNSIGNED, "5").with("x-amz-trailer", "x-amz-checksum-crc32")),
        Ok((false, crc, 5))
    );
    for length in ["", "-1", "+1", "0x5", "5 5", "99999999999999999999"] {
        assert_eq!(payload(&chunked(SIGNED, length)), Err("bad_request"), "{length}");
    }
    assert_eq!(payload(&chunked(SIGNED, "5").with("x-amz-decoded-content-length", "5")), Err("bad_request"));
    assert_eq!(
        payload(&chunked(SIGNED, "5").with("x-amz-trailer", "x-amz-checksum-crc32")),
        Err("bad_request")
    );
    for name in ["x-amz-meta-a", "", "x-amz-checksum-xxhash64"] {
        assert_eq!(
            payload(&chunked(UNSIGNED, "5").with("x-amz-trailer", name)),
            Err("not_supported"),
            "{name}"
        );
    }
}

#[test]
fn a_presigned_payload_is_what_was_signed_or_what_the_holder_adds() {
    let put = |query| Request::new("PUT", "/files/a", query);
    assert_eq!(payload(&put("").presigned()), Ok(Payload::Unsigned));
    // A holder's own hash is compared, and changes nothing of what was signed.
    assert!(matches!(
        payload(&put("").presigned().with("x-amz-content-sha256", EMPTY)),
        Ok(Payload::Hash(_))
    ));
    let framed = put("").presigned().with("x-amz-decoded-content-length", "5");
    assert!(matches!(
        payload(&framed.clone().with("x-amz-content-sha256", UNSIGNED)),
        Ok(Payload::Chunked(_))
    ));
    assert_eq!(payload(&framed.with("x-amz-content-sha256", SIGNED)), Err("bad_request"));
    let said = put("X-Amz-Content-Sha256=UNSIGNED-PAYLOAD").presigned();
    assert_eq!(payload(&said), Ok(Payload::Unsigned));
    assert_eq!(payload(&said.with("x-amz-content-sha256", EMPTY)), Err("bad_request"));
    // The word alone is no way past the signature.
    let forged = Request { query: put("").presigned().query.replace("Signature=", "Signature=0"), ..put("") };
    let forged = forged.with("x-amz-decoded-content-length", "5").with("x-amz-content-sha256", UNSIGNED);
    assert_eq!(payload(&forged), Err("bad_signature"));
}

#[test]
fn a_checksum_of_nothing_in_the_query_is_not_compared() {
    let checksums = |query: &str, header: Option<(&str, &str)>| {
        let mut request = Request::new("PUT", "/files/a", query).presigned();
        request.headers.extend(header.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let (_, signed) = request.verify().unwrap();
        let all = request.check(|head| signed.checksums(head)).map_err(|denial| denial.reason())?;
        Ok::<_, &str>(all.iter().map(|checksum| checksum.algorithm).collect::<Vec<_>>())
    };
    for query in [
        "x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32",
        "x-amz-checksum-crc32c=AAAAAA%3D%3D",
        "x-amz-checksum-crc64nvme=AAAAAAAAAAA%3D",
        "x-amz-checksum-sha1=2jmj7l5rSw0yVb%2FvlWAYkK%2FYBwk%3D",
        "X-Amz-Checksum-Sha256=47DEQpj8HBSa%2B%2FTImW%2B5JCeuQeRkm5NMpJWZG3hSuFU%3D",
    ] {
        assert_eq!(checksums(query, None), Ok(Vec::new()), "{query}");
    }
    assert_eq!(checksums("x-amz-checksum-crc32=NhCmhg%3D%3D", None), Ok([ChecksumAlgorithm::Crc32].into()));
    assert_eq!(checksums("x-amz-checksum-crc32=x", None), Err("bad_request"));
    let header = Some(("x-amz-checksum-crc32", "AAAAAA=="));
    assert_eq!(checksums("", header), Ok([ChecksumAlgorithm::Crc32].into()));
    let hash = Some(("x-amz-content-sha256", EMPTY));
    assert_eq!(checksums("", hash), Ok([ChecksumAlgorithm::Sha256].into()));
}

proptest! {
    #[test]
    fn however_it_is_cut_a_body_is_the_same(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
        is_signed in any::<bool>(),
        cut in 1_usize..50,
    ) {
        let refs: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let body = encode(&refs, is_signed.then(signer), Some(TRAILER));
        let whole = pieces.concat();
        let of = framing(whole.len().try_into().unwrap(), is_signed, true);
        prop_assert_eq!(decode_by(&of, &body, cut).map(|(bytes, _)| bytes), Ok(whole));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(body in "([0-9a-f]{1,3}|\r\n|;chunk-signature=|x-amz-checksum-crc32:|.){0,40}") {
        for is_signed in [false, true] {
            let _ = decode_by(&framing(9, is_signed, true), body.as_bytes(), 5);
        }
    }
}
