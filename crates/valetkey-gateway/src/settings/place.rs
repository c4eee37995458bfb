//! Where things lie on the disk, and whether one lies within another.

use std::path::{Component, Path, PathBuf};

/// The path with its links followed as far as it exists, so that two spellings of one place compare equal.
pub(super) fn resolve(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                resolved.pop();
            }
            component => resolved.push(component),
        }
        if let Ok(real) = resolved.canonicalize() {
            resolved = real;
        }
    }
    resolved
}

/// Whether one place is the other or lies within it, by whole segments.
pub(super) fn overlap(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// What is wrong with a bucket's prefix: empty, or folders each with a slash at its end.
pub(super) fn check_prefix(prefix: &str) -> Result<(), String> {
    if prefix.is_empty() {
        return Ok(());
    }
    let Some(folders) = prefix.strip_suffix('/') else {
        return Err(format!("prefix {prefix:?} must end in a slash; write {:?}", format!("{prefix}/")));
    };
    let sound = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.len() <= 255
            && !segment.starts_with(".valetkey-")
            && !segment.chars().any(char::is_control)
    };
    if prefix.len() > 512 || !folders.split('/').all(sound) {
        return Err(format!(
            "prefix {prefix:?} must be empty or folders as \"a/b/\", without a leading slash and with no \
             empty, . or .. segment, none over 255 bytes, none that begins with .valetkey-"
        ));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_link_and_its_target_are_one_place() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        std::fs::create_dir(&real).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(resolve(&link.join("not/yet")), resolve(&real).join("not/yet"));
        assert_eq!(resolve(&link.join("not/../yet/./x")), resolve(&real).join("yet/x"));
    }

    #[test]
    fn places_overlap_by_whole_segments() {
        let check = |one: &str, other: &str| overlap(Path::new(one), Path::new(other));
        assert!(check("/a/b", "/a/b") && check("/a", "/a/b") && check("/a/b", "/a"));
        assert!(!check("/a/b", "/a/bc") && !check("/a/b", "/a/c"));
    }

    #[test]
    fn a_prefix_is_empty_or_folders() {
        for prefix in ["", "a/", "a/b/", ".hidden/", "ä/"] {
            assert_eq!(check_prefix(prefix), Ok(()), "{prefix}");
        }
        for prefix in ["a", "/", "/a/", "a//b/", "../", "a/./", "a/../b/", ".valetkey-x/", "a\n/"] {
            assert!(check_prefix(prefix).is_err(), "{prefix}");
        }
        assert!(check_prefix(&format!("{}/", "a".repeat(256))).is_err());
        assert!(check_prefix("a").unwrap_err().contains("write \"a/\""));
    }
}
