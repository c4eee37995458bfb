//! What an AWS request says of its body: its hash, or the form that it comes in.
//!
//! `x-amz-content-sha256` says it, in a header or, presigned, in the query.

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use valetkey::Denial;

use super::credential::{Way, whole};
use super::query::Query;
use crate::head::RequestHead;
use crate::integrity::{ChecksumAlgorithm, decode_hex};

const NAME: &str = "x-amz-content-sha256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// What a request says of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Its hash is not signed.
    Unsigned,
    /// Its SHA-256.
    Hash([u8; 32]),
    /// It comes in chunks with lines between them.
    Chunked(Framing),
}

/// How a body in
/// [aws-chunked form](https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html) is framed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framing {
    /// `x-amz-decoded-content-length`: how many bytes the upload has, without the lines.
    pub decoded_bytes: u64,
    /// Whether each chunk, and the trailer, carries a signature.
    pub is_signed: bool,
    /// The checksums that the trailer carries; `None` where there is no trailer.
    pub trailer: Option<Vec<ChecksumAlgorithm>>,
}

/// What the payload is, and the word that stands for it in what was signed.
pub(super) fn payload(
    head: &RequestHead<'_>,
    query: &Query<'_>,
    way: Way,
    is_signed_header: bool,
) -> Result<(Payload, alloc::string::String), Denial> {
    let in_header = head.one(NAME)?;
    let is_presigned = way != Way::Header;
    let in_query = if is_presigned { query.one("X-Amz-Content-Sha256")? } else { None };
    if let (Some(header), Some(parameter)) = (in_header, in_query)
        && header != parameter
    {
        return Err(bad("x-amz-content-sha256 says two things"));
    }
    let said = in_query.or(in_header);
    let Some(text) = said.or(is_presigned.then_some(UNSIGNED)) else {
        return Err(bad("a request with signed headers must have x-amz-content-sha256"));
    };
    // A presigned URL's holder may say what the body hashes to; that changes nothing of what was signed.
    let is_covered = !is_presigned || in_query.is_some() || is_signed_header;
    let signed = if is_covered { text } else { UNSIGNED };
    Ok((Payload::of(text, head, is_presigned)?, signed.to_owned()))
}

impl Payload {
    fn of(text: &str, head: &RequestHead<'_>, is_presigned: bool) -> Result<Self, Denial> {
        let (is_signed, has_trailer) = match text {
            UNSIGNED => return Ok(Self::Unsigned),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => (false, true),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => (true, false),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => (true, true),
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
            | "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER" => {
                return Err(Denial::CallNotSupported("a signature of version 4A"));
            }
            _ => {
                let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
                let hash = decode_hex(text).and_then(|bytes| bytes.try_into().ok()).filter(|_| is_lower);
                return hash.map(Self::Hash).ok_or_else(|| {
                    bad("x-amz-content-sha256 is neither a hash nor a word that stands for one")
                });
            }
        };
        if is_signed && is_presigned {
            return Err(bad("the chunks of a presigned upload cannot be signed"));
        }
        let decoded_bytes = head
            .one("x-amz-decoded-content-length")?
            .and_then(whole)
            .ok_or_else(|| bad("an upload in aws-chunked form must say x-amz-decoded-content-length"))?;
        let announced = head.one("x-amz-trailer")?;
        let trailer = match (announced, has_trailer) {
            (Some(names), true) => Some(trailer(names)?),
            (None, true) => Some(Vec::new()),
            (None, false) => None,
            (Some(_), false) => return Err(bad("x-amz-content-sha256 says that there is no trailer")),
        };
        Ok(Self::Chunked(Framing { decoded_bytes, is_signed, trailer }))
    }
}

/// The checksums that are announced to follow the body.
fn trailer(names: &str) -> Result<Vec<ChecksumAlgorithm>, Denial> {
    let mut algorithms = Vec::new();
    for name in names.split(',') {
        let name = name.trim_matches([' ', '\t']).to_ascii_lowercase();
        let algorithm = ChecksumAlgorithm::of_s3_header(&name)
            .ok_or(Denial::CallNotSupported("a trailer other than a checksum that is compared"))?;
        if algorithms.contains(&algorithm) {
            return Err(bad("x-amz-trailer names a checksum twice"));
        }
        algorithms.push(algorithm);
    }
    Ok(algorithms)
}

pub(super) fn bad(text: &str) -> Denial {
    Denial::BadRequest(text.to_owned())
}
