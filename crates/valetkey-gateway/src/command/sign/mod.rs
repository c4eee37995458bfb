//! `valetkey sign`: a key for one path, checked against its signer and policies before it is given away.

pub(crate) mod arguments;
mod excess;

use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum as _;
use serde::Serialize;
use valetkey::{Ceiling, Claims, Grant, Scopes, Timestamp, Verb, key, mint};

pub use self::arguments::{DialectName, LimitArgs, SignArgs};
pub(super) use self::arguments::{read_duration, read_path, read_verbs};
use self::excess::Named;
use super::presigned::{Presign, Purpose};
use super::{Options, Streams, Verdict, write_json};
use crate::settings::{Settings, Signer, missing};

/// How long a key lasts where nothing says otherwise.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// A key that was signed.
#[derive(Clone, Debug, Serialize)]
pub struct Signed {
    /// The URL that carries it. It opens what the key opens.
    pub url: String,
    /// The signer.
    pub signer: String,
    /// The issuer's own name for the key.
    pub id: String,
    /// What stands for the key in records.
    pub fingerprint: String,
    /// The first second at which it opens nothing new.
    pub end: String,
    /// What whoever asked for it should know.
    pub warnings: Vec<String>,
}

/// Why no key was signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

/// Signs a key and prints its URL.
///
/// # Errors
/// [`Refusal`], or that no configuration could be read.
pub fn run(
    options: &Options,
    args: &SignArgs,
    now: Timestamp,
    streams: &mut Streams<'_>,
) -> anyhow::Result<Verdict> {
    let settings = options.load()?;
    let signed = sign(args, &settings, now, fresh_id()?)?;
    for warning in &signed.warnings {
        writeln!(streams.notes, "warning: {warning}")?;
    }
    if options.json {
        write_json(streams.out, &signed)?;
    } else {
        writeln!(streams.out, "{}", signed.url).context("write the URL")?;
    }
    Ok(Verdict::Done)
}

/// Signs the key that `args` ask for, named `fresh_id` where they give no name.
///
/// # Errors
/// [`Refusal`] where the gateway would refuse the key, or part of what it asks for.
pub fn sign(
    args: &SignArgs,
    settings: &Settings,
    now: Timestamp,
    fresh_id: String,
) -> Result<Signed, Refusal> {
    if !matches!(args.dialect, DialectName::Native | DialectName::Aws) {
        let name =
            args.dialect.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        return Err(Refusal(format!(
            "dialect {name} is not offered by this version; it signs native and aws keys"
        )));
    }
    let (name, signer) = choose_signer(args.signer.as_deref(), settings)?;
    let ceilings = ceilings(name, signer, args.policy.as_deref(), settings)?;
    let end = match (args.limits.end, args.limits.expires) {
        (Some(end), _) => end,
        (None, Some(expires)) => now.plus(expires),
        (None, None) => default_end(&ceilings, now),
    };
    if end <= now {
        return Err(Refusal(format!("end {end} is in the past; it is {now}")));
    }
    let claims = claims_of(args, now, end, fresh_id.clone());
    check_scope(args, settings)?;
    let mut warnings = warnings(args, end, &ceilings);
    for named in &ceilings {
        match named.check(args, end, now) {
            // What bounds nothing yet refuses nothing.
            Err(Refusal(excess)) if named.ceiling.dry_run => {
                warnings.push(format!("{excess}; {} is a dry run, so the key is signed", named.owner));
            }
            checked => checked?,
        }
    }
    let (query, fingerprint) = match args.dialect {
        DialectName::Aws => {
            let presigning = Presign {
                origin: &settings.server.public_url,
                path: &args.path,
                signer: name,
                secrets: &signer.secrets,
                purpose: presigned_purpose(args, &mut warnings)?,
                now,
                end,
            };
            presigning.sign(&claims).map_err(Refusal)?
        }
        DialectName::Native | DialectName::Azure | DialectName::Gcs => native(args, name, signer, &claims)?,
    };
    Ok(Signed {
        url: format!("{}{}?{query}", settings.server.public_url, args.path.encoded()),
        signer: name.to_owned(),
        id: claims.id.clone().unwrap_or(fresh_id),
        fingerprint,
        end: end.to_string(),
        warnings,
    })
}

/// A native key and its fingerprint.
fn native(
    args: &SignArgs,
    name: &str,
    signer: &Signer,
    claims: &Claims,
) -> Result<(String, String), Refusal> {
    let query = mint(name, &args.path, claims, &signer.secrets.current)
        .map_err(|error| Refusal(error.to_string()))?;
    // The key as its holder will present it: what is printed has been verified.
    let fingerprint = key::decode(&query, Some(&args.path))
        .ok()
        .flatten()
        .and_then(|presented| presented.verify(Some(&signer.secrets)).ok())
        .map(|key| Grant::from(key).fingerprint().to_string())
        .ok_or_else(|| Refusal("the key does not verify under its own signer".to_owned()))?;
    Ok((query, fingerprint))
}

