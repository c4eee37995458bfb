//! What a client says an upload hashes to.
//!
//! Several generations of headers say it. All of them are read into the same list, and each entry must hold.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use valetkey::Denial;

use crate::head::RequestHead;

/// Takes base64 with and without padding, as
/// [RFC 9651, section 4.2.7](https://www.rfc-editor.org/rfc/rfc9651#section-4.2.7) asks of a reader.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

const S3_PREFIX: &str = "x-amz-checksum-";

/// A function that a client may have an upload checked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the function of that name")]
pub enum ChecksumAlgorithm {
    Md5,
    Sha1,
    Sha256,
    Sha512,
    Crc32,
    Crc32c,
    Crc64Nvme,
}

impl ChecksumAlgorithm {
    /// The name, as messages and S3's headers write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Crc32 => "crc32",
            Self::Crc32c => "crc32c",
            Self::Crc64Nvme => "crc64nvme",
        }
    }

    const fn value_bytes(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
        }
    }

    /// The element in which S3's documents tell its value.
    pub const fn s3_element(self) -> Option<&'static str> {
        match self {
            Self::Sha1 => Some("ChecksumSHA1"),
            Self::Sha256 => Some("ChecksumSHA256"),
            Self::Crc32 => Some("ChecksumCRC32"),
            Self::Crc32c => Some("ChecksumCRC32C"),
            Self::Crc64Nvme => Some("ChecksumCRC64NVME"),
            Self::Md5 | Self::Sha512 => None,
        }
    }

    /// The function that S3's header `x-amz-checksum-NAME` speaks of, in lower case.
    pub(crate) fn of_s3_header(name: &str) -> Option<Self> {
        Self::of_s3(name.strip_prefix(S3_PREFIX)?)
    }

    /// The output for no bytes at all, of the functions that S3 has.
    pub(crate) const fn of_nothing(self) -> Option<&'static [u8]> {
        match self {
            Self::Md5 | Self::Sha512 => None,
            Self::Sha1 => Some(&[
                0xda, 0x39, 0xa3, 0xee, 0x5e, 0x6b, 0x4b, 0x0d, 0x32, 0x55, 0xbf, 0xef, 0x95, 0x60, 0x18,
                0x90, 0xaf, 0xd8, 0x07, 0x09,
            ]),
            Self::Sha256 => Some(&[
                0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
                0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
                0xb8, 0x55,
            ]),
            Self::Crc32 | Self::Crc32c => Some(&[0; 4]),
            Self::Crc64Nvme => Some(&[0; 8]),
        }
    }

    /// The function that S3 calls `name`, in lower case.
    pub fn of_s3(name: &str) -> Option<Self> {
        [Self::Sha1, Self::Sha256, Self::Crc32, Self::Crc32c, Self::Crc64Nvme]
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }

    /// The function of that name in
    /// [the registry of HTTP's digests](https://www.rfc-editor.org/rfc/rfc9530#section-7.2), in lower case.
    /// Others are to be ignored.
    fn of_http(name: &str) -> Option<Self> {
        match name {
            "md5" => Some(Self::Md5),
            "sha" => Some(Self::Sha1),
            "sha-256" => Some(Self::Sha256),
            "sha-512" => Some(Self::Sha512),
            _ => None,
        }
    }
}

/// One value that an upload must hash to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// By which function.
    pub algorithm: ChecksumAlgorithm,
    /// Its output; a CRC's most significant byte first.
    pub value: Vec<u8>,
    /// Whether S3's own header says it, which S3 answers with again.
    pub by_s3_header: bool,
}

