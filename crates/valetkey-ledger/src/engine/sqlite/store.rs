//! Rows in SQLite. A transaction begins with the first write, so that a batch which only reads costs no lock.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, named_params};

use super::file::failed;
use super::schema::{self, shows_damage, unreadable};
use super::seal::Seal;
use super::{meters, revocations, sessions};
use crate::store::{
    Charged, Fault, FileName, FileRow, Header, HoldRow, HoldState, MeterRow, Standing, Store,
};
use crate::{Action, AuditHead, HoldId, Meter, MeterQuery, OpenError, UnixSeconds};

/// How much of the file is kept in memory, in KiB, negative as SQLite wants it: what many meters share of their
/// index, so that a commit among them reads little.
const CACHE_KIB: &str = "-65536";

/// How long to wait for another process, which writes an acceptance or copies the file.
pub(super) const OTHERS_WAIT: Duration = Duration::from_secs(5);

pub(super) struct SqliteStore {
    pub(super) connection: Connection,
}

impl SqliteStore {
    /// Opens and checks the ledger, or makes it in an empty file.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        refuse_emptied(path)?;
        let (mut store, version) = Self::connect(path)?;
        let is_empty = version == schema::EMPTY;
        refuse_stump(path, is_empty)?;
        // A file in which nothing was ever recorded is made anew; for others the log is their state.
        store.set("journal_mode", "wal", path)?;
        store.set("synchronous", "full", path)?;
        if is_empty {
            let ledger = getrandom::u64().map_err(OpenError::Random)?;
            store.make(&Header::new(ledger)).map_err(|fault| open_error(path, fault))?;
        } else {
            schema::check(&store.connection, path)?;
            store.migrate(version).map_err(|fault| open_error(path, fault))?;
            store.check_seals().map_err(|fault| open_error(path, fault))?;
        }
        Ok(store)
    }

    /// Opens a ledger that may be open elsewhere, to write to its header.
    pub(super) fn open_beside(path: &Path) -> Result<Self, OpenError> {
        match Self::connect(path)? {
            (_, schema::EMPTY) => Err(OpenError::Missing(path.to_owned())),
            (store, _) => {
                store.set("synchronous", "full", path)?;
                schema::complete(&store.connection).map_err(|error| unreadable(path, error))?;
                Ok(store)
            }
        }
    }

    /// Says which version the file has.
    fn connect(path: &Path) -> Result<(Self, i64), OpenError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|error| unreadable(path, error))?;
        connection.busy_timeout(OTHERS_WAIT).map_err(|error| unreadable(path, error))?;
        connection.set_prepared_statement_cache_capacity(64);
        let store = Self { connection };
        store.set("cell_size_check", "on", path)?;
        store.set("trusted_schema", "off", path)?;
        store.set("cache_size", CACHE_KIB, path)?;
        let version = schema::version(&store.connection, path)?;
        Ok((store, version))
    }

    fn set(&self, pragma: &str, value: &str, path: &Path) -> Result<(), OpenError> {
        // Some answer with a row, some with none.
        self.connection
            .pragma_update_and_check(None, pragma, value, |_| Ok(()))
            .optional()
            .map(drop)
            .map_err(|error| unreadable(path, error))
    }

    fn make(&mut self, header: &Header) -> Result<(), Fault> {
        self.begin()?;
        schema::migrate(&self.connection, schema::EMPTY)?;
        self.put_header(header)?;
        self.commit()
    }

    /// Brings the file of an earlier release to this one's version, in one transaction.
    fn migrate(&mut self, version: i64) -> Result<(), Fault> {
        if version == schema::VERSION {
            return Ok(());
        }
        self.begin()?;
        schema::migrate(&self.connection, version)?;
        self.commit()
    }

    fn check_seals(&mut self) -> Result<(), Fault> {
        self.header()?;
        self.audit_head()?;
        sessions::check_seals(&self.connection)?;
        revocations::check_aliases(&self.connection)?;
        meters::check_seals(&self.connection)
    }

    #[cfg(test)]
    pub(super) fn pragma(&self, name: &str) -> rusqlite::types::Value {
        self.connection.pragma_query_value(None, name, |row| row.get(0)).expect("a setting can be read")
    }

    /// Runs a statement that writes.
    pub(super) fn write(&mut self, sql: &'static str, params: impl rusqlite::Params) -> Result<usize, Fault> {
        self.begin()?;
        self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute(params)).map_err(fault)
    }

    /// Runs a statement that reads at most one row.
    pub(super) fn read<T>(
        &self,
        sql: &'static str,
        params: impl rusqlite::Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Fault> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row(params, read).optional())
            .map_err(fault)
    }

    pub(super) fn begin_writing(&mut self) -> Result<(), Fault> {
        self.begin()
    }

    /// Runs a statement that reads rows with seals of their own.
    pub(super) fn read_all<T>(
        &self,
        sql: &'static str,
        params: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<Result<T, Fault>>,
    ) -> Result<Vec<T>, Fault> {
        let mut statement = self.connection.prepare_cached(sql).map_err(fault)?;
        let rows = statement.query_map(params, read).map_err(fault)?;
        rows.map(|row| row.map_err(fault)?).collect()
    }

    /// Runs one of the statements around a transaction.
    fn run(&self, sql: &'static str) -> Result<(), Fault> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(()))
            .map(drop)
            .map_err(fault)
    }
}

