//! A gateway process of a test's own: a folder, a port, a configuration, and a hand on its life.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::http::{self, Answer, Connection, Request};
use crate::key::WEB_SECRET;
use crate::process;
use crate::stores::Store;

/// How long a start or a stop may take.
const START_LIMIT: Duration = Duration::from_secs(20);

/// What a gateway is to be started with.
///
/// Unless told otherwise it has the buckets `files` and `other` on one disk backend and the signer `web`, who may do
/// everything in both.
#[derive(Clone, Debug)]
pub struct Builder {
    server: String,
    buckets: Vec<(String, String)>,
    signers: Vec<(String, String, String)>,
    rest: String,
    env: Vec<(String, String)>,
    store: Option<PathBuf>,
    remote: Option<String>,
    audit: PathBuf,
    audit_lines: String,
    front: Front,
}

/// What a client must do before it can ask anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Front {
    Nothing,
    Tls,
    ProxyHeader,
}

impl Default for Builder {
    fn default() -> Self {
        let limits = "scope = [\"/files/\", \"/other/\"]\n\
                      allow = [\"create\", \"delete\", \"list\", \"read\", \"stat\", \"write\"]\n";
        Self {
            server: String::new(),
            buckets: vec![
                ("files".to_owned(), "prefix = \"files/\"\n".to_owned()),
                ("other".to_owned(), "prefix = \"other/\"\n".to_owned()),
            ],
            signers: vec![("web".to_owned(), WEB_SECRET.to_owned(), limits.to_owned())],
            rest: String::new(),
            env: Vec::new(),
            store: None,
            remote: None,
            audit: "valetkey-data/audit.jsonl".into(),
            audit_lines: String::new(),
            front: Front::Nothing,
        }
    }
}

impl Builder {
    /// Adds lines to `[server]`.
    pub fn server(mut self, lines: &str) -> Self {
        self.server.push_str(lines);
        self.server.push('\n');
        self
    }

    /// Adds a signer with this secret and these further lines.
    pub fn signer(mut self, name: &str, secret: &str, lines: &str) -> Self {
        self.signers.push((name.to_owned(), secret.to_owned(), format!("{lines}\n")));
        self
    }

    /// Adds a bucket with these lines, backend aside.
    pub fn bucket(mut self, name: &str, lines: &str) -> Self {
        self.buckets.push((name.to_owned(), format!("{lines}\n")));
        self
    }

    /// Adds whole sections, such as a policy.
    pub fn toml(mut self, text: &str) -> Self {
        self.rest.push_str(text);
        self.rest.push('\n');
        self
    }

    /// Sets a variable of the process's environment.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Has it speak TLS, with a certificate of its own for 127.0.0.1: [`Gateway::certificate_path`].
    pub fn tls(mut self) -> Self {
        self.front = Front::Tls;
        self.toml("[server.tls]\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"")
    }

    /// Has it take connections that begin with a proxy's header, from this machine.
    pub fn proxy_protocol(mut self) -> Self {
        self.front = Front::ProxyHeader;
        self.server("trusted_proxies = [\"127.0.0.0/8\"]\nproxy_protocol = true")
    }

    /// Keeps the objects in this folder instead of the gateway's own.
    pub fn store(mut self, folder: &Path) -> Self {
        self.store = Some(folder.to_owned());
        self
    }

    /// Keeps the objects in this bucket of a store instead of a folder; `address` is the store's, or that of a proxy
    /// before it.
    pub fn remote(mut self, store: &dyn Store, address: SocketAddr, bucket: &str) -> Self {
        self.remote = Some(store.section("local", address, bucket));
        store.credentials().into_iter().fold(self, |builder, (name, value)| builder.env(name, value))
    }

    /// Keeps the audit log here instead of beside the ledger.
    pub fn audit(mut self, path: &Path) -> Self {
        self.audit = path.to_owned();
        self
    }

    /// Adds lines to `[audit]`.
    pub fn audit_lines(mut self, lines: &str) -> Self {
        self.audit_lines.push_str(lines);
        self.audit_lines.push('\n');
        self
    }

    /// Writes the configuration and starts the process.
    ///
    /// # Panics
    /// If it does not serve in time: the test cannot go on.
    pub fn start(self) -> Gateway {
        let mut gateway = self.write().expect("write the configuration");
        gateway.start().expect("start the gateway");
        gateway
    }

    /// Writes the configuration and starts nothing.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn write(self) -> Result<Gateway> {
        let home = tempfile::Builder::new().prefix("valetkey-").tempdir()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let store = self.store.clone().unwrap_or_else(|| home.path().join("valetkey-data/objects"));
        let signers = home.path().join("valetkey-data/signers");
        fs::create_dir_all(&signers)?;
        fs::create_dir_all(&store)?;
        for folder in [home.path().join("valetkey-data"), signers.clone()] {
            fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        }
        for (name, secret, _) in &self.signers {
            write_secret(&signers.join(format!("{name}.secret")), secret)?;
        }
        if self.front == Front::Tls {
            write_certificate(&home.path().join("cert.pem"), &home.path().join("key.pem"))?;
        }
        fs::write(home.path().join("valetkey.toml"), self.configuration(address, &store))?;
        let audit = home.path().join(&self.audit);
        Ok(Gateway { home, address, store, audit, env: self.env, front: self.front, child: None })
    }

