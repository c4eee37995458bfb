//! What a root's file system can do, found out once at the start by doing it.

use std::path::Path;

use rustix::fs::{AtFlags, RenameFlags, XattrFlags, fsetxattr, renameat, renameat_with, statat, unlinkat};
use rustix::io::Errno;

use super::temporary::{Temporary, TemporaryFolder};
use super::{OpenError, attributes};

/// What a root's file system and the kernel offer.
///
/// Each has a substitute and none is needed to serve, so this is for the operator to read. Of a root
/// that cannot be written to, the others are assumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether objects can be uploaded at all.
    pub writable: bool,
    /// Whether an object keeps its type, its headers and its digest. Without, it is a plain file.
    pub attributes: bool,
    /// Whether a create is one rename. Without, it is a link and the removal of the other name.
    pub rename_noreplace: bool,
}

/// Clears what a crash left in the temporary folder, and tries things out there.
///
/// # Errors
/// [`OpenError::FoldsNames`], and what else is wrong with `root` than that it cannot be written to.
pub(super) fn probe(temporary: &TemporaryFolder, root: &Path) -> Result<Capabilities, OpenError> {
    match temporary.clear().and_then(|()| temporary.make()) {
        Ok(file) => try_out(file, root),
        // A full disk is one that cannot be written to now, and is again when space returns.
        Err(Errno::ROFS | Errno::ACCESS | Errno::PERM | Errno::NOSPC | Errno::DQUOT) => {
            Ok(Capabilities { writable: false, attributes: true, rename_noreplace: true })
        }
        Err(errno) => Err(OpenError::Io {
            attempt: "make temporary file in",
            path: root.to_owned(),
            source: errno.into(),
        }),
    }
}

fn try_out(mut file: Temporary, root: &Path) -> Result<Capabilities, OpenError> {
    let failed =
        |attempt| move |errno: Errno| OpenError::Io { attempt, path: root.to_owned(), source: errno.into() };
    let kept = fsetxattr(file.file(), attributes::ATTRIBUTE, b"probe", XattrFlags::empty());
    let folder = file.folder();
    let name = file.name();
    // An accent has two spellings, and our names are in lower case.
    let composed = format!("{name}-\u{e9}");
    let rename_noreplace = renameat_with(folder, name, folder, &composed, RenameFlags::NOREPLACE).is_ok();
    if !rename_noreplace {
        renameat(folder, name, folder, &composed).map_err(failed("rename in"))?;
    }
    let folds = [format!("{name}-e\u{301}"), format!("{}-\u{e9}", name.to_uppercase())]
        .iter()
        .any(|other| statat(folder, other, AtFlags::SYMLINK_NOFOLLOW).is_ok());
    unlinkat(folder, &composed, AtFlags::empty()).map_err(failed("remove from"))?;
    file.moved_away();
    if folds {
        return Err(OpenError::FoldsNames { path: root.to_owned() });
    }
    Ok(Capabilities { writable: true, attributes: kept != Err(Errno::OPNOTSUPP), rename_noreplace })
}
