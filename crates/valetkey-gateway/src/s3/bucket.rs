//! What is asked of buckets as such.

use http::header::{self, HeaderName};
use http::{Response, StatusCode};
use hyper::body::Incoming;
use valetkey::{Denial, Permit, ResourcePath};
use valetkey_dialects::aws::operation::ListBuckets;
use valetkey_dialects::aws::reply::{
    BucketEntry, Code, Refusal, access_control, bucket_location, bucket_versioning, list_buckets,
};

use super::{Asker, put};
use crate::flow::At;
use crate::respond;
use crate::transfer::body::Body;

/// The region that every bucket is said to be in. A signature may name any.
const REGION: &str = "us-east-1";

const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");

/// Buckets have no such time here: they are made by the configuration.
const CREATED_MS: i64 = 0;

/// `ListBuckets`: those in which the key may list anything.
pub(crate) fn list_all(asker: &Asker<'_>, asked: &ListBuckets) -> Result<Response<Body>, Refusal> {
    let at = asker.at;
    let mut seen = Vec::new();
    for name in at.snapshot.settings.buckets.keys() {
        let bucket = ResourcePath::from_text(&format!("/{name}/"))?;
        match asker.somewhere(&bucket) {
            Ok(permit) => seen.push(permit),
            // What it does not open, it does not see.
            Err(Refusal { denial: Denial::OutOfScope, .. }) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    at.recorder.asks_of_all();
    let entries =
        seen.iter().map(|permit| BucketEntry { name: permit.path.bucket(), created_ms: CREATED_MS });
    let document = list_buckets(asked, entries, asker.asked.bounded.grant().signer());
    Ok(at.recorder.listed(respond::document(document, at.parts)))
}

/// `CreateBucket` of one that the configuration made, which its user may ask for again and again: the first of AWS's
/// regions, which we are said to be, answers so too.
///
/// # Errors
/// [`Denial::CallNotSupported`] for another bucket, told only to whoever may know that it does not exist.
pub(crate) async fn create(
    asker: &Asker<'_>,
    bucket: &ResourcePath,
    body: &mut Incoming,
) -> Result<Response<Body>, Refusal> {
    let at = asker.at;
    let permit = asker.somewhere(bucket).map_err(|refusal| match refusal.code {
        Code::NoSuchBucket => {
            Denial::CallNotSupported("creating a bucket, which the configuration does,").into()
        }
        _ => refusal,
    })?;
    let checksums = put::described(at, &asker.asked.call)?.checksums;
    // It may say a region and more, and all of it is as the configuration has it.
    put::document(&asker.asked.call, checksums, body).await?;
    let mut answer = respond::status(StatusCode::OK);
    respond::insert(&mut answer, header::LOCATION, &format!("/{}", permit.path.bucket()));
    Ok(at.recorder.answered(answer))
}

/// `HeadBucket`.
pub(crate) fn head(at: &At<'_>, _permit: &Permit) -> Result<Response<Body>, Refusal> {
    let mut answer = respond::status(StatusCode::OK);
    respond::insert(&mut answer, BUCKET_REGION, REGION);
    Ok(at.recorder.answered(answer))
}

/// `GetBucketLocation`.
pub(crate) fn location(at: &At<'_>, _permit: &Permit) -> Result<Response<Body>, Refusal> {
    Ok(at.recorder.answered(respond::document(bucket_location(REGION), at.parts)))
}

/// `GetBucketVersioning`: no bucket keeps versions.
pub(crate) fn versioning(at: &At<'_>, _permit: &Permit) -> Result<Response<Body>, Refusal> {
    Ok(at.recorder.answered(respond::document(bucket_versioning(), at.parts)))
}

/// `GetBucketAcl`.
pub(crate) fn acl(at: &At<'_>, permit: &Permit) -> Result<Response<Body>, Refusal> {
    Ok(at.recorder.answered(respond::document(access_control(&permit.bearer.signer), at.parts)))
}
