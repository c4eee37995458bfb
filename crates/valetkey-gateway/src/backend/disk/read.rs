//! Reading objects: `GET`, `HEAD`, and the looks that other stages need.

use std::fs::File;
use std::sync::Arc;

use super::names::Name;
use super::{Folder, Metadata, StoreError, contain};

/// An object open for reading. It stays whole while it is read, whatever is uploaded meanwhile.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The content, and nothing but the content.
    pub file: Arc<File>,
    /// What was known of it when it was opened.
    pub metadata: Metadata,
}

impl Folder {
    /// Opens an object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where no file stands, or a link leads on; [`StoreError::BadName`].
    pub fn open(&self, name: &str) -> Result<Opened, StoreError> {
        let name = Name::parse(name)?;
        let file = contain::open_for_reading(&self.descriptor, name.text())
            .map_err(|errno| StoreError::of_reading("open object", errno))?;
        opened(file)
    }

    /// Opens an object without waiting for the disk: `None` where that cannot be.
    ///
    /// The name is resolved from memory alone. An attribute that the file system keeps in a block of
    /// its own may have left memory before the name did, which is rare; then it is read.
    ///
    /// # Errors
    /// As [`Folder::open`].
    pub fn open_cached(&self, name: &str) -> Result<Option<Opened>, StoreError> {
        let name = Name::parse(name)?;
        contain::open_cached(&self.descriptor, name.text())
            .map_err(|errno| StoreError::of_reading("open object", errno))?
            .map(opened)
            .transpose()
    }

    /// Says what is known of an object.
    ///
    /// # Errors
    /// As [`Folder::open`].
    pub fn stat(&self, name: &str) -> Result<Metadata, StoreError> {
        Ok(self.open(name)?.metadata)
    }

    /// Looks before an upload: what stands there, and could a file of this name stand there?
    ///
    /// # Errors
    /// [`StoreError::NameConflict`] where a file stands for one of the name's folders, or where the
    /// name itself is a folder or no file; [`StoreError::NotFound`] where a link is part of it.
    pub fn probe(&self, name: &str) -> Result<Option<Metadata>, StoreError> {
        let name = Name::parse(name)?;
        stands(contain::open_for_reading(&self.descriptor, name.text()))
    }

    /// Says whether the object that stands there was written under this hold: what settles an upload
    /// that a crash caught between appearing and being counted.
    ///
    /// # Errors
    /// When the disk cannot tell. That nothing stands there is an answer.
    pub fn find_hold(&self, name: &str, hold: &str) -> Result<bool, StoreError> {
        match self.stat(name) {
            Ok(metadata) => Ok(metadata.attributes.hold.as_deref() == Some(hold)),
            Err(StoreError::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Sorts what opening a name found in the words of someone who wants to put a file there.
pub(super) fn stands(found: Result<File, rustix::io::Errno>) -> Result<Option<Metadata>, StoreError> {
    match found {
        Ok(file) => match Metadata::of(&file)? {
            Some(metadata) => Ok(Some(metadata)),
            None => Err(StoreError::NameConflict),
        },
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(errno) => Err(StoreError::of_writing("look at object", errno)),
    }
}

fn opened(file: File) -> Result<Opened, StoreError> {
    match Metadata::of(&file)? {
        Some(metadata) => Ok(Opened { file: Arc::new(file), metadata }),
        None => Err(StoreError::NotFound),
    }
}
