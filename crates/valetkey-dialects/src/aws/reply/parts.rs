//! The parts of an upload.

use alloc::string::String;
use alloc::vec::Vec;

use valetkey::ResourcePath;

use super::{checksums, quoted};
use crate::aws::operation::{ListParts, PartNumber};
use crate::integrity::Checksum;
use crate::xml::{Milliseconds, Xml};

/// One part that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartEntry {
    /// Which.
    pub number: PartNumber,
    /// Its length.
    pub size_bytes: u64,
    /// When it was uploaded, in milliseconds since the Unix epoch.
    pub modified_ms: i64,
    /// Its entity tag without quotes.
    pub etag: String,
    /// What it hashes to, as far as its upload said so.
    pub checksums: Vec<Checksum>,
}

/// `ListPartsResult`: a page of an upload's parts.
#[derive(Clone, Debug)]
pub struct PartsReply<'a> {
    /// What becomes the object.
    pub path: &'a ResourcePath,
    /// By number, all after the asked marker, at most as many as were asked for.
    pub parts: &'a [PartEntry],
    /// Whether there are more.
    pub truncated: bool,
    /// Whose upload it is.
    pub owner: &'a str,
}

impl PartsReply<'_> {
    /// The document that answers `asked`.
    pub fn document(&self, asked: &ListParts) -> String {
        Xml::s3("ListPartsResult", 512 + 192 * self.parts.len(), |xml| {
            xml.element("Bucket", self.path.bucket());
            xml.element("Key", self.path.name());
            xml.element("UploadId", &asked.upload);
            xml.owner("Initiator", self.owner);
            xml.owner("Owner", self.owner);
            xml.markup("<StorageClass>STANDARD</StorageClass>");
            xml.element("PartNumberMarker", asked.after);
            let last = self.parts.last().filter(|_| self.truncated);
            xml.optional("NextPartNumberMarker", last.map(|part| part.number));
            xml.element("MaxParts", asked.parts_max);
            xml.element("IsTruncated", self.truncated);
            for part in self.parts {
                xml.nested("Part", |xml| {
                    xml.element("PartNumber", part.number);
                    xml.element("LastModified", Milliseconds(part.modified_ms));
                    xml.element("ETag", quoted(&part.etag));
                    xml.element("Size", part.size_bytes);
                    checksums(xml, &part.checksums);
                });
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::operation::Operation;
    use crate::aws::operation::test::operation;

    #[test]
    fn a_page_of_parts_says_where_the_next_begins() {
        let Ok(Operation::ListParts(asked)) =
            operation("GET", "/files/a", "uploadId=7f3k&max-parts=1&part-number-marker=2")
        else {
            panic!()
        };
        let part = PartEntry {
            number: PartNumber::new(3).unwrap(),
            size_bytes: 5,
            modified_ms: 0,
            etag: "ab".into(),
            checksums: Vec::new(),
        };
        let path = ResourcePath::from_text("/files/a").unwrap();
        let mut reply = PartsReply { path: &path, parts: &[part], truncated: true, owner: "web" };
        let xml = reply.document(&asked);
        assert!(
            xml.contains(
                "<UploadId>7f3k</UploadId><Initiator><ID>web</ID><DisplayName>web</DisplayName></Initiator>\
                 <Owner><ID>web</ID><DisplayName>web</DisplayName></Owner>\
                 <StorageClass>STANDARD</StorageClass><PartNumberMarker>2</PartNumberMarker>\
                 <NextPartNumberMarker>3</NextPartNumberMarker><MaxParts>1</MaxParts>\
                 <IsTruncated>true</IsTruncated><Part><PartNumber>3</PartNumber>\
                 <LastModified>1970-01-01T00:00:00.000Z</LastModified><ETag>&quot;ab&quot;</ETag>\
                 <Size>5</Size></Part></ListPartsResult>"
            ),
            "{xml}"
        );
        reply.truncated = false;
        assert!(!reply.document(&asked).contains("NextPartNumberMarker"));
    }
}
