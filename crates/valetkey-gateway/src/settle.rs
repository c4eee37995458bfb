//! Make it true, and tell who must know.

mod hold;
mod recorder;
mod witness;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header;
use http::{Response, StatusCode};
use valetkey::{Denial, Permit};

use crate::admit::Held;
use crate::backend::{Guard, Metadata, Removed, Rule, Space, StoreError, Turn};
use crate::gateway::Gateway;
use crate::left::Left;
use crate::running::End;
use crate::transfer::body::Body;
use crate::transfer::condition::{Conditions, State, Verdict};
use crate::transfer::integrity::Confirmed;
use crate::transfer::{delete, upload};
use crate::{left, respond, revocation};

pub(crate) use hold::{Hold, SessionHold};
pub(crate) use recorder::Recorder;
pub(crate) use witness::Witness;

/// How long a revocation waits for what it reaches and a remote store was asked for. Nothing more of it is sent then;
/// what the store has in whole may still show.
const REVOKED_PATIENCE: Duration = Duration::from_secs(1);

/// An upload that can be seen, and is recorded.
pub(crate) struct Published {
    pub(crate) metadata: Metadata,
    /// The checksums of the whole that S3 answers with.
    pub(crate) confirmed: Confirmed,
    left: Left,
}

impl Published {
    /// Says in `answer` what is left of the key.
    pub(crate) async fn tell_left(self, answer: Response<Body>) -> Response<Body> {
        self.left.tell(answer).await
    }

    /// Says in `answer` what was stored, and what is left of the key.
    pub(crate) async fn tell(self, mut answer: Response<Body>) -> Response<Body> {
        self.confirmed.tell(&mut answer);
        self.left.tell(answer).await
    }
}

/// Makes a received upload visible, and answers as S3 does.
///
/// # Errors
/// As [`publish`].
pub(crate) async fn upload(
    gateway: &Arc<Gateway>,
    held: Held,
    received: upload::Received,
    recorder: &Recorder,
) -> Result<Response<Body>, Denial> {
    let published = publish(gateway, held, received, recorder).await?;
    let mut answer = respond::status(StatusCode::OK);
    respond::insert(&mut answer, header::ETAG, &format!("\"{}\"", published.metadata.etag));
    Ok(published.tell(answer).await)
}

/// Makes a received upload visible, whole, and returns once that and its record are durable.
///
/// It runs to its end even if the client is gone.
///
/// # Errors
/// [`Denial::AlreadyExists`] for the loser of a race, and what [`upload::refused`] says.
pub(crate) async fn publish(
    gateway: &Arc<Gateway>,
    held: Held,
    received: upload::Received,
    recorder: &Recorder,
) -> Result<Published, Denial> {
    let recorder = recorder.clone();
    let Held { permit, mut hold, end: _end, throttle: _ } = held;
    let left = left::of(gateway, &permit);
    let upload::Received { space, name, finished, conditions, only_create, confirmed } = received;
    let turn = turn(gateway, &permit, &space, &name).await?;
    let at = Arc::clone(gateway);
    detached(gateway, async move {
        hold.publish().await?;
        let (size_bytes, digest) = (finished.size_bytes(), finished.digest());
        let rule = if only_create { Rule::Create } else { Rule::Replace(guard(conditions)) };
        let published = match change(&at, &permit, &space, space.publish(turn, finished, &name, rule)).await {
            Ok(published) => published,
            Err(denial) => {
                hold.release();
                return Err(denial);
            }
        };
        let metadata = match published {
            Ok(metadata) => metadata,
            Err(StoreError::Unsettled { attempt, source }) => {
                hold.settle(size_bytes);
                return Err(unconfirmed(attempt, &source));
            }
            Err(error) => {
                hold.release();
                return Err(upload::refused(error, &permit));
            }
        };
        hold.settle_recorded(size_bytes, recorder.uploaded(digest).await)?;
        Ok(Published { metadata, confirmed, left })
    })
    .await
}

