//! The thread that owns the database: batches in, one commit each, answers out.

use std::sync::Arc;
use std::time::Duration;

use super::BATCH_MAX;
use super::file::LockFile;
use crate::LedgerError;
use crate::command::{Command, Settle};
use crate::state::Machine;
use crate::store::{Fault, Store};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};

/// How long an owed settlement, and what nothing needs to be durable, waits for other commands before it is written alone.
const OWED_WAIT: Duration = Duration::from_secs(1);

pub(super) struct Writer<S> {
    machine: Machine<S>,
    queue: Receiver<Command>,
    waiting: Arc<AtomicUsize>,
    /// Settlements that must come to pass although nobody waits for them.
    owed: Vec<Settle>,
    /// The last batch could not be written.
    faulted: bool,
    /// What was found damaged: nothing is served any more.
    damaged: Option<LedgerError>,
}

impl<S: Store> Writer<S> {
    pub(super) fn new(machine: Machine<S>, queue: Receiver<Command>, waiting: Arc<AtomicUsize>) -> Self {
        Self { machine, queue, waiting, owed: Vec::new(), faulted: false, damaged: None }
    }

    /// Serves until it is closed. The lock goes last, after the database.
    pub(super) fn run(mut self, lock: LockFile) {
        let mut open = true;
        let mut close = None;
        while open {
            let mut batch = self.take_owed();
            open = self.collect(&mut batch);
            if let Some(Command::Close(reply)) = batch.pop_if(|command| matches!(command, Command::Close(_)))
            {
                open = false;
                close = Some(reply);
            }
            self.serve(batch);
        }
        // What the last batch left is tried once; then it is for the next life to find.
        let owed = self.take_owed();
        self.serve(owed);
        self.serve(Vec::new());
        drop(self);
        drop(lock);
        if let Some(close) = close {
            close.send(Ok(()));
        }
    }

    /// Adds all that waits, up to a bound or to the end; waits for something to do if there is nothing. Says whether
    /// there will be more.
    fn collect(&self, batch: &mut Vec<Command>) -> bool {
        let mut next = if batch.is_empty() && !self.machine.has_unwritten() {
            self.queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else if batch.is_empty() || self.faulted {
            self.queue.recv_timeout(OWED_WAIT)
        } else {
            self.try_next()
        };
        while let Ok(command) = next {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            batch.push(command);
            if batch.len() >= BATCH_MAX || matches!(batch.last(), Some(Command::Close(_))) {
                return true;
            }
            next = self.try_next();
        }
        next.is_err_and(|error| error == RecvTimeoutError::Timeout)
    }

    fn try_next(&self) -> Result<Command, RecvTimeoutError> {
        self.queue.try_recv().map_err(|error| match error {
            TryRecvError::Empty => RecvTimeoutError::Timeout,
            TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
        })
    }

    fn take_owed(&mut self) -> Vec<Command> {
        self.owed.drain(..).map(|settle| Command::Settle(settle, None)).collect()
    }

    fn serve(&mut self, mut batch: Vec<Command>) {
        if let Some(error) = &self.damaged {
            // What is owed stays spent, and is released when the file is opened anew.
            for command in batch {
                command.fail(error.clone());
            }
            return;
        }
        if batch.is_empty() {
            self.machine.flush();
        }
        let outcome = batch
            .iter_mut()
            .try_for_each(|command| command.decide(&mut self.machine))
            .and_then(|()| self.machine.commit());
        match outcome {
            Ok(()) => {
                self.faulted = false;
                self.owed.extend(batch.into_iter().filter_map(Command::answer));
            }
            Err(fault) => self.fail(batch, fault),
        }
    }

    fn fail(&mut self, batch: Vec<Command>, fault: Fault) {
        self.machine.roll_back();
        self.faulted = true;
        let is_damage = matches!(fault, Fault::Damaged(_));
        let error = LedgerError::from(fault);
        if let LedgerError::Unavailable(source) = &error {
            tracing::error!(error = &**source, commands = batch.len(), damaged = is_damage, "write ledger");
        }
        if is_damage {
            self.damaged = Some(error.clone());
        }
        self.owed.extend(batch.into_iter().filter_map(|command| command.fail(error.clone())));
    }
}

#[cfg(all(test, feature = "shuttle"))]
mod orders;
#[cfg(test)]
mod tests;
