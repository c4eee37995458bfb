//! The secrets that sign keys.

use core::fmt;

use hmac::{Hmac, KeyInit as _};
use sha2::Sha256;

/// A signer's secret, kept as the prepared state of its HMAC.
///
/// It is wiped when dropped, and prints as a placeholder.
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

impl Secret {
    /// The secret whose text is `bytes`, used as they are and not decoded.
    ///
    /// An empty secret verifies nothing that anybody should trust: callers refuse it where it is read.
    pub fn new(bytes: &[u8]) -> Self {
        Self(Hmac::new_from_slice(bytes).expect("HMAC takes a key of any length"))
    }

    pub(crate) fn mac(&self) -> Hmac<Sha256> {
        self.0.clone()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The secrets under which a signer's keys verify.
#[derive(Clone, Debug)]
pub struct SignerSecrets {
    /// Signs and verifies.
    pub current: Secret,
    /// Still verifies, never signs, while a signer is being rotated.
    pub previous: Option<Secret>,
}
