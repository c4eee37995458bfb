//! The parameters of a query that are no part of the key.
//!
//! Some choose among what a key allows and are free; some change how an object is answered or stored and are
//! refused, since a native key does not sign them; names that nobody knows are ignored.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;

use valetkey::{Denial, decode_query_component};

/// A call that a query's parameters ask for, other than the plain one of the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `uploads`, `uploadId`, `partNumber`: one of S3's multipart calls.
    Multipart,
    /// `comp`, `restype`, `blockid`, `blocklisttype`: one of Azure's calls.
    Azure,
    /// `archive`: a folder as one archive.
    Archive,
}

/// What the free parameters of a query say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// The call that they ask for.
    pub call: Option<Call>,
    /// `prefix`: below which text a listing is asked for.
    pub prefix: Option<alloc::string::String>,
}

/// Names of S3 that change what is answered or stored, or name a call that no native key grants.
const REFUSED: [&str; 42] = [
    "accelerate",
    "acl",
    "analytics",
    "annotation",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metadataconfiguration",
    "metadatainventorytable",
    "metadatajournaltable",
    "metadatatable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipcontrols",
    "policy",
    "policystatus",
    "publicaccessblock",
    "renameobject",
    "replication",
    "requestpayment",
    "restore",
    "retention",
    "select",
    "select-type",
    "session",
    "tagging",
    "torrent",
    "versionid",
    "version-id-marker",
    "versioning",
    "versions",
    "website",
    "append",
    "abac",
];

/// Beginnings of names that belong to a signature or change an answer.
const REFUSED_PREFIXES: [&str; 5] = ["response-", "x-amz-", "x-goog-", "x-ms-", "x-vk-"];

impl Survey {
    /// Reads the free parameters of a native key's `query` and refuses the ones that a key must sign.
    ///
    /// # Errors
    /// [`Denial::BadRequest`] for a parameter that changes how an object is answered or stored, or a free one
    /// that is given twice or cannot be decoded.
    pub fn of(query: &str) -> Result<Self, Denial> {
        let mut survey = Self::default();
        for (raw_name, raw_value) in pairs(query) {
            let Some(name) = decode_query_component(raw_name) else { continue };
            let lower = name.to_ascii_lowercase();
            if REFUSED.contains(&lower.as_str())
                || REFUSED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
            {
                let shown: alloc::string::String =
                    name.chars().filter(|char| !char.is_control()).take(40).collect();
                return Err(Denial::BadRequest(format!(
                    "the query parameter {shown} changes the answer, and the key does not sign it"
                )));
            }
            match name.as_ref() {
                "uploads" | "uploadId" | "partNumber" => survey.call = Some(Call::Multipart),
                "comp" | "restype" | "blockid" | "blocklisttype" => survey.call = Some(Call::Azure),
                "archive" => survey.call = Some(Call::Archive),
                "prefix" => {
                    let value = decode_query_component(raw_value).filter(|_| survey.prefix.is_none());
                    survey.prefix = Some(value.map(Into::into).ok_or_else(|| {
                        Denial::BadRequest("prefix is given twice or cannot be decoded".into())
                    })?);
                }
                _ => {}
            }
        }
        Ok(survey)
    }
}

/// Which credentials the names in a query speak of.
#[derive(Default)]
pub(crate) struct CredentialNames {
    pub(crate) native: bool,
    pub(crate) aws: bool,
    pub(crate) aws_outdated: bool,
    pub(crate) gcs: bool,
    pub(crate) azure: bool,
}

pub(crate) fn credential_names(query: &str) -> CredentialNames {
    let mut names = CredentialNames::default();
    let (mut has_sig, mut has_sv) = (false, false);
    for (raw_name, _) in pairs(query) {
        if valetkey::key::has_prefix(raw_name) {
            names.native = true;
            continue;
        }
        let name = decode_query_component(raw_name).unwrap_or_default();
        names.aws |= ["x-amz-algorithm", "x-amz-credential", "x-amz-signature"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known));
        names.aws_outdated |= name == "AWSAccessKeyId";
        names.gcs |=
            name.eq_ignore_ascii_case("x-goog-algorithm") || name.eq_ignore_ascii_case("x-goog-signature");
        has_sig |= name == "sig";
        has_sv |= name == "sv";
    }
    names.azure = has_sig && has_sv;
    names
}

/// Whether a name in a query is of the family in which S3's clients speak.
pub(crate) fn has_aws_names(query: &str) -> bool {
    pairs(query).any(|(raw_name, _)| {
        let name = decode_query_component(raw_name).unwrap_or_default();
        name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"))
    })
}

/// The parameters of a query, each by its name. A `+` is a space, in every dialect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters<'a> {
    query: &'a str,
}

impl<'a> Parameters<'a> {
    pub(crate) fn of(query: &'a str) -> Self {
        Self { query }
    }

    /// The decoded value of a parameter; one without a value has the empty one.
    ///
    /// # Errors
    /// [`Denial::BadRequest`] for one that is given twice or cannot be decoded.
    pub(crate) fn value(self, wanted: &str) -> Result<Option<Cow<'a, str>>, Denial> {
        let mut values = pairs(self.query)
            .filter(|(name, _)| decode_query_component(name).is_some_and(|name| name == wanted))
            .map(|(_, value)| value);
        let Some(value) = values.next() else { return Ok(None) };
        let value = decode_query_component(value).filter(|_| values.next().is_none());
        value
            .map(Some)
            .ok_or_else(|| Denial::BadRequest(format!("{wanted} is given twice or cannot be decoded")))
    }

    /// The decoded value of a parameter, empty where it is not given.
    pub(crate) fn text(self, wanted: &str) -> Result<String, Denial> {
        Ok(self.value(wanted)?.map(Cow::into_owned).unwrap_or_default())
    }

    /// Every name that can be decoded.
    pub(crate) fn names(self) -> impl Iterator<Item = Cow<'a, str>> {
        pairs(self.query).filter_map(move |(name, _)| decode_query_component(name))
    }

    /// Every name that can be decoded with its value, where that can be decoded too.
    pub(crate) fn pairs(self) -> impl Iterator<Item = (Cow<'a, str>, Option<Cow<'a, str>>)> {
        pairs(self.query).filter_map(move |(name, value)| {
            decode_query_component(name).map(|name| (name, decode_query_component(value)))
        })
    }
}

/// A refusal of a parameter's value, which says what to write instead.
pub(crate) fn bad_value(name: &str, value: &str, instead: &str) -> Denial {
    let shown: String = value.chars().filter(|char| !char.is_control()).take(40).collect();
    Denial::BadRequest(format!("{name} {shown:?}: {instead}"))
}

pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_key_must_sign_is_refused() {
        for query in [
            "response-content-type=text/html",
            "Response-Expires=0",
            "versionId=1",
            "acl",
            "tagging=",
            "x-amz-acl=public",
            "response%2Dcontent-type=a",
        ] {
            assert!(matches!(Survey::of(query), Err(Denial::BadRequest(_))), "{query}");
        }
    }

    #[test]
    fn free_and_unknown_names_are_taken() {
        assert_eq!(
            Survey::of("utm_source=x&list-type=2&x-id=GetObject&%zz=1&&=").unwrap(),
            Survey::default()
        );
        assert_eq!(Survey::of("prefix=a%2Fb").unwrap().prefix.as_deref(), Some("a/b"));
        assert_eq!(Survey::of("uploads").unwrap().call, Some(Call::Multipart));
        assert!(Survey::of("prefix=a&prefix=b").is_err());
    }
}
