//! Who must know what a request did.
//!
//! Each request ends in one [`Receipt`]; the [`Audit`] log keeps it as a line of a chain in which no line
//! can be changed, left out or moved without [`verify_log`] naming the place. What is written here never
//! opens a door: keys stand in it by their fingerprint, URLs without their query.

mod audit;
mod chain;
mod files;
mod journal;
mod log_file;
mod look;
mod record;
mod verify;

pub use audit::{Audit, AuditError, BACKLOG_HIGH, BACKLOG_MAX, Opened};
pub use chain::{ChainKey, ChainKeyError, LineHash};
pub use journal::Head;
pub use look::{newest, requests_among};
pub use record::{FIELDS, LINE_BYTES_MAX, NotARecord, Receipt};
pub use verify::{Fault, Verified, VerifyError, verify_file, verify_log};
