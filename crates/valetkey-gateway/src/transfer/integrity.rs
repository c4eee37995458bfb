//! What an upload hashes to, compared with what its key and its client say.
//!
//! The backend hashes with BLAKE3 by itself. Every other function costs time, so it is computed only where the
//! key or the request names it, on the thread that writes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use http::{HeaderName, Response};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use valetkey::{Denial, Digest, DigestAlgorithm};
use valetkey_dialects::aws::reply::WholeSum;
use valetkey_dialects::{Checksum, ChecksumAlgorithm};

use super::body::Body;
use super::made_of;
use crate::backend::Attributes;
use crate::respond;

/// What an upload must hash to, and the hashes of what came so far.
pub(crate) struct Integrity {
    blake3: Vec<[u8; 32]>,
    expected: Vec<(ChecksumAlgorithm, Vec<u8>)>,
    hashers: Vec<(ChecksumAlgorithm, Hasher)>,
    tells_md5: bool,
}

enum Hasher {
    Md5(Md5),
    Sha1(Sha1),
    Sha256(Sha256),
    Sha512(Sha512),
    Crc(crc_fast::Digest),
}

const CRC32: CrcAlgorithm = CrcAlgorithm::Crc32IsoHdlc;
const CRC32C: CrcAlgorithm = CrcAlgorithm::Crc32Iscsi;

/// The checksum of the whole, from those of its parts in order, each with its length in bytes. `None` for a function
/// that does not allow it, or for values that are none of its.
pub(crate) fn combined(algorithm: ChecksumAlgorithm, parts: &[(Vec<u8>, u64)]) -> Option<Vec<u8>> {
    let (function, width) = match algorithm {
        ChecksumAlgorithm::Crc32 => (CRC32, 4),
        ChecksumAlgorithm::Crc32c => (CRC32C, 4),
        ChecksumAlgorithm::Crc64Nvme => (CrcAlgorithm::Crc64Nvme, 8),
        ChecksumAlgorithm::Md5
        | ChecksumAlgorithm::Sha1
        | ChecksumAlgorithm::Sha256
        | ChecksumAlgorithm::Sha512 => return None,
    };
    let number = |value: &[u8]| {
        let mut bytes = [0; 8];
        bytes.get_mut(8 - width..).filter(|end| end.len() == value.len())?.copy_from_slice(value);
        Some(u64::from_be_bytes(bytes))
    };
    let mut parts = parts.iter();
    let mut whole = number(&parts.next()?.0)?;
    for (value, bytes) in parts {
        whole = crc_fast::checksum_combine(function, whole, number(value)?, *bytes);
    }
    whole.to_be_bytes().get(8 - width..).map(<[u8]>::to_vec)
}

impl Integrity {
    /// All that is asked by a key's `digests` and by the `checksums` of a request.
    pub(crate) fn of(digests: &[Digest], checksums: Vec<Checksum>) -> Self {
        let mut integrity =
            Self { blake3: Vec::new(), expected: Vec::new(), hashers: Vec::new(), tells_md5: false };
        for digest in digests {
            match digest.algorithm {
                DigestAlgorithm::Blake3 => integrity.blake3.push(digest.bytes),
                DigestAlgorithm::Sha256 => integrity.expect(ChecksumAlgorithm::Sha256, digest.bytes.to_vec()),
            }
        }
        for Checksum { algorithm, value, .. } in checksums {
            integrity.expect(algorithm, value);
        }
        integrity
    }

    /// Computes the MD5 too, whatever is asked, for [`Integrity::check`] to tell.
    pub(crate) fn telling_md5(mut self) -> Self {
        self.tells_md5 = true;
        self.hash_with(ChecksumAlgorithm::Md5);
        self
    }

    /// Computes these too, whose values come after the last byte.
    pub(crate) fn awaiting(mut self, announced: &[ChecksumAlgorithm]) -> Self {
        for algorithm in announced {
            self.hash_with(*algorithm);
        }
        self
    }

