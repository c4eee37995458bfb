//! Make it true, and tell who must know.

mod witness;

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use http::header;
use http::{Response, StatusCode};
use hyper::body::Body as _;
use valetkey::{Action, Bearer, Denial, ResourcePath};
use valetkey_ledger::{HoldId, Ledger, LedgerError, Purpose, Session, Settlement};

use crate::admit::{Held, seconds};
use crate::backend::{Guard, Metadata, Removed, Rule, Space, StoreError};
use crate::clock::Clock;
use crate::gateway::Gateway;
use crate::left::Left;
use crate::notify::{Audit, Receipt};
use crate::observe::Metrics;
use crate::running::End;
use crate::transfer::body::Body;
use crate::transfer::condition::{Conditions, State, Verdict};
use crate::transfer::integrity::Confirmed;
use crate::transfer::{delete, upload};
use crate::{left, respond};

pub(crate) use witness::Witness;

/// A reservation in the ledger, which ends exactly once: settled, released, or, where it is dropped, released
/// while nothing of what it reserves can be seen. One that is marked as publishing and then dropped, as when
/// the gateway stops, stays open: the next start finds it and counts it as spent.
pub(crate) struct Hold {
    ledger: Arc<dyn Ledger>,
    clock: Arc<Clock>,
    /// `None` where nothing is counted.
    id: Option<HoldId>,
    published: bool,
    session: Option<Box<SessionHold>>,
}

/// What a hold has to do with an upload session: it is the session's until its object shows.
pub(crate) struct SessionHold {
    pub(crate) session: Session,
    /// What the ledger is to keep of the request that completes it.
    pub(crate) words: String,
    /// Where its parts are.
    pub(crate) space: Space,
}

impl Hold {
    /// The hold of a session that is to be completed. Released or dropped, it leaves the session open.
    pub(crate) fn of_session(gateway: &Gateway, session: SessionHold) -> Self {
        let mut hold = Self::of(gateway, session.session.hold);
        hold.session = Some(Box::new(session));
        hold
    }

    pub(crate) fn of(gateway: &Gateway, id: HoldId) -> Self {
        Self {
            ledger: Arc::clone(&gateway.ledger),
            clock: Arc::clone(&gateway.clock),
            id: Some(id),
            published: false,
            session: None,
        }
    }

    pub(crate) fn of_nothing(gateway: &Gateway) -> Self {
        Self {
            ledger: Arc::clone(&gateway.ledger),
            clock: Arc::clone(&gateway.clock),
            id: None,
            published: false,
            session: None,
        }
    }

    /// The name by which an object is known to be this hold's after a crash.
    pub(crate) fn name(&self) -> Option<String> {
        self.id.map(|id| id.to_string())
    }

    /// Reserves up to `bytes` more for the upload that is held, and returns how many there are.
    ///
    /// # Errors
    /// [`LedgerError::Exhausted`] where there is none, and what [`Ledger::grow`] says.
    pub(crate) async fn grow(&self, bytes: u64) -> Result<u64, LedgerError> {
        match self.id {
            Some(id) => self.ledger.grow(id, bytes).await,
            None => Ok(bytes),
        }
    }

    /// Marks that what is held is about to be seen; after a crash the hold then counts as spent.
    ///
    /// # Errors
    /// [`Denial::LedgerUnavailable`].
    async fn publish(&mut self) -> Result<(), Denial> {
        let Some(id) = self.id else { return Ok(()) };
        self.published = true;
        let marked = match &self.session {
            None => self.ledger.publish(id).await,
            Some(held) => self.ledger.complete_session(held.session.id, held.words.clone()).await.map(drop),
        };
        marked.map_err(|error| {
            // Nothing can be seen yet, so dropping the hold gives it back.
            self.published = false;
            match error {
                LedgerError::UnknownSession(_) => Denial::NotFound,
                LedgerError::SessionBusy(_) => Denial::TooManyAtOnce,
                error => {
                    tracing::error!(%error, "the ledger cannot mark a hold");
                    Denial::LedgerUnavailable
                }
            }
        })
    }

