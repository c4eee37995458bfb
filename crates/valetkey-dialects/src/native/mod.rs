//! The native dialect: an adapter, since the key format itself is the crate `valetkey`.

mod headers;

use valetkey::{Denial, ResourcePath, key};

use crate::presented::Presented;

pub(crate) use headers::FAMILIES;
pub use headers::{UploadHeaders, check_headers};

/// Decodes the key in `text`, a query string from the URL or from an `Authorization: Valetkey` header.
pub(crate) fn present<'a>(text: &'a str, path: &ResourcePath) -> Result<Presented<'a>, Denial> {
    decode(text, Some(path)).map(Presented::Native)
}

/// As [`present`], with or without a path that the key may leave out.
pub(crate) fn decode<'a>(text: &'a str, path: Option<&ResourcePath>) -> Result<key::Presented<'a>, Denial> {
    key::decode(text, path)?
        .ok_or_else(|| Denial::MalformedKey("there is no vk- parameter in the Authorization header".into()))
}
