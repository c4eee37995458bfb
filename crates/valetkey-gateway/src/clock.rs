//! The one place where the clock is read; everywhere else time is an argument.

use std::time::{SystemTime, UNIX_EPOCH};

use valetkey::Timestamp;

/// What the system's clock says, in whole seconds.
pub fn now() -> Timestamp {
    let secs = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        // A clock before 1970 opens nothing early: it only makes every window look further off.
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |secs| -secs),
    };
    Timestamp::from_unix(secs).min(Timestamp::MAX)
}
