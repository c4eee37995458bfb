//! One change at a time under one name, so that judging a condition and acting on it are one step.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Folder;
use super::names::Name;

/// Names share one lock for each value of a byte. A turn lasts a few system calls and no sync, so that a name waiting
/// for another's turn is rare and short.
const SHARDS: usize = 256;

#[derive(Debug)]
pub(super) struct Turns {
    shards: [Mutex<()>; SHARDS],
    /// Seeded, so that nobody can choose names that wait for each other.
    hashes: RandomState,
}

impl Default for Turns {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::new(())), hashes: RandomState::new() }
    }
}

impl Turns {
    /// Waits for the name's turn, which lasts as long as the guard.
    pub(super) fn take(&self, folder: &Folder, name: &Name<'_>) -> MutexGuard<'_, ()> {
        let mut hasher = self.hashes.build_hasher();
        hasher.write(folder.prefix.as_bytes());
        hasher.write(name.text().as_bytes());
        let [shard, ..] = hasher.finish().to_le_bytes();
        // The lock guards no data that a panic of a caller's condition could have left half changed.
        self.shards[usize::from(shard)].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
