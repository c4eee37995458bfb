//! `CreateMultipartUpload`, `CompleteMultipartUpload` and `AbortMultipartUpload`.

use std::rc::Rc;

use http::header::HeaderName;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use valetkey::{Action, Denial, Permit, ResourcePath};
use valetkey_dialects::aws::operation::{CompletedParts, ListMultipartUploads, UploadId};
use valetkey_dialects::aws::reply::{Refusal, WholeSum, completed_upload, created_upload};
use valetkey_dialects::{Checksum, ChecksumAlgorithm};
use valetkey_ledger::{Part, SessionId};

use super::{Asker, put, sums};
use crate::flow::At;
use crate::respond;
use crate::transfer::body::Body;
use crate::transfer::condition::Conditions;
use crate::transfer::session::{self, Completion, Marks, Open, WholeEtag, etag_of_md5s};
use crate::transfer::{download, integrity, made_of, upload};

/// The least that a part may have which is not the last, in bytes: S3's own bound.
const PART_BYTES_MIN: u64 = 5 << 20;

/// The attribute that names the upload of which an object was made, so that its completion can be asked for again.
const UPLOAD: &str = "x-valetkey-upload";

/// Begins an upload in parts, and holds its one use.
///
/// # Errors
/// As [`upload::plan`] and [`session::begin`].
pub(crate) async fn create(asker: &Asker<'_>) -> Result<Response<Body>, Refusal> {
    let (at, call) = (asker.at, &asker.asked.call);
    let permit = asker.of_object(Action::Upload { declared_bytes: None })?;
    let wanted = sums::wanted(at, call)?;
    let plan = upload::plan(at.snapshot, &permit, at.head, put::described(at, call)?).await?;
    let plan = plan.summing(wanted.clone());
    let id = session::begin(at.gateway, at.snapshot, &permit, &plan, at.recorder).await?;
    at.recorder.does("begin");
    let id = UploadId::parse(&id.to_string()).ok_or(Denial::LedgerUnavailable)?;
    let mut answer = respond::document(created_upload(&permit.path, &id), at.parts);
    if let Some(sums) = wanted
        && let Some(algorithm) = sums.algorithm()
    {
        let name = algorithm.name().to_ascii_uppercase();
        respond::insert(&mut answer, HeaderName::from_static("x-amz-checksum-algorithm"), &name);
        let kind = if sums.is_composite { "COMPOSITE" } else { "FULL_OBJECT" };
        respond::insert(&mut answer, HeaderName::from_static("x-amz-checksum-type"), kind);
    }
    let left = crate::left::of(at.gateway, &permit);
    Ok(left.tell(at.recorder.answered(answer)).await)
}

/// Makes the object of the parts that the body names.
///
/// # Errors
/// [`Refusal::no_such_upload`], [`Refusal::invalid_part`], [`Denial::TooSmall`] for a small part before the last, and
/// as [`session::publish`].
pub(crate) async fn complete(
    asker: &Asker<'_>,
    upload: &UploadId,
    body: &mut Incoming,
) -> Result<Response<Body>, Refusal> {
    let (at, call) = (asker.at, &asker.asked.call);
    let permit = asker.of_object(Action::Part)?;
    let mark = session::mark(&permit, upload.as_str())?;
    let open = match find(at, upload, &permit).await {
        Ok(open) => open,
        Err(refusal) => return completed_before(at, &permit, &mark).await.ok_or(refusal),
    };
    at.recorder.does("upload");
    let said = sums::said_of_whole(at, call)?;
    let document = put::document(call, sums::of_document(at, call)?, body).await?;
    let asked = CompletedParts::parse(&document)?;
    let (parts, marks) = chosen(at, &open, &asked).await?;
    let size_bytes = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.bytes));
    sums::check_size(at, call, size_bytes)?;

    let composite = sums::composite(open.terms.sums.as_ref(), &marks)?;
    let checksums = said.check(open.terms.sums.as_ref(), composite.as_ref())?;
    let full = open.terms.sums.as_ref().filter(|sums| !sums.is_composite);
    let tells = full.and_then(|sums| sums.algorithm()).or(checksums.first().map(|sum| sum.algorithm));
    let md5s: Option<Vec<&str>> = marks.iter().map(Marks::md5).collect();
    let etag = md5s.and_then(|md5s| etag_of_md5s(&md5s)).map_or(WholeEtag::OfParts, WholeEtag::Given);
    let conditions = Conditions::of(at.head);
    upload::check_there(&open.space, &permit, &conditions, open.terms.only_create).await?;
    let mut headers = vec![(UPLOAD.to_owned(), mark)];
    let kept =
        made_of::Parts { sizes: parts.iter().map(|part| part.bytes).collect(), sums: sums_of(&open, &marks) };
    kept.keep(composite.as_ref(), &open.terms.headers, &mut headers);
    let completion = Completion { parts, conditions, checksums, etag, tells, headers };
    let path = permit.path.clone();
    let published = session::publish(at.gateway, open, Rc::new(permit), completion, at.recorder);
    let published = published.await.map_err(refused)?;
    let full = published.confirmed.first().map(|(algorithm, text)| WholeSum {
        algorithm,
        text: text.to_owned(),
        is_composite: false,
    });
    let sum = composite.or(full);
    let document = completed_upload(&path, &location(at, &path), &published.metadata.etag, sum.as_ref());
    Ok(published.tell_left(respond::document(document, at.parts)).await)
}

