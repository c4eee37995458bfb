//! What an object's file says about it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::attributes::{FileVersion, Record};
use super::{Attributes, StoreError};

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The length of its content, in bytes.
    pub size_bytes: u64,
    /// When its content was last changed.
    pub modified: SystemTime,
    /// Its entity tag without quotes: what its attributes say, else 32 hex digits, a hyphen and a number, made
    /// from the content's digest (`-1`), or, of a plain file, from what the file system changes with every
    /// edit (`-2`).
    pub etag: String,
    /// The content's BLAKE3, unless the file is a plain one.
    pub digest: Option<[u8; 32]>,
    /// What its uploader said, empty for a plain file.
    pub attributes: Attributes,
}

impl Metadata {
    /// Reads what is known of an open file. `None` for what is no file.
    pub(super) fn of(file: &File) -> Result<Option<Self>, StoreError> {
        let found =
            file.metadata().map_err(|source| StoreError::Io { attempt: "read object's metadata", source })?;
        if !found.is_file() {
            return Ok(None);
        }
        let size_bytes = found.size();
        let modified = modified(&found);
        let version = FileVersion::of(&found);
        Ok(Some(match Record::load(file) {
            Some(record) if record.version == version => Self {
                size_bytes,
                modified,
                etag: (record.attributes.etag.clone())
                    .unwrap_or_else(|| etag(blake3::Hash::from_bytes(record.digest), 1)),
                digest: Some(record.digest),
                attributes: record.attributes,
            },
            _ => Self {
                size_bytes,
                modified,
                etag: plain_etag(&found),
                digest: None,
                attributes: Attributes::default(),
            },
        }))
    }
}

impl FileVersion {
    pub(super) fn of(found: &fs::Metadata) -> Self {
        Self { size_bytes: found.size(), mtime_secs: found.mtime(), mtime_nanos: found.mtime_nsec() }
    }
}

/// Changes with every edit: the change time moves even where an editor puts the other times back.
fn plain_etag(found: &fs::Metadata) -> String {
    let mut hasher = blake3::Hasher::new();
    for number in [found.dev(), found.ino(), found.size()] {
        hasher.update(&number.to_le_bytes());
    }
    for number in [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()] {
        hasher.update(&number.to_le_bytes());
    }
    etag(hasher.finalize(), 2)
}

fn etag(hash: blake3::Hash, kind: u8) -> String {
    let hex = hash.to_hex();
    format!("{}-{kind}", &hex.as_str()[..32])
}

/// A time that cannot be told, far outside any calendar, is told as the epoch.
fn modified(found: &fs::Metadata) -> SystemTime {
    let secs = Duration::from_secs(found.mtime().unsigned_abs());
    let nanos = Duration::from_nanos(found.mtime_nsec().unsigned_abs());
    let whole = if found.mtime() < 0 { UNIX_EPOCH.checked_sub(secs) } else { UNIX_EPOCH.checked_add(secs) };
    whole.and_then(|whole| whole.checked_add(nanos)).unwrap_or(UNIX_EPOCH)
}
