//! Reading documents that strangers wrote.
//!
//! One pass without a tree: what a document costs is its length. There is no document type, so no entity but the
//! five that every document has, and nothing outside of the document is ever looked at.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use xmlparser::{ElementEnd, Token, Tokenizer};

/// How deep elements may stand in each other; no document of S3 needs more than four.
const DEPTH_MAX: usize = 8;

/// How many attributes a document may have: one names its namespace, and no other means anything here.
const ATTRIBUTES_MAX: usize = 64;

/// The text is no document of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Walks through the elements of a document in their order.
pub(crate) struct Reader<'a> {
    tokens: Tokenizer<'a>,
    /// The elements that are open, by what stands in their tags.
    open: Vec<Tag<'a>>,
    /// Whether the innermost one was closed in its own tag, which is yet to be told.
    empty: bool,
    attributes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Tag<'a> {
    prefix: &'a str,
    local: &'a str,
}

/// What stands inside an element.
enum Piece<'a> {
    Open(&'a str),
    Text(Cow<'a, str>),
    Close,
}

impl<'a> Reader<'a> {
    /// Opens a document whose outermost element is `root`, in whatever namespace.
    pub(crate) fn open(document: &'a [u8], root: &str) -> Result<Self, Malformed> {
        let text = core::str::from_utf8(document).map_err(|_| Malformed)?;
        let mut reader =
            Self { tokens: Tokenizer::from(text), open: Vec::new(), empty: false, attributes: 0 };
        match reader.child()? {
            Some(name) if name == root => Ok(reader),
            _ => Err(Malformed),
        }
    }

    /// Enters the next element inside of the one that is open, and gives its name; `None` closes the open one.
    pub(crate) fn child(&mut self) -> Result<Option<&'a str>, Malformed> {
        loop {
            match self.piece()? {
                Some(Piece::Open(name)) => return Ok(Some(name)),
                Some(Piece::Close) => return Ok(None),
                Some(Piece::Text(text)) if is_blank(&text) => {}
                Some(Piece::Text(_)) | None => return Err(Malformed),
            }
        }
    }

    /// The text of the element that is open, which holds no other, and closes it.
    pub(crate) fn text(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let mut whole = Cow::Borrowed("");
        loop {
            match self.piece()? {
                Some(Piece::Text(text)) if whole.is_empty() => whole = text,
                Some(Piece::Text(text)) => whole.to_mut().push_str(&text),
                Some(Piece::Close) => return Ok(whole),
                Some(Piece::Open(_)) | None => return Err(Malformed),
            }
        }
    }

    /// Leaves the element that is open, whatever it holds.
    pub(crate) fn skip(&mut self) -> Result<(), Malformed> {
        let outside = self.open.len().checked_sub(1).ok_or(Malformed)?;
        while self.open.len() > outside {
            self.piece()?.ok_or(Malformed)?;
        }
        Ok(())
    }

    /// Nothing but blanks and comments follows the outermost element, which is closed.
    pub(crate) fn end(mut self) -> Result<(), Malformed> {
        match self.piece()? {
            None => Ok(()),
            Some(_) => Err(Malformed),
        }
    }

    fn piece(&mut self) -> Result<Option<Piece<'a>>, Malformed> {
        if core::mem::take(&mut self.empty) {
            self.open.pop();
            return Ok(Some(Piece::Close));
        }
        while let Some(token) = self.tokens.next() {
            match token.map_err(|_| Malformed)? {
                Token::ElementStart { prefix, local, .. } if self.open.len() < DEPTH_MAX => {
                    self.open.push(Tag { prefix: prefix.as_str(), local: local.as_str() });
                }
                Token::ElementEnd { end: ElementEnd::Open, .. } => return self.opened().map(Some),
                Token::ElementEnd { end: ElementEnd::Empty, .. } => {
                    self.empty = true;
                    return self.opened().map(Some);
                }
                Token::ElementEnd { end: ElementEnd::Close(prefix, local), .. } => {
                    let tag = Tag { prefix: prefix.as_str(), local: local.as_str() };
                    return if self.open.pop() == Some(tag) {
                        Ok(Some(Piece::Close))
                    } else {
                        Err(Malformed)
                    };
                }
                Token::Text { text } if !self.open.is_empty() => {
                    return unescape(text.as_str()).map(Piece::Text).map(Some).ok_or(Malformed);
                }
                Token::Cdata { text, .. } if !self.open.is_empty() => {
                    return Ok(Some(Piece::Text(line_ends(text.as_str()))));
                }
                Token::Text { text } if is_blank(text.as_str()) => {}
                Token::Attribute { .. } if self.attributes < ATTRIBUTES_MAX => self.attributes += 1,
                Token::Declaration { .. } | Token::ProcessingInstruction { .. } | Token::Comment { .. } => {}
                Token::ElementStart { .. }
                | Token::Attribute { .. }
                | Token::Text { .. }
                | Token::Cdata { .. }
                | Token::DtdStart { .. }
                | Token::EmptyDtd { .. }
                | Token::EntityDeclaration { .. }
                | Token::DtdEnd { .. } => return Err(Malformed),
            }
        }
        // A document that ends early is none.
        if self.open.is_empty() { Ok(None) } else { Err(Malformed) }
    }

    fn opened(&self) -> Result<Piece<'a>, Malformed> {
        self.open.last().map(|tag| Piece::Open(tag.local)).ok_or(Malformed)
    }
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

