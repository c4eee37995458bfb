//! What one level of a key says, typed.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::parameter::Parameter;
use crate::client::ClientRanges;
use crate::content::{Digest, Disposition};
use crate::limits::Limits;
use crate::media::MediaRange;
use crate::name::ResourcePath;
use crate::size::SizeRange;
use crate::time::Timestamp;
use crate::verb::Verbs;

/// What one level of a key says: the base, or a narrowing. `None` says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// `vk-allow`: what may be done.
    pub allow: Option<Verbs>,
    /// `vk-path`: where, if not at the URL's own path.
    pub path: Option<ResourcePath>,
    /// `vk-end`: the first second at which the key opens nothing new.
    pub end: Option<Timestamp>,
    /// `vk-start`: not before.
    pub start: Option<Timestamp>,
    /// `vk-issued`: when it was signed.
    pub issued: Option<Timestamp>,
    /// `vk-max`: the largest upload, in bytes.
    pub size_max: Option<u64>,
    /// `vk-min`: the smallest upload, in bytes.
    pub size_min: Option<u64>,
    /// `vk-uses`, `vk-in`, `vk-out`, `vk-files`, `vk-rate` and `vk-parallel`.
    pub limits: Limits,
    /// `vk-ip`: from which addresses.
    pub clients: Option<ClientRanges>,
    /// `vk-type`: what an upload must be.
    pub types: Option<Vec<MediaRange>>,
    /// `vk-digest`: what an upload must hash to.
    pub digest: Option<Digest>,
    /// `vk-disposition`: how a download presents itself.
    pub disposition: Option<Disposition>,
    /// `vk-renew`: up to when the holder may have the end moved.
    pub renew: Option<Timestamp>,
    /// `vk-policy`: the stored access policy.
    pub policy: Option<String>,
    /// `vk-subject`: the issuer's user.
    pub subject: Option<String>,
    /// `vk-id`: the issuer's own name for the key.
    pub id: Option<String>,
}

/// Why a set of claims is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    /// The value of a parameter is not in its canonical spelling.
    #[error("vk-{0}{1} must be {rule}", rule = rule(*.0))]
    Value(Parameter, Suffix),
    /// A parameter that a key needs is missing.
    #[error("vk-{0} is missing")]
    Missing(Parameter),
    /// A parameter stands in a narrowing that no holder may set.
    #[error("vk-{0} cannot be set in a narrowing")]
    NotNarrowing(Parameter),
    /// The least size is over the largest.
    #[error("vk-min{0} exceeds vk-max{0}")]
    SizeOrder(Suffix),
    /// The start is not before the end.
    #[error("vk-start{0} is not before vk-end{0}")]
    TimeOrder(Suffix),
    /// A narrowing says nothing, or there are too many.
    #[error("a key is narrowed at most 8 times, each time by at least one limit")]
    Narrowing,
    /// The signer's name breaks its rule.
    #[error("the signer's name must be 1 to 32 of a-z 0-9 -")]
    Signer,
    /// What was to be narrowed is no sound key.
    #[error("{0}")]
    Key(String),
}

/// Which level a message speaks of: empty for the base, `.N` for a narrowing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suffix(pub(crate) usize);

impl core::fmt::Display for Suffix {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.0 == 0 { Ok(()) } else { write!(f, ".{}", self.0) }
    }
}

impl Claims {
    /// The least that a key says: what may be done, and until when.
    pub fn new(allow: Verbs, end: Timestamp) -> Self {
        Self { allow: Some(allow), end: Some(end), ..Self::default() }
    }

    /// The bounds of an upload's size.
    pub fn size(&self) -> SizeRange {
        SizeRange { min_bytes: self.size_min.unwrap_or(0), max_bytes: self.size_max }
    }

    /// Reads one parameter's decoded value in its canonical spelling. `None` where it is another spelling,
    /// or `parameter` is no claim but the signer or the signature.
    pub(crate) fn read(&mut self, parameter: Parameter, value: &str) -> Option<()> {
        match parameter {
            Parameter::Allow => self.allow = Some(Verbs::parse(value)?),
            Parameter::Path => self.path = Some(ResourcePath::from_text(value).ok()?),
            Parameter::End => self.end = Some(Timestamp::parse(value)?),
            Parameter::Start => self.start = Some(Timestamp::parse(value)?),
            Parameter::Issued => self.issued = Some(Timestamp::parse(value)?),
            Parameter::Renew => self.renew = Some(Timestamp::parse(value)?),
            Parameter::Max => self.size_max = Some(number(value)?),
            Parameter::Min => self.size_min = Some(number(value)?),
            Parameter::Uses => self.limits.uses = Some(positive(value)?),
            Parameter::In => self.limits.in_bytes = Some(number(value)?),
            Parameter::Out => self.limits.out_bytes = Some(number(value)?),
            Parameter::Files => self.limits.files = Some(positive(value)?),
            Parameter::Rate => self.limits.rate_bytes = Some(positive(value)?),
            Parameter::Parallel => self.limits.parallel = Some(positive(value)?),
            Parameter::Ip => self.clients = Some(ClientRanges::parse(value)?),
            Parameter::Type => self.types = Some(media_ranges(value)?),
            Parameter::Digest => self.digest = Some(Digest::parse(value)?),
            Parameter::Disposition => self.disposition = Some(Disposition::parse(value)?),
            Parameter::Policy => self.policy = Some(is_name(value).then(|| value.to_owned())?),
            Parameter::Subject => self.subject = Some(is_subject(value).then(|| value.to_owned())?),
            Parameter::Id => self.id = Some(is_id(value).then(|| value.to_owned())?),
            Parameter::Signer | Parameter::Sig => return None,
        }
        Some(())
    }

