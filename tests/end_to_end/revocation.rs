//! Revocation: the next request is refused, and what runs ends within a second.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use valetkey_tests::audit;
use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Connection, Request};
use valetkey_tests::http2;
use valetkey_tests::key::{Key, from_now};
use valetkey_tests::process::{valetkey, wait_until};

/// The contract's bound for a transfer that runs.
const ENDED: Duration = Duration::from_secs(1);

/// More than any kernel holds for a client that reads nothing.
const LARGE: usize = 64 << 20;

fn run(gateway: &Gateway, arguments: &[&str]) -> Output {
    let output = valetkey(gateway.home(), arguments).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Revokes by the command line, and returns what it says.
fn revoke(gateway: &Gateway, what: &[&str]) -> Value {
    serde_json::from_slice(&run(gateway, &[&["revoke", "--json"], what].concat()).stdout).unwrap()
}

fn full_url(gateway: &Gateway, key: &Key) -> String {
    format!("http://{}{}", gateway.address(), key.url())
}

fn revoke_key(gateway: &Gateway, key: &Key) -> Value {
    revoke(gateway, &[&full_url(gateway, key)])
}

#[test]
fn a_revoked_key_opens_nothing_through_restart_and_kill_until_it_is_lifted() {
    let mut gateway = Gateway::new();
    gateway.plant("/files/a", "0123456789");
    let key = Key::new("/files/a", "create,delete,list,read,stat,write").set("id", "one");
    let folder = Key::new("/files/", "list").set("id", "folder");
    let other = Key::new("/files/a", "read").set("id", "two");
    accepted(&gateway.get(key.url()), 200);
    accepted(&gateway.get(folder.url()), 200);
    let made = revoke_key(&gateway, &key);
    revoke_key(&gateway, &folder);
    let check = |gateway: &Gateway| {
        let url = || key.url();
        for request in
            [Request::get(url()), Request::head(url()), Request::put(url(), "x"), Request::delete(url())]
        {
            let answer = gateway.send(&request);
            refused(&answer, 403, "revoked");
        }
        refused(&gateway.get(folder.url()), 403, "revoked");
        // The signature is judged before, and the verb after.
        refused(&gateway.get(key.url_with_sig(&"A".repeat(43))), 403, "bad_signature");
        accepted(&gateway.get(other.url()), 200);
    };
    check(&gateway);
    gateway.kill9().unwrap();
    gateway.start().unwrap();
    check(&gateway);
    gateway.restart().unwrap();
    check(&gateway);
    run(&gateway, &["revocations", "--lift", &made["number"].to_string()]);
    accepted(&gateway.get(key.url()), 200);
    refused(&gateway.get(folder.url()), 403, "revoked");
    let records = audit::records(gateway.audit_path().as_path()).unwrap();
    let actions: Vec<_> = records
        .iter()
        .filter_map(|record| record["action"].as_str())
        .filter(|action| matches!(*action, "revoke" | "lift"))
        .collect();
    assert_eq!(actions, ["revoke", "revoke", "lift"]);
}

/// A096, and that a class reaches its own.
#[test]
fn a_class_reaches_its_own_keys_and_no_others() {
    let gateway = Gateway::builder()
        .toml("[policies.small]\nmax = 1000\n[policies.other]\nmax = 1000\n")
        .signer(
            "api",
            "YW5vdGhlciBzZWNyZXQgYW5vdGhlciBzZWNyZXQ=",
            "policy = \"other\"\nscope = [\"/files/\"]",
        )
        .start();
    gateway.plant("/files/u42/a", "a");
    gateway.plant("/files/u420/a", "a");
    let api = |key: Key| key.signed_by("api", "YW5vdGhlciBzZWNyZXQgYW5vdGhlciBzZWNyZXQ=");
    let plain = || Key::new("/files/u420/a", "read");
    let keys = [
        ("id", plain().set("id", "x")),
        ("id of api", api(plain().set("id", "x"))),
        ("subject", plain().set("subject", "x")),
        ("subject of api", api(plain().set("subject", "x"))),
        ("policy", plain().set("policy", "small")),
        ("path", Key::new("/files/u42/a", "read").set("path", "/files/")),
        ("none", plain()),
    ];
    for (what, reached) in [
        (&["--id", "x", "--signer", "web"][..], &["id"][..]),
        (&["--id", "x"], &["id", "id of api"]),
        (&["--subject", "x", "--signer", "api"], &["subject of api"]),
        (&["--subject", "x"], &["subject", "subject of api"]),
        (&["--policy", "small"], &["policy"]),
        (&["--policy", "other"], &["id of api", "subject of api"]),
        (&["--signer", "api"], &["id of api", "subject of api"]),
        (&["--path", "/files/u42/"], &["path"]),
        (&["--path", "/files/u42/a"], &["path"]),
    ] {
        let made = revoke(&gateway, what);
        for (name, key) in &keys {
            let answer = gateway.get(key.url());
            match reached.contains(name) {
                true => refused(&answer, 403, "revoked"),
                false => accepted(&answer, 200),
            }
        }
        run(&gateway, &["revocations", "--lift", &made["number"].to_string()]);
    }
    for (name, key) in &keys {
        assert_eq!(gateway.get(key.url()).status, 200, "{name}");
    }
}

/// Whoever reads it in a record means the key, and with it what shares the key's name.
#[test]
fn a_fingerprint_of_a_key_that_was_used_revokes_its_name() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "a");
    let key = Key::new("/files/a", "read").set("id", "shared");
    let namesake = key.clone().set("uses", "7");
    let child = key.clone().narrow(&[("id", "child")]);
    let other = key.clone().narrow(&[("id", "other")]);
    accepted(&gateway.get(child.url()), 200);
    let made = revoke(&gateway, &["--fingerprint", &child.fingerprint()]);
    assert_eq!(made["level"], serde_json::json!(["web", "id", "shared", "id", "child"]));
    let again = key.clone().narrow(&[("id", "child"), ("uses", "3")]);
    refused(&gateway.get(again.url()), 403, "revoked");
    for spared in [&key, &namesake, &other] {
        accepted(&gateway.get(spared.url()), 200);
    }
    accepted(&gateway.get(key.url()), 200);
    revoke(&gateway, &["--fingerprint", &key.fingerprint()]);
    for revoked in [&key, &namesake, &other] {
        refused(&gateway.get(revoked.url()), 403, "revoked");
    }
}

