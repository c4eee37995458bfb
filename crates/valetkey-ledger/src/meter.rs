//! Meters: the names that uses and bytes are counted under, and what a request charges to them.

use std::fmt;
use std::sync::Arc;

use crate::UnixSeconds;

/// The name that something is counted under: the injective text of one level of a key, or of a quota over many.
///
/// Opaque here. Two share a count exactly if their texts are equal, so whoever makes the text must see to it that
/// different ones never share one.
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

/// What is counted under a meter. A further one is a variant here, a field of [`Limits`] and [`Usage`], and no
/// further method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Transfers in all.
    Uses,
    /// Bytes uploaded in all.
    In,
    /// Bytes downloaded in all.
    Out,
    /// Different names uploaded to.
    Files,
    /// Transfers at once. The only one that a restart forgets, since it ends them all.
    Parallel,
}

/// How much of each resource there is in all, each at most 2^63−1. `None` counts without a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// [`Resource::Uses`].
    pub uses: Option<u64>,
    /// [`Resource::In`].
    pub in_bytes: Option<u64>,
    /// [`Resource::Out`].
    pub out_bytes: Option<u64>,
    /// [`Resource::Files`].
    pub files: Option<u64>,
    /// [`Resource::Parallel`].
    pub parallel: Option<u64>,
}

/// How much of each resource is held or spent under a meter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// [`Resource::Uses`].
    pub uses: u64,
    /// [`Resource::In`].
    pub in_bytes: u64,
    /// [`Resource::Out`].
    pub out_bytes: u64,
    /// [`Resource::Files`].
    pub files: u64,
    /// [`Resource::Parallel`].
    pub parallel: u64,
    /// When something was last charged; `None` where nothing ever was.
    pub last_seen: Option<UnixSeconds>,
}

/// What one request charges to one meter, if the limits still have room for it. How much it charges is said by the
/// purpose of its hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Where it is counted.
    pub meter: Meter,
    /// How much this key allows at this level, in all. A meter may be shared by several keys: each compares the
    /// common count with its own limits.
    pub limits: Limits,
    /// The end of the key at this level, as far as its holder can ever have it moved, and without what deeper levels
    /// narrow; [`UnixSeconds::MAX`] for a quota, which is no level of a key.
    pub ends: UnixSeconds,
    /// Until when the count matters: not before the end, and later where further keys may share the count;
    /// [`UnixSeconds::MAX`] is for ever. The meter is kept at least until then: the latest one that was charged to it
    /// decides.
    pub keep_until: UnixSeconds,
}

/// Which meters a list shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterQuery {
    /// How their names begin; empty for all.
    pub prefix: String,
    /// Only those of keys that end after this moment, and quotas.
    pub live_at: UnixSeconds,
    /// Only those whose names come after this one, bytewise.
    pub after: Option<Meter>,
    /// How many to look at; never more than [`MeterQuery::PAGE_MAX`] are.
    pub max: u32,
}

impl MeterQuery {
    /// How many meters one page looks at, so that no list keeps others waiting for long.
    pub const PAGE_MAX: u32 = 1000;
}

/// A part of a list of meters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeterPage {
    /// In the order of their names. There may be none although there are more to come, since those that are left out
    /// count as looked at.
    pub meters: Vec<MeterUsage>,
    /// What to go on after ([`MeterQuery::after`]); `None` at the end of the list.
    pub next: Option<Meter>,
}

/// A meter in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterUsage {
    /// Which one.
    pub meter: Meter,
    /// What is held or spent.
    pub usage: Usage,
    /// The limits that the latest charge compared it with.
    pub limits: Limits,
    /// As in [`Charge::ends`], the latest of all charges.
    pub ends: UnixSeconds,
}
