//! TLS as clients meet it: which versions, what is refused, and a certificate that is renewed.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use valetkey_tests::audit;
use valetkey_tests::expect::refused;
use valetkey_tests::gateway::{Gateway, write_certificate};
use valetkey_tests::http::Request;
use valetkey_tests::key::Key;
use valetkey_tests::process::wait_until;

/// The contract's bound for a change of a file to be in force.
const IN_FORCE: Duration = Duration::from_secs(2);

/// What curl says of one request: its exit status, the HTTP status and version, and the body.
struct Told {
    exit: Option<i32>,
    status: u16,
    version: String,
    body: Vec<u8>,
}

fn curl(certificate: &Path, address: SocketAddr, target: &str, arguments: &[&str]) -> Told {
    let folder = tempfile::tempdir().unwrap();
    let body = folder.path().join("body");
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "20", "--write-out", "%{http_code} %{http_version}", "--cacert"])
        .arg(certificate)
        .arg("--output")
        .arg(&body)
        .args(arguments)
        .arg(format!("https://{address}{target}"))
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let (status, version) = told.split_once(' ').unwrap();
    Told {
        exit: output.status.code(),
        status: status.parse().unwrap(),
        version: version.to_owned(),
        body: fs::read(body).unwrap_or_default(),
    }
}

#[test]
fn objects_travel_over_every_version() {
    let gateway = Gateway::builder().tls().start();
    let (certificate, address) = (gateway.certificate_path(), gateway.address());
    let key = Key::new("/files/a", "read,write").url();
    let bytes: Vec<u8> = (0..3_000_000u32).map(|number| number.to_le_bytes()[0]).collect();
    let file = gateway.home().join("upload");
    fs::write(&file, &bytes).unwrap();
    for tls in [["--tlsv1.2", "--tls-max", "1.2"], ["--tlsv1.3", "--tls-max", "1.3"]] {
        for (http, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
            let with = |more: &[&str]| {
                let told = curl(&certificate, address, &key, &[&tls[..], &[http], more].concat());
                assert_eq!((told.exit, told.version.as_str()), (Some(0), version), "{tls:?} {http}");
                told
            };
            assert_eq!(with(&["--upload-file", file.to_str().unwrap()]).status, 200);
            let whole = with(&[]);
            assert!(whole.status == 200 && whole.body == bytes, "{tls:?} {http} {}", whole.status);
            let part = with(&["--range", "10-19"]);
            assert_eq!((part.status, part.body.as_slice()), (206, &bytes[10..20]));
            assert_eq!(with(&["--request", "POST", "--data", "x"]).status, 501);
        }
    }
    let unchecked = curl(Path::new("/dev/null"), address, &key, &[]);
    assert_ne!(unchecked.exit, Some(0), "curl does check the certificate");
    assert!(!gateway.stderr().to_lowercase().contains("plain http"));
}

/// A126: neither an old version nor a suite that hides nothing.
#[test]
fn old_versions_and_weak_suites_are_refused() {
    let gateway = Gateway::builder().tls().start();
    let connects = |arguments: &[&str]| {
        let output = Command::new("openssl")
            .args(["s_client", "-connect", &gateway.address().to_string()])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        output.status.success() && !String::from_utf8_lossy(&output.stdout).contains("Cipher is (NONE)")
    };
    assert!(connects(&["-tls1_2"]) && connects(&["-tls1_3"]));
    for version in ["-tls1", "-tls1_1"] {
        assert!(!connects(&[version, "-cipher", "ALL:@SECLEVEL=0"]), "{version}");
    }
    for suites in ["eNULL", "aNULL", "AES128-SHA", "DHE", "CBC", "PSK"] {
        let cipher = format!("{suites}:@SECLEVEL=0");
        assert!(!connects(&["-tls1_2", "-cipher", &cipher]), "{suites}");
    }
    assert_eq!(gateway.health().unwrap(), 200);
}

