//! Revocations: made, listed, lifted. Each change is in the audit log before it is answered.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use valetkey::{Denial, Fingerprint, ResourcePath, Timestamp};
use valetkey_ledger::{Meter, NewRevocation, Revocation, Target, UnixSeconds};

use super::desk::Desk;
use super::problem::Problem;
use super::request::{Call, said};
use super::{keys, usage};
use crate::admit::seconds;
use crate::command::sign::arguments::{read_path, read_time};
use crate::notify::Receipt;
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

    /// What the audit log says of it.
    fn receipt(&self, action: &'static str, status: u16, now: Timestamp, request_id: &str) -> Receipt {
        let level = |at: usize| self.level.as_ref().and_then(|level| level.get(at)).cloned();
        let path = self.path.as_deref().and_then(|path| ResourcePath::from_text(path).ok());
        let is_id = level(1).is_some_and(|kind| kind == "id");
        Receipt {
            request_id: Some(request_id.to_owned()),
            signer: self.signer.clone().or_else(|| level(0)),
            subject: self.subject.clone(),
            key: self.fingerprint.as_deref().and_then(Fingerprint::of_hex),
            id: self.id.clone().or_else(|| if is_id { level(2) } else { None }),
            policy: self.policy.clone(),
            action: Some(action),
            bucket: path.as_ref().map(|path| path.bucket().to_owned()),
            object: path.as_ref().map(|path| path.name().to_owned()),
            status: Some(status),
            reason: Some(format!("revocation {}", self.number).into()),
            ..Receipt::at(now)
        }
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
    /// What is revoked, and until when that matters where it is one key; `None` for a class of them.
    fn target(
        &self,
        settings: &Settings,
        now: valetkey::Now,
    ) -> Result<(Target, Option<UnixSeconds>), Problem> {
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
            return Ok((Target::Level(Meter::new(last.name.as_str())), Some(key.keep_until)));
        }
        if let Some(hex) = fingerprint {
            let Some(bytes) = fingerprint_of(hex) else {
                return bad("fingerprint: it must be 32 hex digits, as in the audit log");
            };
            return Ok((Target::Fingerprint(bytes), Some(UnixSeconds::MAX)));
        }
        if let Some(id) = id {
            if !keys::is_id(id) {
                return bad("id: it must be 1 to 64 of A-Z a-z 0-9 . _ -");
            }
            return Ok((Target::Id { signer: signer.clone(), id: id.clone() }, None));
        }
        if let Some(subject) = subject {
            if !(1..=256).contains(&subject.len()) || subject.chars().any(char::is_control) {
                return bad("subject: it must be 1 to 256 bytes of text");
            }
            return Ok((Target::Subject { signer: signer.clone(), subject: subject.clone() }, None));
        }
        Ok(match (signer, policy, path) {
            (Some(signer), ..) => (Target::Signer(signer.clone()), None),
            (None, Some(policy), _) => (Target::Policy(policy.clone()), None),
            (None, None, Some(path)) => {
                let path = read_path(path).map_err(|error| Problem::BadRequest(format!("path: {error}")))?;
                (Target::Path(path.as_str().to_owned()), None)
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
    let (target, of_one_key) = asked.target(&snapshot.settings, now)?;
    let before = asked.before.as_deref().map(read_time).transpose();
    let before = before.map_err(|error| Problem::BadRequest(format!("before: {error}")))?;
    let before = match (before, of_one_key) {
        (Some(_), Some(_)) => {
            return Err(Problem::BadRequest("before is for a class of keys, and this is one".to_owned()));
        }
        (None, Some(_)) => None,
        // By default what was issued up to now: a key that is issued from the next second on opens.
        (before, None) => Some(before.unwrap_or_else(|| now.clock.plus(Duration::from_secs(1)))),
    };
    let new = NewRevocation {
        target,
        before: before.map(seconds),
        now: seconds(now.clock),
        keep_until: of_one_key.unwrap_or(UnixSeconds::MAX),
    };
    let request_id = request_id.to_owned();
    let receipt = move |made: &Revocation| View::of(made).receipt("revoke", 201, now.clock, &request_id);
    let revocation = View::of(&desk.gateway.revoke(new, receipt).await.map_err(undone)?);
    Ok(Revoked { revocation, warnings: asked.warnings(&snapshot.settings) })
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
    let (now, request_id) = (desk.gateway.clock.now().clock, request_id.to_owned());
    let receipt = move |made: &Revocation| View::of(made).receipt("lift", 204, now, &request_id);
    desk.gateway.lift(number, receipt).await.map_err(undone)?.map(drop).ok_or(Problem::NotFound)
}

/// What an operator is told who could not be served.
fn undone(denial: Denial) -> Problem {
    Problem::Unavailable(denial.to_string())
}
