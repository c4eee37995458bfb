//! The command line, and the first start in an empty folder.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::Request;
use valetkey_tests::key::{Key, from_now, unix_now};
use valetkey_tests::process::{binary, valetkey, wait_until};

fn run(gateway: &Gateway, arguments: &[&str]) -> Output {
    valetkey(gateway.home(), arguments).unwrap()
}

fn sign(gateway: &Gateway, arguments: &[&str]) -> String {
    let output = run(gateway, &[&["sign"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", err(&output));
    let text = out(&output);
    let url = text.strip_suffix('\n').unwrap_or_else(|| panic!("{text:?} ends in a newline"));
    assert!(!url.contains('\n') && url.starts_with("http://"), "the URL stands alone: {text:?}");
    url.to_owned()
}

fn target_of<'a>(gateway: &Gateway, url: &'a str) -> &'a str {
    url.strip_prefix(&format!("http://{}", gateway.address()))
        .unwrap_or_else(|| panic!("{url} begins with the public URL"))
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn presigned_urls_open_what_they_say() {
    let gateway = Gateway::new();
    gateway.plant("/files/a.txt", "hello");
    let url = sign(&gateway, &["/files/a.txt", "--allow", "read", "--dialect", "aws", "--uses", "1"]);
    let target = target_of(&gateway, &url).to_owned();
    let host = gateway.address().to_string();
    let send = |request: Request| gateway.send(&request.header("Host", host.clone()));
    let refused = |request: Request, status: u16, reason: &str| {
        let answer = send(request);
        assert_eq!((answer.status, answer.reason()), (status, reason), "{}", answer.text());
    };
    let get = |edited: String| Request::get(edited);
    refused(get(target.replace("x-vk-uses=1", "x-vk-uses=2")), 403, "bad_signature");
    refused(get(target.replace("web%2F", "nobody%2F")), 403, "bad_signature");
    refused(get(target.replace("x-vk-uses=1", "x-vk-uses=01")), 400, "malformed_key");
    refused(get(format!("{target}&vk-sig=x")), 400, "bad_request");
    refused(Request::put(&target, "x"), 403, "bad_signature");
    // The signature covers the host.
    assert_eq!(gateway.get(&target).reason(), "bad_signature");
    let served = send(get(target.clone()).header("User-Agent", "one"));
    assert_eq!((served.status, served.body.as_slice()), (200, b"hello".as_slice()));
    refused(get(target).header("User-Agent", "two"), 403, "uses_exhausted");
}

#[test]
fn signed_urls_open_what_they_say() {
    let gateway = Gateway::new();
    let upload = sign(&gateway, &["/files/a b+ü.txt", "--allow", "create", "--max", "5", "--uses", "1"]);
    refused(&gateway.send(&Request::put(target_of(&gateway, &upload), "123456")), 413, "too_large");
    accepted(&gateway.send(&Request::put(target_of(&gateway, &upload), "hello")), 200);
    assert_eq!(std::fs::read(gateway.file_of("/files/a b+ü.txt")).unwrap(), b"hello");
    let download = sign(
        &gateway,
        &["/files/a b+ü.txt", "--allow", "read", "--disposition", "attachment; filename=\"x y.txt\""],
    );
    let answer = gateway.get(target_of(&gateway, &download));
    accepted(&answer, 200);
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"x y.txt\""));
    let subtree = sign(
        &gateway,
        &[
            "/files/d/x",
            "--allow",
            "read,write",
            "--scope",
            "/files/d/",
            "--subject",
            "u 1",
            "--ip",
            "127.0.0.0/8",
        ],
    );
    accepted(&gateway.send(&Request::put(target_of(&gateway, &subtree), "x")), 200);
    assert!(
        subtree.contains("vk-path=/files/d/") || subtree.contains("vk-path=%2Ffiles%2Fd%2F"),
        "{subtree}"
    );
    let elsewhere =
        sign(&gateway, &["/files/a", "--allow", "read", "--ip", "192.0.2.0/24", "--ip", "10.0.0.0/8"]);
    refused(&gateway.get(target_of(&gateway, &elsewhere)), 403, "client_not_allowed");
    let ahead =
        sign(&gateway, &["/files/a", "--allow", "read", "--start", &from_now(600), "--end", &from_now(900)]);
    refused(&gateway.get(target_of(&gateway, &ahead)), 403, "not_yet_valid");
}

