//! Visiting all entries, and what order and consistency there is.

use std::collections::{HashMap, HashSet};
use std::thread;

use flowgate::ConcurrentMap;

fn numbers(count: u32) -> ConcurrentMap<u32, u32> {
    (0..count).map(|number| (number, number * 2)).collect()
}

#[test]
fn every_way_of_visiting_sees_each_entry_once() {
    let map = numbers(1_000);
    let wanted: HashMap<u32, u32> = (0..1_000).map(|number| (number, number * 2)).collect();
    let whole = |entries: Vec<(u32, u32)>| {
        assert_eq!(entries.len(), 1_000);
        assert_eq!(entries.into_iter().collect::<HashMap<_, _>>(), wanted);
    };
    whole(map.snapshot());
    whole(map.iter().collect());
    whole((&map).into_iter().collect());
    whole(map.keys().map(|key| (key, key * 2)).collect());
    whole(map.values().map(|value| (value / 2, value)).collect());
    let mut visited = Vec::new();
    map.for_each(|key, value| visited.push((*key, *value)));
    whole(visited);
}

#[test]
fn an_iterator_that_has_ended_stays_so_and_knows_its_size_at_the_end() {
    let map = ConcurrentMap::with_shards(1);
    map.insert(1, 1);
    let mut entries = map.iter();
    assert_eq!(entries.size_hint(), (0, None));
    assert_eq!(entries.next(), Some((1, 1)));
    assert_eq!(entries.size_hint(), (0, Some(0)));
    assert_eq!((entries.next(), entries.next()), (None, None));
}

#[test]
fn the_map_can_be_written_to_between_two_items() {
    let map = numbers(100);
    // What is stored meanwhile may be seen or not.
    for (key, _) in map.iter().filter(|(key, _)| *key < 1_000) {
        assert_eq!(map.remove(&key), Some((key, key * 2)));
        map.insert(key + 1_000, 0);
    }
    assert!(map.keys().all(|key| key >= 1_000));
    assert_eq!(map.len(), 100);
}

/// Entries that stay are seen exactly once, however much goes on around them.
#[test]
fn what_stays_is_seen_once() {
    let map = numbers(500);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..40 {
                for key in 1_000..2_000 {
                    if round % 2 == 0 {
                        map.insert(key, 0);
                    } else {
                        map.remove(&key);
                    }
                }
            }
        });
        let mut looks = 0;
        while looks < 5 || !writer.is_finished() {
            let seen: Vec<u32> = map.keys().filter(|key| *key < 500).collect();
            assert_eq!(seen.len(), 500);
            assert_eq!(seen.into_iter().collect::<HashSet<_>>().len(), 500);
            looks += 1;
        }
    });
}

#[tokio::test]
async fn an_iterator_may_be_kept_over_an_await() {
    let map = numbers(50);
    let shared = map.clone();
    let summed = tokio::spawn(async move {
        let mut sum = 0;
        for (key, _) in &shared {
            tokio::task::yield_now().await;
            shared.insert(key, 0);
            sum += key;
        }
        sum
    });
    assert_eq!(summed.await.unwrap(), (0..50).sum::<u32>());
    assert!(map.values().all(|value| value == 0));
}