impl Store for SqliteStore {
    fn begin(&mut self) -> Result<(), Fault> {
        match self.has_writes() {
            true => Ok(()),
            false => self.run("BEGIN IMMEDIATE"),
        }
    }

    fn has_writes(&self) -> bool {
        !self.connection.is_autocommit()
    }

    fn commit(&mut self) -> Result<(), Fault> {
        match self.has_writes() {
            true => self.run("COMMIT"),
            false => Ok(()),
        }
    }

    fn rollback(&mut self) {
        // Some failures have rolled back already. If this fails too, the next BEGIN says so.
        if self.has_writes()
            && let Err(Fault::Failed(error) | Fault::Damaged(error)) = self.run("ROLLBACK")
        {
            tracing::error!(error = &*error, "roll back ledger batch");
        }
    }

    fn header(&mut self) -> Result<Header, Fault> {
        let sql =
            "SELECT id, standing, time_mark, cleared_before, meters_made, acceptances, seal FROM ledger";
        let found = self.read(sql, (), |row| {
            let header = Header {
                ledger: parsed(row, 0, |text| u64::from_str_radix(text, 16).ok())?,
                standing: parsed(row, 1, standing)?,
                time_mark: UnixSeconds(unsigned(row, 2)?),
                cleared_before: UnixSeconds(unsigned(row, 3)?),
                meters_made: unsigned(row, 4)?,
                acceptances: unsigned(row, 5)?,
            };
            Ok((header, row.get::<_, i64>(6)?))
        })?;
        match found {
            Some((header, seal)) if seal == header_seal(&header) => Ok(header),
            Some(_) => Err(damaged("seal of the ledger's own row does not fit it")),
            None => Err(damaged("ledger's own row is missing")),
        }
    }

    fn put_header(&mut self, header: &Header) -> Result<(), Fault> {
        let sql = "INSERT INTO ledger (one, id, standing, time_mark, cleared_before, meters_made, acceptances, seal) \
             VALUES (1, :id, :standing, :time_mark, :cleared_before, :meters_made, :acceptances, :seal) \
             ON CONFLICT (one) DO UPDATE SET standing = :standing, time_mark = :time_mark, \
             cleared_before = :cleared_before, meters_made = :meters_made, acceptances = :acceptances, seal = :seal";
        self.write(
            sql,
            named_params! {
                ":id": format!("{:016x}", header.ledger),
                ":standing": standing_text(header.standing),
                ":time_mark": signed(header.time_mark.0)?,
                ":cleared_before": signed(header.cleared_before.0)?,
                ":meters_made": signed(header.meters_made)?,
                ":acceptances": signed(header.acceptances)?,
                ":seal": header_seal(header),
            },
        )?;
        Ok(())
    }

    fn meter(&mut self, meter: &Meter) -> Result<Option<MeterRow>, Fault> {
        self.read_meter(meter)
    }

    fn put_meter(&mut self, meter: &Meter, row: MeterRow) -> Result<(), Fault> {
        self.write_meter(meter, &row)
    }

    fn meters(&mut self, query: &MeterQuery) -> Result<Vec<(Meter, MeterRow)>, Fault> {
        self.list_meters(query)
    }

    fn clear_meters(&mut self, before: UnixSeconds, rows_max: u32) -> Result<Option<UnixSeconds>, Fault> {
        self.clear(before, rows_max)
    }

