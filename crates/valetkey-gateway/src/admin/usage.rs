//! What was used, and what is left: of one key, or of all that share an id, a signer or a subject.

use serde::{Deserialize, Serialize};
use valetkey::key::{self, KeyUrl};
use valetkey::{Denial, Grant, GrantLevel, MeterName, Now, Timestamp, bound};
use valetkey_ledger::{Limits, Meter, UnixSeconds};

use super::desk::Desk;
use super::problem::Problem;
use super::request::{Call, said};
use crate::revocation;
use crate::serve::timestamp;
use crate::settings::Settings;

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
    pub(super) signer: String,
    pub(super) subject: Option<String>,
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
        let path = match url.path() {
            Ok(path) => Some(path),
            // The gateway's own space has no resources; there the key says what it is for.
            Err(_) if url.raw_path.starts_with("/-/") => None,
            Err(error) => return Err(Denial::BadName(error)),
        };
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
        signer: whole.signer().to_owned(),
        subject: whole.subject().map(str::to_owned),
        keep_until: revocation::keep_until(settings, &whole, now.clock),
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
    Ok(whole.unwrap_or_default())
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

/// Answers what was used and what is left.
pub(super) async fn usage(desk: &Desk, call: &Call) -> Result<Usage, Problem> {
    call.has_no_query()?;
    let asked: Asked = call.json()?;
    let snapshot = desk.gateway.snapshot();
    let now = desk.gateway.clock.now();
    match asked {
        Asked { url: Some(url), id: None, signer: None, subject: None } => {
            of_key(desk, &verified(&url, &snapshot.settings, now)?).await
        }
        _ => Err(Problem::NotFound),
    }
}
