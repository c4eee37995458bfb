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
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TIME: Timestamp = Timestamp::from_unix(1_795_305_600);

    fn line_of(receipt: Receipt) -> String {
        let mut line = String::new();
        receipt.bounded().write_line(&NO_LINE, &mut line);
        line
    }

    fn value_of(receipt: Receipt) -> serde_json::Value {
        serde_json::from_str(&line_of(receipt)).unwrap()
    }

    #[test]
    fn a_record_has_the_fields_in_the_contracts_order() {
        let receipt = Receipt {
            request_id: Some("r-1".into()),
            dialect: Some(Dialect::Native),
            signer: Some("web".into()),
            subject: Some("u42".into()),
            id: Some("7f3k2m".into()),
            policy: Some("avatar".into()),
            action: Some("upload"),
            bucket: Some("files".into()),
            object: Some("u42/photo.jpg".into()),
            client: Some("2001:db8::7".parse().unwrap()),
            status: Some(200),
            reason: Some("bad_request".into()),
            bytes_in: Some(5),
            bytes_out: Some(u64::MAX),
            digest: Some(blake3::hash(b"hello")),
            duration_ms: Some(12),
            ..Receipt::at(TIME)
        };
        let expected = format!(
            concat!(
                r#"{{"time":"2026-11-22T00:00:00Z","request_id":"r-1","dialect":"native","signer":"web","#,
                r#""subject":"u42","key":null,"id":"7f3k2m","policy":"avatar","action":"upload","#,
                r#""bucket":"files","object":"u42/photo.jpg","client":"2001:db8::7","status":200,"#,
                r#""reason":"bad_request","bytes_in":5,"bytes_out":18446744073709551615,"#,
                r#""digest":"{}","duration_ms":12,"previous":"{}"}}"#,
                "\n"
            ),
            blake3::hash(b"hello"),
            "0".repeat(64)
        );
        assert_eq!(line_of(receipt), expected);
    }

    #[test]
    fn what_does_not_apply_is_null_and_never_left_out() {
        let value = value_of(Receipt::at(TIME));
        assert_eq!(value.as_object().unwrap().len(), FIELDS.len());
        for field in FIELDS {
            let given = ["time", "previous"].contains(&field);
            assert_eq!(value.get(field).unwrap().is_null(), !given, "{field}");
        }
    }

    #[test]
    fn a_record_is_one_line_of_plain_characters_whatever_it_holds() {
        let hostile: String = ('\0'..='\u{a0}')
            .chain("\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}\u{feff}".chars())
            .chain("é \u{1f511} }\",\"previous\":\"".chars())
            .collect();
        let object = Some(hostile.clone());
        let line = line_of(Receipt { object, ..Receipt::at(TIME) });
        let body = line.strip_suffix('\n').unwrap();
        assert!(!body.contains(|char| is_escaped(char) && char != '"' && char != '\\'), "{body}");
        assert!(body.contains(r#"\u0000\u0001"#) && body.contains(r#"\u007f\u0080"#));
        assert!(
            body.contains(r#"\u0085"#) && body.contains(r#"\u2028\u2029"#) && body.contains("é \u{1f511}")
        );

        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["object"], hostile);
        assert_eq!(previous_of(body.as_bytes()), Ok(NO_LINE));
    }

    #[test]
    fn a_signature_in_a_name_is_not_recorded() {
        let value = value_of(Receipt { object: Some("a?vk-sig=hidden&b".into()), ..Receipt::at(TIME) });
        assert_eq!(value["object"], "a?vk-sig=***&b");
    }

    #[test]
    fn a_note_is_read_back_but_for_what_came_of_it() {
        let receipt = Receipt {
            request_id: Some("r-1".into()),
            dialect: Some(Dialect::Native),
            signer: Some("web".into()),
            key: Fingerprint::of_hex("4f0be26eb61cd1dbf3d1657344cf69db"),
            action: Some("upload"),
            object: Some("a b".into()),
            client: Some("::1".parse().unwrap()),
            ..Receipt::at(TIME)
        };
        assert!(receipt.key.is_some());
        assert_eq!(Receipt::from_note(&receipt.to_note()), Some(receipt.clone()));
        let answered = Receipt { status: Some(200), duration_ms: Some(1), ..receipt.clone() };
        assert_eq!(Receipt::from_note(&answered.to_note()), Some(receipt));
        for broken in ["", "null", "{}", "{\"time\":1}"] {
            assert_eq!(Receipt::from_note(broken), None, "{broken}");
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let text = |bytes: usize| Some("é".repeat(bytes / 2));
        let value = value_of(Receipt { object: text(1024), subject: text(256), ..Receipt::at(TIME) });
        assert_eq!(value["object"].as_str().unwrap().len(), 1024);
        assert_eq!(value["subject"].as_str().unwrap().len(), 256);

        let odd = |bytes| Some(format!("x{}", "é".repeat(bytes)));
        let value = value_of(Receipt {
            request_id: odd(256),
            signer: odd(256),
            subject: odd(256),
            id: odd(100_000),
            policy: odd(256),
            bucket: odd(256),
            object: odd(1024),
            reason: odd(256).map(Cow::Owned),
            ..Receipt::at(TIME)
        });
        for field in ["request_id", "signer", "subject", "id", "policy", "bucket", "reason"] {
            assert_eq!(value[field].as_str().unwrap().len(), 255, "{field}");
        }
        assert_eq!(value["object"].as_str().unwrap().len(), 1023);
    }

    #[test]
    fn the_longest_record_fits_the_longest_line() {
        let long = || Some("\u{1}".repeat(2000));
        let receipt = Receipt {
            request_id: long(),
            dialect: Some(Dialect::Native),
            signer: long(),
            subject: long(),
            id: long(),
            policy: long(),
            action: Some("upload"),
            bucket: long(),
            object: long(),
            client: Some("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap()),
            status: Some(u16::MAX),
            reason: long().map(Cow::Owned),
            bytes_in: Some(u64::MAX),
            bytes_out: Some(u64::MAX),
            digest: Some(NO_LINE),
            duration_ms: Some(u64::MAX),
            ..Receipt::at(Timestamp::MAX)
        };
        assert!(line_of(receipt).len() <= LINE_BYTES_MAX - 64);
    }

    #[test]
    fn only_lines_of_ours_are_read() {
        let check = |line: &str, expected| assert_eq!(previous_of(line.as_bytes()), expected, "{line}");
        let field = |found: &str, expected| Err(NotARecord::Field { found: found.into(), expected });
        let line = line_of(Receipt::at(TIME));
        let line = line.trim_end();
        check(line, Ok(NO_LINE));
        check(&line.replace("\"status\":null,", ""), field("reason", "status"));
        check(&line.replace("\"status\"", "\"Status\""), field("Status", "status"));
        check(&line.replace("\"key\":null,\"id\"", "\"id\":null,\"key\""), field("id", "key"));
        check(&line.replace('}', ",\"more\":1}"), field("more", ""));
        check(&line.replace("2026-11-22T", "2026-11-22 "), Err(NotARecord::Value("time")));
        check(&line.replace("0000", "000g"), Err(NotARecord::Value("previous")));
        check(&line.replace("0000", "ABCD"), Err(NotARecord::Value("previous")));
        check("{}", field("", "time"));
        for broken in
            ["", "null", "[]", "plain text", "\0\0", &line[1..], &line[..40], &format!("{line}{line}")]
        {
            let read = previous_of(broken.as_bytes());
            assert!(matches!(read, Err(NotARecord::Json(_))), "{broken}: {read:?}");
        }
    }
}
