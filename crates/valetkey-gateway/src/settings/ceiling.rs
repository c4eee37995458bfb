//! The limits of a signer or a policy.

use std::collections::BTreeSet;
use std::time::Duration;

use ipnet::IpNet;
use valetkey::{
    Ceiling, ClientRanges, Digest, Disposition, Limits, MediaRange, ResourcePath, Scopes, Timestamp, Verb,
    Verbs,
};

use super::errors::Findings;
use super::measure::{DURATION_RULE, SIZE_RULE, Span, parse_duration, parse_size};
use super::names::{self, nearest};
use super::section::Section;

/// The longest lifetime that can be written, a hundred years.
pub(super) const LIFETIME_MAX: Duration = Duration::from_secs(36_500 * 86_400);

/// The largest number of a key, 2^63-1.
pub(crate) const NUMBER_MAX: u64 = i64::MAX.cast_unsigned();

/// What a point in time must look like, to follow "must be".
pub(crate) const TIME_RULE: &str = "a time in UTC as 2026-11-22T00:00:00Z";

/// Reads the limits that signers and policies share.
pub(super) fn read(section: &mut Section<'_>, buckets: &BTreeSet<&str>, findings: &mut Findings) -> Ceiling {
    let start = section.time("start", TIME_RULE, findings, Timestamp::parse);
    let end = section.time("end", TIME_RULE, findings, Timestamp::parse);
    if let (Some(start), Some(end)) = (&start, &end)
        && start.value >= end.value
    {
        findings.fault(start.at, format!("start {} is not before end {}", start.value, end.value));
    }
    let size_max = section.number_or("max", SIZE_RULE, findings, parse_size);
    let size_min = section.number_or("min", SIZE_RULE, findings, parse_size);
    if let (Some(min), Some(max)) = (&size_min, &size_max)
        && min.value > max.value
    {
        findings.fault(min.at, format!("min {} exceeds max {}", min.value, max.value));
    }
    let rule = "inline or attachment with parameters, in printable ASCII";
    let uses = section.number("uses", 1..=NUMBER_MAX, findings).map(|uses| uses.value);
    let total = quota(section.table("total", &names::TOTAL, findings), findings);
    let per_subject = quota(section.table("per_subject", &names::PER_SUBJECT, findings), findings);
    Ceiling {
        scopes: scopes(section, buckets, findings),
        allow: verbs(section, findings),
        start: start.map(|start| start.value),
        end: end.map(|end| end.value),
        renew: section.time("renew", TIME_RULE, findings, Timestamp::parse).map(|renew| renew.value),
        max_renew: duration(section, "max_renew", Duration::from_secs(1)..=LIFETIME_MAX, findings),
        max_lifetime: duration(section, "max_lifetime", Duration::from_secs(1)..=LIFETIME_MAX, findings),
        size_max: size_max.map(|max| max.value),
        size_min: size_min.map(|min| min.value),
        limits: Limits { uses, ..volumes(section, findings) },
        total,
        per_subject,
        clients: ranges(section, "ip", findings),
        types: types(section, findings),
        digest: digest(section, findings),
        require_tls: section.flag("require_tls", findings).value,
        disposition: section
            .parsed("disposition", rule, findings, Disposition::parse)
            .map(|disposition| disposition.value),
        ..Ceiling::default()
    }
}

/// Reads the limits over many keys, a table of their own.
fn quota(mut section: Section<'_>, findings: &mut Findings) -> Limits {
    let limits = volumes(&mut section, findings);
    if section.is_present() && limits == Limits::default() {
        findings.fault(
            section.at,
            format!("[{}] limits nothing; say in, out, files, rate or parallel", section.heading()),
        );
    }
    section.finish(findings);
    limits
}

/// Reads how much may be moved, how fast, and how much at once.
fn volumes(section: &mut Section<'_>, findings: &mut Findings) -> Limits {
    let in_bytes = section.number_or("in", SIZE_RULE, findings, parse_size);
    let out_bytes = section.number_or("out", SIZE_RULE, findings, parse_size);
    let files = section.number("files", 1..=NUMBER_MAX, findings);
    let rate = section.number_or("rate", SIZE_RULE, findings, parse_size);
    let parallel = section.number("parallel", 1..=NUMBER_MAX, findings);
    if let Some(rate) = rate.filter(|rate| rate.value == 0) {
        findings.fault(rate.at, "rate must be at least one byte per second".to_owned());
    }
    Limits {
        uses: None,
        in_bytes: in_bytes.map(|bytes| bytes.value),
        out_bytes: out_bytes.map(|bytes| bytes.value),
        files: files.map(|files| files.value),
        rate_bytes: rate.map(|rate| rate.value),
        parallel: parallel.map(|parallel| parallel.value),
    }
}

