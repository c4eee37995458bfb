//! Refusals in S3's words.

use alloc::string::{String, ToString};

use valetkey::{Denial, NameError};

use crate::xml::Xml;

/// One of [S3's error codes](https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the code of that name, and S3's reference describes it")]
pub enum Code {
    AccessDenied,
    AuthorizationHeaderMalformed,
    AuthorizationQueryParametersError,
    BadDigest,
    EntityTooLarge,
    EntityTooSmall,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidBucketName,
    InvalidDigest,
    InvalidPart,
    InvalidPartNumber,
    InvalidPartOrder,
    InvalidPolicyDocument,
    InvalidRange,
    InvalidRequest,
    InvalidUri,
    KeyTooLong,
    MalformedPostRequest,
    MalformedXml,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    NotImplemented,
    PreconditionFailed,
    QuotaExceeded,
    RequestTimeTooSkewed,
    ServiceUnavailable,
    SignatureDoesNotMatch,
    SlowDown,
}

impl Code {
    /// The code as answers carry it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessDenied => "AccessDenied",
            Self::AuthorizationHeaderMalformed => "AuthorizationHeaderMalformed",
            Self::AuthorizationQueryParametersError => "AuthorizationQueryParametersError",
            Self::BadDigest => "BadDigest",
            Self::EntityTooLarge => "EntityTooLarge",
            Self::EntityTooSmall => "EntityTooSmall",
            Self::InvalidAccessKeyId => "InvalidAccessKeyId",
            Self::InvalidArgument => "InvalidArgument",
            Self::InvalidBucketName => "InvalidBucketName",
            Self::InvalidDigest => "InvalidDigest",
            Self::InvalidPart => "InvalidPart",
            Self::InvalidPartNumber => "InvalidPartNumber",
            Self::InvalidPartOrder => "InvalidPartOrder",
            Self::InvalidPolicyDocument => "InvalidPolicyDocument",
            Self::InvalidRange => "InvalidRange",
            Self::InvalidRequest => "InvalidRequest",
            Self::InvalidUri => "InvalidURI",
            Self::KeyTooLong => "KeyTooLongError",
            Self::MalformedPostRequest => "MalformedPOSTRequest",
            Self::MalformedXml => "MalformedXML",
            Self::NoSuchBucket => "NoSuchBucket",
            Self::NoSuchKey => "NoSuchKey",
            Self::NoSuchUpload => "NoSuchUpload",
            Self::NotImplemented => "NotImplemented",
            Self::PreconditionFailed => "PreconditionFailed",
            Self::QuotaExceeded => "QuotaExceeded",
            Self::RequestTimeTooSkewed => "RequestTimeTooSkewed",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::SignatureDoesNotMatch => "SignatureDoesNotMatch",
            Self::SlowDown => "SlowDown",
        }
    }

    const fn status(self) -> u16 {
        match self {
            Self::AuthorizationHeaderMalformed
            | Self::AuthorizationQueryParametersError
            | Self::BadDigest
            | Self::EntityTooLarge
            | Self::EntityTooSmall
            | Self::InvalidArgument
            | Self::InvalidBucketName
            | Self::InvalidDigest
            | Self::InvalidPart
            | Self::InvalidPartOrder
            | Self::InvalidPolicyDocument
            | Self::InvalidRequest
            | Self::InvalidUri
            | Self::KeyTooLong
            | Self::MalformedPostRequest
            | Self::MalformedXml => 400,
            Self::AccessDenied
            | Self::InvalidAccessKeyId
            | Self::QuotaExceeded
            | Self::RequestTimeTooSkewed
            | Self::SignatureDoesNotMatch => 403,
            Self::NoSuchBucket | Self::NoSuchKey | Self::NoSuchUpload => 404,
            Self::PreconditionFailed => 412,
            Self::InvalidPartNumber | Self::InvalidRange => 416,
            Self::NotImplemented => 501,
            Self::ServiceUnavailable | Self::SlowDown => 503,
        }
    }
}

/// A denial with the code that S3's clients know it by.
///
/// Made from a [`Denial`] alone it has the code of the denial's reason; what reads one of S3's own forms knows
/// a closer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why, for records and other dialects.
    pub denial: Denial,
    /// The same for S3's clients.
    pub code: Code,
    /// What a person reads instead of the denial's own text.
    pub detail: Option<String>,
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        let code = code(&denial);
        Self { denial, code, detail: None }
    }
}

impl From<NameError> for Refusal {
    fn from(error: NameError) -> Self {
        Self::from(Denial::from(error))
    }
}

impl Refusal {
    /// A request that is itself unsound.
    pub(crate) fn bad_request(code: Code, text: impl ToString) -> Self {
        Self { code, ..Self::from(Denial::BadRequest(text.to_string())) }
    }

    /// A value without meaning.
    pub(crate) fn invalid_argument(denial: Denial) -> Self {
        Self { code: Code::InvalidArgument, ..Self::from(denial) }
    }

