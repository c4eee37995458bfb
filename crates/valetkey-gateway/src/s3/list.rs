//! `ListObjects`, in both of its versions.

use http::Response;
use valetkey::Permit;
use valetkey_dialects::aws::reply::Refusal;
use valetkey_dialects::listing::Listing;

use super::check_bucket;
use crate::admit;
use crate::flow::At;
use crate::transfer::body::Body;
use crate::transfer::list;

/// Answers a page of a listing.
///
/// # Errors
/// [`Refusal::no_such_bucket`], as [`list::find`] and as [`admit::hold`].
pub(crate) async fn answer(at: &At<'_>, permit: Permit, asked: &Listing) -> Result<Response<Body>, Refusal> {
    check_bucket(at, &permit)?;
    let found = list::find(at.snapshot, &permit, at.parts, asked).await?;
    let held = admit::hold(at.gateway, permit, found.purpose(at.parts)).await?;
    Ok(list::send(held, found, at.parts, at.connection, at.recorder))
}
