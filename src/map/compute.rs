//! Deciding about an entry by what it is, in one step.

use super::ConcurrentMap;
use super::inner::Gone;
use super::source::{Given, Lent, Source};
use crate::kernel::shard::Seat;
use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

/// What [`ConcurrentMap::compute`] is to do with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compute<V> {
    /// Store this value, whether or not there is one.
    Insert(V),
    /// Remove the entry, if there is one.
    Remove,
    /// Leave everything as it is.
    Keep,
}

/// What [`ConcurrentMap::compute`] or [`ConcurrentMap::upsert`] has done with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Computed<V> {
    /// The key had no value and has one now.
    Inserted,
    /// The key has another value. This was the old one.
    Replaced(V),
    /// The value was changed in place.
    Updated,
    /// The entry was removed. This was its value.
    Removed(V),
    /// Nothing has changed.
    Unchanged,
    /// The key had no value and has none, as the map is full. This was the new one.
    Refused(V),
}

impl<K: Eq + Hash, V, S: BuildHasher> ConcurrentMap<K, V, S> {
    /// Looks at the value of `key`, or at its absence, and inserts, replaces, removes or keeps it: in one step, which no
    /// other write to `key` comes between.
    ///
    /// `f` runs under the shard's lock, exactly once. If it panics, nothing has changed.
    ///
    /// ```
    /// use flowgate::{Compute, Computed, ConcurrentMap};
    ///
    /// let tickets = ConcurrentMap::from([("show", 2)]);
    /// let sell = |left: Option<&i32>| match left {
    ///     Some(1) => Compute::Remove,
    ///     Some(left) => Compute::Insert(left - 1),
    ///     None => Compute::Keep,
    /// };
    /// assert_eq!(tickets.compute("show", sell), Computed::Replaced(2));
    /// assert_eq!(tickets.compute("show", sell), Computed::Removed(1));
    /// assert_eq!(tickets.compute("show", sell), Computed::Unchanged);
    /// ```
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    #[inline]
    pub fn compute(&self, key: K, f: impl FnOnce(Option<&V>) -> Compute<V>) -> Computed<V> {
        self.decide(Given(key), f)
    }

    /// The same with a key that is only lent: it is cloned if it is missing and a value is inserted.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    #[inline]
    pub fn compute_ref<Q>(&self, key: &Q, f: impl FnOnce(Option<&V>) -> Compute<V>) -> Computed<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.decide(Lent(key), f)
    }

    fn decide<Q: Source<K>>(&self, key: Q, f: impl FnOnce(Option<&V>) -> Compute<V>) -> Computed<V> {
        let inner = &*self.inner;
        let hash = inner.hash(key.query());
        let eq = |other: &K| equivalent(&key, other);
        // Declared before the lock, and so dropped after it if `Hash` panics.
        let removed: (K, V);
        let mut gone = Gone::new();
        let mut lock = inner.lock(hash);
        match lock.seat(hash, eq, |key| inner.hash(key), || inner.now(), &mut gone) {
            Seat::Taken(taken) => match f(Some(taken.get())) {
                Compute::Insert(value) => return Computed::Replaced(taken.replace(value, inner.due(inner.ttl))),
                Compute::Remove => removed = taken.remove(),
                Compute::Keep => return Computed::Unchanged,
            },
            Seat::Free(mut free) => match f(None) {
                Compute::Insert(value) => {
                    if !free.admit() {
                        return Computed::Refused(value);
                    }
                    free.insert(hash, key.into_key(), value, inner.due(inner.ttl), &mut gone);
                    return Computed::Inserted;
                }
                Compute::Remove => {
                    lock.overtake(hash, eq, &mut gone);
                    return Computed::Unchanged;
                }
                Compute::Keep => return Computed::Unchanged,
            },
        }
        lock.trim(|key| inner.hash(key));
        drop(lock);
        Computed::Removed(removed.1)
    }

    /// Changes the value of `key` in place with `update`; if there is none, stores the one that `make` makes.
    ///
    /// One of the two closures runs under the shard's lock, exactly once. If `make` panics, nothing has changed; if
    /// `update` panics, the value stays as it was left. A changed value keeps its deadline.
    ///
    /// ```
    /// let words = flowgate::ConcurrentMap::<String, u64>::new();
    /// for word in "the cat the dog".split(' ') {
    ///     words.upsert_ref(word, |count| *count += 1, || 1);
    /// }
    /// assert_eq!(words.get("the"), Some(2));
    /// ```
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    #[inline]
    pub fn upsert(&self, key: K, update: impl FnOnce(&mut V), make: impl FnOnce() -> V) -> Computed<V> {
        self.change(Given(key), update, make)
    }

    /// The same with a key that is only lent: it is cloned if it is missing.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    #[inline]
    pub fn upsert_ref<Q>(&self, key: &Q, update: impl FnOnce(&mut V), make: impl FnOnce() -> V) -> Computed<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.change(Lent(key), update, make)
    }

    fn change<Q: Source<K>>(&self, key: Q, update: impl FnOnce(&mut V), make: impl FnOnce() -> V) -> Computed<V> {
        let inner = &*self.inner;
        let hash = inner.hash(key.query());
        let eq = |other: &K| equivalent(&key, other);
        let mut gone = Gone::new();
        let mut lock = inner.lock(hash);
        match lock.seat(hash, eq, |key| inner.hash(key), || inner.now(), &mut gone) {
            Seat::Taken(mut taken) => {
                update(taken.get_mut());
                Computed::Updated
            }
            Seat::Free(mut free) => {
                let value = make();
                if !free.admit() {
                    return Computed::Refused(value);
                }
                free.insert(hash, key.into_key(), value, inner.due(inner.ttl), &mut gone);
                Computed::Inserted
            }
        }
    }
}

#[inline]
fn equivalent<K, Q: Source<K>>(key: &Q, other: &K) -> bool {
    hashbrown::Equivalent::equivalent(key.query(), other)
}
