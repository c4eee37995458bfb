//! The one place that reads the clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use valetkey::{Now, Timestamp};

/// A clock that remembers the highest time it ever showed, so that setting it back revives no key.
#[derive(Debug)]
pub struct Clock {
    highest: AtomicI64,
}

impl Clock {
    /// A clock whose highest time so far is `mark`.
    pub fn starting_at(mark: Timestamp) -> Self {
        Self { highest: AtomicI64::new(mark.unix()) }
    }

    /// The time, read once for each request and handed on.
    pub fn now(&self) -> Now {
        let clock = now();
        let highest = self.highest.fetch_max(clock.unix(), Ordering::Relaxed).max(clock.unix());
        Now { clock, highest: Timestamp::from_unix(highest) }
    }

    /// Takes `mark` for the highest time, lower than before where an operator has accepted the clock.
    pub fn accept(&self, mark: Timestamp) {
        self.highest.store(mark.unix(), Ordering::Relaxed);
    }
}

/// The time, in whole seconds.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX)).min(Timestamp::MAX)
}
