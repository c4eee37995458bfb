//! The bytes of one part.

use std::rc::Rc;
use std::sync::Arc;

use valetkey::{Denial, Permit};
use valetkey_dialects::{Checksum, ChecksumAlgorithm};
use valetkey_ledger::{FinishedPart, Ledger, LedgerError, NewPart, Part, PartId, PartStart};

use super::{Claim, Marks, Open, denied, now};
use crate::admit::charges;
use crate::backend::remote::PartName;
use crate::gateway::Gateway;
use crate::running::End;
use crate::settle::Recorder;
use crate::transfer::arriving::{Pace, next_piece};
use crate::transfer::body::as_u64;
use crate::transfer::first_bytes::FirstBytes;
use crate::transfer::integrity::Integrity;
use crate::transfer::rate::Throttle;
use crate::transfer::receiving::Receiving;
use crate::transfer::source::Source;

/// How much more is reserved at once for a part of unknown length.
const STEP_BYTES: u64 = 8 << 20;

/// A part that is to be received.
pub(crate) struct PartPlan {
    /// From 1 on.
    pub(crate) number: u32,
    pub(crate) start: PartStart,
    pub(crate) declared_bytes: Option<u64>,
    /// Of what this request brings.
    pub(crate) checksums: Vec<Checksum>,
    /// By which functions it is hashed besides, to be told; by MD5 for its entity tag.
    pub(crate) tells: Vec<ChecksumAlgorithm>,
    /// The most that this request may bring.
    pub(crate) bytes_max: Option<u64>,
    /// Whether what came stays where the body breaks off, to be gone on with.
    pub(crate) keeps_what_came: bool,
}

/// Receives a part, and answers once it is durable: nothing is left of one that is refused, unless its plan says
/// so. Dropping the future leaves nothing either, so whoever must keep what came runs it apart from its connection.
///
/// # Errors
/// [`Denial::Revoked`], [`Denial::RunsOver`] beyond the session's cap, [`Denial::BytesExhausted`] and the like beyond what its levels
/// have left, [`Denial::NotFound`] where the session has ended, [`Denial::TooManyAtOnce`],
/// [`Denial::DigestMismatch`], [`Denial::BadRequest`] where the body breaks off or the offset is another,
/// [`Denial::QuotaExceeded`] on a full disk.
pub(crate) async fn receive(
    gateway: &Arc<Gateway>,
    open: &Open,
    permit: &Rc<Permit>,
    plan: PartPlan,
    source: Source<'_>,
    recorder: &Recorder,
) -> Result<Part, Denial> {
    let end = End::begin(gateway, permit)?;
    tokio::select! {
        received = Box::pin(receive_all(gateway, open, permit, plan, source, recorder)) => received,
        () = end.told() => Err(Denial::Revoked),
    }
}

