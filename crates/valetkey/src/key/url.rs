//! A URL that carries a key, taken apart.

use crate::name::{NameError, ResourcePath};

/// The pieces of a URL, or of a path with a query, that matter to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUrl<'a> {
    /// Scheme, host and port, `""` where only a path was given.
    pub origin: &'a str,
    /// The path as it stands, still percent-encoded.
    pub raw_path: &'a str,
    /// The query as it stands, without its question mark.
    pub query: &'a str,
}

/// Why a text is no URL that could carry a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// There is no path.
    #[error("a key's URL has a path, as in https://files.example.com/bucket/object?vk-…")]
    NoPath,
}

impl<'a> KeyUrl<'a> {
    /// Splits `url`, `https://host/path?query` or `/path?query`; a fragment is dropped.
    ///
    /// # Errors
    /// [`UrlError::NoPath`] where nothing begins with a slash.
    pub fn parse(url: &'a str) -> Result<Self, UrlError> {
        let url = url.split('#').next().unwrap_or(url);
        let (target, query) = url.split_once('?').unwrap_or((url, ""));
        let host_at = target.find("://").map_or(0, |at| at + 3);
        let path_at = target[host_at..].find('/').ok_or(UrlError::NoPath)? + host_at;
        let (origin, raw_path) = target.split_at(path_at);
        Ok(Self { origin, raw_path, query })
    }

    /// The decoded path.
    ///
    /// # Errors
    /// As [`ResourcePath::from_url`].
    pub fn path(&self) -> Result<ResourcePath, NameError> {
        ResourcePath::from_url(self.raw_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_into_origin_path_and_query() {
        let url = KeyUrl::parse("https://h:1/files/a%20b?vk-x=1&y=/#z").unwrap();
        assert_eq!((url.origin, url.raw_path, url.query), ("https://h:1", "/files/a%20b", "vk-x=1&y=/"));
        let path = KeyUrl::parse("/files/a").unwrap();
        assert_eq!((path.origin, path.raw_path, path.query), ("", "/files/a", ""));
        assert_eq!(KeyUrl::parse("https://h"), Err(UrlError::NoPath));
    }
}
