//! Rivals, each called the way its own documentation calls it.

use std::collections::HashMap;
use std::fmt;

use moka::ops::compute::Op;
use parking_lot::RwLock;
use quick_cache::UnitWeighter;
use quick_cache::sync::{DefaultLifecycle, EntryAction, EntryResult};
use scc::hash_index::Entry;

use crate::map::subject::{Hasher, Key, Subject, Value};

/// `dashmap::DashMap`.
pub type Dash<K, V> = dashmap::DashMap<K, V, Hasher>;

impl<K: Key, V: Value> Subject<K, V> for Dash<K, V> {
    fn with_room(entries: usize) -> Self {
        Self::with_capacity_and_hasher(entries, Hasher::default())
    }

    fn get(&self, key: &K) -> Option<V> {
        self.get(key).map(|value| value.clone())
    }

    fn set(&self, key: &K, value: V) {
        self.insert(key.clone(), value);
    }

    fn remove(&self, key: &K) -> bool {
        self.remove(key).is_some()
    }

    fn upsert(&self, key: &K, initial: V, change: impl Fn(&mut V)) {
        self.entry(key.clone()).and_modify(|value| change(value)).or_insert(initial);
    }
}

/// `DashMap` by somebody who saves the clone of a key that is there: `get_mut` first.
#[derive(Debug)]
pub struct DashByRef<K: Key, V>(Dash<K, V>);

impl<K: Key, V: Value> Subject<K, V> for DashByRef<K, V> {
    fn with_room(entries: usize) -> Self {
        Self(Dash::with_room(entries))
    }

    fn get(&self, key: &K) -> Option<V> {
        Subject::get(&self.0, key)
    }

    fn set(&self, key: &K, value: V) {
        if let Some(mut there) = self.0.get_mut(key) {
            *there = value;
            return;
        }
        self.0.insert(key.clone(), value);
    }

    fn remove(&self, key: &K) -> bool {
        Subject::remove(&self.0, key)
    }

    fn upsert(&self, key: &K, initial: V, change: impl Fn(&mut V)) {
        if let Some(mut there) = self.0.get_mut(key) {
            change(&mut there);
            return;
        }
        Subject::upsert(&self.0, key, initial, change);
    }
}

/// `scc::HashMap`.
pub type SccMap<K, V> = scc::HashMap<K, V, Hasher>;

impl<K: Key, V: Value> Subject<K, V> for SccMap<K, V> {
    fn with_room(entries: usize) -> Self {
        Self::with_capacity_and_hasher(entries, Hasher::default())
    }

    fn get(&self, key: &K) -> Option<V> {
        self.read_sync(key, |_, value| value.clone())
    }

    fn set(&self, key: &K, value: V) {
        self.upsert_sync(key.clone(), value);
    }

    fn remove(&self, key: &K) -> bool {
        self.remove_sync(key).is_some()
    }

    fn upsert(&self, key: &K, initial: V, change: impl Fn(&mut V)) {
        self.entry_sync(key.clone()).and_modify(change).or_insert(initial);
    }
}

/// `scc::HashIndex`: reads take no lock; a value is replaced, never changed, and a read may fall into the gap.
pub type SccIndex<K, V> = scc::HashIndex<K, V, Hasher>;

impl<K: Key, V: Value> Subject<K, V> for SccIndex<K, V> {
    const MISSES_WHILE_REPLACED: bool = true;

    fn with_room(entries: usize) -> Self {
        Self::with_capacity_and_hasher(entries, Hasher::default())
    }

    fn get(&self, key: &K) -> Option<V> {
        self.peek_with(key, |_, value| value.clone())
    }

    fn set(&self, key: &K, value: V) {
        match self.entry_sync(key.clone()) {
            Entry::Occupied(mut there) => there.update(value),
            Entry::Vacant(free) => drop(free.insert_entry(value)),
        }
    }

    fn remove(&self, key: &K) -> bool {
        self.remove_sync(key)
    }

    fn upsert(&self, key: &K, initial: V, change: impl Fn(&mut V)) {
        match self.entry_sync(key.clone()) {
            Entry::Occupied(mut there) => {
                let mut value = there.get().clone();
                change(&mut value);
                there.update(value);
            }
            Entry::Vacant(free) => drop(free.insert_entry(initial)),
        }
    }
}

