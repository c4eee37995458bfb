//! The files of a ledger: the database, made for its owner only, and the lock beside it.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::OpenError;

pub(super) const OWNER_ONLY: u32 = 0o600;

/// Makes the file if it is not there. Returns its one path, whichever way it was named, so that two names of one ledger
/// have one lock.
pub(super) fn make(path: &Path) -> Result<PathBuf, OpenError> {
    // SQLite gives its log and its index the mode of the database.
    match OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(path) {
        Ok(file) => {
            file.sync_all().map_err(failed(path))?;
            let folder =
                path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(path))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(path)(error)),
    }
    fs::canonicalize(path).map_err(failed(path))
}

/// The right to be the one process that writes to a ledger, for as long as it is kept.
pub(super) struct LockFile {
    _file: File,
}

impl LockFile {
    pub(super) fn take(database: &Path) -> Result<Self, OpenError> {
        let mut name = database.as_os_str().to_owned();
        name.push(".lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(OWNER_ONLY)
            .open(PathBuf::from(name))
            .map_err(failed(database))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(Errno::WOULDBLOCK) => Err(OpenError::InUse(database.to_owned())),
            Err(errno) => Err(failed(database)(errno)),
        }
    }
}

/// The failure to open a path, for `map_err`.
pub(super) fn failed<E: Into<Box<dyn Error + Send + Sync>>>(path: &Path) -> impl FnOnce(E) -> OpenError {
    move |source| OpenError::Failed { path: path.to_owned(), source: source.into() }
}
