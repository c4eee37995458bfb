//! What an operator is told where something is not done.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use valetkey::Denial;
use valetkey_ledger::LedgerError;

use crate::transfer::body::Body;

/// Why a call is not answered with what it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// The call is unsound.
    BadRequest(String),
    /// No token, or another one.
    NoToken,
    /// The signer or the key does not give what is asked.
    Refused(String),
    /// The key itself is refused, as a client would be.
    Key(Denial),
    /// There is no such thing.
    NotFound,
    /// Nothing is counted of what is asked for.
    NoAccount(String),
    /// The path takes these methods only.
    Method(&'static str),
    /// The body exceeds the bound.
    TooLarge,
    /// The body is not declared as JSON.
    NotJson,
    /// The configuration is faulty; the one before stays in force.
    Faulty(Vec<String>),
    /// The ledger or the audit log does not answer.
    Unavailable(String),
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NoToken => StatusCode::UNAUTHORIZED,
            Self::Refused(_) => StatusCode::FORBIDDEN,
            // The call is sound, whatever is wrong with the key that it speaks of.
            Self::Key(denial) if denial.status() < 500 => StatusCode::FORBIDDEN,
            Self::Key(denial) => StatusCode::from_u16(denial.status()).unwrap_or(StatusCode::FORBIDDEN),
            Self::NotFound | Self::NoAccount(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Faulty(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::NoToken => "no_token",
            Self::Refused(_) => "not_allowed",
            Self::Key(denial) => denial.reason(),
            Self::NotFound | Self::NoAccount(_) => "not_found",
            Self::Method(_) => "method_not_allowed",
            Self::TooLarge => "too_large",
            Self::NotJson => "not_json",
            Self::Faulty(_) => "faulty_configuration",
            Self::Unavailable(_) => "unavailable",
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::BadRequest(detail)
            | Self::Refused(detail)
            | Self::NoAccount(detail)
            | Self::Unavailable(detail) => detail.clone(),
            Self::NoToken => "say the token, as Authorization: Bearer …".to_owned(),
            Self::Key(denial) => denial.to_string(),
            Self::NotFound => "there is no such thing".to_owned(),
            Self::Method(allowed) => format!("this path takes {allowed}"),
            Self::TooLarge => "the body exceeds 1 MiB".to_owned(),
            Self::NotJson => "the body must be JSON, declared as application/json".to_owned(),
            Self::Faulty(_) => "the configuration is faulty; the one before it stays in force".to_owned(),
        }
    }

    /// The answer that says so.
    pub(super) fn answer(&self, request_id: &str) -> Response<Body> {
        let (status, reason) = (self.status(), self.reason());
        let mut problem = serde_json::json!({
            "type": format!("urn:valetkey:reason:{reason}"),
            "title": status.canonical_reason().unwrap_or("Refused"),
            "status": status.as_u16(),
            "detail": self.detail(),
            "reason": reason,
            "request_id": request_id,
        });
        if let Self::Faulty(faults) = self {
            problem["errors"] = faults.as_slice().into();
        }
        let mut answer = Response::new(Body::Text(Bytes::from(format!("{problem}\n"))));
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self {
            Self::NoToken => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Method(allowed) => {
                headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
            }
            _ => {}
        }
        answer
    }
}

impl From<Denial> for Problem {
    fn from(denial: Denial) -> Self {
        Self::Key(denial)
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        tracing::error!(%error, "the ledger does not answer an operator");
        Self::Unavailable(format!("the ledger does not answer: {error}"))
    }
}
