//! What is remembered about an object, as headers of the store.
//!
//! A user's metadata stands under its own name, and what the store knows by itself (`Content-Type`, …) too, so that
//! whoever reads the store directly finds what was uploaded. What is ours alone begins with `valetkey-`.

use std::time::SystemTime;

use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, HeaderMap,
    HeaderName, HeaderValue,
};
use object_store::{Attribute, ObjectMeta};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{Kind, Remote};
use crate::backend::{Attributes, Metadata, StoreError};

const USER: &str = "x-amz-meta-";
const OURS: &str = "valetkey-";
const HOLD: &str = "valetkey-hold";
const UPLOAD: &str = "valetkey-upload";
const DIGEST: &str = "valetkey-digest";
/// Before the name of a header that the store has no place for.
const HEADER: &str = "valetkey-header-";
/// The same, its value percent-encoded after a sign: there are stores that drop empty values.
const ENCODED: &str = "valetkey-encoded-";

/// What goes with an object besides what its uploader said.
pub(super) struct Marks<'a> {
    /// A random name of this upload, by which it is known again where the store's answer was lost.
    pub(super) upload: &'a str,
    /// Its content's BLAKE3, where that is known before the content is sent.
    pub(super) digest: Option<[u8; 32]>,
}

/// The attributes under the names that `object_store` gives them.
///
/// # Errors
/// [`StoreError::BadAttribute`] for a value that is no header's, [`StoreError::AttributesTooLarge`].
pub(super) fn to_store(
    kind: Kind,
    attributes: &Attributes,
    marks: &Marks<'_>,
) -> Result<object_store::Attributes, StoreError> {
    let mut all = object_store::Attributes::new();
    let mut metadata_bytes = 0;
    let mut keep = |name: &str, value: &str| {
        let name = if kind == Kind::Azure { identifier(name) } else { name.to_owned() };
        metadata_bytes += name.len() + value.len();
        all.insert(Attribute::Metadata(name.into()), value.to_owned().into());
    };
    keep(UPLOAD, marks.upload);
    if let Some(hold) = &attributes.hold {
        keep(HOLD, hold);
    }
    if let Some(digest) = marks.digest {
        keep(DIGEST, &blake3::Hash::from_bytes(digest).to_hex());
    }
    let mut known = Vec::new();
    // Of what says none, some stores guess one.
    let unknown = "application/octet-stream".to_owned();
    let content_type = (CONTENT_TYPE.as_str(), attributes.content_type.as_ref().unwrap_or(&unknown));
    let headers = attributes.headers.iter().map(|(name, value)| (name.as_str(), value));
    for (name, value) in std::iter::once(content_type).chain(headers) {
        if value.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(StoreError::BadAttribute);
        }
        let plain = value.is_ascii() && value.trim() == value && !value.is_empty();
        match (attribute(name), name.strip_prefix(USER)) {
            _ if !plain => keep(
                &format!("{ENCODED}{name}"),
                &format!("={}", utf8_percent_encode(value, NON_ALPHANUMERIC)),
            ),
            (Some(attribute), _) => known.push((attribute, value.clone())),
            (None, Some(user)) if !user.starts_with(OURS) => keep(user, value),
            (None, _) => keep(&format!("{HEADER}{name}"), value),
        }
    }
    if metadata_bytes > kind.metadata_bytes_max() {
        return Err(StoreError::AttributesTooLarge);
    }
    for (attribute, value) in known {
        all.insert(attribute, value.into());
    }
    Ok(all)
}

impl Kind {
    /// How much metadata of its users' own a store keeps with an object, in bytes
    /// ([S3](https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html),
    /// [Google](https://cloud.google.com/storage/quotas#objects),
    /// [Azure](https://learn.microsoft.com/rest/api/storageservices/setting-and-retrieving-properties-and-metadata-for-blob-resources)).
    fn metadata_bytes_max(self) -> usize {
        match self {
            Self::S3 => 2 << 10,
            Self::Azure | Self::Gcs => 8 << 10,
        }
    }
}

