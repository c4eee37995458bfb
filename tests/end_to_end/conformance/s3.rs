//! A client of S3's: the calls that native keys have none of.

use valetkey_tests::aws::Aws;
use valetkey_tests::expect::accepted;
use valetkey_tests::http::{Answer, Request};
use valetkey_tests::key::encode;

use super::Place;
use crate::listing::elements;

/// The least that a part may have which is not the last.
pub(super) const PART: usize = 5 << 20;

/// A client of S3's.
pub(super) struct S3<'a> {
    place: &'a Place,
    aws: Aws,
}

impl<'a> S3<'a> {
    pub(super) fn of(place: &'a Place) -> Self {
        Self { place, aws: Aws { host: place.gateway.address().to_string(), ..Aws::default() } }
    }

    pub(super) fn send(&self, request: Request) -> Answer {
        self.place.gateway.send(&self.aws.sign(request))
    }

    pub(super) fn begin(&self, name: &str) -> String {
        let request = Request::new("POST", format!("/files/{name}?uploads="));
        let answer =
            self.send(request.header("Content-Type", "text/plain").header("x-amz-meta-place", "here"));
        accepted(&answer, 200);
        elements(&answer.text(), "UploadId").pop().unwrap()
    }

    /// Asks for a copy of `from`, which is the path of an object, to `to`; `headers` go with it.
    pub(super) fn copy(&self, from: &str, to: &str, headers: &[(&str, &str)]) -> Answer {
        self.copy_part(from, &encode(to, "/"), headers)
    }

    /// The same of a part, where `to` is a target with its parameters.
    pub(super) fn copy_part(&self, from: &str, to: &str, headers: &[(&str, &str)]) -> Answer {
        let request = Request::put(to, "").header("x-amz-copy-source", encode(from, "/"));
        self.send(headers.iter().fold(request, |request, (name, value)| request.header(name, *value)))
    }

    pub(super) fn part(&self, name: &str, id: &str, number: u32, body: &[u8]) -> String {
        let answer =
            self.send(Request::put(format!("/files/{name}?partNumber={number}&uploadId={id}"), body));
        accepted(&answer, 200);
        answer.header("etag").unwrap().to_owned()
    }

    pub(super) fn complete(&self, name: &str, id: &str, parts: &[(u32, String)]) -> Answer {
        let part = |(number, tag): &(u32, String)| {
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>")
        };
        let parts: String = parts.iter().map(part).collect();
        let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        self.send(Request::new("POST", format!("/files/{name}?uploadId={id}")).body(document))
    }
}
