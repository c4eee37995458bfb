//! Percent-encoding, in one direction exactly and in the other strictly.
//!
//! Decoding happens once, on the bytes as they were sent; a broken escape or invalid UTF-8 is an error and
//! never a literal. [RFC 3986, section 2.1](https://www.rfc-editor.org/rfc/rfc3986#section-2.1).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// Decodes a piece of a path, in which `+` is a plus.
///
/// Returns `None` for a broken escape or invalid UTF-8.
pub fn decode_component(raw: &str) -> Option<Cow<'_, str>> {
    decode(raw, false)
}

/// Decodes the name or the value of a query parameter, in which `+` is a space.
///
/// Returns `None` for a broken escape or invalid UTF-8.
pub fn decode_query_component(raw: &str) -> Option<Cow<'_, str>> {
    decode(raw, true)
}

fn decode(raw: &str, plus_is_space: bool) -> Option<Cow<'_, str>> {
    let special = |byte: &u8| *byte == b'%' || (plus_is_space && *byte == b'+');
    let Some(first) = raw.bytes().position(|byte| special(&byte)) else {
        return Some(Cow::Borrowed(raw));
    };
    let mut decoded = Vec::with_capacity(raw.len());
    decoded.extend_from_slice(&raw.as_bytes()[..first]);
    let mut rest = &raw.as_bytes()[first..];
    while let [byte, tail @ ..] = rest {
        rest = match byte {
            b'%' => {
                let [high, low, tail @ ..] = tail else { return None };
                decoded.push(hex_digit(*high)? << 4 | hex_digit(*low)?);
                tail
            }
            b'+' if plus_is_space => {
                decoded.push(b' ');
                tail
            }
            _ => {
                decoded.push(*byte);
                tail
            }
        };
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

/// Encodes everything but unreserved characters and the bytes of `keep`.
pub fn encode_component(text: &str, keep: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_once() {
        assert_eq!(decode_component("a%2Fb%252e+c").as_deref(), Some("a/b%2e+c"));
        assert_eq!(decode_query_component("a+b%2B%c3%A9").as_deref(), Some("a b+é"));
        assert!(matches!(decode_component("plain"), Some(Cow::Borrowed("plain"))));
    }

    #[test]
    fn broken_escapes_and_invalid_utf8_are_refused() {
        for raw in ["%", "%2", "a%", "%zz", "%+1", "%ff", "%c0%ae", "%ed%a0%80"] {
            assert_eq!(decode_component(raw), None, "{raw}");
        }
    }

    #[test]
    fn encoding_keeps_what_it_is_told_to() {
        assert_eq!(encode_component("/a b/é+", b"/"), "/a%20b/%C3%A9%2B");
    }
}
