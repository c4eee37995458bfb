//! The other end: what the command line asks of a running gateway.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::listen;
use crate::settings::AdminListen;

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// The largest answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// What a gateway answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The document; `null` where there is none.
    pub body: Value,
}

impl Answer {
    /// The document, if the gateway did what it was asked for.
    ///
    /// # Errors
    /// What it said instead.
    pub fn done(self) -> anyhow::Result<Value> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let said = |name: &str| self.body.get(name).and_then(Value::as_str);
        match (said("reason"), said("detail")) {
            (Some(reason), Some(detail)) => bail!("{reason}: {detail}"),
            _ => bail!("the gateway answered with status {}", self.status),
        }
    }
}

/// Asks the gateway that listens there, and waits for its answer.
///
/// # Errors
/// Where no gateway answers.
pub fn ask(listen: &AdminListen, method: &str, target: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
    let refused = || format!("no gateway answers at {listen}; is it running, under this configuration?");
    match listen {
        AdminListen::Unix(path) => {
            let stream = listen::connect(path).with_context(refused)?;
            let server = rustix::net::sockopt::socket_peercred(&stream).with_context(refused)?.uid;
            let folder = path.metadata().map(|socket| std::os::unix::fs::MetadataExt::uid(&socket));
            // What is asked is secret; whoever owns the socket may know it, and root.
            if !server.is_root() && folder.ok() != Some(server.as_raw()) {
                bail!("{listen} is answered by user {}, whose it is not", server.as_raw());
            }
            stream.set_read_timeout(Some(ANSWER_MAX)).with_context(refused)?;
            stream.set_write_timeout(Some(ANSWER_MAX)).with_context(refused)?;
            exchange(stream, method, target, None, body)
        }
        AdminListen::Tcp { address, token } => {
            let stream = TcpStream::connect_timeout(address, ANSWER_MAX).with_context(refused)?;
            stream.set_read_timeout(Some(ANSWER_MAX)).with_context(refused)?;
            stream.set_write_timeout(Some(ANSWER_MAX)).with_context(refused)?;
            exchange(stream, method, target, Some(token.reveal()), body)
        }
    }
}

fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    target: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> anyhow::Result<Answer> {
    let body = body.map(Value::to_string);
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: valetkey\r\nConnection: close\r\n");
    if let Some(token) = token {
        request.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    if let Some(body) = &body {
        request.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    request.push_str(body.as_deref().unwrap_or(""));
    stream.write_all(request.as_bytes()).context("ask the gateway")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).context("read the gateway's answer")?;
    parse(&answer).context("read the gateway's answer")
}

/// Reads an answer that ends with its connection.
fn parse(answer: &[u8]) -> anyhow::Result<Answer> {
    let unsound = || io::Error::from(ErrorKind::InvalidData);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(unsound)?;
    let head = std::str::from_utf8(&answer[..end])?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let declared = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let body = &answer[end + 4..];
    if declared.is_some_and(|declared| declared != body.len()) {
        bail!("it was cut off");
    }
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(body)? };
    Ok(Answer { status: status.ok_or_else(unsound)?, body })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_and_its_document() {
        let answer = parse(b"HTTP/1.1 201 Created\r\nContent-Length: 7\r\n\r\n{\"a\":1}").unwrap();
        assert_eq!((answer.status, &answer.body["a"]), (201, &1.into()));
        assert_eq!(parse(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().body, Value::Null);
    }

    #[test]
    fn what_is_no_whole_answer_is_none() {
        for answer in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{\"a\":1}",
            "HTTP/1.1 200 OK\r\n\r\nnot json",
            "SSH-2.0 hello\r\n\r\n",
        ] {
            assert!(parse(answer.as_bytes()).is_err(), "{answer}");
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_gateways_words() {
        let body = serde_json::json!({"reason": "not_found", "detail": "there is no such thing"});
        let error = Answer { status: 404, body }.done().unwrap_err().to_string();
        assert_eq!(error, "not_found: there is no such thing");
        assert!(Answer { status: 502, body: Value::Null }.done().unwrap_err().to_string().contains("502"));
    }
}
