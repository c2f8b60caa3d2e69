//! Look-ups.

use super::ConcurrentMap;
use hashbrown::Equivalent;
use std::hash::{BuildHasher, Hash};

impl<K: Eq + Hash, V, S: BuildHasher> ConcurrentMap<K, V, S> {
    /// A clone of the value of `key`.
    ///
    /// `V::clone` runs under the shard's lock: put what is expensive to clone into an `Arc`.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    #[inline]
    #[must_use]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone,
    {
        self.read(key, V::clone)
    }

    /// What `f` makes of the value of `key`. `f` runs under the shard's lock, once, and not at all if there is no value.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    #[inline]
    pub fn read<Q, R>(&self, key: &Q, f: impl FnOnce(&V) -> R) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let inner = &*self.inner;
        let hash = inner.hash(key);
        let lock = inner.lock_to_read(hash);
        let (_, value) = lock.get(hash, |other| key.equivalent(other), || inner.now())?;
        Some(f(value))
    }

    /// Whether `key` has a value.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    #[inline]
    #[must_use]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.read(key, |_| ()).is_some()
    }
}
