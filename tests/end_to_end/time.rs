//! Time: edges of a key's life, and a clock that an operator or an attacker moves, by Debian's `faketime` library.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::Request;
use valetkey_tests::key::{Key, from_now, time_text, unix_now};
use valetkey_tests::process::{valetkey, wait_until};

const DAY: i64 = 86_400;

/// A gateway whose clock is what the test writes into a file.
struct Clock {
    gateway: Gateway,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Clock {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("time");
        std::fs::write(&file, "+0").unwrap();
        let gateway = Gateway::builder()
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", file.to_string_lossy())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1")
            .start();
        gateway.plant("/files/a", "aaaa");
        Self { gateway, file, _folder: folder }
    }

    /// Sets the clock this many seconds off the true time.
    fn offset(&self, seconds: i64) {
        let next = self.file.with_extension("next");
        std::fs::write(&next, format!("{seconds:+}")).unwrap();
        std::fs::rename(next, &self.file).unwrap();
    }

    fn get(&self, key: &Key) -> valetkey_tests::http::Answer {
        self.gateway.get(key.url())
    }
}

fn library() -> String {
    let folders =
        ["/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/lib/faketime"];
    let found = folders
        .iter()
        .map(|folder| format!("{folder}/libfaketime.so.1"))
        .find(|path| std::path::Path::new(path).exists());
    found.expect("the faketime library is installed; tests/run installs it")
}

fn key(end: i64) -> Key {
    Key::new("/files/a", "read").set("end", &time_text(unix_now() + end))
}

#[test]
fn the_clock_of_these_tests_moves() {
    let clock = Clock::new();
    let later = key(DAY);
    accepted(&clock.get(&later), 200);
    clock.offset(2 * DAY);
    refused(&clock.get(&later), 403, "expired");
}

/// A054: the end is exclusive, the start is less the skew, and each edge is in one second.
#[test]
fn key_ends_at_its_second() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let soon = key(2);
    accepted(&gateway.get(soon.url()), 200);
    wait_until(Duration::from_secs(4), "the key ends", || gateway.get(soon.url()).reason() == "expired")
        .unwrap();
    refused(&gateway.get(Key::new("/files/a", "read").set("end", &from_now(0)).url()), 403, "expired");
    accepted(&gateway.get(Key::new("/files/a", "read").set("start", &from_now(29)).url()), 200);
    refused(
        &gateway.get(Key::new("/files/a", "read").set("start", &from_now(33)).url()),
        403,
        "not_yet_valid",
    );
    accepted(&gateway.get(Key::new("/files/a", "read").set("issued", &from_now(29)).url()), 200);
    refused(
        &gateway.get(Key::new("/files/a", "read").set("issued", &from_now(33)).url()),
        403,
        "not_yet_valid",
    );
}

#[test]
fn skew_is_what_the_configuration_says() {
    let strict = Gateway::builder().server("clock_skew = \"0s\"").start();
    strict.plant("/files/a", "aaaa");
    refused(&strict.get(Key::new("/files/a", "read").set("start", &from_now(5)).url()), 403, "not_yet_valid");
    accepted(&strict.get(Key::new("/files/a", "read").set("start", &from_now(0)).url()), 200);
}

/// A055, A056
#[test]
fn life_that_is_none_is_malformed() {
    let gateway = Gateway::new();
    let now = Key::new("/files/a", "read");
    refused(&gateway.get(now.clone().without("end").url()), 400, "malformed_key");
    let (start, end) = (from_now(100), from_now(99));
    refused(&gateway.get(now.clone().set("start", &start).set("end", &end).url()), 400, "malformed_key");
    refused(&gateway.get(now.set("start", &start).set("end", &start).url()), 400, "malformed_key");
}

/// A062: a key's end is checked when a transfer starts, and what runs is finished.
#[test]
fn transfer_that_began_in_time_is_finished() {
    let gateway = Gateway::new();
    let writer = Key::new("/files/slow", "write").set("end", &from_now(2));
    let mut connection = gateway.connect();
    connection
        .send(
            &Request::new("PUT", writer.url())
                .header("Content-Length", "10")
                .header("Expect", "100-continue")
                .head_bytes(),
        )
        .unwrap();
    assert_eq!(connection.read_head().unwrap().status, 100);
    connection.send(b"01234").unwrap();
    wait_until(Duration::from_secs(4), "the key ends", || {
        gateway.send(&Request::put(writer.url(), "x")).reason() == "expired"
    })
    .unwrap();
    connection.send(b"56789").unwrap();
    accepted(&connection.read_answer("PUT").unwrap(), 200);
}

/// A063: an end is judged by the highest time seen, so a clock set back revives nothing, across a restart too.
#[test]
fn clock_set_back_revives_no_ended_key() {
    for (forward, back) in [(2 * DAY, 0), (40 * DAY, 10 * DAY)] {
        let mut clock = Clock::new();
        let ended = key(forward - 3600);
        let lasting = key(400 * DAY);
        clock.offset(forward);
        refused(&clock.get(&ended), 403, "expired");
        accepted(&clock.get(&lasting), 200);
        clock.offset(back);
        refused(&clock.get(&ended), 403, "expired");
        accepted(&clock.get(&lasting), 200);
        clock.gateway.restart().unwrap();
        refused(&clock.get(&ended), 403, "expired");
        accepted(&clock.get(&lasting), 200);
    }
}

