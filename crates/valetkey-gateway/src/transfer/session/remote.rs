//! Sessions whose parts are in a remote store, where nothing reads them again before they are one object.
//!
//! What is asked of the whole is therefore judged by what is known of the parts: their lengths, what the first of them
//! begins with, and checksums that can be computed from those of parts.

use valetkey::{Denial, Digest};
use valetkey_dialects::{Checksum, ChecksumAlgorithm};
use valetkey_ledger::Part;

use super::{Marks, Terms};
use crate::backend::Finished;
use crate::backend::remote::Remote;
use crate::transfer::integrity::{Confirmed, combined};
use crate::transfer::upload::unwritable;

/// Refuses a key for exactly these bytes: the hash of the whole cannot be made of those of its parts.
///
/// # Errors
/// [`Denial::CallNotSupported`].
pub(super) fn check_digests(digests: &[Digest]) -> Result<(), Denial> {
    match digests {
        [] => Ok(()),
        _ => Err(Denial::CallNotSupported("an upload in parts with a key for one digest, to a remote store")),
    }
}

/// Judges the parts as one, which the store then makes of them.
///
/// # Errors
/// [`Denial::TypeBelied`], [`Denial::DigestMismatch`], [`Denial::CallNotSupported`] for a checksum of the whole that
/// cannot be made of its parts', [`Denial::LedgerUnavailable`] for words that are none of ours.
pub(super) fn assemble(
    store: &Remote,
    name: &str,
    parts: &[Part],
    mut terms: Terms,
    expected: &[Checksum],
    tells: Option<ChecksumAlgorithm>,
) -> Result<(Finished, Vec<Checksum>), Denial> {
    let marks = parts.iter().map(Marks::of_part).collect::<Result<Vec<_>, _>>()?;
    if marks.first().is_some_and(Marks::belies_type) {
        return Err(Denial::TypeBelied("what its first part begins with"));
    }
    let whole = |algorithm: ChecksumAlgorithm| {
        let sums = marks.iter().zip(parts).map(|(marks, part)| {
            let sum = marks.checksums().into_iter().find(|sum| sum.algorithm == algorithm)?;
            Some((sum.value, part.bytes))
        });
        let sums = sums.collect::<Option<Vec<_>>>()?;
        let value = combined(algorithm, &sums)?;
        Some(Checksum { algorithm, value, by_s3_header: true })
    };
    for said in expected {
        let unknown = Denial::CallNotSupported("this checksum of all parts together, in a remote store");
        if whole(said.algorithm).ok_or(unknown)?.value != said.value {
            return Err(Denial::DigestMismatch(said.algorithm.name()));
        }
    }
    let sums: Vec<Checksum> = tells.and_then(whole).into_iter().collect();
    terms.headers.extend(Confirmed::of(&sums).headers());
    let upload = terms.store.clone().ok_or(Denial::NotFound)?;
    let tag = |(marks, part): (&Marks, &Part)| Some((part.id.number, marks.store()?.to_owned()));
    let tags = marks.iter().zip(parts).map(tag).collect::<Option<Vec<_>>>();
    let size_bytes = parts.iter().map(|part| part.bytes).sum();
    let digest = match &marks[..] {
        [only] => only.digest(),
        _ => None,
    };
    let of_whole = (size_bytes, digest);
    let finished = store.assemble(name, &upload, tags.ok_or(Denial::NotFound)?, of_whole, terms.attributes());
    Ok((Finished::Remote(Box::new(finished.map_err(unwritable)?)), sums))
}
