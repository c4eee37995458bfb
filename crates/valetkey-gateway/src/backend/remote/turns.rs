//! One change at a time under one name, so that judging a condition and acting on it are one step.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

use super::{Remote, error};
use crate::backend::StoreError;

/// How many locks the names share: the more there are, the rarer one waits for another's turn, which lasts some requests
/// to the store.
const SHARDS: u64 = 4096;

#[derive(Debug)]
pub(super) struct Turns {
    shards: Vec<Arc<Mutex<()>>>,
    /// Seeded, so that nobody can choose names that wait for each other.
    hashes: RandomState,
}

/// The turn of a name, which lasts as long as this.
#[derive(Debug)]
pub(crate) struct Turn {
    _shard: OwnedMutexGuard<()>,
}

impl Remote {
    /// Waits for the name's turn, as long as the store may stall.
    ///
    /// # Errors
    /// [`StoreError::BadName`], [`StoreError::Io`].
    pub(crate) async fn turn(&self, name: &str) -> Result<Turn, StoreError> {
        let path = self.path(name)?;
        let turn = timeout(self.service.stall, self.service.turns.take(path.as_ref())).await;
        turn.map_err(|_| error::stalled("wait for other changes of an object"))
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Arc::default()).collect(), hashes: RandomState::new() }
    }
}

impl Turns {
    async fn take(&self, name: &str) -> Turn {
        let shard = usize::try_from(self.hashes.hash_one(name) % SHARDS).unwrap_or_default();
        Turn { _shard: Arc::clone(&self.shards[shard]).lock_owned().await }
    }
}
