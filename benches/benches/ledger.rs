//! What a durable hold costs: beside a bare sync of the same folder, and among few meters or many.
//!
//! `VALETKEY_BENCH_METERS` says how many are many; `VALETKEY_BENCH_FOLDER` where to measure.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use valetkey_ledger::conformance::wait;
use valetkey_ledger::{
    Charge, HoldId, HoldRequest, LeaseRequest, Ledger, Limits, Meter, Purpose, Settlement, SqliteLedger,
    UnixSeconds,
};

const NOW: UnixSeconds = UnixSeconds(1_795_262_400);
/// How many clients wait at once.
const CLIENTS: u64 = 256;
const FEW: u64 = 1_000;
/// How many answers are asked for before any is waited for.
const CHUNK: u64 = 10_000;
const CHUNK_STEP: usize = 10_000;

struct Folder(PathBuf);

impl Folder {
    fn make() -> Self {
        let parent = std::env::var_os("VALETKEY_BENCH_FOLDER").map_or_else(std::env::temp_dir, PathBuf::from);
        let folder = parent.join(format!("valetkey-bench-{}", std::process::id()));
        fs::create_dir(&folder).expect("a new folder");
        Self(folder)
    }

    fn ledger(&self, name: &str) -> SqliteLedger {
        SqliteLedger::open(self.0.join(name)).expect("a ledger")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn meter(number: u64) -> Meter {
    // Spread over the whole tree, as ids that are drawn are.
    Meter::new(format!("k3:web,id,{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

fn request(number: u64, limits: Limits, purpose: Purpose) -> HoldRequest {
    let charge = Charge { meter: meter(number), limits, keep_until: NOW.plus(900) };
    HoldRequest { charges: vec![charge], purpose, now: NOW }
}

fn download(ledger: &SqliteLedger, number: u64, client: u64) -> impl Future<Output = HoldId> + use<> {
    let lease = LeaseRequest {
        object: "/files/a".to_owned(),
        version: "1".to_owned(),
        client: client.to_string(),
        size_bytes: 1_000_000,
        ask_bytes: 1_000_000,
        lease_secs: 600,
    };
    let limits = Limits { uses: Some(1_000_000_000), ..Limits::default() };
    let answer = ledger.hold(request(number, limits, Purpose::Download(lease)));
    async { answer.await.expect("a use is left") }
}

/// Holds one use for each of so many clients at once, and spends it.
fn hold(ledger: &SqliteLedger, first: &mut u64, clients: u64, meters: u64) {
    let numbers = *first..*first + clients;
    *first += clients;
    let answers: Vec<_> = numbers.map(|number| download(ledger, number % meters, number)).collect();
    for answer in answers {
        let hold = wait(answer);
        drop(ledger.settle(hold, Settlement::Done { bytes: 1_000_000 }, NOW));
    }
}

/// Makes so many meters. Answers without a limit cost no sync of their own.
fn fill(ledger: &SqliteLedger, meters: u64) {
    for start in (0..meters).step_by(CHUNK_STEP) {
        let chunk = start..meters.min(start + CHUNK);
        let ask = |number| ledger.hold(request(number, Limits::default(), Purpose::Answer { bytes: 1 }));
        let answers: Vec<_> = chunk.map(ask).collect();
        for answer in answers {
            wait(answer).expect("it is counted");
        }
    }
}

/// Writes a page and syncs it, as the least that anything durable costs.
fn sync(file: &mut File) {
    file.write_all(&[7; 4096]).expect("a page is written");
    file.sync_data().expect("it is synced");
}

fn ledger(criterion: &mut Criterion) {
    let folder = Folder::make();
    let path: &Path = &folder.0;
    let mut group = criterion.benchmark_group("ledger");
    group.measurement_time(Duration::from_secs(8)).sample_size(30);

    let mut raw = File::create(path.join("raw")).expect("a file");
    group.bench_function("a bare fdatasync of 4 KiB", |bench| bench.iter(|| sync(&mut raw)));

    let few = folder.ledger("few.db");
    fill(&few, FEW);
    let mut next = 0;
    group.bench_function("one hold among 1,000 meters", |bench| {
        bench.iter(|| hold(&few, &mut next, 1, FEW));
    });
    group.throughput(Throughput::Elements(CLIENTS));
    group.bench_function("256 holds at once", |bench| {
        bench.iter(|| hold(&few, &mut next, CLIENTS, FEW));
    });
    drop(few);

    let many = std::env::var("VALETKEY_BENCH_METERS").ok().and_then(|many| many.parse().ok());
    let many: u64 = many.unwrap_or(1_000_000);
    let ledger = folder.ledger("many.db");
    fill(&ledger, many);
    group.throughput(Throughput::Elements(1));
    group.bench_function(format!("one hold among {many} meters"), |bench| {
        bench.iter(|| hold(&ledger, &mut next, 1, many));
    });
    group.throughput(Throughput::Elements(CLIENTS));
    group.bench_function(format!("256 holds at once among {many} meters"), |bench| {
        bench.iter(|| hold(&ledger, &mut next, CLIENTS, many));
    });
    group.finish();
}

criterion_group!(benches, ledger);
criterion_main!(benches);
