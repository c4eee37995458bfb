//! What was used, and what is left: of one key, or of all that share an id, a signer or a subject.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use valetkey::key::{self, KeyUrl};
use valetkey::{
    Denial, Dialect, Grant, GrantLevel, MeterName, Now, QuotaOwner, ResourcePath, Timestamp, bound,
};
use valetkey_ledger::{Limits, Meter, MeterQuery, MeterUsage, UnixSeconds};

use super::desk::Desk;
use super::keys;
use super::problem::Problem;
use super::request::{Call, said};
use crate::command::presigned;
use crate::revocation;
use crate::serve::timestamp;
use crate::settings::{Settings, is_name};

/// How long the keys of a signer or a subject may be added up.
const WALK_MAX: Duration = Duration::from_secs(20);

/// What was used, and what is left.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Usage {
    uses: Count,
    #[serde(rename = "in")]
    in_bytes: Count,
    #[serde(rename = "out")]
    out_bytes: Count,
    files: Count,
    /// When something was last charged.
    last_seen: Option<String>,
}

/// One resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Count {
    /// In all; `null` is without a limit.
    limit: Option<u64>,
    /// Held or spent.
    used: u64,
    /// What is left of the limit.
    left: Option<u64>,
}

impl Count {
    fn new(limit: Option<u64>, used: u64) -> Self {
        Self { limit, used, left: limit.map(|limit| limit.saturating_sub(used)) }
    }

    /// The one of two levels that ends a key first: the one with less left.
    fn strictest(self, other: Self) -> Self {
        match (self.left, other.left) {
            (Some(left), Some(others)) if left < others => self,
            (Some(_), None) => self,
            _ => other,
        }
    }

    /// Both together. The limits of different keys are none of the whole.
    fn plus(self, other: Self) -> Self {
        Self { limit: None, used: self.used.saturating_add(other.used), left: None }
    }
}

impl Usage {
    /// What a meter counted, against these limits.
    pub(super) fn of(used: &valetkey_ledger::Usage, limits: &Limits) -> Self {
        Self {
            uses: Count::new(limits.uses, used.uses),
            in_bytes: Count::new(limits.in_bytes, used.in_bytes),
            out_bytes: Count::new(limits.out_bytes, used.out_bytes),
            files: Count::new(limits.files, used.files),
            last_seen: used.last_seen.map(|seen| timestamp(seen).to_string()),
        }
    }

    fn with(self, other: Self, join: impl Fn(Count, Count) -> Count) -> Self {
        Self {
            uses: join(self.uses, other.uses),
            in_bytes: join(self.in_bytes, other.in_bytes),
            out_bytes: join(self.out_bytes, other.out_bytes),
            files: join(self.files, other.files),
            // Times of one spelling are in the order of their text.
            last_seen: self.last_seen.max(other.last_seen),
        }
    }
}

/// A key whose signature holds, as far as its counts matter.
pub(super) struct Verified {
    pub(super) dialect: Dialect,
    pub(super) signer: String,
    pub(super) subject: Option<String>,
    pub(super) id: Option<String>,
    pub(super) policy: Option<String>,
    /// The base first.
    pub(super) levels: Vec<GrantLevel>,
    /// Until when a revocation of its last level matters.
    pub(super) keep_until: UnixSeconds,
}

