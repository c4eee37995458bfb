//! Names of objects that a file system can hold faithfully.
//!
//! A name and its path are the same text, so two names never reach the same file. What a path would
//! read otherwise (`.`, `..`, an empty segment, a NUL) is refused before any system call, and so is
//! what could reach our own files.
//!
//! A name that ends in `/` is that of a folder's marker, an object without content that some clients make. It is kept
//! as a file of ours in the folder, so that it has attributes, and the folder stays while it is there.

use std::borrow::Cow;

use super::StoreError;

/// How every name of ours begins. No object's segment may.
pub(super) const RESERVED_START: &str = ".valetkey-";

/// The file that stands for the marker of the folder it is in.
pub(super) const MARKER: &str = ".valetkey-folder";

/// What Linux file systems take for one segment, in bytes.
const SEGMENT_BYTES_MAX: usize = 255;

/// What an object's name may hold in all, in bytes. Far below PATH_MAX, so that a path that is
/// relative to its bucket always fits into one system call.
pub(super) const NAME_BYTES_MAX: usize = 1024;

/// Whether a folder may have this name, which ends in `/`; the bucket's own is empty.
pub fn is_folder_name(text: &str) -> bool {
    text.is_empty() || text.strip_suffix('/').is_some_and(is_path)
}

/// Whether this is a relative path of one or more plain segments, and not too long.
pub(super) fn is_path(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX && text.split('/').all(is_plain)
}

/// The relative path of an object's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name<'a>(Cow<'a, str>);

impl<'a> Name<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, StoreError> {
        match text.strip_suffix('/') {
            None if is_path(text) => Ok(Self(Cow::Borrowed(text))),
            Some(folder) if is_path(folder) => Ok(Self(Cow::Owned(format!("{folder}/{MARKER}")))),
            _ => Err(StoreError::BadName),
        }
    }

    /// The path of its file.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// The path of the folder it stands in: empty for the bucket's own.
    pub(super) fn parent(&self) -> &str {
        split_last(&self.0).0
    }

    /// The last segment.
    pub(super) fn leaf(&self) -> &str {
        split_last(&self.0).1
    }
}

/// Splits a path into its folder's path, which may be empty, and its last segment.
pub(super) fn split_last(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The path of each folder on the way to `path`, itself included: `a`, `a/b`, `a/b/c`.
pub(super) fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at]).chain((!path.is_empty()).then_some(path))
}

/// Whether this may be one segment of a name.
pub(super) fn is_plain(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && segment.len() <= SEGMENT_BYTES_MAX
        && !segment.starts_with(RESERVED_START)
        && !segment.contains('\0')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn check(text: &str, plain: bool) {
        assert_eq!(Name::parse(text).is_ok(), plain, "{text:?}");
    }

    #[test]
    fn a_path_that_would_be_read_otherwise_is_refused() {
        for text in [
            "",
            "/",
            "/a",
            "a//",
            "a//b",
            "../",
            ".valetkey-x/",
            ".",
            "..",
            "a/../b",
            "a/./b",
            "a\0b",
            "../a",
        ] {
            check(text, false);
        }
        for text in ["a", "a/b", "...", "..a", "a..", ".a", " ", "a\\b", "é", "CON", "a:b", "a."] {
            check(text, true);
        }
    }

    #[test]
    fn a_name_that_ends_in_a_slash_is_a_file_of_ours() {
        let name = Name::parse("a/b/").unwrap();
        assert_eq!((name.text(), name.parent(), name.leaf()), ("a/b/.valetkey-folder", "a/b", MARKER));
        check("a/.valetkey-folder", false);
        for (text, is_folder) in [("", true), ("a/", true), ("a/b/", true), ("a", false), ("a//", false)] {
            assert_eq!(is_folder_name(text), is_folder, "{text:?}");
        }
    }

    #[test]
    fn our_own_names_are_refused_in_every_segment() {
        check(".valetkey-tmp", false);
        check(".valetkey-", false);
        check("a/.valetkey-x/b", false);
        check("a/b/.valetkey-x", false);
        check(".valetkey", true);
        check("a.valetkey-tmp", true);
    }

    #[test]
    fn a_segment_of_255_bytes_is_the_longest() {
        check(&"s".repeat(255), true);
        check(&"s".repeat(256), false);
        check(&format!("a/{}/b", "é".repeat(127)), true);
        check(&format!("a/{}/b", "é".repeat(128)), false);
    }

    #[test]
    fn a_name_of_1024_bytes_is_the_longest() {
        let name = "d/".repeat(511);
        check(&format!("{name}12"), true);
        check(&format!("{name}123"), false);
    }

    #[test]
    fn a_name_splits_into_its_folder_and_its_leaf() {
        let name = Name::parse("a/b/c").unwrap();
        assert_eq!((name.parent(), name.leaf()), ("a/b", "c"));
        let name = Name::parse("c").unwrap();
        assert_eq!((name.parent(), name.leaf()), ("", "c"));
    }

    #[test]
    fn steps_lead_from_the_first_folder_to_the_last() {
        assert_eq!(steps("a/b/c").collect::<Vec<_>>(), ["a", "a/b", "a/b/c"]);
        assert_eq!(steps("a").collect::<Vec<_>>(), ["a"]);
        assert_eq!(steps("").count(), 0);
    }
}
