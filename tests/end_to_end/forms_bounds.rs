//! Forms as strangers write them: where the key may stand, how long anything may be, and what an unfinished one costs.

use std::time::{Duration, Instant};

use valetkey_tests::expect::{accepted, refused_in_words};
use valetkey_tests::form::{BOUNDARY, Form};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::Request;
use valetkey_tests::key::Key;
use valetkey_tests::process::{memory_bytes, wait_until};

use crate::forms::{ALL, Written, refused_by_s3};

const MIB: usize = 1 << 20;

/// A108: without a key there is no upload, and the answer is in the words that its sender reads.
#[test]
fn a_form_without_a_key_is_refused() {
    let gateway = Gateway::new();
    let before = gateway.stored();
    let fields = |names: &[&str]| {
        let fields = names.iter().map(|name| ((*name).to_owned(), "x".to_owned()));
        Form::new(fields.collect()).field("key", "a").file("hello").request()
    };
    for names in [&[][..], &["Content-Type"], &["colour"]] {
        let answer = gateway.send(&fields(names));
        refused_in_words(&answer, 401, "no_key");
        assert_eq!(answer.header("www-authenticate"), Some("Valetkey"));
    }
    for names in [&["policy"][..], &["acl"], &["success_action_status"], &["x-amz-meta-a"]] {
        refused_by_s3(&gateway.send(&fields(names)), 403, "AccessDenied", "no_key");
    }
    refused_in_words(&gateway.send(&fields(&["vk-sig"])), 400, "malformed_key");
    refused_by_s3(&gateway.send(&fields(&["x-amz-signature"])), 403, "AccessDenied", "no_key");
    refused_by_s3(
        &gateway.send(&fields(&["AWSAccessKeyId", "policy", "signature"])),
        400,
        "MalformedPOSTRequest",
        "bad_request",
    );
    // What is no form, or is sent elsewhere, is a request like any other.
    let form = Written::Native.form("a", &[]);
    for request in [
        Request::new("POST", "/files")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body("vk-sig=x"),
        Request::new("POST", "/files").body(form.body()),
        Form::post("/files/a").body(form.body()),
        Form::post("/").body(form.body()),
    ] {
        refused_in_words(&gateway.send(&request), 401, "no_key");
    }
    assert_eq!(gateway.stored(), before);
}

#[test]
fn two_keys_are_one_too_many() {
    let gateway = Gateway::new();
    let before = gateway.stored();
    let key = Key::new("/files/", "write");
    for written in ALL {
        let form = written.form("a", &[]);
        let body = form.body();
        for request in [
            Form::post(&format!("/files/?{}", key.query())),
            Form::post("/files?X-Amz-Signature=x"),
            Form::post("/files").header("Authorization", key.authorization()),
            Form::post("/files").header("Authorization", "Basic eDp5"),
        ] {
            let answer = gateway.send(&request.body(body.clone()));
            assert_eq!((answer.status, answer.reason()), (400, "bad_request"));
        }
    }
    let both = Written::S3.form("a", &[]).field("vk-sig", "x");
    refused_in_words(&gateway.send(&both.request()), 400, "bad_request");
    let both = Written::Native.form("a", &[]).field("policy", "x");
    refused_in_words(&gateway.send(&both.request()), 400, "bad_request");
    assert_eq!(gateway.stored(), before);
}