/// Verifies the key of a URL. One that ended, or is not valid yet, is as good as any here.
///
/// # Errors
/// As a client would be refused: for its form, or for its signature.
pub(super) fn verified(url: &str, settings: &Settings, now: Now) -> Result<Verified, Problem> {
    let grant = || -> Result<Grant, Denial> {
        let url = KeyUrl::parse(url).map_err(|error| Denial::BadRequest(error.to_string()))?;
        let resource = settings.server.virtual_hosts.resource_of_url(&url)?;
        let path = match ResourcePath::from_url(&resource) {
            Ok(path) => Some(path),
            // The gateway's own space has no resources; there the key says what it is for.
            Err(_) if url.raw_path.starts_with("/-/") => None,
            Err(error) => return Err(Denial::BadName(error)),
        };
        if let Some(path) = path.as_ref().filter(|_| presigned::is_presigned(url.query)) {
            let (_, verified) = presigned::look(&url, path, Some(settings))?;
            return Ok(verified.ok_or(Denial::BadSignature)?.grant);
        }
        let presented = key::decode(url.query, path.as_ref())?.ok_or(Denial::NoKey)?;
        let signer = settings.signers.get(presented.signer());
        Ok(Grant::from(presented.verify(signer.map(|signer| &signer.secrets))?))
    };
    let whole = grant()?;
    // The house's limits are those of the key while it was valid, so an ended one is judged by its last second.
    let last_second = Timestamp::from_unix(whole.end().unix().saturating_sub(1));
    let moments = [now, Now::at(last_second)];
    let levels = moments.into_iter().find_map(|moment| {
        let grant = grant().ok()?;
        let house = settings.house(&grant);
        Some(bound(grant, &house, moment).ok()?.grant().levels().to_vec())
    });
    Ok(Verified {
        dialect: whole.dialect(),
        signer: whole.signer().to_owned(),
        subject: whole.subject().map(str::to_owned),
        id: whole.id().map(str::to_owned),
        policy: whole.policy().map(str::to_owned),
        keep_until: revocation::keep_until(settings, &whole),
        levels: levels.unwrap_or_else(|| whole.levels().to_vec()),
    })
}

/// What is left of a key: for each resource, the level that has the least.
pub(super) async fn of_key(desk: &Desk, key: &Verified) -> Result<Usage, Problem> {
    let mut whole: Option<Usage> = None;
    for level in &key.levels {
        let used = desk.gateway.ledger.usage(Meter::new(level.name.as_str())).await?;
        let here = Usage::of(&used, &crate::admit::limits(level.limits));
        whole = Some(match whole {
            Some(above) => above.with(here, Count::strictest),
            None => here,
        });
    }
    let mut whole = whole.unwrap_or_default();
    if let Some(last) = key.levels.last() {
        // A key without counted limits leaves nothing in the ledger.
        let seen = desk.gateway.recent.last_seen(&last.name).map(|seen| seen.to_string());
        whole.last_seen = whole.last_seen.max(seen);
    }
    Ok(whole)
}

/// Whose usage is asked for: one of them, `signer` also beside an id or a subject.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    #[serde(deserialize_with = "said")]
    url: Option<String>,
    #[serde(deserialize_with = "said")]
    id: Option<String>,
    #[serde(deserialize_with = "said")]
    signer: Option<String>,
    #[serde(deserialize_with = "said")]
    subject: Option<String>,
}

impl Asked {
    fn check(&self) -> Result<(), Problem> {
        let wrong = |text: &Option<String>, is_sound: fn(&str) -> bool| {
            text.as_deref().is_some_and(|text| !is_sound(text))
        };
        for (name, is_wrong) in [
            ("id", wrong(&self.id, keys::is_id)),
            ("signer", wrong(&self.signer, is_name)),
            ("subject", wrong(&self.subject, keys::is_subject)),
        ] {
            if is_wrong {
                return Err(Problem::BadRequest(format!("{name}: no key could say this")));
            }
        }
        Ok(())
    }
}

/// Answers what was used and what is left.
pub(super) async fn usage(desk: &Desk, call: &Call) -> Result<Usage, Problem> {
    call.has_no_query()?;
    let asked: Asked = call.json()?;
    asked.check()?;
    let snapshot = desk.gateway.snapshot();
    match asked {
        Asked { url: Some(url), id: None, signer: None, subject: None } => {
            let now = desk.gateway.clock.now();
            of_key(desk, &verified(&url, &snapshot.settings, now)?).await
        }
        Asked { url: None, id: Some(id), signer, subject: None } => {
            let signers =
                signer.map_or_else(|| snapshot.settings.signers.keys().cloned().collect(), |one| vec![one]);
            of_id(desk, &signers, &id).await
        }
        Asked { url: None, id: None, signer: Some(signer), subject: None } => of_signer(desk, &signer).await,
        Asked { url: None, id: None, signer, subject: Some(subject) } => {
            of_subject(desk, signer.as_deref(), &subject).await
        }
        _ => Err(Problem::BadRequest(
            "say one of url, id, signer and subject; signer may stand beside id or subject".to_owned(),
        )),
    }
}

