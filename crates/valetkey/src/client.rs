//! Who asks, and which clients a key is for.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use ipnet::IpNet;

/// Who asks, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The address; `None` where nobody that is trusted says it.
    pub address: Option<IpAddr>,
    /// Whether the key came over TLS.
    pub is_secure: bool,
}

/// A set of address ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRanges(Vec<IpNet>);

impl ClientRanges {
    /// Reads the one canonical spelling: ranges with `/length` and zero host bits, IPv6 as [RFC 5952]
    /// writes it, sorted bytewise without repeats, separated by commas.
    ///
    /// [RFC 5952]: https://www.rfc-editor.org/rfc/rfc5952#section-4
    pub fn parse(text: &str) -> Option<Self> {
        let mut ranges = Vec::new();
        let mut last: Option<&str> = None;
        for item in text.split(',') {
            let range: IpNet = item.parse().ok()?;
            if range.trunc() != range || range.to_string() != item || last.is_some_and(|last| last >= item) {
                return None;
            }
            last = Some(item);
            ranges.push(range);
        }
        Some(Self(ranges))
    }

    /// The set of these ranges, whatever their host bits and order.
    pub fn of(ranges: impl IntoIterator<Item = IpNet>) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().map(|range| range.trunc()).collect();
        ranges.sort_by_key(ToString::to_string);
        ranges.dedup();
        Self(ranges)
    }

    /// Whether `address` lies in one of the ranges. An IPv4 address in IPv6 form counts as IPv4.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|range| range.contains(&address))
    }
}

impl fmt::Display for ClientRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, range) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            fmt::Display::fmt(range, f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_spelling_is_read() {
        for text in ["10.0.0.0/8,2001:db8::/32", "0.0.0.0/0", "::/0", "192.0.2.7/32", "::1/128"] {
            assert_eq!(ClientRanges::parse(text).map(|ranges| ranges.to_string()).as_deref(), Some(text));
        }
        for text in [
            "",
            "10.0.0.1/8",
            "10.1.2.3",
            "10.0.0.0/08",
            "010.0.0.0/8",
            "10.0.0.0/33",
            "2001:0db8::/32",
            "2001:DB8::/32",
            "2001:db8::/32,10.0.0.0/8",
            "10.0.0.0/8,10.0.0.0/8",
            "10.0.0.0/8, 11.0.0.0/8",
        ] {
            assert_eq!(ClientRanges::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_ipv4_address_in_ipv6_form_is_ipv4() {
        let ranges = ClientRanges::parse("10.0.0.0/8").unwrap();
        assert!(ranges.contain("::ffff:10.1.2.3".parse().unwrap()));
        assert!(ranges.contain("10.255.255.255".parse().unwrap()));
        assert!(!ranges.contain("11.0.0.0".parse().unwrap()));
    }
}