    /// An upload that does not exist, or belongs to another key.
    pub fn no_such_upload() -> Self {
        Self { code: Code::NoSuchUpload, ..Self::from(Denial::NotFound) }
    }

    /// A bucket that does not exist.
    pub fn no_such_bucket() -> Self {
        Self { code: Code::NoSuchBucket, ..Self::from(Denial::NotFound) }
    }

    /// A signer that does not exist.
    pub fn invalid_access_key_id() -> Self {
        Self { code: Code::InvalidAccessKeyId, ..Self::from(Denial::BadSignature) }
    }

    /// The same refusal, with words of its own.
    pub(crate) fn saying(self, detail: String) -> Self {
        Self { detail: Some(detail), ..self }
    }

    /// A completion that names a part which was never uploaded, or another version of it.
    pub fn invalid_part(number: impl core::fmt::Display) -> Self {
        Self::bad_request(
            Code::InvalidPart,
            alloc::format!("part {number} was not uploaded, or its ETag is another"),
        )
    }

    /// The HTTP status of the answer.
    pub fn status(&self) -> u16 {
        match self.denial {
            Denial::NameConflict => 409,
            _ => self.code.status(),
        }
    }

    /// The `Error` document. `resource` is the path that was asked for.
    pub fn document(&self, resource: &str, request_id: &str) -> String {
        let mut xml = Xml::new(256 + resource.len());
        xml.nested("Error", |xml| {
            xml.element("Code", self.code.name());
            xml.element("Message", self.message());
            if let Denial::Expired(end) = self.denial {
                xml.element("Expires", end);
            }
            xml.element("Resource", resource);
            xml.element("RequestId", request_id);
        });
        xml.finish()
    }

    /// What a person reads. Where S3 has one text for a case that clients look for, it is that one.
    pub fn message(&self) -> String {
        if let Some(detail) = &self.detail {
            return detail.clone();
        }
        match (&self.denial, self.code) {
            (Denial::Expired(_), _) => "Request has expired".to_string(),
            (Denial::NotYetValid(_), _) => "Request is not valid yet".to_string(),
            (Denial::NotFound, Code::NoSuchUpload) => {
                "there is no such upload; it may have been completed or aborted".to_string()
            }
            (Denial::NotFound, Code::NoSuchBucket) => "there is no such bucket".to_string(),
            (denial, _) => denial.to_string(),
        }
    }
}

/// The code of a denial's reason.
fn code(denial: &Denial) -> Code {
    match denial {
        Denial::BadRequest(_) => Code::InvalidRequest,
        Denial::BadName(error) => match error {
            NameError::Bucket => Code::InvalidBucketName,
            NameError::TooLong => Code::KeyTooLong,
            NameError::Encoding => Code::InvalidUri,
            NameError::NoBucket | NameError::Control | NameError::Segment | NameError::NotCanonical => {
                Code::InvalidRequest
            }
        },
        Denial::MalformedKey(_) => Code::AuthorizationQueryParametersError,
        Denial::BadSignature => Code::SignatureDoesNotMatch,
        Denial::NoKey
        | Denial::NotYetValid(_)
        | Denial::Expired(_)
        | Denial::LifetimeTooLong
        | Denial::Revoked
        | Denial::PolicyMissing
        | Denial::NotAllowed(_)
        | Denial::OutOfScope
        | Denial::ClientNotAllowed
        | Denial::TlsRequired
        | Denial::UsesExhausted
        | Denial::BytesExhausted
        | Denial::FilesExhausted => Code::AccessDenied,
        Denial::TooManyAtOnce => Code::SlowDown,
        Denial::LimitNotSupported(_) | Denial::CallNotSupported(_) => Code::NotImplemented,
        Denial::TooLarge { .. } | Denial::RunsOver { .. } => Code::EntityTooLarge,
        Denial::TooSmall { .. } => Code::EntityTooSmall,
        Denial::TypeUndeclared | Denial::TypeNotAllowed(_) | Denial::TypeBelied(_) | Denial::NameConflict => {
            Code::InvalidRequest
        }
        Denial::DigestMismatch(_) => Code::BadDigest,
        Denial::QuotaExceeded | Denial::OverQuota => Code::QuotaExceeded,
        Denial::AlreadyExists | Denial::PreconditionFailed => Code::PreconditionFailed,
        Denial::NotFound => Code::NoSuchKey,
        Denial::BackendUnavailable
        | Denial::ChangeUnconfirmed
        | Denial::LedgerUnavailable
        | Denial::LedgerDistrusted
        | Denial::ChangeUnrecorded => Code::ServiceUnavailable,
    }
}

#[cfg(test)]
mod tests {
    use valetkey::{Parameter, Timestamp};

    use super::*;

