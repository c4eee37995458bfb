//! [`GetObjectAttributes`](https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html).

use super::header;
use crate::aws::reply::{Code, Refusal};
use crate::head::RequestHead;
use crate::query::bad_value;

const HEADER: &str = "x-amz-object-attributes";

/// What is asked of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the attribute of that name")]
#[expect(clippy::struct_excessive_bools, reason = "it is a set of names")]
pub struct ObjectAttributes {
    pub etag: bool,
    pub checksum: bool,
    pub object_parts: bool,
    pub storage_class: bool,
    pub object_size: bool,
}

impl ObjectAttributes {
    pub(super) fn of(head: &RequestHead<'_>) -> Result<Self, Refusal> {
        let names = header(head, HEADER)?.ok_or_else(|| {
            Refusal::bad_request(Code::InvalidArgument, alloc::format!("the header {HEADER} is missing"))
        })?;
        let mut asked = Self::default();
        for name in names.split(',') {
            match name.trim_matches([' ', '\t']) {
                "ETag" => asked.etag = true,
                "Checksum" => asked.checksum = true,
                "ObjectParts" => asked.object_parts = true,
                "StorageClass" => asked.storage_class = true,
                "ObjectSize" => asked.object_size = true,
                other => {
                    let instead = "the names are ETag, Checksum, ObjectParts, StorageClass and ObjectSize";
                    return Err(Refusal::invalid_argument(bad_value(HEADER, other, instead)));
                }
            }
        }
        Ok(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Operation;
    use super::super::test::with_headers;
    use super::*;

    fn read(value: &str) -> Result<ObjectAttributes, Code> {
        match with_headers("GET", "/files/a", "attributes", &[(HEADER, value)]) {
            Ok(Operation::GetObjectAttributes(asked)) => Ok(asked),
            other => Err(other.unwrap_err().code),
        }
    }

    #[test]
    fn attributes_are_a_set_of_known_names() {
        let asked = read("ETag, ObjectSize").unwrap();
        assert_eq!(asked, ObjectAttributes { etag: true, object_size: true, ..Default::default() });
        for value in ["", "etag", "ETag,", "ETag,Colour"] {
            assert_eq!(read(value), Err(Code::InvalidArgument), "{value}");
        }
        let missing = with_headers("GET", "/files/a", "attributes", &[]);
        assert_eq!(missing.map_err(|refusal| refusal.code), Err(Code::InvalidArgument));
    }
}
