//! Whose word on a client's address is taken.

use std::net::Ipv6Addr;
use std::process::Command;

use valetkey_tests::audit;
use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Answer, Request};
use valetkey_tests::key::Key;

const TRUSTED: &str = "trusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]";

fn from(gateway: &Gateway, key: &Key, forwarded: &[&str]) -> Answer {
    let request = forwarded
        .iter()
        .fold(Request::get(key.url()), |request, value| request.header("X-Forwarded-For", *value));
    gateway.send(&request)
}

/// A client says what it likes; only a listed proxy is believed.
#[test]
fn addresses_are_believed_from_trusted_proxies_only() {
    let key = Key::new("/files/a", "read").set("ip", "192.0.2.0/24");
    for server in ["", "trusted_proxies = [\"10.0.0.0/8\", \"::1\"]"] {
        let gateway = Gateway::builder().server(server).start();
        gateway.plant("/files/a", "aaaa");
        refused(&from(&gateway, &key, &["192.0.2.7"]), 403, "client_not_allowed");
        let here = Key::new("/files/a", "read").set("ip", "127.0.0.1/32");
        accepted(&from(&gateway, &here, &["192.0.2.7"]), 200);
    }
    let gateway = Gateway::builder().server(TRUSTED).start();
    gateway.plant("/files/a", "aaaa");
    for forwarded in [
        &["192.0.2.7"][..],
        &["6.6.6.6, 192.0.2.7"],
        &["192.0.2.7, 10.0.0.1, 127.0.0.5"],
        &["6.6.6.6", "192.0.2.7", "10.0.0.1"],
        &["192.0.2.7:1234"],
    ] {
        accepted(&from(&gateway, &key, forwarded), 200);
    }
    for forwarded in [
        &[][..],
        &["192.0.2.7, 6.6.6.6"],
        &["192.0.2.7", "6.6.6.6"],
        &["192.0.2.7, nonsense"],
        &["192.0.2.7,"],
        &[""],
        &["unknown"],
        &["10.0.0.1"],
    ] {
        refused(&from(&gateway, &key, forwarded), 403, "client_not_allowed");
    }
    let anyone = Key::new("/files/a", "read").set("ip", "0.0.0.0/0,::/0");
    refused(&from(&gateway, &anyone, &["nonsense"]), 403, "client_not_allowed");
    accepted(&from(&gateway, &Key::new("/files/a", "read"), &["nonsense"]), 200);
}

/// A use is one client's, and the record names it.
#[test]
fn uses_and_records_go_by_the_clients_address() {
    let gateway = Gateway::builder().server(TRUSTED).start();
    gateway.plant("/files/a", "aaaa");
    let key = Key::new("/files/a", "read").set("uses", "1");
    let part = |client: &str| {
        let request = Request::get(key.url()).header("Range", "bytes=0-0").header("X-Forwarded-For", client);
        gateway.send(&request)
    };
    accepted(&part("192.0.2.7"), 206);
    accepted(&part("192.0.2.7"), 206);
    refused(&part("192.0.2.8"), 403, "uses_exhausted");
    refused(&part("nonsense"), 403, "uses_exhausted");
    let clients = || -> Vec<_> {
        let records = audit::records(&gateway.audit_path()).unwrap();
        records
            .iter()
            .filter(|record| record["action"] == "read")
            .map(|record| record["client"].clone())
            .collect()
    };
    valetkey_tests::process::wait_until(std::time::Duration::from_secs(5), "four records", || {
        clients().len() == 4
    })
    .unwrap();
    for (client, times) in [("192.0.2.7".into(), 2), ("192.0.2.8".into(), 1), (serde_json::Value::Null, 1)] {
        assert_eq!(clients().iter().filter(|found| **found == client).count(), times, "{client}");
    }
}

/// The statuses of a request that stands behind `header`; none where the connection was closed.
fn behind(gateway: &Gateway, header: &[u8], request: &Request) -> Option<u16> {
    let mut connection = gateway.connect();
    let request = request.clone().header("Connection", "close");
    connection.send(&[header, &request.head_bytes()].concat()).unwrap();
    connection.read_answer(&request.method).ok().map(|answer| answer.status)
}

fn binary(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, payload].concat()
}

