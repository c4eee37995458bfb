//! The store's own uploads in parts.
//!
//! Its parts are none of the bucket's objects, and nothing of them shows before they are made one. An upload that is
//! given up is aborted; of one that a crash left the store keeps the parts until its own rules remove them (Azure
//! after a week, S3 and Google where the bucket has a rule for it).

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::ETAG;
use http::{HeaderMap, Method};
use object_store::PutMultipartOptions;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::publish::Expects;
use super::streamed::Streamed;
use super::write::{Finished, Rest, Target};
use super::{Kind, Remote, Service, answer, attributes, error};
use crate::backend::{Attributes, StoreError};
use crate::transfer::body::as_u64;

/// What is tried, in the words of an error.
const COMPLETE: &str = "complete an upload in parts";

/// The store's upload in parts behind an upload session, in the words in which the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoreUpload {
    /// The store's name of it.
    id: String,
    /// The random name by which its object is known again.
    upload: String,
}

/// A part of a session, on its way to the store. Dropped, it leaves nothing behind.
pub(crate) struct PartWriting {
    remote: Remote,
    streamed: Streamed,
    id: String,
    part: PartName,
    size_bytes: u64,
    hasher: blake3::Hasher,
}

impl StoreUpload {
    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

impl Remote {
    /// Begins the store's upload in parts for a session.
    ///
    /// # Errors
    /// [`StoreError::BadName`], [`StoreError::BadAttribute`], [`StoreError::Io`].
    pub(crate) async fn begin_session(
        &self,
        name: &str,
        attributes: Attributes,
    ) -> Result<StoreUpload, StoreError> {
        let to = self.target(name, attributes)?;
        let mut own = OwnUpload::begin(&to).await?;
        let id = own.id.take().unwrap_or_default();
        Ok(StoreUpload { id, upload: to.upload })
    }

    /// Begins a part of a session, whose length is known.
    ///
    /// # Errors
    /// [`StoreError::BadName`].
    pub(crate) fn begin_part(
        &self,
        name: &str,
        upload: &StoreUpload,
        part: PartName,
        bytes: u64,
    ) -> Result<PartWriting, StoreError> {
        let streamed = Streamed::part(self, &self.path(name)?, &upload.id, part, bytes);
        let (remote, id) = (self.clone(), upload.id.clone());
        Ok(PartWriting { remote, streamed, id, part, size_bytes: 0, hasher: blake3::Hasher::new() })
    }

    /// What the parts of a session become, by the store's names of them. Dropped, it leaves the session as it is.
    ///
    /// # Errors
    /// [`StoreError::BadName`].
    pub(crate) fn assemble(
        &self,
        name: &str,
        upload: &StoreUpload,
        tags: Vec<(u32, String)>,
        (size_bytes, digest): (u64, Option<[u8; 32]>),
        attributes: Attributes,
    ) -> Result<Finished, StoreError> {
        let (path, id) = (self.path(name)?, upload.id.clone());
        let to = Target { remote: self.clone(), path, attributes, upload: upload.upload.clone() };
        let completion = Completion { own: None, id, tags };
        Ok(Finished { to, size_bytes, digest, rest: Rest::Completion(completion) })
    }

    /// Gives a session's upload up.
    pub(crate) async fn abort_session(&self, name: &str, upload: &StoreUpload) {
        if let Ok(path) = self.path(name) {
            abort(&self.service, &path, upload.id.clone()).await;
        }
    }
}

impl PartWriting {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(crate) async fn push(&mut self, piece: Bytes) -> Result<(), StoreError> {
        self.hasher.update(&piece);
        self.size_bytes += as_u64(piece.len());
        self.streamed.push(piece, &self.remote.service).await
    }

    /// The BLAKE3 of what was taken.
    pub(crate) fn digest(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }

    /// How much was taken, in bytes.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Has the store keep the part, and returns its name there.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(crate) async fn keep(self) -> Result<String, StoreError> {
        self.streamed.commit_part(&self.remote.service, &self.id, self.part).await
    }
}

/// How long the store's name of an upload may be, in bytes: it goes back in URLs.
const ID_BYTES_MAX: usize = 4 << 10;

/// How long an entity tag may be, in bytes: that of each part is kept.
const TAG_BYTES_MAX: usize = 1 << 10;

/// The store's name of an upload in parts that ends with what it is for; aborted when it is dropped.
#[derive(Debug)]
pub(super) struct OwnUpload {
    service: Arc<Service>,
    path: Path,
    id: Option<String>,
}

impl OwnUpload {
    pub(super) async fn begin(to: &Target) -> Result<Self, StoreError> {
        let service = Arc::clone(&to.remote.service);
        let id = match service.kind {
            // It has no uploads, only blocks that belong to nothing yet: this name keeps them apart.
            Kind::Azure => to.upload.clone(),
            Kind::S3 | Kind::Gcs => {
                let attributes = to.stored(None)?;
                let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
                let begun = service.parts.create_multipart_opts(&to.path, options).await;
                let id = begun.map_err(|error| error::sorted("begin an upload in parts", &error))?;
                if id.len() > ID_BYTES_MAX {
                    let source = std::io::Error::other("the store's name of the upload is too long");
                    return Err(StoreError::Io { attempt: "begin an upload in parts", source });
                }
                id
            }
        };
        Ok(Self { service, path: to.path.clone(), id: Some(id) })
    }

    pub(super) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }
}

impl Drop for OwnUpload {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        let (service, path) = (Arc::clone(&self.service), self.path.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { abort(&service, &path, id).await });
        }
    }
}

