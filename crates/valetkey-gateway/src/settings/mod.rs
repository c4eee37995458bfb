//! What operators write: one TOML file, read into settings that cannot be wrong.
//!
//! What was typed (`section`, with its names in `names`) and what it means ([`Settings`]) are two types.
//! Between them everything is checked, all faults are told at once, and a setting that this version does not
//! enforce is refused: a limit that somebody wrote is never silently left out. Secrets are read here and
//! nowhere else, and are in no message.

mod admin;
mod backend;
mod bucket;
mod ceiling;
mod cors;
pub mod embedded;
mod errors;
mod fixed;
pub(crate) mod fresh;
pub mod measure;
mod names;
mod place;
mod read;
mod secret;
mod section;
mod server;
mod tls;
mod virtual_hosts;
mod watch;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeTable;
use valetkey::{Ceiling, ClientRanges, Dialect, Grant, House, Parameters, SignerSecrets};

use self::errors::{Findings, Position};
use self::section::Section;

pub use self::admin::{Admin, AdminListen};
pub use self::backend::{AzureSettings, Backend, Endpoint, GcsSettings, Remote, S3Settings};
pub use self::bucket::{Bucket, Delivery, Etag};
pub(crate) use self::ceiling::{NUMBER_MAX, TIME_RULE, missing, parse_range};
pub use self::cors::Cors;
pub use self::errors::{SettingsError, SettingsErrors};
pub(crate) use self::read::is_name;
pub use self::secret::SecretText;
pub use self::virtual_hosts::VirtualHosts;
pub(crate) use self::watch::Seen;
pub use self::watch::Watch;

/// The parameters of a key that this version enforces. A key that names another is answered `not_supported`.
pub const ENFORCED: Parameters = Parameters::ALL;

/// What the name of the configuration file is where nobody says another.
pub const FILE_NAME: &str = "valetkey.toml";

/// What a configuration file means. All paths are absolute.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where and how the gateway listens.
    pub server: Server,
    /// Where operators are answered; `None` where nobody is.
    pub admin: Option<Admin>,
    /// Where uses are remembered.
    pub ledger: Ledger,
    /// Where requests are recorded.
    pub audit: Audit,
    /// Where bytes live, by name.
    pub backends: BTreeMap<String, Backend>,
    /// The buckets, by name; each names a backend that exists.
    pub buckets: BTreeMap<String, Bucket>,
    /// Who may sign keys, by name; each names a policy that exists, or none.
    pub signers: BTreeMap<String, Signer>,
    /// The stored access policies, by name.
    pub policies: BTreeMap<String, Ceiling>,
    /// What an operator should know of this configuration, to be said at every start.
    pub warnings: Vec<String>,
}

/// Where and how the gateway listens.
#[derive(Clone, Debug)]
pub struct Server {
    /// The address and port.
    pub listen: SocketAddr,
    /// What stands before the path in a URL: scheme, host and port, without a slash at its end.
    pub public_url: String,
    /// How far an application's clock may be ahead of ours.
    pub clock_skew: Duration,
    /// How long a download's lease lasts after its last request, where no policy says.
    pub lease: Duration,
    /// How long an upload in several requests may take from its beginning to its end.
    pub upload_expiry: Duration,
    /// How many of those one key may have open.
    pub open_uploads_max: u64,
    /// How many threads serve; `None` is one for each core.
    pub workers: Option<NonZeroUsize>,
    /// How many connections are open at once, over all threads.
    pub connections_max: NonZeroUsize,
    /// Whose word on a client's address and transport is taken.
    pub trusted_proxies: ClientRanges,
    /// Whether each connection begins with a proxy's header that says the client's address.
    pub proxy_protocol: bool,
    /// Below which host names every bucket has one of its own.
    pub virtual_hosts: VirtualHosts,
    /// What TLS is spoken with; `None` is plain HTTP.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

/// Where uses are remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ledger {
    /// In a SQLite database.
    Sqlite {
        /// The database's file.
        path: PathBuf,
    },
    /// In memory: a restart forgets every use.
    Memory,
}

/// Where requests are recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// The log, a JSON object a line.
    pub path: PathBuf,
    /// The key of the chain over its lines.
    pub key_file: PathBuf,
    /// How large the file may become, in bytes, before the log goes on in a new one.
    pub rotate_bytes: Option<u64>,
    /// How many of the files that were left for a new one are kept; all, where it is not said.
    pub keep: Option<u16>,
}

/// Who may sign keys.
#[derive(Clone, Debug)]
pub struct Signer {
    /// What its keys are signed with.
    pub secrets: SignerSecrets,
    /// The most that it can grant.
    pub ceiling: Ceiling,
    /// The policy that bounds all its keys.
    pub policy: Option<String>,
    /// The wire forms of its keys.
    pub dialects: Vec<Dialect>,
}

