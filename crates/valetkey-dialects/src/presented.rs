//! A key as its holder presents it, in whichever dialect.

use valetkey::{Denial, Grant, SignerSecrets, key};

/// A key that is sound in form and that nobody has vouched for yet.
#[derive(Debug)]
pub enum Presented<'a> {
    /// Readable `vk-` parameters.
    Native(key::Presented<'a>),
}

impl Presented<'_> {
    /// The signer that the key names.
    pub fn signer(&self) -> &str {
        match self {
            Self::Native(presented) => presented.signer(),
        }
    }

    /// Checks the signature under the secrets of the signer that the key names, `None` where there is no
    /// such signer.
    ///
    /// # Errors
    /// [`Denial::BadSignature`].
    pub fn verify(self, secrets: Option<&SignerSecrets>) -> Result<Grant, Denial> {
        match self {
            Self::Native(presented) => presented.verify(secrets).map(Grant::from),
        }
    }
}
