//! A host for each bucket: only where a request goes is read from it, for every kind of key.

use std::fs;
use std::process::Command;
use std::time::Duration;

use valetkey_tests::audit::record_of;
use valetkey_tests::aws::{Aws, UNSIGNED};
use valetkey_tests::clients::{self, python, told};
use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::form::{Form, Policy};
use valetkey_tests::gateway::{Builder, Gateway};
use valetkey_tests::http::{Answer, Request};
use valetkey_tests::key::Key;
use valetkey_tests::process::{valetkey, wait_until};

const HOSTS: &str = "virtual_hosts = [\"s3.example.com\"]";

fn builder() -> Builder {
    Gateway::builder().server(HOSTS)
}

/// What a client asks of a host, signed in its header.
fn at(gateway: &Gateway, host: &str, request: Request) -> Answer {
    gateway.send(&Aws { host: host.to_owned(), ..Aws::default() }.sign(request))
}

#[test]
fn the_host_names_the_bucket_and_is_signed_as_it_was_sent() {
    let gateway = builder().start();
    let answer = at(&gateway, "files.s3.example.com", Request::put("/a%20b/c", "hello"));
    accepted(&answer, 200);
    let record = record_of(&gateway, answer.header("x-request-id").unwrap()).unwrap();
    assert_eq!((&record["bucket"], &record["object"]), (&"files".into(), &"a b/c".into()), "{record}");
    assert_eq!(fs::read(gateway.file_of("/files/a b/c")).unwrap(), b"hello");

    for (host, target) in [
        ("files.s3.example.com:8080", "/a%20b/c"),
        ("FILES.S3.Example.COM", "/a%20b/c"),
        ("s3.example.com", "/files/a%20b/c"),
        ("s3.example.com:8080", "/files/a%20b/c"),
        ("127.0.0.1", "/files/a%20b/c"),
        ("[::1]:8080", "/files/a%20b/c"),
        ("files.s3.example.org", "/files/a%20b/c"),
    ] {
        assert_eq!(at(&gateway, host, Request::get(target)).text(), "hello", "{host}");
    }
    // Below the bucket of the host, the name of another bucket is that of a folder.
    assert_eq!(at(&gateway, "files.s3.example.com", Request::get("/other/a")).status, 404);
    let listed = at(&gateway, "files.s3.example.com", Request::get("/?list-type=2&prefix=a")).text();
    assert!(listed.contains("<Name>files</Name>") && listed.contains("<Key>a b/c</Key>"), "{listed}");
    let buckets = at(&gateway, "s3.example.com", Request::get("/")).text();
    assert!(buckets.contains("<Name>files</Name><") && buckets.contains("<Name>other</Name>"), "{buckets}");
    accepted(&at(&gateway, "other.s3.example.com", Request::head("/")), 200);
    assert_eq!(at(&gateway, "_.s3.example.com", Request::get("/a")).status, 400);
    assert_eq!(at(&gateway, "nothere.s3.example.com", Request::get("/a")).reason(), "out_of_scope");
    assert_eq!(at(&gateway, "files%2fa.s3.example.com", Request::get("/b")).status, 400);
}

#[test]
fn a_url_is_presigned_for_one_host_alone() {
    let gateway = builder().start();
    gateway.plant("/files/a", "hello");
    gateway.plant("/other/a", "secret");
    let aws = Aws { host: "files.s3.example.com".to_owned(), ..Aws::default() };
    let url = aws.presigned("GET", "/a", &[], &[]);
    let get = |host: &str| gateway.send(&Request::get(&url).header("Host", host));
    assert_eq!(get("files.s3.example.com").text(), "hello");
    for host in ["other.s3.example.com", "s3.example.com", "files.s3.example.com:81"] {
        assert!(matches!(get(host).reason(), "bad_signature" | "bad_request"), "{host}");
    }
}

