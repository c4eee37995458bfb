//! Who answers operators: each call has one answer, made from what the gateway is and remembers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;
use tokio::sync::oneshot;

use super::problem::Problem;
use super::request::Call;
use super::{keys, revocations, usage};
use crate::gateway::Gateway;
use crate::notify::Receipt;
use crate::observe::Gauge;
use crate::serve::reload::Asked;
use crate::transfer::body::Body;

/// The description of this API.
const OPENAPI: &str = include_str!("../../../../docs/openapi.json");

/// The gateway, as operators meet it.
pub(super) struct Desk {
    pub(super) gateway: Arc<Gateway>,
    reload: Sender<Asked>,
}

/// How the gateway is.
#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    /// Whether the ledger answers.
    ledger: bool,
    /// Whether the audit log is written.
    audit: bool,
    /// Which remote backends answer.
    backends: BTreeMap<&'a str, bool>,
    version: &'static str,
}

/// What came of reading the configuration again.
#[derive(Serialize)]
struct Reloaded {
    warnings: Vec<String>,
}

impl Desk {
    pub(super) fn new(gateway: Arc<Gateway>, reload: Sender<Asked>) -> Self {
        Self { gateway, reload }
    }

    /// Answers a call.
    ///
    /// # Errors
    /// Why it is not answered with what it asks for.
    pub(super) async fn answer(&self, call: &Call, request_id: &str) -> Result<Response<Body>, Problem> {
        let (path, method) = (call.parts.uri.path(), call.parts.method.as_str());
        match (path, method) {
            ("/v1/keys", "GET") => json(StatusCode::OK, &keys::list(self, call).await?),
            ("/v1/keys", "POST") => json(StatusCode::CREATED, &keys::sign(self, call, request_id).await?),
            ("/v1/keys", _) => Err(Problem::Method("GET, POST")),
            ("/v1/keys/recent", "GET") => json(StatusCode::OK, &keys::recent(self, call)?),
            ("/v1/keys/recent", _) => Err(Problem::Method("GET")),
            ("/v1/keys/inspect", "POST") => json(StatusCode::OK, &keys::inspect(self, call).await?),
            ("/v1/revocations", "GET") => json(StatusCode::OK, &revocations::list(self, call).await?),
            ("/v1/revocations", "POST") => {
                json(StatusCode::CREATED, &revocations::revoke(self, call, request_id).await?)
            }
            ("/v1/revocations", _) => Err(Problem::Method("GET, POST")),
            ("/v1/usage", "POST") => json(StatusCode::OK, &usage::usage(self, call).await?),
            ("/v1/reload", "POST") => json(StatusCode::OK, &self.reload(call).await?),
            ("/v1/keys/inspect" | "/v1/usage" | "/v1/reload", _) => Err(Problem::Method("POST")),
            ("/v1/health", "GET") => self.health(call),
            ("/v1/openapi.json", "GET") => {
                call.says_nothing()?;
                Ok(text(StatusCode::OK, "application/json", OPENAPI.into()))
            }
            ("/metrics", "GET") => {
                call.says_nothing()?;
                Ok(text(
                    StatusCode::OK,
                    "text/plain; version=0.0.4; charset=utf-8",
                    self.metrics().await.into(),
                ))
            }
            ("/v1/health" | "/v1/openapi.json" | "/metrics", _) => Err(Problem::Method("GET")),
            _ => match (path.strip_prefix("/v1/revocations/"), method) {
                (Some(number), "DELETE") => {
                    revocations::lift(self, call, number, request_id).await?;
                    let mut answer = Response::new(Body::Empty);
                    *answer.status_mut() = StatusCode::NO_CONTENT;
                    Ok(answer)
                }
                (Some(_), _) => Err(Problem::Method("DELETE")),
                (None, _) => Err(Problem::NotFound),
            },
        }
    }

    fn health(&self, call: &Call) -> Result<Response<Body>, Problem> {
        call.says_nothing()?;
        let ledger = self.gateway.ledger_answers.load(Ordering::Relaxed);
        let audit = self.gateway.audit.is_sound();
        let status = match (self.gateway.draining.load(Ordering::Relaxed), ledger && audit) {
            (true, _) => "draining",
            (false, false) => "failing",
            (false, true) => "ok",
        };
        let code = if status == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let snapshot = self.gateway.snapshot();
        let backends = snapshot.stores.iter().map(|(name, store)| (name.as_str(), store.answers())).collect();
        json(code, &Health { status, ledger, audit, backends, version: env!("CARGO_PKG_VERSION") })
    }

    async fn reload(&self, call: &Call) -> Result<Reloaded, Problem> {
        call.says_nothing()?;
        let (answer, answered) = oneshot::channel();
        let gone = || Problem::Unavailable("nothing reads the configuration any more".to_owned());
        self.reload.send(Some(answer)).map_err(|_| gone())?;
        match answered.await.map_err(|_| gone())? {
            Ok(warnings) => Ok(Reloaded { warnings }),
            Err(faults) => Err(Problem::Faulty(faults)),
        }
    }

    /// Records what an operator did, before it is answered.
    ///
    /// # Errors
    /// [`Problem::Unavailable`].
    pub(super) async fn record(&self, receipt: Receipt) -> Result<(), Problem> {
        self.gateway.audit.record_durably(receipt).await.map_err(|error| {
            tracing::error!(%error, "what an operator did cannot be recorded");
            Problem::Unavailable("the audit log cannot be written".to_owned())
        })
    }

    async fn metrics(&self) -> String {
        let gateway = &self.gateway;
        let flag = |flag: bool| u64::from(flag);
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let snapshot = gateway.snapshot();
        let stores: Vec<_> =
            snapshot.stores.iter().map(|(name, store)| (name.as_str(), store.answers())).collect();
        gateway.metrics.text(
            &stores,
            &[
                Gauge {
                    name: "valetkey_changes_settling",
                    help: "Uploads and deletes that are being made true right now.",
                    value: count(gateway.settling.load(Ordering::Relaxed)),
                },
                Gauge {
                    name: "valetkey_audit_backlog",
                    help: "Records that are not durable yet.",
                    value: count(gateway.audit.backlog()),
                },
                Gauge {
                    name: "valetkey_audit_sound",
                    help: "Whether the audit log can be written.",
                    value: flag(gateway.audit.is_sound()),
                },
                Gauge {
                    name: "valetkey_audit_records",
                    help: "Durable records of the audit log, over all its files.",
                    value: gateway.audit.head().records,
                },
                Gauge {
                    name: "valetkey_revocations",
                    help: "Revocations in force.",
                    value: count(gateway.ledger.revocations_view().len()),
                },
                Gauge {
                    name: "valetkey_ledger_answers",
                    help: "Whether the ledger answers.",
                    value: flag(gateway.ledger_answers.load(Ordering::Relaxed)),
                },
                Gauge {
                    name: "valetkey_ledger_accepted",
                    help: "Whether the ledger's counts are trusted; where not, keys with limits are refused.",
                    value: flag(gateway.ledger.status().await.is_ok_and(|status| status.accepted)),
                },
            ],
        )
    }
}

/// An answer in JSON.
fn json(status: StatusCode, value: &impl Serialize) -> Result<Response<Body>, Problem> {
    let document = serde_json::to_string(value)
        .map_err(|error| Problem::Unavailable(format!("the answer cannot be written: {error}")))?;
    Ok(text(status, "application/json", (document + "\n").into()))
}

fn text(status: StatusCode, kind: &'static str, text: Bytes) -> Response<Body> {
    let mut answer = Response::new(Body::Text(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