impl Checksum {
    /// Reads the element `name` of one of S3's documents; `None` where it is none of a checksum, and an error
    /// where `text` is no output of its function.
    pub(crate) fn of_s3_element(name: &str, text: &str) -> Option<Result<Self, ()>> {
        use ChecksumAlgorithm::{Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
        let all = [Sha1, Sha256, Crc32, Crc32c, Crc64Nvme];
        let algorithm = all.into_iter().find(|algorithm| algorithm.s3_element() == Some(name))?;
        let value = BASE64.decode(text).ok().filter(|value| value.len() == algorithm.value_bytes());
        Some(value.map(|value| Self { algorithm, value, by_s3_header: true }).ok_or(()))
    }

    /// The value as S3 writes it.
    pub fn base64(&self) -> String {
        base64::engine::general_purpose::STANDARD.encode(&self.value)
    }

    /// Reads what the header of S3 called `name`, in lower case, or a parameter or trailer of that name says.
    /// `None` where it says no checksum.
    ///
    /// # Errors
    /// As [`checksums`].
    pub fn of_s3(name: &str, text: &str) -> Result<Option<Self>, Denial> {
        // They speak of a download, or of the parts of a multipart upload.
        if matches!(name, "x-amz-checksum-mode" | "x-amz-checksum-type" | "x-amz-checksum-algorithm") {
            return Ok(None);
        }
        let Some(algorithm) = name.strip_prefix(S3_PREFIX) else { return Ok(None) };
        let algorithm = ChecksumAlgorithm::of_s3(algorithm)
            .ok_or(Denial::CallNotSupported("comparing a checksum of this kind"))?;
        let mut found = Found { header: name, checksums: Vec::new() };
        found.base64(algorithm, text)?;
        Ok(found.checksums.pop().map(|checksum| Self { by_s3_header: true, ..checksum }))
    }
}

/// Reads what the headers of an upload say that its bytes hash to.
///
/// # Errors
/// [`Denial::BadRequest`] for a value that is no output of its function; [`Denial::CallNotSupported`] for a
/// function that this version does not have, and for bytes in aws-chunked form.
pub fn checksums(head: &RequestHead<'_>) -> Result<Vec<Checksum>, Denial> {
    read(head, true)
}

/// As [`checksums`]; `with_payload` says whether the headers that describe the payload are read too.
pub(crate) fn read(head: &RequestHead<'_>, with_payload: bool) -> Result<Vec<Checksum>, Denial> {
    let mut found = Found { header: "", checksums: Vec::new() };
    let mut announced = None;
    for (name, value) in head.headers {
        found.header = name;
        let text = core::str::from_utf8(value).unwrap_or("\0").trim_matches([' ', '\t']);
        match *name {
            "content-md5" => found.base64(ChecksumAlgorithm::Md5, text)?,
            "digest" => found.instance_digest(text)?,
            "repr-digest" | "content-digest" => found.dictionary(text)?,
            "x-amz-content-sha256" | "x-amz-trailer" | "x-amz-decoded-content-length" if !with_payload => {}
            "x-amz-content-sha256" => found.payload_hash(text)?,
            "x-amz-sdk-checksum-algorithm" => announced = Some(text.to_ascii_lowercase()),
            "x-amz-trailer" | "x-amz-decoded-content-length" => return Err(AWS_CHUNKED),
            _ => found.checksums.extend(Checksum::of_s3(name, text)?),
        }
    }
    let mut by_s3 = found.checksums.iter().filter(|checksum| checksum.by_s3_header).peekable();
    if let Some(announced) = announced
        && by_s3.peek().is_some()
        && !by_s3.any(|checksum| checksum.algorithm.name() == announced)
    {
        return Err(Denial::BadRequest(
            "x-amz-sdk-checksum-algorithm names another function than the checksum".to_string(),
        ));
    }
    Ok(found.checksums)
}

const AWS_CHUNKED: Denial = Denial::CallNotSupported("an upload in aws-chunked form");

/// Whether what `Content-MD5` says can be an MD5.
pub(crate) fn is_md5(value: &[u8]) -> bool {
    BASE64.decode(value.trim_ascii()).is_ok_and(|value| value.len() == ChecksumAlgorithm::Md5.value_bytes())
}

/// What was read so far, and in which header we are.
struct Found<'a> {
    header: &'a str,
    checksums: Vec<Checksum>,
}

