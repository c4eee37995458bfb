//! The request headers that mean something to the gateway.

use crate::native::FAMILIES;

/// Headers outside the vendors' families that some way of asking or uploading reads.
const TAKEN: [&str; 30] = [
    "authorization",
    "cache-control",
    "content-digest",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "digest",
    "expect",
    "expires",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
    "repr-digest",
    // AWS's SDKs sign these two, although they only count attempts.
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    // [tus](https://tus.io/protocols/resumable-upload), and the IETF's draft of resumable uploads.
    "tus-resumable",
    "upload-checksum",
    "upload-complete",
    "upload-concat",
    "upload-defer-length",
    "upload-draft-interop-version",
    "upload-length",
    "upload-metadata",
    "upload-offset",
];

/// Whether some dialect takes the request header `name`, in lower case, signed or not.
///
/// A header of a vendor's family may be signed, so all of them are. It says nothing of a request: which
/// headers one may have is decided by its key's dialect.
pub fn is_header_taken(name: &str) -> bool {
    TAKEN.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_without_a_meaning_are_not_taken() {
        for name in ["range", "x-amz-meta-colour", "x-vk-max", "x-ms-blob-type", "tus-resumable"] {
            assert!(is_header_taken(name), "{name}");
        }
        for name in ["cookie", "x-requested-with", "x-http-method-override", "x-vk", "x-forwarded-for", ""] {
            assert!(!is_header_taken(name), "{name}");
        }
    }
}
