//! POST policies: what a form that was signed for S3 may upload.
//!
//! [The document](https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html) is base64 of
//! JSON. Each of its conditions must hold, several on one field too, and each field of the form must be named by
//! one: what the signer did not foresee is refused.

mod json;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use valetkey::{Denial, SizeRange, Timestamp};

use self::json::Json;
use crate::aws::reply::{Code, Refusal};
use crate::form::Form;

/// The prefix of a native key's limits in this dialect.
const LIMIT_PREFIX: &str = "x-vk-";

/// Fields that no condition needs to name.
const UNNAMED: [&str; 3] = ["policy", "submit", "x-amz-signature"];

/// Fields whose names begin so may say what they like: nothing is done with the first, and the others, what the file
/// hashes to, can only have it refused.
const UNNAMED_PREFIXES: [&str; 2] = ["x-ignore-", "x-amz-checksum-"];

/// What a form may upload, as its signer wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostPolicy {
    expiration: Timestamp,
    size: SizeRange,
    conditions: Vec<Condition>,
}

/// A condition on one field.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    /// In lower case.
    field: String,
    is: Is,
    text: String,
}

/// How a field's value relates to a condition's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Equal,
    Beginning,
}

impl PostPolicy {
    /// Reads the field `policy`.
    ///
    /// # Errors
    /// [`Code::InvalidPolicyDocument`] for what is no policy, says a member twice or says what is not known;
    /// [`Denial::MalformedKey`] for a limit that is not in lower case, in a condition other than an exact one,
    /// or said twice.
    pub fn parse(field: &str) -> Result<Self, Refusal> {
        let text = STANDARD.decode(field).map_err(|_| invalid("it is not base64"))?;
        let document = Json::parse(&text).map_err(|_| invalid("it is no JSON, or says a member twice"))?;
        let Json::Object(members) = document else { return Err(invalid("it is no object")) };
        let (mut expiration, mut conditions) = (None, None);
        for (name, value) in members {
            match (name.as_str(), value) {
                ("expiration", Json::Text(text)) => expiration = parse_time(&text),
                ("conditions", Json::Array(all)) => conditions = Some(all),
                (other, _) => return Err(invalid(&format!("its member {} means nothing", shown(other)))),
            }
        }
        let expiration = expiration.ok_or_else(|| invalid("it has no expiration as 2026-11-22T00:00:00Z"))?;
        let mut policy = Self { expiration, size: SizeRange::ANY, conditions: Vec::new() };
        for condition in conditions.ok_or_else(|| invalid("it has no conditions"))? {
            policy.add(condition)?;
        }
        policy.check_limits()?;
        Ok(policy)
    }

    /// The first second at which it allows nothing new.
    pub fn expiration(&self) -> Timestamp {
        self.expiration
    }

    /// The bounds of the file's size: what all of its ranges take.
    pub fn size(&self) -> SizeRange {
        self.size
    }

    /// The limits of a native key that it says, by their names without a prefix. They bind whether or not the
    /// form repeats them.
    pub fn limits(&self) -> impl Iterator<Item = (&str, &str)> {
        let limit = |condition: &'_ Condition| condition.field.starts_with(LIMIT_PREFIX);
        self.conditions
            .iter()
            .filter(move |condition| limit(condition))
            .map(|condition| (&condition.field[LIMIT_PREFIX.len()..], condition.text.as_str()))
    }

