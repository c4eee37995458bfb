//! Whether the files of a configuration are still as they were when they were read.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Settings, SettingsErrors};

/// A configuration file and all files that it names, looked at again and again.
///
/// What nobody has asked for is read only once two looks found it the same, so that a file is not taken while
/// an editor is still writing it: one that lacks its last lines may well be sound, and lack a limit.
#[derive(Debug)]
pub struct Watch {
    config: PathBuf,
    seen: Seen,
    /// What a change looked like at the last look.
    noticed: Option<Seen>,
}

impl Watch {
    /// Reads the configuration at `config`, and watches it from then on.
    pub fn begin(config: &Path) -> (Self, Result<Settings, SettingsErrors>) {
        let (settings, seen) = Settings::read(config);
        (Self { config: config.to_owned(), seen, noticed: None }, settings)
    }

    /// The configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Looks whether anything changed, and reads it again once it has come to rest.
    pub fn look(&mut self) -> Option<Result<Settings, SettingsErrors>> {
        let now = self.seen.again();
        if now == self.seen {
            self.noticed = None;
            return None;
        }
        if self.noticed.as_ref() == Some(&now) {
            return self.read();
        }
        self.noticed = Some(now);
        None
    }

    /// Reads the configuration whether or not it changed; `None` where it changed meanwhile, so that its files
    /// may not belong together. The next looks find that.
    pub fn read(&mut self) -> Option<Result<Settings, SettingsErrors>> {
        let (settings, seen) = Settings::read(&self.config);
        if seen.again() != seen {
            return None;
        }
        (self.seen, self.noticed) = (seen, None);
        Some(settings)
    }
}

/// Files, as they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen(Vec<(PathBuf, Option<Stamp>)>);

/// What changes when a file is written, replaced, or opened to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size_bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Seen {
    /// Notes a file as it is now, to be called before it is read. One that is not there is noted too.
    pub(crate) fn note(&mut self, path: &Path) {
        self.0.push((path.to_owned(), Stamp::of(path)));
    }

    /// The same files as they are now.
    pub(crate) fn again(&self) -> Self {
        Self(self.0.iter().map(|(path, _)| (path.clone(), Stamp::of(path))).collect())
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = path.metadata().ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size_bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::embedded;
    use super::*;

    /// A folder with the configuration of a first start, watched.
    fn watched() -> (tempfile::TempDir, Watch) {
        let folder = tempfile::tempdir().unwrap();
        let made = embedded::make(folder.path()).unwrap();
        let (watch, settings) = Watch::begin(&made.config);
        settings.unwrap();
        (folder, watch)
    }

    fn edit(folder: &tempfile::TempDir, more: &str) {
        let path = folder.path().join("valetkey.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text + more).unwrap();
    }

    #[test]
    fn what_did_not_change_is_not_read() {
        let (_folder, mut watch) = watched();
        assert!(watch.look().is_none() && watch.look().is_none());
        assert!(watch.read().unwrap().is_ok(), "unless it is asked for");
    }

    #[test]
    fn a_change_is_read_once_it_has_come_to_rest() {
        let (folder, mut watch) = watched();
        edit(&folder, "[policies.a]\n");
        assert!(watch.look().is_none());
        edit(&folder, "[policies.b]\n");
        assert!(watch.look().is_none(), "it changed again");
        let settings = watch.look().unwrap().unwrap();
        assert_eq!(settings.policies.len(), 2);
        assert!(watch.look().is_none() && watch.look().is_none());
    }

    #[test]
    fn a_replaced_file_is_a_change() {
        let (folder, mut watch) = watched();
        let text = fs::read_to_string(watch.config()).unwrap();
        fs::write(folder.path().join("new"), text + "[policies.a]\n").unwrap();
        fs::rename(folder.path().join("new"), watch.config()).unwrap();
        assert!(watch.look().is_none());
        assert_eq!(watch.look().unwrap().unwrap().policies.len(), 1);
    }

    #[test]
    fn a_secret_is_watched_too_also_before_it_is_there() {
        let (folder, mut watch) = watched();
        edit(&folder, "[signers.app]\nsecret_file = \"app.secret\"\n");
        assert!(watch.look().is_none());
        assert!(watch.look().unwrap().unwrap_err().to_string().contains("app.secret"));
        let secret = folder.path().join("app.secret");
        fs::write(&secret, "0123456789abcdef").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(watch.look().is_none());
        assert!(watch.look().unwrap().unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(watch.look().is_none());
        assert_eq!(watch.look().unwrap().unwrap().signers.len(), 2);
    }
}
