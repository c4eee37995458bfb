//! What `valetkey sign` takes, each value read into a type that cannot be wrong.

use std::time::Duration;

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use valetkey::{
    Claims, ClientRanges, Digest, Disposition, Limits, MediaRange, NameError, ResourcePath, Timestamp, Verb,
    Verbs,
};

use crate::settings::measure::{DURATION_RULE, SIZE_RULE, parse_duration, parse_size};
use crate::settings::{NUMBER_MAX, TIME_RULE, parse_range};

/// What `valetkey sign` takes.
#[derive(Clone, Debug, Args)]
pub struct SignArgs {
    /// What the URL leads to, not percent-encoded: /bucket/object, /bucket/folder/ or /bucket/
    #[arg(value_name = "PATH", value_parser = read_path)]
    pub path: ResourcePath,
    /// What may be done, comma-separated: create delete list read stat write
    #[arg(long, value_name = "LIST", value_parser = read_verbs)]
    pub allow: Verbs,
    /// Who signs; may be left out where one signer is configured
    #[arg(long, value_name = "NAME")]
    pub signer: Option<String>,
    /// What bounds the key.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// What a download answers with: inline or attachment with parameters
    #[arg(long, value_name = "TEXT", value_parser = read_disposition)]
    pub disposition: Option<Disposition>,
    /// Up to when the holder may have the end moved
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    pub renew: Option<Timestamp>,
    /// The stored access policy that bounds the key
    #[arg(long, value_name = "NAME")]
    pub policy: Option<String>,
    /// Your user, for audit, quotas and revocation
    #[arg(long, value_name = "TEXT")]
    pub subject: Option<String>,
    /// The wire form of the key
    #[arg(long, value_enum, default_value_t = DialectName::Native)]
    pub dialect: DialectName,
}

/// What bounds a key, whoever sets it: its signer, or a holder who hands on a lesser one.
#[derive(Clone, Debug, Args)]
pub struct LimitArgs {
    /// How long the key lasts, as 15m, 7d or 1h30m [default: 15m]
    #[arg(long, value_name = "DURATION", value_parser = read_duration, conflicts_with = "end")]
    pub expires: Option<Duration>,
    /// The first second at which the key opens nothing new, as 2026-11-22T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    pub end: Option<Timestamp>,
    /// Not before
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    pub start: Option<Timestamp>,
    /// What the key opens, if more than PATH: /bucket/folder/ or /bucket/
    #[arg(long, value_name = "PATH", value_parser = read_path)]
    pub scope: Option<ResourcePath>,
    /// The largest upload, as 5MiB
    #[arg(long, value_name = "SIZE", value_parser = read_size)]
    pub max: Option<u64>,
    /// The smallest upload
    #[arg(long, value_name = "SIZE", value_parser = read_size)]
    pub min: Option<u64>,
    /// How many transfers in all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=NUMBER_MAX))]
    pub uses: Option<u64>,
    /// How many bytes the key may upload in all
    #[arg(long = "in", value_name = "SIZE", value_parser = read_size)]
    pub in_bytes: Option<u64>,
    /// How many bytes the key may download in all
    #[arg(long = "out", value_name = "SIZE", value_parser = read_size)]
    pub out_bytes: Option<u64>,
    /// To how many different names it may upload
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=NUMBER_MAX))]
    pub files: Option<u64>,
    /// How many bytes per second its transfers move at most
    #[arg(long, value_name = "SIZE", value_parser = read_positive_size)]
    pub rate: Option<u64>,
    /// How many transfers at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=NUMBER_MAX))]
    pub parallel: Option<u64>,
    /// From which addresses, as 10.0.0.0/8; may be given again
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = parse_range)]
    pub ip: Vec<IpNet>,
    /// What an upload must be, as image/png or image/*; may be given again
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',', value_parser = read_type)]
    pub types: Vec<MediaRange>,
    /// What an upload must hash to: blake3: or sha-256: and base64url
    #[arg(long, value_name = "DIGEST", value_parser = read_digest)]
    pub digest: Option<Digest>,
    /// Your own name for the key [default: a random one]
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
}

impl LimitArgs {
    /// The claims that these arguments are, but for the end.
    pub(in crate::command) fn claims(&self) -> Claims {
        Claims {
            path: self.scope.clone(),
            start: self.start,
            size_max: self.max,
            size_min: self.min,
            limits: Limits {
                uses: self.uses,
                in_bytes: self.in_bytes,
                out_bytes: self.out_bytes,
                files: self.files,
                rate_bytes: self.rate,
                parallel: self.parallel,
            },
            clients: (!self.ip.is_empty()).then(|| ClientRanges::of(self.ip.iter().copied())),
            types: (!self.types.is_empty()).then(|| self.types.clone()),
            digest: self.digest,
            id: self.id.clone(),
            ..Claims::default()
        }
    }
}

/// A wire form of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names are the dialects'")]
pub enum DialectName {
    Native,
    Aws,
    Azure,
    Gcs,
}

pub(crate) fn read_path(text: &str) -> Result<ResourcePath, NameError> {
    match ResourcePath::from_text(text) {
        Err(NameError::NotCanonical) => ResourcePath::from_text(&format!("{text}/")),
        parsed => parsed,
    }
}

pub(crate) fn read_verbs(text: &str) -> Result<Verbs, String> {
    text.split(',').try_fold(Verbs::NONE, |verbs, name| {
        let name = name.trim();
        let verb = Verb::from_name(name).ok_or_else(|| {
            format!("{name:?} is no verb; there are {}", Verb::ALL.map(Verb::name).join(", "))
        })?;
        Ok(verbs.with(verb))
    })
}

pub(crate) fn read_duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).filter(|duration| !duration.is_zero());
    duration.ok_or_else(|| format!("it must be {DURATION_RULE}, from 1s"))
}

pub(crate) fn read_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| format!("it must be {TIME_RULE}"))
}

pub(crate) fn read_size(text: &str) -> Result<u64, String> {
    parse_size(text).ok_or_else(|| format!("it must be {SIZE_RULE}"))
}

pub(crate) fn read_positive_size(text: &str) -> Result<u64, String> {
    read_size(text).and_then(|bytes| if bytes > 0 { Ok(bytes) } else { Err("it must be at least 1".into()) })
}

pub(crate) fn read_type(text: &str) -> Result<MediaRange, String> {
    MediaRange::parse(&text.to_ascii_lowercase())
        .ok_or_else(|| "it must be a media type as image/png, or image/*".to_owned())
}

pub(crate) fn read_digest(text: &str) -> Result<Digest, String> {
    Digest::parse(text)
        .ok_or_else(|| "it must be blake3: or sha-256: and 43 characters of base64url".to_owned())
}

pub(crate) fn read_disposition(text: &str) -> Result<Disposition, String> {
    Disposition::parse(text)
        .ok_or_else(|| "it must be inline or attachment with parameters, in printable ASCII".to_owned())
}
