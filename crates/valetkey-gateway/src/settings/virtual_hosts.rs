//! Host names below which every bucket has a name of its own: `files.s3.example.com/a` is `/files/a`.
//!
//! Only where a request goes is read from them. What AWS's clients sign stays as it was sent, and a native key signs the
//! resource, by whichever name.

use std::borrow::Cow;
use std::net::IpAddr;

use valetkey::NameError;
use valetkey::key::KeyUrl;

use super::errors::Findings;
use super::section::Section;

/// Host names in lower case, the longest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VirtualHosts(Vec<String>);

impl VirtualHosts {
    /// The path of the resource that a request for `raw_path` at `host` is about, percent-encoded as `raw_path` is. The
    /// gateway's own space is on every host.
    ///
    /// # Errors
    /// [`NameError::Bucket`] for a host that could name none.
    pub(crate) fn resource<'a>(&self, host: &str, raw_path: &'a str) -> Result<Cow<'a, str>, NameError> {
        let is_own_space = raw_path == "/-" || raw_path.starts_with("/-/");
        match self.bucket(host) {
            Some(bucket) if !is_own_space => {
                let sound = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
                // What is no plain name must not become a path by being decoded.
                if !bucket.bytes().all(sound) {
                    return Err(NameError::Bucket);
                }
                Ok(Cow::Owned(format!("/{}{raw_path}", bucket.to_ascii_lowercase())))
            }
            _ => Ok(Cow::Borrowed(raw_path)),
        }
    }

    /// The same of a URL.
    ///
    /// # Errors
    /// As [`VirtualHosts::resource`].
    pub(crate) fn resource_of_url<'a>(&self, url: &KeyUrl<'a>) -> Result<Cow<'a, str>, NameError> {
        let host = url.origin.split_once("://").map_or("", |(_, host)| host);
        self.resource(host, url.raw_path)
    }

    /// The host names, separated by commas; `None` where there are none.
    pub(crate) fn listed(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.join(", "))
    }

    /// What stands before one of the names in `host`, which may have a port.
    pub(crate) fn bucket<'a>(&self, host: &'a str) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        let host = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(host, _)| host);
        let host = host.strip_suffix('.').unwrap_or(host);
        if self.0.iter().any(|known| known.eq_ignore_ascii_case(host)) {
            return None;
        }
        self.0.iter().find_map(|known| {
            let at = host.len().checked_sub(known.len() + 1)?;
            let (bucket, rest) = (host.get(..at)?, host.get(at..)?);
            let is_below = rest.strip_prefix('.')?.eq_ignore_ascii_case(known);
            (is_below && !bucket.is_empty()).then_some(bucket)
        })
    }
}

/// Reads `virtual_hosts`. A `public_url` below one of them would itself name a bucket.
pub(super) fn read(
    section: &mut Section<'_>,
    public_url: Option<&str>,
    findings: &mut Findings,
) -> VirtualHosts {
    let Some(texts) = section.texts("virtual_hosts", findings) else { return VirtualHosts::default() };
    let mut hosts = Vec::new();
    for text in texts.value {
        let host = text.value.to_ascii_lowercase();
        if !is_host(&host) {
            let message = format!(
                "virtual_hosts {:?} must be a host name without a port, below which buckets have theirs, as \
                 s3.example.com",
                text.value
            );
            findings.fault(text.at, message);
            continue;
        }
        hosts.push(host);
    }
    hosts.sort_by_key(|host| std::cmp::Reverse(host.len()));
    hosts.dedup();
    let hosts = VirtualHosts(hosts);
    let own = public_url.and_then(|url| url.split_once("://")).map_or("", |(_, host)| host);
    if let Some(bucket) = hosts.bucket(own) {
        findings.fault(
            texts.at,
            format!(
                "public_url would name the bucket {bucket:?} by its host; write a virtual host that it does not \
                 lie below"
            ),
        );
    }
    hosts
}

fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.len() <= 253 && host.split('.').all(is_label) && host.parse::<IpAddr>().is_err()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(host: &str, raw_path: &str, expected: Result<&str, NameError>) {
        let hosts = VirtualHosts(vec!["s3.example.com".to_owned(), "example.com".to_owned()]);
        let found = hosts.resource(host, raw_path);
        assert_eq!(found.as_deref().map_err(|error| *error), expected, "{host} {raw_path}");
    }

    #[test]
    fn a_host_below_a_virtual_one_names_a_bucket() {
        check("files.s3.example.com", "/a%20b", Ok("/files/a%20b"));
        check("files.s3.example.com:8080", "/", Ok("/files/"));
        check("Files.S3.Example.COM", "/a", Ok("/files/a"));
        check("files.s3.example.com.", "/a", Ok("/files/a"));
        check("my.files.s3.example.com", "/a/b/", Ok("/my.files/a/b/"));
        check("files.example.com", "/other/a", Ok("/files/other/a"));
    }

    #[test]
    fn other_hosts_name_none() {
        for host in [
            "s3.example.com",
            "S3.example.com:80",
            "example.com",
            "localhost",
            "127.0.0.1:8080",
            "[::1]:8080",
            "xs3-example.com",
            "",
            "é.com",
        ] {
            check(host, "/files/a", Ok("/files/a"));
        }
        assert_eq!(VirtualHosts::default().resource("a.b", "/c"), Ok(Cow::Borrowed("/c")));
    }

    #[test]
    fn the_gateways_own_space_is_on_every_host() {
        for path in ["/-", "/-/key", "/-/health", "/-/uploads/7"] {
            check("files.s3.example.com", path, Ok(path));
        }
        check("files.s3.example.com", "/-a", Ok("/files/-a"));
    }

    #[test]
    fn what_is_no_plain_name_does_not_become_a_path() {
        for host in ["a%2fb.s3.example.com", "x@files.s3.example.com", "a/b.s3.example.com"] {
            check(host, "/c", Err(NameError::Bucket));
        }
    }

    #[test]
    fn a_url_is_read_alike() {
        let hosts = VirtualHosts(vec!["s3.example.com".to_owned()]);
        let resource = |url| hosts.resource_of_url(&KeyUrl::parse(url).unwrap()).unwrap().into_owned();
        assert_eq!(resource("https://files.s3.example.com:444/a?vk-x=1"), "/files/a");
        assert_eq!(resource("/files/a"), "/files/a");
    }
}
