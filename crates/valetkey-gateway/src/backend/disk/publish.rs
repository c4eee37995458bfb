//! Giving a finished object its name.
//!
//! The order is what makes it safe: the file was synced before; the folders on the way are made and
//! synced; the rename shows the object, whole; the sync of its folder makes the name durable; and
//! only then does the caller hear of it.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{AtFlags, RenameFlags, linkat, renameat, renameat_with, unlinkat};
use rustix::io::Errno;

use super::names::Name;
use super::parents::{self, Stop};
use super::temporary::Temporary;
use super::{Finished, Folder, Metadata, StoreError, contain, durable, read};

/// Under what condition an object takes its name.
#[derive(Clone, Copy)]
pub enum Publish<'a> {
    /// Only where nothing stands.
    Create,
    /// Also in the place of another, if the guard agrees to what is there.
    Replace {
        /// Sees what stands there, and says whether to go on. It may be asked more than once; what
        /// it saw last is what is replaced.
        guard: &'a dyn Fn(Option<&Metadata>) -> bool,
    },
}

impl Folder {
    /// Gives the object its name, durably.
    ///
    /// # Errors
    /// With nothing changed: [`StoreError::AlreadyExists`] of a create,
    /// [`StoreError::PreconditionFailed`] where the guard refused, [`StoreError::NameConflict`],
    /// [`StoreError::NotFound`] where a link is part of the name, [`StoreError::BadName`],
    /// [`StoreError::NoSpace`], [`StoreError::Io`]. With the object in its place and no promise that
    /// it stays there: [`StoreError::Unsettled`].
    pub fn publish(&self, finished: Finished, name: &str, rule: Publish<'_>) -> Result<Metadata, StoreError> {
        let name = Name::parse(name)?;
        let mut temporary = finished.temporary;
        parents::persist(|| {
            let place = parents::make(self, name.parent())?;
            let entered = {
                let _turn = self.disk.turns.take(self, &name);
                self.enter(&mut temporary, place.folder(), name.leaf(), rule)?
            };
            if let Err(errno) = durable::sync(place.folder()) {
                if entered == Entered::OnFreeName && self.take_back(&temporary, place.folder(), &name) {
                    return Err(StoreError::from_errno("sync folder", errno).into());
                }
                place.keep();
                return Err(unsettled("sync folder", errno.into()).into());
            }
            place.keep();
            Ok(())
        })?;
        match Metadata::of(temporary.file()) {
            Ok(Some(metadata)) => Ok(metadata),
            Err(StoreError::Io { attempt, source }) => Err(unsettled(attempt, source)),
            _ => Err(unsettled("read object's metadata", Errno::IO.into())),
        }
    }

    /// Removes what was just published, unless someone else's object has taken its place: the upload
    /// fails, and its name is as free as it was.
    fn take_back(&self, temporary: &Temporary, folder: &OwnedFd, name: &Name<'_>) -> bool {
        let _turn = self.disk.turns.take(self, name);
        let is_ours = match contain::look(folder, name.leaf()) {
            Ok(there) => is_same(&there, temporary.file()),
            Err(_) => false,
        };
        is_ours && unlinkat(folder, name.leaf(), AtFlags::empty()).is_ok()
    }

    fn enter(
        &self,
        temporary: &mut Temporary,
        folder: &OwnedFd,
        leaf: &str,
        rule: Publish<'_>,
    ) -> Result<Entered, Stop> {
        match rule {
            Publish::Create => match self.enter_free_name(temporary, folder, leaf) {
                Ok(()) => Ok(Entered::OnFreeName),
                Err(Errno::EXIST) => {
                    // What stood there may be gone by now; it stood there all the same.
                    contain::check_file_may_stand(folder, leaf)?;
                    Err(StoreError::AlreadyExists.into())
                }
                Err(errno) => Err(entering_failed(errno)),
            },
            Publish::Replace { guard } => {
                let there = read::stands(contain::open_for_reading(folder, leaf))?;
                if !guard(there.as_ref()) {
                    return Err(refused(there.as_ref(), folder));
                }
                renameat(temporary.folder(), temporary.name(), folder, leaf).map_err(entering_failed)?;
                temporary.moved_away();
                Ok(match there {
                    Some(_) => Entered::InPlaceOfAnother,
                    None => Entered::OnFreeName,
                })
            }
        }
    }

    fn enter_free_name(&self, temporary: &mut Temporary, folder: &OwnedFd, leaf: &str) -> Result<(), Errno> {
        let (from, name) = (temporary.folder(), temporary.name());
        if self.disk.capabilities.rename_noreplace {
            renameat_with(from, name, folder, leaf, RenameFlags::NOREPLACE)?;
            temporary.moved_away();
        } else {
            // A link does not replace either.
            linkat(from, name, folder, leaf, AtFlags::empty())?;
            temporary.remove();
        }
        Ok(())
    }
}

/// What a name was before the object entered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entered {
    OnFreeName,
    InPlaceOfAnother,
}

/// A guard that saw nothing in a folder that is gone did not see what stands there now.
fn refused(there: Option<&Metadata>, folder: &OwnedFd) -> Stop {
    let is_gone = || folder.try_clone().and_then(|folder| File::from(folder).metadata());
    if there.is_none() && is_gone().is_ok_and(|found| found.nlink() == 0) {
        return Stop::Vanished;
    }
    StoreError::PreconditionFailed.into()
}

fn entering_failed(errno: Errno) -> Stop {
    match errno {
        Errno::NOENT => Stop::Vanished,
        // Resolving can also end in this, but a rename means another file system.
        Errno::XDEV => StoreError::from_errno("place object", errno).into(),
        _ => StoreError::of_writing("place object", errno).into(),
    }
}

pub(super) fn unsettled(attempt: &'static str, source: std::io::Error) -> StoreError {
    StoreError::Unsettled { attempt, source }
}

fn is_same(one: &File, other: &File) -> bool {
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}
