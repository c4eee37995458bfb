//! The names of an upload in parts and of its parts.

use alloc::string::String;
use core::fmt;
use core::num::NonZeroU16;

use valetkey::Denial;

use crate::aws::reply::{Code, Refusal};
use crate::query::{Parameters, bad_value};

/// How long an upload's ID may be, in bytes.
const UPLOAD_ID_BYTES_MAX: usize = 128;

/// Which part of an upload: 1 to 10000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartNumber(NonZeroU16);

impl PartNumber {
    /// The highest number.
    pub const MAX: u16 = 10_000;

    /// The part of this number, where there is one.
    pub fn new(number: u16) -> Option<Self> {
        NonZeroU16::new(number).filter(|number| number.get() <= Self::MAX).map(Self)
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0.get()
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let canonical = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
        canonical.then(|| text.parse().ok()).flatten().and_then(Self::new)
    }

    /// The parameter `partNumber`.
    pub(super) fn of(parameters: Parameters<'_>) -> Result<Option<Self>, Refusal> {
        let Some(text) = parameters.value("partNumber")? else { return Ok(None) };
        Self::parse(&text).map(Some).ok_or_else(|| Self::refused(&text))
    }

    pub(super) fn missing() -> Refusal {
        Refusal::invalid_argument(Denial::BadRequest("partNumber is missing".into()))
    }

    fn refused(text: &str) -> Refusal {
        Refusal::invalid_argument(bad_value("partNumber", text, "write a number from 1 to 10000"))
    }
}

impl fmt::Display for PartNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Which upload: 1 to 128 letters, digits, dots, underlines and hyphens, and so safe to look up anywhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(String);

impl UploadId {
    /// The ID, where `text` can be one.
    pub fn parse(text: &str) -> Option<Self> {
        let sound = (1..=UPLOAD_ID_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        sound.then(|| Self(text.into()))
    }

    /// The ID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parameter `uploadId`. What can be no ID is the ID of no upload.
    pub(super) fn of(parameters: Parameters<'_>) -> Result<Self, Refusal> {
        let text = parameters.value("uploadId")?;
        let text = text.ok_or_else(|| Refusal::bad_request(Code::InvalidArgument, "uploadId is missing"))?;
        Self::parse(&text).ok_or_else(Refusal::no_such_upload)
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_bounded() {
        for text in ["7", "7f3k.A_z-0", &"a".repeat(128)] {
            assert_eq!(UploadId::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "a/b", "a b", "é", "a\0", &"a".repeat(129)] {
            assert_eq!(UploadId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn parts_are_numbered_from_one_to_ten_thousand() {
        for (number, taken) in [(0, false), (1, true), (10_000, true), (10_001, false)] {
            assert_eq!(PartNumber::new(number).map(PartNumber::get), taken.then_some(number));
        }
    }
}
