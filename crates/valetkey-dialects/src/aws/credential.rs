//! The credential of an AWS request, in its query or in its `Authorization` header, as it claims to be.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::time::Duration;

use valetkey::{Denial, Timestamp};

use super::query::{Query, shown};
use super::signature::{ALGORITHM, CredentialScope, Signature};
use crate::form::Form;
use crate::head::RequestHead;
use crate::http_date;

/// A week, the longest that [S3 takes](https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html).
pub(super) const EXPIRES_SECS_MAX: u64 = 604_800;

/// The longest access key id, in bytes, as AWS has it.
const SIGNER_BYTES_MAX: usize = 128;

/// Where the credential stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// In the query: whoever has the URL has the credential.
    Presigned { expires: Duration },
    /// In the header of a request that its signer signed itself.
    Header,
}

/// A credential that is sound in form.
#[derive(Debug)]
pub(super) struct Credential {
    /// The access key id.
    pub(super) signer: String,
    pub(super) scope: CredentialScope,
    /// When it was signed.
    pub(super) issued: Timestamp,
    pub(super) way: Way,
    /// The names of the signed headers, sorted, `host` among them.
    pub(super) signed_headers: Vec<String>,
    /// `None` for what is no signature at all, which is told from a wrong one by nobody.
    pub(super) signature: Option<Signature>,
}

impl Credential {
    /// Reads the credential in a query.
    ///
    /// # Errors
    /// [`Denial::MalformedKey`]; [`Denial::CallNotSupported`] for a signature of version 4A;
    /// [`Denial::BadSignature`] where `host` is not signed.
    pub(super) fn of_query(query: &Query<'_>) -> Result<Self, Denial> {
        let required =
            |name| query.one(name)?.ok_or_else(|| Denial::MalformedKey(format!("{name} is missing")));
        check_algorithm(required("X-Amz-Algorithm")?)?;
        let claimed = Claimed {
            credential: required("X-Amz-Credential")?,
            time: required("X-Amz-Date")?,
            signed_headers: required("X-Amz-SignedHeaders")?,
            signature: required("X-Amz-Signature")?,
        };
        let expires = required("X-Amz-Expires")?;
        let secs = whole(expires).filter(|secs| (1..=EXPIRES_SECS_MAX).contains(secs)).ok_or_else(|| {
            Denial::MalformedKey(format!("X-Amz-Expires must be whole seconds, 1 to {EXPIRES_SECS_MAX}"))
        })?;
        claimed.read(Way::Presigned { expires: Duration::from_secs(secs) })
    }

    /// Reads the credential in an `Authorization` header that begins with `algorithm`.
    ///
    /// # Errors
    /// As [`Credential::of_query`]; [`Denial::BadRequest`] for a second `x-amz-date`.
    pub(super) fn of_header(algorithm: &str, rest: &str, head: &RequestHead<'_>) -> Result<Self, Denial> {
        check_algorithm(algorithm)?;
        let mut found = [None; 3];
        for member in rest.split(',') {
            let member = member.trim_matches([' ', '\t']);
            let (name, value) = member.split_once('=').unwrap_or((member, ""));
            let at = ["Credential", "SignedHeaders", "Signature"].iter().position(|known| *known == name);
            // What has no name may be the signature, so it is not shown.
            let at = at.ok_or_else(|| {
                Denial::MalformedKey("Authorization has a part that it should not have".to_owned())
            })?;
            if found[at].replace(value).is_some() {
                return Err(Denial::MalformedKey(format!("Authorization has {name} twice")));
            }
        }
        let [Some(credential), Some(signed_headers), Some(signature)] = found else {
            return Err(Denial::MalformedKey(
                "Authorization must have Credential, SignedHeaders and Signature".to_owned(),
            ));
        };
        let time = match (head.one("x-amz-date")?, head.one("date")?) {
            (Some(time), _) => time.to_owned(),
            (None, date) => date.map(basic_date).unwrap_or_default(),
        };
        Claimed { credential, time: &time, signed_headers, signature }.read(Way::Header)
    }
}

