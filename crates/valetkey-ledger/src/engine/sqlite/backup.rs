//! Copies of a ledger, made while it is in use.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::file::{OWNER_ONLY, failed};
use super::schema::{self, unreadable};
use super::store::OTHERS_WAIT;
use crate::OpenError;

/// Copies the ledger at `path` to a new file, readable for its owner only, as it stands at one moment. From any
/// process: the gateway may be running, and is not held up.
///
/// The copy is durable and whole before it has its name.
///
/// # Errors
/// [`OpenError::Missing`] if there is no ledger, [`OpenError::Failed`] naming the copy if there is a file of that name
/// or it cannot be written, and see [`OpenError`].
pub fn backup(path: impl AsRef<Path>, copy: impl AsRef<Path>) -> Result<(), OpenError> {
    let (path, copy) = (path.as_ref(), copy.as_ref());
    if !path.try_exists().map_err(failed(path))? {
        return Err(OpenError::Missing(path.to_owned()));
    }
    if copy.symlink_metadata().is_ok() {
        return Err(failed(copy)(io::Error::from(io::ErrorKind::AlreadyExists)));
    }
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|error| unreadable(path, error))?;
    connection.busy_timeout(OTHERS_WAIT).map_err(|error| unreadable(path, error))?;
    if schema::version(&connection, path)? == schema::EMPTY {
        return Err(OpenError::Missing(path.to_owned()));
    }
    let partial = Partial::make(copy).map_err(failed(copy))?;
    let text = partial.0.to_str().ok_or(io::ErrorKind::InvalidFilename).map_err(io::Error::from);
    let text = text.map_err(failed(copy))?;
    connection.execute("VACUUM INTO ?1", (text,)).map_err(|error| unreadable(path, error))?;
    partial.publish(copy).map_err(failed(copy))
}

/// The file while it is written; what is left of it goes when this does.
struct Partial(PathBuf);

impl Partial {
    fn make(copy: &Path) -> io::Result<Self> {
        let mut name = OsString::from(copy);
        name.push(".partial");
        let path = PathBuf::from(name);
        OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(&path)?;
        Ok(Self(path))
    }

    /// Gives it its name, unless another file has that by now.
    fn publish(self, copy: &Path) -> io::Result<()> {
        File::open(&self.0)?.sync_all()?;
        fs::hard_link(&self.0, copy)?;
        fs::remove_file(&self.0)?;
        let folder = copy.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone already where it was published.
        drop(fs::remove_file(&self.0));
    }
}
