//! Changes that show: an object takes its name, or goes.

use std::time::{Duration, UNIX_EPOCH};

use object_store::path::Path;
use object_store::{PutMode, PutOptions, PutPayload, UpdateVersion};

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
        let mode = match rule {
            Rule::Create if there.is_some() => return Err(StoreError::AlreadyExists),
            Rule::Create => PutMode::Create,
            Rule::Replace(None) => PutMode::Overwrite,
            Rule::Replace(Some(guard)) => {
                if !guard(there.as_ref().map(|found| &found.metadata)) {
                    return Err(StoreError::PreconditionFailed);
                }
                match there {
                    Some(Found { version, .. }) => {
                        PutMode::Update(UpdateVersion { e_tag: version, version: None })
                    }
                    None => PutMode::Create,
                }
            }
        };
        let is_create = mode == PutMode::Create;
        let committed = match rest {
            // The emulator that Google's store is tested with takes an object by a signed URL alone.
            Rest::All { pieces, _memory } if self.service.kind == Kind::Gcs => {
                Streamed::whole(&to, pieces, size_bytes, is_create, digest).await
            }
            Rest::All { pieces, _memory } => {
                let options = PutOptions { mode, attributes: to.stored(digest)?, ..PutOptions::default() };
                let put =
                    self.service.objects.put_opts(&to.path, PutPayload::from_iter(pieces), options).await;
                put.map(|put| put.e_tag).map_err(|error| match error::sorted("send an object", &error) {
                    StoreError::Io { attempt, source } if !error::is_refusal(&error) => {
                        StoreError::Unsettled { attempt, source }
                    }
                    error => error,
                })
            }
            Rest::LastPiece(streamed) => streamed.commit(&self.service).await,
            Rest::Completion(completion) => completion.commit(&to, is_create).await,
            Rest::Copy(from) => copy::commit(&to, &from, is_create, digest).await,
        };
        let tag = match committed {
            Ok(tag) => tag,
            Err(error) => return self.settled(&to, error, is_create).await,
        };
        let Some(tag) = tag else {
            let found = self.look(&to.path).await?;
            return found.map(|found| found.metadata).ok_or(StoreError::NotFound);
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

    /// Looks what became of a change that failed: an answer that was lost, or one to a request that was tried again,
    /// says nothing of the object.
    async fn settled(&self, to: &Target, error: StoreError, is_create: bool) -> Result<Metadata, StoreError> {
        let is_refusal = matches!(error, StoreError::AlreadyExists | StoreError::PreconditionFailed);
        let is_fault = matches!(error, StoreError::Io { .. } | StoreError::Unsettled { .. });
        if !is_refusal && !is_fault {
            return Err(error);
        }
        let found = self.look(&to.path).await;
        match found {
            Ok(Some(found)) if found.upload.as_deref() == Some(&to.upload) => Ok(found.metadata),
            // The store refuses the name itself, as one that has no place for an object beside a folder.
            Ok(None) if matches!(error, StoreError::AlreadyExists) => Err(StoreError::NameConflict),
            Ok(_) if is_refusal && is_create => Err(StoreError::AlreadyExists),
            Ok(_) | Err(_) => Err(error),
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
            Err(StoreError::Io { attempt, source }) => self.is_gone(&path, attempt, source).await,
            Err(error) => Err(error),
        }
    }

    async fn is_gone(
        &self,
        path: &Path,
        attempt: &'static str,
        source: std::io::Error,
    ) -> Result<Removed, StoreError> {
        match self.look(path).await {
            Ok(None) => Ok(Removed::Yes),
            Ok(Some(_)) => Err(StoreError::Io { attempt, source }),
            Err(_) => Err(StoreError::Unsettled { attempt, source }),
        }
    }
}
