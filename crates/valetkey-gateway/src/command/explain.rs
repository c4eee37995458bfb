//! A ceiling in words and in JSON.

use serde::Serialize;
use valetkey::{Ceiling, Limits};

use crate::settings::measure::{Size, Span};

/// A ceiling, limit by limit, each under its name in the configuration.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CeilingView {
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_lifetime: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_ids: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    renew: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_renew: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uses: Option<u64>,
    #[serde(flatten)]
    volumes: VolumesView,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<Vec<String>>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    types: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    require_tls: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<String>,
    #[serde(skip_serializing_if = "VolumesView::is_empty")]
    total: VolumesView,
    #[serde(skip_serializing_if = "VolumesView::is_empty")]
    per_subject: VolumesView,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tell: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
}

/// How much may be moved, how fast, and how much at once, each under its name in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct VolumesView {
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    in_bytes: Option<u64>,
    #[serde(rename = "out", skip_serializing_if = "Option::is_none")]
    out_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel: Option<u64>,
}

impl VolumesView {
    pub(super) fn of(limits: Limits) -> Self {
        let Limits { uses: _, in_bytes, out_bytes, files, rate_bytes, parallel } = limits;
        Self { in_bytes, out_bytes, files, rate: rate_bytes, parallel }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What each limit allows, to follow who has it.
    pub(super) fn phrases(&self) -> Vec<String> {
        [
            self.in_bytes.map(|bytes| format!("at most {} uploaded in all", Size(bytes))),
            self.out_bytes.map(|bytes| format!("at most {} downloaded in all", Size(bytes))),
            self.files.map(|files| format!("at most {} uploaded to", plural(files, "name"))),
            self.rate.map(|bytes| format!("at most {} moved in a second", Size(bytes))),
            self.parallel.map(|transfers| format!("at most {} at once", plural(transfers, "transfer"))),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl CeilingView {
    pub(super) fn of(ceiling: &Ceiling) -> Self {
        let span = |duration| Span(duration).to_string();
        Self {
            scope: ceiling
                .scopes
                .as_ref()
                .map(|scopes| scopes.paths().iter().map(ToString::to_string).collect()),
            allow: ceiling.allow.map(|verbs| verbs.iter().map(valetkey::Verb::name).collect()),
            start: ceiling.start.map(|time| time.to_string()),
            end: ceiling.end.map(|time| time.to_string()),
            max_lifetime: ceiling.max_lifetime.map(span),
            keep_ids: ceiling.keep_ids.map(span),
            renew: ceiling.renew.map(|time| time.to_string()),
            max_renew: ceiling.max_renew.map(span),
            max: ceiling.size_max,
            min: ceiling.size_min,
            uses: ceiling.limits.uses,
            volumes: VolumesView::of(ceiling.limits),
            ip: ceiling
                .clients
                .as_ref()
                .map(|clients| clients.to_string().split(',').map(str::to_owned).collect()),
            types: ceiling
                .types
                .as_ref()
                .map(|types| types.iter().map(|range| range.as_str().to_owned()).collect()),
            digest: ceiling.digest.map(|digest| digest.to_string()),
            require_tls: ceiling.require_tls,
            disposition: ceiling.disposition.as_ref().map(|disposition| disposition.as_str().to_owned()),
            lease: ceiling.lease.map(span),
            total: VolumesView::of(ceiling.total),
            per_subject: VolumesView::of(ceiling.per_subject),
            tell: ceiling.tell,
            dry_run: ceiling.dry_run,
        }
    }

    /// One sentence for each limit.
    pub(super) fn sentences(&self) -> Vec<String> {
        let list = |items: &[String]| items.join(", ");
        let volumes = [
            ("a key has", &self.volumes),
            ("all its keys together have", &self.total),
            ("the keys of each subject together have", &self.per_subject),
        ];
        let volumes = volumes
            .into_iter()
            .flat_map(|(who, view)| view.phrases().into_iter().map(move |phrase| format!("{who} {phrase}")));
        let sentences = [
            self.dry_run
                .then(|| "is a dry run: it bounds nothing, and what it would refuse is logged".to_owned()),
            Some(match &self.scope {
                Some(paths) => format!("opens {}", list(paths)),
                None => "opens every bucket".to_owned(),
            }),
            Some(match &self.allow {
                Some(verbs) => format!("allows {}", verbs.join(", ")),
                None => "allows everything".to_owned(),
            }),
            self.start.as_ref().map(|time| format!("opens nothing before {time}")),
            self.end.as_ref().map(|time| format!("opens nothing new from {time} on")),
            self.max_lifetime.as_ref().map(|span| format!("a key ends at most {span} from now")),
            self.keep_ids.as_ref().map(|span| format!("ids are remembered for {span} after their last key")),
            self.renew.as_ref().map(|time| format!("a key is renewed to {time} at most")),
            self.max_renew.as_ref().map(|span| format!("a key is renewed to {span} after its issue at most")),
            self.max.map(|bytes| format!("an upload has at most {}", Size(bytes))),
            self.min.map(|bytes| format!("an upload has at least {}", Size(bytes))),
            self.uses.map(|uses| format!("a key has at most {}", uses_text(uses))),
            self.ip.as_ref().map(|ranges| format!("for clients from {}", list(ranges))),
            self.types.as_ref().map(|types| format!("an upload is {}", types.join(" or "))),
            self.digest.as_ref().map(|digest| format!("an upload hashes to {digest}")),
            self.require_tls.then(|| "opens over TLS only".to_owned()),
            self.disposition.as_ref().map(|text| format!("a download is {text}")),
            self.lease.as_ref().map(|span| format!("a download may pause for {span}")),
            self.tell.then(|| "answers tell what is left of a key".to_owned()),
        ];
        sentences.into_iter().flatten().chain(volumes).collect()
    }
}

/// `1 use`, `3 uses`.
pub(super) fn uses_text(uses: u64) -> String {
    plural(uses, "use")
}

/// `1 name`, `3 names`.
pub(super) fn plural(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
