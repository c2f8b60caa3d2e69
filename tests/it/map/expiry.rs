//! Entries that expire, on a paused clock.

use std::time::Duration;

use flowgate::{Compute, Computed, ConcurrentMap, Ticker};
use tokio::time::advance;

use crate::support::{Tally, ms, secs};

fn map() -> ConcurrentMap<u32, u32> {
    ConcurrentMap::builder().ttl(secs(10)).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_entry_lives_until_its_deadline_and_not_a_moment_longer() {
    let map = map();
    map.insert(1, 1);
    advance(secs(10) - Duration::from_nanos(1)).await;
    assert_eq!(map.get(&1), Some(1));
    advance(Duration::from_nanos(1)).await;
    assert_eq!(map.get(&1), None);
    assert!(!map.contains_key(&1));
}

/// Seen to fail: a replaced value keeps the deadline of the old one.
#[tokio::test(start_paused = true)]
async fn storing_again_begins_a_new_life_and_changing_in_place_does_not() {
    let map = map();
    map.insert(1, 1);
    map.insert(2, 2);
    map.insert(3, 3);
    map.insert(4, 4);
    advance(secs(6)).await;
    assert_eq!(map.insert(1, 10), Some(1));
    assert_eq!(map.update(&2, |value| *value), Some(2));
    assert_eq!(map.upsert(3, |value| *value += 1, || 0), Computed::Updated);
    assert_eq!(map.compute(4, |_| Compute::Insert(40)), Computed::Replaced(4));
    advance(secs(6)).await;
    assert_eq!([1, 2, 3, 4].map(|key| map.get(&key)), [Some(10), None, None, Some(40)]);
}

#[tokio::test(start_paused = true)]
async fn each_entry_may_have_its_own_time() {
    let plain = ConcurrentMap::new();
    plain.insert("forever", 1);
    plain.insert_with_ttl("soon", 2, secs(1));
    plain.insert_with_ttl("never", 3, Duration::MAX);
    plain.insert_with_ttl("at once", 4, Duration::ZERO);
    assert_eq!(plain.get("at once"), None);
    advance(secs(2)).await;
    assert_eq!((plain.get("forever"), plain.get("soon"), plain.get("never")), (Some(1), None, Some(3)));
    plain.insert_with_ttl("forever", 1, secs(1));
    plain.insert("soon", 2);
    advance(secs(2)).await;
    assert_eq!((plain.get("forever"), plain.get("soon")), (None, Some(2)));
}

#[tokio::test(start_paused = true)]
async fn an_expired_entry_is_absent_to_every_method() {
    let stale = || {
        let map = ConcurrentMap::with_shards(1);
        map.insert_with_ttl(1, 1, secs(1));
        map.insert_with_ttl(2, 2, secs(100));
        map
    };
    let maps: Vec<ConcurrentMap<u32, u32>> = (0..12).map(|_| stale()).collect();
    advance(secs(1)).await;
    assert_eq!(maps[0].insert(1, 5), None);
    assert_eq!(maps[1].remove(&1), None);
    assert_eq!(maps[2].remove_if(&1, |_| unreachable!("it has expired")), None);
    assert_eq!(maps[3].update(&1, |_| unreachable!("it has expired")), None::<()>);
    assert_eq!(maps[4].compute(1, |value| Compute::Insert(value.map_or(7, |_| 8))), Computed::Inserted);
    assert_eq!(maps[5].upsert(1, |_| unreachable!("it has expired"), || 7), Computed::Inserted);
    assert_eq!(maps[6].get_or_insert_with(1, || 7), 7);
    assert_eq!(maps[7].drain(), [(2, 2)]);
    assert_eq!(maps[8].snapshot(), [(2, 2)]);
    let mut visited = Vec::new();
    maps[9].for_each(|key, _| visited.push(*key));
    assert_eq!(visited, [2]);
    assert_eq!(maps[10].retain(|key, _| *key == 2), 0);
    assert_eq!(maps[11].try_insert(1, 5).unwrap(), None);
    assert_eq!(maps.iter().map(|map| map.get(&2)).filter(Option::is_none).count(), 1, "the drained one");
}

/// Memory of what has expired is bounded by what was written since: no look at these keys is needed.
///
/// Seen to fail: writes do not sweep.
#[tokio::test(start_paused = true)]
async fn writes_sweep_out_what_has_expired() {
    let tally = Tally::new();
    let map = ConcurrentMap::builder().ttl(secs(1)).shards(1).build().unwrap();
    for key in 0..1_000 {
        map.insert(key, tally.make(key));
    }
    advance(secs(2)).await;
    let places = 2_048;
    for write in 0..places / 4 {
        map.insert(0, tally.make(write));
    }
    assert_eq!(tally.alive(), 1, "a write looks at four places, so all have been looked at");
    assert_eq!(map.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_table_does_not_grow_for_what_has_expired() {
    let map = ConcurrentMap::builder().ttl(secs(1)).shards(1).build().unwrap();
    for round in 0..50_u32 {
        for key in 0..100 {
            map.insert(round * 100 + key, ());
        }
        advance(secs(1)).await;
    }
    assert!(map.capacity() <= 448, "{}", map.capacity());
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_can_be_removed_at_once() {
    let tally = Tally::new();
    let map = ConcurrentMap::builder().ttl(secs(1)).max_entries(100).build().unwrap();
    for key in 0..100 {
        assert!(map.try_insert(key, tally.make(key)).is_ok());
    }
    assert_eq!(map.remove_expired(), 0);
    advance(secs(1)).await;
    assert!(map.len() == 100 && map.snapshot_len() == 0, "it counts until it is swept out");
    assert_eq!(map.remove_expired(), 100);
    assert_eq!((map.len(), tally.alive()), (0, 0));
    assert!((0..100).all(|key| map.try_insert(key, tally.make(key)).is_ok()), "there is room again");
}

trait SnapshotLen {
    fn snapshot_len(&self) -> usize;
}

impl<V> SnapshotLen for ConcurrentMap<u64, V> {
    fn snapshot_len(&self) -> usize {
        self.keys().count()
    }
}

/// Deadlines move with their entries when the table grows and shrinks.
///
/// Seen to fail: a table that grows takes no deadlines along.
#[tokio::test(start_paused = true)]
async fn deadlines_follow_their_entries_through_every_size() {
    let map = ConcurrentMap::with_shards(1);
    for key in 0..1_000_u64 {
        if key % 2 == 0 {
            map.insert_with_ttl(key, key, secs(5 + key));
        } else {
            map.insert(key, key);
        }
    }
    map.shrink_to_fit();
    map.reserve(10_000);
    map.shrink_to_fit();
    for passed in 0..1_000 {
        if passed == 500 {
            map.reserve(3_000);
        }
        let live = |key: u64| key % 2 == 1 || key + 5 > passed;
        for key in [passed.saturating_sub(5), passed.saturating_sub(4), passed] {
            if key < 1_000 {
                assert_eq!(map.get(&key).is_some(), live(key), "{key} after {passed} s");
            }
        }
        advance(secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_ticker_shows_the_time_of_its_last_tick() {
    let ticker = Ticker::default();
    let map = ConcurrentMap::builder().ttl(secs(10)).ticker(&ticker).build().unwrap();
    map.insert(1, 1);
    advance(secs(60)).await;
    assert_eq!(map.get(&1), Some(1), "nothing has ticked");
    ticker.tick();
    assert_eq!(map.get(&1), None);
    map.insert(2, 2);
    advance(secs(10)).await;
    map.insert(3, 3);
    assert_eq!(map.get(&2), None, "a write with a time to live ticks");
}

#[tokio::test(start_paused = true)]
async fn a_ticker_ticks_for_as_long_as_it_is_polled() {
    let ticker = Ticker::new();
    let map = ConcurrentMap::builder().ttl(secs(10)).ticker(&ticker).build().unwrap();
    map.insert(1, 1);
    let ticking = tokio::spawn({
        let ticker = ticker.clone();
        async move { ticker.run(ms(100)).await }
    });
    tokio::time::sleep(secs(10) - ms(1)).await;
    assert_eq!(map.get(&1), Some(1));
    tokio::time::sleep(ms(101)).await;
    assert_eq!(map.get(&1), None);
    ticking.abort();
    assert!(ticking.await.unwrap_err().is_cancelled());
}

#[test]
fn a_map_works_without_a_runtime() {
    let map = map();
    map.insert(1, 1);
    assert_eq!(map.get(&1), Some(1));
    map.insert_with_ttl(1, 1, Duration::ZERO);
    assert_eq!(map.get(&1), None);
}