/// What is issued from then on opens; what does not say when it was issued does not.
#[test]
fn before_spares_what_is_issued_later() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "a");
    let issued = |at: &str| Key::new("/files/a", "read").set("issued", at).set("subject", "ann");
    let (early, at) = (from_now(-20), from_now(-10));
    revoke(&gateway, &["--subject", "ann", "--before", &at]);
    refused(&gateway.get(issued(&early).url()), 403, "revoked");
    accepted(&gateway.get(issued(&at).url()), 200);
    refused(&gateway.get(issued(&at).without("issued").url()), 403, "revoked");
}

/// A holder's own words never reach another key.
#[test]
fn a_level_ends_what_is_below_it_and_nothing_else() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "a");
    let base = Key::new("/files/a", "read").set("id", "base");
    let victim = Key::new("/files/a", "read").set("id", "victim");
    let child = base.clone().narrow(&[("id", "victim")]);
    let grandchild = child.clone().narrow(&[("uses", "9")]);
    let sibling = base.clone().narrow(&[("id", "sibling")]);
    let unnamed = base.clone().narrow(&[("uses", "5")]);
    let check = |open: &[&Key], shut: &[&Key]| {
        open.iter().for_each(|key| accepted(&gateway.get(key.url()), 200));
        shut.iter().for_each(|key| refused(&gateway.get(key.url()), 403, "revoked"));
    };
    revoke_key(&gateway, &child);
    check(&[&base, &victim, &sibling, &unnamed], &[&child, &grandchild]);
    revoke(&gateway, &["--fingerprint", &unnamed.fingerprint()]);
    check(&[&base, &victim, &sibling], &[&child, &unnamed]);
    // A base id is no child's.
    revoke(&gateway, &["--id", "sibling"]);
    check(&[&base, &victim, &sibling], &[]);
    revoke_key(&gateway, &base);
    check(&[&victim], &[&base, &child, &sibling, &unnamed]);
    // Its namesakes end with it, whatever else they say.
    check(&[], &[&base.clone().set("allow", "read,stat")]);
}

/// Reads until the connection ends, and says how much came and when it ended.
fn read_to_the_end(connection: &mut Connection) -> (usize, Duration) {
    let begun = Instant::now();
    connection.set_patience(Duration::from_secs(20)).unwrap();
    let mut bytes = 0;
    while let Ok(piece) = connection.read_some(1) {
        bytes += piece.len();
    }
    (bytes, begun.elapsed())
}

