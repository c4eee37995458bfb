//! Azurite, Azure's own emulator of Blob Storage.

use std::net::SocketAddr;
use std::sync::OnceLock;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Store, StoreProcess, elements};
use crate::http::Request;
use crate::key::{encode, unix_now};
use crate::python::root;

const ACCOUNT: &str = "valetkeytests";
const KEY: &str = "c2VjcmV0LW9mLXRoZS1zdG9yZS1zZWNyZXQtb2YtdGhlLXN0b3Jl";

/// An Azurite, running.
#[derive(Debug)]
pub struct Azurite(StoreProcess);

impl Azurite {
    /// The one that all tests of this program share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Azurite> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// One for a test of its own.
    ///
    /// # Panics
    /// If it does not start: the test cannot go on.
    pub fn start() -> Self {
        let mut store = Self(Self::process().expect("prepare Azurite"));
        store.restart();
        store
    }

    /// Kills it as a power cut would. It keeps its data in memory for some seconds, so that what was stored last may be
    /// lost.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill9(&mut self) {
        self.0.kill9().expect("kill Azurite");
    }

    /// Starts it again after a kill, with its data and on the same port.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        let address = self.0.address();
        let is_ready = || {
            let request = signed(Request::get(format!("/{ACCOUNT}?comp=list")), address);
            crate::http::send(address, &request).is_ok_and(|answer| answer.status == 200)
        };
        self.0.start(is_ready).expect("start Azurite");
    }

    fn process() -> Result<StoreProcess> {
        let mut process = StoreProcess::new("azurite")?;
        let arguments = [
            "--blobPort".to_owned(),
            process.address().port().to_string(),
            "--location".to_owned(),
            process.folder().display().to_string(),
            "--skipApiVersionCheck".to_owned(),
            "--disableTelemetry".to_owned(),
        ];
        process.command(root().join("tests/stores/node_modules/.bin/azurite-blob"), arguments);
        process.environment("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{KEY}"));
        Ok(process)
    }
}

impl Store for Azurite {
    fn process(&self) -> &StoreProcess {
        &self.0
    }

    fn signed(&self, request: Request) -> Request {
        signed(request, self.address())
    }

    fn making(&self, bucket: &str) -> Request {
        Request::put(format!("/{ACCOUNT}/{bucket}?restype=container"), "")
    }

    fn storing(&self, bucket: &str, name: &str, bytes: &[u8]) -> Request {
        Request::put(target(bucket, name), bytes).header("x-ms-blob-type", "BlockBlob")
    }

    fn reading(&self, bucket: &str, name: &str) -> Request {
        Request::get(target(bucket, name))
    }

    fn deleting(&self, bucket: &str, name: &str) -> Request {
        Request::delete(target(bucket, name))
    }

    fn list(&self, bucket: &str) -> Vec<String> {
        let answer = self.ask(Request::get(format!("/{ACCOUNT}/{bucket}?restype=container&comp=list")));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let more = elements(&answer.text(), "NextMarker");
        assert!(more.iter().all(String::is_empty), "more than one page of objects");
        elements(&answer.text(), "Name")
    }

    fn section(&self, name: &str, address: SocketAddr, bucket: &str) -> String {
        format!(
            "[backends.{name}]\nkind = \"azure\"\nendpoint = \"http://{address}/{ACCOUNT}\"\naccount = \"{ACCOUNT}\"\n\
             container = \"{bucket}\"\naccess_key_env = \"STORE_ACCESS_KEY\"\n"
        )
    }

    fn credentials(&self) -> Vec<(&'static str, String)> {
        vec![("STORE_ACCESS_KEY", KEY.to_owned())]
    }
}

fn target(bucket: &str, name: &str) -> String {
    format!("/{ACCOUNT}/{bucket}/{}", encode(name, "/"))
}

/// Signs with the account's key: <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>.
fn signed(request: Request, address: SocketAddr) -> Request {
    let request = request.header("x-ms-date", http_date(unix_now())).header("x-ms-version", "2023-11-03");
    let length = request.body.as_ref().filter(|body| !body.is_empty());
    let length = length.map_or_else(String::new, |body| body.len().to_string());
    let mut headers: Vec<_> = request
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("x-ms-"))
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    headers.sort();
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut parameters: Vec<_> = pairs.map(|(name, value)| format!("\n{name}:{value}")).collect();
    parameters.sort();
    let text = format!(
        "{}\n\n\n{length}\n\n\n\n\n\n\n\n\n{}/{ACCOUNT}{path}{}",
        request.method,
        headers.concat(),
        parameters.concat()
    );
    let key = STANDARD.decode(KEY).expect("the key is base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    request
        .header("Authorization", format!("SharedKey {ACCOUNT}:{signature}"))
        .header("Host", address.to_string())
}

/// A time as HTTP's headers spell it.
fn http_date(unix: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = crate::key::time_text(unix);
    let day = DAYS[usize::try_from(unix.div_euclid(86_400).rem_euclid(7)).expect("a day of the week")];
    let month: usize = text[5..7].parse().expect("a month");
    format!("{day}, {} {} {} {} GMT", &text[8..10], MONTHS[month - 1], &text[..4], &text[11..19])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_spelt_as_the_standard_shows() {
        // The example of RFC 9110, section 5.6.7.
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
