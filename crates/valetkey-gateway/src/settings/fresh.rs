//! Files that appear whole under their name or not at all.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// Why a file or folder could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{verb} {}", .path.display())]
pub struct MakeError {
    pub(super) verb: &'static str,
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

/// A secret of 32 random bytes, as text.
pub(crate) fn fresh_secret() -> Result<Zeroizing<String>, MakeError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(|error| MakeError {
        verb: "read random bytes from",
        path: "the system".into(),
        source: error.into(),
    })?;
    let mut text = Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes));
    text.push('\n');
    Ok(text)
}

/// Makes a folder of the owner's alone, where there is none.
pub(crate) fn make_folder(folder: &Path) -> Result<(), MakeError> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made.map_err(|source| MakeError { verb: "make", path: folder.to_owned(), source }),
    }
}

/// Writes a file that is not there yet, and says whether it was not.
///
/// It is written under another name and linked to its own: a crash leaves all of it or nothing, and what
/// another process put there in the meantime stays.
pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<bool, MakeError> {
    link_new(path, bytes, mode).map_err(|source| MakeError { verb: "write", path: path.to_owned(), source })
}

fn link_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<bool> {
    let draft = draft_of(path)?;
    let linked = write_draft(&draft, bytes, mode).and_then(|()| std::fs::hard_link(&draft, path));
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match linked {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        linked => {
            linked?;
            sync_folder_of(path)?;
            Ok(true)
        }
    }
}

/// A name beside `path` that nobody has.
fn draft_of(path: &Path) -> io::Result<PathBuf> {
    let mut suffix = [0; 8];
    getrandom::fill(&mut suffix).map_err(io::Error::from)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}.new", u64::from_ne_bytes(suffix)));
    Ok(path.with_file_name(name))
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn write_draft(draft: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(draft)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Puts `text` in the place of the file at `path`, which still says `before`. Its mode and owner stay, and a
/// link goes on leading to it.
pub(crate) fn replace(path: &Path, before: &str, text: &str) -> Result<(), MakeError> {
    let replaced = || {
        let path = path.canonicalize()?;
        let metadata = path.metadata()?;
        let draft = draft_of(&path)?;
        let renamed = write_draft(&draft, text.as_bytes(), 0o600).and_then(|()| {
            std::os::unix::fs::chown(&draft, Some(metadata.uid()), Some(metadata.gid()))?;
            std::fs::set_permissions(&draft, Permissions::from_mode(metadata.mode() & 0o7777))?;
            if std::fs::read(&path)? != before.as_bytes() {
                return Err(io::Error::other("it was edited meanwhile"));
            }
            std::fs::rename(&draft, &path)
        });
        if renamed.is_err() {
            // What is left of it says why it is there; the error that counts is the first.
            let _ = std::fs::remove_file(&draft);
        }
        renamed?;
        sync_folder_of(&path)
    };
    replaced().map_err(|source| MakeError { verb: "replace", path: path.to_owned(), source })
}
