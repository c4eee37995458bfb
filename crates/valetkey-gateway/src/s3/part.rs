//! `UploadPart` and `UploadPartCopy`.

use std::rc::Rc;

use http::header::{self, HeaderName};
use http::{Response, StatusCode};
use hyper::body::Incoming;
use valetkey::{Action, Denial, Permit};
use valetkey_dialects::ChecksumAlgorithm;
use valetkey_dialects::aws::operation::{ByteRange, CopySource, PartNumber, UploadId};
use valetkey_dialects::aws::reply::{Code, CopyReply, CopyResult, Refusal};
use valetkey_ledger::{PartStart, Purpose};

use super::{Asker, check_bucket, multipart, put, uploads};
use crate::flow::At;
use crate::settings::Etag;
use crate::transfer::body::Body;
use crate::transfer::copied::Copied;
use crate::transfer::download;
use crate::transfer::session::{self, Marks, Open, PartPlan};
use crate::transfer::source::Source;
use crate::{admit, respond};

/// Receives a part.
///
/// # Errors
/// [`Refusal::no_such_upload`], and as [`session::receive`].
pub(crate) async fn upload(
    asker: &Asker<'_>,
    upload: &UploadId,
    number: PartNumber,
    body: &mut Incoming,
) -> Result<Response<Body>, Refusal> {
    let (at, call) = (asker.at, &asker.asked.call);
    let permit = Rc::new(asker.of_object(Action::Part)?);
    let open = multipart::find(at, upload, &permit).await?;
    let plan = PartPlan {
        number: number.get().into(),
        start: PartStart::Anew,
        declared_bytes: put::declared_bytes(call, body),
        checksums: put::described(at, call)?.checksums,
        tells: tells(at, &open),
        bytes_max: room(at, &open, &permit, number).await?,
        keeps_what_came: false,
    };
    let source = put::source(call, body)?;
    let received = session::receive(at.gateway, &open, &permit, plan, source, at.recorder).await;
    let marks = Marks::of_part(&received.map_err(multipart::refused)?)?;
    let mut answer = respond::status(StatusCode::OK);
    respond::insert(&mut answer, header::ETAG, &format!("\"{}\"", marks.etag()));
    for checksum in marks.checksums() {
        let name = format!("x-amz-checksum-{}", checksum.algorithm.name());
        let Ok(name) = HeaderName::try_from(name) else { continue };
        respond::insert(&mut answer, name, &checksum.base64());
    }
    Ok(at.recorder.answered(answer))
}

/// Makes a part of bytes of an object that the key may read. They count under `out`, as those of a download do.
///
/// # Errors
/// [`Refusal::no_such_upload`], [`Code::InvalidArgument`] for a range that the source does not have, and as
/// [`download::open_under`] and [`session::receive`].
pub(crate) async fn copy(
    asker: &Asker<'_>,
    upload: &UploadId,
    number: PartNumber,
    source: &CopySource,
    range: Option<ByteRange>,
) -> Result<Response<Body>, Refusal> {
    let at = asker.at;
    let readable = asker.permit(Action::Read, &source.path, "", None)?;
    check_bucket(at, &readable)?;
    let opened = download::open_under(at.gateway, at.snapshot, &readable, &source.conditions).await?;
    let (offset, bytes) = match range {
        None => (0, opened.metadata.size_bytes),
        Some(range) if range.last < opened.metadata.size_bytes => (range.first, range.bytes()),
        Some(_) => {
            let denial = Denial::BadRequest("x-amz-copy-source-range reaches beyond the source's end".into());
            return Err(Refusal { code: Code::InvalidArgument, ..Refusal::from(denial) });
        }
    };
    let permit = Rc::new(asker.of_object(Action::Part)?);
    let open = multipart::find(at, upload, &permit).await?;
    let plan = PartPlan {
        number: number.get().into(),
        start: PartStart::Anew,
        declared_bytes: Some(bytes),
        checksums: Vec::new(),
        tells: tells(at, &open),
        bytes_max: room(at, &open, &permit, number).await?,
        keeps_what_came: false,
    };
    let _read = admit::hold(at.gateway, readable, Purpose::Answer { bytes }).await?;
    let copied = Source::Object(Copied::of(&opened, offset, bytes));
    let received = session::receive(at.gateway, &open, &permit, plan, copied, at.recorder).await;
    let part = received.map_err(multipart::refused)?;
    let marks = Marks::of_part(&part)?;
    let (etag, checksums) = (marks.etag(), marks.checksums());
    let reply =
        CopyReply { etag: &etag, modified_ms: uploads::milliseconds(part.finished), checksums: &checksums };
    Ok(at.recorder.answered(respond::document(reply.document(CopyResult::Part), at.parts)))
}

/// By which functions a part is hashed, whatever is said of it.
fn tells(at: &At<'_>, open: &Open) -> Vec<ChecksumAlgorithm> {
    let bucket = at.snapshot.settings.buckets.get(open.path.bucket());
    let md5 = bucket.is_some_and(|bucket| bucket.etag == Etag::Md5).then_some(ChecksumAlgorithm::Md5);
    md5.into_iter().chain(open.terms.sums.as_ref().and_then(|sums| sums.algorithm())).collect()
}

/// How much the part may have for all parts together to keep within what this request's own key allows. What the
/// key that began the upload allows is the session's.
async fn room(at: &At<'_>, open: &Open, permit: &Permit, number: PartNumber) -> Result<Option<u64>, Denial> {
    let Some(cap) = permit.size.max_bytes else { return Ok(None) };
    let number = u32::from(number.get());
    let there = session::parts(at.gateway, open, number - 1, 1).await?;
    let replaced = there.iter().find(|part| part.id.number == number).map_or(0, |part| part.bytes);
    Ok(Some(cap.saturating_sub(open.session.bytes.saturating_sub(replaced))))
}
