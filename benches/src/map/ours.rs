//! `ConcurrentMap`.

use flowgate::ConcurrentMap;

use crate::map::subject::{Hasher, Key, Subject, Value};

/// With the hasher that the rivals have.
pub type Ours<K, V> = ConcurrentMap<K, V, Hasher>;

impl<K: Key, V: Value> Subject<K, V> for Ours<K, V> {
    fn with_room(entries: usize) -> Self {
        let map = Self::with_hasher(Hasher::default());
        if entries > 0 {
            map.reserve(entries);
        }
        map
    }

    fn get(&self, key: &K) -> Option<V> {
        self.get(key)
    }

    fn set(&self, key: &K, value: V) {
        self.insert_ref(key, value);
    }

    fn remove(&self, key: &K) -> bool {
        self.remove(key).is_some()
    }

    fn upsert(&self, key: &K, initial: V, change: impl Fn(&mut V)) {
        let _inserted_or_updated = self.upsert_ref(key, change, || initial);
    }
}
