//! Splits a body at its boundary.

use alloc::borrow::Cow;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use memchr::memmem::Finder;
use valetkey::Denial;

use super::malformed;

/// How many blanks may follow a boundary on its line.
const PADDING_MAX: usize = 16;

/// Finds the delimiters in a body that comes in pieces of any length.
pub(super) struct Splitter {
    /// The end of the line before, two hyphens and the boundary.
    delimiter: Finder<'static>,
    /// What was taken and may be the begin of a delimiter.
    held: Vec<u8>,
    /// What follows a delimiter on its line, while it is incomplete.
    line: Option<Vec<u8>>,
    closed: bool,
}

/// What a body consists of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Split<'i> {
    /// A delimiter: a part begins.
    Part,
    /// The last delimiter.
    Close,
    /// Bytes between two, borrowed from the input where they need not be held.
    Data(Cow<'i, [u8]>),
}

impl Splitter {
    pub(super) fn new(boundary: &str) -> Self {
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        // The first delimiter may stand at the very begin, without the end of a line before it.
        Self {
            delimiter: Finder::new(&delimiter).into_owned(),
            held: b"\r\n".into(),
            line: None,
            closed: false,
        }
    }

    /// Takes the next piece off `input`; `None` where all of it is taken and more is needed. After
    /// [`Split::Close`] everything is skipped.
    pub(super) fn next<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Split<'i>>, Denial> {
        if self.closed {
            *input = &[];
            return Ok(None);
        }
        if let Some(line) = &mut self.line {
            let Some((byte, rest)) = input.split_first() else { return Ok(None) };
            *input = rest;
            line.push(*byte);
            return match line.as_slice() {
                b"--" => {
                    self.closed = true;
                    Ok(Some(Split::Close))
                }
                [padding @ .., b'\r', b'\n'] if is_padding(padding) => {
                    self.line = None;
                    Ok(Some(Split::Part))
                }
                [padding @ .., b'\r'] | padding if is_padding(padding) || padding == b"-" => self.next(input),
                _ => Err(malformed("the form's boundary is followed by something else on its line")),
            };
        }
        if input.is_empty() {
            return Ok(None);
        }
        if self.held.is_empty() { Ok(self.search(input)) } else { Ok(self.search_from_held(input)) }
    }

    /// Searches where no delimiter can have begun before `input`.
    fn search<'i>(&mut self, input: &mut &'i [u8]) -> Option<Split<'i>> {
        let all = core::mem::take(input);
        let data = if let Some(at) = self.delimiter.find(all) {
            self.line = Some(Vec::new());
            *input = &all[at + self.delimiter.needle().len()..];
            &all[..at]
        } else {
            let (data, held) = all.split_at(all.len() - self.begun(all));
            self.held = held.into();
            data
        };
        Some(Split::Data(Cow::Borrowed(data)))
    }

    /// Searches where what is held may be the begin of a delimiter.
    fn search_from_held<'i>(&mut self, input: &mut &'i [u8]) -> Option<Split<'i>> {
        let needle_bytes = self.delimiter.needle().len();
        let held_bytes = self.held.len();
        // A delimiter that begins in what is held ends within as many bytes as it has.
        let near = &input[..input.len().min(needle_bytes)];
        let mut joined = core::mem::take(&mut self.held);
        joined.extend_from_slice(near);
        if let Some(at) = self.delimiter.find(&joined) {
            *input = &input[at + needle_bytes - held_bytes..];
            joined.truncate(at);
            self.line = Some(Vec::new());
        } else if near.len() == needle_bytes {
            joined.truncate(held_bytes);
        } else {
            *input = &[];
            self.held = joined.split_off(joined.len() - self.begun(&joined));
        }
        Some(Split::Data(Cow::Owned(joined)))
    }

    /// How many bytes at the end of `data` may be the begin of a delimiter.
    fn begun(&self, data: &[u8]) -> usize {
        let needle = self.delimiter.needle();
        (1..needle.len()).rev().find(|bytes| data.ends_with(&needle[..*bytes])).unwrap_or(0)
    }
}

fn is_padding(bytes: &[u8]) -> bool {
    bytes.len() <= PADDING_MAX && bytes.iter().all(|byte| matches!(byte, b' ' | b'\t'))
}

/// The boundary in a `Content-Type`: [RFC 2046, section 5.1.1](https://www.rfc-editor.org/rfc/rfc2046#section-5.1.1).
///
/// # Errors
/// [`Denial::BadRequest`] for another type, and where there is no boundary or one that cannot be.
pub(super) fn boundary(content_type: &str) -> Result<&str, Denial> {
    let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return Err(malformed("a POST to a bucket takes a form of the type multipart/form-data"));
    }
    let mut found = vec![];
    for parameter in parameters.split(';') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name.trim().eq_ignore_ascii_case("boundary") {
            let value = value.trim();
            let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
            found.push(bare);
        }
    }
    let sound = |text: &str| {
        let punctuation = b"'()+_,-./:=? ";
        let byte = |byte: u8| byte.is_ascii_alphanumeric() || punctuation.contains(&byte);
        (1..=70).contains(&text.len()) && text.bytes().all(byte) && !text.ends_with(' ')
    };
    match found[..] {
        [boundary] if sound(boundary) => Ok(boundary),
        _ => Err(malformed("the form's Content-Type has no boundary, or one that cannot be")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_is_found() {
        for (text, expected) in [
            ("multipart/form-data; boundary=a", Some("a")),
            ("Multipart/Form-Data;charset=utf-8;Boundary=\"a b\"", Some("a b")),
            (
                "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxk",
                Some("----WebKitFormBoundary7MA4YWxk"),
            ),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/form-data; boundary=\"a \"", None),
            ("multipart/form-data; boundary=a; boundary=a", None),
            ("multipart/form-data; boundary=a\u{e9}", None),
            ("multipart/mixed; boundary=a", None),
            ("application/x-www-form-urlencoded", None),
            ("", None),
        ] {
            assert_eq!(boundary(text).ok(), expected, "{text}");
        }
        for (bytes, taken) in [(70, true), (71, false)] {
            let text = format!("multipart/form-data; boundary={}", "a".repeat(bytes));
            assert_eq!(boundary(&text).is_ok(), taken, "{bytes}");
        }
    }
}
