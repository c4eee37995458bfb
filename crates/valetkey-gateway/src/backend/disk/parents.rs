//! The folders that an object's name leads through: made when an upload needs them, removed when they
//! hold nothing any more.
//!
//! Both happen at once in many threads, without a lock: who removes a folder takes only an empty one,
//! and who finds that a folder vanished begins again ([`persist`]).
//!
//! A folder that one upload made is seen by others before it is durable. So it is announced first, and
//! who passes through an announced folder syncs it too: no upload is acknowledged in a folder that a
//! power cut could take away.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, mkdirat, unlinkat};
use rustix::io::Errno;

use super::names::{split_last, steps};
use super::{FOLDER_MODE, Folder, StoreError, contain, durable};

/// How often a folder may vanish before an upload gives up. Each time someone else got on.
const VANISHED_TRIES: usize = 100;

/// Why an attempt ended.
#[derive(Debug)]
pub(super) enum Stop {
    /// A folder was removed between two steps: begin again.
    Vanished,
    /// There is no point in trying again.
    Failed(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// Tries until no folder vanishes on the way.
pub(super) fn persist<T>(mut attempt: impl FnMut() -> Result<T, Stop>) -> Result<T, StoreError> {
    for _ in 0..VANISHED_TRIES {
        match attempt() {
            Ok(done) => return Ok(done),
            Err(Stop::Vanished) => {}
            Err(Stop::Failed(error)) => return Err(error),
        }
    }
    Err(StoreError::Io { attempt: "keep folder in place", source: Errno::NOENT.into() })
}

/// A folder that stands, with all above it durable. What was made for it is removed again when this
/// is dropped, unless it is kept.
#[derive(Debug)]
pub(super) struct Place<'a> {
    folder: OwnedFd,
    made: Made<'a>,
}

impl Place<'_> {
    pub(super) fn folder(&self) -> &OwnedFd {
        &self.folder
    }

    /// Says that something stands in the folder now.
    pub(super) fn keep(mut self) -> OwnedFd {
        self.made.paths.clear();
        self.folder
    }
}

/// Opens the folder at `path`, empty for the bucket's own, and makes what is missing on the way.
pub(super) fn make<'a>(bucket: &'a Folder, path: &'a str) -> Result<Place<'a>, Stop> {
    let mut made = Made { bucket, paths: Vec::new() };
    match contain::open_folder(&bucket.descriptor, path) {
        Ok(folder) => {
            bucket.disk.announced.sync_on_way(bucket, path)?;
            return Ok(Place { folder, made });
        }
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(StoreError::of_writing("open folder", errno).into()),
    }
    let mut folder = open_step(&bucket.descriptor, "")?;
    for step in steps(path) {
        let (_, segment) = split_last(step);
        let found = contain::open_folder(&folder, segment);
        folder = match found {
            Ok(next) => {
                bucket.disk.announced.sync_if_announced(bucket, step, &folder)?;
                next
            }
            Err(Errno::NOENT) => {
                make_step(&mut made, step, &folder, segment)?;
                open_step(&folder, segment)?
            }
            Err(errno) => return Err(StoreError::of_writing("open folder", errno).into()),
        };
    }
    Ok(Place { folder, made })
}

/// Removes the folder at `path` and those above it that hold nothing, up to the bucket's own, which
/// stays. Gives back the lowest folder that stands after a removal: syncing it makes all durable.
pub(super) fn prune(bucket: &Folder, path: &str) -> Option<OwnedFd> {
    let mut above_removed = None;
    let mut path = path;
    while !path.is_empty() {
        let (above, segment) = split_last(path);
        let Ok(folder) = contain::open_folder(&bucket.descriptor, above) else {
            break;
        };
        if unlinkat(&folder, segment, AtFlags::REMOVEDIR).is_err() {
            break;
        }
        above_removed = Some(folder);
        path = above;
    }
    above_removed
}

/// Opens a folder that was there a moment ago.
fn open_step(folder: &OwnedFd, segment: &str) -> Result<OwnedFd, Stop> {
    match contain::open_folder(folder, segment) {
        Ok(next) => Ok(next),
        Err(Errno::NOENT) => Err(Stop::Vanished),
        Err(errno) => Err(StoreError::of_writing("open folder", errno).into()),
    }
}

fn make_step<'a>(made: &mut Made<'a>, step: &'a str, folder: &OwnedFd, segment: &str) -> Result<(), Stop> {
    let bucket = made.bucket;
    let _announcement = bucket.disk.announced.announce(bucket, step);
    match mkdirat(folder, segment, FOLDER_MODE) {
        Ok(()) => made.paths.push(step),
        // Someone else made it, or put something else there: opening it will tell.
        Err(Errno::EXIST) => {}
        Err(Errno::NOENT) => return Err(Stop::Vanished),
        Err(errno) => return Err(StoreError::of_writing("make folder", errno).into()),
    }
    durable::sync(folder).map_err(sync_failed)?;
    Ok(())
}

fn sync_failed(errno: Errno) -> Stop {
    StoreError::from_errno("sync folder", errno).into()
}

/// The folders that were made and hold nothing yet.
#[derive(Debug)]
struct Made<'a> {
    bucket: &'a Folder,
    paths: Vec<&'a str>,
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        for path in self.paths.iter().rev() {
            let (above, segment) = split_last(path);
            // One that is no longer empty is someone else's now.
            if let Ok(folder) = contain::open_folder(&self.bucket.descriptor, above) {
                let _ = unlinkat(&folder, segment, AtFlags::REMOVEDIR);
            }
        }
    }
}

/// The folders that are being made and may not be durable yet, by their paths from the root. One that
/// two uploads make at once stands here twice.
#[derive(Debug, Default)]
pub(super) struct Announced {
    paths: Mutex<Vec<String>>,
}

/// A folder's path stands in the list as long as this.
pub(super) struct Announcement<'a> {
    list: &'a Announced,
    path: String,
}

impl Announced {
    pub(super) fn announce(&self, bucket: &Folder, path: &str) -> Announcement<'_> {
        let path = format!("{}{path}", bucket.prefix);
        self.lock().push(path.clone());
        Announcement { list: self, path }
    }

    /// Syncs what is announced of the way to `path`. As a rule nothing is, which costs one lock.
    fn sync_on_way(&self, bucket: &Folder, path: &str) -> Result<(), Stop> {
        if self.lock().is_empty() {
            return Ok(());
        }
        for step in steps(path) {
            if self.is_announced(bucket, step) {
                let above = open_step(&bucket.descriptor, split_last(step).0)?;
                durable::sync(&above).map_err(sync_failed)?;
            }
        }
        Ok(())
    }

    /// Syncs `above`, in which `step` stands, if that is announced.
    fn sync_if_announced(&self, bucket: &Folder, step: &str, above: &OwnedFd) -> Result<(), Stop> {
        if self.is_announced(bucket, step) {
            durable::sync(above).map_err(sync_failed)?;
        }
        Ok(())
    }

    fn is_announced(&self, bucket: &Folder, path: &str) -> bool {
        self.lock().iter().any(|announced| {
            announced.strip_prefix(&*bucket.prefix).is_some_and(|announced| announced == path)
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Announcement<'_> {
    fn drop(&mut self) {
        let mut paths = self.list.lock();
        if let Some(at) = paths.iter().position(|path| *path == self.path) {
            paths.swap_remove(at);
        }
    }
}
