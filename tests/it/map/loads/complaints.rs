//! What users of other maps have run into, by the number of the report.

use flowgate::{LoadError, LoadSource};

use super::{Map, Source, begin, no_task_is_left};
use crate::support::{ms, on_both_runtimes, promptly, secs, settle, soon, until};

on_both_runtimes! {
    /// moka #240: whoever asks waits for a caller that is not polled again.
    async fn moka_240_a_leader_that_is_never_polled_again_holds_up_nobody() {
        let (map, source) = (Map::new(), Source::new());
        let mut leader = source.ask(&map, 1, 1);
        begin(&mut leader).await;
        source.gate.open();
        let follower = map.get_or_load(1, || async { 2 }).await.unwrap();
        assert_eq!(follower.value, 1);
        assert_eq!(map.get(&1), Some(1));
        // It is still there, unpolled, and has its value when it is.
        let late = leader.await.unwrap();
        assert_eq!((late.value, late.source), (1, LoadSource::Load));
        no_task_is_left().await;
    }

    /// moka #43: after a load that panicked, whoever asked for the key ran into unreachable code.
    async fn moka_43_a_panic_leaves_the_key_usable() {
        let (map, source) = (Map::new(), Source::new());
        source.gate.open();
        for _ in 0..3 {
            let fails = map.get_or_load(1, || async { panic!("no such page") }).await;
            assert!(matches!(fails, Err(LoadError::Panicked(message)) if &*message == "no such page"));
        }
        assert_eq!(source.ask(&map, 1, 7).await.unwrap().value, 7);
        no_task_is_left().await;
    }

    /// moka #59: the same, after the task of the first caller was aborted.
    async fn moka_59_an_aborted_caller_leaves_the_key_usable() {
        let (map, source) = (Map::new(), Source::new());
        for round in 1..=3 {
            let (there, from) = (map.clone(), source.clone());
            let caller = tokio::spawn(async move { there.get_or_load(1, || from.load(0)).await.is_ok() });
            until("the load is under way", || source.gate.waiting() == 1).await;
            caller.abort();
            assert!(caller.await.unwrap_err().is_cancelled());
            until("the load is dropped", || source.gate.waiting() == 0).await;
            assert_eq!(source.loads(), round);
        }
        source.gate.open();
        assert_eq!(source.ask(&map, 1, 7).await.unwrap().value, 7);
        no_task_is_left().await;
    }

    /// moka #208: the loader of a value that is there must not run.
    async fn moka_208_a_hit_does_not_call_the_loader() {
        let map = Map::new();
        map.insert(1, 7);
        let loaded = map.get_or_load(1, || -> std::future::Ready<u32> { panic!("it is there") }).await;
        assert_eq!(loaded.unwrap().source, LoadSource::Hit);
    }

    /// quick_cache: a loader that asks for its own key waits for itself.
    async fn quick_cache_a_loader_that_asks_for_its_own_key_is_told() {
        let map = Map::new();
        let inner = map.clone();
        let asks_again = async move {
            match inner.get_or_load(1, || async { 1 }).await {
                Err(LoadError::Recursive) => 99,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(map.get_or_load(1, || asks_again).await.unwrap().value, 99);
        no_task_is_left().await;
    }
}

/// moka #240, further down: callers whose patience is shorter than the load. Each leaves while the next one waits.
#[tokio::test(start_paused = true)]
async fn moka_240_callers_with_short_timeouts_still_fill_the_map() {
    let map = Map::new();
    let slow = || async {
        tokio::time::sleep(secs(1)).await;
        7
    };
    let mut callers = Vec::new();
    for _ in 0..8 {
        let map = map.clone();
        callers
            .push(tokio::spawn(async move { tokio::time::timeout(ms(400), map.get_or_load(1, slow)).await.is_ok() }));
        tokio::time::advance(ms(200)).await;
        settle().await;
    }
    let mut answered = Vec::new();
    for caller in callers {
        answered.push(soon(caller).await.unwrap());
    }
    assert_eq!(answered, [false, false, false, true, true, true, true, true]);
    assert_eq!(map.get(&1), Some(7));
    no_task_is_left().await;
}

/// Singleflight crates that make the leader's error everyone's when the leader is merely cancelled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_leader_is_nobody_elses_error() {
    let (map, source) = (Map::new(), Source::new());
    let (there, from) = (map.clone(), source.clone());
    let leader = tokio::spawn(async move { there.get_or_load(1, || from.load(7)).await.is_ok() });
    until("the load is under way", || source.gate.waiting() == 1).await;
    let mut follower = source.ask(&map, 1, 8);
    begin(&mut follower).await;
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    source.gate.open();
    assert_eq!(promptly(follower).await.unwrap().value, 7);
    no_task_is_left().await;
}
