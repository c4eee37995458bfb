//! `valetkey narrow`: a lesser key from one that somebody holds. It needs no secret, no configuration and no
//! gateway.

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use valetkey::key::KeyUrl;
use valetkey::{Claims, ResourcePath, Scopes, Timestamp, Verbs, encode_component, narrow};

use super::inspect::{self, Report, fingerprint};
use super::sign::{LimitArgs, fresh_id, read_verbs};
use super::{Options, Streams, Verdict, write_json};

/// What `valetkey narrow` takes.
#[derive(Clone, Debug, Args)]
pub struct NarrowArgs {
    /// The URL that carries the key; `-` reads it from standard input
    #[arg(value_name = "URL")]
    pub url: String,
    /// What may still be done, comma-separated: create delete list read stat write
    #[arg(long, value_name = "LIST", value_parser = read_verbs, required_unless_present = "LimitArgs")]
    pub allow: Option<Verbs>,
    /// What bounds the lesser key.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// A lesser key.
#[derive(Clone, Debug, Serialize)]
pub struct Narrowed {
    /// The URL that carries it.
    pub url: String,
    /// Its own name, by which it is counted and revoked apart from the key that it was made from.
    pub id: String,
    /// What stands for it in records.
    pub fingerprint: Option<String>,
}

/// Narrows a key and prints the lesser one's URL.
///
/// # Errors
/// Where the URL carries no sound key, or the limits cannot narrow it.
pub fn run(
    options: &Options,
    args: &NarrowArgs,
    now: Timestamp,
    streams: &mut Streams<'_>,
) -> anyhow::Result<Verdict> {
    let url = inspect::read_url(&args.url, streams)?;
    let narrowed = narrow_url(&url, args, now, fresh_id()?)?;
    if options.json {
        write_json(streams.out, &narrowed)?;
    } else {
        writeln!(streams.out, "{}", narrowed.url).context("write the URL")?;
    }
    Ok(Verdict::Done)
}

fn narrow_url(text: &str, args: &NarrowArgs, now: Timestamp, fresh_id: String) -> anyhow::Result<Narrowed> {
    let url = KeyUrl::parse(text)?;
    // The gateway's own space has paths that are no resource's; there the key says what it is for.
    let path = if url.raw_path.starts_with("/-/") { None } else { Some(url.path()?) };
    let limits = args.limits.claims();
    let id = limits.id.clone().unwrap_or(fresh_id);
    let claims = Claims {
        allow: args.allow,
        end: args.limits.end.or_else(|| args.limits.expires.map(|expires| now.plus(expires))),
        id: Some(id.clone()),
        ..limits
    };
    if let Some(scope) = &args.limits.scope {
        check_scope(scope, &inspect::inspect(text, None, now))?;
    }
    let leads_elsewhere = |scope: &&ResourcePath| {
        path.as_ref().is_some_and(|path| !Scopes::only((*scope).clone()).contain(path))
    };
    let (raw_path, query) = match (args.limits.scope.as_ref().filter(leads_elsewhere), &path) {
        // The URL leads to what the lesser key opens, so what it was signed for can no longer go unsaid.
        (Some(scope), Some(path)) => (scope.encoded(), saying_path(url.query, path)),
        _ => (url.raw_path.to_owned(), url.query.to_owned()),
    };
    let query = narrow(&query, path.as_ref(), &claims)?;
    let signature = query.rsplit_once("vk-sig=").map(|(_, signature)| signature);
    Ok(Narrowed {
        fingerprint: signature.and_then(fingerprint),
        url: format!("{}{raw_path}?{query}", url.origin),
        id,
    })
}

/// Refuses a scope that no level of the key opens: its URL would open nothing.
fn check_scope(scope: &ResourcePath, key: &Report) -> anyhow::Result<()> {
    let narrowings = key.levels.iter().skip(1).filter_map(|level| level.get("path"));
    for opened in key.path.iter().chain(narrowings) {
        let opened = ResourcePath::from_text(opened)?;
        if !Scopes::only(opened.clone()).contain(scope) {
            anyhow::bail!("{scope} lies outside what the key opens, {opened}");
        }
    }
    Ok(())
}

/// The query with the key's own path in it, where the URL's path has stood for it.
fn saying_path(query: &str, path: &ResourcePath) -> String {
    if query.split('&').any(|pair| pair.starts_with("vk-path=")) {
        return query.to_owned();
    }
    format!("vk-path={}&{query}", encode_component(path.as_str(), b"/"))
}
