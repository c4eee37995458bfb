//! What is asked of an object besides its content.

use alloc::string::String;

use super::checksums;
use crate::aws::operation::ObjectAttributes;
use crate::integrity::Checksum;
use crate::xml::Xml;

/// `GetObjectAttributesResponse`.
#[derive(Clone, Debug)]
pub struct AttributesReply<'a> {
    /// The object's entity tag without quotes.
    pub etag: &'a str,
    /// Its length.
    pub size_bytes: u64,
    /// What it hashes to, as far as that is kept.
    pub checksums: &'a [Checksum],
    /// Of how many parts it was made, where it was uploaded in parts.
    pub parts: Option<usize>,
}

impl AttributesReply<'_> {
    /// The document, which tells what was asked for and no more.
    pub fn document(&self, asked: &ObjectAttributes) -> String {
        Xml::s3("GetObjectAttributesResponse", 512, |xml| {
            // Here, and only here, S3 writes it without quotes.
            xml.optional("ETag", asked.etag.then_some(self.etag));
            if asked.checksum && !self.checksums.is_empty() {
                xml.nested("Checksum", |xml| checksums(xml, self.checksums));
            }
            if let Some(parts) = self.parts.filter(|_| asked.object_parts) {
                xml.nested("ObjectParts", |xml| xml.element("PartsCount", parts));
            }
            xml.optional("StorageClass", asked.storage_class.then_some("STANDARD"));
            xml.optional("ObjectSize", asked.object_size.then_some(self.size_bytes));
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_told() {
        let crc = Checksum {
            algorithm: crate::ChecksumAlgorithm::Crc32,
            value: alloc::vec![0; 4],
            by_s3_header: true,
        };
        let reply = AttributesReply { etag: "ab-2", size_bytes: 5, checksums: &[crc], parts: Some(2) };
        let all = ObjectAttributes {
            etag: true,
            checksum: true,
            object_parts: true,
            storage_class: true,
            object_size: true,
        };
        assert!(reply.document(&all).ends_with(
            "<ETag>ab-2</ETag><Checksum><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Checksum>\
             <ObjectParts><PartsCount>2</PartsCount></ObjectParts><StorageClass>STANDARD</StorageClass>\
             <ObjectSize>5</ObjectSize></GetObjectAttributesResponse>\n"
        ));
        let size = ObjectAttributes { object_size: true, ..ObjectAttributes::default() };
        assert!(
            reply
                .document(&size)
                .ends_with("2006-03-01/\"><ObjectSize>5</ObjectSize></GetObjectAttributesResponse>\n")
        );
    }
}
