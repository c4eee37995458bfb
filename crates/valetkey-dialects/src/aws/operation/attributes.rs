//! [`GetObjectAttributes`](https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html).

use super::{PartNumber, header};
use crate::aws::credential::whole;
use crate::aws::reply::{Code, Refusal};
use crate::head::RequestHead;
use crate::query::bad_value;

const HEADER: &str = "x-amz-object-attributes";
const PARTS_MAX: &str = "x-amz-max-parts";
const AFTER: &str = "x-amz-part-number-marker";

/// How many parts a page tells at most, and unless it is asked for fewer.
const PARTS: usize = 1000;

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
    /// The part after which the page of parts begins; 0 for the first page.
    pub parts_after: u16,
    /// How many parts are asked for at most.
    pub parts_max: usize,
}

impl ObjectAttributes {
    pub(super) fn of(head: &RequestHead<'_>) -> Result<Self, Refusal> {
        let names = header(head, HEADER)?.ok_or_else(|| {
            Refusal::bad_request(Code::InvalidArgument, alloc::format!("the header {HEADER} is missing"))
        })?;
        let number = |name: &str, max: usize, default: usize| match header(head, name)? {
            None => Ok(default),
            Some(text) => {
                let number = whole(&text).map(|number| usize::try_from(number).unwrap_or(max).min(max));
                let instead = "write a number from 0 on";
                number.ok_or_else(|| Refusal::invalid_argument(bad_value(name, &text, instead)))
            }
        };
        let after = number(AFTER, PartNumber::MAX.into(), 0)?;
        let mut asked = Self {
            parts_after: u16::try_from(after).unwrap_or(PartNumber::MAX),
            parts_max: number(PARTS_MAX, PARTS, PARTS)?,
            ..Self::default()
        };
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
        assert_eq!(
            asked,
            ObjectAttributes { etag: true, object_size: true, parts_max: 1000, ..Default::default() }
        );
        for value in ["", "etag", "ETag,", "ETag,Colour"] {
            assert_eq!(read(value), Err(Code::InvalidArgument), "{value}");
        }
        let paged = |max, after| {
            let headers = [(HEADER, "ObjectParts"), (PARTS_MAX, max), (AFTER, after)];
            match with_headers("GET", "/files/a", "attributes", &headers) {
                Ok(Operation::GetObjectAttributes(asked)) => Some((asked.parts_max, asked.parts_after)),
                _ => None,
            }
        };
        assert_eq!(paged("2", "3"), Some((2, 3)));
        assert_eq!(paged("99999", "99999999999"), Some((1000, 10_000)));
        for text in ["", "-1", "+1", "x"] {
            assert_eq!((paged(text, "3"), paged("2", text)), (None, None), "{text}");
        }
        let missing = with_headers("GET", "/files/a", "attributes", &[]);
        assert_eq!(missing.map_err(|refusal| refusal.code), Err(Code::InvalidArgument));
    }
}
