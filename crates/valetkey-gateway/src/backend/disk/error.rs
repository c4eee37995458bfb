//! What can go wrong, sorted by whose matter it is and what to do about it.
//!
//! No text here holds a path of the file system: a [`StoreError`] may end in a log line that a
//! tenant's support reads. An [`OpenError`] is the operator's alone and names what to mend.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

/// Why an operation on an object did not happen.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing that may be served stands there: no file, or a link, a folder, a device.
    #[error("no such object")]
    NotFound,
    /// The name cannot stand beside what is there, as `a/b` cannot beside the file `a`.
    #[error("name conflicts with what is there")]
    NameConflict,
    /// A create found an object.
    #[error("object exists")]
    AlreadyExists,
    /// The caller's guard refused what is there; nothing was changed.
    #[error("precondition failed")]
    PreconditionFailed,
    /// A file system cannot hold this name faithfully, or it is one of ours.
    #[error("name cannot be stored")]
    BadName,
    /// An attribute's name is not a lower-case header name or is one of ours, or its value holds
    /// control characters.
    #[error("attribute is not a header")]
    BadAttribute,
    /// The attributes do not fit beside the file.
    #[error("attributes are too large")]
    AttributesTooLarge,
    /// The disk or the quota is full, or the file would be larger than the disk can hold.
    #[error("no space left")]
    NoSpace,
    /// The disk failed, and nothing was changed.
    #[error("{attempt}")]
    Io {
        /// What was tried, as a verb phrase.
        attempt: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The change is visible, but the disk did not confirm that it is durable. It must not be
    /// acknowledged, and it must not be counted as undone.
    #[error("{attempt} after the change was made")]
    Unsettled {
        /// What was tried, as a verb phrase.
        attempt: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreError {
    /// Sorts what any call may say; what depends on the place in a path is sorted by the two below.
    pub(super) fn from_errno(attempt: &'static str, errno: Errno) -> Self {
        match errno {
            Errno::NOSPC | Errno::DQUOT | Errno::FBIG => Self::NoSpace,
            Errno::NAMETOOLONG | Errno::ILSEQ => Self::BadName,
            _ => Self::Io { attempt, source: errno.into() },
        }
    }

    /// Sorts what resolving a name says to someone who wants to read what is there.
    pub(super) fn of_reading(attempt: &'static str, errno: Errno) -> Self {
        match errno {
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::ISDIR
            | Errno::LOOP
            | Errno::XDEV
            | Errno::NXIO
            | Errno::NODEV => Self::NotFound,
            _ => Self::from_errno(attempt, errno),
        }
    }

    /// Sorts what resolving a name says to someone who wants to put something there.
    pub(super) fn of_writing(attempt: &'static str, errno: Errno) -> Self {
        match errno {
            Errno::LOOP | Errno::XDEV => Self::NotFound,
            Errno::NOTDIR | Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY | Errno::NXIO | Errno::NODEV => {
                Self::NameConflict
            }
            _ => Self::from_errno(attempt, errno),
        }
    }
}

/// Why a root or a bucket's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system refused.
    #[error("{attempt} {path}", path = path.display())]
    Io {
        /// What was tried, as a verb phrase.
        attempt: &'static str,
        /// The root.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Two different names would reach the same bytes.
    #[error("folder {path} takes two names for one (letter case or accents are folded)", path = path.display())]
    FoldsNames {
        /// The root.
        path: PathBuf,
    },
    /// Without `openat2` no name can be kept beneath its folder.
    #[error("open a folder with openat2, which needs Linux 5.6 and a sandbox that permits it")]
    NoContainment {
        /// What the system said.
        source: io::Error,
    },
    /// The bucket's folder cannot be made or opened.
    #[error("open prefix {prefix:?}")]
    Prefix {
        /// The prefix as it was given.
        prefix: String,
        /// Why.
        source: StoreError,
    },
    /// Uploads are written in the root and renamed, which no system does across file systems.
    #[error("prefix {prefix:?} lies on another file system than its root")]
    OtherFileSystem {
        /// The prefix as it was given.
        prefix: String,
    },
}