impl Settings {
    /// Reads the configuration file at `path`, and the secrets that it names.
    ///
    /// # Errors
    /// Everything that is wrong with the file, or that it cannot be read.
    pub fn load(path: &Path) -> Result<Self, SettingsErrors> {
        Self::read(path).0
    }

    /// As [`Settings::load`], with the files that were read, as they were before.
    pub(crate) fn read(path: &Path) -> (Result<Self, SettingsErrors>, Seen) {
        Self::read_with(path, &|name| std::env::var_os(name))
    }

    /// Reads a configuration whose secrets may stand in `environment`.
    #[cfg(test)]
    pub(crate) fn load_with(
        path: &Path,
        environment: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, SettingsErrors> {
        Self::read_with(path, environment).0
    }

    fn read_with(
        path: &Path,
        environment: &dyn Fn(&str) -> Option<OsString>,
    ) -> (Result<Self, SettingsErrors>, Seen) {
        let mut findings = Findings::default();
        findings.read_from(path);
        let of_file = |message| SettingsErrors::of_file(path, message);
        let text = std::fs::read(path)
            .map_err(|error| of_file(format!("read configuration: {error}")))
            .and_then(|bytes| {
                String::from_utf8(bytes)
                    .map_err(|_| of_file("the configuration is not UTF-8 text".to_owned()))
            });
        match text {
            Ok(text) => Self::parse(&text, path, environment, findings),
            Err(error) => (Err(error), findings.seen()),
        }
    }

    /// Reads `text` as if it stood in the configuration file at `path`, and the secrets that it names.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn of_text(text: &str, path: &Path) -> Result<Self, SettingsErrors> {
        Self::parse(text, path, &|name| std::env::var_os(name), Findings::default()).0
    }

    fn parse(
        text: &str,
        path: &Path,
        environment: &dyn Fn(&str) -> Option<OsString>,
        mut findings: Findings,
    ) -> (Result<Self, SettingsErrors>, Seen) {
        let file = match std::path::absolute(path) {
            Ok(file) => file,
            Err(error) => {
                let error = SettingsErrors::of_file(path, format!("read configuration: {error}"));
                return (Err(error), findings.seen());
            }
        };
        let (document, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            for error in errors {
                // Only the message: the error's own print quotes the line, which may hold a secret.
                let span = error.span().unwrap_or(0..0);
                // A name that stands twice is no secret.
                let name = if error.message() == "duplicate key" { text.get(span.clone()) } else { None };
                let name = name.map_or_else(String::new, |name| format!(" {name}"));
                findings.fault(Position(span.start), format!("{}{name}", error.message()));
            }
            // What a broken line hides would be told as missing, so that is not looked for.
            let seen = findings.seen();
            return (Err(findings.conclude(path, text).expect_err("a syntax error is a fault")), seen);
        }
        let section = Section::document(document.get_ref(), &names::DOCUMENT);
        let settings = read::read(section, &file, environment, &mut findings);
        let seen = findings.seen();
        let settings = findings.conclude(path, text).map(|warnings| Self { warnings, ..settings });
        (settings, seen)
    }

    /// What verifies the keys of a signer in a dialect; `None` where there is no such signer, or it does not sign
    /// in that dialect.
    pub(crate) fn secrets(&self, signer: &str, dialect: Dialect) -> Option<&SignerSecrets> {
        let signer = self.signers.get(signer).filter(|signer| signer.dialects.contains(&dialect))?;
        Some(&signer.secrets)
    }

    /// What the house says about `grant`.
    ///
    /// # Panics
    /// Where the grant's signer is not configured. It is wherever these settings' secrets verified the key.
    pub fn house(&self, grant: &Grant) -> House<'_> {
        let signer = self.signers.get(grant.signer()).expect("the signer's secret verified the key");
        // The key's own policy comes last, so that its lease goes before the signer's.
        let own = grant.policy().filter(|own| signer.policy.as_deref() != Some(own));
        let named = [signer.policy.as_deref(), own];
        House {
            signer: &signer.ceiling,
            policies: named
                .into_iter()
                .flatten()
                .map(|name| self.policies.get_key_value(name).map(|(name, ceiling)| (name.as_str(), ceiling)))
                .collect(),
            clock_skew: self.server.clock_skew,
            lease: self.server.lease,
            enforced: ENFORCED,
        }
    }

    /// The folder in which a bucket's objects live; `None` where there is no such bucket, or it is in no folder.
    pub fn folder(&self, bucket: &str) -> Option<PathBuf> {
        let bucket = self.buckets.get(bucket)?;
        match self.backends.get(&bucket.backend)? {
            Backend::Disk { root } => Some(root.join(&bucket.prefix)),
            Backend::S3(_) | Backend::Azure(_) | Backend::Gcs(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
