//! The thread that writes the audit log, batch by batch.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use valetkey::Timestamp;

use super::{AuditError, BATCH_RECORDS, Entry, Queue, Receipt, Shared, Waiter};
use crate::notify::journal::{Journal, Medium};

/// How long a receipt that nobody waits for may wait for company.
const LINGER: Duration = Duration::from_millis(250);

/// How long after a failed write the next is tried where nobody waits for one.
const RETRY: Duration = Duration::from_millis(250);

/// How often the writer looks, with nothing to write, whether its file was moved away.
const LOOK: Duration = Duration::from_millis(500);

/// Why the writer looks into the queue.
#[derive(Clone, Copy)]
enum Pace {
    /// All that was taken is durable.
    Idle,
    /// The last batch was not written.
    Retry,
}

/// The one that writes.
pub(super) struct Writer<M> {
    pub(super) shared: Arc<Shared>,
    pub(super) journal: Journal<M>,
    pub(super) clock: fn() -> Timestamp,
    /// Who waits for what is pending in the journal.
    pub(super) waiters: Vec<Waiter>,
}

impl<M: Medium> Writer<M> {
    pub(super) fn run(&mut self) -> Result<(), AuditError> {
        let _end = EndOfWriter(Arc::clone(&self.shared));
        let mut taken = VecDeque::new();
        let mut lost = 0;
        let mut pace = Pace::Idle;
        loop {
            let mut closed = false;
            // What was taken is written first, so that the lines keep the order of the receipts.
            if taken.is_empty() || matches!(pace, Pace::Retry) {
                closed = self.wait(pace, &mut taken, &mut lost);
            }
            while !self.journal.is_full() {
                let Some(Entry { receipt, waiter }) = taken.pop_front() else { break };
                self.journal.add(&receipt);
                self.waiters.extend(waiter);
            }
            if taken.is_empty() && lost > 0 {
                self.add_loss(std::mem::take(&mut lost));
            }
            pace = match self.journal.commit() {
                Ok(records) => {
                    self.succeeded(records);
                    Pace::Idle
                }
                Err(error) => {
                    self.failed(error, &mut taken);
                    Pace::Retry
                }
            };
            match (closed, pace) {
                (true, Pace::Retry) if self.shared.waiting.load(Ordering::Acquire) > 0 => {
                    return Err(AuditError::Lost(self.shared.waiting.load(Ordering::Acquire)));
                }
                (true, _) if taken.is_empty() && self.shared.queue().is_empty() => return Ok(()),
                _ => {}
            }
        }
    }

    /// Waits until there is reason to write, and takes what waits if all that was taken before is written.
    /// Returns whether the log was closed.
    fn wait(&self, pace: Pace, taken: &mut VecDeque<Entry>, lost: &mut u64) -> bool {
        let calm = |queue: &mut Queue| !queue.urgent && !queue.closed;
        let wake = &self.shared.wake;
        let mut queue = self.shared.queue();
        if matches!(pace, Pace::Idle) {
            let idle = |queue: &mut Queue| calm(queue) && queue.is_empty();
            queue = wake.wait_timeout_while(queue, LOOK, idle).unwrap_or_else(PoisonError::into_inner).0;
        }
        let (time, count) = match pace {
            Pace::Idle if queue.is_empty() => (Duration::ZERO, BATCH_RECORDS),
            Pace::Idle => (LINGER, BATCH_RECORDS),
            Pace::Retry => (RETRY, usize::MAX),
        };
        let more = |queue: &mut Queue| calm(queue) && queue.entries.len() < count;
        queue = wake.wait_timeout_while(queue, time, more).unwrap_or_else(PoisonError::into_inner).0;

        if taken.is_empty() && *lost == 0 {
            // After a burst, its memory is given back.
            taken.shrink_to(BATCH_RECORDS);
            std::mem::swap(&mut queue.entries, taken);
            *lost = std::mem::take(&mut queue.lost);
            queue.urgent = false;
        }
        queue.closed
    }

    fn succeeded(&mut self, records: usize) {
        *self.shared.head() = self.journal.head();
        self.shared.waiting.fetch_sub(records, Ordering::AcqRel);
        if !self.shared.sound.swap(true, Ordering::AcqRel) {
            tracing::info!("the audit log is written again");
        }
        for waiter in self.waiters.drain(..) {
            // Who no longer waits went away; the record stays.
            let _ = waiter.send(Ok(()));
        }
    }

    /// Tells everyone who waits, also for what was not tried, that it is not written. The receipts stay.
    fn failed(&mut self, error: io::Error, taken: &mut VecDeque<Entry>) {
        let error = Arc::new(error);
        if self.shared.sound.swap(false, Ordering::AcqRel) {
            tracing::error!(%error, "the audit log cannot be written; what must be recorded is refused");
        }
        let mut queue = self.shared.queue();
        queue.urgent = false;
        let waiting = taken.iter_mut().chain(&mut queue.entries).filter_map(|entry| entry.waiter.take());
        for waiter in self.waiters.drain(..).chain(waiting) {
            let _ = waiter.send(Err(AuditError::NotWritten(Arc::clone(&error))));
        }
    }

    fn add_loss(&mut self, lost: u64) {
        tracing::error!(lost, "records found no room in memory while the audit log could not be written");
        self.shared.waiting.fetch_add(1, Ordering::AcqRel);
        self.journal.add(&Receipt {
            action: Some("lost"),
            reason: Some(format!("{lost} records were lost").into()),
            ..Receipt::at((self.clock)())
        });
    }
}

/// Closes the queue when the writer ends, by a panic too, so that nobody waits for it for ever.
struct EndOfWriter(Arc<Shared>);

impl Drop for EndOfWriter {
    fn drop(&mut self) {
        self.0.sound.store(false, Ordering::Release);
        let mut queue = self.0.queue();
        queue.closed = true;
        queue.entries.clear();
    }
}
