//! The begin and the end of an upload in parts.

use alloc::string::String;

use valetkey::ResourcePath;

use super::quoted;
use crate::aws::operation::UploadId;
use crate::integrity::ChecksumAlgorithm;
use crate::xml::Xml;

/// `InitiateMultipartUploadResult`.
pub fn created_upload(path: &ResourcePath, upload: &UploadId) -> String {
    Xml::s3("InitiateMultipartUploadResult", 512, |xml| {
        xml.element("Bucket", path.bucket());
        xml.element("Key", path.name());
        xml.element("UploadId", upload);
    })
}

/// What an object that was made of parts hashes to, in S3's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeSum {
    /// By which function.
    pub algorithm: ChecksumAlgorithm,
    /// The value in base64; that of a composite one has a hyphen and the number of parts behind it.
    pub text: String,
    /// Whether it is a hash of the parts' hashes.
    pub is_composite: bool,
}

impl WholeSum {
    /// How S3 calls its kind.
    pub const fn kind(&self) -> &'static str {
        if self.is_composite { "COMPOSITE" } else { "FULL_OBJECT" }
    }

    /// Writes its value, in the element of its function.
    pub(super) fn write(&self, xml: &mut Xml) {
        if let Some(name) = self.algorithm.s3_element() {
            xml.element(name, &self.text);
        }
    }
}

/// `CompleteMultipartUploadResult`. `location` is the object's URL.
pub fn completed_upload(path: &ResourcePath, location: &str, etag: &str, sum: Option<&WholeSum>) -> String {
    Xml::s3("CompleteMultipartUploadResult", 512, |xml| {
        xml.element("Location", location);
        xml.element("Bucket", path.bucket());
        xml.element("Key", path.name());
        xml.element("ETag", quoted(etag));
        if let Some(sum) = sum {
            sum.write(xml);
            xml.element("ChecksumType", sum.kind());
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_begins_and_ends() {
        let path = ResourcePath::from_text("/files/a&b").unwrap();
        let begun = created_upload(&path, &UploadId::parse("7f3k").unwrap());
        assert!(begun.contains("<Bucket>files</Bucket><Key>a&amp;b</Key><UploadId>7f3k</UploadId>"));
        let sum = |is_composite| WholeSum {
            algorithm: ChecksumAlgorithm::Crc32,
            text: "AAAAAA==-2".into(),
            is_composite,
        };
        assert_eq!(sum(false).kind(), "FULL_OBJECT");
        let ended = completed_upload(&path, "http://h/files/a%26b", "ab-2", Some(&sum(true)));
        assert!(ended.contains(
            "<Location>http://h/files/a%26b</Location><Bucket>files</Bucket><Key>a&amp;b</Key>\
             <ETag>&quot;ab-2&quot;</ETag><ChecksumCRC32>AAAAAA==-2</ChecksumCRC32>\
             <ChecksumType>COMPOSITE</ChecksumType></Complete"
        ));
    }
}
