#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser as _;
use serde_json::{Value, json};
use valetkey::key::{KeyUrl, decode};
use valetkey::{Claims, Denial, Grant, Now, ResourcePath, Secret, Verbs, bound, mint, narrow};

use super::inspect::inspect;
use super::*;
use crate::admin::Answer;
use crate::settings::{AdminListen, embedded};

const SECRET: &str = "a secret that nobody should see";

/// 2026-11-21T12:00:00Z.
const NOW: Timestamp = Timestamp::from_unix(1_795_262_400);

const CONFIGURATION: &str = r#"
[server]
public_url = "https://files.example.com"
[backends.local]
root = "objects"
[buckets.files]
backend = "local"
[buckets.other]
backend = "local2"
[backends.local2]
root = "others"
[signers.web]
secret_file = "web.secret"
scope = ["/files/"]
allow = ["create", "list", "read"]
max_lifetime = "7d"
[policies.avatar]
scope = ["/files/avatars/"]
allow = ["create"]
max = "5MiB"
min = 10
uses = 2
ip = ["10.0.0.0/8"]
start = 2026-01-01T00:00:00Z
end = 2026-12-01T00:00:00Z
type = ["image/*", "text/plain"]
disposition = "attachment"
max_lifetime = "10m"
[policies.past]
end = 2026-11-01T00:00:00Z
[policies.soon]
end = 2026-11-22T00:00:00Z
[policies.nothing]
allow = ["delete"]
"#;

/// A folder with a configuration, at which commands are typed.
struct Bench(tempfile::TempDir);

/// What a command answered.
struct Typed {
    verdict: Verdict,
    out: String,
    notes: String,
    accepted: Option<Acceptance>,
    /// What a running gateway was asked.
    asked: Vec<String>,
}

