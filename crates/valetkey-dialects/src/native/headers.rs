//! The request headers that a native key's holder may send.
//!
//! Headers come from the holder and no native key signs one, so they are taken from a list: whatever belongs
//! to the `x-amz-`, `x-goog-`, `x-ms-` or `x-vk-` families and could change what is done is refused.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use valetkey::Denial;

use crate::head::RequestHead;

/// How large user metadata may be in all, names and values, in bytes.
const METADATA_BYTES_MAX: usize = 2048;

/// How long the value of another stored header may be, in bytes.
const VALUE_BYTES_MAX: usize = 255;

const METADATA_PREFIX: &str = "x-amz-meta-";
/// The families of headers in which vendors say what is to be done.
pub(crate) const FAMILIES: [&str; 4] = ["x-amz-", "x-goog-", "x-ms-", "x-vk-"];

/// Of the families, what only describes the client.
const IGNORED: [&str; 4] = ["x-amz-user-agent", "x-amz-cf-id", "x-goog-api-client", "x-ms-client-request-id"];

/// Of the families, what speaks of an upload's bytes.
const CHECKSUMS: [&str; 4] =
    ["x-amz-sdk-checksum-algorithm", "x-amz-content-sha256", "x-amz-trailer", "x-amz-decoded-content-length"];

/// Refuses a header that could change what is done and that the key does not sign.
///
/// # Errors
/// [`Denial::BadRequest`] naming the header.
pub fn check_headers(head: &RequestHead<'_>) -> Result<(), Denial> {
    for (name, _) in head.headers {
        let taken = !FAMILIES.iter().any(|family| name.starts_with(family))
            || name.starts_with(METADATA_PREFIX)
            || name.starts_with("x-amz-checksum-")
            || CHECKSUMS.contains(name)
            || IGNORED.contains(name);
        if !taken {
            return Err(Denial::BadRequest(format!(
                "the header {name} changes what is done, and the key does not sign it"
            )));
        }
    }
    Ok(())
}

/// The headers of an upload that are kept with the object and served with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadHeaders {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `cache-control`, `content-language` and `x-amz-meta-…`, names in lower case.
    pub others: Vec<(String, String)>,
}

impl UploadHeaders {
    /// Reads the headers of an upload.
    ///
    /// # Errors
    /// [`Denial::BadRequest`] for a value that is too long or no text, metadata over 2 KiB, or a content
    /// coding; [`Denial::CallNotSupported`] for the coding aws-chunked.
    pub fn of(head: &RequestHead<'_>) -> Result<Self, Denial> {
        let mut headers = Self::default();
        let mut metadata_bytes = 0;
        for (name, value) in head.headers {
            match *name {
                "content-type" => {
                    let value = text(name, value, VALUE_BYTES_MAX)?;
                    if headers.content_type.replace(value).is_some() {
                        return Err(Denial::BadRequest("content-type is given twice".to_string()));
                    }
                }
                "cache-control" | "content-language" => {
                    // Together they must fit beside the object's file.
                    let stored_bytes = headers.append(name, &text(name, value, VALUE_BYTES_MAX)?);
                    if stored_bytes > VALUE_BYTES_MAX {
                        let text = format!("the headers {name} exceed {VALUE_BYTES_MAX} bytes together");
                        return Err(Denial::BadRequest(text));
                    }
                }
                "content-encoding" => check_encoding(value)?,
                // A part that was stored as the whole would destroy what is there.
                "content-range" => {
                    return Err(Denial::BadRequest(
                        "an upload of a part of an object is not taken".to_string(),
                    ));
                }
                "upload-complete" | "upload-offset" | "upload-length" | "tus-resumable" => {
                    return Err(Denial::CallNotSupported("a resumable upload"));
                }
                _ => {
                    let Some(key) = name.strip_prefix(METADATA_PREFIX) else { continue };
                    metadata_bytes += key.len() + value.len();
                    if metadata_bytes > METADATA_BYTES_MAX {
                        return Err(Denial::BadRequest(format!(
                            "the x-amz-meta- headers exceed {METADATA_BYTES_MAX} bytes"
                        )));
                    }
                    headers.append(name, &text(name, value, METADATA_BYTES_MAX)?);
                }
            }
        }
        Ok(headers)
    }

