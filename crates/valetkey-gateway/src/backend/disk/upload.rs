//! Writing an object aside: nothing of it is seen before it is published.

use std::io::{self, IoSlice};

use bytes::Bytes;
use rustix::fs::{FallocateFlags, fallocate, fstatvfs, ftruncate};
use rustix::io::{Errno, writev};

use super::attributes::{FileVersion, Record};
use super::temporary::Temporary;
use super::{Attributes, Folder, StoreError, durable};

/// From what declared length on the space is reserved at once. A smaller file gains nothing by it, and
/// a disk too full for it says so at the first write.
const RESERVE_FROM_BYTES: u64 = 64 * 1024;

/// An object that is being written. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Upload {
    pub(super) temporary: Temporary,
    hasher: blake3::Hasher,
    /// The length of the file, with what it had before.
    size_bytes: u64,
    reserved_bytes: u64,
    /// A failed write may have left a piece of itself: nothing can be built on it.
    failed: bool,
}

/// An object that is whole and durable, and has no name yet. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Finished {
    /// Its length, in bytes.
    pub size_bytes: u64,
    /// Its content's BLAKE3.
    pub digest: [u8; 32],
    pub(super) temporary: Temporary,
}

impl Folder {
    /// Begins an upload of the declared length, whose space is reserved so that a full disk is known
    /// before the body is asked for. The length is no limit.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`].
    pub fn begin(&self, declared_bytes: Option<u64>) -> Result<Upload, StoreError> {
        let temporary = (self.disk.temporary.make())
            .map_err(|errno| StoreError::from_errno("make temporary file", errno))?;
        Upload::to(temporary, 0, declared_bytes)
    }
}

impl Upload {
    /// Writes to the end of a file that has `size_bytes` already, and stands there.
    pub(super) fn to(
        temporary: Temporary,
        size_bytes: u64,
        declared_bytes: Option<u64>,
    ) -> Result<Self, StoreError> {
        let hasher = blake3::Hasher::new();
        let mut upload = Self { temporary, hasher, size_bytes, reserved_bytes: 0, failed: false };
        if let Some(bytes) = declared_bytes.filter(|bytes| *bytes >= RESERVE_FROM_BYTES) {
            upload.reserve(bytes)?;
        }
        Ok(upload)
    }

    /// Takes over what stands in the file by other means than [`Upload::write`].
    pub(super) fn count(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        self.size_bytes += u64::try_from(piece.len()).unwrap_or(u64::MAX);
    }

    /// Appends the pieces. After an error the upload can only be dropped.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`], [`StoreError::Io`].
    pub fn write(&mut self, pieces: &[Bytes]) -> Result<(), StoreError> {
        self.check_sound()?;
        self.append(pieces).map_err(|errno| {
            self.failed = true;
            StoreError::from_errno("write object", errno)
        })?;
        pieces.iter().for_each(|piece| self.count(piece));
        Ok(())
    }

    /// How long the file is, in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The BLAKE3 of what was written.
    pub fn digest(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }

    /// Writes the attributes and waits until all of it is on the disk.
    ///
    /// # Errors
    /// [`StoreError::BadAttribute`], [`StoreError::AttributesTooLarge`], [`StoreError::NoSpace`],
    /// [`StoreError::Io`]. Whichever it is, the upload is gone.
    pub fn finish(self, attributes: Attributes) -> Result<Finished, StoreError> {
        self.check_sound()?;
        self.give_back_surplus().map_err(|errno| StoreError::from_errno("finish object", errno))?;
        let file = self.temporary.file();
        let found =
            file.metadata().map_err(|source| StoreError::Io { attempt: "read object's metadata", source })?;
        let digest = self.digest();
        let record = Record { version: FileVersion::of(&found), digest, attributes };
        record.store(file)?;
        durable::sync(file).map_err(|errno| StoreError::from_errno("sync object", errno))?;
        Ok(Finished { size_bytes: self.size_bytes, digest, temporary: self.temporary })
    }

    /// Gives back the space that was reserved and is not needed.
    pub(super) fn give_back_surplus(&self) -> Result<(), Errno> {
        match self.reserved_bytes > self.size_bytes {
            true => ftruncate(self.temporary.file(), self.size_bytes),
            false => Ok(()),
        }
    }

    /// The free space is asked for first: some file systems hand out all they have before they find
    /// that it is not enough, and nobody else could write meanwhile.
    fn reserve(&mut self, bytes: u64) -> Result<(), StoreError> {
        let file = self.temporary.file();
        let disk = fstatvfs(file).map_err(|errno| StoreError::from_errno("ask for space", errno))?;
        let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
        // Some network file systems do not know their size, and say zero of everything.
        if bytes > i64::MAX.unsigned_abs() || (disk.f_blocks > 0 && bytes > free_bytes) {
            return Err(StoreError::NoSpace);
        }
        match fallocate(file, FallocateFlags::KEEP_SIZE, self.size_bytes, bytes) {
            Ok(()) => self.reserved_bytes = self.size_bytes.saturating_add(bytes),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(errno) => return Err(StoreError::from_errno("reserve space", errno)),
        }
        Ok(())
    }

    fn append(&self, pieces: &[Bytes]) -> Result<(), Errno> {
        let mut slices: Vec<IoSlice<'_>> =
            pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| IoSlice::new(piece)).collect();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            match writev(self.temporary.file(), rest) {
                Ok(0) => return Err(Errno::IO),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    pub(super) fn check_sound(&self) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Io {
                attempt: "go on after a failed write",
                source: io::ErrorKind::BrokenPipe.into(),
            });
        }
        Ok(())
    }
}