/// [XML 1.0, section 2.11](https://www.w3.org/TR/xml/#sec-line-ends): each way to end a line is a line feed.
fn line_ends(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Replaces the references in a text; `None` where one is not of the five or no character of a document.
fn unescape(text: &str) -> Option<Cow<'_, str>> {
    let Some((before, mut rest)) = text.split_once('&') else { return Some(line_ends(text)) };
    let mut whole: String = line_ends(before).into_owned();
    loop {
        let (name, after) = rest.split_once(';')?;
        whole.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => numbered(name.strip_prefix('#')?)?,
        });
        let Some((text, next)) = after.split_once('&') else {
            whole.push_str(&line_ends(after));
            return Some(Cow::Owned(whole));
        };
        whole.push_str(&line_ends(text));
        rest = next;
    }
}

fn numbered(digits: &str) -> Option<char> {
    let (digits, radix) = digits.strip_prefix('x').map_or((digits, 10), |hex| (hex, 16));
    let sound = digits.chars().all(|digit| digit.is_digit(radix));
    let number = u32::from_str_radix(digits, radix).ok().filter(|_| sound)?;
    let carried =
        |char: &char| matches!(char, '\t' | '\n' | '\r' | ' '..) && !matches!(char, '\u{fffe}'..='\u{ffff}');
    char::from_u32(number).filter(carried)
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;

    /// The names and texts of the elements inside of `<A>`, none of which holds another.
    fn leaves(document: &str) -> Result<Vec<(String, String)>, Malformed> {
        let mut reader = Reader::open(document.as_bytes(), "A")?;
        let mut leaves = vec![];
        while let Some(name) = reader.child()? {
            leaves.push((name.to_string(), reader.text()?.into_owned()));
        }
        reader.end()?;
        Ok(leaves)
    }

    fn check(document: &str, expected: Option<&[(&str, &str)]>) {
        let leaves = leaves(document).ok();
        let leaves = leaves.as_ref().map(|all| all.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect());
        assert_eq!(leaves, expected.map(<[_]>::to_vec), "{document}");
    }

    #[test]
    fn elements_come_in_their_order() {
        check("<A/>", Some(&[]));
        check("<A><B>1</B> <C/>\n<B> 2</B></A>\n", Some(&[("B", "1"), ("C", ""), ("B", " 2")]));
        check(
            "<?xml version=\"1.0\"?><!-- a --><s3:A xmlns:s3='u' b=\">\"><B c='1'>1</B></s3:A>",
            Some(&[("B", "1")]),
        );
        check("<A><B>1<!-- x -->2<![CDATA[<&]]>3</B></A>", Some(&[("B", "12<&3")]));
        check("\u{feff}<A><B>é</B></A>", Some(&[("B", "é")]));
    }

    #[test]
    fn references_are_replaced_once() {
        check("<A><B>&lt;&amp;lt;&gt;&quot;&apos;</B></A>", Some(&[("B", "<&lt;>\"'")]));
        check("<A><B>a&#13;b&#xE9;&#x1F600;c</B></A>", Some(&[("B", "a\rbé😀c")]));
        check("<A><B>a\r\nb\rc&amp;\r\n</B></A>", Some(&[("B", "a\nb\nc&\n")]));
        for text in
            ["&", "&;", "&x;", "&amp", "&#;", "&#x;", "&#0;", "&#x1b;", "&#xD800;", "&#+65;", "&#xFFFF;"]
        {
            check(&format!("<A><B>{text}</B></A>"), None);
        }
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for document in [
            "",
            "A",
            "<B/>",
            "<A>",
            "<A><B></A></B>",
            "<A><B></A>",
            "<A></s:A>",
            "<A>text</A>",
            "<A/><A/>",
            "<A/>text",
            "<A><B><C/></B></A>",
            "<A",
            "<A a=>",
            "<!DOCTYPE A><A/>",
            "<!DOCTYPE A [<!ENTITY e \"x\">]><A><B>&e;</B></A>",
            "<!DOCTYPE A SYSTEM \"file:///etc/passwd\"><A/>",
            "<!DOCTYPE A [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><A><B>&e;</B></A>",
        ] {
            check(document, None);
        }
        assert!(Reader::open(b"<A>\xff</A>", "A").is_err());
    }

    #[test]
    fn attributes_end_at_64() {
        for (count, taken) in [(64, true), (65, false)] {
            let document = format!("<A{}/>", " a=''".repeat(count));
            assert_eq!(leaves(&document).is_ok(), taken, "{count}");
        }
    }

    #[test]
    fn depth_ends_at_eight() {
        let nested = |depth: usize| {
            let document = format!("<A>{}{}</A>", "<B>".repeat(depth - 1), "</B>".repeat(depth - 1));
            let mut reader = Reader::open(document.as_bytes(), "A")?;
            reader.child()?;
            reader.skip()?;
            assert_eq!(reader.child(), Ok(None));
            reader.end()
        };
        assert_eq!(nested(8), Ok(()));
        assert_eq!(nested(9), Err(Malformed));
    }
}
