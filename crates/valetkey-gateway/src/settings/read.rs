//! From what was typed to what it means, table by table.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use valetkey::{Ceiling, Dialect, ResourcePath, Secret, SignerSecrets};

use super::ceiling::{self, missing};
use super::errors::{Findings, Position};
use super::measure::{SIZE_RULE, parse_size};
use super::section::{Placed, Section};
use super::{
    Audit, Backend, Bucket, Etag, Ledger, Settings, Signer, admin, cors, names, place, secret, server,
};

/// Reads the whole document. Where something is at fault, what is returned is not to be used.
pub(super) fn read(
    mut document: Section<'_>,
    file: &Path,
    environment: &dyn Fn(&str) -> Option<OsString>,
    findings: &mut Findings,
) -> Settings {
    let mut reader = Reader { folder: file.parent().unwrap_or(Path::new("/")), private: Vec::new() };
    reader.keep_private(file.to_owned(), "the configuration", Position(0));

    let server = server::read(document.table("server", &names::SERVER, findings), &mut reader, findings);
    let admin = document.table("admin", &names::ADMIN, findings);
    let ledger = reader.ledger(document.table("ledger", &names::LEDGER, findings), findings);
    let admin = admin::read(admin, &ledger, &mut reader, environment, findings);
    let audit = reader.audit(document.table("audit", &names::AUDIT, findings), findings);
    let backends = reader.backends(document.tables("backends", &names::BACKEND, findings), findings);
    let bucket_sections = document.tables("buckets", &names::BUCKET, findings);
    let bucket_names: BTreeSet<&str> = bucket_sections.iter().map(|(name, _)| *name).collect();
    let buckets = buckets(bucket_sections, &backends, findings);
    let policies = policies(document.tables("policies", &names::POLICY, findings), &bucket_names, findings);
    let signer_sections = document.tables("signers", &names::SIGNER, findings);
    let mut signers = BTreeMap::new();
    for (name, section) in signer_sections {
        let signer = reader.signer(name, section, &bucket_names, &policies, environment, findings);
        signers.extend(signer.map(|signer| (name.to_owned(), signer)));
    }
    document.finish(findings);
    check_overlaps(&backends, &buckets, findings);
    reader.check_private(&backends, &buckets, findings);
    if buckets.is_empty() && bucket_names.is_empty() {
        findings.warn("no bucket is configured, so there is nothing to serve");
    }
    if signers.is_empty() {
        findings.warn("no signer is configured, so no key opens anything");
    }
    Settings {
        server,
        admin,
        ledger,
        audit,
        backends: backends
            .into_iter()
            .map(|(name, root)| (name.to_owned(), Backend::Disk { root: root.value }))
            .collect(),
        buckets: buckets.into_iter().map(|(name, bucket)| (name.to_owned(), bucket.value)).collect(),
        signers,
        policies: policies
            .into_iter()
            .filter_map(|(name, policy)| Some((name.to_owned(), policy?)))
            .collect(),
        warnings: Vec::new(),
    }
}

fn buckets<'a>(
    sections: Vec<(&'a str, Section<'a>)>,
    backends: &Backends<'_>,
    findings: &mut Findings,
) -> BTreeMap<&'a str, Placed<Bucket>> {
    let mut buckets = BTreeMap::new();
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
        only(&mut section, "delivery", "stream", findings);
        let etag = etag(&mut section, findings);
        let cors = cors::read(section.table("cors", &names::CORS, findings), findings);
        let at = section.at;
        section.finish(findings);
        if let Some(backend) = backend {
            let prefix = prefix.map_or("", |prefix| prefix.value).to_owned();
            let bucket = Bucket { backend: backend.value.to_owned(), prefix, etag, cors };
            buckets.insert(name, Placed { value: bucket, at });
        }
    }
    buckets
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

/// Faults every value of `name` but the one that this version enforces.
fn only(section: &mut Section<'_>, name: &'static str, enforced: &str, findings: &mut Findings) {
    if let Some(text) = section.text(name, findings)
        && text.value != enforced
    {
        findings
            .fault(text.at, format!("{name} = {:?} is not enforced by this version; remove it", text.value));
    }
}

