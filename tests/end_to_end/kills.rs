//! Kills at random moments, under clients of keys of every limit: what was promised before holds after.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use valetkey_tests::audit;
use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{self, Request};
use valetkey_tests::key::Key;
use valetkey_tests::process::{valetkey, wait_until};

/// The bytes of every object.
const SIZE: u64 = 100_000;
/// How many clients a key has at once, and how often each of them tries.
const CLIENTS: u64 = 3;
const TRIES: u64 = 4;
/// What is tried after the kill goes on to this number: more often than any key here allows.
const LAST: u64 = CLIENTS * TRIES + 5;

/// How often the gateway is killed: 200 times where `VALETKEY_LONG` asks for it.
fn rounds() -> u64 {
    if std::env::var_os("VALETKEY_LONG").is_some() { 200 } else { 6 }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Put,
    Get,
    Delete,
}

/// A key of one limit, and what every deed takes of it.
struct Limited {
    deed: Deed,
    limit: &'static str,
    value: u64,
    cost: u64,
    key: Key,
}

impl Limited {
    /// The keys of a round: each allows three to five deeds, and no more.
    fn all(gateway: &Gateway, round: u64) -> Vec<Self> {
        let kinds = [
            (Deed::Put, "uses", 5, 1),
            (Deed::Put, "in", 4 * SIZE + 7, SIZE),
            (Deed::Put, "files", 5, 1),
            (Deed::Get, "uses", 3, 1),
            (Deed::Get, "out", 3 * SIZE + 7, SIZE),
            (Deed::Delete, "uses", 3, 1),
        ];
        let limited = |(deed, limit, value, cost)| {
            let (name, allow) = match deed {
                Deed::Put => ("put", "create"),
                Deed::Get => ("get", "read"),
                Deed::Delete => ("delete", "delete"),
            };
            let id = format!("{round}-{name}-{limit}");
            let folder = format!("/files/{id}/");
            let key = Key::new(&folder, allow).set("path", &folder).set("id", &id);
            let limited = Self { deed, limit, value, cost, key: key.set(limit, &u64::to_string(&value)) };
            if deed != Deed::Put {
                (0..=LAST).for_each(|number| {
                    gateway.plant(&limited.object(number), body(number));
                });
            }
            limited
        };
        kinds.into_iter().map(limited).collect()
    }

    fn object(&self, number: u64) -> String {
        format!("{}{number}", self.key.path())
    }

    fn most(&self) -> usize {
        usize::try_from(self.value / self.cost).unwrap()
    }

    fn request(&self, number: u64) -> Request {
        let url = self.key.clone().on(&self.object(number)).url();
        match self.deed {
            Deed::Put => Request::put(url, body(number)),
            // Each is a client of its own.
            Deed::Get => Request::get(url).header("User-Agent", format!("agent-{number}")),
            Deed::Delete => Request::delete(url),
        }
    }

    /// What one client is told, until there is nobody to tell it.
    fn hammer(&self, address: SocketAddr, client: u64) -> Told {
        let mut told = Told::default();
        for number in client * TRIES..(client + 1) * TRIES {
            match http::send(address, &self.request(number)) {
                Ok(answer) if answer.status < 300 => {
                    assert!(self.deed != Deed::Get || answer.body == body(number));
                    told.done.push((number, answer.header("x-request-id").unwrap().to_owned()));
                }
                Ok(answer) => refused(&answer, 403, self.reason()),
                Err(_) => {
                    told.cut = true;
                    break;
                }
            }
        }
        told
    }

    fn reason(&self) -> &'static str {
        match self.limit {
            "uses" => "uses_exhausted",
            "files" => "files_exhausted",
            _ => "bytes_exhausted",
        }
    }

    /// How many deeds show in the store, each of them whole; those that were acknowledged among them.
    fn shown(&self, gateway: &Gateway, told: &Told) -> usize {
        let shows = |number: &u64| {
            let found = std::fs::read(gateway.file_of(&self.object(*number))).ok();
            let acknowledged = told.done.iter().any(|(done, _)| done == number);
            match (self.deed, found) {
                (Deed::Put | Deed::Get, Some(bytes)) => {
                    assert!(bytes == body(*number), "{} is torn", self.object(*number));
                    self.deed == Deed::Put || acknowledged
                }
                (Deed::Put, None) => {
                    assert!(!acknowledged, "{} was acknowledged, and is lost", self.object(*number));
                    false
                }
                (Deed::Get, None) => panic!("{} is gone", self.object(*number)),
                (Deed::Delete, Some(_)) => {
                    assert!(!acknowledged, "{} was deleted, and is back", self.object(*number));
                    false
                }
                (Deed::Delete, None) => true,
            }
        };
        (0..=LAST).filter(shows).count()
    }

    /// What is left of the limit, as the holder is told it.
    fn left(&self, gateway: &Gateway) -> u64 {
        let answer = gateway.get(format!("/-/key?{}", self.key.query()));
        accepted(&answer, 200);
        answer.json().unwrap()[self.limit]["left"].as_u64().unwrap()
    }

    /// Judges what is there after the kill, and uses up the rest.
    fn check(&self, gateway: &Gateway, told: &mut Told) {
        let spent = self.value - self.left(gateway);
        let owed = u64::try_from(told.done.len()).unwrap() * self.cost;
        assert!(spent >= owed, "{}: {spent} are counted and {owed} were used", self.key.path());
        assert!(self.shown(gateway, told) <= self.most(), "{}", self.key.path());
        for number in CLIENTS * TRIES..=LAST {
            let answer = gateway.send(&self.request(number));
            match answer.status {
                200..300 => told.done.push((number, answer.header("x-request-id").unwrap().to_owned())),
                _ => refused(&answer, 403, self.reason()),
            }
        }
        let shown = self.shown(gateway, told);
        assert!(shown <= self.most(), "{}: {shown} of {}", self.key.path(), self.most());
    }
}

