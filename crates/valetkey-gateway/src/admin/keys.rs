//! Keys: signed, looked into, listed.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use valetkey::{Fingerprint, ResourcePath};
use valetkey_ledger::{Meter, MeterQuery, UnixSeconds};

use super::desk::Desk;
use super::problem::Problem;
use super::request::{Call, said, whole};
use super::usage::{self, Usage};
use crate::admit::seconds;
use crate::command::inspect::{self, Report};
use crate::command::sign::arguments::{
    read_digest, read_disposition, read_duration, read_path, read_time, read_type, read_verbs,
};
use crate::command::sign::{self, DialectName, LimitArgs, SignArgs, Signed};
use crate::notify::Receipt;
use crate::serve::timestamp;
use crate::settings::{NUMBER_MAX, is_name, parse_range};

/// A key to be signed: what `valetkey sign` takes, by the same names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    path: String,
    allow: Vec<String>,
    #[serde(default, deserialize_with = "said")]
    signer: Option<String>,
    #[serde(default, deserialize_with = "said")]
    expires: Option<String>,
    #[serde(default, deserialize_with = "said")]
    end: Option<String>,
    #[serde(default, deserialize_with = "said")]
    start: Option<String>,
    #[serde(default, deserialize_with = "said")]
    scope: Option<String>,
    #[serde(default, deserialize_with = "whole")]
    max: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    min: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    uses: Option<u64>,
    #[serde(default, deserialize_with = "whole", rename = "in")]
    in_bytes: Option<u64>,
    #[serde(default, deserialize_with = "whole", rename = "out")]
    out_bytes: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    files: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    rate: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    parallel: Option<u64>,
    #[serde(default)]
    ip: Vec<String>,
    #[serde(default, rename = "type")]
    types: Vec<String>,
    #[serde(default, deserialize_with = "said")]
    digest: Option<String>,
    #[serde(default, deserialize_with = "said")]
    disposition: Option<String>,
    #[serde(default, deserialize_with = "said")]
    renew: Option<String>,
    #[serde(default, deserialize_with = "said")]
    policy: Option<String>,
    #[serde(default, deserialize_with = "said")]
    subject: Option<String>,
    #[serde(default, deserialize_with = "said")]
    id: Option<String>,
}

impl NewKey {
    /// The same as somebody would have typed it.
    fn into_args(self) -> Result<SignArgs, Problem> {
        let ip: Vec<IpNet> = each("ip", &self.ip, parse_range)?;
        if self.expires.is_some() && self.end.is_some() {
            return Err(Problem::BadRequest("expires and end are both said; leave one out".to_owned()));
        }
        if let Some(id) = &self.id
            && !is_id(id)
        {
            return Err(Problem::BadRequest("id: it must be 1 to 64 of A-Z a-z 0-9 . _ -".to_owned()));
        }
        if self.subject.as_deref().is_some_and(|subject| !is_subject(subject)) {
            return Err(Problem::BadRequest("subject: it must be 1 to 256 bytes of text".to_owned()));
        }
        for (name, text) in [("signer", &self.signer), ("policy", &self.policy)] {
            if text.as_deref().is_some_and(|text| !is_name(text)) {
                return Err(Problem::BadRequest(format!("{name}: a name has 1 to 32 of a-z 0-9 -")));
            }
        }
        Ok(SignArgs {
            path: read("path", &self.path, read_path)?,
            allow: read("allow", &self.allow.join(","), read_verbs)?,
            signer: self.signer,
            limits: LimitArgs {
                expires: maybe("expires", self.expires, read_duration)?,
                end: maybe("end", self.end, read_time)?,
                start: maybe("start", self.start, read_time)?,
                scope: maybe("scope", self.scope, read_path)?,
                max: number("max", self.max, 0)?,
                min: number("min", self.min, 0)?,
                uses: number("uses", self.uses, 1)?,
                in_bytes: number("in", self.in_bytes, 0)?,
                out_bytes: number("out", self.out_bytes, 0)?,
                files: number("files", self.files, 1)?,
                rate: number("rate", self.rate, 1)?,
                parallel: number("parallel", self.parallel, 1)?,
                ip,
                types: each("type", &self.types, read_type)?,
                digest: maybe("digest", self.digest, read_digest)?,
                id: self.id,
            },
            disposition: maybe("disposition", self.disposition, read_disposition)?,
            renew: maybe("renew", self.renew, read_time)?,
            policy: self.policy,
            subject: self.subject,
            dialect: DialectName::Native,
        })
    }
}

