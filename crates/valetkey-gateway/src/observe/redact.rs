//! The one list of what never appears in a log.
//!
//! The gateway's own code does not log what opens a door. This is for what others say: an error of a
//! library that quotes a URL, a header that was printed whole. It reads text without knowing what it is, so
//! it rather takes out too much.

use std::borrow::Cow;

/// What stands where something was taken out.
const PLACEHOLDER: &str = "***";

/// Names whose value is taken out wherever they occur.
const NAMES: [&str; 7] = [
    "vk-sig",
    "x-amz-signature",
    "x-amz-credential",
    "x-amz-security-token",
    "x-goog-signature",
    "x-goog-credential",
    "secret_access_key",
];

/// Names whose value may hold spaces, so that it goes on to the end of the line, or of its quotes.
const HEADERS: [&str; 2] = ["authorization", "cookie"];

/// Words whose value is taken out where they stand alone and are plainly names, not prose.
const WORDS: [&str; 6] = ["sig", "signature", "credential", "secret", "password", "token"];

/// Schemes of authorization, and from which length on what follows is a credential and not prose. With an
/// equals sign in it, it always is.
const SCHEMES: [(&str, usize); 3] = [("bearer", 1), ("basic", 8), ("valetkey", usize::MAX)];

/// Takes the values of signatures, credentials and secrets out of `text`, and the query of any URL.
///
/// Names are known in any case and however they are escaped, also twice, as in a URL within a URL.
pub fn redact(text: &str) -> Cow<'_, str> {
    taken_out(Scan { text, bytes: text.as_bytes(), reach: Reach::All })
}

/// Takes only the values of what signatures and credentials are named out of `text`, for texts that must
/// otherwise stay as they are: an object's name may have a question mark in it.
pub fn redact_named(text: &str) -> Cow<'_, str> {
    taken_out(Scan { text, bytes: text.as_bytes(), reach: Reach::Named })
}

fn taken_out(scan: Scan<'_>) -> Cow<'_, str> {
    let text = scan.text;
    let mut redacted = String::new();
    let mut kept_to = 0;
    let mut at = 0;
    let mut before = b' ';
    while let Some((byte, next)) = scan.decoded(at) {
        match scan.secret_at(at, byte, before).filter(|secret| secret.start < secret.end) {
            Some(secret) => {
                redacted.push_str(&text[kept_to..secret.start]);
                redacted.push_str(PLACEHOLDER);
                kept_to = secret.end;
                at = secret.end;
                before = b' ';
            }
            None => {
                at = next;
                before = byte;
            }
        }
    }
    if kept_to == 0 {
        return Cow::Borrowed(text);
    }
    redacted.push_str(&text[kept_to..]);
    Cow::Owned(redacted)
}

struct Scan<'a> {
    text: &'a str,
    bytes: &'a [u8],
    reach: Reach,
}

/// What is taken out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Whatever the lists above name, and queries.
    All,
    /// The values of [`NAMES`].
    Named,
}

type Range = std::ops::Range<usize>;

