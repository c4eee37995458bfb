//! Upload sessions and their parts as tables.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::seal::Seal;
use super::store::{SqliteStore, damaged, fault, parsed, signed, unsigned};
use crate::store::{Fault, Finished, PartRow, SessionRow, SessionRows};
use crate::{HoldId, PartId, Session, SessionId, SessionQuery, UnixSeconds};

/// SQLite keeps the comments, so `.schema` shows them.
pub(super) const TABLES: &str = "
CREATE TABLE sessions (
    -- Uploads that come in several requests and are not complete. Each has its use in holds.
    id            TEXT    PRIMARY KEY,
    hold          TEXT    NOT NULL UNIQUE,
    owner         TEXT    NOT NULL,
    path          TEXT    NOT NULL,  -- what the object will be named
    bytes_max     INTEGER,           -- the most that all parts may have; NULL is no limit
    begun         INTEGER NOT NULL,  -- in Unix seconds
    expires       INTEGER NOT NULL,  -- in Unix seconds
    details       TEXT    NOT NULL,
    parts         INTEGER NOT NULL,  -- how many are finished
    bytes         INTEGER NOT NULL,  -- how many bytes those have
    counted_bytes INTEGER NOT NULL,  -- what counts under bytes_max: with what is being received
    attempts      INTEGER NOT NULL,  -- parts that were ever begun
    seal          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_owner ON sessions (owner);
CREATE INDEX sessions_by_path ON sessions (path, id);
CREATE INDEX sessions_by_expires ON sessions (expires, id);
CREATE TABLE session_parts (
    -- The parts of those uploads. One of each number is finished at most; a restart gives back what is receiving.
    session   TEXT    NOT NULL,
    number    INTEGER NOT NULL,
    attempt   INTEGER NOT NULL,
    bytes     INTEGER,           -- what is finished of it
    details   TEXT,
    finished  INTEGER,           -- in Unix seconds
    receiving INTEGER,           -- what is reserved for it while it is received
    seal      INTEGER NOT NULL,
    PRIMARY KEY (session, number, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_parts_receiving ON session_parts (session) WHERE receiving IS NOT NULL;
";

const SESSION: &str = "SELECT id, hold, owner, path, bytes_max, begun, expires, details, parts, bytes, \
     counted_bytes, attempts, seal FROM sessions";
const PART: &str =
    "SELECT session, number, attempt, bytes, details, finished, receiving, seal FROM session_parts";

/// Compares the seal of every row.
pub(super) fn check_seals(connection: &Connection) -> Result<(), Fault> {
    let mut sessions = connection.prepare(SESSION).map_err(fault)?;
    let mut rows = sessions.query(()).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        read_session(row).map_err(fault)??;
    }
    let mut parts = connection.prepare(PART).map_err(fault)?;
    let mut rows = parts.query(()).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        read_part(row).map_err(fault)??;
    }
    Ok(())
}

impl SqliteStore {
    fn rows<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<Result<T, Fault>>,
    ) -> Result<Vec<T>, Fault> {
        let mut statement = self.connection.prepare_cached(sql).map_err(fault)?;
        let mut rows = statement.query(params).map_err(fault)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(fault)? {
            found.push(read(row).map_err(fault)??);
        }
        Ok(found)
    }
}

impl SessionRows for SqliteStore {
    fn session(&mut self, id: SessionId) -> Result<Option<SessionRow>, Fault> {
        Ok(self.rows(&format!("{SESSION} WHERE id = ?1"), (id.to_string(),), read_session)?.pop())
    }

    fn session_of(&mut self, hold: HoldId) -> Result<Option<SessionId>, Fault> {
        self.connection
            .prepare_cached("SELECT id FROM sessions WHERE hold = ?1")
            .and_then(|mut statement| {
                let read = |row: &Row<'_>| parsed(row, 0, |text| text.parse().ok());
                statement.query_row((hold.to_string(),), read).optional()
            })
            .map_err(fault)
    }

