//! How large an upload may be.

/// The bounds of an upload's size, both inclusive, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeRange {
    /// The smallest size that is taken.
    pub min_bytes: u64,
    /// The largest size that is taken; `None` has no limit.
    pub max_bytes: Option<u64>,
}

impl SizeRange {
    /// Any size.
    pub const ANY: Self = Self { min_bytes: 0, max_bytes: None };

    /// What both ranges take.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        Self {
            min_bytes: self.min_bytes.max(other.min_bytes),
            max_bytes: stricter(self.max_bytes, other.max_bytes),
        }
    }

    /// Whether `bytes` is over the largest size.
    pub fn is_over(self, bytes: u64) -> bool {
        self.max_bytes.is_some_and(|max| bytes > max)
    }
}

/// The lower of two limits, of which each may be absent.
pub(crate) fn stricter<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