/// Reads a duration in `range`.
pub(super) fn duration(
    section: &mut Section<'_>,
    name: &'static str,
    range: std::ops::RangeInclusive<Duration>,
    findings: &mut Findings,
) -> Option<Duration> {
    let duration = section.parsed(name, DURATION_RULE, findings, parse_duration)?;
    if !range.contains(&duration.value) {
        let (least, most) = (Span(*range.start()), Span(*range.end()));
        findings.fault(
            duration.at,
            format!("{name} {:?} must be from {least} to {most}", Span(duration.value).to_string()),
        );
        return None;
    }
    Some(duration.value)
}

fn scopes(section: &mut Section<'_>, buckets: &BTreeSet<&str>, findings: &mut Findings) -> Option<Scopes> {
    let texts = section.texts("scope", findings)?.value;
    let mut paths = Vec::with_capacity(texts.len());
    for text in texts {
        match ResourcePath::from_text(text.value) {
            Ok(path) if buckets.contains(path.bucket()) => paths.push(path),
            Ok(path) => {
                let bucket = path.bucket();
                findings.fault(
                    text.at,
                    format!("scope {:?}: {}", text.value, missing("bucket", bucket, buckets.iter().copied())),
                );
            }
            Err(error) => findings.fault(text.at, format!("scope {:?}: {error}", text.value)),
        }
    }
    Some(Scopes::any_of(paths))
}

/// That nothing is called `name`, and what the operator may have meant.
pub(crate) fn missing<'a>(kind: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(name, known).as_slice() {
        [] => format!("there is no {kind} {name:?}; none is configured"),
        [one] => format!("there is no {kind} {name:?}; there is {one}"),
        several => format!("there is no {kind} {name:?}; there are {}", several.join(", ")),
    }
}

fn verbs(section: &mut Section<'_>, findings: &mut Findings) -> Option<Verbs> {
    let texts = section.texts("allow", findings)?.value;
    let mut verbs = Verbs::NONE;
    for text in texts {
        match Verb::from_name(text.value) {
            Some(verb) => verbs = verbs.with(verb),
            None => {
                let known = nearest(text.value, Verb::ALL.map(Verb::name)).join(", ");
                findings.fault(text.at, format!("allow has no verb {:?}; it knows {known}", text.value));
            }
        }
    }
    Some(verbs)
}

/// Reads a list of address ranges.
pub(super) fn ranges(
    section: &mut Section<'_>,
    name: &'static str,
    findings: &mut Findings,
) -> Option<ClientRanges> {
    let texts = section.texts(name, findings)?.value;
    let mut ranges = Vec::with_capacity(texts.len());
    for text in texts {
        match parse_range(text.value) {
            Ok(range) => ranges.push(range),
            Err(message) => findings.fault(text.at, format!("{name} {message}")),
        }
    }
    Some(ClientRanges::of(ranges))
}

fn types(section: &mut Section<'_>, findings: &mut Findings) -> Option<Vec<MediaRange>> {
    let texts = section.texts("type", findings)?.value;
    let mut ranges = Vec::with_capacity(texts.len());
    for text in texts {
        match MediaRange::parse(text.value) {
            Some(range) => ranges.push(range),
            None => findings.fault(
                text.at,
                format!("type {:?} must be a media type in lower case as image/png, or image/*", text.value),
            ),
        }
    }
    Some(ranges)
}

fn digest(section: &mut Section<'_>, findings: &mut Findings) -> Option<Digest> {
    let rule = "blake3: or sha-256: and 43 characters of base64url";
    section.parsed("digest", rule, findings, Digest::parse).map(|digest| digest.value)
}

/// Reads an address range, or one address, or says what is wrong with it.
pub(crate) fn parse_range(text: &str) -> Result<IpNet, String> {
    let range = match text.parse::<IpNet>() {
        Ok(range) => range,
        Err(_) => text
            .parse::<std::net::IpAddr>()
            .map(IpNet::from)
            .map_err(|_| format!("{text:?} must be an address range as 10.0.0.0/8 or 2001:db8::/32"))?,
    };
    if range.trunc() != range {
        // Cutting the bits off would open the key to more addresses than somebody wrote.
        let one = IpNet::from(range.addr());
        return Err(format!("{text:?} has bits beyond its length; write {} or {one}", range.trunc()));
    }
    Ok(range)
}
