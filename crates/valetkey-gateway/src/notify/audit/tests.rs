#![allow(clippy::unwrap_used)]

mod files;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::notify::chain::ChainKey;
use crate::notify::journal::tests::Disk;
use crate::notify::verify::verify;

fn clock() -> Timestamp {
    Timestamp::from_unix(1_795_305_600)
}

/// A log in a folder of its own.
struct Log(TempDir);

impl Log {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("data/audit.jsonl")
    }

    fn key_file(&self) -> PathBuf {
        self.0.path().join("data/audit.key")
    }

    fn settings(&self) -> settings::Audit {
        settings::Audit { path: self.path(), key_file: self.key_file(), rotate_bytes: None, keep: None }
    }

    fn open(&self) -> Result<Opened, AuditError> {
        Audit::open(&self.settings(), None, clock)
    }

    /// Opens the log, writes so many records and closes it.
    fn write(&self, records: usize) {
        let audit = self.open().unwrap().audit;
        for _ in 0..records {
            audit.record(read("a"));
        }
        audit.close().unwrap();
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap()
    }

    fn records(&self) -> Vec<serde_json::Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn verify(&self) -> u64 {
        let key = ChainKey::load(&self.key_file()).unwrap().unwrap();
        verify(self.text().as_bytes(), &key).unwrap().0
    }

    fn append(&self, bytes: impl AsRef<[u8]>) {
        OpenOptions::new().append(true).open(self.path()).unwrap().write_all(bytes.as_ref()).unwrap();
    }

    fn refused(&self) -> String {
        let before = std::fs::read(self.path()).unwrap();
        let error = self.open().unwrap_err();
        assert_eq!(std::fs::read(self.path()).unwrap(), before, "a refused log is left alone");
        error.to_string()
    }
}

fn read(object: &str) -> Receipt {
    Receipt { action: Some("read"), object: Some(object.into()), ..Receipt::at(clock()) }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Waits until the writer got somewhere.
fn until(reached: impl Fn() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the writer gets there");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

fn on_disk(disk: &Disk) -> Audit {
    Audit::start(Journal::new(disk.clone(), ChainKey::from_bytes([7; 32]), 0, Head::NONE), clock).unwrap()
}

fn verified(disk: &Disk) -> u64 {
    verify(disk.durable().as_bytes(), &ChainKey::from_bytes([7; 32])).unwrap().0
}

#[test]
fn a_new_log_is_ours_alone_and_begins_with_zeros() {
    let log = Log::new();
    let opened = log.open().unwrap();
    assert!(opened.was_empty && opened.mended.is_none() && opened.audit.is_sound());
    wait(opened.audit.record_durably(read("a"))).unwrap();
    assert_eq!(log.records()[0]["previous"], "0".repeat(64));
    let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(log.path()), 0o600);
    assert_eq!(mode(log.key_file()), 0o600);
    assert_eq!(mode(log.0.path().join("data")), 0o700);
}

#[test]
fn the_chain_goes_on_when_the_log_is_opened_again() {
    let log = Log::new();
    for records in [3, 0, 1, 200] {
        log.write(records);
    }
    assert_eq!(log.verify(), 204);
    let opened = log.open().unwrap();
    assert!(!opened.was_empty && opened.mended.is_none());
}

#[test]
fn a_record_is_in_the_log_when_its_future_says_so() {
    let log = Log::new();
    let audit = log.open().unwrap().audit;
    wait(audit.record_durably(read("first"))).unwrap();
    assert_eq!(log.records().last().unwrap()["object"], "first");
    drop(audit.record_durably(read("second")));
    wait(audit.record_durably(read("third"))).unwrap();
    let objects: Vec<_> = log.records().iter().map(|record| record["object"].clone()).collect();
    assert_eq!(objects, ["first", "second", "third"]);
    assert_eq!(audit.backlog(), 0);
}

#[test]
fn a_record_that_nobody_waits_for_is_in_the_log_within_a_second() {
    let log = Log::new();
    let audit = log.open().unwrap().audit;
    let begun = Instant::now();
    audit.record(read("a"));
    until(|| audit.backlog() == 0);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(log.verify(), 1);
}

#[test]
fn records_of_many_threads_are_all_there_once() {
    let log = Log::new();
    let audit = log.open().unwrap().audit;
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let audit = audit.clone();
            scope.spawn(move || {
                for number in 0..2_000 {
                    let receipt = read(&format!("{thread}/{number:04}"));
                    match number % 50 {
                        0 => wait(audit.record_durably(receipt)).unwrap(),
                        _ => audit.record(receipt),
                    }
                }
            });
        }
    });
    audit.close().unwrap();
    assert_eq!(log.verify(), 16_000);

    let records = log.records();
    let object = |record: &serde_json::Value| record["object"].as_str().unwrap().to_owned();
    for thread in 0..8 {
        let prefix = format!("{thread}/");
        let of_thread: Vec<_> = records.iter().map(object).filter(|name| name.starts_with(&prefix)).collect();
        let expected: Vec<_> = (0..2_000).map(|number| format!("{thread}/{number:04}")).collect();
        assert_eq!(of_thread, expected, "each thread's records keep their order");
    }
}

