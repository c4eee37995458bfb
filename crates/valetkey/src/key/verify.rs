//! From claims that somebody presents to a key that a signer vouches for.

use hmac::Mac as _;

use super::claims::Claims;
use super::decode::{Block, Presented};
use crate::denial::Denial;
use crate::secret::{DECOY, Secret, SignerSecrets};
use crate::signature::{Fingerprint, Signature};

/// A key whose signature holds.
#[derive(Debug)]
pub struct Key<'a> {
    pub(crate) presented: Presented<'a>,
    by_previous_secret: bool,
}

impl Key<'_> {
    /// The fingerprint of each level, the base first.
    pub fn fingerprints(&self) -> impl Iterator<Item = Fingerprint> {
        self.presented.levels.iter().map(|level| level.fingerprint)
    }

    /// What each level says, the base first.
    pub fn claims(&self) -> impl Iterator<Item = &Claims> {
        self.presented.levels.iter().map(|level| &level.claims)
    }

    /// Whether only the signer's previous secret vouches for it.
    pub fn by_previous_secret(&self) -> bool {
        self.by_previous_secret
    }
}

impl<'a> Presented<'a> {
    /// Checks the chain of signatures under the secrets of the signer that the key [names](Self::signer),
    /// `None` where there is no such signer.
    ///
    /// # Errors
    /// [`Denial::BadSignature`], alike for a wrong signature and an unknown signer.
    pub fn verify(mut self, secrets: Option<&SignerSecrets>) -> Result<Key<'a>, Denial> {
        let Some(secrets) = secrets else {
            self.is_signed_with(&Secret::new(DECOY));
            return Err(Denial::BadSignature);
        };
        if self.is_signed_with(&secrets.current) {
            return Ok(Key { presented: self, by_previous_secret: false });
        }
        match &secrets.previous {
            Some(previous) if self.is_signed_with(previous) => {
                Ok(Key { presented: self, by_previous_secret: true })
            }
            _ => Err(Denial::BadSignature),
        }
    }

    /// Whether the chain of signatures that begins with `secret` ends in the key's own. Notes each level's
    /// fingerprint on the way.
    fn is_signed_with(&mut self, secret: &Secret) -> bool {
        let (base, narrowings) = self.levels.split_first_mut().expect("a key has a base");
        let mut signature = sign_base(secret, &base.block);
        base.fingerprint = signature.fingerprint();
        for level in narrowings {
            signature = sign_narrowing(&signature, &level.block);
            level.fingerprint = signature.fingerprint();
        }
        signature.matches(&self.signature)
    }
}

pub(crate) fn sign_base(secret: &Secret, block: &Block<'_>) -> Signature {
    let mut mac = secret.mac();
    mac.update(b"valetkey/1\n");
    block.sign_into(&mut mac);
    Signature::of(mac)
}

pub(crate) fn sign_narrowing(parent: &Signature, block: &Block<'_>) -> Signature {
    let mut mac = parent.mac();
    mac.update(b"valetkey/1 narrow\n");
    block.sign_into(&mut mac);
    Signature::of(mac)
}