    fn configuration(&self, address: SocketAddr, store: &Path) -> String {
        let disk = format!("[backends.local]\nkind = \"disk\"\nroot = \"{}\"\n", store.display());
        let mut text = format!(
            "[server]\nlisten = \"{address}\"\npublic_url = \"http://{address}\"\n{}\n\
             [ledger]\nengine = \"sqlite\"\npath = \"valetkey-data/ledger.db\"\n\n\
             [audit]\npath = \"{}\"\n{}\n\
             {}\n",
            self.server,
            self.audit.display(),
            self.audit_lines,
            self.remote.as_ref().unwrap_or(&disk)
        );
        for (name, lines) in &self.buckets {
            text.push_str(&format!("[buckets.{name}]\nbackend = \"local\"\n{lines}\n"));
        }
        for (name, _, lines) in &self.signers {
            let file = format!("valetkey-data/signers/{name}.secret");
            text.push_str(&format!("[signers.{name}]\nsecret_file = \"{file}\"\n{lines}\n"));
        }
        text + &self.rest
    }
}

/// A gateway: its folder, its address and, while it runs, its process. Dropping it kills the process.
#[derive(Debug)]
pub struct Gateway {
    home: TempDir,
    address: SocketAddr,
    store: PathBuf,
    audit: PathBuf,
    env: Vec<(String, String)>,
    front: Front,
    child: Option<Child>,
}

impl Gateway {
    /// What to start it with.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A gateway as the builder makes it by default, running.
    pub fn new() -> Self {
        Self::builder().start()
    }

