//! The audit log as an operator handles it: verified, read, rotated, cut, on a full disk, and after a crash.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use valetkey_tests::audit::records;
use valetkey_tests::expect::{accepted, refused, refused_in_words};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{self, Request};
use valetkey_tests::key::Key;
use valetkey_tests::process::{valetkey, wait_until};

use crate::disk_full::SmallDisk;

fn run(gateway: &Gateway, arguments: &[&str]) -> Output {
    valetkey(gateway.home(), arguments).unwrap()
}

/// `audit verify --json`, with its exit status.
fn verify(gateway: &Gateway, more: &[&str]) -> (Option<i32>, Value) {
    let output = run(gateway, &[&["audit", "verify", "--json"], more].concat());
    let json = serde_json::from_slice(&output.stdout);
    (output.status.code(), json.unwrap_or_else(|error| panic!("{error}: {output:?}")))
}

#[track_caller]
fn check_sound(gateway: &Gateway) -> Value {
    let (status, told) = verify(gateway, &[]);
    assert_eq!((status, &told["valid"], &told["fault"]), (Some(0), &true.into(), &Value::Null), "{told}");
    told
}

#[track_caller]
fn check_broken(gateway: &Gateway, file: &Path, line: u64) -> Value {
    let (status, told) = verify(gateway, &[]);
    let fault = &told["fault"];
    assert_eq!((status, &told["valid"]), (Some(1), &false.into()), "{told}");
    assert_eq!((&fault["file"], &fault["line"]), (&file.to_str().unwrap().into(), &line.into()), "{told}");
    let output = run(gateway, &["audit", "verify"]);
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(words.contains(&format!("{}:{line}: ", file.display())), "{words}");
    told
}

fn upload(gateway: &Gateway, count: usize) {
    for _ in 0..count {
        accepted(&gateway.send(&Request::put(Key::new("/files/a", "write").url(), "x")), 200);
    }
}

fn edit(path: &Path, edit: impl FnOnce(&mut Vec<String>)) {
    let mut lines: Vec<_> =
        fs::read_to_string(path).unwrap().lines().map(|line| format!("{line}\n")).collect();
    edit(&mut lines);
    fs::write(path, lines.concat()).unwrap();
}

fn moved(gateway: &Gateway, name: &str) -> PathBuf {
    let to = gateway.audit_path().with_file_name(name);
    fs::rename(gateway.audit_path(), &to).unwrap();
    to
}

#[test]
fn sound_log_verifies_while_the_gateway_runs_and_after_it() {
    let mut gateway = Gateway::new();
    upload(&gateway, 5);
    let told = check_sound(&gateway);
    assert_eq!(told["records"], 5);
    // The ledger is told at most a second later.
    let known = || verify(&gateway, &[]).1["ledger"]["records"] == 5;
    wait_until(Duration::from_secs(3), "the ledger knows the newest record", known).unwrap();
    gateway.stop().unwrap();
    let told = check_sound(&gateway);
    assert_eq!(told["ledger"]["hash"], told["last"]);
    let (status, of_file) = verify(&gateway, &[gateway.audit_path().to_str().unwrap()]);
    assert_eq!((status, &of_file["records"], &of_file["ledger"]), (Some(0), &5.into(), &Value::Null));
    assert_eq!(run(&gateway, &["audit", "verify"]).status.code(), Some(0));
    assert_eq!(run(&gateway, &["audit", "verify", "absent"]).status.code(), Some(1));
    assert_eq!(run(&gateway, &["audit"]).status.code(), Some(2));
}

#[test]
fn tampering_is_named_by_file_and_line() {
    let mut gateway = Gateway::new();
    upload(&gateway, 6);
    gateway.stop().unwrap();
    let log = gateway.audit_path();
    let whole = fs::read(&log).unwrap();
    type Change = fn(&mut Vec<String>);
    let cases: [(u64, Change); 5] = [
        (4, |lines| lines[2] = lines[2].replace("200", "403")),
        (3, |lines| drop(lines.remove(2))),
        (3, |lines| lines.swap(2, 3)),
        (6, |lines| lines[5] = lines[5].replace("200", "403")),
        (6, |lines| drop(lines.pop())),
    ];
    for (line, change) in cases {
        edit(&log, change);
        check_broken(&gateway, &log, line);
        fs::write(&log, &whole).unwrap();
    }
    check_sound(&gateway);
}

#[test]
fn log_that_was_cut_stops_the_start_until_it_is_accepted() {
    let mut gateway = Gateway::new();
    upload(&gateway, 6);
    gateway.stop().unwrap();
    let log = gateway.audit_path();
    edit(&log, |lines| lines.truncate(4));
    let told = check_broken(&gateway, &log, 5);
    assert!(told["fault"]["why"].as_str().unwrap().contains("the last 2 are missing"), "{told}");
    let error = gateway.start().unwrap_err().to_string();
    assert!(error.contains("record 6") && error.contains("valetkey check --accept-audit-log"), "{error}");
    assert_eq!(records(&log).unwrap().len(), 4, "it is left alone");
    let accept = run(&gateway, &["check", "--accept-audit-log"]);
    assert_eq!(accept.status.code(), Some(0), "{}", String::from_utf8_lossy(&accept.stderr));
    gateway.start().unwrap();
    upload(&gateway, 1);
    gateway.stop().unwrap();
    assert_eq!(check_sound(&gateway)["records"], 5);
}

