//! What stands in a folder that an object's name could lead to.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, FileType, RawDir, statat};
use rustix::io::Errno;

use super::names::{MARKER, NAME_BYTES_MAX, is_plain};
use super::{Folder, StoreError, contain};

/// How much of a folder is read at once, in bytes.
const BUFFER_BYTES: usize = 32 << 10;

/// Opens the folder at `path`, which is empty or ends in `/`. One that is not there, is reached through a link or
/// is none holds nothing.
pub(super) fn open(bucket: &Folder, path: &str) -> Result<Option<OwnedFd>, StoreError> {
    match contain::open_folder(&bucket.descriptor, path.trim_end_matches('/')) {
        Ok(folder) => Ok(Some(folder)),
        Err(Errno::ACCESS | Errno::PERM) => {
            bucket.disk.left_out.tell("a folder that the gateway may not read", path);
            Ok(None)
        }
        Err(errno) => match StoreError::of_reading("open folder", errno) {
            StoreError::NotFound | StoreError::BadName => Ok(None),
            error => Err(error),
        },
    }
}

/// Hands each file and each folder in a folder to `take` with whether it is a folder, in no order and until
/// `take` says that this is enough. The folder's marker has no text there.
pub(super) fn read(
    bucket: &Folder,
    (path, folder): (&str, &OwnedFd),
    abandoned: &AtomicBool,
    take: &mut dyn FnMut(&str, bool) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let left_out = &bucket.disk.left_out;
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    let mut listed = RawDir::new(folder, buffer.spare_capacity_mut());
    while let Some(entry) = listed.next() {
        let entry = match entry {
            Ok(entry) => entry,
            // The folder was removed meanwhile.
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(StoreError::from_errno("read folder", errno)),
        };
        let kind = match entry.file_type() {
            // Not every file system tells.
            FileType::Unknown => statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
                .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode)),
            kind => kind,
        };
        let is_folder = match kind {
            FileType::RegularFile => false,
            FileType::Directory => true,
            _ => continue,
        };
        let bytes = entry.file_name().to_bytes();
        if bytes == MARKER.as_bytes() && !is_folder && !path.is_empty() {
            if !take("", false)? {
                return Ok(());
            }
            continue;
        }
        let Some(name) = std::str::from_utf8(bytes).ok().filter(|name| !name.chars().any(char::is_control))
        else {
            left_out.tell("a name that is not UTF-8 or has control characters", path);
            continue;
        };
        // Below a folder stands one character more at least.
        let name_bytes = path.len() + name.len() + if is_folder { 2 } else { 0 };
        if is_plain(name) && name_bytes <= NAME_BYTES_MAX && !take(name, is_folder)? {
            return Ok(());
        }
        if abandoned.load(Ordering::Relaxed) {
            return Ok(());
        }
    }
    Ok(())
}

/// Tells the operator, once, that something in the store is in no listing.
#[derive(Debug, Default)]
pub(super) struct LeftOut(AtomicBool);

impl LeftOut {
    pub(super) fn tell(&self, what: &str, place: &str) {
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::warn!(what, place, "listings leave something out; this is said once");
        }
    }
}
