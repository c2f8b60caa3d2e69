//! Iterators. Each copies one shard at a time, and holds no lock while it is not being asked.

use super::ConcurrentMap;
use std::fmt;
use std::iter::FusedIterator;

/// Copies of the entries of one shard after the other.
struct Walk<'a, K, V, S, T> {
    map: &'a ConcurrentMap<K, V, S>,
    next_shard: usize,
    copies: std::vec::IntoIter<T>,
    copy: fn(&K, &V) -> T,
}

impl<'a, K, V, S, T> Walk<'a, K, V, S, T> {
    fn new(map: &'a ConcurrentMap<K, V, S>, copy: fn(&K, &V) -> T) -> Self {
        Self { map, next_shard: 0, copies: Vec::new().into_iter(), copy }
    }
}

impl<K, V, S, T> Iterator for Walk<'_, K, V, S, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        loop {
            if let Some(copy) = self.copies.next() {
                return Some(copy);
            }
            let inner = &*self.map.inner;
            if self.next_shard == inner.shards.len() {
                return None;
            }
            // Declared before the lock, and so dropped after it if `Clone` panics.
            let mut copies = Vec::new();
            let lock = inner.lock_at(self.next_shard);
            copies.reserve_exact(lock.len());
            lock.visit(|| inner.now(), |key, value| copies.push((self.copy)(key, value)));
            drop(lock);
            self.next_shard += 1;
            self.copies = copies.into_iter();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let is_last = self.next_shard == self.map.inner.shards.len();
        (self.copies.len(), is_last.then_some(self.copies.len()))
    }
}

macro_rules! walks {
    ($($(#[$meta:meta])* $name:ident -> $item:ty;)*) => {$(
        $(#[$meta])*
        #[must_use = "iterators do nothing unless they are asked"]
        pub struct $name<'a, K, V, S>(Walk<'a, K, V, S, $item>);

        impl<K, V, S> Iterator for $name<'_, K, V, S> {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<$item> {
                self.0.next()
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                self.0.size_hint()
            }
        }

        impl<K, V, S> FusedIterator for $name<'_, K, V, S> {}

        impl<K, V, S> fmt::Debug for $name<'_, K, V, S> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("map", self.0.map).finish_non_exhaustive()
            }
        }
    )*};
}

walks! {
    /// Clones of a map's entries, from [`ConcurrentMap::iter`].
    Iter -> (K, V);
    /// Clones of a map's keys, from [`ConcurrentMap::keys`].
    Keys -> K;
    /// Clones of a map's values, from [`ConcurrentMap::values`].
    Values -> V;
}

impl<K, V, S> ConcurrentMap<K, V, S> {
    /// Clones of all entries, in no order.
    ///
    /// One shard is copied at a time, under its lock, when the iterator gets there: no lock is held between two items, so
    /// it may be kept over an `.await`, and the map may be written to meanwhile. An entry that is there all the time is
    /// seen once; one that comes or goes meanwhile is seen or not.
    ///
    /// # Panics
    ///
    /// While it is asked by code that this map runs under a lock.
    pub fn iter(&self) -> Iter<'_, K, V, S>
    where
        K: Clone,
        V: Clone,
    {
        Iter(Walk::new(self, |key, value| (key.clone(), value.clone())))
    }

    /// Clones of all keys, as [`iter`](Self::iter) makes them.
    ///
    /// # Panics
    ///
    /// While it is asked by code that this map runs under a lock.
    pub fn keys(&self) -> Keys<'_, K, V, S>
    where
        K: Clone,
    {
        Keys(Walk::new(self, |key, _| key.clone()))
    }

    /// Clones of all values, as [`iter`](Self::iter) makes them.
    ///
    /// # Panics
    ///
    /// While it is asked by code that this map runs under a lock.
    pub fn values(&self) -> Values<'_, K, V, S>
    where
        V: Clone,
    {
        Values(Walk::new(self, |_, value| value.clone()))
    }
}

impl<'a, K: Clone, V: Clone, S> IntoIterator for &'a ConcurrentMap<K, V, S> {
    type Item = (K, V);
    type IntoIter = Iter<'a, K, V, S>;

    fn into_iter(self) -> Iter<'a, K, V, S> {
        self.iter()
    }
}
