//! What a copy is made of:
//! [`CopyObject`](https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html) and
//! [`UploadPartCopy`](https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html).

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use valetkey::{Denial, ResourcePath, decode_component};

use super::{header, values};
use crate::aws::reply::{Code, Refusal};
use crate::head::RequestHead;
use crate::query::bad_value;

const SOURCE: &str = "x-amz-copy-source";
const RANGE: &str = "x-amz-copy-source-range";
const DIRECTIVE: &str = "x-amz-metadata-directive";

/// The headers of conditions on the source, each with the one that says the same of a download.
const CONDITIONS: [(&str, &str); 4] = [
    ("x-amz-copy-source-if-match", "if-match"),
    ("x-amz-copy-source-if-modified-since", "if-modified-since"),
    ("x-amz-copy-source-if-none-match", "if-none-match"),
    ("x-amz-copy-source-if-unmodified-since", "if-unmodified-since"),
];

/// From where a copy is made, and under which conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopySource {
    /// The object that is copied, which the key must let its holder read.
    pub path: ResourcePath,
    /// Conditions on it, by the names that a download gives them. Where one does not hold, the answer is 412
    /// whichever it is.
    pub conditions: Vec<(&'static str, String)>,
}

/// Whether the request is one for a copy.
pub(super) fn is_asked_for(head: &RequestHead<'_>) -> bool {
    values(head, SOURCE).next().is_some()
}

impl CopySource {
    pub(super) fn of(head: &RequestHead<'_>) -> Result<Self, Refusal> {
        let text = header(head, SOURCE)?.unwrap_or_default();
        let path = source_path(&text)?;
        let mut conditions = Vec::new();
        for (name, plain) in CONDITIONS {
            if let Some(value) = header(head, name)? {
                conditions.push((plain, value.to_string()));
            }
        }
        Ok(Self { path, conditions })
    }
}

/// `bucket/object` or `/bucket/object`, percent-encoded, with the only version that an object has or none.
fn source_path(text: &str) -> Result<ResourcePath, Refusal> {
    let text = match text.split_once("?versionId=") {
        Some((text, "null")) => text,
        Some(_) => return Err(Denial::CallNotSupported("a copy of a version of an object").into()),
        None => text,
    };
    if text.starts_with("arn:") {
        return Err(Denial::CallNotSupported("a copy from an access point").into());
    }
    let refused =
        || Refusal::invalid_argument(bad_value(SOURCE, text, "write bucket/object, percent-encoded"));
    let decoded = decode_component(text).ok_or_else(refused)?;
    let rooted = decoded.strip_prefix('/').unwrap_or(&decoded);
    let path = ResourcePath::from_text(&alloc::format!("/{rooted}")).map_err(|_| refused())?;
    if path.is_object() { Ok(path) } else { Err(refused()) }
}

/// Where a copy has its metadata from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataDirective {
    /// From its source.
    Copy,
    /// From the request's headers.
    Replace,
}

impl MetadataDirective {
    pub(super) fn of(head: &RequestHead<'_>) -> Result<Self, Refusal> {
        match header(head, DIRECTIVE)?.as_deref() {
            None | Some("COPY") => Ok(Self::Copy),
            Some("REPLACE") => Ok(Self::Replace),
            Some(other) => {
                Err(Refusal::invalid_argument(bad_value(DIRECTIVE, other, "write COPY or REPLACE")))
            }
        }
    }
}

/// Some bytes of an object, both ends inclusive; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte.
    pub first: u64,
    /// The last one, not before the first.
    pub last: u64,
}

impl ByteRange {
    pub(super) fn of(head: &RequestHead<'_>) -> Result<Option<Self>, Refusal> {
        let Some(text) = header(head, RANGE)? else { return Ok(None) };
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u64>().ok()).flatten()
        };
        let range = text.strip_prefix("bytes=").and_then(|range| {
            let (first, last) = range.split_once('-')?;
            Some(Self { first: number(first)?, last: number(last)? })
        });
        let range = range.filter(|range| range.first <= range.last && range.last < u64::MAX);
        range.map(Some).ok_or_else(|| {
            Refusal::bad_request(
                Code::InvalidArgument,
                bad_value(RANGE, &text, "write bytes=FIRST-LAST with both ends"),
            )
        })
    }

    /// How many bytes it has.
    pub fn bytes(self) -> u64 {
        self.last - self.first + 1
    }
}

