//! What one request did, and the line that says so.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::net::IpAddr;

use serde::de::{MapAccess, Visitor};
use valetkey::{Dialect, Fingerprint, Timestamp};

use super::chain::{LineHash, NO_LINE};
use crate::observe::disturbs;
use crate::observe::redact::redact_named;

/// The names in a record, all in every record and in this order.
pub const FIELDS: [&str; 19] = [
    "time",
    "request_id",
    "dialect",
    "signer",
    "subject",
    "key",
    "id",
    "policy",
    "action",
    "bucket",
    "object",
    "client",
    "status",
    "reason",
    "bytes_in",
    "bytes_out",
    "digest",
    "duration_ms",
    "previous",
];

/// No line is longer, its newline included: the longest texts, each byte escaped, and all names.
pub const LINE_BYTES_MAX: usize = 32 * 1024;

/// The longest object name in a record, in bytes; the contract allows none longer.
const OBJECT_BYTES_MAX: usize = 1024;

/// The longest of any other text in a record, in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// What one request did. `None` is what does not apply, or was not learned before the request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// When the request arrived.
    pub time: Timestamp,
    /// The request's own name, as its answer carries it.
    pub request_id: Option<String>,
    /// The wire form of the key.
    pub dialect: Option<Dialect>,
    /// The signer that the key names.
    pub signer: Option<String>,
    /// The issuer's user.
    pub subject: Option<String>,
    /// The fingerprint of the key's last level.
    pub key: Option<Fingerprint>,
    /// The issuer's own name for the key.
    pub id: Option<String>,
    /// The stored access policy that the key names.
    pub policy: Option<String>,
    /// What was asked: [`valetkey::Action::name`], or a name of the gateway's own.
    pub action: Option<&'static str>,
    /// Of which bucket.
    pub bucket: Option<String>,
    /// Of which object, folder or prefix, below the bucket.
    pub object: Option<String>,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The HTTP status of the answer.
    pub status: Option<u16>,
    /// Why it was refused: [`valetkey::Denial::reason`], or words of the gateway's own.
    pub reason: Option<Cow<'static, str>>,
    /// How many bytes of content came in.
    pub bytes_in: Option<u64>,
    /// How many bytes of content went out.
    pub bytes_out: Option<u64>,
    /// The hash of what was uploaded.
    pub digest: Option<blake3::Hash>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
}

/// Why a line is no record of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotARecord {
    /// It is no JSON object.
    #[error("it is not a JSON object: {0}")]
    Json(String),
    /// A name is missing, unknown, given twice or out of its place.
    #[error("{found:?} stands where {expected:?} belongs")]
    Field {
        /// The name that was read; empty at the end of the object.
        found: String,
        /// The name that belongs there; empty at the end of the object.
        expected: &'static str,
    },
    /// The time or the hash of the line before is in no spelling of ours.
    #[error("the value of {0:?} is not one that the gateway writes")]
    Value(&'static str),
}

impl Receipt {
    /// A receipt that says only when.
    pub const fn at(time: Timestamp) -> Self {
        Self {
            time,
            request_id: None,
            dialect: None,
            signer: None,
            subject: None,
            key: None,
            id: None,
            policy: None,
            action: None,
            bucket: None,
            object: None,
            client: None,
            status: None,
            reason: None,
            bytes_in: None,
            bytes_out: None,
            digest: None,
            duration_ms: None,
        }
    }

    /// The receipt with every text cut to its limit, so that a waiting receipt is small whoever sent it, and
    /// without the signature of a key that somebody made part of a name.
    pub(super) fn bounded(mut self) -> Self {
        let texts = [
            &mut self.request_id,
            &mut self.signer,
            &mut self.subject,
            &mut self.id,
            &mut self.policy,
            &mut self.bucket,
        ];
        for text in texts.into_iter().flatten() {
            clean(text, TEXT_BYTES_MAX);
        }
        if let Some(object) = &mut self.object {
            clean(object, OBJECT_BYTES_MAX);
        }
        if let Some(Cow::Owned(reason)) = &mut self.reason {
            clean(reason, TEXT_BYTES_MAX);
        }
        self
    }

    /// The receipt as a JSON object, of which [`Self::from_note`] reads who asked for what.
    pub(crate) fn to_note(&self) -> String {
        let mut note = String::new();
        self.clone().bounded().write_line(&NO_LINE, &mut note);
        note.truncate(note.trim_end().len());
        note
    }

    /// Reads a note: who asked for what, and when. What came of it no note says.
    pub(crate) fn from_note(note: &str) -> Option<Self> {
        let note: serde_json::Value = serde_json::from_str(note).ok()?;
        let text = |name: &str| note.get(name)?.as_str();
        let owned = |name: &str| text(name).map(str::to_owned);
        let actions = ["upload", "delete", "part"];
        Some(Self {
            request_id: owned("request_id"),
            dialect: text("dialect").and_then(Dialect::of_name),
            signer: owned("signer"),
            subject: owned("subject"),
            key: text("key").and_then(Fingerprint::of_hex),
            id: owned("id"),
            policy: owned("policy"),
            action: text("action").and_then(|name| actions.into_iter().find(|action| *action == name)),
            bucket: owned("bucket"),
            object: owned("object"),
            client: text("client").and_then(|client| client.parse().ok()),
            ..Self::at(Timestamp::parse(text("time")?)?)
        })
    }

