//! The command `valetkey`.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use valetkey_gateway::admin::ask;
use valetkey_gateway::command::check::Acceptance;
use valetkey_gateway::command::serve::Prepared;
use valetkey_gateway::command::{self, Cli, Gateway, Streams, Verdict};
use valetkey_gateway::settings::{Ledger, Settings};
use valetkey_gateway::{clock, observe, serve};
use valetkey_ledger::UnixSeconds;
use valetkey_ledger::engine::sqlite;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut streams =
        Streams { input: &mut std::io::stdin(), out: &mut std::io::stdout(), notes: &mut std::io::stderr() };
    match command::run(
        cli,
        clock::now(),
        &mut streams,
        Gateway { serve: run_gateway, connect: serve::connect, accept, ask },
    ) {
        Verdict::Done => ExitCode::SUCCESS,
        Verdict::Refused => ExitCode::FAILURE,
    }
}

/// Serves until it is told to stop. What a first start has to say is said once connections are taken.
fn run_gateway(prepared: Prepared) -> anyhow::Result<()> {
    observe::log::start(std::env::var("RUST_LOG").ok().as_deref()).context("start the log")?;
    serve::run(prepared.settings, prepared.watch, |address| {
        tracing::info!(%address, "listening");
        if let Some(welcome) = &prepared.welcome {
            // Where nobody reads it, nothing is lost.
            let _ = writeln!(std::io::stdout(), "{welcome}");
        }
    })?;
    Ok(())
}

/// Writes what the operator accepts into the ledger, which a running gateway then reads.
fn accept(settings: &Settings, acceptance: Acceptance) -> anyhow::Result<()> {
    let Ledger::Sqlite { path } = &settings.ledger else {
        anyhow::bail!("a ledger in memory has nothing to accept");
    };
    let now = || u64::try_from(clock::now().unix()).map(UnixSeconds).context("the clock lies before 1970");
    if acceptance.new_ledger {
        sqlite::accept(path, valetkey_ledger::Acceptance::NewLedger(now()?))
            .context("accept the new ledger")?;
    }
    if acceptance.clock {
        sqlite::accept(path, valetkey_ledger::Acceptance::Clock(now()?)).context("accept the clock")?;
    }
    if acceptance.audit_log {
        sqlite::accept(path, valetkey_ledger::Acceptance::AuditLog).context("accept the audit log")?;
    }
    Ok(())
}
