//! The configuration: what it takes, and that its errors name the file, the line and what to write instead.

use std::os::unix::fs::PermissionsExt;

use valetkey_tests::gateway::Gateway;
use valetkey_tests::key::WEB_SECRET;
use valetkey_tests::process::valetkey;

const GOOD: &str = r#"[server]
listen = "127.0.0.1:0"
public_url = "http://127.0.0.1:8080"
clock_skew = "30s"
lease = "10m"

[ledger]
engine = "sqlite"
path = "valetkey-data/ledger.db"

[audit]
path = "valetkey-data/audit.jsonl"

[backends.local]
kind = "disk"
root = "valetkey-data/objects"

[buckets.files]
backend = "local"
prefix = ""

[signers.web]
secret_file = "valetkey-data/signers/web.secret"
scope = ["/files/"]
allow = ["create", "delete", "list", "read", "write"]
max_lifetime = "7d"

[policies.avatar]
allow = ["create"]
scope = ["/files/avatars/"]
max = "5MiB"
uses = 1
max_lifetime = "15m"
"#;

/// Runs `valetkey check` on a text; its exit status and all that it wrote.
fn check(text: &str) -> (Option<i32>, String) {
    let gateway = Gateway::builder().write().unwrap();
    std::fs::write(gateway.config_path(), text).unwrap();
    let output = valetkey(gateway.home(), ["check", "--config", "valetkey.toml"]).unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), said)
}

/// A text with `from` replaced by `to` is refused by `check` and by `serve`, with the file, a line of the replacement and
/// these words.
#[track_caller]
fn edit_is_refused(from: &str, to: &str, words: &[&str]) {
    let at = GOOD.find(from).unwrap_or_else(|| panic!("{from:?} is in the good text"));
    let first = GOOD[..at].lines().count().max(1) + usize::from(GOOD[..at].ends_with('\n'));
    let text = GOOD.replacen(from, to, 1);
    let (status, said) = check(&text);
    assert_eq!(status, Some(1), "{said}");
    for word in words.iter().chain(&["valetkey.toml"]) {
        assert!(said.contains(word), "{word:?} in {said}");
    }
    let mut lines = first..first + to.lines().count();
    assert!(lines.any(|line| names_line(&said, line)), "line {first} in {said}");
    let mut gateway = Gateway::builder().write().unwrap();
    std::fs::write(gateway.config_path(), text).unwrap();
    assert!(gateway.start().is_err(), "it must not start");
}

fn names_line(said: &str, line: usize) -> bool {
    let forms = [
        format!(":{line}:"),
        format!(":{line} "),
        format!("line {line}:"),
        format!("line {line},"),
        format!("line {line} "),
        format!("line {line}\n"),
        format!(":{line}\n"),
    ];
    forms.iter().any(|form| said.contains(form.as_str()))
}

/// The number of the line on which `part` stands.
fn line_of(text: &str, part: &str) -> usize {
    1 + text.lines().position(|line| line.contains(part)).unwrap()
}

#[test]
fn good_configuration_is_explained() {
    let (status, said) = check(GOOD);
    assert_eq!(status, Some(0), "{said}");
    for word in ["files", "web", "avatar", "127.0.0.1"] {
        assert!(said.contains(word), "{word} in {said}");
    }
    assert!(!said.contains(WEB_SECRET), "no secret is shown");
}

#[test]
fn unknown_names_are_errors() {
    edit_is_refused("clock_skew =", "clock_skwe =", &["clock_skwe"]);
    edit_is_refused("[policies.avatar]", "[polices.avatar]", &["polices"]);
    edit_is_refused("uses = 1", "use = 1", &["use"]);
    edit_is_refused("max_lifetime = \"15m\"", "max_lifetimes = \"15m\"", &["max_lifetimes"]);
    edit_is_refused("prefix = \"\"", "prefixx = \"\"", &["prefixx"]);
    edit_is_refused("allow = [\"create\"]", "allow = [\"creat\"]", &["creat"]);
    edit_is_refused("uses = 1", "type = [\"Image/png\"]", &["Image/png"]);
    edit_is_refused("uses = 1", "digest = \"md5:x\"", &["digest"]);
    edit_is_refused("kind = \"disk\"", "kind = \"floppy\"", &["floppy"]);
    edit_is_refused("backend = \"local\"", "backend = \"lokal\"", &["lokal"]);
}

#[test]
fn values_out_of_range_are_errors() {
    edit_is_refused("uses = 1", "uses = 0", &["uses"]);
    edit_is_refused("uses = 1", "uses = -1", &["uses"]);
    edit_is_refused("uses = 1", "uses = 1.5", &["uses"]);
    edit_is_refused("uses = 1", "uses = 99999999999999999999", &[]);
    edit_is_refused("max = \"5MiB\"", "max = \"5 elephants\"", &["elephants"]);
    edit_is_refused("max = \"5MiB\"", "max = -5", &["max"]);
    edit_is_refused("max = \"5MiB\"", "max = \"99999999999TiB\"", &["99999999999TiB"]);
    edit_is_refused("max_lifetime = \"15m\"", "max_lifetime = \"0s\"", &["max_lifetime"]);
    edit_is_refused("max_lifetime = \"15m\"", "max_lifetime = \"fortnight\"", &["fortnight"]);
    edit_is_refused("listen = \"127.0.0.1:0\"", "listen = \"here\"", &["here"]);
    edit_is_refused("clock_skew = \"30s\"", "clock_skew = 30.5", &["clock_skew"]);
    edit_is_refused("max = \"5MiB\"", "max = \"5MiB\"\nmin = \"6MiB\"", &["min"]);
    edit_is_refused("uses = 1", "ip = [\"10.0.0.1/8\"]", &["10.0.0.1/8"]);
}

