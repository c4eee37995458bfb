//! Media types: what an upload declares itself to be, and which ones a key takes.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::denial::Denial;

/// A media type, or all subtypes of a type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MediaRange(String);

impl MediaRange {
    /// Reads `type/subtype` or `type/*` in lower case, of [RFC 6838]'s characters.
    ///
    /// [RFC 6838]: https://www.rfc-editor.org/rfc/rfc6838#section-4.2
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, subtype) = text.split_once('/')?;
        (is_restricted_name(kind) && (subtype == "*" || is_restricted_name(subtype)))
            .then(|| Self(text.to_owned()))
    }

    /// The range's spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a media type, in lower case and without parameters, lies in the range.
    fn contains(&self, media_type: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(kind) => media_type.starts_with(kind),
            None => media_type == self.0,
        }
    }

    /// Whether everything in `other` lies in this range too.
    pub fn holds(&self, other: &Self) -> bool {
        self.contains(&other.0)
    }
}

/// What some content declares itself to be: a media type without its parameters, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType(String);

impl MediaType {
    /// Reads the value of a `Content-Type` header.
    ///
    /// A comma that is not quoted makes it no media type: browsers take the value apart there and
    /// [believe the last part](https://fetch.spec.whatwg.org/#content-type-header), so that `image/png;,text/html`
    /// would be a page.
    pub fn parse(header: &str) -> Option<Self> {
        let (essence, parameters) = header.split_once(';').unwrap_or((header, ""));
        let essence = essence.trim_matches([' ', '\t']).to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/')?;
        let sound = is_restricted_name(kind) && is_restricted_name(subtype) && is_one_value(parameters);
        sound.then_some(Self(essence))
    }

    /// `type/subtype`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an upload must be: whatever limits its type says a list, and the type must lie in each of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaTypes(Vec<Vec<MediaRange>>);

impl MediaTypes {
    pub(crate) fn of(ranges: Option<Vec<MediaRange>>) -> Self {
        Self(ranges.into_iter().collect())
    }

    /// Types that lie in each of these lists, as [`MediaTypes::lists`] gave them.
    pub fn of_lists(lists: Vec<Vec<MediaRange>>) -> Self {
        Self(lists)
    }

    /// Adds a list, if one is said.
    pub(crate) fn restrict(&mut self, ranges: Option<Vec<MediaRange>>) {
        self.0.extend(ranges);
    }

    /// Whether nothing limits the type.
    pub fn are_all(&self) -> bool {
        self.0.is_empty()
    }

    /// The lists.
    pub fn lists(&self) -> &[Vec<MediaRange>] {
        &self.0
    }

    /// Whether a media type, in lower case and without parameters, is taken.
    pub fn contain(&self, media_type: &str) -> bool {
        self.0.iter().all(|ranges| ranges.iter().any(|range| range.contains(media_type)))
    }

    /// Judges the `Content-Type` of an upload.
    ///
    /// # Errors
    /// Where the type is limited: [`Denial::TypeUndeclared`] for none or what is no media type,
    /// [`Denial::TypeNotAllowed`] for another.
    pub fn check_declared(&self, header: Option<&str>) -> Result<(), Denial> {
        if self.are_all() {
            return Ok(());
        }
        let declared = header.and_then(MediaType::parse).ok_or(Denial::TypeUndeclared)?;
        if self.contain(declared.as_str()) { Ok(()) } else { Err(Denial::TypeNotAllowed(declared.0)) }
    }
}

fn is_restricted_name(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 127
        && text.bytes().next().is_some_and(letter)
        && text.bytes().all(|byte| letter(byte) || b"!#$&-^_.+".contains(&byte))
}

/// Whether all commas of a header's value are within quotes, and all quotes end.
fn is_one_value(text: &str) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return false,
            _ => {}
        }
    }
    !quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn types(lists: &[&[&str]]) -> MediaTypes {
        let range = |text: &&str| MediaRange::parse(text).unwrap();
        MediaTypes(lists.iter().map(|list| list.iter().map(range).collect()).collect())
    }

    #[test]
    fn media_ranges_are_lower_case_and_whole() {
        for text in ["image/png", "image/*", "application/vnd.api+json", "text/x-c"] {
            assert!(MediaRange::parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "image",
            "image/",
            "/png",
            "*/*",
            "Image/png",
            "image/p*",
            "image/png;q=1",
            "image/ png",
            "a/b/c",
        ] {
            assert!(MediaRange::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn parameters_and_case_do_not_matter() {
        for text in [
            "image/png",
            "IMAGE/Png",
            " image/png\t",
            "image/png;",
            "image/png ; charset=utf-8",
            "image/png; a=\"x, y\\\" z\"",
        ] {
            assert_eq!(MediaType::parse(text).as_ref().map(MediaType::as_str), Some("image/png"), "{text}");
        }
    }

    #[test]
    fn what_a_browser_could_read_otherwise_is_no_media_type() {
        for text in [
            "",
            "png",
            "image/",
            "image/*",
            "*/*",
            "image/png, text/html",
            "image/png;,text/html",
            "image/png;a=\"b\",text/html",
            "image/png;a=\"\\\",text/html",
            "image /png",
            "image/png text/html",
        ] {
            assert_eq!(MediaType::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_upload_lies_in_every_list() {
        let check = |lists: &[&[&str]], declared| types(lists).check_declared(declared);
        let not_allowed = |text: &str| Err(Denial::TypeNotAllowed(text.to_owned()));
        assert_eq!(check(&[], None), Ok(()));
        assert_eq!(check(&[], Some("nonsense")), Ok(()));
        assert_eq!(check(&[&["image/png"]], None), Err(Denial::TypeUndeclared));
        assert_eq!(check(&[&["image/png"]], Some("png")), Err(Denial::TypeUndeclared));
        assert_eq!(check(&[&["image/png"]], Some("Image/PNG; q=1")), Ok(()));
        assert_eq!(check(&[&["image/png"]], Some("image/jpeg")), not_allowed("image/jpeg"));
        assert_eq!(check(&[&["image/png", "text/plain"]], Some("text/plain")), Ok(()));
        let both: &[&[&str]] = &[&["image/*"], &["image/png", "text/plain"]];
        assert_eq!(check(both, Some("image/png")), Ok(()));
        assert_eq!(check(both, Some("image/gif")), not_allowed("image/gif"));
        assert_eq!(check(both, Some("text/plain")), not_allowed("text/plain"));
        assert_eq!(check(&[&["image/*"]], Some("imagex/png")), not_allowed("imagex/png"));
    }

    #[test]
    fn a_range_holds_what_lies_in_it() {
        let range = |text| MediaRange::parse(text).unwrap();
        let mut seen = vec![];
        for (one, other) in [
            ("image/*", "image/png"),
            ("image/*", "image/*"),
            ("image/png", "image/*"),
            ("text/*", "image/png"),
        ] {
            seen.push(range(one).holds(&range(other)));
        }
        assert_eq!(seen, [true, true, false, false]);
    }
}
