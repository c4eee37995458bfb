//! A key as its holder presents it, in whichever dialect.

use alloc::boxed::Box;

use valetkey::{Denial, Grant, ResourcePath, SignerSecrets, key};

use crate::aws;

/// A key that is sound in form and that nobody has vouched for yet.
#[derive(Debug)]
pub enum Presented<'a> {
    /// Readable `vk-` parameters.
    Native(key::Presented<'a>),
    /// AWS's signature version 4, in the query or in the header.
    Aws(Box<aws::Presented>),
}

/// A key whose signature holds.
#[derive(Debug)]
pub struct Verified {
    /// What it permits.
    pub grant: Grant,
    /// What else the signature of an AWS request covers; `None` in other dialects.
    pub aws: Option<Box<aws::SignedRequest>>,
}

impl Presented<'_> {
    /// The signer that the key names.
    pub fn signer(&self) -> &str {
        match self {
            Self::Native(presented) => presented.signer(),
            Self::Aws(presented) => presented.signer(),
        }
    }

    /// What a native key says that it was signed for.
    pub fn path(&self) -> Option<&ResourcePath> {
        match self {
            Self::Native(presented) => Some(presented.path()),
            Self::Aws(_) => None,
        }
    }

    /// Checks the signature under the secrets of the signer that the key names, `None` where there is no
    /// such signer.
    ///
    /// # Errors
    /// [`Denial::BadSignature`]; [`Denial::CallNotSupported`] where an AWS request is signed for more than is done
    /// here.
    pub fn verify(self, secrets: Option<&SignerSecrets>) -> Result<Verified, Denial> {
        match self {
            Self::Native(presented) => {
                Ok(Verified { grant: Grant::from(presented.verify(secrets)?), aws: None })
            }
            Self::Aws(presented) => {
                let (grant, request) = presented.verify(secrets)?;
                Ok(Verified { grant, aws: Some(Box::new(request)) })
            }
        }
    }
}
