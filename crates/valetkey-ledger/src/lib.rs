//! What a gateway must remember about valet keys: how often each was used, across connections, restarts and crashes.
//!
//! The ledger is a state machine that any engine can carry. [`Ledger`] is its surface, `state` its transitions (pure:
//! rows and the time come in, rows go out), [`engine`] what keeps the rows, and `conformance` the one suite that
//! every engine passes.
//!
//! The promise: the number of holds that end as done under a meter never exceeds the limit that each was held
//! against, through crash, restart, clock change and parallel use. A crash may cost uses that were under way.
//!
//! What it must never know: keys, signatures, requests, objects' bytes, and the clock. Time is an argument.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod engine;

mod account;
mod command;
mod error;
mod hold;
mod lease;
mod ledger;
mod meter;
mod revocation;
mod session;
mod state;
mod store;
mod sync;
mod time;
mod undo;

pub use engine::memory::MemoryLedger;
pub use engine::sqlite::SqliteLedger;
pub use error::{Distrust, LedgerError, OpenError};
pub use hold::{Action, HoldId, HoldIdError, HoldRequest, LeaseRequest, Purpose, Settlement};
pub use ledger::{Acceptance, Answer, AuditHead, Ledger, Status, Unresolved};
pub use meter::{Charge, Limits, Meter, MeterPage, MeterQuery, MeterUsage, Resource, Usage};
pub use revocation::{NewRevocation, Reading, Revocable, Revocation, RevocationView, Target};
pub use session::{
    FinishedPart, NewPart, NewSession, Part, PartId, PartStart, Session, SessionId, SessionIdError,
    SessionQuery,
};
pub use time::UnixSeconds;
