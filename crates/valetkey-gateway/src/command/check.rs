//! `valetkey check`: the configuration explained.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use serde::Serialize;

use super::explain::CeilingView;
use super::{Options, Streams, Verdict, write_json};
use crate::settings::measure::{Size, Span};
use crate::settings::{Backend, Delivery, Ledger, Settings, SettingsErrors};

/// What `valetkey check` takes.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct CheckArgs {
    /// Ask each backend whether it is there and takes the credentials
    #[arg(long)]
    pub connect: bool,
    /// Take a ledger that is new or restored while the audit log is not: what it does not know of is forgotten
    #[arg(long)]
    pub accept_new_ledger: bool,
    /// Take the clock as it is, though it is far behind the highest time seen
    #[arg(long)]
    pub accept_clock: bool,
    /// Take the audit log as it is, though it lacks records that the ledger knows of
    #[arg(long)]
    pub accept_audit_log: bool,
}

/// What an operator accepts that the gateway distrusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// A ledger that is new or restored while the audit log is not.
    pub new_ledger: bool,
    /// A clock behind the highest time seen.
    pub clock: bool,
    /// An audit log that lacks what the ledger knows to have been in it.
    pub audit_log: bool,
}

/// What came of asking each backend, by its name.
pub type Connected = Vec<(String, Result<(), String>)>;

/// Explains the configuration, asks its backends where a flag says so, then accepts what the flags say.
///
/// # Errors
/// Where no configuration could be read, a backend that was asked is not to be used, or `accept` fails.
pub fn run(
    options: &Options,
    args: &CheckArgs,
    streams: &mut Streams<'_>,
    connect: impl FnOnce(&Settings) -> Connected,
    accept: impl FnOnce(&Settings, Acceptance) -> anyhow::Result<()>,
) -> anyhow::Result<Verdict> {
    let settings = match options.load() {
        Ok(settings) => settings,
        Err(error) => {
            if let (true, Some(errors)) = (options.json, error.downcast_ref()) {
                write_json(streams.out, &FaultyView::of(errors))?;
            }
            return Err(error);
        }
    };
    let mut view = SettingsView::of(options, &settings);
    if args.connect {
        for (name, answer) in connect(&settings) {
            if let Some(backend) = view.backends.get_mut(&name) {
                (backend.answers, backend.error) = (Some(answer.is_ok()), answer.err());
            }
        }
    }
    if options.json {
        write_json(streams.out, &view)?;
    } else {
        view.explain(streams.out)?;
    }
    for warning in &settings.warnings {
        writeln!(streams.notes, "warning: {warning}")?;
    }
    let silent: Vec<_> = view.backends.iter().filter(|(_, backend)| backend.answers == Some(false)).collect();
    if !silent.is_empty() {
        let silent: Vec<_> = silent.iter().map(|(name, _)| name.as_str()).collect();
        anyhow::bail!("backends that cannot be used: {}", silent.join(", "));
    }
    let CheckArgs {
        connect: _,
        accept_new_ledger: new_ledger,
        accept_clock: clock,
        accept_audit_log: audit_log,
    } = *args;
    if new_ledger || clock || audit_log {
        accept(&settings, Acceptance { new_ledger, clock, audit_log })?;
        let said = [(new_ledger, "the new ledger"), (clock, "the clock"), (audit_log, "the audit log")];
        for (accepted, what) in said {
            if accepted {
                writeln!(streams.notes, "accepted {what}")?;
            }
        }
    }
    Ok(Verdict::Done)
}

/// A faulty configuration in JSON.
#[derive(Serialize)]
struct FaultyView {
    valid: bool,
    errors: Vec<FaultView>,
}

#[derive(Serialize)]
struct FaultView {
    file: String,
    line: Option<usize>,
    message: String,
}

impl FaultyView {
    fn of(errors: &SettingsErrors) -> Self {
        let fault = |error: &crate::settings::SettingsError| FaultView {
            file: error.file.display().to_string(),
            line: error.line,
            message: error.message.clone(),
        };
        Self { valid: false, errors: errors.iter().map(fault).collect() }
    }
}

