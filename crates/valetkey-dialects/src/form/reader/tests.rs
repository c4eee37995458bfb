use alloc::string::ToString;
use alloc::vec;

use proptest::prelude::*;

use super::*;

const BOUNDARY: &str = "AaB03x";

/// What a form says, or the reason why it is refused.
type Read = Result<(Form, Vec<u8>), &'static str>;

/// Reads a body that comes in the pieces given.
fn read_pieces<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Read {
    let reason = |denial: Denial| denial.reason();
    let mut reader = FormReader::new(&format!("multipart/form-data; boundary={BOUNDARY}")).unwrap();
    let (mut form, mut file, mut ended) = (None, Vec::new(), false);
    for mut piece in pieces {
        while let Some(event) = reader.next(&mut piece).map_err(reason)? {
            match event {
                FormEvent::File(read) => assert!(form.replace(read).is_none()),
                FormEvent::Piece(bytes) => {
                    assert!(form.is_some() && !ended && !bytes.is_empty());
                    file.extend_from_slice(&bytes);
                }
                FormEvent::End => assert!(!core::mem::replace(&mut ended, true)),
            }
        }
        assert!(piece.is_empty());
    }
    reader.finish().map_err(reason)?;
    assert!(ended);
    Ok((form.unwrap(), file))
}

fn read(body: &[u8]) -> Read {
    let whole = read_pieces([body].into_iter());
    assert_eq!(read_pieces(body.chunks(1)), whole, "byte by byte");
    whole
}

