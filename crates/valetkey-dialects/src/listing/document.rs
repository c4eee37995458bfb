//! A page of a listing as S3's XML.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use valetkey::encode_component;

use super::{Form, Listing, token};
use crate::xml::{Milliseconds, Xml, is_xml};

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
    ///
    /// `owner` is whose an object is, where the listing asks for it.
    pub fn document(&self, page: &Page, owner: &str) -> String {
        let encodes = self.encodes || !self.texts(page).all(is_xml);
        let name =
            |text| if encodes { Cow::Owned(encode_component(text, b"/")) } else { Cow::Borrowed(text) };
        Xml::s3("ListBucketResult", 512 + 320 * page.entries.len(), |xml| {
            xml.element("Name", &self.bucket);
            xml.element("Prefix", name(&self.prefix));
            if !self.delimiter.is_empty() {
                xml.element("Delimiter", name(&self.delimiter));
            }
            xml.element("MaxKeys", self.entries_max);
            if encodes {
                xml.element("EncodingType", "url");
            }
            xml.element("IsTruncated", page.truncated);
            let start_after = self.start_after.as_deref().map(name);
            let last = page.entries.last().filter(|_| page.truncated).map(Entry::text);
            match self.form {
                Form::First => {
                    xml.optional("Marker", start_after);
                    xml.optional("NextMarker", last.map(name));
                }
                Form::Second => {
                    xml.optional("StartAfter", start_after);
                    xml.optional("ContinuationToken", self.token.as_deref());
                    xml.element("KeyCount", page.entries.len());
                    let token = last.map(|last| token::seal(last, &self.bucket, &self.prefix));
                    xml.optional("NextContinuationToken", token);
                }
            }
            for entry in &page.entries {
                match entry {
                    Entry::Object { name: text, size_bytes, modified_ms, etag } => {
                        xml.nested("Contents", |xml| {
                            xml.element("Key", name(text));
                            xml.element("LastModified", Milliseconds(*modified_ms));
                            xml.element("ETag", format_args!("\"{etag}\""));
                            xml.element("Size", size_bytes);
                            if self.owns {
                                xml.owner("Owner", owner);
                            }
                            xml.markup("<StorageClass>STANDARD</StorageClass>");
                        });
                    }
                    Entry::Prefix(prefix) => {
                        xml.nested("CommonPrefixes", |xml| xml.element("Prefix", name(prefix)));
                    }
                }
            }
        })
    }

    /// Every text of the document that is a name or was sent by the client.
    fn texts<'a>(&'a self, page: &'a Page) -> impl Iterator<Item = &'a str> {
        [self.prefix.as_str(), &self.delimiter]
            .into_iter()
            .chain(self.start_after.as_deref())
            .chain(page.entries.iter().map(Entry::text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;
    use valetkey::ResourcePath;

    fn document(query: &str, prefix: &str, page: &Page) -> String {
        Listing::of(query, &ResourcePath::from_url("/files").unwrap(), prefix).unwrap().document(page, "web")
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
            <Name>files</Name><Prefix>a/</Prefix><Delimiter>/</Delimiter>\
            <MaxKeys>2</MaxKeys><IsTruncated>false</IsTruncated>\
            <StartAfter>a/&apos;</StartAfter><KeyCount>2</KeyCount>\
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
    fn the_first_form_goes_on_after_a_marker() {
        let listing = Listing::of_s3("prefix=a&marker=a%2F1", "files").unwrap();
        let xml = listing.document(&Page { entries: vec![object("a/2")], truncated: true }, "web");
        for part in [
            "<Marker>a/1</Marker><NextMarker>a/2</NextMarker>",
            "<Owner><ID>web</ID><DisplayName>web</DisplayName></Owner><StorageClass>",
        ] {
            assert!(xml.contains(part), "{xml}");
        }
        assert!(!xml.contains("KeyCount") && !xml.contains("Continuation"), "{xml}");
        let whole = listing.document(&Page::default(), "web");
        assert!(!whole.contains("NextMarker"), "{whole}");
        let first = Listing::of_s3("", "files").unwrap().document(&Page::default(), "web");
        assert!(first.contains("<Marker></Marker>"), "{first}");
    }

    #[test]
    fn the_second_form_names_owners_where_it_is_asked_to() {
        let page = Page { entries: vec![object("a")], truncated: false };
        let xml = |query| Listing::of_s3(query, "files").unwrap().document(&page, "web");
        assert!(xml("list-type=2&fetch-owner=true").contains("<Owner><ID>web</ID>"));
        assert!(!xml("list-type=2").contains("Owner"));
    }
}
