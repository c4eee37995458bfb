//! Forms: `multipart/form-data` ([RFC 7578](https://www.rfc-editor.org/rfc/rfc7578)), as a browser sends an upload.
//!
//! A form's fields come before its file and say what is to become of it; they are read whole and are bounded. The
//! file is handed on in pieces, as it comes, and is never held. What follows it is not looked at.

mod headers;
mod part;
mod reader;
mod split;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use valetkey::{Denial, ResourcePath};

use crate::detect::Language;

pub use headers::FormHeaders;
pub use reader::{FormEvent, FormReader};

/// The fields of a form, and what is said of its file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    fields: Vec<(String, String)>,
    /// The name that the client gives its file.
    pub filename: Option<String>,
    /// The type that the client gives its file.
    pub file_type: Option<String>,
}

/// In which way a form says who vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormCredential {
    /// `vk-` fields.
    Native,
    /// A policy that was signed for S3.
    Aws,
    /// A policy that was signed for GCS.
    Gcs,
}

impl Form {
    /// The value of the field `name`, in whatever case the form writes it; no two fields differ in case alone.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.fields().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All fields before the file, by the names that the form gives them, in its order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Finds the one credential in the form.
    ///
    /// # Errors
    /// [`Denial::NoKey`], and [`Denial::BadRequest`] for two, or for one by AWS's signature of version 2.
    pub fn credential(&self) -> Result<FormCredential, Denial> {
        let names =
            |test: fn(&str) -> bool| self.fields().any(|(name, _)| test(name.to_ascii_lowercase().as_str()));
        if names(|name| matches!(name, "awsaccesskeyid" | "signature" | "googleaccessid")) {
            return Err(Denial::BadRequest(
                "the form is signed by a version that is no longer taken".to_string(),
            ));
        }
        let is_credential = |prefix: &'static str| {
            self.fields().any(|(name, _)| {
                let name = name.to_ascii_lowercase();
                let rest = name.strip_prefix(prefix);
                matches!(rest, Some("algorithm" | "credential" | "date" | "signature"))
            })
        };
        let found = [
            names(|name| name.starts_with("vk-")).then_some(FormCredential::Native),
            is_credential("x-amz-").then_some(FormCredential::Aws),
            is_credential("x-goog-").then_some(FormCredential::Gcs),
        ];
        let mut found = found.into_iter().flatten();
        match (found.next(), found.next()) {
            (None, _) => Err(Denial::NoKey),
            (Some(FormCredential::Native), None) if self.value("policy").is_some() => Err(two_credentials()),
            (Some(credential), None) => Ok(credential),
            (Some(_), Some(_)) => Err(two_credentials()),
        }
    }
}

/// The language that a form speaks by this field, if the field tells one.
fn language(field: &str) -> Option<Language> {
    let name = field.to_ascii_lowercase();
    let is_s3 = matches!(name.as_str(), "policy" | "acl" | "awsaccesskeyid" | "signature")
        || name.starts_with("x-amz-")
        || name.starts_with("success_action_");
    if name.starts_with("vk-") { Some(Language::Native) } else { is_s3.then_some(Language::Aws) }
}

fn two_credentials() -> Denial {
    Denial::BadRequest("the form carries two credentials; send exactly one key".to_string())
}

/// The object of this name in the bucket.
pub(crate) fn object(bucket: &ResourcePath, key: &str) -> Result<ResourcePath, Denial> {
    let path = ResourcePath::from_text(&["/", bucket.bucket(), "/", key].concat())?;
    if path.is_object() {
        Ok(path)
    } else {
        Err(Denial::BadRequest("the form's key names a folder and not an object".to_string()))
    }
}

/// A form that is not in its form.
fn malformed(text: impl ToString) -> Denial {
    Denial::BadRequest(text.to_string())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A form of these fields, whose file has no name and no type.
    pub(crate) fn form(fields: &[(&str, &str)]) -> Form {
        let owned = |(name, value): &(&str, &str)| ((*name).to_string(), (*value).to_string());
        Form { fields: fields.iter().map(owned).collect(), ..Form::default() }
    }

    #[test]
    fn a_form_carries_one_credential() {
        for (fields, expected) in [
            (&[("key", "a")][..], Err("no_key")),
            (&[("policy", "e30=")], Err("no_key")),
            (&[("vk-sig", "x")], Ok(FormCredential::Native)),
            (&[("Vk-Max", "x")], Ok(FormCredential::Native)),
            (&[("policy", "e30="), ("x-amz-signature", "x")], Ok(FormCredential::Aws)),
            (&[("X-Amz-Algorithm", "x")], Ok(FormCredential::Aws)),
            (&[("x-amz-meta-a", "x")], Err("no_key")),
            (&[("x-goog-signature", "x")], Ok(FormCredential::Gcs)),
            (&[("x-goog-signature", "x"), ("x-amz-signature", "x")], Err("bad_request")),
            (&[("vk-sig", "x"), ("x-amz-signature", "x")], Err("bad_request")),
            (&[("vk-sig", "x"), ("policy", "x")], Err("bad_request")),
            (&[("AWSAccessKeyId", "x"), ("policy", "x"), ("signature", "x")], Err("bad_request")),
        ] {
            let found = form(fields).credential();
            assert_eq!(found.map_err(|denial| denial.reason()), expected, "{fields:?}");
        }
    }
}
