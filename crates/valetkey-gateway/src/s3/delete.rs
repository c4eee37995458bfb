//! `DeleteObject` and `DeleteObjects`.

use http::{Response, StatusCode};
use hyper::body::Incoming;
use valetkey::{Action, Denial, Permit, ResourcePath};
use valetkey_dialects::Language;
use valetkey_dialects::aws::operation::{Delete, DeleteConditions, DeleteKey};
use valetkey_dialects::aws::reply::{Deleted, Refusal, delete_result};

use super::{Asker, put};
use crate::flow::At;
use crate::transfer::body::Body;
use crate::transfer::condition::Conditions;
use crate::transfer::delete;
use crate::{admit, respond, settle};

/// Deletes one object as the request says; that nothing is there is no error, whatever the conditions.
///
/// # Errors
/// As [`delete::plan`], [`admit::hold`] and [`settle::delete`].
pub(crate) async fn object(
    at: &At<'_>,
    permit: Permit,
    conditions: &DeleteConditions,
) -> Result<Response<Body>, Denial> {
    one(at, permit, Conditions::of(at.head).deleting(conditions)).await
}

/// Deletes one object; that nothing is there is no error.
///
/// # Errors
/// As [`delete::plan`], [`admit::hold`] and [`settle::delete`].
async fn one(at: &At<'_>, permit: Permit, conditions: Conditions) -> Result<Response<Body>, Denial> {
    let &At { gateway, snapshot, recorder, .. } = at;
    let Some(plan) = delete::plan(snapshot, &permit, conditions).await? else {
        return Ok(recorder.answered(respond::status(StatusCode::NO_CONTENT)));
    };
    let held = admit::hold(gateway, permit, recorder.witness(plan.purpose())).await?;
    settle::delete(gateway, held, plan, recorder).await
}

/// Deletes the objects that the body names, one after the other. Each is admitted, counted and recorded by itself.
///
/// # Errors
/// What the request as a whole is refused for; why single objects are not deleted is in the answer.
pub(crate) async fn many(
    asker: &Asker<'_>,
    bucket: &ResourcePath,
    body: &mut Incoming,
) -> Result<Response<Body>, Refusal> {
    let at = asker.at;
    // Whoever may delete nothing here has no document read.
    let place = ResourcePath::from_text(&format!("/{}/{}", bucket.bucket(), asker.place(bucket)))?;
    let permit = asker.permit(Action::Delete, &place, "", None)?;
    super::check_bucket(at, &permit)?;
    let checksums = put::described(at, &asker.asked.call)?.checksums;
    let asked = Delete::parse(&put::document(&asker.asked.call, checksums, body).await?)?;
    let mut outcomes: Vec<Deleted> = Vec::with_capacity(asked.keys.len());
    for key in &asked.keys {
        let recorder = at.recorder.another();
        let at = &At { recorder: &recorder, ..*at };
        let outcome = named(&Asker { at, ..*asker }, bucket, key).await;
        if let Err(refusal) = &outcome {
            recorder.refused(&refusal.denial, respond::status_of(refusal, Language::Aws));
        }
        outcomes.push(outcome);
    }
    at.recorder.intends(Action::Delete, bucket);
    Ok(at.recorder.listed(respond::document(delete_result(&asked, &outcomes), at.parts)))
}

async fn named(asker: &Asker<'_>, bucket: &ResourcePath, named: &DeleteKey) -> Deleted {
    let DeleteKey { key, conditions } = named;
    let path = ResourcePath::from_text(&format!("/{}/{key}", bucket.bucket()))?;
    let permit = asker.permit(Action::Delete, &path, "", None)?;
    // What the request's own headers say, they say of its document.
    one(asker.at, permit, Conditions::default().deleting(conditions)).await?;
    Ok(())
}