/// `papaya::HashMap`, pinned for each operation.
pub type Papaya<K, V> = papaya::HashMap<K, V, Hasher>;

impl<K: Key, V: Value> Subject<K, V> for Papaya<K, V> {
    fn with_room(entries: usize) -> Self {
        Self::with_capacity_and_hasher(entries, Hasher::default())
    }

    fn get(&self, key: &K) -> Option<V> {
        self.pin().get(key).cloned()
    }

    fn set(&self, key: &K, value: V) {
        self.pin().insert(key.clone(), value);
    }

    fn remove(&self, key: &K) -> bool {
        self.pin().remove(key).is_some()
    }

    fn upsert(&self, key: &K, initial: V, change: impl Fn(&mut V)) {
        let changed = |value: &V| {
            let mut value = value.clone();
            change(&mut value);
            value
        };
        self.pin().update_or_insert(key.clone(), changed, initial);
    }
}

/// `moka::sync::Cache` without a bound.
pub type Moka<K, V> = moka::sync::Cache<K, V, Hasher>;

impl<K: Key, V: Value> Subject<K, V> for Moka<K, V> {
    fn with_room(entries: usize) -> Self {
        moka::sync::Cache::builder().initial_capacity(entries).build_with_hasher(Hasher::default())
    }

    fn get(&self, key: &K) -> Option<V> {
        self.get(key)
    }

    fn set(&self, key: &K, value: V) {
        self.insert(key.clone(), value);
    }

    fn remove(&self, key: &K) -> bool {
        self.remove(key).is_some()
    }

    fn upsert(&self, key: &K, initial: V, change: impl Fn(&mut V)) {
        self.entry_by_ref(key).and_compute_with(|there| {
            Op::Put(there.map_or(initial, |entry| {
                let mut value = entry.into_value();
                change(&mut value);
                value
            }))
        });
    }
}

/// `quick_cache::sync::Cache`, so roomy that it evicts nothing.
pub struct Quick<K: Key, V: Value>(quick_cache::sync::Cache<K, V, UnitWeighter, Hasher, DefaultLifecycle<K, V>>);

impl<K: Key, V: Value> fmt::Debug for Quick<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quick").finish_non_exhaustive()
    }
}

/// More entries than any case has.
const ROOMY: u64 = 1 << 26;

impl<K: Key, V: Value> Subject<K, V> for Quick<K, V> {
    fn with_room(entries: usize) -> Self {
        let (hasher, lifecycle) = (Hasher::default(), DefaultLifecycle::default());
        Self(quick_cache::sync::Cache::with(entries, ROOMY, UnitWeighter, hasher, lifecycle))
    }

    fn get(&self, key: &K) -> Option<V> {
        self.0.get(key)
    }

    fn set(&self, key: &K, value: V) {
        self.0.insert(key.clone(), value);
    }

    fn remove(&self, key: &K) -> bool {
        self.0.remove(key).is_some()
    }

    fn upsert(&self, key: &K, initial: V, change: impl Fn(&mut V)) {
        let changed = self.0.entry(key, None, |_, value| {
            change(value);
            EntryAction::Retain(())
        });
        if let EntryResult::Vacant(guard) = changed {
            guard.insert(initial).expect("nobody else can fill a place that is guarded");
        }
    }
}

/// `std`'s map behind one `parking_lot::RwLock`.
pub type Locked<K, V> = RwLock<HashMap<K, V, Hasher>>;

impl<K: Key, V: Value> Subject<K, V> for Locked<K, V> {
    fn with_room(entries: usize) -> Self {
        Self::new(HashMap::with_capacity_and_hasher(entries, Hasher::default()))
    }

    fn get(&self, key: &K) -> Option<V> {
        self.read().get(key).cloned()
    }

    fn set(&self, key: &K, value: V) {
        let replaced = self.write().insert(key.clone(), value);
        drop(replaced);
    }

    fn remove(&self, key: &K) -> bool {
        self.write().remove(key).is_some()
    }

    fn upsert(&self, key: &K, initial: V, change: impl Fn(&mut V)) {
        self.write().entry(key.clone()).and_modify(change).or_insert(initial);
    }
}
