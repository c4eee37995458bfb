//! What is remembered about an object: one extended attribute of its file.
//!
//! It is text that an operator reads with `getfattr -n user.valetkey.object FILE`:
//!
//! ```text
//! valetkey/1
//! size: 5
//! mtime: 1795305600.123456789
//! digest: blake3:ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f
//! hold: 7f3k2m
//! content-type: text/plain
//! x-amz-meta-album: summer
//! ```
//!
//! The first four lines always stand, in this order. Size and modification time are those of the
//! file when it was written. When they are no longer, someone edited it, and nothing here is true of
//! it any more. Whoever can write to the file can write here too, so reading takes nothing on trust:
//! what is missing, unknown or not in this form makes the file a plain one, never an error.

use std::fmt::Write as _;
use std::fs::File;

use rustix::fs::{XattrFlags, fgetxattr, fsetxattr, fstatvfs};
use rustix::io::Errno;

use super::StoreError;

/// The extended attribute's name.
pub(super) const ATTRIBUTE: &str = "user.valetkey.object";

/// How long its text may be. ext4 keeps all extended attributes of a file in one block of 4 KiB, and
/// an operator's own (an ACL, a label) need room beside ours.
const TEXT_BYTES_MAX: usize = 3584;

const FIRST_LINE: &str = "valetkey/1";

const SIZE: &str = "size";
const MTIME: &str = "mtime";
const DIGEST: &str = "digest";
const HOLD: &str = "hold";
const ETAG: &str = "etag";
const CONTENT_TYPE: &str = "content-type";

/// What an uploader said about an object, to be said again when it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The declared media type.
    pub content_type: Option<String>,
    /// Further headers (`cache-control`, `content-language`, `x-amz-meta-…`), names in lower case.
    pub headers: Vec<(String, String)>,
    /// The ledger's name for the upload that wrote the object, by which it is found after a crash.
    pub hold: Option<String>,
    /// The entity tag, without quotes, where it is not to be made from the content's digest: an MD5 in hex, and
    /// perhaps a hyphen and a number of parts.
    pub etag: Option<String>,
}

/// The attribute's whole content: the attributes, and the file that they are true of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) version: FileVersion,
    pub(super) digest: [u8; 32],
    pub(super) attributes: Attributes,
}

/// By what a later edit of a file is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileVersion {
    pub(super) size_bytes: u64,
    pub(super) mtime_secs: i64,
    pub(super) mtime_nanos: i64,
}

impl Record {
    /// Writes the record beside the file's content.
    ///
    /// A file system without extended attributes keeps the object as a plain file:
    /// [`super::Capabilities`] told the operator at the start.
    pub(super) fn store(&self, file: &File) -> Result<(), StoreError> {
        let text = self.encode()?;
        match fsetxattr(file, ATTRIBUTE, text.as_bytes(), XattrFlags::empty()) {
            Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
            Err(Errno::TOOBIG | Errno::RANGE) => Err(StoreError::AttributesTooLarge),
            // ext4 with small blocks says of a value that does not fit what it says of a full disk.
            Err(Errno::NOSPC) if fstatvfs(file).is_ok_and(|disk| disk.f_bavail > 0) => {
                Err(StoreError::AttributesTooLarge)
            }
            Err(errno) => Err(StoreError::from_errno("write attributes", errno)),
        }
    }

    /// Reads the record beside the file's content, if there is one of ours.
    pub(super) fn load(file: &File) -> Option<Self> {
        let mut buffer = [0; TEXT_BYTES_MAX];
        let length = fgetxattr(file, ATTRIBUTE, &mut buffer).ok()?;
        Self::decode(std::str::from_utf8(buffer.get(..length)?).ok()?)
    }

