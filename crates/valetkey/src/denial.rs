//! Why a request is refused.
//!
//! Each denial has one reason code and one HTTP status, and a text that helps an honest client and tells a
//! stranger nothing.

use alloc::string::String;

use crate::key::parameter::Parameter;
use crate::name::NameError;
use crate::time::Timestamp;

/// A refusal, which is the asker's matter and not a fault of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message is its documentation")]
pub enum Denial {
    #[error("{0}")]
    BadRequest(String),
    #[error("{0}")]
    BadName(#[from] NameError),
    #[error("this address opens with a valet key only; ask the application that sent you here for one")]
    NoKey,
    #[error("{0}")]
    MalformedKey(String),
    #[error(
        "the key's signature does not fit what it says; it was cut, edited, or signed with another secret"
    )]
    BadSignature,
    #[error("the key opens nothing before {0}")]
    NotYetValid(Timestamp),
    #[error("the key ended at {0}; ask for a new one")]
    Expired(Timestamp),
    #[error("the key's end lies further ahead than its signer or policy allows")]
    LifetimeTooLong,
    #[error("the key was revoked")]
    Revoked,
    #[error("the stored access policy that the key names does not exist")]
    PolicyMissing,
    #[error("the key does not allow {0}")]
    NotAllowed(&'static str),
    #[error("the key does not open this path")]
    OutOfScope,
    #[error("the key is not for this client's address")]
    ClientNotAllowed,
    #[error("the key opens over TLS only")]
    TlsRequired,
    #[error("vk-{0} is not enforced by this version, so no key that names it is taken")]
    LimitNotSupported(Parameter),
    #[error("{0} is not offered by this version")]
    CallNotSupported(&'static str),
    #[error("size {size} exceeds the cap of {cap} bytes")]
    TooLarge { size: u64, cap: u64 },
    #[error("the body runs over the cap of {cap} bytes")]
    RunsOver { cap: u64 },
    #[error("size {size} is under the least of {least} bytes")]
    TooSmall { size: u64, least: u64 },
    #[error("the key takes only uploads that declare a media type, as Content-Type: image/png")]
    TypeUndeclared,
    #[error("the key takes no upload of type {0}")]
    TypeNotAllowed(String),
    #[error("the first bytes of the upload are those of {0}, which the key does not take")]
    TypeBelied(&'static str),
    #[error("the upload does not hash to the {0} that the request or its key says")]
    DigestMismatch(&'static str),
    #[error("the key has no use left")]
    UsesExhausted,
    #[error("the key has not that many bytes left")]
    BytesExhausted,
    #[error("the key opens no further name for an upload")]
    FilesExhausted,
    #[error("the quota that this key shares with others has no room for this")]
    OverQuota,
    #[error("too many transfers of this key or its quota run at once; wait for one to end")]
    TooManyAtOnce,
    #[error("there is no room left for this upload")]
    QuotaExceeded,
    #[error("an object with this name exists, and the request may only create")]
    AlreadyExists,
    #[error("a condition of the request does not hold")]
    PreconditionFailed,
    #[error("the name cannot stand beside what is there: a folder and an object cannot share a name")]
    NameConflict,
    #[error("there is no such object")]
    NotFound,
    #[error("the store does not answer; nothing was changed")]
    BackendUnavailable,
    #[error("the store did not confirm the change; look what is there before you try again")]
    ChangeUnconfirmed,
    #[error("the ledger does not answer; nothing was changed")]
    LedgerUnavailable,
    #[error("keys with limits are refused until the operator has accepted the ledger or the clock")]
    LedgerDistrusted,
    #[error("the change was made, but it could not be recorded; look what is there before you try again")]
    ChangeUnrecorded,
}

impl Denial {
    /// The reason code, as answers and records carry it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BadRequest(_) | Self::BadName(_) => "bad_request",
            Self::NoKey => "no_key",
            Self::MalformedKey(_) => "malformed_key",
            Self::BadSignature => "bad_signature",
            Self::NotYetValid(_) => "not_yet_valid",
            Self::Expired(_) => "expired",
            Self::LifetimeTooLong => "lifetime_too_long",
            Self::Revoked => "revoked",
            Self::PolicyMissing => "policy_missing",
            Self::NotAllowed(_) => "not_allowed",
            Self::OutOfScope => "out_of_scope",
            Self::ClientNotAllowed => "client_not_allowed",
            Self::TlsRequired => "tls_required",
            Self::LimitNotSupported(_) | Self::CallNotSupported(_) => "not_supported",
            Self::TooLarge { .. } | Self::RunsOver { .. } => "too_large",
            Self::TooSmall { .. } => "too_small",
            Self::TypeUndeclared | Self::TypeNotAllowed(_) | Self::TypeBelied(_) => "type_not_allowed",
            Self::DigestMismatch(_) => "digest_mismatch",
            Self::UsesExhausted => "uses_exhausted",
            Self::BytesExhausted => "bytes_exhausted",
            Self::FilesExhausted => "files_exhausted",
            Self::TooManyAtOnce => "rate_limited",
            Self::QuotaExceeded | Self::OverQuota => "quota_exceeded",
            Self::AlreadyExists => "already_exists",
            Self::PreconditionFailed => "precondition_failed",
            Self::NameConflict => "name_conflict",
            Self::NotFound => "not_found",
            Self::BackendUnavailable | Self::ChangeUnconfirmed => "backend_unavailable",
            Self::LedgerUnavailable | Self::LedgerDistrusted | Self::ChangeUnrecorded => "ledger_unavailable",
        }
    }

    /// The HTTP status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Self::BadRequest(_)
            | Self::BadName(_)
            | Self::MalformedKey(_)
            | Self::TooSmall { .. }
            | Self::DigestMismatch(_) => 400,
            Self::NoKey => 401,
            Self::BadSignature
            | Self::NotYetValid(_)
            | Self::Expired(_)
            | Self::LifetimeTooLong
            | Self::Revoked
            | Self::PolicyMissing
            | Self::NotAllowed(_)
            | Self::OutOfScope
            | Self::ClientNotAllowed
            | Self::TlsRequired
            | Self::UsesExhausted
            | Self::BytesExhausted
            | Self::FilesExhausted => 403,
            Self::NotFound => 404,
            Self::NameConflict => 409,
            Self::AlreadyExists | Self::PreconditionFailed => 412,
            Self::TooLarge { .. } | Self::RunsOver { .. } => 413,
            Self::TypeUndeclared | Self::TypeNotAllowed(_) | Self::TypeBelied(_) => 415,
            Self::TooManyAtOnce => 429,
            Self::LimitNotSupported(_) | Self::CallNotSupported(_) => 501,
            Self::BackendUnavailable
            | Self::ChangeUnconfirmed
            | Self::LedgerUnavailable
            | Self::LedgerDistrusted
            | Self::ChangeUnrecorded => 503,
            Self::QuotaExceeded | Self::OverQuota => 507,
        }
    }
}
