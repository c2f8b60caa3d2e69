//! A concurrent map.

mod builder;
mod bulk;
mod compute;
mod error;
mod inner;
mod iter;
mod load;
mod read;
mod source;
mod ttl;
mod write;

pub use builder::ConcurrentMapBuilder;
pub use compute::{Compute, Computed};
pub use error::{InvalidMap, MapFull};
pub use foldhash::fast::RandomState;
pub use hashbrown::Equivalent;
pub use iter::{Iter, Keys, Values};
pub use load::{LoadError, LoadSource, Loaded};
pub use ttl::Ticker;

use builder::MOST_SHARDS;
use inner::Inner;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

/// A hash map that many tasks and threads share.
pub struct ConcurrentMap<K, V, S = RandomState> {
    inner: Arc<Inner<K, V, S>>,
}

impl<K, V> ConcurrentMap<K, V> {
    /// An empty map. It allocates its shards, and nothing for entries.
    #[must_use]
    pub fn new() -> Self {
        Self::with_hasher(RandomState::default())
    }

    /// An empty map with about this many shards: rounded up to a power of two, from 1 to 65,536.
    #[must_use]
    pub fn with_shards(shards: usize) -> Self {
        Self::builder().shards(shards.clamp(1, MOST_SHARDS)).assemble()
    }

    /// Options to build a map with.
    pub fn builder() -> ConcurrentMapBuilder<K, V> {
        ConcurrentMapBuilder::new(RandomState::default())
    }
}

impl<K: Eq + Hash, V> ConcurrentMap<K, V> {
    /// An empty map with memory for `capacity` entries.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let map = Self::new();
        map.reserve(capacity);
        map
    }
}

impl<K, V, S> ConcurrentMap<K, V, S> {
    /// An empty map that hashes keys with `hasher`, which has to spread them over all 64 bits, the high ones too.
    #[must_use]
    pub fn with_hasher(hasher: S) -> Self {
        ConcurrentMapBuilder::new(hasher).assemble()
    }

    /// The hasher.
    #[must_use]
    pub fn hasher(&self) -> &S {
        &self.inner.hasher
    }
}

/// The same map once more: a clone shares the entries.
impl<K, V, S> Clone for ConcurrentMap<K, V, S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<K, V, S: Default> Default for ConcurrentMap<K, V, S> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

/// The map's name and numbers, not its entries: they may be many, secret, or busy.
impl<K, V, S> fmt::Debug for ConcurrentMap<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut summary = f.debug_struct("ConcurrentMap");
        if let Some(name) = &self.inner.name {
            summary.field("name", name);
        }
        if !self.inner.is_reentered() {
            summary.field("len", &self.len());
        }
        summary.field("max_entries", &self.max_entries()).field("shards", &self.shards()).finish_non_exhaustive()
    }
}

impl<K: Eq + Hash, V, S: BuildHasher + Default> FromIterator<(K, V)> for ConcurrentMap<K, V, S> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> Extend<(K, V)> for ConcurrentMap<K, V, S> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> Extend<(K, V)> for &ConcurrentMap<K, V, S> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}
