//! The head of one part of a form.

use alloc::string::{String, ToString};

use valetkey::Denial;

use super::malformed;

/// What the head of a part says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PartHead {
    pub(super) name: String,
    pub(super) filename: Option<String>,
    pub(super) content_type: Option<String>,
}

impl PartHead {
    /// Reads the lines of a head, without the empty one at their end.
    pub(super) fn parse(lines: &[u8]) -> Result<Self, Denial> {
        let text =
            core::str::from_utf8(lines).map_err(|_| malformed("the head of a form's part is not UTF-8"))?;
        let (mut disposition, mut content_type) = (None, None);
        for line in text.split("\r\n") {
            let (name, value) =
                line.split_once(':').ok_or_else(|| malformed("the head of a form's part has no colon"))?;
            let value = value.trim_matches([' ', '\t']);
            if value.chars().any(|char| char.is_control() && char != '\t') {
                return Err(malformed("the head of a form's part has a control character"));
            }
            let twice = match name.to_ascii_lowercase().as_str() {
                "content-disposition" => disposition.replace(value).is_some(),
                "content-type" => content_type.replace(value.to_string()).is_some(),
                "content-transfer-encoding" => {
                    let plain = ["7bit", "8bit", "binary"];
                    if !plain.iter().any(|plain| value.eq_ignore_ascii_case(plain)) {
                        return Err(malformed("a form's part is encoded, which no browser does"));
                    }
                    false
                }
                _ => false,
            };
            if twice {
                return Err(malformed("the head of a form's part says something twice"));
            }
        }
        let disposition = disposition.ok_or_else(|| malformed("a form's part has no Content-Disposition"))?;
        let (name, filename) = names(disposition)
            .ok_or_else(|| malformed("a form's part has no Content-Disposition with a name"))?;
        Ok(Self { name, filename, content_type })
    }
}

/// The `name` and the `filename` in a `Content-Disposition`:
/// [RFC 7578, section 4.2](https://www.rfc-editor.org/rfc/rfc7578#section-4.2), which has no `filename*`.
fn names(disposition: &str) -> Option<(String, Option<String>)> {
    let (kind, mut rest) = disposition.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let (mut name, mut filename) = (None, None);
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            break;
        }
        let (parameter, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let (value, _) = after.split_once(';').unwrap_or((after, ""));
                (value.trim_end().to_string(), &after[value.len()..])
            }
        };
        let twice = match parameter.trim().to_ascii_lowercase().as_str() {
            "name" => name.replace(value).is_some(),
            "filename" => filename.replace(value).is_some(),
            _ => false,
        };
        rest = after.trim_start();
        rest = if rest.is_empty() { rest } else { rest.strip_prefix(';')? };
        if twice {
            return None;
        }
    }
    name.filter(|name| !name.is_empty()).map(|name| (name, filename))
}

/// The text up to the closing quote, and what follows it. A backslash is itself, but before a quote or another:
/// names of files may hold it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' if text[at + 1..].starts_with(['"', '\\']) => {
                value.extend(chars.next().map(|(_, char)| char))
            }
            _ => value.push(char),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(disposition: &str, expected: Option<(&str, Option<&str>)>) {
        let found = names(disposition);
        let found = found.as_ref().map(|(name, filename)| (name.as_str(), filename.as_deref()));
        assert_eq!(found, expected, "{disposition}");
    }

    #[test]
    fn names_are_read() {
        check("form-data; name=\"key\"", Some(("key", None)));
        check("Form-Data;NAME=key", Some(("key", None)));
        check("form-data; name=key; filename=a.txt", Some(("key", Some("a.txt"))));
        check(
            "form-data; filename=\"a;b\\\"c\\d\\\\.txt\"; name=\"file\"",
            Some(("file", Some("a;b\"c\\d\\.txt"))),
        );
        check("form-data; name=\"file\"; filename=\"\"; filename*=utf-8''x", Some(("file", Some(""))));
        check("form-data; name=\"é\"; size=1;", Some(("é", None)));
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for disposition in [
            "form-data",
            "form-data;",
            "form-data; name=\"\"",
            "attachment; name=\"a\"",
            "form-data; name=\"a",
            "form-data; name=\"a\"b",
            "form-data; name",
            "form-data; name=\"a\"; name=\"b\"",
            "form-data; name=\"a\"; filename=\"b\"; filename=\"c\"",
        ] {
            check(disposition, None);
        }
    }

    #[test]
    fn a_head_says_each_thing_once() {
        let head =
            PartHead::parse(b"content-disposition: form-data; name=a\r\nContent-Type:text/plain\r\nX-A: b");
        assert_eq!(head.unwrap().content_type.as_deref(), Some("text/plain"));
        for lines in [
            &b""[..],
            b"Content-Type: text/plain",
            b"Content-Disposition: form-data; name=a\r\nno colon",
            b"Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=a",
            b"Content-Disposition: form-data; name=a\r\nContent-Type: a\r\nContent-Type: a",
            b"Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64",
            b"Content-Disposition: form-data; name=a\nb",
            b"Content-Disposition: form-data; name=\xff",
        ] {
            assert!(PartHead::parse(lines).is_err(), "{lines:?}");
        }
    }
}
