//! [`ListBuckets`](https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html).

use alloc::string::String;

use valetkey::Denial;

use crate::aws::reply::Refusal;
use crate::query::{Parameters, bad_value};

/// How many buckets a page holds at most, and unless it is asked for fewer.
const BUCKETS_MAX: usize = 10_000;

/// Which buckets are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListBuckets {
    prefix: String,
    /// The name that a page before ended with.
    after: String,
    buckets_max: usize,
}

impl ListBuckets {
    pub(super) fn of(parameters: Parameters<'_>) -> Result<Self, Refusal> {
        Self::read(parameters).map_err(Refusal::invalid_argument)
    }

    fn read(parameters: Parameters<'_>) -> Result<Self, Denial> {
        let buckets_max = match parameters.value("max-buckets")?.as_deref() {
            None => BUCKETS_MAX,
            Some(number) => number
                .parse()
                .ok()
                .filter(|count| (1..=BUCKETS_MAX).contains(count) && !number.starts_with('+'))
                .ok_or_else(|| bad_value("max-buckets", number, "write a number from 1 to 10000"))?,
        };
        Ok(Self {
            prefix: parameters.text("prefix")?,
            after: parameters.text("continuation-token")?,
            buckets_max,
        })
    }

    /// Whether it asks for the bucket `name`.
    pub(crate) fn takes(&self, name: &str) -> bool {
        name.starts_with(&self.prefix) && (self.after.is_empty() || name > self.after.as_str())
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn buckets_max(&self) -> usize {
        self.buckets_max
    }
}

#[cfg(test)]
mod tests {
    use super::super::test::operation;
    use crate::aws::reply::Code;

    #[test]
    fn pages_of_buckets_are_bounded() {
        for (number, taken) in
            [("0", false), ("1", true), ("10000", true), ("10001", false), ("", false), ("+1", false)]
        {
            let found = operation("GET", "/", &alloc::format!("max-buckets={number}"));
            assert_eq!(
                found.map(|_| ()).map_err(|refusal| refusal.code),
                if taken { Ok(()) } else { Err(Code::InvalidArgument) }
            );
        }
    }
}