/// A127
#[test]
fn plain_http_to_the_tls_port_is_closed() {
    let gateway = Gateway::builder().tls().start();
    gateway.plant("/files/a", "a secret");
    for bytes in [
        Request::get(Key::new("/files/a", "read").url()).head_bytes(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        vec![0; 1000],
        b"\x16\x03\x01\xff\xff".repeat(100),
    ] {
        let mut connection = gateway.connect();
        connection.send(&bytes).unwrap();
        connection.finish_sending().unwrap();
        let said = String::from_utf8_lossy(&connection.drain().unwrap()).into_owned();
        assert!(!said.contains("HTTP") && !said.contains("secret"), "{said}");
    }
    assert_eq!(gateway.health().unwrap(), 200);
    assert!(!gateway.stderr().to_lowercase().contains("panic"), "{}", gateway.stderr());
}

/// A128: a first record in pieces of one byte, each a record of its own.
#[test]
fn split_hello_is_put_together() {
    let gateway = Gateway::builder().tls().start();
    gateway.plant("/files/a", "aaaa");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (front, behind) = (listener.local_addr().unwrap(), gateway.address());
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut server = TcpStream::connect(behind).unwrap();
        server.set_nodelay(true).unwrap();
        let mut head = [0; 5];
        client.read_exact(&mut head).unwrap();
        let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        client.read_exact(&mut hello).unwrap();
        for byte in hello {
            server.write_all(&[head[0], head[1], head[2], 0, 1, byte]).unwrap();
        }
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut from, &mut to));
        // The client may be gone first.
        let _ended = std::io::copy(&mut server, &mut client);
    });
    let told = curl(&gateway.certificate_path(), front, &Key::new("/files/a", "read").url(), &[]);
    assert_eq!((told.status, told.body.as_slice()), (200, &b"aaaa"[..]));
}

/// A128: who does not finish the handshake holds a place for ten seconds and no longer.
#[test]
fn stalled_handshake_is_ended() {
    let gateway = Gateway::builder().tls().start();
    for start in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let mut connection = gateway.connect();
        connection.send(start).unwrap();
        let begun = Instant::now();
        connection.set_patience(Duration::from_secs(20)).unwrap();
        connection.drain().unwrap();
        assert!(begun.elapsed() > Duration::from_secs(8), "{:?}", begun.elapsed());
    }
}

/// A129: a renewed pair is in force for the next connection; a faulty one never is, and is said.
#[test]
fn renewed_certificate_is_taken_and_garbage_is_not() {
    let gateway = Gateway::builder().tls().start();
    let (certificate, key) = (gateway.certificate_path(), gateway.home().join("key.pem"));
    let serves = |trusted: &Path| curl(trusted, gateway.address(), "/-/health", &[]).status == 200;
    let first = gateway.home().join("first.pem");
    fs::copy(&certificate, &first).unwrap();
    assert!(serves(&first));

    let (second, second_key) = (gateway.home().join("second.pem"), gateway.home().join("second.key"));
    write_certificate(&second, &second_key).unwrap();
    fs::copy(&second, &certificate).unwrap();
    said(&gateway, "does not fit the certificate");
    assert!(serves(&first), "half of a pair is not taken");
    fs::copy(&second_key, &key).unwrap();
    wait_until(IN_FORCE, "the new certificate", || serves(&second)).unwrap();
    assert!(!serves(&first));

    fs::write(&key, "garbage").unwrap();
    said(&gateway, "has no PEM block PRIVATE KEY");
    fs::write(&certificate, "garbage").unwrap();
    said(&gateway, "has no PEM block CERTIFICATE");
    assert!(serves(&second), "the old pair stays");
    assert!(gateway.stderr().contains("ERROR"), "{}", gateway.stderr());
    fs::remove_file(&certificate).unwrap();
    said(&gateway, "read certificate");
    assert!(serves(&second), "the old pair stays");

    let mut gateway = gateway;
    gateway.stop().unwrap();
    let refusal = gateway.start().unwrap_err().to_string();
    assert!(refusal.contains("certificate"), "nor does it start on it: {refusal}");
}