    /// The canonical text of one parameter, where it is set.
    pub(crate) fn text(&self, parameter: Parameter) -> Option<String> {
        match parameter {
            Parameter::Allow => self.allow.map(|verbs| verbs.to_string()),
            Parameter::Path => self.path.as_ref().map(ToString::to_string),
            Parameter::End => self.end.map(|time| time.to_string()),
            Parameter::Start => self.start.map(|time| time.to_string()),
            Parameter::Issued => self.issued.map(|time| time.to_string()),
            Parameter::Renew => self.renew.map(|time| time.to_string()),
            Parameter::Max => self.size_max.map(|number| number.to_string()),
            Parameter::Min => self.size_min.map(|number| number.to_string()),
            Parameter::Uses => self.limits.uses.map(|number| number.to_string()),
            Parameter::In => self.limits.in_bytes.map(|number| number.to_string()),
            Parameter::Out => self.limits.out_bytes.map(|number| number.to_string()),
            Parameter::Files => self.limits.files.map(|number| number.to_string()),
            Parameter::Rate => self.limits.rate_bytes.map(|number| number.to_string()),
            Parameter::Parallel => self.limits.parallel.map(|number| number.to_string()),
            Parameter::Ip => self.clients.as_ref().map(ToString::to_string),
            Parameter::Type => self.types.as_ref().map(|types| {
                let mut names: Vec<_> = types.iter().map(MediaRange::as_str).collect();
                names.sort_unstable();
                names.dedup();
                names.join(",")
            }),
            Parameter::Digest => self.digest.map(|digest| digest.to_string()),
            Parameter::Disposition => self.disposition.as_ref().map(|it| it.as_str().to_owned()),
            Parameter::Policy => self.policy.clone(),
            Parameter::Subject => self.subject.clone(),
            Parameter::Id => self.id.clone(),
            Parameter::Signer | Parameter::Sig => None,
        }
    }

    /// The canonical text of each parameter that is set, as other dialects carry it in parameters of their own.
    ///
    /// # Errors
    /// [`ClaimsError`] for a value out of its range.
    pub fn texts(&self) -> Result<Vec<(Parameter, String)>, ClaimsError> {
        let block = super::mint::block_of(self, 0)?;
        let text = |parameter| Some((parameter, block.value(parameter)?.to_owned()));
        Ok(Parameter::ALL.into_iter().filter_map(text).collect())
    }

    /// Checks what holds between the values of one level; `level` is 0 for the base.
    pub(crate) fn check_order(&self, level: usize) -> Result<(), ClaimsError> {
        if let (Some(min), Some(max)) = (self.size_min, self.size_max)
            && min > max
        {
            return Err(ClaimsError::SizeOrder(Suffix(level)));
        }
        if let (Some(start), Some(end)) = (self.start, self.end)
            && start >= end
        {
            return Err(ClaimsError::TimeOrder(Suffix(level)));
        }
        Ok(())
    }
}

/// Whether `text` may name a signer or a policy.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn is_subject(text: &str) -> bool {
    (1..=256).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// A decimal number without sign or leading zero, at most 2^63 - 1.
fn number(text: &str) -> Option<u64> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    let value: u64 = canonical.then(|| text.parse().ok()).flatten()?;
    i64::try_from(value).is_ok().then_some(value)
}

fn positive(text: &str) -> Option<u64> {
    number(text).filter(|value| *value > 0)
}

fn media_ranges(text: &str) -> Option<Vec<MediaRange>> {
    let ranges: Vec<_> = text.split(',').map(MediaRange::parse).collect::<Option<_>>()?;
    ranges.is_sorted_by(|one, next| one < next).then_some(ranges)
}

/// The rule that a parameter's value obeys, to follow "must be".
pub(crate) fn rule(parameter: Parameter) -> &'static str {
    match parameter {
        Parameter::Allow => "a sorted, comma-separated list of create delete list read stat write",
        Parameter::Path => "/bucket/object, /bucket/folder/ or /bucket/",
        Parameter::End | Parameter::Start | Parameter::Issued | Parameter::Renew => {
            "a time as 2026-11-22T00:00:00Z"
        }
        Parameter::Max | Parameter::Min | Parameter::In | Parameter::Out => {
            "a decimal number without sign or leading zero, at most 2^63-1"
        }
        Parameter::Uses | Parameter::Files | Parameter::Rate | Parameter::Parallel => {
            "a decimal number from 1 to 2^63-1 without sign or leading zero"
        }
        Parameter::Ip => "a sorted, comma-separated list of address ranges as 10.0.0.0/8 or 2001:db8::/32",
        Parameter::Type => {
            "a sorted, comma-separated list of media types in lower case, as image/* or image/png"
        }
        Parameter::Digest => "blake3: or sha-256: and 43 characters of base64url",
        Parameter::Disposition => "inline or attachment with parameters, in printable ASCII",
        Parameter::Policy | Parameter::Signer => "1 to 32 of a-z 0-9 -",
        Parameter::Subject => "1 to 256 bytes of text without control characters",
        Parameter::Id => "1 to 64 of A-Z a-z 0-9 . _ -",
        Parameter::Sig => "43 characters of base64url without padding",
    }
}

/// The text of a parameter's rule as a whole message.
pub(crate) fn value_error(parameter: Parameter, level: usize) -> String {
    format!("{}", ClaimsError::Value(parameter, Suffix(level)))
}
