//! The begin and the end of an upload in parts.

use alloc::string::String;

use valetkey::ResourcePath;

use super::{checksums, quoted};
use crate::aws::operation::UploadId;
use crate::integrity::Checksum;
use crate::xml::Xml;

/// `InitiateMultipartUploadResult`.
pub fn created_upload(path: &ResourcePath, upload: &UploadId) -> String {
    Xml::s3("InitiateMultipartUploadResult", 512, |xml| {
        xml.element("Bucket", path.bucket());
        xml.element("Key", path.name());
        xml.element("UploadId", upload);
    })
}

/// `CompleteMultipartUploadResult`. `location` is the object's URL.
pub fn completed_upload(path: &ResourcePath, location: &str, etag: &str, sums: &[Checksum]) -> String {
    Xml::s3("CompleteMultipartUploadResult", 512, |xml| {
        xml.element("Location", location);
        xml.element("Bucket", path.bucket());
        xml.element("Key", path.name());
        xml.element("ETag", quoted(etag));
        checksums(xml, sums);
    })
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::integrity::ChecksumAlgorithm;

    #[test]
    fn an_upload_begins_and_ends() {
        let path = ResourcePath::from_text("/files/a&b").unwrap();
        let begun = created_upload(&path, &UploadId::parse("7f3k").unwrap());
        assert!(begun.contains("<Bucket>files</Bucket><Key>a&amp;b</Key><UploadId>7f3k</UploadId>"));
        let crc = Checksum { algorithm: ChecksumAlgorithm::Crc32, value: vec![0; 4], by_s3_header: true };
        let ended = completed_upload(&path, "http://h/files/a%26b", "ab-2", &[crc]);
        assert!(ended.contains(
            "<Location>http://h/files/a%26b</Location><Bucket>files</Bucket><Key>a&amp;b</Key>\
             <ETag>&quot;ab-2&quot;</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Complete"
        ));
    }
}
