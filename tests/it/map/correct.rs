//! What each method does, one caller at a time.

use std::collections::HashMap;
use std::sync::Arc;

use flowgate::{Compute, Computed, ConcurrentMap, Equivalent};

fn three() -> ConcurrentMap<String, u32> {
    ConcurrentMap::from([("a", 1), ("b", 2), ("c", 3)].map(|(key, value)| (key.to_owned(), value)))
}

fn sorted(map: &ConcurrentMap<String, u32>) -> Vec<(String, u32)> {
    let mut entries = map.snapshot();
    entries.sort();
    entries
}

#[test]
fn what_was_stored_is_found_by_any_form_of_its_key() {
    let map = three();
    assert_eq!(map.get("a"), Some(1));
    assert_eq!(map.get(&"b".to_owned()), Some(2));
    assert_eq!(map.get("d"), None);
    assert_eq!(map.read("c", |value| value * 10), Some(30));
    assert_eq!(map.read("d", |_| unreachable!("there is no such value")), None::<()>);
    assert!(map.contains_key("a") && !map.contains_key("d"));
    assert_eq!(map.len(), 3);
    assert!(!map.is_empty());
}

#[test]
fn keys_are_looked_up_by_what_is_equivalent_to_them() {
    #[derive(Hash)]
    struct Both<'a>(&'a str, u8);
    impl Equivalent<(String, u8)> for Both<'_> {
        fn equivalent(&self, key: &(String, u8)) -> bool {
            *self.0 == key.0 && self.1 == key.1
        }
    }
    let map = ConcurrentMap::<(String, u8), u32>::new();
    map.insert(("a".into(), 1), 7);
    assert_eq!(map.get(&Both("a", 1)), Some(7));
    assert_eq!(map.get(&Both("a", 2)), None);
    assert_eq!(map.update(&Both("a", 1), |value| std::mem::replace(value, 8)), Some(7));
    assert_eq!(map.remove(&Both("a", 1)), Some((("a".into(), 1), 8)));
}

#[test]
fn insert_replaces_and_returns_what_it_replaced() {
    let map = three();
    assert_eq!(map.insert("a".into(), 9), Some(1));
    assert_eq!(map.insert("d".into(), 4), None);
    assert_eq!(map.insert_ref("a", 10), Some(9));
    assert_eq!(map.insert_ref("e", 5), None);
    assert_eq!(map.try_insert("a".into(), 11).unwrap(), Some(10));
    assert_eq!(map.try_insert("f".into(), 6).unwrap(), None);
    let wanted = [("a", 11), ("b", 2), ("c", 3), ("d", 4), ("e", 5), ("f", 6)];
    assert_eq!(sorted(&map), wanted.map(|(key, value)| (key.to_owned(), value)));
}

/// A key that counts its clones.
#[derive(PartialEq, Eq, Hash)]
struct Costly(u8, Arc<()>);

impl Clone for Costly {
    fn clone(&self) -> Self {
        Self(self.0, self.1.clone())
    }
}

impl std::borrow::Borrow<u8> for Costly {
    fn borrow(&self) -> &u8 {
        &self.0
    }
}

#[test]
fn a_lent_key_is_cloned_only_if_it_is_missing() {
    let (map, count) = (ConcurrentMap::new(), Arc::new(()));
    let key = Costly(1, count.clone());
    map.insert_ref(&key, 1);
    assert_eq!(Arc::strong_count(&count), 3);
    map.insert_ref(&key, 2);
    map.upsert_ref(&key, |value| *value += 1, || 0);
    assert_eq!(map.get_or_insert_with_ref(&key, || 0), 3);
    map.compute_ref(&key, |value| Compute::Insert(value.map_or(0, |value| value + 1)));
    map.compute_ref(&Costly(2, count.clone()), |_| Compute::Keep);
    assert_eq!(map.get(&key), Some(4));
    assert_eq!(Arc::strong_count(&count), 3);
}

#[test]
fn remove_returns_key_and_value() {
    let map = three();
    assert_eq!(map.remove("a"), Some(("a".into(), 1)));
    assert_eq!(map.remove("a"), None);
    assert_eq!(map.remove_if("b", |value| *value > 2), None);
    assert_eq!(map.remove_if("b", |value| *value == 2), Some(("b".into(), 2)));
    assert_eq!(map.remove_if("b", |_| unreachable!("there is no such value")), None);
    assert_eq!(sorted(&map), [("c".into(), 3)]);
}

#[test]
fn compute_inserts_replaces_removes_and_keeps() {
    let map = ConcurrentMap::new();
    let add = |value: Option<&u32>| Compute::Insert(value.map_or(1, |value| value + 1));
    assert_eq!(map.compute("k", add), Computed::Inserted);
    assert_eq!(map.compute("k", add), Computed::Replaced(1));
    assert_eq!(map.compute("k", |_| Compute::Keep), Computed::Unchanged);
    assert_eq!(map.get("k"), Some(2));
    assert_eq!(map.compute("k", |_| Compute::Remove), Computed::Removed(2));
    assert_eq!(map.compute("k", |_| Compute::Remove), Computed::Unchanged);
    assert_eq!(map.compute("k", |_| Compute::Keep), Computed::Unchanged);
    assert!(map.is_empty());
}