/// What the clients of a key know to be done, by number and request, and whether one of them was cut off.
#[derive(Default)]
struct Told {
    done: Vec<(u64, String)>,
    cut: bool,
}

fn body(number: u64) -> Vec<u8> {
    let line = format!("object {number}\n");
    line.bytes().cycle().take(usize::try_from(SIZE).unwrap()).collect()
}

/// What the gateway keeps in the store for itself.
fn own_files(gateway: &Gateway) -> Vec<String> {
    gateway.stored().into_iter().filter(|name| name.contains(".valetkey-")).collect()
}

/// Small random numbers, from a seed that a failure shows.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Never more deeds than a key allows; no upload, delete or revocation that was acknowledged is lost, and none is
/// torn; what was used is counted; nothing is left lying about, and all is in the audit log.
#[test]
fn kills_at_random_moments_break_no_promise() {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    eprintln!("seed {seed}");
    let mut random = Random(u64::from(seed) | 1);
    let mut gateway = Gateway::new();
    let clean = own_files(&gateway);
    let mut keys: Vec<(Limited, Told)> = Vec::new();
    let mut revoked: Vec<Key> = Vec::new();
    let was_cut = |keys: &[(Limited, Told)]| keys.iter().any(|(_, told)| told.cut);
    // Where every kill came too late, it goes on until one did not.
    for round in 0..10 * rounds() {
        if round >= rounds() && was_cut(&keys) {
            break;
        }
        let limited = Limited::all(&gateway, round);
        let shown = gateway.plant("/files/shown", "x");
        let over = Key::new("/files/over", "write");
        let ends =
            Key::new("/files/shown", "read").set("path", "/files/shown").set("id", &format!("e{round}"));
        let subject = format!("s{round}");
        let leaves = Key::new("/files/shown", "read").set("subject", &subject);
        let (address, home) = (gateway.address(), gateway.home().to_owned());
        let [kill, end, revoke] =
            [random.below(300), random.below(200), random.below(100)].map(Duration::from_millis);
        let (mut tolds, written, ended, left) = thread::scope(|scope| {
            let hammers: Vec<Vec<_>> = limited
                .iter()
                .map(|key| {
                    (0..CLIENTS).map(|client| scope.spawn(move || key.hammer(address, client))).collect()
                })
                .collect();
            let writing = scope.spawn(|| {
                let put = |number| http::send(address, &Request::put(over.url(), body(number)));
                (0..).take_while(|number| put(*number).is_ok_and(|answer| answer.status == 200)).last()
            });
            let ending = scope.spawn(|| {
                thread::sleep(end);
                let request = Request::new("POST", format!("/-/end?{}", ends.query())).body("");
                http::send(address, &request).is_ok_and(|answer| answer.status == 204)
            });
            let leaving = scope.spawn(|| {
                thread::sleep(revoke);
                valetkey(&home, ["revoke", "--subject", &subject]).unwrap().status.success()
            });
            thread::sleep(kill);
            gateway.kill9().unwrap();
            let tolds = hammers.into_iter().map(|clients| {
                clients.into_iter().map(|client| client.join().unwrap()).fold(
                    Told::default(),
                    |mut all, told| {
                        all.done.extend(told.done);
                        all.cut |= told.cut;
                        all
                    },
                )
            });
            let tolds: Vec<_> = tolds.collect();
            (tolds, writing.join().unwrap(), ending.join().unwrap(), leaving.join().unwrap())
        });
        gateway.start().unwrap();

        revoked.extend(
            [(ended, ends), (left, leaves)].into_iter().filter_map(|(made, key)| made.then_some(key)),
        );
        for key in revoked.iter().rev().take(4) {
            refused(&gateway.get(key.url()), 403, "revoked");
        }
        if let Some(last) = written {
            let found = std::fs::read(gateway.file_of("/files/over")).unwrap();
            assert!(found == body(last) || found == body(last + 1), "after number {last}");
        }
        for (key, told) in limited.iter().zip(&mut tolds) {
            key.check(&gateway, told);
        }
        wait_until(Duration::from_secs(5), "no temporary file is left", || own_files(&gateway) == clean)
            .unwrap();
        keys.extend(limited.into_iter().zip(tolds));
        std::fs::remove_file(shown).unwrap();
    }

    assert!(was_cut(&keys), "every kill came too late");
    gateway.restart().unwrap();
    gateway.plant("/files/shown", "x");
    revoked.iter().for_each(|key| refused(&gateway.get(key.url()), 403, "revoked"));
    let records = audit::records(&gateway.audit_path()).unwrap();
    let recorded: std::collections::HashSet<_> =
        records.iter().filter_map(|record| record["request_id"].as_str()).collect();
    for (key, told) in &keys {
        // It was used up, and nothing gave any of it back.
        refused(&gateway.send(&key.request(LAST)), 403, key.reason());
        assert!(key.shown(&gateway, told) <= key.most(), "{}", key.key.path());
        for (number, request_id) in told.done.iter().filter(|_| key.deed != Deed::Get) {
            assert!(recorded.contains(request_id.as_str()), "{} is not recorded", key.object(*number));
        }
    }
    audit::verify_chain(&gateway.audit_path()).unwrap();
}
