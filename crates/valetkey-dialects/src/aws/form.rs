//! Forms that were signed for S3:
//! [browser-based uploads](https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-UsingHTTPPOST.html).

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use valetkey::{Denial, ResourcePath};

use super::operation::refuse_headers;
use super::policy::PostPolicy;
use super::reply::{Code, Refusal};
use crate::form::{Form, object};

/// What stands for the file's own name in the field `key`.
const FILENAME: &str = "${filename}";

/// How long the field `key` may be before the file's name is put in, in bytes: so much that no key which could be
/// short enough afterwards is refused, and so little that the name cannot be repeated without end.
const KEY_BYTES_MAX: usize = 2048;

/// Fields that are headers of the upload.
const HEADERS: [&str; 8] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "content-type",
    "expires",
    "x-amz-sdk-checksum-algorithm",
];

/// Beginnings of the names of others.
const HEADER_PREFIXES: [&str; 2] = ["x-amz-checksum-", "x-amz-meta-"];

/// What a form that was signed for S3 asks for. Whether its policy allows that is decided only after its
/// signature was checked.
#[derive(Clone, Debug)]
pub struct PostForm<'a> {
    form: &'a Form,
    path: ResourcePath,
    policy: PostPolicy,
}

/// How a form wants its upload answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostSuccess {
    /// 204, without a body.
    NoContent,
    /// 200, without a body.
    Ok,
    /// 201, with the document of [`post_response`](super::reply::post_response).
    Created,
    /// 303 to this URL, with what [`post_redirect`](super::reply::post_redirect) puts in its query.
    Redirect(String),
}

impl<'a> PostForm<'a> {
    /// Reads the fields of a form on the URL of `bucket`.
    ///
    /// # Errors
    /// [`Denial::NoKey`] without a policy; as [`PostPolicy::parse`]; [`Code::InvalidArgument`] without a `key`,
    /// and [`Denial::BadName`] for one that cannot name an object; [`Code::NotImplemented`] for a field that asks
    /// for what is not offered.
    pub fn of(form: &'a Form, bucket: &ResourcePath) -> Result<Self, Refusal> {
        let policy = PostPolicy::parse(form.value("policy").ok_or(Denial::NoKey)?)?;
        let key = form
            .value("key")
            .ok_or_else(|| Refusal::bad_request(Code::InvalidArgument, "the form has no field named key"))?;
        if key.len() > KEY_BYTES_MAX {
            return Err(Denial::BadName(valetkey::NameError::TooLong).into());
        }
        let key = key.replace(FILENAME, form.filename.as_deref().unwrap_or_default());
        let read = Self { form, path: object(bucket, &key)?, policy };
        for (name, value) in form.fields() {
            let lower = name.to_ascii_lowercase();
            let header = if lower == "acl" { "x-amz-acl" } else { &lower };
            refuse_headers(core::iter::once((header, value.as_bytes())))?;
        }
        if form.value("tagging").is_some_and(|tags| !tags.is_empty()) {
            return Err(Denial::CallNotSupported("tags on an object").into());
        }
        Ok(read)
    }

    /// The object that the file becomes.
    pub fn path(&self) -> &ResourcePath {
        &self.path
    }

    /// What its signer allows.
    pub fn policy(&self) -> &PostPolicy {
        &self.policy
    }

    /// Decides whether the policy allows this form, the file's size aside.
    ///
    /// # Errors
    /// As [`PostPolicy::check`].
    pub fn check(&self) -> Result<(), Refusal> {
        self.policy.check(self.form, self.path.bucket(), self.path.name())
    }

    /// What a plain upload would say in its headers, names in lower case. All of it is signed, since the policy
    /// names every field.
    ///
    /// The type that the client gives its file is not among them, as S3 has it: no policy could bind it.
    pub fn headers(&self) -> Vec<(String, String)> {
        let header = |(name, value): (&str, &str)| {
            let name = name.to_ascii_lowercase();
            let is_header = HEADERS.contains(&name.as_str())
                || HEADER_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
            is_header.then(|| (name, value.to_string()))
        };
        self.form.fields().filter_map(header).collect()
    }

    /// How the upload is to be answered. A redirect that is no absolute URL of the web counts as none, as S3 has
    /// it.
    pub fn success(&self) -> PostSuccess {
        let asked = self.form.value("success_action_redirect").or(self.form.value("redirect"));
        let is_url = |url: &&str| {
            let rest = url.strip_prefix("https://").or(url.strip_prefix("http://"));
            let sound = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
            rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && rest.bytes().all(sound))
        };
        if let Some(url) = asked.filter(is_url) {
            return PostSuccess::Redirect(url.to_string());
        }
        match self.form.value("success_action_status") {
            Some("200") => PostSuccess::Ok,
            Some("201") => PostSuccess::Created,
            _ => PostSuccess::NoContent,
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::form::tests::form;

    /// A form with a policy that takes any key below `u1/` and any field of these.
    fn with_policy(fields: &[(&str, &str)]) -> Form {
        let names = fields.iter().filter(|(name, _)| *name != "key");
        let named: String =
            names.map(|(name, _)| alloc::format!(r#",["starts-with","${name}",""]"#)).collect();
        let policy = alloc::format!(
            r#"{{"expiration":"2026-11-22T00:00:00Z","conditions":[{{"bucket":"files"}},
               ["starts-with","$key","u1/"]{named}]}}"#
        );
        let policy = STANDARD.encode(policy);
        form(&[fields, &[("policy", policy.as_str())]].concat())
    }

