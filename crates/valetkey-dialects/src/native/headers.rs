//! The request headers that a native key's holder may send.
//!
//! Headers come from the holder and no native key signs one, so they are taken from a list: whatever belongs
//! to the `x-amz-`, `x-goog-`, `x-ms-` or `x-vk-` families and could change what is done is refused.

use alloc::format;

use valetkey::Denial;

use crate::head::RequestHead;
use crate::upload_headers::METADATA_PREFIX;

/// The families of headers in which vendors say what is to be done.
pub(crate) const FAMILIES: [&str; 4] = ["x-amz-", "x-goog-", "x-ms-", "x-vk-"];

/// Of the families, what only describes the client.
const IGNORED: [&str; 4] = ["x-amz-user-agent", "x-amz-cf-id", "x-goog-api-client", "x-ms-client-request-id"];

/// Of the families, what speaks of an upload's bytes.
const CHECKSUMS: [&str; 4] =
    ["x-amz-sdk-checksum-algorithm", "x-amz-content-sha256", "x-amz-trailer", "x-amz-decoded-content-length"];

/// Refuses a header that could change what is done and that the key does not sign.
///
/// # Errors
/// [`Denial::BadRequest`] naming the header.
pub fn check_headers(head: &RequestHead<'_>) -> Result<(), Denial> {
    for (name, _) in head.headers {
        let taken = !FAMILIES.iter().any(|family| name.starts_with(family))
            || name.starts_with(METADATA_PREFIX)
            || is_free(name);
        if !taken {
            return Err(Denial::BadRequest(format!(
                "the header {name} changes what is done, and the key does not sign it"
            )));
        }
    }
    Ok(())
}

/// Whether a header of the families may stand in a request although nothing signs it, in every dialect.
pub(crate) fn is_free(name: &str) -> bool {
    name.starts_with("x-amz-checksum-") || CHECKSUMS.contains(&name) || describes_client(name)
}

/// Whether a header of the families only describes the client.
pub(crate) fn describes_client(name: &str) -> bool {
    IGNORED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &[u8])]) -> Result<(), &'static str> {
        check_headers(&RequestHead { method: "PUT", path: "/", query: "", headers })
            .map_err(|denial| denial.reason())
    }

    #[test]
    fn what_could_change_what_is_done_is_refused() {
        for name in [
            "x-amz-acl",
            "x-amz-copy-source",
            "x-amz-tagging",
            "x-amz-date",
            "x-goog-acl",
            "x-ms-blob-type",
            "x-vk-max",
        ] {
            assert_eq!(read(&[(name, b"x")]), Err("bad_request"), "{name}");
        }
        for name in
            ["x-amz-user-agent", "x-forwarded-for", "x-http-method-override", "x-ms-client-request-id"]
        {
            assert!(read(&[(name, b"x")]).is_ok(), "{name}");
        }
    }
}