fn policies<'a>(
    sections: Vec<(&'a str, Section<'a>)>,
    buckets: &BTreeSet<&str>,
    findings: &mut Findings,
) -> BTreeMap<&'a str, Option<Ceiling>> {
    const DAY: Duration = Duration::from_secs(86_400);
    let mut policies = BTreeMap::new();
    for (name, mut section) in sections {
        check_name("policy", name, section.at, findings);
        let lease = ceiling::duration(&mut section, "lease", Duration::from_secs(1)..=DAY, findings);
        let tell = section.flag("tell", findings).value;
        let dry_run = section.flag("dry_run", findings).value;
        let ceiling = Ceiling { lease, tell, dry_run, ..ceiling::read(&mut section, buckets, findings) };
        if dry_run {
            findings.warn(format!(
                "[{}] is a dry run and bounds nothing: what it would refuse is logged, but for what only \
                 counting or the body of an upload would show",
                section.heading()
            ));
        }
        section.finish(findings);
        policies.insert(name, Some(ceiling));
    }
    policies
}

/// Faults a name that no key could say.
fn check_name(kind: &str, name: &str, at: Position, findings: &mut Findings) {
    if !is_name(name) {
        findings.fault(at, format!("{kind} {name:?}: a name has 1 to 32 of a-z 0-9 -"));
    }
}

/// Whether a signer or a policy may be called so.
pub(crate) fn is_name(name: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(sound)
}

/// The roots of the disk backends.
type Backends<'a> = BTreeMap<&'a str, Placed<PathBuf>>;

/// What reading needs to know of the file's surroundings.
pub(super) struct Reader<'a> {
    /// The folder that relative paths start from.
    folder: &'a Path,
    /// Files that no bucket may hold, what each is, and where it is named.
    private: Vec<(PathBuf, String, Position)>,
}

