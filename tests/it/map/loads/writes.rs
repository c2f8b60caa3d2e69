//! Writes that come while a load is under way; full maps; loaded values that expire.

use flowgate::{Compute, ConcurrentMap, LoadSource, Ticker};

use super::{Map, Source, begin, no_task_is_left};
use crate::support::{on_both_runtimes, secs, until};

/// Starts a load of key 1, lets `write` happen meanwhile, and returns what the waiter has and what the map keeps.
async fn overtaken_by(write: impl FnOnce(&Map)) -> (u32, Option<u32>, usize) {
    let (map, source) = (Map::new(), Source::new());
    let mut asking = source.ask(&map, 1, 7);
    begin(&mut asking).await;
    until("the load is under way", || source.gate.waiting() == 1).await;
    write(&map);
    source.gate.open();
    let loaded = asking.await.unwrap();
    assert_eq!(loaded.source, LoadSource::Load);
    no_task_is_left().await;
    // Whether the next caller hits depends on the write; it never gets what was loaded before it.
    let kept = map.get(&1);
    let next = source.ask(&map, 1, 8).await.unwrap();
    assert_eq!(next.value, kept.unwrap_or(8));
    (loaded.value, kept, source.loads())
}

on_both_runtimes! {
    async fn a_stale_load_does_not_overwrite_what_was_written() {
        assert_eq!(overtaken_by(|map| assert_eq!(map.insert(1, 9), None)).await, (7, Some(9), 1));
        assert_eq!(overtaken_by(|map| { map.try_insert(1, 9).unwrap(); }).await, (7, Some(9), 1));
        assert_eq!(overtaken_by(|map| assert_eq!(map.get_or_insert_with(1, || 9), 9)).await, (7, Some(9), 1));
        let inserted = overtaken_by(|map| { map.compute(1, |found| { assert_eq!(found, None); Compute::Insert(9) }); });
        assert_eq!(inserted.await, (7, Some(9), 1));
    }

    async fn a_stale_load_is_not_stored_after_a_removal() {
        assert_eq!(overtaken_by(|map| assert_eq!(map.remove(&1), None)).await, (7, None, 2));
        assert_eq!(overtaken_by(Map::clear).await, (7, None, 2));
        assert_eq!(overtaken_by(|map| drop(map.drain())).await, (7, None, 2));
        assert_eq!(overtaken_by(|map| { map.insert(1, 9); map.remove(&1); }).await, (7, None, 2));
    }

    async fn what_writes_nothing_does_not_overtake() {
        assert_eq!(overtaken_by(|map| assert_eq!(map.get(&1), None)).await, (7, Some(7), 1));
        assert_eq!(overtaken_by(|map| assert_eq!(map.update(&1, |_| ()), None)).await, (7, Some(7), 1));
        assert_eq!(overtaken_by(|map| { map.compute(1, |_| Compute::Keep); }).await, (7, Some(7), 1));
        assert_eq!(overtaken_by(|map| { map.insert(2, 9); map.remove(&2); }).await, (7, Some(7), 1));
    }

    async fn whoever_asks_after_a_removal_does_not_share_the_load_before_it() {
        let (map, source) = (Map::new(), Source::new());
        let (mut before, mut follower) = (source.ask(&map, 1, 7), source.ask(&map, 1, 0));
        begin(&mut before).await;
        begin(&mut follower).await;
        map.remove(&1);
        let mut after = source.ask(&map, 1, 8);
        begin(&mut after).await;
        until("two loads are under way", || source.gate.waiting() == 2).await;
        source.gate.open();
        assert_eq!((before.await.unwrap().value, follower.await.unwrap().value), (7, 7));
        let fresh = after.await.unwrap();
        assert_eq!((fresh.value, fresh.source), (8, LoadSource::Load));
        no_task_is_left().await;
        assert_eq!((map.get(&1), source.loads()), (Some(8), 2));
    }

    async fn a_load_may_write_its_own_key() {
        let map = Map::new();
        let inner = map.clone();
        let loaded = map.get_or_load(1, || async move { inner.insert(1, 9); 7 }).await.unwrap();
        assert_eq!((loaded.value, map.get(&1)), (7, Some(9)));
    }

    /// Seen to fail: the answer of `admit` is ignored.
    async fn a_full_map_returns_what_it_does_not_store() {
        let map = Map::builder().max_entries(1).build().unwrap();
        let source = Source::new();
        source.gate.open();
        map.insert(1, 1);
        for loads in 1..=2 {
            let loaded = source.ask(&map, 2, 7).await.unwrap();
            assert_eq!((loaded.value, loaded.source, source.loads()), (7, LoadSource::Load, loads));
            assert_eq!((map.get(&2), map.len()), (None, 1));
        }
        map.remove(&1);
        assert_eq!(source.ask(&map, 2, 8).await.unwrap().value, 8);
        assert_eq!(source.ask(&map, 2, 9).await.unwrap().source, LoadSource::Hit);
        no_task_is_left().await;
    }

    async fn a_load_that_is_not_stored_leaves_its_room_to_others() {
        let map = Map::builder().max_entries(2).build().unwrap();
        let source = Source::new();
        let mut asking = source.ask(&map, 1, 7);
        begin(&mut asking).await;
        map.insert(1, 9);
        source.gate.open();
        assert_eq!(asking.await.unwrap().value, 7);
        no_task_is_left().await;
        assert!(map.try_insert(2, 2).is_ok());
        assert!(map.try_insert(3, 3).is_err());
    }
}

/// Seen to fail: a loaded value is stored without a deadline.
#[tokio::test(start_paused = true)]
async fn a_loaded_value_lives_for_the_default_time_from_its_landing() {
    let map = ConcurrentMap::<u32, u32>::builder().ttl(secs(10)).build().unwrap();
    let slow = || async {
        tokio::time::sleep(secs(60)).await;
        7
    };
    assert_eq!(map.get_or_load(1, slow).await.unwrap().source, LoadSource::Load);
    tokio::time::advance(secs(9)).await;
    assert_eq!(map.get_or_load(1, slow).await.unwrap().source, LoadSource::Hit);
    tokio::time::advance(secs(1)).await;
    assert_eq!(map.get(&1), None);
    let (a, b) = tokio::join!(map.get_or_load(1, slow), map.get_or_load(1, slow));
    assert_eq!((a.unwrap().source, b.unwrap().source), (LoadSource::Load, LoadSource::Shared));
    no_task_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn a_write_with_its_own_time_to_live_overtakes_a_load() {
    let ticker = Ticker::new();
    let map = ConcurrentMap::<u32, u32>::builder().ticker(&ticker).build().unwrap();
    let source = Source::new();
    let mut asking = source.ask(&map, 1, 7);
    begin(&mut asking).await;
    map.insert_with_ttl(1, 9, secs(5));
    source.gate.open();
    assert_eq!(asking.await.unwrap().value, 7);
    assert_eq!(map.get(&1), Some(9));
    tokio::time::advance(secs(5)).await;
    ticker.tick();
    assert_eq!(map.get(&1), None, "the deadline is the write's");
    no_task_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_expires_while_it_is_written_back_is_loaded_once() {
    let map = ConcurrentMap::<u32, u32>::builder().ttl(secs(1)).build().unwrap();
    for round in 0..5 {
        let loaded = map.get_or_load(1, || async move { round }).await.unwrap();
        assert_eq!((loaded.value, loaded.source), (round, LoadSource::Load));
        tokio::time::advance(secs(1)).await;
    }
    no_task_is_left().await;
    assert!(map.len() <= 1);
}
