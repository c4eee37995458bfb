//! One change at a time under one name, so that judging a condition and acting on it are one step.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Names share one lock for each value of a byte: the more there are, the rarer one waits for another's turn, which
/// lasts some requests to the store.
const SHARDS: usize = 256;

#[derive(Debug)]
pub(super) struct Turns {
    shards: Vec<Arc<Mutex<()>>>,
    /// Seeded, so that nobody can choose names that wait for each other.
    hashes: RandomState,
}

impl Default for Turns {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Arc::default()).collect(), hashes: RandomState::new() }
    }
}

impl Turns {
    /// Waits for the name's turn, which lasts as long as the guard.
    pub(super) async fn take(&self, name: &str) -> OwnedMutexGuard<()> {
        let [shard, ..] = self.hashes.hash_one(name).to_le_bytes();
        Arc::clone(&self.shards[usize::from(shard)]).lock_owned().await
    }
}
