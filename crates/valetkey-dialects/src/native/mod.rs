//! The native dialect: an adapter, since the key format itself is the crate `valetkey`.

mod form;
mod headers;

use valetkey::{Denial, ResourcePath, key};

use crate::presented::Presented;

pub use form::NativeForm;
pub use headers::check_headers;
pub(crate) use headers::{FAMILIES, describes_client, is_free};

/// Decodes the key in `text`, a query string from the URL or from an `Authorization: Valetkey` header.
pub(crate) fn present<'a>(text: &'a str, path: Option<&ResourcePath>) -> Result<Presented<'a>, Denial> {
    decode(text, path).map(Presented::Native)
}

/// As [`present`], for who asks about the key itself.
pub(crate) fn decode<'a>(text: &'a str, path: Option<&ResourcePath>) -> Result<key::Presented<'a>, Denial> {
    key::decode(text, path)?
        .ok_or_else(|| Denial::MalformedKey("there is no vk- parameter in the Authorization header".into()))
}
