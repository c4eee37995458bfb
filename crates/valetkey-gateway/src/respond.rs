//! From what came of a request to the answer that its client reads.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode, Version};
use hyper::body::{Body as _, Incoming};
use valetkey::{Denial, MediaType, Now, Permit};
use valetkey_dialects::Language;
use valetkey_dialects::aws::reply::Refusal;

use crate::backend::{Attributes, Metadata};
use crate::gateway::Gateway;
use crate::request;
use crate::transfer::body::{Body, RefusalBody};
use crate::transfer::rate::Throttle;
use crate::transfer::upload::SIGNED;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const AWS_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const REASON: HeaderName = HeaderName::from_static("x-valetkey-reason");
const XML: HeaderValue = HeaderValue::from_static("application/xml");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An answer without a body.
pub(crate) fn status(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::Empty);
    *answer.status_mut() = status;
    answer
}

/// Puts the request's id on its answer.
pub(crate) fn named(mut answer: Response<Body>, request_id: &str, language: Language) -> Response<Body> {
    insert(&mut answer, REQUEST_ID, request_id);
    if language == Language::Aws {
        insert(&mut answer, AWS_REQUEST_ID, request_id);
    }
    answer
}

/// Sets a header, unless its value is none that HTTP could carry.
pub(crate) fn insert(answer: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        answer.headers_mut().insert(name, value);
    }
}

/// Answers what needs no key: the health of the gateway and of the stores behind it, and preflights. They tell nothing
/// else.
pub(crate) fn without_a_key(gateway: &Gateway, parts: &Parts) -> Option<Response<Body>> {
    if request::is_doubtful(parts) {
        return None;
    }
    if parts.method == Method::OPTIONS {
        let mut answer = status(StatusCode::NO_CONTENT);
        insert(&mut answer, header::ALLOW, "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS");
        return Some(answer);
    }
    let asks = parts.method == Method::GET || parts.method == Method::HEAD;
    (asks && parts.uri.path() == "/-/health").then(|| {
        let draining = gateway.draining.load(Ordering::Relaxed);
        let (code, text) = match (draining, gateway.ledger_answers.load(Ordering::Relaxed)) {
            (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "the ledger does not answer\n"),
            (false, true) => (StatusCode::OK, "ok\n"),
        };
        let mut text = text.to_owned();
        for (name, store) in &gateway.snapshot().stores {
            let does = if store.answers() { "answers" } else { "does not answer" };
            text.push_str(&format!("backend {name} {does}\n"));
        }
        let mut answer = text_answer(code, HeaderValue::from_static("text/plain"), text.into(), parts);
        insert(&mut answer, header::CACHE_CONTROL, "no-store");
        answer
    })
}

/// The status of a refusal in the words of `language`.
pub(crate) fn status_of(refusal: &Refusal, language: Language) -> u16 {
    match language {
        Language::Native => refusal.denial.status(),
        Language::Aws => refusal.status(),
    }
}

