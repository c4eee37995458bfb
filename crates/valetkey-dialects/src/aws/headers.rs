//! Which headers and parameters an AWS request may carry, and what the signature covers of them.
//!
//! The whole query is signed. Of the headers, those that could change what is done must be.

use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use valetkey::{Denial, ForeignClaims};

use super::credential::Way;
use super::payload::bad;
use super::query::{Query, shown};
use crate::head::RequestHead;
use crate::native::{FAMILIES, is_free};

/// The longest value of a header that is answered as signed, in bytes.
const OVERRIDE_BYTES_MAX: usize = 1024;

/// The parameters of a credential, and those that speak of the payload as it does.
const CREDENTIAL: [&str; 7] = [
    "x-amz-algorithm",
    "x-amz-content-sha256",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signature",
    "x-amz-signedheaders",
];

/// What a signature may cover besides checksums and metadata. Anything else of the family asks for what is not
/// done here, and is refused rather than left undone; an operation that reads a header of its own adds it.
const UNDERSTOOD: [&str; 21] = [
    "x-amz-cf-id",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-copy-source-range",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-if-match-last-modified-time",
    "x-amz-if-match-size",
    "x-amz-max-parts",
    "x-amz-metadata-directive",
    "x-amz-mp-object-size",
    "x-amz-object-attributes",
    "x-amz-part-number-marker",
    "x-amz-request-payer",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-trailer",
    "x-amz-user-agent",
];

/// What changes nothing here, by its value.
const WITHOUT_EFFECT: [(&str, &str); 6] = [
    ("x-amz-acl", "bucket-owner-full-control"),
    ("x-amz-acl", "private"),
    ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ("x-amz-storage-class", "STANDARD"),
    ("x-amz-tagging-directive", "COPY"),
    ("x-amz-tagging-directive", "REPLACE"),
];

/// A header of an answer, and the parameter that says it.
const OVERRIDES: [(&str, &str); 6] = [
    ("response-cache-control", "cache-control"),
    ("response-content-disposition", "content-disposition"),
    ("response-content-encoding", "content-encoding"),
    ("response-content-language", "content-language"),
    ("response-content-type", "content-type"),
    ("response-expires", "expires"),
];

/// One `x-amz-` header, or the parameter that stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SignedValue {
    /// In lower case.
    pub(super) name: String,
    pub(super) value: String,
    pub(super) is_in_query: bool,
}

/// The signed headers, as they are signed.
///
/// # Errors
/// [`Denial::BadSignature`] for one that is not there, [`Denial::BadRequest`] for one that is there twice or is
/// no text.
pub(super) fn covered<'a>(
    head: &RequestHead<'a>,
    names: &'a [String],
) -> Result<Vec<(&'a str, Cow<'a, str>)>, Denial> {
    let mut headers = Vec::with_capacity(names.len());
    for name in names {
        let value = head.one(name)?.ok_or(Denial::BadSignature)?;
        headers.push((name.as_str(), super::canonical::header_value(value)));
    }
    Ok(headers)
}

/// Refuses a header that could change what is done and that is not signed.
///
/// # Errors
/// [`Denial::MalformedKey`] for a limit, [`Denial::BadRequest`] for others.
pub(super) fn check_unsigned(head: &RequestHead<'_>, signed: &[String], way: Way) -> Result<(), Denial> {
    for (name, _) in head.headers {
        let in_family = FAMILIES.iter().any(|family| name.starts_with(family));
        if !in_family || signed.iter().any(|covered| covered == name) {
            continue;
        }
        if name.starts_with("x-vk-") {
            return Err(Denial::MalformedKey(format!("the header {} is not signed", shown(name))));
        }
        let is_beside_signed_date = *name == "x-amz-date" && way != Way::Header;
        if !is_beside_signed_date && !is_free(name) {
            return Err(Denial::BadRequest(format!(
                "the header {} changes what is done, and it is not signed",
                shown(name)
            )));
        }
    }
    Ok(())
}

