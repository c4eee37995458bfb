//! The files in which one chain stands: the log, and those that were moved away from it.
//!
//! Which file comes before which is told by the chain alone, since a file's first record carries the hash of
//! the last record of the file before. So a rotation may give whatever names it likes, as long as they begin
//! with the log's own and stand in its folder.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::chain::{ChainKey, LineHash, NO_LINE, folder_of};
use super::record::{LINE_BYTES_MAX, previous_of};

/// How much is read at once on the way back through a file, in bytes.
const BLOCK_BYTES: usize = 256 * 1024;

/// One file of a chain, open, so that it stays the same file whatever becomes of its name.
pub(super) struct ChainFile {
    pub(super) path: PathBuf,
    pub(super) file: File,
    /// Where its last whole line ends.
    pub(super) end: u64,
    /// Where the file ends: what lies between is half-written.
    pub(super) len: u64,
}

impl ChainFile {
    /// Opens a file for reading; `None` where there is no regular file of that name.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let len = metadata.len();
        let end = whole_end(&file, len)?;
        Ok(Some(Self { path: path.to_owned(), file, end, len }))
    }

    /// Its lines, the last first.
    pub(super) fn lines_back(&self) -> io::Result<LinesBack> {
        Ok(LinesBack::new(self.file.try_clone()?, self.end))
    }

    /// The hash of the line before its first; `None` where its first line is no record.
    pub(super) fn follows(&self) -> io::Result<Option<LineHash>> {
        let len = usize::try_from(self.end).unwrap_or(usize::MAX).min(LINE_BYTES_MAX);
        let mut start = vec![0; len];
        self.file.read_exact_at(&mut start, 0)?;
        let line = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
        Ok(previous_of(line).ok())
    }

    /// The hash of its last line, and whether that follows from the one before by this key; `None` where it
    /// has no line.
    fn last(&self, key: &ChainKey) -> io::Result<Option<(LineHash, bool)>> {
        let mut lines = self.lines_back()?;
        let Some(last) = lines.next().transpose()? else { return Ok(None) };
        let before = lines.next().transpose()?;
        let fits = before.is_none_or(|before| previous_of(&last).is_ok_and(|hash| hash == key.hash(&before)));
        Ok(Some((key.hash(&last), fits)))
    }
}

/// Where the last whole line ends among the first `len` bytes.
fn whole_end(file: &File, len: u64) -> io::Result<u64> {
    let size = usize::try_from(len).unwrap_or(usize::MAX).min(LINE_BYTES_MAX);
    let mut window = vec![0; size];
    let from = len - length(size);
    file.read_exact_at(&mut window, from)?;
    Ok(match window.iter().rposition(|&byte| byte == b'\n') {
        Some(at) => from + length(at + 1),
        None => from,
    })
}

/// What was moved away from a log: all files beside it whose names go on after the log's own with a dot or a
/// hyphen.
pub(super) struct Siblings(Vec<Sibling>);

struct Sibling {
    file: ChainFile,
    last: LineHash,
    fits: bool,
}

impl Siblings {
    /// Finds and opens them.
    pub(super) fn of(log: &Path, key_file: &Path, key: &ChainKey) -> io::Result<Self> {
        let mut siblings = Vec::new();
        for path in moved_away(log)?.into_iter().filter(|path| path != key_file) {
            let Some(file) = ChainFile::open(&path)? else { continue };
            if let Some((last, fits)) = file.last(key)? {
                siblings.push(Sibling { file, last, fits });
            }
        }
        Ok(Self(siblings))
    }

    /// The file that ends with the line of this hash.
    pub(super) fn take(&mut self, last: &LineHash) -> Option<ChainFile> {
        let at = self.0.iter().position(|sibling| sibling.last == *last)?;
        Some(self.0.swap_remove(at).file)
    }

    /// The file that no other goes on from, where the log itself is not there. Files of another key's chain
    /// are left out.
    pub(super) fn take_newest(&mut self) -> io::Result<Option<ChainFile>> {
        let mut followed = HashSet::new();
        for sibling in &self.0 {
            followed.extend(sibling.file.follows()?.map(|hash| *hash.as_bytes()));
        }
        let mut ends: Vec<usize> = (0..self.0.len())
            .filter(|&at| self.0[at].fits && !followed.contains(self.0[at].last.as_bytes()))
            .collect();
        // Copies of one file have the same end; of chains that were begun anew, the last that was written.
        let written =
            |at: &usize| self.0[*at].file.file.metadata().and_then(|metadata| metadata.modified()).ok();
        ends.sort_by_key(written);
        Ok(ends.last().map(|&at| self.0.swap_remove(at).file))
    }
}

/// The paths beside a log that may be files of its chain, in order of their names.
pub(super) fn moved_away(log: &Path) -> io::Result<Vec<PathBuf>> {
    let name = log.file_name().unwrap_or_default();
    let folder = folder_of(log);
    let entries = match folder.read_dir() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let other: OsString = entry?.file_name();
        let rest = other.as_bytes().strip_prefix(name.as_bytes());
        if rest.is_some_and(|rest| matches!(rest, [b'.' | b'-', ..])) {
            paths.push(log.with_file_name(other));
        }
    }
    paths.sort();
    Ok(paths)
}

