//! What tells a finished part from others, in the words in which the ledger keeps it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use valetkey::Denial;
use valetkey_dialects::{Checksum, ChecksumAlgorithm};
use valetkey_ledger::Part;

use super::terms::unreadable;
use crate::transfer::integrity::hex;
use crate::transfer::receiving::{KeptPart, PartContent};

/// What is known of a part's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marks {
    /// Its BLAKE3 in hex, of what was written last; `None` of one that nobody read.
    blake3: Option<String>,
    /// What its entity tag is made of then, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    copied: Option<String>,
    /// Its MD5 in hex, where that is its entity tag.
    md5: Option<String>,
    /// S3's names of functions, in lower case, and its values in base64.
    sums: Vec<(String, String)>,
    /// The remote store's name of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    store: Option<String>,
    /// Set where an object may not begin with it, which cannot be looked at again where it is.
    #[serde(default)]
    belies_type: bool,
}

impl Marks {
    /// Those of a part that hashes to this; `named` are the functions whose values are told.
    pub(super) fn of(kept: &KeptPart, named: &[ChecksumAlgorithm], belies_type: bool) -> Self {
        let KeptPart { content, hashed, tag, .. } = kept;
        let hex = |hash: [u8; 32]| blake3::Hash::from_bytes(hash).to_hex().to_string();
        let (blake3, copied) = match content {
            PartContent::Hashed(digest) => (Some(hex(*digest)), None),
            PartContent::Copied(identity) => (None, Some(hex(*identity))),
        };
        let told = hashed.values.iter().filter(|(algorithm, _)| {
            named.contains(algorithm) && ChecksumAlgorithm::of_s3(algorithm.name()).is_some()
        });
        Self {
            blake3,
            copied,
            md5: hashed.md5_to_tell(),
            sums: told
                .map(|(algorithm, value)| (algorithm.name().to_owned(), STANDARD.encode(value)))
                .collect(),
            store: tag.clone(),
            belies_type,
        }
    }

    /// The remote store's name of the part.
    pub(super) fn store(&self) -> Option<&str> {
        self.store.as_deref()
    }

    /// Whether its first bytes are of another type than an object that begins with it was declared as.
    pub(super) fn belies_type(&self) -> bool {
        self.belies_type
    }

    /// Its BLAKE3.
    pub(super) fn digest(&self) -> Option<[u8; 32]> {
        blake3::Hash::from_hex(self.blake3.as_ref()?).ok().map(|hash| *hash.as_bytes())
    }

    pub(super) fn to_words(&self) -> Result<String, Denial> {
        serde_json::to_string(self).map_err(|error| unreadable(&error))
    }

    /// # Errors
    /// [`Denial::LedgerUnavailable`] for words that are none of ours.
    pub(crate) fn of_part(part: &Part) -> Result<Self, Denial> {
        serde_json::from_str(&part.details).map_err(|error| unreadable(&error))
    }

    /// The part's entity tag, without quotes.
    pub(crate) fn etag(&self) -> String {
        match (&self.md5, self.blake3.as_ref().or(self.copied.as_ref())) {
            (Some(md5), _) => md5.clone(),
            (None, content) => format!("{}-1", content.and_then(|hex| hex.get(..32)).unwrap_or_default()),
        }
    }

    /// The MD5, where it is the entity tag.
    pub(crate) fn md5(&self) -> Option<&str> {
        self.md5.as_deref()
    }

    /// What the part hashes to, as far as it is told.
    pub(crate) fn checksums(&self) -> Vec<Checksum> {
        let read = |(name, value): &(String, String)| {
            Checksum::of_s3(&format!("x-amz-checksum-{name}"), value).ok().flatten()
        };
        self.sums.iter().filter_map(read).collect()
    }
}

/// The entity tag of an object whose parts have these MD5s, in hex: S3's own.
pub(crate) fn etag_of_md5s(md5s: &[&str]) -> Option<String> {
    use md5::Digest as _;
    let mut hasher = md5::Md5::new();
    for md5 in md5s {
        let pairs = (0..md5.len()).step_by(2).map(|at| u8::from_str_radix(md5.get(at..at + 2)?, 16).ok());
        hasher.update(pairs.collect::<Option<Vec<u8>>>()?);
    }
    Some(format!("{}-{}", hex(&hasher.finalize()), md5s.len()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::transfer::integrity::Hashed;

    #[test]
    fn a_part_that_nobody_read_has_an_entity_tag_and_no_hash() {
        let part = |content| {
            let tag = Some("store".to_owned());
            Marks::of(&KeptPart { size_bytes: 1, content, hashed: Hashed::default(), tag }, &[], false)
        };
        let (hashed, copied) = (part(PartContent::Hashed([7; 32])), part(PartContent::Copied([7; 32])));
        assert_eq!((hashed.digest(), copied.digest()), (Some([7; 32]), None));
        for marks in [hashed, copied] {
            assert_eq!(marks.etag(), format!("{}-1", "07".repeat(16)));
            assert_eq!(serde_json::from_str::<Marks>(&marks.to_words().unwrap()).unwrap(), marks);
        }
        // As the ledger has them from before.
        let words = format!(r#"{{"blake3":"{}","md5":null,"sums":[]}}"#, "07".repeat(32));
        let marks: Marks = serde_json::from_str(&words).unwrap();
        assert_eq!((marks.digest(), marks.etag()), (Some([7; 32]), format!("{}-1", "07".repeat(16))));
    }

    #[test]
    fn the_etag_of_parts_is_the_one_that_s3_makes() {
        // The MD5s of "a" and of "b".
        let (a, b) = ("0cc175b9c0f1b6a831c399e269772661", "92eb5ffee6ae2fec3ad71c777531578f");
        assert_eq!(etag_of_md5s(&[a, b]).unwrap(), "96e024ba2074fe77e8e965ba43a704be-2");
        assert_eq!(etag_of_md5s(&["nonsense"]), None);
    }
}
