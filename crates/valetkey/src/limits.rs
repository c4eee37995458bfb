//! The limits that need a memory: how often, how much, how fast.

use crate::size::stricter;

/// The counted limits of one level of a key, or of a signer or policy; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Transfers in all.
    pub uses: Option<u64>,
    /// Bytes uploaded in all.
    pub in_bytes: Option<u64>,
    /// Bytes downloaded in all.
    pub out_bytes: Option<u64>,
    /// Different names uploaded to.
    pub files: Option<u64>,
    /// Bytes per second over all transfers.
    pub rate_bytes: Option<u64>,
    /// Transfers at once.
    pub parallel: Option<u64>,
}

impl Limits {
    /// The stricter of each limit.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        Self {
            uses: stricter(self.uses, other.uses),
            in_bytes: stricter(self.in_bytes, other.in_bytes),
            out_bytes: stricter(self.out_bytes, other.out_bytes),
            files: stricter(self.files, other.files),
            rate_bytes: stricter(self.rate_bytes, other.rate_bytes),
            parallel: stricter(self.parallel, other.parallel),
        }
    }

    /// Whether something is used up, so that each transfer leaves less for the next.
    pub fn are_counted(&self) -> bool {
        self.uses.or(self.in_bytes).or(self.out_bytes).or(self.files).is_some()
    }

    /// Whether enforcing these limits needs the ledger. A rate needs none: it only slows.
    pub fn need_ledger(&self) -> bool {
        self.are_counted() || self.parallel.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_no_ledger_and_transfers_at_once_are_not_used_up() {
        let none = Limits::default();
        let check = |limits: Limits, counted, ledger| {
            assert_eq!((limits.are_counted(), limits.need_ledger()), (counted, ledger), "{limits:?}");
        };
        check(none, false, false);
        check(Limits { rate_bytes: Some(1), ..none }, false, false);
        check(Limits { parallel: Some(1), ..none }, false, true);
        for counted in [
            Limits { uses: Some(1), ..none },
            Limits { in_bytes: Some(0), ..none },
            Limits { out_bytes: Some(0), ..none },
            Limits { files: Some(1), ..none },
        ] {
            check(counted, true, true);
        }
    }
}
