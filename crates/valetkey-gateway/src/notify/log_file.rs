//! The file that an audit log stands in: found sound or refused, appended to, cut back when a write failed
//! half way, and left behind for a new one when it is full or was moved away.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use valetkey::Timestamp;

use super::audit::AuditError;
use super::chain::{ChainKey, LineHash, NO_LINE, folder_of, sync_folder_of};
use super::files::{Back, ChainFile, Siblings, moved_away};
use super::journal::{End, Head, Medium};
use super::record::{LINE_BYTES_MAX, previous_of};
use crate::settings;

/// How every line of ours begins.
const LINE_START: &[u8] = b"{\"time\":\"";

/// The longest run of zeros at a log's end that may be the trace of a power loss: some file systems
/// lengthen a file before they write into it, and no batch is longer than this.
const ZEROS_MAX: u64 = 16 * 1024 * 1024;

/// An audit log's file, held under a lock that ends with the process.
pub(super) struct LogFile {
    settings: settings::Audit,
    key: ChainKey,
    clock: fn() -> Timestamp,
    /// Holds the lock, and says which file it was when `file` is opened anew.
    locked: File,
    file: File,
}

/// A log file that was found sound, or new.
pub(super) struct Found {
    pub(super) file: LogFile,
    /// How long the file is.
    pub(super) bytes: u64,
    /// How far its chain has come; none, where nothing at all was in it.
    pub(super) head: Head,
    /// How many bytes of a half-written line were cut from its end.
    pub(super) mended: Option<u64>,
}

