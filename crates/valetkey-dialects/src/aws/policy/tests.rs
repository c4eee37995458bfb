use super::*;
use crate::form::tests::form;

/// The example of [AWS's documentation](https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-post-example.html).
pub(crate) const EXAMPLE: &str = r#"{ "expiration": "2015-12-30T12:00:00.000Z",
  "conditions": [
    {"bucket": "sigv4examplebucket"},
    ["starts-with", "$key", "user/user1/"],
    {"acl": "public-read"},
    {"success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"},
    ["starts-with", "$Content-Type", "image/"],
    {"x-amz-meta-uuid": "14365123651274"},
    {"x-amz-server-side-encryption": "AES256"},
    ["starts-with", "$x-amz-meta-tag", ""],

    {"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"},
    {"x-amz-algorithm": "AWS4-HMAC-SHA256"},
    {"x-amz-date": "20151229T000000Z" }
  ]
}"#;

const EXAMPLE_FIELDS: [(&str, &str); 12] = [
    ("key", "user/user1/${filename}"),
    ("acl", "public-read"),
    ("success_action_redirect", "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"),
    ("Content-Type", "image/jpeg"),
    ("x-amz-meta-uuid", "14365123651274"),
    ("x-amz-server-side-encryption", "AES256"),
    ("X-Amz-Credential", "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"),
    ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
    ("X-Amz-Date", "20151229T000000Z"),
    ("x-amz-meta-tag", ""),
    ("Policy", "<Base64-encoded policy string>"),
    ("X-Amz-Signature", "<signature-value>"),
];

fn parse(text: &str) -> Result<PostPolicy, Refusal> {
    PostPolicy::parse(&STANDARD.encode(text))
}

/// A policy for `/files/` with these conditions besides.
fn policy(conditions: &str) -> Result<PostPolicy, Refusal> {
    let comma = if conditions.is_empty() { "" } else { "," };
    parse(&format!(
        r#"{{"expiration":"2026-11-22T00:00:00Z","conditions":[{{"bucket":"files"}}{comma}{conditions}]}}"#
    ))
}

fn code(refusal: Refusal) -> (&'static str, &'static str) {
    (refusal.code.name(), refusal.denial.reason())
}

/// Whether a form with these fields satisfies the conditions: the name of the code and the reason if not.
fn check(conditions: &str, fields: &[(&str, &str)], expected: Result<(), (&str, &str)>) {
    let policy = policy(conditions).unwrap();
    let form = form(fields);
    let key = form.value("key").unwrap_or_default();
    assert_eq!(policy.check(&form, "files", key).map_err(code), expected, "{conditions} {fields:?}");
}

const DENIED: Result<(), (&str, &str)> = Err(("AccessDenied", "not_allowed"));
const OUTSIDE: Result<(), (&str, &str)> = Err(("AccessDenied", "out_of_scope"));

#[test]
fn the_documented_example_holds() {
    let policy = parse(EXAMPLE).unwrap();
    assert_eq!(policy.expiration(), Timestamp::parse("2015-12-30T12:00:00Z").unwrap());
    assert_eq!(policy.size(), SizeRange::ANY);
    let check = |fields: &[(&str, &str)], bucket, key| policy.check(&form(fields), bucket, key).map_err(code);
    assert_eq!(check(&EXAMPLE_FIELDS, "sigv4examplebucket", "user/user1/a.jpg"), Ok(()));
    assert_eq!(check(&EXAMPLE_FIELDS, "sigv4examplebucket", "user/user2/a.jpg"), OUTSIDE);
    assert_eq!(check(&EXAMPLE_FIELDS, "other", "user/user1/a.jpg"), OUTSIDE);
    for at in 0..9 {
        let mut fields = EXAMPLE_FIELDS;
        fields[at].1 = "x";
        let expected = if at == 0 { Ok(()) } else { DENIED };
        assert_eq!(check(&fields, "sigv4examplebucket", "user/user1/a.jpg"), expected, "{}", fields[at].0);
    }
}