/// The request that a presigned URL is for; refuses what only a native key can say.
fn presigned_purpose(args: &SignArgs, warnings: &mut Vec<String>) -> Result<Purpose, Refusal> {
    let scope = args.limits.scope.as_ref().filter(|scope| **scope != args.path);
    let native_only = [("--scope", scope.is_some()), ("--renew", args.renew.is_some())];
    if let Some((option, _)) = native_only.into_iter().find(|(_, set)| *set) {
        return Err(Refusal(format!(
            "{option} is for native keys; a presigned URL opens its own path until its end"
        )));
    }
    let purpose = Purpose::of(args.allow, &args.path).map_err(Refusal)?;
    if purpose.only_creates {
        warnings.push("the upload must send the header If-None-Match: *, which is signed".to_owned());
    }
    Ok(purpose)
}

/// A random name for a key: 128 bits, always 32 characters, so that none begins with another.
pub(crate) fn fresh_id() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("read random bytes from the system")?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn choose_signer<'a>(asked: Option<&str>, settings: &'a Settings) -> Result<(&'a str, &'a Signer), Refusal> {
    let names = || settings.signers.keys().map(String::as_str);
    let found = match asked {
        Some(name) => {
            settings.signers.get_key_value(name).ok_or_else(|| Refusal(missing("signer", name, names())))?
        }
        None => {
            let mut all = settings.signers.iter();
            match (all.next(), all.next()) {
                (Some(only), None) => only,
                (None, _) => return Err(Refusal("no signer is configured".to_owned())),
                (Some(_), Some(_)) => {
                    let names: Vec<_> = names().collect();
                    return Err(Refusal(format!("say --signer; there are {}", names.join(", "))));
                }
            }
        }
    };
    Ok((found.0, found.1))
}

fn ceilings<'a>(
    name: &str,
    signer: &'a Signer,
    policy: Option<&str>,
    settings: &'a Settings,
) -> Result<Vec<Named<'a>>, Refusal> {
    let mut all = vec![Named { owner: format!("signer {name}"), ceiling: &signer.ceiling }];
    for policy in [signer.policy.as_deref(), policy].into_iter().flatten() {
        let ceiling = settings.policies.get(policy).ok_or_else(|| {
            Refusal(missing("policy", policy, settings.policies.keys().map(String::as_str)))
        })?;
        all.push(Named { owner: format!("policy {policy}"), ceiling });
    }
    Ok(all)
}

/// A quarter of an hour from now, or as long as the ceilings let a key last.
fn default_end(ceilings: &[Named<'_>], now: Timestamp) -> Timestamp {
    ceilings.iter().fold(now.plus(LIFETIME), |end, Named { ceiling, .. }| {
        if ceiling.dry_run {
            return end;
        }
        let longest = ceiling.max_lifetime.map_or(end, |max| now.plus(max));
        end.min(longest).min(ceiling.end.unwrap_or(end))
    })
}

fn claims_of(args: &SignArgs, now: Timestamp, end: Timestamp, fresh_id: String) -> Claims {
    let bounds = args.limits.claims();
    Claims {
        allow: Some(args.allow),
        path: bounds.path.filter(|scope| *scope != args.path),
        end: Some(end),
        issued: Some(now),
        disposition: args.disposition.clone(),
        renew: args.renew,
        policy: args.policy.clone(),
        subject: args.subject.clone(),
        id: Some(bounds.id.unwrap_or(fresh_id)),
        ..bounds
    }
}

/// The path that the key opens lies in a bucket that exists, and holds the path that the URL leads to.
fn check_scope(args: &SignArgs, settings: &Settings) -> Result<(), Refusal> {
    let scope = args.limits.scope.as_ref().unwrap_or(&args.path);
    if !settings.buckets.contains_key(scope.bucket()) {
        let known = settings.buckets.keys().map(String::as_str);
        return Err(Refusal(missing("bucket", scope.bucket(), known)));
    }
    if !Scopes::only(scope.clone()).contain(&args.path) {
        return Err(Refusal(format!(
            "{} lies outside --scope {scope}, so its URL would open nothing",
            args.path
        )));
    }
    Ok(())
}

fn warnings(args: &SignArgs, end: Timestamp, ceilings: &[Named<'_>]) -> Vec<String> {
    let mut warnings = Vec::new();
    let uploads = [Verb::Create, Verb::Write].into_iter().any(|verb| args.allow.contains(verb));
    let caps = |ceiling: &Ceiling| !ceiling.dry_run && ceiling.size_max.is_some();
    let capped = args.limits.max.is_some() || ceilings.iter().any(|named| caps(named.ceiling));
    if uploads && !capped {
        warnings.push("this key uploads without a largest size; say --max".to_owned());
    }
    if args.renew.is_some_and(|renew| renew <= end) {
        warnings.push("--renew is not after the end, so nothing is there to renew".to_owned());
    }
    warnings
}
