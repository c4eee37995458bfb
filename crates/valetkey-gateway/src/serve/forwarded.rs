//! Who asks, where proxies stand between.
//!
//! Anybody can write `X-Forwarded-For`. It is read from its end, where the nearest proxy wrote, and only as
//! long as who wrote it is trusted. What a trusted proxy says is not guessed at: where it cannot be read the
//! address is unknown, which no key for certain addresses takes.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use http::header::HeaderName;
use valetkey::{Client, ClientRanges};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Who sent a request with these headers over a connection from `peer`.
pub(crate) fn client(peer: Client, headers: &HeaderMap, trusted: &ClientRanges) -> Client {
    let is_trusted = |address: IpAddr| trusted.contain(address);
    if !peer.address.is_some_and(is_trusted) {
        return peer;
    }
    let mut address = peer.address;
    let values: Vec<&[u8]> = headers.get_all(FORWARDED_FOR).iter().map(|value| value.as_bytes()).collect();
    for item in values.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b',')) {
        address = std::str::from_utf8(item).ok().and_then(|text| parse(text.trim_ascii()));
        if !address.is_some_and(is_trusted) {
            break;
        }
    }
    let mut protocols = headers.get_all(FORWARDED_PROTO).iter().peekable();
    let is_secure = match protocols.peek() {
        None => peer.is_secure,
        Some(_) => protocols
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .all(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"https")),
    };
    Client { address, is_secure }
}

/// An address, to which some proxies add a port.
fn parse(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    text.parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| bracketed().map(IpAddr::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: Client =
        Client { address: Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)), is_secure: false };

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    fn trusting(ranges: &[&str]) -> ClientRanges {
        ClientRanges::of(ranges.iter().map(|range| range.parse().unwrap()))
    }

    #[track_caller]
    fn check_address(values: &[&str], expected: Option<&str>) {
        let trusted = trusting(&["127.0.0.0/8", "10.0.0.0/8"]);
        let found = client(PEER, &headers(FORWARDED_FOR, values), &trusted).address;
        assert_eq!(found, expected.map(|address| address.parse().unwrap()), "{values:?}");
    }

    #[test]
    fn the_last_address_that_no_trusted_proxy_wrote_is_the_clients() {
        check_address(&[], Some("127.0.0.1"));
        check_address(&["192.0.2.7"], Some("192.0.2.7"));
        check_address(&["6.6.6.6, 192.0.2.7"], Some("192.0.2.7"));
        check_address(&["6.6.6.6,192.0.2.7 , 10.1.1.1,10.1.1.2"], Some("192.0.2.7"));
        check_address(&["6.6.6.6", "192.0.2.7", "10.1.1.1"], Some("192.0.2.7"));
        check_address(&["10.1.1.3, 10.1.1.1"], Some("10.1.1.3"));
        check_address(&["2001:db8::7"], Some("2001:db8::7"));
        check_address(&["[2001:db8::7]:443"], Some("2001:db8::7"));
        check_address(&["[2001:db8::7]"], Some("2001:db8::7"));
        check_address(&["192.0.2.7:1234"], Some("192.0.2.7"));
    }

    #[test]
    fn what_cannot_be_read_is_an_unknown_address() {
        for values in [
            &[""][..],
            &["unknown"],
            &["192.0.2.7, "],
            &["192.0.2.7", "nonsense"],
            &["192.0.2.7, _hidden, 10.0.0.1"],
            &["192.0.2.256"],
            &["192.0.2.7/32"],
            &["010.0.0.1"],
            &["192.0.2.7 192.0.2.8"],
        ] {
            check_address(values, None);
        }
        check_address(&["nonsense, 192.0.2.7"], Some("192.0.2.7"));
    }

    #[test]
    fn nobody_else_is_believed() {
        let forged = headers(FORWARDED_FOR, &["192.0.2.7"]);
        for trusted in [&[][..], &["10.0.0.0/8"], &["192.0.2.0/24"]] {
            assert_eq!(client(PEER, &forged, &trusting(trusted)), PEER);
        }
        let unknown = Client { address: None, ..PEER };
        assert_eq!(client(unknown, &forged, &trusting(&["0.0.0.0/0", "::/0"])), unknown);
        let forged = headers(FORWARDED_PROTO, &["https"]);
        assert_eq!(client(PEER, &forged, &trusting(&[])), PEER);
    }

    #[test]
    fn a_trusted_proxy_says_whether_the_key_came_over_tls() {
        let secure = |peer_is_secure, values: &[&str]| {
            let peer = Client { is_secure: peer_is_secure, ..PEER };
            client(peer, &headers(FORWARDED_PROTO, values), &trusting(&["127.0.0.1/32"])).is_secure
        };
        assert!(secure(true, &[]) && !secure(false, &[]));
        assert!(secure(false, &["https"]) && secure(false, &["HTTPS, https"]));
        assert!(!secure(true, &["http"]) && !secure(true, &["https, http"]));
        assert!(!secure(true, &["https", "http"]) && !secure(true, &[""]));
    }
}
