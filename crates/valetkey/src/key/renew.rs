//! Moving the end of a key that its signer let its holder have moved.
//!
//! A renewed key is the same key with a later end: its parameters are those that the old one says, and since it has a
//! `vk-id`, so is the name that it is counted and revoked under. It gives its holder no power that the signer did not
//! give when it set `vk-renew`. So only a key that its signer's current secret vouches for is renewed: another one
//! would outlive the rotation that was to end it.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};

use super::decode::decode;
use super::mint::encode;
use super::parameter::Parameter;
use super::verify::{Key, sign_base};
use crate::bound::{Bounded, House};
use crate::denial::Denial;
use crate::secret::SignerSecrets;
use crate::signature::Fingerprint;
use crate::time::{Now, Timestamp};

/// That a key says it may be renewed: it has a `vk-renew` and a `vk-id`, it is nobody's narrowing, and its signer's
/// current secret vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewable {
    /// Its end, as it says it.
    end: Timestamp,
    /// The latest end that it may have.
    until: Timestamp,
}

/// A key with a later end.
#[derive(Debug)]
pub struct Renewed {
    /// The key as a query string. It opens what the key opens.
    pub query: String,
    /// The first second at which it opens nothing new.
    pub end: Timestamp,
    /// What stands for it in records.
    pub fingerprint: Fingerprint,
}

impl Renewable {
    pub(crate) fn of(key: &Key<'_>) -> Option<Self> {
        let [base] = key.presented.levels.as_slice() else { return None };
        let claims = &base.claims;
        claims.id.as_ref().filter(|_| !key.by_previous_secret())?;
        Some(Self { end: claims.end?, until: claims.renew? })
    }

    /// The latest end that it may have.
    pub fn until(self) -> Timestamp {
        self.until
    }
}

impl Bounded {
    /// The end that the key may have now: the earliest that it and the house allow, and none before the one it has.
    fn renewed_end(&self, house: &House<'_>, now: Now) -> Option<Timestamp> {
        let grant = self.grant();
        let Renewable { end, until } = grant.renewable?;
        let policies = house.policies.iter().flatten().map(|(_, ceiling)| *ceiling);
        let mut latest = until;
        for ceiling in core::iter::once(house.signer).chain(policies).filter(|ceiling| !ceiling.dry_run) {
            let bounds = [
                ceiling.renew,
                ceiling.max_lifetime.map(|max| now.clock.plus(max)),
                // A key that does not say when it was issued might be renewed for ever.
                match ceiling.max_renew {
                    Some(max) => Some(grant.issued()?.plus(max)),
                    None => None,
                },
            ];
            latest = bounds.into_iter().flatten().fold(latest, Timestamp::min);
        }
        Some(latest.max(end))
    }
}

/// Renews the key in `query`, of which `bounded` was made under `house`: all that it says stays as it is, but for a
/// later end. Its path must be among it.
///
/// # Errors
/// [`Denial::NotAllowed`] for a key that its holder cannot renew; [`Denial::MalformedKey`] and
/// [`Denial::BadSignature`] where `query` is not that key.
pub fn renew(
    query: &str,
    bounded: &Bounded,
    house: &House<'_>,
    secrets: &SignerSecrets,
    now: Now,
) -> Result<Renewed, Denial> {
    let end = bounded.renewed_end(house, now).ok_or(NOT_RENEWED)?;
    let presented = decode(query, None)?.ok_or(Denial::NoKey)?;
    let key = presented.verify(Some(secrets))?;
    let is_the_same = key.fingerprints().eq([bounded.grant().fingerprint()]);
    let mut levels = key.presented.levels;
    let Some(base) = levels.first_mut().filter(|_| is_the_same) else { return Err(Denial::BadSignature) };
    base.block.set(Parameter::End, Cow::Owned(end.to_string()));
    let signature = sign_base(&secrets.current, &base.block);
    let query = [encode(&base.block, 0).as_str(), "&vk-sig=", &signature.reveal()].concat();
    Ok(Renewed { query, end, fingerprint: signature.fingerprint() })
}

/// What is answered for any key that is not renewed: whatever the cause, its holder needs a new one.
pub const NOT_RENEWED: Denial = Denial::NotAllowed("its renewal");