/// A configuration as it is told. It has no secret in it.
#[derive(Serialize)]
struct SettingsView {
    valid: bool,
    config: String,
    listen: String,
    public_url: String,
    clock_skew: String,
    lease: String,
    workers: Option<usize>,
    connections_max: usize,
    tls: bool,
    trusted_proxies: Option<String>,
    proxy_protocol: bool,
    virtual_hosts: Option<String>,
    ledger: LedgerView,
    audit: AuditView,
    backends: BTreeMap<String, BackendView>,
    buckets: BTreeMap<String, BucketView>,
    signers: BTreeMap<String, SignerView>,
    policies: BTreeMap<String, CeilingView>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct LedgerView {
    engine: &'static str,
    path: Option<String>,
}

#[derive(Serialize)]
struct AuditView {
    path: String,
    key_file: String,
    rotate: Option<String>,
    keep: Option<u16>,
}

#[derive(Serialize)]
struct BackendView {
    kind: &'static str,
    place: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote: Option<RemoteView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct RemoteView {
    connect_timeout: String,
    stall_timeout: String,
    retries: u32,
    retry_timeout: String,
    connections_max: usize,
}

#[derive(Serialize)]
struct BucketView {
    backend: String,
    prefix: String,
    folder: Option<String>,
    redirects: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cors: Option<CorsView>,
}

#[derive(Serialize)]
struct CorsView {
    origins: Vec<String>,
    max_age: String,
}

#[derive(Serialize)]
struct SignerView {
    policy: Option<String>,
    previous_secret: bool,
    #[serde(flatten)]
    ceiling: CeilingView,
}

impl SettingsView {
    fn of(options: &Options, settings: &Settings) -> Self {
        let server = &settings.server;
        let backend = |(name, backend): (&String, &Backend)| {
            let remote = backend.remote().map(|remote| RemoteView {
                connect_timeout: Span(remote.connect_timeout).to_string(),
                stall_timeout: Span(remote.stall_timeout).to_string(),
                retries: remote.retries,
                retry_timeout: Span(remote.retry_timeout).to_string(),
                connections_max: remote.connections_max.get(),
            });
            let (kind, place) = (backend.kind(), backend.described());
            (name.clone(), BackendView { kind, place, remote, answers: None, error: None })
        };
        let bucket = |(name, bucket): (&String, &crate::settings::Bucket)| {
            let folder = settings.folder(name).map(|folder| folder.display().to_string());
            let cors = bucket.cors.as_ref().map(|cors| CorsView {
                origins: cors.origins().map(str::to_owned).collect(),
                max_age: Span(cors.max_age).to_string(),
            });
            let redirects = bucket.delivery == Delivery::Redirect;
            let (backend, prefix) = (bucket.backend.clone(), bucket.prefix.clone());
            (name.clone(), BucketView { backend, prefix, folder, redirects, cors })
        };
        let signer = |(name, signer): (&String, &crate::settings::Signer)| {
            let view = SignerView {
                policy: signer.policy.clone(),
                previous_secret: signer.secrets.previous.is_some(),
                ceiling: CeilingView::of(&signer.ceiling),
            };
            (name.clone(), view)
        };
        Self {
            valid: true,
            config: options.path().display().to_string(),
            listen: server.listen.to_string(),
            public_url: server.public_url.clone(),
            clock_skew: Span(server.clock_skew).to_string(),
            lease: Span(server.lease).to_string(),
            workers: server.workers.map(std::num::NonZeroUsize::get),
            connections_max: server.connections_max.get(),
            tls: server.tls.is_some(),
            trusted_proxies: Some(server.trusted_proxies.to_string()).filter(|ranges| !ranges.is_empty()),
            proxy_protocol: server.proxy_protocol,
            virtual_hosts: server.virtual_hosts.listed(),
            ledger: match &settings.ledger {
                Ledger::Sqlite { path } => {
                    LedgerView { engine: "sqlite", path: Some(path.display().to_string()) }
                }
                Ledger::Memory => LedgerView { engine: "memory", path: None },
            },
            audit: AuditView {
                path: settings.audit.path.display().to_string(),
                key_file: settings.audit.key_file.display().to_string(),
                rotate: settings.audit.rotate_bytes.map(|bytes| Size(bytes).to_string()),
                keep: settings.audit.keep,
            },
            backends: settings.backends.iter().map(backend).collect(),
            buckets: settings.buckets.iter().map(bucket).collect(),
            signers: settings.signers.iter().map(signer).collect(),
            policies: settings
                .policies
                .iter()
                .map(|(name, ceiling)| (name.clone(), CeilingView::of(ceiling)))
                .collect(),
            warnings: settings.warnings.clone(),
        }
    }

