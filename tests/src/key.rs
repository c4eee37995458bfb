//! A minter of native keys for tests: says exactly what it is told to, canonical or not.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The secret's text of the signer `web` that every gateway of the harness starts with.
pub const WEB_SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTAxMjM=";

/// A key being written. Values are plain text; the URL carries them percent-encoded.
#[derive(Clone, Debug)]
pub struct Key {
    secret: String,
    object: String,
    base: BTreeMap<String, String>,
    blocks: Vec<BTreeMap<String, String>>,
}

impl Key {
    /// A key of signer `web` for the decoded path `object`, one hour long, with `allow` as written.
    pub fn new(object: &str, allow: &str) -> Self {
        let key = Self {
            secret: WEB_SECRET.to_owned(),
            object: object.to_owned(),
            base: BTreeMap::new(),
            blocks: Vec::new(),
        };
        key.set("signer", "web").set("allow", allow).set("end", &from_now(3600))
    }

    /// Sets a parameter of the base key.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.base.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Leaves a parameter of the base key out.
    pub fn without(mut self, name: &str) -> Self {
        self.base.remove(name);
        self
    }

    /// Adds a narrowing block.
    pub fn narrow(mut self, parameters: &[(&str, &str)]) -> Self {
        let block = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.blocks.push(block.collect());
        self
    }

    /// Signs as another signer.
    pub fn signed_by(mut self, signer: &str, secret: &str) -> Self {
        self.secret = secret.to_owned();
        self.set("signer", signer)
    }

    /// The same key used on another object's URL; it must name its `path`, or the signature will not hold there.
    pub fn on(mut self, object: &str) -> Self {
        self.object = object.to_owned();
        self
    }

    /// The signature of each level, base first.
    pub fn sigs(&self) -> Vec<[u8; 32]> {
        let mut base = self.base.clone();
        base.entry("path".to_owned()).or_insert_with(|| self.object.clone());
        let mut sigs = vec![hmac(self.secret.as_bytes(), &message("valetkey/1\n", &base))];
        for block in &self.blocks {
            let next = hmac(&sigs[sigs.len() - 1], &message("valetkey/1 narrow\n", block));
            sigs.push(next);
        }
        sigs
    }

    /// The signature that the key carries.
    pub fn sig(&self) -> [u8; 32] {
        let sigs = self.sigs();
        sigs[sigs.len() - 1]
    }

    /// The fingerprint of the last level, in hex.
    pub fn fingerprint(&self) -> String {
        let hash = blake3::hash(&self.sig()).to_hex();
        hash[..32].to_owned()
    }

    /// The query string, signature last.
    pub fn query(&self) -> String {
        self.query_with_sig(&encoded_sig(&self.sig()))
    }

    /// The query string with this text as its signature.
    pub fn query_with_sig(&self, sig: &str) -> String {
        let mut parts: Vec<String> =
            self.parameters().map(|(name, value)| format!("{name}={}", encode(value, "/:,=;*"))).collect();
        parts.push(format!("vk-sig={sig}"));
        parts.join("&")
    }

    /// The key as the fields of a form, signature last.
    pub fn fields(&self) -> Vec<(String, String)> {
        let mut fields: Vec<_> = self.parameters().map(|(name, value)| (name, value.to_owned())).collect();
        fields.push(("vk-sig".to_owned(), encoded_sig(&self.sig())));
        fields
    }

    fn parameters(&self) -> impl Iterator<Item = (String, &str)> {
        let base = self.base.iter().map(|(name, value)| (format!("vk-{name}"), value.as_str()));
        let blocks = self.blocks.iter().enumerate().flat_map(|(number, block)| {
            block.iter().map(move |(name, value)| (format!("vk-{name}.{}", number + 1), value.as_str()))
        });
        base.chain(blocks)
    }

    /// The object's path, percent-encoded.
    pub fn path(&self) -> String {
        encode(&self.object, "/")
    }

    /// The request target: encoded path and query.
    pub fn url(&self) -> String {
        format!("{}?{}", self.path(), self.query())
    }

    /// The request target with this text as its signature.
    pub fn url_with_sig(&self, sig: &str) -> String {
        format!("{}?{}", self.path(), self.query_with_sig(sig))
    }

    /// The value of the header `Authorization`; the target must then carry no key.
    pub fn authorization(&self) -> String {
        format!("Valetkey {}", self.query())
    }
}

/// The signature's text: base64url without padding.
pub fn encoded_sig(sig: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(sig)
}

/// Percent-encodes all but unreserved characters and those in `safe`.
pub fn encode(text: &str, safe: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-._~".contains(c) || safe.contains(c) {
            encoded.push(c);
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The time `seconds` from now (negative: ago) as a key spells it.
pub fn from_now(seconds: i64) -> String {
    time_text(unix_now() + seconds)
}

/// The wall clock in seconds since the Unix epoch.
pub fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("the clock is past 1970").as_secs()).expect("the clock fits")
}

/// Seconds since the Unix epoch as `YYYY-MM-DDTHH:MM:SSZ`.
pub fn time_text(at: i64) -> String {
    let (days, second) = (at.div_euclid(86400), at.rem_euclid(86400));
    // Civil date from a day count, by the proleptic Gregorian calendar: eras of 400 years beginning in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

fn message(opening: &str, parameters: &BTreeMap<String, String>) -> String {
    let mut text = opening.to_owned();
    for (name, value) in parameters {
        text.push_str(&format!("{name}={value}\n"));
    }
    text
}

fn hmac(secret: &[u8], text: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_published_vector_is_minted() {
        let key = Key::new("/files/a.txt", "read").set("end", "2026-11-22T00:00:00Z");
        assert_eq!(encoded_sig(&key.sig()), "hEhgYjx5dL-kqONSrzOnARETdJGpgcZxy7EVdC7lfBY");
        assert_eq!(key.fingerprint(), "4f0be26eb61cd1dbf3d1657344cf69db");
        let narrowed = key.narrow(&[("end", "2026-11-21T13:00:00Z")]);
        assert_eq!(encoded_sig(&narrowed.sig()), "4sqpeehqNLRq7vbKbewa2Rx931UvAcARfHOWzcrGQ0U");
    }

    #[test]
    fn times_are_spelt_as_the_calendar_has_them() {
        assert_eq!(time_text(0), "1970-01-01T00:00:00Z");
        assert_eq!(time_text(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(time_text(1_795_305_599), "2026-11-21T23:59:59Z");
    }
}
