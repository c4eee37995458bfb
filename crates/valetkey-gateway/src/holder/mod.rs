//! What the holder of a key may ask about the key itself, in the gateway's own space.
//!
//! ```text
//! GET  /-/key     what it permits, and what is left of it
//! POST /-/renew   the same key with a later end
//! POST /-/end     end it now
//! ```
//!
//! Each walks the same stages as a transfer: its key is identified and bounded, and its client admitted. None takes a
//! use. The key says its path, since the URL is no resource.

mod end;
mod key;
mod renew;

use http::request::Parts;
use http::{Method, Response};
use hyper::body::{Body as _, Incoming};
use valetkey::{Bounded, Denial, Grant, House, ResourcePath};
use valetkey_dialects::RequestHead;

use crate::flow::At;
use crate::identify;
use crate::revocation;
use crate::transfer::body::Body;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Key,
    Renew,
    End,
}

impl Question {
    /// What a request asks; `None` where its path is no question.
    ///
    /// # Errors
    /// [`Denial::BadRequest`] for another method than the question's, or a body.
    pub(crate) fn of(head: &RequestHead<'_>, parts: &Parts, body: &Incoming) -> Result<Option<Self>, Denial> {
        let (question, fits) = match head.path {
            "/-/key" => (Self::Key, [Method::GET, Method::HEAD].contains(&parts.method)),
            "/-/renew" => (Self::Renew, parts.method == Method::POST),
            "/-/end" => (Self::End, parts.method == Method::POST),
            _ => return Ok(None),
        };
        if !fits {
            let text = "the method does not fit: it is GET /-/key, POST /-/renew and POST /-/end";
            return Err(Denial::BadRequest(text.to_owned()));
        }
        if !body.is_end_stream() && body.size_hint().exact() != Some(0) {
            return Err(Denial::BadRequest("what is asked about a key has no body".to_owned()));
        }
        Ok(Some(question))
    }

    /// The action's name in records.
    fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Renew => "renew",
            Self::End => "end",
        }
    }
}

/// Answers a holder's question.
///
/// # Errors
/// As [`identify::identify_holder`], and what each question says.
pub(crate) async fn answer(question: Question, at: &At<'_>) -> Result<Response<Body>, Denial> {
    let holder = identify::identify_holder(at.snapshot, at.head)?;
    at.recorder.speaks_for(holder.grant.bearer());
    at.recorder.asks(question.name(), &holder.path);
    match question {
        Question::Key => key::answer(at, holder).await,
        Question::Renew => renew::answer(at, holder).await,
        Question::End => end::answer(at, holder).await,
    }
}

/// Bounds the grant of a holder by its signer, its policies and the time, and refuses what was revoked.
fn bound(at: &At<'_>, grant: Grant, house: &House<'_>, path: &ResourcePath) -> Result<Bounded, Denial> {
    let bounded = valetkey::bound(grant, house, at.now)?;
    revocation::check(&at.gateway.revoked, &bounded.identity(), Some(path), "")?;
    at.gateway.recent.note(bounded.grant(), at.connection.client, at.now.clock);
    Ok(bounded)
}

/// Refuses what must be recorded while nothing can be.
fn audit_is_sound(at: &At<'_>) -> Result<(), Denial> {
    if at.gateway.audit.is_sound() { Ok(()) } else { Err(Denial::LedgerUnavailable) }
}
