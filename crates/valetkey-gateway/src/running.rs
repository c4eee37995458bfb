//! What runs on a worker, so that a revocation can end it.
//!
//! A transfer is noted when it begins and then left alone: nothing is asked for each of its pieces. When the
//! revocations change, the worker looks at all that it has noted, and ends what is revoked now. What is being
//! received is refused. What is being sent ends with its connection (HTTP/1.1) or stream (HTTP/2), together with
//! what the kernel has not sent yet.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use valetkey::{Denial, Permit};

use crate::gateway::Gateway;
use crate::revocation;

/// How long a worker that has looked waits before it looks again. A burst of revocations costs no more than a few
/// looks in the second that each of them has.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

thread_local! {
    static RUNNING: RefCell<Running> = RefCell::default();
}

#[derive(Default)]
struct Running {
    begun: u64,
    transfers: HashMap<u64, Entry>,
}

struct Entry {
    permit: Rc<Permit>,
    end: Weak<End>,
}

/// How something that runs is told to end: an upload, an HTTP/2 stream or an HTTP/1.1 connection.
#[derive(Default)]
pub(crate) struct End {
    is_told: Cell<bool>,
    told: Notify,
    /// What it is told to end for. An HTTP/1.1 connection keeps it until its next request finds the kernel empty: what
    /// it sent last may still be there.
    noted: Cell<Option<Noted>>,
}

/// A transfer's place among those that run.
struct Noted(u64);

impl Drop for Noted {
    fn drop(&mut self) {
        // Nothing runs any more when a thread ends.
        let entry = RUNNING.try_with(|running| running.borrow_mut().transfers.remove(&self.0));
        drop(entry);
    }
}

impl End {
    /// Notes a transfer that begins.
    ///
    /// # Errors
    /// As [`revocation::check_again`]: from here on it is told, so what was revoked before is found here.
    pub(crate) fn begin(gateway: &Gateway, permit: &Rc<Permit>) -> Result<Rc<Self>, Denial> {
        let end = Rc::new(Self::default());
        let entry = Entry { permit: Rc::clone(permit), end: Rc::downgrade(&end) };
        let place = RUNNING.with_borrow_mut(|running| {
            running.begun += 1;
            running.transfers.insert(running.begun, entry);
            running.begun
        });
        end.noted.set(Some(Noted(place)));
        revocation::check_again(&gateway.revoked, permit)?;
        Ok(end)
    }

    /// Ends from now on where the transfer of `other` is to end.
    pub(crate) fn take_over(self: &Rc<Self>, other: &Self) {
        let noted = other.noted.take();
        if let Some(Noted(place)) = &noted {
            RUNNING.with_borrow_mut(|running| {
                if let Some(entry) = running.transfers.get_mut(place) {
                    entry.end = Rc::downgrade(self);
                }
            });
        }
        self.noted.set(noted);
        if other.is_told() {
            self.tell();
        }
    }

    /// Whether there is something that it may be told to end for.
    pub(crate) fn is_noted(&self) -> bool {
        let noted = self.noted.take();
        let is_noted = noted.is_some();
        self.noted.set(noted);
        is_noted
    }

    /// Forgets the transfer, which is over.
    pub(crate) fn forget(&self) {
        drop(self.noted.take());
    }

    /// Ready when it is told to end.
    pub(crate) async fn told(&self) {
        while !self.is_told() {
            self.told.notified().await;
        }
    }

    pub(crate) fn is_told(&self) -> bool {
        self.is_told.get()
    }

    /// Tells it to end.
    pub(crate) fn tell(&self) {
        self.is_told.set(true);
        self.told.notify_waiters();
    }
}

/// Ends what is revoked, as long as the worker runs.
pub(crate) async fn heed_revocations(gateway: Arc<Gateway>) {
    let mut changes = gateway.revoked.changes();
    while changes.changed().await.is_ok() {
        end_revoked(&gateway);
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

fn end_revoked(gateway: &Gateway) {
    let revoked: Vec<Rc<End>> = RUNNING.with_borrow(|running| {
        let revoked = running
            .transfers
            .values()
            .filter(|entry| revocation::check_again(&gateway.revoked, &entry.permit).is_err());
        revoked.filter_map(|entry| entry.end.upgrade()).collect()
    });
    for end in revoked {
        tracing::debug!("a transfer ends: it was revoked");
        end.tell();
    }
}