async fn receive_all(
    gateway: &Arc<Gateway>,
    open: &Open,
    permit: &Permit,
    plan: PartPlan,
    mut source: Source<'_>,
    recorder: &Recorder,
) -> Result<Part, Denial> {
    let PartPlan { number, start, declared_bytes, checksums, tells, bytes_max, keeps_what_came } = plan;
    if let Some((size, cap)) = declared_bytes.zip(bytes_max).filter(|(size, cap)| size > cap) {
        return Err(Denial::TooLarge { size, cap });
    }
    recorder.brings_part();
    let claim = match start {
        PartStart::At(_) => Some(gateway.sessions.claim(open.session.id)?),
        PartStart::Anew => None,
    };
    let new = NewPart {
        session: open.session.id,
        number,
        start,
        bytes: declared_bytes.unwrap_or(0),
        charges: charges(permit),
        now: now(gateway),
    };
    let named = checksums.iter().filter(|checksum| checksum.by_s3_header).map(|checksum| checksum.algorithm);
    let named: Vec<_> =
        named.chain(tells.iter().copied()).chain(source.announced().iter().copied()).collect();
    let mut integrity = Integrity::of(&[], checksums).awaiting(source.announced()).awaiting(&tells);
    if tells.contains(&ChecksumAlgorithm::Md5) {
        integrity = integrity.telling_md5();
    }
    let held = hold(gateway, new, claim).await.map_err(|error| denied(error, permit))?;
    let bounds = open.bounds(permit);
    let mut first_bytes = open.first_bytes(&bounds);
    let mut throttle = gateway.rates.throttle(&permit.rates);
    // What is to be hashed, or is slowed, passes through here.
    let is_seen = !named.is_empty() || throttle.is_some();
    let in_store = source.copied().filter(|_| !is_seen).and_then(|copied| copied.part_in(&open.space));
    if let Some(copy) = in_store
        && let Some(upload) = &open.terms.store
    {
        let wanted = first_bytes.each_ref().map(FirstBytes::wanted_bytes);
        let beginning = copy.beginning(wanted.into_iter().max().unwrap_or_default()).await?;
        let mut bounds = first_bytes.iter_mut();
        let belies_type = bounds.any(|bound| bound.take(&beginning).and_then(|()| bound.judge()).is_err());
        let name = PartName { number, attempt: held.id.attempt };
        let kept = copy.part(open.path.name(), upload, name).await?;
        recorder.received(kept.size_bytes);
        let details = Marks::of(&kept, &named, belies_type).to_words()?;
        return held.finish(gateway, open, permit, kept.size_bytes, details).await;
    }
    let mut file = Receiving::part(open, held.id, start, declared_bytes, integrity)?;
    let mut belies_type = false;
    let mut pace = Pace::new(throttle.as_ref().map(Throttle::slowest));
    let mut reserved_bytes = declared_bytes.unwrap_or(0);
    let mut received_bytes = 0_u64;
    let broke_off = loop {
        let piece = match next_piece(&mut source, &mut file, &mut pace).await {
            Ok(Some(piece)) => piece,
            Ok(None) => break None,
            Err(denial) if keeps_what_came => break Some(denial),
            Err(denial) => return Err(denial),
        };
        received_bytes += as_u64(piece.len());
        recorder.received(received_bytes);
        if let Some(cap) = bytes_max.filter(|cap| received_bytes > *cap) {
            return Err(Denial::RunsOver { cap });
        }
        while received_bytes > reserved_bytes {
            let more = STEP_BYTES.max(received_bytes - reserved_bytes);
            let granted = gateway.ledger.grow_part(held.id, more).await;
            reserved_bytes += granted.map_err(|error| denied(error, permit))?;
        }
        let piece_bytes = as_u64(piece.len());
        belies_type |= first_bytes.iter_mut().any(|first_bytes| first_bytes.take(&piece).is_err());
        file.push(piece).await?;
        if let Some(throttle) = &mut throttle {
            throttle.pay(piece_bytes).await;
        }
    };
    let trailer = if broke_off.is_none() { source.finish()? } else { Vec::new() };
    belies_type |= first_bytes.iter_mut().any(|first_bytes| first_bytes.judge().is_err());
    let kept = file.keep(trailer).await?;
    let details = Marks::of(&kept, &named, belies_type).to_words()?;
    let part = held.finish(gateway, open, permit, kept.size_bytes, details).await?;
    broke_off.map_or(Ok(part), Err)
}

/// A part that is reserved, until it is finished; dropped before, it is given back.
struct PartHold {
    ledger: Arc<dyn Ledger>,
    id: PartId,
    is_new: bool,
    ended: bool,
    _claim: Option<Claim>,
}

/// Reserves a part, apart from who waits for it: a reservation that nobody learned of is dropped, and so given back.
async fn hold(gateway: &Gateway, new: NewPart, claim: Option<Claim>) -> Result<PartHold, LedgerError> {
    let ledger = Arc::clone(&gateway.ledger);
    let held = tokio::task::spawn_local(async move {
        let is_new = new.start == PartStart::Anew;
        let id = ledger.reserve_part(new).await?;
        Ok(PartHold { ledger, id, is_new, ended: false, _claim: claim })
    });
    held.await.unwrap_or(Err(LedgerError::Closed))
}

impl PartHold {
    /// Keeps the part, and removes the file that nobody needs any more: of the part that it replaced, or its own
    /// where it cannot be kept. It comes to its end, whoever stops waiting for it.
    async fn finish(
        mut self,
        gateway: &Gateway,
        open: &Open,
        permit: &Permit,
        bytes: u64,
        details: String,
    ) -> Result<Part, Denial> {
        let (space, session, now) = (open.space.clone(), open.session.store_name(), now(gateway));
        let finished = tokio::task::spawn_local(async move {
            let part = FinishedPart { bytes, details: details.clone(), now };
            let replaced = self.ledger.finish_part(self.id, part).await;
            self.ended = replaced.is_ok();
            // A part that goes on and cannot be kept is still there, at its old length.
            let unneeded = match &replaced {
                Ok(replaced) => *replaced,
                Err(_) => self.is_new.then_some(self.id),
            };
            if let Some(part) = unneeded {
                space.forget_part(session, part.store_name());
            }
            replaced.map(|_| Part { id: self.id, bytes, details, finished: now })
        });
        finished.await.unwrap_or(Err(LedgerError::Closed)).map_err(|error| denied(error, permit))
    }
}

impl Drop for PartHold {
    fn drop(&mut self) {
        if !self.ended {
            drop(self.ledger.drop_part(self.id));
        }
    }
}
