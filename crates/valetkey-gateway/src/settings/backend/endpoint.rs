//! Where a service is: scheme, host, perhaps a port, perhaps a path.

use std::fmt;
use std::net::IpAddr;

use crate::settings::server::is_authority;

/// What stands before the bucket in a service's URLs, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    scheme: Scheme,
    /// In lower case.
    host: String,
    port: Option<u16>,
    /// Empty, or segments each with a slash before it.
    path: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Endpoint {
    /// Reads a URL, or says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.contains('@') {
            // It may hold a password, so it is not quoted.
            return Err(
                "endpoint has a user or a password in it; credentials have settings of their own".into()
            );
        }
        Self::read(text).ok_or_else(|| {
            format!(
                "endpoint {text:?} must be http:// or https://, a host, perhaps a port and a path, as \
                 https://storage.example.com:9000"
            )
        })
    }

    fn read(text: &str) -> Option<Self> {
        let (scheme, rest) = match text.split_once("://")? {
            ("http", rest) => (Scheme::Http, rest),
            ("https", rest) => (Scheme::Https, rest),
            _ => return None,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
            _ => (authority, None),
        };
        let byte_is_sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let is_sound =
            |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(byte_is_sound);
        let path_is_sound = path.is_empty() || path[1..].split('/').all(is_sound);
        (is_authority(authority) && path_is_sound).then(|| Self {
            scheme,
            host: host.to_ascii_lowercase(),
            port: port.filter(|port| *port != scheme.port()),
            path: path.to_owned(),
        })
    }

    /// Whether nothing is encrypted on the way.
    pub fn is_plain(&self) -> bool {
        self.scheme == Scheme::Http
    }

    /// Whether it is on this machine.
    pub fn is_loopback(&self) -> bool {
        let address = self.host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
    }

    /// The same with `bucket` before the host.
    pub fn with_host_of(&self, bucket: &str) -> Self {
        Self { host: format!("{bucket}.{}", self.host), ..self.clone() }
    }

    /// Two spellings of one service as one text.
    pub(super) fn place(&self) -> String {
        let host = if self.is_loopback() { "localhost" } else { &self.host };
        let port = self.port.map_or_else(String::new, |port| format!(":{port}"));
        format!("{host}{port}{}", self.path)
    }
}

/// As a URL.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

impl Scheme {
    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_without_a_slash_at_its_end() {
        for (text, url) in [
            ("http://127.0.0.1:8333", "http://127.0.0.1:8333"),
            ("https://S3.Example.com:443/", "https://s3.example.com"),
            ("http://[::1]:80", "http://[::1]"),
            ("http://127.0.0.1:10000/devstoreaccount1", "http://127.0.0.1:10000/devstoreaccount1"),
            ("https://a.example/storage/v1/s3/", "https://a.example/storage/v1/s3"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), url);
        }
        for text in [
            "",
            "s3.example.com",
            "ftp://s3.example.com",
            "https://",
            "https://a//b",
            "https://a/../b",
            "https://a/?x",
            "https://a#x",
            "https://a b",
            "https://a:99999",
            "https://a:",
            "https://a/%2e",
        ] {
            assert!(Endpoint::parse(text).unwrap_err().contains("must be http:// or https://"), "{text}");
        }
    }

    #[test]
    fn a_password_in_an_endpoint_is_not_repeated() {
        let message = Endpoint::parse("https://me:hush@s3.example.com").unwrap_err();
        assert!(message.contains("a user or a password") && !message.contains("hush"), "{message}");
    }

    #[test]
    fn two_spellings_of_one_service_are_one_place() {
        let place = |text| Endpoint::parse(text).unwrap().place();
        assert_eq!(place("http://localhost:9"), place("https://127.0.0.1:9/"));
        assert_eq!(place("http://[::1]:9"), place("http://127.0.0.2:9"));
        assert_eq!(place("http://A.example:80"), place("https://a.example:443"));
        assert_ne!(place("http://a.example:81"), place("http://a.example"));
        assert_ne!(place("http://a.example/x"), place("http://a.example"));
    }

    #[test]
    fn a_bucket_may_stand_before_the_host() {
        let endpoint = Endpoint::parse("https://s3.example.com:9000/x").unwrap();
        assert_eq!(endpoint.with_host_of("backing").to_string(), "https://backing.s3.example.com:9000/x");
    }
}
