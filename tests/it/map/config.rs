//! Options at the edge, and what shows of them.

use std::collections::hash_map::RandomState;
use std::time::Duration;

use flowgate::{ConcurrentMap, Ticker};

type Map = ConcurrentMap<u32, u32>;

#[test]
fn each_option_that_cannot_be_honoured_is_named_with_its_value_and_range() {
    let refused = [
        (Map::builder().shards(0), "map option `shards` is 0; allowed: 1 to 65536"),
        (Map::builder().shards(65_537), "map option `shards` is 65537; allowed: 1 to 65536"),
        (Map::builder().max_entries(0), "map option `max_entries` is 0; allowed: 1 or more"),
        (Map::builder().ttl(Duration::ZERO), "map option `ttl` is 0ns; allowed: more than zero"),
    ];
    for (builder, message) in refused {
        assert_eq!(builder.build().unwrap_err().to_string(), message);
    }
}

#[test]
fn options_at_their_ends_work() {
    for (asked, made) in [(1, 1), (3, 4), (64, 64), (65, 128), (65_536, 65_536)] {
        let map = Map::builder().shards(asked).build().unwrap();
        map.insert(1, 1);
        assert_eq!((map.shards(), map.get(&1)), (made, Some(1)));
    }
    assert_eq!((Map::with_shards(0).shards(), Map::with_shards(usize::MAX).shards()), (1, 65_536));
    let map = Map::builder().max_entries(usize::MAX).ttl(Duration::MAX).build().unwrap();
    map.insert(1, 1);
    assert_eq!(map.get(&1), Some(1));
}

#[test]
fn memory_that_was_asked_for_is_there() {
    let map = Map::with_capacity(10_000);
    assert!(map.capacity() >= 10_000);
    assert_eq!(Map::new().capacity(), 0);
    let built = Map::builder().shards(2).capacity(1_000).build().unwrap();
    assert!(built.capacity() >= 1_000);
    built.reserve(5_000);
    assert!(built.capacity() >= 5_000);
}

#[test]
fn any_hasher_will_do() {
    let map = ConcurrentMap::with_hasher(RandomState::new());
    map.insert("a", 1);
    assert_eq!(map.get("a"), Some(1));
    let _: &RandomState = map.hasher();
    let built = Map::builder().hasher(RandomState::new()).build().unwrap();
    assert_eq!(built.get(&1), None);
    let default: ConcurrentMap<u8, u8, RandomState> = [(1, 2)].into_iter().collect();
    assert_eq!(default.get(&1), Some(2));
}

#[test]
fn a_map_shows_its_name_and_numbers_and_no_entries() {
    let map = ConcurrentMap::builder().name("secrets").max_entries(9).shards(2).build().unwrap();
    map.insert("user", "password");
    assert_eq!(format!("{map:?}"), "ConcurrentMap { name: \"secrets\", len: 1, max_entries: Some(9), shards: 2, .. }");
    let inside = map.read("user", |_| format!("{map:?}"));
    assert_eq!(inside.unwrap(), "ConcurrentMap { name: \"secrets\", max_entries: Some(9), shards: 2, .. }");
    assert_eq!(format!("{:?}", Map::with_shards(1)), "ConcurrentMap { len: 0, max_entries: None, shards: 1, .. }");
    let builder = format!("{:?}", Map::builder().name("n").ticker(&Ticker::new()));
    assert!(builder.starts_with("ConcurrentMapBuilder { shards: 64, capacity: 0, max_entries: None"), "{builder}");
    assert!(format!("{:?}", map.iter()).starts_with("Iter { map: ConcurrentMap"));
}