/// What `x-amz-date` would say of the time in a `Date`, which clients may send and sign instead: either form.
fn basic_date(date: &str) -> String {
    let date = date.trim_matches([' ', '\t']);
    http_date::parse(date).map_or_else(
        || date.to_owned(),
        |time| time.to_string().chars().filter(|char| !matches!(char, '-' | ':')).collect(),
    )
}

/// The texts of a credential.
struct Claimed<'a> {
    credential: &'a str,
    time: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl Claimed<'_> {
    fn read(self, way: Way) -> Result<Credential, Denial> {
        let (signer, scope, issued) = scope(self.credential, self.time)?;
        Ok(Credential {
            signer: signer.to_owned(),
            scope,
            issued,
            way,
            signed_headers: signed_headers(self.signed_headers)?,
            signature: Signature::parse(self.signature.as_bytes()),
        })
    }
}

/// The signer, the scope and the time that the texts of a credential name.
fn scope<'a>(credential: &'a str, time: &str) -> Result<(&'a str, CredentialScope, Timestamp), Denial> {
    let (signer, scope) = credential.split_once('/').unwrap_or_default();
    if signer.is_empty() || signer.len() > SIGNER_BYTES_MAX || signer.chars().any(char::is_control) {
        return Err(Denial::MalformedKey(
            "the credential must be ACCESS-KEY-ID/YYYYMMDD/REGION/s3/aws4_request".to_owned(),
        ));
    }
    let (scope, issued) = CredentialScope::parse(scope, time).ok_or_else(|| {
        Denial::MalformedKey(format!(
            "the date {:?} must be YYYYMMDDTHHMMSSZ, and the credential's scope its \
             YYYYMMDD/REGION/s3/aws4_request",
            shown(time)
        ))
    })?;
    Ok((signer, scope, issued))
}

/// The credential in the fields of a form, which is sound in form. It signs the policy and no header.
#[derive(Clone, Debug)]
pub(super) struct FormCredential {
    /// The access key id.
    pub(super) signer: String,
    pub(super) scope: CredentialScope,
    /// When it was signed.
    pub(super) issued: Timestamp,
    /// As in [`Credential`].
    pub(super) signature: Option<Signature>,
}

impl FormCredential {
    /// Reads the credential in a form.
    ///
    /// # Errors
    /// [`Denial::MalformedKey`]; [`Denial::CallNotSupported`] for a signature of version 4A.
    pub(super) fn of(form: &Form) -> Result<Self, Denial> {
        let required = |name| {
            form.value(name).ok_or_else(|| Denial::MalformedKey(format!("the field {name} is missing")))
        };
        check_algorithm(required("x-amz-algorithm")?)?;
        let (signer, scope, issued) = scope(required("x-amz-credential")?, required("x-amz-date")?)?;
        let signature = Signature::parse(required("x-amz-signature")?.as_bytes());
        Ok(Self { signer: signer.to_owned(), scope, issued, signature })
    }
}

fn check_algorithm(algorithm: &str) -> Result<(), Denial> {
    match algorithm {
        ALGORITHM => Ok(()),
        "AWS4-ECDSA-P256-SHA256" => Err(Denial::CallNotSupported("a signature of version 4A")),
        other => Err(Denial::MalformedKey(format!("the algorithm {:?} is not {ALGORITHM}", shown(other)))),
    }
}

fn signed_headers(text: &str) -> Result<Vec<String>, Denial> {
    let names: Vec<String> = text.split(';').map(ToOwned::to_owned).collect();
    let is_name = |name: &String| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && byte != b':')
    };
    if !names.iter().all(is_name) || !names.is_sorted_by(|one, next| one < next) {
        return Err(Denial::MalformedKey(
            "SignedHeaders must be names in lower case, sorted, each once".to_owned(),
        ));
    }
    // Without it, what was signed for one service would open another.
    if names.iter().any(|name| name == "host") { Ok(names) } else { Err(Denial::BadSignature) }
}

/// A number of digits only.
pub(super) fn whole(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|number| i64::try_from(*number).is_ok())
}