#[test]
fn a_half_written_line_is_cut_and_a_record_says_so() {
    let whole = {
        let log = Log::new();
        log.write(1);
        log.text()
    };
    let zeros = "\0".repeat(100_000);
    for half in ["{", "{\"time\":\"", &whole[..whole.len() - 1], "\0\0\0", "{\"time\":\"20\0\0", &zeros] {
        for records in [0, 1, 3] {
            let log = Log::new();
            log.write(records);
            log.append(half);
            let opened = log.open().unwrap();
            assert_eq!(opened.mended, Some(u64::try_from(half.len()).unwrap()), "{half:.20?}");
            assert!(!opened.was_empty);
            opened.audit.close().unwrap();

            assert_eq!(log.verify(), u64::try_from(records).unwrap() + 1);
            let last = log.records().pop().unwrap();
            assert_eq!((&last["action"], &last["bytes_in"]), (&"mend".into(), &half.len().into()));
        }
    }
}

#[test]
fn a_log_that_was_tampered_with_is_refused_and_left_alone() {
    let tampered = |edit: &dyn Fn(&mut Vec<String>)| {
        let log = Log::new();
        log.write(3);
        let mut lines: Vec<_> = log.text().lines().map(|line| format!("{line}\n")).collect();
        edit(&mut lines);
        std::fs::write(log.path(), lines.concat()).unwrap();
        log.refused()
    };
    let check = |error: String, why: &str| {
        assert!(error.contains("tampered") && error.contains(why), "{error}");
    };
    check(tampered(&|lines| lines[1] = lines[1].replace("null", "true")), "does not follow");
    check(tampered(&|lines| drop(lines.remove(1))), "does not follow");
    check(tampered(&|lines| lines.push("\n".into())), "not a JSON object");
    check(tampered(&|lines| lines.push("hello\n".into())), "not a JSON object");
    check(tampered(&|lines| lines[2] = lines[2].replace("status", "state")), "status");
    check(tampered(&|lines| lines.push("hello".into())), "not the beginning of a record");
    check(tampered(&|lines| lines.push(format!("{{\"time\":\"{}", "2".repeat(40_000)))), "not the beginning");
    check(tampered(&|lines| *lines = vec!["x".repeat(300_000)]), "not the beginning");
    check(tampered(&|lines| *lines = vec!["x".repeat(300_000), "\n".into()]), "not a JSON object");
}

