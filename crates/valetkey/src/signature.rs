//! Signatures, which are compared in constant time only, and the fingerprints that stand for them.

use alloc::string::String;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::content::decode_32_bytes;
use crate::grant::Dialect;

/// The signature of one level of a key.
///
/// It is compared in constant time only, and prints as a placeholder: whoever reads it holds the
/// key.
#[derive(Clone)]
pub struct Signature([u8; 32]);

impl Signature {
    pub(crate) fn of(mac: Hmac<Sha256>) -> Self {
        Self(mac.finalize().into_bytes().into())
    }

    /// Reads 43 characters of base64url without padding, whose spare bits are zero.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        decode_32_bytes(text).map(Self)
    }

    /// Compares in constant time.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// The HMAC that this signature keys, with which the next level is signed.
    pub(crate) fn mac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(&self.0).expect("HMAC takes a key of any length")
    }

    /// The text of `vk-sig`. It opens what the key opens: put it into a URL and nowhere else.
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What stands for the signature in logs and records.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&blake3::hash(&self.0))
    }
}

impl Drop for Signature {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(…)")
    }
}

/// The first 16 bytes of the BLAKE3 hash of a signature, or of what a foreign dialect signed; printed in hex.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// What stands for a key of a foreign dialect: three lines are hashed, the signer's name, the dialect's
    /// and the text that was signed. Its signature is not, since under some dialects its holder can vary it.
    pub fn of_signed_text(signer: &str, dialect: Dialect, text: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        for piece in [signer, "\n", dialect.name(), "\n", text] {
            hasher.update(piece.as_bytes());
        }
        Self::of(&hasher.finalize())
    }

    fn of(hash: &blake3::Hash) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.as_bytes()[..16]);
        Self(bytes)
    }

    /// Reads a fingerprint as records print it: 32 digits of hex in lower case.
    pub fn of_hex(hex: &str) -> Option<Self> {
        let digits = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if hex.len() != 32 || !digits {
            return None;
        }
        let mut bytes = [0; 16];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// The fingerprint of these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
