//! The names of buckets, folders and objects, parsed once and right ever after.
//!
//! A [`ResourcePath`] is the decoded path of a URL, `/bucket/`, `/bucket/folder/` or `/bucket/object`, and
//! two different ones never mean the same bytes: no empty, `.` or `..` segment, no control character.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

use crate::percent;

/// The longest name below a bucket, in bytes of UTF-8.
pub(crate) const NAME_BYTES_MAX: usize = 1024;

/// The decoded path of a bucket, a folder or an object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourcePath {
    /// `/bucket/` followed by nothing, by a folder that ends in `/`, or by an object.
    text: String,
    bucket_bytes: usize,
}

/// Why a text is not the path of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It does not begin with a slash and a bucket.
    #[error("a path begins with / and a bucket, as in /bucket/object")]
    NoBucket,
    /// The bucket's name breaks [S3's rules](https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html).
    #[error("a bucket's name has 3 to 63 of a-z 0-9 . - and begins and ends with a letter or digit")]
    Bucket,
    /// A percent escape is broken, or what it decodes to is not UTF-8.
    #[error("the path has a broken percent escape or is not UTF-8")]
    Encoding,
    /// There is a control character, U+0000 to U+001F or U+007F to U+009F.
    #[error("the path has a control character")]
    Control,
    /// There is an empty, `.` or `..` segment.
    #[error("the path has an empty, . or .. segment")]
    Segment,
    /// The name is over 1024 bytes.
    #[error("the name is over 1024 bytes")]
    TooLong,
    /// A bucket is spelled without its slash where only the canonical spelling counts.
    #[error("a bucket is spelled /bucket/, with a slash at its end")]
    NotCanonical,
}

impl ResourcePath {
    /// Parses the path of a request target as it was sent, percent-decoding it once.
    ///
    /// `/bucket` is the same resource as `/bucket/`.
    ///
    /// # Errors
    /// Any [`NameError`] but `NotCanonical`.
    pub fn from_url(raw: &str) -> Result<Self, NameError> {
        let decoded = percent::decode_component(raw).ok_or(NameError::Encoding)?;
        match Self::from_text(&decoded) {
            Err(NameError::NotCanonical) => {
                let mut text = decoded.into_owned();
                text.push('/');
                Self::from_text(&text)
            }
            parsed => parsed,
        }
    }

    /// Parses a decoded path in its one spelling, as `vk-path` has it.
    ///
    /// # Errors
    /// Any [`NameError`] but `Encoding`.
    pub fn from_text(text: &str) -> Result<Self, NameError> {
        let rooted = text.strip_prefix('/').ok_or(NameError::NoBucket)?;
        // Bytes below U+0080 need not be decoded, and most names have no others.
        let is_control = |byte: u8| byte.is_ascii_control();
        if text.bytes().any(is_control) || !text.is_ascii() && text.chars().any(char::is_control) {
            return Err(NameError::Control);
        }
        let (bucket, name) = match rooted.split_once('/') {
            Some((bucket, name)) => (bucket, Some(name)),
            None => (rooted, None),
        };
        if bucket.is_empty() {
            return Err(NameError::NoBucket);
        }
        if !is_bucket_name(bucket) {
            return Err(NameError::Bucket);
        }
        let name = name.ok_or(NameError::NotCanonical)?;
        if name.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong);
        }
        let segments = name.strip_suffix('/').unwrap_or(name);
        let sound = |segment: &str| !matches!(segment, "" | "." | "..");
        if !name.is_empty() && !segments.split('/').all(sound) {
            return Err(NameError::Segment);
        }
        Ok(Self { text: text.to_owned(), bucket_bytes: bucket.len() })
    }

    /// The whole path, beginning with `/bucket/`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.text[1..=self.bucket_bytes]
    }

    /// What follows `/bucket/`: empty for the bucket, ending in `/` for a folder, else an object's name.
    pub fn name(&self) -> &str {
        &self.text[self.bucket_bytes + 2..]
    }

    /// Whether the path names an object, not a bucket or a folder.
    pub fn is_object(&self) -> bool {
        !self.text.ends_with('/')
    }

    /// The path as it stands in a URL.
    pub fn encoded(&self) -> String {
        percent::encode_component(&self.text, b"/")
    }
}