/// The attributes back from the store. What is not in our form is what an operator put there, and is left out.
fn from_store(
    kind: Kind,
    stored: &object_store::Attributes,
) -> (Attributes, Option<[u8; 32]>, Option<String>) {
    let mut attributes = Attributes::default();
    let (mut digest, mut upload) = (None, None);
    for (attribute, value) in stored {
        let value = value.to_string();
        match attribute {
            Attribute::ContentType => attributes.content_type = Some(value),
            Attribute::Metadata(name) => {
                let name = if kind == Kind::Azure { of_identifier(name) } else { name.to_string() };
                if name == HOLD {
                    attributes.hold = Some(value);
                } else if name == UPLOAD {
                    upload = Some(value);
                } else if name == DIGEST {
                    digest = blake3::Hash::from_hex(value).ok().map(|hash| *hash.as_bytes());
                } else if let Some(name) = name.strip_prefix(HEADER) {
                    attributes.headers.push((name.to_owned(), value));
                } else if let Some(name) = name.strip_prefix(ENCODED) {
                    let Some(value) = value.strip_prefix('=') else { continue };
                    let Ok(value) = percent_decode_str(value).decode_utf8() else { continue };
                    match name {
                        "content-type" => attributes.content_type = Some(value.into_owned()),
                        name => attributes.headers.push((name.to_owned(), value.into_owned())),
                    }
                } else {
                    attributes.headers.push((format!("{USER}{name}"), value));
                }
            }
            other => {
                if let Some(name) = header(other) {
                    attributes.headers.push((name.as_str().to_owned(), value));
                }
            }
        }
    }
    attributes.headers.sort();
    (attributes, digest, upload)
}

/// The same as headers of a request to the store.
///
/// # Errors
/// [`StoreError::BadAttribute`].
pub(super) fn headers(kind: Kind, stored: &object_store::Attributes) -> Result<HeaderMap, StoreError> {
    let mut headers = HeaderMap::new();
    for (attribute, value) in stored {
        let name = match attribute {
            Attribute::Metadata(name) => {
                let prefix = match kind {
                    Kind::S3 => USER,
                    Kind::Azure => "x-ms-meta-",
                    Kind::Gcs => "x-goog-meta-",
                };
                HeaderName::try_from(format!("{prefix}{name}"))
            }
            attribute => match (header(attribute), kind) {
                (Some(name), Kind::Azure) => HeaderName::try_from(format!("x-ms-blob-{name}")),
                (Some(name), _) => Ok(name),
                (None, _) => continue,
            },
        };
        let name = name.map_err(|_| StoreError::BadAttribute)?;
        let value = HeaderValue::from_str(value).map_err(|_| StoreError::BadAttribute)?;
        headers.insert(name, value);
    }
    Ok(headers)
}

impl Remote {
    /// What the store says of an object, and the random name of the upload that wrote it.
    pub(super) fn metadata(
        &self,
        meta: &ObjectMeta,
        stored: &object_store::Attributes,
    ) -> (Metadata, Option<String>) {
        let (attributes, digest, upload) = from_store(self.service.kind, stored);
        let metadata = Metadata {
            size_bytes: meta.size,
            modified: SystemTime::from(meta.last_modified),
            etag: self.etag(meta.e_tag.as_deref(), meta.size),
            digest,
            attributes,
        };
        (metadata, upload)
    }

    /// The entity tag that we tell: the store's, where it has the form that ours have, else one made from it.
    pub(super) fn etag(&self, stored: Option<&str>, size_bytes: u64) -> String {
        let stored = stored.unwrap_or_default();
        let bare = stored.trim_start_matches("W/").trim_matches('"');
        let (digits, parts) =
            bare.split_once('-').map_or((bare, None), |(digits, parts)| (digits, Some(parts)));
        let is_md5 = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty();
        match parts {
            Some(parts) if is_md5 && is_number(parts) => bare.to_ascii_lowercase(),
            None if is_md5 && self.tells_md5 => bare.to_ascii_lowercase(),
            _ => {
                // In listings some stores tell it without its quotes.
                let text = format!("{size_bytes}\n{bare}");
                format!("{}-3", &blake3::hash(text.as_bytes()).to_hex().as_str()[..32])
            }
        }
    }
}

