//! How fast bytes move: all transfers of a meter together, over every transport, never refused and never cut.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use valetkey_tests::expect::accepted;
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::Request;
use valetkey_tests::key::Key;

/// How many bytes each of `keys` received within `limit`, and how long all of it took at most.
fn receive(gateway: &Gateway, keys: &[Key], limit: Duration) -> (Vec<usize>, Duration) {
    let begun = Instant::now();
    let received = thread::scope(|scope| {
        let threads: Vec<_> = keys
            .iter()
            .map(|key| {
                scope.spawn(move || {
                    let mut connection = gateway.connect();
                    connection.send(&Request::get(key.url()).head_bytes()).unwrap();
                    accepted(&connection.read_head().unwrap(), 200);
                    let mut received = 0;
                    while begun.elapsed() < limit {
                        received += connection.read_some(100).unwrap().len();
                    }
                    received
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    (received, begun.elapsed())
}

/// That so many bytes are no more than a rate gives in that time and a second more, and not much less than it gives.
#[track_caller]
fn within(rate: f64, bytes: usize, time: Duration) {
    let bytes = f64::from(u32::try_from(bytes).unwrap());
    let most = rate * (time.as_secs_f64() + 1.0);
    assert!(bytes <= most, "{bytes} bytes in {time:?} exceed {most}");
    assert!(bytes >= rate * time.as_secs_f64() / 3.0, "only {bytes} bytes in {time:?} at {rate}");
}

#[test]
fn downloads_of_a_key_share_its_rate_evenly() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", vec![7; 8 << 20]);
    let rate = 100_000;
    let key = Key::new("/files/a", "read").set("rate", &rate.to_string());
    let (received, time) = receive(&gateway, &vec![key; 3], Duration::from_secs(3));
    within(f64::from(rate), received.iter().sum(), time);
    let (least, most) = (received.iter().min().unwrap(), received.iter().max().unwrap());
    // Whoever comes first may take the second that goes ahead.
    assert!(most - least <= 125_000, "{received:?}");
}

#[test]
fn narrowings_share_and_the_slowest_level_decides() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", vec![7; 8 << 20]);
    let key = Key::new("/files/a", "read").set("rate", "100000");
    let slow = key.clone().narrow(&[("id", "slow"), ("rate", "10000")]);
    let fast = key.narrow(&[("id", "fast")]);
    let (received, time) = receive(&gateway, &[slow, fast], Duration::from_secs(3));
    within(10_000.0, received[0], time);
    within(100_000.0, received.iter().sum(), time);
}

#[test]
fn a_total_slows_the_keys_of_its_policy_together_and_no_others() {
    let gateway = Gateway::builder().toml("[policies.p]\n[policies.p.total]\nrate = \"50KB\"").start();
    gateway.plant("/files/a", vec![7; 1 << 20]);
    let keys: Vec<_> = ["one", "two", "three"]
        .map(|id| Key::new("/files/a", "read").set("policy", "p").set("id", id))
        .into();
    let (received, time) = receive(&gateway, &keys, Duration::from_secs(2));
    within(50_000.0, received.iter().sum(), time);
    let begun = Instant::now();
    accepted(&gateway.get(Key::new("/files/a", "read").url()), 200);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_upload_waits_for_its_turn_and_arrives_whole() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a", "write").set("rate", "50000");
    let body: Vec<u8> = (0..150_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let begun = Instant::now();
    accepted(&gateway.send(&Request::put(key.url(), body.clone())), 200);
    within(50_000.0, body.len(), begun.elapsed());
    assert!(std::fs::read(gateway.file_of("/files/a")).unwrap() == body);
}

#[test]
fn one_byte_a_second_is_a_rate() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "four");
    let key = Key::new("/files/a", "read,write").set("rate", "1");
    let begun = Instant::now();
    assert_eq!(gateway.get(key.url()).body, b"four");
    let took = begun.elapsed();
    assert!((Duration::from_secs(3)..Duration::from_secs(8)).contains(&took), "{took:?}");
    let upload = key.set("id", "another");
    let begun = Instant::now();
    accepted(&gateway.send(&Request::put(upload.url(), "four")), 200);
    let took = begun.elapsed();
    assert!((Duration::from_secs(3)..Duration::from_secs(8)).contains(&took), "{took:?}");
}

#[test]
fn a_listing_is_slowed_and_whole() {
    let gateway = Gateway::new();
    for number in 0..20 {
        gateway.plant(&format!("/files/{number}"), "");
    }
    let key = Key::new("/files/", "list");
    let bytes = gateway.get(key.url()).body;
    let rate = bytes.len() / 3;
    let begun = Instant::now();
    let slowed = gateway.get(key.set("rate", &rate.to_string()).url());
    assert!(slowed.body == bytes);
    within(f64::from(u32::try_from(rate).unwrap()), bytes.len(), begun.elapsed());
}

/// Downloads by curl and gives the bytes per second that it saw.
fn curl(gateway: &Gateway, target: &str, arguments: &[&str]) -> (usize, Duration) {
    let begun = Instant::now();
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "60", "--output", "-"])
        .args(arguments)
        .arg(target)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stderr), gateway.stderr());
    (output.stdout.len(), begun.elapsed())
}

#[test]
fn every_transport_keeps_to_the_rate() {
    let object = vec![7; 300_000];
    let key = |id: &str| Key::new("/files/a", "read").set("rate", "100000").set("id", id);
    let plain = Gateway::new();
    plain.plant("/files/a", &object);
    let tls = Gateway::builder().tls().start();
    tls.plant("/files/a", &object);
    let of = |gateway: &Gateway, scheme: &str, id: &str| {
        format!("{scheme}://{}{}", gateway.address(), key(id).url())
    };
    for (gateway, scheme, id, arguments) in [
        (&plain, "http", "h1", ["--http1.1", "--insecure"]),
        (&plain, "http", "h2", ["--http2-prior-knowledge", "--insecure"]),
        (&tls, "https", "tls1", ["--http1.1", "--insecure"]),
        (&tls, "https", "tls2", ["--http2", "--insecure"]),
    ] {
        let (bytes, time) = curl(gateway, &of(gateway, scheme, id), &arguments);
        assert_eq!(bytes, object.len(), "{id}");
        within(100_000.0, bytes, time);
    }
}

/// Longer than any stall limit: what we slow is not cut.
#[test]
fn what_we_slow_is_not_cut_for_being_slow() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", vec![7; 36]);
    let url = |id: &str| Key::new("/files/a", "read,write").set("rate", "1").set("id", id).url();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut connection = gateway.connect();
            connection.set_patience(Duration::from_secs(60)).unwrap();
            let answer = connection.exchange(&Request::get(url("down"))).unwrap();
            assert_eq!(answer.body, vec![7; 36]);
        });
        scope.spawn(|| {
            let target = format!("http://{}{}", gateway.address(), url("h2"));
            assert_eq!(curl(&gateway, &target, &["--http2-prior-knowledge"]).0, 36);
        });
        scope.spawn(|| {
            let mut connection = gateway.connect();
            connection.set_patience(Duration::from_secs(60)).unwrap();
            let put = Request::put(url("up"), vec![1; 36]);
            accepted(&connection.exchange(&put).unwrap(), 200);
        });
    });
}