    fn encode(&self) -> Result<String, StoreError> {
        let FileVersion { size_bytes, mtime_secs, mtime_nanos } = self.version;
        let digest = blake3::Hash::from_bytes(self.digest).to_hex();
        let mut text = format!(
            "{FIRST_LINE}\n{SIZE}: {size_bytes}\n{MTIME}: {mtime_secs}.{mtime_nanos:09}\n{DIGEST}: blake3:{digest}\n"
        );
        for (name, value) in self.attributes.lines() {
            if !is_value(value) {
                return Err(StoreError::BadAttribute);
            }
            writeln!(text, "{name}: {value}").map_err(|_| StoreError::AttributesTooLarge)?;
        }
        if !self.attributes.headers.iter().all(|(name, _)| is_name(name)) {
            return Err(StoreError::BadAttribute);
        }
        if text.len() > TEXT_BYTES_MAX {
            return Err(StoreError::AttributesTooLarge);
        }
        Ok(text)
    }

    fn decode(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let mut lines = lines.map(|line| line.split_once(": "));
        let mut expect = |wanted| match lines.next()?? {
            (name, value) if name == wanted => Some(value),
            _ => None,
        };
        let size_bytes = expect(SIZE)?.parse().ok()?;
        let (secs, nanos) = expect(MTIME)?.split_once('.')?;
        let digest = expect(DIGEST)?.strip_prefix("blake3:")?;
        let mut record = Self {
            version: FileVersion {
                size_bytes,
                mtime_secs: secs.parse().ok()?,
                mtime_nanos: nanos.parse().ok()?,
            },
            digest: *blake3::Hash::from_hex(digest).ok()?.as_bytes(),
            attributes: Attributes::default(),
        };
        for line in lines {
            record.attributes.take(line?)?;
        }
        Some(record)
    }
}

impl Attributes {
    fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = [(HOLD, &self.hold), (ETAG, &self.etag), (CONTENT_TYPE, &self.content_type)];
        own.into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
            .chain(self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    fn take(&mut self, (name, value): (&str, &str)) -> Option<()> {
        if !is_value(value) {
            return None;
        }
        match name {
            HOLD if self.hold.is_none() => self.hold = Some(value.to_owned()),
            ETAG if self.etag.is_none() && is_etag(value) => self.etag = Some(value.to_owned()),
            CONTENT_TYPE if self.content_type.is_none() => {
                self.content_type = Some(value.to_owned());
            }
            _ if is_name(name) => self.headers.push((name.to_owned(), value.to_owned())),
            _ => return None,
        }
        Some(())
    }
}

/// Whether this is a header's name in lower case that is none of ours.
///
/// [RFC 9110, 5.1](https://www.rfc-editor.org/rfc/rfc9110#section-5.1) makes it a token.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !matches!(name, SIZE | MTIME | DIGEST | HOLD | ETAG | CONTENT_TYPE)
        && name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte)
        })
}

/// Whether this is 32 hex digits, and perhaps a hyphen and a number.
fn is_etag(text: &str) -> bool {
    let (hash, parts) = text.split_once('-').map_or((text, None), |(hash, parts)| (hash, Some(parts)));
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_number =
        |parts: &str| (1..=5).contains(&parts.len()) && parts.bytes().all(|byte| byte.is_ascii_digit());
    hash.len() == 32 && hash.bytes().all(is_hex) && parts.is_none_or(is_number)
}

