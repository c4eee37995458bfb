//! The uploads in parts that are under way.

use alloc::borrow::Cow;
use alloc::string::String;

use valetkey::encode_component;

use crate::aws::operation::{ListMultipartUploads, UploadId};
use crate::xml::{Milliseconds, Xml, is_xml};

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadEntry {
    /// An upload.
    Upload {
        /// The name below the bucket of what it becomes.
        name: String,
        /// Which.
        upload: UploadId,
        /// When it was begun, in milliseconds since the Unix epoch.
        begun_ms: i64,
    },
    /// What several names begin with, up to and with the delimiter.
    Prefix(String),
}

impl UploadEntry {
    /// The text by which it is sorted; uploads of one name are sorted by their ids.
    pub fn text(&self) -> &str {
        match self {
            Self::Upload { name, .. } => name,
            Self::Prefix(prefix) => prefix,
        }
    }
}

/// `ListMultipartUploadsResult`: a page of a bucket's uploads.
#[derive(Clone, Debug)]
pub struct UploadsReply<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// In their order, all after the asked markers, at most as many as were asked for.
    pub entries: &'a [UploadEntry],
    /// Whether there are more.
    pub truncated: bool,
    /// Whose uploads they are.
    pub owner: &'a str,
}

impl UploadsReply<'_> {
    /// The document that answers `asked`.
    pub fn document(&self, asked: &ListMultipartUploads) -> String {
        let said = [asked.prefix.as_str(), &asked.delimiter, &asked.key_marker];
        let mut texts = said.into_iter().chain(self.entries.iter().map(UploadEntry::text));
        let encodes = asked.encodes || !texts.all(is_xml);
        let name =
            |text| if encodes { Cow::Owned(encode_component(text, b"/")) } else { Cow::Borrowed(text) };
        Xml::s3("ListMultipartUploadsResult", 512 + 320 * self.entries.len(), |xml| {
            xml.element("Bucket", self.bucket);
            xml.element("KeyMarker", name(&asked.key_marker));
            xml.element("UploadIdMarker", &asked.upload_id_marker);
            if let Some(last) = self.entries.last().filter(|_| self.truncated) {
                xml.element("NextKeyMarker", name(last.text()));
                if let UploadEntry::Upload { upload, .. } = last {
                    xml.element("NextUploadIdMarker", upload);
                }
            }
            xml.element("Prefix", name(&asked.prefix));
            if !asked.delimiter.is_empty() {
                xml.element("Delimiter", name(&asked.delimiter));
            }
            xml.element("MaxUploads", asked.uploads_max);
            if encodes {
                xml.element("EncodingType", "url");
            }
            xml.element("IsTruncated", self.truncated);
            for entry in self.entries {
                match entry {
                    UploadEntry::Upload { name: text, upload, begun_ms } => xml.nested("Upload", |xml| {
                        xml.element("Key", name(text));
                        xml.element("UploadId", upload);
                        xml.owner("Initiator", self.owner);
                        xml.owner("Owner", self.owner);
                        xml.markup("<StorageClass>STANDARD</StorageClass>");
                        xml.element("Initiated", Milliseconds(*begun_ms));
                    }),
                    UploadEntry::Prefix(prefix) => {
                        xml.nested("CommonPrefixes", |xml| xml.element("Prefix", name(prefix)));
                    }
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::operation::Operation;
    use crate::aws::operation::test::operation;

    fn document(query: &str, entries: &[UploadEntry], truncated: bool) -> String {
        let Ok(Operation::ListMultipartUploads(asked)) = operation("GET", "/files/", query) else {
            panic!("{query}")
        };
        UploadsReply { bucket: "files", entries, truncated, owner: "web" }.document(&asked)
    }

    fn upload(name: &str) -> UploadEntry {
        UploadEntry::Upload { name: name.into(), upload: UploadId::parse("7f3k").unwrap(), begun_ms: 0 }
    }

    #[test]
    fn a_page_of_uploads_says_where_the_next_begins() {
        let xml = document("uploads&prefix=a&key-marker=a1&upload-id-marker=x", &[upload("a&b")], true);
        for part in [
            "<KeyMarker>a1</KeyMarker><UploadIdMarker>x</UploadIdMarker>\
             <NextKeyMarker>a&amp;b</NextKeyMarker><NextUploadIdMarker>7f3k</NextUploadIdMarker>\
             <Prefix>a</Prefix><MaxUploads>1000</MaxUploads><IsTruncated>true</IsTruncated>\
             <Upload><Key>a&amp;b</Key><UploadId>7f3k</UploadId><Initiator><ID>web</ID>",
            "<Initiated>1970-01-01T00:00:00.000Z</Initiated></Upload></List",
        ] {
            assert!(xml.contains(part), "{xml}");
        }
        assert!(!document("uploads", &[upload("a")], false).contains("NextKeyMarker"));
    }

    #[test]
    fn names_are_encoded_where_it_is_asked_for_or_needed() {
        let entries = [UploadEntry::Prefix("a b/".into())];
        let xml = document("uploads&delimiter=/&encoding-type=url", &entries, true);
        assert!(xml.contains("<CommonPrefixes><Prefix>a%20b/</Prefix></CommonPrefixes>"), "{xml}");
        assert!(xml.contains("<EncodingType>url</EncodingType>"), "{xml}");
        assert!(!xml.contains("NextUploadIdMarker"), "{xml}");
        assert!(document("uploads&prefix=%00", &[], false).contains("<Prefix>%00</Prefix>"));
    }
}
