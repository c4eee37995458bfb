//! Uploads on their way to the store.
//!
//! What is small is gathered, and sent when the object may appear. What is larger and declares its length is streamed
//! in one request, whose last piece is held back until then. What declares none, or more than the store takes in one
//! request, goes in parts of the store's own multipart calls.

use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::attributes::{self, Marks};
use super::parts::{Completion, OwnUpload, PartName};
use super::publish::Expects;
use super::streamed::Streamed;
use super::{Object, Remote, Service, error};
use crate::backend::{Attributes, StoreError};
use crate::transfer::body::as_u64;

/// Up to how much an object is gathered in memory, in bytes.
const SMALL_BYTES_MAX: usize = 256 << 10;

/// How large an object the stores take in one request, in bytes; Azure's limit is the least of them.
const SINGLE_BYTES_MAX: u64 = 5000 << 20;

/// How large the first parts are, in KiB: S3 takes no smaller ones.
const PART_KIB_MIN: u32 = 5 << 10;

/// After so many parts they grow, as far as there may be memory, for S3 takes ten thousand.
const PARTS_OF_ONE_SIZE: usize = 1000;

/// An upload that is being received.
pub(crate) struct Writing {
    to: Target,
    declared_bytes: Option<u64>,
    expects: Expects,
    size_bytes: u64,
    hasher: blake3::Hasher,
    way: Way,
}

/// Which object it is to become.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) remote: Remote,
    pub(super) path: Path,
    pub(super) attributes: Attributes,
    /// A random name of this upload.
    pub(super) upload: String,
}

enum Way {
    Gathered(Vec<Bytes>),
    Streamed(Streamed),
    InParts(InParts),
}

/// An object that is whole but for what makes it appear. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(super) to: Target,
    /// Its length, in bytes.
    pub(crate) size_bytes: u64,
    /// Its content's BLAKE3; `None` of parts that went to the store in requests of their own.
    pub(crate) digest: Option<[u8; 32]>,
    pub(super) rest: Rest,
}

/// What is still to be sent.
#[derive(Debug)]
pub(super) enum Rest {
    All {
        pieces: Vec<Bytes>,
        _memory: Option<OwnedSemaphorePermit>,
    },
    LastPiece(Streamed),
    Completion(Completion),
    /// All of it, which is in the store already.
    Copy(Object),
}

impl Remote {
    /// Begins an upload.
    ///
    /// # Errors
    /// [`StoreError::BadName`], [`StoreError::Io`].
    pub(crate) fn begin(
        &self,
        name: &str,
        declared_bytes: Option<u64>,
        only_create: bool,
        attributes: Attributes,
    ) -> Result<Writing, StoreError> {
        let to = self.target(name, attributes)?;
        let way = Way::Gathered(Vec::new());
        let expects = if only_create { Expects::Nothing } else { Expects::Anything };
        Ok(Writing { to, declared_bytes, expects, size_bytes: 0, hasher: blake3::Hasher::new(), way })
    }

    /// What an upload is to become, under a random name of its own.
    ///
    /// # Errors
    /// [`StoreError::BadName`], [`StoreError::Io`].
    pub(super) fn target(&self, name: &str, attributes: Attributes) -> Result<Target, StoreError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|source| StoreError::Io {
            attempt: "name an upload",
            source: std::io::Error::other(source),
        })?;
        let upload = format!("{:032x}", u128::from_ne_bytes(random));
        Ok(Target { remote: self.clone(), path: self.path(name)?, attributes, upload })
    }
}

impl Writing {
    /// Takes the next bytes, and waits while the store takes no more. After an error the upload can only be dropped.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] of a create that the store refuses already, [`StoreError::Io`].
    pub(crate) async fn push(&mut self, piece: Bytes) -> Result<(), StoreError> {
        if piece.is_empty() {
            return Ok(());
        }
        self.hasher.update(&piece);
        self.size_bytes += as_u64(piece.len());
        match &mut self.way {
            Way::Gathered(pieces) => {
                pieces.push(piece);
                if self.size_bytes > as_u64(SMALL_BYTES_MAX) {
                    let pieces = std::mem::take(pieces);
                    self.leave_memory(pieces).await?;
                }
                Ok(())
            }
            Way::Streamed(streamed) => {
                let pushed = streamed.push(piece, self.to.service()).await;
                pushed.map_err(|error| match error {
                    StoreError::AlreadyExists if self.expects == Expects::Anything => {
                        error::status("send an object", 412)
                    }
                    error => error,
                })
            }
            Way::InParts(parts) => parts.push(piece, &self.to).await,
        }
    }

    /// The BLAKE3 of what was taken.
    pub(crate) fn digest(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }

