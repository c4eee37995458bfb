//! `valetkey signer`: a secret for an application to sign with, and another one in its place.
//!
//! Each secret gets a file of its own, and none is ever overwritten. The configuration is replaced as a whole
//! once it is known to be sound, so a running gateway goes over in one step.

mod edit;

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde::Serialize;
use valetkey::{ResourcePath, Verbs};

use self::edit::{Configuration, Limits};
use super::sign::{read_duration, read_path, read_verbs};
use super::{Options, Streams, Verdict, write_json};
use crate::settings::measure::Span;
use crate::settings::{Settings, fresh, is_name};

/// What `valetkey signer` does.
#[derive(Clone, Debug, Subcommand)]
pub enum SignerCommand {
    /// Make a secret and add its signer to the configuration
    New(NewArgs),
    /// Make another secret, which signs from now on; keys of the one before still open
    Rotate(RotateArgs),
}

/// What `valetkey signer new` takes.
#[derive(Clone, Debug, Args)]
pub struct NewArgs {
    /// The signer's name: 1 to 32 of a-z 0-9 -
    #[arg(value_name = "NAME", value_parser = read_name)]
    pub name: String,
    /// What its keys can open at most; may be given again [default: every bucket there is now]
    #[arg(long, value_name = "PATH", value_parser = read_path)]
    pub scope: Vec<ResourcePath>,
    /// What its keys can allow at most [default: create,delete,list,read,write]
    #[arg(long, value_name = "LIST", value_parser = read_verbs)]
    pub allow: Option<Verbs>,
    /// How long its keys last at most
    #[arg(long, value_name = "DURATION", value_parser = read_duration, default_value = "7d")]
    pub max_lifetime: Duration,
    /// What both commands take.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// What `valetkey signer rotate` takes.
#[derive(Clone, Debug, Args)]
pub struct RotateArgs {
    /// The signer
    #[arg(value_name = "NAME", value_parser = read_name)]
    pub name: String,
    /// Rotate again although keys of the secret before still open: they open nothing from now on
    #[arg(long)]
    pub force: bool,
    /// The secret got into wrong hands: no key that was signed so far opens anything from now on
    #[arg(long)]
    pub leaked: bool,
    /// What both commands take.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Where the secret goes, and whether the configuration is edited.
#[derive(Clone, Debug, Args)]
pub struct PlaceArgs {
    /// The file to make, from the configuration's folder [default: beside the secrets that are there]
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<String>,
    /// Leave the configuration as it is, and print the table to put there
    #[arg(long)]
    pub print: bool,
}

fn read_name(text: &str) -> Result<String, String> {
    if is_name(text) { Ok(text.to_owned()) } else { Err("a name has 1 to 32 of a-z 0-9 -".to_owned()) }
}

/// What was done.
#[derive(Clone, Debug, Serialize)]
struct Done<'a> {
    signer: &'a str,
    /// The file with the secret that signs from now on.
    secret_file: &'a Path,
    config: &'a Path,
    /// Whether the configuration was edited.
    written: bool,
    /// The signer's table as it is now, or is to be.
    toml: &'a str,
}

/// Makes a secret, and a signer of it.
///
/// # Errors
/// Where the configuration is faulty, or would be; then nothing is left behind.
pub fn run(options: &Options, command: &SignerCommand, streams: &mut Streams<'_>) -> anyhow::Result<Verdict> {
    let settings = options.load()?;
    let path = options.path();
    let mut configuration = Configuration::read(path)?;
    let (name, place, told) = match command {
        SignerCommand::New(args) => (&args.name, &args.place, add(args, &settings, &mut configuration)?),
        SignerCommand::Rotate(args) => {
            (&args.name, &args.place, rotate(args, &settings, &mut configuration)?)
        }
    };
    if !place.print {
        check_owner(path)?;
    }
    let secret_file = folder_of(path).join(configuration.secret_file(name)?);
    make_secret(&secret_file)?;
    let text = configuration.text();
    let taken = Settings::of_text(&text, path).map_err(anyhow::Error::from).and_then(|_| {
        if place.print { Ok(()) } else { Ok(fresh::replace(path, configuration.before(), &text)?) }
    });
    if let Err(error) = taken {
        std::fs::remove_file(&secret_file).context("remove the secret that was made")?;
        return Err(error);
    }
    let toml = configuration.table(name)?;
    if options.json {
        let (secret_file, written) = (secret_file.as_path(), !place.print);
        write_json(streams.out, &Done { signer: name, secret_file, config: path, written, toml: &toml })?;
        return Ok(Verdict::Done);
    }
    let made = format!("made {}, the secret of signer {name}", secret_file.display());
    if place.print {
        writeln!(streams.notes, "{made}\nput this into {}:", path.display())?;
        write!(streams.out, "{toml}")?;
    } else {
        writeln!(streams.out, "{made}\nwrote it into {}: {told}", path.display())?;
        writeln!(streams.notes, "a running gateway takes it within two seconds")?;
    }
    Ok(Verdict::Done)
}

/// Adds a signer, and says what it may do.
fn add(args: &NewArgs, settings: &Settings, configuration: &mut Configuration) -> anyhow::Result<String> {
    let name = &args.name;
    if settings.signers.contains_key(name) {
        bail!("signer {name} is there already; valetkey signer rotate {name} gives it another secret");
    }
    let scope: Vec<_> = if args.scope.is_empty() {
        settings.buckets.keys().map(|bucket| format!("/{bucket}/")).collect()
    } else {
        args.scope.iter().map(ToString::to_string).collect()
    };
    let all = ["create", "delete", "list", "read", "write"];
    let allow =
        args.allow.map_or_else(|| all.to_vec(), |verbs| verbs.iter().map(valetkey::Verb::name).collect());
    let told = format!(
        "its keys open at most {}, allow {} and last {}",
        if scope.is_empty() { "nothing".to_owned() } else { scope.join(", ") },
        allow.join(", "),
        Span(args.max_lifetime)
    );
    let file = match &args.place.secret_file {
        Some(file) => file.clone(),
        None => configuration.secrets_folder().join(format!("{name}.secret")).display().to_string(),
    };
    configuration.add(name, &file, &Limits { scope, allow, max_lifetime: args.max_lifetime })?;
    Ok(told)
}

/// Gives a signer another secret, and says what becomes of the keys that were signed before.
fn rotate(
    args: &RotateArgs,
    settings: &Settings,
    configuration: &mut Configuration,
) -> anyhow::Result<String> {
    let name = &args.name;
    let Some(signer) = settings.signers.get(name) else {
        bail!(crate::settings::missing("signer", name, settings.signers.keys().map(String::as_str)));
    };
    let before = configuration.previous(name)?;
    if let Some(previous) = before.filter(|_| !args.force && !args.leaked) {
        bail!(
            "signer {name} still takes keys of its secret before, {previous}; once they have ended, remove that \
             line, or say --force to end them now"
        );
    }
    let file = match &args.place.secret_file {
        Some(file) => file.clone(),
        None => next_file(name, configuration, folder_of(configuration.path()))?,
    };
    let old = configuration.rotate(name, &file, !args.leaked)?;
    Ok(if args.leaked {
        format!("no key of {old} opens anything any more; remove that secret")
    } else {
        let lifetime = signer.ceiling.max_lifetime;
        let lasting = lifetime.map_or_else(String::new, |span| format!(", at most {} from now", Span(span)));
        format!("it signs with it, and keys of {old} still open until you remove that line{lasting}")
    })
}

/// The first of `web.2.secret`, `web.3.secret` and so on after the one in use that is not there.
fn next_file(name: &str, configuration: &Configuration, folder: &Path) -> anyhow::Result<String> {
    let current = configuration.secret_file(name).ok();
    let number = current.as_ref().and_then(|file| {
        let stem = file.file_name()?.to_str()?.strip_prefix(name)?.strip_suffix(".secret")?;
        stem.strip_prefix('.')?.parse::<u32>().ok()
    });
    let secrets = match &current {
        Some(file) => file.parent().unwrap_or(Path::new("")).to_owned(),
        None => configuration.secrets_folder(),
    };
    let mut candidates =
        (number.unwrap_or(1)..u32::MAX).map(|number| secrets.join(format!("{name}.{}.secret", number + 1)));
    let free = candidates.find(|file| folder.join(file).symlink_metadata().is_err());
    Ok(free.context("there is no free name for the secret; say --secret-file")?.display().to_string())
}

/// Makes the file with a secret in it, and the folders that it lies in.
fn make_secret(path: &Path) -> anyhow::Result<()> {
    let missing: Vec<_> = path.ancestors().skip(1).take_while(|folder| !folder.exists()).collect();
    for folder in missing.into_iter().rev().filter(|folder| !folder.as_os_str().is_empty()) {
        fresh::make_folder(folder)?;
    }
    if !fresh::write_new(path, fresh::fresh_secret()?.as_bytes(), 0o600)? {
        bail!("{} is there already and is not overwritten; say --secret-file", path.display());
    }
    Ok(())
}

/// Refuses to make a secret that the gateway could not read, where the configuration tells whose it is.
fn check_owner(config: &Path) -> anyhow::Result<()> {
    let owner = config.metadata().context("read the configuration's owner")?.uid();
    let us = rustix::process::geteuid().as_raw();
    if owner != us {
        bail!("{} belongs to user {owner}; run this as that user, or say --print", config.display());
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}