    fn put_session(&mut self, row: &SessionRow) -> Result<(), Fault> {
        let SessionRow { session, counted_bytes, attempts } = row;
        let sql = "INSERT INTO sessions (id, hold, owner, path, bytes_max, begun, expires, details, parts, bytes, \
             counted_bytes, attempts, seal) VALUES (:id, :hold, :owner, :path, :bytes_max, :begun, :expires, \
             :details, :parts, :bytes, :counted_bytes, :attempts, :seal) \
             ON CONFLICT (id) DO UPDATE SET parts = :parts, bytes = :bytes, counted_bytes = :counted_bytes, \
             attempts = :attempts, seal = :seal";
        self.write(
            sql,
            named_params! {
                ":id": session.id.to_string(),
                ":hold": session.hold.to_string(),
                ":owner": session.owner,
                ":path": session.path,
                ":bytes_max": session.bytes_max.map(signed).transpose()?,
                ":begun": signed(session.begun.0)?,
                ":expires": signed(session.expires.0)?,
                ":details": session.details,
                ":parts": signed(session.parts)?,
                ":bytes": signed(session.bytes)?,
                ":counted_bytes": signed(*counted_bytes)?,
                ":attempts": signed(*attempts)?,
                ":seal": session_seal(row),
            },
        )?;
        Ok(())
    }

    fn remove_session(&mut self, id: SessionId) -> Result<(), Fault> {
        let id = id.to_string();
        self.write("DELETE FROM session_parts WHERE session = ?1", (&id,))?;
        self.write("DELETE FROM sessions WHERE id = ?1", (&id,))?;
        Ok(())
    }

    fn count_sessions(&mut self, owner: &str) -> Result<u64, Fault> {
        let sql = "SELECT count(*) FROM sessions WHERE owner = ?1";
        let mut found = self.rows(sql, (owner,), |row| Ok(Ok(unsigned(row, 0)?)))?;
        Ok(found.pop().unwrap_or_default())
    }

    fn sessions(&mut self, query: &SessionQuery) -> Result<Vec<SessionRow>, Fault> {
        let SessionQuery { path_start, after, max } = query;
        // Texts are compared byte by byte, so that those with one beginning stand together.
        let mut found = match after {
            None => {
                let sql = format!("{SESSION} WHERE path >= ?1 ORDER BY path, id LIMIT ?2");
                self.rows(&sql, (path_start, max), read_session)?
            }
            Some((path, None)) => {
                let sql = format!("{SESSION} WHERE path >= ?1 AND path > ?2 ORDER BY path, id LIMIT ?3");
                self.rows(&sql, (path_start, path, max), read_session)?
            }
            Some((path, Some(id))) => {
                let sql = format!(
                    "{SESSION} WHERE path >= ?1 AND (path, id) > (?2, ?3) ORDER BY path, id LIMIT ?4"
                );
                self.rows(&sql, (path_start, path, id.to_string(), max), read_session)?
            }
        };
        let others = found.iter().position(|row| !row.session.path.starts_with(path_start.as_str()));
        found.truncate(others.unwrap_or(found.len()));
        Ok(found)
    }

    fn sessions_expired(&mut self, by: UnixSeconds, rows_max: u32) -> Result<Vec<SessionId>, Fault> {
        let sql = "SELECT id FROM sessions WHERE expires <= ?1 ORDER BY expires, id LIMIT ?2";
        let by = signed(by.0)?;
        self.rows(sql, (by, rows_max), |row| Ok(Ok(parsed(row, 0, |text| text.parse().ok())?)))
    }

    fn parts_of(&mut self, session: SessionId, number: u32) -> Result<Vec<PartRow>, Fault> {
        let sql = format!("{PART} WHERE session = ?1 AND number = ?2 ORDER BY attempt");
        self.rows(&sql, (session.to_string(), number), read_part)
    }

    fn put_part(&mut self, row: &PartRow) -> Result<(), Fault> {
        let PartRow { id, finished, receiving_bytes } = row;
        let sql = "INSERT INTO session_parts (session, number, attempt, bytes, details, finished, receiving, seal) \
             VALUES (:session, :number, :attempt, :bytes, :details, :finished, :receiving, :seal) \
             ON CONFLICT (session, number, attempt) DO UPDATE SET bytes = :bytes, details = :details, \
             finished = :finished, receiving = :receiving, seal = :seal";
        self.write(
            sql,
            named_params! {
                ":session": id.session.to_string(),
                ":number": id.number,
                ":attempt": signed(id.attempt)?,
                ":bytes": finished.as_ref().map(|finished| signed(finished.bytes)).transpose()?,
                ":details": finished.as_ref().map(|finished| &finished.details),
                ":finished": finished.as_ref().map(|finished| signed(finished.at.0)).transpose()?,
                ":receiving": receiving_bytes.map(signed).transpose()?,
                ":seal": part_seal(row),
            },
        )?;
        Ok(())
    }

