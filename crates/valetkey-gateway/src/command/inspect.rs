//! `valetkey inspect`: what a key permits, whether it is valid now, and if not why.
//!
//! What was used of a key, and whether it was revoked, is in the ledger of the gateway and not asked here. The
//! key's signature is never printed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Read as _, Write};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use serde::Serialize;
use valetkey::key::{self, Key, KeyUrl};
use valetkey::{
    Denial, Dialect, Grant, Limits, MediaRange, Now, ResourcePath, Timestamp, Verb, bound,
    decode_query_component,
};

use super::explain::{plural, uses_text};
use super::{Options, Streams, Verdict, presigned, write_json};
use crate::settings::measure::{Size, Span};
use crate::settings::{Settings, Signer};

/// The longest URL that is read from standard input, in bytes.
const URL_BYTES_MAX: u64 = 64 << 10;

/// What `valetkey inspect` takes.
#[derive(Clone, Debug, Args)]
pub struct InspectArgs {
    /// The URL that carries the key; `-` reads it from standard input
    #[arg(value_name = "URL")]
    pub url: String,
}

/// What is known of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether it opens what its URL leads to, now.
    pub valid: bool,
    /// If not, the reason code with which the gateway answers.
    pub reason: Option<&'static str>,
    /// The reason in words.
    pub detail: Option<String>,
    /// Whether the signature was checked and held. Where not, everything else is only what the key says.
    pub verified: bool,
    /// The wire form.
    pub dialect: Option<&'static str>,
    /// The signer.
    pub signer: Option<String>,
    /// What stands for the key in records.
    pub fingerprint: Option<String>,
    /// The issuer's own name for the key.
    pub id: Option<String>,
    /// The issuer's user.
    pub subject: Option<String>,
    /// The stored access policy.
    pub policy: Option<String>,
    /// What the key was signed for.
    pub path: Option<String>,
    /// What it opens, within the bounds of narrowings, signer and policy.
    pub scope: Vec<String>,
    /// What it allows, within the same bounds, as the following are.
    pub allow: Vec<String>,
    /// When it was signed.
    pub issued: Option<String>,
    /// Not before.
    pub start: Option<String>,
    /// The first second at which it opens nothing new.
    pub end: Option<String>,
    /// The latest end that its holder may have it renewed to.
    pub renew: Option<String>,
    /// The largest upload, in bytes.
    pub max: Option<u64>,
    /// The smallest upload, in bytes.
    pub min: Option<u64>,
    /// How many transfers in all.
    pub uses: Option<InAll>,
    /// How many bytes it may upload in all.
    #[serde(rename = "in")]
    pub in_bytes: Option<InAll>,
    /// How many bytes it may download in all.
    #[serde(rename = "out")]
    pub out_bytes: Option<InAll>,
    /// To how many different names it may upload.
    pub files: Option<InAll>,
    /// How many bytes its transfers move in a second.
    pub rate: Option<u64>,
    /// How many transfers at once.
    pub parallel: Option<u64>,
    /// Sets of address ranges, comma-separated; the client lies in each of them.
    pub ip: Vec<String>,
    /// Lists of media types, comma-separated; an upload's lies in each of them.
    #[serde(rename = "type")]
    pub types: Vec<String>,
    /// What an upload must hash to, all of them.
    pub digest: Vec<String>,
    /// How a download presents itself.
    pub disposition: Option<String>,
    /// What each level of the key says, the base first, then its narrowings.
    pub levels: Vec<BTreeMap<String, String>>,
}

/// A limit on how much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct InAll {
    /// In all.
    pub limit: u64,
}

/// Reports on the key of a URL.
///
/// # Errors
/// Where the URL could not be read, or the configuration is faulty.
pub fn run(
    options: &Options,
    args: &InspectArgs,
    now: Timestamp,
    streams: &mut Streams<'_>,
) -> anyhow::Result<Verdict> {
    let typed = read_url(&args.url, streams)?;
    let settings = if options.is_unconfigured() { None } else { Some(options.load()?) };
    let report = inspect(&typed, settings.as_ref(), now);
    if options.json {
        write_json(streams.out, &report)?;
    } else {
        report.explain(now, streams.out)?;
    }
    if settings.is_none() {
        writeln!(streams.notes, "warning: there is no configuration here, so the signature was not checked")?;
    }
    Ok(if report.valid { Verdict::Done } else { Verdict::Refused })
}

