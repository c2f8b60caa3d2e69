//! The map as a whole, one shard after the other.

use super::ConcurrentMap;
use super::inner::{Gone, Lock};
use std::hash::{BuildHasher, Hash};

impl<K, V, S> ConcurrentMap<K, V, S> {
    /// Locks one shard after the other.
    fn locks(&self) -> impl Iterator<Item = Lock<'_, K, V>> {
        (0..self.inner.shards.len()).map(|index| self.inner.lock_at(index))
    }

    /// How many entries are stored: the sum over the shards, each at the moment when it was asked. Entries that have
    /// expired count until they are swept out.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.locks().map(|lock| lock.len()).sum()
    }

    /// Whether no shard had an entry at the moment when it was asked.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.locks().all(|lock| lock.len() == 0)
    }

    /// For how many entries there is memory, if they spread evenly.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.locks().map(|lock| lock.capacity()).sum()
    }

    /// The bound that was set with [`max_entries`](super::ConcurrentMapBuilder::max_entries).
    #[must_use]
    pub fn max_entries(&self) -> Option<usize> {
        self.inner.room.as_ref().map(|room| room.most())
    }

    /// How many shards the map has.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.inner.shards.len()
    }

    /// Calls `f` with each entry, under the lock of its shard.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    pub fn for_each(&self, mut f: impl FnMut(&K, &V)) {
        self.locks().for_each(|lock| lock.visit(|| self.inner.now(), &mut f));
    }

    /// Clones of all entries, in no order. Each shard is copied in one step.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(K, V)>
    where
        K: Clone,
        V: Clone,
    {
        self.iter().collect()
    }

    /// Removes all entries, and gives their memory back. Loads that are under way are not stored when they end.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it. If the `Drop` of an entry does: the map is empty all the same.
    pub fn clear(&self) {
        let mut gone = Gone::new();
        let tables: Vec<_> = self.locks().map(|mut lock| lock.take_all(&mut gone)).collect();
        // One by one: a `Drop` that panics leaves the others to be dropped all the same.
        tables.into_iter().flatten().for_each(drop);
    }

    /// Takes all entries out, in no order. Loads that are under way are not stored when they end.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    #[must_use = "`clear` removes all entries and returns nothing"]
    pub fn drain(&self) -> Vec<(K, V)> {
        let mut gone = Gone::new();
        let take = |mut lock: Lock<'_, K, V>| {
            lock.sweep_all(|| self.inner.now(), &mut gone);
            lock.take_all(&mut gone)
        };
        let tables: Vec<_> = self.locks().map(take).collect();
        tables.into_iter().flatten().collect()
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> ConcurrentMap<K, V, S> {
    /// Removes the entries that `f` declines, and returns how many. `f` may change those that it keeps, and runs under the
    /// lock of an entry's shard, once for each. Loads that are under way are not stored when they end.
    ///
    /// If `f` panics, the entries that it has declined before are gone, and all others are there.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    pub fn retain(&self, mut f: impl FnMut(&K, &mut V) -> bool) -> usize {
        let mut removed = 0;
        for index in 0..self.inner.shards.len() {
            let mut gone = Gone::new();
            let mut lock = self.inner.lock_at(index);
            removed += lock.retain(|| self.inner.now(), &mut f, &mut gone);
            lock.trim(|key| self.inner.hash(key));
            drop(lock);
        }
        removed
    }

    /// Removes all entries that have expired, and returns how many. Writes do so bit by bit.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    #[allow(clippy::must_use_candidate, reason = "it is called for what it does")]
    pub fn remove_expired(&self) -> usize {
        let mut removed = 0;
        for index in 0..self.inner.shards.len() {
            let mut gone = Gone::new();
            let mut lock = self.inner.lock_at(index);
            lock.sweep_all(|| self.inner.now(), &mut gone);
            lock.trim(|key| self.inner.hash(key));
            drop(lock);
            removed += gone.entries();
        }
        removed
    }

    /// Allocates memory for `additional` more entries, if they spread evenly. It is kept until
    /// [`shrink_to_fit`](Self::shrink_to_fit), [`clear`](Self::clear) or [`drain`](Self::drain).
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it. If there is no such amount of memory.
    pub fn reserve(&self, additional: usize) {
        let each = additional.div_ceil(self.shards());
        if each > 0 {
            self.locks().for_each(|mut lock| lock.reserve(each, |key| self.inner.hash(key)));
        }
    }

    /// Gives back all memory that the entries do not need. Removals do so by themselves once a shard's table is nearly
    /// empty, unless its memory was reserved.
    ///
    /// # Panics
    ///
    /// If code that this map runs under a lock calls it.
    pub fn shrink_to_fit(&self) {
        self.locks().for_each(|mut lock| lock.shrink_to_fit(|key| self.inner.hash(key)));
    }
}
