//! One load, shared by those who ask for it.

use std::cell::Cell;

use flowgate::{ConcurrentMap, LoadError, LoadSource, Loaded};

use super::{Asking, Map, Source, begin, no_task_is_left};
use crate::support::{Gate, on_both_runtimes, until};

// Decided at compile time. Loads ask more of their values than the map does: a map that has none keeps its traits.
const _: fn() = || {
    fn decide<T: Send + Sync + Unpin + 'static>() {}
    decide::<ConcurrentMap<Cell<u32>, Cell<u32>>>();
    decide::<Loaded<String>>();
    decide::<LoadSource>();
    decide::<LoadError>();
    decide::<LoadError<std::io::Error>>();
};

on_both_runtimes! {
    async fn a_missing_value_is_loaded_and_then_hit() {
        let (map, source) = (Map::new(), Source::new());
        source.gate.open();
        let loaded = source.ask(&map, 1, 7).await.unwrap();
        assert_eq!((loaded.value, loaded.source), (7, LoadSource::Load));
        let hit = source.ask(&map, 1, 8).await.unwrap();
        assert_eq!((hit.value, hit.source), (7, LoadSource::Hit));
        assert!(hit.source.is_hit());
        assert_eq!((source.loads(), map.get(&1)), (1, Some(7)));
        no_task_is_left().await;
    }

    async fn those_who_ask_meanwhile_share_one_load() {
        let (map, source) = (Map::new(), Source::new());
        let mut leader = source.ask(&map, 1, 7);
        begin(&mut leader).await;
        let mut followers: Vec<_> = (0..5).map(|n| source.ask(&map, 1, 100 + n)).collect();
        for follower in &mut followers {
            begin(follower).await;
        }
        assert_eq!(map.get(&1), None, "nothing is seen before it is loaded");
        source.gate.open();
        let loaded = leader.await.unwrap();
        assert_eq!((loaded.value, loaded.source), (7, LoadSource::Load));
        for follower in followers {
            let shared = follower.await.unwrap();
            assert_eq!((shared.value, shared.source), (7, LoadSource::Shared));
        }
        assert_eq!(source.loads(), 1);
        no_task_is_left().await;
    }

    async fn keys_load_beside_each_other() {
        let (map, source) = (Map::new(), Source::new());
        let mut asking: Vec<_> = (0..20).map(|key| source.ask(&map, key, key * 2)).collect();
        for one in &mut asking {
            begin(one).await;
        }
        until("every load is under way", || source.gate.waiting() == 20).await;
        source.gate.open();
        for (key, one) in asking.into_iter().enumerate() {
            assert_eq!(one.await.unwrap().into_value() as usize, key * 2);
        }
        assert_eq!((source.loads(), map.len()), (20, 20));
        no_task_is_left().await;
    }

    async fn the_loader_may_borrow_and_is_called_only_on_a_miss() {
        let map = ConcurrentMap::<u32, String>::new();
        let name = String::from("borrowed");
        let mut called = 0;
        for _ in 0..3 {
            let loaded = map.get_or_load(1, || {
                called += 1;
                let name = name.clone();
                async move { name }
            });
            assert_eq!(loaded.await.unwrap().value, name);
        }
        assert_eq!(called, 1);
    }

    async fn nothing_happens_before_the_first_poll() {
        let (map, source) = (Map::new(), Source::new());
        drop(source.ask(&map, 1, 7));
        assert_eq!(source.loads(), 0);
        no_task_is_left().await;
    }

    async fn a_load_may_use_the_map_that_it_is_for() {
        let map = Map::new();
        let inner = map.clone();
        let load = async move {
            inner.insert(2, 20);
            let other = inner.get_or_load(3, || async { 30 }).await.unwrap().value;
            inner.get(&2).unwrap() + other
        };
        assert_eq!(map.get_or_load(1, || load).await.unwrap().value, 50);
        assert_eq!(map.len(), 3);
        no_task_is_left().await;
    }

    async fn a_waiter_may_move_to_another_task() {
        let (map, source) = (Map::new(), Source::new());
        let (there, from) = (map.clone(), source.clone());
        let mut asking: Asking<'static> =
            Box::pin(async move { there.get_or_load(1, || from.load(7)).await });
        begin(&mut asking).await;
        let moved = tokio::spawn(asking);
        let gate: Gate = source.gate.clone();
        until("the load is under way", || gate.waiting() == 1).await;
        gate.open();
        assert_eq!(moved.await.unwrap().unwrap().value, 7);
        no_task_is_left().await;
    }
}