/// The URL that was typed, or the one on standard input where that is `-`.
pub(super) fn read_url(typed: &str, streams: &mut Streams<'_>) -> anyhow::Result<String> {
    if typed != "-" {
        return Ok(typed.trim().to_owned());
    }
    let mut text = String::new();
    let mut input = (&mut *streams.input).take(URL_BYTES_MAX);
    input.read_to_string(&mut text).context("read the URL from standard input")?;
    Ok(text.trim().to_owned())
}

/// What is known of the key in `url`; without settings, only what it says.
pub fn inspect(url: &str, settings: Option<&Settings>, now: Timestamp) -> Report {
    let mut report = Report::default();
    let denial = match look(url, settings, now, &mut report) {
        Ok(()) if settings.is_none() => {
            report.detail = Some("without a configuration the signature cannot be checked".to_owned());
            return report;
        }
        Ok(()) => {
            report.valid = true;
            return report;
        }
        Err(denial) => denial,
    };
    report.reason = Some(denial.reason());
    report.detail = Some(denial.to_string());
    report
}

/// Fills in the report as far as the key is sound.
fn look(url: &str, settings: Option<&Settings>, now: Timestamp, report: &mut Report) -> Result<(), Denial> {
    let url = KeyUrl::parse(url).map_err(|error| Denial::BadRequest(error.to_string()))?;
    let hosts = settings.map(|settings| &settings.server.virtual_hosts);
    let resource = hosts.map_or(Ok(Cow::Borrowed(url.raw_path)), |hosts| hosts.resource_of_url(&url));
    let path = resource.and_then(|resource| ResourcePath::from_url(&resource));
    // Only the gateway's own space has paths that are no resource's; there the key says what it is for.
    if let Err(error) = path
        && !url.raw_path.starts_with("/-/")
    {
        return Err(Denial::BadName(error));
    }
    let path = path.ok();
    if let Some(path) = path.as_ref().filter(|_| presigned::is_presigned(url.query)) {
        return look_presigned(&url, path, settings, now, report);
    }
    let presented = key::decode(url.query, path.as_ref())?.ok_or(Denial::NoKey)?;
    report.dialect = Some("native");
    report.signer = Some(presented.signer().to_owned());
    report.say(url.query, path.as_ref());

    let Some(settings) = settings else { return Ok(()) };
    let signer = settings.signers.get(presented.signer());
    let key = presented.verify(signer.map(|signer| &signer.secrets))?;
    report.verified = true;
    report.ip = clients(&key, signer, settings);
    let grant = Grant::from(key);
    report.permit(&grant);
    let house = settings.house(&grant);
    let bounded = bound(grant, &house, Now::at(now))?;
    report.permit(bounded.grant());
    check_use(bounded.grant(), path.as_ref(), url.query)
}

/// As [`look`], for a URL that was presigned as AWS's tools do.
fn look_presigned(
    url: &KeyUrl<'_>,
    path: &ResourcePath,
    settings: Option<&Settings>,
    now: Timestamp,
    report: &mut Report,
) -> Result<(), Denial> {
    report.dialect = Some(Dialect::Aws.name());
    let (signer, verified) = presigned::look(url, path, settings)?;
    report.signer = Some(signer);
    report.path = Some(path.to_string());
    let (Some(settings), Some(verified)) = (settings, verified) else { return Ok(()) };
    report.verified = true;
    let grant = verified.grant;
    report.id = grant.id().map(str::to_owned);
    report.subject = grant.subject().map(str::to_owned);
    report.policy = grant.policy().map(str::to_owned);
    report.issued = grant.issued().map(|time| time.to_string());
    report.permit(&grant);
    let house = settings.house(&grant);
    let bounded = bound(grant, &house, Now::at(now))?;
    report.permit(bounded.grant());
    report.ip = bounded.grant().clients().iter().map(ToString::to_string).collect();
    report.ip.dedup();
    check_use(bounded.grant(), Some(path), url.query)
}

/// All sets of address ranges in which the client must lie.
fn clients(key: &Key, signer: Option<&Signer>, settings: &Settings) -> Vec<String> {
    let own = key.claims().filter_map(|claims| claims.clients.as_ref());
    let named = [
        signer.and_then(|signer| signer.policy.as_ref()),
        key.claims().next().and_then(|base| base.policy.as_ref()),
    ];
    let policies = named.into_iter().flatten().filter_map(|name| settings.policies.get(name));
    let policies = policies.filter(|ceiling| !ceiling.dry_run);
    let ceilings = signer.map(|signer| &signer.ceiling).into_iter().chain(policies);
    let mut sets: Vec<String> = Vec::new();
    for set in own.chain(ceilings.filter_map(|ceiling| ceiling.clients.as_ref())) {
        let set = set.to_string();
        if !sets.contains(&set) {
            sets.push(set);
        }
    }
    sets
}

