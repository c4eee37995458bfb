//! A store that is killed under its gateway: what was acknowledged is there when it is back, and nothing else is torn.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{self, Request, chunked};
use valetkey_tests::key::Key;
use valetkey_tests::process::wait_until;
use valetkey_tests::stores::{SeaweedFs, Store};

const CLIENTS: usize = 20;

/// Small, streamed, and in parts.
const LENGTHS: [usize; 3] = [10_000, 1 << 20, 6 << 20];

/// The bytes of one object: no other has them.
fn body(name: &str, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(name.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// One upload by a key for one.
struct Upload {
    name: String,
    length: usize,
    /// What the client was told; `None` where it was told nothing.
    status: Option<u16>,
}

impl Upload {
    fn key(&self) -> Key {
        let path = format!("/files/{}", self.name);
        Key::new(&path, "write").set("path", &path).set("uses", "1").set("id", &self.name)
    }

    fn send(name: String, address: SocketAddr) -> Self {
        let length = LENGTHS[name.len() % LENGTHS.len()];
        let mut upload = Self { name, length, status: None };
        let (url, bytes) = (upload.key().url(), body(&upload.name, length));
        let request = match length > 5 << 20 {
            true => Request::put(url, chunked(&bytes, 100_000)).header("Transfer-Encoding", "chunked"),
            false => Request::put(url, bytes),
        };
        upload.status = http::send(address, &request).ok().map(|answer| answer.status);
        upload
    }
}

#[test]
fn a_killed_store_has_all_that_was_acknowledged() {
    let mut store = SeaweedFs::start();
    let bucket = store.bucket();
    let lines = "connect_timeout = \"1s\"\nstall_timeout = \"2s\"\nretries = 1\nretry_timeout = \"2s\"";
    let gateway = Gateway::builder().remote(&store, store.address(), &bucket).remote_lines(lines).start();
    let read = body("read", 1 << 20);
    store.put(&bucket, "files/read", &read);
    let (address, is_down) = (gateway.address(), AtomicBool::new(false));

    let uploads: Vec<Upload> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (is_down, read) = (&is_down, &read);
                scope.spawn(move || {
                    let mut uploads = Vec::new();
                    for number in 0.. {
                        let name = format!("{}{client}-{number}", "n".repeat(1 + (client + number) % 3));
                        uploads.push(Upload::send(name, address));
                        let answer =
                            http::send(address, &Request::get(Key::new("/files/read", "read").url()));
                        // One that breaks off is seen to; what comes with a good end is whole.
                        assert!(
                            answer.is_err() || answer.is_ok_and(|it| it.status == 503 || it.body == *read)
                        );
                        if is_down.load(Ordering::SeqCst) {
                            break;
                        }
                    }
                    uploads
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(1500));
        store.kill9();
        is_down.store(true, Ordering::SeqCst);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });

    let acknowledged = uploads.iter().filter(|upload| upload.status == Some(200)).count();
    eprintln!("{acknowledged} of {} uploads were acknowledged", uploads.len());
    assert!(acknowledged > 0 && acknowledged < uploads.len(), "it was killed in the middle");
    let one = &uploads[0];
    refused(
        &gateway.get(Key::new(&format!("/files/{}", one.name), "read").url()),
        503,
        "backend_unavailable",
    );
    assert_eq!(gateway.health().unwrap(), 200);

    store.restart();
    let is_back = || gateway.get(Key::new("/files/read", "read").url()).body == read;
    wait_until(Duration::from_secs(5), "the store is back", is_back).unwrap();
    for upload in &uploads {
        let name = &upload.name;
        let answer = gateway.get(Key::new(&format!("/files/{name}"), "read").url());
        let is_there = answer.status == 200;
        if is_there {
            assert!(answer.body == body(name, upload.length), "{name} is torn");
        } else {
            refused(&answer, 404, "not_found");
        }
        let key = upload.key();
        let usage = gateway.get(format!("/-/key?{}", key.query()));
        accepted(&usage, 200);
        let left = usage.json().unwrap()["uses"]["left"].as_u64().unwrap();
        match upload.status {
            Some(200) => {
                assert!(is_there && left == 0, "{name}: acknowledged, there {is_there}, left {left}")
            }
            status => {
                assert!(matches!(status, Some(503) | None), "{name}: {status:?}");
                assert!(!is_there || left == 0, "{name}: it shows, and {left} uses are left");
            }
        }
    }
}