/// A088: it reads nothing, so that only the kernel's buffer could go on.
#[test]
fn a_running_download_is_reset() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", vec![7; LARGE]);
    let (key, other) =
        (Key::new("/files/a", "read").set("id", "a"), Key::new("/files/a", "read").set("id", "b"));
    let begin = |key: &Key| {
        let mut connection = gateway.connect();
        connection.send(&Request::get(key.url()).head_bytes()).unwrap();
        accepted(&connection.read_head().unwrap(), 200);
        connection
    };
    let (mut stalled, mut spared) = (begin(&key), begin(&other));
    std::thread::sleep(Duration::from_millis(300));
    revoke_key(&gateway, &key);
    // The gateway's side is over: it is recorded.
    wait_until(ENDED, "the download is recorded", || {
        audit::records(gateway.audit_path().as_path())
            .unwrap()
            .iter()
            .any(|record| record["action"] == "read" && record["reason"] == "revoked")
    })
    .unwrap();
    let begun = Instant::now();
    let error = std::iter::repeat_with(|| stalled.read_some(64 << 10)).find_map(Result::err).unwrap();
    assert!(format!("{error:#}").contains("reset"), "{error:#}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    let whole = spared.read_some(LARGE).unwrap();
    assert!(whole.iter().all(|byte| *byte == 7));
}

/// As `curl` reads them, slowly; HTTP/1.1 and HTTP/2 over TLS.
#[test]
fn a_running_download_over_tls_is_cut() {
    let gateway = Gateway::builder().tls().start();
    gateway.plant("/files/a", vec![7; LARGE]);
    for (version, id) in [("--http1.1", "one"), ("--http2", "two")] {
        let key = Key::new("/files/a", "read").set("id", id);
        let mut client = Command::new("curl")
            .args(["--silent", version, "--limit-rate", "1M", "--max-time", "40", "--output", "/dev/null"])
            .args(["--write-out", "%{size_download}", "--cacert"])
            .arg(gateway.certificate_path())
            .arg(format!("https://{}{}", gateway.address(), key.url()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(1500));
        assert!(client.try_wait().unwrap().is_none(), "it runs");
        revoke(&gateway, &["--id", id]);
        let begun = Instant::now();
        let output = client.wait_with_output().unwrap();
        assert!(!output.status.success(), "{version} ended well");
        let bytes: usize = String::from_utf8(output.stdout).unwrap().parse().unwrap();
        assert!(bytes < LARGE / 2, "{version}: {bytes}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{version}: {:?}", begun.elapsed());
    }
}

/// A stream is reset, and the others of its connection go on.
#[test]
fn a_running_stream_is_reset_alone() {
    const RST_STREAM: u8 = 3;
    let gateway = Gateway::new();
    gateway.plant("/files/a", vec![7; LARGE]);
    let (key, other) =
        (Key::new("/files/a", "read").set("id", "a"), Key::new("/files/a", "read").set("id", "b"));
    let mut connection = gateway.connect();
    connection.send(&http2::opening(&[])).unwrap();
    for (stream, key) in [(1, &key), (3, &other)] {
        let head = http2::head("GET", &key.url(), &[]);
        connection.send(&http2::frame(1, 0x5, stream, &head)).unwrap();
        http2::wait_for(&mut connection, Duration::from_secs(20), |frame| {
            frame.stream == stream && frame.kind == 1
        })
        .unwrap();
    }
    revoke_key(&gateway, &key);
    let reset = http2::wait_for(&mut connection, Duration::from_secs(5), |frame| frame.kind == RST_STREAM);
    assert_eq!(reset.unwrap().stream, 1);
    let asked = http2::head("HEAD", &Key::new("/files/a", "stat").url(), &[]);
    connection.send(&http2::frame(1, 0x5, 5, &asked)).unwrap();
    http2::wait_for(&mut connection, Duration::from_secs(20), |frame| frame.stream == 5 && frame.kind == 1)
        .unwrap();
}

/// Its client waits, and is told; nothing appears, and its use is given back.
#[test]
fn a_running_upload_is_refused() {
    let gateway = Gateway::new();
    let before = gateway.stored();
    let key = Key::new("/files/a", "write").set("id", "a").set("uses", "1");
    let mut connection = gateway.connect();
    let put = Request::new("PUT", key.url()).header("Content-Length", "1000000");
    connection.send(&put.head_bytes()).unwrap();
    connection.send(&[7; 1000]).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let made = revoke_key(&gateway, &key);
    let begun = Instant::now();
    let answer = connection.read_head().unwrap();
    refused(&answer, 403, "revoked");
    assert!(begun.elapsed() < Duration::from_secs(5));
    wait_until(ENDED, "nothing of the upload is left", || gateway.stored() == before).unwrap();
    run(&gateway, &["revocations", "--lift", &made["number"].to_string()]);
    accepted(&gateway.send(&Request::put(key.url(), "x")), 200);
}

/// Uploads end at the very moment of the revocation, again and again: one that appears appeared before the answer.
#[test]
fn nothing_appears_after_a_revocation_is_answered() {
    let gateway = Gateway::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let gateway = &gateway;
            scope.spawn(move || {
                for number in 0..5 {
                    let name = format!("/files/{thread}-{number}");
                    let key = Key::new(&name, "create").set("subject", &name);
                    let mut connection = gateway.connect();
                    let put = Request::new("PUT", key.url()).header("Content-Length", "4");
                    connection.send(&put.head_bytes()).unwrap();
                    connection.send(b"123").unwrap();
                    let uploading = scope.spawn(move || {
                        std::thread::sleep(Duration::from_millis(20 + 5 * number));
                        // It may be refused and closed already.
                        let _ = connection.send(b"4");
                        connection.read_head().unwrap().status
                    });
                    revoke(gateway, &["--subject", &name]);
                    let appeared = gateway.file_of(&name).exists();
                    let status = uploading.join().unwrap();
                    assert_eq!(gateway.file_of(&name).exists(), appeared, "{name}");
                    assert_eq!(status, if appeared { 200 } else { 403 }, "{name}");
                }
            });
        }
    });
}