    fn remove_part(&mut self, id: PartId) -> Result<(), Fault> {
        let sql = "DELETE FROM session_parts WHERE session = ?1 AND number = ?2 AND attempt = ?3";
        self.write(sql, (id.session.to_string(), id.number, signed(id.attempt)?))?;
        Ok(())
    }

    fn parts(&mut self, session: SessionId, after: u32, rows_max: u32) -> Result<Vec<PartRow>, Fault> {
        let sql = format!(
            "{PART} WHERE session = ?1 AND number > ?2 AND bytes IS NOT NULL ORDER BY number, attempt LIMIT ?3"
        );
        self.rows(&sql, (session.to_string(), after, rows_max), read_part)
    }

    fn receiving(&mut self, session: Option<SessionId>) -> Result<Vec<PartRow>, Fault> {
        match session {
            None => self.rows(&format!("{PART} WHERE receiving IS NOT NULL"), (), read_part),
            Some(session) => {
                let sql = format!("{PART} WHERE receiving IS NOT NULL AND session = ?1");
                self.rows(&sql, (session.to_string(),), read_part)
            }
        }
    }
}

fn read_session(row: &Row<'_>) -> rusqlite::Result<Result<SessionRow, Fault>> {
    let session = Session {
        id: parsed(row, 0, |text| text.parse().ok())?,
        hold: parsed(row, 1, |text| text.parse().ok())?,
        owner: row.get(2)?,
        path: row.get(3)?,
        bytes_max: optional(row, 4)?,
        begun: UnixSeconds(unsigned(row, 5)?),
        expires: UnixSeconds(unsigned(row, 6)?),
        details: row.get(7)?,
        parts: unsigned(row, 8)?,
        bytes: unsigned(row, 9)?,
    };
    let session = SessionRow { session, counted_bytes: unsigned(row, 10)?, attempts: unsigned(row, 11)? };
    Ok(match row.get::<_, i64>(12)? == session_seal(&session) {
        true => Ok(session),
        false => Err(damaged("seal of an upload session does not fit it")),
    })
}

fn read_part(row: &Row<'_>) -> rusqlite::Result<Result<PartRow, Fault>> {
    let id = PartId {
        session: parsed(row, 0, |text| text.parse().ok())?,
        number: row.get(1)?,
        attempt: unsigned(row, 2)?,
    };
    let finished = match (optional(row, 3)?, row.get(4)?, optional(row, 5)?) {
        (Some(bytes), Some(details), Some(at)) => Some(Finished { bytes, details, at: UnixSeconds(at) }),
        _ => None,
    };
    let part = PartRow { id, finished, receiving_bytes: optional(row, 6)? };
    Ok(match row.get::<_, i64>(7)? == part_seal(&part) {
        true => Ok(part),
        false => Err(damaged("seal of a part does not fit it")),
    })
}

fn optional(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    match row.get::<_, Option<i64>>(column)? {
        Some(_) => unsigned(row, column).map(Some),
        None => Ok(None),
    }
}

fn session_seal(row: &SessionRow) -> i64 {
    let SessionRow { session, counted_bytes, attempts } = row;
    Seal::new()
        .text(&session.id.to_string())
        .text(&session.hold.to_string())
        .text(&session.owner)
        .text(&session.path)
        .number(session.bytes_max.map_or(u64::MAX, |bytes| bytes))
        .number(session.begun.0)
        .number(session.expires.0)
        .text(&session.details)
        .number(session.parts)
        .number(session.bytes)
        .number(*counted_bytes)
        .number(*attempts)
        .to_integer()
}

fn part_seal(row: &PartRow) -> i64 {
    let PartRow { id, finished, receiving_bytes } = row;
    let seal = Seal::new().text(&id.session.to_string()).number(id.number.into()).number(id.attempt);
    let seal = seal.number(receiving_bytes.unwrap_or(u64::MAX));
    match finished {
        Some(finished) => seal.number(finished.bytes).text(&finished.details).number(finished.at.0),
        None => seal,
    }
    .to_integer()
}
