//! A signer of AWS requests for tests, written from AWS's pages alone: it says exactly what it is told to.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::http::Request;
use crate::key::{WEB_SECRET, encode, time_text, unix_now};

/// The word for a body whose hash is not signed.
pub const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// Who signs, and when.
#[derive(Clone, Debug)]
pub struct Aws {
    /// The access key id.
    pub signer: String,
    /// The secret access key.
    pub secret: String,
    /// The host that requests are sent to.
    pub host: String,
    /// When it is signed, in seconds since the Unix epoch.
    pub time: i64,
    /// The region; any is taken.
    pub region: String,
}

impl Default for Aws {
    fn default() -> Self {
        Self {
            signer: "web".to_owned(),
            secret: WEB_SECRET.to_owned(),
            host: "localhost".to_owned(),
            time: unix_now(),
            region: "us-east-1".to_owned(),
        }
    }
}

impl Aws {
    /// The date as AWS writes it.
    pub fn date(&self) -> String {
        time_text(self.time).replace(['-', ':'], "")
    }

    fn scope(&self) -> String {
        format!("{}/{}/s3/aws4_request", &self.date()[..8], self.region)
    }

    /// The target of a presigned request for an hour: `path` percent-encoded, `parameters` and `headers` signed too.
    pub fn presigned(
        &self,
        method: &str,
        path: &str,
        parameters: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> String {
        let mut headers: Vec<_> = headers.to_vec();
        headers.push(("host", &self.host));
        headers.sort_unstable();
        let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        let mut query = vec![
            ("X-Amz-Algorithm".to_owned(), "AWS4-HMAC-SHA256".to_owned()),
            ("X-Amz-Credential".to_owned(), format!("{}/{}", self.signer, self.scope())),
            ("X-Amz-Date".to_owned(), self.date()),
            ("X-Amz-Expires".to_owned(), "3600".to_owned()),
            ("X-Amz-SignedHeaders".to_owned(), names.join(";")),
        ];
        query.extend(parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let query = canonical_query(&query);
        let signature = self.signature(&self.text(method, path, &query, &headers, UNSIGNED));
        format!("{path}?{query}&X-Amz-Signature={signature}")
    }

    /// Signs `request` in its header, with all its headers that mean something to S3, and returns the signature too.
    pub fn signed(&self, request: Request, payload: &str) -> (Request, String) {
        let request = request.header("x-amz-date", self.date()).header("x-amz-content-sha256", payload);
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let pairs: Vec<_> = query.split('&').filter(|pair| !pair.is_empty()).collect();
        let pairs: Vec<_> = pairs
            .iter()
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut sorted = pairs.clone();
        sorted.sort();
        let mut headers: Vec<(String, String)> = request
            .headers
            .iter()
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        headers.push(("host".to_owned(), self.host.clone()));
        headers.sort();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let signature =
            self.signature(&self.text(&request.method, path, &sorted.join("&"), &headers, payload));
        let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={signature}",
            self.signer,
            self.scope(),
            names.join(";")
        );
        let host = self.host.clone();
        (request.header("Authorization", authorization).header("Host", host), signature)
    }

    /// The fields of a form that carry this policy, signed.
    pub fn form(&self, policy: &str) -> Vec<(String, String)> {
        let policy = STANDARD.encode(policy);
        let signature = self.signature(&policy);
        [
            ("x-amz-algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("x-amz-credential", format!("{}/{}", self.signer, self.scope())),
            ("x-amz-date", self.date()),
            ("policy", policy),
            ("x-amz-signature", signature),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Signs `request` with the hash of its own body.
    pub fn sign(&self, request: Request) -> Request {
        let payload = sha256(request.body.as_deref().unwrap_or_default());
        self.signed(request, &payload).0
    }

    /// The body of signed chunks that follow a request with this signature.
    pub fn chunks(&self, seed: &str, pieces: &[&[u8]]) -> Vec<u8> {
        let (mut previous, mut body) = (seed.to_owned(), Vec::new());
        for piece in pieces.iter().copied().chain([b"".as_slice()]) {
            let text = format!(
                "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{previous}\n{}\n{}",
                self.date(),
                self.scope(),
                sha256(b""),
                sha256(piece)
            );
            previous = self.signature(&text);
            body.extend(format!("{:x};chunk-signature={previous}\r\n", piece.len()).bytes());
            body.extend_from_slice(piece);
            body.extend_from_slice(b"\r\n");
        }
        body
    }

    fn text(&self, method: &str, path: &str, query: &str, headers: &[(&str, &str)], payload: &str) -> String {
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{}\n{payload}", names.join(";"));
        format!("AWS4-HMAC-SHA256\n{}\n{}\n{}", self.date(), self.scope(), sha256(canonical.as_bytes()))
    }

    fn signature(&self, text: &str) -> String {
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in [&self.date()[..8], &self.region, "s3", "aws4_request"] {
            key = hmac(&key, part);
        }
        hex(&hmac(&key, text))
    }
}

/// A body in unsigned chunks with a trailer.
pub fn unsigned_chunks(pieces: &[&[u8]], trailer: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for piece in pieces {
        body.extend(format!("{:x}\r\n", piece.len()).bytes());
        body.extend_from_slice(piece);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n");
    for (name, value) in trailer {
        body.extend(format!("{name}:{value}\r\n").bytes());
    }
    body.extend_from_slice(b"\r\n");
    body
}

/// SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn canonical_query(parameters: &[(String, String)]) -> String {
    let mut pairs: Vec<_> = parameters
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name, ""), encode(value, "")))
        .collect();
    pairs.sort();
    pairs.join("&")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The presigned GET on Amazon's page about query parameters.
    #[test]
    fn the_published_url_is_signed() {
        let aws = Aws {
            signer: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            host: "examplebucket.s3.amazonaws.com".to_owned(),
            time: 1_369_353_600,
            region: "us-east-1".to_owned(),
        };
        let text = "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n\
                    3bfa292879f6447bbcda7001decf97f4a54dc650c8942174ae0a9121cf58ad04";
        let expected = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert_eq!(aws.signature(text), expected);
    }
}