/// `--expires` is 15 minutes where nothing says otherwise; each key gets an id and its time of issue.
#[test]
fn sign_fills_in_what_a_careful_issuer_would() {
    let gateway = Gateway::new();
    let url = sign(&gateway, &["/files/a", "--allow", "read"]);
    let value = |url: &str, name: &str| {
        let query = url.split_once('?').unwrap().1.to_owned();
        query.split('&').find_map(|part| part.strip_prefix(&format!("vk-{name}=")).map(str::to_owned))
    };
    let ends: Vec<String> =
        (-5..=5).map(|off| valetkey_tests::key::time_text(unix_now() + 900 + off)).collect();
    let end = value(&url, "end").unwrap();
    assert!(ends.contains(&end.replace("%3A", ":")), "{end} is 15 minutes ahead");
    assert!(value(&url, "issued").is_some() && value(&url, "id").is_some(), "{url}");
    let again = sign(&gateway, &["/files/a", "--allow", "read"]);
    assert_ne!(value(&url, "id"), value(&again, "id"));
    assert_eq!(
        value(&sign(&gateway, &["/files/a", "--allow", "read", "--id", "mine"]), "id").as_deref(),
        Some("mine")
    );
    let sized = sign(&gateway, &["/files/a", "--allow", "write", "--max", "5MiB", "--min", "1"]);
    assert_eq!(value(&sized, "max").as_deref(), Some("5242880"));
    // Unsorted verbs are sorted for the user.
    let sorted = sign(&gateway, &["/files/a", "--allow", "write,read", "--max", "5"]);
    assert_eq!(value(&sorted, "allow").map(|allow| allow.replace("%2C", ",")).as_deref(), Some("read,write"));
}

#[test]
fn sign_warns_of_uploads_without_a_cap() {
    let gateway = Gateway::new();
    let bare = run(&gateway, &["sign", "/files/a", "--allow", "create"]);
    assert_eq!(bare.status.code(), Some(0));
    assert!(err(&bare).contains("--max"), "{}", err(&bare));
    let capped = run(&gateway, &["sign", "/files/a", "--allow", "create", "--max", "5"]);
    assert!(!err(&capped).contains("--max"), "{}", err(&capped));
}

