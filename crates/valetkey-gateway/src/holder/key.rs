//! `GET /-/key`: what a key permits, whether it opens anything now, and what is left of it.
//!
//! Its holder reads most of it in the key itself. What the house bounds, and how much was used, they learn here; the
//! quotas that a key shares with others are nobody's to read.

use http::Response;
use serde::Serialize;
use valetkey::{Denial, Grant, Limits, MediaRange, ResourcePath, Timestamp, Verb, Verbs};
use valetkey_ledger::{Meter, Usage};

use crate::flow::At;
use crate::identify::Holder;
use crate::respond;
use crate::transfer::body::Body;

/// The answer. What does not apply is `null`.
#[derive(Debug, Serialize)]
struct View {
    /// Whether it opens anything now.
    valid: bool,
    /// If not, the reason code of the refusal.
    reason: Option<&'static str>,
    /// The reason in words.
    detail: Option<String>,
    signer: String,
    id: Option<String>,
    subject: Option<String>,
    policy: Option<String>,
    fingerprint: String,
    /// How many levels it has: 1, and 1 more for each narrowing.
    levels: usize,
    allow: Vec<&'static str>,
    /// What it was signed for.
    path: String,
    /// What it opens within its bounds.
    scope: Vec<String>,
    issued: Option<String>,
    start: Option<String>,
    end: String,
    /// The latest end that it may be renewed to.
    renew: Option<String>,
    max: Option<u64>,
    min: Option<u64>,
    uses: Option<Counted>,
    r#in: Option<Counted>,
    out: Option<Counted>,
    files: Option<Counted>,
    rate: Option<u64>,
    parallel: Option<u64>,
    /// Sets of address ranges, comma-separated; the client lies in each of them.
    ip: Vec<String>,
    /// Lists of media types, comma-separated; an upload's lies in each of them.
    r#type: Vec<String>,
    digest: Vec<String>,
    disposition: Option<String>,
    require_tls: bool,
}

/// A counted limit: the strictest of all levels, and the least that is left at any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Counted {
    limit: u64,
    left: u64,
}

/// What is counted of a key.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    uses: Option<Counted>,
    in_bytes: Option<Counted>,
    out_bytes: Option<Counted>,
    files: Option<Counted>,
}

/// Tells a holder about its key, ended or not.
///
/// # Errors
/// [`Denial::ClientNotAllowed`], [`Denial::TlsRequired`], and [`Denial::LedgerUnavailable`] where something is counted.
pub(super) async fn answer(at: &At<'_>, holder: Holder<'_>) -> Result<Response<Body>, Denial> {
    let Holder { grant, path, .. } = holder;
    let house = at.snapshot.settings.house(&grant);
    let shown = grant.clone().within(&house);
    shown.admit_client(at.connection.client)?;
    let counts = counts(at, &shown).await?;
    let verdict = super::bound(at, grant, &house, &path).and_then(|_| opens_something(&shown, &counts));
    let view = View::of(&shown, &path, &counts, verdict.err());
    Ok(at.recorder.answered(respond::about_key(&view, at.parts)))
}

/// What is counted under the names of the key's levels.
async fn counts(at: &At<'_>, grant: &Grant) -> Result<Counts, Denial> {
    let mut counts = Counts::default();
    for level in grant.levels() {
        let Limits { uses, in_bytes, out_bytes, files, .. } = level.limits;
        if [uses, in_bytes, out_bytes, files].iter().all(Option::is_none) {
            continue;
        }
        let usage = at.gateway.ledger.usage(Meter::new(level.name.as_str())).await.map_err(|error| {
            tracing::error!(%error, "the ledger cannot tell what was used");
            Denial::LedgerUnavailable
        })?;
        counts.add(level.limits, usage);
    }
    Ok(counts)
}

impl Counts {
    fn add(&mut self, limits: Limits, usage: Usage) {
        stricter(&mut self.uses, limits.uses, usage.uses);
        stricter(&mut self.in_bytes, limits.in_bytes, usage.in_bytes);
        stricter(&mut self.out_bytes, limits.out_bytes, usage.out_bytes);
        stricter(&mut self.files, limits.files, usage.files);
    }
}

