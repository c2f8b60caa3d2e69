//! What users of dashmap have reported to hang, done here: each ends, or does not compile (see the documentation of the map).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flowgate::ConcurrentMap;
use futures::future::join_all;

use crate::support::{promptly, soon};

/// dashmap#74: two references into one map, on one thread.
#[test]
fn issue_74_two_values_at_once_on_one_thread() {
    let map: ConcurrentMap<i32, i32> = (0..100).map(|key| (key, 0)).collect();
    let values: Vec<_> = (0..100).map(|key| (map.update(&key, |value| *value += 1), map.get(&key))).collect();
    assert!(values.iter().all(|pair| *pair == (Some(()), Some(1))));
    let (a, b) = (map.get(&1), map.get(&2));
    assert_eq!((map.remove(&1).map(|pair| pair.1), map.remove(&2).map(|pair| pair.1)), (a, b));
}

/// dashmap#79: thirty futures in one task, each of which looks up its key, waits, and looks it up to change it.
#[tokio::test(start_paused = true)]
async fn issue_79_futures_of_one_task_that_wait_between_look_ups() {
    let map = ConcurrentMap::new();
    let waits = (0..30).map(|key| {
        map.insert(key, key);
        let map = &map;
        async move {
            if let Some(value) = map.get(&key) {
                tokio::time::sleep(Duration::from_secs(1)).await;
                map.update(&key, |stored| *stored += value);
            }
            if map.contains_key(&key) {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    });
    soon(join_all(waits)).await;
    assert!((0..30).all(|key| map.get(&key) == Some(key * 2)));
}

/// dashmap#233: under which conditions does it deadlock? Under none: the one way to hold a lock and ask for another of the
/// same map is refused, with a message, on every shard.
#[test]
fn issue_233_the_one_way_to_deadlock_is_refused_with_a_message() {
    let map: ConcurrentMap<i32, i32> = (0..100).map(|key| (key, 0)).collect();
    for other in 0..100 {
        let nested = || map.read(&1, |_| map.get(&other));
        let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(nested)).unwrap_err();
        let message = refused.downcast::<String>().unwrap();
        assert!(message.starts_with("ConcurrentMap<i32, i32> was called by code that it runs"), "{message}");
    }
    assert_eq!(map.len(), 100);
}

/// dashmap#343: an interface in which a value cannot be held over an await.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issue_343_what_is_done_with_a_value_is_a_closure() {
    let map = ConcurrentMap::<&str, Vec<u32>>::new();
    let tasks = (0..8).map(|number| {
        let map = map.clone();
        tokio::spawn(async move {
            for _ in 0..100 {
                map.upsert("k", |list| list.push(number), || vec![number]);
                tokio::task::yield_now().await;
                map.update("k", |list| list.retain(|other| *other != number));
            }
        })
    });
    for task in promptly(join_all(tasks)).await {
        task.unwrap();
    }
    assert_eq!(map.read("k", Vec::len), Some(0));
}

/// dashmap#348: one thread; a task is in the middle of a change when another wants the same key.
#[tokio::test]
async fn issue_348_a_task_waits_in_the_middle_of_a_change() {
    let map = ConcurrentMap::from([(0, Arc::<AtomicU32>::default())]);
    let other = tokio::spawn({
        let map = map.clone();
        async move { map.update(&0, |value| value.fetch_add(1, Ordering::SeqCst)) }
    });
    let value = map.get(&0).unwrap();
    promptly(other).await.unwrap();
    value.fetch_add(1, Ordering::SeqCst);
    assert_eq!(value.load(Ordering::SeqCst), 2);
}
