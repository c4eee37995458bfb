//! Changes that show: an object takes its name, or goes.

use std::io;
use std::time::{Duration, UNIX_EPOCH};

use http::header::{HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};

use super::read::Found;
use super::streamed::Streamed;
use super::write::{Finished, Rest, Target};
use super::{Kind, Remote, copy, error};
use crate::backend::{Guard, Metadata, Removed, Rule, StoreError};

impl Remote {
    /// Gives an object its name.
    ///
    /// # Errors
    /// As [`Space::publish`](crate::backend::Space::publish).
    pub(crate) async fn publish(&self, finished: Finished, rule: Rule) -> Result<Metadata, StoreError> {
        let Finished { to, size_bytes, digest, rest } = finished;
        // Not every store that speaks S3 knows the condition of a create; of the others it was asked with the first byte.
        let is_judged_there = self.service.kind != Kind::S3 && matches!(rest, Rest::LastPiece(_));
        let there = match &rule {
            Rule::Replace(None) => None,
            Rule::Create if is_judged_there => None,
            Rule::Create | Rule::Replace(Some(_)) => self.look(&to.path).await?,
        };
        let expects = match rule {
            Rule::Create if there.is_some() => return Err(StoreError::AlreadyExists),
            Rule::Create => Expects::Nothing,
            Rule::Replace(None) => Expects::Anything,
            Rule::Replace(Some(guard)) => {
                if !guard(there.as_ref().map(|found| &found.metadata)) {
                    return Err(StoreError::PreconditionFailed);
                }
                match there {
                    Some(Found { version: Some(version), .. }) => Expects::Version(version),
                    Some(_) => Expects::Anything,
                    None => Expects::Nothing,
                }
            }
        };
        let committed = match rest {
            Rest::All { pieces, _memory } => Streamed::whole(&to, pieces, size_bytes, &expects, digest).await,
            Rest::LastPiece(streamed) => streamed.commit(&self.service).await,
            Rest::Completion(completion) => completion.commit(&to, &expects, digest).await,
            Rest::Copy(from) => copy::commit(&to, &from, &expects, digest).await,
        };
        let tag = match committed {
            Ok(Some(tag)) => tag,
            // It is done, whatever a look can tell.
            Ok(None) => {
                let source = io::Error::other("the store did not say what it made");
                let error = StoreError::Unsettled { attempt: "send an object", source };
                return self.settled(&to, error, &expects).await;
            }
            Err(error) => return self.settled(&to, error, &expects).await,
        };
        let secs = u64::try_from(crate::clock::now().unix()).unwrap_or_default();
        Ok(Metadata {
            size_bytes,
            modified: UNIX_EPOCH + Duration::from_secs(secs),
            etag: self.etag(Some(&tag), size_bytes),
            digest,
            attributes: to.attributes,
        })
    }

    /// Looks what became of a change that failed: an answer that was lost says nothing of the object. What is still
    /// open after the look stays so, whatever stands there: the store may be at it yet.
    async fn settled(
        &self,
        to: &Target,
        error: StoreError,
        expects: &Expects,
    ) -> Result<Metadata, StoreError> {
        match error {
            // There are proxies that refuse what they have handed on already.
            StoreError::Unsettled { .. } | StoreError::Io { .. } => match self.look(&to.path).await {
                Ok(Some(found)) if found.upload.as_deref() == Some(&to.upload) => Ok(found.metadata),
                _ => Err(error),
            },
            StoreError::AlreadyExists => match (self.look(&to.path).await, expects) {
                // The store refuses the name itself, as one that has no place for an object beside a folder.
                (Ok(None), _) => Err(StoreError::NameConflict),
                (_, Expects::Nothing) => Err(StoreError::AlreadyExists),
                (_, Expects::Version(_)) => Err(StoreError::PreconditionFailed),
                (_, Expects::Anything) => Err(error::status("send an object", 412)),
            },
            error => Err(error),
        }
    }

    /// Removes an object if the guard agrees to what is there.
    ///
    /// # Errors
    /// As [`Space::delete`](crate::backend::Space::delete).
    pub(crate) async fn delete(&self, name: &str, guard: Option<Guard>) -> Result<Removed, StoreError> {
        let path = self.path(name)?;
        let there = self.look(&path).await?;
        if guard.is_some_and(|guard| !guard(there.as_ref().map(|found| &found.metadata))) {
            return Err(StoreError::PreconditionFailed);
        }
        if there.is_none() {
            return Ok(Removed::NothingThere);
        }
        match self.service.delete(&path).await {
            Ok(()) => Ok(Removed::Yes),
            Err(StoreError::NotFound) => Ok(Removed::NothingThere),
            // What stands there still may be gone in a moment.
            Err(error @ (StoreError::Unsettled { .. } | StoreError::Io { .. })) => {
                match self.look(&path).await {
                    Ok(None) => Ok(Removed::Yes),
                    Ok(Some(_)) | Err(_) => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }
}

/// What a request that changes something expects to stand under the name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expects {
    Anything,
    Nothing,
    /// The version with the store's own entity tag.
    Version(String),
}

impl Expects {
    /// How it is said to the store, where that knows the condition.
    ///
    /// # Errors
    /// [`StoreError::Io`] for an entity tag that is none.
    pub(super) fn header(&self, kind: Kind) -> Result<Option<(HeaderName, HeaderValue)>, StoreError> {
        Ok(match (self, kind) {
            // Google knows versions by their generations alone.
            (Self::Anything, _) | (Self::Version(_), Kind::Gcs) => None,
            (Self::Nothing, Kind::Gcs) => {
                Some((HeaderName::from_static("x-goog-if-generation-match"), HeaderValue::from_static("0")))
            }
            (Self::Nothing, Kind::S3 | Kind::Azure) => Some((IF_NONE_MATCH, HeaderValue::from_static("*"))),
            (Self::Version(tag), Kind::S3 | Kind::Azure) => {
                let value = HeaderValue::from_str(tag);
                Some((IF_MATCH, value.map_err(|_| error::status("tell an entity tag", 200))?))
            }
        })
    }
}
