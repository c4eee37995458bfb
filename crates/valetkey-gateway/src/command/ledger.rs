//! `valetkey ledger`: what operators do with the record of uses.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;
use valetkey_ledger::engine::sqlite;

use super::{Options, Streams, Verdict, write_json};
use crate::settings::Ledger;

/// What can be done with the ledger.
#[derive(Clone, Debug, Subcommand)]
pub enum LedgerCommand {
    /// Copy the ledger as it stands now to a new file, while the gateway runs
    Backup(BackupArgs),
}

/// What `valetkey ledger backup` takes.
#[derive(Clone, Debug, Args)]
pub struct BackupArgs {
    /// Where the copy is to be; nothing is overwritten
    pub file: PathBuf,
}

/// Does what was asked with the ledger that the configuration names.
///
/// # Errors
/// Where the ledger cannot be read or the copy not be written.
pub fn run(options: &Options, command: &LedgerCommand, streams: &mut Streams<'_>) -> anyhow::Result<Verdict> {
    let LedgerCommand::Backup(BackupArgs { file }) = command;
    let settings = options.load()?;
    let Ledger::Sqlite { path } = &settings.ledger else {
        anyhow::bail!("a ledger in memory has no file to copy");
    };
    sqlite::backup(path, file).with_context(|| format!("copy the ledger to {}", file.display()))?;
    let made = Made { ledger: path.display().to_string(), backup: file.display().to_string() };
    if options.json {
        write_json(streams.out, &made)?;
    } else {
        writeln!(streams.notes, "copied {} to {}", made.ledger, made.backup)?;
    }
    Ok(Verdict::Done)
}

/// The copy, in JSON.
#[derive(Serialize)]
struct Made {
    ledger: String,
    backup: String,
}
