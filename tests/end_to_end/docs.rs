//! What the pages tell a reader to type, typed: every `sh` and `toml` block of README.md and docs/*.md.
//!
//! A page's `sh` blocks run in their order, in one shell and one fresh folder, as a reader's would, with `valetkey` in
//! the path, `docs` and `deploy` beside them, and a network of their own, so that port 8080 is free. Each must succeed.
//! A `toml` block is a configuration or a part of one, which `valetkey check` must take: what it leaves out is as in
//! [`CONFIGURATION`], and the secrets that it names are made. After the language, a fence may say otherwise:
//!
//! - `sh background`: goes on running, and the next block begins once a gateway is healthy;
//! - `sh by-hand`, `toml by-hand`: neither run nor checked; the page is not for this machine there.
//!
//! A page that says `<!-- A gateway of a first start runs. -->` finds one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::{Table, Value};
use valetkey_tests::process::{binary, valetkey};
use valetkey_tests::python::root;

/// What stands around a block of configuration that leaves it out.
const CONFIGURATION: &str = r#"
[backends.local]
root = "valetkey-data/objects"
[buckets.files]
backend = "local"
prefix = "files/"
[signers.web]
secret_file = "valetkey-data/signers/web.secret"
"#;

const GATEWAY_RUNS: &str = "<!-- A gateway of a first start runs. -->";

const HEALTHY: &str =
    "for i in $(seq 200); do curl -sf http://127.0.0.1:8080/-/health >/dev/null && break; sleep 0.1; done
curl -sf http://127.0.0.1:8080/-/health >/dev/null\n";

/// A fenced block of a page.
struct Block {
    /// The page and the line of the fence.
    place: String,
    language: String,
    word: String,
    text: String,
}

fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<_> = fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .chain([root().join("README.md")].into_iter().filter(|path| path.exists()))
        .collect();
    pages.sort();
    assert!(!pages.is_empty());
    pages
}

fn blocks(page: &Path) -> Vec<Block> {
    let text = fs::read_to_string(page).unwrap();
    let name = page.file_name().unwrap().to_string_lossy();
    let mut lines = text.lines().enumerate();
    let mut found = Vec::new();
    while let Some((number, line)) = lines.next() {
        let fence = line.trim_start();
        let Some(info) = fence.strip_prefix("```") else { continue };
        let indent = &line[..line.len() - fence.len()];
        let (language, word) = info.trim().split_once(' ').unwrap_or((info.trim(), ""));
        let body = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```");
        let text = body.map(|line| format!("{}\n", line.strip_prefix(indent).unwrap_or(line))).collect();
        let (language, word) = (language.to_owned(), word.trim().to_owned());
        found.push(Block { place: format!("{name}:{}", number + 1), language, word, text });
    }
    found
}

#[test]
fn commands_work_as_they_stand() {
    for page in pages() {
        let blocks: Vec<_> = blocks(&page)
            .into_iter()
            .filter(|block| block.language == "sh" && block.word != "by-hand")
            .collect();
        if !blocks.is_empty() {
            let gateway_runs = fs::read_to_string(&page).unwrap().contains(GATEWAY_RUNS);
            run(&blocks, gateway_runs);
        }
    }
}

fn run(blocks: &[Block], gateway_runs: bool) {
    let folder = tempfile::tempdir().unwrap();
    let tools = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(binary(), tools.path().join("valetkey")).unwrap();
    for shown in ["docs", "deploy"] {
        std::os::unix::fs::symlink(root().join(shown), folder.path().join(shown)).unwrap();
    }
    let mut script = "set -eu\nip link set lo up\n".to_owned();
    if gateway_runs {
        script.push_str(&format!("valetkey serve >gateway.log 2>&1 &\n{HEALTHY}"));
    }
    for Block { place, word, text, .. } in blocks {
        // A reader who built nothing yet types the same with cargo.
        let text = text.replace("cargo run --release --bin valetkey --", "valetkey");
        script.push_str(&format!("echo '=== {place}'\n"));
        match word.as_str() {
            "" => script.push_str(&text),
            "background" => script.push_str(&format!("{{\n{text}}} >gateway.log 2>&1 &\n{HEALTHY}")),
            other => panic!("{place}: {other:?} is neither background nor by-hand"),
        }
    }
    fs::write(tools.path().join("page"), &script).unwrap();
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    let output = Command::new("unshare")
        .args(["--net", "--pid", "--fork", "--kill-child", "sh"])
        .arg(tools.path().join("page"))
        .current_dir(folder.path())
        .env("PATH", path)
        .env("HOME", folder.path())
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let log = fs::read_to_string(folder.path().join("gateway.log")).unwrap_or_default();
    assert!(output.status.success(), "{}\n{said}\n{log}", blocks[0].place);
}

#[test]
fn configurations_are_sound() {
    for block in pages().iter().flat_map(|page| blocks(page)).filter(|block| block.language == "toml") {
        match block.word.as_str() {
            "" => check(&block.place, &block.text),
            "by-hand" => {}
            other => panic!("{}: {other:?} is not by-hand", block.place),
        }
    }
    for file in ["deploy/valetkey.toml", "deploy/compose.toml"] {
        check(file, &fs::read_to_string(root().join(file)).unwrap());
    }
}

fn check(place: &str, text: &str) {
    let part: Table = text.parse().unwrap_or_else(|error| panic!("{place}: {error}"));
    let mut whole: Table = CONFIGURATION.parse().unwrap();
    for (name, value) in part {
        // Its buckets might lie where the other one does.
        let others = if name == "buckets" { whole.remove(&name) } else { None };
        lay_over(&mut whole, &name, value);
        if let (Some(Value::Table(others)), Some(Value::Table(own))) = (others, whole.get_mut("buckets")) {
            for (bucket, lines) in others {
                if let Some(value) = own.remove(&bucket) {
                    own.insert(bucket.clone(), lines);
                    lay_over(own, &bucket, value);
                }
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    make_secrets(folder.path(), &mut whole);
    fs::write(folder.path().join("valetkey.toml"), whole.to_string()).unwrap();
    let output = valetkey(folder.path(), ["check"]).unwrap();
    assert!(output.status.success(), "{place}: {}\n{whole}", String::from_utf8_lossy(&output.stderr));
}

/// Sets what `value` says and leaves what it does not speak of.
fn lay_over(table: &mut Table, name: &str, value: Value) {
    match (table.get_mut(name), value) {
        (Some(Value::Table(there)), Value::Table(more)) => {
            for (name, value) in more {
                lay_over(there, &name, value);
            }
        }
        (_, value) => {
            table.insert(name.to_owned(), value);
        }
    }
}

/// Makes every file that a name ending in `secret_file` or `token_file` speaks of, in the folder, wherever it was to be.
fn make_secrets(folder: &Path, table: &mut Table) {
    for (name, value) in table {
        match value {
            Value::Table(inner) => make_secrets(folder, inner),
            Value::String(path) if name.ends_with("secret_file") || name.ends_with("token_file") => {
                *path = path.trim_start_matches('/').to_owned();
                let file = folder.join(&*path);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(&file, "a secret of a documented signer").unwrap();
                fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            }
            _ => {}
        }
    }
}