    fn clear_names(&mut self, rows_max: u32) -> Result<bool, Fault> {
        self.clear_files(rows_max)
    }

    fn file(&mut self, made: u64, name: FileName) -> Result<Option<FileRow>, Fault> {
        self.read_file(made, name)
    }

    fn put_file(&mut self, made: u64, name: FileName, row: Option<FileRow>) -> Result<(), Fault> {
        self.write_file(made, name, row)
    }

    fn hold(&mut self, id: HoldId) -> Result<Option<HoldRow>, Fault> {
        let hold = id.to_string();
        let sql = "SELECT state, action, object, in_bytes, out_bytes, file FROM holds WHERE id = ?1";
        let found = self.read(sql, (&hold,), |row| {
            Ok(HoldRow {
                state: parsed(row, 0, hold_state)?,
                action: parsed(row, 1, action)?,
                object: row.get(2)?,
                in_bytes: unsigned(row, 3)?,
                out_bytes: unsigned(row, 4)?,
                file: row.get::<_, Option<[u8; 16]>>(5)?.map(FileName),
                charged: Vec::new(),
            })
        })?;
        let Some(found) = found else {
            return Ok(None);
        };
        let sql = "SELECT meter, made, in_max, named FROM hold_charges WHERE hold = ?1 ORDER BY level";
        let mut statement = self.connection.prepare_cached(sql).map_err(fault)?;
        let charged = statement
            .query_map((&hold,), |row| {
                let in_max: Option<i64> = row.get(2)?;
                Ok(Charged {
                    meter: Meter::new(row.get::<_, String>(0)?),
                    made: unsigned(row, 1)?,
                    in_max: in_max.map(|_| unsigned(row, 2)).transpose()?,
                    named: row.get(3)?,
                })
            })
            .and_then(Iterator::collect)
            .map_err(fault)?;
        Ok(Some(HoldRow { charged, ..found }))
    }

    fn put_hold(&mut self, id: HoldId, row: HoldRow) -> Result<(), Fault> {
        let hold = id.to_string();
        let sql = "INSERT INTO holds (id, state, action, object, in_bytes, out_bytes, file) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let HoldRow { state, action, object, in_bytes, out_bytes, file, charged } = row;
        let (in_bytes, out_bytes, file) = (signed(in_bytes)?, signed(out_bytes)?, file.map(|name| name.0));
        self.write(sql, (&hold, state_text(state), action.as_str(), object, in_bytes, out_bytes, file))?;
        for (level, Charged { meter, made, in_max, named }) in (0_i64..).zip(&charged) {
            let sql = "INSERT INTO hold_charges (hold, level, meter, made, in_max, named) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let in_max = in_max.map(signed).transpose()?;
            self.write(sql, (&hold, level, meter.as_str(), signed(*made)?, in_max, named))?;
        }
        Ok(())
    }

    fn set_in_bytes(&mut self, id: HoldId, in_bytes: u64) -> Result<(), Fault> {
        let sql = "UPDATE holds SET in_bytes = ?2 WHERE id = ?1";
        self.write(sql, (id.to_string(), signed(in_bytes)?)).map(drop)
    }

    fn mark_publishing(&mut self, id: HoldId) -> Result<(), Fault> {
        let sql = "UPDATE holds SET state = ?2 WHERE id = ?1";
        self.write(sql, (id.to_string(), state_text(HoldState::Publishing)))?;
        Ok(())
    }

    fn remove_hold(&mut self, id: HoldId) -> Result<(), Fault> {
        let hold = id.to_string();
        self.write("DELETE FROM holds WHERE id = ?1", (&hold,))?;
        self.write("DELETE FROM hold_charges WHERE hold = ?1", (&hold,))?;
        Ok(())
    }

    fn holds_in(&mut self, state: HoldState) -> Result<Vec<HoldId>, Fault> {
        let sql = "SELECT id FROM holds WHERE state = ?1 ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql).map_err(fault)?;
        statement
            .query_map((state_text(state),), |row| parsed(row, 0, |text| text.parse().ok()))
            .and_then(Iterator::collect)
            .map_err(fault)
    }

    fn audit_head(&mut self) -> Result<Option<AuditHead>, Fault> {
        let found = self.read("SELECT records, hash, seal FROM audit_head", (), |row| {
            let head = AuditHead { records: unsigned(row, 0)?, hash: parsed(row, 1, hash)? };
            Ok((head, row.get::<_, i64>(2)?))
        })?;
        match found {
            Some((head, seal)) if seal != audit_head_seal(&head) => {
                Err(damaged("seal of the audit log's head does not fit it"))
            }
            found => Ok(found.map(|(head, _)| head)),
        }
    }

