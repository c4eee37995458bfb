//! Writing documents.
//!
//! A writer of a few escapes is less than the use of a library.

use alloc::string::String;
use core::fmt::{self, Write as _};

use valetkey::Timestamp;

/// A document that is being written.
pub(crate) struct Xml(String);

impl Xml {
    /// A document that begins with its declaration; `bytes` is a guess of how long it becomes.
    pub(crate) fn new(bytes: usize) -> Self {
        let mut text = String::with_capacity(bytes);
        text.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        Self(text)
    }

    /// One of S3's documents, in the namespace that its clients expect.
    pub(crate) fn s3(root: &str, bytes: usize, content: impl FnOnce(&mut Self)) -> String {
        let mut xml = Self::new(bytes);
        let _ = write!(xml.0, "<{root} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
        content(&mut xml);
        let _ = writeln!(xml.0, "</{root}>");
        xml.0
    }

    /// An element that holds text.
    pub(crate) fn element(&mut self, name: &str, value: impl fmt::Display) {
        self.nested(name, |xml| xml.text(value));
    }

    /// Text, as it is.
    pub(crate) fn text(&mut self, value: impl fmt::Display) {
        let _ = write!(Escaped(&mut self.0), "{value}");
    }

    /// An element that holds text, where there is one.
    pub(crate) fn optional(&mut self, name: &str, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            self.element(name, value);
        }
    }

    /// An element that holds others.
    pub(crate) fn nested(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        let _ = write!(self.0, "<{name}>");
        content(self);
        let _ = write!(self.0, "</{name}>");
    }

    /// An element that names who owns or began something.
    pub(crate) fn owner(&mut self, name: &str, id: &str) {
        self.nested(name, |xml| {
            xml.element("ID", id);
            xml.element("DisplayName", id);
        });
    }

    /// Markup that is written here and by no stranger.
    pub(crate) fn markup(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}

/// Writes text that stays text.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            match char {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&apos;"),
                // A reader would make other characters of them.
                '\t' | '\n' | '\r' | '\u{7f}'..='\u{9f}' => write!(self.0, "&#{};", u32::from(char))?,
                // No document can carry them, so what is shown is that there was one.
                '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => self.0.push('\u{fffd}'),
                _ => self.0.push(char),
            }
        }
        Ok(())
    }
}

/// Whether an XML document can carry the text and a reader gets the same text back.
///
/// [XML 1.0, section 2.2](https://www.w3.org/TR/xml/#charsets). The control characters that it takes are left
/// out here, since readers turn some of them into others.
pub(crate) fn is_xml(text: &str) -> bool {
    text.chars().all(|char| !char.is_control() && !matches!(char, '\u{fffe}' | '\u{ffff}'))
}

/// A time as S3 writes it: RFC 3339 in UTC with three decimals.
pub(crate) struct Milliseconds(pub(crate) i64);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = alloc::format!("{}", Timestamp::from_unix(self.0.div_euclid(1000)).min(Timestamp::MAX));
        write!(f, "{}.{:03}Z", second.trim_end_matches('Z'), self.0.rem_euclid(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn times_have_three_decimals() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (1_795_305_600_120, "2026-11-22T00:00:00.120Z"),
        ] {
            assert_eq!(Milliseconds(ms).to_string(), text);
        }
    }

    #[test]
    fn text_stays_text() {
        let mut xml = Xml::new(0);
        xml.element("A", "<b a='1' c=\"2\">&amp;</b>\r\n\t\0\u{1b}\u{85}\u{ffff}é😀");
        let expected = "<A>&lt;b a=&apos;1&apos; c=&quot;2&quot;&gt;&amp;amp;&lt;/b&gt;\
            &#13;&#10;&#9;\u{fffd}\u{fffd}&#133;\u{fffd}é😀</A>";
        assert!(xml.finish().ends_with(expected));
    }
}
