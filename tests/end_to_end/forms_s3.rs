//! Forms that were signed for S3: what their policy says, and the answers that their pages read.

use serde_json::{Value, json};
use valetkey_tests::aws::Aws;
use valetkey_tests::expect::accepted;
use valetkey_tests::form::{Form, Policy};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Answer, Request};
use valetkey_tests::key::{Key, from_now};

use crate::forms::{Written, refused_by_s3};

/// A form for the object `name` whose policy says this besides.
fn form(name: &str, conditions: &[Value]) -> Form {
    let aws = Aws::default();
    let policy = Policy::new(&aws, "in/");
    let policy = conditions.iter().cloned().fold(policy, Policy::with);
    Form::signed(&aws, &policy, name).file("hello")
}

/// A form with this whole policy.
fn with_policy(policy: &str) -> Form {
    Form::new(Aws::default().form(policy)).field("key", "in/a").file("hello")
}

fn stored(answer: &Answer) {
    Written::S3.stored(answer);
}

/// A109: what the policy does not foresee is refused, by name.
#[test]
fn a_field_that_no_condition_names_is_refused() {
    let gateway = Gateway::new();
    for name in
        ["x-amz-meta-colour", "Content-Type", "acl", "success_action_status", "nonsense", "Cache-Control"]
    {
        let value = if name == "acl" { "private" } else { "x" };
        let answer = gateway.send(&form("in/a", &[]).field(name, value).request());
        refused_by_s3(&answer, 403, "AccessDenied", "not_allowed");
        let message = format!("Invalid according to Policy: Extra input fields: {name}");
        assert!(answer.text().contains(&message), "{}", answer.text());
        let condition = json!(["starts-with", format!("${name}"), ""]);
        stored(&gateway.send(&form("in/a", &[condition]).field(name, value).request()));
    }
    stored(&gateway.send(&form("in/a", &[]).field("submit", "Send").field("x-ignore-me", "x").request()));
}

/// A110: the key is judged once the file's name is in it.
#[test]
fn a_key_lies_where_the_policy_says() {
    let gateway = Gateway::new();
    for (key, filename, object) in [
        ("in/a", "x", Some("in/a")),
        ("in/${filename}", "a b.txt", Some("in/a b.txt")),
        ("in/${filename}", "é'&.txt", Some("in/é'&.txt")),
        ("${filename}", "in/c", Some("in/c")),
        ("out/a", "x", None),
        ("in", "x", None),
        ("${filename}", "out/c", None),
        ("in/${filename}", "../out/a", None),
        ("in/${filename}", "..", None),
        ("in/${filename}", "", None),
        ("in/../out/a", "x", None),
        ("in//a", "x", None),
        ("in/a/", "x", None),
        ("in/\u{1}", "x", None),
        ("in/.valetkey-tmp", "x", None),
    ] {
        let before = gateway.stored();
        let answer = gateway.send(&form(key, &[]).filename(filename).request());
        let Some(object) = object else {
            assert!(matches!(answer.status, 400 | 403), "{key} {filename}: {}", answer.status);
            assert_eq!(gateway.stored(), before, "{key} {filename}");
            continue;
        };
        stored(&answer);
        std::fs::remove_file(gateway.file_of(&format!("/files/{object}"))).unwrap();
    }
    let exact = form("in/b", &[json!({"key": "in/b"})]);
    stored(&gateway.send(&exact.request()));
    let other = exact.change("key", |_| "in/c".to_owned());
    let answer = gateway.send(&other.request());
    refused_by_s3(&answer, 403, "AccessDenied", "out_of_scope");
    assert!(
        answer.text().contains("Policy Condition failed: [&quot;eq&quot;, &quot;$key&quot;"),
        "{}",
        answer.text()
    );
}

/// A111: several ranges are one, and a limit is another.
#[test]
fn the_size_lies_in_every_range() {
    let gateway = Gateway::new();
    let ranges = [
        json!(["content-length-range", 3, 10]),
        json!(["content-length-range", 0, 6]),
        json!({"x-vk-min": "4"}),
        json!({"x-vk-max": "100"}),
    ];
    for (bytes, reason) in [(3, "too_small"), (4, ""), (6, ""), (7, "too_large")] {
        let answer = gateway.send(&form("in/a", &ranges).file(vec![7; bytes]).request());
        match reason {
            "" => stored(&answer),
            reason => Written::S3.refused(&answer, reason),
        }
    }
}

