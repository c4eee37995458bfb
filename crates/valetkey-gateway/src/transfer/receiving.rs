//! An upload on its way to where it is kept, until it is whole.

use bytes::Bytes;
use tokio::task::JoinHandle;
use valetkey::Denial;
use valetkey_dialects::Checksum;
use valetkey_ledger::{PartId, PartStart};

use super::body::as_u64;
use super::integrity::{Hashed, Integrity};
use super::session::Open;
use super::upload::unwritable;
use crate::backend::disk::{self, Upload};
use crate::backend::remote::{PartName, PartWriting, Writing};
use crate::backend::{Attributes, Finished, Kept, Space, StoreError};

/// How much is gathered for one write, in bytes.
const BATCH_BYTES: usize = 512 << 10;

/// From how much on a batch is written while the client pauses, in bytes.
const EARLY_BATCH_BYTES: usize = 16 << 10;

/// An upload on its way to its backend.
pub(super) enum Receiving {
    Disk(Box<ToDisk>),
    Remote(Box<ToRemote>),
    RemotePart(Box<(PartWriting, Integrity)>),
}

/// A part that is whole and kept.
pub(crate) struct KeptPart {
    pub(crate) size_bytes: u64,
    pub(crate) content: PartContent,
    pub(crate) hashed: Hashed,
    /// The remote store's name of it.
    pub(crate) tag: Option<String>,
}

/// What tells the bytes of a part from all others.
pub(crate) enum PartContent {
    /// Their BLAKE3.
    Hashed([u8; 32]),
    /// Nobody read them: of which version of an object the store copied them, and where they stand in it.
    Copied([u8; 32]),
}

impl Receiving {
    /// An object in one piece, of which so many bytes are declared. What is said of it besides `attributes` comes
    /// with its end.
    ///
    /// # Errors
    /// [`Denial::BadRequest`] for a name that the store cannot hold, [`Denial::BackendUnavailable`].
    pub(super) fn object(
        space: &Space,
        name: &str,
        (declared_bytes, only_create): (Option<u64>, bool),
        attributes: Attributes,
        integrity: Integrity,
    ) -> Result<Self, Denial> {
        match space {
            Space::Disk(folder) => {
                let folder = folder.clone();
                Ok(Self::Disk(Box::new(ToDisk::new(
                    move || folder.begin(declared_bytes),
                    attributes,
                    integrity,
                ))))
            }
            Space::Remote(remote) => {
                let writing =
                    remote.begin(name, declared_bytes, only_create, attributes).map_err(unwritable)?;
                Ok(Self::Remote(Box::new(ToRemote { writing, integrity })))
            }
        }
    }

    /// A part of an upload in parts.
    ///
    /// # Errors
    /// [`Denial::BadRequest`] for one of unknown length, and [`Denial::CallNotSupported`] for one that goes on, where
    /// the store is remote.
    pub(super) fn part(
        open: &Open,
        part: PartId,
        start: PartStart,
        declared_bytes: Option<u64>,
        integrity: Integrity,
    ) -> Result<Self, Denial> {
        match &open.space {
            Space::Disk(folder) => {
                let (folder, session, part) = (folder.clone(), open.session.store_name(), part.store_name());
                let begin = move || match start {
                    PartStart::Anew => folder.begin_part(&session, &part, declared_bytes),
                    PartStart::At(at) => folder.append_part(&session, &part, at, declared_bytes),
                };
                Ok(Self::Disk(Box::new(ToDisk::new(begin, Attributes::default(), integrity))))
            }
            Space::Remote(remote) => {
                let (PartStart::Anew, Some(upload)) = (start, &open.terms.store) else {
                    return Err(Denial::CallNotSupported("going on with a part in a remote store"));
                };
                let bytes = declared_bytes.ok_or_else(|| {
                    Denial::BadRequest("a part says its length here: say Content-Length".into())
                })?;
                let name = PartName { number: part.number, attempt: part.attempt };
                let writing = remote.begin_part(open.path.name(), upload, name, bytes);
                Ok(Self::RemotePart(Box::new((writing.map_err(unwritable)?, integrity))))
            }
        }
    }