/// The limits that the signature covers.
///
/// # Errors
/// [`Denial::MalformedKey`].
pub(super) fn limits(query: &Query<'_>, head: &RequestHead<'_>) -> Result<ForeignClaims, Denial> {
    const PREFIX: &str = "x-vk-";
    let mut claims = ForeignClaims::default();
    for parameter in &query.0 {
        if !parameter.name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX)) {
            continue;
        }
        // An escaped name, or one in another case, is never a limit and never ignored.
        let name = parameter.raw_name.strip_prefix(PREFIX).unwrap_or_default();
        claims.read(parameter.raw_name, name, &parameter.value)?;
    }
    for (name, value) in head.headers {
        let Some(limit) = name.strip_prefix(PREFIX) else { continue };
        let text = core::str::from_utf8(value).unwrap_or("\0");
        // Spaces that the signature does not see would be another value.
        let text = if super::canonical::header_value(text) == text { text } else { "" };
        claims.read(name, limit, text)?;
    }
    Ok(claims)
}

/// All signed values of the family `x-amz-`, but the credential's own.
///
/// # Errors
/// [`Denial::BadRequest`] for a name that says two things.
pub(super) fn signed_values(
    query: &Query<'_>,
    headers: &[(&str, Cow<'_, str>)],
) -> Result<Vec<SignedValue>, Denial> {
    let mut values: Vec<SignedValue> = Vec::new();
    for parameter in &query.0 {
        let name = parameter.name.to_ascii_lowercase();
        if name.starts_with("x-amz-") && !CREDENTIAL.contains(&name.as_str()) {
            if values.iter().any(|known| known.name == name) {
                return Err(bad("a parameter of the family x-amz- is given twice"));
            }
            values.push(SignedValue { name, value: parameter.value.clone().into_owned(), is_in_query: true });
        }
    }
    for (name, value) in headers.iter().filter(|(name, _)| name.starts_with("x-amz-")) {
        if values.iter().any(|known| known.name == *name) {
            return Err(bad("a header of the family x-amz- is also given as a parameter"));
        }
        let value = value.clone().into_owned();
        values.push(SignedValue { name: (*name).to_owned(), value, is_in_query: false });
    }
    Ok(values)
}

/// Refuses what is signed and asks for what is not done here.
///
/// # Errors
/// [`Denial::CallNotSupported`].
pub(super) fn check_understood(
    values: &[SignedValue],
    query: &Query<'_>,
    signed: &[String],
) -> Option<Denial> {
    let understood = |SignedValue { name, value, .. }: &SignedValue| {
        name.starts_with("x-amz-meta-")
            || name.starts_with("x-amz-checksum-")
            || UNDERSTOOD.contains(&name.as_str())
            || WITHOUT_EFFECT.contains(&(name, value))
    };
    let is_foreign = |name: &str| {
        let prefix =
            |prefix: &str| name.get(..prefix.len()).is_some_and(|it| it.eq_ignore_ascii_case(prefix));
        (prefix("x-goog-") || prefix("x-ms-")) && !is_free(name)
    };
    let foreign =
        query.0.iter().map(|parameter| parameter.name.as_ref()).chain(signed.iter().map(String::as_str));
    if !values.iter().all(understood) {
        return Some(Denial::CallNotSupported("what one of the signed x-amz- headers asks for"));
    }
    foreign
        .into_iter()
        .any(is_foreign)
        .then_some(Denial::CallNotSupported("a signed header of another vendor"))
}

/// What the answer is to say, by header.
///
/// # Errors
/// [`Denial::BadRequest`] for one that is given twice, too long or no text; [`Denial::CallNotSupported`] for a
/// name that begins as these do and is none of them.
pub(super) fn overrides(query: &Query<'_>) -> Result<Vec<(&'static str, String)>, Denial> {
    let mut found: Vec<(&'static str, String)> = Vec::new();
    for parameter in &query.0 {
        if !parameter.name.starts_with("response-") {
            continue;
        }
        let (_, header) = OVERRIDES
            .into_iter()
            .find(|(name, _)| *name == parameter.name)
            .ok_or(Denial::CallNotSupported("a response- parameter of this name"))?;
        let value = &parameter.value;
        if value.len() > OVERRIDE_BYTES_MAX
            || value.chars().any(char::is_control)
            || found.iter().any(|(known, _)| *known == header)
        {
            return Err(Denial::BadRequest(format!(
                "{} is given twice, or is not text of at most {OVERRIDE_BYTES_MAX} bytes",
                parameter.name
            )));
        }
        found.push((header, value.clone().into_owned()));
    }
    Ok(found)
}