/// Whether this is a header's value: anything but control characters, of which it may hold the tab.
fn is_value(value: &str) -> bool {
    value.chars().all(|char| char == '\t' || !char.is_control())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn record(attributes: Attributes) -> Record {
        Record {
            version: FileVersion { size_bytes: 5, mtime_secs: 1_795_305_600, mtime_nanos: 42 },
            digest: *blake3::hash(b"hello").as_bytes(),
            attributes,
        }
    }

    fn full() -> Attributes {
        Attributes {
            content_type: Some("text/plain; charset=utf-8".to_owned()),
            headers: vec![
                ("cache-control".to_owned(), "no-store".to_owned()),
                ("x-amz-meta-title".to_owned(), "a: b\tçà".to_owned()),
                ("x-amz-meta-empty".to_owned(), String::new()),
            ],
            hold: Some("7f3k2m".to_owned()),
            etag: Some("900150983cd24fb0d6963f7d28e17f72-12".to_owned()),
        }
    }

    fn with_header(name: &str, value: &str) -> Attributes {
        Attributes { headers: vec![(name.to_owned(), value.to_owned())], ..Attributes::default() }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for attributes in [Attributes::default(), full()] {
            let record = record(attributes);
            assert_eq!(Record::decode(&record.encode().unwrap()), Some(record));
        }
    }

    #[test]
    fn a_time_before_1970_is_read_back() {
        let mut record = record(full());
        record.version.mtime_secs = -2;
        assert_eq!(Record::decode(&record.encode().unwrap()), Some(record));
    }

    #[test]
    fn the_text_is_the_documented_one() {
        let text = record(Attributes {
            content_type: Some("text/plain".to_owned()),
            headers: vec![("x-amz-meta-album".to_owned(), "summer".to_owned())],
            hold: Some("7f3k2m".to_owned()),
            etag: None,
        });
        assert_eq!(
            text.encode().unwrap(),
            "valetkey/1\nsize: 5\nmtime: 1795305600.000000042\n\
             digest: blake3:ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f\n\
             hold: 7f3k2m\ncontent-type: text/plain\nx-amz-meta-album: summer\n"
        );
    }

    #[test]
    fn a_value_with_a_control_character_is_never_written() {
        for value in ["a\nhold: x", "a\r", "\0", "\u{1b}[2J", "\u{7f}", "\u{85}"] {
            let mut attributes = [with_header("x-amz-meta-a", value), full(), full()];
            attributes[1].hold = Some(value.to_owned());
            attributes[2].content_type = Some(value.to_owned());
            for attributes in attributes {
                let refused = record(attributes).encode();
                assert!(matches!(refused, Err(StoreError::BadAttribute)), "{value:?}");
            }
        }
    }

    #[test]
    fn a_name_that_is_ours_or_no_lower_case_token_is_never_written() {
        for name in ["", "size", "digest", "hold", "content-type", "X-Amz-Meta-A", "a b", "a:", "é"] {
            let refused = record(with_header(name, "v")).encode();
            assert!(matches!(refused, Err(StoreError::BadAttribute)), "{name:?}");
        }
    }

    #[test]
    fn attributes_fit_up_to_the_bound_and_not_beyond() {
        let room = TEXT_BYTES_MAX - record(with_header("x", "")).encode().unwrap().len();
        let largest = record(with_header("x", &"v".repeat(room))).encode().unwrap();
        assert_eq!(largest.len(), TEXT_BYTES_MAX);
        let beyond = record(with_header("x", &"v".repeat(room + 1))).encode();
        assert!(matches!(beyond, Err(StoreError::AttributesTooLarge)));
    }

    #[test]
    fn a_text_in_another_form_is_no_record() {
        let good = record(full()).encode().unwrap();
        assert!(Record::decode(&good).is_some());
        let cases = [
            String::new(),
            "\n".to_owned(),
            good.trim_end().to_owned(),
            good.replace("valetkey/1", "valetkey/2"),
            good.replace("size: 5", "size: -5"),
            good.replace("size: 5\n", ""),
            good.replace("size: 5", "size 5"),
            good.replace("mtime: ", "mtime: x"),
            good.replace("blake3:", "md5:"),
            good.replace("blake3:ea", "blake3:zz"),
            good.replace("blake3:ea", "blake3:"),
            good.replace("hold: ", "size: "),
            good.replace("hold: ", "Hold: "),
            good.replace("7f3k2m", "7f3k2m\rx"),
            good.replace("hold: 7f3k2m", "hold: a\nhold: b"),
            format!("{good}loose\n"),
        ];
        for text in cases {
            assert_eq!(Record::decode(&text), None, "{text:?}");
        }
    }
}
