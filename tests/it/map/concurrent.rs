//! Many threads at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use flowgate::{Compute, Computed, ConcurrentMap};

/// Runs `job` on four threads, and hands each its number.
fn on_threads(job: impl Fn(u64) + Sync) {
    thread::scope(|scope| {
        for number in 0..4 {
            let job = &job;
            scope.spawn(move || job(number));
        }
    });
}

#[test]
fn no_update_is_lost_on_one_key() {
    const EACH: u64 = 5_000;
    let map = ConcurrentMap::<_, u64>::new();
    on_threads(|_| {
        for round in 0..EACH {
            match round % 3 {
                0 => assert_ne!(map.upsert("k", |count| *count += 1, || 1), Computed::Unchanged),
                1 => {
                    map.compute("k", |count| Compute::Insert(count.map_or(1, |count| count + 1)));
                }
                _ => {
                    map.get_or_insert_with("k", || 0);
                    map.update("k", |count| *count += 1).unwrap();
                }
            }
        }
    });
    assert_eq!(map.get("k"), Some(4 * EACH));
}

#[test]
fn of_two_who_remove_one_gets_the_value() {
    let map = ConcurrentMap::new();
    for key in 0..2_000_u64 {
        map.insert(key, key);
    }
    let got = AtomicUsize::new(0);
    on_threads(|_| {
        for key in 0..2_000_u64 {
            got.fetch_add(map.remove(&key).map_or(0, |_| 1), Ordering::Relaxed);
        }
    });
    assert_eq!(got.into_inner(), 2_000);
    assert!(map.is_empty());
}

#[test]
fn of_those_who_make_a_missing_value_one_does() {
    let (map, made) = (ConcurrentMap::new(), AtomicUsize::new(0));
    on_threads(|number| {
        for key in 0..500_u64 {
            let value = map.get_or_insert_with(key, || {
                made.fetch_add(1, Ordering::Relaxed);
                number
            });
            assert_eq!(map.get(&key), Some(value));
        }
    });
    assert_eq!(made.into_inner(), 500);
}

#[test]
fn keys_of_different_threads_do_not_mix() {
    let map = ConcurrentMap::with_shards(2);
    on_threads(|number| {
        for round in 0..2_000_u64 {
            let key = number * 10_000 + round % 300;
            assert_eq!(map.insert(key, round), round.checked_sub(300));
        }
        for round in 0..300 {
            assert!(map.remove(&(number * 10_000 + round)).is_some());
        }
    });
    assert!(map.is_empty());
}

/// Seen to fail: a place is not taken before the entry is stored.
#[test]
fn a_bounded_map_never_holds_more_than_its_bound() {
    // With one shard `len` is exact at its moment.
    let map = ConcurrentMap::builder().shards(1).max_entries(50).build().unwrap();
    let (refused, over) = (AtomicUsize::new(0), AtomicUsize::new(0));
    on_threads(|number| {
        for round in 0..3_000_u64 {
            let key = number * 1_000 + round % 40;
            if map.try_insert(key, round).is_err() {
                refused.fetch_add(1, Ordering::Relaxed);
                map.retain(|key, _| key / 1_000 != number);
            }
            if map.len() > 50 {
                over.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    assert_eq!(over.into_inner(), 0);
    assert!(refused.into_inner() > 0, "it was full now and then");
    map.clear();
    let accepted = (0..100).filter(|key| map.try_insert(*key, 0).is_ok()).count();
    assert_eq!(accepted, 50, "the count has not drifted");
}

#[test]
fn the_bound_holds_over_all_shards() {
    let map = ConcurrentMap::builder().max_entries(1_000).build().unwrap();
    for _ in 0..5 {
        let accepted = AtomicUsize::new(0);
        on_threads(|number| {
            for key in 0..1_000 {
                accepted.fetch_add(usize::from(map.try_insert((number, key), ()).is_ok()), Ordering::Relaxed);
            }
        });
        assert_eq!((accepted.into_inner(), map.len()), (1_000, 1_000));
        on_threads(|number| {
            let removed = map.keys().filter(|key| key.0 == number).filter(|key| map.remove(key).is_some());
            assert!(removed.count() <= 1_000);
        });
        assert!(map.is_empty());
    }
}

#[test]
fn compute_decides_by_what_is_there() {
    let tickets: ConcurrentMap<_, _> = (0..20).map(|show| (show, 100)).collect();
    let sold = AtomicUsize::new(0);
    on_threads(|_| {
        for round in 0..2_000 {
            let sale = tickets.compute(round % 20, |left| match left {
                None => Compute::Keep,
                Some(1) => Compute::Remove,
                Some(left) => Compute::Insert(left - 1),
            });
            sold.fetch_add(usize::from(sale != Computed::Unchanged), Ordering::Relaxed);
        }
    });
    assert_eq!((sold.into_inner(), tickets.len()), (2_000, 0));
}