#[test]
fn every_condition_on_a_field_must_hold() {
    let two = r#"["starts-with","$key","a/"],["starts-with","$key","a/b"]"#;
    check(two, &[("key", "a/b")], Ok(()));
    check(two, &[("key", "a/c")], OUTSIDE);
    let swapped = r#"["starts-with","$key","a/b"],["starts-with","$key","a/"]"#;
    check(swapped, &[("key", "a/c")], OUTSIDE);
    check(r#"{"key":"a"},["eq","$key","b"]"#, &[("key", "b")], OUTSIDE);
}

#[test]
fn conditions_are_known_in_any_case() {
    check(r#"["Starts-With","$KeY","a/"]"#, &[("key", "a/b")], Ok(()));
    check(r#"["EQ","$aCl","private"]"#, &[("acl", "public")], DENIED);
    assert_eq!(policy(r#"["Content-Length-Range",1,2]"#).unwrap().size().max_bytes, Some(2));
}

#[test]
fn conditions_compare_bytes() {
    check(r#"{"acl":"private"}"#, &[("acl", "private")], Ok(()));
    check(r#"{"acl":"private"}"#, &[("acl", "Private")], DENIED);
    check(r#"{"acl":"private"}"#, &[], DENIED);
    check(r#"["eq","$acl","private"]"#, &[("ACL", "private")], Ok(()));
    check(r#"["starts-with","$acl","p"]"#, &[("acl", "private")], Ok(()));
    check(r#"["starts-with","$acl","p"]"#, &[], DENIED);
    check(r#"["starts-with","$acl",""]"#, &[], Ok(()));
    let images = r#"["starts-with","$Content-Type","image/"]"#;
    check(images, &[("content-type", "image/png, image/jpeg")], Ok(()));
    check(images, &[("content-type", "image/png,text/html")], DENIED);
}

#[test]
fn every_field_is_named_by_a_condition() {
    check("", &[("x-amz-meta-a", "")], DENIED);
    check("", &[("x-amz-meta-policy", "")], DENIED);
    check("", &[("policy", "x"), ("x-amz-signature", "x"), ("submit", "x"), ("x-ignore-a", "x")], Ok(()));
    check(r#"{"key":"a"}"#, &[("key", "a"), ("tagging", "")], DENIED);
    // A checksum can only have the file refused.
    check("", &[("x-amz-checksum-sha256", "x")], Ok(()));
    check(r#"{"x-amz-checksum-sha256":"y"}"#, &[("x-amz-checksum-sha256", "x")], DENIED);
    // The URL's bucket counts, and a form cannot say another.
    check("", &[("bucket", "files")], Ok(()));
    check("", &[("bucket", "other")], OUTSIDE);
    let no_bucket = parse(r#"{"expiration":"2026-11-22T00:00:00Z","conditions":[]}"#).unwrap();
    assert_eq!(no_bucket.check(&form(&[]), "files", "").map_err(code), OUTSIDE);
}

#[test]
fn a_refusal_names_the_condition_or_the_field() {
    let message = |conditions: &str, fields: &[(&str, &str)]| {
        policy(conditions).unwrap().check(&form(fields), "files", "a").unwrap_err().message()
    };
    assert_eq!(
        message(r#"["starts-with","$key","b/"]"#, &[]),
        "Invalid according to Policy: Policy Condition failed: [\"starts-with\", \"$key\", \"b/\"]"
    );
    assert_eq!(message("", &[("colour", "red")]), "Invalid according to Policy: Extra input fields: colour");
}

#[test]
fn ranges_of_sizes_are_intersected() {
    let size = |conditions: &str| policy(conditions).map(|policy| policy.size()).map_err(code);
    let range = |min_bytes, max| Ok(SizeRange { min_bytes, max_bytes: Some(max) });
    assert_eq!(size(r#"["content-length-range",1,10]"#), range(1, 10));
    assert_eq!(size(r#"["content-length-range","1","10"]"#), range(1, 10));
    assert_eq!(size(r#"["content-length-range",0,10],["content-length-range",5,20]"#), range(5, 10));
    assert_eq!(size(r#"["content-length-range",5,20],["content-length-range",0,10]"#), range(5, 10));
    for bounds in ["10,1", "-1,10", "1", "1,2,3", "1.5,2", "\"\",1", "null,1", "1,18446744073709551616"] {
        let condition = format!(r#"["content-length-range",{bounds}]"#);
        assert_eq!(size(&condition), Err(("InvalidPolicyDocument", "bad_request")), "{bounds}");
    }
}

#[test]
fn limits_are_exact_conditions() {
    let said = policy(r#"{"x-vk-uses":"1"},["eq","$x-vk-id","a"]"#).unwrap();
    assert_eq!(said.limits().collect::<Vec<_>>(), [("uses", "1"), ("id", "a")]);
    let malformed = ("AuthorizationQueryParametersError", "malformed_key");
    for conditions in [
        r#"["starts-with","$x-vk-uses",""]"#,
        r#"{"X-Vk-Uses":"1"}"#,
        r#"{"x-VK-uses":"1"}"#,
        r#"{"x-vk-uses":"1"},{"x-vk-uses":"1"}"#,
        r#"{"x-vk-uses":"1"},["eq","$x-vk-uses","2"]"#,
    ] {
        assert_eq!(policy(conditions).map_err(code), Err(malformed), "{conditions}");
    }
    check(r#"{"x-vk-uses":"1"}"#, &[], Ok(()));
    check(r#"{"x-vk-uses":"1"}"#, &[("x-vk-uses", "1")], Ok(()));
    check(r#"{"x-vk-uses":"1"}"#, &[("x-vk-uses", "2")], DENIED);
    check(r#"{"x-vk-uses":"1"}"#, &[("X-Vk-Uses", "1")], Err(malformed));
    check("", &[("x-vk-uses", "1")], Err(malformed));
}

#[test]
fn what_is_no_policy_is_refused() {
    let conditions = r#""conditions":[{"bucket":"files"}]"#;
    let expiration = r#""expiration":"2026-11-22T00:00:00Z""#;
    for text in [
        String::new(),
        "[]".into(),
        "{}".into(),
        format!("{{{conditions}}}"),
        format!("{{{expiration}}}"),
        format!("{{{expiration},{conditions}}} x"),
        format!("{{{expiration},{expiration},{conditions}}}"),
        format!("{{{expiration},{conditions},{conditions}}}"),
        format!("{{{expiration},\"\\u0065xpiration\":\"2027-11-22T00:00:00Z\",{conditions}}}"),
        format!("{{{expiration},{conditions},\"x\":1}}"),
        format!("{{\"expiration\":1,{conditions}}}"),
        format!("{{\"expiration\":\"2026-11-22\",{conditions}}}"),
        format!("{{\"expiration\":\"2026-11-22T00:00:00\",{conditions}}}"),
        format!("{{\"expiration\":\"2026-11-22T00:00:00+01:00\",{conditions}}}"),
        format!("{{\"expiration\":\"2026-11-22T00:00:00.Z\",{conditions}}}"),
        format!("{{\"expiration\":\"2026-02-30T00:00:00Z\",{conditions}}}"),
        format!("{{{expiration},\"conditions\":{{\"bucket\":\"files\"}}}}"),
    ] {
        assert_eq!(parse(&text).map_err(code), Err(("InvalidPolicyDocument", "bad_request")), "{text}");
    }
    for condition in [
        r#"{}"#,
        r#"{"a":"b","c":"d"}"#,
        r#"{"a":"b","a":"b"}"#,
        r#"{"a":1}"#,
        r#"{"":"b"}"#,
        r#"["eq","acl","private"]"#,
        r#"["ends-with","$acl","private"]"#,
        r#"["eq","$acl"]"#,
        r#"["eq","$acl",1]"#,
        r#"[]"#,
        r#""bucket""#,
        r#"null"#,
    ] {
        assert_eq!(
            policy(condition).map_err(code),
            Err(("InvalidPolicyDocument", "bad_request")),
            "{condition}"
        );
    }
    for field in ["", "e30", "e30=\n", "e30 =", "_-8="] {
        assert!(PostPolicy::parse(field).is_err(), "{field}");
    }
    let deep = format!("{{{expiration},\"conditions\":{}", "[".repeat(10_000));
    assert!(parse(&deep).is_err());
}

#[test]
fn decimals_of_an_expiration_count_for_nothing() {
    let expiration = |text: &str| {
        parse(&format!(r#"{{"conditions":[],"expiration":"{text}"}}"#)).map(|policy| policy.expiration())
    };
    let end = Timestamp::parse("2026-11-22T00:00:00Z").unwrap();
    for text in ["2026-11-22T00:00:00Z", "2026-11-22T00:00:00.000Z", "2026-11-22T00:00:00.999999Z"] {
        assert_eq!(expiration(text), Ok(end), "{text}");
    }
}

#[test]
fn names_of_files_stay_inside_of_their_condition() {
    // A quote in a name closes nothing, since the policy was written by its signer alone.
    check(r#"["starts-with","$key","a/"]"#, &[("key", "a/\"],[\"starts-with\",\"$key\",\"")], Ok(()));
    check(r#"{"key":"a\"b\\"}"#, &[("key", "a\"b\\")], Ok(()));
}
