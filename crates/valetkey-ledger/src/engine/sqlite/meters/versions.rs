//! The tables of meters, as one version left them to the next, and how their rows are carried over.
//!
//! Each row is compared with its seal on the way. What is written here of an earlier version is never changed.

use rusqlite::{Connection, Row};

use super::{damaged, fault, put, unsigned};
use crate::engine::sqlite::seal::Seal;
use crate::store::{Fault, MeterRow};
use crate::{Limits, UnixSeconds, Usage};

/// What version 2 has in place of the meters and holds of version 1.
pub(in crate::engine::sqlite) const TABLES_2: &str = "
DROP INDEX meters_by_keep_until;
ALTER TABLE meters RENAME TO meters_1;
CREATE TABLE meters (
    name         TEXT    PRIMARY KEY,
    uses         INTEGER NOT NULL,  -- held or spent, as are the next three
    in_bytes     INTEGER NOT NULL,  -- uploaded
    out_bytes    INTEGER NOT NULL,  -- downloaded
    files        INTEGER NOT NULL,  -- different names uploaded to
    uses_max     INTEGER,           -- the limits of the key that was charged last; NULL is none
    in_max       INTEGER,
    out_max      INTEGER,
    files_max    INTEGER,
    parallel_max INTEGER,           -- how many run at once is known to the gateway alone
    last_seen    INTEGER,           -- when something was last charged, in Unix seconds; NULL before version 2
    keep_until   INTEGER NOT NULL,  -- when the last key that was charged here ends, in Unix seconds
    made         INTEGER NOT NULL,  -- which of all meters that were ever made
    seal         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX meters_by_keep_until ON meters (keep_until);
CREATE TABLE meter_files (
    -- The names that were uploaded to under a meter, where they count.
    made  INTEGER NOT NULL,  -- of the meter
    file  BLOB    NOT NULL,  -- 128 bits of the name's BLAKE3
    holds INTEGER NOT NULL,  -- uploads under way that have the name
    kept  INTEGER NOT NULL CHECK (kept IN (0, 1)),  -- an upload under the name was done
    seal  INTEGER NOT NULL,
    PRIMARY KEY (made, file)
) STRICT, WITHOUT ROWID;
ALTER TABLE holds ADD COLUMN in_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE holds ADD COLUMN out_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE holds ADD COLUMN file BLOB;
ALTER TABLE hold_charges ADD COLUMN in_max INTEGER;
ALTER TABLE hold_charges ADD COLUMN named INTEGER NOT NULL DEFAULT 0;
";

/// What version 3 has in place of the meters of version 2.
///
/// What is kept for ever needs no index to be found when it is due. A row may be kept long after its keys have ended.
pub(in crate::engine::sqlite) const TABLES_3: &str = "
DROP INDEX meters_by_keep_until;
ALTER TABLE meters RENAME TO meters_2;
CREATE TABLE meters (
    name         TEXT    PRIMARY KEY,
    uses         INTEGER NOT NULL,  -- held or spent, as are the next three
    in_bytes     INTEGER NOT NULL,  -- uploaded
    out_bytes    INTEGER NOT NULL,  -- downloaded
    files        INTEGER NOT NULL,  -- different names uploaded to
    uses_max     INTEGER,           -- the limits of the key that was charged last; NULL is none
    in_max       INTEGER,
    out_max      INTEGER,
    files_max    INTEGER,
    parallel_max INTEGER,           -- how many run at once is known to the gateway alone
    last_seen    INTEGER,           -- when something was last charged, in Unix seconds; NULL before version 2
    ends         INTEGER NOT NULL,  -- when the last key that was charged here ends, in Unix seconds
    keep_until   INTEGER NOT NULL,  -- until when the count matters, in Unix seconds; 9223372036854775807 is for ever
    made         INTEGER NOT NULL,  -- which of all meters that were ever made
    seal         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX meters_by_keep_until ON meters (keep_until) WHERE keep_until < 9223372036854775807;
CREATE TABLE cleared_meters (
    -- Meters that are gone, while the names under them are still being removed.
    made INTEGER PRIMARY KEY,
    seal INTEGER NOT NULL
) STRICT;
";

/// Takes the meters of version 1 over.
pub(in crate::engine::sqlite) fn from_1(connection: &Connection) -> Result<(), Fault> {
    let sql = "SELECT name, uses, keep_until, made, seal FROM meters_1 ORDER BY name";
    let into = "INSERT INTO meters (name, uses, in_bytes, out_bytes, files, keep_until, made, seal) \
         VALUES (?1, ?2, 0, 0, 0, ?3, ?4, ?5)";
    each(connection, sql, |row| {
        let name: String = row.get(0)?;
        let (uses, keep_until, made) = (unsigned(row, 1)?, unsigned(row, 2)?, unsigned(row, 3)?);
        let old = Seal::new().text(&name).number(uses).number(keep_until).number(made);
        if old.to_integer() != row.get::<_, i64>(4)? {
            return Ok(Err(damaged("seal of a meter does not fit it")));
        }
        let new = seal_2(&name, [uses, 0, 0, 0, keep_until, made], [None; 6]);
        let integer = |number: u64| number.cast_signed();
        let params = (&name, integer(uses), integer(keep_until), integer(made), new);
        connection.prepare_cached(into)?.execute(params)?;
        Ok(Ok(()))
    })?;
    connection.execute_batch("DROP TABLE meters_1").map_err(fault)
}

/// Takes the meters of version 2 over. They do not say which of them were named by an id, so all are kept for ever.
pub(in crate::engine::sqlite) fn from_2(connection: &Connection) -> Result<(), Fault> {
    let sql = "SELECT uses, in_bytes, out_bytes, files, uses_max, in_max, out_max, files_max, parallel_max, \
         last_seen, keep_until, made, seal, name FROM meters_2 ORDER BY name";
    each(connection, sql, |row| {
        let optional = |column| -> rusqlite::Result<Option<u64>> {
            let is_none = row.get_ref(column)? == rusqlite::types::ValueRef::Null;
            if is_none { Ok(None) } else { unsigned(row, column).map(Some) }
        };
        let name: String = row.get(13)?;
        let [uses, in_bytes, out_bytes, files, ends, made] = [
            unsigned(row, 0)?,
            unsigned(row, 1)?,
            unsigned(row, 2)?,
            unsigned(row, 3)?,
            unsigned(row, 10)?,
            unsigned(row, 11)?,
        ];
        let options = [optional(4)?, optional(5)?, optional(6)?, optional(7)?, optional(8)?, optional(9)?];
        if seal_2(&name, [uses, in_bytes, out_bytes, files, ends, made], options) != row.get::<_, i64>(12)? {
            return Ok(Err(damaged("seal of a meter does not fit it")));
        }
        let [uses_max, in_max, out_max, files_max, parallel, last_seen] = options;
        let last_seen = last_seen.map(UnixSeconds);
        let row = MeterRow {
            usage: Usage { uses, in_bytes, out_bytes, files, parallel: 0, last_seen },
            limits: Limits {
                uses: uses_max,
                in_bytes: in_max,
                out_bytes: out_max,
                files: files_max,
                parallel,
            },
            ends: UnixSeconds(ends),
            keep_until: UnixSeconds::MAX,
            made,
        };
        Ok(put(connection, &name, &row))
    })?;
    connection.execute_batch("DROP TABLE meters_2").map_err(fault)
}

fn each(
    connection: &Connection,
    sql: &str,
    mut carry: impl FnMut(&Row<'_>) -> rusqlite::Result<Result<(), Fault>>,
) -> Result<(), Fault> {
    let mut statement = connection.prepare(sql).map_err(fault)?;
    let mut rows = statement.query(()).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        carry(row).map_err(fault)??;
    }
    Ok(())
}

/// The seal of a meter in version 2.
fn seal_2(name: &str, counts: [u64; 6], options: [Option<u64>; 6]) -> i64 {
    let seal = counts.into_iter().fold(Seal::new().text(name), Seal::number);
    // No number that is kept is as large as the one that stands for none.
    options.into_iter().fold(seal, |seal, value| seal.number(value.unwrap_or(u64::MAX))).to_integer()
}
