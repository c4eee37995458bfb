//! Where the credential is: the one place that looks for it.
//!
//! A request carries one key or none. Two keys, or an `Authorization` header beside a key in the query, are
//! refused, so that no two parts of the gateway can take two different ones for the key.

use alloc::boxed::Box;
use alloc::string::ToString;

use valetkey::{Denial, ResourcePath, key};

use crate::head::RequestHead;
use crate::presented::Presented;
use crate::{aws, native, query};

/// The language in which a request is asked, and so answered, whatever becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// HTTP and readable parameters; refusals are problem documents.
    Native,
    /// That of S3's clients.
    Aws,
}

impl Language {
    /// The language of any request, sound or not. One that has no key is taken for S3's if it says things that
    /// only its clients say, so that they can read why they are refused.
    pub fn of(head: &RequestHead<'_>) -> Self {
        let names = query::credential_names(head.query);
        let mut schemes = head.values("authorization").filter_map(|value| header_credential(value).ok());
        let in_header = schemes.next();
        if names.native || matches!(in_header, Some(Credential::NativeHeader(_))) {
            return Self::Native;
        }
        let is_aws = |credential: &Credential<'_>| {
            matches!(credential, Credential::AwsHeader(..) | Credential::AwsOutdated)
        };
        if names.aws || names.aws_outdated || in_header.as_ref().is_some_and(is_aws) {
            return Self::Aws;
        }
        if names.gcs || names.azure || in_header.is_some() {
            return Self::Native;
        }
        let of_s3 = |name: &str| name.starts_with("x-amz-") || name.starts_with("amz-sdk-");
        let says = head.headers.iter().any(|(name, _)| of_s3(name)) || query::has_aws_names(head.query);
        if says { Self::Aws } else { Self::Native }
    }
}

/// The credential of a request, by where it stands.
enum Credential<'a> {
    NativeQuery,
    NativeHeader(&'a str),
    AwsQuery,
    /// The algorithm, and what follows it.
    AwsHeader(&'a str, &'a str),
    /// AWS's signature version 2, which covers too little to be taken.
    AwsOutdated,
    Foreign(&'static str),
}

/// Finds the one key of a request and parses it. `path` is the request's own, `None` for `/`.
///
/// # Errors
/// [`Denial::NoKey`], [`Denial::BadRequest`] for two credentials, [`Denial::MalformedKey`], or
/// [`Denial::CallNotSupported`] for a dialect that is not offered yet.
pub fn present<'a>(head: &RequestHead<'a>, path: Option<&ResourcePath>) -> Result<Presented<'a>, Denial> {
    let boxed = |presented| Presented::Aws(Box::new(presented));
    match find(head)? {
        Credential::NativeQuery => native::present(head.query, path),
        Credential::NativeHeader(text) => native::present(text, path),
        Credential::AwsQuery => aws::in_query(head, path).map(boxed),
        Credential::AwsHeader(algorithm, rest) => aws::in_header(algorithm, rest, head, path).map(boxed),
        Credential::AwsOutdated => Err(Denial::BadRequest(
            "signature version 2 is not taken; sign with version 4, AWS4-HMAC-SHA256".to_string(),
        )),
        Credential::Foreign(dialect) => Err(Denial::CallNotSupported(dialect)),
    }
}

/// The key that a request asks something about, and the text in which it stands.
#[derive(Debug)]
pub struct OwnKey<'a> {
    /// The query string of the URL, or that of the `Authorization` header.
    pub text: &'a str,
    /// The key.
    pub presented: key::Presented<'a>,
}

/// Finds the one key of a request whose URL is no resource, so that the key itself says its path, and parses it.
///
/// # Errors
/// As [`present`].
pub fn present_own_key<'a>(head: &RequestHead<'a>) -> Result<OwnKey<'a>, Denial> {
    let text = match find(head)? {
        Credential::NativeQuery => head.query,
        Credential::NativeHeader(text) => text,
        Credential::AwsQuery
        | Credential::AwsHeader(..)
        | Credential::AwsOutdated
        | Credential::Foreign(_) => {
            return Err(Denial::CallNotSupported("a question about a key of another dialect"));
        }
    };
    Ok(OwnKey { text, presented: native::decode(text, None)? })
}

fn find<'a>(head: &RequestHead<'a>) -> Result<Credential<'a>, Denial> {
    let mut found = query_credentials(head.query);
    let in_query = found.next();
    if found.next().is_some() {
        return Err(two_credentials());
    }
    let mut headers = head.values("authorization");
    let Some(value) = headers.next() else {
        return in_query.ok_or(Denial::NoKey);
    };
    if in_query.is_some() || headers.next().is_some() {
        return Err(two_credentials());
    }
    header_credential(value)
}

/// Refuses a request whose key is elsewhere and which has one, or an `Authorization` header, in its head too.
///
/// # Errors
/// [`Denial::BadRequest`].
pub(crate) fn check_keyless(head: &RequestHead<'_>) -> Result<(), Denial> {
    let has_one =
        query_credentials(head.query).next().is_some() || head.values("authorization").next().is_some();
    if has_one { Err(two_credentials()) } else { Ok(()) }
}

fn query_credentials(query: &str) -> impl Iterator<Item = Credential<'_>> {
    let survey = query::credential_names(query);
    [
        survey.native.then_some(Credential::NativeQuery),
        survey.aws.then_some(Credential::AwsQuery),
        survey.aws_outdated.then_some(Credential::AwsOutdated),
        survey.gcs.then_some(Credential::Foreign("the gcs dialect")),
        survey.azure.then_some(Credential::Foreign("the azure dialect")),
    ]
    .into_iter()
    .flatten()
}

