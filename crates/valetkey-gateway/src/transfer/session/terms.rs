//! What an upload session was begun under, in the words in which the ledger keeps it.
//!
//! The key that began it bounds it to its end: whoever completes it, the stricter of both is what counts.

use serde::{Deserialize, Serialize};
use valetkey::{Bearer, Denial, Dialect, Digest, MediaRange, MediaTypes, Permit, ResourcePath};

use valetkey_dialects::ChecksumAlgorithm;
use valetkey_ledger::Session;

use crate::backend::remote::StoreUpload;
use crate::backend::{Attributes, Parked};
use crate::transfer::upload;

/// The terms of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    /// The declared media type.
    pub(crate) content_type: Option<String>,
    /// Further headers of the object, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The least that the object may have, in bytes.
    pub(crate) min_bytes: u64,
    /// Nothing may stand there.
    pub(crate) only_create: bool,
    types: Vec<Vec<String>>,
    digests: Vec<String>,
    /// Which checksum the object has, of all of its parts.
    #[serde(default)]
    pub(crate) sums: Option<Sums>,
    /// The upload in parts of a remote store.
    #[serde(default)]
    pub(crate) store: Option<StoreUpload>,
}

/// A checksum of an object that is made of parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sums {
    /// S3's name of the function, in lower case.
    function: String,
    /// Whether it is a hash of the parts' hashes.
    pub(crate) is_composite: bool,
}

impl Sums {
    pub(crate) fn new(algorithm: ChecksumAlgorithm, is_composite: bool) -> Self {
        Self { function: algorithm.name().to_owned(), is_composite }
    }

    /// The function; `None` of words that we did not write.
    pub(crate) fn algorithm(&self) -> Option<ChecksumAlgorithm> {
        ChecksumAlgorithm::of_s3(&self.function)
    }
}

impl Terms {
    pub(super) fn of(permit: &Permit, plan: &upload::Plan) -> Self {
        let text = |ranges: &Vec<MediaRange>| ranges.iter().map(|range| range.as_str().to_owned()).collect();
        Self {
            content_type: plan.headers.content_type.clone(),
            headers: upload::Plan::stored_headers(plan.headers.clone()),
            min_bytes: permit.size.min_bytes,
            only_create: plan.only_create,
            types: permit.types.lists().iter().map(text).collect(),
            digests: permit.digests.iter().map(Digest::to_string).collect(),
            sums: plan.sums.clone(),
            store: None,
        }
    }

    /// What is kept with the object.
    pub(super) fn attributes(&self) -> Attributes {
        let (content_type, headers) = (self.content_type.clone(), self.headers.clone());
        Attributes { content_type, headers, hold: None, etag: None }
    }

    pub(super) fn to_words(&self) -> Result<String, Denial> {
        serde_json::to_string(self).map_err(|error| {
            tracing::error!(%error, "an upload session cannot be put into words");
            Denial::LedgerUnavailable
        })
    }

    /// Reads them back. What cannot be read bounds nothing, so nothing may be done under it.
    pub(super) fn from_words(words: &str) -> Result<Self, Denial> {
        let terms: Self = serde_json::from_str(words).map_err(|error| unreadable(&error))?;
        let types = terms.types.iter().flatten().all(|text| MediaRange::parse(text).is_some());
        let digests = terms.digests.iter().all(|text| Digest::parse(text).is_some());
        if types && digests { Ok(terms) } else { Err(unreadable(&"unknown type or digest")) }
    }

    /// What the object must be.
    pub(super) fn types(&self) -> MediaTypes {
        let lists = self.types.iter();
        MediaTypes::of_lists(
            lists.map(|list| list.iter().flat_map(|text| MediaRange::parse(text)).collect()).collect(),
        )
    }

    /// What the object must hash to, all of them.
    pub(super) fn digests(&self) -> Vec<Digest> {
        self.digests.iter().flat_map(|text| Digest::parse(text)).collect()
    }
}

/// Whom a session belongs to: two owners never read the same.
///
/// A native key is known by the name of its last level, which it keeps when it is renewed. In other dialects each
/// request bears a signature of its own, so it is the signer, with the id and the subject where they are signed.
pub(super) fn owner(permit: &Permit) -> Result<String, Denial> {
    let Bearer { dialect, signer, subject, id, .. } = &permit.bearer;
    let level = permit.levels.last().filter(|_| matches!(dialect, Dialect::Native));
    let level = level.map(|level| level.name.as_str());
    serde_json::to_string(&(dialect.name(), signer, id, subject, level)).map_err(|error| unreadable(&error))
}

/// Where the parts of a session are.
pub(super) fn parked(session: &Session) -> Parked {
    let path = ResourcePath::from_text(&session.path);
    let name = path.map_or_else(|_| String::new(), |path| path.name().to_owned());
    let upload = Terms::from_words(&session.details).ok().and_then(|terms| terms.store);
    Parked { session: session.store_name(), name, upload }
}

pub(super) fn unreadable(error: &dyn std::fmt::Display) -> Denial {
    tracing::error!(%error, "the words of an upload session cannot be read");
    Denial::LedgerUnavailable
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn terms_read_back_as_they_were() {
        let digest = format!("sha-256:{}", "A".repeat(43));
        let terms = Terms {
            content_type: Some("image/png".to_owned()),
            headers: vec![("cache-control".to_owned(), "no-store".to_owned())],
            min_bytes: 5,
            only_create: true,
            types: vec![vec!["image/*".to_owned(), "text/plain".to_owned()], vec!["image/png".to_owned()]],
            digests: vec![digest.clone()],
            sums: Some(Sums::new(ChecksumAlgorithm::Crc32, true)),
            store: None,
        };
        let read = Terms::from_words(&terms.to_words().unwrap()).unwrap();
        assert_eq!(read, terms);
        assert_eq!(read.sums.and_then(|sums| sums.algorithm()), Some(ChecksumAlgorithm::Crc32));
        let read = Terms::from_words(&terms.to_words().unwrap()).unwrap();
        assert!(read.types().contain("image/png"));
        assert!(!read.types().contain("text/plain"));
        assert_eq!(read.digests().iter().map(Digest::to_string).collect::<Vec<_>>(), [digest]);
    }

    #[test]
    fn terms_that_cannot_be_read_are_no_terms() {
        for words in ["", "{}", "{\"types\":[]}"] {
            assert_eq!(Terms::from_words(words), Err(Denial::LedgerUnavailable), "{words}");
        }
        let odd = Terms { types: vec![vec!["no type".to_owned()]], ..Terms::default() };
        assert_eq!(Terms::from_words(&odd.to_words().unwrap()), Err(Denial::LedgerUnavailable));
        let odd = Terms { digests: vec!["md5:x".to_owned()], ..Terms::default() };
        assert_eq!(Terms::from_words(&odd.to_words().unwrap()), Err(Denial::LedgerUnavailable));
    }
}
