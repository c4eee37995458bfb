//! Values in memory that go back to what they were when the batch they were changed in cannot be written.

use std::collections::HashMap;
use std::hash::Hash;

/// A map whose changes since the last [`Undo::keep`] can be undone.
#[derive(Debug)]
pub(crate) struct Undo<K, V> {
    values: HashMap<K, V>,
    /// What stood there before each change, the latest last.
    before: Vec<(K, Option<V>)>,
}

impl<K, V> Default for Undo<K, V> {
    fn default() -> Self {
        Self { values: HashMap::new(), before: Vec::new() }
    }
}

impl<K: Clone + Eq + Hash, V> Undo<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.values.get(key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.values.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn set(&mut self, key: &K, value: Option<V>) {
        let before = self.place(key.clone(), value);
        self.before.push((key.clone(), before));
    }

    /// Makes the changes final.
    pub(crate) fn keep(&mut self) {
        self.before.clear();
    }

    /// Empties it for good.
    pub(crate) fn clear(&mut self) {
        self.values.clear();
        self.before.clear();
    }

    /// Undoes the changes since the last `keep`.
    pub(crate) fn roll_back(&mut self) {
        while let Some((key, value)) = self.before.pop() {
            drop(self.place(key, value));
        }
    }

    fn place(&mut self, key: K, value: Option<V>) -> Option<V> {
        match value {
            Some(value) => self.values.insert(key, value),
            None => self.values.remove(&key),
        }
    }
}
