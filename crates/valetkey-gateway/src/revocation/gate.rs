//! The way through which every change of what can be seen goes.
//!
//! A revocation is answered once nothing is on its way any more that it reaches and that went in before it. This is no
//! lock: no change waits for a revocation, and no revocation for what it does not reach. Changes are numbered in the
//! order in which they went in. A revocation notes the next number and asks all; one that is not revoked takes a later
//! number then, as if it went in just now; one that is keeps its own until it is through.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use valetkey::{Denial, Permit};
use valetkey_ledger::RevocationView;

use super::{check_again, heeding};

/// The gate of one gateway. Clones are the same gate.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Within>);

#[derive(Default)]
struct Within {
    passes: watch::Sender<Passes>,
    /// The number that the latest revocation noted; each is told to all that is on its way.
    asked: watch::Sender<u64>,
}

/// The numbers of what is on its way.
#[derive(Default)]
struct Passes {
    next: u64,
    open: BTreeSet<u64>,
}

impl Gate {
    /// Makes a change, unless what it rests on was revoked.
    ///
    /// What is revoked while it is made is waited for; with a `patience` no longer than that: then it is dropped, and
    /// `None` says that nobody knows what came of it.
    ///
    /// # Errors
    /// As [`check_again`]; then nothing has begun.
    pub(crate) async fn pass<T>(
        &self,
        revoked: &RevocationView,
        permit: &Permit,
        patience: Option<Duration>,
        change: impl Future<Output = T>,
    ) -> Result<Option<T>, Denial> {
        self.pass_if(|| check_again(revoked, permit), patience, change).await
    }

    /// As [`Gate::pass`], where `check` says whether it is revoked.
    async fn pass_if<T>(
        &self,
        check: impl Fn() -> Result<(), Denial>,
        patience: Option<Duration>,
        change: impl Future<Output = T>,
    ) -> Result<Option<T>, Denial> {
        // In this order whoever waits for the pass asks it.
        let asked = self.0.asked.subscribe();
        let mut pass = self.enter();
        check()?;
        // It is dropped before its pass is.
        let mut change = pin!(change);
        if let Ok(done) = heeding(asked, change.as_mut(), || pass.renew(&check)).await {
            return Ok(Some(done));
        }
        match patience {
            None => Ok(Some(change.await)),
            Some(patience) => Ok(timeout(patience, change.as_mut()).await.ok()),
        }
    }

    /// Waits until everything is through that went in before and is revoked.
    pub(super) async fn emptied(&self) {
        let mut passes = self.0.passes.subscribe();
        let next = passes.borrow().next;
        self.0.asked.send_replace(next);
        // Their sender is this gate.
        let _ = passes.wait_for(|passes| passes.open.first().is_none_or(|oldest| *oldest >= next)).await;
    }

    fn enter(&self) -> Pass {
        let mut number = 0;
        self.0.passes.send_if_modified(|passes| {
            number = passes.next;
            passes.next += 1;
            passes.open.insert(number);
            // Nobody waits for more to go in.
            false
        });
        Pass { gate: self.clone(), number }
    }
}

/// A change on its way.
struct Pass {
    gate: Gate,
    number: u64,
}

impl Pass {
    /// Goes in anew, if it may. A revocation that the check does not see yet waits for the new number; so both count
    /// until the check is done.
    fn renew(&mut self, check: impl Fn() -> Result<(), Denial>) -> Result<(), Denial> {
        let later = self.gate.enter();
        check()?;
        *self = later;
        Ok(())
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.0.passes.send_modify(|passes| {
            passes.open.remove(&self.number);
        });
    }
}

#[cfg(test)]
mod tests;
