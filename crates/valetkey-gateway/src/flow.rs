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

use std::rc::Rc;
use std::sync::Arc;

use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use valetkey::{Action, Client, Denial};
use valetkey_dialects::RequestHead;

use crate::gateway::{Gateway, Snapshot};
use crate::running::End;
use crate::serve::forwarded;
use crate::serve::outbox::Outbox;
use crate::settle::Recorder;
use crate::transfer::body::Body;
use crate::transfer::{delete, download, list, upload};
use crate::{admit, bound, cors, identify, left, request, respond, settle};

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

/// Answers one request. It never fails: what goes wrong is an answer too.
pub(crate) async fn answer(
    gateway: &Arc<Gateway>,
    connection: &Connection,
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, mut body) = request.into_parts();
    let snapshot = gateway.snapshot();
    let request_id = gateway.request_ids.next();
    let answer = match respond::without_a_key(gateway, &parts) {
        Some(answer) => answer,
        None => {
            let trusted = &snapshot.settings.server.trusted_proxies;
            let client = forwarded::client(connection.client, &parts.headers, trusted);
            let connection = Connection { client, ..connection.clone() };
            let recorder = Recorder::begin(gateway, client.address, &request_id);
            match run(gateway, &snapshot, &connection, &parts, &mut body, &recorder).await {
                Ok(answer) => answer,
                Err(denial) => {
                    recorder.refused(&denial);
                    respond::refusal(&denial, &request_id, &parts, body)
                }
            }
        }
    };
    let answer = cors::shared(&snapshot.settings, &parts, answer);
    respond::named(answer, &request_id)
}

async fn run(
    gateway: &Arc<Gateway>,
    snapshot: &Snapshot,
    connection: &Connection,
    parts: &Parts,
    body: &mut Incoming,
    recorder: &Recorder,
) -> Result<Response<Body>, Denial> {
    let headers = request::headers(parts);
    let head = RequestHead {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or(""),
        headers: &headers,
    };
    request::check(parts, &head)?;
    request::check_own_space(head.path)?;
    admit::records_keep_up(gateway).await;
    let now = gateway.clock.now();

    let identified = identify::identify(snapshot, &head)?;
    recorder.speaks_for(identified.grant.bearer());
    let bounded = bound::bound(gateway, snapshot, identified, now)?;
    let permit = admit::admit(bounded, parts, body, connection.client, recorder)?;
    admit::audit_is_sound(gateway, &permit)?;

    match permit.action {
        Action::Stat => {
            let left = left::of(gateway, &permit);
            Ok(left.tell(download::stat(snapshot, permit, &head, recorder, now).await?).await)
        }
        Action::Read => {
            let found = match download::find(snapshot, &permit, &head, now).await? {
                download::Found::Object(found) => found,
                download::Found::Nothing(answer) => return Ok(recorder.answered(answer)),
            };
            let held = admit::hold(gateway, permit, found.purpose(&head, connection.client.address)).await?;
            let left = left::of(gateway, &held.permit);
            Ok(left.tell(download::send(held, *found, connection, recorder)).await)
        }
        Action::Upload { .. } => {
            let plan = upload::plan(snapshot, &permit, &head).await?;
            let mut held = admit::hold(gateway, permit, recorder.witness(plan.purpose())).await?;
            let received = upload::receive(&mut held, plan, body, recorder).await?;
            settle::upload(gateway, held, received, recorder).await
        }
        Action::Delete => {
            let Some(plan) = delete::plan(snapshot, &permit, &head).await? else {
                return Ok(recorder.answered(respond::status(StatusCode::NO_CONTENT)));
            };
            let held = admit::hold(gateway, permit, recorder.witness(plan.purpose())).await?;
            settle::delete(gateway, held, plan, recorder).await
        }
        Action::List => {
            let found = list::find(snapshot, &permit, parts, &head).await?;
            let held = admit::hold(gateway, permit, found.purpose(parts)).await?;
            Ok(list::send(held, found, parts, recorder))
        }
    }
}
