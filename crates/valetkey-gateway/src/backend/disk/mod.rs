//! Objects as plain files: the object `a/b` of a bucket is the file `root/prefix/a/b`, byte for byte.
//!
//! What it promises:
//! - Nothing outside the bucket's folder is read, written or removed. The kernel resolves every name
//!   beneath the folder's descriptor and follows no symbolic link, so there is no gap between a check
//!   and its use.
//! - An upload appears whole or not at all. It is written aside, synced, renamed into its place, and
//!   the folder is synced before the caller is told.
//! - Of many creates of one name exactly one succeeds. A condition on what is there is judged and
//!   acted on as one step for all callers of one [`Disk`].
//! - A name that ends in `/`, the marker of a folder, is an object too: the file `.valetkey-folder` in it.
//! - A file that an operator puts, edits or moves is served as it stands. What we remember about an
//!   object is one extended attribute, believed only while size and modification time still fit.
//!
//! Every call blocks on the disk and belongs on a blocking thread, but for [`Folder::open_cached`].
//! Open one [`Disk`] per root in a process: conditions are atomic among the callers of one.

mod ahead;
mod attributes;
mod capabilities;
mod contain;
mod delete;
mod durable;
mod entries;
mod error;
mod list;
mod metadata;
mod names;
mod nearest;
mod parents;
mod parts;
mod publish;
mod read;
mod temporary;
mod turns;
mod upload;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use rustix::fs::Mode;

pub use attributes::Attributes;
pub use capabilities::Capabilities;
pub use delete::Removed;
pub use error::{OpenError, StoreError};
pub use list::{Listed, ListedEntry, Query};
pub use metadata::Metadata;
pub use names::is_folder_name;
pub use parts::{Kept, StoredPart};
pub use publish::Publish;
pub use read::Opened;
pub use upload::{Finished, Upload};

use ahead::Ahead;
use entries::LeftOut;
use parents::Announced;
use temporary::TemporaryFolder;
use turns::Turns;

/// Mode of an object's file, less the process's umask: an operator in the gateway's group can read it.
const OBJECT_MODE: Mode = Mode::from_bits_retain(0o640);

/// Mode of a folder that an upload makes, less the process's umask, for the same reason.
const FOLDER_MODE: Mode = Mode::from_bits_retain(0o750);

/// Mode of a root that was missing, and of our own folder in it: the gateway's alone.
const PRIVATE_MODE: u32 = 0o700;

/// One root on the local disk, in which buckets have their folders.
#[derive(Debug)]
pub struct Disk {
    root: OwnedFd,
    temporary: TemporaryFolder,
    capabilities: Capabilities,
    turns: Turns,
    announced: Announced,
    left_out: LeftOut,
    ahead: Ahead,
}

impl Disk {
    /// Opens `root`, which may be a link that the operator wrote, and makes it if it is missing.
    ///
    /// Temporary files that a crash left behind are removed; those of another gateway that is still
    /// running on the same root stay.
    ///
    /// # Errors
    /// When `root` cannot be made or opened as a folder, when its file system takes two names for
    /// one, or when the kernel cannot resolve names beneath a folder. A root that cannot be written
    /// to is no error: it can still be read, and [`Disk::capabilities`] says so.
    pub fn open(root: &Path) -> Result<Arc<Disk>, OpenError> {
        let failed = |attempt| move |source| OpenError::Io { attempt, path: root.to_owned(), source };
        make_root(root).map_err(failed("make folder"))?;
        let folder = open_root(root).map_err(failed("open folder"))?;
        contain::check_supported(&folder)?;
        let temporary = TemporaryFolder::beneath(&folder).map_err(failed("open folder"))?;
        let capabilities = capabilities::probe(&temporary, root)?;
        Ok(Arc::new(Disk {
            root: folder,
            temporary,
            capabilities,
            turns: Turns::default(),
            announced: Announced::default(),
            left_out: LeftOut::default(),
            ahead: Ahead::default(),
        }))
    }

    /// Opens the folder of a bucket, and makes it if it is missing.
    ///
    /// `prefix` is empty for the root itself, else names of folders that each end in `/`.
    ///
    /// # Errors
    /// When the prefix is no such name, leads through a link or a file, lies on another file system
    /// than the root (an upload could not be renamed into it), or cannot be made.
    pub fn folder(self: &Arc<Self>, prefix: &str) -> Result<Folder, OpenError> {
        let refused = |source| OpenError::Prefix { prefix: prefix.to_owned(), source };
        let whole = Folder {
            descriptor: Arc::new(
                self.root
                    .try_clone()
                    .map_err(|source| refused(StoreError::Io { attempt: "open folder", source }))?,
            ),
            disk: Arc::clone(self),
            prefix: Arc::from(""),
        };
        if prefix.is_empty() {
            return Ok(whole);
        }
        let path = prefix.strip_suffix('/').ok_or_else(|| refused(StoreError::BadName))?;
        if !names::is_path(path) {
            return Err(refused(StoreError::BadName));
        }
        let place = parents::persist(|| {
            let place = parents::make(&whole, path)?;
            Ok(place.keep())
        })
        .map_err(refused)?;
        if device(&place).map_err(refused)? != device(&self.root).map_err(refused)? {
            return Err(OpenError::OtherFileSystem { prefix: prefix.to_owned() });
        }
        Ok(Folder { disk: Arc::clone(self), descriptor: Arc::new(place), prefix: Arc::from(prefix) })
    }

    /// Whether `root` is the folder that was opened, and not another one that stands in its place by now.
    pub fn is_at(&self, root: &Path) -> bool {
        let opened = self.root.try_clone().and_then(|opened| File::from(opened).metadata());
        match (opened, fs::metadata(root)) {
            (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
            _ => false,
        }
    }

    /// What this root's file system and the kernel offer, as found when it was opened.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }
}

/// The folder of one bucket. Clones share its descriptor.
#[derive(Debug, Clone)]
pub struct Folder {
    disk: Arc<Disk>,
    descriptor: Arc<OwnedFd>,
    /// From the root, to tell the names of one bucket from those of another.
    prefix: Arc<str>,
}

/// Makes what is missing of `root`, so that it survives a power cut before anything in it is promised.
fn make_root(root: &Path) -> io::Result<()> {
    let made = fs::DirBuilder::new().mode(PRIVATE_MODE).create(root);
    match made {
        Ok(()) => File::open(parent_of(root))?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = parent_of(root);
            // What is there and still leads nowhere is a dangling link, the operator's to mend.
            if fs::symlink_metadata(&parent).is_ok() {
                return Err(error);
            }
            make_root(&parent)?;
            make_root(root)
        }
        Err(error) => Err(error),
    }
}

fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn open_root(root: &Path) -> io::Result<OwnedFd> {
    let folder = File::open(root)?;
    if !folder.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(folder.into())
}

fn device(folder: &OwnedFd) -> Result<u64, StoreError> {
    let describe = || File::from(folder.try_clone()?).metadata();
    match describe() {
        Ok(metadata) => Ok(metadata.dev()),
        Err(source) => Err(StoreError::Io { attempt: "read folder", source }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