async fn abort(service: &Service, path: &Path, id: String) {
    if let Err(error) = service.parts.abort_multipart(path, &id).await {
        tracing::warn!(error = %error::told(&error), "the parts of an upload cannot be removed");
    }
}

/// All parts are there, and are to become one object.
#[derive(Debug)]
pub(super) struct Completion {
    /// `None` where the upload is a session's, which outlives a completion that fails.
    own: Option<OwnUpload>,
    id: String,
    /// The number of each part, and the store's name of it.
    tags: Vec<(u32, String)>,
}

impl Completion {
    pub(super) fn of(own: OwnUpload, tags: Vec<String>) -> Self {
        Self { id: own.id().to_owned(), own: Some(own), tags: (1..).zip(tags).collect() }
    }

    /// Makes the parts one object, and returns the store's entity tag.
    ///
    /// # Errors
    /// With nothing changed: [`StoreError::AlreadyExists`], [`StoreError::Io`] for an answer that refuses. With no
    /// promise either way: [`StoreError::Unsettled`].
    pub(super) async fn commit(
        self,
        to: &Target,
        expects: &Expects,
        digest: Option<[u8; 32]>,
    ) -> Result<Option<String>, StoreError> {
        let tag = match to.service().kind {
            Kind::Azure => commit_blocks(to, &self.tags, expects, digest).await?,
            Kind::S3 | Kind::Gcs => complete(to, &self.id, &self.tags, expects).await?,
        };
        if let Some(mut own) = self.own {
            own.id = None;
        }
        Ok(tag)
    }
}

/// [CompleteMultipartUpload](https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html), which
/// Google has too. Ours and not `object_store`'s, which counts the parts instead of asking for their numbers.
///
/// The answer's entity tag is left to a look at what stands there then.
async fn complete(
    to: &Target,
    id: &str,
    tags: &[(u32, String)],
    expects: &Expects,
) -> Result<Option<String>, StoreError> {
    let mut list = String::from("<CompleteMultipartUpload>");
    for (number, tag) in tags {
        let tag = tag.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        // Writing to a string does not fail.
        let _ = write!(list, "<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>");
    }
    list.push_str("</CompleteMultipartUpload>");
    let service = to.service();
    let query = [("uploadId", id.to_owned())];
    let headers = expects.header(service.kind)?.into_iter().collect();
    let request = service.request(Method::POST, &to.path, &query, headers, list.into()).await?;
    let root = "<CompleteMultipartUploadResult";
    answer::document(service, COMPLETE, service.stall, root, request.send(COMPLETE)).await.map(|_| None)
}

/// [Put Block List](https://learn.microsoft.com/rest/api/storageservices/put-block-list).
async fn commit_blocks(
    to: &Target,
    tags: &[(u32, String)],
    expects: &Expects,
    digest: Option<[u8; 32]>,
) -> Result<Option<String>, StoreError> {
    let mut list = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
    for (_, tag) in tags {
        // Writing to a string does not fail.
        let _ = write!(list, "<Uncommitted>{}</Uncommitted>", STANDARD.encode(tag));
    }
    list.push_str("</BlockList>");
    let mut headers = attributes::headers(Kind::Azure, &to.stored(digest)?)?;
    headers.extend(expects.header(Kind::Azure)?);
    let (service, query) = (to.service(), [("comp", "blocklist".to_owned())]);
    let request = service.request(Method::PUT, &to.path, &query, headers, list.into()).await?;
    let answer = answer::to_change(COMPLETE, service.stall, request.send(COMPLETE)).await?;
    Ok(tag_of(answer.response.headers()))
}

/// The entity tag in an answer.
pub(super) fn tag_of(headers: &HeaderMap) -> Option<String> {
    let tag = headers.get(ETAG).and_then(|tag| tag.to_str().ok());
    tag.filter(|tag| tag.len() <= TAG_BYTES_MAX).map(str::to_owned)
}

/// What tells a part from all others of its upload, those of its own number too: Azure asks nobody which of several
/// blocks of one name was meant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PartName {
    pub(crate) number: u32,
    /// No other part of the upload ever has it.
    pub(crate) attempt: u64,
}

/// What a request says of the part that it brings.
pub(super) fn query_of_part(kind: Kind, id: &str, part: PartName) -> Vec<(&'static str, String)> {
    match kind {
        Kind::Azure => vec![("comp", "block".to_owned()), ("blockid", STANDARD.encode(block(id, part)))],
        Kind::S3 | Kind::Gcs => {
            vec![("partNumber", part.number.to_string()), ("uploadId", id.to_owned())]
        }
    }
}

/// What the store knows a part by when the parts are made one.
pub(super) fn name_of_part(
    kind: Kind,
    id: &str,
    part: PartName,
    tag: Option<String>,
) -> Result<String, StoreError> {
    match kind {
        Kind::Azure => Ok(block(id, part)),
        Kind::S3 | Kind::Gcs => tag.ok_or_else(|| error::status("send a part without an entity tag", 200)),
    }
}

/// The name of a block: as long as all others of its object, which Azure asks for.
fn block(id: &str, PartName { number, attempt }: PartName) -> String {
    format!("{id}-{number:05}-{attempt:020}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_a_name_of_its_own_as_long_as_all_others() {
        let name = |number, attempt| block("0123", PartName { number, attempt });
        assert_ne!(name(1, 0), name(1, 1));
        assert_ne!(name(1, 11), name(11, 1));
        assert_eq!(name(1, 0).len(), name(10_000, u64::MAX).len());
    }
}
