//! What can go wrong: while the ledger serves ([`LedgerError`]), and when it is opened ([`OpenError`]).
//!
//! They are two types because two people read them: the first becomes an answer to a client, the second stops the
//! start and is read by the operator.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use crate::{HoldId, PartId, Resource, SessionId, UnixSeconds};

/// Why the ledger did not do what it was asked. Unless a variant says otherwise, nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// A meter has not that much left; nothing was charged to any.
    #[error("limit of {limit} {resource:?} reached at level {level}")]
    Exhausted {
        /// Which charge, counted from 0.
        level: usize,
        /// Of what.
        resource: Resource,
        /// Its limit.
        limit: u64,
    },
    /// Counted keys are refused until the operator accepts something.
    #[error(transparent)]
    NotAccepted(#[from] Distrust),
    /// The key ended so long ago that its count may be gone; it never gets a fresh one, whatever the clock says.
    #[error(
        "count of a key that ended at {keep_until} is gone: cleared before {cleared_before} (level {level})"
    )]
    Forgotten {
        /// Which charge, counted from 0.
        level: usize,
        /// When its key ended.
        keep_until: UnixSeconds,
        /// Records that could go before this moment are gone.
        cleared_before: UnixSeconds,
    },
    /// No hold of that name is open: it has ended, or never was.
    #[error("no open hold {0}")]
    UnknownHold(HoldId),
    /// A hold was asked for without any charge.
    #[error("hold without a charge")]
    NoCharge,
    /// No session of that name is open: it has ended, or never was.
    #[error("no open upload session {0}")]
    UnknownSession(SessionId),
    /// The owner has as many sessions open as it may.
    #[error("limit of {0} open upload sessions reached")]
    TooManySessions(u64),
    /// The session is being completed, or its part is and takes no other request meanwhile.
    #[error("upload session {0} is being completed, or still receives")]
    SessionBusy(SessionId),
    /// The bytes of all parts would be more than the session may have.
    #[error("limit of {bytes_max} bytes of an upload session reached")]
    SessionFull {
        /// Its limit.
        bytes_max: u64,
    },
    /// No such part is being received.
    #[error("part {} is not being received", .0.number)]
    UnknownPart(PartId),
    /// The part is being appended to by another request.
    #[error("part {0} is being received")]
    PartBusy(u32),
    /// A part goes on somewhere else than asked.
    #[error("part ends at {end} bytes")]
    WrongOffset {
        /// Where: at 0 if there is none.
        end: u64,
    },
    /// A number that the ledger cannot keep.
    #[error("{name} {value} exceeds 9223372036854775807")]
    OutOfRange {
        /// Which one.
        name: &'static str,
        /// Its value.
        value: u64,
    },
    /// Too many commands wait already.
    #[error("{0} commands wait for the ledger")]
    Busy(usize),
    /// The ledger was closed.
    #[error("ledger is closed")]
    Closed,
    /// The engine failed. A hold was not given; a settlement is tried again by the ledger itself.
    #[error("write ledger")]
    Unavailable(#[source] Arc<dyn Error + Send + Sync>),
}

/// What the operator must accept before counted keys are served again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// The ledger is new, or older than other records.
    #[error("ledger is new or restored while the audit log is not")]
    NewLedger,
    /// The clock lies more than five minutes behind the highest time seen.
    #[error("clock {now} lies behind the highest time seen, {mark}")]
    ClockBehind {
        /// The highest time seen.
        mark: UnixSeconds,
        /// The clock.
        now: UnixSeconds,
    },
}

/// Why a ledger could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("ledger {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// There is no ledger there.
    #[error("no ledger at {}", .0.display())]
    Missing(PathBuf),
    /// It was written by a newer release.
    #[error("ledger {} has version {found}, newer than {known}, which this release knows", path.display())]
    Newer {
        /// Where.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this release knows.
        known: i64,
    },
    /// The file is a database, but not a ledger.
    #[error("{} is not a valetkey ledger", .0.display())]
    Foreign(PathBuf),
    /// The file is damaged. It is never opened with what is left of it.
    #[error("ledger {} is damaged: {detail}", path.display())]
    Damaged {
        /// Where.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The operating system or the database failed.
    #[error("open ledger {}", path.display())]
    Failed {
        /// Where.
        path: PathBuf,
        /// How.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The operating system gave no random number.
    #[error("draw a random number")]
    Random(#[source] getrandom::Error),
}
