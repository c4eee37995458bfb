//! The one range of bytes that a request may ask for.
//!
//! [RFC 9110, section 14](https://www.rfc-editor.org/rfc/rfc9110#section-14). A request for several ranges is
//! answered with the whole object, so that no answer is larger than it.

use std::ops::Range;

/// What a `Range` header asks of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// All of it: there is no header, or one that is to be ignored.
    Whole,
    /// `bytes` bytes from `offset` on, which lie within the object.
    Part { offset: u64, bytes: u64 },
    /// Nothing that the object has: 416.
    Nothing,
}

impl Asked {
    /// Reads the values of all `Range` headers for an object of `size_bytes`.
    pub(crate) fn of<'a>(mut values: impl Iterator<Item = &'a [u8]>, size_bytes: u64) -> Self {
        let (Some(value), None) = (values.next(), values.next()) else { return Self::Whole };
        std::str::from_utf8(value).ok().and_then(|text| Self::parse(text, size_bytes)).unwrap_or(Self::Whole)
    }

    /// The bytes that the headers ask for, as far as that can be told of an object of unknown size: to its end where
    /// they end with `u64::MAX`.
    pub(crate) fn ahead<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Range<u64>> {
        match Self::of(values, u64::MAX) {
            Self::Whole => Some(0..u64::MAX),
            // Where the last so many bytes are depends on the size.
            Self::Part { offset, bytes } if offset <= u64::MAX / 2 => Some(offset..offset + bytes),
            Self::Part { .. } | Self::Nothing => None,
        }
    }

    /// `None` for what is to be ignored: another unit, several ranges, or no range at all.
    fn parse(text: &str, size_bytes: u64) -> Option<Self> {
        let (unit, ranges) = text.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (first, last) = ranges.trim().split_once('-')?;
        let asked = match (first, last) {
            ("", last) => {
                let bytes = number(last)?.min(size_bytes);
                (size_bytes - bytes, bytes)
            }
            (first, "") => (number(first)?, u64::MAX),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first, last.checked_sub(first)?.saturating_add(1))
            }
        };
        let (offset, bytes) = asked;
        if offset >= size_bytes || bytes == 0 {
            return Some(Self::Nothing);
        }
        Some(Self::Part { offset, bytes: bytes.min(size_bytes - offset) })
    }
}

/// Digits only; what is beyond 64 bits is beyond every object.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, size_bytes: u64, expected: Asked) {
        assert_eq!(
            Asked::of([value.as_bytes()].into_iter(), size_bytes),
            expected,
            "{value} of {size_bytes}"
        );
    }

    #[test]
    fn a_single_range_lies_within_the_object() {
        let part = |offset, bytes| Asked::Part { offset, bytes };
        check("bytes=0-0", 10, part(0, 1));
        check("bytes=0-9", 10, part(0, 10));
        check("bytes=9-9", 10, part(9, 1));
        check("bytes=5-", 10, part(5, 5));
        check("bytes=5-99", 10, part(5, 5));
        check("bytes=0-99999999999999999999999", 10, part(0, 10));
        check("bytes=-3", 10, part(7, 3));
        check("bytes=-99", 10, part(0, 10));
        check("Bytes=1-2", 10, part(1, 2));
    }

    #[test]
    fn what_is_asked_for_is_told_without_a_size_but_of_a_suffix() {
        let ahead = |value: &str| Asked::ahead([value.as_bytes()].into_iter());
        assert_eq!(Asked::ahead([].into_iter()), Some(0..u64::MAX));
        assert_eq!(ahead("bytes=5-9"), Some(5..10));
        assert_eq!(ahead("bytes=5-"), Some(5..u64::MAX));
        assert_eq!(ahead("bytes=0-1,3-4"), Some(0..u64::MAX));
        assert_eq!(ahead("bytes=-5"), None);
        assert_eq!(ahead("bytes=-0"), None);
    }

    #[test]
    fn what_the_object_does_not_have_is_nothing() {
        check("bytes=10-", 10, Asked::Nothing);
        check("bytes=10-12", 10, Asked::Nothing);
        check("bytes=99999999999999999999999-", 10, Asked::Nothing);
        check("bytes=-0", 10, Asked::Nothing);
        check("bytes=0-", 0, Asked::Nothing);
        check("bytes=-1", 0, Asked::Nothing);
    }

    #[test]
    fn what_is_no_single_range_is_ignored() {
        for value in [
            "bytes=0-1,3-4",
            "bytes=5-2",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=+1-2",
            "items=0-1",
            "bytes",
            "bytes=0 -1",
        ] {
            check(value, 10, Asked::Whole);
        }
        assert_eq!(Asked::of([b"bytes=0-1".as_slice(), b"bytes=0-1"].into_iter(), 10), Asked::Whole);
        assert_eq!(Asked::of([b"bytes=0-\xff".as_slice()].into_iter(), 10), Asked::Whole);
    }
}
