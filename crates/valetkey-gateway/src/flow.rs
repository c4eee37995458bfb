//! The whole story of a request.
//!
//! ```text
//! request
//!   -> identify   who vouches for this, and did they?     RequestHead -> Identified, with a Grant
//!   -> bound      what does the house say about it?       Grant -> Bounded, never wider
//!   -> admit      may this request, now?                  Bounded -> Permit -> Held
//!   -> transfer   move the bytes, count them              Held + body -> what was received or is sent
//!   -> settle     make it true, tell who must know        Held -> Receipt
//! ```
//!
//! Each stage takes the last stage's value by move, and there is no other way to make one, so that none can
//! be left out or reordered.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use valetkey::{Action, Client, Denial, Now};
use valetkey_dialects::aws::reply::Refusal;
use valetkey_dialects::listing::Listing;
use valetkey_dialects::{Language, RequestHead};

use crate::bound::{Bound, BoundedRequest};
use crate::gateway::{Gateway, Snapshot};
use crate::running::End;
use crate::serve::forwarded;
use crate::serve::outbox::Outbox;
use crate::settle::Recorder;
use crate::transfer::body::Body;
use crate::transfer::condition::Conditions;
use crate::transfer::download::Wanted;
use crate::transfer::source::Source;
use crate::transfer::{delete, download, list, upload};
use crate::{admit, bound, cors, form, holder, identify, left, request, respond, s3, settle};

/// The connection that a request came over.
#[derive(Clone)]
pub(crate) struct Connection {
    /// Who is at its other end: a client, or a proxy.
    pub(crate) client: Client,
    /// Where answers queue their pieces, on plain HTTP/1.1.
    pub(crate) outbox: Option<Outbox>,
    /// How it, or on HTTP/2 the request's own stream, is told to end.
    pub(crate) end: Rc<End>,
}

/// One request, and where it is answered.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) gateway: &'a Arc<Gateway>,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) connection: &'a Connection,
    pub(crate) parts: &'a Parts,
    pub(crate) head: &'a RequestHead<'a>,
    pub(crate) recorder: &'a Recorder,
    /// In which it is answered: a form tells its own only once its fields are read.
    pub(crate) language: &'a Cell<Language>,
    pub(crate) now: Now,
}

/// Answers one request. It never fails: what goes wrong is an answer too.
pub(crate) async fn answer(
    gateway: &Arc<Gateway>,
    connection: &Connection,
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, mut body) = request.into_parts();
    let headers = request::headers(&parts);
    let head = RequestHead {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or(""),
        headers: &headers,
    };
    let language = Cell::new(Language::of(&head));
    let snapshot = gateway.snapshot();
    let request_id = gateway.request_ids.next();
    let answer = match respond::without_a_key(gateway, &parts) {
        Some(answer) => answer,
        None => {
            let trusted = &snapshot.settings.server.trusted_proxies;
            let client = forwarded::client(connection.client, &parts.headers, trusted);
            let connection = Connection { client, ..connection.clone() };
            let recorder = Recorder::begin(gateway, client.address, &request_id);
            let at = At {
                gateway,
                snapshot: &snapshot,
                connection: &connection,
                parts: &parts,
                head: &head,
                recorder: &recorder,
                language: &language,
                now: gateway.clock.now(),
            };
            match run(&at, &mut body).await {
                Ok(answer) => answer,
                Err(refusal) => {
                    let language = language.get();
                    recorder.refused(&refusal.denial, respond::status_of(&refusal, language));
                    respond::refusal(&refusal, language, &request_id, &parts, body)
                }
            }
        }
    };
    let answer = cors::shared(&snapshot.settings, &parts, &head, answer);
    respond::named(answer, &request_id, language.get())
}

/// What is boxed here is large, and rare or slow beside an allocation: a connection has room for all that it may ever
/// have to do, and most only download.
async fn run(at: &At<'_>, body: &mut Incoming) -> Result<Response<Body>, Refusal> {
    let &At { gateway, snapshot, connection, parts, head, recorder, .. } = at;
    request::check(parts, head)?;
    let question = holder::Question::of(head, parts, body)?;
    if question.is_none() {
        request::check_own_space(head.path)?;
    }
    admit::records_keep_up(gateway).await;
    // It may have waited.
    let at = &At { now: gateway.clock.now(), ..*at };
    if let Some(question) = question {
        return Ok(holder::answer(question, at).await?);
    }
    if form::is_one(&snapshot.settings.server.virtual_hosts, head) {
        return Box::pin(form::answer(at, body)).await;
    }

    let identified = identify::identify(snapshot, head)?;
    recorder.speaks_for(identified.grant.bearer());
    let bounded = bound::bound(gateway, snapshot, identified, at.now)?;
    gateway.recent.note(bounded.grant(), connection.client, at.now.clock);
    match bounded {
        Bound::Resource(bounded) => Ok(resource(at, bounded, body).await?),
        Bound::S3(bounded) => Box::pin(s3::answer(at, &bounded, body)).await,
    }
}

/// Does what the method says of a resource.
async fn resource(
    at: &At<'_>,
    bounded: BoundedRequest,
    body: &mut Incoming,
) -> Result<Response<Body>, Denial> {
    let &At { gateway, snapshot, connection, parts, head, recorder, now, .. } = at;
    let permit = admit::admit(bounded, parts, body, connection.client, recorder)?;
    admit::audit_is_sound(gateway, &permit)?;

    match permit.action {
        Action::Stat => {
            let left = left::of(gateway, &permit);
            Ok(left
                .tell(
                    download::stat(gateway, snapshot, permit, head, &Wanted::default(), recorder, now)
                        .await?,
                )
                .await)
        }
        Action::Read => {
            let found =
                match download::find(gateway, snapshot, &permit, head, &Wanted::default(), now).await? {
                    download::Found::Object(found) => found,
                    download::Found::Nothing(answer) => return Ok(recorder.answered(answer)),
                };
            let held = admit::hold(gateway, permit, found.purpose(head, connection.client.address)).await?;
            let left = left::of(gateway, &held.permit);
            Ok(left.tell(download::send(held, *found, connection, recorder).await?).await)
        }
        Action::Upload { .. } => {
            let described = upload::Description::of(head)?;
            let plan = upload::plan(snapshot, &permit, head, described).await?;
            let mut held = admit::hold(gateway, permit, recorder.witness(plan.purpose())).await?;
            let received = upload::receive(&mut held, plan, Source::Plain(body), recorder).await?;
            Box::pin(settle::upload(gateway, held, received, recorder)).await
        }
        Action::Part => Err(Denial::CallNotSupported("a part of an upload")),
        Action::Delete => {
            let Some(plan) = delete::plan(snapshot, &permit, Conditions::of(head)).await? else {
                return Ok(recorder.answered(respond::status(StatusCode::NO_CONTENT)));
            };
            let held = admit::hold(gateway, permit, recorder.witness(plan.purpose())).await?;
            Box::pin(settle::delete(gateway, held, plan, recorder)).await
        }
        Action::List => {
            let listing = Listing::of(head.query, &permit.path, &permit.prefix)?;
            let found = list::find(snapshot, &permit, parts, &listing).await?;
            let held = admit::hold(gateway, permit, found.purpose(parts)).await?;
            Ok(list::send(held, found, parts, connection, recorder))
        }
    }
}
