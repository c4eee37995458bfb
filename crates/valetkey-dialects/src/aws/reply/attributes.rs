//! What is asked of an object besides its content.

use alloc::string::String;

use super::WholeSum;
use crate::aws::operation::ObjectAttributes;
use crate::integrity::ChecksumAlgorithm;
use crate::xml::Xml;

/// `GetObjectAttributesResponse`.
#[derive(Clone, Debug)]
pub struct AttributesReply<'a> {
    /// The object's entity tag without quotes.
    pub etag: &'a str,
    /// Its length.
    pub size_bytes: u64,
    /// What it hashes to, as far as that is kept.
    pub sums: &'a [WholeSum],
    /// Of which parts it was made, where it was uploaded in parts and that is kept.
    pub parts: Option<ObjectParts<'a>>,
}

/// The parts that an object was made of.
#[derive(Clone, Copy, Debug)]
pub struct ObjectParts<'a> {
    /// How long each is.
    pub sizes: &'a [u64],
    /// By which function each was hashed, and the values in base64, as far as that is kept.
    pub sums: Option<(ChecksumAlgorithm, &'a [String])>,
}

impl AttributesReply<'_> {
    /// The document, which tells what was asked for and no more.
    pub fn document(&self, asked: &ObjectAttributes) -> String {
        Xml::s3("GetObjectAttributesResponse", 512, |xml| {
            // Here, and only here, S3 writes it without quotes.
            xml.optional("ETag", asked.etag.then_some(self.etag));
            if let Some(first) = self.sums.first().filter(|_| asked.checksum) {
                xml.nested("Checksum", |xml| {
                    for sum in self.sums {
                        sum.write(xml);
                    }
                    xml.element("ChecksumType", first.kind());
                });
            }
            if let Some(parts) = self.parts.filter(|_| asked.object_parts) {
                xml.nested("ObjectParts", |xml| parts.write(asked, xml));
            }
            xml.optional("StorageClass", asked.storage_class.then_some("STANDARD"));
            xml.optional("ObjectSize", asked.object_size.then_some(self.size_bytes));
        })
    }
}

impl ObjectParts<'_> {
    fn write(&self, asked: &ObjectAttributes, xml: &mut Xml) {
        let after = usize::from(asked.parts_after);
        let end = self.sizes.len().min(after.saturating_add(asked.parts_max));
        xml.element("PartsCount", self.sizes.len());
        xml.element("PartNumberMarker", after);
        xml.element("NextPartNumberMarker", end.max(after));
        xml.element("MaxParts", asked.parts_max);
        xml.element("IsTruncated", end < self.sizes.len() && after < self.sizes.len());
        for at in after..end {
            xml.nested("Part", |xml| {
                xml.element("PartNumber", at + 1);
                xml.optional("Size", self.sizes.get(at));
                if let Some((algorithm, values)) = self.sums
                    && let Some((name, value)) = algorithm.s3_element().zip(values.get(at))
                {
                    xml.element(name, value);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_told() {
        let crc =
            WholeSum { algorithm: ChecksumAlgorithm::Crc32, text: "AAAAAA==-2".into(), is_composite: true };
        let values = ["AAAAAA==".into(), "AAAAAB==".into()];
        let parts = ObjectParts { sizes: &[3, 2], sums: Some((ChecksumAlgorithm::Crc32, &values)) };
        let reply = AttributesReply { etag: "ab-2", size_bytes: 5, sums: &[crc], parts: Some(parts) };
        let all = ObjectAttributes {
            etag: true,
            checksum: true,
            object_parts: true,
            storage_class: true,
            object_size: true,
            parts_after: 1,
            parts_max: 1000,
        };
        assert!(reply.document(&all).ends_with(
            "<ETag>ab-2</ETag><Checksum><ChecksumCRC32>AAAAAA==-2</ChecksumCRC32>\
             <ChecksumType>COMPOSITE</ChecksumType></Checksum>\
             <ObjectParts><PartsCount>2</PartsCount><PartNumberMarker>1</PartNumberMarker>\
             <NextPartNumberMarker>2</NextPartNumberMarker><MaxParts>1000</MaxParts>\
             <IsTruncated>false</IsTruncated><Part><PartNumber>2</PartNumber><Size>2</Size>\
             <ChecksumCRC32>AAAAAB==</ChecksumCRC32></Part></ObjectParts><StorageClass>STANDARD</StorageClass>\
             <ObjectSize>5</ObjectSize></GetObjectAttributesResponse>\n"
        ));
        let page = |parts_after, parts_max| {
            let asked = ObjectAttributes { object_parts: true, parts_after, parts_max, ..Default::default() };
            reply.document(&asked)
        };
        let first = page(0, 1);
        assert!(
            first.contains(
                "<NextPartNumberMarker>1</NextPartNumberMarker><MaxParts>1</MaxParts>\
             <IsTruncated>true</IsTruncated><Part><PartNumber>1</PartNumber><Size>3</Size>"
            ),
            "{first}"
        );
        assert_eq!(first.matches("<Part>").count(), 1);
        let beyond = page(9, 1000);
        assert!(beyond.contains("<IsTruncated>false</IsTruncated></ObjectParts>"), "{beyond}");
        let size = ObjectAttributes { object_size: true, ..ObjectAttributes::default() };
        assert!(
            reply
                .document(&size)
                .ends_with("2006-03-01/\"><ObjectSize>5</ObjectSize></GetObjectAttributesResponse>\n")
        );
    }
}