impl fmt::Display for ResourcePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ResourcePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// Whether `text` may name a bucket.
fn is_bucket_name(text: &str) -> bool {
    let edge =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = text.as_bytes();
    (3..=63).contains(&bytes.len())
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| edge(Some(byte)) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn check(raw: &str, expected: Result<&str, NameError>) {
        let parsed = ResourcePath::from_url(raw);
        assert_eq!(parsed.as_ref().map(ResourcePath::as_str).map_err(|error| *error), expected, "{raw}");
    }

    #[test]
    fn the_three_kinds_of_resource_are_told_apart() {
        let parse = |raw| ResourcePath::from_url(raw).unwrap();
        assert_eq!((parse("/files").bucket(), parse("/files").name()), ("files", ""));
        assert!(!parse("/files/").is_object());
        assert_eq!((parse("/files/a/").name(), parse("/files/a/").is_object()), ("a/", false));
        assert_eq!((parse("/files/a/b").name(), parse("/files/a/b").is_object()), ("a/b", true));
    }

    #[test]
    fn a_path_is_decoded_once() {
        check("/files", Ok("/files/"));
        check("/files/a%2Fb", Ok("/files/a/b"));
        check("/files/%252e%252e/x", Ok("/files/%2e%2e/x"));
        check("/files/a+b%20c", Ok("/files/a+b c"));
        check("/files/%2e%2e/x", Err(NameError::Segment));
        check("/files/..%2fx", Err(NameError::Segment));
        check("/files/%zz", Err(NameError::Encoding));
        check("/files/%c0%ae", Err(NameError::Encoding));
        check("/files/%00", Err(NameError::Control));
        check("/files/%C2%85", Err(NameError::Control));
        check("/files/%7f", Err(NameError::Control));
    }

    #[test]
    fn segments_are_never_empty_or_dots() {
        for raw in
            ["/files//", "/files//a", "/files/a//b", "/files/.", "/files/a/./b", "/files/a/..", "/files/../"]
        {
            check(raw, Err(NameError::Segment));
        }
        check("//files/a", Err(NameError::NoBucket));
        check("/", Err(NameError::NoBucket));
        check("files/a", Err(NameError::NoBucket));
        check("/files/...", Ok("/files/..."));
        check("/files/a\\..\\b", Ok("/files/a\\..\\b"));
    }

    #[test]
    fn names_end_at_1024_bytes() {
        check(&format!("/files/{}", "a".repeat(1024)), Ok(&format!("/files/{}", "a".repeat(1024))));
        check(&format!("/files/{}", "a".repeat(1025)), Err(NameError::TooLong));
        check(&format!("/files/{}", "%C3%A9".repeat(513)), Err(NameError::TooLong));
    }

    #[test]
    fn bucket_names_follow_s3() {
        for bucket in ["abc", "a.b-c9", &"a".repeat(63)] {
            check(&format!("/{bucket}/"), Ok(&format!("/{bucket}/")));
        }
        for bucket in ["ab", "Abc", "-abc", "abc-", ".abc", "abc.", "a_b", "..", "%2e%2e.", &"a".repeat(64)] {
            check(&format!("/{bucket}/x"), Err(NameError::Bucket));
        }
    }

    #[test]
    fn a_bucket_in_a_key_is_spelled_with_its_slash() {
        assert_eq!(ResourcePath::from_text("/files"), Err(NameError::NotCanonical));
        assert_eq!(ResourcePath::from_text("/files/%41").unwrap().encoded(), "/files/%2541");
    }
}
