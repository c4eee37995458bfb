//! The rows of meters and of the names under them.

use rusqlite::{Connection, Row, named_params};

use super::seal::Seal;
use super::store::{SqliteStore, damaged, fault, signed, unsigned};
use crate::store::{Fault, FileName, FileRow, MeterRow};
use crate::{Limits, Meter, MeterQuery, UnixSeconds, Usage};

/// What version 2 has in place of the meters and holds of version 1.
pub(super) const TABLES: &str = "
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

const COLUMNS: &str = "uses, in_bytes, out_bytes, files, uses_max, in_max, out_max, files_max, parallel_max, \
     last_seen, keep_until, made, seal";

/// Takes the meters of version 1 over, each after a look at its seal.
pub(super) fn carry_over(connection: &Connection) -> Result<(), Fault> {
    let mut old =
        connection.prepare("SELECT name, uses, keep_until, made, seal FROM meters_1").map_err(fault)?;
    let mut rows = old.query(()).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        let read = || {
            let usage = Usage { uses: unsigned(row, 1)?, ..Usage::default() };
            let (keep_until, made) = (UnixSeconds(unsigned(row, 2)?), unsigned(row, 3)?);
            let meter = MeterRow { usage, limits: Limits::default(), keep_until, made };
            Ok((row.get::<_, String>(0)?, meter, row.get::<_, i64>(4)?))
        };
        let (name, meter, seal) = read().map_err(fault)?;
        let MeterRow { usage, keep_until, made, .. } = meter;
        if Seal::new().text(&name).number(usage.uses).number(keep_until.0).number(made).to_integer() != seal {
            return Err(damaged("seal of a meter does not fit it"));
        }
        put(connection, &name, &meter)?;
    }
    drop(rows);
    drop(old);
    connection.execute_batch("DROP TABLE meters_1").map_err(fault)
}

/// Reads every row, and so compares every seal.
pub(super) fn check_seals(connection: &Connection) -> Result<(), Fault> {
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS}, name FROM meters")).map_err(fault)?;
    let mut rows = statement.query(()).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        let name: String = row.get(13).map_err(fault)?;
        read(&name, row).map_err(fault)??;
    }
    let mut statement =
        connection.prepare("SELECT holds, kept, seal, made, file FROM meter_files").map_err(fault)?;
    let mut rows = statement.query(()).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        let (made, name) = (unsigned(row, 3).map_err(fault)?, FileName(row.get(4).map_err(fault)?));
        read_file(made, name, row).map_err(fault)??;
    }
    Ok(())
}

impl SqliteStore {
    pub(super) fn read_meter(&self, meter: &Meter) -> Result<Option<MeterRow>, Fault> {
        const SQL: &str = "SELECT uses, in_bytes, out_bytes, files, uses_max, in_max, out_max, files_max, \
             parallel_max, last_seen, keep_until, made, seal FROM meters WHERE name = ?1";
        let name = meter.as_str();
        self.read(SQL, (name,), |row| read(name, row))?.transpose()
    }

    pub(super) fn write_meter(&mut self, meter: &Meter, row: &MeterRow) -> Result<(), Fault> {
        self.begin_writing()?;
        put(&self.connection, meter.as_str(), row)
    }

    pub(super) fn list_meters(&self, query: &MeterQuery) -> Result<Vec<(Meter, MeterRow)>, Fault> {
        let sql = format!(
            "SELECT {COLUMNS}, name FROM meters WHERE name >= :first AND name > :after \
             AND (:beyond IS NULL OR name < :beyond) ORDER BY name LIMIT :max"
        );
        // Two comparisons from below: no name is empty, so nothing is left out where there is no `after`.
        let after = query.after.as_ref().map_or("", Meter::as_str);
        let params = named_params! {
            ":first": query.prefix, ":after": after, ":beyond": beyond(&query.prefix), ":max": query.max,
        };
        let mut statement = self.connection.prepare_cached(&sql).map_err(fault)?;
        let mut rows = statement.query(params).map_err(fault)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(fault)? {
            let name: String = row.get(13).map_err(fault)?;
            let meter = read(&name, row).map_err(fault)??;
            found.push((Meter::new(name), meter));
        }
        Ok(found)
    }

    pub(super) fn clear(&mut self, before: UnixSeconds, rows_max: u32) -> Result<Option<UnixSeconds>, Fault> {
        let due: Vec<(String, i64, u64)> = {
            let sql = "SELECT name, made, keep_until FROM meters WHERE keep_until < ?1 \
                 ORDER BY keep_until, name LIMIT ?2";
            let mut statement = self.connection.prepare_cached(sql).map_err(fault)?;
            let rows = statement.query_map((signed(before.0)?, rows_max), |row| {
                Ok((row.get(0)?, row.get(1)?, unsigned(row, 2)?))
            });
            rows.and_then(Iterator::collect).map_err(fault)?
        };
        for (name, made, _) in &due {
            self.write("DELETE FROM meters WHERE name = ?1", (name,))?;
            self.write("DELETE FROM meter_files WHERE made = ?1", (made,))?;
        }
        Ok(due.last().map(|(.., keep_until)| UnixSeconds(*keep_until)))
    }

    pub(super) fn read_file(&self, made: u64, name: FileName) -> Result<Option<FileRow>, Fault> {
        let sql = "SELECT holds, kept, seal FROM meter_files WHERE made = ?1 AND file = ?2";
        self.read(sql, (signed(made)?, name.0), |row| read_file(made, name, row))?.transpose()
    }

