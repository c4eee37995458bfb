//! Whether an audit log is what the gateway wrote.

use std::fs::TryLockError;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use super::chain::{ChainKey, LineHash, NO_LINE};
use super::files::{ChainFile, Siblings};
use super::journal::Head;
use super::log_file::is_rotated;
use super::record::{LINE_BYTES_MAX, NotARecord, previous_of};
use crate::settings;

/// A file in which the chain does not hold.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {why}")]
pub(super) struct Broken {
    /// The first line that does not follow from those before, counted from 1.
    line: u64,
    /// What is wrong with it.
    #[source]
    why: Break,
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub(super) enum Break {
    /// The line before it is not the one after which it was written.
    #[error("the line before was changed, left out or put in, or the key is another log's")]
    Chain,
    /// It is no record.
    #[error("{0}")]
    Record(#[from] NotARecord),
    /// It does not end.
    #[error("it is half-written")]
    HalfWritten,
    /// It is longer than any record.
    #[error("it is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// It cannot be read.
    #[error("it cannot be read")]
    Io(#[from] io::Error),
}

/// Follows a chain through its files, the oldest first, holding one line at a time.
pub(super) struct Walk<'a> {
    key: &'a ChainKey,
    /// The hash of the last line, which the next must carry.
    last: LineHash,
    lines: u64,
    sought: Option<LineHash>,
    /// Which line has the hash that is sought, counted from 1 over all files.
    found: Option<u64>,
}

impl<'a> Walk<'a> {
    /// Begins after the line of the hash `after`.
    pub(super) fn new(key: &'a ChainKey, after: LineHash, sought: Option<LineHash>) -> Self {
        Self { key, last: after, lines: 0, sought, found: None }
    }

    /// Follows the chain through one file. Returns how many records it has.
    ///
    /// # Errors
    /// [`Broken`], at the first line that does not fit. A change to a line shows at the line after it.
    pub(super) fn through(&mut self, reader: impl BufRead) -> Result<u64, Broken> {
        let mut reader = reader;
        let mut line = Vec::new();
        let before = self.lines;
        loop {
            let at = self.lines - before + 1;
            let broken = |why| Broken { line: at, why };
            if !read_line(&mut reader, &mut line).map_err(broken)? {
                return Ok(self.lines - before);
            }
            let previous = previous_of(&line).map_err(|error| broken(error.into()))?;
            if previous != self.last {
                return Err(broken(Break::Chain));
            }
            self.last = self.key.hash(&line);
            self.lines += 1;
            if self.sought == Some(self.last) {
                self.found = Some(self.lines);
            }
        }
    }
}

/// What a look through a log found.
#[derive(Clone, Debug)]
pub struct Verified {
    /// How many sound records it has, up to the first that is not.
    pub records: u64,
    /// The hash of the last of them, which the next carries.
    pub last: LineHash,
    /// The files, the oldest first, and how many sound records each has.
    pub files: Vec<(PathBuf, u64)>,
    /// The first thing that is wrong.
    pub fault: Option<Fault>,
    /// What else there is to say.
    pub notes: Vec<String>,
}

/// What is wrong with a log, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// In which file.
    pub file: PathBuf,
    /// The first line that does not fit, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
}

/// Why a log could not be looked through.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is none.
    #[error("there is no audit log {}", .0.display())]
    Missing(PathBuf),
    /// A file or the folder cannot be read.
    #[error("read audit log {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
}