impl Reader<'_> {
    pub(super) fn keep_private(&mut self, path: PathBuf, what: impl Into<String>, at: Position) {
        self.private.push((path, what.into(), at));
    }

    /// A path from the folder of the configuration file.
    pub(super) fn path(
        &self,
        section: &mut Section<'_>,
        name: &'static str,
        findings: &mut Findings,
    ) -> Option<Placed<PathBuf>> {
        let text = section.text(name, findings)?;
        if text.value.is_empty() || text.value.contains('\0') {
            findings.fault(text.at, format!("{name} must be a path"));
            return None;
        }
        Some(Placed { value: self.folder.join(text.value), at: text.at })
    }

    fn ledger(&mut self, mut section: Section<'_>, findings: &mut Findings) -> Ledger {
        let engine = section.text("engine", findings);
        let at = section.at;
        let path = self.path(&mut section, "path", findings);
        section.finish(findings);
        match engine.map_or("sqlite", |engine| engine.value) {
            "memory" => {
                if let Some(path) = path {
                    findings.fault(path.at, "path has no meaning for the ledger in memory; remove it");
                }
                findings.warn("the ledger is in memory: a restart forgets every use");
                Ledger::Memory
            }
            "sqlite" => {
                let path = path.unwrap_or(Placed { value: self.folder.join("valetkey-data/ledger.db"), at });
                self.keep_private(path.value.clone(), "the ledger", path.at);
                Ledger::Sqlite { path: path.value }
            }
            other => {
                let at = engine.map_or(at, |engine| engine.at);
                findings.fault(
                    at,
                    match other {
                        "postgres" => {
                            "engine = \"postgres\" is not enforced by this version; remove it".to_owned()
                        }
                        other => format!("engine {other:?} must be \"sqlite\" or \"memory\""),
                    },
                );
                Ledger::Memory
            }
        }
    }

    fn audit(&mut self, mut section: Section<'_>, findings: &mut Findings) -> Audit {
        let at = section.at;
        let path = self.path(&mut section, "path", findings);
        let path = path.unwrap_or(Placed { value: self.folder.join("valetkey-data/audit.jsonl"), at });
        let key_file = self.path(&mut section, "key_file", findings);
        let beside = Placed { value: path.value.with_extension("key"), at: path.at };
        let key_file = key_file.unwrap_or(beside);
        const ROTATE_BYTES_MIN: u64 = 64 << 10;
        let rotate = section.number_or("rotate", SIZE_RULE, findings, parse_size);
        if let Some(rotate) = rotate.filter(|rotate| rotate.value < ROTATE_BYTES_MIN) {
            findings.fault(rotate.at, "rotate must be at least 64KiB".to_owned());
        }
        let keep = section.number("keep", 1..=u16::MAX.into(), findings);
        if let (Some(keep), None) = (keep, rotate) {
            findings.fault(keep.at, "keep is for files that rotate makes; say rotate too".to_owned());
        }
        section.finish(findings);
        if path.value == key_file.value {
            findings.fault(key_file.at, "the audit log and its key_file are the same file");
        }
        self.keep_private(path.value.clone(), "the audit log", path.at);
        self.keep_private(key_file.value.clone(), "the audit log's key", key_file.at);
        Audit {
            path: path.value,
            key_file: key_file.value,
            rotate_bytes: rotate.map(|rotate| rotate.value),
            keep: keep.and_then(|keep| u16::try_from(keep.value).ok()),
        }
    }

    fn backends<'a>(&self, sections: Vec<(&'a str, Section<'a>)>, findings: &mut Findings) -> Backends<'a> {
        let mut backends = Backends::new();
        for (name, mut section) in sections {
            check_name("backend", name, section.at, findings);
            let kind = section.text("kind", findings);
            // Until another kind is enforced, what it needs is not looked at: its table may have other names.
            if let Some(kind) = kind
                && kind.value != "disk"
            {
                findings.fault(
                    kind.at,
                    match kind.value {
                        "s3" | "azure" | "gcs" => {
                            format!("kind = {:?} is not enforced by this version; remove it", kind.value)
                        }
                        other => format!("kind {other:?} must be \"disk\""),
                    },
                );
                backends.insert(name, Placed { value: PathBuf::new(), at: section.at });
                continue;
            }
            let at = section.at;
            let root = self.path(&mut section, "root", findings);
            match &root {
                None => findings
                    .fault(at, format!("[{}] has no root, the folder of its bytes", section.heading())),
                Some(root) if root.value.exists() && !root.value.is_dir() => {
                    findings.fault(root.at, format!("root {} is not a folder", root.value.display()));
                }
                Some(_) => {}
            }
            section.finish(findings);
            backends.insert(name, root.unwrap_or(Placed { value: PathBuf::new(), at }));
        }
        backends
    }

    fn signer(
        &mut self,
        name: &str,
        mut section: Section<'_>,
        buckets: &BTreeSet<&str>,
        policies: &BTreeMap<&str, Option<Ceiling>>,
        environment: &dyn Fn(&str) -> Option<OsString>,
        findings: &mut Findings,
    ) -> Option<Signer> {
        check_name("signer", name, section.at, findings);
        let current = self.secret(&mut section, ["secret_file", "secret_env"], environment, findings);
        let previous = ["previous_secret_file", "previous_secret_env"];
        let previous = self.secret(&mut section, previous, environment, findings);
        if current.is_none() {
            findings.fault(
                section.at,
                format!("[{}] has no secret; say secret_file or secret_env", section.heading()),
            );
        }
        let policy = section.text("policy", findings);
        if let Some(policy) = policy
            && !policies.contains_key(policy.value)
        {
            findings.fault(policy.at, missing("policy", policy.value, policies.keys().copied()));
        }
        let dialects = dialects(&mut section, findings);
        let keep_ids = Duration::ZERO..=ceiling::LIFETIME_MAX;
        let keep_ids = ceiling::duration(&mut section, "keep_ids", keep_ids, findings);
        let ceiling = Ceiling { keep_ids, ..ceiling::read(&mut section, buckets, findings) };
        section.finish(findings);
        Some(Signer {
            // A secret that could not be read has been told of already.
            secrets: SignerSecrets { current: current.flatten()?, previous: previous.flatten() },
            ceiling,
            policy: policy.map(|policy| policy.value.to_owned()),
            dialects,
        })
    }

    /// A path from the folder of the configuration file.
    pub(super) fn below(&self, text: &str) -> PathBuf {
        self.folder.join(text)
    }

    /// The secret that one of two settings names; `Some(None)` where it could not be read.
    fn secret(
        &mut self,
        section: &mut Section<'_>,
        [file, variable]: [&'static str; 2],
        environment: &dyn Fn(&str) -> Option<OsString>,
        findings: &mut Findings,
    ) -> Option<Option<Secret>> {
        let path = self.path(section, file, findings);
        let name = section.text(variable, findings);
        let (read, at) = match (path, name) {
            (Some(_), Some(name)) => {
                findings.fault(name.at, format!("{file} and {variable} are both set; remove one"));
                return Some(None);
            }
            (Some(path), None) => {
                let what = format!("the secret of [{}]", section.heading());
                self.keep_private(path.value.clone(), what, path.at);
                findings.read_from(&path.value);
                (secret::from_file(&path.value), path.at)
            }
            (None, Some(name)) => (secret::from_environment(name.value, environment), name.at),
            (None, None) => return None,
        };
        Some(read.map_err(|message| findings.fault(at, message)).ok())
    }

    /// Faults what lies where a holder of a key could download or replace it.
    fn check_private(
        &self,
        backends: &Backends<'_>,
        buckets: &BTreeMap<&str, Placed<Bucket>>,
        findings: &mut Findings,
    ) {
        let served: Vec<_> = buckets
            .iter()
            .filter_map(|(name, bucket)| Some((name, folder(backends, &bucket.value)?)))
            .collect();
        for (path, what, at) in &self.private {
            let path = place::resolve(path);
            if let Some((name, folder)) = served.iter().find(|(_, folder)| path.starts_with(folder)) {
                findings.fault(
                    *at,
                    format!(
                        "{what} {} lies within bucket {name}, which serves {}; move one of them",
                        path.display(),
                        folder.display()
                    ),
                );
            }
        }
    }
}

