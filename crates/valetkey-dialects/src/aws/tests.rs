//! Requests as clients send them, and whether their signatures hold.

mod bodies;
mod forms;
mod limits;
mod vectors;

use alloc::borrow::Cow;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use valetkey::{Denial, Grant, ResourcePath, Secret, SignerSecrets, Timestamp};

use super::canonical::{Canonical, header_value};
use super::query::Query;
use super::signature::{CredentialScope, SigningKey};
use super::{Presigning, SignedRequest};
use crate::{RequestHead, Verified, present};

const SECRET: &[u8] = b"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTAxMjM=";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn secrets() -> SignerSecrets {
    SignerSecrets { current: Secret::new(SECRET), previous: None }
}

fn time() -> Timestamp {
    Timestamp::parse("2026-11-22T10:00:00Z").unwrap()
}

/// A request as it is sent.
#[derive(Clone, Debug)]
struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
}

impl Request {
    fn new(method: &str, path: &str, query: &str) -> Self {
        let host = ("host".to_owned(), "files.example.com".to_owned());
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: [host].into(),
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Presigns it, with all the headers that it has so far, for an hour.
    fn presigned(self) -> Self {
        let query = Query::parse(&self.query).unwrap();
        let parameters: Vec<_> = query.0.iter().map(|it| (it.name.as_ref(), it.value.as_ref())).collect();
        let headers: Vec<_> =
            self.headers[1..].iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let presigning = Presigning {
            signer: "web",
            method: &self.method,
            host: "files.example.com",
            raw_path: &self.path,
            region: "eu-central-1",
            time: time(),
            expires: Duration::from_secs(3600),
            parameters: &parameters,
            headers: &headers,
        };
        let query = presigning.query(&Secret::new(SECRET)).unwrap();
        Self { query, ..self }
    }

    /// Signs it in its header, with all the headers that it has so far; `payload` is `x-amz-content-sha256`.
    fn header_signed(self, payload: &str) -> Self {
        self.with("x-amz-date", "20261122T100000Z").header_signed_as_it_is(payload)
    }

    /// As [`Request::header_signed`], with the date that it says already.
    fn header_signed_as_it_is(self, payload: &str) -> Self {
        let request = self.with("x-amz-content-sha256", payload);
        let scope = CredentialScope::new(time(), "eu-central-1");
        let mut headers: Vec<_> =
            request.headers.iter().map(|(name, value)| (name.as_str(), header_value(value))).collect();
        headers.sort();
        let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let query = Query::parse(&request.query).unwrap();
        let canonical = Canonical {
            method: &request.method,
            raw_path: &request.path,
            query: &query,
            headers: &headers,
            payload,
        };
        let text = scope.string_to_sign(&canonical.hash().unwrap());
        let signature = SigningKey::derive(&Secret::new(SECRET), &scope).sign(&text).reveal();
        let value =
            format!("AWS4-HMAC-SHA256 Credential=web/{scope}, SignedHeaders={names}, Signature={signature}");
        request.clone().with("authorization", &value)
    }

    fn check<T>(&self, judge: impl FnOnce(&RequestHead<'_>) -> T) -> T {
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        judge(&RequestHead { method: &self.method, path: &self.path, query: &self.query, headers: &headers })
    }

    fn verify_with(&self, secrets: Option<&SignerSecrets>) -> Result<Verified, Denial> {
        self.check(|head| {
            let path = ResourcePath::from_url(head.path).ok();
            present(head, path.as_ref())?.verify(secrets)
        })
    }

    /// Verifies it where `web` is the one signer.
    fn verify(&self) -> Result<(Grant, SignedRequest), Denial> {
        let verified = self.check(|head| {
            let path = ResourcePath::from_url(head.path).ok();
            let presented = present(head, path.as_ref())?;
            let secrets = (presented.signer() == "web").then(secrets);
            presented.verify(secrets.as_ref())
        })?;
        Ok((verified.grant, *verified.aws.unwrap()))
    }

    fn reason(&self) -> Option<&'static str> {
        self.verify().err().map(|denial| denial.reason())
    }
}

#[test]
fn a_date_may_stand_for_the_one_of_the_family() {
    let signed = |dates: &[(&str, &str)]| {
        let request =
            dates.iter().fold(Request::new("GET", "/files/a", ""), |it, (name, value)| it.with(name, value));
        request.header_signed_as_it_is(EMPTY)
    };
    let (date, other) = ("Sun, 22 Nov 2026 10:00:00 GMT", "Sun, 22 Nov 2026 10:00:01 GMT");
    let ours = ("x-amz-date", "20261122T100000Z");
    let (grant, _) = signed(&[("date", date)]).verify().unwrap();
    assert_eq!(grant.issued(), Some(time()));
    assert_eq!(signed(&[("date", "20261122T100000Z")]).reason(), None);
    // Beside it, the other is a header as others.
    assert_eq!(signed(&[("date", other), ours]).reason(), None);
    assert_eq!(signed(&[("date", other)]).reason(), Some("bad_signature"));
    for dates in
        [&[][..], &[("date", "yesterday")], &[("date", "2026-11-22T10:00:00Z")], &[("x-amz-date", date)]]
    {
        assert_eq!(signed(dates).reason(), Some("malformed_key"), "{dates:?}");
    }
    assert_eq!(signed(&[("date", date), ("date", date)]).reason(), Some("bad_request"));
}

#[test]
fn a_plus_in_the_query_is_a_space() {
    let signed = Request::new("GET", "/files/", "list-type=2&prefix=a%20b%2Bc").presigned();
    assert_eq!(signed.reason(), None);
    let sent = |query: String| Request { query, ..signed.clone() };
    assert_eq!(sent(signed.query.replace("a%20b", "a+b")).reason(), None);
    assert_eq!(sent(signed.query.replace("b%2Bc", "b+c")).reason(), Some("bad_signature"));
}
