//! Loads that wait for each other.

use std::future::Future;
use std::pin::Pin;

use flowgate::{ConcurrentMap, LoadError};

use super::{Asking, Map, begin, no_task_is_left};
use crate::support::{Gate, on_both_runtimes, secs, soon, until};

type Answer = Result<u32, LoadError>;

/// What a load makes of the answer of the load that it asked for.
fn fallback(answer: Result<flowgate::Loaded<u32>, LoadError>) -> u32 {
    match answer {
        Ok(loaded) => loaded.value + 1,
        Err(LoadError::Recursive) => 0,
        Err(other) => panic!("{other:?}"),
    }
}

/// A load that waits at the gate, then asks for the first of `keys`, whose load asks for the next, and so on.
fn chain(map: Map, gate: Gate, keys: Vec<u32>) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    Box::pin(async move {
        gate.pass().await;
        let Some((next, rest)) = keys.split_first() else { return 100 };
        let (inner, gate, rest) = (map.clone(), gate.clone(), rest.to_vec());
        fallback(map.get_or_load(*next, || chain(inner, gate, rest)).await)
    })
}

on_both_runtimes! {
    async fn a_load_that_asks_for_its_own_key_is_refused() {
        let (map, gate) = (Map::new(), Gate::new());
        gate.open();
        let loaded = map.get_or_load(1, || chain(map.clone(), gate.clone(), vec![1])).await.unwrap();
        assert_eq!((loaded.value, map.get(&1)), (0, Some(0)), "its loader decides what comes of it");
        no_task_is_left().await;
    }

    /// Seen to fail: a circle is looked for one step deep.
    async fn a_circle_through_other_keys_is_refused() {
        let (map, gate) = (Map::new(), Gate::new());
        gate.open();
        let loaded = map.get_or_load(1, || chain(map.clone(), gate.clone(), vec![2, 3, 4, 1])).await.unwrap();
        assert_eq!(loaded.value, 3, "refused inside the load of 4");
        assert_eq!([1, 2, 3, 4].map(|key| map.get(&key)), [Some(3), Some(2), Some(1), Some(0)]);
        no_task_is_left().await;
    }

    /// Seen to fail: no circle is looked for; it hangs.
    async fn two_loads_that_ask_for_each_other_both_end() {
        let (map, gate) = (Map::new(), Gate::new());
        let (first, second, ()) = tokio::join!(
            map.get_or_load(1, || chain(map.clone(), gate.clone(), vec![2])),
            map.get_or_load(2, || chain(map.clone(), gate.clone(), vec![1])),
            // Both are under way before either asks.
            async { until("both loads are under way", || gate.waiting() == 2).await; gate.open() },
        );
        let mut values = [first.unwrap().value, second.unwrap().value];
        values.sort_unstable();
        assert_eq!(values, [0, 1], "one is refused, and the other has its value");
        no_task_is_left().await;
    }

    async fn two_loads_started_from_different_tasks_both_end() {
        for _ in 0..20 {
            let (map, gate) = (Map::new(), Gate::new());
            let tasks = [(1, 2), (2, 1)].map(|(own, other)| {
                let (map, gate) = (map.clone(), gate.clone());
                tokio::spawn(async move {
                    let inner = map.clone();
                    map.get_or_load(own, || chain(inner, gate, vec![other])).await.unwrap().value
                })
            });
            until("both loads are under way", || gate.waiting() == 2).await;
            gate.open();
            let [first, second] = tasks;
            let mut values = [first.await.unwrap(), second.await.unwrap()];
            values.sort_unstable();
            assert_eq!(values, [0, 1]);
            no_task_is_left().await;
        }
    }

    async fn a_circle_through_two_maps_is_refused() {
        let (users, groups) = (Map::new(), ConcurrentMap::<&str, u32>::new());
        let (inner_users, inner_groups) = (users.clone(), groups.clone());
        let load_user = async move {
            let load_group = async move {
                fallback(inner_users.get_or_load(1, || async { 9 }).await)
            };
            fallback(inner_groups.get_or_load("admins", || load_group).await)
        };
        assert_eq!(users.get_or_load(1, || load_user).await.unwrap().value, 1);
        assert_eq!((users.get(&1), groups.get(&"admins")), (Some(1), Some(0)));
        no_task_is_left().await;
    }

    async fn an_error_of_a_refused_wait_is_the_loads_own() {
        let map = Map::new();
        let inner = map.clone();
        let load = async move { inner.get_or_load(1, || async { 1 }).await.map(|loaded| loaded.value) };
        let failed: Result<_, LoadError<LoadError>> = map.get_or_try_load(1, || load).await;
        let LoadError::Failed(error) = failed.unwrap_err() else { panic!("the loader returned an error") };
        assert!(matches!(*error, LoadError::Recursive));
        assert!(map.is_empty());
        no_task_is_left().await;
    }

    async fn waiting_for_a_load_that_waits_for_others_is_no_circle() {
        // 1 asks for 2 and 3 at once, both ask for 4.
        let map = Map::new();
        let diamond = map.clone();
        let load = async move {
            let (left, right) = (diamond.clone(), diamond.clone());
            let (a, b) = tokio::join!(
                diamond.get_or_load(2, || async move { fallback(left.get_or_load(4, || async { 40 }).await) }),
                diamond.get_or_load(3, || async move { fallback(right.get_or_load(4, || async { 40 }).await) }),
            );
            a.unwrap().value + b.unwrap().value
        };
        assert_eq!(map.get_or_load(1, || load).await.unwrap().value, 82);
        no_task_is_left().await;
    }
}

