//! A backend that is a bucket of a service that speaks S3.

use super::{Endpoint, Findings, Reader, Remote, SecretText, Section};

/// Where AWS itself is. Its buckets have one space of names, whatever the region.
const AWS: &str = "amazonaws.com";

/// A bucket of a service that speaks S3, and the credentials for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Settings {
    /// The service; `None` is AWS itself.
    pub endpoint: Option<Endpoint>,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// Whether the bucket stands before the host, and not in the path.
    pub virtual_hosted: bool,
    /// The access key id.
    pub access_key_id: SecretText,
    /// What requests are signed with.
    pub secret_access_key: SecretText,
    /// What a temporary credential is sent with.
    pub session_token: Option<SecretText>,
    /// How the service is spoken to.
    pub remote: Remote,
}

impl S3Settings {
    pub(super) fn described(&self) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("the bucket {} at {endpoint}", self.bucket),
            None => format!("the bucket {} of AWS in {}", self.bucket, self.region),
        }
    }

    pub(super) fn place(&self) -> String {
        let host = self.endpoint.as_ref().map_or(AWS.to_owned(), Endpoint::place);
        let is_aws = host.strip_suffix(AWS).is_some_and(|front| front.ends_with('.'));
        format!("{}/{}", if is_aws { AWS } else { &host }, self.bucket)
    }
}

/// Reads a backend of kind `s3`.
pub(super) fn read(
    mut section: Section<'_>,
    reader: &mut Reader<'_>,
    findings: &mut Findings,
) -> Option<S3Settings> {
    let endpoint_is_said = section.says("endpoint");
    let endpoint = super::endpoint(&mut section, findings);
    let is_region = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let rule = "a region as \"us-east-1\"";
    let region =
        match section.parsed("region", rule, findings, |text| is_region(text).then(|| text.to_owned())) {
            Some(region) => Some(region.value),
            None if section.says("region") => None,
            None if endpoint_is_said => Some("us-east-1".to_owned()),
            None => {
                let heading = section.heading();
                findings.fault(section.at, format!("[{heading}] has no region; say {rule}, or an endpoint"));
                None
            }
        };
    let rule = "the bucket's name, of a-z 0-9 . - and perhaps A-Z _";
    let bucket = super::required(&mut section, "bucket", rule, findings, is_bucket);
    let access_key_id =
        super::credential(&mut section, ["access_key_id_file", "access_key_id_env"], reader, findings);
    let secret_access_key = ["secret_access_key_file", "secret_access_key_env"];
    let secret_access_key = super::credential(&mut section, secret_access_key, reader, findings);
    let session_token = ["session_token_file", "session_token_env"];
    let session_token = super::optional_credential(&mut section, session_token, reader, findings);
    let virtual_hosted = section.flag_said("virtual_hosted", findings);
    let remote = super::remote(&mut section, findings);
    section.finish(findings);

    let bucket = bucket?;
    // Services of one's own seldom have a name for each bucket; and no certificate fits one with dots in it.
    let is_named_by_host = !endpoint_is_said && !bucket.contains('.');
    Some(S3Settings {
        endpoint: endpoint?,
        region: region?,
        virtual_hosted: virtual_hosted.map_or(is_named_by_host, |said| said.value),
        bucket,
        access_key_id: access_key_id?,
        secret_access_key: secret_access_key?,
        session_token: session_token.flatten(),
        remote,
    })
}

/// Whether a bucket of S3 or Google may be called so: as new ones are, or as very old ones were.
pub(super) fn is_bucket(name: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    (3..=222).contains(&name.len())
        && name.bytes().all(sound)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && !name.contains("..")
}
