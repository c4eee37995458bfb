//! Parts of uploads that come in several requests: files in a folder of their own beneath the root, one folder for
//! each session, until they become an object or nothing.
//!
//! They outlive the process, so what says which of them are still wanted is not here: whoever opens the root says it
//! once ([`Disk::keep_sessions`]). A file may be longer than its part, where an appending request broke off; the
//! caller knows how many bytes count.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, copy_file_range, ftruncate, mkdirat, openat, unlinkat};
use rustix::io::Errno;

use super::temporary::Temporary;
use super::{Disk, Folder, OBJECT_MODE, PRIVATE_MODE, StoreError, Upload, contain, durable};

/// Beneath the root. Its name begins as no object's segment may.
const FOLDER: &str = ".valetkey-sessions";

/// How much of a part is read and copied at once.
const STEP_BYTES: usize = 1 << 20;

const MAKE: OFlags =
    OFlags::CREATE.union(OFlags::EXCL).union(OFlags::RDWR).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const OPEN: OFlags = OFlags::RDWR.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A part that is whole, durable, and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Its length, in bytes, with what it had before.
    pub size_bytes: u64,
    /// The BLAKE3 of what was written this time.
    pub digest: [u8; 32],
}

/// A part that is to go into an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPart {
    /// Its name within its session.
    pub name: String,
    /// How many bytes of its file are the part.
    pub bytes: u64,
}

impl Folder {
    /// Begins a part of a session, whose space is reserved if the length is declared. Dropped before
    /// [`Upload::keep`], it leaves nothing behind.
    ///
    /// # Errors
    /// [`StoreError::BadName`] for names that are none of ours, [`StoreError::NoSpace`], [`StoreError::Io`].
    pub fn begin_part(
        &self,
        session: &str,
        part: &str,
        declared_bytes: Option<u64>,
    ) -> Result<Upload, StoreError> {
        check_names(session, part)?;
        let failed = |errno| StoreError::from_errno("make part", errno);
        let folder = Arc::new(self.disk.make_session(session).map_err(failed)?);
        let file = File::from(openat(&*folder, part, MAKE, OBJECT_MODE).map_err(failed)?);
        Upload::to(Temporary::of(folder, part.to_owned(), file, true), 0, declared_bytes)
    }

    /// Goes on with a part of `at_bytes`. What is written is kept only by [`Upload::keep`]: the next that goes on
    /// with the part writes over it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::NoSpace`], [`StoreError::Io`].
    pub fn append_part(
        &self,
        session: &str,
        part: &str,
        at_bytes: u64,
        declared_bytes: Option<u64>,
    ) -> Result<Upload, StoreError> {
        let (folder, mut file) = self.open_part(session, part, at_bytes)?;
        file.seek(SeekFrom::Start(at_bytes))
            .map_err(|source| StoreError::Io { attempt: "go on with part", source })?;
        Upload::to(Temporary::of(Arc::new(folder), part.to_owned(), file, false), at_bytes, declared_bytes)
    }

    /// Makes of parts what may become an object. A single part becomes it as it stands; several are copied, within
    /// the file system where it can. Each byte is read once and shown to `see`, whatever it refuses with ends it.
    ///
    /// # Errors
    /// What `see` says, and [`StoreError::NotFound`] for a part that is gone, [`StoreError::NoSpace`],
    /// [`StoreError::Io`].
    pub fn assemble<E: From<StoreError>>(
        &self,
        session: &str,
        parts: &[StoredPart],
        mut see: impl FnMut(Bytes) -> Result<(), E>,
    ) -> Result<Upload, E> {
        if let [only] = parts {
            let (folder, file) = self.open_part(session, &only.name, only.bytes)?;
            let temporary = (self.disk.temporary.link(&folder, &only.name, file))
                .map_err(|errno| StoreError::from_errno("take part", errno))?;
            let mut upload = Upload::to(temporary, 0, None)?;
            let file = upload.temporary.file().try_clone().map_err(unreadable)?;
            each_step(&file, only.bytes, |_, piece| {
                upload.count(&piece);
                see(piece)
            })?;
            return Ok(upload);
        }
        let whole = parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.bytes));
        let mut upload = self.begin(Some(whole.ok_or(StoreError::NoSpace)?))?;
        for part in parts {
            let (_, file) = self.open_part(session, &part.name, part.bytes)?;
            each_step(&file, part.bytes, |from, piece| {
                upload.copy(&file, from, &piece)?;
                see(piece)
            })?;
        }
        Ok(upload)
    }

    /// As [`Disk::keep_sessions`], of the disk that this folder is on.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn keep_sessions(
        &self,
        ours: &str,
        wanted: impl Fn(&str) -> Option<Vec<String>>,
    ) -> Result<(), StoreError> {
        self.disk.keep_sessions(ours, wanted)
    }

    /// Removes a part. What cannot be removed now goes with its session.
    pub fn remove_part(&self, session: &str, part: &str) {
        if check_names(session, part).is_ok()
            && let Ok(folder) = self.disk.open_session(session)
        {
            let _ = unlinkat(folder, part, AtFlags::empty());
        }
    }

    /// Removes all parts of a session. What cannot be removed now goes at the next start.
    pub fn remove_session(&self, session: &str) {
        if check_names(session, "0").is_ok()
            && let Err(errno) = self.disk.remove_session(session)
        {
            tracing::warn!(%errno, "the parts of an upload cannot be removed");
        }
    }

    /// Opens a part that has at least so many bytes, and cuts off what a request that broke off wrote beyond.
    fn open_part(&self, session: &str, part: &str, bytes: u64) -> Result<(OwnedFd, File), StoreError> {
        check_names(session, part)?;
        let failed = |errno| StoreError::of_reading("open part", errno);
        let folder = self.disk.open_session(session).map_err(failed)?;
        let file = File::from(openat(&folder, part, OPEN, Mode::empty()).map_err(failed)?);
        let found = file.metadata().map_err(unreadable)?;
        if found.len() < bytes {
            return Err(unreadable(std::io::ErrorKind::UnexpectedEof.into()));
        }
        // Space that was reserved and not written lies beyond the length, and goes too.
        ftruncate(&file, bytes).map_err(failed)?;
        Ok((folder, file))
    }
}

