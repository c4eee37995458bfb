//! The rows of meters and of the names under them.

pub(super) mod versions;

use rusqlite::{Connection, Row, named_params};

use super::seal::Seal;
use super::store::{SqliteStore, damaged, fault, signed, unsigned};
use crate::store::{Fault, FileName, FileRow, MeterRow};
use crate::{Limits, Meter, MeterQuery, UnixSeconds, Usage};

const COLUMNS: &str = "uses, in_bytes, out_bytes, files, uses_max, in_max, out_max, files_max, parallel_max, \
     last_seen, ends, keep_until, made, seal";

/// Reads every row, and so compares every seal.
pub(super) fn check_seals(connection: &Connection) -> Result<(), Fault> {
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS}, name FROM meters")).map_err(fault)?;
    let mut rows = statement.query(()).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        let name: String = row.get(14).map_err(fault)?;
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
             parallel_max, last_seen, ends, keep_until, made, seal FROM meters WHERE name = ?1";
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
            let name: String = row.get(14).map_err(fault)?;
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
            let has_names = self.read("SELECT 1 FROM meter_files WHERE made = ?1", (made,), |_| Ok(()))?;
            if has_names.is_some() {
                let sql = "INSERT INTO cleared_meters (made, seal) VALUES (?1, ?2)";
                self.write(sql, (made, cleared_seal(*made)))?;
            }
        }
        Ok(due.last().map(|(.., keep_until)| UnixSeconds(*keep_until)))
    }

    pub(super) fn clear_files(&mut self, rows_max: u32) -> Result<bool, Fault> {
        let sql = "SELECT made, seal FROM cleared_meters LIMIT 1";
        let Some((made, seal)) = self.read(sql, (), |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))? else {
            return Ok(false);
        };
        // Of another meter they would be a part of its count.
        if cleared_seal(made) != seal {
            return Err(damaged("seal of a cleared meter does not fit it"));
        }
        let sql = "DELETE FROM meter_files WHERE made = ?1 \
             AND file IN (SELECT file FROM meter_files WHERE made = ?1 LIMIT ?2)";
        if self.write(sql, (made, rows_max))? == 0 {
            self.write("DELETE FROM cleared_meters WHERE made = ?1", (made,))?;
        }
        Ok(true)
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
    // A row that ends as before leaves its index alone: among many meters that is half of the pages of a commit.
    const SAME_END: &str = "UPDATE meters SET uses = ?2, in_bytes = ?3, out_bytes = ?4, files = ?5, uses_max = ?6, \
         in_max = ?7, out_max = ?8, files_max = ?9, parallel_max = ?10, last_seen = ?11, ends = ?12, made = ?14, \
         seal = ?15 WHERE name = ?1 AND keep_until = ?13";
    const OTHER: &str = "INSERT INTO meters (name, uses, in_bytes, out_bytes, files, uses_max, in_max, out_max, \
         files_max, parallel_max, last_seen, ends, keep_until, made, seal) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) \
         ON CONFLICT (name) DO UPDATE SET uses = ?2, in_bytes = ?3, out_bytes = ?4, files = ?5, uses_max = ?6, \
         in_max = ?7, out_max = ?8, files_max = ?9, parallel_max = ?10, last_seen = ?11, ends = ?12, \
         keep_until = ?13, made = ?14, seal = ?15";
    let MeterRow { usage, limits, ends, keep_until, made } = row;
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
        signed(ends.0)?,
        signed(keep_until.0)?,
        signed(*made)?,
        meter_seal(name, row),
    );
    let put = |sql| connection.prepare_cached(sql)?.execute(params);
    match put(SAME_END).map_err(fault)? {
        0 => put(OTHER).map(drop).map_err(fault),
        _ => Ok(()),
    }
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
        ends: UnixSeconds(unsigned(row, 10)?),
        keep_until: UnixSeconds(unsigned(row, 11)?),
        made: unsigned(row, 12)?,
    };
    Ok(match row.get::<_, i64>(13)? == meter_seal(name, &meter) {
        true => Ok(meter),
        false => Err(damaged("seal of a meter does not fit it")),
    })
}

fn meter_seal(name: &str, row: &MeterRow) -> i64 {
    let MeterRow { usage, limits, ends, keep_until, made } = row;
    let Usage { uses, in_bytes, out_bytes, files, parallel: _, last_seen } = *usage;
    let counts = [uses, in_bytes, out_bytes, files, ends.0, keep_until.0, *made];
    let maxima = [limits.uses, limits.in_bytes, limits.out_bytes, limits.files, limits.parallel];
    let seal = counts.into_iter().fold(Seal::new().text(name), Seal::number);
    let optional = maxima.into_iter().chain([last_seen.map(|seen| seen.0)]);
    // No number that is kept is as large as the one that stands for none.
    optional.fold(seal, |seal, value| seal.number(value.unwrap_or(u64::MAX))).to_integer()
}

fn cleared_seal(made: i64) -> i64 {
    Seal::new().text("cleared").number(made.cast_unsigned()).to_integer()
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