impl Scan<'_> {
    /// What must be taken out, if something that announces it begins at `at`.
    fn secret_at(&self, at: usize, byte: u8, before: u8) -> Option<Range> {
        match byte.to_ascii_lowercase() {
            b'?' if self.bytes[at] == b'?' && self.reach == Reach::All => {
                return Some(at + 1..self.query_end(at + 1));
            }
            b'v' | b'x' | b's' | b'a' | b'c' | b'p' | b't' | b'b' => {}
            _ => return None,
        }
        let named = |names: &[&str]| names.iter().find_map(|name| self.name_end(at, name));
        if let Some(end) = named(&NAMES) {
            return self.value(end, false).map(|value| value.range);
        }
        if self.reach == Reach::Named {
            return None;
        }
        if let Some(end) = named(&HEADERS) {
            return self.value(end, true).map(|value| value.range);
        }
        if is_word(before) {
            return None;
        }
        let mut words = WORDS.iter().filter_map(|word| self.name_end(at, word));
        if let Some(value) = words.find_map(|end| self.value(end, false)) {
            return value.is_plainly_named.then_some(value.range);
        }
        SCHEMES.iter().find_map(|(scheme, bytes_min)| {
            let end = self.name_end(at, scheme)?;
            let start = self.skip(end, b" ");
            if start == end {
                return None;
            }
            let end = self.run_end(start, |raw, _| matches!(raw, b'"' | b'\'' | b'\\' | b','));
            let run = &self.text[start..end];
            (run.contains('=') || run.len() >= *bytes_min).then_some(start..end)
        })
    }

    /// The character at `at`, and where the next begins. Percent escapes stand for what they mean, however
    /// often the percent sign itself was escaped; so do JSON's escapes of ASCII.
    fn decoded(&self, at: usize) -> Option<(u8, usize)> {
        let first = *self.bytes.get(at)?;
        let hex = |digits: usize| {
            let digits = self.text.get(digits..digits + 2)?;
            digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(digits)
        };
        let digits = match first {
            b'%' => {
                let mut digits = at + 1;
                while hex(digits) == Some("25") && hex(digits + 2).is_some() {
                    digits += 2;
                }
                digits
            }
            b'\\' if self.bytes[at..].starts_with(b"\\u00") => at + 4,
            _ => return Some((first, at + 1)),
        };
        match hex(digits).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => Some((byte, digits + 2)),
            None => Some((first, at + 1)),
        }
    }

    /// Where `name` ends, if it begins at `at`.
    fn name_end(&self, at: usize, name: &str) -> Option<usize> {
        name.bytes().try_fold(at, |at, expected| {
            let (byte, next) = self.decoded(at)?;
            byte.eq_ignore_ascii_case(&expected).then_some(next)
        })
    }

    /// The value that follows a name, which may be quoted, a number of a level, in brackets or escaped.
    fn value(&self, name_end: usize, is_header: bool) -> Option<Value> {
        let closed = self.skip(self.skip(name_end, b".0123456789"), b"\"'\\ ");
        let was_quoted = self.bytes[name_end..closed].iter().any(|byte| matches!(byte, b'"' | b'\''));
        let (separator, after) = self.decoded(closed)?;
        if !(matches!(separator, b'=' | b':') || separator == b',' && was_quoted) {
            return None;
        }
        let mut start = self.skip(after, b" =>");
        start += self.bytes[start..].strip_prefix(b"Some(").map_or(0, |_| 5);
        start += self.bytes[start..].iter().take_while(|&&byte| byte == b'\\').count();
        let quote = self.bytes.get(start).copied().filter(|byte| matches!(byte, b'"' | b'\''));
        let range = match quote {
            Some(quote) => start + 1..self.quote_end(start + 1, quote),
            None if is_header => start..self.text.len(),
            None => start..self.run_end(start, |raw, byte| b"\"'\\,;)}]".contains(&raw) || byte == b'&'),
        };
        let is_plainly_named = separator == b'=' || was_quoted || quote.is_some();
        Some(Value { range, is_plainly_named })
    }

    /// Where the text in quotes ends that begins at `start`.
    fn quote_end(&self, start: usize, quote: u8) -> usize {
        // A quote within quotes is escaped, and its escapes may be escaped again: then the text ends at the
        // first that is, which is the one that closes what was opened with as many.
        let opened_escaped = start >= 2 && self.bytes[start - 2] == b'\\';
        let mut at = start;
        while let Some(&byte) = self.bytes.get(at) {
            match byte {
                b'\\' if !opened_escaped => at += 1,
                b'\\' if self.bytes.get(at + 1) == Some(&quote) => return at,
                byte if byte == quote => return at,
                _ => {}
            }
            at += 1;
        }
        self.text.len()
    }

    /// Where a query ends that begins at `start`.
    fn query_end(&self, start: usize) -> usize {
        let end = self.run_end(start, |raw, _| matches!(raw, b'"' | b'`'));
        // The backslash belongs to an escaped quote.
        let quoted = self.bytes.get(end) == Some(&b'"') && self.text[start..end].ends_with('\\');
        if quoted { end - 1 } else { end }
    }

    /// Where a run of characters ends that begins at `start`: at white space, at `<` or `>`, or where
    /// `ends` says so of the byte that stands there and the character that it begins.
    fn run_end(&self, start: usize, ends: impl Fn(u8, u8) -> bool) -> usize {
        let mut at = start;
        while let Some((byte, next)) = self.decoded(at) {
            let raw = self.bytes[at];
            if raw.is_ascii_whitespace() || matches!(raw, b'<' | b'>') || ends(raw, byte) {
                break;
            }
            at = next;
        }
        at
    }

    /// Where the first character stands, from `start` on, that is none of `skipped`.
    fn skip(&self, start: usize, skipped: &[u8]) -> usize {
        let mut at = start;
        while let Some((_, next)) = self.decoded(at).filter(|(byte, _)| skipped.contains(byte)) {
            at = next;
        }
        at
    }
}