/// Keys sign the resource, not the host.
#[test]
fn a_native_key_opens_its_resource_by_every_name() {
    let gateway = builder().start();
    gateway.plant("/files/a", "hello");
    let key = Key::new("/files/a", "read,stat");
    let get = |target: &str, host: &str| gateway.send(&Request::get(target).header("Host", host));
    assert_eq!(get(&key.url(), "s3.example.com").text(), "hello");
    let below = format!("/a?{}", key.query());
    assert_eq!(get(&below, "files.s3.example.com").text(), "hello");
    refused(&get(&below, "other.s3.example.com"), 403, "bad_signature");
    // The bucket stands once in the resource, whatever the key says.
    refused(&get(&key.url(), "files.s3.example.com"), 403, "bad_signature");

    let whole = Key::new("/files/", "read,write").set("path", "/files/").on("/files/a");
    let below = format!("/a?{}", whole.query());
    assert_eq!(get(&below, "files.s3.example.com").text(), "hello");
    // A107: two names of buckets in one request.
    refused(&get(&below, "other.s3.example.com"), 400, "bad_request");
    accepted(
        &gateway.send(&Request::put(below.replace("/a?", "/b?"), "x").header("Host", "files.s3.example.com")),
        200,
    );
    assert_eq!(fs::read(gateway.file_of("/files/b")).unwrap(), b"x");
}

#[test]
fn the_gateways_own_space_and_cors_are_on_every_host() {
    let bucket = "prefix = \"app/\"\n[buckets.app.cors]\norigins = [\"https://app.example.com\"]";
    let gateway = builder().bucket("app", bucket).start();
    let send = |request: Request, host: &str| gateway.send(&request.header("Host", host));
    assert_eq!(send(Request::get("/-/health"), "files.s3.example.com").status, 200);
    let key = Key::new("/files/a", "read").set("path", "/files/a");
    let own = format!("/-/key?{}", key.query());
    accepted(&send(Request::get(own), "other.s3.example.com"), 200);
    for (host, target, shared) in [
        ("app.s3.example.com", "/a", true),
        ("s3.example.com", "/app/a", true),
        ("files.s3.example.com", "/app/a", false),
        ("app%2f.s3.example.com", "/a", false),
    ] {
        let asked = Request::new("OPTIONS", target)
            .header("Origin", "https://app.example.com")
            .header("Access-Control-Request-Method", "PUT");
        let told = send(asked, host).header("access-control-allow-origin").is_some();
        assert_eq!(told, shared, "{host}{target}");
        let answer = send(Request::get(target).header("Origin", "https://app.example.com"), host);
        assert_eq!(answer.header("access-control-allow-origin").is_some(), shared, "{host}{target}");
    }
}

#[test]
fn virtual_hosts_change_while_the_gateway_runs() {
    let gateway = Gateway::builder().server("# hosts").start();
    let get = || at(&gateway, "files.s3.example.com", Request::head("/")).status;
    assert_eq!(get(), 501);
    let text = fs::read_to_string(gateway.config_path()).unwrap();
    fs::write(gateway.config_path(), text.replacen("# hosts", HOSTS, 1)).unwrap();
    wait_until(Duration::from_secs(2), "a host for each bucket", || get() == 200).unwrap();
}

/// A form names no bucket but by where it is posted to.
#[test]
fn a_form_is_posted_to_the_bucket_of_its_host() {
    let gateway = builder().start();
    let post = |form: &Form, host: &str, target: &str| {
        gateway.send(&Form::post(target).body(form.body()).header("Host", host))
    };
    let native = |object: &str, name: &str| {
        Form::native(&Key::new(object, "create").set("path", object), name).file("native")
    };
    accepted(&post(&native("/files/n", "n"), "files.s3.example.com", "/"), 200);
    assert_eq!(fs::read(gateway.file_of("/files/n")).unwrap(), b"native");
    let aws = Aws::default();
    let signed = Form::signed(&aws, &Policy::new(&aws, "s"), "s").file("signed");
    accepted(&post(&signed, "files.s3.example.com", "/"), 204);
    assert_eq!(fs::read(gateway.file_of("/files/s")).unwrap(), b"signed");
    for (form, host, target) in [
        (native("/files/o", "o"), "other.s3.example.com", "/"),
        (native("/files/o", "o"), "other.s3.example.com", "/files"),
        (Form::signed(&aws, &Policy::new(&aws, "o"), "o").file("x"), "other.s3.example.com", "/"),
        (Form::signed(&aws, &Policy::new(&aws, "o"), "o").file("x"), "other.s3.example.com", "/files"),
    ] {
        let answer = post(&form, host, target);
        assert!((400..500).contains(&answer.status), "{host}{target}: {}", answer.status);
    }
    assert!(!gateway.file_of("/files/o").exists() && !gateway.file_of("/other/o").exists());
}

