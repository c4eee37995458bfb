//! Making keys.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};

use super::claims::{self, Claims, ClaimsError, Suffix};
use super::decode::Block;
use super::parameter::Parameter;
use super::verify::sign_base;
use crate::name::ResourcePath;
use crate::percent;
use crate::secret::Secret;

/// Signs a key for `path` and returns it as a query string, to follow the URL's question mark.
///
/// Where `claims` have a path of their own, such as a folder above `path`, the key opens that one.
///
/// # Errors
/// [`ClaimsError`] for claims that no gateway would take: a missing verb or end, a value out of its range.
pub fn mint(
    signer: &str,
    path: &ResourcePath,
    claims: &Claims,
    secret: &Secret,
) -> Result<String, ClaimsError> {
    if !claims::is_name(signer) {
        return Err(ClaimsError::Signer);
    }
    let mut block = block_of(claims, 0)?;
    for required in [Parameter::Allow, Parameter::End] {
        if block.value(required).is_none() {
            return Err(ClaimsError::Missing(required));
        }
    }
    let query_of_claims = encode(&block, 0);
    block.set(Parameter::Signer, Cow::Borrowed(signer));
    if block.value(Parameter::Path).is_none() {
        block.set(Parameter::Path, Cow::Borrowed(path.as_str()));
    }
    let signature = sign_base(secret, &block);
    Ok([query_of_claims.as_str(), "&vk-signer=", signer, "&vk-sig=", &signature.reveal()].concat())
}

/// The canonical texts of `claims`, each checked by reading it back.
pub(crate) fn block_of(claims: &Claims, level: usize) -> Result<Block<'static>, ClaimsError> {
    claims.check_order(level)?;
    let mut block = Block::default();
    let mut read_back = Claims::default();
    for parameter in Parameter::ALL {
        let Some(text) = claims.text(parameter) else { continue };
        if level > 0 && !parameter.narrows() {
            return Err(ClaimsError::NotNarrowing(parameter));
        }
        if read_back.read(parameter, &text).is_none() {
            return Err(ClaimsError::Value(parameter, Suffix(level)));
        }
        block.set(parameter, Cow::Owned(text));
    }
    Ok(block)
}

/// The parameters of `block` but the signature, as they stand in a query, sorted by name.
pub(crate) fn encode(block: &Block<'_>, level: usize) -> String {
    let mut query = String::new();
    for parameter in Parameter::ALL {
        let Some(value) = block.value(parameter).filter(|_| parameter != Parameter::Sig) else { continue };
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str("vk-");
        query.push_str(parameter.name());
        query.push_str(&Suffix(level).to_string());
        query.push('=');
        query.push_str(&percent::encode_component(value, b"/,:;"));
    }
    query
}