/// Verifies a whole log, over all its files, against the newest record that the ledger knows of.
///
/// # Errors
/// Where it cannot be read; what is wrong with it is no error but a [`Fault`].
pub fn verify_log(
    settings: &settings::Audit,
    key: &ChainKey,
    known: Option<Head>,
) -> Result<Verified, VerifyError> {
    let path = &settings.path;
    let known = known.filter(|known| *known != Head::NONE);
    let failed = |error| VerifyError::Read(path.clone(), error);
    let current = ChainFile::open(path).map_err(failed)?;
    let mut siblings = Siblings::of(path, &settings.key_file, key).map_err(failed)?;
    let mut files: Vec<ChainFile> = current.into_iter().collect();
    if files.first().is_none_or(|file| file.len == 0)
        && let Some(newest) = siblings.take_newest().map_err(failed)?
    {
        files.insert(0, newest);
    }
    let Some(mut oldest) = files.first() else { return Err(VerifyError::Missing(path.clone())) };
    let mut after = NO_LINE;
    while let Some(previous) = oldest.follows().map_err(failed)?.filter(|hash| *hash != NO_LINE) {
        let Some(before) = siblings.take(&previous) else {
            after = previous;
            break;
        };
        files.insert(0, before);
        oldest = &files[0];
    }
    let begins = after == NO_LINE;
    let rotated = files.iter().filter(|file| is_rotated(path, &file.path)).count();
    let mut verified = walk(files, key, after, known.map(|head| head.hash));
    let (found, records) = (verified.found, verified.report.records);
    let report = &mut verified.report;
    if !begins {
        let may_lack = settings.keep.is_some_and(|keep| rotated >= usize::from(keep));
        let first = report.files.first().map_or_else(|| path.clone(), |(path, _)| path.clone());
        let why = "it follows a record that is in none of the files beside it";
        match may_lack {
            true => {
                report.notes.push(format!("older records than those of {} were let go of", first.display()))
            }
            false => report.fault = Some(Fault { file: first, line: 1, why: why.into() }),
        }
    }
    let (Some(known), None) = (known, &report.fault) else { return Ok(verified.report) };
    let (file, in_file) = report.files.last().cloned().unwrap_or_else(|| (path.clone(), 0));
    let why = match found {
        Some(at) if begins && at != known.records => {
            format!("record {at} is number {} in the ledger", known.records)
        }
        Some(_) => return Ok(verified.report),
        None if begins && records < known.records => format!(
            "the log ends after {records} records; the ledger knows of {}, so the last {} are missing",
            known.records,
            known.records - records
        ),
        None if begins && records == known.records => {
            // No line follows it, so nothing else tells that it is not the one that was written.
            let why = "it was changed: the ledger knows another as its newest record".into();
            report.fault = Some(Fault { file, line: in_file, why });
            return Ok(verified.report);
        }
        None => format!("the newest record that the ledger knows of, number {}, is not here", known.records),
    };
    report.fault = Some(Fault { file, line: in_file + 1, why });
    Ok(verified.report)
}

/// Verifies one file of a chain. Its first line must follow `after`, or where that is not given be the first
/// of the chain or follow from a file beside it.
///
/// # Errors
/// As [`verify_log`].
pub fn verify_file(
    path: &Path,
    settings: &settings::Audit,
    key: &ChainKey,
    after: Option<LineHash>,
) -> Result<Verified, VerifyError> {
    let failed = |error| VerifyError::Read(path.to_owned(), error);
    let file = ChainFile::open(path).map_err(failed)?.ok_or_else(|| VerifyError::Missing(path.to_owned()))?;
    let follows = file.follows().map_err(failed)?.unwrap_or(NO_LINE);
    let mut is_here = true;
    let after = match after {
        Some(after) => after,
        None if follows == NO_LINE => NO_LINE,
        None => {
            let log = log_of(path, &settings.path);
            is_here = Siblings::of(&log, &settings.key_file, key).map_err(failed)?.take(&follows).is_some();
            follows
        }
    };
    let mut report = walk(vec![file], key, after, None).report;
    if !is_here {
        let why = "it follows a record that is in none of the files beside it; say with --after which it must \
                   follow";
        report.fault = Some(Fault { file: path.to_owned(), line: 1, why: why.into() });
    }
    Ok(report)
}

/// The log that `file` was moved away from, in the folder where it is now.
fn log_of(file: &Path, log: &Path) -> PathBuf {
    let names = (file.file_name().unwrap_or_default(), log.file_name().unwrap_or_default());
    match names.0.as_encoded_bytes().starts_with(names.1.as_encoded_bytes()) {
        true => file.with_file_name(names.1),
        false => file.to_owned(),
    }
}

struct Walked {
    report: Verified,
    found: Option<u64>,
}

fn walk(files: Vec<ChainFile>, key: &ChainKey, after: LineHash, sought: Option<LineHash>) -> Walked {
    let mut walk = Walk::new(key, after, sought);
    let mut report = Verified { records: 0, last: after, files: Vec::new(), fault: None, notes: Vec::new() };
    for ChainFile { path, file, end, len } in files {
        let before = walk.lines;
        // Where a gateway is writing, what is half-written is on its way.
        let is_written = end < len && matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        if is_written {
            report.notes.push(format!("the last line of {} is being written", path.display()));
        }
        let broken = walk.through(BufReader::new(file.take(if is_written { end } else { len }))).err();
        report.files.push((path.clone(), walk.lines - before));
        if let Some(broken) = broken {
            report.fault = Some(Fault { file: path, line: broken.line, why: broken.why.to_string() });
            break;
        }
    }
    (report.records, report.last) = (walk.lines, walk.last);
    Walked { report, found: walk.found }
}