#[test]
fn a_log_without_its_key_is_refused() {
    let log = Log::new();
    log.write(3);
    let key = std::fs::read(log.key_file()).unwrap();
    std::fs::remove_file(log.key_file()).unwrap();
    assert!(log.refused().contains("put the key back"));
    assert!(!log.key_file().exists(), "no new key is made");

    let write_key = |bytes: &[u8]| {
        std::fs::write(log.key_file(), bytes).unwrap();
        std::fs::set_permissions(log.key_file(), std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    write_key(&[b'0'; 64]);
    assert!(log.refused().contains("the key file is another log's"));
    write_key(&key);
    std::fs::set_permissions(log.key_file(), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(log.refused().contains("chmod 600"));
    write_key(&key);
    log.write(1);
    assert_eq!(log.verify(), 4);
}

#[test]
fn a_second_writer_of_the_same_log_is_refused() {
    let log = Log::new();
    let first = log.open().unwrap().audit;
    let error = log.open().unwrap_err();
    assert!(matches!(error, AuditError::Held { .. }), "{error}");
    first.close().unwrap();
    assert!(log.open().is_ok());
}

#[test]
fn what_is_not_a_file_is_refused() {
    let log = Log::new();
    std::fs::create_dir_all(log.path()).unwrap();
    assert!(matches!(log.open().unwrap_err(), AuditError::Io { doing: "open", .. }));

    let log = Log::new();
    let settings = settings::Audit { path: "/dev/null".into(), ..log.settings() };
    let error = Audit::open(&settings, None, clock).unwrap_err();
    assert!(matches!(error, AuditError::NotAFile { .. }), "{error}");
}

#[test]
fn while_the_log_cannot_be_written_waiters_are_refused_and_no_record_is_lost() {
    let disk = Disk::default();
    let audit = on_disk(&disk);
    wait(audit.record_durably(read("before"))).unwrap();
    disk.fill_after(Some(10));
    let error = wait(audit.record_durably(read("during"))).unwrap_err();
    assert!(matches!(error, AuditError::NotWritten(_)), "{error}");
    assert!(!audit.is_sound());
    audit.record(read("meanwhile"));
    assert_eq!(audit.backlog(), 2);
    assert_eq!(verified(&disk), 1);

    disk.fill_after(None);
    until(|| audit.is_sound());
    wait(audit.record_durably(read("after"))).unwrap();
    assert_eq!((audit.backlog(), verified(&disk)), (0, 4));
}

#[test]
fn a_failed_sync_answers_an_error_and_the_record_is_kept() {
    let disk = Disk::default();
    let audit = on_disk(&disk);
    disk.fail_syncs(1);
    assert!(wait(audit.record_durably(read("a"))).is_err());
    until(|| audit.is_sound());
    wait(audit.record_durably(read("b"))).unwrap();
    assert_eq!(verified(&disk), 2);
}

#[test]
fn records_beyond_the_bound_are_counted_and_a_record_says_how_many() {
    let disk = Disk::default();
    let audit = on_disk(&disk);
    disk.fill_after(Some(0));
    for _ in 0..BACKLOG_MAX + 3 {
        audit.record(read("a"));
    }
    let error = wait(audit.record_durably(read("a"))).unwrap_err();
    assert!(matches!(error, AuditError::Full), "{error}");
    assert_eq!(audit.backlog(), BACKLOG_MAX);

    disk.fill_after(None);
    until(|| audit.backlog() == 0);
    audit.close().unwrap();
    assert_eq!(verified(&disk), u64::try_from(BACKLOG_MAX).unwrap() + 1);
    let text = disk.durable();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((&last["action"], &last["reason"]), (&"lost".into(), &"4 records were lost".into()));
}

#[test]
fn closing_writes_what_waits_or_says_that_it_could_not() {
    let disk = Disk::default();
    let audit = on_disk(&disk);
    let other = audit.clone();
    for _ in 0..10_000 {
        audit.record(read("a"));
    }
    audit.close().unwrap();
    assert_eq!(verified(&disk), 10_000);
    assert!(matches!(wait(other.record_durably(read("b"))), Err(AuditError::Closed)));
    assert!(!other.is_sound());

    let audit = on_disk(&Disk::default());
    drop(audit);

    let disk = Disk::default();
    disk.fill_after(Some(0));
    let audit = on_disk(&disk);
    for _ in 0..10_000 {
        audit.record(read("a"));
    }
    assert!(matches!(audit.close(), Err(AuditError::Lost(10_000))));
    assert_eq!(verified(&disk), 0);
}

#[test]
fn a_log_that_someone_else_changes_under_us_is_not_written() {
    let log = Log::new();
    let audit = log.open().unwrap().audit;
    wait(audit.record_durably(read("a"))).unwrap();
    let written = log.text();

    log.append("x".repeat(100_000));
    let error = wait(audit.record_durably(read("b"))).unwrap_err();
    let AuditError::NotWritten(source) = error else { panic!("{error}") };
    assert!(source.to_string().contains("someone else changed the file"), "{source}");
    std::fs::write(log.path(), "").unwrap();
    assert!(wait(audit.record_durably(read("c"))).is_err());
    let other = written.replace("\"read\"", "\"list\"");
    std::fs::write(log.path(), other).unwrap();
    assert!(wait(audit.record_durably(read("d"))).is_err());
    assert!(!audit.is_sound());

    // Made right again, it is taken up again.
    std::fs::write(log.path(), written).unwrap();
    until(|| audit.is_sound());
    wait(audit.record_durably(read("e"))).unwrap();
    assert_eq!(log.verify(), 5);

    std::fs::remove_file(log.path()).unwrap();
    assert!(wait(audit.record_durably(read("f"))).is_err());
    std::fs::write(log.path(), "").unwrap();
    assert!(wait(audit.record_durably(read("g"))).is_err());
    assert!(matches!(audit.close(), Err(AuditError::Lost(2))));
}

/// Runs again in a process of its own, whose files may not grow beyond a limit: there a write first comes
/// back short and then fails, as on a full disk.
#[test]
fn a_real_file_that_cannot_grow_is_cut_back_and_goes_on_when_it_can() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const IN_CHILD: &str = "VALETKEY_TEST_FILE_LIMIT";

    if std::env::var_os(IN_CHILD).is_none() {
        let this = "notify::audit::tests::a_real_file_that_cannot_grow_is_cut_back_and_goes_on_when_it_can";
        let output = std::process::Command::new("sh")
            // The limit's signal must not end the process, so that the write fails instead.
            .args(["-c", "trap '' XFSZ; exec \"$0\" --exact \"$1\" --test-threads=1"])
            .arg(std::env::current_exe().unwrap())
            .arg(this)
            .env(IN_CHILD, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }

    let limit = |bytes| {
        let maximum = getrlimit(Resource::Fsize).maximum;
        setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum }).unwrap();
    };
    let log = Log::new();
    let audit = log.open().unwrap().audit;
    wait(audit.record_durably(read("before"))).unwrap();
    let line = log.path().metadata().unwrap().len();
    limit(Some(line * 5 / 2));

    wait(audit.record_durably(read("before"))).unwrap();
    for _ in 0..3 {
        assert!(wait(audit.record_durably(read("during"))).is_err());
        assert!(!audit.is_sound());
    }
    limit(None);
    until(|| audit.is_sound());
    audit.close().unwrap();
    assert_eq!(log.verify(), 5);
    assert!(log.open().unwrap().mended.is_none());
}