/// A value, and whether what stands before it is a name for certain.
struct Value {
    range: Range,
    is_plainly_named: bool,
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(redact(text), expected);
        assert_eq!(redact(expected), expected, "what was redacted stays as it is");
    }

    #[track_caller]
    fn check_kept(text: &str) {
        assert!(matches!(redact(text), Cow::Borrowed(kept) if kept == text), "{}", redact(text));
    }

    #[test]
    fn a_urls_query_is_taken_out() {
        check("GET /files/a?vk-sig=x HTTP/1.1", "GET /files/a?*** HTTP/1.1");
        check("uri=/files/a?b status=200", "uri=/files/a?*** status=200");
        check(r#"{"uri":"/a?b&c","to":"/d?e"}"#, r#"{"uri":"/a?***","to":"/d?***"}"#);
        check(r#"error="bad \"/a?b\" there""#, r#"error="bad \"/a?***\" there""#);
        check("<https://h/a?b>; rel=next", "<https://h/a?***>; rel=next");
        check("/a?x=%22&y=%3C'z", "/a?***");
        check("https://h/?u=https%3A%2F%2Fg%3Fvk-sig%3Dx", "https://h/?***");
        check("é/a?é é?ü", "é/a?*** é?***");
    }

    #[test]
    fn a_signature_is_taken_out_in_any_spelling_of_its_name() {
        for name in [
            "vk-sig",
            "VK-Sig",
            "%76k-sig",
            "%56%4B%2d%53ig",
            "%2576k-sig",
            "%252576k%25252dsig",
            "vk-sig.1",
            "x-vk-sig",
            "X-Amz-Signature",
            "x-amz-signature",
            "X-Amz-Credential",
            "X-Amz-Security-Token",
            "X-Goog-Signature",
            "X-Goog-Credential",
            "sig",
            "Signature",
            "secret_access_key",
        ] {
            check(&format!("a=1&{name}=hidden&b=2"), &format!("a=1&{name}=***&b=2"));
            check(&format!("a%3D1%26{name}%3Dhidden%26b"), &format!("a%3D1%26{name}%3D***%26b"));
            check(
                &format!("a\\u0026{name}\\u003dhidden\\u0026b"),
                &format!("a\\u0026{name}\\u003d***\\u0026b"),
            );
            check(&format!("{name} = hidden, b"), &format!("{name} = ***, b"));
            check(&format!("(\"{name}\", \"hid den\")"), &format!("(\"{name}\", \"***\")"));
            check(&format!("{{\"{name}\":\"hid\\\"den\"}}"), &format!("{{\"{name}\":\"***\"}}"));
            check(&format!("{name}: Some(\"hidden\")"), &format!("{name}: Some(\"***\")"));
            check(&format!("\\\"{name}\\\": \\\"hid den\\\" b"), &format!("\\\"{name}\\\": \\\"***\\\" b"));
        }
        check("vk-sig=%2Bhid%22den%2C%3D&b", "vk-sig=***&b");
        check("'/a&sig=hidden' is bad", "'/a&sig=***' is bad");
        check("x-amz-security-token: hidden", "x-amz-security-token: ***");
    }

    #[test]
    fn an_authorization_is_taken_out_whole() {
        check("Authorization: Bearer abc def", "Authorization: ***");
        check("authorization=Valetkey vk-allow=read&vk-sig=x y", "authorization=***");
        check("Proxy-Authorization: Basic YTpi", "Proxy-Authorization: ***");
        check(
            r#"{"authorization": "AWS4-HMAC-SHA256 Credential=a/b, Signature=c", "host": "h"}"#,
            r#"{"authorization": "***", "host": "h"}"#,
        );
        check(
            "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host;date, Signature=0f",
            "AWS4-HMAC-SHA256 Credential=***, SignedHeaders=host;date, Signature=***",
        );
        check("value Bearer eyJhbGciOi.eyJ.x end", "value Bearer *** end");
        check("got \"Basic YWxhZGRpbjpz\"", "got \"Basic ***\"");
        check("Valetkey vk-allow=read&vk-sig=x end", "Valetkey *** end");
        check("cookie: a=b; c=d", "cookie: ***");
    }

    #[test]
    fn secrets_in_settings_are_taken_out() {
        check("3 | secret = \"very hidden\"", "3 | secret = \"***\"");
        check("password=hidden;host=h", "password=***;host=h");
        check_kept("secret_file = \"data/web.secret\"");
    }

    #[test]
    fn a_name_loses_only_what_is_named_a_signature() {
        let check = |text: &str, expected: &str| assert_eq!(redact_named(text), expected);
        check("what? a sig=1, Bearer of news?", "what? a sig=1, Bearer of news?");
        check("a?vk-allow=read&vk-sig=hidden&b", "a?vk-allow=read&vk-sig=***&b");
        check("a/%76k-sig%3Dhidden%26b", "a/%76k-sig%3D***%26b");
        check("X-Amz-Signature=hidden", "X-Amz-Signature=***");
    }

    #[test]
    fn prose_is_kept() {
        for text in [
            "",
            "plain",
            "why? because",
            "is it so?",
            "denial=bad_signature status=403 reason=\"bad_signature\"",
            "the key's signature: it does not fit",
            "unexpected token: }",
            "valetkey listening on 127.0.0.1:8080",
            "vk-signer=web vk-max=5",
            "design=1 a-sig=2",
            "100% of %zz and %",
            "trailing vk-sig=",
            "trailing vk-sig",
            "\\",
        ] {
            check_kept(text);
        }
    }

    #[test]
    fn no_text_is_too_odd() {
        let pieces =
            ["vk-sig", "sig", "=", "%", "%25", "\\", "\"", "'", "?", "é", " ", "Some(", "\\u00", "bearer "];
        for a in pieces {
            for b in pieces {
                for c in pieces {
                    for d in pieces {
                        let text = [a, b, c, d].concat();
                        assert!(redact(&text).len() <= text.len() + 4 * PLACEHOLDER.len());
                    }
                }
            }
        }
    }
}
