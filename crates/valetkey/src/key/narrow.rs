//! Handing on a lesser key, offline and without the secret.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::NARROWINGS_MAX;
use super::claims::{Claims, ClaimsError};
use super::decode::decode;
use super::mint::{block_of, encode};
use super::verify::sign_narrowing;
use crate::name::ResourcePath;

/// Narrows the key in `query`, the query string of a URL whose path is `path`, by `claims`.
///
/// The result opens what both the key and `claims` permit; parameters that are not ours stay as they are.
///
/// # Errors
/// [`ClaimsError::Key`] where `query` has no sound key, [`ClaimsError::Narrowing`] where it was narrowed
/// eight times or `claims` say nothing, and the others where `claims` cannot narrow.
pub fn narrow(query: &str, path: Option<&ResourcePath>, claims: &Claims) -> Result<String, ClaimsError> {
    let presented = decode(query, path)
        .map_err(|denial| ClaimsError::Key(denial.to_string()))?
        .ok_or_else(|| ClaimsError::Key("there is no key in this URL".into()))?;
    let level = presented.levels.len();
    let block = block_of(claims, level)?;
    if level > NARROWINGS_MAX || block.is_empty() {
        return Err(ClaimsError::Narrowing);
    }
    let signature = sign_narrowing(&presented.signature, &block);
    let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("vk-sig=")).collect();
    Ok([kept.join("&").as_str(), "&", &encode(&block, level), "&vk-sig=", &signature.reveal()].concat())
}
