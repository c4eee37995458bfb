//! The command `valetkey`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use valetkey_gateway::clock;
use valetkey_gateway::command::check::Acceptance;
use valetkey_gateway::command::serve::Prepared;
use valetkey_gateway::command::{self, Cli, Gateway, Streams, Verdict};
use valetkey_gateway::settings::Settings;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut streams =
        Streams { input: &mut std::io::stdin(), out: &mut std::io::stdout(), notes: &mut std::io::stderr() };
    match command::run(cli, clock::now(), &mut streams, Gateway { serve, accept }) {
        Verdict::Done => ExitCode::SUCCESS,
        Verdict::Refused => ExitCode::FAILURE,
    }
}

/// Hands over to the gateway.
fn serve(prepared: Prepared) -> anyhow::Result<()> {
    if let Some(welcome) = &prepared.welcome {
        writeln!(std::io::stdout(), "{welcome}")?;
    }
    anyhow::bail!("this build reads {} and does not serve yet", prepared.config_path.display())
}

/// Hands over to the ledger.
fn accept(_settings: &Settings, _acceptance: Acceptance) -> anyhow::Result<()> {
    anyhow::bail!("this build has no ledger yet, so there is nothing to accept")
}
