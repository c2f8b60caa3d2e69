//! Storing and removing.

use super::ConcurrentMap;
use super::error::MapFull;
use super::inner::Gone;
use super::source::{Given, Lent, Source};
use crate::kernel::shard::Seat;
use hashbrown::Equivalent;
use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

impl<K: Eq + Hash, V, S: BuildHasher> ConcurrentMap<K, V, S> {
    /// Stores a value and returns the one that it replaces.
    ///
    /// It cannot refuse, and so stores even if the map is full: where the bound has to hold, use
    /// [`try_insert`](Self::try_insert). The value lives for the map's default time to live.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    #[inline]
    pub fn insert(&self, key: K, value: V) -> Option<V> {
        self.put(Given(key), value, self.inner.ttl)
    }

    /// The same with a key that is only lent: it is cloned if it is missing.
    ///
    /// ```
    /// let map = flowgate::ConcurrentMap::<String, u32>::new();
    /// assert_eq!(map.insert_ref("a", 1), None);
    /// assert_eq!(map.insert_ref("a", 2), Some(1)); // allocates nothing
    /// ```
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    #[inline]
    pub fn insert_ref<Q>(&self, key: &Q, value: V) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.put(Lent(key), value, self.inner.ttl)
    }

    /// Stores a value that expires `ttl` from now, whatever the map's default, and returns the one that it replaces.
    ///
    /// Like [`insert`](Self::insert) it cannot refuse. A `ttl` of centuries never ends.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    #[inline]
    pub fn insert_with_ttl(&self, key: K, value: V, ttl: Duration) -> Option<V> {
        self.put(Given(key), value, Some(ttl))
    }

    fn put(&self, key: impl Source<K>, value: V, ttl: Option<Duration>) -> Option<V> {
        let inner = &*self.inner;
        let due = inner.due(ttl);
        let hash = inner.hash(key.query());
        let mut gone = Gone::new();
        let mut lock = inner.lock(hash);
        let eq = |other: &K| key.query().equivalent(other);
        match lock.seat(hash, eq, |key| inner.hash(key), || inner.now(), &mut gone) {
            Seat::Taken(taken) => Some(taken.replace(value, due)),
            Seat::Free(free) => {
                free.insert(hash, key.into_key(), value, due, &mut gone);
                None
            }
        }
    }

    /// Stores a value and returns the one that it replaces, unless the key is new and the map is full.
    ///
    /// A map without [`max_entries`](super::ConcurrentMapBuilder::max_entries) is never full.
    ///
    /// # Errors
    ///
    /// [`MapFull`] with key and value.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    pub fn try_insert(&self, key: K, value: V) -> Result<Option<V>, MapFull<K, V>> {
        let inner = &*self.inner;
        let due = inner.due(inner.ttl);
        let hash = inner.hash(&key);
        let mut gone = Gone::new();
        let mut lock = inner.lock(hash);
        match lock.seat(hash, |other| *other == key, |key| inner.hash(key), || inner.now(), &mut gone) {
            Seat::Taken(taken) => Ok(Some(taken.replace(value, due))),
            Seat::Free(mut free) => {
                if !free.admit() {
                    return Err(MapFull { key, value });
                }
                free.insert(hash, key, value, due, &mut gone);
                Ok(None)
            }
        }
    }

    /// Changes the value of `key` in place, and returns what `f` does. `f` runs under the shard's lock, once, and not at
    /// all if there is no value. The value's deadline stays.
    ///
    /// If `f` panics, the value stays as `f` has left it.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    #[inline]
    pub fn update<Q, R>(&self, key: &Q, f: impl FnOnce(&mut V) -> R) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let inner = &*self.inner;
        let hash = inner.hash(key);
        let mut gone = Gone::new();
        let mut lock = inner.lock(hash);
        let mut taken = lock.find(hash, |other| key.equivalent(other), || inner.now(), &mut gone)?;
        Some(f(taken.get_mut()))
    }

    /// Takes an entry out.
    ///
    /// A load of `key` that is under way is not stored when it ends, even if the key has no value now.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    #[inline]
    pub fn remove<Q>(&self, key: &Q) -> Option<(K, V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.remove_if(key, |_| true)
    }

    /// Takes an entry out if `f` says so. `f` runs under the shard's lock, once, and not at all if there is no value.
    ///
    /// A load of `key` that is under way is not stored when it ends.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    #[inline]
    pub fn remove_if<Q>(&self, key: &Q, f: impl FnOnce(&V) -> bool) -> Option<(K, V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let inner = &*self.inner;
        let hash = inner.hash(key);
        let eq = |other: &K| key.equivalent(other);
        // Declared before the lock, and so dropped after it if `Hash` panics.
        let removed;
        let mut gone = Gone::new();
        let mut lock = inner.lock(hash);
        match lock.find(hash, eq, || inner.now(), &mut gone) {
            Some(taken) => removed = f(taken.get()).then(|| taken.remove()),
            None => {
                lock.overtake(hash, eq, &mut gone);
                removed = None;
            }
        }
        lock.trim(|key| inner.hash(key));
        removed
    }

    /// The value of `key`; if there is none, the one that `make` makes, which is stored. `make` runs under the shard's
    /// lock, at most once; what takes long or awaits belongs into a load.
    ///
    /// A new value of a full map is returned without being stored.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    #[inline]
    pub fn get_or_insert_with(&self, key: K, make: impl FnOnce() -> V) -> V
    where
        V: Clone,
    {
        self.get_or_put(Given(key), make)
    }

    /// The same with a key that is only lent: it is cloned if it is missing.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    #[inline]
    pub fn get_or_insert_with_ref<Q>(&self, key: &Q, make: impl FnOnce() -> V) -> V
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        V: Clone,
    {
        self.get_or_put(Lent(key), make)
    }

    fn get_or_put(&self, key: impl Source<K>, make: impl FnOnce() -> V) -> V
    where
        V: Clone,
    {
        let inner = &*self.inner;
        let hash = inner.hash(key.query());
        // Declared before the lock, and so dropped after it if `Clone` panics.
        let mut made = None;
        let mut gone = Gone::new();
        let mut lock = inner.lock(hash);
        let eq = |other: &K| key.query().equivalent(other);
        match lock.seat(hash, eq, |key| inner.hash(key), || inner.now(), &mut gone) {
            Seat::Taken(taken) => taken.get().clone(),
            Seat::Free(mut free) => {
                let copy = made.insert(make()).clone();
                let due = inner.due(inner.ttl);
                if let Some(value) = made.take_if(|_| free.admit()) {
                    free.insert(hash, key.into_key(), value, due, &mut gone);
                }
                copy
            }
        }
    }
}
