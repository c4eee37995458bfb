//! The file that an audit log stands in: found sound or refused, appended to, and cut back when a write
//! failed half way.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::audit::AuditError;
use super::chain::{ChainKey, LineHash, NO_LINE, folder_of, sync_folder_of};
use super::journal::{End, Medium};
use super::record::{LINE_BYTES_MAX, previous_of};

/// How every line of ours begins.
const LINE_START: &[u8] = b"{\"time\":\"";

/// The longest run of zeros at a log's end that may be the trace of a power loss: some file systems
/// lengthen a file before they write into it, and no batch is longer than this.
const ZEROS_MAX: u64 = 16 * 1024 * 1024;

/// An audit log's file, held under a lock that ends with the process.
pub(super) struct LogFile {
    path: PathBuf,
    key: ChainKey,
    /// Holds the lock, and says which file it was when `file` is opened anew.
    locked: File,
    file: File,
}

/// A log file that was found sound, or new.
pub(super) struct Found {
    pub(super) file: LogFile,
    pub(super) end: End,
    pub(super) was_empty: bool,
    /// How many bytes of a half-written line were cut from its end.
    pub(super) mended: Option<u64>,
}

impl LogFile {
    /// Opens the log at `path`, or makes it with its folder and its key.
    pub(super) fn open(path: &Path, key_file: &Path) -> Result<Found, AuditError> {
        let failed = |doing| {
            move |source: io::Error| AuditError::Io { doing, path: path.to_owned(), source: source.into() }
        };
        let folder = folder_of(path);
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("make folder of"))?;
        let locked = options().create(true).open(path).map_err(failed("open"))?;
        let metadata = locked.metadata().map_err(failed("open"))?;
        if !metadata.is_file() {
            return Err(AuditError::NotAFile { path: path.to_owned() });
        }
        locked.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => AuditError::Held { path: path.to_owned() },
            TryLockError::Error(source) => failed("lock")(source),
        })?;
        sync_folder_of(path).map_err(failed("make"))?;

        let len = locked.metadata().map_err(failed("open"))?.len();
        let key = match ChainKey::load(key_file)? {
            Some(key) => key,
            None if len == 0 => ChainKey::make(key_file)?,
            None => {
                return Err(AuditError::KeyLost { path: path.to_owned(), key_file: key_file.to_owned() });
            }
        };
        let file = open_same(path, &locked).map_err(failed("open"))?;
        let file = Self { path: path.to_owned(), key, locked, file };
        let end = file.find_end(len)?;
        let mended = len.checked_sub(end.bytes).filter(|&cut| cut > 0);
        if mended.is_some() {
            file.file.set_len(end.bytes).map_err(failed("mend"))?;
            file.file.sync_data().map_err(failed("mend"))?;
        }
        Ok(Found { file, end, was_empty: len == 0, mended })
    }

    /// The key of its chain.
    pub(super) fn key(&self) -> &ChainKey {
        &self.key
    }

    /// Finds the end of the last whole line among `len` bytes.
    ///
    /// What follows it must be the beginning of a line of ours, and the line itself must follow from the one
    /// before: neither a stranger's file nor a log that was tampered with is cut or appended to.
    fn find_end(&self, len: u64) -> Result<End, AuditError> {
        let failed = |source: io::Error| AuditError::Io {
            doing: "read",
            path: self.path.clone(),
            source: source.into(),
        };
        let foreign = |why: String| AuditError::Foreign { path: self.path.clone(), why };

        let text_end = self.text_end(len).map_err(failed)?;
        if len - text_end > ZEROS_MAX {
            return Err(foreign("it ends in zeros".into()));
        }
        let window = self.window(text_end, 3).map_err(failed)?;
        let whole = window.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let (lines, half) = window.split_at(whole);
        let begun = half.starts_with(LINE_START) || LINE_START.starts_with(half);
        if half.len() >= LINE_BYTES_MAX || !begun {
            return Err(foreign("what follows its last newline is not the beginning of a record".into()));
        }
        let bytes = text_end - length(half);

        let mut ends = lines.rsplit(|&byte| byte == b'\n').skip(1);
        let Some(last) = ends.next() else {
            return Ok(End { bytes, hash: NO_LINE });
        };
        let previous = previous_of(last).map_err(|error| foreign(format!("its last line: {error}")))?;
        // A line that the window cuts off is longer than any of ours, so it is not one that `last` follows.
        let before = ends.next().map_or(NO_LINE, |line| self.key.hash(line));
        if previous != before {
            return Err(foreign(
                "its last line does not follow from the one before, or the key file is another log's".into(),
            ));
        }
        Ok(End { bytes, hash: self.key.hash(last) })
    }

    /// Where the zeros begin in which the first `len` bytes end.
    fn text_end(&self, len: u64) -> io::Result<u64> {
        let mut end = len;
        while end > 0 {
            let block = self.window(end, 1)?;
            match block.iter().rposition(|&byte| byte != 0) {
                Some(at) => return Ok(end - length(&block[at + 1..])),
                None => end -= length(&block),
            }
            if len - end > ZEROS_MAX {
                break;
            }
        }
        Ok(end)
    }

    /// The last bytes before `end`, at most as many as so many of the longest lines have.
    fn window(&self, end: u64, lines: usize) -> io::Result<Vec<u8>> {
        let len = usize::try_from(end).unwrap_or(usize::MAX).min(lines * LINE_BYTES_MAX);
        let mut window = vec![0; len];
        let from = end - length(&window);
        self.file.read_exact_at(&mut window, from)?;
        Ok(window)
    }

    /// The hash of the whole line that ends at `end`.
    fn hash_before(&self, end: u64) -> io::Result<LineHash> {
        let window = self.window(end, 1)?;
        let line = window.strip_suffix(b"\n").unwrap_or(&window);
        Ok(match line.rsplit(|&byte| byte == b'\n').next() {
            Some(line) if end > 0 => self.key.hash(line),
            _ => NO_LINE,
        })
    }
}

impl Medium for LogFile {
    fn append(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let metadata = self.file.metadata()?;
        if metadata.nlink() == 0 {
            return Err(io::Error::other("the file was deleted"));
        }
        if metadata.len() != at {
            return Err(changed(metadata.len(), at));
        }
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn rewind(&mut self, end: &End, appended_max: u64) -> io::Result<()> {
        // A file description whose sync failed may report the next one as done: it is not used again.
        self.file = open_same(&self.path, &self.locked)?;
        let len = self.file.metadata()?.len();
        if len < end.bytes || len - end.bytes > appended_max {
            return Err(changed(len, end.bytes));
        }
        self.file.set_len(end.bytes)?;
        if self.hash_before(end.bytes)? != end.hash {
            return Err(io::Error::other("the last durable line is not what was written"));
        }
        Ok(())
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(0o600);
    options
}

/// Opens the file at `path` anew, if it still is the file that `locked` is.
fn open_same(path: &Path, locked: &File) -> io::Result<File> {
    let file = options().open(path)?;
    let (found, expected) = (file.metadata()?, locked.metadata()?);
    if (found.dev(), found.ino()) != (expected.dev(), expected.ino()) {
        return Err(io::Error::other("another file stands in its place"));
    }
    Ok(file)
}

fn changed(found: u64, expected: u64) -> io::Error {
    io::Error::other(format!("someone else changed the file: it has {found} bytes, not {expected}"))
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("a length in memory fits 64 bits")
}
