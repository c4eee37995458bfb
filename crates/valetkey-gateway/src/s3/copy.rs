//! `CopyObject`.

use http::Response;
use valetkey::{Action, Denial};
use valetkey_dialects::UploadHeaders;
use valetkey_dialects::aws::operation::{CopySource, MetadataDirective};
use valetkey_dialects::aws::reply::{CopyReply, CopyResult, Refusal};

use super::{Asker, check_bucket, put};
use crate::backend::Metadata;
use crate::transfer::body::Body;
use crate::transfer::copied::Copied;
use crate::transfer::source::Source;
use crate::transfer::upload::{self, Description};
use crate::transfer::{download, integrity, list};
use crate::{admit, respond, settle};

/// Copies an object that the key may read to a name that it may upload to. All rules of an upload hold, and the
/// copy is one.
///
/// # Errors
/// What a download and an upload are refused for.
pub(crate) async fn object(
    asker: &Asker<'_>,
    source: &CopySource,
    directive: MetadataDirective,
) -> Result<Response<Body>, Refusal> {
    let at = asker.at;
    if at.head.values("x-amz-copy-source-range").next().is_some() {
        return Err(Denial::BadRequest("x-amz-copy-source-range is for a part of an upload".into()).into());
    }
    let readable = asker.permit(Action::Read, &source.path, "", None)?;
    check_bucket(at, &readable)?;
    let opened = download::open_under(at.gateway, at.snapshot, &readable, &source.conditions).await?;

    let described = described(asker, directive, &opened.metadata)?;
    let checksums = described.checksums.clone();
    let size_bytes = opened.metadata.size_bytes;
    let path = asker.asked.call.path.as_ref().ok_or(Denial::NoKey)?;
    let action = Action::Upload { declared_bytes: Some(size_bytes) };
    let permit = asker.permit(action, path, "", described.headers.content_type.as_deref())?;
    check_bucket(at, &permit)?;
    let plan = upload::plan(at.snapshot, &permit, at.head, described).await?.copying(size_bytes);
    let mut held = admit::hold(at.gateway, permit, at.recorder.witness(plan.purpose())).await?;
    let bytes = Source::Object(Copied::of(&opened, 0, size_bytes));
    let received = upload::receive(&mut held, plan, bytes, at.recorder).await?;
    let published = settle::publish(at.gateway, held, received, at.recorder).await?;
    let document = CopyReply {
        etag: &published.metadata.etag,
        modified_ms: list::milliseconds(published.metadata.modified),
        checksums: &checksums,
    };
    let answer = respond::document(document.document(CopyResult::Object), at.parts);
    Ok(published.tell(answer).await)
}

/// What the copy is to be: what its source is, or what the request says. It hashes to the same either way.
fn described(
    asker: &Asker<'_>,
    directive: MetadataDirective,
    metadata: &Metadata,
) -> Result<Description, Refusal> {
    let attributes = &metadata.attributes;
    let headers = match directive {
        MetadataDirective::Replace => put::described(asker.at, &asker.asked.call)?.headers,
        MetadataDirective::Copy => {
            let is_own = |name: &str| name.starts_with("x-valetkey-") || name.starts_with("x-amz-checksum-");
            let others = attributes.headers.iter().filter(|(name, _)| !is_own(name));
            let signed = attributes.headers.iter().filter(|(name, _)| name == upload::SIGNED);
            UploadHeaders {
                content_type: attributes.content_type.clone(),
                others: others.cloned().collect(),
                signed: signed.map(|(_, value)| value.clone()).collect(),
            }
        }
    };
    Ok(Description { headers, checksums: integrity::stored(attributes) })
}
