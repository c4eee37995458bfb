//! Revocations in SQLite: their tables, and their rows.

use rusqlite::{Connection, Row};

use super::seal::Seal;
use super::store::{SqliteStore, damaged, fault, parsed, signed, unsigned};
use crate::revocation::rows::RevocationRows;
use crate::store::Fault;
use crate::{Meter, Revocation, Target, UnixSeconds};

/// A file of an earlier release gets them when it is opened.
pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS revocations (
    -- What no longer opens. See valetkey revocations; a row that is made or removed by hand is not noticed before the
    -- next start.
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    kind          TEXT    NOT NULL
                  CHECK (kind IN ('level', 'fingerprint', 'id', 'subject', 'signer', 'policy', 'path')),
    name          TEXT    NOT NULL,
    signer        TEXT,               -- of an id or a subject; NULL is every signer
    issued_before INTEGER,            -- only what was issued before, in Unix seconds; NULL is all
    made          INTEGER NOT NULL,   -- in Unix seconds
    keep_until    INTEGER NOT NULL,   -- when the last key that it revokes has ended, in Unix seconds
    seal          INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS revocations_by_name ON revocations (name, kind);
CREATE INDEX IF NOT EXISTS revocations_by_keep_until ON revocations (keep_until);
CREATE TABLE IF NOT EXISTS aliases (
    -- Of which level a fingerprint is, where a key was renewed.
    fingerprint TEXT    PRIMARY KEY,
    level       TEXT    NOT NULL,
    keep_until  INTEGER NOT NULL,     -- when the key has ended, in Unix seconds
    seal        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS aliases_by_keep_until ON aliases (keep_until);
";

/// In the order in which [`read`] takes them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT number, kind, name, signer, issued_before, made, keep_until, seal FROM revocations ",
            $rest
        )
    };
}

impl RevocationRows for SqliteStore {
    fn next_revocation(&mut self) -> Result<u64, Fault> {
        // SQLite keeps the highest number that was ever given.
        let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'revocations'";
        Ok(self.read(sql, (), |row| unsigned(row, 0))?.unwrap_or(0) + 1)
    }

    fn put_revocation(&mut self, row: &Revocation) -> Result<(), Fault> {
        let sql = "INSERT INTO revocations (number, kind, name, signer, issued_before, made, keep_until, seal) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
             ON CONFLICT (number) DO UPDATE SET keep_until = ?7, seal = ?8";
        let Words { kind, name, signer } = words(&row.target);
        let before = row.before.map(|before| signed(before.0)).transpose()?;
        let (number, made, keep_until) =
            (signed(row.number)?, signed(row.made.0)?, signed(row.keep_until.0)?);
        self.write(sql, (number, kind, name, signer, before, made, keep_until, seal(row))).map(drop)
    }

    fn remove_revocation(&mut self, number: u64) -> Result<(), Fault> {
        self.write("DELETE FROM revocations WHERE number = ?1", (signed(number)?,)).map(drop)
    }

    fn revocation(&mut self, number: u64) -> Result<Option<Revocation>, Fault> {
        let Ok(number) = i64::try_from(number) else { return Ok(None) };
        self.read(select!("WHERE number = ?1"), (number,), read)?.transpose()
    }

    fn revocations_of(&mut self, target: &Target) -> Result<Vec<Revocation>, Fault> {
        let Words { kind, name, signer } = words(target);
        let sql = select!("WHERE name = ?1 AND kind = ?2 AND signer IS ?3 ORDER BY number");
        self.read_all(sql, (name, kind, signer), read)
    }

    fn revocations(&mut self, after: u64, rows_max: u32) -> Result<Vec<Revocation>, Fault> {
        let Ok(after) = i64::try_from(after) else { return Ok(Vec::new()) };
        self.read_all(select!("WHERE number > ?1 ORDER BY number LIMIT ?2"), (after, rows_max), read)
    }

    fn due_revocations(&mut self, before: UnixSeconds, rows_max: u32) -> Result<Vec<Revocation>, Fault> {
        let sql = select!("WHERE keep_until < ?1 ORDER BY keep_until, number LIMIT ?2");
        self.read_all(sql, (signed(before.0)?, rows_max), read)
    }

    fn alias(&mut self, fingerprint: [u8; 16]) -> Result<Option<Meter>, Fault> {
        let sql = "SELECT fingerprint, level, keep_until, seal FROM aliases WHERE fingerprint = ?1";
        let found = self.read(sql, (hex(fingerprint),), read_alias)?.transpose()?;
        Ok(found.map(|(level, _)| level))
    }

    fn put_alias(
        &mut self,
        fingerprint: [u8; 16],
        level: &Meter,
        keep_until: UnixSeconds,
    ) -> Result<(), Fault> {
        let fingerprint = hex(fingerprint);
        let sql = "SELECT fingerprint, level, keep_until, seal FROM aliases WHERE fingerprint = ?1";
        let known = self.read(sql, (&fingerprint,), read_alias)?.transpose()?;
        let keep_until = known.map_or(keep_until, |(_, known)| keep_until.max(known));
        let sql = "INSERT INTO aliases (fingerprint, level, keep_until, seal) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (fingerprint) DO UPDATE SET level = ?2, keep_until = ?3, seal = ?4";
        let seal = alias_seal(&fingerprint, level.as_str(), keep_until);
        self.write(sql, (&fingerprint, level.as_str(), signed(keep_until.0)?, seal)).map(drop)
    }

