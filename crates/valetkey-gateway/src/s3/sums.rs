//! What an upload in parts says of the checksum of the whole.
//!
//! It is either one of all the bytes, or one of the checksums of the parts, one after the other: composite.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use valetkey::Denial;
use valetkey_dialects::aws::reply::{Code, Refusal, WholeSum};
use valetkey_dialects::{Checksum, ChecksumAlgorithm, RequestHead};

use super::put;
use crate::flow::At;
use crate::identify::Call;
use crate::transfer::integrity::Integrity;
use crate::transfer::session::{Marks, Sums};

const PREFIX: &str = "x-amz-checksum-";
const ALGORITHM: &str = "x-amz-checksum-algorithm";
const KIND: &str = "x-amz-checksum-type";
const SIZE: &str = "x-amz-mp-object-size";

/// Which checksum the object is to have, as the begin of its upload says.
///
/// # Errors
/// [`Denial::CallNotSupported`] for a function that is not computed here, [`Code::InvalidRequest`] for a kind that S3
/// does not have of a function.
pub(crate) fn wanted(at: &At<'_>, call: &Call) -> Result<Option<Sums>, Refusal> {
    let kind = said(at, call, KIND)?;
    let Some(name) = said(at, call, ALGORITHM)? else {
        return match kind {
            None => Ok(None),
            Some(_) => Err(unsound("x-amz-checksum-type says nothing without x-amz-checksum-algorithm")),
        };
    };
    let algorithm = ChecksumAlgorithm::of_s3(&name.to_ascii_lowercase())
        .ok_or(Denial::CallNotSupported("a checksum of this kind"))?;
    let is_whole_only = algorithm == ChecksumAlgorithm::Crc64Nvme;
    let is_composite_only = matches!(algorithm, ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256);
    let is_composite = match kind.as_deref() {
        None => !is_whole_only,
        Some("COMPOSITE") if !is_whole_only => true,
        Some("FULL_OBJECT") if !is_composite_only => false,
        Some(_) => return Err(unsound("x-amz-checksum-type is none that this function has")),
    };
    Ok(Some(Sums::new(algorithm, is_composite)))
}

/// What the request that completes an upload says of the whole.
pub(crate) struct SaidOfWhole {
    /// Names in lower case, and values.
    values: Vec<(String, String)>,
    kind: Option<String>,
}

/// Reads what the request that completes an upload says of the whole.
///
/// # Errors
/// [`Denial::BadRequest`] for what is said twice or is no text.
pub(crate) fn said_of_whole(at: &At<'_>, call: &Call) -> Result<SaidOfWhole, Refusal> {
    let mut values = Vec::new();
    for name in ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"] {
        let name = format!("{PREFIX}{name}");
        if let Some(value) = said(at, call, &name)? {
            values.push((name, value));
        }
    }
    Ok(SaidOfWhole { values, kind: said(at, call, KIND)? })
}

impl SaidOfWhole {
    /// Compares what is said of the parts' checksums with `composite`, and returns what is said of all bytes.
    ///
    /// # Errors
    /// [`Denial::DigestMismatch`], [`Denial::BadRequest`] for a value that is none.
    pub(crate) fn check(
        self,
        sums: Option<&Sums>,
        composite: Option<&WholeSum>,
    ) -> Result<Vec<Checksum>, Refusal> {
        let kind = sums.map(|sums| if sums.is_composite { "COMPOSITE" } else { "FULL_OBJECT" });
        if self.kind.as_deref().zip(kind).is_some_and(|(said, begun)| said != begun) {
            return Err(unsound("x-amz-checksum-type is another than that of the upload's begin"));
        }
        let mut of_all = Vec::new();
        for (name, value) in self.values {
            match composite {
                Some(sum) => {
                    let function = sum.algorithm.name();
                    if name.strip_prefix(PREFIX) != Some(function) {
                        return Err(unsound("the checksum is of another function than the upload's"));
                    }
                    let bare = sum.text.rsplit_once('-').map_or("", |(value, _)| value);
                    if value != sum.text && value != bare {
                        return Err(Denial::DigestMismatch(function).into());
                    }
                }
                None => of_all.extend(Checksum::of_s3(&name, &value)?),
            }
        }
        Ok(of_all)
    }
}

/// The checksum of the parts' checksums, where the upload has one.
///
/// # Errors
/// [`Refusal::invalid_part`] for a part without a checksum, which came before it was asked for.
pub(crate) fn composite(sums: Option<&Sums>, parts: &[Marks]) -> Result<Option<WholeSum>, Refusal> {
    let sums = sums.filter(|sums| sums.is_composite);
    let Some(algorithm) = sums.and_then(Sums::algorithm) else { return Ok(None) };
    let mut integrity = Integrity::of(&[], Vec::new()).awaiting(&[algorithm]);
    for (number, marks) in (1_usize..).zip(parts) {
        let sum = marks.checksums().into_iter().find(|sum| sum.algorithm == algorithm);
        integrity.update(&[Bytes::from(sum.ok_or_else(|| Refusal::invalid_part(number))?.value)]);
    }
    let hashed = integrity.hashed([0; 32])?;
    let text = hashed.value(algorithm).map(|value| format!("{}-{}", STANDARD.encode(value), parts.len()));
    Ok(text.map(|text| WholeSum { algorithm, text, is_composite: true }))
}

/// What the request says of its document, and not of the object.
///
/// # Errors
/// As [`put::described`].
pub(crate) fn of_document(at: &At<'_>, call: &Call) -> Result<Vec<Checksum>, Denial> {
    let is_of_document = |name: &str| !name.starts_with(PREFIX) && name != "x-amz-sdk-checksum-algorithm";
    let headers: Vec<_> = at.head.headers.iter().copied().filter(|(name, _)| is_of_document(name)).collect();
    let head = RequestHead { headers: &headers, ..*at.head };
    let mut checksums = put::described(&At { head: &head, ..*at }, call)?.checksums;
    checksums.retain(|checksum| !checksum.by_s3_header);
    Ok(checksums)
}

/// Compares the size of the whole with the one that the request says.
///
/// # Errors
/// [`Code::InvalidRequest`].
pub(crate) fn check_size(at: &At<'_>, call: &Call, size_bytes: u64) -> Result<(), Refusal> {
    match said(at, call, SIZE)? {
        Some(said) if said != size_bytes.to_string() => {
            Err(unsound("x-amz-mp-object-size is not the size of the parts together"))
        }
        _ => Ok(()),
    }
}

/// What a header says, or a signed parameter that stands for it.
fn said(at: &At<'_>, call: &Call, name: &str) -> Result<Option<String>, Refusal> {
    let mut values = at.head.values(name);
    let in_header = values.next().map(|value| String::from_utf8_lossy(value).trim().to_owned());
    if values.next().is_some() {
        return Err(Denial::BadRequest(format!("the header {name} is given twice")).into());
    }
    let signed = call.signed.as_ref().and_then(|signed| signed.value(name));
    Ok(in_header.or_else(|| signed.map(ToOwned::to_owned)))
}

fn unsound(text: &str) -> Refusal {
    Refusal { code: Code::InvalidRequest, ..Refusal::from(Denial::BadRequest(text.to_owned())) }
}
