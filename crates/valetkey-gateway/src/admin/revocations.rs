//! Revocations: made, listed, lifted. Each change is in the audit log before it is answered.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use valetkey::Fingerprint;
use valetkey_ledger::{Meter, NewRevocation, Revocation, Target, UnixSeconds};

use super::desk::Desk;
use super::problem::Problem;
use super::request::{Call, said};
use super::{keys, usage};
use crate::admit::seconds;
use crate::command::sign::arguments::{read_path, read_time};
use crate::notify::Receipt;
use crate::recent::RecentKeys;
use crate::serve::timestamp;
use crate::settings::{Settings, is_name};

/// How many revocations a page has where nobody says, and at most.
const PAGE: u32 = 100;
const PAGE_MAX: u32 = 1000;

/// What is to be revoked. One member says what, `signer` may stand beside an id or a subject.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    #[serde(deserialize_with = "said")]
    url: Option<String>,
    #[serde(deserialize_with = "said")]
    id: Option<String>,
    #[serde(deserialize_with = "said")]
    fingerprint: Option<String>,
    #[serde(deserialize_with = "said")]
    signer: Option<String>,
    #[serde(deserialize_with = "said")]
    subject: Option<String>,
    #[serde(deserialize_with = "said")]
    policy: Option<String>,
    #[serde(deserialize_with = "said")]
    path: Option<String>,
    #[serde(deserialize_with = "said")]
    before: Option<String>,
}

/// What is to be revoked, and what is known of it.
struct Named {
    target: Target,
    /// And not a class of keys.
    is_one_key: bool,
    keep_until: UnixSeconds,
    /// What the record says of the key.
    receipt: Receipt,
}

/// A revocation, as it is told.
#[derive(Serialize)]
pub(super) struct View {
    number: u64,
    kind: &'static str,
    /// The name of one level of a key: its signer, then for each level `id` or `fp` and the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Only what was issued before; `null` is all.
    before: Option<String>,
    made: String,
    /// From when on it is dropped, since nothing that it revokes is left; `null` is never.
    until: Option<String>,
}