/// A057: refused at minting too, so that a mistake shows early.
#[test]
fn sign_refuses_what_the_ceiling_forbids() {
    let lines = "scope = [\"/files/in/\"]\nallow = [\"read\"]\nmax_lifetime = \"1h\"";
    let gateway = Gateway::builder().signer("small", "small secret small secret small secret", lines).start();
    let with = |arguments: &[&str]| run(&gateway, &[&["sign", "--signer", "small"], arguments].concat());
    assert_eq!(with(&["/files/in/a", "--allow", "read"]).status.code(), Some(0));
    for arguments in [
        &["/files/out", "--allow", "read"][..],
        &["/files/in/a", "--allow", "write", "--max", "5"],
        &["/files/in/a", "--allow", "read", "--expires", "2h"],
        &["/files/in/a", "--allow", "read", "--scope", "/files/"],
        &["/nowhere/a", "--allow", "read"],
        &["/files/in/a", "--allow", "read", "--policy", "absent"],
    ] {
        let output = with(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", err(&output));
        assert_eq!(out(&output), "", "no URL is printed");
        assert!(!err(&output).is_empty());
    }
    let unknown = run(&gateway, &["sign", "--signer", "nobody", "/files/in/a", "--allow", "read"]);
    assert_eq!(unknown.status.code(), Some(1), "{}", err(&unknown));
}

#[test]
fn wrong_usage_is_status_two() {
    let gateway = Gateway::new();
    for arguments in [
        &["sign"][..],
        &["sign", "/files/a"],
        &["sign", "/files/a", "--allow"],
        &["sign", "/files/a", "--allow", "read", "--bogus"],
        &["sign", "/files/a", "--allow", "fly"],
        &["sign", "/files/a", "--allow", "read", "--max", "lots"],
        &["sign", "/files/a", "--allow", "read", "--expires", "soon"],
        &["sign", "/files/a", "--allow", "read", "--uses", "0"],
        &["inspect"],
        &["no-such-command"],
        &["--bogus"],
        &[],
    ] {
        let output = run(&gateway, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}{}", out(&output), err(&output));
    }
    for arguments in [&["--help"][..], &["--version"], &["sign", "--help"]] {
        assert_eq!(run(&gateway, arguments).status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn inspect_tells_what_a_key_permits_and_whether_it_holds() {
    let gateway = Gateway::new();
    let key = Key::new("/files/a.txt", "read,write")
        .set("max", "123456")
        .set("uses", "7")
        .set("id", "my-id")
        .set("subject", "someone");
    let url = |key: &Key| format!("http://{}{}", gateway.address(), key.url());
    let good = run(&gateway, &["inspect", &url(&key)]);
    assert_eq!(good.status.code(), Some(0), "{}", err(&good));
    for word in ["read", "write", "/files/a.txt", "123456", "7", "my-id", "someone", "web"] {
        assert!(out(&good).contains(word), "{word} in {}", out(&good));
    }
    let json = run(&gateway, &["inspect", "--json", &url(&key)]);
    let told: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(told["valid"], true, "{told}");
    for (bad, reason) in [
        (key.clone().set("end", &from_now(-5)), "expired"),
        (key.clone().signed_by("web", "guess"), "bad_signature"),
        (key.clone().signed_by("nobody", "guess"), "bad_signature"),
        (key.clone().set("max", "05"), "malformed_key"),
        (key.clone().set("start", &from_now(600)), "not_yet_valid"),
    ] {
        let output = run(&gateway, &["inspect", "--json", &url(&bad)]);
        assert_eq!(output.status.code(), Some(1), "{reason}: {}", err(&output));
        assert!(
            out(&output).contains(reason) || err(&output).contains(reason),
            "{reason}: {}{}",
            out(&output),
            err(&output)
        );
    }
    for output in [&good, &json] {
        let sig = valetkey_tests::key::encoded_sig(&key.sig());
        assert!(!out(output).contains(&sig), "the signature is not repeated");
    }
}

#[test]
fn url_can_come_from_standard_input() {
    let gateway = Gateway::new();
    let url = format!("http://{}{}", gateway.address(), Key::new("/files/a.txt", "read").url());
    let mut child = Command::new(binary())
        .args(["inspect", "-"])
        .current_dir(gateway.home())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{url}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(out(&output).contains("/files/a.txt"));
}

#[test]
fn configuration_is_found_wherever_config_says() {
    let gateway = Gateway::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let path = gateway.config_path();
    let output = valetkey(
        elsewhere.path(),
        ["sign", "/files/a", "--allow", "read", "--config", path.to_str().unwrap()],
    )
    .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    gateway.plant("/files/a", "x");
    accepted(&gateway.get(target_of(&gateway, out(&output).trim())), 200);
    let missing = valetkey(elsewhere.path(), ["sign", "/files/a", "--allow", "read"]).unwrap();
    assert_eq!(missing.status.code(), Some(1), "{}", err(&missing));
    assert!(err(&missing).contains("valetkey.toml"), "{}", err(&missing));
}

/// The two commands of a newcomer: start it in an empty folder, and run what it prints.
#[test]
fn first_start_makes_a_configuration_and_prints_lines_that_work() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("output.log");
    let file = std::fs::File::create(&log).unwrap();
    let child = Command::new(binary())
        .arg("serve")
        .current_dir(folder.path())
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    let child = Ended(child);
    let lines = || curl_lines(&std::fs::read_to_string(&log).unwrap_or_default());
    let waited = wait_until(Duration::from_secs(20), "two curl lines", || lines().len() >= 2);
    assert!(waited.is_ok(), "{}", std::fs::read_to_string(&log).unwrap());
    for line in lines() {
        let output = Command::new("sh").arg("-c").arg(&line).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{line}: {}{}", out(&output), err(&output));
        let said = format!("{}{}", out(&output), err(&output));
        assert!(!said.contains("x-valetkey-reason") && !said.contains("\"reason\""), "{line}: {said}");
    }
    made_for_the_operator_alone(folder.path());
    let stored = files(&folder.path().join("valetkey-data/objects"));
    assert!(!stored.is_empty(), "the upload lies in the store");
    let check = valetkey(folder.path(), ["check"]).unwrap();
    assert_eq!(check.status.code(), Some(0), "{}", err(&check));
    drop(child);
    // A second start takes what is there and makes nothing anew.
    let written = std::fs::read(folder.path().join("valetkey.toml")).unwrap();
    let again = Command::new(binary())
        .arg("serve")
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let again = Ended(again);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(std::fs::read(folder.path().join("valetkey.toml")).unwrap(), written);
    drop(again);
}

/// A process that does not outlive its test.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn curl_lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.trim().trim_start_matches("$ "));
    lines.filter(|line| line.starts_with("curl ")).map(str::to_owned).collect()
}

fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            } else {
                found.push(entry.path().to_string_lossy().into_owned());
            }
        }
    }
    found
}

fn made_for_the_operator_alone(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mut secrets = 0;
    for path in files(&folder.join("valetkey-data")) {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        if path.ends_with(".secret") || path.ends_with("key") {
            assert_eq!(mode, 0o600, "{path} has mode {mode:o}");
            secrets += 1;
        }
    }
    assert!(secrets >= 2, "a signer's secret and the audit key are made");
}