    /// Decides whether the policy allows a form on the URL of `bucket`, whose field `key` names the object
    /// `key` once what it stands for is put in.
    ///
    /// The file's size is [`PostPolicy::size`]'s matter.
    ///
    /// # Errors
    /// [`Code::AccessDenied`] naming the condition that does not hold, or the field that none names;
    /// [`Denial::MalformedKey`] for a limit in the form that the policy does not say.
    pub fn check(&self, form: &Form, bucket: &str, key: &str) -> Result<(), Refusal> {
        for (name, _) in form.fields() {
            let lower = name.to_ascii_lowercase();
            let needs_no_name = UNNAMED.contains(&lower.as_str())
                || UNNAMED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix));
            let named = self.conditions.iter().any(|condition| condition.field == lower);
            if lower.starts_with(LIMIT_PREFIX) {
                if lower != name || !named {
                    let text = format!("the field {} is a limit that the policy does not say", shown(name));
                    return Err(Denial::MalformedKey(text).into());
                }
            } else if !named && !needs_no_name {
                return Err(denied(
                    Denial::NotAllowed("a field that its policy does not name"),
                    format!("Extra input fields: {}", shown(name)),
                ));
            }
        }
        // A policy without it would open every bucket that its signer may.
        if !self.conditions.iter().any(|condition| condition.field == "bucket") {
            return Err(denied(Denial::OutOfScope, "no condition names the bucket".to_string()));
        }
        // What the form says of its bucket counts as little as what it does not say.
        if form.value("bucket").is_some_and(|said| said != bucket) {
            return Err(denied(Denial::OutOfScope, "the form names another bucket than its URL".to_string()));
        }
        for condition in &self.conditions {
            let value = match condition.field.as_str() {
                "bucket" => Some(bucket),
                "key" => Some(key),
                field => form.value(field),
            };
            if !condition.holds(value) {
                let denial = match condition.field.as_str() {
                    "bucket" | "key" => Denial::OutOfScope,
                    _ => Denial::NotAllowed("an upload by this form"),
                };
                return Err(denied(denial, format!("Policy Condition failed: {condition}")));
            }
        }
        Ok(())
    }

    fn add(&mut self, condition: Json) -> Result<(), Refusal> {
        match condition {
            Json::Object(members) => match <[_; 1]>::try_from(members) {
                Ok([(field, Json::Text(text))]) => self.name(field, Is::Equal, text),
                _ => Err(invalid("a condition that is an object has one member, a text")),
            },
            Json::Array(values) => match <[_; 3]>::try_from(values) {
                Ok([Json::Text(kind), Json::Text(field), Json::Text(text)])
                    if let Some(is) = Is::of(&kind) =>
                {
                    let field = field.strip_prefix('$').ok_or_else(|| {
                        invalid("the field of a condition that is an array begins with a dollar")
                    })?;
                    self.name(field.to_string(), is, text)
                }
                Ok([Json::Text(kind), min, max]) if kind.eq_ignore_ascii_case("content-length-range") => {
                    let bounds = min.number().zip(max.number()).filter(|(min, max)| min <= max);
                    let (min_bytes, max) = bounds
                        .ok_or_else(|| invalid("a content-length-range has a least and a largest size"))?;
                    self.size = self.size.intersect(SizeRange { min_bytes, max_bytes: Some(max) });
                    Ok(())
                }
                _ => Err(invalid("a condition that is an array is eq, starts-with or content-length-range")),
            },
            _ => Err(invalid("a condition is an object or an array")),
        }
    }

    fn name(&mut self, field: String, is: Is, text: String) -> Result<(), Refusal> {
        let lower = field.to_ascii_lowercase();
        if lower.is_empty() {
            return Err(invalid("a condition names no field"));
        }
        if lower.starts_with(LIMIT_PREFIX) && (lower != field || is != Is::Equal) {
            let text =
                format!("{} is in lower case, and in an exact condition, or it is no limit", shown(&field));
            return Err(Denial::MalformedKey(text).into());
        }
        self.conditions.push(Condition { field: lower, is, text });
        Ok(())
    }

    fn check_limits(&self) -> Result<(), Refusal> {
        let mut names: Vec<_> = self.limits().map(|(name, _)| name).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            None => Ok(()),
            Some(pair) => {
                Err(Denial::MalformedKey(format!("{LIMIT_PREFIX}{} is said twice", shown(pair[0]))).into())
            }
        }
    }
}

impl Is {
    /// S3 takes the names of conditions in any case.
    fn of(name: &str) -> Option<Self> {
        [(Self::Equal, "eq"), (Self::Beginning, "starts-with")]
            .into_iter()
            .find_map(|(is, known)| name.eq_ignore_ascii_case(known).then_some(is))
    }
}

impl Condition {
    fn holds(&self, value: Option<&str>) -> bool {
        match (self.is, value) {
            (Is::Equal, Some(value)) => value == self.text,
            // A limit binds without being repeated.
            (Is::Equal, None) => self.field.starts_with(LIMIT_PREFIX),
            // S3 takes several types in one field, and each must fit.
            (Is::Beginning, Some(types)) if self.field == "content-type" => {
                types.split(',').all(|one| one.trim_matches([' ', '\t']).starts_with(&self.text))
            }
            (Is::Beginning, value) => value.unwrap_or_default().starts_with(&self.text),
        }
    }
}

impl core::fmt::Display for Condition {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let kind = match self.is {
            Is::Equal => "eq",
            Is::Beginning => "starts-with",
        };
        write!(f, "[\"{kind}\", \"${}\", \"{}\"]", shown(&self.field), shown(&self.text))
    }
}

/// An ISO 8601 time in UTC, whose decimals count for nothing.
fn parse_time(text: &str) -> Option<Timestamp> {
    let bare = text.strip_suffix('Z')?;
    let second = match bare.split_once('.') {
        None => bare,
        Some((second, decimals)) => {
            let sound =
                (1..=9).contains(&decimals.len()) && decimals.bytes().all(|byte| byte.is_ascii_digit());
            sound.then_some(second)?
        }
    };
    Timestamp::parse(&format!("{second}Z"))
}

/// What of a stranger's text stands in a message.
fn shown(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(100).collect()
}

fn invalid(why: &str) -> Refusal {
    Refusal::bad_request(Code::InvalidPolicyDocument, format!("Invalid Policy: {why}"))
}

fn denied(denial: Denial, why: String) -> Refusal {
    Refusal::from(denial).saying(format!("Invalid according to Policy: {why}"))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::EXAMPLE;
