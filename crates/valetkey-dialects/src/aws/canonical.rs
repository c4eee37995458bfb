//! The canonical request: what a signature covers, fed into the hash piece by piece.
//!
//! [S3's rules](https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html#canonical-request):
//! the path is encoded once and never normalised, the query sorted by its encoded names and values.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};
use valetkey::encode_component;

use super::query::Query;

/// What is signed of a request.
pub(super) struct Canonical<'a> {
    pub(super) method: &'a str,
    /// The path as it was sent.
    pub(super) raw_path: &'a str,
    pub(super) query: &'a Query<'a>,
    /// The signed headers, sorted: names in lower case, values as [`header_value`] gives them.
    pub(super) headers: &'a [(&'a str, Cow<'a, str>)],
    /// The hash of the payload in hex, or a word that stands for it.
    pub(super) payload: &'a str,
}

impl Canonical<'_> {
    /// The hash of the canonical request; `None` for a path with a broken escape or that is not UTF-8.
    pub(super) fn hash(&self) -> Option<[u8; 32]> {
        let mut hash = Sha256::new();
        self.feed(&mut |piece| hash.update(piece.as_bytes()))?;
        Some(hash.finalize().into())
    }

    fn feed(&self, into: &mut dyn FnMut(&str)) -> Option<()> {
        let path = valetkey::decode_component(self.raw_path)?;
        for piece in [self.method, "\n", &encode_component(&path, b"/"), "\n"] {
            into(piece);
        }
        // Escapes sort before all that stands for itself, so the encoded texts are what is compared.
        let mut pairs: Vec<(String, String)> = (self.query.0.iter())
            .filter(|parameter| parameter.name != "X-Amz-Signature")
            .map(|parameter| {
                (encode_component(&parameter.name, b""), encode_component(&parameter.value, b""))
            })
            .collect();
        pairs.sort_unstable();
        for (at, (name, value)) in pairs.iter().enumerate() {
            for piece in [if at > 0 { "&" } else { "" }, name, "=", value] {
                into(piece);
            }
        }
        into("\n");
        for (name, value) in self.headers {
            for piece in [*name, ":", value, "\n"] {
                into(piece);
            }
        }
        into("\n");
        for (at, (name, _)) in self.headers.iter().enumerate() {
            into(if at > 0 { ";" } else { "" });
            into(name);
        }
        into("\n");
        into(self.payload);
        Some(())
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> Option<String> {
        let mut text = String::new();
        self.feed(&mut |piece| text.push_str(piece))?;
        Some(text)
    }
}

/// The value of a header as it is signed: without spaces around it, and one for each run of them inside.
pub(super) fn header_value(value: &str) -> Cow<'_, str> {
    let trimmed = value.trim_matches([' ', '\t']);
    if !trimmed.contains("  ") && !trimmed.contains('\t') {
        return Cow::Borrowed(trimmed);
    }
    let words: Vec<&str> = trimmed.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
    Cow::Owned(words.join(" "))
}