/// A108, A112, A115: what no one signed, or no one could have meant.
#[test]
fn a_policy_is_signed_whole_and_sound() {
    let gateway = Gateway::new();
    let aws = Aws::default();
    let sound = || form("in/a", &[]);
    stored(&gateway.send(&sound().request()));
    let before = gateway.stored();
    let check = |form: Form, status: u16, code: &str, reason: &str| {
        refused_by_s3(&gateway.send(&form.request()), status, code, reason);
    };
    check(sound().without("policy"), 403, "AccessDenied", "no_key");
    for name in ["x-amz-signature", "x-amz-algorithm", "x-amz-credential", "x-amz-date"] {
        check(sound().without(name), 400, "InvalidArgument", "malformed_key");
    }
    let unsigned = ["x-amz-signature", "x-amz-algorithm", "x-amz-credential", "x-amz-date"];
    check(unsigned.iter().fold(sound(), |form, name| form.without(name)), 403, "AccessDenied", "no_key");
    let altered = |value: &str| {
        let other = if value.ends_with('0') { '1' } else { '0' };
        format!("{}{other}", &value[..value.len() - 1])
    };
    check(sound().change("x-amz-signature", altered), 403, "SignatureDoesNotMatch", "bad_signature");
    let widened = Policy::new(&aws, "").text();
    let policy = Aws::default().form(&widened).into_iter().find(|(name, _)| name == "policy").unwrap().1;
    check(sound().change("policy", |_| policy.clone()), 403, "SignatureDoesNotMatch", "bad_signature");
    let stranger = Aws { secret: "another".to_owned(), ..Aws::default() };
    let theirs = Form::signed(&stranger, &Policy::new(&stranger, ""), "in/a");
    check(theirs, 403, "SignatureDoesNotMatch", "bad_signature");
    let nobody = Aws { signer: "nobody".to_owned(), ..Aws::default() };
    let theirs = Form::signed(&nobody, &Policy::new(&nobody, ""), "in/a");
    check(theirs, 403, "InvalidAccessKeyId", "bad_signature");

    let credential = r#"["starts-with","$x-amz-algorithm",""],["starts-with","$x-amz-credential",""],
        ["starts-with","$x-amz-date",""],["starts-with","$key",""]"#;
    let later = from_now(600);
    let all = |more: &str| {
        format!(r#"{{"expiration":"{later}","conditions":[{{"bucket":"files"}},{credential}{more}]}}"#)
    };
    stored(&gateway.send(&with_policy(&all("")).request()));
    for policy in [
        "x".to_owned(),
        "{}".to_owned(),
        all("").replace("expiration", "expires"),
        all("").replace(&later, "tomorrow"),
        all("").replace("conditions", "condition"),
        all("").replacen("{", r#"{"expiration":"2099-01-01T00:00:00Z","#, 1),
        all(r#",{"acl":"private","acl":"public-read"}"#),
        all(r#",["ends-with","$key","a"]"#),
        all(r#",["content-length-range",10,1]"#),
        all(r#",["eq","key","a"]"#),
        all(",5"),
    ] {
        check(with_policy(&policy), 400, "InvalidPolicyDocument", "bad_request");
    }
    let text = all("").replace(&later, &from_now(-1));
    let answer = gateway.send(&with_policy(&text).request());
    refused_by_s3(&answer, 403, "AccessDenied", "expired");
    assert!(answer.text().contains("<Message>Request has expired</Message>"), "{}", answer.text());
    for (more, name) in [
        (r#",{"x-vk-max":"5","x-vk-max":"6"}"#, "InvalidPolicyDocument"),
        (r#",{"x-vk-max":"5"},{"x-vk-max":"5"}"#, "InvalidArgument"),
        (r#",{"X-Vk-Max":"5"}"#, "InvalidArgument"),
        (r#",["starts-with","$x-vk-max","5"]"#, "InvalidArgument"),
        (r#",{"x-vk-maximum":"5"}"#, "InvalidArgument"),
        (r#",{"x-vk-max":"05"}"#, "InvalidArgument"),
        (r#",{"x-vk-allow":"delete"}"#, "InvalidArgument"),
    ] {
        let answer = gateway.send(&with_policy(&all(more)).request());
        assert_eq!(answer.status, 400, "{more}");
        assert!(answer.text().contains(name), "{more}: {}", answer.text());
    }
    for name in ["x-vk-uses", "X-Vk-Max"] {
        check(sound().field(name, "5"), 400, "InvalidArgument", "malformed_key");
    }
    assert_eq!(gateway.stored(), before);
}

/// The bucket is the URL's, and a policy that names none opens none.
#[test]
fn a_policy_opens_its_own_bucket() {
    let gateway = Gateway::new();
    let other = form("in/a", &[]);
    let post = |target: &str, form: &Form| gateway.send(&Form::post(target).body(form.body()));
    refused_by_s3(&post("/other", &other), 403, "AccessDenied", "out_of_scope");
    refused_by_s3(&post("/never-made", &other), 403, "AccessDenied", "out_of_scope");
    let said = form("in/a", &[json!(["starts-with", "$bucket", ""])]).field("bucket", "other");
    refused_by_s3(&post("/files", &said), 403, "AccessDenied", "out_of_scope");
    let none = Policy::new(&Aws::default(), "in/").text().replace(r#"{"bucket":"files"},"#, "");
    let answer = gateway.send(&with_policy(&none).request());
    refused_by_s3(&answer, 403, "AccessDenied", "out_of_scope");
}

#[test]
fn a_form_says_how_it_is_answered() {
    let gateway = Gateway::new();
    let any = |name: &str| json!(["starts-with", format!("${name}"), ""]);
    let status = |value: &str| {
        let form = form("in/a b&c", &[any("success_action_status")]).field("success_action_status", value);
        gateway.send(&form.request())
    };
    let location = format!("http://{}/files/in/a%20b%26c", gateway.address());
    for (value, expected) in [("200", 200), ("201", 201), ("204", 204), ("404", 204), ("", 204)] {
        let answer = status(value);
        accepted(&answer, expected);
        assert_eq!(answer.header("location"), Some(location.as_str()));
        let etag = answer.header("etag").unwrap();
        if expected != 201 {
            assert!(answer.body.is_empty());
            continue;
        }
        assert_eq!(answer.header("content-type"), Some("application/xml"));
        let document = format!(
            "<PostResponse><Location>{location}</Location><Bucket>files</Bucket><Key>in/a b&amp;c</Key>\
             <ETag>{}</ETag></PostResponse>",
            etag.replace('"', "&quot;")
        );
        assert!(answer.text().ends_with(&document), "{}", answer.text());
    }
    let redirect = |url: &str| {
        let form = form("in/a b&c", &[any("success_action_redirect")]).field("success_action_redirect", url);
        gateway.send(&form.request())
    };
    for (url, joint) in [("https://app.example/done", '?'), ("https://app.example/done?x=1", '&')] {
        let answer = redirect(url);
        accepted(&answer, 303);
        let etag = answer.header("etag").unwrap().replace('"', "%22");
        let expected = format!("{url}{joint}bucket=files&key=in%2Fa%20b%26c&etag={etag}");
        assert_eq!(answer.header("location"), Some(expected.as_str()));
    }
    for url in ["javascript:alert(1)", "/done", "https://app.example/\u{1}"] {
        accepted(&redirect(url), 204);
    }
    // Whoever is refused is sent nowhere.
    let form =
        form("out/a", &[any("success_action_redirect")]).field("success_action_redirect", "https://app");
    let answer = gateway.send(&form.request());
    refused_by_s3(&answer, 403, "AccessDenied", "out_of_scope");
    assert_eq!(answer.header("location"), None);
}

/// What the fields say of the object is kept and served, since the policy names every one.
#[test]
fn fields_describe_the_object() {
    let gateway = Gateway::new();
    let fields = [
        ("Content-Type", "text/x-own"),
        ("Content-Disposition", "attachment; filename=\"x.txt\""),
        ("Content-Language", "de"),
        ("x-amz-meta-Colour", "red"),
        ("x-amz-checksum-crc32", "NhCmhg=="),
        ("Content-MD5", "XUFAKrxLKna5cZ2REBfFkg=="),
    ];
    let conditions: Vec<_> =
        fields.iter().map(|(name, _)| json!(["starts-with", format!("${name}"), ""])).collect();
    let form = fields.iter().fold(form("in/a", &conditions), |form, (name, value)| form.field(name, value));
    let answer = gateway.send(&form.request());
    stored(&answer);
    assert_eq!(answer.header("x-amz-checksum-crc32"), Some("NhCmhg=="));
    let read = gateway.get(Key::new("/files/in/a", "read").url());
    assert_eq!(read.body, b"hello");
    for (name, value) in &fields[..4] {
        assert_eq!(read.header(&name.to_lowercase()), Some(*value), "{name}");
    }
    for (name, wrong) in [("x-amz-checksum-crc32", "NhCmhw=="), ("Content-MD5", "XUFAKrxLKna5cZ2REBfFkw==")] {
        let answer = gateway.send(&form.clone().change(name, |_| wrong.to_owned()).request());
        refused_by_s3(&answer, 400, "BadDigest", "digest_mismatch");
    }
    for (name, value) in
        [("acl", "public-read"), ("x-amz-storage-class", "GLACIER"), ("tagging", "<Tagging/>")]
    {
        let answer = gateway.send(&form.clone().field(name, value).request());
        refused_by_s3(&answer, 501, "NotImplemented", "not_supported");
    }
}

/// A form's key is in its fields: what is signed in another way is no form's.
#[test]
fn a_header_signs_no_form() {
    let gateway = Gateway::new();
    let before = gateway.stored();
    let sound = form("in/a", &[]);
    let plain = Form::new(vec![("key".to_owned(), "in/a".to_owned())]);
    for form in [&sound, &plain] {
        let signed = Aws::default().sign(form.request());
        refused_by_s3(&gateway.send(&signed), 400, "MalformedPOSTRequest", "bad_request");
        let presigned = Aws::default().presigned("POST", "/files", &[], &[]);
        let answer = gateway.send(&Form::post(&presigned).body(form.body()));
        refused_by_s3(&answer, 400, "MalformedPOSTRequest", "bad_request");
    }
    let bare = Aws::default().sign(Request::new("POST", "/files").body("x"));
    refused_by_s3(&gateway.send(&bare), 400, "MalformedPOSTRequest", "bad_request");
    assert_eq!(gateway.stored(), before);
}