    /// Starts the process and waits until it is healthy.
    ///
    /// # Errors
    /// If it ends, or is not healthy in time; the error tells what it wrote.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "it runs already");
        let log = OpenOptions::new().create(true).append(true).mode(0o600).open(self.stderr_path())?;
        let child = Command::new(process::binary())
            .args(["serve", "--config"])
            .arg(self.config_path())
            .current_dir(self.home.path())
            .env_remove("RUST_LOG")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start the gateway")?;
        self.child = Some(child);
        let begun = Instant::now();
        loop {
            if self.health().is_ok_and(|status| status == 200) {
                return Ok(());
            }
            if let Some(status) = self.child.as_mut().map(Child::try_wait).transpose()?.flatten() {
                self.child = None;
                bail!("the gateway ended with {status}: {}", self.stderr());
            }
            ensure!(begun.elapsed() < START_LIMIT, "not healthy in time: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks it to stop and waits for its end.
    ///
    /// # Errors
    /// If it does not end in time.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        let mut child = self.child.take().context("it does not run")?;
        kill_process(pid_of(&child), Signal::TERM)?;
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if begun.elapsed() > START_LIMIT {
                child.kill()?;
                child.wait()?;
                bail!("it did not stop in time: {}", self.stderr());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it as a power cut would, its files staying as they are.
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill9(&mut self) -> Result<()> {
        let mut child = self.child.take().context("it does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Stops it well and starts it again in the same folder and on the same port.
    ///
    /// # Errors
    /// If either fails, or it does not stop with success.
    pub fn restart(&mut self) -> Result<()> {
        let status = self.stop()?;
        ensure!(status.success(), "stopped with {status}: {}", self.stderr());
        self.start()
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.as_mut().map(Child::try_wait), Some(Ok(None)))
    }

    /// Sends a request on a connection of its own.
    ///
    /// # Panics
    /// If there is no well-formed answer: that is never right.
    pub fn send(&self, request: &Request) -> Answer {
        match http::send(self.address, request) {
            Ok(answer) => answer,
            Err(error) => panic!("{error:?}\n{}", self.stderr_tail()),
        }
    }

    /// A GET on a connection of its own.
    pub fn get(&self, target: impl Into<String>) -> Answer {
        self.send(&Request::get(target))
    }

    /// A connection.
    ///
    /// # Panics
    /// If none can be had.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address).expect("connect to the gateway")
    }

    /// The status of `/-/health`.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn health(&self) -> Result<u16> {
        let request = Request::get("/-/health").header("Connection", "close");
        match self.front {
            Front::Nothing => Ok(http::send(self.address, &Request::get("/-/health"))?.status),
            Front::ProxyHeader => {
                let mut connection = Connection::open(self.address)?;
                connection.send(b"PROXY UNKNOWN\r\n")?;
                Ok(connection.exchange(&request)?.status)
            }
            Front::Tls => {
                let curl = Command::new("curl")
                    .args(["--silent", "--insecure", "--max-time", "10", "--write-out", "%{http_code}"])
                    .args(["--output", "/dev/null", &format!("https://{}/-/health", self.address)])
                    .output()?;
                Ok(String::from_utf8(curl.stdout)?.parse()?)
            }
        }
    }

    /// Puts a file where the object of this path (`/files/a.txt`) lies, as an operator would.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn plant(&self, object: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file_of(object);
        fs::create_dir_all(path.parent().expect("an object lies in a folder")).expect("make its folder");
        fs::write(&path, bytes).expect("plant an object");
        path
    }

    /// The file of an object of this path.
    pub fn file_of(&self, object: &str) -> PathBuf {
        self.store.join(object.trim_start_matches('/'))
    }

    /// Every file and folder in the store, as paths relative to it, in order; temporary ones too.
    pub fn stored(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.store, &self.store, &mut found);
        found.sort();
        found
    }

    /// The folder it was started in.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Its configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.home.path().join("valetkey.toml")
    }

    /// The certificate that it proves itself by, if it speaks TLS.
    pub fn certificate_path(&self) -> PathBuf {
        self.home.path().join("cert.pem")
    }

    /// Its audit log.
    pub fn audit_path(&self) -> PathBuf {
        self.audit.clone()
    }

    /// Its listening address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    ///
    /// # Panics
    /// If it does not run.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// All that it wrote on standard output and standard error, over restarts.
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.stderr_path()).unwrap_or_default()
    }

    fn stderr_tail(&self) -> String {
        let text = self.stderr();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    fn stderr_path(&self) -> PathBuf {
        self.home.path().join("gateway.log")
    }
}

impl Default for Gateway {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; then there is nothing to kill and only its status to take.
            drop(child.kill());
            drop(child.wait());
        }
        if std::thread::panicking() {
            eprintln!("the gateway wrote:\n{}", self.stderr_tail());
        }
    }
}

/// Writes a secret that only its owner reads, with the newline that an editor leaves.
///
/// # Errors
/// If it cannot be written.
pub fn write_secret(path: &Path, secret: &str) -> Result<()> {
    let mut file: File = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    Ok(writeln!(file, "{secret}")?)
}

/// Makes a certificate for 127.0.0.1 and localhost, signed by itself, and its key.
///
/// # Errors
/// If openssl does not make it.
pub fn write_certificate(certificate: &Path, key: &Path) -> Result<()> {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"])
        .args([Path::new("-out"), certificate, Path::new("-keyout"), key])
        .output()
        .context("run openssl")?;
    ensure!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
    Ok(fs::set_permissions(key, Permissions::from_mode(0o600))?)
}

/// A port below the range from which the kernel takes those of clients, so that none of them sits on it at a restart.
pub(crate) fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 180)? * 100;
    for _ in 0..1000 {
        let port = 12_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port")
}

fn pid_of(child: &Child) -> Pid {
    let raw = i32::try_from(child.id()).expect("a process id fits");
    Pid::from_raw(raw).expect("a process id is not zero")
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let relative = path.strip_prefix(root).unwrap_or(&path);
        found.push(relative.to_string_lossy().into_owned());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(root, &path, found);
        }
    }
}
