//! What a request pays for revocations: nothing where there are none, and one look-up among a million.
//!
//! To compare with, in the same run: one look-up in the standard library's map of as many random keys.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use valetkey_ledger::conformance::wait;
use valetkey_ledger::{
    Ledger, Meter, NewRevocation, Revocable, RevocationView, SqliteLedger, Target, UnixSeconds,
};

const MILLION: u32 = 1_000_000;
const NOW: UnixSeconds = UnixSeconds(1_795_262_400);

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

fn revoke_a_million(ledger: &SqliteLedger) {
    let numbers: Vec<u32> = (0..MILLION).collect();
    for batch in numbers.chunks(4096) {
        let answers: Vec<_> = batch
            .iter()
            .map(|number| {
                let target = Target::Level(Meter::new(name(*number)));
                ledger.revoke(NewRevocation { target, before: None, now: NOW, keep_until: UnixSeconds::MAX })
            })
            .collect();
        for answer in answers {
            wait(answer).expect("it is revoked");
        }
    }
}

/// Some of every other kind, so that a request is compared with all of them.
fn revoke_of_all_kinds(ledger: &SqliteLedger) {
    for number in 0..100_u32 {
        let (signer, text) = (None, format!("other-{number}"));
        let fingerprint = u128::from(number).to_le_bytes();
        for target in [
            Target::Fingerprint(fingerprint),
            Target::Id { signer: signer.clone(), id: text.clone() },
            Target::Subject { signer, subject: text.clone() },
            Target::Signer(text.clone()),
            Target::Policy(text.clone()),
            Target::Path(format!("/files/{text}/")),
        ] {
            let new = NewRevocation { target, before: None, now: NOW, keep_until: UnixSeconds::MAX };
            wait(ledger.revoke(new)).expect("it is revoked");
        }
    }
}

/// The peer: a map of a million random keys, asked for others.
fn look_up(criterion: &mut Criterion) {
    let key = |number: u32| {
        let hash = blake3::hash(&number.to_le_bytes());
        <[u8; 16]>::try_from(&hash.as_bytes()[..16]).expect("16 bytes")
    };
    let map: HashMap<[u8; 16], u64> = (0..MILLION).map(|number| (key(number), 0)).collect();
    for (name, first) in [("a key that is not in a map of a million", MILLION), ("a key that is", 0)] {
        let keys: Vec<_> = (first..first + 100_000).map(key).collect();
        let mut keys = keys.iter().cycle();
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| map.get(black_box(keys.next().expect("it goes on for ever"))));
        });
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

fn revocations(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let ledger = SqliteLedger::open(&path).expect("a ledger");
    let view = ledger.revocations_view();
    criterion.bench_function("nothing is revoked", |bencher| {
        let name = name(MILLION + 1);
        bencher.iter(|| asks(&view, black_box(&name)));
    });
    let begun = Instant::now();
    revoke_a_million(&ledger);
    eprintln!("a million revocations: {:.1} s", begun.elapsed().as_secs_f64());
    drop((ledger, view));
    let (begun, before) = (Instant::now(), resident_kib());
    let ledger = SqliteLedger::open(&path).expect("the ledger");
    let (secs, grown) = (begun.elapsed().as_secs_f64(), resident_kib().saturating_sub(before));
    eprintln!("opened with a million revocations: {secs:.1} s, {} MiB more in memory", grown >> 10);
    let view = ledger.revocations_view();
    assert_eq!(view.len(), usize::try_from(MILLION).expect("it fits"));
    for (what, first) in [("this one is not", MILLION), ("this is one", 0)] {
        // Names that differ each time, so that no cache knows the answer.
        let names: Vec<String> = (first..first + 100_000).map(name).collect();
        let mut names = names.iter().cycle();
        criterion.bench_function(&format!("a million keys are revoked, and {what}"), |bencher| {
            bencher.iter(|| asks(&view, black_box(names.next().expect("it goes on for ever"))));
        });
    }
    look_up(criterion);
    revoke_of_all_kinds(&ledger);
    criterion.bench_function("a million keys and some of every other kind, and this is none", |bencher| {
        let names: Vec<String> = (MILLION..MILLION + 100_000).map(name).collect();
        let mut names = names.iter().cycle();
        bencher.iter(|| asks(&view, black_box(names.next().expect("it goes on for ever"))));
    });
}

criterion_group!(benches, revocations);
criterion_main!(benches);
