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
use crate::signature::{Fingerprint, Signature};

/// A key as its holder presents it: sound in form, vouched for by nobody yet.
#[derive(Debug)]
pub struct Presented<'a> {
    /// The base, then the narrowings in order; never empty. They are filled where they lie and never moved:
    /// copying them would cost as much as the signature.
    pub(crate) levels: Vec<Level<'a>>,
    pub(crate) signature: Signature,
    pub(crate) named: Parameters,
}

/// One level of a key.
#[derive(Debug, Default)]
pub struct Level<'a> {
    pub(crate) block: Block<'a>,
    pub(crate) claims: Claims,
    /// Zero until the key is verified.
    pub(crate) fingerprint: Fingerprint,
}

impl Presented<'_> {
    /// The signer that the key names.
    pub fn signer(&self) -> &str {
        self.levels[0].block.value(Parameter::Signer).expect("a decoded key names its signer")
    }

    /// The path that the key was signed for.
    pub fn path(&self) -> &ResourcePath {
        self.levels[0].claims.path.as_ref().expect("a decoded key has a path")
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
    let mut levels: Vec<Level<'a>> = Vec::with_capacity(1);
    let mut named = Parameters::NONE;
    for (raw_name, raw_value) in pairs(query) {
        if !has_prefix(raw_name) {
            continue;
        }
        let (parameter, level) = parse_name(raw_name)?;
        let value = percent::decode_query_component(raw_value)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| Denial::MalformedKey(claims::value_error(parameter, level)))?;
        while levels.len() <= level {
            levels.push(Level::default());
        }
        let block = &mut levels[level].block;
        if block.value(parameter).is_some() {
            return Err(Denial::MalformedKey(format!("vk-{parameter} is given twice")));
        }
        block.set(parameter, value);
        named = named.with(parameter);
    }
    if named == Parameters::NONE {
        return Ok(None);
    }
    let signature = complete(&mut levels, path)?;
    Ok(Some(Presented { levels, signature, named }))
}

/// Checks what a key must have, and reads what each level says.
fn complete(levels: &mut [Level<'_>], path: Option<&ResourcePath>) -> Result<Signature, Denial> {
    let (base, narrowings) = levels.split_first_mut().expect("a parameter was seen");
    if narrowings.iter().any(|level| level.block.is_empty()) {
        return Err(malformed(ClaimsError::Narrowing));
    }
    let base = &mut base.block;
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
    if !base.value(Parameter::Signer).is_some_and(claims::is_name) {
        return Err(Denial::MalformedKey(claims::value_error(Parameter::Signer, 0)));
    }
    let signature = base
        .value(Parameter::Sig)
        .and_then(Signature::parse)
        .ok_or_else(|| Denial::MalformedKey(claims::value_error(Parameter::Sig, 0)))?;
    for (number, level) in levels.iter_mut().enumerate() {
        read_claims(&level.block, &mut level.claims, number)?;
    }
    Ok(signature)
}

fn read_claims(block: &Block<'_>, claims: &mut Claims, level: usize) -> Result<(), Denial> {
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
    claims.check_order(level).map_err(malformed)
}

/// The names and values of a query, split in one pass: this is where most of a key's decoding goes.
fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = Some(query);
    core::iter::from_fn(move || {
        let text = rest?;
        let mut equals = None;
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                b'=' if equals.is_none() => equals = Some(at),
                b'&' => {
                    rest = Some(&text[at + 1..]);
                    return Some(split(&text[..at], equals));
                }
                _ => {}
            }
        }
        rest = None;
        Some(split(text, equals))
    })
}

fn split(pair: &str, equals: Option<usize>) -> (&str, &str) {
    match equals {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, ""),
    }
}

/// Whether a parameter's name as it was sent begins with our prefix once decoded, in any case.
pub fn has_prefix(raw_name: &str) -> bool {
    if raw_name.starts_with(PREFIX) {
        return true;
    }
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
