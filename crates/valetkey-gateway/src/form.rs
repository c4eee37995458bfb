//! An upload by a form: `POST` of `multipart/form-data` on a bucket's URL.
//!
//! The key is in the form's fields, and so is the object's name. They are read while nobody vouches for them, within
//! bounds of size and time; from there on the request walks the same stages as any other upload, and the file is its
//! body. A form that was signed for S3 is answered as S3 does, and one with a native key as a PUT is.

use std::rc::Rc;

use http::{Response, StatusCode, header};
use hyper::body::Incoming;
use valetkey::{Action, Denial, Intent, ResourcePath};
use valetkey_dialects::RequestHead;
use valetkey_dialects::aws::PostSuccess;
use valetkey_dialects::aws::reply::{Code, Refusal, post_location, post_redirect, post_response};
use valetkey_dialects::form::FormReader;

use crate::flow::At;
use crate::settings::VirtualHosts;
use crate::settle::Published;
use crate::transfer::body::Body;
use crate::transfer::form::Opened;
use crate::transfer::upload::{self, Description};
use crate::{admit, bound, identify, respond, settle};

/// Whether a request brings a form.
pub(crate) fn is_one(hosts: &VirtualHosts, head: &RequestHead<'_>) -> bool {
    const KIND: &[u8] = b"multipart/form-data";
    let is_form = |value: &[u8]| value.get(..KIND.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(KIND));
    let is_bucket = || identify::resource(hosts, head).is_ok_and(|path| path.name().is_empty());
    head.method == "POST" && head.values("content-type").any(is_form) && is_bucket()
}

/// Stores the file of a form.
///
/// # Errors
/// As [`FormReader`], [`identify::identify_form`], [`bound::bound_form`], [`admit::admit_one`], [`upload::plan`],
/// [`admit::hold`], [`upload::receive`] and [`settle::publish`].
pub(crate) async fn answer(at: &At<'_>, body: &mut Incoming) -> Result<Response<Body>, Refusal> {
    store(at, body).await.map_err(in_closer_words)
}

async fn store(at: &At<'_>, body: &mut Incoming) -> Result<Response<Body>, Refusal> {
    let mut reader = FormReader::of(at.head)?;
    let opened = Opened::read(&mut reader, body).await;
    if let Some(language) = reader.language() {
        at.language.set(language);
    }
    let opened = opened?;
    // Reading the fields may have waited.
    let snapshot = &at.gateway.snapshot();
    let at = &At { snapshot, now: at.gateway.clock.now(), ..*at };
    let &At { gateway, connection, head, recorder, now, .. } = at;

    let identified = identify::identify_form(snapshot, head, &opened.form)?;
    recorder.speaks_for(identified.grant.bearer());
    let bounded = bound::bound_form(gateway, snapshot, identified, now)?;
    gateway.recent.note(bounded.bounded.grant(), connection.client, now.clock);
    let asked = &bounded.asked;
    let intent = Intent {
        action: Action::Upload { declared_bytes: None },
        path: &asked.path,
        prefix: "",
        declared_type: asked.headers.declared_type(),
        client: connection.client,
    };
    let permit = admit::admit_one(gateway, &bounded.bounded, bounded.rehearsal.as_ref(), &intent, recorder)?;
    if let Some(cap) = permit.size.max_bytes
        && opened.file_bytes_min(&reader, body) > cap
    {
        return Err(Denial::RunsOver { cap }.into());
    }
    let described =
        Description { headers: asked.headers.upload_headers()?, checksums: asked.headers.checksums()? };
    let plan = upload::plan(snapshot, &permit, head, described).await?;
    let mut held = admit::hold(gateway, permit, recorder.witness(plan.purpose())).await?;
    let received = upload::receive(&mut held, plan, opened.source(reader, body), recorder).await?;
    let Some(success) = &asked.success else {
        return Ok(settle::upload(gateway, held, received, recorder).await?);
    };
    recorder.answers_with(status(success));
    let permit = Rc::clone(&held.permit);
    let published = settle::publish(gateway, held, received, recorder).await?;
    Ok(said(at, success, &permit.path, published).await)
}

/// S3's answer to a form whose file was stored.
async fn said(
    at: &At<'_>,
    success: &PostSuccess,
    path: &ResourcePath,
    published: Published,
) -> Response<Body> {
    let etag = published.metadata.etag.clone();
    let mut location = post_location(&at.snapshot.settings.server.public_url, path);
    let mut answer = respond::status(StatusCode::OK);
    match success {
        PostSuccess::Ok | PostSuccess::NoContent => {}
        PostSuccess::Created => {
            answer = respond::document(post_response(path, &location, &etag), at.parts);
        }
        PostSuccess::Redirect(url) => location = post_redirect(url, path, &etag),
    }
    *answer.status_mut() = status(success);
    respond::insert(&mut answer, header::LOCATION, &location);
    respond::insert(&mut answer, header::ETAG, &format!("\"{etag}\""));
    published.tell(answer).await
}

fn status(success: &PostSuccess) -> StatusCode {
    match success {
        PostSuccess::NoContent => StatusCode::NO_CONTENT,
        PostSuccess::Ok => StatusCode::OK,
        PostSuccess::Created => StatusCode::CREATED,
        PostSuccess::Redirect(_) => StatusCode::SEE_OTHER,
    }
}

/// S3 tells a form that is not in its form from other unsound requests, and a credential in fields from one in a
/// query.
fn in_closer_words(refusal: Refusal) -> Refusal {
    let code = match (&refusal.denial, refusal.code) {
        (Denial::BadRequest(_), Code::InvalidRequest) => Code::MalformedPostRequest,
        (Denial::MalformedKey(_), _) => Code::InvalidArgument,
        (_, code) => code,
    };
    Refusal { code, ..refusal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_posted_to_a_bucket() {
        let is_form = |method: &str, path: &str, content_type: &str| {
            let headers = [("content-type", content_type.as_bytes())];
            is_one(&VirtualHosts::default(), &RequestHead { method, path, query: "", headers: &headers })
        };
        for (path, content_type) in [
            ("/files", "multipart/form-data; boundary=a"),
            ("/files/", "Multipart/Form-Data"),
            ("/never-made", "multipart/form-data;boundary=a"),
        ] {
            assert!(is_form("POST", path, content_type), "{path} {content_type}");
        }
        for (method, path, content_type) in [
            ("PUT", "/files", "multipart/form-data; boundary=a"),
            ("POST", "/files/a", "multipart/form-data; boundary=a"),
            ("POST", "/", "multipart/form-data; boundary=a"),
            ("POST", "/-/renew", "multipart/form-data; boundary=a"),
            ("POST", "/files", "application/xml"),
            ("POST", "/files", "multipart/mixed; boundary=a"),
            ("POST", "/files", ""),
        ] {
            assert!(!is_form(method, path, content_type), "{method} {path} {content_type}");
        }
    }
}