    /// Compares these too, which were [awaited](Integrity::awaiting).
    pub(crate) fn expecting(mut self, checksums: Vec<Checksum>) -> Self {
        self.expected.extend(checksums.into_iter().map(|checksum| (checksum.algorithm, checksum.value)));
        self
    }

    fn expect(&mut self, algorithm: ChecksumAlgorithm, value: Vec<u8>) {
        self.hash_with(algorithm);
        self.expected.push((algorithm, value));
    }

    fn hash_with(&mut self, algorithm: ChecksumAlgorithm) {
        if self.hashers.iter().all(|(known, _)| *known != algorithm) {
            self.hashers.push((algorithm, Hasher::of(algorithm)));
        }
    }

    /// Goes on with the next pieces.
    pub(crate) fn update(&mut self, pieces: &[Bytes]) {
        for (_, hasher) in &mut self.hashers {
            for piece in pieces {
                hasher.update(piece);
            }
        }
    }

    /// Compares all that came, whose BLAKE3 is `digest`. Returns its MD5 in hex if that was to be told.
    ///
    /// # Errors
    /// [`Denial::DigestMismatch`].
    pub(crate) fn check(self, digest: [u8; 32]) -> Result<Option<String>, Denial> {
        Ok(self.hashed(digest)?.md5_to_tell())
    }

    /// As [`Integrity::check`]; returns all that was computed.
    ///
    /// # Errors
    /// [`Denial::DigestMismatch`].
    pub(crate) fn hashed(self, digest: [u8; 32]) -> Result<Hashed, Denial> {
        if self.blake3.iter().any(|expected| *expected != digest) {
            return Err(Denial::DigestMismatch("blake3"));
        }
        let mut values = Vec::new();
        for (algorithm, hasher) in self.hashers {
            let value = hasher.finish(algorithm);
            let mut expected = self.expected.iter().filter(|(known, _)| *known == algorithm);
            if expected.any(|(_, expected)| *expected != value) {
                return Err(Denial::DigestMismatch(algorithm.name()));
            }
            values.push((algorithm, value));
        }
        Ok(Hashed { values, tells_md5: self.tells_md5 })
    }
}

/// What bytes hash to.
#[derive(Default)]
pub(crate) struct Hashed {
    pub(crate) values: Vec<(ChecksumAlgorithm, Vec<u8>)>,
    tells_md5: bool,
}

impl Hashed {
    /// The output of a function, where it was computed.
    pub(crate) fn value(&self, algorithm: ChecksumAlgorithm) -> Option<&[u8]> {
        let mut values = self.values.iter();
        values.find(|(known, _)| *known == algorithm).map(|(_, value)| value.as_slice())
    }

    /// The MD5 in hex, where it was to be told.
    pub(crate) fn md5_to_tell(&self) -> Option<String> {
        self.value(ChecksumAlgorithm::Md5).filter(|_| self.tells_md5).map(hex)
    }
}

/// Bytes in hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Hasher {
    fn of(algorithm: ChecksumAlgorithm) -> Self {
        match algorithm {
            ChecksumAlgorithm::Md5 => Self::Md5(Md5::new()),
            ChecksumAlgorithm::Sha1 => Self::Sha1(Sha1::new()),
            ChecksumAlgorithm::Sha256 => Self::Sha256(Sha256::new()),
            ChecksumAlgorithm::Sha512 => Self::Sha512(Sha512::new()),
            ChecksumAlgorithm::Crc32 => Self::Crc(crc_fast::Digest::new(CRC32)),
            ChecksumAlgorithm::Crc32c => Self::Crc(crc_fast::Digest::new(CRC32C)),
            ChecksumAlgorithm::Crc64Nvme => Self::Crc(crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme)),
        }
    }

    fn update(&mut self, piece: &[u8]) {
        match self {
            Self::Md5(hasher) => hasher.update(piece),
            Self::Sha1(hasher) => hasher.update(piece),
            Self::Sha256(hasher) => hasher.update(piece),
            Self::Sha512(hasher) => hasher.update(piece),
            Self::Crc(hasher) => hasher.update(piece),
        }
    }

    fn finish(self, algorithm: ChecksumAlgorithm) -> Vec<u8> {
        match self {
            Self::Md5(hasher) => hasher.finalize().to_vec(),
            Self::Sha1(hasher) => hasher.finalize().to_vec(),
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
            Self::Sha512(hasher) => hasher.finalize().to_vec(),
            // A CRC of 32 bits stands in the low half.
            Self::Crc(hasher) => match algorithm {
                ChecksumAlgorithm::Crc64Nvme => hasher.finalize().to_be_bytes().to_vec(),
                _ => hasher.finalize().to_be_bytes()[4..].to_vec(),
            },
        }
    }
}

