//! What a durable hold costs among few meters and among very many, beside a bare sync of the same folder.
//!
//! All are measured in turns, round after round, so that a machine which is busy with other work slows all of them
//! alike: the ratios say more than the times. `VALETKEY_BENCH_METERS` says how many are many,
//! `VALETKEY_BENCH_FOLDER` where to measure, `VALETKEY_BENCH_ROUNDS` how often.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use valetkey_ledger::conformance::wait;
use valetkey_ledger::engine::sqlite::fill_sqlite;
use valetkey_ledger::{
    Charge, HoldId, HoldRequest, LeaseRequest, Ledger, Limits, Meter, Purpose, Settlement, SqliteLedger,
    UnixSeconds,
};

const NOW: UnixSeconds = UnixSeconds(1_795_262_400);
/// How many clients wait at once.
const CLIENTS: u64 = 256;
const FEW: u64 = 1_000;
/// How often each is measured in one round: about as long as all others.
const SYNCS: u32 = 20;
const ALONE: u32 = 20;
const TOGETHER: u32 = 8;

struct Folder(PathBuf);

impl Folder {
    fn make() -> Self {
        let parent = std::env::var_os("VALETKEY_BENCH_FOLDER").map_or_else(std::env::temp_dir, PathBuf::from);
        let folder = parent.join(format!("valetkey-bench-{}", std::process::id()));
        fs::create_dir(&folder).expect("a new folder");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A ledger with so many meters, and a way through them in no order.
struct Many {
    ledger: SqliteLedger,
    meters: u64,
    next: u64,
    alone: Vec<Duration>,
    together: Vec<Duration>,
    cpu_ticks: u64,
}

impl Many {
    fn make(folder: &Folder, meters: u64) -> Self {
        let path = folder.0.join(format!("{meters}.db"));
        let begun = Instant::now();
        fill_sqlite(&path, meters, meter, NOW.plus(900)).expect("meters are made");
        let bytes = fs::metadata(&path).expect("a ledger").len();
        print(&format!(
            "{meters} meters made in {:.1} s, {} MB",
            begun.elapsed().as_secs_f64(),
            bytes / 1_000_000
        ));
        let begun = Instant::now();
        let ledger = SqliteLedger::open(&path).expect("a ledger");
        print(&format!("opened, every row read, in {:.1} s", begun.elapsed().as_secs_f64()));
        Self { ledger, meters, next: 0, alone: Vec::new(), together: Vec::new(), cpu_ticks: 0 }
    }

    /// Holds one use for each of so many clients at once, and spends it.
    fn hold(&mut self, clients: u64) {
        let answers: Vec<_> = (0..clients).map(|client| self.download(client)).collect();
        for answer in answers {
            let hold = wait(answer);
            drop(self.ledger.settle(hold, Settlement::Done { bytes: 1_000_000 }, NOW));
        }
    }

    fn download(&mut self, client: u64) -> impl Future<Output = HoldId> + use<> {
        self.next += 1;
        let lease = LeaseRequest {
            object: "/files/a".to_owned(),
            version: "1".to_owned(),
            client: format!("{client} {}", self.next),
            size_bytes: 1_000_000,
            ask_bytes: 1_000_000,
            lease_secs: 600,
        };
        let charge = Charge {
            // A prime: it comes to each of them, and to neighbours at distant times.
            meter: meter(self.next.wrapping_mul(7_368_787) % self.meters),
            limits: Limits { uses: Some(1_000_000_000), ..Limits::default() },
            ends: NOW.plus(900),
            keep_until: UnixSeconds::MAX,
        };
        let purpose = Purpose::Download(lease);
        let answer = self.ledger.hold(HoldRequest { charges: vec![charge], purpose, now: NOW });
        async { answer.await.expect("a use is left") }
    }

    fn round(&mut self) {
        for _ in 0..ALONE {
            let time = timed(|| self.hold(1));
            self.alone.push(time);
        }
        let before = cpu_ticks();
        for _ in 0..TOGETHER {
            let time = timed(|| self.hold(CLIENTS));
            self.together.push(time);
        }
        self.cpu_ticks += cpu_ticks() - before;
    }
}

/// Names in the order of their numbers, as long as drawn ids make them.
fn meter(number: u64) -> Meter {
    Meter::new(format!("[\"web\",\"id\",\"{number:016x}\"]"))
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// The time that this process had a processor, in hundredths of a second.
fn cpu_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("this is Linux");
    let fields = stat.rsplit(") ").next().expect("its fields").split(' ').skip(11).take(2);
    fields.map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn mean(times: &[Duration]) -> f64 {
    times.iter().map(Duration::as_secs_f64).sum::<f64>() / f64::from(u32::try_from(times.len()).expect("few"))
}

fn print(line: &str) {
    eprintln!("{line}");
}

fn tell(name: &str, times: &mut [Duration]) {
    let (mean, median) = (mean(times) * 1000.0, millis(median(times)));
    let most = times.last().map_or(0.0, |most| millis(*most));
    print(&format!("{name}: median {median:.2} ms, mean {mean:.2} ms, at most {most:.1} ms"));
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(default)
}

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let many = number("VALETKEY_BENCH_METERS", if is_test { FEW } else { 1_000_000 });
    let rounds = number("VALETKEY_BENCH_ROUNDS", if is_test { 1 } else { 50 });
    let folder = Folder::make();
    let mut raw = File::create(folder.0.join("raw")).expect("a file");
    let mut syncs = Vec::new();
    let mut ledgers = [FEW, many.max(FEW + 1)].map(|meters| Many::make(&folder, meters));
    for _ in 0..rounds {
        for _ in 0..SYNCS {
            syncs.push(timed(|| {
                raw.write_all(&[7; 4096]).expect("a page is written");
                raw.sync_data().expect("it is synced");
            }));
        }
        ledgers.iter_mut().for_each(Many::round);
    }
    tell("a bare fdatasync of 4 KiB", &mut syncs);
    let sync = mean(&syncs);
    for Many { meters, alone, together, cpu_ticks, .. } in &mut ledgers {
        tell(&format!("one hold among {meters} meters"), alone);
        tell(&format!("{CLIENTS} holds at once among {meters} meters"), together);
        let each = mean(together) / f64::from(u32::try_from(CLIENTS).expect("few"));
        let holds = f64::from(u32::try_from(together.len()).expect("few"))
            * f64::from(u32::try_from(CLIENTS).expect("few"));
        let cpu = f64::from(u32::try_from(*cpu_ticks).expect("few")) * 0.01 / holds;
        print(&format!(
            "  {:.0} holds a second, {:.0} for each sync; {:.1} us of a processor each",
            1.0 / each,
            sync / each,
            cpu * 1e6
        ));
    }
    let [few, many] = &ledgers;
    print(&format!(
        "among many to among few: one hold {:.2}, {CLIENTS} at once {:.2}",
        mean(&many.alone) / mean(&few.alone),
        mean(&many.together) / mean(&few.together)
    ));
}
