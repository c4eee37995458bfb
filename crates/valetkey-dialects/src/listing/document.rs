//! A page of a listing as S3's XML.
//!
//! Only this writes XML and nothing here reads it, so it is written by hand: a writer of five escapes is less
//! than the use of a library, and keeps this crate without one.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use valetkey::{Timestamp, encode_component};

use super::{Listing, token};

/// What stands on one page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// In the order of their bytes.
    pub entries: Vec<Entry>,
    /// Whether there is more after the last entry.
    pub truncated: bool,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An object.
    Object {
        /// Its name below the bucket.
        name: String,
        /// Its length.
        size_bytes: u64,
        /// When its content was last changed, in milliseconds since the Unix epoch.
        modified_ms: i64,
        /// Its entity tag without quotes.
        etag: String,
    },
    /// What the names of several objects begin with, up to and with the delimiter.
    Prefix(String),
}

impl Entry {
    /// The text by which it is sorted.
    pub fn text(&self) -> &str {
        match self {
            Self::Object { name, .. } => name,
            Self::Prefix(prefix) => prefix,
        }
    }
}

impl Listing {
    /// Writes a page of this listing as a `ListBucketResult`.
    ///
    /// Names are percent-encoded where that was asked for, and where one holds a character that XML cannot
    /// carry: the document says so, and is sound.
    pub fn document(&self, page: &Page) -> String {
        let encodes = self.encodes || !self.texts(page).all(is_xml);
        let name =
            |text| if encodes { Cow::Owned(encode_component(text, b"/")) } else { Cow::Borrowed(text) };
        let mut xml = Xml(String::with_capacity(512 + 320 * page.entries.len()));
        xml.0.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        xml.0.push_str("<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
        xml.element("Name", &self.bucket);
        xml.element("Prefix", name(&self.prefix));
        if !self.delimiter.is_empty() {
            xml.element("Delimiter", name(&self.delimiter));
        }
        if let Some(start_after) = &self.start_after {
            xml.element("StartAfter", name(start_after));
        }
        if let Some(token) = &self.token {
            xml.element("ContinuationToken", token);
        }
        xml.element("KeyCount", page.entries.len());
        xml.element("MaxKeys", self.entries_max);
        if encodes {
            xml.element("EncodingType", "url");
        }
        xml.element("IsTruncated", page.truncated);
        if let Some(last) = page.entries.last().filter(|_| page.truncated) {
            xml.element("NextContinuationToken", token::seal(last.text(), &self.bucket, &self.prefix));
        }
        for entry in &page.entries {
            match entry {
                Entry::Object { name: text, size_bytes, modified_ms, etag } => {
                    xml.0.push_str("<Contents>");
                    xml.element("Key", name(text));
                    xml.element("LastModified", Milliseconds(*modified_ms));
                    xml.element("ETag", format_args!("\"{etag}\""));
                    xml.element("Size", size_bytes);
                    xml.0.push_str("<StorageClass>STANDARD</StorageClass></Contents>");
                }
                Entry::Prefix(prefix) => {
                    xml.0.push_str("<CommonPrefixes>");
                    xml.element("Prefix", name(prefix));
                    xml.0.push_str("</CommonPrefixes>");
                }
            }
        }
        xml.0.push_str("</ListBucketResult>\n");
        xml.0
    }

    /// Every text of the document that is a name or was sent by the client.
    fn texts<'a>(&'a self, page: &'a Page) -> impl Iterator<Item = &'a str> {
        [self.prefix.as_str(), &self.delimiter]
            .into_iter()
            .chain(self.start_after.as_deref())
            .chain(page.entries.iter().map(Entry::text))
    }
}

/// A document that is being written.
struct Xml(String);

impl Xml {
    fn element(&mut self, name: &str, value: impl fmt::Display) {
        let _ = write!(self.0, "<{name}>");
        let _ = write!(Escaped(&mut self.0), "{value}");
        let _ = write!(self.0, "</{name}>");
    }
}

/// Writes text that stays text.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            match char {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&apos;"),
                _ => self.0.push(char),
            }
        }
        Ok(())
    }
}

