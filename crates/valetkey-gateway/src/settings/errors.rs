//! What is wrong with a configuration, each fault with its file and line.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Seen;

/// One fault of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// The configuration file, as the operator named it.
    pub file: PathBuf,
    /// The line, from 1; `None` where the fault is the file itself.
    pub line: Option<usize>,
    /// The fact, and what to write instead. It never has a secret in it.
    pub message: String,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.message)
    }
}

/// All faults of a configuration, in the order of their lines; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsErrors(Vec<SettingsError>);

impl SettingsErrors {
    /// A fault of the file as a whole.
    pub(super) fn of_file(file: &Path, message: String) -> Self {
        Self(vec![SettingsError { file: file.to_owned(), line: None, message }])
    }

    /// The faults.
    pub fn iter(&self) -> impl Iterator<Item = &SettingsError> {
        self.0.iter()
    }
}

impl fmt::Display for SettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            fmt::Display::fmt(error, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsErrors {}

/// Where in the file something stands: the offset of its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(pub(super) usize);

/// Collects what is found while a configuration is read.
#[derive(Debug, Default)]
pub(super) struct Findings {
    faults: Vec<(Position, String)>,
    warnings: Vec<String>,
    seen: Seen,
}

impl Findings {
    /// Notes a file that the configuration is read from, before it is read: when it changes, all is read again.
    pub(super) fn read_from(&mut self, path: &Path) {
        self.seen.note(path);
    }

    /// The files that were noted.
    pub(super) fn seen(&self) -> Seen {
        self.seen.clone()
    }

    /// Notes a fault; the configuration will not be taken.
    pub(super) fn fault(&mut self, at: Position, message: impl Into<String>) {
        self.faults.push((at, message.into()));
    }

    /// Notes what an operator should know of a configuration that is taken.
    pub(super) fn warn(&mut self, message: impl Into<String>) {
        self.warnings.push(message.into());
    }

    /// The warnings, or the faults with their lines in `text`.
    pub(super) fn conclude(mut self, file: &Path, text: &str) -> Result<Vec<String>, SettingsErrors> {
        if self.faults.is_empty() {
            return Ok(self.warnings);
        }
        self.faults.sort_by_key(|(at, _)| *at);
        let error = |(at, message): (Position, String)| SettingsError {
            file: file.to_owned(),
            line: Some(line_of(text, at)),
            message,
        };
        Err(SettingsErrors(self.faults.into_iter().map(error).collect()))
    }
}

fn line_of(text: &str, at: Position) -> usize {
    1 + text.bytes().take(at.0).filter(|byte| *byte == b'\n').count()
}