/// Whether a key could carry this id.
pub(super) fn is_id(text: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(sound)
}

/// Whether a key could name this subject.
pub(super) fn is_subject(text: &str) -> bool {
    (1..=256).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Reads one value, or says under which name it is unsound.
fn read<T, E: ToString>(
    name: &str,
    text: &str,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, Problem> {
    read(text).map_err(|error| Problem::BadRequest(format!("{name}: {}", error.to_string())))
}

fn maybe<T, E: ToString>(
    name: &str,
    text: Option<String>,
    reader: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, Problem> {
    text.map(|text| read(name, &text, reader)).transpose()
}

fn each<T, E: ToString>(
    name: &str,
    texts: &[String],
    reader: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, Problem> {
    texts.iter().map(|text| read(name, text, &reader)).collect()
}

fn number(name: &str, number: Option<u64>, least: u64) -> Result<Option<u64>, Problem> {
    match number {
        Some(number) if number < least || number > NUMBER_MAX => {
            Err(Problem::BadRequest(format!("{name}: it must be from {least} to {NUMBER_MAX}")))
        }
        number => Ok(number),
    }
}

/// A number of a query, within these bounds.
pub(super) fn query_number(
    name: &str,
    text: Option<String>,
    least: u64,
    most: u64,
) -> Result<Option<u64>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = text.parse().ok().filter(|number| canonical && (least..=most).contains(number));
    number.map(Some).ok_or_else(|| Problem::BadRequest(format!("{name}: it must be from {least} to {most}")))
}

/// Signs a key within the ceiling of its signer. It is recorded before it is given away.
pub(super) async fn sign(desk: &Desk, call: &Call, request_id: &str) -> Result<Signed, Problem> {
    call.has_no_query()?;
    let args = call.json::<NewKey>()?.into_args()?;
    let snapshot = desk.gateway.snapshot();
    let now = desk.gateway.clock.now().clock;
    let fresh = sign::fresh_id().map_err(|error| Problem::Unavailable(format!("{error:#}")))?;
    let signed = sign::sign(&args, &snapshot.settings, now, fresh)
        .map_err(|refusal| Problem::Refused(refusal.to_string()))?;
    let scope: &ResourcePath = args.limits.scope.as_ref().unwrap_or(&args.path);
    let receipt = Receipt {
        request_id: Some(request_id.to_owned()),
        signer: Some(signed.signer.clone()),
        subject: args.subject.clone(),
        key: Fingerprint::of_hex(&signed.fingerprint),
        id: Some(signed.id.clone()),
        policy: args.policy.clone(),
        action: Some("sign"),
        bucket: Some(scope.bucket().to_owned()),
        object: Some(scope.name().to_owned()),
        status: Some(201),
        ..Receipt::at(now)
    };
    desk.record(receipt).await?;
    Ok(signed)
}

/// A URL, which is a secret: it comes in a body, and never in a path or a log.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Url {
    url: String,
}

/// What is known of one key.
#[derive(Serialize)]
pub(super) struct Inspected {
    #[serde(flatten)]
    report: Report,
    /// `null` where the signature does not hold.
    usage: Option<Usage>,
}

/// Says what a key permits, whether it is valid now, and what is left of it.
pub(super) async fn inspect(desk: &Desk, call: &Call) -> Result<Inspected, Problem> {
    call.has_no_query()?;
    let Url { url } = call.json()?;
    let snapshot = desk.gateway.snapshot();
    let now = desk.gateway.clock.now();
    let report = inspect::inspect(&url, Some(&snapshot.settings), now.highest);
    let usage = match report.verified {
        true => Some(usage::of_key(desk, &usage::verified(&url, &snapshot.settings, now)?).await?),
        false => None,
    };
    Ok(Inspected { report, usage })
}

/// A counted key that has not ended, or one level of it.
#[derive(Serialize)]
struct Live {
    level: Vec<String>,
    signer: String,
    id: Option<String>,
    fingerprint: Option<String>,
    /// As far as its holder can have it moved.
    end: Option<String>,
    #[serde(flatten)]
    usage: Usage,
}

/// A part of the counted keys.
#[derive(Serialize)]
pub(super) struct Page {
    keys: Vec<Live>,
    /// What to go on after; `null` at the end.
    next: Option<String>,
}

/// No level's name is longer.
const NAME_CHARS_MAX: usize = 2048;

/// How many keys a page looks at where nobody says.
const PAGE: u32 = 100;

/// Lists the counted keys that have not ended, with what is left of each.
pub(super) async fn list(desk: &Desk, call: &Call) -> Result<Page, Problem> {
    let [after, max] = call.query(["after", "max"])?;
    if after.as_ref().is_some_and(|after| after.chars().count() > NAME_CHARS_MAX) {
        return Err(Problem::BadRequest("after: it is the next of a page before".to_owned()));
    }
    let max = query_number("max", max, 1, MeterQuery::PAGE_MAX.into())?;
    let query = MeterQuery {
        prefix: String::new(),
        live_at: seconds(desk.gateway.clock.now().highest),
        after: after.map(Meter::new),
        max: max.and_then(|max| u32::try_from(max).ok()).unwrap_or(PAGE),
    };
    let page = desk.gateway.ledger.meters(query).await?;
    let keys = page.meters.iter().filter_map(|meter| {
        let level = usage::name_of(meter);
        // What is counted for the house over many keys is no key.
        let signer = level.first().filter(|signer| !signer.is_empty())?.clone();
        let named = |kind: &str| match level.as_slice() {
            [.., last_kind, value] if last_kind == kind => Some(value.clone()),
            _ => None,
        };
        Some(Live {
            signer,
            id: named("id"),
            fingerprint: named("fp"),
            end: (meter.ends != UnixSeconds::MAX).then(|| timestamp(meter.ends).to_string()),
            usage: Usage::of(&meter.usage, &meter.limits),
            level,
        })
    });
    let next = page.next.map(|next| next.as_str().to_owned());
    Ok(Page { keys: keys.collect(), next })
}

/// A key that was used lately, counted or not.
#[derive(Serialize)]
struct Recent {
    level: serde_json::Value,
    dialect: &'static str,
    signer: String,
    subject: Option<String>,
    id: Option<String>,
    policy: Option<String>,
    fingerprint: String,
    end: String,
    first_seen: String,
    last_seen: String,
    last_client: Option<String>,
    requests: u64,
}

/// The keys that were used lately, the latest first.
#[derive(Serialize)]
pub(super) struct Recents {
    keys: Vec<Recent>,
}

/// How many recent keys are told at most.
const RECENT_MAX: u64 = 10_000;

/// Lists the keys that were used since the gateway started, as far as it remembers them.
pub(super) fn recent(desk: &Desk, call: &Call) -> Result<Recents, Problem> {
    let [max] = call.query(["max"])?;
    let max = query_number("max", max, 1, RECENT_MAX)?.unwrap_or(PAGE.into());
    let mut keys = desk.gateway.recent.all();
    keys.sort_by_key(|key| std::cmp::Reverse(key.last_seen));
    keys.truncate(usize::try_from(max).unwrap_or(usize::MAX));
    let keys = keys.into_iter().map(|key| Recent {
        level: serde_json::from_str(key.name.as_str()).unwrap_or_default(),
        dialect: key.dialect.name(),
        signer: key.signer,
        subject: key.subject,
        id: key.id,
        policy: key.policy,
        fingerprint: key.fingerprint.to_string(),
        end: key.end.to_string(),
        first_seen: key.first_seen.to_string(),
        last_seen: key.last_seen.to_string(),
        last_client: key.last_client.map(|client| client.to_string()),
        requests: key.requests,
    });
    Ok(Recents { keys: keys.collect() })
}
