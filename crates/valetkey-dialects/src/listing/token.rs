//! Continuation tokens: the last entry of a page, as the client is to bring it back.
//!
//! A token is no credential. It opens nothing that `start-after` would not open too, since every page is
//! bounded by the prefix that the key was admitted for. So it needs no secret, and outlives restarts, rotated
//! secrets and a change of gateway. What it carries is checked, so that one which was cut, edited or taken from
//! another listing is refused and not misread.

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Bytes of the check before the text.
const CHECK_BYTES: usize = 16;

/// Domain separation of the check.
const CONTEXT: &str = "valetkey 2026 continuation token of a listing";

/// The token of a page of `prefix` in `bucket` that ended with the entry `last`.
pub(super) fn seal(last: &str, bucket: &str, prefix: &str) -> String {
    let mut bytes: Vec<u8> = check(last, bucket, prefix).into();
    bytes.extend_from_slice(last.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The entry in a token of this bucket and prefix; `None` for any other text.
pub(super) fn open(token: &str, bucket: &str, prefix: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (found, last) = bytes.split_first_chunk::<CHECK_BYTES>()?;
    let last = core::str::from_utf8(last).ok()?;
    (last.starts_with(prefix) && *found == check(last, bucket, prefix)).then(|| last.into())
}

fn check(last: &str, bucket: &str, prefix: &str) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    // A name holds no NUL, so the parts cannot run into each other.
    for part in [bucket, prefix, last] {
        hasher.update(part.as_bytes()).update(&[0]);
    }
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK_BYTES]);
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_it_went() {
        for last in ["a/b", "a/", "a/\u{1f600}&<\"", "a/+ %"] {
            assert_eq!(open(&seal(last, "files", "a/"), "files", "a/").as_deref(), Some(last));
        }
    }

    #[test]
    fn a_token_is_good_for_its_own_prefix_only() {
        let token = seal("a/b", "files", "a/");
        for (bucket, prefix) in [("other", "a/"), ("files", ""), ("files", "a"), ("files", "b/")] {
            assert_eq!(open(&token, bucket, prefix), None, "{bucket} {prefix}");
        }
        // Even one with a sound check names nothing outside of its prefix.
        assert_eq!(open(&seal("b/c", "files", "a/"), "files", "a/"), None);
    }

    #[test]
    fn a_token_that_was_edited_is_refused() {
        let token = seal("a/b", "files", "a/");
        for at in 0..token.len() {
            let mut edited = token.clone().into_bytes();
            edited[at] = if edited[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(open(core::str::from_utf8(&edited).unwrap(), "files", "a/"), None, "{at}");
            assert_eq!(open(&token[..at], "files", "a/"), None, "{at}");
        }
        assert_eq!(open(&alloc::format!("{token}="), "files", "a/"), None);
        assert_eq!(open(&URL_SAFE_NO_PAD.encode("a/b"), "files", "a/"), None);
    }
}
