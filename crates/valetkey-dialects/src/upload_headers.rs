//! The headers of an upload that are kept with its object.
//!
//! What only presents an object (a type, a language, a holder's own metadata) is taken from whoever uploads.
//! What tells a browser how to treat it is taken where the signature covers it.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use valetkey::Denial;

use crate::head::RequestHead;

/// How large user metadata may be in all, names and values, in bytes.
const METADATA_BYTES_MAX: usize = 2048;

/// How long the value of another stored header may be, in bytes.
const VALUE_BYTES_MAX: usize = 255;

pub(crate) const METADATA_PREFIX: &str = "x-amz-meta-";

/// Which headers a signature covers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cover<'a> {
    Nothing,
    Only(&'a [String]),
    /// Whoever signed sent them too.
    All,
}

impl Cover<'_> {
    fn has(self, name: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Only(names) => names.iter().any(|covered| covered == name),
            Self::All => true,
        }
    }
}

/// The headers of an upload that are kept with the object and served with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadHeaders {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `cache-control`, `content-language` and `x-amz-meta-…`, names in lower case; and where a signature
    /// covers them `content-disposition`, `content-encoding` and `expires`.
    pub others: Vec<(String, String)>,
    /// The names of those of the others that a signature covers.
    pub signed: Vec<String>,
}

impl UploadHeaders {
    /// Reads the headers of an upload whose key signs none.
    ///
    /// # Errors
    /// [`Denial::BadRequest`] for a value that is too long or no text, metadata over 2 KiB, or a content
    /// coding; [`Denial::CallNotSupported`] for the coding aws-chunked.
    pub fn of(head: &RequestHead<'_>) -> Result<Self, Denial> {
        Self::read(head.headers, Cover::Nothing, false)
    }

    /// Reads the headers of an upload; `is_chunked` says whether its body is known to be in aws-chunked form.
    pub(crate) fn read<'a>(
        all: impl IntoIterator<Item = &'a (&'a str, &'a [u8])>,
        cover: Cover<'_>,
        is_chunked: bool,
    ) -> Result<Self, Denial> {
        let mut headers = Self::default();
        let mut metadata_bytes = 0;
        for (name, value) in all {
            match *name {
                "content-type" => {
                    let value = text(name, value, VALUE_BYTES_MAX)?;
                    if headers.content_type.replace(value).is_some() {
                        return Err(Denial::BadRequest("content-type is given twice".to_string()));
                    }
                }
                "cache-control" | "content-language" => {
                    headers.append_bounded(name, &text(name, value, VALUE_BYTES_MAX)?)?;
                }
                "content-disposition" | "expires" if cover.has(name) => {
                    headers.append_bounded(name, &text(name, value, VALUE_BYTES_MAX)?)?;
                }
                "content-encoding" => {
                    let codings = codings(value, is_chunked)?;
                    if !codings.is_empty() && !cover.has(name) {
                        return Err(Denial::BadRequest(
                            "an upload's content-encoding must be signed, and the key does not sign it"
                                .to_string(),
                        ));
                    }
                    if !codings.is_empty() {
                        headers.append_bounded(name, &codings)?;
                    }
                }
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
        headers.signed = headers.others.iter().map(|(name, _)| name.clone()).collect();
        headers.signed.retain(|name| cover.has(name));
        Ok(headers)
    }

    /// Together the values of one header must fit beside the object's file.
    fn append_bounded(&mut self, name: &str, value: &str) -> Result<(), Denial> {
        if self.append(name, value) <= VALUE_BYTES_MAX {
            return Ok(());
        }
        Err(Denial::BadRequest(format!("the headers {name} exceed {VALUE_BYTES_MAX} bytes together")))
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

/// The content codings that the object itself has.
fn codings(value: &[u8], is_chunked: bool) -> Result<String, Denial> {
    let value = text("content-encoding", value, VALUE_BYTES_MAX)?;
    let mut kept = Vec::new();
    for coding in value.split(',').map(|coding| coding.trim_matches([' ', '\t'])) {
        // That coding is the body's way here and not the object's. Taken for the object, its lines would be stored.
        if coding.eq_ignore_ascii_case("aws-chunked") {
            if !is_chunked {
                return Err(Denial::CallNotSupported(
                    "an upload in aws-chunked form that is not said to be one",
                ));
            }
        } else if !coding.is_empty() && !coding.eq_ignore_ascii_case("identity") {
            kept.push(coding.to_owned());
        }
    }
    Ok(kept.join(", "))
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
        let head = RequestHead { method: "PUT", path: "/", query: "", headers };
        UploadHeaders::of(&head).map_err(|denial| denial.reason())
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