#[test]
fn proxy_header_names_the_client() {
    let gateway = Gateway::builder().proxy_protocol().start();
    gateway.plant("/files/a", "aaaa");
    let get = Request::get(Key::new("/files/a", "read").set("ip", "192.0.2.0/24,2001:db8::/32").url());
    let v6: Ipv6Addr = "2001:db8::7".parse().unwrap();
    for header in [
        b"PROXY TCP4 192.0.2.7 127.0.0.1 5000 443\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::7 ::1 5000 443\r\n".to_vec(),
        binary(0x21, 0x11, &[192, 0, 2, 7, 127, 0, 0, 1, 1, 2, 3, 4]),
        binary(0x21, 0x21, &[&v6.octets()[..], &[0; 20], &[4, 0, 1, 0]].concat()),
    ] {
        assert_eq!(behind(&gateway, &header, &get), Some(200), "{header:?}");
    }
    for header in [
        b"PROXY TCP4 6.6.6.6 192.0.2.7 5000 443\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        binary(0x20, 0, &[]),
        binary(0x21, 0, &[]),
    ] {
        assert_eq!(behind(&gateway, &header, &get), Some(403), "{header:?}");
    }
    for header in [
        Vec::new(),
        b"PROXY TCP4 192.0.2.7\r\n".to_vec(),
        b"PROXY TCP4 nonsense 127.0.0.1 5000 443\r\n".to_vec(),
        [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat(),
        binary(0x21, 0x11, &[192, 0, 2, 7]),
        binary(0x29, 0x11, &[192, 0, 2, 7, 127, 0, 0, 1, 1, 2, 3, 4]),
    ] {
        assert_eq!(behind(&gateway, &header, &get), None, "{header:?}");
    }
    // Behind the header the next proxy's word counts, if it is a trusted one.
    let forwarded = get.clone().header("X-Forwarded-For", "192.0.2.7");
    let by_proxy = b"PROXY TCP4 127.0.0.9 127.0.0.1 5000 443\r\n";
    assert_eq!(behind(&gateway, by_proxy, &forwarded), Some(200));
    assert_eq!(behind(&gateway, b"PROXY TCP4 6.6.6.6 127.0.0.1 5000 443\r\n", &forwarded), Some(403));
}

#[test]
fn proxy_header_is_taken_from_trusted_proxies_only() {
    let elsewhere = "trusted_proxies = [\"10.0.0.0/8\"]\nproxy_protocol = true";
    let mut gateway = Gateway::builder().server(elsewhere).write().unwrap();
    // Nobody here is trusted, so it never seems healthy: it is enough that it listens.
    let text = std::fs::read_to_string(gateway.config_path()).unwrap();
    let late = text.replace(elsewhere, "");
    std::fs::write(gateway.config_path(), &late).unwrap();
    gateway.start().unwrap();
    std::fs::write(gateway.config_path(), &text).unwrap();
    let get = Request::get("/-/health");
    valetkey_tests::process::wait_until(
        std::time::Duration::from_secs(2),
        "every connection is closed",
        || behind(&gateway, b"", &get).is_none(),
    )
    .unwrap();
    assert_eq!(behind(&gateway, b"PROXY TCP4 10.0.0.1 127.0.0.1 5000 443\r\n", &get), None);
}

#[test]
fn what_is_trusted_is_explained() {
    let gateway = Gateway::builder().tls().server("trusted_proxies = [\"10.0.0.0/8\"]").write().unwrap();
    let output = valetkey_tests::process::valetkey(gateway.home(), ["check"]).unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("speaks TLS") && said.contains("10.0.0.0/8"), "{said}");
}

/// A header, then TLS, as behind a proxy that forwards bytes.
#[test]
fn tls_is_spoken_behind_a_proxy_header() {
    let gateway = Gateway::builder().tls().start();
    let text = std::fs::read_to_string(gateway.config_path()).unwrap();
    let with = "[server]\ntrusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = true\n";
    std::fs::write(gateway.config_path(), text.replace("[server]\n", with)).unwrap();
    let asked = || {
        let output = Command::new("curl")
            .args(["--silent", "--haproxy-protocol", "--write-out", "%{http_code}", "--output", "/dev/null"])
            .arg("--cacert")
            .arg(gateway.certificate_path())
            .arg(format!("https://{}/-/health", gateway.address()))
            .output()
            .unwrap();
        output.stdout == b"200"
    };
    valetkey_tests::process::wait_until(std::time::Duration::from_secs(5), "an answer", asked).unwrap();
}