fn said(gateway: &Gateway, words: &str) {
    wait_until(IN_FORCE, words, || gateway.stderr().contains(words))
        .unwrap_or_else(|_| panic!("{words:?} in {}", gateway.stderr()));
}

/// A173: a client that takes nothing loses its download, also where it is encrypted.
#[test]
fn download_that_is_not_taken_is_ended() {
    let gateway = Gateway::builder().tls().start();
    let size: u64 = 200_000_000;
    fs::create_dir_all(gateway.file_of("/files")).unwrap();
    fs::File::create(gateway.file_of("/files/large")).unwrap().set_len(size).unwrap();
    let url = format!("https://{}{}", gateway.address(), Key::new("/files/large", "read").url());
    let mut clients: Vec<_> = ["--http1.1", "--http2"]
        .into_iter()
        .map(|version| {
            Command::new("curl")
                .args(["--silent", "--insecure", version, "--limit-rate", "1M", "--output", "/dev/null"])
                .arg(&url)
                .spawn()
                .unwrap()
        })
        .collect();
    thread::sleep(Duration::from_secs(2));
    for client in &clients {
        let pid = Pid::from_raw(i32::try_from(client.id()).unwrap()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
    }
    let ended = || {
        let records = audit::records(&gateway.audit_path()).unwrap();
        let cut = |record: &&serde_json::Value| {
            record["action"] == "read" && record["bytes_out"].as_u64().is_some_and(|bytes| bytes < size)
        };
        records.iter().filter(cut).count() == 2
    };
    // The kernels may squeeze a little more into full buffers now and then, each time for another 30 seconds.
    let outcome = wait_until(Duration::from_secs(150), "both downloads end", ended);
    for client in &mut clients {
        client.kill().unwrap();
        client.wait().unwrap();
    }
    outcome.unwrap();
}

#[test]
fn key_that_requires_tls_opens_over_nothing_else() {
    let policy = "[policies.safe]\nrequire_tls = true\n";
    let key = Key::new("/files/a", "read").set("policy", "safe");
    let plain = Gateway::builder()
        .toml(policy)
        .signer("app", "a secret of the signer app", "require_tls = true")
        .server("trusted_proxies = [\"127.0.0.2/32\"]")
        .start();
    plain.plant("/files/a", "aaaa");
    refused(&plain.get(key.url()), 403, "tls_required");
    let forged = Request::get(key.url()).header("X-Forwarded-Proto", "https");
    refused(&plain.send(&forged), 403, "tls_required");
    let apps = Key::new("/files/a", "read").signed_by("app", "a secret of the signer app");
    refused(&plain.get(apps.url()), 403, "tls_required");
    // Its place among the checks: after the client's address, before the verb.
    let elsewhere = key.clone().set("ip", "192.0.2.0/24");
    refused(&plain.get(elsewhere.url()), 403, "client_not_allowed");
    refused(&plain.send(&Request::delete(key.url())), 403, "tls_required");

    let gateway = Gateway::builder().toml(policy).tls().start();
    gateway.plant("/files/a", "aaaa");
    let told = curl(&gateway.certificate_path(), gateway.address(), &key.url(), &[]);
    assert_eq!((told.status, told.body.as_slice()), (200, &b"aaaa"[..]));

    let behind = Gateway::builder().toml(policy).server("trusted_proxies = [\"127.0.0.1\"]").start();
    behind.plant("/files/a", "aaaa");
    assert_eq!(behind.send(&forged).status, 200);
    refused(&behind.get(key.url()), 403, "tls_required");
    let plain = Request::get(key.url()).header("X-Forwarded-Proto", "http");
    refused(&behind.send(&plain), 403, "tls_required");
}
