//! `valetkey audit`: whether the log is what the gateway wrote, and its newest records.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;
use valetkey_ledger::engine::sqlite;

use super::{Options, Streams, Verdict, write_json};
use crate::notify::{ChainKey, Head, LineHash, Verified, newest, verify_file, verify_log};
use crate::observe::disturbs;
use crate::settings::{self, Ledger, Settings};

/// What `valetkey audit` takes.
#[derive(Clone, Debug, Args)]
pub struct AuditArgs {
    /// What to do with the log.
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// What can be done with the audit log.
#[derive(Clone, Debug, Subcommand)]
pub enum AuditCommand {
    /// Check that no record was changed, left out, put in or cut off; say where, if one was
    Verify(VerifyArgs),
    /// Print the newest records
    Tail(TailArgs),
}

/// What `valetkey audit verify` takes.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// One file of the log [default: all of its files, up to the newest record that the ledger knows]
    pub file: Option<PathBuf>,
    /// The hash that FILE's first record must carry, where the file before it is elsewhere
    #[arg(long, value_name = "HASH", requires = "file", value_parser = parse_hash)]
    pub after: Option<LineHash>,
}

/// What `valetkey audit tail` takes.
#[derive(Clone, Copy, Debug, Args)]
pub struct TailArgs {
    /// How many records
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 10)]
    pub count: usize,
}

/// Does what was asked with the log that the configuration names.
///
/// # Errors
/// Where the log, its key or the ledger cannot be read.
pub fn run(options: &Options, args: &AuditArgs, streams: &mut Streams<'_>) -> anyhow::Result<Verdict> {
    let settings = options.load()?;
    let log = &settings.audit;
    let key = ChainKey::load(&log.key_file)?
        .with_context(|| format!("there is no key file {} of the audit log", log.key_file.display()))?;
    match &args.command {
        AuditCommand::Verify(args) => verify(options, args, &settings, &key, streams),
        AuditCommand::Tail(args) => tail(options, *args, log, &key, streams),
    }
}

fn parse_hash(hex: &str) -> Result<LineHash, String> {
    LineHash::from_hex(hex).map_err(|_| "a hash is 64 digits of hex".to_owned())
}

/// A look through the log, as it is told.
#[derive(Serialize)]
struct VerifiedView<'a> {
    valid: bool,
    records: u64,
    last: String,
    files: Vec<FileView>,
    /// The newest record that the ledger knows; `null` where one file was named.
    ledger: Option<HeadView>,
    fault: Option<FaultView<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct FileView {
    file: String,
    records: u64,
}

#[derive(Serialize)]
struct HeadView {
    records: u64,
    hash: String,
}

#[derive(Serialize)]
struct FaultView<'a> {
    file: String,
    line: u64,
    why: &'a str,
}

fn verify(
    options: &Options,
    args: &VerifyArgs,
    settings: &Settings,
    key: &ChainKey,
    streams: &mut Streams<'_>,
) -> anyhow::Result<Verdict> {
    let (known, verified) = match &args.file {
        Some(file) => (None, verify_file(file, &settings.audit, key, args.after)?),
        None => {
            // Asked before the log is read, which may grow meanwhile.
            let known = known(settings)?;
            (known, verify_log(&settings.audit, key, known)?)
        }
    };
    if options.json {
        write_json(streams.out, &view(&verified, known))?;
    } else {
        tell(&verified, known, streams)?;
    }
    Ok(if verified.fault.is_none() { Verdict::Done } else { Verdict::Refused })
}

/// The newest record that the ledger knows of; `None` where it keeps none.
fn known(settings: &Settings) -> anyhow::Result<Option<Head>> {
    let Ledger::Sqlite { path } = &settings.ledger else { return Ok(None) };
    let head = sqlite::audit_head(path).context("ask the ledger for the newest record")?;
    Ok(head.map(|head| Head { records: head.records, hash: LineHash::from_bytes(head.hash) }))
}