/// Whether the key opens anything, and what its URL leads to.
fn check_use(grant: &Grant, path: Option<&ResourcePath>, query: &str) -> Result<(), Denial> {
    if grant.allow().is_empty() {
        return Err(Denial::NotAllowed("anything within the bounds of its signer and policy"));
    }
    if grant.scopes().are_empty() {
        return Err(Denial::OutOfScope);
    }
    // The gateway's own space is no resource, so nothing is asked of the scope.
    let Some(path) = path else { return Ok(()) };
    // A listing is asked for on the bucket, and is for what begins with its prefix.
    let prefix = query.split('&').find_map(|pair| decode_query_component(pair.strip_prefix("prefix=")?));
    let listed = format!("{path}{}", prefix.unwrap_or_default());
    let lists = path.name().is_empty() && grant.allow().contains(Verb::List);
    if grant.scopes().contain(path) || (lists && grant.scopes().contain_text(&listed)) {
        Ok(())
    } else {
        Err(Denial::OutOfScope)
    }
}

impl Report {
    /// Takes over what the key says, level by level. Its form is sound, and nobody vouches for it yet.
    fn say(&mut self, query: &str, path: Option<&ResourcePath>) {
        for pair in query.split('&') {
            let Some((name, value)) = pair.strip_prefix(key::PREFIX).and_then(|pair| pair.split_once('='))
            else {
                continue;
            };
            let Some(value) = decode_query_component(value) else { continue };
            if name == "sig" {
                self.fingerprint = fingerprint(&value);
                continue;
            }
            let (name, level) = match name.split_once('.') {
                None => (name, 0),
                Some((name, level)) => (name, level.parse().unwrap_or(0)),
            };
            if self.levels.len() <= level {
                self.levels.resize_with(level + 1, BTreeMap::new);
            }
            self.levels[level].insert(name.to_owned(), value.into_owned());
        }
        let said = |name: &str| self.levels.first().and_then(|base| base.get(name)).cloned();
        let number = |name: &str| said(name).and_then(|text| text.parse().ok());
        let path = said("path").or_else(|| path.map(ToString::to_string));
        let allow = said("allow").map_or_else(Vec::new, |text| text.split(',').map(str::to_owned).collect());
        let (id, subject, policy, issued) = (said("id"), said("subject"), said("policy"), said("issued"));
        let (start, end, disposition, renew) =
            (said("start"), said("end"), said("disposition"), said("renew"));
        let (max, min) = (number("max"), number("min"));
        let limits = Limits {
            uses: number("uses"),
            in_bytes: number("in"),
            out_bytes: number("out"),
            files: number("files"),
            rate_bytes: number("rate"),
            parallel: number("parallel"),
        };
        let of_levels = |name| self.levels.iter().filter_map(|level| level.get(name).cloned()).collect();
        let (ip, types, digest) = (of_levels("ip"), of_levels("type"), of_levels("digest"));
        *self = Self {
            id,
            subject,
            policy,
            scope: path.iter().cloned().collect(),
            path,
            allow,
            issued,
            start,
            end,
            renew,
            max,
            min,
            ip,
            types,
            digest,
            disposition,
            ..std::mem::take(self)
        };
        self.limit(limits);
    }

    /// Takes over the limits that need a memory.
    fn limit(&mut self, limits: Limits) {
        let in_all = |limit: Option<u64>| limit.map(|limit| InAll { limit });
        let Limits { uses, in_bytes, out_bytes, files, rate_bytes, parallel } = limits;
        (self.uses, self.files) = (in_all(uses), in_all(files));
        (self.in_bytes, self.out_bytes) = (in_all(in_bytes), in_all(out_bytes));
        (self.rate, self.parallel) = (rate_bytes, parallel);
    }

