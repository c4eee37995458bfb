//! A store that lies: it speaks HTTP and answers just what a test has it answer.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A request to it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The target, as it was sent.
    pub target: String,
}

impl Asked {
    /// A parameter of the query, decoded; empty where it is not there.
    pub fn parameter(&self, name: &str) -> String {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let value = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
        decoded(value.map_or("", |(_, value)| value))
    }
}

/// What it answers on a connection, which ends then. An error is a client that went away.
type Answers = dyn Fn(&Asked, &mut TcpStream) -> io::Result<()> + Send + Sync;

/// A store that lies, on a port of its own, until it is dropped.
pub struct LyingStore {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    stopped: Arc<AtomicBool>,
}

impl LyingStore {
    /// One that answers so.
    ///
    /// # Panics
    /// If there is no port to be had: the test cannot go on.
    pub fn start(answers: impl Fn(&Asked, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind the store");
        let address = listener.local_addr().expect("the store's address");
        let (asked, stopped) = (Arc::<Mutex<_>>::default(), Arc::<AtomicBool>::default());
        let answers: Arc<Answers> = Arc::new(answers);
        let (log, is_stopped) = (Arc::clone(&asked), Arc::clone(&stopped));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if is_stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (log, answers) = (Arc::clone(&log), Arc::clone(&answers));
                thread::spawn(move || {
                    // Whoever asked does not wait for the answer any more.
                    drop(serve(stream, &log, &*answers));
                });
            }
        });
        Self { address, asked, stopped }
    }

    /// The requests whose targets have this part, in order.
    pub fn asked(&self, part: &str) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().filter(|asked| asked.target.contains(part)).cloned().collect()
    }

    /// The section of a gateway's configuration that makes it the backend `name`.
    pub fn section(&self, name: &str) -> String {
        format!(
            "[backends.{name}]\nkind = \"s3\"\nendpoint = \"http://{}\"\nbucket = \"backing\"\n\
             access_key_id_env = \"LYING_STORE_CREDENTIAL\"\nsecret_access_key_env = \"LYING_STORE_CREDENTIAL\"\n",
            self.address
        )
    }

    /// The variable of the gateway's environment that holds the credentials.
    pub fn credential(&self) -> (&'static str, &'static str) {
        ("LYING_STORE_CREDENTIAL", "whatever-it-is")
    }
}

impl Drop for LyingStore {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // The thread that accepts looks up once more, and ends.
        drop(TcpStream::connect(self.address));
    }
}

/// Answers whole, with this status.
///
/// # Errors
/// If the client went away.
pub fn answer(stream: &mut TcpStream, status: u16, body: &str) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A page of a listing: the objects of these names, and the token of the next page.
pub fn page<'a>(names: impl IntoIterator<Item = &'a str>, next: Option<&str>) -> String {
    let mut page = String::from("<ListBucketResult>");
    for name in names {
        page.push_str(&format!(
            "<Contents><Key>{name}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
             <ETag>\"00000000000000000000000000000000\"</ETag><Size>0</Size></Contents>"
        ));
    }
    if let Some(next) = next {
        page.push_str(&format!("<NextContinuationToken>{next}</NextContinuationToken>"));
    }
    page + "</ListBucketResult>"
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Asked>>, answers: &Answers) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let mut words = first.split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let asked = Asked { method: word(), target: word() };
    log.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
    answers(&asked, &mut stream)
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).expect("a digit");
        bytes.push(match byte {
            b'%' => u8::try_from(16 * digit() + digit()).expect("a byte"),
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).expect("a text")
}
