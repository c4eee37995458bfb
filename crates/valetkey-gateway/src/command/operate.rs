//! What operators ask of a running gateway: revoke, lift, look what was used.
//!
//! These commands speak to the admin listener that the configuration names; the gateway does the work. A URL,
//! which is a secret, travels in the body of a request only.

use std::io::Write;

use anyhow::Context as _;
use clap::{ArgGroup, Args};
use serde_json::{Map, Value, json};
use valetkey::{ResourcePath, Timestamp};

use super::sign::arguments::{read_path, read_time};
use super::{Options, Streams, Verdict, inspect, write_json};
use crate::admin::Answer;
use crate::settings::AdminListen;

/// What `valetkey revoke` takes.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("what").args(["url", "id", "fingerprint", "subject", "policy", "path"]))]
pub struct RevokeArgs {
    /// The URL of one key, revoked with all that was narrowed from it; `-` reads it from standard input
    #[arg(value_name = "URL")]
    pub url: Option<String>,
    /// Base keys of this id: of --signer, or of every one
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// The key of this fingerprint, as the audit log has it
    #[arg(long, value_name = "F")]
    pub fingerprint: Option<String>,
    /// All keys of a signer
    #[arg(long, value_name = "NAME", required_unless_present = "what")]
    #[arg(conflicts_with_all = ["url", "fingerprint", "policy", "path"])]
    pub signer: Option<String>,
    /// All keys that name this subject: of --signer, or of every one
    #[arg(long, value_name = "S")]
    pub subject: Option<String>,
    /// All keys that this policy bounds
    #[arg(long, value_name = "NAME")]
    pub policy: Option<String>,
    /// Whatever is asked at or below this path, however wide the key's scope
    #[arg(long, value_name = "PATH", value_parser = read_path)]
    pub path: Option<ResourcePath>,
    /// Only what was issued before this time, or says no time [default: the next second]
    #[arg(long, value_name = "TIME", value_parser = read_time, conflicts_with_all = ["url", "fingerprint"])]
    pub before: Option<Timestamp>,
}

/// What `valetkey revocations` takes.
#[derive(Clone, Debug, Args)]
pub struct RevocationsArgs {
    /// Take the revocation of this number back
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub lift: Option<u64>,
}

/// What `valetkey usage` takes.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("whose").args(["url", "id", "subject"]))]
pub struct UsageArgs {
    /// The URL of one key; `-` reads it from standard input
    #[arg(value_name = "URL")]
    pub url: Option<String>,
    /// Base keys of this id: of --signer, or of every one
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// All keys of a signer
    #[arg(long, value_name = "NAME", required_unless_present = "whose", conflicts_with = "url")]
    pub signer: Option<String>,
    /// All keys that name this subject: of --signer, or of every one
    #[arg(long, value_name = "S")]
    pub subject: Option<String>,
}

/// How a gateway is asked: where it listens, the method, the target and the body.
pub trait Ask: Fn(&AdminListen, &str, &str, Option<&Value>) -> anyhow::Result<Answer> {}

impl<F: Fn(&AdminListen, &str, &str, Option<&Value>) -> anyhow::Result<Answer>> Ask for F {}

/// Revokes.
///
/// # Errors
/// Where no gateway answers, or it refuses.
pub fn revoke(
    options: &Options,
    args: &RevokeArgs,
    streams: &mut Streams<'_>,
    ask: &impl Ask,
) -> anyhow::Result<Verdict> {
    let url = args.url.as_deref().map(|typed| inspect::read_url(typed, streams)).transpose()?;
    let body = object([
        ("url", url),
        ("id", args.id.clone()),
        ("fingerprint", args.fingerprint.clone()),
        ("signer", args.signer.clone()),
        ("subject", args.subject.clone()),
        ("policy", args.policy.clone()),
        ("path", args.path.as_ref().map(ToString::to_string)),
        ("before", args.before.as_ref().map(ToString::to_string)),
    ]);
    let revoked = call(options, ask, "POST", "/v1/revocations", Some(&body))?;
    for warning in revoked["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        writeln!(streams.notes, "warning: {warning}")?;
    }
    if options.json {
        write_json(streams.out, &revoked)?;
    } else {
        tell(&revoked, streams.out).context("write the answer")?;
    }
    Ok(Verdict::Done)
}

