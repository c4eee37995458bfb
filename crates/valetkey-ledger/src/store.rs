//! What an engine keeps: rows. The transitions in `state` read and write them and decide everything else.

mod sessions;

use std::error::Error;
use std::sync::Arc;

use crate::revocation::rows::RevocationRows;
use crate::{Action, AuditHead, HoldId, LedgerError, Limits, Meter, MeterQuery, UnixSeconds, Usage};

pub(crate) use sessions::{Finished, PartRow, SessionRow, SessionRows};

/// A place for rows. Between two calls of `commit` or `rollback`, what was written is visible to later reads of the
/// same store and to nobody else.
pub(crate) trait Store: SessionRows + RevocationRows {
    /// Makes sure that nobody else writes until the next commit or rollback.
    fn begin(&mut self) -> Result<(), Fault>;
    fn has_writes(&self) -> bool;
    fn commit(&mut self) -> Result<(), Fault>;
    fn rollback(&mut self);

    fn header(&mut self) -> Result<Header, Fault>;
    fn put_header(&mut self, header: &Header) -> Result<(), Fault>;

    fn meter(&mut self, meter: &Meter) -> Result<Option<MeterRow>, Fault>;
    fn put_meter(&mut self, meter: &Meter, row: MeterRow) -> Result<(), Fault>;
    /// The meters that a query looks at, whether or not they are kept long enough.
    fn meters(&mut self, query: &MeterQuery) -> Result<Vec<(Meter, MeterRow)>, Fault>;
    /// Removes at most `rows_max` meters that need not be kept until `before`, those that end first first. The names
    /// under them are out of reach from then on. Returns the latest `keep_until` among them.
    fn clear_meters(&mut self, before: UnixSeconds, rows_max: u32) -> Result<Option<UnixSeconds>, Fault>;
    /// Removes at most `rows_max` names of meters that are removed. Says whether there may be more.
    fn clear_names(&mut self, rows_max: u32) -> Result<bool, Fault>;

    /// A name under a meter, which is named by its place in the ledger's history.
    fn file(&mut self, made: u64, name: FileName) -> Result<Option<FileRow>, Fault>;
    fn put_file(&mut self, made: u64, name: FileName, row: Option<FileRow>) -> Result<(), Fault>;

    fn hold(&mut self, id: HoldId) -> Result<Option<HoldRow>, Fault>;
    fn put_hold(&mut self, id: HoldId, row: HoldRow) -> Result<(), Fault>;
    fn set_in_bytes(&mut self, id: HoldId, in_bytes: u64) -> Result<(), Fault>;
    fn mark_publishing(&mut self, id: HoldId) -> Result<(), Fault>;
    fn remove_hold(&mut self, id: HoldId) -> Result<(), Fault>;
    fn holds_in(&mut self, state: HoldState) -> Result<Vec<HoldId>, Fault>;

    fn audit_head(&mut self) -> Result<Option<AuditHead>, Fault>;
    fn put_audit_head(&mut self, head: Option<AuditHead>) -> Result<(), Fault>;
}

/// What the ledger remembers about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) ledger: u64,
    pub(crate) standing: Standing,
    /// The highest time seen.
    pub(crate) time_mark: UnixSeconds,
    /// Above every `keep_until` of a meter that was cleared.
    pub(crate) cleared_before: UnixSeconds,
    /// How many meters were ever made.
    pub(crate) meters_made: u64,
    /// How often an operator accepted something: whoever holds a copy of the header sees by it that another process
    /// changed the original.
    pub(crate) acceptances: u64,
}

impl Header {
    pub(crate) fn new(ledger: u64) -> Self {
        Self {
            ledger,
            standing: Standing::New,
            time_mark: UnixSeconds(0),
            cleared_before: UnixSeconds(0),
            meters_made: 0,
            acceptances: 0,
        }
    }
}

/// Whether the counts are to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Made, and never taken into use.
    New,
    /// New, or restored from a copy, while other records are not.
    Distrusted,
    Accepted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MeterRow {
    /// Held or spent. What runs at once is not in it.
    pub(crate) usage: Usage,
    /// As they were last presented.
    pub(crate) limits: Limits,
    /// When the last key that was charged here ends.
    pub(crate) ends: UnixSeconds,
    pub(crate) keep_until: UnixSeconds,
    /// Which meter of the ledger's history this is: a name may come again after it was cleared, and a use that was
    /// charged to the old one must not be given back to the new one.
    pub(crate) made: u64,
}

/// What a name is known by among those under a meter: 128 bits of its BLAKE3, which nobody can make collide in practice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileName(pub(crate) [u8; 16]);

impl FileName {
    pub(crate) fn of(name: &str) -> Self {
        let mut short = [0; 16];
        blake3::Hasher::new().update(name.as_bytes()).finalize_xof().fill(&mut short);
        Self(short)
    }
}

/// A name that counts under a meter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileRow {
    /// How many holds have it.
    pub(crate) holds: u64,
    /// An upload under it was done.
    pub(crate) kept: bool,
}

/// What one level of a chain was charged, as needed to give it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Charged {
    pub(crate) meter: Meter,
    pub(crate) made: u64,
    /// The limit under [`Resource::In`](crate::Resource::In), which an upload that grows is compared with.
    pub(crate) in_max: Option<u64>,
    /// The name of the upload counts here.
    pub(crate) named: bool,
}

/// The durable half of an upload or a delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HoldRow {
    pub(crate) state: HoldState,
    pub(crate) action: Action,
    pub(crate) object: String,
    pub(crate) in_bytes: u64,
    pub(crate) out_bytes: u64,
    pub(crate) file: Option<FileName>,
    pub(crate) charged: Vec<Charged>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HoldState {
    Held,
    Publishing,
}

/// An engine's failure. It ends the batch, and nothing of the batch remains.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It may work later: a full disk, a lock held too long.
    Failed(Arc<dyn Error + Send + Sync>),
    /// What was read cannot be true, so nothing that is read can be trusted.
    Damaged(Arc<dyn Error + Send + Sync>),
}

impl From<Fault> for LedgerError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Failed(source) | Fault::Damaged(source) => Self::Unavailable(source),
        }
    }
}