/// The lines of a chain, the newest first, over all its files.
pub(super) struct Back {
    lines: Option<LinesBack>,
    siblings: Siblings,
    /// The last line that was given.
    oldest: Vec<u8>,
}

impl Back {
    /// From the last whole line of `file` on, or from the newest of `siblings` where it has none.
    pub(super) fn new(file: Option<ChainFile>, mut siblings: Siblings) -> io::Result<Self> {
        let file = match file.filter(|file| file.end > 0) {
            Some(file) => Some(file),
            None => siblings.take_newest()?,
        };
        let lines = file.map(|file| LinesBack::new(file.file, file.end));
        Ok(Self { lines, siblings, oldest: Vec::new() })
    }

    /// The file before, if it is here.
    fn turn(&mut self) -> Option<LinesBack> {
        let previous = previous_of(&self.oldest).ok().filter(|previous| *previous != NO_LINE)?;
        let file = self.siblings.take(&previous)?;
        Some(LinesBack::new(file.file, file.end))
    }
}

impl Iterator for Back {
    /// A line without its newline.
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.lines.as_mut()?.next() {
                Some(Ok(line)) => {
                    self.oldest.clone_from(&line);
                    return Some(Ok(line));
                }
                Some(Err(error)) => {
                    self.lines = None;
                    return Some(Err(error));
                }
                None => self.lines = self.turn(),
            }
        }
    }
}

/// The whole lines of one file, the last first.
pub(super) struct LinesBack {
    file: File,
    /// Where `block` begins in the file.
    from: u64,
    /// Lines that were read and not given yet; it ends after a newline.
    block: Vec<u8>,
}

impl LinesBack {
    pub(super) fn new(file: File, end: u64) -> Self {
        Self { file, from: end, block: Vec::new() }
    }

    /// Reads what stands before the block into it.
    fn read_more(&mut self) -> io::Result<()> {
        let size = usize::try_from(self.from).unwrap_or(usize::MAX).min(BLOCK_BYTES);
        let mut block = vec![0; size];
        let from = self.from - length(size);
        self.file.read_exact_at(&mut block, from)?;
        block.append(&mut self.block);
        (self.from, self.block) = (from, block);
        Ok(())
    }
}

impl Iterator for LinesBack {
    /// A line without its newline.
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let text = self.block.strip_suffix(b"\n").unwrap_or(&self.block);
            let start = text.iter().rposition(|&byte| byte == b'\n').map(|at| at + 1);
            if let Some(start) = start.or((self.from == 0 && !self.block.is_empty()).then_some(0)) {
                let line = text[start..].to_vec();
                self.block.truncate(start);
                return Some(Ok(line));
            }
            if self.from == 0 {
                return None;
            }
            if text.len() > LINE_BYTES_MAX {
                self.from = 0;
                self.block.clear();
                return Some(Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a line is longer than any record",
                )));
            }
            if let Err(error) = self.read_more() {
                self.from = 0;
                self.block.clear();
                return Some(Err(error));
            }
        }
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a length in memory fits 64 bits")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn lines_come_back_whole_and_in_order_whatever_their_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let lines: Vec<String> =
            (0..3_000).map(|number| format!("{number}{}", "x".repeat(number % 700))).collect();
        std::fs::write(&path, format!("{}\nhalf", lines.join("\n"))).unwrap();
        let file = ChainFile::open(&path).unwrap().unwrap();
        let back: Vec<_> =
            file.lines_back().unwrap().map(|line| String::from_utf8(line.unwrap()).unwrap()).collect();
        assert!(back.iter().eq(lines.iter().rev()));
        assert_eq!(file.len - file.end, 4);
    }

    #[test]
    fn empty_lines_are_lines_and_an_empty_file_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for (text, expected) in [("", &[][..]), ("\n", &[""]), ("\na\n\n", &["", "a", ""]), ("half", &[])] {
            std::fs::write(&path, text).unwrap();
            let lines = ChainFile::open(&path).unwrap().unwrap().lines_back().unwrap();
            let lines: Vec<_> = lines.map(|line| String::from_utf8(line.unwrap()).unwrap()).collect();
            assert_eq!(lines, expected, "{text:?}");
        }
        assert!(ChainFile::open(folder.path()).unwrap().is_none());
        assert!(ChainFile::open(&folder.path().join("absent")).unwrap().is_none());
    }

    #[test]
    fn a_line_that_is_too_long_is_an_error_and_ends_the_walk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, format!("a\n{}\nb\n", "x".repeat(2 * BLOCK_BYTES))).unwrap();
        let mut lines = ChainFile::open(&path).unwrap().unwrap().lines_back().unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), b"b");
        assert!(lines.next().unwrap().is_err());
        assert!(lines.next().is_none());
    }

    #[test]
    fn what_was_moved_away_is_known_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.jsonl", "a.jsonl.1", "a.jsonl-20261122", "a.jsonl2", "a.key", "b.jsonl.1"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = moved_away(&folder.path().join("a.jsonl")).unwrap();
        assert_eq!(found, ["a.jsonl-20261122", "a.jsonl.1"].map(|name| folder.path().join(name)));
    }
}
