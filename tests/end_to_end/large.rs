//! Large objects and many slow clients: bytes come back as they went, and memory stays flat.

use std::thread;
use std::time::{Duration, Instant};

use valetkey_tests::expect::accepted;
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Connection, Request, chunked};
use valetkey_tests::key::Key;
use valetkey_tests::process::{memory_bytes, raise_file_limit};
use valetkey_tests::stores::{SeaweedFs, Store};

const MIB: u64 = 1 << 20;

/// 256 MiB, or 5 GiB where `VALETKEY_LONG` asks for it (`tests/run --long` does).
fn large_size() -> u64 {
    if std::env::var_os("VALETKEY_LONG").is_some() { 5 * 1024 * MIB } else { 256 * MIB }
}

/// The `number`th MiB of an endless text that repeats nowhere.
fn piece(number: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(MIB).unwrap()];
    let mut reader = blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof();
    reader.fill(&mut bytes);
    bytes
}

#[test]
fn large_object_goes_up_and_comes_back_in_little_memory() {
    goes_up_and_comes_back(&Gateway::new(), large_size());
}

/// The same over a store, to which an object goes in one request, or in parts where it is very large.
#[test]
fn large_object_goes_to_a_store_and_comes_back_in_little_memory() {
    let store = SeaweedFs::start();
    let gateway = Gateway::builder().remote(&store, store.address(), &store.bucket()).start();
    goes_up_and_comes_back(&gateway, large_size().max(512 * MIB));
}

fn goes_up_and_comes_back(gateway: &Gateway, size: u64) {
    let key = Key::new("/files/large", "read,write").set("max", &size.to_string());
    let mut sent = blake3::Hasher::new();
    let mut connection = gateway.connect();
    connection.set_patience(Duration::from_secs(120)).unwrap();
    connection
        .send(&Request::new("PUT", key.url()).header("Content-Length", size.to_string()).head_bytes())
        .unwrap();
    for number in 0..size / MIB {
        let bytes = piece(number);
        sent.update(&bytes);
        connection.send(&bytes).unwrap();
    }
    accepted(&connection.read_answer("PUT").unwrap(), 200);

    let mut received = blake3::Hasher::new();
    connection.send(&Request::get(key.url()).head_bytes()).unwrap();
    let answer = connection
        .read_answer_into("GET", |bytes| {
            received.update(bytes);
        })
        .unwrap();
    accepted(&answer, 200);
    assert_eq!(answer.header("content-length"), Some(size.to_string().as_str()));
    assert_eq!(sent.finalize(), received.finalize());

    // A chunked upload, and a download by a counted key, take the other ways through the gateway.
    let counted = Key::new("/files/chunked", "read,write").set("uses", "2");
    connection
        .send(&Request::new("PUT", counted.url()).header("Transfer-Encoding", "chunked").head_bytes())
        .unwrap();
    let mut sent = blake3::Hasher::new();
    for number in 0..size.min(256 * MIB) / MIB {
        let bytes = piece(number);
        sent.update(&bytes);
        connection.send(b"100000\r\n").unwrap();
        connection.send(&bytes).unwrap();
        connection.send(b"\r\n").unwrap();
    }
    connection.send(b"0\r\n\r\n").unwrap();
    accepted(&connection.read_answer("PUT").unwrap(), 200);
    let mut received = blake3::Hasher::new();
    connection.send(&Request::get(counted.url()).head_bytes()).unwrap();
    accepted(
        &connection
            .read_answer_into("GET", |bytes| {
                received.update(bytes);
            })
            .unwrap(),
        200,
    );
    assert_eq!(sent.finalize(), received.finalize());

    let most = memory_bytes(gateway.pid(), "VmHWM").unwrap();
    eprintln!("an object of {} MiB up and down: {} MiB", size / MIB, most / MIB);
    assert!(most < 64 * MIB, "the gateway had {} MiB", most / MIB);
}

/// A hundred clients of a store at once, each up and down, half of them without saying how much comes.
#[test]
fn hundred_clients_of_a_store_take_little_memory() {
    let store = SeaweedFs::start();
    let gateway = Gateway::builder().remote(&store, store.address(), &store.bucket()).start();
    let bytes: Vec<u8> = (0..4).flat_map(piece).collect();
    thread::scope(|scope| {
        for number in 0..100 {
            let (gateway, bytes) = (&gateway, &bytes);
            scope.spawn(move || {
                let key = Key::new(&format!("/files/{number}"), "read,write");
                let request = match number % 2 {
                    0 => Request::put(key.url(), &**bytes),
                    _ => Request::put(key.url(), chunked(bytes, 100_000))
                        .header("Transfer-Encoding", "chunked"),
                };
                let mut connection = gateway.connect();
                connection.set_patience(Duration::from_secs(120)).unwrap();
                accepted(&connection.exchange(&request).unwrap(), 200);
                let answer = connection.exchange(&Request::get(key.url())).unwrap();
                accepted(&answer, 200);
                assert!(answer.body == *bytes);
            });
        }
    });
    let most = memory_bytes(gateway.pid(), "VmHWM").unwrap();
    eprintln!("a hundred clients of a store: {} MiB", most / MIB);
    assert!(most < 256 * MIB, "the gateway had {} MiB", most / MIB);
}

/// A172, A173 in small: a thousand clients that hardly move hold little memory and delay nobody.
#[test]
fn thousand_slow_clients_delay_nobody() {
    raise_file_limit();
    let gateway = Gateway::new();
    gateway.plant("/files/large", vec![3; 16 << 20]);
    gateway.plant("/files/small", "small");
    let reader = Key::new("/files/large", "read").url();
    let held: Vec<Connection> = (0..1000)
        .map(|number| {
            let mut connection = gateway.connect();
            if number % 2 == 0 {
                connection.send(&Request::get(&reader).head_bytes()).unwrap();
            } else {
                let writer = Key::new(&format!("/files/slow/{number}"), "create").url();
                connection
                    .send(&Request::new("PUT", writer).header("Content-Length", "1000000").head_bytes())
                    .unwrap();
                connection.send(b"a few bytes").unwrap();
            }
            connection
        })
        .collect();
    let small = Key::new("/files/small", "read").url();
    for _ in 0..50 {
        let begun = Instant::now();
        assert_eq!(gateway.get(&small).body, b"small");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    let now = memory_bytes(gateway.pid(), "VmRSS").unwrap();
    assert!(now < 256 * MIB, "the gateway has {} MiB", now / MIB);
    drop(held);
    assert_eq!(gateway.get(&small).body, b"small");
}

/// A download that is read slowly comes whole.
#[test]
fn slow_reader_gets_every_byte() {
    let gateway = Gateway::new();
    let bytes: Vec<u8> = (0..20).flat_map(piece).collect();
    gateway.plant("/files/a", &bytes);
    let mut connection = gateway.connect();
    connection.send(&Request::get(Key::new("/files/a", "read").set("uses", "1").url()).head_bytes()).unwrap();
    let mut received = blake3::Hasher::new();
    let mut reads = 0;
    let answer = connection.read_answer_into("GET", |piece| {
        received.update(piece);
        reads += 1;
        if reads % 8 == 0 {
            thread::sleep(Duration::from_millis(20));
        }
    });
    accepted(&answer.unwrap(), 200);
    assert_eq!(received.finalize(), blake3::hash(&bytes));
}
