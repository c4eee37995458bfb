//! Very many requests at once on a key that opens once.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;

use valetkey_tests::audit;
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Connection, Request};
use valetkey_tests::key::Key;

const CONNECTIONS: usize = 200;
const REQUESTS_EACH: usize = 50;

/// No two share a client, so none can ride on another's lease.
#[test]
fn ten_thousand_requests_on_one_use_are_served_once() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", vec![7; 10_000]);
    let url = Key::new("/files/a", "read").set("uses", "1").url();
    let together = Barrier::new(CONNECTIONS);
    let ask = |number: usize| -> Vec<(u16, String, usize)> {
        let mut connection = Connection::open(gateway.address()).unwrap();
        together.wait();
        let agents = (0..REQUESTS_EACH).map(|request| format!("agent-{number}-{request}"));
        agents
            .map(|agent| {
                let answer = connection.exchange(&Request::get(&url).header("User-Agent", agent)).unwrap();
                let bytes = if answer.status == 200 { answer.body.len() } else { 0 };
                (answer.status, answer.reason().to_owned(), bytes)
            })
            .collect()
    };
    let mut counts = BTreeMap::<_, usize>::new();
    thread::scope(|scope| {
        let ask = &ask;
        let threads: Vec<_> = (0..CONNECTIONS).map(|number| scope.spawn(move || ask(number))).collect();
        for outcome in threads.into_iter().flat_map(|thread| thread.join().unwrap()) {
            *counts.entry(outcome).or_default() += 1;
        }
    });
    let refused = CONNECTIONS * REQUESTS_EACH - 1;
    let expected = [((200, String::new(), 10_000), 1), ((403, "uses_exhausted".to_owned(), 0), refused)];
    assert_eq!(counts, BTreeMap::from(expected));
    audit::verify_chain(&gateway.audit_path()).unwrap();
}
