//! Which pages of other origins may read an answer.
//!
//! A browser sends a page's requests anywhere, and reads in the answer whether that page may see it; before
//! a request out of the ordinary it asks by a preflight, which carries no key. So neither says anything about
//! keys, objects or uses: only what the operator wrote about a bucket's origins. It is not a permission
//! either, since only a key opens anything: no cookie or other credential of the browser means anything here,
//! and no answer allows them.
//!
//! [Fetch, section 3.3](https://fetch.spec.whatwg.org/#http-cors-protocol).

use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Response};
use valetkey::{decode_component, decode_query_component};
use valetkey_dialects::{RequestHead, is_header_taken};

use crate::settings::{Cors, Settings};
use crate::transfer::body::Body;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, PUT, POST, PATCH, DELETE");

/// What a page may read beside the few headers that it always may. The names are for browsers that do not
/// know the star yet; it stands for all others, an object's `x-amz-meta-` headers among them.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "ETag, Content-Range, Content-Disposition, Accept-Ranges, Location, Retry-After, x-request-id, \
     x-valetkey-reason, x-valetkey-left, Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm, \
     Upload-Offset, Upload-Length, Upload-Metadata, Upload-Defer-Length, Upload-Concat, Upload-Expires, \
     Upload-Complete, Upload-Limit, *",
);

const VARY: HeaderValue = HeaderValue::from_static("Origin");
const PREFLIGHT_VARY: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");

/// Asked where a page of the internet reaches for a private address.
/// [Private network access](https://wicg.github.io/private-network-access/#headers).
const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// Says on an answer which pages may read it, and on that to a preflight what they may ask.
///
/// To an origin that may not, the answer to a preflight is the same whether there is such a bucket or not.
pub(crate) fn shared(
    settings: &Settings,
    parts: &Parts,
    head: &RequestHead<'_>,
    mut answer: Response<Body>,
) -> Response<Body> {
    let is_preflight = parts.method == Method::OPTIONS;
    let origin = origin(&parts.headers);
    let cors = match parts.uri.path().strip_prefix("/-/") {
        // A preflight does not tell the key, hence not the bucket.
        Some(_) if is_preflight => {
            let mut all = settings.buckets.values().filter_map(|bucket| bucket.cors.as_ref());
            all.find(|cors| origin.is_some_and(|origin| cors.allow(origin).is_some()))
        }
        Some(_) => of_key(settings, parts),
        None => {
            let resource = settings.server.virtual_hosts.resource(head.host(), head.path);
            resource.ok().and_then(|path| of_path(settings, &path))
        }
    };
    let headers = answer.headers_mut();
    if is_preflight {
        headers.append(header::VARY, PREFLIGHT_VARY);
    } else if cors.is_some() {
        headers.append(header::VARY, VARY);
    }
    let allowed = cors.zip(origin).and_then(|(cors, origin)| Some((cors, cors.allow(origin)?)));
    let Some((cors, origin)) = allowed else { return answer };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if is_preflight {
        allow_request(headers, &parts.headers, cors);
    }
    answer
}

/// Allows, of what a preflight asks, all that could be part of a request that a key opens.
fn allow_request(answer: &mut HeaderMap, asked: &HeaderMap, cors: &Cors) {
    answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(cors.max_age.as_secs()));
    let names = asked.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let names = names.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let taken: Vec<HeaderName> = names
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| is_header_taken(name.as_str()))
        .collect();
    let taken: Vec<&str> = taken.iter().map(HeaderName::as_str).collect();
    if let Ok(value) = HeaderValue::from_str(&taken.join(", "))
        && !value.is_empty()
    {
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, value);
    }
    if asked.get(REQUEST_PRIVATE_NETWORK).is_some_and(|asked| asked == "true") {
        answer.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    }
}

/// The origin of the page that asks; `None` where there is none, or two.
fn origin(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    origins.next().filter(|_| origins.next().is_none())
}

/// The rules of the bucket in the path of a URL, whether or not the rest of it is sound.
fn of_path<'a>(settings: &'a Settings, path: &str) -> Option<&'a Cors> {
    let first = path.match_indices('/').nth(1).map_or(path, |(end, _)| &path[..end]);
    of_bucket(settings, &decode_component(first)?)
}

/// The rules of the bucket that the key of a request to our own space is about.
fn of_key<'a>(settings: &'a Settings, parts: &Parts) -> Option<&'a Cors> {
    let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let header = header.and_then(|value| value.split_once(' ')).map(|(_, key)| key);
    let mut pairs = [parts.uri.query(), header].into_iter().flatten().flat_map(|key| key.split('&'));
    let path = pairs.find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (decode_query_component(name)? == "vk-path").then(|| decode_query_component(value))?
    })?;
    of_bucket(settings, &path)
}

/// The rules of the first segment of a decoded path.
fn of_bucket<'a>(settings: &'a Settings, path: &str) -> Option<&'a Cors> {
    let bucket = path.strip_prefix('/')?.split('/').next()?;
    settings.buckets.get(bucket)?.cors.as_ref()
}