impl Upload {
    /// Waits until the part is on the disk, under its name.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`], [`StoreError::Io`]: nothing is kept then.
    pub fn keep(mut self) -> Result<Kept, StoreError> {
        self.check_sound()?;
        let failed = |errno| StoreError::from_errno("keep part", errno);
        self.give_back_surplus().map_err(failed)?;
        durable::sync(self.temporary.file()).map_err(failed)?;
        durable::sync(self.temporary.folder()).map_err(failed)?;
        self.temporary.moved_away();
        Ok(Kept { size_bytes: self.size_bytes(), digest: self.digest() })
    }

    /// Appends a piece that stands in `file` too.
    fn copy(&mut self, file: &File, from: u64, piece: &Bytes) -> Result<(), StoreError> {
        let mut from = from;
        let mut left = piece.clone();
        while !left.is_empty() {
            match copy_file_range(file, Some(&mut from), self.temporary.file(), None, left.len()) {
                Ok(0) => return self.write_rest(piece, &left),
                Ok(copied) => left = left.slice(copied..),
                Err(Errno::INTR) => {}
                Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM) => {
                    return self.write_rest(piece, &left);
                }
                Err(errno) => return Err(StoreError::from_errno("copy part", errno)),
            }
        }
        self.count(piece);
        Ok(())
    }

    fn write_rest(&mut self, piece: &Bytes, left: &Bytes) -> Result<(), StoreError> {
        self.count(&piece[..piece.len() - left.len()]);
        self.write(std::slice::from_ref(left))
    }
}

impl Disk {
    /// Removes the folders of sessions whose names begin with `ours`, and the files in them, that nobody wants any
    /// more. `wanted` says of a session's name which of its files are, or that none is.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn keep_sessions(
        &self,
        ours: &str,
        wanted: impl Fn(&str) -> Option<Vec<String>>,
    ) -> Result<(), StoreError> {
        let failed = |errno| StoreError::of_reading("read folder of sessions", errno);
        let folder = match contain::open_folder(&self.root, FOLDER) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(failed(errno)),
        };
        for session in names(&folder).map_err(failed)? {
            if !session.starts_with(ours) || check_names(&session, "0").is_err() {
                continue;
            }
            match wanted(&session) {
                None => self.remove_session(&session).map_err(failed)?,
                Some(parts) => {
                    let folder = self.open_session(&session).map_err(failed)?;
                    for name in names(&folder).map_err(failed)? {
                        if !parts.contains(&name) && check_names(&session, &name).is_ok() {
                            let _ = unlinkat(&folder, &name, AtFlags::empty());
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn open_session(&self, session: &str) -> Result<OwnedFd, Errno> {
        contain::open_folder(&self.root, &format!("{FOLDER}/{session}"))
    }

    /// Opens the folder of a session, and makes it durably if it is missing.
    fn make_session(&self, session: &str) -> Result<OwnedFd, Errno> {
        match self.open_session(session) {
            Err(Errno::NOENT) => {}
            done => return done,
        }
        let sessions = make_folder(&self.root, FOLDER)?;
        make_folder(&sessions, session)
    }

    fn remove_session(&self, session: &str) -> Result<(), Errno> {
        let folder = match self.open_session(session) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        for name in names(&folder)? {
            match unlinkat(&folder, &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        let sessions = contain::open_folder(&self.root, FOLDER)?;
        match unlinkat(sessions, session, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

/// Reads so many bytes from the beginning of a file, step by step.
fn each_step<E: From<StoreError>>(
    file: &File,
    bytes: u64,
    mut take: impl FnMut(u64, Bytes) -> Result<(), E>,
) -> Result<(), E> {
    let mut at = 0;
    while at < bytes {
        let step = usize::try_from(bytes - at).unwrap_or(STEP_BYTES).min(STEP_BYTES);
        let mut piece = vec![0; step];
        file.read_exact_at(&mut piece, at).map_err(unreadable)?;
        take(at, piece.into())?;
        at += u64::try_from(step).unwrap_or(u64::MAX);
    }
    Ok(())
}

fn make_folder(parent: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    match mkdirat(parent, name, Mode::from_bits_retain(PRIVATE_MODE)) {
        Ok(()) => durable::sync(parent)?,
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    contain::open_folder(parent, name)
}

/// The names in a folder that are ours by their form.
fn names(folder: &OwnedFd) -> Result<Vec<String>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        if let Ok(name) = entry?.file_name().to_str()
            && is_ours(name)
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn check_names(session: &str, part: &str) -> Result<(), StoreError> {
    match is_ours(session) && is_ours(part) {
        true => Ok(()),
        false => Err(StoreError::BadName),
    }
}

/// Names of sessions and parts are hex digits and hyphens: none can lead anywhere.
fn is_ours(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f' | b'-');
    (1..=100).contains(&name.len()) && name.bytes().all(is_plain)
}

fn unreadable(source: std::io::Error) -> StoreError {
    StoreError::Io { attempt: "read part", source }
}