#[test]
fn upsert_changes_or_makes() {
    let map = ConcurrentMap::new();
    let push = |number| move |list: &mut Vec<u32>| list.push(number);
    assert_eq!(map.upsert(1, push(7), Vec::new), Computed::Inserted);
    assert_eq!(map.upsert(1, push(8), || unreachable!("there is a value")), Computed::Updated);
    assert_eq!(map.get(&1), Some(vec![8]));
}

#[test]
fn get_or_insert_with_makes_once() {
    let map = ConcurrentMap::new();
    assert_eq!(map.get_or_insert_with("k", || 1), 1);
    assert_eq!(map.get_or_insert_with("k", || unreachable!("there is a value")), 1);
    assert_eq!(map.get_or_insert_with_ref(&"l", || 2), 2);
    assert_eq!(map.len(), 2);
}

#[test]
fn retain_keeps_what_it_is_told_to_and_may_change_it() {
    let map = three();
    let removed = map.retain(|_, value| {
        *value *= 10;
        *value != 20
    });
    assert_eq!(removed, 1);
    assert_eq!(sorted(&map), [("a".into(), 10), ("c".into(), 30)]);
}

#[test]
fn drain_and_clear_empty_the_map() {
    let map = three();
    let mut drained = map.drain();
    drained.sort();
    assert_eq!(drained, [("a".into(), 1), ("b".into(), 2), ("c".into(), 3)]);
    assert!(map.is_empty() && map.drain().is_empty());
    map.extend_with(drained);
    map.clear();
    assert_eq!((map.len(), map.get("a")), (0, None));
    map.insert("a".into(), 1);
    assert_eq!(map.len(), 1);
}

trait ExtendWith {
    fn extend_with(&self, entries: Vec<(String, u32)>);
}

impl ExtendWith for ConcurrentMap<String, u32> {
    fn extend_with(&self, entries: Vec<(String, u32)>) {
        let mut shared = self;
        shared.extend(entries);
    }
}

#[test]
fn a_clone_is_the_same_map() {
    let map = three();
    let other = map.clone();
    other.insert("d".into(), 4);
    assert_eq!(map.get("d"), Some(4));
    drop(map);
    assert_eq!(other.len(), 4);
}

#[test]
fn a_full_map_gives_new_pairs_back() {
    let map = ConcurrentMap::builder().max_entries(2).build().unwrap();
    assert_eq!(map.try_insert("a", 1).unwrap(), None);
    assert_eq!(map.insert("b", 2), None);
    let refused = map.try_insert("c", 3).unwrap_err();
    assert_eq!((refused.to_string(), refused.into_pair()), ("the map is full".into(), ("c", 3)));
    assert_eq!(map.try_insert("a", 4).unwrap(), Some(1), "a key that is there needs no room");
    assert_eq!(map.compute("c", |_| Compute::Insert(3)), Computed::Refused(3));
    assert_eq!(map.upsert("c", |_| (), || 3), Computed::Refused(3));
    assert_eq!(map.get_or_insert_with("c", || 3), 3);
    assert_eq!((map.len(), map.get("c"), map.max_entries()), (2, None, Some(2)));
    assert_eq!(map.insert("c", 3), None, "what cannot refuse stores");
    assert_eq!(map.len(), 3);
    map.remove("a");
    assert!(map.try_insert("d", 5).is_err());
    map.remove("b");
    assert_eq!(map.try_insert("d", 5).unwrap(), None);
    map.retain(|_, _| false);
    assert_eq!(map.compute("e", |_| Compute::Insert(6)), Computed::Inserted);
    map.clear();
    assert_eq!(map.upsert("f", |_| (), || 7), Computed::Inserted);
    assert_eq!(map.drain(), [("f", 7)]);
    assert_eq!(map.get_or_insert_with("g", || 8), 8);
    assert_eq!(map.len(), 1);
}

#[test]
fn many_keys_in_shards_of_every_number() {
    for shards in [1, 2, 64, 4_096] {
        let map = ConcurrentMap::with_shards(shards);
        assert_eq!(map.shards(), shards);
        let mut oracle = HashMap::new();
        for number in 0..5_000_u64 {
            assert_eq!(map.insert(number % 3_000, number), oracle.insert(number % 3_000, number));
            assert_eq!(map.remove(&(number / 2)), oracle.remove_entry(&(number / 2)));
        }
        assert_eq!(map.len(), oracle.len());
        assert_eq!(map.iter().collect::<HashMap<_, _>>(), oracle);
    }
}
