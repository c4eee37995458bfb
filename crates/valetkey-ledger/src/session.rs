//! Upload sessions: uploads that come in several requests, and that a restart does not end.
//!
//! One concept under S3's multipart calls and under resumable uploads: who owns it, what all of its bytes may be,
//! its parts, its one use, its end. The bytes themselves are elsewhere; here is what was promised about them.
//!
//! - Its one use is charged when it begins, durably, and held until it is completed, aborted or expired.
//! - A part's bytes are reserved before they flow: under the session's largest size, and under
//!   [`Resource::In`](crate::Resource::In) of every charge.
//! - Under the largest size a number counts with the more of what is finished under it and what is being received
//!   under it. So whatever can be completed fits, a part can be sent again when nothing else would fit any more,
//!   and at most twice the largest size is ever on the way.
//! - Of several that are received under one number the one that is finished last stays. One that is finished can be
//!   appended to, by one request at a time: that is how a resumable upload grows.
//! - After a restart the session, its finished parts and its use stand; what was being received is given back.

use std::fmt;
use std::str::FromStr;

use crate::{Charge, HoldId, UnixSeconds};

/// The name of a session: 128 random bits, so that nobody guesses one, in 32 hex digits. No hold has such a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub(crate) u128);

impl SessionId {
    /// Draws a new one.
    ///
    /// # Errors
    /// If the operating system gives no random number.
    pub(crate) fn draw() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for SessionId {
    type Err = SessionIdError;

    fn from_str(text: &str) -> Result<Self, SessionIdError> {
        match u128::from_str_radix(text, 16).map(Self) {
            // One session has one spelling.
            Ok(id) if id.to_string() == text => Ok(id),
            _ => Err(SessionIdError(text.to_owned())),
        }
    }
}

/// A text that is not the name of a session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an upload id: {0:?}")]
pub struct SessionIdError(String);

/// A session that is to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// Whom it belongs to, in words in which two owners never read the same.
    pub owner: String,
    /// How many sessions an owner may have open, this one included.
    pub owner_sessions_max: u64,
    /// What the object's name will be: `/bucket/object`. Sessions are listed by it.
    pub path: String,
    /// The most bytes that it may have in all, at most 2^63−1.
    pub bytes_max: Option<u64>,
    /// The first second at which it is over.
    pub expires: UnixSeconds,
    /// What else the gateway must know of it later, in its own words.
    pub details: String,
}

/// A session that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Which.
    pub id: SessionId,
    /// What holds its use.
    pub hold: HoldId,
    /// As in [`NewSession::owner`].
    pub owner: String,
    /// As in [`NewSession::path`].
    pub path: String,
    /// As in [`NewSession::bytes_max`].
    pub bytes_max: Option<u64>,
    /// When it began.
    pub begun: UnixSeconds,
    /// As in [`NewSession::expires`].
    pub expires: UnixSeconds,
    /// As in [`NewSession::details`].
    pub details: String,
    /// How many of its parts are finished.
    pub parts: u64,
    /// How many bytes its finished parts have.
    pub bytes: u64,
}

impl Session {
    /// What its bytes are kept under: of all ledgers there is no other of this name, and those of one ledger begin
    /// with [`store_prefix`](Self::store_prefix).
    pub fn store_name(&self) -> String {
        format!("{}{}", Self::store_prefix(self.hold.ledger), self.id)
    }

    /// How the names of all sessions of a ledger begin.
    pub fn store_prefix(ledger: u64) -> String {
        format!("{ledger:016x}-")
    }
}

impl PartId {
    /// What its bytes are kept under in its session.
    pub fn store_name(&self) -> String {
        format!("{}-{}", self.number, self.attempt)
    }
}

/// Which sessions to list: those whose path begins with a text, in the order of path and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionQuery {
    /// With what their paths begin.
    pub path_start: String,
    /// Only those after this path, or after this session of this path.
    pub after: Option<(String, Option<SessionId>)>,
    /// At most so many.
    pub max: u32,
}

/// One try to send a part, and the part that comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PartId {
    /// Of which session.
    pub session: SessionId,
    /// Under which number; the object is made of the parts in their order.
    pub number: u32,
    /// Which of all that were begun in this session. No other part ever has it.
    pub attempt: u64,
}

/// Where the bytes of a part begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartStart {
    /// A part of its own, which replaces a finished one of its number once it is finished.
    Anew,
    /// The finished part of its number goes on, at its end, which lies at this many bytes.
    At(u64),
}

/// A part that is to be received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPart {
    /// Of which session.
    pub session: SessionId,
    /// Under which number.
    pub number: u32,
    /// Where it begins.
    pub start: PartStart,
    /// The levels under which it counts among what runs at once; none where nothing is limited.
    pub charges: Vec<Charge>,
    /// How many bytes are reserved for it now; more may follow ([`Ledger::grow_part`](crate::Ledger::grow_part)).
    pub bytes: u64,
    /// The wall clock.
    pub now: UnixSeconds,
}

/// A part that was received, and is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedPart {
    /// How many bytes it has, from its very beginning; never more than were reserved.
    pub bytes: u64,
    /// What the gateway must know of it later (its entity tag, its digest), in its own words.
    pub details: String,
    /// The wall clock.
    pub now: UnixSeconds,
}

/// A finished part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which.
    pub id: PartId,
    /// How many bytes it has.
    pub bytes: u64,
    /// As in [`FinishedPart::details`].
    pub details: String,
    /// When it was finished.
    pub finished: UnixSeconds,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn session_id_reads_back_from_its_one_spelling() {
        let id = SessionId::draw().unwrap();
        assert_eq!(id.to_string().parse::<SessionId>().unwrap(), id);
        let short = SessionId(10);
        assert_eq!(short.to_string(), "0000000000000000000000000000000a");
        for text in ["", "a", "0000000000000000000000000000000A", "+000000000000000000000000000000a"] {
            assert!(text.parse::<SessionId>().is_err(), "{text}");
        }
    }
}
