//! Bytes of an object that is there, to be copied: read and written again here, or moved by the store that has them.
//!
//! The store moves them only where no rule needs to see them: what a key says of sizes and counts is judged by what is
//! known of the source, and what it says of types by its first bytes, which are read.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use valetkey::Denial;

use super::body::as_u64;
use super::integrity::Hashed;
use super::receiving::{KeptPart, PartContent};
use super::upload::unwritable;
use crate::backend::remote::{Object, PartName, Remote, StoreUpload};
use crate::backend::{Attributes, Content, Finished, Opened, Reading, Space};

/// How much of an object is read at once to be copied, in bytes.
const COPY_BYTES: u64 = 256 << 10;

/// A part of an open object, to be read.
pub(crate) struct Copied {
    content: Content,
    offset: u64,
    bytes_left: u64,
    /// `None` until the first of it is asked for.
    reading: Option<Reading>,
    /// Its BLAKE3, where that is kept of just these bytes.
    digest: Option<[u8; 32]>,
}

impl Copied {
    /// `bytes` bytes from `offset` on, which the object has.
    pub(crate) fn of(opened: &Opened, offset: u64, bytes: u64) -> Self {
        let is_whole = offset == 0 && bytes == opened.metadata.size_bytes;
        let digest = opened.metadata.digest.filter(|_| is_whole);
        Self { content: opened.content.clone(), offset, bytes_left: bytes, reading: None, digest }
    }

    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// [`Denial::BackendUnavailable`], also where the object was cut short or replaced meanwhile.
    pub(super) async fn next(&mut self) -> Result<Bytes, Denial> {
        let bytes = self.bytes_left.min(COPY_BYTES);
        if bytes == 0 {
            return Ok(Bytes::new());
        }
        let reading = match &mut self.reading {
            Some(reading) => reading,
            none => {
                let reading = self.content.read(self.offset, self.bytes_left).await;
                none.insert(reading.map_err(|error| super::fault(&error))?)
            }
        };
        let piece = match reading {
            Reading::File { file, offset } => {
                let (file, at) = (Arc::clone(file), *offset);
                *offset += bytes;
                super::blocking(move || {
                    let mut piece = vec![0; usize::try_from(bytes).unwrap_or_default()];
                    file.read_exact_at(&mut piece, at).map(|()| Bytes::from(piece))
                })
                .await?
            }
            Reading::Stream(stream) => stream.next().await.and_then(|piece| match piece.is_empty() {
                true => Err(std::io::ErrorKind::UnexpectedEof.into()),
                false => Ok(piece),
            }),
        };
        let piece = piece.map_err(|error| {
            tracing::error!(%error, "an object cannot be read to be copied");
            Denial::BackendUnavailable
        })?;
        self.bytes_left -= as_u64(piece.len());
        Ok(piece)
    }

    /// The whole object as a copy that its store makes by itself, where it can in `space`.
    pub(super) fn object_in(&self, space: &Space) -> Option<InStore> {
        self.in_store(space).filter(|copy| copy.to.copies(&copy.from))
    }

    /// The same of a part of an upload.
    pub(super) fn part_in(&self, space: &Space) -> Option<InStore> {
        self.in_store(space).filter(|copy| copy.to.copies_part(&copy.from, copy.bytes))
    }

    fn in_store(&self, space: &Space) -> Option<InStore> {
        let (Space::Remote(to), Content::Remote(from)) = (space, &self.content) else { return None };
        let (to, from) = (to.clone(), from.clone());
        Some(InStore { to, from, offset: self.offset, bytes: self.bytes_left, digest: self.digest })
    }
}

/// Bytes that their store copies by itself.
pub(super) struct InStore {
    to: Remote,
    from: Object,
    offset: u64,
    pub(super) bytes: u64,
    digest: Option<[u8; 32]>,
}

impl InStore {
    /// The first of them, as many as there are and are wanted.
    ///
    /// # Errors
    /// As [`Copied::next`].
    pub(super) async fn beginning(&self, bytes_max: u64) -> Result<Vec<u8>, Denial> {
        let mut first = Copied {
            content: Content::Remote(self.from.clone()),
            offset: self.offset,
            bytes_left: self.bytes.min(bytes_max),
            reading: None,
            digest: None,
        };
        let mut beginning = Vec::new();
        loop {
            let piece = first.next().await?;
            if piece.is_empty() {
                return Ok(beginning);
            }
            beginning.extend_from_slice(&piece);
        }
    }

    /// Has them copied, all but what makes the copy appear.
    ///
    /// # Errors
    /// [`Denial::BadRequest`], [`Denial::BackendUnavailable`].
    pub(super) async fn object(self, name: &str, attributes: Attributes) -> Result<Finished, Denial> {
        let copied = self.to.copy(name, self.from, self.digest, attributes).await;
        Ok(Finished::Remote(Box::new(copied.map_err(unwritable)?)))
    }

    /// Has them copied as a part of an upload.
    ///
    /// # Errors
    /// [`Denial::BackendUnavailable`].
    pub(super) async fn part(
        self,
        name: &str,
        upload: &StoreUpload,
        part: PartName,
    ) -> Result<KeptPart, Denial> {
        let range = (self.offset, self.bytes);
        let tag = self.to.copy_part(name, upload, part, &self.from, range).await.map_err(unwritable)?;
        let content = match self.digest {
            Some(digest) => PartContent::Hashed(digest),
            None => PartContent::Copied(self.from.identity(range)),
        };
        Ok(KeptPart { size_bytes: self.bytes, content, hashed: Hashed::default(), tag: Some(tag) })
    }
}
