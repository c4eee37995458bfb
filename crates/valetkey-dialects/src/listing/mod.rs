//! Listings, in the words of S3's
//! [ListObjectsV2](https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html).
//!
//! A page is a list of entries in the order of their bytes: objects, and with a delimiter the prefixes that
//! stand for all objects which begin so. An entry counts as its own text, whatever it stands for: a page holds
//! the entries after the one that the page before ended with.

mod document;
mod token;

use alloc::borrow::Cow;
use alloc::string::{String, ToString};

use valetkey::{Denial, ResourcePath, decode_query_component};

use crate::query::pairs;

pub use document::{Entry, Page};

/// How many entries a page holds at most, and unless it is asked for fewer.
pub const ENTRIES_MAX: usize = 1000;

/// What a listing asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    bucket: String,
    prefix: String,
    delimiter: String,
    entries_max: usize,
    encodes: bool,
    start_after: Option<String>,
    token: Option<String>,
    after: String,
}

impl Listing {
    /// Reads the parameters of a listing from `query`. Which `prefix` it lists in the bucket of `path` was
    /// decided before, by admission.
    ///
    /// # Errors
    /// [`Denial::BadRequest`] for a parameter that is given twice, cannot be decoded or has no meaning, and for
    /// a continuation token that is not one of this prefix.
    pub fn of(query: &str, path: &ResourcePath, prefix: &str) -> Result<Self, Denial> {
        let parameter = |name| parameter(query, name);
        match parameter("list-type")?.as_deref() {
            None | Some("2") => {}
            Some(other) => return Err(bad("list-type", other, "the only type of listing is 2")),
        }
        let encodes = match parameter("encoding-type")?.as_deref() {
            None => false,
            Some("url") => true,
            Some(other) => return Err(bad("encoding-type", other, "the only encoding is url")),
        };
        let entries_max = match parameter("max-keys")?.as_deref() {
            None => ENTRIES_MAX,
            Some(text) => number(text).ok_or_else(|| bad("max-keys", text, "write a number from 0 on"))?,
        };
        // What clients of the first version of this call send says the same.
        let start_after = parameter("start-after")?.or(parameter("marker")?).map(Cow::into_owned);
        let token = parameter("continuation-token")?.map(Cow::into_owned);
        let after = match &token {
            Some(token) => token::open(token, path.bucket(), prefix)
                .ok_or_else(|| bad("continuation-token", token, "it is none that this listing gave"))?,
            None => start_after.clone().unwrap_or_default(),
        };
        Ok(Self {
            bucket: path.bucket().to_string(),
            prefix: prefix.to_string(),
            delimiter: parameter("delimiter")?.unwrap_or_default().into_owned(),
            entries_max,
            encodes,
            start_after,
            token,
            after,
        })
    }

    /// Beneath which text below the bucket it asks.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Up to which text after the prefix names are taken together; empty where they are not.
    pub fn delimiter(&self) -> &str {
        &self.delimiter
    }

    /// The text that every entry sorts after.
    pub fn after(&self) -> &str {
        &self.after
    }

    /// How many entries the page may hold, at most [`ENTRIES_MAX`].
    pub fn entries_max(&self) -> usize {
        self.entries_max
    }
}

/// The decoded value of a parameter; one without a value has the empty one.
fn parameter<'a>(query: &'a str, wanted: &str) -> Result<Option<Cow<'a, str>>, Denial> {
    let named = |raw: &str| decode_query_component(raw).is_some_and(|name| name == wanted);
    let mut values = pairs(query).filter(|(name, _)| named(name)).map(|(_, value)| value);
    let Some(value) = values.next() else { return Ok(None) };
    let value = decode_query_component(value).filter(|_| values.next().is_none());
    let unsound = || Denial::BadRequest(alloc::format!("{wanted} is given twice or cannot be decoded"));
    value.map(Some).ok_or_else(unsound)
}

/// A decimal number, at most [`ENTRIES_MAX`] whatever it says.
fn number(text: &str) -> Option<usize> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().map_or(ENTRIES_MAX, |number: usize| number.min(ENTRIES_MAX)))
}

fn bad(name: &str, value: &str, instead: &str) -> Denial {
    let shown: String = value.chars().filter(|char| !char.is_control()).take(40).collect();
    Denial::BadRequest(alloc::format!("{name} {shown:?}: {instead}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn listing(query: &str) -> Result<Listing, Denial> {
        Listing::of(query, &ResourcePath::from_url("/files/").unwrap(), "a/")
    }

    fn check_max_keys(text: &str, entries_max: Option<usize>) {
        let listing = listing(&format!("max-keys={text}"));
        assert_eq!(listing.as_ref().map(Listing::entries_max).ok(), entries_max, "{text}");
    }

    #[test]
    fn max_keys_is_a_number_that_is_clamped() {
        check_max_keys("0", Some(0));
        check_max_keys("1", Some(1));
        check_max_keys("1000", Some(1000));
        check_max_keys("1001", Some(1000));
        check_max_keys("99999999999999999999999", Some(1000));
        for text in ["", "-1", "%2B1", "1.0", "ten", "0x1", "%201"] {
            check_max_keys(text, None);
        }
        assert_eq!(listing("").unwrap().entries_max(), 1000);
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        for query in [
            "list-type=1",
            "list-type=",
            "encoding-type=base64",
            "delimiter=%ff",
            "delimiter=/&delimiter=/",
            "start-after=%zz",
            "continuation-token=",
            "continuation-token=YQ",
        ] {
            assert_eq!(listing(query).map_err(|denial| denial.reason()), Err("bad_request"), "{query}");
        }
        for query in ["list-type=2", "encoding-type=url", "delimiter=", "fetch-owner=true", "start-after="] {
            assert!(listing(query).is_ok(), "{query}");
        }
    }

    #[test]
    fn a_token_counts_more_than_where_to_start() {
        let token = token::seal("a/7", "files", "a/");
        let listing = listing(&format!("start-after=a%2F1&continuation-token={token}")).unwrap();
        assert_eq!(listing.after(), "a/7");
    }

    #[test]
    fn the_first_version_of_the_call_says_marker() {
        assert_eq!(listing("marker=a%2F1").unwrap().after(), "a/1");
    }
}
