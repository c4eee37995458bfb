//! SeaweedFS, a store that speaks S3.

use std::net::SocketAddr;
use std::sync::OnceLock;

use anyhow::Result;

use super::process::installed;
use super::{Store, StoreProcess, elements};
use crate::aws::Aws;
use crate::gateway::free_port;
use crate::http::Request;
use crate::key::encode;

const ACCESS_KEY_ID: &str = "valetkey-tests";
const SECRET_ACCESS_KEY: &str = "c2VjcmV0LW9mLXRoZS1zdG9yZQ==";

/// A SeaweedFS, running.
#[derive(Debug)]
pub struct SeaweedFs(StoreProcess);

impl SeaweedFs {
    /// The one that all tests of this program share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<SeaweedFs> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// One for a test of its own.
    ///
    /// # Panics
    /// If it does not start: the test cannot go on.
    pub fn start() -> Self {
        let mut store = Self(Self::process().expect("prepare SeaweedFS"));
        store.restart();
        store
    }

    /// Kills it as a power cut would.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill9(&mut self) {
        self.0.kill9().expect("kill SeaweedFS");
    }

    /// Starts it again after a kill, with its data and on the same port.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        let address = self.0.address();
        // The first writes after a start wait for the volumes, so readiness is one that works.
        let is_ready = || {
            let aws = signer(address);
            let works = |request| {
                let answer = crate::http::send(address, &aws.sign(request));
                answer.is_ok_and(|answer| matches!(answer.status, 200 | 409))
            };
            works(Request::new("PUT", "/valetkey-ready")) && works(Request::put("/valetkey-ready/a", "a"))
        };
        self.0.start(is_ready).expect("start SeaweedFS");
    }

    /// The uploads in parts of a bucket that are neither complete nor aborted, as the names of their objects.
    ///
    /// # Panics
    /// If the store does not say.
    pub fn open_uploads(&self, bucket: &str) -> Vec<String> {
        let answer = self.ask(Request::get(format!("/{bucket}?uploads=")));
        assert_eq!(answer.status, 200, "{}", answer.text());
        elements(&answer.text(), "Key")
    }

    fn process() -> Result<StoreProcess> {
        let mut process = StoreProcess::new("seaweedfs")?;
        let folder = process.folder().display().to_string();
        let identities = serde_json::json!({"identities": [{
            "name": "tests",
            "credentials": [{"accessKey": ACCESS_KEY_ID, "secretKey": SECRET_ACCESS_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]});
        std::fs::write(process.folder().join("s3.json"), identities.to_string())?;
        let mut arguments = vec![
            "server".to_owned(),
            "-s3".to_owned(),
            format!("-s3.config={folder}/s3.json"),
            format!("-s3.port={}", process.address().port()),
            "-s3.port.iceberg=0".to_owned(),
            "-s3.port.lance=0".to_owned(),
            format!("-s3.localSocket={folder}/s3.sock"),
            format!("-dir={folder}"),
            "-ip=127.0.0.1".to_owned(),
            "-ip.bind=127.0.0.1".to_owned(),
            "-volume.max=2000".to_owned(),
            "-master.volumeSizeLimitMB=64".to_owned(),
            "-master.telemetry=false".to_owned(),
        ];
        for port in [
            "master.port",
            "master.port.grpc",
            "volume.port",
            "volume.port.grpc",
            "filer.port",
            "filer.port.grpc",
            "s3.port.grpc",
        ] {
            arguments.push(format!("-{port}={}", free_port()?));
        }
        process.command(installed("bin/weed"), arguments);
        Ok(process)
    }
}

impl Store for SeaweedFs {
    fn process(&self) -> &StoreProcess {
        &self.0
    }

    fn signed(&self, request: Request) -> Request {
        signer(self.address()).sign(request)
    }

    fn making(&self, bucket: &str) -> Request {
        Request::new("PUT", format!("/{bucket}"))
    }

    fn storing(&self, bucket: &str, name: &str, bytes: &[u8]) -> Request {
        Request::put(target(bucket, name), bytes)
    }

    fn reading(&self, bucket: &str, name: &str) -> Request {
        Request::get(target(bucket, name))
    }

    fn deleting(&self, bucket: &str, name: &str) -> Request {
        Request::delete(target(bucket, name))
    }

    fn list(&self, bucket: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        loop {
            let after = names.last().map_or_else(String::new, |last| encode(last, ""));
            let answer = self.ask(Request::get(format!("/{bucket}?list-type=2&start-after={after}")));
            assert_eq!(answer.status, 200, "{}", answer.text());
            names.extend(elements(&answer.text(), "Key"));
            if elements(&answer.text(), "IsTruncated") != ["true"] {
                names.sort();
                return names;
            }
        }
    }

    fn section(&self, name: &str, address: SocketAddr, bucket: &str) -> String {
        format!(
            "[backends.{name}]\nkind = \"s3\"\nendpoint = \"http://{address}\"\nregion = \"us-east-1\"\n\
             bucket = \"{bucket}\"\naccess_key_id_env = \"STORE_ACCESS_KEY_ID\"\n\
             secret_access_key_env = \"STORE_SECRET_ACCESS_KEY\"\n"
        )
    }

    fn credentials(&self) -> Vec<(&'static str, String)> {
        vec![
            ("STORE_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
            ("STORE_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
        ]
    }
}

fn signer(address: SocketAddr) -> Aws {
    Aws {
        signer: ACCESS_KEY_ID.to_owned(),
        secret: SECRET_ACCESS_KEY.to_owned(),
        host: address.to_string(),
        ..Aws::default()
    }
}

fn target(bucket: &str, name: &str) -> String {
    format!("/{bucket}/{}", encode(name, "/"))
}