/// The host of an HTTP/2 request is its authority.
#[test]
fn over_http2_the_authority_is_signed_as_the_host() {
    let gateway = builder().start();
    gateway.plant("/files/a", "hello");
    let get = |host: &str, to: &str, target: &str| {
        let aws = Aws { host: host.to_owned(), ..Aws::default() };
        let (request, _) = aws.signed(Request::get(target), UNSIGNED);
        let headers = request.headers.iter().filter(|(name, _)| name != "Host");
        let headers = headers.flat_map(|(name, value)| ["--header".to_owned(), format!("{name}: {value}")]);
        let port = gateway.address().port();
        let output = Command::new("curl")
            .args(["--silent", "--http2-prior-knowledge", "--max-time", "20"])
            .args(["--write-out", " %{http_code} %{http_version}"])
            .args(["--connect-to", &format!("{to}:127.0.0.1:{port}")])
            .args(headers)
            .arg(format!("http://{to}{target}"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(get("files.s3.example.com:8080", "files.s3.example.com:8080", "/a"), "hello 200 2");
    assert_eq!(get("s3.example.com:8080", "s3.example.com:8080", "/files/a"), "hello 200 2");
    let forged = get("files.s3.example.com:8080", "other.s3.example.com:8080", "/a");
    assert!(forged.ends_with(" 403 2") && forged.contains("SignatureDoesNotMatch"), "{forged}");
}

/// What operators do with the URL of a key works by every host, and for presigned URLs.
#[test]
fn presigned_urls_are_inspected_metered_and_revoked() {
    let gateway = builder().start();
    gateway.plant("/files/a", "hello");
    let aws = Aws { host: "files.s3.example.com".to_owned(), ..Aws::default() };
    let target = aws.presigned("GET", "/a", &[("x-vk-uses", "2")], &[]);
    let get = || gateway.send(&Request::get(&target).header("Host", "files.s3.example.com"));
    accepted(&get(), 200);
    let url = format!("http://files.s3.example.com{target}");
    let run = |arguments: &[&str]| {
        let output = valetkey(gateway.home(), arguments).unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let told = run(&["inspect", &url, "--json"]);
    assert_eq!((&told["valid"], &told["path"]), (&true.into(), &"/files/a".into()), "{told}");
    let used = run(&["usage", &url, "--json"]);
    assert_eq!((&used["uses"]["limit"], &used["uses"]["used"]), (&2.into(), &1.into()), "{used}");
    run(&["revoke", &url, "--json"]);
    assert_eq!(get().reason(), "revoked");
    let other = aws.presigned("GET", "/a", &[("x-vk-uses", "3")], &[]);
    accepted(&gateway.send(&Request::get(other).header("Host", "files.s3.example.com")), 200);
}

#[test]
fn boto3_addresses_buckets_by_their_hosts() {
    let limits = "scope = [\"/files/\"]\nallow = [\"create\", \"delete\", \"list\", \"read\", \"write\"]";
    let gateway = builder().signer(clients::SIGNER, clients::SECRET, limits).start();
    if let Err(error) = python("boto3_hosts.py", &[], &told(&gateway, "files")) {
        panic!("{error:#}");
    }
}
