//! The keyed hash that ties each line of the audit log to the one before, and the file that holds its key.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// The keyed BLAKE3 hash of a line without its newline; 64 zeros in hex stand before the first.
pub type LineHash = blake3::Hash;

/// What stands where there is no line before.
pub(super) const NO_LINE: LineHash = LineHash::from_bytes([0; 32]);

/// The key of an audit log's chain.
///
/// Whoever holds it can write a log that verifies, so it is wiped on drop and prints as a placeholder.
#[derive(Clone)]
pub struct ChainKey(Zeroizing<[u8; 32]>);

/// Why a key file gives no key.
#[derive(Debug, thiserror::Error)]
pub enum ChainKeyError {
    /// It cannot be read or made.
    #[error("{doing} key file {}", path.display())]
    Io {
        /// What was attempted: `read`, `make`.
        doing: &'static str,
        /// The key file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Someone else may read it.
    #[error("key file {} can be used by others (mode {mode:04o}); run chmod 600 on it", path.display())]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds something else.
    #[error("key file {} does not hold 32 bytes as 64 digits of hex", path.display())]
    Malformed {
        /// The key file.
        path: PathBuf,
    },
}

/// The longest text of a sound key file, and a byte more so that a longer one shows.
const FILE_BYTES_MAX: u64 = 66;

impl ChainKey {
    /// The key with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads a key file. Returns `None` where there is no file.
    ///
    /// # Errors
    /// [`ChainKeyError`], and `Exposed` before a byte is read.
    pub fn load(path: &Path) -> Result<Option<Self>, ChainKeyError> {
        let failed = |source| ChainKeyError::Io { doing: "read", path: path.to_owned(), source };
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(ChainKeyError::Exposed { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(Vec::new());
        file.take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
        let hex = text.strip_suffix(b"\n").unwrap_or(&text);
        match blake3::Hash::from_hex(hex) {
            Ok(key) => Ok(Some(Self::from_bytes(key.into()))),
            Err(_) => Err(ChainKeyError::Malformed { path: path.to_owned() }),
        }
    }

    /// Makes a key and its file, which appears whole or not at all. The caller holds the lock of the log
    /// that the key is for, so nobody else makes it at the same time.
    pub(super) fn make(path: &Path) -> Result<Self, ChainKeyError> {
        let failed = |source| ChainKeyError::Io { doing: "make", path: path.to_owned(), source };
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| failed(io::Error::other(error)))?;
        let key = Self::from_bytes(bytes);

        let mut half = path.as_os_str().to_owned();
        half.push(".new");
        let half = PathBuf::from(half);
        // A half-made file of a start that was cut short must not lend its permissions to the new one.
        match std::fs::remove_file(&half) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half).map_err(failed)?;
        let text = Zeroizing::new(format!("{}\n", blake3::Hash::from_bytes(*key.0).to_hex()));
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        std::fs::rename(&half, path).map_err(failed)?;
        sync_folder_of(path).map_err(failed)?;
        Ok(key)
    }

    /// The hash of `line`, given without its newline.
    pub fn hash(&self, line: &[u8]) -> LineHash {
        blake3::keyed_hash(&self.0, line)
    }
}

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainKey(…)")
    }
}

/// Makes the name of a new file survive power loss.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// The folder that `path` stands in.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_made_key_is_read_again_and_is_ours_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.key");
        assert!(ChainKey::load(&path).unwrap().is_none());

        let made = ChainKey::make(&path).unwrap();
        let read = ChainKey::load(&path).unwrap().unwrap();
        assert_eq!(made.hash(b"line"), read.hash(b"line"));
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_ne!(ChainKey::make(&folder.path().join("other")).unwrap().hash(b"line"), made.hash(b"line"));
        assert_eq!(format!("{made:?}"), "ChainKey(…)");
    }

    #[test]
    fn a_key_file_that_others_can_use_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.key");
        ChainKey::make(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = ChainKey::load(&path).unwrap_err();
            assert!(matches!(error, ChainKeyError::Exposed { mode: found, .. } if found == mode), "{error}");
        }
    }

    #[test]
    fn a_key_file_with_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.key");
        let zeros = "0".repeat(64);
        for text in ["", "abc", &zeros[1..], &format!("{zeros}\n\n"), &format!("{zeros}0"), &"g".repeat(64)] {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            let error = ChainKey::load(&path).unwrap_err();
            assert!(matches!(error, ChainKeyError::Malformed { .. }), "{text:?}: {error}");
        }
        std::fs::write(&path, &zeros).unwrap();
        assert!(ChainKey::load(&path).unwrap().is_some());
    }
}
