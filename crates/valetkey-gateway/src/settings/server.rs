//! The tables that say where and how the gateway listens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use valetkey::ClientRanges;

use super::errors::Findings;
use super::read::Reader;
use super::section::{Placed, Section};
use super::{Server, ceiling, names, tls, virtual_hosts};

/// Reads `[server]`.
pub(super) fn read(mut section: Section<'_>, reader: &mut Reader<'_>, findings: &mut Findings) -> Server {
    const WORKERS_MAX: u64 = 1024;
    const CONNECTIONS_MAX: u64 = 1_000_000;
    const DAY: Duration = Duration::from_secs(86_400);

    let rule = "an address and a port as 127.0.0.1:8080 or [::]:8080";
    let listen = section
        .parsed("listen", rule, findings, |text| text.parse().ok())
        .map_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)), |listen| listen.value);
    let rule = "http:// or https://, a host and perhaps a port, as https://files.example.com";
    let public_url = section.parsed("public_url", rule, findings, parse_origin).map(|url| url.value);
    let skew = ceiling::duration(
        &mut section,
        "clock_skew",
        Duration::ZERO..=Duration::from_secs(15 * 60),
        findings,
    );
    let lease = ceiling::duration(&mut section, "lease", Duration::from_secs(1)..=DAY, findings);
    let expiry = Duration::from_secs(60)..=30 * DAY;
    let upload_expiry = ceiling::duration(&mut section, "upload_expiry", expiry, findings);
    let open_uploads_max = section.number("open_uploads_max", 1..=1_000_000, findings);
    let count = |number: Placed<u64>| usize::try_from(number.value).ok().and_then(NonZeroUsize::new);
    let workers = section.number("workers", 1..=WORKERS_MAX, findings).and_then(count);
    let connections_max = section.number("connections_max", 1..=CONNECTIONS_MAX, findings).and_then(count);
    let trusted_proxies = ceiling::ranges(&mut section, "trusted_proxies", findings);
    let proxy_protocol = section.flag("proxy_protocol", findings);
    if proxy_protocol.value && trusted_proxies.is_none() {
        findings.fault(proxy_protocol.at, "proxy_protocol is believed from trusted_proxies only; say which");
    }
    let virtual_hosts = virtual_hosts::read(&mut section, public_url.as_deref(), findings);
    let tls = tls::read(section.table("tls", &names::TLS, findings), reader, findings);
    section.finish(findings);

    if tls.is_none() && !listen.ip().to_canonical().is_loopback() {
        findings.warn(format!(
            "keys and objects travel unencrypted: {listen} is plain HTTP and not a loopback address; say \
             [server.tls] or put a TLS front before it"
        ));
    }
    let public_url = public_url.unwrap_or_else(|| {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", reachable(listen));
        if listen.ip().is_unspecified() {
            findings.warn(format!("public_url is not set, so signed URLs begin with {url}"));
        }
        url
    });
    Server {
        listen,
        public_url,
        clock_skew: skew.unwrap_or(Duration::from_secs(30)),
        lease: lease.unwrap_or(Duration::from_secs(10 * 60)),
        upload_expiry: upload_expiry.unwrap_or(DAY),
        open_uploads_max: open_uploads_max.map_or(100, |number| number.value),
        workers,
        connections_max: connections_max.unwrap_or(const { NonZeroUsize::new(10_000).unwrap() }),
        trusted_proxies: trusted_proxies.unwrap_or_else(|| ClientRanges::of([])),
        proxy_protocol: proxy_protocol.value,
        virtual_hosts,
        tls,
    }
}

/// The address at which a client on this machine finds a listener.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Reads scheme, host and port. A path has no place there: keys sign the path that the gateway sees.
fn parse_origin(text: &str) -> Option<String> {
    let origin = text.strip_suffix('/').unwrap_or(text);
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))?;
    is_authority(authority).then(|| origin.to_owned())
}

/// Whether `authority` is a host and perhaps a port.
pub(super) fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let literal = |host: &str| {
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')?.parse::<Ipv6Addr>().ok()).is_some()
    };
    let name = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
    };
    let port_is_sound =
        port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok());
    (name(host) || literal(host)) && port_is_sound
}
