//! From a secret to a signature: the chain of keys, and the texts that are signed with it.
//!
//! [AWS signature version 4](https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html).

use alloc::string::{String, ToString};
use core::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use valetkey::{Denial, Secret, SignerSecrets, Timestamp};
use zeroize::Zeroizing;

pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

const SERVICE: &str = "s3";
const TERMINATOR: &str = "aws4_request";

/// When something was signed, and for where: what is hashed into the signing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CredentialScope {
    /// `YYYYMMDDTHHMMSSZ`.
    time: String,
    region: String,
    service: String,
}

impl CredentialScope {
    pub(super) fn new(time: Timestamp, region: &str) -> Self {
        let time = time.to_string().chars().filter(|char| !matches!(char, '-' | ':')).collect();
        Self { time, region: region.to_string(), service: SERVICE.to_string() }
    }

    /// Reads `YYYYMMDD/region/s3/aws4_request`, and the time `YYYYMMDDTHHMMSSZ` on the same day. `None` where
    /// either is in another form.
    pub(super) fn parse(text: &str, time: &str) -> Option<(Self, Timestamp)> {
        let mut parts = text.split('/');
        let [day, region, service, terminator] = core::array::from_fn(|_| parts.next().unwrap_or(""));
        let timestamp = parse_time(time)?;
        let is_region = (1..=64).contains(&region.len())
            && region.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let sound = parts.next().is_none()
            && time.get(..8) == Some(day)
            && is_region
            && service == SERVICE
            && terminator == TERMINATOR;
        sound.then(|| (Self::new(timestamp, region), timestamp))
    }

    /// `YYYYMMDDTHHMMSSZ`.
    pub(super) fn time(&self) -> &str {
        &self.time
    }

    fn day(&self) -> &str {
        self.time.get(..8).unwrap_or_default()
    }

    /// The text that is signed for a request whose canonical form hashes to `hash`.
    pub(super) fn string_to_sign(&self, hash: &[u8; 32]) -> String {
        [ALGORITHM, "\n", &self.time, "\n", &self.to_string(), "\n", &hex(hash)].concat()
    }

    /// Another service's scope, as AWS's own test vectors have it.
    #[cfg(test)]
    pub(super) fn of_service(self, service: &str) -> Self {
        Self { service: service.to_string(), ..self }
    }
}

impl fmt::Display for CredentialScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{TERMINATOR}", self.day(), self.region, self.service)
    }
}

/// `YYYYMMDDTHHMMSSZ`, a second that exists.
fn parse_time(text: &str) -> Option<Timestamp> {
    if !text.is_ascii() || text.len() != 16 {
        return None;
    }
    let (day, time) = text.split_once('T')?;
    let pieces = [day.get(..4)?, "-", day.get(4..6)?, "-", day.get(6..)?];
    let rest = ["T", time.get(..2)?, ":", time.get(2..4)?, ":", time.get(4..)?];
    Timestamp::parse(&[pieces.concat(), rest.concat()].concat())
}

/// A key that signs for one day, region and service. It is wiped when dropped, and prints as a placeholder.
#[derive(Clone)]
pub(super) struct SigningKey(Zeroizing<[u8; 32]>);

impl SigningKey {
    pub(super) fn derive(secret: &Secret, scope: &CredentialScope) -> Self {
        let day = secret.prefixed_hmac("AWS4", scope.day().as_bytes());
        let chain = [&scope.region, &scope.service, TERMINATOR];
        Self(chain.into_iter().fold(day, |key, text| Zeroizing::new(hmac(&key, text.as_bytes()))))
    }

    pub(super) fn sign(&self, text: &str) -> Signature {
        Signature(hmac(&self.0, text.as_bytes()))
    }
}

/// Finds the secret under which `signature` is that of `text`; `None` for secrets of a signer that does not exist,
/// and for a signature that is none.
///
/// # Errors
/// [`Denial::BadSignature`], alike and at the same cost for a wrong signature and an unknown signer.
pub(super) fn verify(
    secrets: Option<&SignerSecrets>,
    scope: &CredentialScope,
    text: &str,
    signature: Option<&Signature>,
) -> Result<SigningKey, Denial> {
    let decoy = secrets.is_none().then(SignerSecrets::decoy);
    let all = secrets.or(decoy.as_ref()).into_iter();
    let mut all = all.flat_map(|secrets| [Some(&secrets.current), secrets.previous.as_ref()]).flatten();
    let key = all.find_map(|secret| {
        let key = SigningKey::derive(secret, scope);
        let expected = key.sign(text);
        signature.is_some_and(|signature| expected.matches(signature)).then_some(key)
    });
    key.filter(|_| secrets.is_some()).ok_or(Denial::BadSignature)
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mac = <Hmac<Sha256>>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.chain_update(message).finalize().into_bytes().into()
}

/// A signature. It is compared in constant time only, and prints as a placeholder.
#[derive(Clone)]
pub(super) struct Signature([u8; 32]);

impl Signature {
    /// Reads 64 digits of hex in lower case.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let digits: &[u8; 64] = text.try_into().ok()?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(bytes))
    }

    /// Compares in constant time.
    pub(super) fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// 64 digits of hex. It opens what the signature opens.
    pub(super) fn reveal(&self) -> String {
        hex(&self.0)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(…)")
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits =
        bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    digits.map(char::from).collect()
}