#[test]
fn clashes_and_overlaps_are_errors() {
    edit_is_refused(
        "[buckets.files]\nbackend = \"local\"\nprefix = \"\"",
        "[buckets.files]\nbackend = \"local\"\nprefix = \"\"\n[buckets.inner]\nbackend = \"local\"\nprefix = \"in/\"",
        &["inner", "files"],
    );
    edit_is_refused("scope = [\"/files/avatars/\"]", "scope = [\"/nothing/\"]", &["/nothing/"]);
    edit_is_refused("scope = [\"/files/\"]", "scope = [\"/file/\"]", &["/file/"]);
    edit_is_refused("scope = [\"/files/\"]", "scope = [\"files\"]", &["files"]);
    edit_is_refused("uses = 1", "uses = 1\nuses = 2", &["uses"]);
    edit_is_refused("[buckets.files]", "[buckets.Files]", &["Files"]);
    edit_is_refused("[signers.web]", "[signers.We_b]", &["We_b"]);
}

/// What one kind of backend says is no setting of another, and only a remote one can be redirected to.
#[test]
fn a_backend_says_what_its_kind_needs() {
    edit_is_refused("kind = \"disk\"", "kind = \"ftp\"", &["\"s3\"", "\"azure\"", "\"gcs\""]);
    edit_is_refused("[buckets.files]", "[buckets.files]\ndelivery = \"redirect\"", &["redirect"]);
}

#[test]
fn broken_toml_is_an_error_with_its_line() {
    edit_is_refused("uses = 1", "uses = = 1", &[]);
    edit_is_refused("[policies.avatar]", "[policies.avatar", &[]);
}

/// What this build does not enforce is said at the start, not ignored.
#[test]
fn unsupported_settings_are_errors() {
    edit_is_refused("engine = \"sqlite\"", "engine = \"postgres\"", &["postgres"]);
}

type Spoil<'a> = &'a dyn Fn(&std::path::Path);

/// A011, and secrets that are not secret.
#[test]
fn secrets_must_be_there_and_private_and_not_empty() {
    let cases: [(&str, Spoil); 4] = [
        ("missing", &|path| std::fs::remove_file(path).unwrap()),
        ("readable by others", &|path| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap()
        }),
        ("readable by the group", &|path| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o640)).unwrap()
        }),
        ("empty", &|path| std::fs::write(path, "\n").unwrap()),
    ];
    for (what, spoil) in cases {
        let mut gateway = Gateway::builder().write().unwrap();
        let secret = gateway.home().join("valetkey-data/signers/web.secret");
        spoil(&secret);
        let text = std::fs::read_to_string(gateway.config_path()).unwrap();
        let line = line_of(&text, "secret_file");
        let output = valetkey(gateway.home(), ["check", "--config", "valetkey.toml"]).unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{what}: {said}");
        assert!(said.contains("web.secret") && said.contains("valetkey.toml"), "{what}: {said}");
        assert!(names_line(&said, line), "{what}: line {line} in {said}");
        assert!(!said.contains(WEB_SECRET));
        let refusal = gateway.start().unwrap_err().to_string();
        assert!(refusal.contains("ended"), "{what}: {refusal}");
    }
}

#[test]
fn secret_in_the_file_itself_is_an_error() {
    edit_is_refused(
        "secret_file = \"valetkey-data/signers/web.secret\"",
        "secret = \"c2VjcmV0\"",
        &["secret"],
    );
}

/// A152: two processes on one ledger would count twice.
#[test]
fn second_gateway_on_one_ledger_does_not_start() {
    let gateway = Gateway::new();
    let text = std::fs::read_to_string(gateway.config_path()).unwrap();
    let other = text.replace(&gateway.address().port().to_string(), "0");
    std::fs::write(gateway.home().join("other.toml"), other).unwrap();
    let output = valetkey(gateway.home(), ["serve", "--config", "other.toml"]).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("ledger"), "{said}");
    assert_eq!(gateway.health().unwrap(), 200);
}

#[test]
fn taken_address_is_an_error_that_names_it() {
    let gateway = Gateway::new();
    let second = Gateway::builder().write().unwrap();
    let text = std::fs::read_to_string(second.config_path()).unwrap();
    let taken = text.replace(&second.address().to_string(), &gateway.address().to_string());
    std::fs::write(second.config_path(), taken).unwrap();
    let output = valetkey(second.home(), ["serve", "--config", "valetkey.toml"]).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&gateway.address().to_string()), "{said}");
}

/// Plain HTTP beyond the machine is warned of at every start.
#[test]
fn plain_http_on_an_open_address_is_warned_of() {
    let mut open = Gateway::builder().write().unwrap();
    let text = std::fs::read_to_string(open.config_path()).unwrap();
    let port = open.address().port();
    std::fs::write(
        open.config_path(),
        text.replace(&format!("listen = \"127.0.0.1:{port}\""), &format!("listen = \"0.0.0.0:{port}\"")),
    )
    .unwrap();
    open.start().unwrap();
    assert!(open.stderr().to_lowercase().contains("plain http"), "{}", open.stderr());
    let quiet = Gateway::new();
    assert!(!quiet.stderr().to_lowercase().contains("plain http"), "{}", quiet.stderr());
}
