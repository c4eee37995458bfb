//! A store's process: it ends with the test's, however that one ends, and leaves no folder behind.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::gateway::free_port;
use crate::process::wait_until;
use crate::python::root;

/// Runs a program and kills it when standard input ends, which it does when the test's process does. Then it removes the
/// program's folder, unless it was told to keep it.
const SUPERVISOR: &str = r#"trap '' INT
folder=$1
shift
"$@" &
read -r word
kill -KILL $!
wait $!
[ "$word" = keep ] || rm -rf "$folder""#;

/// How long a store may take to begin.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A store's process, its port and the folder with its data.
#[derive(Debug)]
pub struct StoreProcess {
    folder: PathBuf,
    address: SocketAddr,
    command: Vec<OsString>,
    environment: Vec<(&'static str, String)>,
    supervisor: Option<Child>,
}

impl StoreProcess {
    /// A process that does not run yet, with a folder and a port for it.
    ///
    /// # Errors
    /// If there is no folder or no port to be had.
    pub fn new(name: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix(&format!("valetkey-{name}-")).tempdir()?.keep();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        Ok(Self { folder, address, command: Vec::new(), environment: Vec::new(), supervisor: None })
    }

    /// What it runs.
    pub fn command(&mut self, program: impl Into<OsString>, arguments: impl IntoIterator<Item = String>) {
        self.command = [program.into()].into_iter().chain(arguments.into_iter().map(Into::into)).collect();
    }

    /// Sets a variable of its environment.
    pub fn environment(&mut self, name: &'static str, value: String) {
        self.environment.push((name, value));
    }

    /// Starts it and waits until `is_ready`.
    ///
    /// # Errors
    /// If it cannot be started or is not ready in time; the error tells what it wrote.
    pub fn start(&mut self, is_ready: impl Fn() -> bool) -> Result<()> {
        ensure!(self.supervisor.is_none(), "it runs already");
        ensure!(Path::new(&self.command[0]).exists(), "run: tests/stores/install");
        let log = OpenOptions::new().create(true).append(true).open(self.log_path())?;
        let supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR, "sh"])
            .arg(&self.folder)
            .args(&self.command)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start a store")?;
        self.supervisor = Some(supervisor);
        wait_until(START_LIMIT, "a store is ready", is_ready).with_context(|| self.log_tail())
    }

    /// Kills it as a power cut would, its data staying as they are.
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill9(&mut self) -> Result<()> {
        let mut supervisor = self.supervisor.take().context("it does not run")?;
        let mut input = supervisor.stdin.take().context("its input")?;
        writeln!(input, "keep")?;
        drop(input);
        ensure!(supervisor.wait()?.success(), "it was not there any more: {}", self.log_tail());
        Ok(())
    }

    /// The folder with its data.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The last that it wrote.
    pub fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("store.log")
    }
}

impl Drop for StoreProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the store wrote:\n{}", self.log_tail());
        }
        if let Some(mut supervisor) = self.supervisor.take() {
            drop(supervisor.stdin.take());
            // It ends by itself now, and there is nothing to do about one that does not.
            drop(supervisor.wait());
        }
        // A folder that was kept is not needed any more; otherwise it is gone already.
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// A program that `tests/stores/install` put into a Python environment.
pub(super) fn installed(path: &str) -> PathBuf {
    root().join("tests/.tools/stores").join(path)
}