impl View {
    fn of(revocation: &Revocation) -> Self {
        let Revocation { number, target, before, made, keep_until } = revocation;
        let time = |time: UnixSeconds| timestamp(time).to_string();
        let mut view = Self {
            number: *number,
            kind: "key",
            level: None,
            fingerprint: None,
            signer: None,
            id: None,
            subject: None,
            policy: None,
            path: None,
            before: before.map(time),
            made: time(*made),
            until: (*keep_until != UnixSeconds::MAX).then(|| time(*keep_until)),
        };
        match target.clone() {
            Target::Level(name) => view.level = serde_json::from_str(name.as_str()).ok(),
            Target::Fingerprint(bytes) => {
                view.kind = "fingerprint";
                view.fingerprint = Some(hex(&bytes));
            }
            Target::Id { signer, id } => {
                (view.kind, view.signer, view.id) = ("id", signer, Some(id));
            }
            Target::Subject { signer, subject } => {
                (view.kind, view.signer, view.subject) = ("subject", signer, Some(subject));
            }
            Target::Signer(signer) => (view.kind, view.signer) = ("signer", Some(signer)),
            Target::Policy(policy) => (view.kind, view.policy) = ("policy", Some(policy)),
            Target::Path(path) => (view.kind, view.path) = ("path", Some(path)),
        }
        view
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What was revoked, and what whoever revoked it should know.
#[derive(Serialize)]
pub(super) struct Revoked {
    #[serde(flatten)]
    revocation: View,
    warnings: Vec<String>,
}

impl Asked {
    /// What is revoked.
    fn named(&self, settings: &Settings, recent: &RecentKeys, now: valetkey::Now) -> Result<Named, Problem> {
        let named = |target, is_one_key| Named {
            target,
            is_one_key,
            keep_until: UnixSeconds::MAX,
            receipt: Receipt::at(now.clock),
        };
        let bad = |message: &str| Err(Problem::BadRequest(message.to_owned()));
        let Self { url, id, fingerprint, signer, subject, policy, path, before: _ } = self;
        let said = [url, id, fingerprint, subject, policy, path].into_iter().flatten().count();
        if said + usize::from(said == 0 && signer.is_some()) != 1 {
            return bad("say one of url, id, fingerprint, signer, subject, policy and path");
        }
        if signer.is_some() && said == 1 && id.is_none() && subject.is_none() {
            return bad("signer stands alone, or beside id or subject");
        }
        for (name, text) in [("signer", signer), ("policy", policy)] {
            if text.as_deref().is_some_and(|text| !is_name(text)) {
                return Err(Problem::BadRequest(format!("{name}: a name has 1 to 32 of a-z 0-9 -")));
            }
        }
        if let Some(url) = url {
            let key = usage::verified(url, settings, now)?;
            let last = key.levels.last().ok_or(Problem::NotFound)?;
            let target = Target::Level(Meter::new(last.name.as_str()));
            return Ok(Named {
                keep_until: key.keep_until,
                receipt: Receipt {
                    dialect: Some(key.dialect),
                    signer: Some(key.signer.clone()),
                    subject: key.subject.clone(),
                    key: Some(last.fingerprint),
                    id: key.id.clone(),
                    policy: key.policy.clone(),
                    ..Receipt::at(now.clock)
                },
                ..named(target, true)
            });
        }
        if let Some(hex) = fingerprint {
            let Some(bytes) = fingerprint_of(hex) else {
                return bad("fingerprint: it must be 32 hex digits, as in the audit log");
            };
            // Like a URL, it revokes the name of its level, where that is known; with it goes what has the name.
            let name = recent.name_of(Fingerprint::from_bytes(bytes));
            let target = name.map(|name| Target::Level(Meter::new(name.as_str())));
            let key = Some(Fingerprint::from_bytes(bytes));
            return Ok(Named {
                receipt: Receipt { key, ..Receipt::at(now.clock) },
                ..named(target.unwrap_or(Target::Fingerprint(bytes)), true)
            });
        }
        if let Some(id) = id {
            if !keys::is_id(id) {
                return bad("id: it must be 1 to 64 of A-Z a-z 0-9 . _ -");
            }
            return Ok(named(Target::Id { signer: signer.clone(), id: id.clone() }, false));
        }
        if let Some(subject) = subject {
            if !keys::is_subject(subject) {
                return bad("subject: it must be 1 to 256 bytes of text");
            }
            return Ok(named(Target::Subject { signer: signer.clone(), subject: subject.clone() }, false));
        }
        Ok(match (signer, policy, path) {
            (Some(signer), ..) => named(Target::Signer(signer.clone()), false),
            (None, Some(policy), _) => named(Target::Policy(policy.clone()), false),
            (None, None, Some(path)) => {
                let path = read_path(path).map_err(|error| Problem::BadRequest(format!("path: {error}")))?;
                named(Target::Path(path.as_str().to_owned()), false)
            }
            (None, None, None) => return bad("say what is to be revoked"),
        })
    }

    /// What the configuration does not know, so that a slip of the pen shows.
    fn warnings(&self, settings: &Settings) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(signer) = &self.signer
            && !settings.signers.contains_key(signer)
        {
            warnings.push(format!("no signer {signer} is configured"));
        }
        if let Some(policy) = &self.policy
            && !settings.policies.contains_key(policy)
        {
            warnings.push(format!("no policy {policy} is configured"));
        }
        let path = self.path.as_deref().and_then(|path| read_path(path).ok());
        if let Some(path) = path
            && !settings.buckets.contains_key(path.bucket())
        {
            warnings.push(format!("no bucket {} is configured", path.bucket()));
        }
        warnings
    }
}

fn fingerprint_of(hex: &str) -> Option<[u8; 16]> {
    let sound = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    sound.then(|| u128::from_str_radix(hex, 16).ok().map(u128::to_be_bytes)).flatten()
}

/// Revokes.
pub(super) async fn revoke(desk: &Desk, call: &Call, request_id: &str) -> Result<Revoked, Problem> {
    call.has_no_query()?;
    let asked: Asked = call.json()?;
    let snapshot = desk.gateway.snapshot();
    let now = desk.gateway.clock.now();
    let Named { target, is_one_key, keep_until, receipt } =
        asked.named(&snapshot.settings, &desk.gateway.recent, now)?;
    let before = asked.before.as_deref().map(read_time).transpose();
    let before = before.map_err(|error| Problem::BadRequest(format!("before: {error}")))?;
    let before = match (before, is_one_key) {
        (Some(_), true) => {
            return Err(Problem::BadRequest("before is for a class of keys, and this is one".to_owned()));
        }
        (None, true) => None,
        // By default what was issued up to now: a key that is issued from the next second on opens.
        (before, false) => Some(before.unwrap_or_else(|| now.clock.plus(Duration::from_secs(1)))),
    };
    let new = NewRevocation { target, before: before.map(seconds), now: seconds(now.clock), keep_until };
    let receipt = Receipt { request_id: Some(request_id.to_owned()), status: Some(201), ..receipt };
    let revocation = desk.gateway.revoke(new, receipt).await?;
    Ok(Revoked { revocation: View::of(&revocation), warnings: asked.warnings(&snapshot.settings) })
}

/// A part of the revocations in force.
#[derive(Serialize)]
pub(super) struct Page {
    revocations: Vec<View>,
    /// What to go on after; `null` at the end.
    next: Option<u64>,
}

/// Lists the revocations in force.
pub(super) async fn list(desk: &Desk, call: &Call) -> Result<Page, Problem> {
    let [after, max] = call.query(["after", "max"])?;
    let after = keys::query_number("after", after, 0, u64::MAX >> 1)?.unwrap_or(0);
    let max = keys::query_number("max", max, 1, PAGE_MAX.into())?;
    let max = max.and_then(|max| u32::try_from(max).ok()).unwrap_or(PAGE);
    let found = desk.gateway.ledger.revocations(after, max).await?;
    let is_full = u32::try_from(found.len()).is_ok_and(|count| count >= max);
    let next = if is_full { found.last().map(|last| last.number) } else { None };
    Ok(Page { revocations: found.iter().map(View::of).collect(), next })
}

/// Lifts a revocation.
pub(super) async fn lift(desk: &Desk, call: &Call, number: &str, request_id: &str) -> Result<(), Problem> {
    call.says_nothing()?;
    let canonical = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    let number: u64 = number.parse().ok().filter(|_| canonical).ok_or(Problem::NotFound)?;
    let receipt = Receipt {
        request_id: Some(request_id.to_owned()),
        status: Some(204),
        reason: Some(format!("revocation {number}").into()),
        ..Receipt::at(desk.gateway.clock.now().clock)
    };
    desk.gateway.lift(number, receipt).await?.map(drop).ok_or(Problem::NotFound)
}
