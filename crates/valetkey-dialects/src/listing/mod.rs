//! Listings, in the words of S3's
//! [ListObjectsV2](https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html), and for its own
//! clients in those of [ListObjects](https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html) too.
//!
//! A page is a list of entries in the order of their bytes: objects, and with a delimiter the prefixes that
//! stand for all objects which begin so. An entry counts as its own text, whatever it stands for: a page holds
//! the entries after the one that the page before ended with.

mod document;
mod token;

use alloc::borrow::Cow;
use alloc::string::{String, ToString};

use valetkey::{Denial, ResourcePath};

use crate::query::{Parameters, bad_value};

pub use document::{Entry, Page};

/// How many entries a page holds at most, and unless it is asked for fewer.
pub const ENTRIES_MAX: usize = 1000;

/// What a listing asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    form: Form,
    /// Whether each object is answered with its owner.
    owns: bool,
    bucket: String,
    prefix: String,
    delimiter: String,
    entries_max: usize,
    encodes: bool,
    start_after: Option<String>,
    token: Option<String>,
    after: String,
}

/// In which of S3's two forms a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The older one, which goes on after a `marker`.
    First,
    /// The one with continuation tokens.
    Second,
}

impl Listing {
    /// Reads the parameters of a listing from `query`. Which `prefix` it lists in the bucket of `path` was
    /// decided before, by admission.
    ///
    /// # Errors
    /// [`Denial::BadRequest`] for a parameter that is given twice, cannot be decoded or has no meaning, and for
    /// a continuation token that is not one of this prefix.
    pub fn of(query: &str, path: &ResourcePath, prefix: &str) -> Result<Self, Denial> {
        let parameters = Parameters::of(query);
        match parameters.value("list-type")?.as_deref() {
            None | Some("2") => {}
            Some(other) => return Err(bad_value("list-type", other, "the only type of listing is 2")),
        }
        if parameters.value("continuation-token")?.as_deref() == Some("") {
            return Err(bad_value("continuation-token", "", "it is none that this listing gave"));
        }
        // What clients of the first version of this call send says the same.
        let marker = parameters.value("marker")?;
        let listing = Self::read(parameters, Form::Second, path.bucket(), prefix)?;
        Ok(match marker {
            Some(marker) if listing.start_after.is_none() => listing.starting_after(marker.into_owned()),
            _ => listing,
        })
    }

    /// Reads the parameters of one of S3's own two calls, and with them the prefix that it asks for.
    ///
    /// # Errors
    /// As [`Listing::of`].
    pub(crate) fn of_s3(query: &str, bucket: &str) -> Result<Self, Denial> {
        let parameters = Parameters::of(query);
        let form = match parameters.value("list-type")?.as_deref() {
            None => Form::First,
            Some("2") => Form::Second,
            Some(other) => return Err(bad_value("list-type", other, "the types of listing are none and 2")),
        };
        let prefix = parameters.value("prefix")?.unwrap_or_default();
        let listing = Self::read(parameters, form, bucket, &prefix)?;
        let owns = form == Form::First || parameters.value("fetch-owner")?.as_deref() == Some("true");
        Ok(Self { owns, ..listing })
    }

    fn read(parameters: Parameters<'_>, form: Form, bucket: &str, prefix: &str) -> Result<Self, Denial> {
        let entries_max = entries_max(parameters, "max-keys")?;
        let listing = Self {
            form,
            owns: false,
            bucket: bucket.to_string(),
            prefix: prefix.to_string(),
            delimiter: parameters.value("delimiter")?.unwrap_or_default().into_owned(),
            entries_max,
            encodes: encodes(parameters)?,
            start_after: None,
            token: None,
            after: String::new(),
        };
        let owned = |value: Option<Cow<'_, str>>| value.map(Cow::into_owned);
        if form == Form::First {
            return Ok(listing.starting_after(owned(parameters.value("marker")?).unwrap_or_default()));
        }
        let token = owned(parameters.value("continuation-token")?);
        let listing = match owned(parameters.value("start-after")?) {
            Some(after) => listing.starting_after(after),
            None => listing,
        };
        let Some(token) = token else { return Ok(listing) };
        if token.is_empty() {
            // S3's clients send it on their first page, and are told it again.
            return Ok(Self { token: Some(token), ..listing });
        }
        let after = token::open(&token, bucket, prefix)
            .ok_or_else(|| bad_value("continuation-token", &token, "it is none that this listing gave"))?;
        Ok(Self { after, token: Some(token), ..listing })
    }

    /// A token counts more.
    fn starting_after(self, text: String) -> Self {
        let after = if self.token.is_some() { self.after } else { text.clone() };
        Self { after, start_after: Some(text), ..self }
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

/// How many entries a page may hold, by the parameter `name`.
pub(crate) fn entries_max(parameters: Parameters<'_>, name: &str) -> Result<usize, Denial> {
    match parameters.value(name)?.as_deref() {
        None => Ok(ENTRIES_MAX),
        Some(text) => number(text).ok_or_else(|| bad_value(name, text, "write a number from 0 on")),
    }
}

/// Whether names are to be percent-encoded.
pub(crate) fn encodes(parameters: Parameters<'_>) -> Result<bool, Denial> {
    match parameters.value("encoding-type")?.as_deref() {
        None => Ok(false),
        Some("url") => Ok(true),
        Some(other) => Err(bad_value("encoding-type", other, "the only encoding is url")),
    }
}

/// A decimal number, at most [`ENTRIES_MAX`] whatever it says.
fn number(text: &str) -> Option<usize> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().map_or(ENTRIES_MAX, |number: usize| number.min(ENTRIES_MAX)))
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
        assert_eq!(listing("marker=a%2F1&start-after=a%2F2").unwrap().after(), "a/2");
        let token = token::seal("a/7", "files", "a/");
        assert_eq!(listing(&format!("marker=a%2F1&continuation-token={token}")).unwrap().after(), "a/7");
    }

    #[test]
    fn s3_has_two_forms() {
        let listing = |query| Listing::of_s3(query, "files");
        let first = listing("prefix=a%2Fb+c&marker=a%2Fb&start-after=z&continuation-token=YQ").unwrap();
        assert_eq!((first.form, first.prefix(), first.after()), (Form::First, "a/b c", "a/b"));
        assert!(first.owns);
        let second = listing("list-type=2&marker=a&start-after=b").unwrap();
        assert_eq!((second.form, second.prefix(), second.after()), (Form::Second, "", "b"));
        assert!(!second.owns);
        assert!(listing("list-type=2&fetch-owner=true").unwrap().owns);
        let empty = listing("list-type=2&continuation-token=&start-after=a%2F1").unwrap();
        assert_eq!((empty.after(), empty.token.as_deref()), ("a/1", Some("")));
        for query in ["list-type=1", "list-type=", "prefix=a&prefix=b", "prefix=%ff", "max-keys=-1"] {
            assert_eq!(listing(query).map_err(|denial| denial.reason()), Err("bad_request"), "{query}");
        }
    }
}