fn dialects(section: &mut Section<'_>, findings: &mut Findings) -> Vec<Dialect> {
    let Some(dialects) = section.texts("dialects", findings) else {
        return vec![Dialect::Native, Dialect::Aws];
    };
    let mut taken = Vec::new();
    for dialect in &dialects.value {
        match (Dialect::of_name(dialect.value), dialect.value) {
            (Some(known), _) => taken.push(known),
            (None, "azure" | "gcs" | "jwt") => findings.fault(
                dialect.at,
                format!("dialect {:?} is not enforced by this version; remove it", dialect.value),
            ),
            (None, other) => findings
                .fault(dialect.at, format!("dialects has no {other:?}; this version knows native and aws")),
        }
    }
    taken
}

/// Faults buckets of which one lies within another: an object would have two names, and keys for one bucket
/// would open the other.
fn check_overlaps(
    backends: &Backends<'_>,
    buckets: &BTreeMap<&str, Placed<Bucket>>,
    findings: &mut Findings,
) {
    let folders: Vec<_> = buckets
        .iter()
        .filter_map(|(name, bucket)| Some((name, bucket, folder(backends, &bucket.value)?)))
        .collect();
    for (at, (name, bucket, folder)) in folders.iter().enumerate() {
        for (other_name, other, other_folder) in &folders[..at] {
            let later = bucket.at.max(other.at);
            if place::overlap(folder, other_folder) {
                findings.fault(
                    later,
                    format!(
                        "buckets {other_name} and {name} overlap: {} and {}; give each a prefix of its own",
                        other_folder.display(),
                        folder.display()
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

/// Whether the backends of two buckets share a root: each keeps files of its own there.
fn roots_overlap(backends: &Backends<'_>, one: &Bucket, other: &Bucket) -> bool {
    let root =
        |bucket: &Bucket| backends.get(bucket.backend.as_str()).map(|root| place::resolve(&root.value));
    matches!((root(one), root(other)), (Some(one), Some(other)) if place::overlap(&one, &other))
}

/// The folder that a bucket serves, where its backend is sound.
fn folder(backends: &Backends<'_>, bucket: &Bucket) -> Option<PathBuf> {
    let root = &backends.get(bucket.backend.as_str())?.value;
    (!root.as_os_str().is_empty()).then(|| place::resolve(&root.join(&bucket.prefix)))
}
