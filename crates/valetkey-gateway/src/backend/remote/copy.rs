//! Copies within one store, by its own calls: none of their bytes pass here.
//!
//! They are S3's [CopyObject](https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html) and
//! [UploadPartCopy](https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html), and Azure's
//! [Put Block From URL](https://learn.microsoft.com/rest/api/storageservices/put-block-from-url), under the condition
//! that the source is still the version that was looked at. What is kept with the copy is said anew, so that it is this
//! upload's: that Azure's `Copy Blob` cannot say another content type is why it is not used. Google is asked for none,
//! for its emulator does not know the call.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use object_store::path::Path;
use object_store::signer::SignedUrlOptions;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::parts::{self, Completion, OwnUpload, PartName, StoreUpload};
use super::publish::Expects;
use super::write::{Finished, Rest, Target};
use super::{Kind, Object, Remote, Service, answer, attributes};
use crate::backend::{Attributes, StoreError};

/// Up to how much is copied by the one request that makes it appear, in bytes. Changes under the same name, and
/// revocations, wait for that request; what is larger is copied in parts before.
const SINGLE_BYTES_MAX: u64 = 64 << 20;

/// How much the stores copy in one request, in bytes; Azure's limit is the least of them.
const REQUEST_BYTES_MAX: u64 = 4000 << 20;

/// How many parts an object may have.
const PARTS_MAX: u64 = 10_000;

/// How much a store copies in a second at the least, in bytes: so much longer it is waited for.
const PACE_BYTES: u64 = 4 << 20;

/// How long Azure may read the source of a copy: longer than any copy is waited for.
const READ_LIFETIME: Duration = Duration::from_secs(3600);

/// What is tried, in the words of an error.
const ATTEMPT: &str = "copy an object";

/// What stands in a URL as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

impl Remote {
    /// Whether the store can make a copy of an object here by itself, as whoever looks at it expects.
    pub(crate) fn copies(&self, from: &Object) -> bool {
        // A copy that is made in parts has another entity tag than its MD5.
        let has_md5 = || !self.etag(from.version.as_deref(), from.size_bytes).contains('-');
        // Azure makes nothing of no parts.
        let has_parts = self.service.kind == Kind::S3 || from.size_bytes > 0;
        self.has(from) && has_parts && (!self.tells_md5 || (from.size_bytes <= SINGLE_BYTES_MAX && has_md5()))
    }

    /// Whether the store can make a part of so many bytes of an object by itself.
    pub(crate) fn copies_part(&self, from: &Object, bytes: u64) -> bool {
        self.has(from) && (1..=REQUEST_BYTES_MAX).contains(&bytes)
    }

    fn has(&self, from: &Object) -> bool {
        let is_one = Arc::ptr_eq(&self.service, &from.remote.service);
        is_one && self.service.kind != Kind::Gcs && from.version.is_some()
    }

    /// Prepares a copy of an object, whose BLAKE3 may be known. Nothing shows yet.
    ///
    /// # Errors
    /// [`StoreError::BadName`], [`StoreError::BadAttribute`], [`StoreError::Io`], also where the object was replaced
    /// meanwhile.
    pub(crate) async fn copy(
        &self,
        name: &str,
        from: Object,
        digest: Option<[u8; 32]>,
        attributes: Attributes,
    ) -> Result<Finished, StoreError> {
        let (to, size_bytes) = (self.target(name, attributes)?, from.size_bytes);
        let rest = match size_bytes {
            0..=SINGLE_BYTES_MAX if self.service.kind == Kind::S3 => Rest::Copy(from),
            _ => Rest::Completion(in_parts(&to, &from).await?),
        };
        Ok(Finished { to, size_bytes, digest, rest })
    }

    /// Makes a part of a session of bytes of an object, and returns the store's name of it.
    ///
    /// # Errors
    /// [`StoreError::BadName`], [`StoreError::Io`], also where the object was replaced meanwhile.
    pub(crate) async fn copy_part(
        &self,
        name: &str,
        upload: &StoreUpload,
        part: PartName,
        from: &Object,
        (offset, bytes): (u64, u64),
    ) -> Result<String, StoreError> {
        copy_part(&self.service, &self.path(name)?, upload.id(), part, from, (offset, bytes)).await
    }
}

/// Makes the copy appear; what it has for an entity tag is left to a look.
///
/// # Errors
/// With nothing changed: [`StoreError::AlreadyExists`] of a create, [`StoreError::Io`], also where the source was
/// replaced meanwhile. With no promise either way: [`StoreError::Unsettled`].
pub(super) async fn commit(
    to: &Target,
    from: &Object,
    expects: &Expects,
    digest: Option<[u8; 32]>,
) -> Result<Option<String>, StoreError> {
    let service = to.service();
    let mut headers = attributes::headers(service.kind, &to.stored(digest)?)?;
    let patience = patience(service, from.size_bytes);
    headers.extend(source(service, from, None).await?);
    let directive = HeaderName::from_static("x-amz-metadata-directive");
    headers.insert(directive, HeaderValue::from_static("REPLACE"));
    headers.extend(expects.header(service.kind)?);
    let request = service.request(Method::PUT, &to.path, &[], headers, reqwest::Body::default()).await?;
    let asked = request.send(ATTEMPT);
    match answer::document(service, ATTEMPT, patience, "<CopyObjectResult", asked).await {
        Ok(_) => Ok(None),
        // Which of the two conditions did not hold, it does not say.
        Err(StoreError::AlreadyExists) if *expects == Expects::Anything || from.is_replaced().await? => {
            Err(replaced())
        }
        Err(error) => Err(error),
    }
}