/// A clock more than five minutes behind the highest time seen refuses counted keys until the operator accepts it.
#[test]
fn clock_far_behind_refuses_counted_keys_until_accepted() {
    let mut clock = Clock::new();
    let counted = key(400 * DAY).set("uses", "5");
    clock.offset(2 * DAY);
    accepted(&clock.get(&counted), 200);
    clock.offset(2 * DAY - 200);
    clock.gateway.restart().unwrap();
    accepted(&clock.get(&counted), 200);
    clock.offset(0);
    refused(&clock.get(&counted), 503, "ledger_unavailable");
    clock.gateway.restart().unwrap();
    refused(&clock.get(&counted), 503, "ledger_unavailable");
    accepted(&clock.get(&key(400 * DAY)), 200);
    let accept = valetkey(clock.gateway.home(), ["check", "--accept-clock"]).unwrap();
    assert_eq!(accept.status.code(), Some(0), "{}", String::from_utf8_lossy(&accept.stderr));
    wait_until(Duration::from_secs(5), "the clock is accepted", || clock.get(&counted).status == 200)
        .unwrap();
}

/// A064: a use that was spent stays spent, however far the clock goes and comes back.
#[test]
fn clock_moves_refill_no_count() {
    let mut clock = Clock::new();
    let counted = key(30 * DAY).set("uses", "1");
    accepted(&clock.get(&counted), 200);
    for days in [366, 0, 10, 0] {
        clock.offset(days * DAY);
        let answer = clock.gateway.send(&Request::get(counted.url()).header("User-Agent", "another"));
        assert!([403, 503].contains(&answer.status), "{days} days: {}", answer.status);
        clock.gateway.restart().unwrap();
        let answer = clock.gateway.send(&Request::get(counted.url()).header("User-Agent", "another"));
        assert!([403, 503].contains(&answer.status), "{days} days: {}", answer.status);
    }
    let accept = valetkey(clock.gateway.home(), ["check", "--accept-clock"]).unwrap();
    assert_eq!(accept.status.code(), Some(0));
    let answer = clock.gateway.send(&Request::get(counted.url()).header("User-Agent", "another"));
    assert!([403, 503].contains(&answer.status), "{}", answer.status);
}

/// Keys of one id share one count, however long after the first has ended the next is made.
#[test]
fn a_later_key_of_an_id_finds_what_the_first_one_used() {
    let clock = Clock::new();
    let of_id = |days: i64| key((days + 1) * DAY).set("id", "order-17").set("uses", "1");
    accepted(&clock.get(&of_id(0)), 200);
    for days in [3, 800] {
        clock.offset(days * DAY);
        // What is due is cleared with what is counted.
        accepted(&clock.get(&key((days + 1) * DAY).set("uses", "9")), 200);
        refused(&clock.get(&of_id(days)), 403, "uses_exhausted");
    }
}

/// A150: a lost ledger must not refill counts.
#[test]
fn new_ledger_beside_an_old_audit_log_refuses_counted_keys_until_accepted() {
    let mut gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let counted = key(DAY).set("uses", "1");
    accepted(&gateway.get(counted.url()), 200);
    assert!(gateway.stop().unwrap().success());
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        let path = gateway.home().join("valetkey-data").join(name);
        if path.exists() {
            std::fs::remove_file(path).unwrap();
        }
    }
    gateway.start().unwrap();
    refused(&gateway.get(counted.url()), 503, "ledger_unavailable");
    accepted(&gateway.get(key(DAY).url()), 200);
    gateway.restart().unwrap();
    refused(&gateway.get(counted.url()), 503, "ledger_unavailable");
    let accept = valetkey(gateway.home(), ["check", "--accept-new-ledger"]).unwrap();
    assert_eq!(accept.status.code(), Some(0), "{}", String::from_utf8_lossy(&accept.stderr));
    wait_until(Duration::from_secs(5), "the ledger is accepted", || gateway.get(counted.url()).status == 200)
        .unwrap();
}

