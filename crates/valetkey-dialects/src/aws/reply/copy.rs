//! What a copy made.

use alloc::string::String;

use super::{checksums, quoted};
use crate::integrity::Checksum;
use crate::xml::{Milliseconds, Xml};

/// Which of the two calls that copy is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyResult {
    /// `CopyObjectResult`.
    Object,
    /// `CopyPartResult`.
    Part,
}

/// What a copy made: an object, or a part of one.
#[derive(Clone, Debug)]
pub struct CopyReply<'a> {
    /// Its entity tag without quotes.
    pub etag: &'a str,
    /// When it was made, in milliseconds since the Unix epoch.
    pub modified_ms: i64,
    /// What it hashes to.
    pub checksums: &'a [Checksum],
}

impl CopyReply<'_> {
    /// The document.
    pub fn document(&self, result: CopyResult) -> String {
        let root = match result {
            CopyResult::Object => "CopyObjectResult",
            CopyResult::Part => "CopyPartResult",
        };
        Xml::s3(root, 384, |xml| {
            xml.element("LastModified", Milliseconds(self.modified_ms));
            xml.element("ETag", quoted(self.etag));
            checksums(xml, self.checksums);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_calls_tell_the_same() {
        let reply = CopyReply { etag: "ab-1", modified_ms: 0, checksums: &[] };
        for (result, root) in [(CopyResult::Object, "CopyObjectResult"), (CopyResult::Part, "CopyPartResult")]
        {
            let end = alloc::format!(
                "<LastModified>1970-01-01T00:00:00.000Z</LastModified><ETag>&quot;ab-1&quot;</ETag></{root}>\n"
            );
            assert!(reply.document(result).ends_with(&end));
        }
    }
}
