//! `[buckets.NAME]`: a named space of objects, and where in a backend it begins.

use std::collections::BTreeMap;
use std::path::PathBuf;

use valetkey::ResourcePath;

use super::ceiling::missing;
use super::cors::{self, Cors};
use super::errors::Findings;
use super::section::{Placed, Section};
use super::{Backend, names, place};

/// The backends by name; `None` for one that is at fault.
pub(super) type Backends<'a> = BTreeMap<&'a str, Option<Backend>>;

/// The buckets by name, each with its place in the file.
pub(super) type Buckets<'a> = BTreeMap<&'a str, Placed<Bucket>>;

/// A named space of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The name of its backend.
    pub backend: String,
    /// Where it begins within the backend: `""`, or folders as `a/b/`.
    pub prefix: String,
    /// How downloads travel.
    pub delivery: Delivery,
    /// What its objects' entity tags are made from.
    pub etag: Etag,
    /// Whose pages may read its answers; `None` where only those of the gateway's own origin may.
    pub cors: Option<Cors>,
}

/// How downloads travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Through the gateway.
    #[default]
    Stream,
    /// From the store itself, by a URL that the store takes for a short while, where the key allows that.
    Redirect,
}

/// What an object's entity tag is made from when it is uploaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Etag {
    /// The BLAKE3 of its content, which is computed anyway.
    #[default]
    Blake3,
    /// The MD5 of its content, as some clients expect: at a sixth of the speed.
    Md5,
}

/// Reads all buckets.
pub(super) fn read<'a>(
    sections: Vec<(&'a str, Section<'a>)>,
    backends: &Backends<'_>,
    findings: &mut Findings,
) -> Buckets<'a> {
    let mut buckets = Buckets::new();
    for (name, mut section) in sections {
        if let Err(error) = ResourcePath::from_text(&format!("/{name}/")) {
            findings.fault(section.at, format!("bucket {name:?}: {error}"));
        }
        let backend = section.text("backend", findings);
        match backend {
            None => findings.fault(section.at, format!("[{}] names no backend", section.heading())),
            Some(backend) if !backends.contains_key(backend.value) => {
                let known = backends.keys().copied();
                findings.fault(backend.at, missing("backend", backend.value, known));
            }
            Some(_) => {}
        }
        let prefix = section.text("prefix", findings);
        if let Some(prefix) = prefix
            && let Err(message) = place::check_prefix(prefix.value)
        {
            findings.fault(prefix.at, message);
        }
        let named = backend.and_then(|backend| backends.get(backend.value)?.as_ref());
        let delivery = delivery(&mut section, named, findings);
        let etag = etag(&mut section, findings);
        let cors = cors::read(section.table("cors", &names::CORS, findings), findings);
        let at = section.at;
        section.finish(findings);
        if let Some(backend) = backend {
            let prefix = prefix.map_or("", |prefix| prefix.value).to_owned();
            let bucket = Bucket { backend: backend.value.to_owned(), prefix, delivery, etag, cors };
            buckets.insert(name, Placed { value: bucket, at });
        }
    }
    check_overlaps(backends, &buckets, findings);
    buckets
}

fn delivery(section: &mut Section<'_>, backend: Option<&Backend>, findings: &mut Findings) -> Delivery {
    let delivery = section.parsed("delivery", "\"stream\" or \"redirect\"", findings, |text| match text {
        "stream" => Some(Delivery::Stream),
        "redirect" => Some(Delivery::Redirect),
        _ => None,
    });
    let Some(Placed { value: Delivery::Redirect, at }) = delivery else { return Delivery::Stream };
    let hindrance = match backend {
        Some(Backend::Disk { .. }) => Some("is for a backend of another kind than disk"),
        Some(Backend::Gcs(gcs)) if gcs.service_account_key.is_none() => {
            Some("needs a service_account_key, with which the URLs are signed")
        }
        _ => None,
    };
    if let Some(hindrance) = hindrance {
        findings.fault(at, format!("delivery = \"redirect\" {hindrance}; say \"stream\""));
    }
    Delivery::Redirect
}

fn etag(section: &mut Section<'_>, findings: &mut Findings) -> Etag {
    section
        .parsed("etag", "\"blake3\" or \"md5\"", findings, |text| match text {
            "blake3" => Some(Etag::Blake3),
            "md5" => Some(Etag::Md5),
            _ => None,
        })
        .map_or_else(Etag::default, |etag| etag.value)
}

/// Faults buckets of which one lies within another: an object would have two names, and keys for one bucket
/// would open the other.
fn check_overlaps(backends: &Backends<'_>, buckets: &Buckets<'_>, findings: &mut Findings) {
    let served = served(backends, buckets);
    for (at, (name, bucket, begins)) in served.iter().enumerate() {
        for (other_name, other, other_begins) in &served[..at] {
            let later = bucket.at.max(other.at);
            if place::overlap(begins, other_begins) {
                findings.fault(
                    later,
                    format!(
                        "buckets {other_name} and {name} overlap: {} and {}; give each a prefix of its own",
                        other_begins.display(),
                        begins.display()
                    ),
                );
            } else if bucket.value.backend != other.value.backend
                && roots_overlap(backends, &bucket.value, &other.value)
            {
                findings.fault(
                    later,
                    format!(
                        "backends {} and {} overlap; use one backend and give each bucket a prefix of its own",
                        other.value.backend, bucket.value.backend
                    ),
                );
            }
        }
    }
}

/// The buckets whose backend is sound, and where each begins.
pub(super) fn served<'a>(
    backends: &Backends<'_>,
    buckets: &'a Buckets<'_>,
) -> Vec<(&'a str, &'a Placed<Bucket>, PathBuf)> {
    let begins = |bucket: &Bucket| {
        let backend = backends.get(bucket.backend.as_str())?.as_ref()?;
        Some(backend.place(&bucket.prefix))
    };
    buckets.iter().filter_map(|(name, bucket)| Some((*name, bucket, begins(&bucket.value)?))).collect()
}

/// Whether the backends of two buckets share a root: each keeps files of its own there. A remote store keeps none.
fn roots_overlap(backends: &Backends<'_>, one: &Bucket, other: &Bucket) -> bool {
    let root = |bucket: &Bucket| match backends.get(bucket.backend.as_str()) {
        Some(Some(disk @ Backend::Disk { .. })) => Some(disk.place("")),
        _ => None,
    };
    matches!((root(one), root(other)), (Some(one), Some(other)) if place::overlap(&one, &other))
}
