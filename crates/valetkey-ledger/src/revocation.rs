//! Revocations: what no longer opens, although its signature holds.
//!
//! A revocation is a row, durable before it is answered, and an entry of the [view](RevocationView) that every request
//! is compared with. It goes a day after everything that it revokes has ended, by the highest time seen; that raises
//! `cleared_before` for good, so that no clock that was set back revives what was revoked.

pub(crate) mod rows;
mod table;
pub(crate) mod view;

pub use view::{Reading, Revocable, RevocationView};

use crate::{Meter, UnixSeconds};

/// What is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// One level of a key by its name, and with it all levels below.
    Level(Meter),
    /// The level whose signature has this fingerprint, and all levels below.
    Fingerprint([u8; 16]),
    /// All base levels of this id: of one signer, or of every one.
    Id {
        /// The signer; `None` is every one.
        signer: Option<String>,
        /// The id.
        id: String,
    },
    /// All keys that name this subject: of one signer, or of every one.
    Subject {
        /// The signer; `None` is every one.
        signer: Option<String>,
        /// The subject.
        subject: String,
    },
    /// All keys of a signer.
    Signer(String),
    /// All keys that are bounded by a stored access policy.
    Policy(String),
    /// All that is asked at or below this path: `/bucket/object`, or `/bucket/folder/` for what lies below it.
    Path(String),
}

/// A revocation to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRevocation {
    /// What is revoked.
    pub target: Target,
    /// Only what was issued before this moment, or says no issue time; `None` is all, whenever it was issued.
    pub before: Option<UnixSeconds>,
    /// The wall clock.
    pub now: UnixSeconds,
    /// By when everything that it revokes has ended: from then on it may be dropped. [`UnixSeconds::MAX`] keeps it
    /// for ever.
    pub keep_until: UnixSeconds,
}

/// A revocation in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// By which it is lifted; never given twice.
    pub number: u64,
    /// What is revoked.
    pub target: Target,
    /// As in [`NewRevocation::before`].
    pub before: Option<UnixSeconds>,
    /// When it was made.
    pub made: UnixSeconds,
    /// As in [`NewRevocation::keep_until`].
    pub keep_until: UnixSeconds,
}
