//! `[backends.NAME]`: where bytes live, each kind of store in a file of its own.

mod azure;
mod disk;
mod endpoint;
mod gcs;
mod s3;

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::errors::Findings;
use super::measure::{SIZE_RULE, parse_size};
use super::read::{Reader, check_name};
use super::secret::SecretText;
use super::section::{Placed, Section};
use super::{ceiling, names, place};

pub use self::azure::AzureSettings;
pub use self::endpoint::Endpoint;
pub use self::gcs::GcsSettings;
pub use self::s3::S3Settings;

/// How long a credential of a store may be, in bytes: the store chose it, so a short one is not ours to refuse.
const CREDENTIAL_BYTES: RangeInclusive<usize> = 1..=8192;

/// How much memory uploads may be given: at least one part of the size that S3 takes.
const UPLOAD_MEMORY_BYTES: RangeInclusive<u64> = 5 << 20..=1 << 40;

/// Where bytes live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// In a folder on local disk.
    Disk {
        /// The folder. It need not exist yet.
        root: PathBuf,
    },
    /// In a bucket of a service that speaks S3.
    S3(S3Settings),
    /// In a container of Azure Blob Storage.
    Azure(AzureSettings),
    /// In a bucket of Google Cloud Storage.
    Gcs(GcsSettings),
}

/// How a store at the other end of a network is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// How long a connection may take to be made, its TLS too.
    pub connect_timeout: Duration,
    /// How long the store may take or send nothing while a request is under way.
    pub stall_timeout: Duration,
    /// How often a request that is safe to repeat is tried again.
    pub retries: u32,
    /// How long after its beginning a request may still be tried again.
    pub retry_timeout: Duration,
    /// How many requests are under way at once; further ones wait.
    pub connections_max: NonZeroUsize,
    /// How much memory the parts of uploads that do not say their length may take together, in KiB.
    pub upload_memory_kib: u32,
}

impl Backend {
    /// The kind, as it is written.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Disk { .. } => "disk",
            Self::S3(_) => "s3",
            Self::Azure(_) => "azure",
            Self::Gcs(_) => "gcs",
        }
    }

    /// How the store is spoken to; `None` for one on this machine's disk.
    pub fn remote(&self) -> Option<&Remote> {
        match self {
            Self::Disk { .. } => None,
            Self::S3(settings) => Some(&settings.remote),
            Self::Azure(settings) => Some(&settings.remote),
            Self::Gcs(settings) => Some(&settings.remote),
        }
    }

    /// What it is, in words for an operator.
    pub fn described(&self) -> String {
        match self {
            Self::Disk { root } => format!("the folder {}", root.display()),
            Self::S3(settings) => settings.described(),
            Self::Azure(settings) => settings.described(),
            Self::Gcs(settings) => settings.described(),
        }
    }

    /// Where `prefix` begins, for comparison alone: a folder, or, told apart by having no root, the store's host, its
    /// bucket and the prefix. Two spellings of one place compare equal.
    pub(super) fn place(&self, prefix: &str) -> PathBuf {
        let store = match self {
            Self::Disk { root } => return place::resolve(&root.join(prefix)),
            Self::S3(settings) => settings.place(),
            Self::Azure(settings) => settings.place(),
            Self::Gcs(settings) => settings.place(),
        };
        Path::new(&store).join(prefix)
    }
}

/// Reads one backend; `None` where it is at fault.
pub(super) fn read(
    name: &str,
    mut section: Section<'_>,
    reader: &mut Reader<'_>,
    findings: &mut Findings,
) -> Option<Backend> {
    check_name("backend", name, section.at, findings);
    let kind = section.text("kind", findings);
    match kind.map_or("disk", |kind| kind.value) {
        "disk" => disk::read(section, reader, findings),
        "s3" => s3::read(section.told(&names::S3), reader, findings).map(Backend::S3),
        "azure" => azure::read(section.told(&names::AZURE), reader, findings).map(Backend::Azure),
        "gcs" => gcs::read(section.told(&names::GCS), reader, findings).map(Backend::Gcs),
        other => {
            // What it may say depends on its kind, so nothing more is looked at.
            let at = kind.map_or(section.at, |kind| kind.at);
            findings.fault(at, format!("kind {other:?} must be \"disk\", \"s3\", \"azure\" or \"gcs\""));
            None
        }
    }
}