/// In a native form nothing may stand that its key does not sign or a PUT would not take.
#[test]
fn a_native_form_has_no_other_fields() {
    let gateway = Gateway::new();
    let key = || Key::new("/files/a", "write").set("max", "5");
    let form = || Form::native(&key(), "a").file("hello");
    for (name, value) in [
        ("acl", "private"),
        ("Cache-Control", "no-store"),
        ("x-amz-meta-a", "b"),
        ("success_action_redirect", "https://app.example"),
        ("x-vk-max", "100"),
        ("colour", "red"),
    ] {
        refused_in_words(&gateway.send(&form().field(name, value).request()), 400, "bad_request");
    }
    for name in ["vk-max", "VK-MAX", "key", "Key"] {
        refused_in_words(&gateway.send(&form().field(name, "5").request()), 400, "bad_request");
    }
    for (name, value) in
        [("vk-maximum", "5"), ("Vk-Uses", "5"), ("vk-uses", "5"), ("vk-min", ""), ("vk-min", "05")]
    {
        let answer = gateway.send(&form().field(name, value).request());
        let expected = if name == "vk-uses" { (403, "bad_signature") } else { (400, "malformed_key") };
        assert_eq!((answer.status, answer.reason()), expected, "{name}={value}");
    }
    refused_in_words(
        &gateway.send(&form().change("vk-max", |_| "6".to_owned()).request()),
        403,
        "bad_signature",
    );
    let sound = form().field("submit", "Send").field("Content-MD5", "XUFAKrxLKna5cZ2REBfFkg==");
    accepted(&gateway.send(&sound.request()), 200);
    let wrong = form().field("x-amz-checksum-crc32", "NhCmhw==");
    refused_in_words(&gateway.send(&wrong.request()), 400, "digest_mismatch");
    let narrowed = Form::native(&key().narrow(&[("max", "4")]), "a").file("hello");
    refused_in_words(&gateway.send(&narrowed.request()), 413, "too_large");
}

#[test]
fn a_native_key_names_an_object_in_its_scope() {
    let gateway = Gateway::new();
    let long = |bytes: usize| {
        format!("in/{}", "l/".repeat((bytes - 3) / 2 - 1)) + if bytes % 2 == 1 { "ll" } else { "lll" }
    };
    let (longest, too_long) = (long(1024), long(1025));
    assert_eq!((longest.len(), too_long.len()), (1024, 1025));
    for (name, status, reason) in [
        ("in/a", 200, ""),
        ("in/a%2Fb", 200, ""),
        ("in/a+b c", 200, ""),
        ("in/${filename}", 200, ""),
        (longest.as_str(), 200, ""),
        (too_long.as_str(), 400, "bad_request"),
        ("", 400, "bad_request"),
        ("in/", 400, "bad_request"),
        ("/in/a", 400, "bad_request"),
        ("in//a", 400, "bad_request"),
        ("in/../b", 400, "bad_request"),
        ("../files/in/a", 400, "bad_request"),
        ("in/\u{7f}", 400, "bad_request"),
        ("in/.valetkey-tmp", 400, "bad_request"),
        ("inn/a", 403, "out_of_scope"),
        ("b", 403, "out_of_scope"),
    ] {
        let key = Key::new("/files/in/", "create").set("path", "/files/in/");
        let answer = gateway.send(&Form::native(&key, name).request());
        assert_eq!((answer.status, answer.reason()), (status, reason), "{name}");
        if status == 200 {
            assert!(gateway.file_of(&format!("/files/{name}")).is_file(), "{name}");
        }
    }
    let answer = gateway.send(&Form::new(Key::new("/files/a", "create").fields()).request());
    refused_in_words(&answer, 400, "bad_request");
    // A path that is left out is the object's own.
    let key = Key::new("/files/own", "create");
    refused_in_words(&gateway.send(&Form::native(&key, "other").request()), 403, "bad_signature");
    accepted(&gateway.send(&Form::native(&key, "own").request()), 200);
}

/// A113: what comes after the file is not looked at, and what is said twice is not believed.
#[test]
fn the_file_is_the_last_field() {
    let gateway = Gateway::new();
    let before = gateway.stored();
    for written in ALL {
        let late =
            written.form("a", &[]).file("hello").late("key", "b").late("vk-max", "1").late("file", "other");
        written.stored(&gateway.send(&late.request()));
        assert_eq!(std::fs::read(gateway.file_of("/files/a")).unwrap(), b"hello");
        std::fs::remove_file(gateway.file_of("/files/a")).unwrap();
        let mut first = Form::new(Vec::new()).file("hello");
        for (name, value) in written.form("a", &[]).fields() {
            first = first.late(name, value);
        }
        refused_in_words(&gateway.send(&first.request()), 401, "no_key");
        written.refused(&gateway.send(&written.form("a", &[]).field("KEY", "b").request()), "bad_request");
        let endless = written.form("a", &[]).late("x", &"x".repeat(MIB + 1));
        written.refused(&gateway.send(&endless.request()), "bad_request");
    }
    assert_eq!(gateway.stored(), before);
}