    /// Repeated headers are one, their values separated by commas; returns how long the value is by now.
    fn append(&mut self, name: &str, value: &str) -> usize {
        match self.others.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => {
                *values = format!("{values}, {value}");
                values.len()
            }
            None => {
                self.others.push((name.to_string(), value.to_string()));
                value.len()
            }
        }
    }
}

fn check_encoding(value: &[u8]) -> Result<(), Denial> {
    if value.eq_ignore_ascii_case(b"identity") {
        Ok(())
    } else if value.eq_ignore_ascii_case(b"aws-chunked") {
        Err(Denial::CallNotSupported("an upload in aws-chunked form"))
    } else {
        Err(Denial::BadRequest(
            "an upload's content-encoding must be signed, and the key does not sign it".to_string(),
        ))
    }
}

fn text(name: &str, value: &[u8], bytes_max: usize) -> Result<String, Denial> {
    if value.len() > bytes_max {
        return Err(Denial::BadRequest(format!("the header {name} exceeds {bytes_max} bytes")));
    }
    let text = core::str::from_utf8(value).ok().filter(|text| !text.chars().any(char::is_control));
    text.map(ToString::to_string).ok_or_else(|| {
        Denial::BadRequest(format!("the header {name} is not text without control characters"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &[u8])]) -> Result<UploadHeaders, &'static str> {
        let head = RequestHead { path: "/", query: "", headers };
        check_headers(&head).and_then(|()| UploadHeaders::of(&head)).map_err(|denial| denial.reason())
    }

    #[test]
    fn what_could_change_what_is_done_is_refused() {
        for name in [
            "x-amz-acl",
            "x-amz-copy-source",
            "x-amz-tagging",
            "x-amz-date",
            "x-goog-acl",
            "x-ms-blob-type",
            "x-vk-max",
        ] {
            assert_eq!(read(&[(name, b"x")]), Err("bad_request"), "{name}");
        }
        for name in
            ["x-amz-user-agent", "x-forwarded-for", "x-http-method-override", "x-ms-client-request-id"]
        {
            assert!(read(&[(name, b"x")]).is_ok(), "{name}");
        }
    }

    #[test]
    fn metadata_ends_at_two_kib() {
        let value = [b'v'; 2047];
        assert!(read(&[("x-amz-meta-k", &value)]).is_ok());
        assert_eq!(read(&[("x-amz-meta-kk", &value)]), Err("bad_request"));
        assert_eq!(read(&[("x-amz-meta-k", &value), ("x-amz-meta-l", b"")]), Err("bad_request"));
        assert_eq!(read(&[("x-amz-meta-k", b"\xff")]), Err("bad_request"));
        let twice = read(&[("x-amz-meta-k", b"a"), ("x-amz-meta-k", b"b")]).unwrap();
        assert_eq!(twice.others, [("x-amz-meta-k".to_string(), "a, b".to_string())]);
    }

    #[test]
    fn repeated_headers_are_bounded_together() {
        let half = [b'v'; 126];
        let pair: [(&str, &[u8]); 2] = [("cache-control", &half), ("cache-control", &half)];
        assert!(read(&pair).is_ok());
        let over = [b'v'; 128];
        assert_eq!(read(&[("cache-control", &half), ("cache-control", &over)]), Err("bad_request"));
    }

    #[test]
    fn a_part_is_never_taken_for_the_whole() {
        assert_eq!(read(&[("content-range", b"bytes 2-4/10")]), Err("bad_request"));
        assert_eq!(read(&[("upload-complete", b"?0")]), Err("not_supported"));
        assert_eq!(read(&[("tus-resumable", b"1.0.0")]), Err("not_supported"));
    }

    #[test]
    fn a_content_coding_needs_a_signature() {
        assert!(read(&[("content-encoding", b"identity")]).is_ok());
        assert_eq!(read(&[("content-encoding", b"gzip")]), Err("bad_request"));
        assert_eq!(read(&[("content-encoding", b"aws-chunked")]), Err("not_supported"));
    }
}