    /// Ends the content. What came with its end is kept with it where the store has not been told of the object yet.
    ///
    /// # Errors
    /// [`StoreError::BadAttribute`], [`StoreError::Io`].
    pub(crate) async fn finish(
        mut self,
        late: impl Iterator<Item = (String, String)>,
    ) -> Result<Finished, StoreError> {
        self.to.attributes.headers.extend(late);
        let digest = Some(self.digest());
        let rest = match self.way {
            Way::Gathered(pieces) => Rest::All { pieces, _memory: None },
            Way::Streamed(streamed) => Rest::LastPiece(streamed),
            Way::InParts(mut parts) if parts.upload.is_some() => {
                parts.send(&self.to).await?;
                match parts.upload {
                    Some(upload) => Rest::Completion(Completion::of(upload, parts.done)),
                    None => return Err(error::stalled("begin an upload in parts")),
                }
            }
            Way::InParts(parts) => Rest::All { pieces: parts.gathered, _memory: parts.memory },
        };
        Ok(Finished { to: self.to, size_bytes: self.size_bytes, digest, rest })
    }

    async fn leave_memory(&mut self, pieces: Vec<Bytes>) -> Result<(), StoreError> {
        match self.declared_bytes {
            Some(bytes) if bytes <= SINGLE_BYTES_MAX => {
                let mut streamed = Streamed::begin(&self.to, bytes, &self.expects, None)?;
                for piece in pieces {
                    streamed.push(piece, self.to.service()).await?;
                }
                self.way = Way::Streamed(streamed);
            }
            _ => {
                let mut parts = InParts::default();
                for piece in pieces {
                    parts.push(piece, &self.to).await?;
                }
                self.way = Way::InParts(parts);
            }
        }
        Ok(())
    }
}

impl Target {
    pub(super) fn service(&self) -> &Service {
        &self.remote.service
    }

    /// What is kept with the object.
    pub(super) fn stored(&self, digest: Option<[u8; 32]>) -> Result<object_store::Attributes, StoreError> {
        let marks = Marks { upload: &self.upload, digest };
        attributes::to_store(self.remote.service.kind, &self.attributes, &marks)
    }
}

/// An upload in parts, under way. Dropped, it is aborted.
#[derive(Debug, Default)]
struct InParts {
    /// `None` until a part is full: what has only one is no upload in parts.
    upload: Option<OwnUpload>,
    done: Vec<String>,
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
    /// What the gathered bytes take of the memory that all uploads share.
    memory: Option<OwnedSemaphorePermit>,
}

impl InParts {
    /// How large the next part becomes: no larger than all of them may be together.
    fn part_kib(&self, service: &Service) -> u32 {
        let doublings = u32::try_from(self.done.len() / PARTS_OF_ONE_SIZE).unwrap_or(u32::MAX);
        let grown = PART_KIB_MIN.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX));
        grown.min(service.gathered_kib_max)
    }

    async fn push(&mut self, mut piece: Bytes, to: &Target) -> Result<(), StoreError> {
        while !piece.is_empty() {
            if self.room(to) == 0 {
                self.send(to).await?;
            }
            if self.memory.is_none() {
                self.memory = Some(self.memory(to.service()).await?);
            }
            let taken = piece.split_to(self.room(to).min(piece.len()));
            self.gathered_bytes += taken.len();
            self.gathered.push(taken);
        }
        Ok(())
    }

    /// How much more the part takes, in bytes.
    fn room(&self, to: &Target) -> usize {
        let part_bytes =
            usize::try_from(self.part_kib(to.service())).unwrap_or(usize::MAX).saturating_mul(1 << 10);
        part_bytes.saturating_sub(self.gathered_bytes)
    }

    /// For a whole part at once: uploads that each had a piece of one might all wait for the rest.
    async fn memory(&self, service: &Service) -> Result<OwnedSemaphorePermit, StoreError> {
        let wanted = self.part_kib(service);
        let memory = timeout(service.stall, Arc::clone(&service.gathered).acquire_many_owned(wanted)).await;
        memory.ok().and_then(Result::ok).ok_or_else(|| error::stalled("wait for memory"))
    }

    /// Sends the part that was gathered.
    async fn send(&mut self, to: &Target) -> Result<(), StoreError> {
        if self.gathered_bytes == 0 {
            return Ok(());
        }
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => none.insert(OwnUpload::begin(to).await?),
        };
        let (pieces, bytes) = (std::mem::take(&mut self.gathered), self.gathered_bytes);
        self.gathered_bytes = 0;
        let name = PartName { number: u32::try_from(self.done.len() + 1).unwrap_or(u32::MAX), attempt: 0 };
        let mut part = Streamed::part(&to.remote, &to.path, upload.id(), name, as_u64(bytes));
        for piece in pieces {
            part.push(piece, to.service()).await?;
        }
        self.done.push(part.commit_part(to.service(), upload.id(), name).await?);
        self.memory = None;
        Ok(())
    }
}
