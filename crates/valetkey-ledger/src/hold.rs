//! Holds: uses that are reserved before the work they pay for, and end exactly once.
//!
//! An upload or a delete goes `held` → `publishing` → settled, each step durable; a download is held and settled, and
//! rides on a lease where it can. See the `lease` module for that half.

use std::fmt;
use std::str::FromStr;

use crate::{Charge, UnixSeconds};

/// A request for a hold: one use of every charge, or of none.
#[derive(Clone, Debug)]
pub struct HoldRequest {
    /// What it costs, at every level of the key, the base first. Never empty.
    pub charges: Vec<Charge>,
    /// What the use is for.
    pub purpose: Purpose,
    /// The wall clock.
    pub now: UnixSeconds,
}

/// What a use is held for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An upload, under the name that the object will have.
    ///
    /// It charges one use, the name, and its bytes under [`Resource::In`](crate::Resource::In): those it declares at
    /// once, the others as they come ([`Ledger::grow`](crate::Ledger::grow)).
    Upload {
        /// The object, in the words in which the gateway will want it back after a crash.
        object: String,
        /// The name that counts under [`Resource::Files`](crate::Resource::Files).
        file: String,
        /// How many bytes it will have, if that is known.
        declared_bytes: Option<u64>,
        /// How many bytes of other objects it copies here, which count under
        /// [`Resource::Out`](crate::Resource::Out).
        copied_bytes: u64,
    },
    /// A delete. It charges one use.
    Delete {
        /// The object, in the words in which the gateway will want it back after a crash.
        object: String,
    },
    /// A download, which rides on a lease if one has room for it. It charges its bytes, and a use unless it rides.
    Download(LeaseRequest),
    /// An answer that takes no use, as a listing is: it charges its bytes under
    /// [`Resource::Out`](crate::Resource::Out).
    Answer {
        /// How many bytes it has.
        bytes: u64,
    },
}

/// A download, as its lease sees it.
///
/// A lease belongs to one client, one version of one object, and the last meter of the charges that has an end: the
/// last level of the key, and not a quota that it shares with others. They are compared as a tuple, never as
/// joined text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRequest {
    /// The object.
    pub object: String,
    /// Its version: another one needs another lease.
    pub version: String,
    /// The client, in whatever words tell it from others.
    pub client: String,
    /// The size of the object, in bytes.
    pub size_bytes: u64,
    /// How many bytes this request asks for.
    pub ask_bytes: u64,
    /// How long the lease outlives the last request on it, in seconds.
    pub lease_secs: u64,
}

/// How a hold ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The work was done and the use is spent.
    Done {
        /// How many bytes the transport took; of a download, at most what it asked for counts. Zero is for an empty
        /// object that was answered, which is a use.
        bytes: u64,
    },
    /// Nothing came of it: the use is given back. Of a download, only if nothing else was sent on its lease.
    Released,
}

/// What a durable hold is about to do to its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make it appear.
    Upload,
    /// Remove it.
    Delete,
}

impl Action {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Delete => "delete",
        }
    }
}

/// The name of a hold, unique over the life of all ledgers.
///
/// Its text can be stored with an object and read back: the ledger's random number, the random number of the life (one
/// opening of the ledger) that made the hold, and a sequence number within that life. The life is drawn, not counted,
/// so that a ledger restored from a backup does not give a name twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HoldId {
    pub(crate) ledger: u64,
    pub(crate) life: u64,
    pub(crate) sequence: u64,
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:016x}-{}", self.ledger, self.life, self.sequence)
    }
}

impl FromStr for HoldId {
    type Err = HoldIdError;

    fn from_str(text: &str) -> Result<Self, HoldIdError> {
        let broken = || HoldIdError(text.to_owned());
        let mut parts = text.splitn(3, '-');
        let mut part = || parts.next().ok_or_else(broken);
        let id = Self {
            ledger: u64::from_str_radix(part()?, 16).map_err(|_| broken())?,
            life: u64::from_str_radix(part()?, 16).map_err(|_| broken())?,
            sequence: part()?.parse().map_err(|_| broken())?,
        };
        // One hold has one spelling.
        if id.to_string() == text { Ok(id) } else { Err(broken()) }
    }
}

/// A text that is not the name of a hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a hold id: {0:?}")]
pub struct HoldIdError(String);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn hold_id_reads_back_from_its_text() {
        for sequence in [0, 1, u64::MAX] {
            let id = HoldId { ledger: 7, life: u64::MAX, sequence };
            assert_eq!(id.to_string().parse::<HoldId>().unwrap(), id);
        }
    }

    #[test]
    fn hold_id_has_one_spelling() {
        for text in [
            "",
            "7-7-7",
            "0000000000000007-0000000000000007",
            "0000000000000007-0000000000000007-07",
            "0000000000000007-0000000000000007-+7",
            "000000000000000A-0000000000000007-7",
            "0000000000000007-0000000000000007-7-7",
            "+000000000000007-0000000000000007-7",
        ] {
            assert!(text.parse::<HoldId>().is_err(), "{text}");
        }
    }
}
