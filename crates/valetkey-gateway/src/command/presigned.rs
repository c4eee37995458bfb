//! URLs presigned as AWS's tools do: made, and looked at again.

use std::borrow::Cow;

use valetkey::key::KeyUrl;
use valetkey::{
    Claims, Denial, Parameter, ResourcePath, SignerSecrets, Timestamp, Verb, Verbs, decode_component,
};
use valetkey_dialects::aws::Presigning;
use valetkey_dialects::{RequestHead, Verified, present};

use crate::settings::Settings;

/// Any is taken; clients that must name one name this where nothing says otherwise.
const REGION: &str = "us-east-1";

/// A condition that may be signed, so that a URL for an upload only creates.
const ONLY_CREATE: (&str, &str) = ("if-none-match", "*");

/// The request that a presigned URL is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Purpose {
    pub(super) method: &'static str,
    /// Whether the request must say `If-None-Match: *`.
    pub(super) only_creates: bool,
}

impl Purpose {
    /// The one request that `verb` on `path` is.
    ///
    /// # Errors
    /// Says why there is none.
    pub(super) fn of(allow: Verbs, path: &ResourcePath) -> Result<Self, String> {
        let mut verbs = allow.iter();
        let (Some(verb), None) = (verbs.next(), verbs.next()) else {
            return Err(format!("a presigned URL is for one method, so --allow {allow} must be one verb"));
        };
        let is_bucket = path.name().is_empty();
        if is_bucket != (verb == Verb::List) {
            let wanted =
                if is_bucket { "is for --allow list only" } else { "is not a bucket, which list is for" };
            return Err(format!("a presigned URL of {path} {wanted}"));
        }
        let method = match verb {
            Verb::Create | Verb::Write => "PUT",
            Verb::Delete => "DELETE",
            Verb::List | Verb::Read => "GET",
            Verb::Stat => "HEAD",
        };
        Ok(Self { method, only_creates: verb == Verb::Create })
    }
}

/// Who presigns, what and when.
pub(super) struct Presign<'a> {
    pub(super) origin: &'a str,
    pub(super) path: &'a ResourcePath,
    pub(super) signer: &'a str,
    pub(super) secrets: &'a SignerSecrets,
    pub(super) purpose: Purpose,
    pub(super) now: Timestamp,
    pub(super) end: Timestamp,
}

impl Presign<'_> {
    /// The URL's query and the fingerprint of its key.
    ///
    /// # Errors
    /// Says which of the claims cannot be signed.
    pub(super) fn sign(&self, claims: &Claims) -> Result<(String, String), String> {
        let expires = self.end.since(self.now);
        if expires.as_secs() > Presigning::SECS_MAX {
            return Err(format!(
                "end {} lies over 7 days ahead, the longest that a presigned URL lasts",
                self.end
            ));
        }
        // The rest of what a native key says, a presigned URL says in its own way.
        let said = [Parameter::Allow, Parameter::Path, Parameter::End, Parameter::Issued];
        let texts = claims.texts().map_err(|error| error.to_string())?;
        let texts = texts.iter().filter(|(parameter, _)| !said.contains(parameter));
        let limits: Vec<_> = texts.map(|(parameter, text)| (format!("x-vk-{parameter}"), text)).collect();
        let parameters: Vec<_> = limits.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let raw_path = self.path.encoded();
        let presigning = Presigning {
            signer: self.signer,
            method: self.purpose.method,
            host: host(self.origin),
            raw_path: &raw_path,
            region: REGION,
            time: self.now,
            expires,
            parameters: &parameters,
            headers: if self.purpose.only_creates { &[ONLY_CREATE] } else { &[] },
        };
        let query = presigning.query(&self.secrets.current).ok_or("the path cannot stand in a URL")?;
        // The key as its holder will present it: what is printed has been verified.
        let url = KeyUrl { origin: self.origin, raw_path: &raw_path, query: &query };
        let verified =
            with_head(&url, self.purpose, |head| present(head, Some(self.path))?.verify(Some(self.secrets)))
                .map_err(|denial| format!("the URL does not verify under its own signer: {denial}"))?;
        Ok((query.clone(), verified.grant.fingerprint().to_string()))
    }
}

/// Whether the query carries an AWS signature.
pub(crate) fn is_presigned(query: &str) -> bool {
    parameter(query, "X-Amz-Signature").is_some()
}

/// Verifies the URL, whichever method it is for; without settings, only the signer that it names is known.
///
/// # Errors
/// As the gateway refuses it; [`Denial::BadRequest`] where it signs headers whose values it does not tell.
pub(crate) fn look(
    url: &KeyUrl<'_>,
    path: &ResourcePath,
    settings: Option<&Settings>,
) -> Result<(String, Option<Verified>), Denial> {
    let names = parameter(url.query, "X-Amz-SignedHeaders").unwrap_or_default();
    let only_creates = names.split(';').any(|name| name == ONLY_CREATE.0);
    if let Some(name) = names.split(';').find(|name| !["host", ONLY_CREATE.0].contains(name)) {
        return Err(Denial::BadRequest(format!(
            "the URL signs the header {name:?}, whose value only its request has, so its signature cannot be checked"
        )));
    }
    let mut last = Denial::BadSignature;
    for method in ["GET", "PUT", "HEAD", "DELETE", "POST"] {
        let looked = with_head(url, Purpose { method, only_creates }, |head| {
            let presented = present(head, Some(path))?;
            let signer = presented.signer().to_owned();
            let Some(settings) = settings else { return Ok((signer, None)) };
            let known = settings.signers.get(&signer).map(|signer| &signer.secrets);
            Ok((signer, Some(presented.verify(known)?)))
        });
        match looked {
            Err(denial @ Denial::BadSignature) => last = denial,
            looked => return looked,
        }
    }
    Err(last)
}

/// Judges the request that the URL is for.
fn with_head<T>(url: &KeyUrl<'_>, purpose: Purpose, judge: impl FnOnce(&RequestHead<'_>) -> T) -> T {
    let headers = [("host", host(url.origin).as_bytes()), (ONLY_CREATE.0, ONLY_CREATE.1.as_bytes())];
    let headers = if purpose.only_creates { &headers[..] } else { &headers[..1] };
    judge(&RequestHead { method: purpose.method, path: url.raw_path, query: url.query, headers })
}

/// The decoded value of the first parameter of that name.
fn parameter<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(raw_name, value)| if raw_name == name { decode_component(value) } else { None })
}

/// The host as clients send it: without the scheme's own port.
fn host(origin: &str) -> &str {
    match origin.split_once("://") {
        Some(("http", host)) => host.strip_suffix(":80").unwrap_or(host),
        Some(("https", host)) => host.strip_suffix(":443").unwrap_or(host),
        _ => origin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_leaves_the_schemes_own_port_out() {
        for (origin, expected) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://files.example.com:80", "files.example.com"),
            ("https://files.example.com:443", "files.example.com"),
            ("https://files.example.com:80", "files.example.com:80"),
            ("https://[::1]", "[::1]"),
        ] {
            assert_eq!(host(origin), expected);
        }
    }
}
