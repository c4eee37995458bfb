//! `GetObject` and `HeadObject`.

use http::{Response, StatusCode};
use valetkey::{Denial, Permit};
use valetkey_dialects::aws::operation::PartNumber;
use valetkey_dialects::aws::reply::{Code, Refusal};

use crate::flow::At;
use crate::identify::Call;
use crate::transfer::body::Body;
use crate::transfer::download::{self, Wanted};
use crate::{admit, left, respond};

/// Sends an object, or the part of it that is asked for.
///
/// # Errors
/// As [`download::find`] and [`admit::hold`]; [`Denial::BadRequest`] for a part and a range.
pub(crate) async fn body(
    at: &At<'_>,
    permit: Permit,
    call: &Call,
    part: Option<PartNumber>,
) -> Result<Response<Body>, Refusal> {
    let &At { gateway, snapshot, connection, head, recorder, now, .. } = at;
    let wanted = wanted(at, call, part)?;
    let found = match download::find(gateway, snapshot, &permit, head, &wanted, now).await? {
        download::Found::Object(found) => found,
        download::Found::Nothing(answer) => return Ok(recorder.answered(in_words(at, answer, part))),
    };
    let held = admit::hold(gateway, permit, found.purpose(head, connection.client.address)).await?;
    let left = left::of(gateway, &held.permit);
    Ok(left.tell(download::send(held, *found, connection, recorder).await?).await)
}

/// Tells what an object is.
///
/// # Errors
/// As [`body`].
pub(crate) async fn head(
    at: &At<'_>,
    permit: Permit,
    call: &Call,
    part: Option<PartNumber>,
) -> Result<Response<Body>, Refusal> {
    let &At { gateway, snapshot, head, recorder, now, .. } = at;
    let wanted = wanted(at, call, part)?;
    let left = left::of(gateway, &permit);
    Ok(left.tell(download::stat(gateway, snapshot, permit, head, &wanted, recorder, now).await?).await)
}

/// Which part is asked for, and what the signature says of the answer.
fn wanted<'a>(at: &At<'_>, call: &'a Call, part: Option<PartNumber>) -> Result<Wanted<'a>, Refusal> {
    if part.is_some() && at.head.values("range").next().is_some() {
        return Err(Denial::BadRequest("a Range and a partNumber cannot both be asked for".into()).into());
    }
    let overrides = call.signed.as_ref().map_or(&[][..], |signed| &signed.overrides);
    Ok(Wanted { overrides, part })
}

/// A range or a part that the object does not have, told in S3's words too.
fn in_words(at: &At<'_>, answer: Response<Body>, part: Option<PartNumber>) -> Response<Body> {
    if answer.status() != StatusCode::RANGE_NOT_SATISFIABLE {
        return answer;
    }
    let (code, text) = match part {
        Some(_) => {
            (Code::InvalidPartNumber, "the object has no part of this number, or its parts are not kept")
        }
        None => (Code::InvalidRange, "the object does not have the range that is asked for"),
    };
    let refusal = Refusal { code, ..Refusal::from(Denial::BadRequest(text.into())) };
    respond::with_document(answer, refusal.document(at.parts.uri.path(), &at.recorder.request_id()), at.parts)
}