fn view(verified: &Verified, known: Option<Head>) -> VerifiedView<'_> {
    let file =
        |(path, records): &(PathBuf, u64)| FileView { file: path.display().to_string(), records: *records };
    VerifiedView {
        valid: verified.fault.is_none(),
        records: verified.records,
        last: verified.last.to_string(),
        files: verified.files.iter().map(file).collect(),
        ledger: known.map(|head| HeadView { records: head.records, hash: head.hash.to_string() }),
        fault: verified.fault.as_ref().map(|fault| FaultView {
            file: fault.file.display().to_string(),
            line: fault.line,
            why: &fault.why,
        }),
        notes: &verified.notes,
    }
}

fn tell(verified: &Verified, known: Option<Head>, streams: &mut Streams<'_>) -> anyhow::Result<()> {
    for note in &verified.notes {
        writeln!(streams.notes, "{note}")?;
    }
    for (path, records) in &verified.files {
        writeln!(streams.out, "{}: {records} records", path.display())?;
    }
    match (&verified.fault, known) {
        (Some(fault), _) => {
            writeln!(streams.notes, "{}:{}: {}", fault.file.display(), fault.line, fault.why)?;
        }
        (None, Some(known)) => writeln!(
            streams.out,
            "all {} follow one from the other, record {} of the ledger among them; the last is {}",
            verified.records, known.records, verified.last
        )?,
        (None, None) => writeln!(
            streams.out,
            "all {} follow one from the other; the last is {}, and nothing was asked whether there were more",
            verified.records, verified.last
        )?,
    }
    Ok(())
}

fn tail(
    options: &Options,
    args: TailArgs,
    log: &settings::Audit,
    key: &ChainKey,
    streams: &mut Streams<'_>,
) -> anyhow::Result<Verdict> {
    let records =
        newest(log, key, args.count).with_context(|| format!("read audit log {}", log.path.display()))?;
    for record in records {
        match options.json {
            true => writeln!(streams.out, "{record}")?,
            false => writeln!(streams.out, "{}", readable(&record))?,
        }
    }
    Ok(Verdict::Done)
}

/// A record as a line for people: when, what came of it, what was asked, and then all else that is known.
fn readable(record: &str) -> String {
    let Ok(record) = serde_json::from_str::<Value>(record) else { return plain(record) };
    let shown = |name: &str| match &record[name] {
        Value::Null => None,
        Value::String(text) => Some(plain(text)),
        other => Some(other.to_string()),
    };
    let or_dash = |name| shown(name).unwrap_or_else(|| "-".to_owned());
    let mut line = format!("{} {:>3} {}", or_dash("time"), or_dash("status"), or_dash("action"));
    if let Some(bucket) = shown("bucket") {
        write!(line, " /{bucket}/{}", shown("object").unwrap_or_default()).expect("a string takes all");
    }
    for name in ["reason", "signer", "id", "subject", "policy", "key", "client"] {
        if let Some(value) = shown(name) {
            let quote = if value.contains(' ') { "\"" } else { "" };
            write!(line, " {name}={quote}{value}{quote}").expect("a string takes all");
        }
    }
    for name in ["bytes_in", "bytes_out", "duration_ms", "request_id"] {
        if let Some(value) = shown(name) {
            write!(line, " {name}={value}").expect("a string takes all");
        }
    }
    line
}

/// A text that stays on its line and drives no terminal.
fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        match disturbs(char) {
            true => shown.extend(char.escape_unicode()),
            false => shown.push(char),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_one_plain_line() {
        let record = r#"{"time":"2026-11-22T00:00:00Z","request_id":"r-1","dialect":"native","signer":"web","subject":"a b","key":null,"id":null,"policy":null,"action":"upload","bucket":"files","object":"a\u001b[2J\nb","client":"::1","status":200,"reason":null,"bytes_in":5,"bytes_out":null,"digest":null,"duration_ms":12,"previous":"00"}"#;
        assert_eq!(
            readable(record),
            "2026-11-22T00:00:00Z 200 upload /files/a\\u{1b}[2J\\u{a}b signer=web subject=\"a b\" client=::1 \
             bytes_in=5 duration_ms=12 request_id=r-1"
        );
        assert_eq!(readable("no\u{7}record"), "no\\u{7}record");
    }
}
