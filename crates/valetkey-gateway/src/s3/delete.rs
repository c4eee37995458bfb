//! `DeleteObject`.

use http::{Response, StatusCode};
use valetkey::{Denial, Permit};

use crate::flow::At;
use crate::transfer::body::Body;
use crate::transfer::delete;
use crate::{admit, respond, settle};

/// Deletes one object; that nothing is there is no error.
///
/// # Errors
/// As [`delete::plan`], [`admit::hold`] and [`settle::delete`].
pub(crate) async fn one(at: &At<'_>, permit: Permit) -> Result<Response<Body>, Denial> {
    let &At { gateway, snapshot, head, recorder, .. } = at;
    let Some(plan) = delete::plan(snapshot, &permit, head).await? else {
        return Ok(recorder.answered(respond::status(StatusCode::NO_CONTENT)));
    };
    let held = admit::hold(gateway, permit, recorder.witness(plan.purpose())).await?;
    settle::delete(gateway, held, plan, recorder).await
}