fn header_credential(value: &[u8]) -> Result<Credential<'_>, Denial> {
    let text = core::str::from_utf8(value)
        .map_err(|_| Denial::BadRequest("the Authorization header is not UTF-8".to_string()))?;
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    if scheme.eq_ignore_ascii_case("valetkey") {
        Ok(Credential::NativeHeader(rest.trim()))
    } else if scheme.starts_with("AWS4-") {
        Ok(Credential::AwsHeader(scheme, rest))
    } else if scheme == "AWS" {
        Ok(Credential::AwsOutdated)
    } else if scheme.eq_ignore_ascii_case("bearer") {
        Ok(Credential::Foreign("the jwt dialect"))
    } else {
        Err(Denial::NoKey)
    }
}

fn two_credentials() -> Denial {
    Denial::BadRequest("the request carries two credentials; send exactly one key".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "vk-signer=web&vk-allow=read&vk-end=2026-11-22T00:00:00Z&vk-sig=hEhgYjx5dL-kqONSrzOnARETdJGpgcZxy7EVdC7lfBY";

    fn check(query: &str, authorization: &[&str], reason: Option<&str>) {
        let headers: alloc::vec::Vec<_> =
            authorization.iter().map(|value| ("authorization", value.as_bytes())).collect();
        let head = RequestHead { method: "GET", path: "/files/a.txt", query, headers: &headers };
        let path = ResourcePath::from_url(head.path).unwrap();
        let denial = present(&head, Some(&path)).err();
        assert_eq!(denial.as_ref().map(Denial::reason), reason, "{query} {authorization:?}");
    }

    #[test]
    fn exactly_one_credential_is_taken() {
        let header = alloc::format!("Valetkey {KEY}");
        check(KEY, &[], None);
        check("", &[&header], None);
        check("", &[], Some("no_key"));
        check("utm_source=x", &[], Some("no_key"));
        check("", &["Basic eDp5"], Some("no_key"));
        check("", &["Valetkey"], Some("malformed_key"));
        check(KEY, &[&header], Some("bad_request"));
        check(KEY, &["Basic eDp5"], Some("bad_request"));
        check("", &[&header, &header], Some("bad_request"));
        check(&alloc::format!("{KEY}&X-Amz-Algorithm=AWS4-HMAC-SHA256"), &[], Some("bad_request"));
    }

    #[test]
    fn a_request_is_answered_in_its_own_language() {
        let language = |query: &str, headers: &[(&str, &str)]| {
            let headers: alloc::vec::Vec<_> =
                headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
            Language::of(&RequestHead { method: "GET", path: "/files/a", query, headers: &headers })
        };
        for (query, headers) in [
            ("X-Amz-Algorithm=AWS4-HMAC-SHA256", &[][..]),
            ("x-amz-%53ignature=", &[]),
            ("AWSAccessKeyId=AKID", &[]),
            ("X-Amz-Expires=1", &[]),
            ("", &[("authorization", "AWS4-HMAC-SHA256 nonsense")]),
            ("", &[("authorization", "AWS AKID:sig")]),
            ("", &[("x-amz-content-sha256", "UNSIGNED-PAYLOAD")]),
            ("", &[("amz-sdk-invocation-id", "1")]),
        ] {
            assert_eq!(language(query, headers), Language::Aws, "{query} {headers:?}");
        }
        for (query, headers) in [
            ("", &[][..]),
            (KEY, &[("x-amz-meta-colour", "red")]),
            ("vk-sig=x&X-Amz-Signature=0", &[]),
            ("", &[("authorization", "Valetkey x"), ("x-amz-date", "x")]),
            ("", &[("authorization", "Bearer x"), ("x-amz-date", "x")]),
            ("sv=1&sig=x", &[]),
            ("utm_source=x", &[("authorization", "Basic eDp5")]),
        ] {
            assert_eq!(language(query, headers), Language::Native, "{query} {headers:?}");
        }
    }

    #[test]
    fn dialects_that_are_not_offered_say_so() {
        check("X-Goog-Algorithm=GOOG4-RSA-SHA256", &[], Some("not_supported"));
        check("sv=2020-12-06&sig=x", &[], Some("not_supported"));
        check("", &["Bearer x"], Some("not_supported"));
    }

    #[test]
    fn signatures_of_aws_are_found_in_whatever_spelling() {
        check("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0", &[], Some("malformed_key"));
        check("x-amz-signature=0", &[], Some("malformed_key"));
        check("X-Amz-%43redential=0", &[], Some("malformed_key"));
        check("X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256", &[], Some("not_supported"));
        check("", &["AWS4-HMAC-SHA256 Credential=x"], Some("malformed_key"));
        check("", &["AWS4-HMAC-SHA256"], Some("malformed_key"));
        check("", &["AWS4-ECDSA-P256-SHA256 Credential=x"], Some("not_supported"));
        check("", &["AWS AKID:sig"], Some("bad_request"));
        check("AWSAccessKeyId=AKID&Expires=1&Signature=x", &[], Some("bad_request"));
        check("X-Amz-Signature=0", &["AWS4-HMAC-SHA256 Credential=x"], Some("bad_request"));
        check("X-Amz-Signature=0", &["Basic eDp5"], Some("bad_request"));
        check("X-Amz-Signature=0&X-Goog-Signature=0", &[], Some("bad_request"));
        check("X-Amz-Signature=0&vk-sig=x", &[], Some("bad_request"));
    }
}