    fn explain(&self, out: &mut dyn Write) -> std::io::Result<()> {
        writeln!(out, "{} is sound", self.config)?;
        writeln!(out, "listens on {}, and signs URLs that begin with {}", self.listen, self.public_url)?;
        writeln!(out, "speaks {}", if self.tls { "TLS" } else { "plain HTTP" })?;
        if let Some(ranges) = &self.trusted_proxies {
            let header =
                if self.proxy_protocol { ", and a proxy's header before each connection" } else { "" };
            writeln!(out, "takes the word of proxies at {ranges} on who its clients are{header}")?;
        }
        if let Some(hosts) = &self.virtual_hosts {
            writeln!(out, "reads a bucket from the host below {hosts}")?;
        }
        writeln!(out, "an application's clock may be {} ahead", self.clock_skew)?;
        writeln!(out, "a download may pause for {} and still be one use", self.lease)?;
        let workers = self.workers.map_or("as many threads as cores".to_owned(), |n| format!("{n} threads"));
        writeln!(out, "serves up to {} connections on {workers}", self.connections_max)?;
        match &self.ledger.path {
            Some(path) => writeln!(out, "remembers uses in {path} ({})", self.ledger.engine)?,
            None => writeln!(out, "remembers uses in memory, until it stops")?,
        }
        writeln!(out, "records requests in {}, with the key {}", self.audit.path, self.audit.key_file)?;
        if let Some(rotate) = &self.audit.rotate {
            let kept = self.audit.keep.map_or("all are".to_owned(), |keep| format!("{keep} older ones are"));
            writeln!(out, "goes on in a new file before one is over {rotate}; {kept} kept")?;
        }
        for (name, backend) in &self.backends {
            backend.explain(name, out)?;
        }
        for (name, bucket) in &self.buckets {
            let BucketView { backend, prefix, .. } = bucket;
            match &bucket.folder {
                Some(folder) => {
                    writeln!(
                        out,
                        "\nbucket {name}\n  /{name}/ is the folder {folder}, of backend {backend}"
                    )?;
                }
                None if prefix.is_empty() => {
                    writeln!(out, "\nbucket {name}\n  /{name}/ is all of backend {backend}")?;
                }
                None => {
                    writeln!(
                        out,
                        "\nbucket {name}\n  /{name}/ is what begins with {prefix} in backend {backend}"
                    )?;
                }
            }
            if bucket.redirects {
                writeln!(out, "  downloads are sent to the backend itself, where the key permits that")?;
            }
            if let Some(cors) = &bucket.cors {
                writeln!(
                    out,
                    "  pages of {} may use its keys and read the answers",
                    cors.origins.join(", ")
                )?;
            }
        }
        for (name, signer) in &self.signers {
            writeln!(out, "\nsigner {name}, whose keys can do no more than this")?;
            explain_ceiling(&signer.ceiling, out)?;
            if let Some(policy) = &signer.policy {
                writeln!(out, "  all of them within policy {policy}")?;
            }
            if signer.previous_secret {
                writeln!(out, "  a previous secret still verifies")?;
            }
        }
        for (name, ceiling) in &self.policies {
            writeln!(out, "\npolicy {name}, whose keys can do no more than this")?;
            explain_ceiling(ceiling, out)?;
        }
        Ok(())
    }
}

impl BackendView {
    fn explain(&self, name: &str, out: &mut dyn Write) -> std::io::Result<()> {
        // A folder is told of at its buckets.
        if self.remote.is_some() || self.answers.is_some() {
            writeln!(out, "\nbackend {name}\n  is {}", self.place)?;
        }
        if let Some(remote) = &self.remote {
            writeln!(
                out,
                "  may take {} to connect and {} between any two bytes",
                remote.connect_timeout, remote.stall_timeout
            )?;
            writeln!(
                out,
                "  is asked again up to {} times within {}, where that is safe, and {} times at once at most",
                remote.retries, remote.retry_timeout, remote.connections_max
            )?;
        }
        match (self.answers, &self.error) {
            (Some(true), _) => writeln!(out, "  answers, and takes what it is asked with")?,
            (_, Some(error)) => writeln!(out, "  cannot be used: {error}")?,
            _ => {}
        }
        Ok(())
    }
}

fn explain_ceiling(ceiling: &CeilingView, out: &mut dyn Write) -> std::io::Result<()> {
    ceiling.sentences().iter().try_for_each(|sentence| writeln!(out, "  {sentence}"))
}
