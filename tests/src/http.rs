//! A small HTTP/1.1 client: it sends the exact bytes it is given and reads answers strictly.
//!
//! It repairs nothing and retries nothing, so a test sees what a client on the wire would see: interim answers, doubled
//! headers, short bodies and closed connections included.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// How long a read may wait before the test calls it a hang.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The user agent of requests that do not name one.
pub const USER_AGENT: &str = "valetkey-tests";

/// A request: what its parts say is what is sent.
#[derive(Clone, Debug)]
pub struct Request {
    /// The verb.
    pub method: String,
    /// The request target, as it stands in the request line.
    pub target: String,
    /// The headers, in order. `Host` and `User-Agent` are added where absent, `Content-Length` where there is a body.
    pub headers: Vec<(String, String)>,
    /// The body, sent in one piece; `None` sends no `Content-Length`.
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// A request without a body.
    pub fn new(method: &str, target: impl Into<String>) -> Self {
        Self { method: method.to_owned(), target: target.into(), headers: Vec::new(), body: None }
    }

    /// A GET.
    pub fn get(target: impl Into<String>) -> Self {
        Self::new("GET", target)
    }

    /// A HEAD.
    pub fn head(target: impl Into<String>) -> Self {
        Self::new("HEAD", target)
    }

    /// A PUT of these bytes.
    pub fn put(target: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self::new("PUT", target).body(body)
    }

    /// A DELETE.
    pub fn delete(target: impl Into<String>) -> Self {
        Self::new("DELETE", target)
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The head's bytes, up to and with the empty line.
    pub fn head_bytes(&self) -> Vec<u8> {
        let has = |wanted: &str| self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !has("host") {
            head.push_str("Host: localhost\r\n");
        }
        if !has("user-agent") {
            head.push_str(&format!("User-Agent: {USER_AGENT}\r\n"));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body
            && !has("content-length")
            && !has("transfer-encoding")
        {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// A parsed answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers in order, names in lower case, doubles kept.
    pub headers: Vec<(String, String)>,
    /// The body, its framing removed.
    pub body: Vec<u8>,
    /// The status codes of interim answers before this one.
    pub interim: Vec<u16>,
}

impl Answer {
    /// The value of a header that stands at most once.
    ///
    /// # Panics
    /// If it stands twice: no header that tests ask for may.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(have, _)| have == name);
        let first = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "header {name} stands twice: {:?}", self.headers);
        first
    }

    /// The reason of a refusal: the header, checked against the problem document where there is a body.
    pub fn reason(&self) -> &str {
        self.header("x-valetkey-reason").unwrap_or("")
    }

    /// The body as text, with what is not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("parse body {:?}", self.text()))
    }
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).context("connect")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Changes how long a read may wait.
    ///
    /// # Errors
    /// If the socket refuses.
    pub fn set_patience(&self, patience: Duration) -> Result<()> {
        Ok(self.stream.set_read_timeout(Some(patience))?)
    }