    /// Appends the receipt as one line with its newline, after the line whose hash is `previous`.
    ///
    /// The receipt is [bounded](Self::bounded), so the line is no longer than [`LINE_BYTES_MAX`].
    pub(super) fn write_line(&self, previous: &LineHash, line: &mut String) {
        let mut object = Object { line, fields: FIELDS.iter() };
        object.plain(Some(&self.time));
        object.text(self.request_id.as_deref());
        object.plain(self.dialect.map(Dialect::name).as_ref());
        object.text(self.signer.as_deref());
        object.text(self.subject.as_deref());
        object.plain(self.key.as_ref());
        object.text(self.id.as_deref());
        object.text(self.policy.as_deref());
        object.plain(self.action.as_ref());
        object.text(self.bucket.as_deref());
        object.text(self.object.as_deref());
        object.plain(self.client.as_ref());
        object.number(self.status.map(u64::from));
        object.text(self.reason.as_deref());
        object.number(self.bytes_in);
        object.number(self.bytes_out);
        object.plain(self.digest.as_ref());
        object.number(self.duration_ms);
        object.plain(Some(previous));
        line.push_str("}\n");
    }
}

/// Reads the hash of the line before out of `line`, which is given without its newline.
pub(super) fn previous_of(line: &[u8]) -> Result<LineHash, NotARecord> {
    let mut reader = serde_json::Deserializer::from_slice(line);
    let json = |error: serde_json::Error| NotARecord::Json(error.to_string());
    let read = serde::Deserializer::deserialize_map(&mut reader, Fields).map_err(json)?;
    reader.end().map_err(json)?;
    read
}

/// Writes one object's members in the order of [`FIELDS`].
struct Object<'a> {
    line: &'a mut String,
    fields: std::slice::Iter<'static, &'static str>,
}

impl Object<'_> {
    /// A text that may hold anything.
    fn text(&mut self, value: Option<&str>) {
        self.name();
        match value {
            Some(value) => {
                self.line.push('"');
                escape(value, self.line);
                self.line.push('"');
            }
            None => self.line.push_str("null"),
        }
    }

    /// A value of ours, which prints without any character that JSON would escape.
    fn plain(&mut self, value: Option<&impl fmt::Display>) {
        self.name();
        match value {
            Some(value) => write!(self.line, "\"{value}\"").expect("a string takes all"),
            None => self.line.push_str("null"),
        }
    }

    fn number(&mut self, value: Option<u64>) {
        self.name();
        match value {
            Some(value) => write!(self.line, "{value}").expect("a string takes all"),
            None => self.line.push_str("null"),
        }
    }

    fn name(&mut self) {
        let name = self.fields.next().expect("as many values as names");
        self.line.push_str(if *name == FIELDS[0] { "{\"" } else { ",\"" });
        self.line.push_str(name);
        self.line.push_str("\":");
    }
}

/// Appends `text` as the inside of a JSON string that stays on one line, and reads as it is, in anything
/// that shows it.
fn escape(text: &str, line: &mut String) {
    let mut plain_from = 0;
    for (at, char) in text.char_indices() {
        if !is_escaped(char) {
            continue;
        }
        line.push_str(&text[plain_from..at]);
        plain_from = at + char.len_utf8();
        match char {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            _ => write!(line, "\\u{:04x}", u32::from(char)).expect("a string takes all"),
        }
    }
    line.push_str(&text[plain_from..]);
}

/// Whether a record must not hold `char` as it is.
fn is_escaped(char: char) -> bool {
    matches!(char, '"' | '\\') || disturbs(char)
}

/// Takes signatures out of `text` and cuts it to at most `bytes_max` bytes.
fn clean(text: &mut String, bytes_max: usize) {
    if let Cow::Owned(redacted) = redact_named(text) {
        *text = redacted;
    }
    cut(text, bytes_max);
}

/// Cuts `text` to at most `bytes_max` bytes, between two characters.
fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
        text.shrink_to_fit();
    }
}

/// Reads a record's members, each of which must be the one that belongs there.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Result<LineHash, NotARecord>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut expected = FIELDS.iter().copied();
        let mut wrong = None;
        let mut previous = None;
        // What is wrong is kept and the rest read on: JSON that is broken besides is the plainer fault.
        while let Some(found) = map.next_key::<String>()? {
            let expected = expected.next().unwrap_or("");
            let value = map.next_value::<serde_json::Value>()?;
            if found != expected {
                wrong.get_or_insert(NotARecord::Field { found, expected });
            } else if expected == "time" && value.as_str().and_then(Timestamp::parse).is_none() {
                wrong.get_or_insert(NotARecord::Value("time"));
            } else if expected == "previous" {
                previous = value.as_str().and_then(hash_of_hex);
            }
        }
        if let Some(expected) = expected.next() {
            wrong.get_or_insert(NotARecord::Field { found: String::new(), expected });
        }
        Ok(match wrong {
            Some(wrong) => Err(wrong),
            None => previous.ok_or(NotARecord::Value("previous")),
        })
    }
}

/// Reads a hash in the one spelling that we write.
fn hash_of_hex(hex: &str) -> Option<LineHash> {
    let hash = LineHash::from_hex(hex).ok()?;
    (hash.to_hex().as_str() == hex).then_some(hash)
}

#[cfg(test)]
mod tests;