/// Who asks for the next object before they read the first leaves that one in our kernel: it is dropped all the same.
#[test]
fn an_answer_that_was_not_read_before_the_next_request_is_reset() {
    const BYTES: usize = 256 << 10;
    let gateway = Gateway::new();
    gateway.plant("/files/a", vec![7; BYTES]);
    gateway.plant("/files/b", "0123456789");
    let first = Key::new("/files/a", "read").set("id", "a");
    let second = Key::new("/files/b", "read").set("id", "b");
    let both = |connection: &mut Connection| {
        let head = |key: &Key| Request::get(key.url()).head_bytes();
        connection.send(&[head(&first), head(&second)].concat()).unwrap();
        std::thread::sleep(Duration::from_millis(500));
    };
    // Where nothing is revoked both arrive, the one after the other.
    let mut patient = gateway.connect();
    both(&mut patient);
    for bytes in [BYTES, 10] {
        let answer = patient.read_answer("GET").unwrap();
        accepted(&answer, 200);
        assert_eq!(answer.body.len(), bytes);
    }
    let mut unread = gateway.connect();
    both(&mut unread);
    revoke_key(&gateway, &first);
    std::thread::sleep(ENDED);
    let (bytes, _) = read_to_the_end(&mut unread);
    assert!(bytes < BYTES, "{bytes} arrived");
}

/// A connection that sent an answer which is revoked later ends; one that serves another key by then does not.
#[test]
fn an_answer_that_was_taken_ends_no_later_request() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "0123456789");
    gateway.plant("/files/b", vec![7; 8 << 20]);
    let first = Key::new("/files/a", "read").set("id", "a");
    let second = Key::new("/files/b", "read").set("id", "b");
    let mut connection = gateway.connect();
    accepted(&connection.exchange(&Request::get(first.url())).unwrap(), 200);
    connection.send(&Request::get(second.url()).head_bytes()).unwrap();
    accepted(&connection.read_head().unwrap(), 200);
    revoke_key(&gateway, &first);
    std::thread::sleep(ENDED);
    let whole = connection.read_some(8 << 20).unwrap();
    assert!(whole.iter().all(|byte| *byte == 7));
    let mut idle = gateway.connect();
    accepted(&idle.exchange(&Request::get(second.url())).unwrap(), 200);
    revoke_key(&gateway, &second);
    let (bytes, ended) = read_to_the_end(&mut idle);
    assert_eq!(bytes, 0);
    assert!(ended < Duration::from_secs(5), "{ended:?}");
}