/// Reads how a store is spoken to.
fn remote(section: &mut Section<'_>, findings: &mut Findings) -> Remote {
    const RETRIES: u32 = 2;
    const CONNECTIONS: NonZeroUsize = NonZeroUsize::new(256).unwrap();
    const UPLOAD_MEMORY_KIB: u32 = 64 << 10;
    let secs = Duration::from_secs;
    let connect = ceiling::duration(section, "connect_timeout", secs(1)..=secs(300), findings);
    let stall = ceiling::duration(section, "stall_timeout", secs(1)..=secs(3600), findings);
    let retries = section.number("retries", 0..=10, findings);
    let retry = ceiling::duration(section, "retry_timeout", secs(1)..=secs(300), findings);
    let connections = section.number("connections_max", 1..=65_536, findings);
    let memory = section.number_or("upload_memory", SIZE_RULE, findings, parse_size);
    if let Some(memory) = memory.filter(|memory| !UPLOAD_MEMORY_BYTES.contains(&memory.value)) {
        findings.fault(memory.at, "upload_memory must be from 5MiB to 1TiB".to_owned());
    }
    Remote {
        connect_timeout: connect.unwrap_or(secs(5)),
        stall_timeout: stall.unwrap_or(secs(30)),
        retries: retries.and_then(|retries| u32::try_from(retries.value).ok()).unwrap_or(RETRIES),
        retry_timeout: retry.unwrap_or(secs(10)),
        connections_max: connections
            .and_then(|connections| usize::try_from(connections.value).ok())
            .and_then(NonZeroUsize::new)
            .unwrap_or(CONNECTIONS),
        upload_memory_kib: memory
            .and_then(|memory| u32::try_from(memory.value >> 10).ok())
            .unwrap_or(UPLOAD_MEMORY_KIB),
    }
}

/// Reads where the store is, and warns of what would travel there for all to read. `None` where it is at fault,
/// `Some(None)` where it was left out.
fn endpoint(section: &mut Section<'_>, findings: &mut Findings) -> Option<Option<Endpoint>> {
    let Some(text) = section.text("endpoint", findings) else {
        return (!section.says("endpoint")).then_some(None);
    };
    let endpoint = Endpoint::parse(text.value).map_err(|message| findings.fault(text.at, message)).ok()?;
    if endpoint.is_plain() && !endpoint.is_loopback() {
        findings.warn(format!(
            "objects travel unencrypted: the endpoint {endpoint} of [{}] is plain HTTP and not this machine; say \
             https://",
            section.heading()
        ));
    }
    Some(Some(endpoint))
}

/// Reads a text that must be there; `rule` follows "must be".
fn required(
    section: &mut Section<'_>,
    name: &'static str,
    rule: &str,
    findings: &mut Findings,
    is_sound: impl FnOnce(&str) -> bool,
) -> Option<String> {
    if !section.says(name) {
        let heading = section.heading();
        findings.fault(section.at, format!("[{heading}] has no {name}; say {rule}"));
    }
    let sound = |text: &str| is_sound(text).then(|| text.to_owned());
    section.parsed(name, rule, findings, sound).map(|text| text.value)
}

/// Reads a credential that must be there.
fn credential(
    section: &mut Section<'_>,
    names: [&'static str; 2],
    reader: &mut Reader<'_>,
    findings: &mut Findings,
) -> Option<SecretText> {
    let said = optional_credential(section, names, reader, findings);
    if said.is_none() {
        let [file, variable] = names;
        let what = file.trim_end_matches("_file");
        let heading = section.heading();
        findings.fault(section.at, format!("[{heading}] has no {what}; say {file} or {variable}"));
    }
    said.flatten()
}

/// Reads a credential; `Some(None)` where it is at fault.
fn optional_credential(
    section: &mut Section<'_>,
    names: [&'static str; 2],
    reader: &mut Reader<'_>,
    findings: &mut Findings,
) -> Option<Option<SecretText>> {
    let Placed { value, at } = reader.secret(section, names, &CREDENTIAL_BYTES, findings)?;
    let is_sound = |secret: &SecretText| secret.reveal().bytes().all(|byte| byte.is_ascii_graphic());
    if value.as_ref().is_some_and(|secret| !is_sound(secret)) {
        let what = names[0].trim_end_matches("_file");
        findings.fault(at, format!("{what} is one line of printable ASCII without spaces"));
        return Some(None);
    }
    Some(value)
}