fn field(name: &str, value: &str) -> String {
    format!("--AaB03x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

fn file(content: &str) -> String {
    format!(
        "--AaB03x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\
         Content-Type: text/plain\r\n\r\n{content}\r\n"
    )
}

const LAST: &str = "--AaB03x--\r\n";

/// Fields and a file.
type Said<'a> = (&'a [(&'a str, &'a str)], &'a str);

fn check(body: &str, expected: Result<Said<'_>, ()>) {
    let found = read(body.as_bytes());
    let found = found
        .as_ref()
        .map(|(form, content)| (form.fields().collect::<Vec<_>>(), core::str::from_utf8(content).unwrap()));
    let expected = expected.map(|(fields, content)| (fields.to_vec(), content));
    assert_eq!(found.map_err(|reason| *reason), expected.map_err(|()| "bad_request"), "{body:.300}");
}

#[test]
fn fields_come_before_the_file() {
    let body = [field("key", "a/b"), field("x", ""), file("hello\r\n--AaB03"), LAST.into()].concat();
    check(&body, Ok((&[("key", "a/b"), ("x", "")], "hello\r\n--AaB03")));
    let (form, _) = read(body.as_bytes()).unwrap();
    assert_eq!((form.filename.as_deref(), form.file_type.as_deref()), (Some("a.txt"), Some("text/plain")));
    check(&[file(""), LAST.into()].concat(), Ok((&[], "")));
    check(&["\r\n".into(), file("a"), "--AaB03x--".into()].concat(), Ok((&[], "a")));
    let padded = file("a\r\n\r\n-").replace("--AaB03x\r\n", "--AaB03x \t\r\n");
    check(&[padded, LAST.into()].concat(), Ok((&[], "a\r\n\r\n-")));
}

#[test]
fn what_follows_the_file_is_not_looked_at() {
    let body =
        [field("key", "a"), file("b"), field("key", "c"), file("d"), "--AaB03x--epilogue".into()].concat();
    check(&body, Ok((&[("key", "a")], "b")));
    let rest = |bytes: usize| {
        read_pieces([[file("b"), LAST.into(), "x".repeat(bytes)].concat().as_bytes()].into_iter())
    };
    assert!(rest(REST_BYTES_MAX - 2).is_ok());
    assert_eq!(rest(REST_BYTES_MAX), Err("bad_request"));
}

#[test]
fn a_form_that_is_cut_is_refused() {
    let body = [field("key", "a"), file("bcd"), LAST.into()].concat();
    let whole = body.len() - 2;
    for end in 0..whole {
        check(&body[..end], Err(()));
    }
    assert!(read(&body.as_bytes()[..whole]).is_ok());
}

#[test]
fn what_is_not_a_form_is_refused() {
    for body in [
        field("key", "a") + LAST,
        LAST.into(),
        "preamble\r\n".to_string() + &file("a") + LAST,
        file("a").replace("name=\"file\"", "title=\"file\"") + LAST,
        file("a").replace("--AaB03x", "--AaB03xyz") + LAST,
        file("a") + "--AaB03x-x\r\n",
        file("a") + &format!("--AaB03x{}\r\n{LAST}", " ".repeat(17)),
        "--AaB03x\r\n".to_string() + LAST,
        field("key", "a") + &field("key", "b") + &file("c") + LAST,
        field("key", "a") + &field("KEY", "b") + &file("c") + LAST,
    ] {
        check(&body, Err(()));
    }
    let invalid = [field("key", "X"), file("a"), LAST.into()].concat().replace('X', "\u{1}");
    let invalid: Vec<u8> = invalid.bytes().map(|byte| if byte == 1 { 0xff } else { byte }).collect();
    assert_eq!(read(&invalid), Err("bad_request"));
}

#[test]
fn everything_before_the_file_is_bounded() {
    let fields = |count: usize, value: &str| {
        let fields: String = (0..count).map(|number| field(&format!("f{number:02}"), value)).collect();
        read_pieces([[fields, file("a"), LAST.into()].concat().as_bytes()].into_iter()).map(|_| ())
    };
    assert_eq!(fields(100, ""), Ok(()));
    assert_eq!(fields(101, ""), Err("bad_request"));
    assert_eq!(fields(1, &"a".repeat(VALUE_BYTES_MAX)), Ok(()));
    assert_eq!(fields(1, &"a".repeat(VALUE_BYTES_MAX + 1)), Err("bad_request"));
    assert_eq!(fields(2, &"a".repeat(VALUE_BYTES_MAX - 3)), Ok(()));
    assert_eq!(fields(2, &"a".repeat(VALUE_BYTES_MAX - 2)), Err("bad_request"));
    let head = |bytes: usize| {
        let fixed = "Content-Disposition: form-data; name=file\r\nX: ";
        let head = format!("{fixed}{}", "a".repeat(bytes - fixed.len()));
        read_pieces([format!("--AaB03x\r\n{head}\r\n\r\na\r\n{LAST}").as_bytes()].into_iter()).map(|_| ())
    };
    assert_eq!(head(HEAD_BYTES_MAX), Ok(()));
    assert_eq!(head(HEAD_BYTES_MAX + 1), Err("bad_request"));
}

#[test]
fn fields_tell_their_language_whatever_becomes_of_them() {
    let language = |body: &str| {
        let mut reader = FormReader::new("multipart/form-data; boundary=AaB03x").unwrap();
        let mut input = body.as_bytes();
        drop(reader.next(&mut input));
        reader.language()
    };
    assert_eq!(language(&field("key", "a")), None);
    assert_eq!(language(&(field("key", "a") + &field("Policy", "a"))), Some(Language::Aws));
    assert_eq!(language(&(field("policy", "a") + &field("vk-sig", "a"))), Some(Language::Native));
    assert_eq!(language(&(field("vk-sig", "a") + &field("acl", "a"))), Some(Language::Native));
    assert_eq!(language(&(field("acl", "a") + &field("acl", "b"))), Some(Language::Aws));
}

/// What is said to be there at least, is there: also where everything follows it that may.
#[test]
fn a_file_is_as_long_as_it_is_said_to_be_at_least() {
    for (content, rest) in
        [(0, 0), (5, REST_BYTES_MAX - 4), (3 * REST_BYTES_MAX, 0), (3 * REST_BYTES_MAX, 900_000)]
    {
        let last = format!("\r\n--AaB03x{}\r\n--AaB03x--", " ".repeat(16));
        let body =
            [file(&"a".repeat(content)).strip_suffix("\r\n").unwrap(), &last, &"x".repeat(rest)].concat();
        let mut reader = FormReader::new("multipart/form-data; boundary=AaB03x").unwrap();
        let mut input = body.as_bytes();
        assert!(matches!(reader.next(&mut input), Ok(Some(FormEvent::File(_)))));
        let least = reader.file_bytes_min(u64::try_from(input.len()).unwrap());
        let slack = u64::try_from(REST_BYTES_MAX + DELIMITER_BYTES_MAX + LOOK_BYTES).unwrap();
        let content = u64::try_from(content).unwrap();
        assert!(least <= content && least >= content.saturating_sub(slack), "{least} of {content}");
    }
}

#[test]
fn an_endless_head_or_field_is_refused_before_its_end() {
    for begin in ["--AaB03x\r\n", "--AaB03x\r\nContent-Disposition: form-data; name=key\r\n\r\n"] {
        let mut reader = FormReader::new("multipart/form-data; boundary=AaB03x").unwrap();
        let endless = core::iter::once(begin.as_bytes()).chain(core::iter::repeat(&[b'a'; 1024][..]));
        let refused = endless.take(100).any(|mut piece| reader.next(&mut piece).is_err());
        assert!(refused, "{begin}");
    }
}

#[test]
fn the_file_is_handed_on_without_a_copy() {
    let body = [file(&"a".repeat(100_000)), LAST.into()].concat();
    let mut reader = FormReader::new("multipart/form-data; boundary=AaB03x").unwrap();
    let (mut input, mut copied) = (body.as_bytes(), 0);
    while let Some(event) = reader.next(&mut input).unwrap() {
        if let FormEvent::Piece(Cow::Owned(bytes)) = event {
            copied += bytes.len();
        }
    }
    assert!(copied <= LOOK_BYTES, "{copied}");
}

proptest! {
    /// Wherever the body is cut into pieces, the same is read; and what was written comes back.
    #[test]
    fn pieces_make_no_difference(
        content in "(\r|\n|-|A|a|B|0|3|x|\r\n--AaB03|\r\n-|\r\n--AaB03x_){0,40}",
        value in "[a-zA-Z\r\n-]{0,40}",
        cuts in proptest::collection::vec(0_usize..600, 0..12),
    ) {
        let body = [field("key", &value), file(&content), field("late", "x"), LAST.into()].concat();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
        cuts.sort_unstable();
        let starts = core::iter::once(0).chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain([body.len()]);
        let pieces = starts.zip(ends).map(|(start, end)| &body.as_bytes()[start..end]);
        let read = read_pieces(pieces);
        prop_assert_eq!(&read, &read_pieces([body.as_bytes()].into_iter()));
        if !format!("\r\n{content}\r\n").contains("\r\n--AaB03x") {
            let (form, file) = read.unwrap();
            prop_assert_eq!(form.fields().collect::<Vec<_>>(), vec![("key", value.as_str())]);
            prop_assert_eq!(file, content.into_bytes());
        }
    }

    /// Nothing that a stranger sends makes the reader panic or hold more than its bounds.
    #[test]
    fn any_bytes_are_survived(body in proptest::collection::vec(prop_oneof![
        Just(b"\r\n--AaB03x".to_vec()), Just(b"\r\n\r\n".to_vec()), Just(b"--".to_vec()),
        Just(b"Content-Disposition: form-data; name=\"a\"".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..20),
    ], 0..20)) {
        let body = body.concat();
        let whole = read_pieces([body.as_slice()].into_iter());
        prop_assert_eq!(read_pieces(body.chunks(1)), whole);
    }
}
