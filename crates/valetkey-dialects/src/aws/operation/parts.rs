//! [`ListParts`](https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html).

use valetkey::Denial;

use super::{PartNumber, UploadId};
use crate::aws::reply::Refusal;
use crate::listing::entries_max;
use crate::query::{Parameters, bad_value};

/// Which parts of which upload are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListParts {
    /// Of which upload.
    pub upload: UploadId,
    /// The number that all have to be over; 0 for the first page.
    pub after: u16,
    /// How many at most, up to 1000.
    pub parts_max: usize,
}

impl ListParts {
    pub(super) fn of(parameters: Parameters<'_>, upload: UploadId) -> Result<Self, Refusal> {
        Ok(Self {
            upload,
            after: marker(parameters).map_err(Refusal::invalid_argument)?,
            parts_max: entries_max(parameters, "max-parts").map_err(Refusal::invalid_argument)?,
        })
    }
}

fn marker(parameters: Parameters<'_>) -> Result<u16, Denial> {
    let name = "part-number-marker";
    match parameters.value(name)?.as_deref() {
        None | Some("0") => Ok(0),
        Some(text) => PartNumber::parse(text)
            .map(PartNumber::get)
            .ok_or_else(|| bad_value(name, text, "write a number from 0 to 10000")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Operation;
    use super::super::test::operation;
    use crate::aws::reply::Code;

    fn check(query: &str, expected: Option<(u16, usize)>) {
        let query = alloc::format!("uploadId=7&{query}");
        let found = match operation("GET", "/files/a", &query) {
            Ok(Operation::ListParts(asked)) => Ok((asked.after, asked.parts_max)),
            other => Err(other.unwrap_err().code),
        };
        assert_eq!(found, expected.ok_or(Code::InvalidArgument), "{query}");
    }

    #[test]
    fn pages_of_parts_are_bounded() {
        check("", Some((0, 1000)));
        check("max-parts=0&part-number-marker=0", Some((0, 0)));
        check("max-parts=1001&part-number-marker=10000", Some((10_000, 1000)));
        for query in ["max-parts=-1", "max-parts=", "part-number-marker=10001", "part-number-marker=x"] {
            check(query, None);
        }
    }
}
