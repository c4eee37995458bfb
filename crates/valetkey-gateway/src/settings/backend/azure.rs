//! A backend that is a container of Azure Blob Storage.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Endpoint, Findings, Reader, Remote, SecretText, Section};

/// A container of Azure Blob Storage, and the key to its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AzureSettings {
    /// The storage account.
    pub account: String,
    /// The container.
    pub container: String,
    /// What stands before the container in a URL; `None` is the account's own host at Azure.
    pub endpoint: Option<Endpoint>,
    /// The account's key, in base64 as Azure shows it.
    pub access_key: SecretText,
    /// How the service is spoken to.
    pub remote: Remote,
}

impl AzureSettings {
    pub(super) fn described(&self) -> String {
        let Self { account, container, .. } = self;
        match &self.endpoint {
            Some(endpoint) => format!("the container {container} of account {account} at {endpoint}"),
            None => format!("the container {container} of account {account} at Azure"),
        }
    }

    pub(super) fn place(&self) -> String {
        let own = || format!("{}.blob.core.windows.net", self.account);
        format!("{}/{}", self.endpoint.as_ref().map_or_else(own, Endpoint::place), self.container)
    }
}

/// Reads a backend of kind `azure`.
pub(super) fn read(
    mut section: Section<'_>,
    reader: &mut Reader<'_>,
    findings: &mut Findings,
) -> Option<AzureSettings> {
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let rule = "the storage account's name, 3 to 24 of a-z 0-9";
    let account = super::required(&mut section, "account", rule, findings, |text| {
        (3..=24).contains(&text.len()) && text.bytes().all(lower)
    });
    let rule = "the container's name, 3 to 63 of a-z 0-9 -";
    let container = super::required(&mut section, "container", rule, findings, |text| {
        (3..=63).contains(&text.len())
            && text.bytes().all(|byte| lower(byte) || byte == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-')
            && !text.contains("--")
    });
    let endpoint = super::endpoint(&mut section, findings);
    let access_key = super::credential(&mut section, ["access_key_file", "access_key_env"], reader, findings);
    let is_base64 =
        |key: &SecretText| STANDARD.decode(key.reveal()).map(Zeroizing::new).is_ok_and(|key| !key.is_empty());
    if access_key.as_ref().is_some_and(|key| !is_base64(key)) {
        let heading = section.heading();
        findings.fault(section.at, format!("the access_key of [{heading}] is no base64, as Azure shows it"));
    }
    let remote = super::remote(&mut section, findings);
    section.finish(findings);
    Some(AzureSettings {
        account: account?,
        container: container?,
        endpoint: endpoint?,
        access_key: access_key?,
        remote,
    })
}