#[cfg(test)]
mod tests {
    use super::super::Operation;
    use super::super::test::with_headers;
    use super::*;

    fn source(text: &str) -> Result<String, &'static str> {
        match with_headers("PUT", "/files/new", "", &[(SOURCE, text)]) {
            Ok(Operation::CopyObject { source, .. }) => Ok(source.path.to_string()),
            other => Err(other.unwrap_err().code.name()),
        }
    }

    #[test]
    fn a_source_is_decoded_once() {
        for (text, expected) in [
            ("files/a", Ok("/files/a")),
            ("/files/a%20b/c+d", Ok("/files/a b/c+d")),
            ("%2Ffiles%2Fa%3Fb", Ok("/files/a?b")),
            ("files/a?versionId=null", Ok("/files/a")),
            ("files/a?versionId=7", Err("NotImplemented")),
            ("files/a?versionId=", Err("NotImplemented")),
            ("arn:aws:s3:us-east-1:1:accesspoint/a/object/b", Err("NotImplemented")),
            ("files/%252e%252e/a", Ok("/files/%2e%2e/a")),
            ("files/../private/a", Err("InvalidArgument")),
            ("files/%2e%2e/a", Err("InvalidArgument")),
            ("//files/a", Err("InvalidArgument")),
            ("files/%zz", Err("InvalidArgument")),
            ("files/a%00", Err("InvalidArgument")),
            ("files/", Err("InvalidArgument")),
            ("files", Err("InvalidArgument")),
            ("", Err("InvalidArgument")),
        ] {
            assert_eq!(source(text).as_deref().map_err(|code| *code), expected, "{text}");
        }
        let twice = with_headers("PUT", "/files/new", "", &[(SOURCE, "files/a"), (SOURCE, "files/b")]);
        assert_eq!(twice.map_err(|refusal| refusal.code), Err(Code::InvalidArgument));
    }

    #[test]
    fn a_copy_onto_itself_has_to_change_something() {
        let copy = |directive| {
            let headers = [(SOURCE, "files/a"), (DIRECTIVE, directive)];
            with_headers("PUT", "/files/a", "", &headers).map(|_| ()).map_err(|refusal| refusal.code)
        };
        assert_eq!(copy("COPY"), Err(Code::InvalidRequest));
        assert_eq!(copy("REPLACE"), Ok(()));
        assert_eq!(copy("replace"), Err(Code::InvalidArgument));
    }

    #[test]
    fn conditions_have_their_plain_names() {
        let headers = [(SOURCE, "files/a"), ("x-amz-copy-source-if-none-match", "\"ab\"")];
        let Ok(Operation::CopyObject { source, directive }) = with_headers("PUT", "/files/b", "", &headers)
        else {
            panic!()
        };
        assert_eq!(source.conditions, [("if-none-match", "\"ab\"".to_string())]);
        assert_eq!(directive, MetadataDirective::Copy);
    }

    #[test]
    fn a_range_has_both_ends() {
        let range = |text: &str| {
            let headers = [(SOURCE, "files/a"), (RANGE, text)];
            match with_headers("PUT", "/files/b", "uploadId=7&partNumber=2", &headers) {
                Ok(Operation::UploadPartCopy { range: Some(range), .. }) => {
                    Some((range.first, range.bytes()))
                }
                other => {
                    assert_eq!(other.unwrap_err().code, Code::InvalidArgument);
                    None
                }
            }
        };
        assert_eq!(range("bytes=0-0"), Some((0, 1)));
        assert_eq!(range("bytes=5-9"), Some((5, 5)));
        for text in ["", "bytes=", "bytes=5-", "bytes=-5", "bytes=9-5", "bytes=0-1,3-4", "0-1", "bytes=+0-1"]
        {
            assert_eq!(range(text), None, "{text}");
        }
        assert_eq!(range("bytes=0-18446744073709551615"), None);
    }
}
