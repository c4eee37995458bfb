//! A connection before its first request: for whom it is, whether it is encrypted, which protocol it speaks.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsAcceptor;
use valetkey::Client;

use super::connection::HEAD_MAX;
use super::proxy_protocol::{self, Origin};
use super::stream::Stream;
use crate::settings::Server;

/// What an HTTP/2 client sends first. [RFC 9113, section 3.4](https://www.rfc-editor.org/rfc/rfc9113#section-3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection that may send requests.
pub(super) struct Arrival {
    pub(super) stream: Stream,
    /// Who is at its other end, or before the proxy that opened it.
    pub(super) client: Client,
    pub(super) protocol: Protocol,
}

pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Receives a connection. All of it takes no longer than the head of a request may.
///
/// # Errors
/// Where it does not keep to what the settings ask of every connection, or ends.
pub(super) async fn receive(server: &Server, mut socket: TcpStream, peer: SocketAddr) -> io::Result<Arrival> {
    let deadline = Instant::now() + HEAD_MAX;
    timeout_at(deadline, async {
        socket.set_nodelay(true)?;
        let mut client = Client { address: Some(peer.ip()), is_secure: server.tls.is_some() };
        if server.proxy_protocol {
            if !server.trusted_proxies.contain(peer.ip()) {
                return Err(io::Error::other("it comes from no trusted proxy"));
            }
            if let Origin::Client(address) = proxy_protocol::read(&mut socket).await? {
                client.address = address;
            }
        }
        let (stream, protocol) = match &server.tls {
            Some(config) => {
                let tls = TlsAcceptor::from(Arc::clone(config)).accept(socket).await?;
                let chosen = tls.get_ref().1.alpn_protocol();
                let protocol = if chosen == Some(b"h2") { Protocol::Http2 } else { Protocol::Http1 };
                (Stream::Tls(Box::new(tls)), protocol)
            }
            None => {
                let protocol = recognise(&socket).await?;
                (Stream::Plain(socket), protocol)
            }
        };
        Ok(Arrival { stream, client, protocol })
    })
    .await?
}

/// Looks at the first bytes without taking them.
async fn recognise(socket: &TcpStream) -> io::Result<Protocol> {
    let mut first = [0; PREFACE.len()];
    loop {
        let seen = socket.peek(&mut first).await?;
        match &first[..seen] {
            [] => return Err(io::ErrorKind::UnexpectedEof.into()),
            seen if seen == PREFACE => return Ok(Protocol::Http2),
            seen if !PREFACE.starts_with(seen) => return Ok(Protocol::Http1),
            // A piece of the preface; the rest follows, and until then a look returns at once.
            _ => sleep(Duration::from_millis(5)).await,
        }
    }
}
