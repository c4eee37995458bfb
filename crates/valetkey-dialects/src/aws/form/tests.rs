use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use valetkey::Secret;

use super::super::signature::{ALGORITHM, CredentialScope, SigningKey};
use alloc::vec::Vec;

use super::*;
use crate::form::tests::form;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const TIME: &str = "20151229T000000Z";

fn secrets(secret: &str) -> SignerSecrets {
    SignerSecrets { current: Secret::new(secret.as_bytes()), previous: None }
}

/// A form with these fields, whose policy takes any key below `u1/` under these conditions, and any field.
fn signed(fields: &[(&str, &str)], conditions: &str) -> Form {
    let scope = alloc::format!("web/{}/us-east-1/s3/aws4_request", &TIME[..8]);
    let credential = [("x-amz-algorithm", ALGORITHM), ("x-amz-credential", &scope), ("x-amz-date", TIME)];
    let named = fields.iter().chain(&credential).filter(|(name, _)| !matches!(*name, "key" | "x-vk-uses"));
    let named: String = named.map(|(name, _)| alloc::format!(r#",["starts-with","${name}",""]"#)).collect();
    let policy = STANDARD.encode(alloc::format!(
        r#"{{"expiration":"2026-11-22T00:00:00Z","conditions":[{{"bucket":"files"}},
           ["starts-with","$key","u1/"]{named}{conditions}]}}"#
    ));
    let (parsed, _) = CredentialScope::parse(&scope[4..], TIME).unwrap();
    let signature = SigningKey::derive(&Secret::new(SECRET.as_bytes()), &parsed).sign(&policy).reveal();
    form(&[fields, &credential, &[("policy", &policy), ("x-amz-signature", &signature)]].concat())
}

/// A form with these fields and no further conditions.
fn with_policy(fields: &[(&str, &str)]) -> Form {
    signed(fields, "")
}

fn bucket() -> ResourcePath {
    ResourcePath::from_url("/files").unwrap()
}

fn verify<'a>(form: &'a Form) -> Result<(Grant, VerifiedForm<'a>), Refusal> {
    PostForm::of(form, &bucket())?.verify(Some(&secrets(SECRET)))
}

fn check(key: &str, filename: Option<&str>, expected: Result<&str, &str>) {
    let mut form = with_policy(&[("key", key)]);
    form.filename = filename.map(ToString::to_string);
    let verified = verify(&form);
    let found = verified.as_ref().map(|(_, form)| form.path().as_str());
    assert_eq!(found.map_err(|refusal| refusal.code.name()), expected, "{key} {filename:?}");
}

/// The example of [AWS's documentation](https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-post-example.html),
/// whose lines end as HTTP's do.
#[test]
fn the_documented_signature_holds() {
    let policy = STANDARD.encode(crate::aws::policy::EXAMPLE.replace('\n', "\r\n"));
    let scope = "20151229/us-east-1/s3/aws4_request";
    let (scope, _) = CredentialScope::parse(scope, TIME).unwrap();
    let signature = SigningKey::derive(&Secret::new(SECRET.as_bytes()), &scope).sign(&policy).reveal();
    assert_eq!(signature, "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e");
}