/// Deletes an object, and answers once that and its record are durable.
///
/// # Errors
/// [`Denial::PreconditionFailed`] where the object changed meanwhile, and what [`upload::refused`] says.
pub(crate) async fn delete(
    gateway: &Arc<Gateway>,
    held: Held,
    plan: delete::Plan,
    recorder: &Recorder,
) -> Result<Response<Body>, Denial> {
    let recorder = recorder.clone();
    let Held { permit, mut hold, end: _end, throttle: _ } = held;
    let left = left::of(gateway, &permit);
    let turn = turn(gateway, &permit, &plan.space, &plan.name).await?;
    let at = Arc::clone(gateway);
    detached(gateway, async move {
        hold.publish().await?;
        let deleting = plan.space.delete(turn, &plan.name, guard(plan.conditions));
        let removed = match change(&at, &permit, &plan.space, deleting).await {
            Ok(removed) => removed,
            Err(denial) => {
                hold.release();
                return Err(denial);
            }
        };
        match removed {
            Ok(Removed::Yes) => hold.settle_recorded(0, recorder.deleted().await)?,
            Ok(Removed::NothingThere) => {
                hold.release();
                recorder.deleted().await?;
            }
            Err(StoreError::Unsettled { attempt, source }) => {
                hold.settle(0);
                return Err(unconfirmed(attempt, &source));
            }
            Err(error) => {
                hold.release();
                return Err(upload::refused(error, &permit));
            }
        }
        Ok(left.tell(respond::status(StatusCode::NO_CONTENT)).await)
    })
    .await
}

/// Waits for the name's turn, before anything is marked or passes the gate: so no revocation waits for those who wait.
/// Whoever is revoked meanwhile, or goes away, waits no longer.
///
/// # Errors
/// [`Denial::Revoked`], [`Denial::BackendUnavailable`].
async fn turn(gateway: &Gateway, permit: &Permit, space: &Space, name: &str) -> Result<Turn, Denial> {
    let turn = revocation::until_revoked(&gateway.revoked, permit, space.turn(name)).await?;
    turn.map_err(|error| upload::refused(error, permit))
}

/// Makes a change, unless what it rests on was revoked.
///
/// # Errors
/// [`Denial::Revoked`]; then nothing has begun.
async fn change<T>(
    gateway: &Gateway,
    permit: &Permit,
    space: &Space,
    change: impl Future<Output = Result<T, StoreError>>,
) -> Result<Result<T, StoreError>, Denial> {
    let patience = match space {
        Space::Disk(_) => None,
        Space::Remote(_) => Some(REVOKED_PATIENCE),
    };
    let passed = gateway.gate.pass(&gateway.revoked, permit, patience, change).await?;
    let given_up = || StoreError::Unsettled {
        attempt: "wait for the store with what is revoked",
        source: io::ErrorKind::TimedOut.into(),
    };
    Ok(passed.unwrap_or_else(|| Err(given_up())))
}

/// A change that can be seen and that the disk did not confirm: neither acknowledged nor counted as undone.
fn unconfirmed(attempt: &'static str, source: &io::Error) -> Denial {
    tracing::error!(attempt, %source, "the store did not confirm a change");
    Denial::ChangeUnconfirmed
}

/// Runs `work` to its end, whoever stops waiting for it; a gateway that stops waits for it too.
async fn detached<T: 'static>(
    gateway: &Arc<Gateway>,
    work: impl Future<Output = Result<T, Denial>> + 'static,
) -> Result<T, Denial> {
    let settling = SettlingNow::begin(gateway);
    let work = async move {
        let _settling = settling;
        work.await
    };
    tokio::task::spawn_local(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "settling did not end");
        Err(Denial::BackendUnavailable)
    })
}

/// Counts what is being made true, for as long as it lives.
struct SettlingNow(Arc<Gateway>);

impl SettlingNow {
    fn begin(gateway: &Arc<Gateway>) -> Self {
        gateway.settling.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(gateway))
    }
}

impl Drop for SettlingNow {
    fn drop(&mut self) {
        self.0.settling.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What is still to be asked of what stands there when it is changed; nothing where there are no conditions.
fn guard(conditions: Conditions) -> Option<Guard> {
    if !conditions.restrict_changes() {
        return None;
    }
    Some(Box::new(move |there: Option<&Metadata>| {
        conditions.judge_change(there.map(State::of)) == Verdict::Holds
    }))
}

/// What is left to do when a download ends.
pub(crate) struct Settling {
    hold: Hold,
    recorder: Recorder,
    status: StatusCode,
    asked_bytes: u64,
    end: Rc<End>,
}

impl Settling {
    pub(crate) fn new(
        hold: Hold,
        recorder: Recorder,
        status: StatusCode,
        asked_bytes: u64,
        end: Rc<End>,
    ) -> Self {
        Self { hold, recorder, status, asked_bytes, end }
    }

    /// Settles a download of which the transport took `sent_bytes`. One of which it took nothing gives its use
    /// back, unless there was nothing to take.
    pub(crate) fn download_ended(self, sent_bytes: u64) {
        if sent_bytes > 0 || self.asked_bytes == 0 {
            self.hold.settle(sent_bytes);
        }
        let cut = self.end.is_told() && sent_bytes < self.asked_bytes;
        self.recorder.downloaded(self.status, sent_bytes, cut);
    }
}