    /// Makes sure that a large upload finds room, before its body is asked for.
    ///
    /// # Errors
    /// [`Denial::QuotaExceeded`], [`Denial::BackendUnavailable`].
    pub(super) async fn reserve(&mut self, declared_bytes: Option<u64>) -> Result<(), Denial> {
        match self {
            Self::Disk(disk) if declared_bytes.is_some_and(|bytes| bytes >= as_u64(EARLY_BATCH_BYTES)) => {
                disk.begin().await
            }
            Self::Disk(_) | Self::Remote(_) | Self::RemotePart(_) => Ok(()),
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`Denial::QuotaExceeded`], [`Denial::BackendUnavailable`].
    pub(super) async fn push(&mut self, piece: Bytes) -> Result<(), Denial> {
        match self {
            Self::Disk(disk) => disk.push(piece).await,
            Self::Remote(remote) => remote.push(piece).await,
            Self::RemotePart(part) => {
                let (writing, integrity) = &mut **part;
                integrity.update(std::slice::from_ref(&piece));
                writing.push(piece).await.map_err(unwritable)
            }
        }
    }

    /// Uses the time while the client pauses.
    ///
    /// # Errors
    /// As [`Receiving::push`].
    pub(super) async fn pause(&mut self) -> Result<(), Denial> {
        match self {
            Self::Disk(disk) if disk.batch_bytes >= EARLY_BATCH_BYTES && disk.is_idle() => disk.write().await,
            Self::Disk(_) | Self::Remote(_) | Self::RemotePart(_) => Ok(()),
        }
    }

    /// Ends an object, compares what it hashes to, and makes it all but visible. `late` are headers to be kept with
    /// it that came with its end.
    ///
    /// # Errors
    /// [`Denial::DigestMismatch`], and as [`Receiving::push`].
    pub(super) async fn finish(
        self,
        late: impl Iterator<Item = (String, String)>,
        trailer: Vec<Checksum>,
    ) -> Result<Finished, Denial> {
        match self {
            Self::Disk(mut disk) => {
                let mut attributes = std::mem::take(&mut disk.attributes);
                attributes.headers.extend(late);
                disk.finish(attributes, trailer).await.map(Finished::Disk)
            }
            Self::Remote(remote) => remote.finish(late, trailer).await,
            Self::RemotePart(_) => Err(Denial::BackendUnavailable),
        }
    }

    /// Ends a part, which is kept aside.
    ///
    /// # Errors
    /// As [`Receiving::finish`].
    pub(super) async fn keep(self, trailer: Vec<Checksum>) -> Result<KeptPart, Denial> {
        match self {
            Self::Disk(disk) => {
                let (Kept { size_bytes, digest }, hashed) = disk.keep(trailer).await?;
                Ok(KeptPart { size_bytes, content: PartContent::Hashed(digest), hashed, tag: None })
            }
            Self::RemotePart(part) => {
                let (writing, integrity) = *part;
                let (size_bytes, digest) = (writing.size_bytes(), writing.digest());
                let hashed = integrity.expecting(trailer).hashed(digest)?;
                let tag = Some(writing.keep().await.map_err(unwritable)?);
                Ok(KeptPart { size_bytes, content: PartContent::Hashed(digest), hashed, tag })
            }
            Self::Remote(_) => Err(Denial::BackendUnavailable),
        }
    }
}

/// An upload on its way to the disk: one batch gathers while the one before is written.
pub(super) struct ToDisk {
    before: Before,
    batch: Vec<Bytes>,
    batch_bytes: usize,
    attributes: Attributes,
}

/// What was done before the batch that is being gathered.
enum Before {
    Nothing { begin: Begin, integrity: Integrity },
    Begun(Box<Begun>),
    Written(JoinHandle<Result<Begun, StoreError>>),
    Failed,
}

/// What makes the file.
type Begin = Box<dyn FnOnce() -> Result<Upload, StoreError> + Send>;

/// A file that is being written, and the hashes of what is in it.
struct Begun {
    upload: Upload,
    integrity: Integrity,
}

impl Begun {
    fn write(&mut self, batch: &[Bytes]) -> Result<(), StoreError> {
        self.upload.write(batch)?;
        self.integrity.update(batch);
        Ok(())
    }
}

impl ToDisk {
    fn new(
        begin: impl FnOnce() -> Result<Upload, StoreError> + Send + 'static,
        attributes: Attributes,
        integrity: Integrity,
    ) -> Self {
        let before = Before::Nothing { begin: Box::new(begin), integrity };
        Self { before, batch: Vec::new(), batch_bytes: 0, attributes }
    }