/// Whether an XML document can carry the text and a reader gets the same text back.
///
/// [XML 1.0, section 2.2](https://www.w3.org/TR/xml/#charsets). The control characters that it takes are left
/// out here, since readers turn some of them into others.
fn is_xml(text: &str) -> bool {
    text.chars().all(|char| !char.is_control() && !matches!(char, '\u{fffe}' | '\u{ffff}'))
}

/// A time as S3 writes it: RFC 3339 in UTC with three decimals.
struct Milliseconds(i64);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = alloc::format!("{}", Timestamp::from_unix(self.0.div_euclid(1000)).min(Timestamp::MAX));
        write!(f, "{}.{:03}Z", second.trim_end_matches('Z'), self.0.rem_euclid(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;
    use valetkey::ResourcePath;

    fn document(query: &str, prefix: &str, page: &Page) -> String {
        Listing::of(query, &ResourcePath::from_url("/files").unwrap(), prefix).unwrap().document(page)
    }

    fn object(name: &str) -> Entry {
        Entry::Object { name: name.to_string(), size_bytes: 5, modified_ms: 42, etag: "ab-1".to_string() }
    }

    #[test]
    fn a_page_is_what_s3_would_send() {
        let page =
            Page { entries: vec![object("a/b & <c>"), Entry::Prefix("a/d/".to_string())], truncated: false };
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <Name>files</Name><Prefix>a/</Prefix><Delimiter>/</Delimiter><StartAfter>a/&apos;</StartAfter>\
            <KeyCount>2</KeyCount><MaxKeys>2</MaxKeys><IsTruncated>false</IsTruncated>\
            <Contents><Key>a/b &amp; &lt;c&gt;</Key><LastModified>1970-01-01T00:00:00.042Z</LastModified>\
            <ETag>&quot;ab-1&quot;</ETag><Size>5</Size><StorageClass>STANDARD</StorageClass></Contents>\
            <CommonPrefixes><Prefix>a/d/</Prefix></CommonPrefixes>\
            </ListBucketResult>\n";
        assert_eq!(document("delimiter=/&start-after=a/%27&max-keys=2", "a/", &page), expected);
    }

    #[test]
    fn a_page_with_more_after_it_has_a_token() {
        let page = Page { entries: vec![object("a")], truncated: true };
        let xml = document("", "", &page);
        let token = token::seal("a", "files", "");
        assert!(xml.contains("<IsTruncated>true</IsTruncated>"), "{xml}");
        assert!(
            xml.contains(&alloc::format!("<NextContinuationToken>{token}</NextContinuationToken>")),
            "{xml}"
        );
    }

    #[test]
    fn names_are_encoded_where_it_is_asked_for() {
        let page =
            Page { entries: vec![object("a b+é/c"), Entry::Prefix("a\"/".to_string())], truncated: false };
        let xml = document("encoding-type=url&delimiter=%2F", "a", &page);
        assert!(xml.contains("<Key>a%20b%2B%C3%A9/c</Key>"), "{xml}");
        assert!(xml.contains("<Prefix>a%22/</Prefix>"), "{xml}");
        assert!(xml.contains("<EncodingType>url</EncodingType>"), "{xml}");
    }

    #[test]
    fn a_name_that_xml_cannot_carry_is_encoded() {
        let page = Page { entries: vec![object("a\u{ffff}")], truncated: false };
        let xml = document("", "", &page);
        assert!(xml.contains("<EncodingType>url</EncodingType>"), "{xml}");
        assert!(xml.contains("<Key>a%EF%BF%BF</Key>"), "{xml}");
        assert!(document("start-after=%00", "", &Page::default()).contains("<StartAfter>%00</StartAfter>"));
        assert!(
            !document("", "", &Page { entries: vec![object("é\u{1f600}")], truncated: false })
                .contains("EncodingType")
        );
    }

    #[test]
    fn times_have_three_decimals() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (1_795_305_600_120, "2026-11-22T00:00:00.120Z"),
        ] {
            assert_eq!(Milliseconds(ms).to_string(), text);
        }
    }
}