/// Gives an upload up. Its parts, its use and its bytes come back.
///
/// # Errors
/// [`Refusal::no_such_upload`], and as [`session::abort`].
pub(crate) async fn abort(asker: &Asker<'_>, upload: &UploadId) -> Result<Response<Body>, Refusal> {
    let at = asker.at;
    let permit = asker.of_object(Action::Part)?;
    let open = find(at, upload, &permit).await?;
    at.recorder.does("abort");
    session::abort(at.gateway, open).await.map_err(refused)?;
    Ok(at.recorder.answered(respond::status(StatusCode::NO_CONTENT)))
}

/// Finds an upload of the request's own key and object.
///
/// # Errors
/// [`Refusal::no_such_upload`], whatever it is that does not fit.
pub(crate) async fn find(at: &At<'_>, upload: &UploadId, permit: &Permit) -> Result<Open, Refusal> {
    let found = session::find(at.gateway, at.snapshot, upload.as_str(), permit).await.map_err(refused)?;
    if found.path == permit.path { Ok(found) } else { Err(Refusal::no_such_upload()) }
}

/// What a client is told of a session that is refused.
pub(crate) fn refused(denial: Denial) -> Refusal {
    match denial {
        Denial::NotFound => Refusal::no_such_upload(),
        denial => denial.into(),
    }
}

/// The parts that the object is to be made of, with what is known of each.
async fn chosen(
    at: &At<'_>,
    open: &Open,
    asked: &CompletedParts,
) -> Result<(Vec<Part>, Vec<Marks>), Refusal> {
    let there = session::all_parts(at.gateway, open).await?;
    let mut chosen = (Vec::new(), Vec::new());
    let last = asked.as_slice().last().map(|part| part.number);
    for wanted in asked.as_slice() {
        let number = u32::from(wanted.number.get());
        let part = there.binary_search_by_key(&number, |part| part.id.number).ok();
        let part = part.and_then(|at| there.get(at)).ok_or_else(|| Refusal::invalid_part(number))?;
        let marks = Marks::of_part(part)?;
        let same = |sum: &Checksum| {
            let mut known = marks.checksums().into_iter();
            known.any(|known| known.algorithm == sum.algorithm && known.value == sum.value)
        };
        if marks.etag() != wanted.etag || !wanted.checksums.iter().all(same) {
            return Err(Refusal::invalid_part(number));
        }
        if part.bytes < PART_BYTES_MIN && Some(wanted.number) != last {
            return Err(Denial::TooSmall { size: part.bytes, least: PART_BYTES_MIN }.into());
        }
        chosen.0.push(part.clone());
        chosen.1.push(marks);
    }
    Ok(chosen)
}

/// What each part hashes to by the upload's function, where all of them have it.
fn sums_of(open: &Open, marks: &[Marks]) -> Option<(ChecksumAlgorithm, Vec<String>)> {
    let algorithm = open.terms.sums.as_ref().and_then(|sums| sums.algorithm())?;
    let of_part = |marks: &Marks| {
        let mut sums = marks.checksums().into_iter();
        sums.find(|sum| sum.algorithm == algorithm).map(|sum| sum.base64())
    };
    Some((algorithm, marks.iter().map(of_part).collect::<Option<_>>()?))
}

/// The answer to a completion that is asked for again, while its object stands.
async fn completed_before(at: &At<'_>, permit: &Permit, mark: &str) -> Option<Response<Body>> {
    let metadata = download::open_under(at.gateway, at.snapshot, permit, &[]).await.ok()?.metadata;
    let headers = &metadata.attributes.headers;
    headers.iter().find(|(name, value)| name == UPLOAD && value == mark)?;
    at.recorder.does("part");
    let sums = integrity::kept(&metadata.attributes);
    let document = completed_upload(&permit.path, &location(at, &permit.path), &metadata.etag, sums.first());
    Some(at.recorder.answered(respond::document(document, at.parts)))
}

/// Where a page of uploads begins.
pub(crate) fn marker(root: &str, asked: &ListMultipartUploads) -> Option<(String, Option<SessionId>)> {
    let path = (!asked.key_marker.is_empty()).then(|| format!("{root}{}", asked.key_marker))?;
    Some((path, asked.upload_id_marker.parse().ok()))
}

/// The object's URL, as the client knows us.
fn location(at: &At<'_>, path: &ResourcePath) -> String {
    format!("{}{}", at.snapshot.settings.server.public_url, path.encoded())
}