    fn bucket() -> ResourcePath {
        ResourcePath::from_url("/files").unwrap()
    }

    fn check(key: &str, filename: Option<&str>, expected: Result<&str, &str>) {
        let mut form = with_policy(&[("key", key)]);
        form.filename = filename.map(ToString::to_string);
        let bucket = bucket();
        let read = PostForm::of(&form, &bucket).and_then(|read| read.check().map(|()| read));
        let found = read.as_ref().map(|read| read.path().as_str()).map_err(|refusal| refusal.code.name());
        assert_eq!(found, expected, "{key} {filename:?}");
    }

    #[test]
    fn a_key_is_judged_with_its_file_name() {
        check("u1/a", None, Ok("/files/u1/a"));
        check("u1/${filename}", Some("a b.jpg"), Ok("/files/u1/a b.jpg"));
        check("u1/${filename}-${filename}", Some("a"), Ok("/files/u1/a-a"));
        check("${filename}", Some("u1/a"), Ok("/files/u1/a"));
        check("${filename}", Some("u2/a"), Err("AccessDenied"));
        check("u1/${filename}", Some("../u2/a"), Err("InvalidRequest"));
        check("u1/${filename}", Some(".."), Err("InvalidRequest"));
        check("u1/${filename}", Some(""), Err("InvalidRequest"));
        check("u1/${filename}", None, Err("InvalidRequest"));
        check("u1/${filename}", Some("a\u{85}"), Err("InvalidRequest"));
        check("u10/a", None, Err("AccessDenied"));
        check(&"u".repeat(1025), None, Err("KeyTooLongError"));
        check(&FILENAME.repeat(1000), Some(&"a".repeat(8000)), Err("KeyTooLongError"));
    }

    #[test]
    fn a_form_has_a_policy_and_a_key() {
        let bucket = bucket();
        let code = |form: &Form| PostForm::of(form, &bucket).map(|_| ()).map_err(|refusal| refusal.code);
        assert_eq!(code(&form(&[("key", "a")])), Err(Code::AccessDenied));
        assert_eq!(code(&with_policy(&[])), Err(Code::InvalidArgument));
        assert_eq!(code(&form(&[("policy", "x")])), Err(Code::InvalidPolicyDocument));
    }

    #[test]
    fn fields_are_the_headers_of_the_upload() {
        let form = with_policy(&[
            ("key", "u1/a"),
            ("Content-Type", "image/png"),
            ("acl", "private"),
            ("x-amz-meta-Colour", "red"),
            ("success_action_status", "201"),
            ("x-amz-date", "20260101T000000Z"),
            ("x-ignore-a", "b"),
            ("x-amz-copy-source", "files/b"),
            ("content-length", "5"),
        ]);
        let bucket = bucket();
        let read = PostForm::of(&form, &bucket).unwrap();
        let expected = [("content-type", "image/png"), ("x-amz-meta-colour", "red")];
        assert_eq!(read.headers(), expected.map(|(name, value)| (name.to_string(), value.to_string())));
        for field in [("acl", "public-read"), ("tagging", "<Tagging/>"), ("x-amz-storage-class", "GLACIER")] {
            let form = with_policy(&[("key", "u1/a"), field]);
            let refused = PostForm::of(&form, &bucket).map(|_| ()).map_err(|refusal| refusal.code);
            assert_eq!(refused, Err(Code::NotImplemented), "{field:?}");
        }
    }

    #[test]
    fn a_form_says_how_it_is_answered() {
        let success = |fields: &[(&str, &str)]| {
            let form = with_policy(&[&[("key", "u1/a")], fields].concat());
            PostForm::of(&form, &bucket()).unwrap().success()
        };
        let redirect = "success_action_redirect";
        for (fields, expected) in [
            (&[][..], PostSuccess::NoContent),
            (&[("success_action_status", "200")], PostSuccess::Ok),
            (&[("success_action_status", "201")], PostSuccess::Created),
            (&[("success_action_status", "204")], PostSuccess::NoContent),
            (&[("success_action_status", "500")], PostSuccess::NoContent),
            (&[(redirect, "https://app/x?y=1#z")], PostSuccess::Redirect("https://app/x?y=1#z".into())),
            (
                &[("redirect", "http://app"), ("success_action_status", "201")],
                PostSuccess::Redirect("http://app".into()),
            ),
            (&[(redirect, "javascript:alert(1)")], PostSuccess::NoContent),
            (&[(redirect, "/x")], PostSuccess::NoContent),
            (&[(redirect, "https://")], PostSuccess::NoContent),
            (&[(redirect, "https:///x")], PostSuccess::NoContent),
            (&[(redirect, "https://app/\r\nx: y")], PostSuccess::NoContent),
        ] {
            assert_eq!(success(fields), expected, "{fields:?}");
        }
    }
}
