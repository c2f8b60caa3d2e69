//! What a map must do to be measured.

use std::fmt::Debug;
use std::hash::Hash;

/// The hasher of every map: the fastest that all of them accept.
pub type Hasher = foldhash::fast::RandomState;

/// A key.
pub trait Key: Clone + Debug + Eq + Hash + Send + Sync + 'static {}

impl<K: Clone + Debug + Eq + Hash + Send + Sync + 'static> Key for K {}

/// A value.
pub trait Value: Clone + Debug + Send + Sync + 'static {}

impl<V: Clone + Debug + Send + Sync + 'static> Value for V {}

/// A map under measurement, shared by threads.
pub trait Subject<K: Key, V: Value>: Send + Sync + 'static {
    /// Whether a get may find nothing while another thread replaces the value.
    const MISSES_WHILE_REPLACED: bool = false;

    /// A map with room for so many entries; 0 for one that grows from nothing.
    fn with_room(entries: usize) -> Self;

    /// A clone of the value.
    fn get(&self, key: &K) -> Option<V>;

    /// Whether a get of a key that is in the map gives what it should.
    fn holds(&self, key: &K, right: impl FnOnce(&V) -> bool) -> bool {
        self.get(key).map_or(Self::MISSES_WHILE_REPLACED, |found| right(&found))
    }

    /// Inserts or replaces. The key is lent; a map that wants to own it in any case gets a clone.
    fn set(&self, key: &K, value: V);

    /// Removes; whether the key was there.
    fn remove(&self, key: &K) -> bool;

    /// Changes the value in place, or inserts `initial`.
    fn upsert(&self, key: &K, initial: V, change: impl Fn(&mut V));
}
