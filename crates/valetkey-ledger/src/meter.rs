//! Meters: the names that uses are counted under, and what a request charges to them.

use std::fmt;
use std::sync::Arc;

use crate::UnixSeconds;

/// The name that uses are counted under: the injective text of one level of a key.
///
/// Opaque here. Two levels share a count exactly if their texts are equal, so whoever makes the text must see to it
/// that different levels never share one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Meter(Arc<str>);

impl Meter {
    /// The meter of that name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What one request charges to one meter: one use, if the limit still has room for it.
///
/// A further resource is a further field here, a column beside `uses` in the engine, and no further method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Where it is counted.
    pub meter: Meter,
    /// How many uses this key allows at this level, in all; at most 2^63−1. A meter may be shared by several keys:
    /// each compares the common count with its own limit. `None` counts without a limit.
    pub uses_max: Option<u64>,
    /// The end of the key at this level, as far as its holder can ever have it moved, and without what deeper levels
    /// narrow. The meter is kept at least until then: the latest one that was charged to it decides.
    pub keep_until: UnixSeconds,
}
