//! What an answer must look like, whatever the test that asked for it.

use crate::http::Answer;

/// Reasons that say the key itself was refused, or the request under it.
pub const KEY_REASONS: [&str; 13] = [
    "no_key",
    "malformed_key",
    "bad_signature",
    "not_yet_valid",
    "expired",
    "lifetime_too_long",
    "revoked",
    "policy_missing",
    "not_allowed",
    "out_of_scope",
    "client_not_allowed",
    "tls_required",
    "not_supported",
];

/// A refusal: status, reason in the header, and (where a body is allowed) the problem document that says the same.
///
/// # Panics
/// If anything differs.
#[track_caller]
pub fn refused(answer: &Answer, status: u16, reason: &str) {
    assert_eq!((answer.status, answer.reason()), (status, reason), "{:?}\n{}", answer.headers, answer.text());
    let request_id = answer.header("x-request-id").expect("every answer has x-request-id");
    assert!(!request_id.is_empty(), "x-request-id is empty");
    if answer.body.is_empty() {
        return;
    }
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem = answer.json().expect("a problem document is JSON");
    for member in ["type", "title", "detail"] {
        assert!(problem[member].is_string(), "{member} in {problem}");
    }
    assert_eq!(problem["status"], status, "{problem}");
    assert_eq!(problem["reason"], reason, "{problem}");
    assert_eq!(problem["request_id"], request_id, "{problem}");
}

/// As [`refused`], for a request whose answer has a body: it must be there.
///
/// # Panics
/// If anything differs.
#[track_caller]
pub fn refused_in_words(answer: &Answer, status: u16, reason: &str) {
    refused(answer, status, reason);
    assert!(!answer.body.is_empty(), "a refusal says why: {:?}", answer.headers);
}

/// A success with this status: it has a request id and no reason.
///
/// # Panics
/// If anything differs.
#[track_caller]
pub fn accepted(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{:?}\n{}", answer.headers, answer.text());
    assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{:?}", answer.headers);
    assert_eq!(answer.header("x-valetkey-reason"), None, "a success has no reason");
}

/// Whether the key passed, whatever became of the request: 404 for an object that is not there is a pass.
pub fn key_holds(answer: &Answer) -> bool {
    answer.status != 400 && !KEY_REASONS.contains(&answer.reason())
}