/// What the base keys of one id used, of each of these signers.
async fn of_id(desk: &Desk, signers: &[String], id: &str) -> Result<Usage, Problem> {
    let mut found = Vec::new();
    for signer in signers {
        let name = serde_json::json!([signer, "id", id]).to_string();
        meters(desk, &name, &mut |meter| {
            if meter.meter.as_str() == name {
                found.push(Usage::of(&meter.usage, &meter.limits));
            }
        })
        .await?;
    }
    Ok(found.into_iter().reduce(|one, other| one.with(other, Count::plus)).unwrap_or_default())
}

/// What all keys of a signer used, against its own account where it keeps one.
async fn of_signer(desk: &Desk, signer: &str) -> Result<Usage, Problem> {
    let mut whole = Usage::default();
    meters(desk, &format!("[\"{signer}\","), &mut |meter| {
        if is_base(&name_of(&meter)) {
            let key = Usage::of(&meter.usage, &Limits::default());
            whole = std::mem::take(&mut whole).with(key, Count::plus);
        }
    })
    .await?;
    let total = MeterName::of_total(QuotaOwner::Signer(signer));
    let mut account = None;
    meters(desk, total.as_str(), &mut |meter| {
        if meter.meter.as_str() == total.as_str() {
            account = Some(Usage::of(&meter.usage, &meter.limits));
        }
    })
    .await?;
    Ok(match account {
        Some(account) => {
            whole.with(account, |sum, account| if account.limit.is_some() { account } else { sum })
        }
        None => whole,
    })
}

/// What the keys of a subject used, by the accounts that signers and policies keep for each subject: of several
/// the one with the least left.
async fn of_subject(desk: &Desk, signer: Option<&str>, subject: &str) -> Result<Usage, Problem> {
    let mut whole: Option<Usage> = None;
    meters(desk, "[\"\",", &mut |meter| {
        let name = name_of(&meter);
        let [_, _, _, kind, of_signer, of_subject] = name.as_slice() else { return };
        if kind == "subject" && of_subject == subject && signer.is_none_or(|signer| signer == of_signer) {
            let here = Usage::of(&meter.usage, &meter.limits);
            whole = Some(match whole.take() {
                Some(whole) => whole.with(here, Count::strictest),
                None => here,
            });
        }
    })
    .await?;
    whole.ok_or_else(|| {
        Problem::NoAccount(
            "no signer and no policy keeps an account of this subject; per_subject does, from the first use on"
                .to_owned(),
        )
    })
}

/// The tuple that a meter's name is.
pub(super) fn name_of(meter: &MeterUsage) -> Vec<String> {
    // What is no such list is no meter of ours, and has no part.
    serde_json::from_str(meter.meter.as_str()).unwrap_or_default()
}

/// Whether a level is no narrowed one, whose base is charged with it. What a signer signs in headers is a base too.
fn is_base(level: &[String]) -> bool {
    match level {
        [_, kind] => kind == "header",
        [_, _, _] => true,
        _ => false,
    }
}

/// Shows all meters whose names begin so.
async fn meters(desk: &Desk, prefix: &str, see: &mut dyn FnMut(MeterUsage)) -> Result<(), Problem> {
    let began = Instant::now();
    let mut after = None;
    loop {
        let query = MeterQuery {
            prefix: prefix.to_owned(),
            live_at: UnixSeconds(0),
            after,
            max: MeterQuery::PAGE_MAX,
        };
        let page = desk.gateway.ledger.meters(query).await?;
        page.meters.into_iter().for_each(&mut *see);
        match page.next {
            None => return Ok(()),
            Some(_) if began.elapsed() > WALK_MAX => {
                return Err(Problem::Unavailable(
                    "there are more keys than can be added up in time".to_owned(),
                ));
            }
            next => after = next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_signer_used_is_the_sum_of_its_base_levels() {
        for (level, expected) in [
            (&["web", "id", "a"][..], true),
            (&["web", "fp", "00"], true),
            (&["web", "header"], true),
            (&["web", "id", "a", "id", "b"], false),
            (&[], false),
        ] {
            let level: Vec<_> = level.iter().map(|part| (*part).to_owned()).collect();
            assert_eq!(is_base(&level), expected, "{level:?}");
        }
    }
}