/// The checksums in S3's own headers, with which S3 answers again once they held.
pub(crate) struct Confirmed(Vec<(ChecksumAlgorithm, String)>);

impl Confirmed {
    pub(crate) fn of(checksums: &[Checksum]) -> Self {
        let mut confirmed = Self(Vec::new());
        confirmed.add(checksums);
        confirmed
    }

    /// Adds those of `checksums` that S3's own headers or trailers said.
    pub(crate) fn add(&mut self, checksums: &[Checksum]) {
        for Checksum { algorithm, value, .. } in checksums.iter().filter(|checksum| checksum.by_s3_header) {
            if self.0.iter().all(|(known, _)| known != algorithm) {
                self.0.push((*algorithm, STANDARD.encode(value)));
            }
        }
    }

    /// The first of them, with its value in base64.
    pub(crate) fn first(&self) -> Option<(ChecksumAlgorithm, &str)> {
        self.0.first().map(|(algorithm, value)| (*algorithm, value.as_str()))
    }

    /// The headers that say them, of an answer and beside the object.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (String, String)> {
        let kind = (!self.0.is_empty()).then(|| (CHECKSUM_TYPE.to_owned(), "FULL_OBJECT".to_owned()));
        let value = |(algorithm, value): &(ChecksumAlgorithm, String)| {
            (format!("x-amz-checksum-{}", algorithm.name()), value.clone())
        };
        self.0.iter().map(value).chain(kind)
    }

    /// Says them in the answer.
    pub(crate) fn tell(&self, answer: &mut Response<Body>) {
        say(self.headers(), answer);
    }
}

fn say(headers: impl Iterator<Item = (String, String)>, answer: &mut Response<Body>) {
    for (name, value) in headers {
        let Ok(name) = HeaderName::try_from(name) else { continue };
        respond::insert(answer, name, &value);
    }
}

/// What is kept of what an object hashes to: all of it, or its parts together.
pub(crate) fn kept(attributes: &Attributes) -> Vec<WholeSum> {
    let whole = stored(attributes).into_iter().map(|sum| WholeSum {
        algorithm: sum.algorithm,
        text: sum.base64(),
        is_composite: false,
    });
    // Clients read one kind of an object.
    match made_of::composite(attributes) {
        Some(composite) => vec![composite],
        None => whole.collect(),
    }
}

/// Says in the answer what is kept of what an object hashes to.
pub(crate) fn tell(sums: &[WholeSum], answer: &mut Response<Body>) {
    let values =
        sums.iter().map(|sum| (format!("x-amz-checksum-{}", sum.algorithm.name()), sum.text.clone()));
    let kind = sums.first().map(|sum| (CHECKSUM_TYPE.to_owned(), sum.kind().to_owned()));
    say(values.chain(kind), answer);
}

/// What an object hashes to, as far as its upload said it in S3's words.
pub(crate) fn stored(attributes: &Attributes) -> Vec<Checksum> {
    let read = |(name, value): &(String, String)| Checksum::of_s3(name, value).ok().flatten();
    attributes.headers.iter().filter_map(read).collect()
}