fn stricter(counted: &mut Option<Counted>, limit: Option<u64>, used: u64) {
    let Some(limit) = limit else { return };
    let left = limit.saturating_sub(used);
    let sofar = counted.unwrap_or(Counted { limit, left });
    *counted = Some(Counted { limit: sofar.limit.min(limit), left: sofar.left.min(left) });
}

/// Whether a key that is within its time leads to anything.
fn opens_something(grant: &Grant, counts: &Counts) -> Result<(), Denial> {
    if grant.allow().is_empty() {
        return Err(Denial::NotAllowed("anything within the bounds of its signer and policy"));
    }
    if grant.scopes().paths().is_empty() {
        return Err(Denial::OutOfScope);
    }
    if counts.uses.is_some_and(|uses| uses.left == 0) { Err(Denial::UsesExhausted) } else { Ok(()) }
}

/// The verbs as one would write them: without those that another holds.
fn written(verbs: Verbs) -> Vec<&'static str> {
    let is_held = |verb| match verb {
        Verb::Stat => verbs.contains(Verb::Read),
        Verb::Create => verbs.contains(Verb::Write),
        _ => false,
    };
    verbs.iter().filter(|verb| !is_held(*verb)).map(Verb::name).collect()
}

impl View {
    fn of(grant: &Grant, path: &ResourcePath, counts: &Counts, denial: Option<Denial>) -> Self {
        let time = |time: Timestamp| time.to_string();
        let types =
            |list: &Vec<MediaRange>| list.iter().map(MediaRange::as_str).collect::<Vec<_>>().join(",");
        let strictest = |limit: fn(&Limits) -> Option<u64>| {
            grant.levels().iter().filter_map(|level| limit(&level.limits)).min()
        };
        Self {
            valid: denial.is_none(),
            reason: denial.as_ref().map(Denial::reason),
            detail: denial.map(|denial| denial.to_string()),
            signer: grant.signer().to_owned(),
            id: grant.id().map(str::to_owned),
            subject: grant.subject().map(str::to_owned),
            policy: grant.policy().map(str::to_owned),
            fingerprint: grant.fingerprint().to_string(),
            levels: grant.levels().len(),
            allow: written(grant.allow()),
            path: path.to_string(),
            scope: grant.scopes().paths().iter().map(ToString::to_string).collect(),
            issued: grant.issued().map(time),
            start: grant.start().map(time),
            end: time(grant.end()),
            renew: grant.renewable().map(|renewable| time(renewable.until())),
            max: grant.size().max_bytes,
            min: Some(grant.size().min_bytes).filter(|bytes| *bytes > 0),
            uses: counts.uses,
            r#in: counts.in_bytes,
            out: counts.out_bytes,
            files: counts.files,
            rate: strictest(|limits| limits.rate_bytes),
            parallel: strictest(|limits| limits.parallel),
            ip: grant.clients().iter().map(ToString::to_string).collect(),
            r#type: grant.types().lists().iter().map(types).collect(),
            digest: grant.digests().iter().map(ToString::to_string).collect(),
            disposition: grant.disposition().map(|disposition| disposition.as_str().to_owned()),
            require_tls: grant.requires_tls(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_limit_and_the_least_that_is_left_are_told() {
        let limits = |uses| Limits { uses: Some(uses), ..Limits::default() };
        let used = |uses| Usage { uses, ..Usage::default() };
        let mut counts = Counts::default();
        counts.add(limits(100), used(98));
        assert_eq!(counts.uses, Some(Counted { limit: 100, left: 2 }));
        counts.add(limits(10), used(3));
        assert_eq!(counts.uses, Some(Counted { limit: 10, left: 2 }));
        // A limit that was lowered below what is used leaves nothing.
        counts.add(limits(2), used(3));
        assert_eq!(counts.uses, Some(Counted { limit: 2, left: 0 }));
        assert_eq!(Counts { uses: counts.uses, ..Counts::default() }, counts);
    }

    #[test]
    fn verbs_are_told_as_one_writes_them() {
        let check = |verbs: &str, expected: &[&str]| {
            assert_eq!(written(Verbs::parse(verbs).unwrap().expanded()), expected);
        };
        check("read", &["read"]);
        check("create,stat", &["create", "stat"]);
        check("delete,list,read,write", &["delete", "list", "read", "write"]);
    }
}