/// A151: an old copy must not refill counts; a kill and a pause are no old copy.
#[test]
fn restored_ledger_refuses_counted_keys_until_accepted() {
    let mut clock = Clock::new();
    let counted = key(10 * DAY).set("uses", "1");
    let backup = clock.gateway.home().join("backup.db");
    let path = clock.gateway.home().join("valetkey-data/ledger.db");
    let copied = valetkey(clock.gateway.home(), ["ledger", "backup", "backup.db"]).unwrap();
    assert_eq!(copied.status.code(), Some(0), "{}", String::from_utf8_lossy(&copied.stderr));
    let again = valetkey(clock.gateway.home(), ["ledger", "backup", "backup.db"]).unwrap();
    assert_eq!(again.status.code(), Some(1), "nothing is overwritten");

    clock.offset(DAY);
    accepted(&clock.get(&counted), 200);
    // The record of the download is written, and the gateway is killed and started much later.
    refused(
        &clock.gateway.send(&Request::get(counted.url()).header("User-Agent", "x")),
        403,
        "uses_exhausted",
    );
    std::thread::sleep(Duration::from_secs(3));
    clock.gateway.kill9().unwrap();
    clock.offset(2 * DAY);
    clock.gateway.start().unwrap();
    let other = key(10 * DAY).set("uses", "1").set("id", "other");
    accepted(&clock.get(&other), 200);
    clock.gateway.restart().unwrap();
    refused(&clock.gateway.send(&Request::get(other.url()).header("User-Agent", "x")), 403, "uses_exhausted");

    assert!(clock.gateway.stop().unwrap().success());
    for name in ["ledger.db-wal", "ledger.db-shm"] {
        drop(std::fs::remove_file(path.with_file_name(name)));
    }
    std::fs::copy(&backup, &path).unwrap();
    clock.gateway.start().unwrap();
    refused(&clock.get(&counted), 503, "ledger_unavailable");
    accepted(&clock.get(&key(10 * DAY)), 200);
    assert!(clock.gateway.stderr().contains("old copy was restored"), "{}", clock.gateway.stderr());
    let accept = valetkey(clock.gateway.home(), ["check", "--accept-new-ledger"]).unwrap();
    assert_eq!(accept.status.code(), Some(0), "{}", String::from_utf8_lossy(&accept.stderr));
    wait_until(Duration::from_secs(5), "the ledger is accepted", || clock.get(&counted).status == 200)
        .unwrap();
}

/// A149: a damaged ledger is not opened as if it were empty.
#[test]
fn damaged_ledger_is_refused() {
    let mut gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let counted = key(DAY).set("uses", "1");
    accepted(&gateway.get(counted.url()), 200);
    assert!(gateway.stop().unwrap().success());
    let path = gateway.home().join("valetkey-data/ledger.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len().min(100);
    bytes[..end].fill(0xAA);
    std::fs::write(&path, bytes).unwrap();
    let answer = gateway.start().map(|()| gateway.get(counted.url()).status);
    assert!(answer.as_ref().map_or(true, |status| *status == 503), "{answer:?}");
    if let Err(error) = answer {
        assert!(error.to_string().contains("ledger"), "{error}");
    }
}

/// A153: as long as the ledger cannot be written nothing succeeds that it must know of, and then no more than before.
#[test]
fn a_slow_ledger_is_waited_for_or_refused() {
    let gateway = Gateway::new();
    gateway.plant("/files/a", "aaaa");
    let counted = key(DAY).set("uses", "1");
    let path = gateway.home().join("valetkey-data/ledger.db");
    let mut locker =
        Command::new("sqlite3").arg(path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut words, said) = (locker.stdin.take().unwrap(), locker.stdout.take().unwrap());
    words.write_all(b"BEGIN IMMEDIATE; SELECT 'locked';\n").unwrap();
    let mut line = String::new();
    BufReader::new(said).read_line(&mut line).unwrap();
    assert_eq!(line, "locked\n");
    let begun = Instant::now();
    let (answers, unlocked) = thread::scope(|scope| {
        let ask = |number: u32| {
            let request = Request::get(counted.url()).header("User-Agent", format!("agent {number}"));
            (gateway.send(&request), begun.elapsed())
        };
        let asking: Vec<_> = (0..8).map(|number| scope.spawn(move || ask(number))).collect();
        let upload = scope.spawn(|| {
            let key = Key::new("/files/b", "create").set("uses", "1");
            (gateway.send(&Request::put(key.url(), "b")), begun.elapsed())
        });
        // What needs no count is served meanwhile.
        accepted(&gateway.get(key(DAY).url()), 200);
        thread::sleep(Duration::from_secs(5));
        let unlocked = begun.elapsed();
        words.write_all(b"ROLLBACK;\n.quit\n").unwrap();
        let answers: Vec<_> =
            asking.into_iter().chain([upload]).map(|thread| thread.join().unwrap()).collect();
        (answers, unlocked)
    });
    locker.wait().unwrap();
    for (answer, at) in &answers {
        match answer.status {
            200 => assert!(*at >= unlocked, "served after {at:?}, before the ledger could be written"),
            403 => refused(answer, 403, "uses_exhausted"),
            _ => refused(answer, 503, "ledger_unavailable"),
        }
    }
    assert!(answers[..8].iter().filter(|(answer, _)| answer.status == 200).count() <= 1);
    let (upload, _) = &answers[8];
    assert_eq!(upload.status == 200, gateway.file_of("/files/b").exists());
    // It goes on by itself, and counts as ever.
    let more = (0..3).map(|number| {
        gateway.send(&Request::get(counted.url()).header("User-Agent", format!("later {number}"))).status
    });
    let served =
        more.chain(answers[..8].iter().map(|(answer, _)| answer.status)).filter(|status| *status == 200);
    assert_eq!(served.count(), 1);
}
