//! Opening beneath a folder, whatever is planted there.
//!
//! The kernel resolves the whole name in one call that may neither leave the folder nor pass through
//! a symbolic link, so that a folder swapped for a link between two looks changes nothing.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, openat2, statat};
use rustix::io::Errno;

use super::{OpenError, StoreError};

/// `openat2` says EAGAIN when a rename elsewhere made its walk doubtful. It succeeds soon.
const DOUBTFUL_TRIES: usize = 32;

/// Neither out of the folder nor through a link, of either kind.
const BENEATH: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// Reads what is a file, and does not hang, take over a terminal or follow a link at what is not.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Refuses a kernel or a sandbox without `openat2`: no other call can keep the promise.
pub(super) fn check_supported(root: &OwnedFd) -> Result<(), OpenError> {
    match open_folder(root, "") {
        Ok(_) => Ok(()),
        Err(errno) => Err(OpenError::NoContainment { source: errno.into() }),
    }
}

/// Opens whatever stands at `path` for reading. It may be no file: the caller looks before use.
pub(super) fn open_for_reading(folder: impl AsFd, path: &str) -> Result<File, Errno> {
    resolve(folder, path, READ).map(File::from)
}

/// The same, but `None` where the kernel would have to ask the disk, or does not know this wish.
pub(super) fn open_cached(folder: impl AsFd, path: &str) -> Result<Option<File>, Errno> {
    let how = BENEATH.union(ResolveFlags::CACHED);
    match openat2(folder, path, READ, Mode::empty(), how) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(Errno::AGAIN | Errno::INVAL) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Opens the folder at `path`, which may be empty for `folder` itself.
pub(super) fn open_folder(folder: impl AsFd, path: &str) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { "." } else { path };
    resolve(folder, path, FOLDER)
}

/// Holds on to whatever stands at `path`, a link itself included, without opening it.
pub(super) fn look(folder: impl AsFd, path: &str) -> Result<File, Errno> {
    resolve(folder, path, LOOK).map(File::from)
}

/// Refuses a name under which something stands that no file may take the place of.
pub(super) fn check_file_may_stand(folder: impl AsFd, leaf: &str) -> Result<(), StoreError> {
    match statat(folder, leaf, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(()),
            FileType::Symlink => Err(StoreError::NotFound),
            _ => Err(StoreError::NameConflict),
        },
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(StoreError::of_writing("look at object", errno)),
    }
}

fn resolve(folder: impl AsFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut tries = 1;
    loop {
        match openat2(&folder, path, flags, Mode::empty(), BENEATH) {
            Err(Errno::AGAIN) if tries < DOUBTFUL_TRIES => std::thread::yield_now(),
            Err(Errno::INTR) => continue,
            done => return done,
        }
        tries += 1;
    }
}