    fn put_audit_head(&mut self, head: Option<AuditHead>) -> Result<(), Fault> {
        let Some(head) = head else {
            return self.write("DELETE FROM audit_head", ()).map(drop);
        };
        let sql = "INSERT INTO audit_head (one, records, hash, seal) VALUES (1, ?1, ?2, ?3) \
             ON CONFLICT (one) DO UPDATE SET records = ?1, hash = ?2, seal = ?3";
        self.write(sql, (signed(head.records)?, hash_text(&head), audit_head_seal(&head))).map(drop)
    }
}

/// What a fault means to whoever opens the file.
pub(super) fn open_error(path: &Path, fault: Fault) -> OpenError {
    match fault {
        Fault::Damaged(error) => OpenError::Damaged { path: path.to_owned(), detail: error.to_string() },
        Fault::Failed(error) => OpenError::Failed { path: path.to_owned(), source: error.into() },
    }
}

/// A database of no length beside a log with content has lost its content. SQLite would take it for new, and throw the
/// log away.
fn refuse_emptied(path: &Path) -> Result<(), OpenError> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let length = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    match length(path) == 0 && length(Path::new(&log)) > 0 {
        true => Err(OpenError::Damaged {
            path: path.to_owned(),
            detail: "empty beside a write-ahead log".to_owned(),
        }),
        false => Ok(()),
    }
}

/// SQLite takes a file that is shorter than any page for an empty one. A ledger that was being made when its process
/// was killed has no byte, or whole pages.
fn refuse_stump(path: &Path, is_empty: bool) -> Result<(), OpenError> {
    const PAGE_BYTES_MIN: u64 = 512;
    let length = fs::metadata(path).map_err(failed(path))?.len();
    match is_empty && (1..PAGE_BYTES_MIN).contains(&length) {
        true => {
            Err(OpenError::Damaged { path: path.to_owned(), detail: format!("only {length} bytes long") })
        }
        false => Ok(()),
    }
}

pub(super) fn fault(error: rusqlite::Error) -> Fault {
    match shows_damage(&error) {
        true => Fault::Damaged(Arc::new(error)),
        false => Fault::Failed(Arc::new(error)),
    }
}

pub(super) fn damaged(what: &'static str) -> Fault {
    Fault::Damaged(Arc::from(Box::from(what)))
}

fn header_seal(header: &Header) -> i64 {
    Seal::new()
        .number(header.ledger)
        .text(standing_text(header.standing))
        .number(header.time_mark.0)
        .number(header.cleared_before.0)
        .number(header.meters_made)
        .number(header.acceptances)
        .to_integer()
}

fn audit_head_seal(head: &AuditHead) -> i64 {
    Seal::new().number(head.records).text(&hash_text(head)).to_integer()
}

fn hash_text(head: &AuditHead) -> String {
    head.hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    (text.len() == 64).then_some(hash)
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// The transitions keep every number in range; one that is not would be a count gone wild.
pub(super) fn signed(value: u64) -> Result<i64, Fault> {
    i64::try_from(value).map_err(|error| Fault::Failed(Arc::new(error)))
}

pub(super) fn parsed<T>(
    row: &Row<'_>,
    column: usize,
    parse: impl FnOnce(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| {
        let error = format!("unknown word {text:?}").into();
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error)
    })
}

fn standing_text(standing: Standing) -> &'static str {
    match standing {
        Standing::New => "new",
        Standing::Distrusted => "distrusted",
        Standing::Accepted => "accepted",
    }
}

fn standing(text: &str) -> Option<Standing> {
    [Standing::New, Standing::Distrusted, Standing::Accepted]
        .into_iter()
        .find(|word| standing_text(*word) == text)
}

fn state_text(state: HoldState) -> &'static str {
    match state {
        HoldState::Held => "held",
        HoldState::Publishing => "publishing",
    }
}

fn hold_state(text: &str) -> Option<HoldState> {
    [HoldState::Held, HoldState::Publishing].into_iter().find(|word| state_text(*word) == text)
}

fn action(text: &str) -> Option<Action> {
    [Action::Upload, Action::Delete].into_iter().find(|word| word.as_str() == text)
}