impl Found<'_> {
    fn push(&mut self, algorithm: ChecksumAlgorithm, value: Option<Vec<u8>>) -> Result<(), Denial> {
        let value = value.filter(|value| value.len() == algorithm.value_bytes()).ok_or_else(|| {
            Denial::BadRequest(format!("the header {} holds no {} digest", self.header, algorithm.name()))
        })?;
        self.checksums.push(Checksum { algorithm, value, by_s3_header: false });
        Ok(())
    }

    fn base64(&mut self, algorithm: ChecksumAlgorithm, text: &str) -> Result<(), Denial> {
        self.push(algorithm, BASE64.decode(text).ok())
    }

    /// [RFC 3230, section 4.3.2](https://www.rfc-editor.org/rfc/rfc3230#section-4.3.2): `SHA-256=base64,MD5=base64`,
    /// names in any case.
    fn instance_digest(&mut self, text: &str) -> Result<(), Denial> {
        for member in text.split(',') {
            let (name, value) =
                member.trim_matches([' ', '\t']).split_once('=').ok_or_else(|| self.malformed())?;
            if let Some(algorithm) = ChecksumAlgorithm::of_http(&name.to_ascii_lowercase()) {
                self.base64(algorithm, value)?;
            }
        }
        Ok(())
    }

    /// [RFC 9530, section 2](https://www.rfc-editor.org/rfc/rfc9530#section-2): a dictionary of byte sequences,
    /// `sha-256=:base64:, sha-512=:base64:`.
    fn dictionary(&mut self, text: &str) -> Result<(), Denial> {
        let mut rest = text;
        while !rest.is_empty() {
            let (name, value, after) = dictionary_member(rest).ok_or_else(|| self.malformed())?;
            if let Some(algorithm) = ChecksumAlgorithm::of_http(name) {
                self.base64(algorithm, value)?;
            }
            rest = after;
        }
        Ok(())
    }

    /// The hash of the payload, in hex, or one of the words that stand for none.
    fn payload_hash(&mut self, text: &str) -> Result<(), Denial> {
        if text == "UNSIGNED-PAYLOAD" {
            return Ok(());
        }
        if text.starts_with("STREAMING-") {
            return Err(AWS_CHUNKED);
        }
        self.push(ChecksumAlgorithm::Sha256, decode_hex(text))
    }

    fn malformed(&self) -> Denial {
        Denial::BadRequest(format!("the header {} is not in its form", self.header))
    }
}

/// Splits the first member off a dictionary whose values are byte sequences, by
/// [RFC 9651, section 4.2.2](https://www.rfc-editor.org/rfc/rfc9651#section-4.2.2): its name, the base64 in its
/// value, and what follows. Parameters of a member have no meaning here and are skipped.
fn dictionary_member(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once('=')?;
    let (value, rest) = rest.strip_prefix(':')?.split_once(':')?;
    let first = |byte: u8| byte.is_ascii_lowercase() || byte == b'*';
    let sound = name.bytes().next().is_some_and(first)
        && name.bytes().all(|byte| first(byte) || byte.is_ascii_digit() || b"_-.".contains(&byte));
    let rest = if rest.starts_with(';') { &rest[parameters_bytes(rest)..] } else { rest };
    let rest = rest.trim_start_matches([' ', '\t']);
    let after = match rest.strip_prefix(',') {
        Some(after) => Some(after.trim_start_matches([' ', '\t'])).filter(|after| !after.is_empty())?,
        None if rest.is_empty() => "",
        None => return None,
    };
    sound.then_some((name, value, after))
}

/// How far the parameters at the start of `text` reach: to the first comma that is not quoted.
fn parameters_bytes(text: &str) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return at,
            _ => {}
        }
    }
    text.len()
}

