//! Backends as an operator configures them: asked by `check --connect`, served, and edited while the gateway runs.

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::faults::FaultProxy;
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::Request;
use valetkey_tests::key::Key;
use valetkey_tests::process::{binary, wait_until};
use valetkey_tests::stores::{Azurite, FakeGcs, SeaweedFs, Store};

/// `valetkey check --connect` in the folder of a gateway over `store`, whose credentials are these.
fn checked(gateway: &Gateway, credentials: &[(&str, String)]) -> Output {
    Command::new(binary())
        .args(["check", "--connect", "--json"])
        .current_dir(gateway.home())
        .envs(credentials.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap()
}

/// What `check --connect` says of a sound backend, of one whose bucket is not there, and of one that is down.
fn is_asked(store: &dyn Store) {
    let answers = |bucket: &str, address| {
        let gateway = Gateway::builder().remote(store, address, bucket).write().unwrap();
        let output = checked(&gateway, &store.credentials());
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let said = String::from_utf8(output.stderr).unwrap() + &json.to_string();
        for (_, value) in store.credentials() {
            assert!(!said.contains(&value), "{said}");
        }
        let backend = &json["backends"]["local"];
        assert_eq!(output.status.success(), backend["answers"] == true, "{said}");
        (backend["answers"] == true, said)
    };
    let (answered, said) = answers(&store.bucket(), store.address());
    assert!(answered, "{said}");
    let (answered, said) = answers("not-there", store.address());
    assert!(!answered && said.contains("backends that cannot be used: local"), "{said}");
    let down = FaultProxy::before(store.address());
    down.refuse(true);
    let (answered, said) = answers(&store.bucket(), down.address());
    assert!(!answered, "{said}");
}

#[test]
fn seaweedfs_is_asked() {
    is_asked(SeaweedFs::shared());
}

#[test]
fn azurite_is_asked() {
    is_asked(Azurite::shared());
}

#[test]
fn fake_gcs_is_asked() {
    is_asked(FakeGcs::shared());
}

#[test]
fn an_edited_backend_is_in_force_for_the_next_request_or_not_at_all() {
    let store = SeaweedFs::shared();
    let (one, two) = (store.bucket(), store.bucket());
    store.put(&two, "files/a", b"of the other");
    let gateway = Gateway::builder().remote(store, store.address(), &one).start();
    let key = Key::new("/files/a", "read,write");
    accepted(&gateway.send(&Request::put(key.url(), "of the first")), 200);
    assert_eq!(store.get(&one, "files/a").unwrap(), b"of the first");

    let edit = |from: &str, to: &str| {
        let text = fs::read_to_string(gateway.config_path()).unwrap();
        assert!(text.contains(from), "{from:?} in {text}");
        fs::write(gateway.config_path(), text.replacen(from, to, 1)).unwrap();
    };
    edit(&format!("bucket = \"{one}\""), &format!("bucket = \"{two}\""));
    let is_other = || gateway.get(key.url()).body == b"of the other";
    wait_until(Duration::from_secs(2), "the other bucket", is_other).unwrap();
    assert_eq!(store.get(&one, "files/a").unwrap(), b"of the first");

    edit("kind = \"s3\"", "kind = \"s3\"\nsecret_access_key = \"inline\"");
    let words = "secret_access_key is a secret and never stands inline";
    wait_until(Duration::from_secs(2), words, || gateway.stderr().contains(words)).unwrap();
    assert!(is_other(), "the configuration before it stays in force");
    refused(&gateway.get(Key::new("/files/none", "read").url()), 404, "not_found");
}

#[test]
fn a_segment_that_seaweedfs_has_no_file_for_is_refused() {
    let store = SeaweedFs::shared();
    let gateway = Gateway::builder().remote(store, store.address(), &store.bucket()).start();
    let longest = format!("/files/a/{}", "l".repeat(255));
    accepted(&gateway.send(&Request::put(Key::new(&longest, "write").url(), "x")), 200);
    assert_eq!(gateway.get(Key::new(&longest, "read").url()).body, b"x");
    for path in [format!("{longest}l"), format!("{longest}l/b")] {
        let key = Key::new(&path, "read,write");
        refused(&gateway.send(&Request::put(key.url(), "x")), 400, "bad_request");
        refused(&gateway.send(&Request::new("POST", format!("{}&uploads=", key.url()))), 400, "bad_request");
        refused(&gateway.get(key.url()), 400, "bad_request");
    }
}

const SECRET: &str = "a secret of the signer of the bucket that redirects";

fn key_for(object: &str, allow: &str) -> Key {
    Key::new(object, allow).signed_by("far", SECRET)
}

#[test]
fn a_download_that_nothing_hangs_on_is_fetched_from_the_store_itself() {
    let store = SeaweedFs::shared();
    let bucket = store.bucket();
    let gateway = Gateway::builder()
        .remote(store, store.address(), &bucket)
        .bucket("far", "delivery = \"redirect\"\nprefix = \"far/\"")
        .signer("far", SECRET, "scope = [\"/far/\", \"/files/\"]\nallow = [\"read\", \"write\"]")
        .start();
    for (path, content_type) in
        [("/far/a", "text/plain"), ("/far/page", "text/html"), ("/files/a", "text/plain")]
    {
        let put =
            Request::put(key_for(path, "write").url(), "0123456789").header("Content-Type", content_type);
        accepted(&gateway.send(&put), 200);
    }
    let key = key_for("/far/a", "read");
    let answer = gateway.send(&Request::get(key.url()).header("Range", "bytes=2-4"));
    accepted(&answer, 307);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let location = answer.header("location").unwrap();
    let (authority, target) = location.strip_prefix("http://").unwrap().split_once('/').unwrap();
    assert_eq!(authority, store.address().to_string());
    assert!(target.contains("X-Amz-Expires=30") && !target.contains("vk-"), "{target}");
    let fetch = Request::get(format!("/{target}")).header("Host", authority).header("Range", "bytes=2-4");
    let fetched = valetkey_tests::http::send(store.address(), &fetch).unwrap();
    assert_eq!((fetched.status, fetched.text().as_str()), (206, "234"));
    let at = target.find("X-Amz-Signature=").unwrap() + "X-Amz-Signature=".len();
    let forged = format!("/{}{}", &target[..at], "0".repeat(target.len() - at));
    let fetched =
        valetkey_tests::http::send(store.address(), &Request::get(forged).header("Host", authority));
    assert_eq!(fetched.unwrap().status, 403);

    let streams = |request: &Request, status| {
        let answer = gateway.send(request);
        accepted(&answer, status);
        assert_eq!(answer.header("location"), None);
    };
    streams(&Request::head(key.url()), 200);
    streams(&Request::get(key.path()).header("Authorization", key.authorization()), 200);
    streams(&Request::get(key_for("/files/a", "read").url()), 200);
    streams(&Request::get(key_for("/far/page", "read").url()), 200);
    for (name, value) in [
        ("uses", "2"),
        ("out", "100"),
        ("rate", "1000000"),
        ("parallel", "2"),
        ("ip", "127.0.0.0/8"),
        ("disposition", "inline"),
    ] {
        streams(&Request::get(key_for("/far/a", "read").set(name, value).url()), 200);
    }
    for (name, value) in [
        ("Content-Type", "text/plain,text/html"),
        ("Content-Type", "*/*"),
        ("Cache-Control", "public, max-age=31536000, immutable"),
    ] {
        let put = Request::put(key_for("/far/odd", "write").url(), "x").header(name, value);
        accepted(&gateway.send(&put), 200);
        streams(&Request::get(key_for("/far/odd", "read").url()), 200);
    }
    let soon = key_for("/far/a", "read").set("end", &valetkey_tests::key::from_now(8));
    let location = gateway.get(soon.url()).header("location").unwrap().to_owned();
    let secs = location.split("X-Amz-Expires=").nth(1).and_then(|rest| rest.split('&').next()).unwrap();
    assert!((1..=8).contains(&secs.parse::<u64>().unwrap()), "{location}");
    let etag = gateway.send(&Request::head(key.url())).header("etag").unwrap().to_owned();
    streams(&Request::get(key.url()).header("If-None-Match", etag), 304);
    refused(&gateway.get(key_for("/far/none", "read").url()), 404, "not_found");
}

#[test]
fn a_request_that_nothing_hangs_on_is_one_request_to_the_store() {
    let store = SeaweedFs::shared();
    let proxy = FaultProxy::before(store.address());
    let gateway = Gateway::builder().remote(store, proxy.address(), &store.bucket()).start();
    let asks = |request: &Request, status: u16, wanted: &[&str]| {
        let before = proxy.requests().len();
        let answer = gateway.send(request);
        assert_eq!(answer.status, status, "{answer:?}");
        let asked = proxy.requests().split_off(before);
        let asked: Vec<_> = asked.iter().filter(|asked| asked.contains("/plain")).collect();
        let methods: Vec<_> = asked.iter().filter_map(|asked| asked.split(' ').next()).collect();
        assert_eq!(methods, wanted, "{asked:?}");
    };
    let key = Key::new("/files/plain", "delete,read,write");
    let get = || Request::get(key.url());
    asks(&get(), 404, &["GET"]);
    for bytes in [0, 1000, 1 << 20] {
        asks(&Request::put(key.url(), vec![7; bytes]), 200, &["PUT"]);
        asks(&get(), 200, &["GET"]);
    }
    let range = |range: &str| get().header("Range", range);
    asks(&range("bytes=10-19"), 206, &["GET"]);
    asks(&range("bytes=10-"), 206, &["GET"]);
    // Where these are hangs on the size, and what is not there has to be known for the answer.
    asks(&range("bytes=-10"), 206, &["HEAD", "GET"]);
    asks(&range("bytes=1048576-"), 416, &["GET", "HEAD"]);
    // What is counted is counted first, and a condition is judged before anything is sent.
    let counted = Key::new("/files/plain", "read").set("uses", "9");
    asks(&Request::get(counted.url()), 200, &["HEAD", "GET"]);
    let etag = gateway.send(&Request::head(key.url())).header("etag").unwrap().to_owned();
    asks(&get().header("If-None-Match", etag), 304, &["HEAD"]);
}

#[test]
fn whether_a_store_answers_is_told() {
    let store = SeaweedFs::shared();
    let proxy = FaultProxy::before(store.address());
    proxy.refuse(true);
    let gateway = Gateway::builder().remote(store, proxy.address(), &store.bucket()).start();
    let says = |text: &str| gateway.stderr().contains(text);
    wait_until(Duration::from_secs(10), "a word of it", || says("the store does not answer")).unwrap();
    let metrics = || crate::admin::ask_text(&gateway, "GET", "/metrics", None).1;
    assert!(metrics().contains("valetkey_backend_answers{backend=\"local\"} 0"), "{}", metrics());
    let health = crate::admin::ask_text(&gateway, "GET", "/v1/health", None).1;
    assert!(health.contains("\"backends\":{\"local\":false}"), "{health}");
    let told = |does: &str| format!("ok\nbackend local {does}\n");
    let health = gateway.get("/-/health");
    accepted(&health, 200);
    assert_eq!(health.text(), told("does not answer"));
    proxy.refuse(false);
    wait_until(Duration::from_secs(20), "a word of it", || says("the store answers again")).unwrap();
    assert!(metrics().contains("valetkey_backend_answers{backend=\"local\"} 1"));
    assert_eq!(gateway.get("/-/health").text(), told("answers"));
}
