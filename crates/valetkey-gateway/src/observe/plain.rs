//! Which characters a log or a record must not hold as they are.

/// Whether `char` ends a line, drives a terminal, or makes text read other than it is: control characters
/// (C0, DEL, C1), U+2028 and U+2029, the byte order mark, and what turns the direction of text.
///
/// All such characters lie below U+10000.
pub(crate) fn disturbs(char: char) -> bool {
    match char {
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => true,
        _ => char.is_control(),
    }
}
