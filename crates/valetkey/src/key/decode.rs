//! From a query string to claims, refusing every spelling but the canonical one.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use hmac::Mac as _;

use super::claims::{self, Claims, ClaimsError};
use super::parameter::{Parameter, Parameters};
use super::{NARROWINGS_MAX, PREFIX};
use crate::denial::Denial;
use crate::name::ResourcePath;
use crate::percent;
use crate::signature::Signature;

/// A key as its holder presents it: sound in form, vouched for by nobody yet.
#[derive(Debug)]
pub struct Presented<'a> {
    /// The base, then the narrowings in order.
    pub(crate) levels: Vec<(Block<'a>, Claims)>,
    pub(crate) signer: Cow<'a, str>,
    pub(crate) signature: Signature,
    pub(crate) named: Parameters,
}

impl Presented<'_> {
    /// The signer that the key names.
    pub fn signer(&self) -> &str {
        &self.signer
    }
}

/// The decoded values of one level, by parameter.
#[derive(Debug, Default)]
pub(crate) struct Block<'a>([Option<Cow<'a, str>>; Parameter::COUNT]);

impl<'a> Block<'a> {
    /// The value of `parameter`.
    pub(crate) fn value(&self, parameter: Parameter) -> Option<&str> {
        self.0[parameter.index()].as_deref()
    }

    pub(crate) fn set(&mut self, parameter: Parameter, value: Cow<'a, str>) {
        self.0[parameter.index()] = Some(value);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// Feeds the lines `name=value` that are signed, sorted by name, into `mac`.
    pub(crate) fn sign_into(&self, mac: &mut hmac::Hmac<sha2::Sha256>) {
        for (parameter, value) in Parameter::ALL.into_iter().zip(&self.0) {
            if let Some(value) = value
                && parameter != Parameter::Sig
            {
                for piece in [parameter.name(), "=", value, "\n"] {
                    mac.update(piece.as_bytes());
                }
            }
        }
    }
}

/// Decodes the key in `query`, a query string as it was sent, without its question mark.
///
/// `path` is the URL's own path, which the key opens where it says none; `None` where there is no such path.
/// Returns `None` where no parameter is ours.
///
/// # Errors
/// [`Denial::MalformedKey`] for a parameter that is unknown, empty, given twice or in another spelling than
/// its canonical one.
pub fn decode<'a>(query: &'a str, path: Option<&ResourcePath>) -> Result<Option<Presented<'a>>, Denial> {
    let mut base = Block::default();
    let mut narrowings: Vec<Block<'a>> = Vec::new();
    let mut named = Parameters::NONE;
    for pair in query.split('&') {
        let (raw_name, raw_value) = pair.split_once('=').unwrap_or((pair, ""));
        if !has_prefix(raw_name) {
            continue;
        }
        let (parameter, level) = parse_name(raw_name)?;
        let value = percent::decode_query_component(raw_value)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| Denial::MalformedKey(claims::value_error(parameter, level)))?;
        let block = if level == 0 {
            &mut base
        } else {
            while narrowings.len() < level {
                narrowings.push(Block::default());
            }
            &mut narrowings[level - 1]
        };
        if block.value(parameter).is_some() {
            return Err(Denial::MalformedKey(format!("vk-{parameter} is given twice")));
        }
        block.set(parameter, value);
        named = named.with(parameter);
    }
    if named == Parameters::NONE {
        return Ok(None);
    }
    if narrowings.iter().any(Block::is_empty) {
        return Err(malformed(ClaimsError::Narrowing));
    }
    present(base, narrowings, named, path).map(Some)
}

fn present<'a>(
    mut base: Block<'a>,
    narrowings: Vec<Block<'a>>,
    named: Parameters,
    path: Option<&ResourcePath>,
) -> Result<Presented<'a>, Denial> {
    if base.value(Parameter::Path).is_none()
        && let Some(path) = path
    {
        base.set(Parameter::Path, Cow::Owned(path.as_str().into()));
    }
    for required in [Parameter::Signer, Parameter::Allow, Parameter::End, Parameter::Sig, Parameter::Path] {
        if base.value(required).is_none() {
            return Err(malformed(ClaimsError::Missing(required)));
        }
    }
    let signer = base.0[Parameter::Signer.index()].clone().expect("the signer was just seen");
    if !claims::is_name(&signer) {
        return Err(Denial::MalformedKey(claims::value_error(Parameter::Signer, 0)));
    }
    let signature = base
        .value(Parameter::Sig)
        .and_then(Signature::parse)
        .ok_or_else(|| Denial::MalformedKey(claims::value_error(Parameter::Sig, 0)))?;
    let mut levels = Vec::with_capacity(1 + narrowings.len());
    for (level, block) in core::iter::once(base).chain(narrowings).enumerate() {
        let claims = read_claims(&block, level)?;
        levels.push((block, claims));
    }
    Ok(Presented { levels, signer, signature, named })
}

fn read_claims(block: &Block<'_>, level: usize) -> Result<Claims, Denial> {
    let mut claims = Claims::default();
    for parameter in Parameter::ALL {
        let Some(value) = block.value(parameter) else { continue };
        if level > 0 && !parameter.narrows() {
            return Err(malformed(ClaimsError::NotNarrowing(parameter)));
        }
        if matches!(parameter, Parameter::Signer | Parameter::Sig) {
            continue;
        }
        claims
            .read(parameter, value)
            .ok_or_else(|| Denial::MalformedKey(claims::value_error(parameter, level)))?;
    }
    claims.check_order(level).map_err(malformed)?;
    Ok(claims)
}

/// Whether a parameter's name as it was sent begins with our prefix once decoded, in any case.
pub fn has_prefix(raw_name: &str) -> bool {
    if !raw_name.starts_with(['v', 'V', '%']) {
        return false;
    }
    let mut rest = raw_name.as_bytes();
    PREFIX.bytes().all(|expected| {
        let (byte, bytes) = match rest {
            [b'%', high, low, ..] => {
                let digits = [*high, *low];
                let value =
                    core::str::from_utf8(&digits).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
                let Some(value) = value else { return false };
                (value, 3)
            }
            [byte, ..] => (*byte, 1),
            [] => return false,
        };
        rest = &rest[bytes..];
        byte.eq_ignore_ascii_case(&expected)
    })
}

/// The parameter and the level (0 for the base) of a name that has our prefix.
fn parse_name(raw_name: &str) -> Result<(Parameter, usize), Denial> {
    let parsed = raw_name.strip_prefix(PREFIX).and_then(|name| {
        let (name, level) = match name.split_once('.') {
            None => (name, 0),
            Some((name, suffix)) => {
                let [digit @ b'1'..=b'8'] = suffix.as_bytes() else { return None };
                (name, usize::from(digit - b'0'))
            }
        };
        Some((Parameter::from_name(name)?, level))
    });
    const { assert!(NARROWINGS_MAX == 8, "a suffix is one digit") };
    parsed.ok_or_else(|| {
        // Where the equals sign was lost, what follows is a value, and that may be the signature.
        let mut shown: String = raw_name.chars().filter(|char| !char.is_control()).take(15).collect();
        if shown.chars().count() == 15 {
            shown.pop();
            shown.push('…');
        }
        Denial::MalformedKey(format!("{shown} is no parameter of a key"))
    })
}

#[expect(clippy::needless_pass_by_value, reason = "it serves as the argument of map_err")]
fn malformed(error: ClaimsError) -> Denial {
    Denial::MalformedKey(format!("{error}"))
}