/// The answer to a refused request, and what becomes of the rest of its body.
pub(crate) fn refusal(
    refusal: &Refusal,
    language: Language,
    request_id: &str,
    parts: &Parts,
    rest: Incoming,
) -> Response<Body> {
    let denial = &refusal.denial;
    let code = status_of(refusal, language);
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = match language {
        Language::Native => text_answer(code, PROBLEM, problem(denial, code, request_id).into(), parts),
        Language::Aws => text_answer(code, XML, refusal.document(parts.uri.path(), request_id).into(), parts),
    };
    insert(&mut answer, REASON, denial.reason());
    insert(&mut answer, header::CACHE_CONTROL, "no-store");
    insert(&mut answer, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    match denial {
        Denial::NoKey if language == Language::Native => {
            insert(&mut answer, header::WWW_AUTHENTICATE, "Valetkey");
        }
        Denial::BackendUnavailable | Denial::LedgerUnavailable | Denial::LedgerDistrusted => {
            insert(&mut answer, header::RETRY_AFTER, "5");
        }
        Denial::TooManyAtOnce => insert(&mut answer, header::RETRY_AFTER, "1"),
        _ => {}
    }
    let doubtful = request::is_doubtful(parts);
    if rest.is_end_stream() && !doubtful {
        return answer;
    }
    if parts.version <= Version::HTTP_11 {
        // The connection lingers, so that the client reads the answer, and is of no use afterwards.
        insert(&mut answer, header::CONNECTION, "close");
        return answer;
    }
    answer.map(|body| match body {
        Body::Text(text) => Body::Refusal(Box::new(RefusalBody::new(text, rest))),
        body => body,
    })
}

/// A [problem document](https://www.rfc-editor.org/rfc/rfc9457).
fn problem(denial: &Denial, code: StatusCode, request_id: &str) -> String {
    let reason = denial.reason();
    let problem = serde_json::json!({
        "type": format!("urn:valetkey:reason:{reason}"),
        "title": code.canonical_reason().unwrap_or("Refused"),
        "status": denial.status(),
        "detail": denial.to_string(),
        "reason": reason,
        "request_id": request_id,
    });
    format!("{problem}\n")
}

fn text_answer(code: StatusCode, kind: HeaderValue, text: Bytes, parts: &Parts) -> Response<Body> {
    let bytes = text.len();
    let body = if parts.method == Method::HEAD { Body::Empty } else { Body::Text(text) };
    let mut answer = Response::new(body);
    *answer.status_mut() = code;
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    answer
}

/// What the holder of a key is told about it: for nobody else, and true for a moment only.
pub(crate) fn about_key(document: &impl serde::Serialize, parts: &Parts) -> Response<Body> {
    let text = serde_json::to_string(document).expect("it has text and numbers only, and its names are text");
    let mut answer = text_answer(StatusCode::OK, JSON, format!("{text}\n").into(), parts);
    insert(&mut answer, header::CACHE_CONTROL, "no-store");
    insert(&mut answer, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    insert(&mut answer, header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
    insert(&mut answer, header::REFERRER_POLICY, "no-referrer");
    answer
}

/// One of S3's documents that is no listing.
pub(crate) fn document(document: String, parts: &Parts) -> Response<Body> {
    listing(document, None, parts)
}

/// An answer that says in words too what it says in its head.
pub(crate) fn with_document(answer: Response<Body>, document: String, parts: &Parts) -> Response<Body> {
    let (head, _) = answer.into_parts();
    let mut answer = text_answer(head.status, XML, document.into(), parts);
    answer.headers_mut().extend(head.headers);
    answer
}

/// A listing. It is true for a moment only and tells what one key may know, so nobody keeps it.
pub(crate) fn listing(document: String, throttle: Option<Throttle>, parts: &Parts) -> Response<Body> {
    let mut answer = text_answer(StatusCode::OK, XML, document.into(), parts);
    if let Some(throttle) = throttle {
        answer = answer.map(|body| body.slowed(throttle));
    }
    if parts.method == Method::HEAD {
        // No page was made whose length it could tell.
        answer.headers_mut().remove(header::CONTENT_LENGTH);
    }
    insert(&mut answer, header::CACHE_CONTROL, "no-store");
    insert(&mut answer, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    insert(&mut answer, header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
    insert(&mut answer, header::REFERRER_POLICY, "no-referrer");
    answer
}

/// The head of an answer that describes an object: a download, or a question about it.
///
/// Whatever was uploaded, no browser is to run it: its type is not guessed at, scripts have no origin, and
/// what a browser would run is saved and not shown unless the key says otherwise.
pub(crate) fn object(
    code: StatusCode,
    metadata: &Metadata,
    permit: &Permit,
    overrides: &[(&'static str, String)],
    now: Now,
) -> Response<Body> {
    let mut answer = status(code);
    let signed = Presentation { attributes: &metadata.attributes, permit, overrides };
    let attributes = &metadata.attributes;
    insert(&mut answer, header::ETAG, &format!("\"{}\"", metadata.etag));
    insert(&mut answer, header::LAST_MODIFIED, &last_modified(metadata));
    insert(&mut answer, header::CACHE_CONTROL, &signed.cache_control(now));
    insert(&mut answer, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    insert(&mut answer, header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
    insert(&mut answer, header::REFERRER_POLICY, "no-referrer");
    if code == StatusCode::NOT_MODIFIED {
        return answer;
    }
    insert(&mut answer, header::ACCEPT_RANGES, "bytes");
    // What a browser could take for another type than we do is told as none.
    let content_type = signed.chosen("content-type").or(attributes.content_type.as_deref());
    let content_type = content_type.filter(|text| MediaType::parse(text).is_some());
    let content_type = content_type.unwrap_or("application/octet-stream");
    insert(&mut answer, header::CONTENT_TYPE, content_type);
    for (name, value) in attributes.headers.iter().filter(|(name, _)| name.starts_with("x-amz-meta-")) {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
        insert(&mut answer, name, value);
    }
    for name in [header::CONTENT_LANGUAGE, header::CONTENT_ENCODING, header::EXPIRES] {
        // When a counted download may be kept is said by us alone.
        if let Some(value) = signed.said(name.as_str())
            && !(name == header::EXPIRES && permit.is_counted)
        {
            insert(&mut answer, name, value);
        }
    }
    match signed.disposition() {
        Some(disposition) => insert(&mut answer, header::CONTENT_DISPOSITION, disposition),
        None if runs_in_a_browser(content_type) => {
            insert(&mut answer, header::CONTENT_DISPOSITION, "attachment");
        }
        None => {}
    }
    answer
}

/// Sends a client to where an object is, by a URL that opens it for a while: nobody is to keep it.
pub(crate) fn redirect(url: &str) -> Response<Body> {
    let mut answer = status(StatusCode::TEMPORARY_REDIRECT);
    insert(&mut answer, header::LOCATION, url);
    insert(&mut answer, header::CACHE_CONTROL, "no-store");
    insert(&mut answer, header::REFERRER_POLICY, "no-referrer");
    answer
}

/// When an object was last changed, as HTTP writes it.
pub(crate) fn last_modified(metadata: &Metadata) -> String {
    http_date(metadata.modified)
}

/// HTTP's dates begin with the Unix epoch and have years of four digits. A disk and a store may say any other.
fn http_date(time: SystemTime) -> String {
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    httpdate::fmt_http_date(time.clamp(SystemTime::UNIX_EPOCH, last))
}

/// What an uploader, a key and the signature of a request say of how an object is presented.
struct Presentation<'a> {
    attributes: &'a Attributes,
    permit: &'a Permit,
    /// What the signature of this very request says.
    overrides: &'a [(&'static str, String)],
}

impl<'a> Presentation<'a> {
    fn chosen(&self, name: &str) -> Option<&'a str> {
        self.overrides.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    fn stored(&self, name: &str) -> Option<&'a str> {
        self.attributes.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn said(&self, name: &str) -> Option<&'a str> {
        self.chosen(name).or_else(|| self.stored(name))
    }

    /// A key or a policy that has an object saved is not overruled, and the key comes before the uploader.
    fn disposition(&self) -> Option<&'a str> {
        let own = self.permit.disposition.as_ref();
        let chosen = self.chosen("content-disposition");
        match (own, chosen) {
            (Some(own), Some(chosen)) if own.is_attachment() && !is_attachment(chosen) => Some(own.as_str()),
            (Some(own), None) => Some(own.as_str()),
            (_, Some(chosen)) => Some(chosen),
            (None, None) => self.stored("content-disposition"),
        }
    }

    /// A client may keep the answer no longer than the key lives, and not at all where it uses something up. What a
    /// signature covers is answered as signed all the same, but an uploader's own wish can only make it stricter.
    fn cache_control(&self, now: Now) -> String {
        if self.permit.is_counted {
            return "no-store".to_owned();
        }
        let stored = self.stored("cache-control");
        let is_signed = self.stored(SIGNED).is_some_and(|name| name == "cache-control");
        match (self.chosen("cache-control"), stored) {
            (Some(chosen), _) => chosen.to_owned(),
            (None, Some(signed)) if is_signed => signed.to_owned(),
            (None, wish) => cache_control(wish, self.permit, now),
        }
    }
}

fn is_attachment(disposition: &str) -> bool {
    let kind = disposition.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("attachment")
}

/// Whether a browser that opens a document of this type would run what is in it.
fn runs_in_a_browser(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let Some((kind, subtype)) = essence.split_once('/') else { return true };
    match kind {
        "audio" | "video" | "font" => false,
        "image" => subtype.contains("xml"),
        "text" => !matches!(subtype, "plain" | "csv" | "markdown"),
        "application" => !matches!(subtype, "octet-stream" | "pdf" | "json" | "zip" | "gzip"),
        _ => true,
    }
}

/// No longer than the key lives, and what the uploader wishes where that is stricter.
fn cache_control(wish: Option<&str>, permit: &Permit, now: Now) -> String {
    let directives = || wish.iter().flat_map(|value| value.split(',')).map(str::trim);
    let wishes = |name: &str| directives().any(|directive| directive.eq_ignore_ascii_case(name));
    if wishes("no-store") {
        return "no-store".to_owned();
    }
    let life_secs = permit.end.since(now.clock).as_secs();
    let wished_secs = directives().filter_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        name.eq_ignore_ascii_case("max-age").then(|| value.trim_matches('"').parse().unwrap_or(0))
    });
    let age_secs = wished_secs.fold(life_secs, u64::min);
    let no_cache = if wishes("no-cache") { ", no-cache" } else { "" };
    format!("private, max-age={age_secs}{no_cache}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_http_cannot_write_are_the_nearest_that_it_can() {
        let after = |secs| SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
        assert_eq!(http_date(after(0) - Duration::from_secs(1)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(after(253_402_300_799)), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(http_date(after(253_402_300_800)), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(http_date(after(1 << 50)), "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn what_a_browser_would_run_is_saved() {
        for kind in [
            "text/html",
            "TEXT/HTML; charset=utf-8",
            "image/svg+xml",
            "application/xhtml+xml",
            "text/xml",
            "text/javascript",
            "multipart/x-mixed-replace",
            "nonsense",
            "message/rfc822",
            "application/xml",
        ] {
            assert!(runs_in_a_browser(kind), "{kind}");
        }
        for kind in [
            "text/plain",
            "image/png",
            "image/jpeg",
            "application/pdf",
            "application/octet-stream",
            "video/mp4",
            "application/json",
        ] {
            assert!(!runs_in_a_browser(kind), "{kind}");
        }
    }
}