    fn clear_aliases(&mut self, before: UnixSeconds, rows_max: u32) -> Result<usize, Fault> {
        let before = signed(before.0)?;
        let any = "SELECT 1 FROM aliases WHERE keep_until < ?1 LIMIT 1";
        if self.read(any, (before,), |_| Ok(()))?.is_none() {
            return Ok(0);
        }
        let sql = "DELETE FROM aliases WHERE fingerprint IN \
             (SELECT fingerprint FROM aliases WHERE keep_until < ?1 ORDER BY keep_until LIMIT ?2)";
        self.write(sql, (before, rows_max))
    }
}

/// Compares the seal of every alias; those of the revocations are compared when they are loaded.
pub(super) fn check_aliases(connection: &Connection) -> Result<(), Fault> {
    let mut statement =
        connection.prepare("SELECT fingerprint, level, keep_until, seal FROM aliases").map_err(fault)?;
    let mut rows = statement.query(()).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        read_alias(row).map_err(fault)??;
    }
    Ok(())
}

/// A target as its columns have it.
struct Words<'a> {
    kind: &'static str,
    name: std::borrow::Cow<'a, str>,
    signer: Option<&'a str>,
}

fn words(target: &Target) -> Words<'_> {
    let (kind, name, signer) = match target {
        Target::Level(name) => ("level", name.as_str(), None),
        Target::Fingerprint(bytes) => {
            return Words { kind: "fingerprint", name: hex(*bytes).into(), signer: None };
        }
        Target::Id { signer, id } => ("id", id.as_str(), signer.as_deref()),
        Target::Subject { signer, subject } => ("subject", subject.as_str(), signer.as_deref()),
        Target::Signer(name) => ("signer", name.as_str(), None),
        Target::Policy(name) => ("policy", name.as_str(), None),
        Target::Path(path) => ("path", path.as_str(), None),
    };
    Words { kind, name: name.into(), signer }
}

fn target(kind: &str, name: String, signer: Option<String>) -> Option<Target> {
    Some(match kind {
        "level" => Target::Level(Meter::new(name)),
        "fingerprint" => Target::Fingerprint(of_hex(&name)?),
        "id" => Target::Id { signer, id: name },
        "subject" => Target::Subject { signer, subject: name },
        "signer" => Target::Signer(name),
        "policy" => Target::Policy(name),
        "path" => Target::Path(name),
        _ => return None,
    })
}

/// Reads a row and compares its seal.
fn read(row: &Row<'_>) -> rusqlite::Result<Result<Revocation, Fault>> {
    let (name, signer): (String, Option<String>) = (row.get(2)?, row.get(3)?);
    let before: Option<i64> = row.get(4)?;
    let found = Revocation {
        number: unsigned(row, 0)?,
        target: parsed(row, 1, |kind| target(kind, name, signer))?,
        before: before.map(|_| unsigned(row, 4)).transpose()?.map(UnixSeconds),
        made: UnixSeconds(unsigned(row, 5)?),
        keep_until: UnixSeconds(unsigned(row, 6)?),
    };
    Ok(match row.get::<_, i64>(7)? == seal(&found) {
        true => Ok(found),
        false => Err(damaged("seal of a revocation does not fit it")),
    })
}

/// Reads `fingerprint, level, keep_until, seal`, and compares the seal.
fn read_alias(row: &Row<'_>) -> rusqlite::Result<Result<(Meter, UnixSeconds), Fault>> {
    let (fingerprint, level): (String, String) = (row.get(0)?, row.get(1)?);
    let keep_until = UnixSeconds(unsigned(row, 2)?);
    Ok(match row.get::<_, i64>(3)? == alias_seal(&fingerprint, &level, keep_until) {
        true => Ok((Meter::new(level), keep_until)),
        false => Err(damaged("seal of a fingerprint's level does not fit it")),
    })
}

fn seal(row: &Revocation) -> i64 {
    let Words { kind, name, signer } = words(&row.target);
    Seal::new()
        .number(row.number)
        .text(kind)
        .text(&name)
        // No signer has an empty name, and no time is so late.
        .text(signer.unwrap_or(""))
        .number(row.before.map_or(u64::MAX, |before| before.0))
        .number(row.made.0)
        .number(row.keep_until.0)
        .to_integer()
}

fn alias_seal(fingerprint: &str, level: &str, keep_until: UnixSeconds) -> i64 {
    Seal::new().text(fingerprint).text(level).number(keep_until.0).to_integer()
}

fn hex(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}

fn of_hex(text: &str) -> Option<[u8; 16]> {
    let bytes = u128::from_str_radix(text, 16).ok()?.to_be_bytes();
    (hex(bytes) == text).then_some(bytes)
}
