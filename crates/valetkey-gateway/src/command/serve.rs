//! `valetkey serve`, up to the point where the gateway takes over.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use valetkey::{Claims, ResourcePath, Timestamp, Verb, Verbs, mint};

use super::{Options, sign};
use crate::settings::{FILE_NAME, Settings, Watch, embedded};

/// How long the first keys last.
const WELCOME_LIFETIME: Duration = Duration::from_secs(3_600);

/// The largest upload by the first key, in bytes.
const WELCOME_BYTES_MAX: u64 = 100 << 20;

/// All that the gateway needs to begin.
#[derive(Debug)]
pub struct Prepared {
    /// What the configuration means.
    pub settings: Settings,
    /// Its files, to be read again when they change.
    pub watch: Watch,
    /// At the first start, two `curl` lines for standard output, an upload and its download. They are true as
    /// soon as the gateway listens.
    pub welcome: Option<String>,
}

/// Reads the configuration, after making one where there is none, and says what an operator should know.
///
/// # Errors
/// Where there is no configuration that could be used.
pub fn prepare(options: &Options, now: Timestamp, notes: &mut dyn Write) -> anyhow::Result<Prepared> {
    let make_in = options.is_unconfigured().then_some(Path::new("."));
    prepare_from(options.path(), make_in, now, notes)
}

/// As [`prepare`], with the folder in which a configuration is to be made.
pub(super) fn prepare_from(
    config: &Path,
    make_in: Option<&Path>,
    now: Timestamp,
    notes: &mut dyn Write,
) -> anyhow::Result<Prepared> {
    let config_path = match make_in {
        None => config.to_owned(),
        Some(folder) => {
            let made = embedded::make(folder).context("make a configuration")?;
            writeln!(notes, "there was no {FILE_NAME} here\n{made}")?;
            made.config
        }
    };
    let (watch, settings) = Watch::begin(&config_path);
    let settings = settings?;
    for warning in &settings.warnings {
        writeln!(notes, "warning: {warning}")?;
    }
    let welcome = make_in.map(|_| welcome(&settings, now)).transpose().context("sign the first keys")?;
    if welcome.is_some() {
        writeln!(
            notes,
            "try it, within the hour, with the two lines that follow: an upload and its download"
        )?;
    }
    Ok(Prepared { settings, watch, welcome })
}

fn welcome(settings: &Settings, now: Timestamp) -> anyhow::Result<String> {
    let signer = settings.signers.get(embedded::SIGNER).context("the signer that was made is there")?;
    let path = ResourcePath::from_text(&format!("/{}/hello.txt", embedded::BUCKET))?;
    let url = |verb, size_max| {
        let claims = Claims {
            size_max,
            issued: Some(now),
            id: Some(sign::fresh_id()?),
            ..Claims::new(Verbs::only(verb), now.plus(WELCOME_LIFETIME))
        };
        let query = mint(embedded::SIGNER, &path, &claims, &signer.secrets.current)?;
        anyhow::Ok(format!("{}{}?{query}", settings.server.public_url, path.encoded()))
    };
    let (upload, download) = (url(Verb::Write, Some(WELCOME_BYTES_MAX))?, url(Verb::Read, None)?);
    let send = "curl -X PUT -H 'Content-Type: text/plain' --data-binary 'hello from valetkey'";
    Ok(format!("{send} '{upload}'\ncurl '{download}'"))
}