    #[test]
    fn each_reason_has_its_code_and_status() {
        let time = Timestamp::from_unix(0);
        for (denial, reason, code, status) in [
            (Denial::BadRequest(String::new()), "bad_request", "InvalidRequest", 400),
            (Denial::BadName(NameError::TooLong), "bad_request", "KeyTooLongError", 400),
            (Denial::BadName(NameError::Bucket), "bad_request", "InvalidBucketName", 400),
            (Denial::BadName(NameError::Encoding), "bad_request", "InvalidURI", 400),
            (Denial::BadName(NameError::Segment), "bad_request", "InvalidRequest", 400),
            (Denial::NoKey, "no_key", "AccessDenied", 403),
            (Denial::MalformedKey(String::new()), "malformed_key", "AuthorizationQueryParametersError", 400),
            (Denial::BadSignature, "bad_signature", "SignatureDoesNotMatch", 403),
            (Denial::NotYetValid(time), "not_yet_valid", "AccessDenied", 403),
            (Denial::Expired(time), "expired", "AccessDenied", 403),
            (Denial::LifetimeTooLong, "lifetime_too_long", "AccessDenied", 403),
            (Denial::Revoked, "revoked", "AccessDenied", 403),
            (Denial::PolicyMissing, "policy_missing", "AccessDenied", 403),
            (Denial::NotAllowed("read"), "not_allowed", "AccessDenied", 403),
            (Denial::OutOfScope, "out_of_scope", "AccessDenied", 403),
            (Denial::ClientNotAllowed, "client_not_allowed", "AccessDenied", 403),
            (Denial::TlsRequired, "tls_required", "AccessDenied", 403),
            (Denial::LimitNotSupported(Parameter::Rate), "not_supported", "NotImplemented", 501),
            (Denial::CallNotSupported("x"), "not_supported", "NotImplemented", 501),
            (Denial::TooLarge { size: 2, cap: 1 }, "too_large", "EntityTooLarge", 400),
            (Denial::RunsOver { cap: 1 }, "too_large", "EntityTooLarge", 400),
            (Denial::TooSmall { size: 1, least: 2 }, "too_small", "EntityTooSmall", 400),
            (Denial::TypeUndeclared, "type_not_allowed", "InvalidRequest", 400),
            (Denial::TypeNotAllowed(String::new()), "type_not_allowed", "InvalidRequest", 400),
            (Denial::TypeBelied("x"), "type_not_allowed", "InvalidRequest", 400),
            (Denial::DigestMismatch("md5"), "digest_mismatch", "BadDigest", 400),
            (Denial::UsesExhausted, "uses_exhausted", "AccessDenied", 403),
            (Denial::BytesExhausted, "bytes_exhausted", "AccessDenied", 403),
            (Denial::FilesExhausted, "files_exhausted", "AccessDenied", 403),
            (Denial::OverQuota, "quota_exceeded", "QuotaExceeded", 403),
            (Denial::TooManyAtOnce, "rate_limited", "SlowDown", 503),
            (Denial::QuotaExceeded, "quota_exceeded", "QuotaExceeded", 403),
            (Denial::AlreadyExists, "already_exists", "PreconditionFailed", 412),
            (Denial::PreconditionFailed, "precondition_failed", "PreconditionFailed", 412),
            (Denial::NameConflict, "name_conflict", "InvalidRequest", 409),
            (Denial::NotFound, "not_found", "NoSuchKey", 404),
            (Denial::BackendUnavailable, "backend_unavailable", "ServiceUnavailable", 503),
            (Denial::ChangeUnconfirmed, "backend_unavailable", "ServiceUnavailable", 503),
            (Denial::LedgerUnavailable, "ledger_unavailable", "ServiceUnavailable", 503),
            (Denial::LedgerDistrusted, "ledger_unavailable", "ServiceUnavailable", 503),
            (Denial::ChangeUnrecorded, "ledger_unavailable", "ServiceUnavailable", 503),
        ] {
            let refusal = Refusal::from(denial);
            let found = (refusal.denial.reason(), refusal.code.name(), refusal.status());
            assert_eq!(found, (reason, code, status));
        }
    }

    #[test]
    fn closer_codes_have_their_status() {
        for (refusal, name, status) in [
            (Refusal::no_such_upload(), "NoSuchUpload", 404),
            (Refusal::invalid_part(3), "InvalidPart", 400),
            (Refusal::no_such_bucket(), "NoSuchBucket", 404),
            (Refusal::invalid_access_key_id(), "InvalidAccessKeyId", 403),
        ] {
            assert_eq!((refusal.code.name(), refusal.status()), (name, status));
        }
    }

    #[test]
    fn a_document_is_what_clients_read() {
        let refusal = Refusal::from(Denial::OutOfScope);
        assert_eq!(
            refusal.document("/files/<a>&b", "7f3k"),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code>\
             <Message>the key does not open this path</Message><Resource>/files/&lt;a&gt;&amp;b</Resource>\
             <RequestId>7f3k</RequestId></Error>"
        );
        let expired = Refusal::from(Denial::Expired(Timestamp::from_unix(0))).document("/", "7f3k");
        assert!(
            expired.contains("<Message>Request has expired</Message><Expires>1970-01-01T00:00:00Z</Expires>")
        );
    }
}
