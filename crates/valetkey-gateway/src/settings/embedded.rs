//! The configuration that a first start makes where there is none.
//!
//! Nothing that exists is ever overwritten: every file appears whole under its name or not at all, and a
//! folder that was left half made is completed with the secret that is already there.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::FILE_NAME;
use super::fresh::{fresh_secret, make_folder, write_new};

pub use super::fresh::MakeError;

/// The bucket that is made.
pub const BUCKET: &str = "files";

/// The signer that is made.
pub const SIGNER: &str = "web";

const CONFIGURATION: &str = include_str!("embedded.toml");

/// What was made, to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The configuration file.
    pub config: PathBuf,
    /// The folder beside it.
    pub data: PathBuf,
    /// The secret of the signer `web`.
    pub secret: Found,
}

/// A file that is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It was made.
    Made(PathBuf),
    /// It was there before, and is used as it is.
    Kept(PathBuf),
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "made {}, the configuration: bucket {BUCKET}, signer {SIGNER}", self.config.display())?;
        match &self.secret {
            Found::Made(path) => writeln!(f, "made {}, the signer's secret", path.display())?,
            Found::Kept(path) => writeln!(f, "kept {}, the signer's secret that was there", path.display())?,
        }
        write!(f, "everything that is stored goes into {}", self.data.display())
    }
}

/// Makes a configuration in `dir`, with a data folder and a fresh secret beside it.
///
/// # Errors
/// [`MakeError`] where the configuration exists already, or something cannot be written.
pub fn make(dir: &Path) -> Result<Made, MakeError> {
    let config = dir.join(FILE_NAME);
    if config.symlink_metadata().is_ok() {
        let source = io::Error::from(ErrorKind::AlreadyExists);
        return Err(MakeError { verb: "make", path: config, source });
    }
    let data = dir.join("valetkey-data");
    let signers = data.join("signers");
    for folder in [&data, &signers] {
        make_folder(folder)?;
    }
    let secret = signers.join(format!("{SIGNER}.secret"));
    let made = write_new(&secret, fresh_secret()?.as_bytes(), 0o600)?;
    // The configuration comes last: where it is, all that it names is there too.
    if !write_new(&config, CONFIGURATION.as_bytes(), 0o644)? {
        let source = io::Error::from(ErrorKind::AlreadyExists);
        return Err(MakeError { verb: "write", path: config, source });
    }
    Ok(Made { config, data, secret: if made { Found::Made(secret) } else { Found::Kept(secret) } })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::settings::{Backend, Settings};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn files_below(folder: &Path) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
        }
        files.sort();
        files
    }

    #[test]
    fn what_is_made_loads_without_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let made = make(folder.path()).unwrap();
        let settings = Settings::load(&made.config).unwrap();
        assert_eq!(settings.warnings, Vec::<String>::new());
        assert_eq!(settings.buckets.keys().collect::<Vec<_>>(), [BUCKET]);
        assert_eq!(settings.backends["local"], Backend::Disk { root: made.data.join("objects") });
        let ceiling = &settings.signers[SIGNER].ceiling;
        assert_eq!(ceiling.scopes.as_ref().unwrap().paths()[0].as_str(), "/files/");
        assert_eq!(ceiling.max_lifetime.unwrap().as_secs(), 7 * 86_400);
    }

    #[test]
    fn only_the_owner_can_reach_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let made = make(folder.path()).unwrap();
        let secret = made.data.join("signers/web.secret");
        assert_eq!(made.secret, Found::Made(secret.clone()));
        assert_eq!(
            (mode(&made.data), mode(&made.data.join("signers")), mode(&secret)),
            (0o700, 0o700, 0o600)
        );
        let text = fs::read_to_string(&secret).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(text.trim_end()).unwrap().len(), 32);
        assert!(!made.to_string().contains(text.trim_end()));
        assert_eq!(files_below(folder.path()), [secret, made.config], "no draft is left behind");
    }

    #[test]
    fn a_configuration_that_is_there_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let made = make(folder.path()).unwrap();
        fs::write(&made.config, "mine").unwrap();
        let error = make(folder.path()).unwrap_err();
        assert_eq!(error.source.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&made.config).unwrap(), "mine");
    }

    #[test]
    fn a_link_to_nowhere_counts_as_a_configuration() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join(FILE_NAME)).unwrap();
        assert!(make(folder.path()).is_err());
        assert!(!folder.path().join("nowhere").exists());
    }

    #[test]
    fn a_half_made_folder_keeps_its_secret() {
        let folder = tempfile::tempdir().unwrap();
        let made = make(folder.path()).unwrap();
        let secret = made.data.join("signers/web.secret");
        let before = fs::read(&secret).unwrap();
        fs::remove_file(&made.config).unwrap();
        let again = make(folder.path()).unwrap();
        assert_eq!(again.secret, Found::Kept(secret.clone()));
        assert_eq!(fs::read(&secret).unwrap(), before);
        assert!(again.to_string().contains("kept"));
        Settings::load(&again.config).unwrap();
    }

    #[test]
    fn two_folders_have_two_secrets() {
        let secret = || {
            let folder = tempfile::tempdir().unwrap();
            fs::read(make(folder.path()).unwrap().data.join("signers/web.secret")).unwrap()
        };
        assert_ne!(secret(), secret());
    }

    #[test]
    fn a_file_in_the_folders_place_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("valetkey-data"), "").unwrap();
        let error = make(folder.path()).unwrap_err();
        assert!(error.to_string().contains("valetkey-data"), "{error}");
    }
}
