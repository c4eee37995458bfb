//! Presigning: a URL that any HTTP client can use, signed as AWS's own tools do.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use valetkey::{Secret, Timestamp, encode_component};

use super::canonical::{Canonical, header_value};
use super::credential::EXPIRES_SECS_MAX;
use super::query::{Parameter, Query};
use super::signature::{ALGORITHM, CredentialScope, SigningKey};

/// What is to be presigned.
#[derive(Clone, Copy, Debug)]
pub struct Presigning<'a> {
    /// The access key id.
    pub signer: &'a str,
    /// The method that the URL is for.
    pub method: &'a str,
    /// The host, and the port where it is not the scheme's own, as clients send them.
    pub host: &'a str,
    /// The path, percent-encoded.
    pub raw_path: &'a str,
    /// The region; any is taken by the gateway.
    pub region: &'a str,
    /// When it is signed.
    pub time: Timestamp,
    /// How long it is to last: whole seconds, 1 to [`Presigning::SECS_MAX`].
    pub expires: Duration,
    /// Further parameters, decoded.
    pub parameters: &'a [(&'a str, &'a str)],
    /// Headers that the request must have besides `host`, names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
}

impl Presigning<'_> {
    /// The longest that a presigned URL may last, in seconds.
    pub const SECS_MAX: u64 = EXPIRES_SECS_MAX;

    /// The query of the URL. It opens what the URL opens. `None` where the path is not percent-encoded.
    pub fn query(&self, secret: &Secret) -> Option<String> {
        let scope = CredentialScope::new(self.time, self.region);
        let mut headers: Vec<(&str, Cow<'_, str>)> = Vec::with_capacity(self.headers.len() + 1);
        headers.push(("host", header_value(self.host)));
        headers.extend(self.headers.iter().map(|(name, value)| (*name, header_value(value))));
        headers.sort_unstable_by_key(|(name, _)| *name);
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();

        let own = [
            ("X-Amz-Algorithm", ALGORITHM.to_string()),
            ("X-Amz-Credential", [self.signer, "/", &scope.to_string()].concat()),
            ("X-Amz-Date", scope.time().to_string()),
            ("X-Amz-Expires", self.expires.as_secs().to_string()),
            ("X-Amz-SignedHeaders", names.join(";")),
        ];
        let all =
            own.iter().map(|(name, value)| (*name, value.as_str())).chain(self.parameters.iter().copied());
        let parameter = |(name, value)| Parameter {
            raw_name: name,
            name: Cow::Borrowed(name),
            value: Cow::Borrowed(value),
        };
        let query = Query(all.map(parameter).collect());
        let canonical = Canonical {
            method: self.method,
            raw_path: self.raw_path,
            query: &query,
            headers: &headers,
            payload: "UNSIGNED-PAYLOAD",
        };
        let signature = SigningKey::derive(secret, &scope).sign(&scope.string_to_sign(&canonical.hash()?));
        let mut text = String::new();
        for Parameter { name, value, .. } in &query.0 {
            text.extend([&encode_component(name, b""), "=", &encode_component(value, b""), "&"]);
        }
        text.extend(["X-Amz-Signature=", &signature.reveal()]);
        Some(text)
    }
}
