//! The program under test: built once, run as often as a test likes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The program `valetkey`: the one that `VALETKEY_BINARY` names, else one built from this workspace in the profile of
/// the tests.
///
/// # Panics
/// If it does not build: no test can say anything then.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("VALETKEY_BINARY") {
        Some(path) => path.into(),
        None => build().expect("build the gateway"),
    })
}

/// Runs `valetkey` with these arguments in a folder and waits for it.
///
/// # Errors
/// If it cannot be started.
pub fn valetkey<I, S>(folder: &Path, arguments: I) -> Result<Output>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    Command::new(binary())
        .args(arguments)
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .output()
        .context("run valetkey")
}

/// A field of `/proc/PID/status` in bytes, such as `VmHWM` (the most memory a process ever had) or `VmRSS`.
///
/// # Errors
/// If the process is gone or the field is not there.
pub fn memory_bytes(pid: u32, field: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("read status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let text = line.with_context(|| format!("no {field} in status"))?;
    let kibibytes: u64 = text.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024)
}

/// How much longer than on an idle machine anything may take here: all tests run at once on few cores.
const PATIENCE: u32 = 5;

/// Asks again and again until the answer is yes.
///
/// # Errors
/// If it is still no after `limit`, which is what an idle machine needs, several times over.
pub fn wait_until(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    while !holds() {
        if start.elapsed() > limit * PATIENCE {
            bail!("not within {limit:?}: {what}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Lets this process, and those it starts from now on, have as many open files as the system allows.
pub fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("raising to the hard limit is allowed to all");
}

fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "-p", "valetkey-gateway", "--bin", "valetkey", "--message-format=json"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().context("run cargo build")?;
    if !output.status.success() {
        bail!("cargo build: {}", String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout)?
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find(|message| message["target"]["name"] == "valetkey" && message["executable"].is_string())
        .and_then(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo named no executable")
}