#[test]
fn killed_gateway_starts_again_and_its_log_is_sound() {
    let mut gateway = Gateway::new();
    for _ in 0..3 {
        upload(&gateway, 3);
        gateway.kill9().unwrap();
        check_sound(&gateway);
        gateway.start().unwrap();
    }
    assert_eq!(check_sound(&gateway)["records"], 9);
}

#[test]
fn log_goes_on_in_new_files_as_they_fill() {
    let mut gateway = Gateway::builder().audit_lines("rotate = \"64KiB\"").start();
    let key = Key::new("/files/absent", "read");
    for _ in 0..4 {
        let mut connection = gateway.connect();
        for _ in 0..100 {
            connection.exchange(&Request::get(key.url())).unwrap();
        }
        thread::sleep(Duration::from_millis(1_100));
    }
    gateway.restart().unwrap();
    upload(&gateway, 1);
    gateway.stop().unwrap();
    let told = check_sound(&gateway);
    assert_eq!(told["records"], 401);
    assert!(told["files"].as_array().unwrap().len() >= 3, "{told}");
    for file in told["files"].as_array().unwrap() {
        assert!(fs::metadata(file["file"].as_str().unwrap()).unwrap().len() <= 64 << 10, "{file}");
    }
}

#[test]
fn log_that_is_moved_away_goes_on_within_a_second() {
    let mut gateway = Gateway::new();
    upload(&gateway, 3);
    let first = moved(&gateway, "audit.jsonl.2");
    wait_until(Duration::from_secs(1), "a new file", || gateway.audit_path().exists()).unwrap();
    upload(&gateway, 3);
    // As logrotate does with `create`.
    let second = moved(&gateway, "audit.jsonl.1");
    fs::write(gateway.audit_path(), "").unwrap();
    upload(&gateway, 3);
    let told = check_sound(&gateway);
    assert_eq!((&told["records"], told["files"].as_array().unwrap().len()), (&9.into(), 3), "{told}");
    let (status, of_file) = verify(&gateway, &[second.to_str().unwrap()]);
    assert_eq!((status, &of_file["records"]), (Some(0), &3.into()));
    gateway.stop().unwrap();
    moved(&gateway, "audit.jsonl-20261122");
    gateway.start().unwrap();
    upload(&gateway, 1);
    gateway.stop().unwrap();
    assert_eq!(check_sound(&gateway)["records"], 10);

    let whole = fs::read(&first).unwrap();
    edit(&first, |lines| lines[1] = lines[1].replace("200", "403"));
    check_broken(&gateway, &first, 3);
    fs::write(&first, whole).unwrap();
    fs::remove_file(second).unwrap();
    let (status, told) = verify(&gateway, &[]);
    assert_eq!((status, &told["fault"]["line"]), (Some(1), &1.into()), "{told}");
}

#[test]
fn tail_prints_the_newest_records() {
    let gateway = Gateway::new();
    upload(&gateway, 12);
    moved(&gateway, "audit.jsonl.1");
    upload(&gateway, 2);
    let lines = |arguments: &[&str]| -> Vec<String> {
        let output = run(&gateway, arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    };
    let words = lines(&["audit", "tail"]);
    assert_eq!(words.len(), 10);
    assert!(words.iter().all(|line| line.contains(" 200 upload /files/a signer=web ")), "{words:?}");
    assert_eq!(lines(&["audit", "tail", "-n", "14"]).len(), 14);
    let raw = lines(&["audit", "tail", "-n", "1", "--json"]);
    let log = fs::read_to_string(gateway.audit_path()).unwrap();
    assert_eq!(raw, [log.lines().last().unwrap()]);
}

/// Fills a disk to the last byte; removing the file makes room again.
fn filled(disk: &Path) -> PathBuf {
    let path = disk.join("filler");
    let mut file = fs::File::create(&path).unwrap();
    for bytes in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![1; bytes]).is_ok() {}
    }
    path
}

