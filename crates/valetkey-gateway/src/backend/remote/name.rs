//! Names of objects, as the store has them.

use object_store::path::Path;

use super::{Kind, Remote};
use crate::backend::StoreError;

/// How long a name may be in any of the stores, in bytes, with the prefix.
pub(super) const NAME_BYTES_MAX: usize = 1024;

/// How long a segment of it may be where the store has folders, in bytes.
pub(super) const FILE_NAME_BYTES_MAX: usize = 255;

impl Remote {
    /// The store's name of an object.
    ///
    /// # Errors
    /// [`StoreError::BadName`] for one that the store cannot hold faithfully.
    pub(super) fn path(&self, name: &str) -> Result<Path, StoreError> {
        let whole = format!("{}{name}", self.prefix);
        if whole.len() > NAME_BYTES_MAX || !self.service.kind.holds(&whole) {
            return Err(StoreError::BadName);
        }
        // It takes no object of such a name, but it does begin an upload of one in parts.
        if self.service.lists_by_folder() && whole.split('/').any(|name| name.len() > FILE_NAME_BYTES_MAX) {
            return Err(StoreError::BadName);
        }
        let path = Path::parse(&whole).map_err(|_| StoreError::BadName)?;
        // What is changed on the way is another name.
        if path.as_ref() == whole { Ok(path) } else { Err(StoreError::BadName) }
    }

    /// Asks whether the store can hold an object of this name.
    ///
    /// # Errors
    /// As [`Remote::path`].
    pub(crate) fn check_name(&self, name: &str) -> Result<(), StoreError> {
        self.path(name).map(drop)
    }

    /// The bucket's name of what the store has at `path`.
    pub(super) fn name<'a>(&self, path: &'a Path) -> Option<&'a str> {
        path.as_ref().strip_prefix(&*self.prefix)
    }
}

impl Kind {
    /// Whether such a store keeps a name apart from all others, and as it is.
    ///
    /// Some stores that speak S3 read `\` as `/`, so that it would lead out of a folder; which ones, nobody tells us.
    /// Azure does too, and drops dots at the ends of segments, of which it takes at most 254
    /// ([naming](https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata));
    /// Google keeps `.well-known/acme-challenge/` to itself
    /// ([naming](https://cloud.google.com/storage/docs/objects#naming)).
    fn holds(self, name: &str) -> bool {
        match self {
            Self::S3 => !name.contains('\\'),
            Self::Azure => {
                let segments = name.split('/');
                !name.contains('\\')
                    && segments.clone().count() <= 254
                    && !segments.into_iter().any(|s| s.ends_with('.'))
            }
            Self::Gcs => !name.starts_with(".well-known/acme-challenge/"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_store_changes_are_not_its_names() {
        for (kind, name, holds) in [
            (Kind::S3, "a.", true),
            (Kind::S3, "a\\b", false),
            (Kind::Gcs, "a\\b", true),
            (Kind::Azure, "a/b.c", true),
            (Kind::Azure, "a\\b", false),
            (Kind::Azure, "a./b", false),
            (Kind::Azure, "a/b.", false),
            (Kind::Gcs, ".well-known/acme-challenge/x", false),
            (Kind::Gcs, "a/.well-known/acme-challenge/x", true),
        ] {
            assert_eq!(kind.holds(name), holds, "{kind:?} {name}");
        }
        assert!(Kind::Azure.holds(&vec!["a"; 254].join("/")));
        assert!(!Kind::Azure.holds(&vec!["a"; 255].join("/")));
    }
}
