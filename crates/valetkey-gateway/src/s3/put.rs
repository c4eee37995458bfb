//! `PutObject`.

use http::Response;
use hyper::body::{Body as _, Incoming};
use valetkey::{Denial, Permit};
use valetkey_dialects::Checksum;
use valetkey_dialects::aws::operation::DOCUMENT_BYTES_MAX;
use valetkey_dialects::aws::reply::{Code, Refusal};
use valetkey_dialects::aws::{Decoder, Payload};

use crate::flow::At;
use crate::identify::Call;
use crate::transfer::body::Body;
use crate::transfer::source::Source;
use crate::transfer::upload::{self, Description};
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
    let plan = upload::plan(snapshot, &permit, head, described(at, call)?).await?;
    let source = source(call, body)?;
    let mut held = admit::hold(gateway, permit, recorder.witness(plan.purpose())).await?;
    let received = upload::receive(&mut held, plan, source, recorder).await?;
    Ok(settle::upload(gateway, held, received, recorder).await?)
}

/// What the request says of what its body brings.
///
/// # Errors
/// As [`Description::of`].
pub(crate) fn described(at: &At<'_>, call: &Call) -> Result<Description, Denial> {
    match &call.signed {
        Some(signed) => Ok(Description {
            headers: signed.upload_headers(at.head)?,
            checksums: signed.checksums(at.head)?,
        }),
        None => Description::of(at.head),
    }
}

/// The document in the body, which is compared with all that the request says of it.
///
/// # Errors
/// [`Code::MalformedXml`] for one that is too long, and as [`upload::collect`].
pub(crate) async fn document(
    call: &Call,
    checksums: Vec<Checksum>,
    body: &mut Incoming,
) -> Result<Vec<u8>, Refusal> {
    let too_long = || Refusal {
        code: Code::MalformedXml,
        ..Refusal::from(Denial::BadRequest(format!("the document exceeds {DOCUMENT_BYTES_MAX} bytes")))
    };
    let declared = declared_bytes(call, body).and_then(|bytes| usize::try_from(bytes).ok());
    if declared.is_some_and(|bytes| bytes > DOCUMENT_BYTES_MAX) {
        return Err(too_long());
    }
    let source = source(call, body)?;
    upload::collect(source, checksums, DOCUMENT_BYTES_MAX).await?.ok_or_else(too_long)
}

/// The bytes that the body brings, without what frames them.
///
/// # Errors
/// As [`Decoder::new`].
pub(crate) fn source<'a>(call: &Call, body: &'a mut Incoming) -> Result<Source<'a>, Denial> {
    let Some(signed) = &call.signed else { return Ok(Source::Plain(body)) };
    let Payload::Chunked(framing) = &signed.payload else { return Ok(Source::Plain(body)) };
    let decoder = Box::new(Decoder::new(framing, signed.chunk_signer())?);
    Ok(Source::Chunked { body, decoder, announced: framing.trailer.clone().unwrap_or_default() })
}
