//! A backend that is a bucket of Google Cloud Storage.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Endpoint, Findings, Placed, Reader, Remote, SecretText, Section, s3};

/// How long a service account's key may be, in bytes: as Google makes them they have some 2400.
const KEY_BYTES: RangeInclusive<usize> = 1..=16_384;

/// A bucket of Google Cloud Storage, and who asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcsSettings {
    /// The bucket.
    pub bucket: String,
    /// The service; `None` is Google's own.
    pub endpoint: Option<Endpoint>,
    /// The key of a service account, the JSON as Google gives it; `None` asks as nobody.
    pub service_account_key: Option<SecretText>,
    /// How the service is spoken to.
    pub remote: Remote,
}

impl GcsSettings {
    pub(super) fn described(&self) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("the bucket {} at {endpoint}", self.bucket),
            None => format!("the bucket {} at Google", self.bucket),
        }
    }

    pub(super) fn place(&self) -> String {
        let own = "storage.googleapis.com".to_owned();
        format!("{}/{}", self.endpoint.as_ref().map_or(own, Endpoint::place), self.bucket)
    }
}

/// Reads a backend of kind `gcs`.
pub(super) fn read(
    mut section: Section<'_>,
    reader: &mut Reader<'_>,
    findings: &mut Findings,
) -> Option<GcsSettings> {
    let rule = "the bucket's name, of a-z 0-9 . - _";
    let bucket = super::required(&mut section, "bucket", rule, findings, s3::is_bucket);
    let endpoint = super::endpoint(&mut section, findings);
    let names = ["service_account_key_file", "service_account_key_env"];
    let key = reader.secret(&mut section, names, &KEY_BYTES, findings);
    let anonymous = section.flag("anonymous", findings);
    match &key {
        Some(_) if anonymous.value => {
            findings.fault(anonymous.at, "anonymous and a service_account_key are both set; remove one");
        }
        Some(Placed { value: Some(key), at }) => {
            if let Err(message) = check_key(key.reveal()) {
                findings.fault(*at, message);
            }
        }
        None if !anonymous.value => {
            let heading = section.heading();
            findings.fault(
                section.at,
                format!(
                    "[{heading}] has no service_account_key; say service_account_key_file or \
                     service_account_key_env (or, for a store that asks nobody who they are, anonymous = true)"
                ),
            );
        }
        _ => {}
    }
    let remote = super::remote(&mut section, findings);
    section.finish(findings);
    let service_account_key = match key {
        Some(key) => Some(key.value?),
        None => None,
    };
    Some(GcsSettings { bucket: bucket?, endpoint: endpoint?, service_account_key, remote })
}

/// What is wrong with the JSON of a service account's key. Nothing of it is copied, and nothing of it is said.
fn check_key(json: &str) -> Result<(), &'static str> {
    #[derive(Deserialize)]
    struct Key {
        #[serde(rename = "client_email")]
        _client_email: IgnoredAny,
        #[serde(rename = "private_key")]
        _private_key: IgnoredAny,
        #[serde(rename = "private_key_id")]
        _private_key_id: IgnoredAny,
        gcs_base_url: Option<IgnoredAny>,
    }
    match serde_json::from_str::<Key>(json) {
        Err(_) => {
            Err("the service_account_key is no JSON with client_email, private_key and private_key_id, \
                       as Google gives it")
        }
        Ok(Key { gcs_base_url: Some(_), .. }) => {
            Err("the service_account_key names a gcs_base_url; say endpoint instead")
        }
        Ok(_) => Ok(()),
    }
}
