//! What is said of the object that a form's file becomes, and what the head of the form's request may not say.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use valetkey::Denial;

use crate::detect;
use crate::head::RequestHead;
use crate::integrity::{self, Checksum};
use crate::native::{FAMILIES, describes_client};
use crate::query::Survey;
use crate::upload_headers::{Cover, UploadHeaders};

/// Headers that speak of a body which is the object itself, which a form's body is not.
const OF_AN_OBJECT: [&str; 8] = [
    "content-digest",
    "content-md5",
    "content-range",
    "digest",
    "repr-digest",
    "tus-resumable",
    "upload-complete",
    "upload-offset",
];

/// What a form says of its file, as a plain upload's headers would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormHeaders {
    /// Names in lower case, and values.
    pub(crate) values: Vec<(String, String)>,
    pub(crate) are_signed: bool,
}

impl FormHeaders {
    /// The type that the file is declared as.
    pub fn declared_type(&self) -> Option<&str> {
        self.values.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.as_str())
    }

    /// What is kept with the object.
    ///
    /// # Errors
    /// As [`UploadHeaders::of`].
    pub fn upload_headers(&self) -> Result<UploadHeaders, Denial> {
        let cover = if self.are_signed { Cover::All } else { Cover::Nothing };
        UploadHeaders::read(&self.as_headers(), cover, false)
    }

    /// What the file must hash to.
    ///
    /// # Errors
    /// As [`integrity::checksums`].
    pub fn checksums(&self) -> Result<Vec<Checksum>, Denial> {
        let headers = self.as_headers();
        integrity::checksums(&RequestHead { method: "POST", path: "", query: "", headers: &headers })
    }

    fn as_headers(&self) -> Vec<(&str, &[u8])> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
    }
}

/// Refuses a form whose request says in its head what a form says in its fields: its key, or what its file is.
/// Conditions are the request's, and are left to whoever stores the file.
///
/// # Errors
/// [`Denial::BadRequest`], [`Denial::CallNotSupported`].
pub(super) fn check_head(head: &RequestHead<'_>) -> Result<(), Denial> {
    detect::check_keyless(head)?;
    if Survey::of(head.query)?.call.is_some() {
        return Err(Denial::CallNotSupported("this call"));
    }
    for (name, value) in head.headers {
        let is_encoded = *name == "content-encoding" && !value.eq_ignore_ascii_case(b"identity");
        let in_family = FAMILIES.iter().any(|family| name.starts_with(family)) && !describes_client(name);
        if is_encoded || in_family || OF_AN_OBJECT.contains(name) {
            return Err(Denial::BadRequest(format!(
                "a form says in fields what its file is; its request has a header {name}"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn the_head_of_a_form_says_nothing_of_its_file() {
        let check = |query: &str, name: &str, value: &str| {
            let headers = [("host", &b"h"[..]), (name, value.as_bytes())];
            let head = RequestHead { method: "POST", path: "/files", query, headers: &headers };
            check_head(&head).map_err(|denial| denial.reason())
        };
        for (query, name) in [
            ("", "accept"),
            ("utm_source=x", "cookie"),
            ("", "if-none-match"),
            ("", "cache-control"),
            ("", "x-amz-user-agent"),
            ("", "expect"),
        ] {
            assert_eq!(check(query, name, "x"), Ok(()), "{query} {name}");
        }
        assert_eq!(check("", "content-encoding", "identity"), Ok(()));
        for name in [
            "authorization",
            "content-encoding",
            "content-md5",
            "repr-digest",
            "x-amz-acl",
            "x-amz-checksum-crc32",
            "x-amz-content-sha256",
            "x-amz-meta-a",
            "x-vk-max",
            "upload-complete",
        ] {
            assert_eq!(check("", name, "x"), Err("bad_request"), "{name}");
        }
        for query in ["vk-sig=x", "X-Amz-Signature=x", "AWSAccessKeyId=x", "acl", "x-vk-max=1", "vk-max=1"] {
            assert_eq!(check(query, "accept", "x"), Err("bad_request"), "{query}");
        }
        assert_eq!(check("uploads", "accept", "x"), Err("not_supported"));
    }

    #[test]
    fn what_is_not_signed_cannot_say_how_it_is_presented() {
        let headers = |are_signed| FormHeaders {
            values: [("content-disposition", "inline"), ("x-amz-checksum-crc32", "NhCmhg==")]
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .into(),
            are_signed,
        };
        assert_eq!(headers(true).upload_headers().unwrap().others.len(), 1);
        assert!(headers(false).upload_headers().unwrap().others.is_empty());
        assert_eq!(headers(false).checksums().unwrap().len(), 1);
    }
}
