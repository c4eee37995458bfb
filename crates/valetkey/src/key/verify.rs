//! From claims that somebody presents to a key that a signer vouches for.

use alloc::string::String;
use alloc::vec::Vec;

use hmac::Mac as _;

use super::claims::Claims;
use super::decode::{Block, Presented};
use super::parameter::Parameters;
use crate::denial::Denial;
use crate::secret::{Secret, SignerSecrets};
use crate::signature::{Fingerprint, Signature};

/// A key whose signature holds.
#[derive(Debug)]
pub struct Key {
    pub(crate) signer: String,
    /// The base, then the narrowings in order; never empty.
    pub(crate) levels: Vec<Level>,
    /// Every parameter that any level names.
    pub(crate) named: Parameters,
    pub(crate) by_previous_secret: bool,
}

/// One level of a verified key.
#[derive(Debug)]
pub struct Level {
    /// What stands for the level's signature in logs and records.
    pub fingerprint: Fingerprint,
    /// What the level says.
    pub claims: Claims,
}

impl Key {
    /// The base, then the narrowings in order.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// Whether only the signer's previous secret vouches for it.
    pub fn by_previous_secret(&self) -> bool {
        self.by_previous_secret
    }
}

/// What an unknown signer's key is checked against, so that it costs what a known signer's does.
const DECOY: &[u8] = b"no signer has this secret";

impl Presented<'_> {
    /// Checks the chain of signatures under the secrets of the signer that the key [names](Self::signer),
    /// `None` where there is no such signer.
    ///
    /// # Errors
    /// [`Denial::BadSignature`], alike for a wrong signature and an unknown signer.
    pub fn verify(self, secrets: Option<&SignerSecrets>) -> Result<Key, Denial> {
        let Some(secrets) = secrets else {
            let _ = self.last_signature(&Secret::new(DECOY), |_| {}).matches(&self.signature);
            return Err(Denial::BadSignature);
        };
        let (by_previous_secret, fingerprints) = match self.fingerprints(&secrets.current) {
            Some(fingerprints) => (false, fingerprints),
            None => {
                let previous = secrets.previous.as_ref().and_then(|previous| self.fingerprints(previous));
                (true, previous.ok_or(Denial::BadSignature)?)
            }
        };
        let levels = self.levels.into_iter().zip(fingerprints);
        Ok(Key {
            signer: self.signer.into_owned(),
            levels: levels.map(|((_, claims), fingerprint)| Level { fingerprint, claims }).collect(),
            named: self.named,
            by_previous_secret,
        })
    }

    /// The fingerprint of each level, if the chain that begins with `secret` ends in the key's signature.
    fn fingerprints(&self, secret: &Secret) -> Option<Vec<Fingerprint>> {
        let mut fingerprints = Vec::with_capacity(self.levels.len());
        let last = self.last_signature(secret, |signature| fingerprints.push(signature.fingerprint()));
        last.matches(&self.signature).then_some(fingerprints)
    }

    fn last_signature(&self, secret: &Secret, mut seen: impl FnMut(&Signature)) -> Signature {
        let mut blocks = self.levels.iter().map(|(block, _)| block);
        let base = blocks.next().expect("a key has a base");
        let mut signature = sign_base(secret, base);
        seen(&signature);
        for block in blocks {
            signature = sign_narrowing(&signature, block);
            seen(&signature);
        }
        signature
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