    /// Sends exactly these bytes.
    ///
    /// # Errors
    /// If the peer has closed, or does not take them in time.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that nothing more will be sent.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn finish_sending(&self) -> io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Write)
    }

    /// Sends a request and reads its answer. A peer that answers early and closes is no error.
    ///
    /// # Errors
    /// If no well-formed answer comes in time.
    pub fn exchange(&mut self, request: &Request) -> Result<Answer> {
        let mut bytes = request.head_bytes();
        bytes.extend_from_slice(request.body.as_deref().unwrap_or_default());
        // The answer to a refused upload may stand in the socket although our sending failed.
        let sent = self.send(&bytes);
        self.read_answer(&request.method)
            .with_context(|| format!("{} {} (sending: {sent:?})", request.method, request.target))
    }

    /// Reads one final answer and the interim ones before it.
    ///
    /// # Errors
    /// If it is malformed, cut short, or does not come in time.
    pub fn read_answer(&mut self, method: &str) -> Result<Answer> {
        let mut body = Vec::new();
        let mut answer = self.read_answer_into(method, |piece| body.extend_from_slice(piece))?;
        answer.body = body;
        Ok(answer)
    }

    /// As [`Self::read_answer`], handing on the body piece by piece.
    ///
    /// # Errors
    /// As there.
    pub fn read_answer_into(&mut self, method: &str, mut sink: impl FnMut(&[u8])) -> Result<Answer> {
        let mut interim = Vec::new();
        let mut answer = loop {
            let answer = self.read_head()?;
            if answer.status >= 200 {
                break answer;
            }
            interim.push(answer.status);
        };
        answer.interim = interim;
        let bodiless = method == "HEAD" || answer.status == 204 || answer.status == 304;
        let length = answer.header("content-length").map(str::to_owned);
        match (bodiless, answer.header("transfer-encoding"), length) {
            (true, _, _) => {}
            (false, Some(coding), length) => {
                ensure!(coding == "chunked", "transfer-encoding {coding:?}");
                ensure!(length.is_none(), "both content-length and transfer-encoding");
                self.read_chunks(&mut sink)?;
            }
            (false, None, Some(length)) => {
                let length: u64 = length.parse().with_context(|| format!("content-length {length:?}"))?;
                self.read_exactly(length, &mut sink)?;
            }
            (false, None, None) => self.read_to_end(&mut sink)?,
        }
        Ok(answer)
    }

    /// Reads the head of the next answer, interim or final, and nothing of its body.
    ///
    /// # Errors
    /// If it is malformed or does not come in time.
    pub fn read_head(&mut self) -> Result<Answer> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            ensure!(self.buffer.len() < 64 * 1024, "head longer than 64 KiB");
            ensure!(
                self.fill()? > 0,
                "closed before an answer, after {:?}",
                String::from_utf8_lossy(&self.buffer)
            );
        };
        let head = String::from_utf8(self.buffer[..end].to_vec()).context("head is not UTF-8")?;
        self.buffer.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line
            .strip_prefix("HTTP/1.1 ")
            .or_else(|| status_line.strip_prefix("HTTP/1.0 "))
            .and_then(|rest| rest.get(..3))
            .and_then(|code| code.parse().ok())
            .with_context(|| format!("status line {status_line:?}"))?;
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':').with_context(|| format!("header line {line:?}"))?;
            ensure!(!name.is_empty() && !name.contains(' '), "header line {line:?}");
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Answer { status, headers, body: Vec::new(), interim: Vec::new() })
    }

    /// Reads up to `length` bytes of a body and leaves the rest unread.
    ///
    /// # Errors
    /// If the peer closes or falls silent before.
    pub fn read_some(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_exactly(u64::try_from(length)?, &mut |piece: &[u8]| bytes.extend_from_slice(piece))?;
        Ok(bytes)
    }

    /// Everything the peer sends until it closes; an abrupt close ends it too.
    ///
    /// # Errors
    /// If the peer neither sends nor closes in time.
    pub fn drain(&mut self) -> Result<Vec<u8>> {
        loop {
            match self.fill() {
                Ok(0) => return Ok(std::mem::take(&mut self.buffer)),
                Ok(_) => {}
                Err(error) if is_reset(&error) => return Ok(std::mem::take(&mut self.buffer)),
                Err(error) => return Err(error).context("drain the connection"),
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut piece = vec![0; 64 * 1024];
        // A read with a time limit ends like this when the machine pauses the process.
        let count = loop {
            match self.stream.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.buffer.extend_from_slice(&piece[..count]);
        Ok(count)
    }

    fn read_exactly(&mut self, length: u64, sink: &mut impl FnMut(&[u8])) -> Result<()> {
        let mut left = length;
        let mut piece = vec![0; 256 * 1024];
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX);
            let taken = if self.buffer.is_empty() {
                let room = wanted.min(piece.len());
                let count = self.stream.read(&mut piece[..room]).context("read body")?;
                ensure!(count > 0, "closed with {left} of {length} body bytes missing");
                sink(&piece[..count]);
                count
            } else {
                let count = wanted.min(self.buffer.len());
                sink(&self.buffer[..count]);
                self.buffer.drain(..count);
                count
            };
            left -= u64::try_from(taken)?;
        }
        Ok(())
    }

    fn read_chunks(&mut self, sink: &mut impl FnMut(&[u8])) -> Result<()> {
        loop {
            let line = self.read_line()?;
            let size = u64::from_str_radix(&line, 16).with_context(|| format!("chunk size {line:?}"))?;
            self.read_exactly(size, sink)?;
            let end = self.read_line()?;
            ensure!(end.is_empty(), "chunk ends in {end:?}");
            if size == 0 {
                return Ok(());
            }
        }
    }

    fn read_line(&mut self) -> Result<String> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..at]).into_owned();
                self.buffer.drain(..at + 2);
                return Ok(line);
            }
            if self.fill()? == 0 {
                bail!("closed within a chunked body");
            }
        }
    }

    fn read_to_end(&mut self, sink: &mut impl FnMut(&[u8])) -> Result<()> {
        loop {
            if !self.buffer.is_empty() {
                sink(&self.buffer);
                self.buffer.clear();
            }
            if self.fill()? == 0 {
                return Ok(());
            }
        }
    }
}

/// Sends a request on a connection of its own and reads the answer.
///
/// # Errors
/// If there is no well-formed answer in time.
pub fn send(address: SocketAddr, request: &Request) -> Result<Answer> {
    Connection::open(address)?.exchange(&request.clone().header("Connection", "close"))
}

/// A body in chunks of `chunk` bytes, as `Transfer-Encoding: chunked` frames it.
pub fn chunked(body: &[u8], chunk: usize) -> Vec<u8> {
    let mut framed = Vec::new();
    for piece in body.chunks(chunk) {
        framed.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        framed.extend_from_slice(piece);
        framed.extend_from_slice(b"\r\n");
    }
    framed.extend_from_slice(b"0\r\n\r\n");
    framed
}

fn is_reset(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted
    )
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;

    use super::*;

    /// What the client makes of an answer with exactly these bytes.
    fn read(method: &str, bytes: &'static [u8]) -> Result<Answer> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accept");
            stream.write_all(bytes).expect("send the answer");
        });
        let answer = Connection::open(address)?.read_answer(method);
        server.join().expect("the server ends");
        answer
    }

    #[test]
    fn interim_answers_and_doubled_headers_are_kept() {
        let bytes =
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\nContent-Length: 2\r\n\r\nhi";
        let answer = read("GET", bytes).expect("an answer");
        assert_eq!((answer.status, answer.interim, answer.body), (200, vec![100], b"hi".to_vec()));
        assert_eq!(answer.headers.iter().filter(|(name, _)| name == "a").count(), 2);
    }

    #[test]
    fn chunked_body_is_unframed() {
        let bytes =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(read("GET", bytes).expect("an answer").body, b"abc0123456789");
        let head_only = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(read("HEAD", head_only).expect("an answer").body, b"");
    }

    #[test]
    fn short_and_doubtful_answers_are_errors() {
        let doubtful: [&'static [u8]; 5] = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            b"SSH-2.0-OpenSSH\r\n\r\n",
        ];
        for bytes in doubtful {
            assert!(read("GET", bytes).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn chunks_are_framed_as_they_are_read() {
        assert_eq!(chunked(b"abcdefg", 3), b"3\r\nabc\r\n3\r\ndef\r\n1\r\ng\r\n0\r\n\r\n");
    }
}
