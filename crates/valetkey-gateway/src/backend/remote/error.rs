//! What goes wrong at a store, in our words.
//!
//! A store's answer may quote what it was asked with, and `object_store` quotes its answers: so of an error only its
//! kind and its status are kept.

use std::error::Error as _;
use std::io;

use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};

use crate::backend::StoreError;

/// What `object_store` says before the status of an answer that it does not understand.
const STATUS: &str = "non-2xx status code: ";

/// Sorts an error of a request that changed nothing.
pub(super) fn sorted(attempt: &'static str, error: &Error) -> StoreError {
    match error {
        Error::NotFound { .. } => StoreError::NotFound,
        Error::AlreadyExists { .. } => StoreError::AlreadyExists,
        Error::Precondition { .. } | Error::NotModified { .. } => StoreError::PreconditionFailed,
        Error::InvalidPath { .. } => StoreError::BadName,
        error => StoreError::Io { attempt, source: told(error) },
    }
}

/// An answer of the store that no call expects.
pub(super) fn status(attempt: &'static str, status: u16) -> StoreError {
    StoreError::Io { attempt, source: io::Error::other(format!("the store answered {status}")) }
}

/// An answer to a change that says that nothing was changed.
pub(super) fn refused(attempt: &'static str, status: u16) -> StoreError {
    match status {
        409 | 412 => StoreError::AlreadyExists,
        status => self::status(attempt, status),
    }
}

/// A fault of the way to the store: a request that was on its way may have reached it.
pub(super) fn unreachable(attempt: &'static str, error: &reqwest::Error) -> StoreError {
    let broke_off = |kind, text| StoreError::Unsettled { attempt, source: io::Error::new(kind, text) };
    match () {
        () if error.is_connect() => {
            let source = io::Error::new(io::ErrorKind::NotConnected, "the store cannot be reached");
            StoreError::Io { attempt, source }
        }
        () if error.is_timeout() => broke_off(io::ErrorKind::TimedOut, "the store took too long"),
        () => broke_off(io::ErrorKind::BrokenPipe, "the request to the store broke off"),
    }
}

/// Nothing moved for too long.
pub(super) fn stalled(attempt: &'static str) -> StoreError {
    StoreError::Io { attempt, source: io::Error::new(io::ErrorKind::TimedOut, "the store took too long") }
}

/// What may be told of an error in a log.
pub(super) fn told(error: &Error) -> io::Error {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<HttpError>() {
            return match error.kind() {
                HttpErrorKind::Connect => {
                    io::Error::new(io::ErrorKind::NotConnected, "the store cannot be reached")
                }
                HttpErrorKind::Timeout => io::Error::new(io::ErrorKind::TimedOut, "the store took too long"),
                HttpErrorKind::Decode => io::Error::other("the store's answer makes no sense"),
                _ => io::Error::new(io::ErrorKind::BrokenPipe, "the request to the store broke off"),
            };
        }
        cause = error.source();
    }
    match error {
        Error::PermissionDenied { .. } => return io::Error::other("the store answered 403"),
        Error::Unauthenticated { .. } => return io::Error::other("the store answered 401"),
        _ => {}
    }
    match status_of(error) {
        Some(status) => io::Error::other(format!("the store answered {status}")),
        None => io::Error::other("the store's answer makes no sense"),
    }
}

/// Whether the store answered, in whatever way that no other error stands for.
pub(super) fn is_answer(error: &Error) -> bool {
    matches!(error, Error::Generic { .. }) && told(error).kind() == io::ErrorKind::Other
}

/// Whether an answer of this status says that nothing was done: a refusal, what is not offered, too much at once. Other
/// faults of the store may come after it did.
pub(super) fn refuses(status: u16) -> bool {
    matches!(status, 300..=499 | 501 | 503)
}

/// The status of an answer that `object_store` has no word for.
fn status_of(error: &Error) -> Option<u16> {
    let text = error.to_string();
    text.get(text.find(STATUS)? + STATUS.len()..)?.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stores_words_are_not_repeated() {
        let source =
            "Server returned non-2xx status code: 503 Service Unavailable: AKIAHUSH is over its rate";
        let error = Error::Generic { store: "S3", source: source.into() };
        assert_eq!(told(&error).to_string(), "the store answered 503");
        let error = Error::Generic { store: "S3", source: "AKIAHUSH".into() };
        assert_eq!(told(&error).to_string(), "the store's answer makes no sense");
        let error = Error::PermissionDenied { path: "a".into(), source: "AKIAHUSH".into() };
        assert_eq!(told(&error).to_string(), "the store answered 403");
    }
}
