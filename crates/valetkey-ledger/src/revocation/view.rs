//! The revocations in force, in memory: what every request is compared with.
//!
//! While nothing at all is revoked there is not even a lock.

use std::sync::PoisonError;

use tokio::sync::watch;

use super::table::Tables;
use super::{Revocation, Target};
use crate::UnixSeconds;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{RwLock, RwLockReadGuard};

/// One name by which a request may be revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocable<'a> {
    /// A level of its key, by its name.
    Level(&'a str),
    /// A level of its key, by its fingerprint.
    Fingerprint([u8; 16]),
    /// The id of its base level.
    Id {
        /// The signer.
        signer: &'a str,
        /// The id.
        id: &'a str,
    },
    /// The subject that its key names.
    Subject {
        /// The signer.
        signer: &'a str,
        /// The subject.
        subject: &'a str,
    },
    /// Its signer.
    Signer(&'a str),
    /// A policy that bounds it.
    Policy(&'a str),
    /// What it asks for: the path itself, and every folder above it.
    Path(&'a str),
}

/// The revocations in force, shared by all who ask. Every change is in it before the ledger's answer is given.
pub struct RevocationView {
    is_empty: AtomicBool,
    tables: RwLock<Tables>,
    cleared_before: AtomicU64,
    changes: watch::Sender<u64>,
}

/// What becomes of one target: `None` where nothing revokes it any more, else before when it must have been issued.
pub(crate) struct Change {
    pub(crate) target: Target,
    pub(crate) revoked: Option<Option<UnixSeconds>>,
}

impl RevocationView {
    pub(crate) fn new() -> Self {
        Self {
            is_empty: AtomicBool::new(true),
            tables: RwLock::new(Tables::default()),
            cleared_before: AtomicU64::new(0),
            changes: watch::Sender::new(0),
        }
    }

    /// The revocations as they are now; `None` while there are none. Whoever holds it holds up changes, so it is to
    /// be dropped at once.
    pub fn read(&self) -> Option<Reading<'_>> {
        match self.is_empty.load(Ordering::Acquire) {
            true => None,
            false => Some(Reading(self.tables.read().unwrap_or_else(PoisonError::into_inner))),
        }
    }

    /// Keys that ended before this moment open nothing more, whatever the clock says: what revoked them may be gone.
    pub fn cleared_before(&self) -> UnixSeconds {
        UnixSeconds(self.cleared_before.load(Ordering::Relaxed))
    }

    /// Tells of every change from now on.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// How many targets are revoked.
    pub fn len(&self) -> usize {
        self.read().map_or(0, |reading| reading.0.len())
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.is_empty.load(Ordering::Acquire)
    }

    pub(crate) fn clear_before(&self, moment: UnixSeconds) {
        self.cleared_before.store(moment.0, Ordering::Relaxed);
    }

    /// Adds rows that were read at the start, each of which may be one of several of its target.
    pub(crate) fn load(&self, rows: Vec<Revocation>) {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            tables.raise(&row);
        }
        self.is_empty.store(false, Ordering::Release);
    }

    pub(crate) fn apply(&self, changes: impl IntoIterator<Item = Change>) {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        for Change { target, revoked } in changes {
            tables.set(&target, revoked);
        }
        self.is_empty.store(tables.len() == 0, Ordering::Release);
        drop(tables);
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// The revocations at one moment.
pub struct Reading<'a>(RwLockReadGuard<'a, Tables>);

impl Reading<'_> {
    /// Whether what bears this name and was issued then is revoked. What does not say when it was issued is.
    pub fn revokes(&self, name: Revocable<'_>, issued: Option<UnixSeconds>) -> bool {
        self.0.revokes(name, issued)
    }
}