    /// Takes over what a verified key permits.
    fn permit(&mut self, grant: &Grant) {
        self.fingerprint = Some(grant.fingerprint().to_string());
        self.scope = grant.scopes().paths().iter().map(ToString::to_string).collect();
        self.allow = grant.allow().iter().map(|verb| verb.name().to_owned()).collect();
        self.start = grant.start().map(|time| time.to_string());
        self.end = Some(grant.end().to_string());
        self.max = grant.size().max_bytes;
        self.min = Some(grant.size().min_bytes).filter(|bytes| *bytes > 0);
        let levels = grant.levels().iter();
        self.limit(levels.fold(Limits::default(), |strictest, level| strictest.stricter(level.limits)));
        let list =
            |ranges: &Vec<MediaRange>| ranges.iter().map(MediaRange::as_str).collect::<Vec<_>>().join(",");
        self.types = grant.types().lists().iter().map(list).collect();
        self.digest = grant.digests().iter().map(ToString::to_string).collect();
        self.disposition = grant.disposition().map(|disposition| disposition.as_str().to_owned());
    }

    fn explain(&self, now: Timestamp, out: &mut dyn Write) -> std::io::Result<()> {
        for (name, text) in self.lines(now) {
            writeln!(out, "{name:<12} {text}")?;
        }
        let detail =
            self.detail.as_deref().unwrap_or("it opens what it says; uses and revocations are not asked");
        match (self.valid, self.reason) {
            (true, _) => writeln!(out, "{:<12} yes: {detail}", "valid now"),
            (false, Some(reason)) => writeln!(out, "{:<12} no: {reason}: {detail}", "valid now"),
            (false, None) => writeln!(out, "{:<12} unknown: {detail}", "valid now"),
        }
    }

    fn lines(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let span = |time: &String| match Timestamp::parse(time) {
            Some(time) if time > now => format!("{time}, in {}", Span(time.since(now))),
            Some(time) => format!("{time}, {} ago", Span(now.since(time))),
            None => time.clone(),
        };
        let Some(signer) = &self.signer else { return Vec::new() };
        let verified = if self.verified { "" } else { " (not verified)" };
        let narrowings = self.levels.len().saturating_sub(1);
        [
            ("signer", Some(format!("{signer}{verified}"))),
            ("fingerprint", self.fingerprint.clone()),
            ("id", self.id.clone()),
            ("subject", self.subject.clone()),
            ("policy", self.policy.clone()),
            ("signed for", self.path.clone()),
            ("opens", Some(list(&self.scope))),
            ("allows", Some(list(&self.allow))),
            ("issued", self.issued.as_ref().map(span)),
            ("starts", self.start.as_ref().map(span)),
            ("ends", self.end.as_ref().map(span)),
            ("renewable", self.renew.as_ref().map(span)),
            ("at most", self.max.map(|bytes| format!("{} ({bytes} bytes) an upload", Size(bytes)))),
            ("at least", self.min.map(|bytes| format!("{} ({bytes} bytes) an upload", Size(bytes)))),
            ("uses", self.uses.map(|uses| format!("{} in all", uses_text(uses.limit)))),
            ("uploads", self.in_bytes.map(|bytes| format!("{} in all", Size(bytes.limit)))),
            ("uploads to", self.files.map(|files| format!("{} in all", plural(files.limit, "name")))),
            ("downloads", self.out_bytes.map(|bytes| format!("{} in all", Size(bytes.limit)))),
            ("moves", self.rate.map(|bytes| format!("{} in a second", Size(bytes)))),
            ("at once", self.parallel.map(|transfers| plural(transfers, "transfer"))),
            ("clients", (!self.ip.is_empty()).then(|| self.ip.join(" and "))),
            ("types", (!self.types.is_empty()).then(|| self.types.join(" and "))),
            ("digest", (!self.digest.is_empty()).then(|| self.digest.join(" and "))),
            ("downloads as", self.disposition.clone()),
            ("narrowed", (narrowings > 0).then(|| self.narrowings())),
        ]
        .into_iter()
        .filter_map(|(name, text)| Some((name, text?)))
        .collect()
    }

    /// What each narrowing says, `uses=1; end=…, max=…`.
    fn narrowings(&self) -> String {
        let level = |level: &BTreeMap<String, String>| {
            level.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
        };
        self.levels.iter().skip(1).map(level).collect::<Vec<_>>().join("; ")
    }
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
}

/// The fingerprint of a signature's text.
pub(super) fn fingerprint(signature: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let hash = blake3::hash(&bytes);
    Some(hash.as_bytes()[..16].iter().map(|byte| format!("{byte:02x}")).collect())
}