/// Lists the revocations in force, or lifts one.
///
/// # Errors
/// Where no gateway answers, or there is no such revocation.
pub fn revocations(
    options: &Options,
    args: &RevocationsArgs,
    streams: &mut Streams<'_>,
    ask: &impl Ask,
) -> anyhow::Result<Verdict> {
    if let Some(number) = args.lift {
        call(options, ask, "DELETE", &format!("/v1/revocations/{number}"), None)
            .with_context(|| format!("lift revocation {number}"))?;
        if options.json {
            write_json(streams.out, &json!({ "lifted": number }))?;
        } else {
            writeln!(streams.out, "lifted revocation {number}").context("write the answer")?;
        }
        return Ok(Verdict::Done);
    }
    let mut all = Vec::new();
    let mut after = 0;
    loop {
        let target = format!("/v1/revocations?after={after}&max=1000");
        let mut page = call(options, ask, "GET", &target, None)?;
        if let Value::Array(found) = page["revocations"].take() {
            if !options.json {
                for revocation in &found {
                    tell(revocation, streams.out).context("write the answer")?;
                }
            }
            all.extend(found.into_iter().filter(|_| options.json));
        }
        match page["next"].as_u64() {
            Some(next) if next > after => after = next,
            _ => break,
        }
    }
    if options.json {
        write_json(streams.out, &json!({ "revocations": all }))?;
    }
    Ok(Verdict::Done)
}

/// Says what was used and what is left, in JSON.
///
/// # Errors
/// Where no gateway answers, or it refuses.
pub fn usage(
    options: &Options,
    args: &UsageArgs,
    streams: &mut Streams<'_>,
    ask: &impl Ask,
) -> anyhow::Result<Verdict> {
    let url = args.url.as_deref().map(|typed| inspect::read_url(typed, streams)).transpose()?;
    let body = object([
        ("url", url),
        ("id", args.id.clone()),
        ("signer", args.signer.clone()),
        ("subject", args.subject.clone()),
    ]);
    write_json(streams.out, &call(options, ask, "POST", "/v1/usage", Some(&body))?)?;
    Ok(Verdict::Done)
}

/// Asks the gateway of the configuration.
fn call(
    options: &Options,
    ask: &impl Ask,
    method: &str,
    target: &str,
    body: Option<&Value>,
) -> anyhow::Result<Value> {
    let settings = options.load()?;
    let admin = settings.admin.as_ref().context("there is no admin listener; say [admin] listen")?;
    ask(&admin.listen, method, target, body)?.done()
}

/// What was said, and nothing of what was left out.
fn object<const N: usize>(members: [(&str, Option<String>); N]) -> Value {
    let said = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
    Value::Object(said.collect::<Map<_, _>>())
}

/// One revocation on a line: its number, when it was made, and what it is of.
fn tell(revocation: &Value, out: &mut dyn Write) -> std::io::Result<()> {
    let said = |name: &str| revocation[name].as_str();
    write!(out, "{:<6} {} ", revocation["number"].to_string(), said("made").unwrap_or("-"))?;
    if let Some(level) = revocation["level"].as_array() {
        let names: Vec<_> = level.iter().filter_map(Value::as_str).collect();
        write!(out, " key {}", names.join(" "))?;
    }
    for name in ["id", "fingerprint", "subject", "signer", "policy", "path"] {
        if let Some(text) = said(name) {
            // A subject is anybody's text, which need not be fit for a terminal.
            write!(out, " {name} {}", text.escape_debug())?;
        }
    }
    match said("before") {
        Some(before) => writeln!(out, ", issued before {before}"),
        None => writeln!(out),
    }
}
