//! What comes in goes out once, and its memory with it.

use flowgate::{Compute, ConcurrentMap};

use crate::support::Tally;

#[test]
fn every_value_and_key_is_dropped_once() {
    let tally = Tally::new();
    let map = ConcurrentMap::new();
    for round in 0..3 {
        for key in 0..200 {
            map.insert(key, tally.make(round));
        }
        map.retain(|key, _| key % 3 != 0);
        for key in 0..50 {
            map.remove(&key);
            map.compute(key, |_| Compute::Insert(tally.make(key)));
        }
    }
    assert_eq!(tally.alive(), map.len());
    map.shrink_to_fit();
    map.reserve(10_000);
    assert_eq!(tally.alive(), map.len());
    drop(map.drain());
    assert_eq!(tally.alive(), 0);
    map.insert(1, tally.make(1));
    let other = map.clone();
    drop(map);
    assert_eq!(tally.alive(), 1);
    drop(other);
    assert_eq!(tally.alive(), 0);
}

/// Seen to fail: removals never shrink a table.
#[test]
fn a_million_keys_inserted_and_removed_give_their_memory_back() {
    let map = ConcurrentMap::<u64, u64>::new();
    for key in 0..1_000_000 {
        map.insert(key, key);
    }
    assert!(map.capacity() >= 1_000_000);
    for key in 0..999_000 {
        map.remove(&key);
    }
    assert_eq!(map.len(), 1_000);
    assert!(map.capacity() <= 16 * 1_000, "{} for 1,000 entries", map.capacity());
    for key in 999_000..1_000_000 {
        assert_eq!(map.remove(&key), Some((key, key)));
    }
    map.shrink_to_fit();
    assert_eq!(map.capacity(), 0);
}

#[test]
fn retain_and_remove_expired_give_memory_back_too() {
    let map: ConcurrentMap<u64, u64> = (0..100_000).map(|key| (key, key)).collect();
    map.retain(|key, _| *key < 10);
    assert_eq!(map.len(), 10);
    assert!(map.capacity() <= 64 * 64, "{}", map.capacity());
}

#[test]
fn memory_that_was_reserved_stays_until_it_is_given_back() {
    let map = ConcurrentMap::<u64, u64>::with_capacity(100_000);
    map.insert(1, 1);
    map.remove(&1);
    assert!(map.capacity() >= 100_000);
    map.shrink_to_fit();
    assert_eq!(map.capacity(), 0);
    map.reserve(100_000);
    map.clear();
    assert_eq!(map.capacity(), 0);
}

/// Keys that come and go at a steady number do not make the table grow.
#[test]
fn churn_does_not_grow_the_table() {
    let map = ConcurrentMap::with_shards(1);
    let mut most = 0;
    for key in 0..100_000_u64 {
        map.insert(key, key);
        if key >= 100 {
            assert_eq!(map.remove(&(key - 100)), Some((key - 100, key - 100)));
        }
        most = most.max(map.capacity());
    }
    assert_eq!(map.len(), 100);
    assert!(most <= 448, "{most} for 100 entries");
}