    /// Spends what is held. The ledger makes it durable by itself: until then the hold counts as spent.
    fn settle(mut self, bytes: u64) {
        self.end(Settlement::Done { bytes });
    }

    /// Gives back what is held: nothing was changed.
    fn release(mut self) {
        self.end(Settlement::Released);
    }

    /// Spends what is held, once its change is recorded. In this order a crash between the two leaves a mark
    /// by which the next start finds what is missing; so does a record that fails.
    ///
    /// # Errors
    /// [`Denial::ChangeUnrecorded`].
    fn settle_recorded(self, bytes: u64, recorded: Result<(), Denial>) -> Result<(), Denial> {
        if recorded.is_ok() {
            self.settle(bytes);
        }
        recorded
    }

    fn end(&mut self, settlement: Settlement) {
        let Some(id) = self.id.take() else { return };
        match (self.session.take(), settlement) {
            (Some(held), Settlement::Released) => {
                if self.published {
                    drop(self.ledger.reopen_session(held.session.id));
                }
                return;
            }
            (Some(held), Settlement::Done { .. }) => {
                held.space.clear_session(held.session.store_name());
            }
            (None, _) => {}
        }
        let now = seconds(self.clock.now().clock);
        drop(self.ledger.settle(id, settlement, now));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.published {
            self.end(Settlement::Released);
        }
    }
}

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
    let at = Arc::clone(gateway);
    detached(gateway, async move {
        hold.publish().await?;
        let pass = match at.gate.pass(&at.revoked, &permit).await {
            Ok(pass) => pass,
            Err(denial) => {
                hold.release();
                return Err(denial);
            }
        };
        let upload::Received { space, name, finished, conditions, only_create, confirmed } = received;
        let (size_bytes, digest) = (finished.size_bytes(), finished.digest());
        let rule = if only_create { Rule::Create } else { Rule::Replace(guard(conditions)) };
        let published = space.publish(finished, &name, rule).await;
        drop(pass);
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
    let at = Arc::clone(gateway);
    detached(gateway, async move {
        hold.publish().await?;
        let pass = match at.gate.pass(&at.revoked, &permit).await {
            Ok(pass) => pass,
            Err(denial) => {
                hold.release();
                return Err(denial);
            }
        };
        let removed = plan.space.delete(&plan.name, guard(plan.conditions)).await;
        drop(pass);
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

/// A change that can be seen and that the disk did not confirm: neither acknowledged nor counted as undone.
fn unconfirmed(attempt: &'static str, source: &std::io::Error) -> Denial {
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

/// Writes down what one request did, exactly once: when it was answered, or when it is given up.
#[derive(Clone)]
pub(crate) struct Recorder(Rc<Record>);

struct Record {
    audit: Audit,
    metrics: Arc<Metrics>,
    /// As which action the request is counted while it runs.
    running: Cell<Option<&'static str>>,
    /// How an upload is answered that is stored.
    stored: Cell<StatusCode>,
    started: Instant,
    receipt: RefCell<Option<Receipt>>,
}

impl Recorder {
    pub(crate) fn begin(gateway: &Gateway, client: Option<IpAddr>, request_id: &str) -> Self {
        let receipt = Receipt {
            request_id: Some(request_id.to_owned()),
            client: client.map(|client| client.to_canonical()),
            ..Receipt::at(gateway.clock.now().clock)
        };
        Self(Rc::new(Record {
            audit: gateway.audit.clone(),
            metrics: Arc::clone(&gateway.metrics),
            running: Cell::new(None),
            stored: Cell::new(StatusCode::OK),
            started: Instant::now(),
            receipt: RefCell::new(Some(receipt)),
        }))
    }

    /// Notes on whose behalf the request comes.
    pub(crate) fn speaks_for(&self, bearer: Bearer) {
        self.note(|receipt| {
            receipt.dialect = Some(bearer.dialect);
            receipt.signer = Some(bearer.signer);
            receipt.subject = bearer.subject;
            receipt.key = Some(bearer.key);
            receipt.id = bearer.id;
            receipt.policy = bearer.policy;
        });
    }

    /// Notes what the request wants. What wants several things runs as the first of them.
    pub(crate) fn intends(&self, action: Action, path: &ResourcePath) {
        if self.0.running.get().is_none() {
            self.0.metrics.began(action.name());
            self.0.running.set(Some(action.name()));
        }
        self.note(|receipt| {
            receipt.action = Some(action.name());
            receipt.bucket = Some(path.bucket().to_owned());
            receipt.object = Some(path.name().to_owned());
        });
    }

    /// A record of one of several things that the request does, by itself.
    pub(crate) fn another(&self) -> Self {
        Self(Rc::new(Record {
            audit: self.0.audit.clone(),
            metrics: Arc::clone(&self.0.metrics),
            running: Cell::new(None),
            stored: Cell::new(StatusCode::OK),
            started: Instant::now(),
            receipt: RefCell::new(self.0.receipt.borrow().clone()),
        }))
    }

    /// Notes how the upload will be answered once it is stored, if that is not 200.
    pub(crate) fn answers_with(&self, status: StatusCode) {
        self.0.stored.set(status);
    }

    /// The name of the request.
    pub(crate) fn request_id(&self) -> String {
        let receipt = self.0.receipt.borrow();
        receipt.as_ref().and_then(|receipt| receipt.request_id.clone()).unwrap_or_default()
    }

    /// Notes what a holder wants to know or to be done about a key for `path`.
    pub(crate) fn asks(&self, action: &'static str, path: &ResourcePath) {
        self.note(|receipt| {
            receipt.action = Some(action);
            receipt.bucket = Some(path.bucket().to_owned());
            receipt.object = Some(path.name().to_owned());
        });
    }

    /// Notes that the request is about no bucket in particular.
    pub(crate) fn asks_of_all(&self) {
        self.note(|receipt| (receipt.bucket, receipt.object) = (None, None));
    }

    /// Notes that the request brings a part of an upload.
    pub(crate) fn brings_part(&self) {
        self.does("part");
    }

    /// Notes by a closer name what the request does.
    pub(crate) fn does(&self, action: &'static str) {
        self.note(|receipt| receipt.action = Some(action));
    }

    /// Puts what is known of the request beside the object's name, for the ledger to keep while it is under way.
    pub(crate) fn witness(&self, purpose: Purpose) -> Purpose {
        let words = |path| Witness { path, receipt: self.0.receipt.borrow().clone() }.into_words();
        match purpose {
            Purpose::Upload { object, file, declared_bytes, copied_bytes } => {
                Purpose::Upload { object: words(object), file, declared_bytes, copied_bytes }
            }
            Purpose::Delete { object } => Purpose::Delete { object: words(object) },
            other @ (Purpose::Download(_) | Purpose::Answer { .. }) => other,
        }
    }

    /// Notes how much of an upload came in so far.
    pub(crate) fn received(&self, bytes: u64) {
        self.note(|receipt| receipt.bytes_in = Some(bytes));
    }

    fn note(&self, note: impl FnOnce(&mut Receipt)) {
        if let Some(receipt) = &mut *self.0.receipt.borrow_mut() {
            note(receipt);
        }
    }

    /// Says in the log what a policy of a dry run would have refused. The request goes on.
    pub(crate) fn would_refuse(&self, policies: &str, denial: &Denial) {
        if let Some(receipt) = &*self.0.receipt.borrow() {
            let request_id = receipt.request_id.as_deref().unwrap_or_default();
            let key = receipt.key.map(|key| key.to_string()).unwrap_or_default();
            let reason = denial.reason();
            tracing::warn!(policies, reason, %denial, key, request_id, "a dry run would have refused");
        }
    }

    /// What is known of the request so far, for a record that is made elsewhere.
    pub(crate) fn receipt(&self, status: StatusCode) -> Receipt {
        let receipt = self.0.receipt.borrow().clone();
        let receipt = receipt.unwrap_or_else(|| Receipt::at(crate::clock::now()));
        Receipt { status: Some(status.as_u16()), duration_ms: Some(self.0.lasted_ms()), ..receipt }
    }

    /// Leaves the request's record to the one that was made elsewhere.
    pub(crate) fn was_recorded(&self, status: StatusCode) {
        drop(self.0.take(Some(status.as_u16())));
    }

    /// Records a refusal.
    pub(crate) fn refused(&self, denial: &Denial, status: u16) {
        self.note(|receipt| receipt.reason = Some(denial.reason().into()));
        self.record(status);
    }

    /// Records an answer that moved no bytes.
    pub(crate) fn answered(&self, answer: Response<Body>) -> Response<Body> {
        self.record(answer.status().as_u16());
        answer
    }

    /// Records a listing, whose bytes take no use.
    pub(crate) fn listed(&self, answer: Response<Body>) -> Response<Body> {
        self.note(|receipt| receipt.bytes_out = answer.body().size_hint().exact());
        self.answered(answer)
    }

    fn downloaded(&self, status: StatusCode, bytes: u64, revoked: bool) {
        self.note(|receipt| {
            receipt.bytes_out = Some(bytes);
            if revoked {
                receipt.reason = Some(Denial::Revoked.reason().into());
            }
        });
        self.record(status.as_u16());
    }

    async fn uploaded(&self, digest: Option<[u8; 32]>) -> Result<(), Denial> {
        self.note(|receipt| receipt.digest = digest.map(blake3::Hash::from_bytes));
        self.record_durably(self.0.stored.get()).await
    }

    async fn deleted(&self) -> Result<(), Denial> {
        self.record_durably(StatusCode::NO_CONTENT).await
    }

    fn record(&self, status: u16) {
        if let Some(receipt) = self.0.take(Some(status)) {
            self.0.audit.record(receipt);
        }
    }

    async fn record_durably(&self, status: StatusCode) -> Result<(), Denial> {
        let Some(receipt) = self.0.take(Some(status.as_u16())) else { return Ok(()) };
        self.0.audit.record_durably(receipt).await.map_err(|error| {
            tracing::error!(%error, "what was done cannot be recorded");
            Denial::ChangeUnrecorded
        })
    }
}

impl Record {
    fn lasted_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn take(&self, status: Option<u16>) -> Option<Receipt> {
        let mut receipt = self.receipt.take()?;
        receipt.status = status;
        receipt.duration_ms = Some(self.lasted_ms());
        self.metrics.ended(&receipt, self.running.take());
        Some(receipt)
    }
}

impl Drop for Record {
    /// A request that was given up before it was answered is recorded without a status.
    fn drop(&mut self) {
        if let Some(receipt) = self.take(None) {
            self.audit.record(receipt);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use valetkey::Timestamp;
    use valetkey_ledger::{Charge, HoldRequest, Limits, MemoryLedger, Meter, Purpose, UnixSeconds};

    /// How many uses are held or spent after `end` did what it does with a hold of one upload.
    fn uses_after(end: impl AsyncFnOnce(Hold)) -> u64 {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::open().unwrap());
            let clock = Arc::new(Clock::starting_at(Timestamp::from_unix(0)));
            let meter = Meter::new("one");
            let charge = Charge {
                meter: meter.clone(),
                limits: Limits { uses: Some(1), ..Limits::default() },
                ends: UnixSeconds::MAX,
                keep_until: UnixSeconds::MAX,
            };
            let request = HoldRequest {
                charges: vec![charge],
                purpose: Purpose::Upload {
                    object: "/files/a".into(),
                    file: "a".to_owned(),
                    declared_bytes: None,
                    copied_bytes: 0,
                },
                now: seconds(clock.now().clock),
            };
            let id = ledger.hold(request).await.unwrap();
            end(Hold { ledger: Arc::clone(&ledger), clock, id: Some(id), published: false, session: None })
                .await;
            ledger.usage(meter).await.unwrap().uses
        })
    }

    #[test]
    fn a_dropped_hold_is_given_back_until_its_object_may_be_seen() {
        assert_eq!(uses_after(async |hold| drop(hold)), 0);
        assert_eq!(uses_after(async |hold| hold.settle(5)), 1);
        let published = async |mut hold: Hold| {
            hold.publish().await.unwrap();
            drop(hold);
        };
        assert_eq!(uses_after(published), 1);
        let released = async |mut hold: Hold| {
            hold.publish().await.unwrap();
            hold.release();
        };
        assert_eq!(uses_after(released), 0);
    }
}
