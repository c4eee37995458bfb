//! What must hold of any request before anything in it is believed.

use http::request::Parts;
use http::uri::Authority;
use http::{Method, Version};
use valetkey::Denial;
use valetkey_dialects::RequestHead;

use crate::serve::framing::DoubtfulFraming;

/// The headers of a request, repeated ones apart. HTTP/2 says the host in the request target, and clients sign it
/// as the header that it stands for.
pub(crate) fn headers(parts: &Parts) -> Vec<(&str, &[u8])> {
    let mut headers: Vec<(&str, &[u8])> =
        parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    if parts.version == Version::HTTP_2
        && !parts.headers.contains_key(http::header::HOST)
        && let Some(authority) = parts.uri.authority()
    {
        headers.push(("host", authority.as_str().as_bytes()));
    }
    headers
}

/// Refuses what two parties could read in two ways: a body with two lengths, a request for two hosts.
///
/// # Errors
/// [`Denial::BadRequest`].
pub(crate) fn check(parts: &Parts, head: &RequestHead<'_>) -> Result<(), Denial> {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::DELETE,
        Method::POST,
        Method::PATCH,
        Method::OPTIONS,
    ];
    if !known.contains(&parts.method) {
        return Err(bad("the method is none of GET HEAD PUT DELETE POST PATCH OPTIONS"));
    }
    if is_doubtful(parts) {
        return Err(bad("the body has two lengths: send Content-Length or one Transfer-Encoding"));
    }
    let count = |name| head.values(name).count();
    if count("transfer-encoding") > 0 && (count("content-length") > 0 || count("transfer-encoding") > 1) {
        return Err(bad("the body has two lengths: send Content-Length or one Transfer-Encoding"));
    }
    if count("content-length") > 1 {
        return Err(bad("Content-Length is given twice"));
    }
    if head.values("transfer-encoding").any(|coding| !coding.eq_ignore_ascii_case(b"chunked")) {
        return Err(bad("the only transfer coding is chunked"));
    }
    let mut hosts = head.values("host");
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(bad("Host is given twice"));
    }
    if host.is_none() && parts.version == Version::HTTP_11 {
        return Err(bad("Host is missing"));
    }
    if let Some(host) = host
        && Authority::try_from(host).is_err()
    {
        return Err(bad("Host is no host and port"));
    }
    if let (Some(host), Some(authority)) = (host, parts.uri.authority())
        && !host.eq_ignore_ascii_case(authority.as_str().as_bytes())
    {
        return Err(bad("Host differs from the host of the request target"));
    }
    Ok(())
}

/// Whether the request was found to have a body whose end is in doubt, however it reads by now.
pub(crate) fn is_doubtful(parts: &Parts) -> bool {
    parts.extensions.get::<DoubtfulFraming>().is_some()
}

/// Refuses what is asked of the gateway's own space beside its health and what [`crate::holder`] answers.
///
/// # Errors
/// [`Denial::CallNotSupported`] for what a later version offers, else [`Denial::NotFound`].
pub(crate) fn check_own_space(path: &str) -> Result<(), Denial> {
    match path.strip_prefix("/-").filter(|rest| rest.is_empty() || rest.starts_with('/')) {
        None => Ok(()),
        Some(own) if own.starts_with("/uploads/") => Err(Denial::CallNotSupported("a resumable upload")),
        Some(_) => Err(Denial::NotFound),
    }
}

fn bad(text: &str) -> Denial {
    Denial::BadRequest(text.to_owned())
}
