//! What a request reserves in the ledger.

use std::sync::Arc;

use valetkey::Denial;
use valetkey_ledger::{HoldId, Ledger, LedgerError, Session, Settlement};

use crate::admit::seconds;
use crate::backend::Space;
use crate::clock::Clock;
use crate::gateway::Gateway;

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
    pub(super) async fn publish(&mut self) -> Result<(), Denial> {
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
    pub(super) fn settle(mut self, bytes: u64) {
        self.end(Settlement::Done { bytes });
    }

    /// Gives back what is held: nothing was changed.
    pub(super) fn release(mut self) {
        self.end(Settlement::Released);
    }

    /// Spends what is held, once its change is recorded. In this order a crash between the two leaves a mark
    /// by which the next start finds what is missing; so does a record that fails.
    ///
    /// # Errors
    /// [`Denial::ChangeUnrecorded`].
    pub(super) fn settle_recorded(self, bytes: u64, recorded: Result<(), Denial>) -> Result<(), Denial> {
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
