//! The tables, and what a file must be to be opened.

use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use super::file::failed;
use super::store::fault;
use super::{meters, revocations, sessions};
use crate::OpenError;
use crate::store::Fault;

/// "vkey", in the place where `file(1)` looks for it.
const APPLICATION_ID: i64 = 0x766b_6579;
/// The version of a file in which nothing was made yet.
pub(super) const EMPTY: i64 = 0;
/// The newest version.
pub(super) const VERSION: i64 = 3;

/// What each version changed, the first one first. A new file takes them all.
const VERSIONS: [&[Step]; 3] = [
    &[Step::Run(TABLES)],
    &[
        Step::Run(AUDIT_HEAD),
        Step::Run(meters::versions::TABLES_2),
        Step::Do(meters::versions::from_1),
        Step::Run(revocations::TABLES),
        Step::Run(sessions::TABLES),
    ],
    &[Step::Run(meters::versions::TABLES_3), Step::Do(meters::versions::from_2)],
];

/// A part of a migration.
enum Step {
    /// Statements.
    Run(&'static str),
    /// What statements cannot say.
    Do(fn(&Connection) -> Result<(), Fault>),
}

/// Version 1. SQLite keeps the comments, so `.schema` shows them.
pub(super) const TABLES: &str = "
CREATE TABLE ledger (
    -- valetkey's ledger. Read it at any time (sqlite3 -readonly); a row changed by hand breaks its seal, and the
    -- gateway then refuses the file.
    one            INTEGER PRIMARY KEY CHECK (one = 1),
    id             TEXT    NOT NULL,  -- drawn when the ledger was made
    standing       TEXT    NOT NULL CHECK (standing IN ('new', 'distrusted', 'accepted')),
    time_mark      INTEGER NOT NULL,  -- the highest time seen, in Unix seconds
    cleared_before INTEGER NOT NULL,  -- keys that ended before this are refused: their counts may be gone
    meters_made    INTEGER NOT NULL,  -- meters that were ever made
    acceptances    INTEGER NOT NULL,  -- times that an operator accepted a new ledger or a clock
    seal           INTEGER NOT NULL
) STRICT;
CREATE TABLE meters (
    name       TEXT    PRIMARY KEY,
    uses       INTEGER NOT NULL,  -- held or spent
    keep_until INTEGER NOT NULL,  -- when the last key that was charged here ends, in Unix seconds
    made       INTEGER NOT NULL,  -- which of all meters that were ever made
    seal       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX meters_by_keep_until ON meters (keep_until);
CREATE TABLE holds (
    -- Uploads and deletes under way. One that is publishing keeps its use through a crash.
    id     TEXT PRIMARY KEY,
    state  TEXT NOT NULL CHECK (state IN ('held', 'publishing')),
    action TEXT NOT NULL CHECK (action IN ('upload', 'delete')),
    object TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE hold_charges (
    -- What is given back if a hold comes to nothing.
    hold  TEXT    NOT NULL,
    level INTEGER NOT NULL,
    meter TEXT    NOT NULL,
    made  INTEGER NOT NULL,
    PRIMARY KEY (hold, level)
) STRICT, WITHOUT ROWID;
";

/// A table of its own and not columns of the ledger's: files of version 1 may have it already.
const AUDIT_HEAD: &str = "
CREATE TABLE IF NOT EXISTS audit_head (
    -- The newest durable record of the audit log: a log that does not hold it was cut.
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    records INTEGER NOT NULL,  -- how many the log had, this one included
    hash    TEXT    NOT NULL,  -- what the next record carries as previous
    seal    INTEGER NOT NULL
) STRICT;
";

/// Says which version a file has. Refuses what is no ledger, or too new a one, before anything is written.
pub(super) fn version(connection: &Connection, path: &Path) -> Result<i64, OpenError> {
    let number = |sql| connection.query_row(sql, (), |row| row.get::<_, i64>(0));
    let read =
        || Ok((number("PRAGMA application_id")?, number("PRAGMA user_version")?, number(COUNT_TABLES)?));
    const COUNT_TABLES: &str = "SELECT count(*) FROM sqlite_schema";
    match read().map_err(|error| unreadable(path, error))? {
        (0, 0, 0) => Ok(EMPTY),
        (APPLICATION_ID, version @ 1..=VERSION, _) => Ok(version),
        (APPLICATION_ID, found, _) if found > VERSION => {
            Err(OpenError::Newer { path: path.to_owned(), found, known: VERSION })
        }
        _ => Err(OpenError::Foreign(path.to_owned())),
    }
}

/// Brings a file from its version to the newest one, within the caller's transaction.
pub(super) fn migrate(connection: &Connection, from: i64) -> Result<(), Fault> {
    migrate_to(connection, from, VERSION)
}

/// The same to a version that need not be the newest one.
pub(super) fn migrate_to(connection: &Connection, from: i64, to: i64) -> Result<(), Fault> {
    let missing = (1..=to).zip(VERSIONS).filter(|(version, _)| *version > from);
    for step in missing.flat_map(|(_, steps)| steps) {
        match step {
            Step::Run(sql) => connection.execute_batch(sql).map_err(fault)?,
            Step::Do(change) => change(connection)?,
        }
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(fault)?;
    connection.pragma_update(None, "user_version", to).map_err(fault)
}

/// Makes the table that a file of version 1 may lack, for whoever reads its header and audit head alone.
pub(super) fn complete(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(AUDIT_HEAD)
}

/// Reads the whole file and refuses it unless every page, key and constraint is in order.
///
/// `quick_check` would leave out whether the index and the table of meters agree.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let verdict: String = connection
        .query_row("PRAGMA integrity_check(1)", (), |row| row.get(0))
        .map_err(|error| unreadable(path, error))?;
    match verdict.as_str() {
        "ok" => Ok(()),
        _ => Err(OpenError::Damaged { path: path.to_owned(), detail: verdict }),
    }
}

/// What SQLite's failure to read a file means to whoever opens it.
pub(super) fn unreadable(path: &Path, error: rusqlite::Error) -> OpenError {
    match shows_damage(&error) {
        true => OpenError::Damaged { path: path.to_owned(), detail: error.to_string() },
        false => failed(path)(error),
    }
}

/// Whether an error says that the file cannot be true, rather than that it could not be reached.
pub(super) fn shows_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(error, _) => {
            matches!(
                error.code,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation
            )
        }
        // A row or a field that is not what the schema says.
        rusqlite::Error::QueryReturnedNoRows
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..) => true,
        _ => false,
    }
}
