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
/// As [`download::find`] and [`admit::hold`]; [`Code::InvalidPartNumber`].
pub(crate) async fn body(
    at: &At<'_>,
    permit: Permit,
    call: &Call,
    part: Option<PartNumber>,
) -> Result<Response<Body>, Refusal> {
    let &At { gateway, snapshot, connection, head, recorder, now, .. } = at;
    let wanted = wanted(call, part)?;
    let found = match download::find(snapshot, &permit, head, &wanted, now).await? {
        download::Found::Object(found) => found,
        download::Found::Nothing(answer) => return Ok(recorder.answered(in_words(at, answer))),
    };
    let held = admit::hold(gateway, permit, found.purpose(head, connection.client.address)).await?;
    let left = left::of(gateway, &held.permit);
    Ok(left.tell(download::send(held, *found, connection, recorder).await?).await)
}

/// Tells what an object is.
///
/// # Errors
/// As [`download::find`]; [`Code::InvalidPartNumber`].
pub(crate) async fn head(
    at: &At<'_>,
    permit: Permit,
    call: &Call,
    part: Option<PartNumber>,
) -> Result<Response<Body>, Refusal> {
    let &At { gateway, snapshot, head, recorder, now, .. } = at;
    let wanted = wanted(call, part)?;
    let left = left::of(gateway, &permit);
    Ok(left.tell(download::stat(snapshot, permit, head, &wanted, recorder, now).await?).await)
}

/// What the signature says of the answer. An object that was not uploaded in parts is its own first part.
fn wanted(call: &Call, part: Option<PartNumber>) -> Result<Wanted<'_>, Refusal> {
    if part.is_some_and(|part| part.get() > 1) {
        let denial = Denial::BadRequest("the object has no part of this number".into());
        return Err(Refusal { code: Code::InvalidPartNumber, ..Refusal::from(denial) });
    }
    let overrides = call.signed.as_ref().map_or(&[][..], |signed| &signed.overrides);
    Ok(Wanted { overrides, is_part: part.is_some() })
}

/// A range that the object does not have, told in S3's words too.
fn in_words(at: &At<'_>, answer: Response<Body>) -> Response<Body> {
    if answer.status() != StatusCode::RANGE_NOT_SATISFIABLE {
        return answer;
    }
    let denial = Denial::BadRequest("the object does not have the range that is asked for".into());
    let refusal = Refusal { code: Code::InvalidRange, ..Refusal::from(denial) };
    respond::with_document(answer, refusal.document(at.parts.uri.path(), &at.recorder.request_id()), at.parts)
}
