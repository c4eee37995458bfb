//! What every request needs: settings, stores, the ledger, the audit log and the clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use valetkey::ResourcePath;
use valetkey_ledger::Ledger;

use crate::backend::disk::Folder;
use crate::clock::Clock;
use crate::notify::Audit;
use crate::settings::Settings;

/// A gateway, shared by all its connections and never changed.
pub(crate) struct Gateway {
    pub(crate) settings: Settings,
    pub(crate) buckets: HashMap<String, Folder>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) audit: Audit,
    pub(crate) clock: Arc<Clock>,
    /// Set while the gateway finishes what runs and takes nothing new.
    pub(crate) draining: AtomicBool,
    /// Cleared while the ledger does not answer.
    pub(crate) ledger_answers: AtomicBool,
    pub(crate) request_ids: RequestIds,
}

impl Gateway {
    /// The folder of a bucket, if there is such a bucket.
    pub(crate) fn folder(&self, path: &ResourcePath) -> Option<&Folder> {
        self.buckets.get(path.bucket())
    }
}

/// Names requests: a random part for each start of the gateway, and a number.
pub(crate) struct RequestIds {
    start: u64,
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn starting_with(start: u64) -> Self {
        Self { start, next: AtomicU64::new(0) }
    }

    pub(crate) fn next(&self) -> String {
        format!("{:016x}-{:08x}", self.start, self.next.fetch_add(1, Ordering::Relaxed))
    }
}