/// A wait that a load began and handed on is no longer its own once it is polled elsewhere.
///
/// Seen to fail: an edge is made once, at the first poll.
#[tokio::test(start_paused = true)]
async fn a_wait_that_moves_out_of_its_load_closes_no_circle() {
    let (map, gate) = (Map::new(), Gate::new());
    let (hand_over, mut handed) = tokio::sync::mpsc::channel::<Asking<'static>>(1);
    let (passing, inner, target) = (gate.clone(), map.clone(), map.clone());
    // 2 asks for 1.
    let load_two = async move {
        passing.pass().await;
        fallback(inner.get_or_load(1, || async { 9 }).await)
    };
    // 1 begins to wait for 2, hands the wait to the test, and goes on without it.
    let load_one = async move {
        let mut wait: Asking<'static> = Box::pin(async move { target.get_or_load(2, || load_two).await });
        begin(&mut wait).await;
        assert!(hand_over.send(wait).await.is_ok());
        tokio::time::sleep(secs(1)).await;
        1
    };
    let mut one: Asking<'_> = Box::pin(map.get_or_load(1, || load_one));
    begin(&mut one).await;
    let mut wait = handed.recv().await.unwrap();
    begin(&mut wait).await;
    gate.open();
    assert_eq!(soon(wait).await.unwrap().value, 2, "it was not refused");
    assert_eq!(soon(one).await.unwrap().value, 1);
    no_task_is_left().await;
}

/// Seen to fail: the edge of a wait stays when the wait is over.
#[tokio::test(start_paused = true)]
async fn a_wait_that_is_over_closes_no_circle() {
    // 1 begins to wait for 2, gives up, and ends; then 2 asks for 1.
    let (map, gate) = (Map::new(), Gate::new());
    let (inner, outer) = (map.clone(), map.clone());
    let passing = gate.clone();
    let load_two = async move {
        passing.pass().await;
        fallback(inner.get_or_load(1, || async { 10 }).await)
    };
    let mut two: Asking<'_> = Box::pin(map.get_or_load(2, || load_two));
    begin(&mut two).await;
    until("2 is under way", || gate.waiting() == 1).await;
    let load_one = async move {
        let mut wait: Asking<'_> = Box::pin(outer.get_or_load(2, || async { 20 }));
        begin(&mut wait).await;
        drop(wait);
        tokio::task::yield_now().await;
        1
    };
    let mut one: Asking<'_> = Box::pin(map.get_or_load(1, || load_one));
    begin(&mut one).await;
    gate.open();
    let (one, two): (Answer, Answer) =
        tokio::join!(async { one.await.map(|l| l.value) }, async { two.await.map(|l| l.value) });
    assert_eq!((one.unwrap(), two.unwrap()), (1, 2));
    no_task_is_left().await;
}
