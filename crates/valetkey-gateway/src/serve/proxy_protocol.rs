//! The header with which a TCP proxy says for whom it opened a connection.
//!
//! Both versions of [the PROXY protocol](https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt). Exactly
//! the header is read and not a byte behind it. A connection without one is no connection.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What version 2 begins with. Section 2.2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest line of version 1, in bytes, with its end. Section 2.1.
const LINE_BYTES_MAX: usize = 107;

/// How much a header of version 2 may carry, in bytes: addresses, and what proxies like to add.
const PAYLOAD_BYTES_MAX: u16 = 4096;

/// Whom a connection was opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The proxy itself: it asks whether we are there.
    Proxy,
    /// A client, whose address the proxy may not know.
    Client(Option<IpAddr>),
}

/// Reads the header.
///
/// # Errors
/// Where there is none.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Origin> {
    let mut start = [0; SIGNATURE.len()];
    stream.read_exact(&mut start).await?;
    if start != *SIGNATURE {
        return read_line(stream, &start).await;
    }
    let [command, family] = [stream.read_u8().await?, stream.read_u8().await?];
    let length = stream.read_u16().await?;
    if length > PAYLOAD_BYTES_MAX {
        return Err(no_header());
    }
    let mut payload = vec![0; length.into()];
    stream.read_exact(&mut payload).await?;
    // The source comes first; what proxies add follows both addresses and ports.
    Ok(match (command, family) {
        (0x20, _) => Origin::Proxy,
        (0x21, 0x11) if payload.len() >= 12 => {
            Origin::Client(payload.first_chunk::<4>().copied().map(|source| Ipv4Addr::from(source).into()))
        }
        (0x21, 0x21) if payload.len() >= 36 => {
            Origin::Client(payload.first_chunk::<16>().copied().map(|source| Ipv6Addr::from(source).into()))
        }
        (0x21, 0x11 | 0x21) => return Err(no_header()),
        // Any other family: a client, but at no address that we could compare.
        (0x21, _) => Origin::Client(None),
        _ => return Err(no_header()),
    })
}

/// Reads the rest of a line of version 1, byte by byte: nobody says how long it is.
async fn read_line(stream: &mut (impl AsyncRead + Unpin), start: &[u8]) -> io::Result<Origin> {
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() == LINE_BYTES_MAX {
            return Err(no_header());
        }
        line.push(stream.read_u8().await?);
    }
    let text = std::str::from_utf8(&line).map_err(|_| no_header())?;
    let words: Vec<&str> = text.trim_end_matches("\r\n").split(' ').collect();
    let source: IpAddr = match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => return Ok(Origin::Client(None)),
        ["PROXY", "TCP4", source, _, _, _] => source.parse::<Ipv4Addr>().map(IpAddr::from),
        ["PROXY", "TCP6", source, _, _, _] => source.parse::<Ipv6Addr>().map(IpAddr::from),
        _ => return Err(no_header()),
    }
    .map_err(|_| no_header())?;
    Ok(Origin::Client(Some(source)))
}

fn no_header() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it does not begin with a proxy's header")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of `bytes`, behind which a request follows that must be left alone.
    #[track_caller]
    fn check(bytes: &[u8], expected: Option<Origin>) {
        const BEHIND: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
        let all = [bytes, BEHIND].concat();
        let mut left = all.as_slice();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(read(&mut left)).ok();
        assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(bytes));
        assert!(expected.is_none() || left == BEHIND, "{left:?} of {:?}", String::from_utf8_lossy(bytes));
    }

    fn client(address: &str) -> Option<Origin> {
        Some(Origin::Client(Some(address.parse().unwrap())))
    }

    #[test]
    fn version_1_is_a_line() {
        check(b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n", client("192.0.2.7"));
        check(b"PROXY TCP6 2001:db8::7 ::1 56324 443\r\n", client("2001:db8::7"));
        check(b"PROXY UNKNOWN\r\n", Some(Origin::Client(None)));
        check(b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", Some(Origin::Client(None)));
        for line in [
            &b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n"[..],
            b"PROXY TCP4 192.0.2.7 10.0.0.1 56324\r\n",
            b"PROXY TCP5 192.0.2.7 10.0.0.1 1 2\r\n",
            b"proxy TCP4 192.0.2.7 10.0.0.1 1 2\r\n",
            b"PROXY  TCP4 192.0.2.7 10.0.0.1 1 2\r\n",
            b"PROXY TCP4 nonsense 10.0.0.1 1 2\r\n",
            b"",
            b"\x16\x03\x01",
        ] {
            check(line, None);
        }
        check(&[b"PROXY UNKNOWN ", &[b'x'; 100][..], b"\r\n"].concat(), None);
    }

    fn version_2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, payload].concat()
    }

    #[test]
    fn version_2_is_binary() {
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 1, 2, 3, 4];
        check(&version_2(0x21, 0x11, &v4), client("192.0.2.7"));
        check(&version_2(0x21, 0x11, &[&v4[..], &[3, 0, 4, 1, 2, 3, 4]].concat()), client("192.0.2.7"));
        let v6 = ["2001:db8::7", "::1"].map(|address| address.parse::<Ipv6Addr>().unwrap().octets());
        check(&version_2(0x21, 0x21, &[&v6[0][..], &v6[1], &[0; 4]].concat()), client("2001:db8::7"));
        check(&version_2(0x20, 0, &[]), Some(Origin::Proxy));
        check(&version_2(0x21, 0, &[]), Some(Origin::Client(None)));
        check(&version_2(0x21, 0x31, &[b'/'; 216]), Some(Origin::Client(None)));
        for bytes in [
            version_2(0x21, 0x11, &v4[..11]),
            version_2(0x21, 0x21, &[0; 35]),
            version_2(0x22, 0x11, &v4),
            version_2(0x11, 0x11, &v4),
            version_2(0x21, 0x11, &[0; 5000]),
        ] {
            check(&bytes, None);
        }
    }
}
