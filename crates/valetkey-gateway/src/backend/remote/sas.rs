//! URLs that Azure takes without credentials: shared access signatures of one blob.
//!
//! Ours and not `object_store`'s, which signs a name as it stands in a URL: Azure compares with the name itself, and
//! refuses every one that a URL has to encode.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use object_store::path::Path;
use object_store::signer::Url;
use sha2::Sha256;
use valetkey::Timestamp;

use super::OpenError;
use crate::settings::AzureSettings;

/// The version of the service whose rules the signature follows.
const VERSION: &str = "2020-12-06";

/// How long before now a URL is good, for a store whose clock is behind ours.
const SKEW: Duration = Duration::from_secs(300);

/// What signs the URLs of one container.
pub(super) struct Sas {
    container: Url,
    /// The container in the words of a signature.
    resource: String,
    mac: Hmac<Sha256>,
}

impl Sas {
    pub(super) fn new(settings: &AzureSettings) -> Result<Self, OpenError> {
        let (account, container) = (&settings.account, &settings.container);
        let endpoint = match &settings.endpoint {
            Some(endpoint) => endpoint.to_string(),
            None => format!("https://{account}.blob.core.windows.net"),
        };
        let url = Url::parse(&format!("{endpoint}/{container}")).map_err(|_| OpenError::Settings)?;
        let key = STANDARD.decode(settings.access_key.reveal()).map_err(|_| OpenError::Settings)?;
        let mac = Hmac::new_from_slice(&key).map_err(|_| OpenError::Settings)?;
        Ok(Self { container: url, resource: format!("/blob/{account}/{container}"), mac })
    }

    /// A URL by which whoever has it may do this with one blob.
    pub(super) fn url(&self, method: &Method, path: &Path, now: Timestamp, lifetime: Duration) -> Url {
        let permissions = match *method {
            Method::PUT => "w",
            Method::DELETE => "d",
            _ => "r",
        };
        let skew = i64::try_from(SKEW.as_secs()).unwrap_or_default();
        let start = Timestamp::from_unix(now.unix().saturating_sub(skew)).to_string();
        let end = now.plus(lifetime).to_string();
        // https://learn.microsoft.com/rest/api/storageservices/create-service-sas#version-2020-12-06-and-later
        let named =
            [permissions, &start, &end, &format!("{}/{path}", self.resource), "", "", "", VERSION, "b"];
        // No snapshot, no encryption scope, and nothing said of five headers of an answer.
        let text = named.join("\n") + &"\n".repeat(7);
        let signature =
            STANDARD.encode(self.mac.clone().chain_update(text.as_bytes()).finalize().into_bytes());
        let mut url = self.container.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path.as_ref().split('/'));
        }
        url.query_pairs_mut().extend_pairs([
            ("sv", VERSION),
            ("sp", permissions),
            ("st", &start),
            ("se", &end),
            ("sr", "b"),
            ("sig", &signature),
        ]);
        url
    }
}
