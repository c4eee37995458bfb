//! HTTP/2 with prior knowledge, by curl: the same keys, the same counts.

use std::process::Command;
use std::thread;

use valetkey_tests::expect::accepted;
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{self, Request};
use valetkey_tests::key::Key;

/// Status, protocol version and body of one request by curl.
fn curl(gateway: &Gateway, target: &str, arguments: &[&str]) -> (u16, String, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let body = folder.path().join("body");
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--http2-prior-knowledge", "--max-time", "20"])
        .args(["--write-out", "%{http_code} %{http_version}", "--output"])
        .arg(&body)
        .args(arguments)
        .arg(format!("http://{}{target}", gateway.address()))
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told} {}", String::from_utf8_lossy(&output.stderr));
    let (status, version) = told.split_once(' ').unwrap();
    (status.parse().unwrap(), version.to_owned(), std::fs::read(body).unwrap_or_default())
}

#[test]
fn objects_go_up_and_come_back() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "delete,read,write").set("max", "3000000");
    let bytes: Vec<u8> = (0..3_000_000u32).map(|number| number.to_le_bytes()[0]).collect();
    let file = gateway.home().join("upload");
    std::fs::write(&file, &bytes).unwrap();
    let upload = ["--upload-file", file.to_str().unwrap()];
    assert_eq!(curl(&gateway, &key.url(), &upload).0, 200);
    let (status, version, body) = curl(&gateway, &key.url(), &[]);
    assert_eq!((status, version.as_str()), (200, "2"));
    assert!(body == bytes);
    let (status, _, body) = curl(&gateway, &key.url(), &["--range", "10-19"]);
    assert_eq!((status, body.as_slice()), (206, &bytes[10..20]));
    assert_eq!(curl(&gateway, &key.url(), &["--head"]).0, 200);
    let small = key.clone().set("max", "2999999");
    assert_eq!(curl(&gateway, &small.url(), &upload).0, 413);
    assert_eq!(curl(&gateway, &key.url_with_sig(&"A".repeat(43)), &[]).0, 403);
    assert_eq!(curl(&gateway, &key.url(), &["--request", "DELETE"]).0, 204);
    assert_eq!(curl(&gateway, &key.url(), &[]).0, 404);
}

/// A076: one count, whatever the protocol.
#[test]
fn both_protocols_share_one_count() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "0123456789");
    let key = Key::new("/files/a", "read").set("uses", "3");
    let statuses: Vec<u16> = thread::scope(|scope| {
        let threads: Vec<_> = (0..20)
            .map(|number| {
                let (gateway, url) = (&gateway, key.url());
                scope.spawn(move || {
                    let agent = format!("agent-{number}");
                    if number % 2 == 0 {
                        curl(gateway, &url, &["--user-agent", &agent]).0
                    } else {
                        http::send(gateway.address(), &Request::get(url).header("User-Agent", agent))
                            .unwrap()
                            .status
                    }
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 3, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 403].contains(status)), "{statuses:?}");
}

#[test]
fn object_written_by_one_protocol_is_read_by_the_other() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "read,write");
    accepted(&gateway.send(&Request::put(key.url(), "by one")), 200);
    assert_eq!(curl(&gateway, &key.url(), &[]).2, b"by one");
}
