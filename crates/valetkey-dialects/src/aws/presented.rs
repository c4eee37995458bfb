//! An AWS request: sound in form, then with a signature that holds.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use valetkey::{Denial, Dialect, Fingerprint, Foreign, ForeignClaims, Grant, ResourcePath, SignerSecrets};
use valetkey::{Scopes, Validity, Verbs};

use super::canonical::Canonical;
use super::chunked::ChunkSigner;
use super::credential::{Credential, Way};
use super::grant::{Asked, permitted};
use super::headers::{self, SignedValue};
use super::payload::{Payload, payload};
use super::query::Query;
use super::signature;
use crate::head::RequestHead;
use crate::integrity::{Checksum, ChecksumAlgorithm};
use crate::upload_headers::{Cover, UploadHeaders};

/// An AWS request whose credential is sound in form and that nobody has vouched for yet.
#[derive(Debug)]
pub struct Presented {
    credential: Credential,
    string_to_sign: String,
    permitted: (Verbs, Scopes, Validity),
    limits: ForeignClaims,
    request: SignedRequest,
    /// What it asks for that is not done here; told only once its signature held.
    beyond: Option<Denial>,
}

/// What the signature of a request covers, besides what it permits.
#[derive(Debug)]
pub struct SignedRequest {
    /// What it says of its body.
    pub payload: Payload,
    /// What the answer to a download is to say: names of headers in lower case, and values. The key of a counted
    /// download has them too; whether they are obeyed is the answer's matter.
    pub overrides: Vec<(&'static str, String)>,
    signed_headers: Vec<String>,
    values: Vec<SignedValue>,
    is_header_signed: bool,
    chunk_signer: Option<ChunkSigner>,
}

/// Reads the credential in the query of a request. `path` is the request's own, `None` for `/`.
pub(crate) fn in_query(head: &RequestHead<'_>, path: Option<&ResourcePath>) -> Result<Presented, Denial> {
    let query = Query::parse(head.query)?;
    let credential = Credential::of_query(&query)?;
    Presented::read(head, &query, credential, path)
}

/// Reads the credential in the `Authorization` header of a request, which begins with `algorithm`.
pub(crate) fn in_header(
    algorithm: &str,
    rest: &str,
    head: &RequestHead<'_>,
    path: Option<&ResourcePath>,
) -> Result<Presented, Denial> {
    let query = Query::parse(head.query)?;
    let credential = Credential::of_header(algorithm, rest, head)?;
    Presented::read(head, &query, credential, path)
}

impl Presented {
    fn read(
        head: &RequestHead<'_>,
        query: &Query<'_>,
        credential: Credential,
        path: Option<&ResourcePath>,
    ) -> Result<Self, Denial> {
        let signed_headers = credential.signed_headers.clone();
        let covered = headers::covered(head, &signed_headers)?;
        headers::check_unsigned(head, &signed_headers, credential.way)?;
        let is_signed = |name: &str| signed_headers.iter().any(|signed| signed == name);
        let (payload, payload_text) =
            payload(head, query, credential.way, is_signed("x-amz-content-sha256"))?;
        let canonical = Canonical {
            method: head.method,
            raw_path: head.path,
            query,
            headers: &covered,
            payload: &payload_text,
        };
        let hash = canonical.hash().ok_or_else(|| {
            Denial::BadRequest("the path has a broken percent escape or is not UTF-8".to_owned())
        })?;
        let only_creates = covered.iter().any(|(name, value)| *name == "if-none-match" && value == "*");
        let asked = Asked { method: head.method, path, query, only_creates };
        let limits = headers::limits(query, head)?;
        let values = headers::signed_values(query, &covered)?;
        let beyond = headers::check_understood(&values, query, &signed_headers);
        Ok(Self {
            string_to_sign: credential.scope.string_to_sign(&hash),
            permitted: permitted(&credential, &asked),
            limits,
            request: SignedRequest {
                payload,
                overrides: headers::overrides(query)?,
                values,
                is_header_signed: credential.way == Way::Header,
                chunk_signer: None,
                signed_headers,
            },
            beyond,
            credential,
        })
    }

