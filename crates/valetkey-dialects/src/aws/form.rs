//! Forms that were signed for S3:
//! [browser-based uploads](https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-UsingHTTPPOST.html).

use alloc::string::{String, ToString};

use valetkey::{
    Denial, Dialect, Fingerprint, Foreign, ForeignClaims, Grant, ResourcePath, Scopes, SignerSecrets,
};
use valetkey::{Validity, Verb, Verbs};

use super::credential::FormCredential;
use super::operation::refuse_headers;
use super::policy::PostPolicy;
use super::reply::{Code, Refusal};
use super::signature;
use crate::form::{Form, FormHeaders, object};

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

/// What a form that was signed for S3 asks for, sound in form and vouched for by nobody yet.
#[derive(Debug)]
pub struct PostForm<'a> {
    form: &'a Form,
    path: ResourcePath,
    policy: PostPolicy,
    limits: ForeignClaims,
    credential: FormCredential,
}

/// A form whose signature holds and whose policy allows it, the size of its file aside: that is the grant's matter.
#[derive(Debug)]
pub struct VerifiedForm<'a> {
    form: &'a Form,
    path: ResourcePath,
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
        let mut limits = ForeignClaims::default();
        for (name, text) in policy.limits() {
            limits.read(&alloc::format!("x-vk-{name}"), name, text)?;
        }
        limits.restrict_size(policy.size());
        let path = object(bucket, &key)?;
        let read = Self { form, path, policy, limits, credential: FormCredential::of(form)? };
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

    /// The signer that the credential names.
    pub fn signer(&self) -> &str {
        &self.credential.signer
    }

    /// Checks the signature under the secrets of the signer that the credential names, `None` where there is no
    /// such signer, and then whether the policy allows this form.
    ///
    /// The grant is for this one object, until the policy expires, within the sizes and the limits that it says.
    ///
    /// # Errors
    /// [`Denial::BadSignature`], alike for a wrong signature and an unknown signer; as [`PostPolicy::check`].
    pub fn verify(self, secrets: Option<&SignerSecrets>) -> Result<(Grant, VerifiedForm<'a>), Refusal> {
        let Self { form, path, policy, limits, credential } = self;
        // What is signed is the text of the field itself.
        let text = form.value("policy").unwrap_or_default();
        signature::verify(secrets, &credential.scope, text, credential.signature.as_ref())?;
        policy.check(form, path.bucket(), path.name())?;
        let foreign = Foreign {
            dialect: Dialect::Aws,
            fingerprint: Fingerprint::of_signed_text(&credential.signer, Dialect::Aws, text),
            signer: credential.signer,
            allow: Verbs::only(Verb::Write),
            scopes: Scopes::only(path.clone()),
            validity: Validity::Until { issued: credential.issued, end: policy.expiration() },
            claims: limits,
        };
        Ok((Grant::from(foreign), VerifiedForm { form, path }))
    }
}

impl VerifiedForm<'_> {
    /// The object that the file becomes.
    pub fn path(&self) -> &ResourcePath {
        &self.path
    }

    /// What a plain upload would say in its headers. All of it is signed, since the policy names every field.
    ///
    /// The type that the client gives its file is not among them, as S3 has it: no policy could bind it.
    pub fn headers(&self) -> FormHeaders {
        let header = |(name, value): (&str, &str)| {
            let name = name.to_ascii_lowercase();
            let is_header = HEADERS.contains(&name.as_str())
                || HEADER_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
            is_header.then(|| (name, value.to_string()))
        };
        FormHeaders { values: self.form.fields().filter_map(header).collect(), are_signed: true }
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
mod tests;