/// Copies an object as the parts of another.
async fn in_parts(to: &Target, from: &Object) -> Result<Completion, StoreError> {
    let upload = OwnUpload::begin(to).await?;
    let part_bytes = SINGLE_BYTES_MAX.max(from.size_bytes.div_ceil(PARTS_MAX));
    let (mut tags, mut offset) = (Vec::new(), 0);
    for number in 1.. {
        let bytes = part_bytes.min(from.size_bytes - offset);
        let name = PartName { number, attempt: 0 };
        tags.push(copy_part(to.service(), &to.path, upload.id(), name, from, (offset, bytes)).await?);
        offset += bytes;
        if offset == from.size_bytes {
            break;
        }
    }
    Ok(Completion::of(upload, tags))
}

async fn copy_part(
    service: &Service,
    path: &Path,
    id: &str,
    part: PartName,
    from: &Object,
    (offset, bytes): (u64, u64),
) -> Result<String, StoreError> {
    let patience = patience(service, bytes);
    // Of small objects AWS copies no range.
    let range = (bytes < from.size_bytes).then_some((offset, bytes));
    let headers = source(service, from, range).await?;
    let query = parts::query_of_part(service.kind, id, part);
    let root = if service.kind == Kind::S3 { "<CopyPartResult" } else { "" };
    let request = service.request(Method::PUT, path, &query, headers, reqwest::Body::default()).await?;
    let asked = request.send(ATTEMPT);
    let said = answer::document(service, ATTEMPT, patience, root, asked).await;
    let said = said.map_err(|error| match error {
        StoreError::AlreadyExists => replaced(),
        error => answer::nothing_shows(error),
    })?;
    parts::name_of_part(service.kind, id, part, answer::text_of(&said, "ETag"))
}

/// What a request says of the object that it copies, which must still be that version.
async fn source(
    service: &Service,
    from: &Object,
    range: Option<(u64, u64)>,
) -> Result<HeaderMap, StoreError> {
    let version = from.version.as_deref().ok_or(StoreError::NotFound)?;
    let ([place, if_match, of_range], from) = match (service.kind, &service.bucket) {
        (Kind::S3, Some(bucket)) => (
            ["x-amz-copy-source", "x-amz-copy-source-if-match", "x-amz-copy-source-range"],
            format!("/{bucket}/{}", utf8_percent_encode(from.path.as_ref(), PLAIN)),
        ),
        // It reads as whoever has a URL.
        (Kind::Azure, _) => (
            ["x-ms-copy-source", "x-ms-source-if-match", "x-ms-source-range"],
            service.url(Method::GET, &from.path, READ_LIFETIME, SignedUrlOptions::new()).await?.into(),
        ),
        (Kind::S3 | Kind::Gcs, _) => return Err(StoreError::NotFound),
    };
    let mut headers = HeaderMap::new();
    let mut say = |name, text: &str| {
        let value = HeaderValue::from_str(text).map_err(|_| StoreError::BadAttribute)?;
        headers.insert(HeaderName::from_static(name), value);
        Ok::<_, StoreError>(())
    };
    say(place, &from)?;
    say(if_match, version)?;
    if let Some((offset, bytes)) = range {
        say(of_range, &format!("bytes={offset}-{}", offset.saturating_add(bytes).saturating_sub(1)))?;
    }
    Ok(headers)
}

fn patience(service: &Service, bytes: u64) -> Duration {
    service.stall + Duration::from_secs(bytes / PACE_BYTES)
}

/// What is told of a source that is not there any more as it was: whoever asks again copies what is.
fn replaced() -> StoreError {
    StoreError::Io { attempt: ATTEMPT, source: io::Error::other("the source was replaced meanwhile") }
}

impl Object {
    /// What tells these of its bytes from all others, though nobody read them.
    pub(crate) fn identity(&self, (offset, bytes): (u64, u64)) -> [u8; 32] {
        let version = self.version.as_deref().unwrap_or_default();
        *blake3::hash(format!("{}\n{version}\n{offset}\n{bytes}", self.path).as_bytes()).as_bytes()
    }

    /// Whether another version stands under its name, or none.
    async fn is_replaced(&self) -> Result<bool, StoreError> {
        let there = self.remote.look(&self.path).await?;
        Ok(there.is_none_or(|there| there.version != self.version))
    }
}