    pub(super) fn write_file(
        &mut self,
        made: u64,
        name: FileName,
        row: Option<FileRow>,
    ) -> Result<(), Fault> {
        let Some(row) = row else {
            let sql = "DELETE FROM meter_files WHERE made = ?1 AND file = ?2";
            return self.write(sql, (signed(made)?, name.0)).map(drop);
        };
        let sql = "INSERT INTO meter_files (made, file, holds, kept, seal) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (made, file) DO UPDATE SET holds = ?3, kept = ?4, seal = ?5";
        let seal = file_seal(made, name, row);
        self.write(sql, (signed(made)?, name.0, signed(row.holds)?, row.kept, seal)).map(drop)
    }
}

fn put(connection: &Connection, name: &str, row: &MeterRow) -> Result<(), Fault> {
    const SQL: &str = "INSERT INTO meters (name, uses, in_bytes, out_bytes, files, uses_max, in_max, out_max, \
         files_max, parallel_max, last_seen, keep_until, made, seal) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) \
         ON CONFLICT (name) DO UPDATE SET uses = ?2, in_bytes = ?3, out_bytes = ?4, files = ?5, uses_max = ?6, \
         in_max = ?7, out_max = ?8, files_max = ?9, parallel_max = ?10, last_seen = ?11, keep_until = ?12, \
         made = ?13, seal = ?14";
    let MeterRow { usage, limits, keep_until, made } = row;
    let optional = |value: Option<u64>| value.map(signed).transpose();
    let params = (
        name,
        signed(usage.uses)?,
        signed(usage.in_bytes)?,
        signed(usage.out_bytes)?,
        signed(usage.files)?,
        optional(limits.uses)?,
        optional(limits.in_bytes)?,
        optional(limits.out_bytes)?,
        optional(limits.files)?,
        optional(limits.parallel)?,
        optional(usage.last_seen.map(|seen| seen.0))?,
        signed(keep_until.0)?,
        signed(*made)?,
        meter_seal(name, row),
    );
    let put = |sql| connection.prepare_cached(sql)?.execute(params);
    put(SQL).map(drop).map_err(fault)
}

/// Reads what `COLUMNS` names, and compares the seal.
fn read(name: &str, row: &Row<'_>) -> rusqlite::Result<Result<MeterRow, Fault>> {
    let optional = |column| match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => unsigned(row, column).map(Some),
    };
    let meter = MeterRow {
        usage: Usage {
            uses: unsigned(row, 0)?,
            in_bytes: unsigned(row, 1)?,
            out_bytes: unsigned(row, 2)?,
            files: unsigned(row, 3)?,
            parallel: 0,
            last_seen: optional(9)?.map(UnixSeconds),
        },
        limits: Limits {
            uses: optional(4)?,
            in_bytes: optional(5)?,
            out_bytes: optional(6)?,
            files: optional(7)?,
            parallel: optional(8)?,
        },
        keep_until: UnixSeconds(unsigned(row, 10)?),
        made: unsigned(row, 11)?,
    };
    Ok(match row.get::<_, i64>(12)? == meter_seal(name, &meter) {
        true => Ok(meter),
        false => Err(damaged("seal of a meter does not fit it")),
    })
}

fn meter_seal(name: &str, row: &MeterRow) -> i64 {
    let MeterRow { usage, limits, keep_until, made } = row;
    let Usage { uses, in_bytes, out_bytes, files, parallel: _, last_seen } = *usage;
    let counts = [uses, in_bytes, out_bytes, files, keep_until.0, *made];
    let maxima = [limits.uses, limits.in_bytes, limits.out_bytes, limits.files, limits.parallel];
    let seal = counts.into_iter().fold(Seal::new().text(name), Seal::number);
    let optional = maxima.into_iter().chain([last_seen.map(|seen| seen.0)]);
    // No number that is kept is as large as the one that stands for none.
    optional.fold(seal, |seal, value| seal.number(value.unwrap_or(u64::MAX))).to_integer()
}

fn read_file(made: u64, name: FileName, row: &Row<'_>) -> rusqlite::Result<Result<FileRow, Fault>> {
    let file = FileRow { holds: unsigned(row, 0)?, kept: row.get(1)? };
    Ok(match row.get::<_, i64>(2)? == file_seal(made, name, file) {
        true => Ok(file),
        false => Err(damaged("seal of a name does not fit it")),
    })
}

fn file_seal(made: u64, name: FileName, row: FileRow) -> i64 {
    let number = u128::from_le_bytes(name.0);
    let halves = [number & u128::from(u64::MAX), number >> 64];
    let halves = halves.map(|half| u64::try_from(half).unwrap_or(u64::MAX));
    let numbers = [made, halves[0], halves[1], row.holds, u64::from(row.kept)];
    numbers.into_iter().fold(Seal::new(), Seal::number).to_integer()
}

/// The first text after all that begin with a prefix; `None` where there is none.
fn beyond(prefix: &str) -> Option<String> {
    let mut beyond = prefix.to_owned();
    while let Some(last) = beyond.pop() {
        // The one that follows in the order of code points, which is that of their bytes.
        if let Some(next) = (last..=char::MAX).nth(1) {
            beyond.push(next);
            return Some(beyond);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beyond_a_prefix_comes_after_all_that_begin_with_it() {
        for (prefix, expected) in [
            ("", None),
            ("a", Some("b")),
            ("a\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
            ("\u{d7ff}", Some("\u{e000}")),
        ] {
            assert_eq!(beyond(prefix).as_deref(), expected, "{prefix:?}");
        }
    }
}
