//! Files that are not objects yet, in a folder of their own beneath the root.
//!
//! Each is locked (`flock`) while it lives, so that a gateway that starts beside another one clears
//! away what a crash left and nothing else.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, flock, linkat, mkdirat, openat, unlinkat,
};
use rustix::io::Errno;

use super::{OBJECT_MODE, PRIVATE_MODE, contain};

/// Beneath the root. Its name begins as no object's segment may.
const FOLDER: &str = ".valetkey-tmp";

/// How a file's name in the folder begins, so that what an operator leaves there is not taken for ours.
const UPLOAD: &str = "upload-";

/// How often a file is made before giving up: each time another start took it for a left-over.
const MAKE_TRIES: usize = 8;

/// The folder, opened when it is first needed: a root that cannot be written to has none.
#[derive(Debug)]
pub(super) struct TemporaryFolder {
    root: OwnedFd,
    opened: Mutex<Option<Arc<OwnedFd>>>,
}

/// One file, removed when it is dropped unless it became an object.
#[derive(Debug)]
pub(super) struct Temporary {
    folder: Arc<OwnedFd>,
    name: String,
    file: File,
    stands: bool,
}

impl TemporaryFolder {
    pub(super) fn beneath(root: &OwnedFd) -> io::Result<Self> {
        Ok(Self { root: root.try_clone()?, opened: Mutex::new(None) })
    }

    /// Makes a file to write an upload to.
    pub(super) fn make(&self) -> Result<Temporary, Errno> {
        for _ in 0..MAKE_TRIES {
            match Temporary::make(self.open()?) {
                Ok(Some(temporary)) => return Ok(temporary),
                Ok(None) => {}
                // Someone removed the folder from under us.
                Err(Errno::NOENT) => *self.lock() = None,
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::BUSY)
    }

    /// Removes what a crash left behind.
    pub(super) fn clear(&self) -> Result<(), Errno> {
        let folder = self.open()?;
        let entries = Dir::read_from(&folder)?;
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if name.starts_with(UPLOAD) {
                remove_left_over(&folder, name)?;
            }
        }
        Ok(())
    }

    /// Gives a file a second name here, so that it can be moved to its place from here.
    pub(super) fn link(&self, from: &OwnedFd, name: &str, file: File) -> Result<Temporary, Errno> {
        let folder = self.open()?;
        let second = unused_name()?;
        linkat(from, name, &folder, &second, AtFlags::empty())?;
        let temporary = Temporary { folder, name: second, file, stands: true };
        // It was locked under its first name, or its file system has no locks.
        let _ = flock(&temporary.file, FlockOperation::NonBlockingLockExclusive);
        Ok(temporary)
    }

    fn open(&self) -> Result<Arc<OwnedFd>, Errno> {
        let mut opened = self.lock();
        if let Some(folder) = &*opened {
            return Ok(Arc::clone(folder));
        }
        match mkdirat(&self.root, FOLDER, Mode::from_bits_retain(PRIVATE_MODE)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        let folder = Arc::new(contain::open_folder(&self.root, FOLDER)?);
        *opened = Some(Arc::clone(&folder));
        Ok(folder)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<OwnedFd>>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Temporary {
    /// A file of ours in another folder, to be removed when it is dropped if it `stands` for nothing yet.
    pub(super) fn of(folder: Arc<OwnedFd>, name: String, file: File, stands: bool) -> Self {
        Self { folder, name, file, stands }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn folder(&self) -> &OwnedFd {
        &self.folder
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Says that the file stands under this name no longer: there is nothing left to remove.
    pub(super) fn moved_away(&mut self) {
        self.stands = false;
    }

    /// Removes the file's name here. What cannot be removed now is cleared at the next start.
    pub(super) fn remove(&mut self) {
        if self.stands {
            let _ = unlinkat(&self.folder, &self.name, AtFlags::empty());
            self.stands = false;
        }
    }

    /// `None` where another start took the new file for a left-over before it was locked.
    fn make(folder: Arc<OwnedFd>) -> Result<Option<Self>, Errno> {
        let name = unused_name()?;
        let flags = OFlags::CREATE
            .union(OFlags::EXCL)
            .union(OFlags::RDWR)
            .union(OFlags::NOFOLLOW)
            .union(OFlags::CLOEXEC);
        let file = File::from(openat(&folder, &name, flags, OBJECT_MODE)?);
        let temporary = Self { folder, name, file, stands: true };
        // Any other failure means a file system without locks, which a single gateway uses.
        let locked = flock(&temporary.file, FlockOperation::NonBlockingLockExclusive);
        if locked == Err(Errno::WOULDBLOCK) {
            return Ok(None);
        }
        let links = temporary.file.metadata().map(|metadata| metadata.nlink());
        Ok((links.map_err(|_| Errno::IO)? > 0).then_some(temporary))
    }
}

fn unused_name() -> Result<String, Errno> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| Errno::IO)?;
    Ok(format!("{UPLOAD}{:032x}", u128::from_ne_bytes(random)))
}

impl Drop for Temporary {
    fn drop(&mut self) {
        self.remove();
    }
}

fn remove_left_over(folder: impl AsFd, name: &str) -> Result<(), Errno> {
    let file = match contain::open_for_reading(&folder, name) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::ACCESS) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    let kind = rustix::fs::fstat(&file).map(|stat| FileType::from_raw_mode(stat.st_mode))?;
    if kind != FileType::RegularFile {
        return Ok(());
    }
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Ok(()),
        Ok(()) | Err(_) => match unlinkat(&folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
        },
    }
}
