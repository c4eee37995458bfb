//! What an upload must be, and how a download is announced.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A hash function that names content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// BLAKE3 with 32 bytes of output.
    Blake3,
    /// SHA-256.
    Sha256,
}

impl DigestAlgorithm {
    /// The function's name, as a digest is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blake3 => "blake3",
            Self::Sha256 => "sha-256",
        }
    }
}

/// The hash of exactly some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Which function made it.
    pub algorithm: DigestAlgorithm,
    /// Its output.
    pub bytes: [u8; 32],
}

impl Digest {
    /// Reads the one canonical spelling: `blake3:` or `sha-256:` and 43 characters of base64url.
    pub fn parse(text: &str) -> Option<Self> {
        let (algorithm, encoded) = text.split_once(':')?;
        let algorithm = match algorithm {
            "blake3" => DigestAlgorithm::Blake3,
            "sha-256" => DigestAlgorithm::Sha256,
            _ => return None,
        };
        Some(Self { algorithm, bytes: decode_32_bytes(encoded)? })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), URL_SAFE_NO_PAD.encode(self.bytes))
    }
}

/// Decodes 43 characters of base64url without padding, whose spare bits are zero.
pub(crate) fn decode_32_bytes(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let written = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    (text.len() == 43 && written == 32).then_some(bytes)
}

/// How a download presents itself: the value of a `Content-Disposition` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disposition(String);

impl Disposition {
    /// Reads `inline` or `attachment` with parameters, in printable ASCII, as [RFC 6266] has it.
    ///
    /// [RFC 6266]: https://www.rfc-editor.org/rfc/rfc6266#section-4.1
    pub fn parse(text: &str) -> Option<Self> {
        let printable = text.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
        let parameters = text.strip_prefix("inline").or_else(|| text.strip_prefix("attachment"))?;
        (printable && are_parameters(parameters)).then(|| Self(text.to_owned()))
    }

    /// The header's value.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the download is to be saved and not shown.
    pub fn is_attachment(&self) -> bool {
        self.0.starts_with("attachment")
    }
}

/// Whether `rest` is a sequence of `; name=value`, each value a token or a quoted string.
fn are_parameters(mut rest: &str) -> bool {
    while !rest.is_empty() {
        let Some(parameter) = rest.trim_start_matches(' ').strip_prefix(';') else { return false };
        let Some((name, value)) = parameter.trim_start_matches(' ').split_once('=') else { return false };
        let value_bytes = match value.strip_prefix('"') {
            Some(quoted) => match quoted_bytes(quoted) {
                Some(bytes) => bytes + 1,
                None => return false,
            },
            None => value.bytes().take_while(|byte| is_token_byte(*byte)).count(),
        };
        if name.is_empty() || value_bytes == 0 || !name.bytes().all(is_token_byte) {
            return false;
        }
        rest = &value[value_bytes..];
    }
    true
}

/// The length of a quoted string after its opening quote, with its closing one.
fn quoted_bytes(quoted: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in quoted.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_digest_has_one_spelling() {
        let text = "sha-256:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
        assert_eq!(Digest::parse(text).map(|digest| digest.to_string()).as_deref(), Some(text));
        for text in [
            "sha-256:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQF",
            "sha-256:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
            "sha-256:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ",
            "sha256:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE",
            "SHA-256:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE",
            "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE",
        ] {
            assert_eq!(Digest::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_disposition_is_inline_or_attachment_with_parameters() {
        for text in [
            "inline",
            "attachment",
            "attachment; filename=\"a b.txt\"",
            "attachment; filename=a.txt; filename*=UTF-8''%e2%82%ac.txt",
            "inline;filename=\"q\\\"uote;\"",
        ] {
            assert!(Disposition::parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "Inline",
            "inlinex",
            "form-data",
            "attachment;",
            "attachment; filename",
            "attachment; filename=",
            "attachment; filename=\"open",
            "attachment; filename=\"a\\\"",
            "attachment; filename=a b",
            "attachment; filename=\"é\"",
        ] {
            assert!(Disposition::parse(text).is_none(), "{text}");
        }
    }
}