/// Where the store has a place of its own for a header.
fn attribute(name: &str) -> Option<Attribute> {
    Some(match name {
        "content-type" => Attribute::ContentType,
        "cache-control" => Attribute::CacheControl,
        "content-disposition" => Attribute::ContentDisposition,
        "content-encoding" => Attribute::ContentEncoding,
        "content-language" => Attribute::ContentLanguage,
        _ => return None,
    })
}

fn header(attribute: &Attribute) -> Option<HeaderName> {
    Some(match attribute {
        Attribute::ContentType => CONTENT_TYPE,
        Attribute::CacheControl => CACHE_CONTROL,
        Attribute::ContentDisposition => CONTENT_DISPOSITION,
        Attribute::ContentEncoding => CONTENT_ENCODING,
        Attribute::ContentLanguage => CONTENT_LANGUAGE,
        _ => return None,
    })
}

/// Azure's names of metadata are identifiers of C#: what else a name has is written `_xHH`, and so is an underscore
/// before an `x`.
fn identifier(name: &str) -> String {
    let mut written = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        let next_is_x = name.as_bytes().get(at + 1) == Some(&b'x');
        let is_plain =
            byte.is_ascii_lowercase() || (byte.is_ascii_digit() && at > 0) || (byte == b'_' && !next_is_x);
        match is_plain {
            true => written.push(char::from(byte)),
            false => written.push_str(&format!("_x{byte:02x}")),
        }
    }
    written
}

fn of_identifier(written: &str) -> String {
    let mut name = String::with_capacity(written.len());
    let mut rest = written;
    while let Some(at) = rest.find("_x") {
        let byte = rest.get(at + 2..at + 4).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let Some(byte) = byte.filter(u8::is_ascii) else { break };
        name.push_str(&rest[..at]);
        name.push(char::from(byte));
        rest = &rest[at + 4..];
    }
    name.push_str(rest);
    name
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_comes_back_as_it_was() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let attributes = Attributes {
            content_type: Some("text/plain; charset=utf-8".to_owned()),
            headers: vec![
                header("cache-control", "no-store"),
                header("content-language", "de"),
                header("expires", "Thu, 01 Dec 1994 16:00:00 GMT"),
                header("x-amz-checksum-crc32", "AAAAAA=="),
                header("x-amz-meta-album", "summer 2026"),
                header("x-amz-meta-empty", ""),
                header("x-amz-meta-place_x", "Łódź"),
                header("x-amz-meta-valetkey-hold", "forged"),
                header("x-valetkey-signed", "cache-control"),
            ],
            hold: Some("7-1".to_owned()),
            etag: None,
        };
        let marks = Marks { upload: "u1", digest: Some([7; 32]) };
        for kind in [Kind::S3, Kind::Azure, Kind::Gcs] {
            let stored = to_store(kind, &attributes, &marks).unwrap();
            let back = from_store(kind, &stored);
            assert_eq!(back, (attributes.clone(), Some([7; 32]), Some("u1".to_owned())), "{kind:?}");
            for (name, value) in &headers(kind, &stored).unwrap() {
                assert!(value.to_str().is_ok(), "{name}");
                let user = name.as_str().strip_prefix("x-ms-meta-");
                assert!(user.is_none_or(|name| !name.contains('-')), "{name}");
            }
        }
        let large = vec![header("x-amz-meta-a", &"x".repeat(2000))];
        let large = Attributes { headers: large, ..Attributes::default() };
        assert!(matches!(to_store(Kind::S3, &large, &marks), Err(StoreError::AttributesTooLarge)));
        assert!(to_store(Kind::Gcs, &large, &marks).is_ok());
        let odd = Attributes { content_type: Some("a\nb".to_owned()), ..Attributes::default() };
        assert!(to_store(Kind::S3, &odd, &marks).is_err());
    }
}
