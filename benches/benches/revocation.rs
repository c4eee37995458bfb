//! What a request pays for revocations: nothing where there are none, and one look-up among a million.
//!
//! To compare with, one look-up in the standard library's map of as many random keys. All are measured in thousands of
//! short turns: the fastest tenth was not interrupted, however busy the machine is with other work.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs;
use std::hint::black_box;
use std::time::Instant;

use valetkey_ledger::conformance::wait;
use valetkey_ledger::{
    Ledger, Meter, NewRevocation, Revocable, RevocationView, SqliteLedger, Target, UnixSeconds,
};

const NOW: UnixSeconds = UnixSeconds(1_795_262_400);
/// How many names are asked for, so many at a turn.
const ASKED: u32 = 100_000;
const TURN: usize = 500;

fn name(number: u32) -> String {
    format!("[\"web\",\"id\",\"key-{number:08}\"]")
}

/// What a key of one level asks.
fn asks(view: &RevocationView, name: &str) -> bool {
    view.read().is_some_and(|reading| {
        let is = |name| reading.revokes(name, Some(NOW));
        is(Revocable::Level(name))
            || is(Revocable::Fingerprint([7; 16]))
            || is(Revocable::Id { signer: "web", id: "key" })
            || is(Revocable::Subject { signer: "web", subject: "ann" })
            || is(Revocable::Signer("web"))
            || is(Revocable::Path("/files/u42/photo.jpg"))
    })
}

fn revoke(ledger: &SqliteLedger, targets: impl Iterator<Item = Target>) {
    let answers: Vec<_> = targets
        .map(|target| {
            ledger.revoke(NewRevocation { target, before: None, now: NOW, keep_until: UnixSeconds::MAX })
        })
        .collect();
    for answer in answers {
        wait(answer).expect("it is revoked");
    }
}

fn revoke_levels(ledger: &SqliteLedger, count: u32) {
    let numbers: Vec<u32> = (0..count).collect();
    for batch in numbers.chunks(4096) {
        revoke(ledger, batch.iter().map(|number| Target::Level(Meter::new(name(*number)))));
    }
}

/// Some of every other kind, so that a request is compared with all of them.
fn revoke_of_all_kinds(ledger: &SqliteLedger) {
    let targets = (0..100_u32).flat_map(|number| {
        let text = format!("other-{number}");
        [
            Target::Fingerprint(u128::from(number).to_le_bytes()),
            Target::Id { signer: None, id: text.clone() },
            Target::Subject { signer: None, subject: text.clone() },
            Target::Signer(text.clone()),
            Target::Policy(text.clone()),
            Target::Path(format!("/files/{text}/")),
        ]
    });
    revoke(ledger, targets);
}

fn hashed(number: u32) -> [u8; 16] {
    let hash = blake3::hash(&number.to_le_bytes());
    <[u8; 16]>::try_from(&hash.as_bytes()[..16]).expect("16 bytes")
}

/// What is measured: asks for the next names, and says how many were found.
struct Row<'a> {
    what: &'static str,
    found: bool,
    turn: Box<dyn Fn() -> usize + 'a>,
    nanos: Vec<f64>,
}

impl<'a> Row<'a> {
    fn of_view(what: &'static str, view: &'a RevocationView, first: u32, found: bool) -> Self {
        let names: Vec<String> = (first..first + ASKED).map(name).collect();
        Self::new(what, found, names, move |name| asks(view, name))
    }

    fn of_map(what: &'static str, map: &'a HashMap<[u8; 16], u64>, first: u32, found: bool) -> Self {
        let keys: Vec<_> = (first..first + ASKED).map(hashed).collect();
        Self::new(what, found, keys, move |key| map.contains_key(key))
    }

    fn new<T: 'a>(what: &'static str, found: bool, asked: Vec<T>, finds: impl Fn(&T) -> bool + 'a) -> Self {
        let next = Cell::new(0);
        let count = move || {
            let from = next.replace((next.get() + TURN) % asked.len());
            asked[from..from + TURN].iter().filter(|one| finds(black_box(one))).count()
        };
        Self { what, found, turn: Box::new(count), nanos: Vec::new() }
    }

    fn take_turn(&mut self) {
        let begun = Instant::now();
        let found = (self.turn)();
        let secs = begun.elapsed().as_secs_f64();
        assert_eq!(found, if self.found { TURN } else { 0 });
        self.nanos.push(secs * 1e9 / f64::from(u16::try_from(TURN).expect("few")));
    }

    fn tell(&mut self) {
        self.nanos.sort_by(f64::total_cmp);
        let of = |part: usize| self.nanos[self.nanos.len() * part / 100];
        print(&format!("{}: fastest tenth {:.1} ns, median {:.1} ns", self.what, of(10), of(50)));
    }
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

fn print(line: &str) {
    eprintln!("{line}");
}

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let (many, turns) = if is_test { (ASKED, 1) } else { (1_000_000, 10_000) };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let ledger = SqliteLedger::open(&path).expect("a ledger");
    let nothing = ledger.revocations_view();
    let mut empty = Row::of_view("nothing is revoked", &nothing, 0, false);
    (0..turns).for_each(|_| empty.take_turn());
    empty.tell();
    drop(empty);

    let begun = Instant::now();
    revoke_levels(&ledger, many);
    print(&format!("{many} revocations, each durable: {:.1} s", begun.elapsed().as_secs_f64()));
    drop((ledger, nothing));
    let begun = Instant::now();
    let before = resident_kib();
    let ledger = SqliteLedger::open(&path).expect("the ledger");
    let grown = resident_kib().saturating_sub(before) >> 10;
    let secs = begun.elapsed().as_secs_f64();
    print(&format!(
        "opened with them: {secs:.1} s, {grown} MiB more in memory, SQLite's cache of 64 included"
    ));

    let view = ledger.revocations_view();
    assert_eq!(view.len(), usize::try_from(many).expect("it fits"));
    let map: HashMap<[u8; 16], u64> = (0..many).map(|number| (hashed(number), 0)).collect();
    let mut rows = [
        Row::of_map("a key that is not in a map of as many", &map, many, false),
        Row::of_view("a request whose key is not revoked", &view, many, false),
        Row::of_map("a key that is in a map of as many", &map, 0, true),
        Row::of_view("a request whose key is revoked", &view, 0, true),
    ];
    (0..turns).for_each(|_| rows.iter_mut().for_each(Row::take_turn));
    rows.iter_mut().for_each(Row::tell);
    drop(rows);
    revoke_of_all_kinds(&ledger);
    let mut all =
        Row::of_view("a request that is not revoked, where some of every other kind is", &view, many, false);
    (0..turns).for_each(|_| all.take_turn());
    all.tell();
}
