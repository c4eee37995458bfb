//! Time as the ledger sees it: whole seconds, always an argument.

use std::fmt;

/// A moment in whole seconds since the Unix epoch.
///
/// The ledger keeps moments up to 2^63−1 ([`UnixSeconds::MAX`]); a later one in a request is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixSeconds(pub u64);

impl UnixSeconds {
    /// The latest moment that the ledger keeps.
    pub const MAX: Self = Self(i64::MAX.unsigned_abs());

    /// The moment that many seconds later, or [`UnixSeconds::MAX`] where that lies beyond it.
    pub fn plus(self, secs: u64) -> Self {
        Self(self.0.saturating_add(secs)).min(Self::MAX)
    }
}

impl fmt::Display for UnixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