/// Reads the next line into `line`, without its newline. Returns whether there was one.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> Result<bool, Break> {
    line.clear();
    let bytes_max = u64::try_from(LINE_BYTES_MAX).expect("a line's length fits");
    reader.by_ref().take(bytes_max).read_until(b'\n', line)?;
    match line.pop() {
        None => Ok(false),
        Some(b'\n') => Ok(true),
        Some(_) if line.len() + 1 == LINE_BYTES_MAX => Err(Break::TooLong),
        Some(_) => Err(Break::HalfWritten),
    }
}

/// Verifies a whole log of one file. Returns how many records it has, and the hash of the last.
#[cfg(test)]
pub(super) fn verify(reader: impl BufRead, key: &ChainKey) -> Result<(u64, LineHash), Broken> {
    let mut walk = Walk::new(key, NO_LINE, None);
    walk.through(reader).map(|lines| (lines, walk.last))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::notify::Receipt;
    use valetkey::Timestamp;

    fn key() -> ChainKey {
        ChainKey::from_bytes([7; 32])
    }

    fn log(records: i64) -> Vec<String> {
        let mut previous = NO_LINE;
        let write = |second| {
            let mut line = String::new();
            Receipt::at(Timestamp::from_unix(second)).write_line(&previous, &mut line);
            previous = key().hash(line.trim_end().as_bytes());
            line
        };
        (0..records).map(write).collect()
    }

    fn check(lines: &[String], expected: Result<u64, (u64, &str)>) {
        let text = lines.concat();
        let found = verify(text.as_bytes(), &key());
        let found = found.map(|(lines, _)| lines).map_err(|broken| (broken.line, broken.why.to_string()));
        match expected {
            Ok(lines) => assert_eq!(found, Ok(lines)),
            Err((line, why)) => {
                let (found_line, found_why) = found.unwrap_err();
                assert_eq!(found_line, line, "{found_why}");
                assert!(found_why.contains(why), "{found_why}");
            }
        }
    }

    #[test]
    fn a_sound_log_verifies_and_tells_its_end() {
        check(&[], Ok(0));
        check(&log(1), Ok(1));
        check(&log(9), Ok(9));
        let lines = log(3);
        let (_, last) = verify(lines.concat().as_bytes(), &key()).unwrap();
        assert_eq!(last, key().hash(lines[2].trim_end().as_bytes()));
    }

    #[test]
    fn tampering_is_found_at_the_exact_line() {
        let mut changed = log(9);
        changed[4] = changed[4].replace("\"status\":null", "\"status\":200");
        check(&changed, Err((6, "changed")));

        let mut left_out = log(9);
        left_out.remove(4);
        check(&left_out, Err((5, "left out")));

        let mut first_left_out = log(9);
        first_left_out.remove(0);
        check(&first_left_out, Err((1, "left out")));

        let mut swapped = log(9);
        swapped.swap(4, 5);
        check(&swapped, Err((5, "left out")));

        let mut repeated = log(9);
        repeated.insert(4, repeated[4].clone());
        check(&repeated, Err((6, "put in")));
    }

    #[test]
    fn another_logs_key_breaks_at_the_second_line() {
        let text = log(9).concat();
        let broken = verify(text.as_bytes(), &ChainKey::from_bytes([8; 32])).unwrap_err();
        assert!(matches!(broken, Broken { line: 2, why: Break::Chain }), "{broken}");
    }

    #[test]
    fn what_is_no_line_of_ours_is_named() {
        let with = |at, line: &str| {
            let mut lines = log(4);
            lines.insert(at, line.into());
            lines
        };
        check(&with(2, "\n"), Err((3, "not a JSON object")));
        check(&with(2, "# a comment\n"), Err((3, "not a JSON object")));
        check(&with(2, &format!("{}\n", "x".repeat(LINE_BYTES_MAX))), Err((3, "longer than")));
        check(&with(4, "{\"time\":\"20"), Err((5, "half-written")));
    }
}
