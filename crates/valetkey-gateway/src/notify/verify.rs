//! Whether an audit log is what the gateway wrote.

use std::io::{self, BufRead, Read as _};

use super::chain::{ChainKey, LineHash, NO_LINE};
use super::record::{LINE_BYTES_MAX, NotARecord, previous_of};

/// A log whose chain holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many records it has.
    pub lines: u64,
    /// The hash of the last one, which the next would carry. Only whoever remembers it can tell that
    /// nothing was cut from the end, and that the last line itself was not changed.
    pub last: LineHash,
}

/// A log whose chain does not hold.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct Broken {
    /// The first line that does not follow from those before, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    #[source]
    pub why: Break,
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum Break {
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

/// Follows the chain of a whole log from its first line, holding one line at a time.
///
/// # Errors
/// [`Broken`], at the first line that does not fit. A change to a line shows at the line after it.
pub fn verify(reader: impl BufRead, key: &ChainKey) -> Result<Verified, Broken> {
    let mut reader = reader;
    let mut verified = Verified { lines: 0, last: NO_LINE };
    let mut line = Vec::new();
    loop {
        let broken = |why| Broken { line: verified.lines + 1, why };
        if !read_line(&mut reader, &mut line).map_err(broken)? {
            return Ok(verified);
        }
        let previous = previous_of(&line).map_err(|error| broken(error.into()))?;
        if previous != verified.last {
            return Err(broken(Break::Chain));
        }
        verified = Verified { lines: verified.lines + 1, last: key.hash(&line) };
    }
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
        let found =
            found.map(|verified| verified.lines).map_err(|broken| (broken.line, broken.why.to_string()));
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
        let verified = verify(lines.concat().as_bytes(), &key()).unwrap();
        assert_eq!(verified.last, key().hash(lines[2].trim_end().as_bytes()));
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