pub(crate) fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|char| char.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ChecksumAlgorithm::*;

    fn read(headers: &[(&str, &str)]) -> Result<Vec<(ChecksumAlgorithm, usize)>, &'static str> {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let all = checksums(&RequestHead { method: "PUT", path: "/", query: "", headers: &headers });
        all.map(|all| all.iter().map(|it| (it.algorithm, it.value.len())).collect())
            .map_err(|denial| denial.reason())
    }

    const MD5: &str = "XUFAKrxLKna5cZ2REBfFkg==";
    const SHA256: &str = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";

    #[test]
    fn each_header_is_read() {
        let sha512 =
            "m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw==";
        for (name, value, expected) in [
            ("content-md5", MD5, (Md5, 16)),
            ("digest", &*format!("SHA-256={SHA256}"), (Sha256, 32)),
            ("digest", &*format!("md5={MD5}"), (Md5, 16)),
            ("digest", "sha=qvTGHdzF6KLavt4PO0gs2a6pQ00=", (Sha1, 20)),
            ("repr-digest", &*format!("sha-256=:{SHA256}:"), (Sha256, 32)),
            ("content-digest", &*format!("sha-512=:{sha512}:"), (Sha512, 64)),
            ("x-amz-checksum-crc32", "NhCmhg==", (Crc32, 4)),
            ("x-amz-checksum-crc32c", "mnG7TA==", (Crc32c, 4)),
            ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=", (Crc64Nvme, 8)),
            ("x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00=", (Sha1, 20)),
            ("x-amz-checksum-sha256", SHA256, (Sha256, 32)),
            ("x-amz-content-sha256", &"0f".repeat(32), (Sha256, 32)),
        ] {
            assert_eq!(read(&[(name, value)]), Ok(alloc::vec![expected]), "{name}");
        }
    }

    #[test]
    fn lists_are_read_whole_and_unknown_functions_ignored() {
        let both = format!("unixsum=5, MD5={MD5} ,sha-256={SHA256}");
        assert_eq!(read(&[("digest", &both)]), Ok(alloc::vec![(Md5, 16), (Sha256, 32)]));
        for (text, expected) in [
            (format!("sha-256=:{SHA256}:,md5=:{MD5}:"), 2),
            (format!("new-hash=:AA==:;v=1;s=\"a,b\", sha-256=:{SHA256}:;x"), 1),
            ("new-hash=:AA==:".to_string(), 0),
            (String::new(), 0),
            (format!("sha-256=:{}:", SHA256.trim_end_matches('=')), 1),
        ] {
            assert_eq!(read(&[("repr-digest", &text)]).map(|all| all.len()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        for (name, value) in [
            ("content-md5", ""),
            ("content-md5", "nonsense"),
            ("content-md5", SHA256),
            ("content-md5", "\u{e9}"),
            ("digest", "sha-256"),
            ("digest", "sha-256=AA=="),
            ("digest", ""),
            ("repr-digest", SHA256),
            ("repr-digest", "sha-256=:AA==:"),
            ("repr-digest", "sha-256=\"AA\""),
            ("repr-digest", "new=:AA==:,"),
            ("repr-digest", "new=:AA==: x"),
            ("repr-digest", "New=:AA==:"),
            ("content-digest", "=:AA==:"),
            ("x-amz-checksum-crc32", "AAAAAAAA"),
            ("x-amz-checksum-sha256", "AAAAAA=="),
            ("x-amz-content-sha256", "abc"),
            ("x-amz-content-sha256", "UNSIGNED"),
        ] {
            assert_eq!(read(&[(name, value)]), Err("bad_request"), "{name}: {value}");
        }
    }

    #[test]
    fn what_is_not_compared_is_not_taken() {
        for (name, value) in [
            ("x-amz-checksum-xxhash64", "AAAAAAAAAAA="),
            ("x-amz-trailer", "x-amz-checksum-crc32"),
            ("x-amz-decoded-content-length", "5"),
            ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ] {
            assert_eq!(read(&[(name, value)]), Err("not_supported"), "{name}");
        }
        for (name, value) in [
            ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
            ("x-amz-checksum-mode", "ENABLED"),
            ("x-amz-checksum-type", "FULL_OBJECT"),
            ("x-amz-sdk-checksum-algorithm", "CRC32"),
        ] {
            assert_eq!(read(&[(name, value)]), Ok(Vec::new()), "{name}");
        }
    }

    #[test]
    fn an_announced_function_is_the_one_that_comes() {
        let with = |announced| {
            let checksum = ("x-amz-checksum-crc32", "NhCmhg==");
            read(&[("x-amz-sdk-checksum-algorithm", announced), checksum]).map(|all| all.len())
        };
        assert_eq!(with("CRC32"), Ok(1));
        assert_eq!(with("CRC32C"), Err("bad_request"));
    }
}