impl LogFile {
    /// Opens the log, or makes it with its folder and its key. It must hold `known`, the newest record that
    /// the ledger knows of, since a log that does not was cut.
    pub(super) fn open(
        settings: &settings::Audit,
        known: Option<Head>,
        clock: fn() -> Timestamp,
    ) -> Result<Found, AuditError> {
        let settings::Audit { path, key_file, .. } = settings;
        // A chain that had no record yet cannot have been cut.
        let known = known.filter(|known| *known != Head::NONE);
        let failed = |doing| {
            move |source: io::Error| AuditError::Io { doing, path: path.clone(), source: source.into() }
        };
        let folder = folder_of(path);
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("make folder of"))?;
        let locked = options().create(true).open(path).map_err(failed("open"))?;
        let metadata = locked.metadata().map_err(failed("open"))?;
        if !metadata.is_file() {
            return Err(AuditError::NotAFile { path: path.clone() });
        }
        locked.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => AuditError::Held { path: path.clone() },
            TryLockError::Error(source) => failed("lock")(source),
        })?;
        sync_folder_of(path).map_err(failed("make"))?;

        let len = locked.metadata().map_err(failed("open"))?.len();
        let key = match ChainKey::load(key_file)? {
            Some(key) => key,
            None if len > 0 || !moved_away(path).map_err(failed("read folder of"))?.is_empty() => {
                return Err(AuditError::KeyLost { path: path.clone(), key_file: key_file.clone() });
            }
            None => match known {
                Some(known) => {
                    return Err(AuditError::Cut { path: path.clone(), known: known.records, found: 0 });
                }
                None => ChainKey::make(key_file)?,
            },
        };
        let file = open_again(&locked).map_err(failed("open"))?;
        let file = Self { settings: settings.clone(), key, clock, locked, file };
        let bytes = file.find_end(len)?;
        let head = file.find_head(bytes, known)?;
        let mended = len.checked_sub(bytes).filter(|&cut| cut > 0);
        if mended.is_some() {
            file.file.set_len(bytes).map_err(failed("mend"))?;
            file.file.sync_data().map_err(failed("mend"))?;
        }
        Ok(Found { file, bytes, head, mended })
    }

    /// The key of its chain.
    pub(super) fn key(&self) -> &ChainKey {
        &self.key
    }

    /// Finds the end of the last whole line among `len` bytes.
    ///
    /// What follows it must be the beginning of a line of ours, and the line itself must follow from the one
    /// before: neither a stranger's file nor a log that was tampered with is cut or appended to.
    fn find_end(&self, len: u64) -> Result<u64, AuditError> {
        let foreign = |why: &str| self.foreign(why);
        let failed = |source| self.unread(source);
        let text_end = self.text_end(len).map_err(failed)?;
        if len - text_end > ZEROS_MAX {
            return Err(foreign("it ends in zeros"));
        }
        let window = self.window(text_end, 3).map_err(failed)?;
        let whole = window.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let (lines, half) = window.split_at(whole);
        let begun = half.starts_with(LINE_START) || LINE_START.starts_with(half);
        if half.len() >= LINE_BYTES_MAX || !begun {
            return Err(foreign("what follows its last newline is not the beginning of a record"));
        }
        let mut ends = lines.rsplit(|&byte| byte == b'\n').skip(1);
        let (last, before) = (ends.next(), ends.next());
        if let Some(last) = last {
            self.check_link(last, before)?;
        }
        Ok(text_end - length(half))
    }

    /// Follows the chain back from its end to the newest record that is known, or else to its beginning.
    fn find_head(&self, bytes: u64, known: Option<Head>) -> Result<Head, AuditError> {
        let failed = |source| self.unread(source);
        let settings::Audit { path, key_file, .. } = &self.settings;
        let file = self.file.try_clone().map_err(failed)?;
        let file = ChainFile { path: path.clone(), file, end: bytes, len: bytes };
        let siblings = Siblings::of(path, key_file, &self.key).map_err(failed)?;
        let (mut newest, mut after) = (None, None::<Vec<u8>>);
        let mut records = 0;
        for line in Back::new(Some(file), siblings).map_err(failed)? {
            let line = line.map_err(failed)?;
            if let Some(after) = &after {
                self.check_link(after, Some(&line))?;
            }
            let hash = self.key.hash(&line);
            let newest = *newest.get_or_insert(hash);
            if let Some(known) = known.filter(|known| known.hash == hash) {
                return Ok(Head { records: known.records + records, hash: newest });
            }
            records += 1;
            after = Some(line);
        }
        match known {
            Some(known) => Err(AuditError::Cut { path: path.clone(), known: known.records, found: records }),
            None => Ok(Head { records, hash: newest.unwrap_or(NO_LINE) }),
        }
    }

    /// Checks that `line` is a record, and that it follows from the one `before`. What the first line of a
    /// file follows from stands in another file.
    fn check_link(&self, line: &[u8], before: Option<&[u8]>) -> Result<(), AuditError> {
        let previous = previous_of(line).map_err(|error| self.foreign(&format!("its last line: {error}")))?;
        match before {
            Some(before) if previous != self.key.hash(before) => Err(self.foreign(
                "its last line does not follow from the one before, or the key file is another log's",
            )),
            _ => Ok(()),
        }
    }

    fn foreign(&self, why: &str) -> AuditError {
        AuditError::Foreign { path: self.settings.path.clone(), why: why.to_owned() }
    }

    fn unread(&self, source: io::Error) -> AuditError {
        AuditError::Io { doing: "read", path: self.settings.path.clone(), source: source.into() }
    }

    /// Removes the oldest rotated files, as many as are too many.
    fn prune(&self) {
        let settings::Audit { path, keep: Some(keep), .. } = &self.settings else { return };
        let rotated = moved_away(path).map(|mut paths| {
            paths.retain(|other| is_rotated(path, other));
            paths
        });
        let removed = rotated.and_then(|paths| {
            let too_many = paths.len().saturating_sub(usize::from(*keep));
            paths.iter().take(too_many).try_for_each(fs::remove_file)
        });
        if let Err(error) = removed {
            tracing::warn!(%error, "a rotated audit log that is too old could not be removed");
        }
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

    fn turn(&mut self, at: u64, more: u64) -> io::Result<bool> {
        let (path, ours) = (&self.settings.path, self.locked.metadata()?);
        if stands_at(path, &ours)? {
            let is_full =
                self.settings.rotate_bytes.is_some_and(|most| at > 0 && more > 0 && at + more > most);
            // Two rotations in one second would have one name: the second waits.
            let away = rotated_name(path, (self.clock)());
            if !is_full || away.symlink_metadata().is_ok() {
                return Ok(false);
            }
            fs::rename(path, &away)?;
        } else if ours.nlink() == 0 {
            return Err(io::Error::other("the file was deleted"));
        }
        let locked = options().create(true).open(path)?;
        let metadata = locked.metadata()?;
        if !metadata.is_file() || metadata.len() > 0 {
            return Err(io::Error::other("another file stands in its place"));
        }
        locked.try_lock().map_err(io::Error::from)?;
        sync_folder_of(path)?;
        self.file = open_again(&locked)?;
        self.locked = locked;
        tracing::info!(path = %path.display(), "the audit log goes on in a new file");
        self.prune();
        Ok(true)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn rewind(&mut self, end: &End, appended_max: u64) -> io::Result<()> {
        // A file description whose sync failed may report the next one as done: it is not used again.
        self.file = open_again(&self.locked)?;
        let len = self.file.metadata()?.len();
        if len < end.bytes || len - end.bytes > appended_max {
            return Err(changed(len, end.bytes));
        }
        self.file.set_len(end.bytes)?;
        // What stands before the first line of a file is in another.
        if end.bytes > 0 && self.hash_before(end.bytes)? != end.hash {
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

/// Opens a file anew by its descriptor, so that it is the same file whatever its name is by now.
fn open_again(locked: &File) -> io::Result<File> {
    options().open(format!("/proc/self/fd/{}", locked.as_raw_fd()))
}

/// Whether `path` leads to the file that `ours` describes.
fn stands_at(path: &Path, ours: &Metadata) -> io::Result<bool> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        there => there.map(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())),
    }
}

/// How many characters the name of a rotated file has after the log's own.
const ROTATED_CHARS: usize = ".20261122T000000Z".len();

/// The name of a file that is rotated at this time: the log's own and the time.
fn rotated_name(path: &Path, now: Timestamp) -> PathBuf {
    let time: String = now.to_string().chars().filter(|char| !matches!(char, '-' | ':')).collect();
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{time}"));
    name.into()
}

/// Whether `other` is a name that [`rotated_name`] gives.
pub(super) fn is_rotated(path: &Path, other: &Path) -> bool {
    let (log, other) = (path.as_os_str().as_encoded_bytes(), other.as_os_str().as_encoded_bytes());
    other.strip_prefix(log).is_some_and(|rest| {
        let places = rest.iter().enumerate();
        rest.len() == ROTATED_CHARS
            && places.into_iter().all(|(at, byte)| match at {
                0 => *byte == b'.',
                9 => *byte == b'T',
                16 => *byte == b'Z',
                _ => byte.is_ascii_digit(),
            })
    })
}

fn changed(found: u64, expected: u64) -> io::Error {
    io::Error::other(format!("someone else changed the file: it has {found} bytes, not {expected}"))
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("a length in memory fits 64 bits")
}
