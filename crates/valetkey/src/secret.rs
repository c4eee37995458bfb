//! The secrets that sign keys.

use alloc::vec::Vec;
use core::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// A signer's secret, kept as its text and as the prepared state of its HMAC.
///
/// It is wiped when dropped, and prints as a placeholder.
#[derive(Clone)]
pub struct Secret {
    mac: Hmac<Sha256>,
    text: Zeroizing<Vec<u8>>,
}

impl Secret {
    /// The secret whose text is `bytes`, used as they are and not decoded.
    ///
    /// An empty secret verifies nothing that anybody should trust: callers refuse it where it is read.
    pub fn new(bytes: &[u8]) -> Self {
        let text = Zeroizing::new(bytes.to_vec());
        Self { mac: Hmac::new_from_slice(bytes).expect("HMAC takes a key of any length"), text }
    }

    pub(crate) fn mac(&self) -> Hmac<Sha256> {
        self.mac.clone()
    }

    /// The HMAC-SHA256 of `message` under `prefix` followed by the secret's text: what a foreign dialect
    /// derives its signing keys from.
    pub fn prefixed_hmac(&self, prefix: &str, message: &[u8]) -> Zeroizing<[u8; 32]> {
        // Room from the start: a buffer that grows leaves copies behind.
        let mut key = Zeroizing::new(Vec::with_capacity(prefix.len() + self.text.len()));
        key.extend_from_slice(prefix.as_bytes());
        key.extend_from_slice(&self.text);
        let mac = <Hmac<Sha256>>::new_from_slice(&key).expect("HMAC takes a key of any length");
        Zeroizing::new(mac.chain_update(message).finalize().into_bytes().into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What the keys of an unknown signer are checked against, so that they cost what a known signer's do.
pub(crate) const DECOY: &[u8] = b"no signer has this secret";

/// The secrets under which a signer's keys verify.
#[derive(Clone, Debug)]
pub struct SignerSecrets {
    /// Signs and verifies.
    pub current: Secret,
    /// Still verifies, never signs, while a signer is being rotated.
    pub previous: Option<Secret>,
}

impl SignerSecrets {
    /// What a credential of an unknown signer is checked against. Nothing that verifies under it is taken.
    pub fn decoy() -> Self {
        Self { current: Secret::new(DECOY), previous: None }
    }
}
