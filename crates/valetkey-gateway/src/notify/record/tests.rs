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
    assert!(body.contains(r#"\u0085"#) && body.contains(r#"\u2028\u2029"#) && body.contains("é \u{1f511}"));

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
    for broken in ["", "null", "[]", "plain text", "\0\0", &line[1..], &line[..40], &format!("{line}{line}")]
    {
        let read = previous_of(broken.as_bytes());
        assert!(matches!(read, Err(NotARecord::Json(_))), "{broken}: {read:?}");
    }
}
