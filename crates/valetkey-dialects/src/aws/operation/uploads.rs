//! [`ListMultipartUploads`](https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html).

use alloc::string::String;

use valetkey::Denial;

use crate::aws::reply::Refusal;
use crate::listing::{encodes, entries_max};
use crate::query::Parameters;

/// Which uploads are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListMultipartUploads {
    /// Beneath which text below the bucket.
    pub prefix: String,
    /// Up to which text after the prefix names are taken together; empty where they are not.
    pub delimiter: String,
    /// The name that all have to sort after; with [`Self::upload_id_marker`], or at it and after that ID.
    pub key_marker: String,
    /// The ID that uploads of the marker's name have to sort after; empty where only later names count.
    pub upload_id_marker: String,
    /// How many at most, up to 1000.
    pub uploads_max: usize,
    pub(crate) encodes: bool,
}

impl ListMultipartUploads {
    pub(super) fn of(parameters: Parameters<'_>) -> Result<Self, Refusal> {
        Self::read(parameters).map_err(Refusal::invalid_argument)
    }

    fn read(parameters: Parameters<'_>) -> Result<Self, Denial> {
        let key_marker = parameters.text("key-marker")?;
        Ok(Self {
            prefix: parameters.text("prefix")?,
            delimiter: parameters.text("delimiter")?,
            // Without a name it says nothing, as S3 has it.
            upload_id_marker: if key_marker.is_empty() {
                String::new()
            } else {
                parameters.text("upload-id-marker")?
            },
            key_marker,
            uploads_max: entries_max(parameters, "max-uploads")?,
            encodes: encodes(parameters)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Operation;
    use super::super::test::operation;
    use super::*;
    use crate::aws::reply::Code;

    fn read(query: &str) -> Result<ListMultipartUploads, Code> {
        match operation("GET", "/files/", &alloc::format!("uploads&{query}")) {
            Ok(Operation::ListMultipartUploads(asked)) => Ok(asked),
            other => Err(other.unwrap_err().code),
        }
    }

    #[test]
    fn parameters_are_read_and_bounded() {
        let asked =
            read("prefix=a%2F&delimiter=/&key-marker=a%2Fb+c&upload-id-marker=7&max-uploads=5000").unwrap();
        assert_eq!((asked.prefix.as_str(), asked.delimiter.as_str()), ("a/", "/"));
        assert_eq!((asked.key_marker.as_str(), asked.upload_id_marker.as_str()), ("a/b c", "7"));
        assert_eq!(asked.uploads_max, 1000);
        assert_eq!(read("upload-id-marker=7").unwrap().upload_id_marker, "");
        for query in ["max-uploads=x", "encoding-type=xml", "prefix=a&prefix=b", "key-marker=%ff"] {
            assert_eq!(read(query), Err(Code::InvalidArgument), "{query}");
        }
    }
}
