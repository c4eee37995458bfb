//! What every request needs: the configuration in force, the ledger, the audit log and the clock.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use valetkey::ResourcePath;
use valetkey_ledger::{Ledger, RevocationView};

use crate::backend::Space;
use crate::backend::remote::Service;
use crate::clock::Clock;
use crate::notify::Audit;
use crate::observe::Metrics;
use crate::recent::RecentKeys;
use crate::revocation::Gate;
use crate::settings::Settings;
use crate::transfer::rate::Rates;
use crate::transfer::session::Claims;

/// A gateway, shared by all its connections.
pub(crate) struct Gateway {
    snapshot: RwLock<Arc<Snapshot>>,
    pub(crate) ledger: Arc<dyn Ledger>,
    /// What the ledger holds revoked.
    pub(crate) revoked: Arc<RevocationView>,
    pub(crate) gate: Gate,
    pub(crate) audit: Audit,
    pub(crate) clock: Arc<Clock>,
    /// Set while the gateway finishes what runs and takes nothing new.
    pub(crate) draining: AtomicBool,
    /// How many uploads and deletes are being made true right now.
    pub(crate) settling: AtomicUsize,
    /// Cleared while the ledger does not answer.
    pub(crate) ledger_answers: AtomicBool,
    /// How fast bytes move, over all connections.
    pub(crate) rates: Rates,
    pub(crate) request_ids: RequestIds,
    pub(crate) sessions: Claims,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) recent: RecentKeys,
}

/// What the operator wrote, and what it opened. It never changes; a new configuration replaces it whole.
pub(crate) struct Snapshot {
    pub(crate) settings: Settings,
    pub(crate) buckets: HashMap<String, Space>,
    /// The remote stores behind them, by the names of their backends.
    pub(crate) stores: BTreeMap<String, Arc<Service>>,
}

impl Gateway {
    pub(crate) fn new(
        snapshot: Snapshot,
        ledger: Arc<dyn Ledger>,
        audit: Audit,
        clock: Clock,
        start: u64,
    ) -> Self {
        Self {
            snapshot: RwLock::new(Arc::new(snapshot)),
            revoked: ledger.revocations_view(),
            gate: Gate::default(),
            ledger,
            audit,
            clock: Arc::new(clock),
            draining: AtomicBool::new(false),
            settling: AtomicUsize::new(0),
            ledger_answers: AtomicBool::new(true),
            rates: Rates::new(),
            request_ids: RequestIds { start, next: AtomicU64::new(0) },
            sessions: Claims::default(),
            metrics: Arc::new(Metrics::new()),
            recent: RecentKeys::default(),
        }
    }

    /// The configuration in force. A request takes it once and is judged by it throughout.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Brings another configuration into force. What runs goes on under the one it began with.
    pub(crate) fn replace(&self, snapshot: Snapshot) {
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
    }
}

impl Snapshot {
    /// The space of a bucket, if there is such a bucket.
    pub(crate) fn space(&self, path: &ResourcePath) -> Option<&Space> {
        self.buckets.get(path.bucket())
    }
}

/// Names requests: a random part for each start of the gateway, and a number.
pub(crate) struct RequestIds {
    start: u64,
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn next(&self) -> String {
        format!("{:016x}-{:08x}", self.start, self.next.fetch_add(1, Ordering::Relaxed))
    }
}