/// A136, A169: what must be recorded is refused, what need not be is served, and it ends by itself.
#[test]
fn full_audit_disk_refuses_what_must_be_recorded_and_ends_by_itself() {
    let disk = SmallDisk::new();
    let mut gateway = Gateway::builder().audit(&disk.path().join("audit.jsonl")).start();
    gateway.plant("/files/planted", "there");
    let put = |object: &str| gateway.send(&Request::put(Key::new(object, "write").url(), "x"));
    accepted(&put("/files/before"), 200);
    let filler = filled(disk.path());

    // The log's last page may have room for a few; the one that finds none appeared already.
    let first = (0..64).map(|number| put(&format!("/files/{number}"))).find(|answer| answer.status != 200);
    let first = first.unwrap();
    refused_in_words(&first, 503, "ledger_unavailable");
    assert!(first.text().contains("could not be recorded"), "{}", first.text());

    let counted = Key::new("/files/planted", "delete,read").set("uses", "3").set("id", "counted");
    for _ in 0..3 {
        refused(&put("/files/refused"), 503, "ledger_unavailable");
        refused(&gateway.get(counted.url()), 503, "ledger_unavailable");
        refused(&gateway.send(&Request::delete(counted.url())), 503, "ledger_unavailable");
        let served = gateway.get(Key::new("/files/planted", "read").url());
        accepted(&served, 200);
        assert_eq!(served.body, b"there");
    }
    assert!(!gateway.file_of("/files/refused").exists());

    fs::remove_file(filler).unwrap();
    wait_until(Duration::from_secs(3), "uploads again", || put("/files/after").status == 200).unwrap();
    let taken = (0..5)
        .filter(|number| {
            let request = Request::get(counted.url()).header("User-Agent", format!("agent {number}"));
            gateway.send(&request).status == 200
        })
        .count();
    assert_eq!(taken, 3, "refused requests took no use");
    gateway.stop().unwrap();
    check_sound(&gateway);
    let all = records(&gateway.audit_path()).unwrap();
    let of = |answer: &http::Answer| {
        let id = answer.header("x-request-id").unwrap();
        all.iter().filter(|record| record["request_id"] == id).count()
    };
    assert_eq!(of(&first), 1, "what could not be recorded at once was recorded later");
    assert!(all.iter().filter(|record| record["reason"] == "ledger_unavailable").count() >= 9);
}

/// The object appeared, the record did not, and then the gateway was killed: the next start writes it.
#[test]
fn record_that_a_crash_took_is_written_at_the_next_start() {
    let disk = SmallDisk::new();
    let mut gateway = Gateway::builder().audit(&disk.path().join("audit.jsonl")).start();
    let put = |number: usize| {
        let key = Key::new(&format!("/files/{number}"), "write")
            .set("uses", "1")
            .set("id", &format!("once-{number}"))
            .set("subject", "somebody");
        (key.clone(), gateway.send(&Request::put(key.url(), "x")))
    };
    let filler = filled(disk.path());
    let (number, (key, answer)) =
        (0..64).map(|number| (number, put(number))).find(|(_, (_, answer))| answer.status != 200).unwrap();
    refused(&answer, 503, "ledger_unavailable");
    assert!(gateway.file_of(&format!("/files/{number}")).exists());
    gateway.kill9().unwrap();
    fs::remove_file(filler).unwrap();
    gateway.start().unwrap();

    let id = answer.header("x-request-id").unwrap().to_owned();
    let told = || -> Vec<Value> {
        let all = records(&gateway.audit_path()).unwrap();
        all.into_iter().filter(|record| record["request_id"] == id.as_str()).collect()
    };
    let [record] = &told()[..] else { panic!("{:?}", told()) };
    for (name, value) in [
        ("action", "upload"),
        ("signer", "web"),
        ("subject", "somebody"),
        ("id", &format!("once-{number}")),
        ("key", &key.fingerprint()),
        ("bucket", "files"),
        ("object", &number.to_string()),
        ("reason", "the gateway stopped before it was answered; the object is there"),
    ] {
        assert_eq!(record[name], value, "{name} in {record}");
    }
    assert_eq!(record["status"], Value::Null);
    refused(&gateway.send(&Request::put(key.url(), "y")), 403, "uses_exhausted");
    gateway.restart().unwrap();
    let again = records(&gateway.audit_path()).unwrap();
    assert_eq!(again.iter().filter(|record| record["request_id"] == id.as_str()).count(), 1, "once");
    check_sound(&gateway);
}

/// Wherever the kill falls, an object of a counted key that is there has its record, exactly once.
#[test]
fn kills_at_random_moments_leave_no_counted_upload_unrecorded() {
    let mut gateway = Gateway::new();
    for round in 0..8_u64 {
        let address = gateway.address();
        let threads: Vec<_> = (0..8)
            .map(|number| {
                thread::spawn(move || {
                    for object in 0..40 {
                        let object = format!("/files/{round}-{number}-{object}");
                        let key =
                            Key::new(&object, "write").set("uses", "1").set("id", &object.replace('/', "."));
                        if http::send(address, &Request::put(key.url(), "x")).is_err() {
                            return;
                        }
                    }
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(20 + round * 11));
        gateway.kill9().unwrap();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        gateway.start().unwrap();
    }
    let all = records(&gateway.audit_path()).unwrap();
    let names: Vec<String> = gateway.stored();
    let objects: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix("files/")).collect();
    assert!(objects.len() > 8, "{objects:?}");
    for object in objects {
        let told: Vec<_> = all.iter().filter(|record| record["object"] == object).collect();
        let sound = |record: &&Value| {
            let reason = record["reason"].as_str();
            record["status"] == 200 || reason.is_some_and(|reason| reason.ends_with("the object is there"))
        };
        assert!(told.len() == 1 && told.iter().all(sound), "{object}: {told:?}");
    }
    check_sound(&gateway);
}
