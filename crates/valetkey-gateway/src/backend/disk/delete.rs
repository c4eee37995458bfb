//! Removing objects, and the folders that held nothing else.

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use super::names::Name;
use super::publish::unsettled;
use super::{Folder, Metadata, StoreError, contain, durable, parents, read};

/// Whether a delete had anything to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// The object is gone.
    Yes,
    /// There was none.
    NothingThere,
}

impl Folder {
    /// Removes an object if the guard agrees to what is there, durably.
    ///
    /// A folder or a device of that name is no object, and stays.
    ///
    /// # Errors
    /// With nothing changed: [`StoreError::PreconditionFailed`] where the guard refused,
    /// [`StoreError::NotFound`] where a link is part of the name, [`StoreError::BadName`],
    /// [`StoreError::Io`]. With the object gone and no promise that it stays so:
    /// [`StoreError::Unsettled`].
    pub fn delete(
        &self,
        name: &str,
        guard: &dyn Fn(Option<&Metadata>) -> bool,
    ) -> Result<Removed, StoreError> {
        let name = Name::parse(name)?;
        let failed = |errno| StoreError::of_writing("delete object", errno);
        let turn = self.disk.turns.take(self, &name);
        let folder = match contain::open_folder(&self.descriptor, name.parent()) {
            Ok(folder) => Some(folder),
            Err(Errno::NOENT | Errno::NOTDIR) => None,
            Err(errno) => return Err(failed(errno)),
        };
        let there = match &folder {
            Some(folder) => match read::stands(contain::open_for_reading(folder, name.leaf())) {
                Err(StoreError::NameConflict) => None,
                found => found?,
            },
            None => None,
        };
        if !guard(there.as_ref()) {
            return Err(StoreError::PreconditionFailed);
        }
        let (Some(folder), Some(_)) = (folder, there) else {
            return Ok(Removed::NothingThere);
        };
        match unlinkat(&folder, name.leaf(), AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::NOENT | Errno::ISDIR) => return Ok(Removed::NothingThere),
            Err(errno) => return Err(failed(errno)),
        }
        drop(turn);
        // A folder that is durably gone took what it held with it, so one sync is enough.
        let standing = parents::prune(self, name.parent()).unwrap_or(folder);
        durable::sync(&standing).map_err(|errno| unsettled("sync folder", errno.into()))?;
        Ok(Removed::Yes)
    }
}