impl Bench {
    fn new(configuration: &str) -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        fs::write(bench.path("web.secret"), SECRET).unwrap();
        fs::set_permissions(bench.path("web.secret"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(bench.path("c.toml"), configuration).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn settings(&self) -> Settings {
        Settings::load(&self.path("c.toml")).unwrap()
    }

    /// Types `words`, with `input` on standard input.
    fn typed_with(&self, words: &[&str], input: &str) -> Typed {
        let config = self.path("c.toml");
        let words = ["valetkey"].iter().chain(words).copied();
        let cli = Cli::try_parse_from(words.chain(["--config", config.to_str().unwrap()])).unwrap();
        let (mut out, mut notes, mut accepted) = (Vec::new(), Vec::new(), None);
        let asked = RefCell::new(Vec::new());
        let mut streams = Streams { input: &mut input.as_bytes(), out: &mut out, notes: &mut notes };
        let gateway = Gateway {
            serve: |_| Ok(()),
            connect: |settings: &Settings| {
                let answer = |name: &String| match name.as_str() {
                    "silent" => Err("it does not answer".to_owned()),
                    _ => Ok(()),
                };
                settings.backends.keys().map(|name| (name.clone(), answer(name))).collect()
            },
            accept: |_: &Settings, acceptance| {
                accepted = Some(acceptance);
                Ok(())
            },
            ask: |_: &AdminListen, method: &str, target: &str, body: Option<&Value>| {
                asked.borrow_mut().push(format!("{method} {target} {}", body.unwrap_or(&Value::Null)));
                Ok(Answer { status: 201, body: json!({"number": 7, "made": "now", "path": "/files/a"}) })
            },
        };
        let verdict = run(cli, NOW, &mut streams, gateway);
        let (out, notes) = (String::from_utf8(out).unwrap(), String::from_utf8(notes).unwrap());
        assert!(!out.contains(SECRET) && !notes.contains(SECRET), "{out}{notes}");
        Typed { verdict, out, notes, accepted, asked: asked.into_inner() }
    }

    fn typed(&self, words: &[&str]) -> Typed {
        self.typed_with(words, "")
    }

    /// Signs with `words` after `sign`, and gives the URL and what was said of it.
    fn signed(&self, words: &[&str]) -> (String, String) {
        let answer = self.typed(&[&["sign"], words].concat());
        assert_eq!(answer.verdict, Verdict::Done, "{}", answer.notes);
        let url = answer.out.strip_suffix('\n').unwrap();
        assert!(!url.contains(['\n', ' ']), "the URL stands alone: {url}");
        (url.to_owned(), answer.notes)
    }
}

fn bench() -> Bench {
    Bench::new(CONFIGURATION)
}

/// Asserts that `sign` refuses `words` with `part` in its message, and prints no URL.
fn refuses(words: &[&str], part: &str) {
    let answer = bench().typed(&[&["sign"], words].concat());
    assert_eq!((answer.verdict, answer.out.as_str()), (Verdict::Refused, ""), "{words:?}");
    assert!(answer.notes.contains(part), "{words:?}: {}", answer.notes);
}

/// Asserts that `words` are wrong usage.
fn is_wrong_usage(words: &[&str]) {
    let error = Cli::try_parse_from(["valetkey"].iter().chain(words)).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{words:?}");
}

/// The value of one parameter in a signed URL.
fn value(url: &str, name: &str) -> Option<String> {
    let query = KeyUrl::parse(url).unwrap().query;
    let value = query.split('&').find_map(|pair| pair.strip_prefix(&format!("vk-{name}=")))?;
    Some(valetkey::decode_query_component(value).unwrap().into_owned())
}

fn grant(url: &str, settings: &Settings) -> Grant {
    let url = KeyUrl::parse(url).unwrap();
    let path = url.path().unwrap();
    let presented = decode(url.query, Some(&path)).unwrap().unwrap();
    let secrets = settings.signers.get(presented.signer()).map(|signer| &signer.secrets);
    presented.verify(secrets).unwrap().into()
}

#[test]
fn the_commands_are_sound() {
    use clap::CommandFactory as _;
    Cli::command().debug_assert();
    let help = Cli::command().render_help().to_string();
    for command in ["serve", "check", "sign", "inspect", "--config", "--json"] {
        assert!(help.contains(command), "{help}");
    }
    is_wrong_usage(&["frobnicate"]);
}

#[test]
fn a_signed_url_is_taken_by_the_gateways_own_checks() {
    let bench = bench();
    let (url, notes) = bench.signed(&[
        "/files/u42/photo of é+.jpg",
        "--allow",
        "read,create",
        "--max",
        "5MiB",
        "--min",
        "7",
        "--uses",
        "3",
        "--ip",
        "10.0.0.0/8",
        "--ip",
        "192.0.2.7",
        "--disposition",
        "attachment",
        "--subject",
        "ü 42",
        "--expires",
        "1h30m",
    ]);
    assert_eq!(notes, "");
    assert!(url.starts_with("https://files.example.com/files/u42/photo%20of%20%C3%A9%2B.jpg?vk-"), "{url}");
    let settings = bench.settings();
    let grant = grant(&url, &settings);
    assert_eq!(grant.end(), NOW.plus(Duration::from_secs(5_400)));
    let house = settings.house(&grant);
    let bounded = bound(grant, &house, Now::at(NOW)).unwrap();
    let grant = bounded.grant();
    assert_eq!(grant.allow().to_string(), "create,read,stat");
    assert_eq!((grant.size().min_bytes, grant.size().max_bytes), (7, Some(5 << 20)));
    assert_eq!(grant.levels()[0].limits.uses, Some(3));
    assert_eq!(grant.subject(), Some("ü 42"));
    assert_eq!(value(&url, "allow").unwrap(), "create,read");
    assert_eq!(value(&url, "ip").unwrap(), "10.0.0.0/8,192.0.2.7/32");
    assert_eq!(value(&url, "issued").unwrap(), NOW.to_string());
}

#[test]
fn every_key_has_a_name_and_an_end_of_its_own() {
    let bench = bench();
    let (one, _) = bench.signed(&["/files/a", "--allow", "read"]);
    let (other, _) = bench.signed(&["/files/a", "--allow", "read"]);
    let id = value(&one, "id").unwrap();
    assert_ne!(Some(&id), value(&other, "id").as_ref());
    assert!(id.len() == 32 && id.bytes().all(|byte| b"0123456789abcdef".contains(&byte)), "{id}");
    assert_eq!(value(&one, "end").unwrap(), "2026-11-21T12:15:00Z");
    let (named, _) =
        bench.signed(&["/files/a", "--allow", "read", "--id", "mine", "--end", "2026-11-22T00:00:00Z"]);
    assert_eq!(value(&named, "id").as_deref(), Some("mine"));
    assert_eq!(value(&named, "end").as_deref(), Some("2026-11-22T00:00:00Z"));
    // Where a ceiling is shorter than the default, it is what is meant.
    let (short, _) = bench.signed(&["/files/avatars/a", "--allow", "create", "--policy", "avatar"]);
    assert_eq!(value(&short, "end").unwrap(), "2026-11-21T12:10:00Z");
}

#[test]
fn a_scope_wider_than_the_path_is_signed() {
    let bench = bench();
    let (url, _) = bench.signed(&["/files/u42/", "--allow", "list", "--scope", "/files/"]);
    assert_eq!(value(&url, "path").as_deref(), Some("/files/"));
    let (url, _) = bench.signed(&["/files", "--allow", "list", "--scope", "/files/"]);
    assert!(url.starts_with("https://files.example.com/files/?") && value(&url, "path").is_none(), "{url}");
    refuses(&["/files/u42/a", "--allow", "read", "--scope", "/files/u4/"], "outside --scope /files/u4/");
    refuses(&["/files/u42/a", "--allow", "read", "--scope", "/files/u42/b"], "outside --scope");
}

#[test]
fn the_signer_is_told_apart_where_there_are_several() {
    let two = format!("{CONFIGURATION}[signers.app]\nsecret_file = \"web.secret\"\n");
    let bench = Bench::new(&two);
    let answer = bench.typed(&["sign", "/files/a", "--allow", "read"]);
    assert!(answer.notes.contains("say --signer; there are app, web"), "{}", answer.notes);
    let (url, _) = bench.signed(&["/files/a", "--allow", "read", "--signer", "app"]);
    assert_eq!(value(&url, "signer").as_deref(), Some("app"));
    refuses(
        &["/files/a", "--allow", "read", "--signer", "webb"],
        "there is no signer \"webb\"; there is web",
    );
    let answer = Bench::new("").typed(&["sign", "/files/a", "--allow", "read"]);
    assert!(answer.notes.contains("no signer is configured"), "{}", answer.notes);
}

#[test]
fn what_exceeds_the_signer_is_refused() {
    refuses(&["/other/a", "--allow", "read"], "/other/a lies outside what signer web opens: /files/");
    refuses(&["/nowhere/a", "--allow", "read"], "there is no bucket \"nowhere\"");
    refuses(
        &["/files/a", "--allow", "read,delete"],
        "signer web does not allow delete, only create,list,read",
    );
    refuses(&["/files/a", "--allow", "write"], "signer web does not allow write");
    refuses(&["/files/a", "--allow", "read", "--expires", "8d"], "further ahead than signer web allows, 7d");
    bench().signed(&["/files/a", "--allow", "read", "--expires", "7d"]);
    bench().signed(&["/files/a", "--allow", "stat"]);
}

#[test]
fn what_exceeds_the_policy_is_refused() {
    let check = |words: &[&str], part: &str| {
        let all = [&["/files/avatars/a", "--allow", "create", "--policy", "avatar"], words].concat();
        refuses(&all, part);
    };
    let taken = |words: &[&str]| {
        let all = [&["/files/avatars/a", "--allow", "create", "--policy", "avatar"], words].concat();
        bench().signed(&all);
    };
    check(&["--max", "5242881"], "max 5242881B exceeds that of policy avatar, 5MiB");
    taken(&["--max", "5MiB"]);
    check(&["--min", "9"], "min 9B is under that of policy avatar, 10B");
    taken(&["--min", "10"]);
    check(&["--uses", "3"], "3 uses exceed what policy avatar allows, 2");
    taken(&["--uses", "2"]);
    check(&["--ip", "11.0.0.0/8"], "11.0.0.0/8 lies outside that of policy avatar, 10.0.0.0/8");
    check(&["--ip", "0.0.0.0/0"], "0.0.0.0/0 lies outside");
    taken(&["--ip", "10.1.0.0/16"]);
    check(
        &["--type", "video/mp4"],
        "type video/mp4 lies outside what policy avatar takes: image/*, text/plain",
    );
    check(&["--type", "text/*"], "type text/* lies outside");
    taken(&["--type", "image/png,text/plain"]);
    check(&["--disposition", "inline"], "saved, not shown");
    taken(&["--disposition", "attachment; filename=a.png"]);
    check(&["--expires", "601s"], "further ahead than policy avatar allows, 10m");
    check(&["--start", "2025-01-01T00:00:00Z"], "policy avatar opens nothing before 2026-01-01T00:00:00Z");
    check(&["--scope", "/files/"], "/files/ lies outside what policy avatar opens: /files/avatars/");
    refuses(
        &["/files/a", "--allow", "create", "--policy", "avatr"],
        "there is no policy \"avatr\"; there is avatar",
    );
    let soon = ["/files/a", "--allow", "read", "--policy", "soon", "--end"];
    let late = [&soon[..], &["2026-11-22T00:00:01Z"]].concat();
    refuses(&late, "end 2026-11-22T00:00:01Z exceeds that of policy soon, 2026-11-22T00:00:00Z");
    bench().signed(&[&soon[..], &["2026-11-22T00:00:00Z"]].concat());
    refuses(&["/files/a", "--allow", "read", "--policy", "past"], "end 2026-11-01T00:00:00Z is in the past");
}

#[test]
fn a_signers_own_policy_bounds_what_it_signs() {
    let bound = CONFIGURATION.replace("secret_file = ", "policy = \"avatar\"\nsecret_file = ");
    let answer = Bench::new(&bound).typed(&["sign", "/files/a", "--allow", "create"]);
    assert!(answer.notes.contains("outside what policy avatar opens"), "{}", answer.notes);
}

#[test]
fn a_window_that_opens_nothing_is_refused() {
    refuses(&["/files/a", "--allow", "read", "--end", "2026-11-21T12:00:00Z"], "is in the past");
    bench().signed(&["/files/a", "--allow", "read", "--end", "2026-11-21T12:00:01Z"]);
    refuses(
        &["/files/a", "--allow", "read", "--start", "2026-11-21T12:15:00Z"],
        "vk-start is not before vk-end",
    );
    bench().signed(&["/files/a", "--allow", "read", "--start", "2026-11-21T12:14:59Z"]);
    refuses(&["/files/a", "--allow", "create", "--max", "1", "--min", "2"], "vk-min exceeds vk-max");
    refuses(&["/files/a", "--allow", "read", "--id", "a b"], "vk-id must be");
    refuses(&["/files/a", "--allow", "read", "--subject", ""], "vk-subject must be");
}

#[test]
fn other_dialects_are_not_offered() {
    for dialect in ["azure", "gcs"] {
        refuses(
            &["/files/a", "--allow", "read", "--dialect", dialect],
            &format!("dialect {dialect} is not offered"),
        );
    }
    is_wrong_usage(&["sign", "/files/a", "--allow", "read", "--dialect", "jwt"]);
}

#[test]
fn aws_urls_are_signed_for_one_method_and_looked_at_again() {
    let allow = "allow = [\"create\", \"delete\", \"list\", \"read\", \"write\"]";
    let bench = Bench::new(&CONFIGURATION.replace("allow = [\"create\", \"list\", \"read\"]", allow));
    for (path, allow, verbs) in [
        ("/files/a b", "read", "read,stat"),
        ("/files/a", "stat", "stat"),
        ("/files/a", "write", "create,write"),
        ("/files/a", "create", "create"),
        ("/files/a", "delete", "delete"),
        ("/files/", "list", "list"),
    ] {
        let limits = ["--max", "5KiB", "--uses", "2", "--subject", "u 42", "--ip", "10.0.0.0/8"];
        let words = [&[path, "--allow", allow, "--dialect", "aws"][..], &limits].concat();
        let (url, notes) = bench.signed(&words);
        assert_eq!(notes.contains("If-None-Match: *"), allow == "create", "{notes}");
        let json = bench.typed(&["inspect", &url, "--json"]);
        let signature = url.rsplit("X-Amz-Signature=").next().unwrap();
        assert!(signature.len() == 64 && !json.out.contains(signature), "the key is told");
        let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!((&json["dialect"], &json["verified"]), (&"aws".into(), &true.into()), "{json}");
        assert_eq!((&json["valid"], &json["reason"]), (&true.into(), &serde_json::Value::Null), "{json}");
        let allowed: Vec<_> = json["allow"].as_array().unwrap().iter().filter_map(|it| it.as_str()).collect();
        assert_eq!(allowed.join(","), verbs);
        assert_eq!(
            (&json["max"], &json["uses"]["limit"], &json["subject"]),
            (&5120.into(), &2.into(), &"u 42".into())
        );
        assert_eq!(json["ip"], serde_json::json!(["10.0.0.0/8"]));
        let edited = url.replace("x-vk-max=5120", "x-vk-max=5121");
        let json = bench.typed(&["inspect", &edited, "--json"]);
        let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!((&json["reason"], &json["verified"]), (&"bad_signature".into(), &false.into()));
    }
}

#[test]
fn what_an_aws_url_cannot_say_is_refused() {
    let aws = |words: &[&str], part| refuses(&[words, &["--dialect", "aws"]].concat(), part);
    aws(&["/files/a", "--allow", "create,read"], "must be one verb");
    aws(&["/files/a", "--allow", "list"], "is not a bucket");
    aws(&["/files/", "--allow", "read"], "is for --allow list only");
    aws(&["/files/a", "--allow", "read", "--scope", "/files/"], "--scope is for native keys");
    aws(&["/files/a", "--allow", "read", "--renew", "2026-12-01T00:00:00Z"], "--renew is for native keys");
    aws(&["/files/a", "--allow", "create", "--max", "1", "--min", "2"], "vk-min exceeds vk-max");
}

#[test]
fn wrong_usage_is_told_before_anything_is_read() {
    for words in [
        &["--expires", "15m", "--end", "2026-11-22T00:00:00Z"][..],
        &["--expires", "15"],
        &["--expires", "0s"],
        &["--end", "tomorrow"],
        &["--start", "2026-11-22"],
        &["--uses", "0"],
        &["--uses", "9223372036854775808"],
        &["--max", "5MiBs"],
        &["--rate", "0"],
        &["--ip", "10.0.0.1/8"],
        &["--type", "image"],
        &["--digest", "sha-1:x"],
        &["--disposition", "save"],
        &["--scope", "files"],
    ] {
        is_wrong_usage(&[&["sign", "/files/a", "--allow", "read"], words].concat());
    }
    is_wrong_usage(&["sign", "/files/a", "--allow", "reed"]);
    is_wrong_usage(&["sign", "/files/a", "--allow", ""]);
    is_wrong_usage(&["sign", "/files/a"]);
    is_wrong_usage(&["sign", "files/a", "--allow", "read"]);
    is_wrong_usage(&["sign", "/files/../a", "--allow", "read"]);
    is_wrong_usage(&["inspect"]);
}

#[test]
fn an_upload_key_without_a_size_is_warned_of() {
    let said = "warning: this key uploads without a largest size; say --max\n";
    assert_eq!(bench().signed(&["/files/a", "--allow", "create"]).1, said);
    assert_eq!(bench().signed(&["/files/a", "--allow", "create", "--max", "1KB"]).1, "");
    assert_eq!(bench().signed(&["/files/a", "--allow", "read"]).1, "");
    // The policy has a largest size.
    assert_eq!(bench().signed(&["/files/avatars/a", "--allow", "create", "--policy", "avatar"]).1, "");
}

#[test]
fn volumes_are_signed_told_and_kept_within_the_ceiling() {
    let flags = ["--in", "1KiB", "--out", "5", "--files", "3", "--rate", "1MB", "--parallel", "2"];
    let (url, notes) = bench().signed(&[&["/files/a", "--allow", "read"][..], &flags].concat());
    assert_eq!(notes, "");
    for (name, canonical) in
        [("in", "1024"), ("out", "5"), ("files", "3"), ("rate", "1000000"), ("parallel", "2")]
    {
        assert_eq!(value(&url, name).as_deref(), Some(canonical));
    }
    let report = inspect(&url, Some(&bench().settings()), NOW);
    assert!(report.valid);
    assert_eq!(report.in_bytes.map(|bytes| bytes.limit), Some(1024));
    assert_eq!((report.rate, report.parallel), (Some(1_000_000), Some(2)));
    let told = bench().typed(&["inspect", &url]).out;
    for line in ["1KiB in all", "3 names in all", "5B in all", "1MB in a second", "2 transfers"] {
        assert!(told.contains(line), "{line} in {told}");
    }

    let limits = "in = 10\nout = 10\nfiles = 10\nrate = 10\nparallel = 10\n";
    let strict =
        Bench::new(&format!("{CONFIGURATION}[policies.strict]\n{limits}[policies.strict.total]\nin = 5\n"));
    let dry = Bench::new(&format!("{CONFIGURATION}[policies.strict]\ndry_run = true\n{limits}"));
    for flag in ["--in", "--out", "--files", "--rate", "--parallel"] {
        let name = &flag[2..];
        let words = |text| ["/files/a", "--allow", "read", "--policy", "strict", flag, text];
        let typed = |text| [&["sign"][..], &words(text)].concat();
        assert_eq!(strict.typed(&typed("10")).verdict, Verdict::Done, "{flag}");
        let refused = strict.typed(&typed("11"));
        assert_eq!(refused.verdict, Verdict::Refused);
        assert!(refused.notes.contains(&format!("{name} 11")), "{}", refused.notes);
        assert!(refused.notes.contains("exceeds that of policy strict, 10"), "{}", refused.notes);
        assert!(dry.signed(&words("11")).1.contains("policy strict is a dry run, so the key is signed"));
    }
    let told = strict.typed(&["check"]).out;
    assert!(told.contains("a key has at most 10B uploaded in all"), "{told}");
    assert!(told.contains("all its keys together have at most 5B uploaded in all"), "{told}");
    assert!(dry.typed(&["check"]).out.contains("is a dry run"));
}

#[test]
fn a_renewable_key_is_signed_and_told() {
    let (url, notes) = bench().signed(&["/files/a", "--allow", "read", "--renew", "2026-12-01T00:00:00Z"]);
    assert_eq!(value(&url, "renew").as_deref(), Some("2026-12-01T00:00:00Z"));
    assert_eq!(notes, "");
    let report = inspect(&url, Some(&bench().settings()), NOW);
    assert_eq!((report.reason, report.renew.as_deref()), (None, Some("2026-12-01T00:00:00Z")));
    let (_, notes) = bench().signed(&["/files/a", "--allow", "read", "--renew", "2020-01-01T00:00:00Z"]);
    assert!(notes.contains("--renew is not after the end"), "{notes}");
}

#[test]
fn what_an_upload_must_be_is_signed_and_told() {
    let digest = "blake3:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
    let words = ["/files/avatars/a", "--allow", "create", "--policy", "avatar", "--expires", "5m"];
    let (url, notes) =
        bench().signed(&[&words[..], &["--type", "image/PNG,image/*", "--digest", digest]].concat());
    assert_eq!(value(&url, "type").as_deref(), Some("image/*,image/png"));
    assert_eq!(value(&url, "digest").as_deref(), Some(digest));
    assert_eq!(notes, "");
    let report = inspect(&url, Some(&bench().settings()), NOW);
    assert_eq!(report.types, ["image/*,image/png", "image/*,text/plain"]);
    assert_eq!(report.digest, [digest]);
}

#[test]
fn json_has_the_url_and_what_was_said_of_it() {
    let answer = bench().typed(&["sign", "/files/a", "--allow", "create", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    let url = json["url"].as_str().unwrap();
    assert_eq!(json["id"].as_str(), value(url, "id").as_deref());
    assert_eq!(
        json["fingerprint"].as_str().unwrap(),
        grant(url, &bench().settings()).fingerprint().to_string()
    );
    assert_eq!((json["signer"].as_str(), json["end"].as_str()), (Some("web"), Some("2026-11-21T12:15:00Z")));
    assert_eq!(json["warnings"].as_array().unwrap().len(), 1);
}

#[test]
fn check_explains_the_configuration() {
    let answer = bench().typed(&["check"]);
    assert_eq!((answer.verdict, answer.accepted), (Verdict::Done, None));
    for part in [
        "c.toml is sound",
        "listens on 127.0.0.1:8080, and signs URLs that begin with https://files.example.com",
        "/files/ is the folder ",
        "signer web, whose keys can do no more than this\n  opens /files/\n  allows create, list, read\n",
        "a key ends at most 7d from now",
        "policy avatar, whose keys",
        "an upload has at most 5MiB",
        "a key has at most 2 uses",
        "for clients from 10.0.0.0/8",
    ] {
        assert!(answer.out.contains(part), "{part}\n{}", answer.out);
    }
    let answer = bench().typed(&["check", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(json["valid"], true);
    assert_eq!(json["signers"]["web"]["scope"][0], "/files/");
    assert_eq!(json["policies"]["avatar"]["max"], 5 << 20);
    assert!(json["buckets"]["files"]["folder"].as_str().unwrap().ends_with("/objects/"));
}

#[test]
fn check_explains_remote_backends_and_asks_them_where_told_to() {
    let remote = "[backends.far]\nkind = \"s3\"\nendpoint = \"http://127.0.0.1:8333\"\nbucket = \"backing\"\n\
                  access_key_id_file = \"key\"\nsecret_access_key_file = \"key\"\n[buckets.remote]\n\
                  backend = \"far\"\nprefix = \"a/\"\ndelivery = \"redirect\"\n";
    let asked = |configuration: &str, words: &[&str]| {
        let bench = Bench::new(configuration);
        fs::hard_link(bench.path("web.secret"), bench.path("key")).unwrap();
        fs::write(bench.path("key"), "key").unwrap();
        bench.typed(words)
    };
    let answer = asked(remote, &["check"]);
    for part in [
        "backend far\n  is the bucket backing at http://127.0.0.1:8333\n",
        "may take 5s to connect and 30s between any two bytes",
        "/remote/ is what begins with a/ in backend far\n  downloads are sent to the backend itself",
    ] {
        assert!(answer.out.contains(part), "{part}\n{}", answer.out);
    }
    assert!(!answer.out.contains("answers"), "{}", answer.out);
    let answer = asked(remote, &["check", "--connect"]);
    assert_eq!(answer.verdict, Verdict::Done);
    assert!(answer.out.contains("answers, and takes what it is asked with"), "{}", answer.out);

    let silent = remote.replace("far", "silent");
    let answer = asked(&silent, &["check", "--connect"]);
    assert_eq!(answer.verdict, Verdict::Refused);
    assert!(answer.out.contains("  cannot be used: it does not answer\n"), "{}", answer.out);
    assert!(answer.notes.contains("backends that cannot be used: silent"), "{}", answer.notes);
    let json: Value = serde_json::from_str(&asked(&silent, &["check", "--connect", "--json"]).out).unwrap();
    assert_eq!(json["backends"]["silent"]["answers"], false);
    assert_eq!(json["backends"]["silent"]["remote"]["stall_timeout"], "30s");
    assert_eq!(json["buckets"]["remote"]["redirects"], true);
}

#[test]
fn check_tells_every_fault_and_warning() {
    let faulty = Bench::new("[server]\nlisen = 1\nworkers = 0\n");
    let answer = faulty.typed(&["check"]);
    let file = faulty.path("c.toml");
    assert_eq!((answer.verdict, answer.out.as_str()), (Verdict::Refused, ""));
    let lines: Vec<_> = answer.notes.lines().collect();
    assert!(lines[0].starts_with(&format!("{}:2: unknown name", file.display())), "{}", answer.notes);
    assert!(lines[1].starts_with(&format!("{}:3: workers must be", file.display())), "{}", answer.notes);

    let answer = faulty.typed(&["check", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!((&json["valid"], &json["errors"][1]["line"]), (&false.into(), &3.into()));
    assert_eq!((answer.verdict, answer.notes.lines().count()), (Verdict::Refused, 2));

    let answer = Bench::new("[ledger]\nengine = \"memory\"\n").typed(&["check"]);
    assert!(answer.notes.contains("warning: the ledger is in memory"), "{}", answer.notes);
}

#[test]
fn check_accepts_only_what_the_flags_say() {
    let accepted = |words: &[&str]| bench().typed(words).accepted;
    assert_eq!(accepted(&["check"]), None);
    let both = |new_ledger, clock| Some(Acceptance { new_ledger, clock, audit_log: false });
    assert_eq!(accepted(&["check", "--accept-new-ledger"]), both(true, false));
    assert_eq!(accepted(&["check", "--accept-clock"]), both(false, true));
    assert_eq!(accepted(&["check", "--accept-clock", "--accept-new-ledger"]), both(true, true));
    let log = Some(Acceptance { new_ledger: false, clock: false, audit_log: true });
    assert_eq!(accepted(&["check", "--accept-audit-log"]), log);
    let faulty = Bench::new("x = 1").typed(&["check", "--accept-clock"]);
    assert_eq!((faulty.verdict, faulty.accepted), (Verdict::Refused, None));
}

#[test]
fn a_configuration_that_is_named_and_not_there_is_an_error() {
    let bench = bench();
    fs::remove_file(bench.path("c.toml")).unwrap();
    for words in [
        &["check"][..],
        &["sign", "/files/a", "--allow", "read"],
        &["serve"],
        &["inspect", "/files/a?vk-x=1"],
    ] {
        let answer = bench.typed(words);
        assert_eq!(answer.verdict, Verdict::Refused);
        assert!(answer.notes.contains("c.toml: read configuration: No such file"), "{}", answer.notes);
    }
    assert!(!bench.path("valetkey-data").exists(), "nothing is made");
}

/// Inspects `url` by the text and the JSON that are printed, and gives the JSON.
fn inspected(bench: &Bench, url: &str) -> (Verdict, String, serde_json::Value) {
    let text = bench.typed(&["inspect", url]);
    let json = bench.typed(&["inspect", url, "--json"]);
    assert_eq!(text.verdict, json.verdict);
    for answer in [&text, &json] {
        let signature = url.rsplit("vk-sig=").next().unwrap();
        assert!(!answer.out.contains(signature) && !answer.notes.contains(signature), "the key is told");
    }
    (text.verdict, text.out, serde_json::from_str(&json.out).unwrap())
}

#[test]
fn inspect_tells_what_a_key_permits() {
    let bench = bench();
    let (url, _) =
        bench.signed(&["/files/avatars/a", "--allow", "create", "--policy", "avatar", "--subject", "u"]);
    let (verdict, text, json) = inspected(&bench, &url);
    assert_eq!(verdict, Verdict::Done, "{text}");
    assert_eq!(
        (&json["valid"], &json["verified"], &json["reason"]),
        (&true.into(), &true.into(), &().into())
    );
    assert_eq!(json["signer"], "web");
    assert_eq!(json["subject"], "u");
    assert_eq!(json["policy"], "avatar");
    assert_eq!(json["path"], "/files/avatars/a");
    assert_eq!(json["allow"][0], "create");
    // These come from the policy.
    assert_eq!((&json["max"], &json["min"]), (&(5 << 20).into(), &10.into()));
    assert_eq!(json["uses"]["limit"], 2);
    assert_eq!(json["ip"][0], "10.0.0.0/8");
    assert_eq!(json["disposition"], "attachment");
    assert_eq!(
        json["fingerprint"].as_str().unwrap(),
        grant(&url, &bench.settings()).fingerprint().to_string()
    );
    for part in ["in 10m", "5MiB (5242880 bytes) an upload", "2 uses in all", "valid now    yes"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn inspect_reads_standard_input() {
    let bench = bench();
    let (url, _) = bench.signed(&["/files/a", "--allow", "read"]);
    assert_eq!(bench.typed_with(&["inspect", "-"], &format!("{url}\n")).verdict, Verdict::Done);
    // The path and the query are enough.
    let path = url.strip_prefix("https://files.example.com").unwrap();
    assert_eq!(bench.typed(&["inspect", path]).verdict, Verdict::Done);
}

#[test]
fn inspect_tells_why_a_key_is_not_valid() {
    let bench = bench();
    let settings = bench.settings();
    let sign = |claims: Claims| {
        let path = ResourcePath::from_text("/files/a").unwrap();
        let query = mint("web", &path, &claims, &Secret::new(SECRET.as_bytes())).unwrap();
        format!("https://files.example.com/files/a?{query}")
    };
    let later = |secs| NOW.plus(Duration::from_secs(secs));
    let read = Verbs::only(valetkey::Verb::Read);
    let policy = |name: &str| Claims { policy: Some(name.into()), ..Claims::new(read, later(60)) };
    let sound = sign(Claims::new(read, later(1)));
    let elsewhere = Claims { path: ResourcePath::from_text("/files/b").ok(), ..Claims::new(read, later(60)) };
    for (url, reason) in [
        (sound.clone(), None),
        (sign(Claims::new(read, NOW)), Some("expired")),
        (sign(Claims { start: Some(later(30)), ..Claims::new(read, later(60)) }), None),
        (sign(Claims { start: Some(later(31)), ..Claims::new(read, later(60)) }), Some("not_yet_valid")),
        (sign(Claims::new(read, later(7 * 86_400 + 1))), Some("lifetime_too_long")),
        (sign(policy("gone")), Some("policy_missing")),
        (sign(policy("past")), Some("expired")),
        (sign(policy("nothing")), Some("not_allowed")),
        (sign(elsewhere), Some("out_of_scope")),
        (sound.replace("/files/a?", "/files/b?"), Some("bad_signature")),
        (sound.replace("vk-allow=read", "vk-allow=write"), Some("bad_signature")),
        (sound.replace("vk-signer=web", "vk-signer=app"), Some("bad_signature")),
        (sound.replace("vk-allow=read", "vk-allow=read&vk-Max=1"), Some("malformed_key")),
        ("https://files.example.com/files/a?x=1".to_owned(), Some("no_key")),
        (sound.replace("/files/a?", "/files/../a?"), Some("bad_request")),
        (sound.replace("/files/a?", "/files/../a?vk-path=/files/a&"), Some("bad_request")),
        (sound.replace("/files/a?", "/-/key?"), Some("malformed_key")),
        (sound.replace("/files/a?", "/-/key?vk-path=/files/a&"), None),
        ("nothing".to_owned(), Some("bad_request")),
    ] {
        let report = inspect(&url, Some(&settings), NOW);
        assert_eq!((report.valid, report.reason), (reason.is_none(), reason), "{url}: {:?}", report.detail);
        let (verdict, text, _) = inspected(&bench, &url);
        let expected = if reason.is_none() { Verdict::Done } else { Verdict::Refused };
        assert_eq!(verdict, expected, "{text}");
        assert!(reason.is_none_or(|reason| text.contains(&format!("no: {reason}: "))), "{text}");
    }
    // The detail is the denial's own text.
    let report = inspect(&sign(Claims::new(read, NOW)), Some(&settings), NOW);
    assert_eq!(report.detail, Some(Denial::Expired(NOW).to_string()));
}

#[test]
fn inspect_follows_a_listing_to_its_prefix() {
    let bench = bench();
    let (url, _) = bench.signed(&["/files/u42/", "--allow", "list", "--id", "x"]);
    let query = KeyUrl::parse(&url).unwrap().query.to_owned();
    let listing = |prefix: &str| {
        let url = format!("/files/?list-type=2&{prefix}&vk-path=/files/u42/&{query}");
        inspect(&url, Some(&bench.settings()), NOW).reason
    };
    assert_eq!(listing("prefix=u42/p"), None);
    assert_eq!(listing("prefix=u42%2F"), None);
    assert_eq!(listing("prefix=u4"), Some("out_of_scope"));
    assert_eq!(listing("delimiter=/"), Some("out_of_scope"));
}

#[test]
fn inspect_tells_what_a_narrowing_left() {
    let bench = bench();
    let (url, _) = bench.signed(&["/files/a", "--allow", "read", "--uses", "9", "--ip", "10.0.0.0/8"]);
    let url = KeyUrl::parse(&url).unwrap();
    let path = url.path().unwrap();
    let claims = Claims {
        limits: valetkey::Limits { uses: Some(2), ..Default::default() },
        clients: valetkey::ClientRanges::parse("10.1.0.0/16"),
        ..Claims::default()
    };
    let narrowed = narrow(url.query, Some(&path), &claims).unwrap();
    let (verdict, text, json) = inspected(&bench, &format!("/files/a?{narrowed}"));
    assert_eq!(verdict, Verdict::Done);
    assert_eq!(json["uses"]["limit"], 2);
    assert_eq!(json["ip"], serde_json::json!(["10.0.0.0/8", "10.1.0.0/16"]));
    assert_eq!(json["levels"][1], serde_json::json!({"ip": "10.1.0.0/16", "uses": "2"}));
    assert!(text.contains("narrowed     ip=10.1.0.0/16, uses=2"), "{text}");
}

#[test]
fn inspect_without_a_configuration_tells_what_the_key_says() {
    let bench = bench();
    let (url, _) = bench.signed(&["/files/a", "--allow", "read", "--uses", "9", "--ip", "10.0.0.0/8"]);
    let report = inspect(&url, None, NOW);
    assert_eq!((report.valid, report.verified, report.reason), (false, false, None));
    assert_eq!(report.detail.unwrap(), "without a configuration the signature cannot be checked");
    assert_eq!(report.scope, ["/files/a"]);
    assert_eq!(report.allow, ["read"]);
    assert_eq!(report.ip, ["10.0.0.0/8"]);
    assert_eq!(report.uses.unwrap().limit, 9);
    assert_eq!(report.end.as_deref(), Some("2026-11-21T12:15:00Z"));
    assert_eq!(report.fingerprint.unwrap(), grant(&url, &bench.settings()).fingerprint().to_string());
    assert!(report.levels.iter().all(|level| !level.contains_key("sig")));
    assert_eq!(inspect("/files/a?vk-x=1", None, NOW).reason, Some("malformed_key"));
}

#[test]
fn a_first_start_makes_what_it_needs_and_says_how_to_try_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut notes = Vec::new();
    let none = folder.path().join("valetkey.toml");
    let prepared = serve::prepare_from(&none, Some(folder.path()), NOW, &mut notes).unwrap();
    let notes = String::from_utf8(notes).unwrap();
    assert_eq!(prepared.watch.config(), none);
    for part in ["there was no valetkey.toml here", "made ", "valetkey.toml", "web.secret", "valetkey-data"] {
        assert!(notes.contains(part), "{part}\n{notes}");
    }
    let welcome = prepared.welcome.unwrap();
    let lines: Vec<_> = welcome.lines().collect();
    let [upload, download] = lines[..] else { panic!("{welcome}") };
    assert!(
        upload.starts_with("curl -X PUT ") && upload.contains(" 'http://127.0.0.1:8080/files/hello.txt?")
    );
    assert!(download.starts_with("curl 'http://127.0.0.1:8080/files/hello.txt?"));
    for (line, allow) in [(upload, "write"), (download, "read")] {
        let url = line.split('\'').rev().nth(1).unwrap();
        let report = inspect(url, Some(&prepared.settings), NOW);
        assert!(report.valid, "{report:?}");
        assert_eq!(value(url, "allow").as_deref(), Some(allow));
        assert_eq!(value(url, "end").unwrap(), "2026-11-21T13:00:00Z");
        assert_eq!(value(url, "max").is_some(), allow == "write");
    }
    let secret = fs::read_to_string(folder.path().join("valetkey-data/signers/web.secret")).unwrap();
    assert!(!notes.contains(secret.trim_end()) && !welcome.contains(secret.trim_end()));
}

#[test]
fn a_later_start_makes_nothing_and_repeats_the_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let made = embedded::make(folder.path()).unwrap();
    let text = fs::read_to_string(&made.config).unwrap().replace("127.0.0.1:8080\"\n", "0.0.0.0:8080\"\n");
    fs::write(&made.config, text).unwrap();
    for _ in 0..2 {
        let mut notes = Vec::new();
        let prepared = serve::prepare_from(&made.config, None, NOW, &mut notes).unwrap();
        assert_eq!(prepared.welcome, None);
        let notes = String::from_utf8(notes).unwrap();
        assert!(notes.starts_with("warning: keys and objects travel unencrypted: 0.0.0.0:8080"), "{notes}");
        assert_eq!(notes.lines().count(), 1, "{notes}");
    }
}

/// Whether a command line is taken; what is not exits with 2.
fn is_usage(words: &[&str]) -> bool {
    Cli::try_parse_from(["valetkey"].iter().chain(words)).is_ok()
}

#[test]
fn a_revocation_names_exactly_one_thing() {
    for words in [
        &["/files/a?vk-x"][..],
        &["--id", "x"],
        &["--id", "x", "--signer", "web", "--before", "2026-11-21T12:00:00Z"],
        &["--signer", "web"],
        &["--subject", "u", "--signer", "web"],
        &["--fingerprint", "0123"],
        &["--policy", "p"],
        &["--path", "/files/a/"],
    ] {
        assert!(is_usage(&[&["revoke"], words].concat()), "{words:?}");
    }
    for words in [
        &[][..],
        &["--before", "2026-11-21T12:00:00Z"],
        &["/files/a?vk-x", "--id", "x"],
        &["--id", "x", "--subject", "u"],
        &["--policy", "p", "--signer", "web"],
        &["--path", "/files/", "--signer", "web"],
        &["/files/a?vk-x", "--before", "2026-11-21T12:00:00Z"],
        &["--fingerprint", "0123", "--before", "2026-11-21T12:00:00Z"],
        &["--id", "x", "--before", "2026-11-21"],
        &["--id", "x", "--id", "y"],
    ] {
        assert!(!is_usage(&[&["revoke"], words].concat()), "{words:?}");
    }
    assert!(is_usage(&["usage", "--signer", "web"]) && is_usage(&["usage", "--id", "x", "--signer", "web"]));
    assert!(!is_usage(&["usage"]) && !is_usage(&["usage", "x", "--signer", "web"]));
    assert!(!is_usage(&["revocations", "--lift", "0"]));
}

#[test]
fn what_is_revoked_travels_in_a_body() {
    let bench = Bench::new(CONFIGURATION);
    let typed = bench.typed_with(&["revoke", "-"], "/files/a?vk-sig=s3cr3t\n");
    assert_eq!(typed.verdict, Verdict::Done, "{}", typed.notes);
    assert_eq!(typed.asked, ["POST /v1/revocations {\"url\":\"/files/a?vk-sig=s3cr3t\"}"]);
    assert_eq!(typed.out, "7      now  path /files/a\n");
    let words = ["revoke", "--subject", "u", "--signer", "web", "--before", "2026-11-21T12:00:00Z"];
    let typed = bench.typed_with(&words, "");
    let body = "{\"before\":\"2026-11-21T12:00:00Z\",\"signer\":\"web\",\"subject\":\"u\"}";
    assert_eq!(typed.asked, [format!("POST /v1/revocations {body}")]);
    assert_eq!(
        bench.typed_with(&["revocations", "--lift", "7"], "").asked,
        ["DELETE /v1/revocations/7 null"]
    );
}

#[test]
fn without_an_admin_listener_nothing_is_asked() {
    let bench = Bench::new(&format!("[ledger]\nengine = \"memory\"\n{CONFIGURATION}"));
    let typed = bench.typed_with(&["revocations"], "");
    assert_eq!(typed.verdict, Verdict::Refused);
    assert!(typed.asked.is_empty() && typed.notes.contains("say [admin] listen"), "{}", typed.notes);
}
