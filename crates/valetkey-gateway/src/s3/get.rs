//! `GetObject` and `HeadObject`.

use http::Response;
use valetkey::{Denial, Permit};
use valetkey_dialects::aws::operation::PartNumber;
use valetkey_dialects::aws::reply::Refusal;

use crate::flow::At;
use crate::transfer::body::Body;
use crate::transfer::download;
use crate::{admit, left};

/// Sends an object, or the part of it that is asked for.
///
/// # Errors
/// As [`download::find`] and [`admit::hold`].
pub(crate) async fn body(
    at: &At<'_>,
    permit: Permit,
    part: Option<PartNumber>,
) -> Result<Response<Body>, Refusal> {
    let &At { gateway, snapshot, connection, head, recorder, now, .. } = at;
    check_part(part)?;
    let found = match download::find(snapshot, &permit, head, now).await? {
        download::Found::Object(found) => found,
        download::Found::Nothing(answer) => return Ok(recorder.answered(answer)),
    };
    let held = admit::hold(gateway, permit, found.purpose(head, connection.client.address)).await?;
    let left = left::of(gateway, &held.permit);
    Ok(left.tell(download::send(held, *found, connection, recorder)).await)
}

/// Tells what an object is.
///
/// # Errors
/// As [`download::find`].
pub(crate) async fn head(
    at: &At<'_>,
    permit: Permit,
    part: Option<PartNumber>,
) -> Result<Response<Body>, Refusal> {
    let &At { gateway, snapshot, head, recorder, now, .. } = at;
    check_part(part)?;
    let left = left::of(gateway, &permit);
    Ok(left.tell(download::stat(snapshot, permit, head, recorder, now).await?).await)
}

fn check_part(part: Option<PartNumber>) -> Result<(), Denial> {
    match part {
        None => Ok(()),
        Some(_) => Err(Denial::CallNotSupported("a part of an object")),
    }
}
