//! From what was typed to what it means, table by table.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use valetkey::{Ceiling, Dialect, Secret, SignerSecrets};

use super::bucket::{self, Backends, Bucket};
use super::ceiling::{self, missing};
use super::errors::{Findings, Position};
use super::measure::{SIZE_RULE, parse_size};
use super::secret::{self, OWN_BYTES, SecretText};
use super::section::{Placed, Section};
use super::{Audit, Ledger, Settings, Signer, admin, backend, names, place, server};

/// Reads the whole document. Where something is at fault, what is returned is not to be used.
pub(super) fn read(
    mut document: Section<'_>,
    file: &Path,
    environment: &dyn Fn(&str) -> Option<OsString>,
    findings: &mut Findings,
) -> Settings {
    let folder = file.parent().unwrap_or(Path::new("/"));
    let mut reader = Reader { folder, environment, private: Vec::new() };
    reader.keep_private(file.to_owned(), "the configuration", Position(0));

    let server = server::read(document.table("server", &names::SERVER, findings), &mut reader, findings);
    let admin = document.table("admin", &names::ADMIN, findings);
    let ledger = reader.ledger(document.table("ledger", &names::LEDGER, findings), findings);
    let admin = admin::read(admin, &ledger, &mut reader, findings);
    let audit = reader.audit(document.table("audit", &names::AUDIT, findings), findings);
    let backends: Backends<'_> = document
        .tables("backends", &names::DISK, findings)
        .into_iter()
        .map(|(name, section)| (name, backend::read(name, section, &mut reader, findings)))
        .collect();
    let bucket_sections = document.tables("buckets", &names::BUCKET, findings);
    let bucket_names: BTreeSet<&str> = bucket_sections.iter().map(|(name, _)| *name).collect();
    let buckets = bucket::read(bucket_sections, &backends, findings);
    let policies = policies(document.tables("policies", &names::POLICY, findings), &bucket_names, findings);
    let signer_sections = document.tables("signers", &names::SIGNER, findings);
    let mut signers = BTreeMap::new();
    for (name, section) in signer_sections {
        let signer = reader.signer(name, section, &bucket_names, &policies, findings);
        signers.extend(signer.map(|signer| (name.to_owned(), signer)));
    }
    document.finish(findings);
    reader.check_private(&bucket::served(&backends, &buckets), findings);
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
            .filter_map(|(name, backend)| Some((name.to_owned(), backend?)))
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
pub(super) fn check_name(kind: &str, name: &str, at: Position, findings: &mut Findings) {
    if !is_name(name) {
        findings.fault(at, format!("{kind} {name:?}: a name has 1 to 32 of a-z 0-9 -"));
    }
}

/// Whether a signer or a policy may be called so.
pub(crate) fn is_name(name: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(sound)
}

/// What reading needs to know of the file's surroundings.
pub(super) struct Reader<'a> {
    /// The folder that relative paths start from.
    folder: &'a Path,
    /// The variables of the environment.
    environment: &'a dyn Fn(&str) -> Option<OsString>,
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

    fn signer(
        &mut self,
        name: &str,
        mut section: Section<'_>,
        buckets: &BTreeSet<&str>,
        policies: &BTreeMap<&str, Option<Ceiling>>,
        findings: &mut Findings,
    ) -> Option<Signer> {
        check_name("signer", name, section.at, findings);
        let current = self.secret(&mut section, ["secret_file", "secret_env"], &OWN_BYTES, findings);
        let previous = ["previous_secret_file", "previous_secret_env"];
        let previous = self.secret(&mut section, previous, &OWN_BYTES, findings);
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
            secrets: SignerSecrets {
                current: signing(&current?.value?),
                previous: previous.and_then(|previous| previous.value).map(|previous| signing(&previous)),
            },
            ceiling,
            policy: policy.map(|policy| policy.value.to_owned()),
            dialects,
        })
    }

    /// A path from the folder of the configuration file.
    pub(super) fn below(&self, text: &str) -> PathBuf {
        self.folder.join(text)
    }

    /// The secret that one of two settings names: `NAME_file` or `NAME_env`. It stands with no value where it could
    /// not be read.
    pub(super) fn secret(
        &mut self,
        section: &mut Section<'_>,
        [file, variable]: [&'static str; 2],
        bytes: &RangeInclusive<usize>,
        findings: &mut Findings,
    ) -> Option<Placed<Option<SecretText>>> {
        let path = self.path(section, file, findings);
        let name = section.text(variable, findings);
        let (read, at) = match (path, name) {
            (Some(_), Some(name)) => {
                findings.fault(name.at, format!("{file} and {variable} are both set; remove one"));
                return Some(Placed { value: None, at: name.at });
            }
            (Some(path), None) => {
                let what = file.trim_end_matches("_file");
                self.keep_private(
                    path.value.clone(),
                    format!("the {what} of [{}]", section.heading()),
                    path.at,
                );
                findings.read_from(&path.value);
                (secret::from_file(&path.value, bytes), path.at)
            }
            (None, Some(name)) => (secret::from_environment(name.value, bytes, self.environment), name.at),
            // One that is no text has been told of, and is not missing.
            (None, None) if section.says(file) || section.says(variable) => {
                return Some(Placed { value: None, at: section.at });
            }
            (None, None) => return None,
        };
        Some(Placed { value: read.map_err(|message| findings.fault(at, message)).ok(), at })
    }

    /// Faults what lies where a holder of a key could download or replace it.
    fn check_private(&self, served: &[(&str, &Placed<Bucket>, PathBuf)], findings: &mut Findings) {
        for (path, what, at) in &self.private {
            let path = place::resolve(path);
            if let Some((name, _, folder)) = served.iter().find(|(.., folder)| path.starts_with(folder)) {
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

fn signing(secret: &SecretText) -> Secret {
    Secret::new(secret.reveal().as_bytes())
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