/// A114: a form ends as it says it will, and everything before its file is bounded.
#[test]
fn a_form_is_bounded_and_whole() {
    let gateway = Gateway::new();
    let before = gateway.stored();
    for written in ALL {
        let form = written.form("a", &[]).file("hello");
        let (head, body) = (form.head().len(), form.body());
        for end in [0, 5, head / 2, head - 2, head, head + 3, body.len() - 5] {
            let answer = gateway.send(&Form::post("/files").body(&body[..end]));
            assert_eq!((answer.status, answer.reason()), (400, "bad_request"), "cut at {end}");
        }
        for boundary in ["", "; boundary=", "; boundary=a; boundary=b", "; boundary=\u{e9}"] {
            let request = Request::new("POST", "/files")
                .header("Content-Type", format!("multipart/form-data{boundary}"))
                .body(body.clone());
            assert_eq!(gateway.send(&request).status, 400, "{boundary}");
        }
        written.refused(
            &gateway.send(&form.clone().field("x-ignore-a", &"x".repeat(64 * 1024 + 1)).request()),
            "bad_request",
        );
        let many = (0..100_000).fold(Vec::new(), |mut many, number| {
            many.extend(
                format!(
                    "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"x-ignore-{number}\"\r\n\r\n\r\n"
                )
                .bytes(),
            );
            many
        });
        let many = gateway.send(&Form::post("/files").body([many, body.clone()].concat()));
        assert_eq!((many.status, many.reason()), (400, "bad_request"));
    }
    for body in [&b"hello"[..], b"--", b"\r\n\r\n", &[0; 100_000]] {
        refused_in_words(&gateway.send(&Form::post("/files").body(body)), 400, "bad_request");
    }
    assert_eq!(gateway.stored(), before);
    let most = memory_bytes(gateway.pid(), "VmHWM").unwrap();
    assert!(most < 64 << 20, "the gateway had {} MiB", most >> 20);
}

/// What a form's request says in its head is not taken for what its fields say.
#[test]
fn headers_say_nothing_of_the_file() {
    let gateway = Gateway::new();
    for written in ALL {
        let form = written.form("a", &[]).file("hello").request();
        for (name, value) in [
            ("Content-MD5", "XUFAKrxLKna5cZ2REBfFkg=="),
            ("x-amz-acl", "public-read"),
            ("x-amz-meta-a", "b"),
            ("x-vk-max", "100"),
            ("Content-Encoding", "gzip"),
            ("x-amz-checksum-crc32", "NhCmhg=="),
        ] {
            let answer = gateway.send(&form.clone().header(name, value));
            assert_eq!((answer.status, answer.reason()), (400, "bad_request"), "{name}");
        }
        // As browsers send it with a form that is sent again.
        written.stored(&gateway.send(&form.header("Cache-Control", "max-age=0").header("Cookie", "a=b")));
        let read = gateway.get(Key::new("/files/a", "read").url());
        assert!(!read.header("cache-control").unwrap().contains("max-age=0"));
    }
}

/// Refused before its body where the head says enough, and before its file where the fields do.
#[test]
fn a_refusal_comes_as_early_as_it_can() {
    let gateway = Gateway::new();
    let begin = |request: &Request, fields: &[u8]| {
        let mut connection = gateway.connect();
        connection.send(&[request.head_bytes(), fields.to_vec()].concat()).unwrap();
        connection.read_answer("POST").unwrap()
    };
    for request in [
        Form::post("/files").header("Authorization", "Basic eDp5"),
        Form::post("/files?vk-sig=x"),
        Form::post("/files").header("x-amz-acl", "private"),
        Request::new("POST", "/files").header("Content-Type", "multipart/form-data"),
    ] {
        let request = request.header("Content-Length", "100000").header("Expect", "100-continue");
        let answer = begin(&request, b"");
        assert_eq!((answer.status, answer.interim), (400, Vec::new()));
    }
    for written in ALL {
        for (limits, bytes, reason) in [
            (&[("max", "5")][..], 10 * MIB, "too_large"),
            (&[("ip", "10.0.0.0/8")], 100_000, "client_not_allowed"),
            (&[("type", "image/png")], 100_000, "type_not_allowed"),
        ] {
            let form = written.form("a", limits);
            let request = Form::post("/files").header("Content-Length", bytes.to_string());
            // The file has begun once a byte of it is there: until then the boundary may follow.
            written.refused(&begin(&request, &[form.head(), b"x".to_vec()].concat()), reason);
        }
    }
    // A form of which nothing is known yet is asked for, once.
    let form = Written::Native.form("a", &[("max", "5")]).file("hello");
    let body = form.body();
    let request = Form::post("/files")
        .header("Content-Length", body.len().to_string())
        .header("Expect", "100-continue");
    let mut connection = gateway.connect();
    connection.send(&request.head_bytes()).unwrap();
    assert_eq!(connection.read_head().unwrap().status, 100);
    connection.send(&body).unwrap();
    accepted(&connection.read_answer("POST").unwrap(), 200);
}