#[test]
fn a_grant_is_for_the_one_object() {
    let conditions = r#",["content-length-range",1,10],{"x-vk-max":"8"},{"x-vk-uses":"1"},{"x-vk-id":"a"}"#;
    let form = signed(&[("key", "u1/a"), ("x-vk-uses", "1")], conditions);
    let (grant, _) = verify(&form).unwrap();
    assert_eq!(grant.signer(), "web");
    assert_eq!(grant.allow(), Verbs::only(Verb::Write).expanded());
    assert!(grant.scopes().contain(&ResourcePath::from_text("/files/u1/a").unwrap()));
    assert!(!grant.scopes().contain(&ResourcePath::from_text("/files/u1/b").unwrap()));
    assert_eq!(grant.end(), valetkey::Timestamp::parse("2026-11-22T00:00:00Z").unwrap());
    assert_eq!((grant.size().min_bytes, grant.size().max_bytes), (1, Some(8)));
    assert_eq!(grant.levels()[0].limits.uses, Some(1));
    assert_eq!(grant.levels()[0].name.as_str(), r#"["web","id","a"]"#);
}

#[test]
fn nothing_is_told_before_the_signature_holds() {
    let code = |form: &Form, secrets: Option<&SignerSecrets>| {
        let read = PostForm::of(form, &bucket()).unwrap();
        read.verify(secrets).map(|_| ()).map_err(|refusal| refusal.denial)
    };
    // The policy does not allow this form either, which is told only to who signed it.
    let outside = with_policy(&[("key", "u2/a")]);
    assert_eq!(code(&outside, Some(&secrets(SECRET))), Err(Denial::OutOfScope));
    assert_eq!(code(&outside, Some(&secrets("another"))), Err(Denial::BadSignature));
    assert_eq!(code(&outside, None), Err(Denial::BadSignature));
    let sound = with_policy(&[("key", "u1/a")]);
    assert_eq!(code(&sound, None), Err(Denial::BadSignature));
    let rotated =
        SignerSecrets { current: Secret::new(b"another"), previous: Some(Secret::new(SECRET.as_bytes())) };
    assert_eq!(code(&sound, Some(&rotated)), Ok(()));
}

/// The fields of a form with one of them changed by `change`, which gives none to leave it out.
fn changed(sound: &Form, field: &str, change: impl Fn(&str) -> Option<String>) -> Form {
    let fields: Vec<(String, String)> = sound
        .fields()
        .filter_map(|(name, value)| {
            let value = if name == field { change(value)? } else { value.to_string() };
            Some((name.to_string(), value))
        })
        .collect();
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    form(&fields)
}

#[test]
fn a_credential_is_whole_and_in_its_form() {
    let sound = with_policy(&[("key", "u1/a")]);
    for field in ["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"] {
        let code =
            verify(&changed(&sound, field, |_| None)).map(|_| ()).map_err(|refusal| refusal.denial.reason());
        assert_eq!(code, Err("malformed_key"), "{field}");
    }
    for (field, value, expected) in [
        ("x-amz-algorithm", "AWS4-HMAC-SHA1", "malformed_key"),
        ("x-amz-algorithm", "AWS4-ECDSA-P256-SHA256", "not_supported"),
        ("x-amz-credential", "web/20151230/us-east-1/s3/aws4_request", "malformed_key"),
        ("x-amz-credential", "web/20151229/us-east-1/sns/aws4_request", "malformed_key"),
        ("x-amz-credential", "web/20151229/eu-west-1/s3/aws4_request", "bad_signature"),
        ("x-amz-date", "20151229T000060Z", "malformed_key"),
        ("x-amz-signature", "", "bad_signature"),
        ("x-amz-signature", "8AFDBF", "bad_signature"),
    ] {
        let changed = changed(&sound, field, |_| Some(value.to_string()));
        assert_eq!(
            verify(&changed).map(|_| ()).map_err(|refusal| refusal.denial.reason()),
            Err(expected),
            "{field}"
        );
    }
}

#[test]
fn every_character_of_policy_and_signature_counts() {
    let sound = with_policy(&[("key", "u1/a")]);
    assert!(verify(&sound).is_ok());
    for field in ["policy", "x-amz-signature"] {
        for at in 0..sound.value(field).unwrap().len() {
            let edited = changed(&sound, field, |value| {
                let other = if value.as_bytes()[at] == b'0' { "1" } else { "0" };
                Some([&value[..at], other, &value[at + 1..]].concat())
            });
            assert!(verify(&edited).is_err(), "{field} {at}");
        }
    }
}

#[test]
fn a_key_is_judged_with_its_file_name() {
    check("u1/a", None, Ok("/files/u1/a"));
    check("u1/${filename}", Some("a b.jpg"), Ok("/files/u1/a b.jpg"));
    check("u1/${filename}-${filename}", Some("a"), Ok("/files/u1/a-a"));
    check("${filename}", Some("u1/a"), Ok("/files/u1/a"));
    check("${filename}", Some("u2/a"), Err("AccessDenied"));
    check("u1/${filename}", Some("../u2/a"), Err("InvalidRequest"));
    check("u1/${filename}", Some(".."), Err("InvalidRequest"));
    check("u1/${filename}", Some(""), Err("InvalidRequest"));
    check("u1/${filename}", None, Err("InvalidRequest"));
    check("u1/${filename}", Some("a\u{85}"), Err("InvalidRequest"));
    check("u10/a", None, Err("AccessDenied"));
    check(&"u".repeat(1025), None, Err("KeyTooLongError"));
    check(&FILENAME.repeat(1000), Some(&"a".repeat(8000)), Err("KeyTooLongError"));
}

#[test]
fn a_form_has_a_policy_and_a_key() {
    let bucket = bucket();
    let code = |form: &Form| PostForm::of(form, &bucket).map(|_| ()).map_err(|refusal| refusal.code);
    assert_eq!(code(&form(&[("key", "a")])), Err(Code::AccessDenied));
    assert_eq!(code(&with_policy(&[])), Err(Code::InvalidArgument));
    assert_eq!(code(&form(&[("policy", "x")])), Err(Code::InvalidPolicyDocument));
}

#[test]
fn fields_are_the_headers_of_the_upload() {
    let form = with_policy(&[
        ("key", "u1/a"),
        ("Content-Type", "image/png"),
        ("acl", "private"),
        ("x-amz-meta-Colour", "red"),
        ("success_action_status", "201"),
        ("x-ignore-a", "b"),
        ("x-amz-copy-source", "files/b"),
        ("content-length", "5"),
    ]);
    let (_, read) = verify(&form).unwrap();
    let expected = [("content-type", "image/png"), ("x-amz-meta-colour", "red")];
    assert_eq!(read.headers().values, expected.map(|(name, value)| (name.to_string(), value.to_string())));
    for field in [("acl", "public-read"), ("tagging", "<Tagging/>"), ("x-amz-storage-class", "GLACIER")] {
        let form = with_policy(&[("key", "u1/a"), field]);
        let refused = PostForm::of(&form, &bucket()).map(|_| ()).map_err(|refusal| refusal.code);
        assert_eq!(refused, Err(Code::NotImplemented), "{field:?}");
    }
}

#[test]
fn a_form_says_how_it_is_answered() {
    let success = |fields: &[(&str, &str)]| {
        let form = with_policy(&[&[("key", "u1/a")], fields].concat());
        verify(&form).unwrap().1.success()
    };
    let redirect = "success_action_redirect";
    for (fields, expected) in [
        (&[][..], PostSuccess::NoContent),
        (&[("success_action_status", "200")], PostSuccess::Ok),
        (&[("success_action_status", "201")], PostSuccess::Created),
        (&[("success_action_status", "204")], PostSuccess::NoContent),
        (&[("success_action_status", "500")], PostSuccess::NoContent),
        (&[(redirect, "https://app/x?y=1#z")], PostSuccess::Redirect("https://app/x?y=1#z".into())),
        (
            &[("redirect", "http://app"), ("success_action_status", "201")],
            PostSuccess::Redirect("http://app".into()),
        ),
        (&[(redirect, "javascript:alert(1)")], PostSuccess::NoContent),
        (&[(redirect, "/x")], PostSuccess::NoContent),
        (&[(redirect, "https://")], PostSuccess::NoContent),
        (&[(redirect, "https:///x")], PostSuccess::NoContent),
        (&[(redirect, "https://app/\r\nx: y")], PostSuccess::NoContent),
    ] {
        assert_eq!(success(fields), expected, "{fields:?}");
    }
}