/// Whether a checksum is one of the whole object.
const CHECKSUM_TYPE: &str = "x-amz-checksum-type";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::body::as_u64;
    use super::*;
    use ChecksumAlgorithm::*;

    /// The check values of "123456789" that the catalogues of these functions publish.
    const PUBLISHED: [(ChecksumAlgorithm, &str); 7] = [
        (Md5, "25f9e794323b453885f5181f1b624d0b"),
        (Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        (Sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
        (
            Sha512,
            "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274a\
             d27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85",
        ),
        (Crc32, "cbf43926"),
        (Crc32c, "e3069283"),
        (Crc64Nvme, "ae8b14860a799888"),
    ];

    fn judge(algorithm: ChecksumAlgorithm, value: Vec<u8>) -> Result<(), Denial> {
        let mut integrity = Integrity::of(&[], vec![Checksum { algorithm, value, by_s3_header: false }]);
        integrity.update(&[Bytes::from_static(b"1234"), Bytes::new()]);
        integrity.update(&[Bytes::from_static(b"56789")]);
        integrity.check([0; 32]).map(drop)
    }

    #[test]
    fn each_function_gives_its_published_value() {
        for (algorithm, hex) in PUBLISHED {
            let pairs = (0..hex.len()).step_by(2);
            let mut value: Vec<u8> =
                pairs.map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
            assert_eq!(judge(algorithm, value.clone()), Ok(()), "{algorithm:?}");
            value[0] ^= 1;
            assert_eq!(judge(algorithm, value), Err(Denial::DigestMismatch(algorithm.name())));
        }
    }

    #[test]
    fn checksums_of_parts_make_that_of_the_whole() {
        let sum = |algorithm, text: &[u8]| {
            let mut hasher = Hasher::of(algorithm);
            hasher.update(text);
            (hasher.finish(algorithm), as_u64(text.len()))
        };
        for algorithm in [ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Crc32c, ChecksumAlgorithm::Crc64Nvme] {
            let parts = [sum(algorithm, b"1234"), sum(algorithm, b""), sum(algorithm, b"56789")];
            assert_eq!(combined(algorithm, &parts), Some(sum(algorithm, b"123456789").0), "{algorithm:?}");
            assert_eq!(combined(algorithm, &parts[..1]), Some(parts[0].0.clone()));
            assert_eq!(combined(algorithm, &[(vec![0; 3], 1)]), None);
            assert_eq!(combined(algorithm, &[]), None);
        }
        assert_eq!(combined(ChecksumAlgorithm::Sha256, &[sum(ChecksumAlgorithm::Sha256, b"a")]), None);
    }

    #[test]
    fn the_md5_is_told_where_it_is_wanted() {
        let told = |integrity: Integrity| integrity.check([0; 32]).unwrap();
        assert_eq!(told(Integrity::of(&[], Vec::new())), None);
        let empty = Some("d41d8cd98f00b204e9800998ecf8427e".to_owned());
        assert_eq!(told(Integrity::of(&[], Vec::new()).telling_md5()), empty);
    }

    #[test]
    fn all_that_is_said_must_hold() {
        let blake3 = |bytes| Digest { algorithm: DigestAlgorithm::Blake3, bytes };
        let sha256 = |bytes| Digest { algorithm: DigestAlgorithm::Sha256, bytes };
        let empty: [u8; 32] = sha2::Sha256::digest(b"").into();
        let check = |digests: &[Digest]| Integrity::of(digests, Vec::new()).check([7; 32]).map(drop);
        assert_eq!(check(&[blake3([7; 32]), sha256(empty)]), Ok(()));
        assert_eq!(check(&[blake3([7; 32]), blake3([8; 32])]), Err(Denial::DigestMismatch("blake3")));
        assert_eq!(check(&[sha256(empty), sha256([8; 32])]), Err(Denial::DigestMismatch("sha256")));
    }
}
