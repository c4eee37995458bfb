//! What is asked of an object besides its content: its attributes, its list of access, its tags.

use http::Response;
use http::header;
use valetkey::Permit;
use valetkey_dialects::aws::operation::ObjectAttributes;
use valetkey_dialects::aws::reply::{AttributesReply, ObjectParts, Refusal, access_control, object_tagging};

use crate::flow::At;
use crate::respond;
use crate::transfer::body::Body;
use crate::transfer::made_of::Parts;
use crate::transfer::{download, integrity};

/// `GetObjectAttributes`.
///
/// # Errors
/// As [`download::open_under`].
pub(crate) async fn attributes(
    at: &At<'_>,
    permit: &Permit,
    asked: &ObjectAttributes,
) -> Result<Response<Body>, Refusal> {
    let metadata = download::open_under(at.gateway, at.snapshot, permit, &[]).await?.metadata;
    let parts = Parts::of(&metadata);
    let reply = AttributesReply {
        etag: &metadata.etag,
        size_bytes: metadata.size_bytes,
        sums: &integrity::kept(&metadata.attributes),
        parts: parts.as_ref().map(|parts| ObjectParts {
            sizes: &parts.sizes,
            sums: parts.sums.as_ref().map(|(algorithm, values)| (*algorithm, values.as_slice())),
        }),
    };
    let mut answer = respond::document(reply.document(asked), at.parts);
    respond::insert(&mut answer, header::LAST_MODIFIED, &respond::last_modified(&metadata));
    Ok(at.recorder.answered(answer))
}

/// `GetObjectAcl`: its owner's alone.
///
/// # Errors
/// As [`download::open_under`].
pub(crate) async fn acl(at: &At<'_>, permit: &Permit) -> Result<Response<Body>, Refusal> {
    download::open_under(at.gateway, at.snapshot, permit, &[]).await?;
    Ok(at.recorder.answered(respond::document(access_control(&permit.bearer.signer), at.parts)))
}

/// `GetObjectTagging`: no object has tags.
///
/// # Errors
/// As [`download::open_under`].
pub(crate) async fn tagging(at: &At<'_>, permit: &Permit) -> Result<Response<Body>, Refusal> {
    download::open_under(at.gateway, at.snapshot, permit, &[]).await?;
    Ok(at.recorder.answered(respond::document(object_tagging(), at.parts)))
}