/// The cap is the file's, to the byte, whatever length the form has; and it is judged while the file comes.
#[test]
fn a_file_of_unknown_length_is_cut_at_the_first_byte_over() {
    let gateway = Gateway::new();
    let before = gateway.stored();
    for written in ALL {
        let form = written.form("a", &[("max", "10")]);
        let request = Form::post("/files").header("Transfer-Encoding", "chunked");
        let mut connection = gateway.connect();
        let head = form.head();
        let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        connection
            .send(&[request.head_bytes(), chunk(&head), chunk(b"01234567"), chunk(b"89a")].concat())
            .unwrap();
        written.refused(&connection.read_answer("POST").unwrap(), "too_large");
    }
    wait_until(Duration::from_secs(5), "nothing is left", || gateway.stored() == before).unwrap();
}

/// A form that does not come on is given up, and the next request is served meanwhile.
#[test]
fn fields_that_dribble_are_given_up() {
    let gateway = Gateway::new();
    let mut connection = gateway.connect();
    connection.set_patience(Duration::from_secs(45)).unwrap();
    let begun = Instant::now();
    let form = Written::Native.form("a", &[]);
    let head = Form::post("/files").header("Content-Length", "100000").head_bytes();
    connection.send(&[head, form.head()[..50].to_vec()].concat()).unwrap();
    Written::Native.stored(&gateway.send(&form.request()));
    refused_in_words(&connection.read_answer("POST").unwrap(), 400, "bad_request");
    let waited = begun.elapsed();
    assert!((Duration::from_secs(25)..Duration::from_secs(40)).contains(&waited), "{waited:?}");
}

/// A file streams: 256 MiB of it, or 5 GiB where `VALETKEY_LONG` asks for it, in little memory.
#[test]
fn a_large_form_takes_little_memory() {
    let gateway = Gateway::new();
    let mib = if std::env::var_os("VALETKEY_LONG").is_some() { 5 * 1024 } else { 256 };
    for written in [Written::Native, Written::S3] {
        let form = written.form("large", &[("max", &(mib * MIB).to_string())]);
        let (head, tail) = (form.head(), form.tail());
        let length = head.len() + mib * MIB + tail.len();
        let mut connection = gateway.connect();
        connection.set_patience(Duration::from_secs(120)).unwrap();
        let request = Form::post("/files").header("Content-Length", length.to_string());
        connection.send(&[request.head_bytes(), head].concat()).unwrap();
        // Every line end may be the beginning of the boundary.
        let piece: Vec<u8> =
            (0..MIB).map(|at| if at % 61 == 0 { b'\r' } else { at.to_le_bytes()[0] }).collect();
        let mut sent = blake3::Hasher::new();
        for _ in 0..mib {
            connection.send(&piece).unwrap();
            sent.update(&piece);
        }
        connection.send(&tail).unwrap();
        written.stored(&connection.read_answer("POST").unwrap());
        let mut stored = blake3::Hasher::new();
        stored.update_reader(std::fs::File::open(gateway.file_of("/files/large")).unwrap()).unwrap();
        assert_eq!(stored.finalize(), sent.finalize(), "{written:?}");
    }
    let most = memory_bytes(gateway.pid(), "VmHWM").unwrap();
    assert!(most < 64 << 20, "the gateway had {} MiB", most >> 20);
}
