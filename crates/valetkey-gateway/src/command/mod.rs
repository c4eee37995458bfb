//! What operators type: the command line, and what it answers.
//!
//! A command's answer goes to standard output, alone; everything said about it goes to standard error. The
//! time, the streams and whatever reaches into a running gateway come in as arguments.

pub mod audit;
pub mod check;
mod explain;
pub mod inspect;
pub mod ledger;
pub mod narrow;
pub mod operate;
pub(crate) mod presigned;
pub mod serve;
pub mod sign;
pub mod signer;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use valetkey::Timestamp;

use self::audit::AuditArgs;
use self::check::{Acceptance, CheckArgs, Connected};
use self::inspect::InspectArgs;
use self::ledger::LedgerCommand;
use self::narrow::NarrowArgs;
use self::operate::{Ask, RevocationsArgs, RevokeArgs, UsageArgs};
use self::serve::Prepared;
use self::sign::SignArgs;
use self::signer::SignerCommand;
use crate::settings::{FILE_NAME, Settings, SettingsErrors};

/// A self-hosted gateway to object storage that enforces valet keys: signed URLs that open exactly what they
/// say.
#[derive(Debug, Parser)]
#[command(name = "valetkey", version, arg_required_else_help = true)]
pub struct Cli {
    /// What all commands take.
    #[command(flatten)]
    pub options: Options,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What all commands take.
#[derive(Clone, Debug, Default, Args)]
pub struct Options {
    /// The configuration file [default: valetkey.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve; make a configuration first where there is none
    Serve,
    /// Say in words what the configuration means, or what is wrong with it
    Check(CheckArgs),
    /// Sign a key and print its URL
    Sign(Box<SignArgs>),
    /// Make a lesser key of one that you hold: offline, without secret or configuration
    Narrow(Box<NarrowArgs>),
    /// Say what a key permits, and whether it is valid now
    Inspect(InspectArgs),
    /// Revoke a key, or a class of keys: at once, running transfers too
    Revoke(RevokeArgs),
    /// List what is revoked, or take a revocation back
    Revocations(RevocationsArgs),
    /// Say what was used and what is left, in JSON
    Usage(UsageArgs),
    /// Check the audit log, or print its newest records
    Audit(AuditArgs),
    /// Copy the record of uses
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Give an application a secret to sign with, or another one
    #[command(subcommand)]
    Signer(SignerCommand),
}

/// The streams of the process.
pub struct Streams<'a> {
    /// Standard input.
    pub input: &'a mut dyn Read,
    /// Standard output: the answer.
    pub out: &'a mut dyn Write,
    /// Standard error: what is said about it.
    pub notes: &'a mut dyn Write,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It did what it was asked to: exit status 0.
    Done,
    /// It was refused, or what it looked at is not valid: exit status 1.
    Refused,
}

/// What only the gateway itself can do for a command.
pub struct Gateway<S, C, A, Q> {
    /// Serves until the process is told to stop.
    pub serve: S,
    /// Asks each backend whether it can be used.
    pub connect: C,
    /// Takes a ledger or a clock that the gateway distrusts.
    pub accept: A,
    /// Asks one that runs.
    pub ask: Q,
}

/// Runs one command, and says on standard error why it was refused.
pub fn run<S, C, A, Q>(
    cli: Cli,
    now: Timestamp,
    streams: &mut Streams<'_>,
    gateway: Gateway<S, C, A, Q>,
) -> Verdict
where
    Q: Ask,
    S: FnOnce(Prepared) -> anyhow::Result<()>,
    C: FnOnce(&Settings) -> Connected,
    A: FnOnce(&Settings, Acceptance) -> anyhow::Result<()>,
{
    let Cli { options, command } = cli;
    let verdict = match command {
        Command::Serve => {
            serve::prepare(&options, now, streams.notes).and_then(gateway.serve).map(|()| Verdict::Done)
        }
        Command::Check(args) => check::run(&options, &args, streams, gateway.connect, gateway.accept),
        Command::Sign(args) => sign::run(&options, &args, now, streams),
        Command::Narrow(args) => narrow::run(&options, &args, now, streams),
        Command::Inspect(args) => inspect::run(&options, &args, now, streams),
        Command::Revoke(args) => operate::revoke(&options, &args, streams, &gateway.ask),
        Command::Revocations(args) => operate::revocations(&options, &args, streams, &gateway.ask),
        Command::Usage(args) => operate::usage(&options, &args, streams, &gateway.ask),
        Command::Audit(args) => audit::run(&options, &args, streams),
        Command::Ledger(command) => ledger::run(&options, &command, streams),
        Command::Signer(command) => signer::run(&options, &command, streams),
    };
    verdict.unwrap_or_else(|error| {
        // Faults of the configuration are whole lines of their own, for editors to jump to.
        let said = match error.downcast_ref::<SettingsErrors>() {
            Some(errors) => writeln!(streams.notes, "{errors}"),
            None => writeln!(streams.notes, "valetkey: {error:#}"),
        };
        // Where even standard error is closed, the exit status is all there is to say.
        said.map_or(Verdict::Refused, |()| Verdict::Refused)
    })
}

impl Options {
    /// The configuration file.
    fn path(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(FILE_NAME))
    }

    /// Whether nobody named a configuration file and none is where it would be by itself.
    fn is_unconfigured(&self) -> bool {
        self.config.is_none() && self.path().symlink_metadata().is_err()
    }

    fn load(&self) -> anyhow::Result<Settings> {
        if self.is_unconfigured() {
            anyhow::bail!(
                "there is no {FILE_NAME} here; name a configuration with --config, or let `valetkey serve` make one"
            );
        }
        Ok(Settings::load(self.path())?)
    }
}

/// Writes a value as one JSON document.
fn write_json(out: &mut dyn Write, value: &impl serde::Serialize) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value).context("write the answer")?;
    writeln!(out).context("write the answer")
}

#[cfg(test)]
mod tests;