    /// Makes the file and reserves its space.
    async fn begin(&mut self) -> Result<(), Denial> {
        let begin = self.take_begun().await?;
        let begun = super::blocking(begin).await?.map_err(unwritable)?;
        self.before = Before::Begun(Box::new(begun));
        Ok(())
    }

    async fn push(&mut self, piece: Bytes) -> Result<(), Denial> {
        self.batch_bytes += piece.len();
        self.batch.push(piece);
        if self.batch_bytes >= BATCH_BYTES { self.write().await } else { Ok(()) }
    }

    fn is_idle(&self) -> bool {
        match &self.before {
            Before::Written(writing) => writing.is_finished(),
            Before::Nothing { .. } | Before::Begun(_) | Before::Failed => true,
        }
    }

    /// Waits for the batch before, and has this one written in the background.
    async fn write(&mut self) -> Result<(), Denial> {
        let begin = self.take_begun().await?;
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        self.before = Before::Written(tokio::task::spawn_blocking(move || {
            let mut begun = begin()?;
            begun.write(&batch)?;
            Ok(begun)
        }));
        Ok(())
    }

    /// Writes the rest, compares what it hashes to, and makes all of it durable, in one go.
    async fn finish(self, attributes: Attributes, trailer: Vec<Checksum>) -> Result<disk::Finished, Denial> {
        let finished = self.end(trailer, move |upload, hashed| {
            upload.finish(Attributes { etag: hashed.md5_to_tell(), ..attributes })
        });
        finished.await
    }

    /// The same of a part, which is kept aside; with what it hashes to.
    async fn keep(self, trailer: Vec<Checksum>) -> Result<(Kept, Hashed), Denial> {
        self.end(trailer, |upload, hashed| Ok((upload.keep()?, hashed))).await
    }

    async fn end<T: Send + 'static>(
        mut self,
        trailer: Vec<Checksum>,
        end: impl FnOnce(Upload, Hashed) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Denial> {
        let begin = self.take_begun().await?;
        let batch = self.batch;
        let finished = super::blocking(move || {
            let mut begun = begin().map_err(unwritable)?;
            begun.write(&batch).map_err(unwritable)?;
            let hashed = begun.integrity.expecting(trailer).hashed(begun.upload.digest())?;
            end(begun.upload, hashed).map_err(unwritable)
        });
        finished.await?
    }

    /// What gives the upload so far: the file that was written, or a new one.
    async fn take_begun(&mut self) -> Result<Box<dyn FnOnce() -> Result<Begun, StoreError> + Send>, Denial> {
        match std::mem::replace(&mut self.before, Before::Failed) {
            Before::Nothing { begin, integrity } => {
                Ok(Box::new(move || Ok(Begun { upload: begin()?, integrity })))
            }
            Before::Begun(begun) => Ok(Box::new(move || Ok(*begun))),
            Before::Written(writing) => {
                let begun = writing.await.map_err(|_| Denial::BackendUnavailable)?.map_err(unwritable)?;
                Ok(Box::new(move || Ok(begun)))
            }
            Before::Failed => Err(Denial::BackendUnavailable),
        }
    }
}

/// An upload on its way over a network.
pub(super) struct ToRemote {
    writing: Writing,
    integrity: Integrity,
}

impl ToRemote {
    async fn push(&mut self, piece: Bytes) -> Result<(), Denial> {
        self.integrity.update(std::slice::from_ref(&piece));
        self.writing.push(piece).await.map_err(|error| match error {
            StoreError::AlreadyExists => Denial::AlreadyExists,
            error => unwritable(error),
        })
    }

    async fn finish(
        self,
        late: impl Iterator<Item = (String, String)>,
        trailer: Vec<Checksum>,
    ) -> Result<Finished, Denial> {
        self.integrity.expecting(trailer).hashed(self.writing.digest())?;
        let finished = self.writing.finish(late).await.map_err(unwritable)?;
        Ok(Finished::Remote(Box::new(finished)))
    }
}
