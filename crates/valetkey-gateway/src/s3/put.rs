//! `PutObject`.

use http::Response;
use hyper::body::{Body as _, Incoming};
use valetkey::{Denial, Permit};
use valetkey_dialects::aws::Payload;
use valetkey_dialects::aws::reply::Refusal;

use crate::flow::At;
use crate::identify::Call;
use crate::transfer::body::Body;
use crate::transfer::upload;
use crate::{admit, settle};

/// How long the object is that the body brings, without what frames it.
pub(crate) fn declared_bytes(call: &Call, body: &Incoming) -> Option<u64> {
    match call.signed.as_ref().map(|signed| &signed.payload) {
        Some(Payload::Chunked(framing)) => Some(framing.decoded_bytes),
        _ => body.size_hint().exact(),
    }
}

/// Stores what the body brings.
///
/// # Errors
/// As [`upload::plan`], [`admit::hold`], [`upload::receive`] and [`settle::upload`].
pub(crate) async fn object(
    at: &At<'_>,
    permit: Permit,
    call: &Call,
    body: &mut Incoming,
) -> Result<Response<Body>, Refusal> {
    let &At { gateway, snapshot, head, recorder, .. } = at;
    if call.signed.as_ref().is_some_and(|signed| matches!(signed.payload, Payload::Chunked(_))) {
        return Err(Denial::CallNotSupported("an upload in aws-chunked form").into());
    }
    let plan = upload::plan(snapshot, &permit, head).await?;
    let mut held = admit::hold(gateway, permit, recorder.witness(plan.purpose())).await?;
    let received = upload::receive(&mut held, plan, body, recorder).await?;
    Ok(settle::upload(gateway, held, received, recorder).await?)
}