    /// The signer that the credential names.
    pub fn signer(&self) -> &str {
        &self.credential.signer
    }

    /// Checks the signature under the secrets of the signer that the credential names, `None` where there is no
    /// such signer.
    ///
    /// # Errors
    /// [`Denial::BadSignature`], alike for a wrong signature and an unknown signer; after that
    /// [`Denial::CallNotSupported`] where it is signed for more than is done here.
    pub fn verify(self, secrets: Option<&SignerSecrets>) -> Result<(Grant, SignedRequest), Denial> {
        let Self { credential, string_to_sign, permitted, limits, mut request, beyond } = self;
        let signature = credential.signature.as_ref();
        let key = signature::verify(secrets, &credential.scope, &string_to_sign, signature)?;
        if let Some(beyond) = beyond {
            return Err(beyond);
        }
        if let Some(signature) = credential.signature
            && matches!(&request.payload, Payload::Chunked(framing) if framing.is_signed)
        {
            request.chunk_signer = Some(ChunkSigner::new(key, credential.scope, signature));
        }
        let (allow, scopes, validity) = permitted;
        let fingerprint = Fingerprint::of_signed_text(&credential.signer, Dialect::Aws, &string_to_sign);
        let foreign = Foreign {
            dialect: Dialect::Aws,
            signer: credential.signer,
            allow,
            scopes,
            validity,
            fingerprint,
            claims: limits,
        };
        Ok((Grant::from(foreign), request))
    }

    #[cfg(test)]
    pub(super) fn string_to_sign(&self) -> &str {
        &self.string_to_sign
    }
}

impl SignedRequest {
    /// Whether the request itself was signed, by its signer, and not a URL for whoever has it.
    pub fn is_header_signed(&self) -> bool {
        self.is_header_signed
    }

    /// The signed value of the header `name` of the family `x-amz-`, in lower case; it may stand in the query.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|value| value.name == name).map(|value| value.value.as_str())
    }

    /// What signs the chunks of the body, where they are signed.
    pub fn chunk_signer(&self) -> Option<ChunkSigner> {
        self.chunk_signer.clone()
    }

    /// The headers of an upload that are kept with the object, from the head that was signed.
    ///
    /// # Errors
    /// As [`UploadHeaders::of`].
    pub fn upload_headers(&self, head: &RequestHead<'_>) -> Result<UploadHeaders, Denial> {
        let is_chunked = matches!(self.payload, Payload::Chunked(_));
        let cover = if self.is_header_signed { Cover::All } else { Cover::Only(&self.signed_headers) };
        let metadata = self.values.iter().filter(|value| value.is_in_query);
        let metadata: Vec<_> = metadata.map(|value| (value.name.as_str(), value.value.as_bytes())).collect();
        UploadHeaders::read(head.headers.iter().chain(&metadata), cover, is_chunked)
    }

    /// What an upload must hash to by what its head says; the trailer's checksums come with the body.
    ///
    /// # Errors
    /// As [`checksums`](crate::checksums).
    pub fn checksums(&self, head: &RequestHead<'_>) -> Result<Vec<Checksum>, Denial> {
        let mut all = crate::integrity::read(head, false)?;
        if let Payload::Hash(hash) = self.payload {
            all.push(Checksum {
                algorithm: ChecksumAlgorithm::Sha256,
                value: hash.to_vec(),
                by_s3_header: false,
            });
        }
        for SignedValue { name, value, .. } in self.values.iter().filter(|value| value.is_in_query) {
            let Some(checksum) = Checksum::of_s3(name, value)? else { continue };
            // SDKs put it there when they sign, before there is a body.
            if checksum.algorithm.of_nothing() != Some(checksum.value.as_slice()) {
                all.push(checksum);
            }
        }
        Ok(all)
    }
}
