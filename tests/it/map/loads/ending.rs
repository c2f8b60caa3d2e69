//! Those who ask leave early, the runtime ends, the map goes.

use std::sync::Arc;

use flowgate::{ConcurrentMap, LoadError, LoadSource};

use super::{Asking, Map, Source, begin, no_task_is_left};
use crate::support::{Tally, alive_tasks, on_both_runtimes, one_thread, promptly, until};

on_both_runtimes! {
    async fn a_leader_that_is_dropped_leaves_its_load_to_the_followers() {
        let (map, source) = (Map::new(), Source::new());
        let (mut leader, mut follower) = (source.ask(&map, 1, 7), source.ask(&map, 1, 8));
        begin(&mut leader).await;
        begin(&mut follower).await;
        drop(leader);
        source.gate.open();
        let shared = follower.await.unwrap();
        assert_eq!((shared.value, shared.source), (7, LoadSource::Shared));
        assert_eq!((source.loads(), map.get(&1)), (1, Some(7)));
        no_task_is_left().await;
    }

    async fn a_follower_that_leaves_disturbs_nobody() {
        let (map, source) = (Map::new(), Source::new());
        let mut leader = source.ask(&map, 1, 7);
        begin(&mut leader).await;
        let mut followers: Vec<_> = (0..3).map(|_| source.ask(&map, 1, 8)).collect();
        for follower in &mut followers {
            begin(follower).await;
        }
        drop(followers.remove(1));
        source.gate.open();
        assert_eq!(leader.await.unwrap().value, 7);
        for follower in followers {
            assert_eq!(follower.await.unwrap().value, 7);
        }
        assert_eq!(source.loads(), 1);
        no_task_is_left().await;
    }

    /// Seen to fail: the task does not ask whether anybody still wants the load; it hangs.
    async fn the_last_waiter_to_leave_aborts_the_load() {
        let (map, source) = (Map::new(), Source::new());
        let (mut leader, mut follower) = (source.ask(&map, 1, 7), source.ask(&map, 1, 8));
        begin(&mut leader).await;
        begin(&mut follower).await;
        until("the load is under way", || source.gate.waiting() == 1).await;
        drop(leader);
        tokio::task::yield_now().await;
        assert_eq!(source.gate.waiting(), 1, "somebody waits");
        drop(follower);
        until("the load is dropped", || source.gate.waiting() == 0).await;
        no_task_is_left().await;
        assert_eq!(map.get(&1), None);
        source.gate.open();
        let again = source.ask(&map, 1, 9).await.unwrap();
        assert_eq!((again.value, again.source, source.loads()), (9, LoadSource::Load, 2));
    }

    /// Seen to fail: an abandoned flight is joined.
    async fn a_load_is_dropped_that_is_abandoned_before_it_starts() {
        let (map, source) = (Map::new(), Source::new());
        let mut leader = source.ask(&map, 1, 7);
        begin(&mut leader).await;
        drop(leader);
        // Its task may not have been polled; whoever comes now does not wait for it.
        source.gate.open();
        assert_eq!(source.ask(&map, 1, 9).await.unwrap().value, 9);
        no_task_is_left().await;
        assert_eq!(map.get(&1), Some(9));
    }

    async fn what_a_load_owns_is_dropped_with_it() {
        let (map, tally) = (Map::new(), Tally::new());
        let owned = tally.make(1);
        let mut asking: Asking<'_> = Box::pin(map.get_or_load(1, || async move {
            let _owned = owned;
            std::future::pending().await
        }));
        begin(&mut asking).await;
        assert_eq!(tally.alive(), 1);
        drop(asking);
        until("it is dropped", || tally.alive() == 0).await;
        no_task_is_left().await;
    }

    async fn no_value_is_kept_by_what_has_ended() {
        let (map, tally) = (ConcurrentMap::<u32, Arc<_>>::new(), Tally::new());
        let made = tally.make(1);
        let loaded = map.get_or_load(1, || async move { Arc::new(made) }).await.unwrap();
        no_task_is_left().await;
        assert_eq!(Arc::strong_count(&loaded.value), 2, "the map's and this one");
        drop(map);
        assert_eq!(Arc::strong_count(&loaded.value), 1);
    }

    /// Seen to fail: the task holds the map.
    async fn a_load_keeps_nothing_of_the_map_alive() {
        let (map, tally, source) = (ConcurrentMap::<u32, Arc<_>>::new(), Tally::new(), Source::new());
        map.insert(2, Arc::new(tally.make(2)));
        let (there, from) = (map.clone(), source.clone());
        let made = tally.make(1);
        let waiting = tokio::spawn(async move {
            there.get_or_load(1, || async move { from.load(0).await; Arc::new(made) }).await.unwrap().value
        });
        until("the load is under way", || source.gate.waiting() == 1).await;
        drop(map);
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        // The last handle went with the waiter.
        until("everything is dropped", || tally.alive() == 0).await;
        no_task_is_left().await;
    }
}

/// Seen to fail: a task that is dropped ends no flight.
#[test]
fn a_runtime_that_shuts_down_leaves_its_loads_to_followers_elsewhere() {
    let (map, source) = (Map::new(), Source::new());
    let (first, second) = (one_thread(), one_thread());
    let mut leader = source.ask(&map, 1, 7);
    first.block_on(async {
        begin(&mut leader).await;
        until("the load is under way", || source.gate.waiting() == 1).await;
    });
    let mut follower = source.ask(&map, 1, 8);
    second.block_on(begin(&mut follower));
    drop(first);
    assert_eq!(source.gate.waiting(), 0, "it is dropped with its runtime");
    // The leader may be polled anywhere.
    assert!(matches!(second.block_on(leader), Err(LoadError::Aborted)));
    source.gate.open();
    let own = second.block_on(promptly(follower)).unwrap();
    assert_eq!((own.value, own.source, map.get(&1)), (8, LoadSource::Load, Some(8)), "it loads itself");
    second.block_on(until("no task is left", || alive_tasks() == 0));
}

#[test]
fn without_a_runtime_only_what_is_there_is_found() {
    let (map, source) = (Map::new(), Source::new());
    map.insert(1, 7);
    assert_eq!(futures::executor::block_on(source.ask(&map, 1, 8)).unwrap().value, 7);
    assert!(matches!(futures::executor::block_on(source.ask(&map, 2, 8)), Err(LoadError::NoRuntime)));
    assert_eq!(source.loads(), 0);
    // The key is free for callers with a runtime.
    source.gate.open();
    assert_eq!(one_thread().block_on(source.ask(&map, 2, 9)).unwrap().value, 9);
}

#[test]
fn a_follower_needs_no_runtime() {
    let (map, source) = (Map::new(), Source::new());
    let runtime = crate::support::threads(1);
    let _inside = runtime.enter();
    let mut leader = source.ask(&map, 1, 7);
    futures::executor::block_on(begin(&mut leader));
    source.gate.open();
    let elsewhere = std::thread::scope(|scope| {
        scope.spawn(|| futures::executor::block_on(source.ask(&map, 1, 8)).unwrap().value).join().unwrap()
    });
    assert_eq!(elsewhere, 7);
    assert_eq!(futures::executor::block_on(leader).unwrap().value, 7);
    runtime.block_on(until("no task is left", || alive_tasks() == 0));
}
