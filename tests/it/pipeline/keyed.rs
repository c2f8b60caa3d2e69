//! Items of one key go one after another; those of others do not wait for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use flowgate::retry::{Jitter, RetryPolicy};
use flowgate::{Attempt, OnError, Par, Pipeline};
use futures::{StreamExt as _, stream};

use super::{completed, fates};
use crate::support::{Gate, Gauge, ms, on_both_runtimes, until};

/// A key and the item's number among those of the key.
type Item = (u64, u64);

/// `per_key` items of each key, mixed.
fn mixed(keys: u64, per_key: u64) -> impl futures::Stream<Item = Item> + Send + 'static {
    stream::iter((0..keys * per_key).map(move |n| ((n * 7) % keys, n / keys)))
}

/// The numbers of each key, in the order in which they came.
fn by_key(items: impl IntoIterator<Item = Item>) -> HashMap<u64, Vec<u64>> {
    let mut keys = HashMap::<_, Vec<_>>::new();
    items.into_iter().for_each(|(key, n)| keys.entry(key).or_default().push(n));
    keys
}

/// Writes down which attempts were made, and lets a few items fail once or twice.
fn flaky(
    log: &Arc<Mutex<Vec<(Item, u32)>>>,
) -> impl Fn(Attempt<Item>) -> futures::future::BoxFuture<'static, Result<Item, String>> + Send + Sync + 'static {
    let log = log.clone();
    move |attempt: Attempt<Item>| {
        let log = log.clone();
        Box::pin(async move {
            let (key, n) = *attempt;
            log.lock().unwrap().push(((key, n), attempt.attempt()));
            tokio::time::sleep(ms((key * 5 + n * 3) % 7)).await;
            let failures = if n % 4 == 1 { 1 + (key % 2) as u32 } else { 0 };
            if attempt.attempt() <= failures { Err(String::from("again")) } else { Ok((key, n)) }
        })
    }
}

// Seen to fail: with a key of its own for each item.
#[tokio::test(start_paused = true)]
async fn per_key_order_under_retry() {
    for par in [Par::unordered(6).window(40), Par::ordered(6).window(40), Par::unordered(6).window(40).per_key(3)] {
        let log = Arc::new(Mutex::new(Vec::new()));
        let policy = RetryPolicy::fixed(ms(50)).jitter(Jitter::None).max_attempts(3).no_budget();
        let pipeline =
            Pipeline::new().try_map_keyed(par, |(key, _): &Item| *key, flaky(&log)).on_error(OnError::retry(policy));
        let (items, report) = completed(pipeline.run(mixed(5, 20)).unwrap()).await;
        assert_eq!(report.settled, 100);
        for (key, numbers) in by_key(items) {
            assert_eq!(numbers, (0..20).collect::<Vec<_>>(), "{par}, key {key}: the outputs");
        }
        let attempts = log.lock().unwrap();
        assert_eq!(attempts.len(), 100 + 25 + 10, "{par}: of each key five fail once, of two keys all of them twice");
        for (key, numbers) in by_key(attempts.iter().map(|(item, _)| *item)) {
            assert!(
                numbers.is_sorted(),
                "{par}, key {key}: an item overtook another attempt of one before it: {numbers:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_failing_key_waits() {
    let pipeline = Pipeline::new()
        .try_map_keyed(
            Par::unordered(2).window(20),
            |(key, _): &Item| *key,
            |attempt: Attempt<Item>| async move {
                if attempt.0 == 0 && attempt.attempt() == 1 { Err("again") } else { Ok(*attempt) }
            },
        )
        .on_error(OnError::retry(RetryPolicy::fixed(ms(1_000)).jitter(Jitter::None).max_attempts(2).no_budget()));
    let mut running = pipeline.run(mixed(2, 5)).unwrap();
    let started = tokio::time::Instant::now();
    let early: Vec<_> = running.by_ref().take(5).collect().await;
    assert_eq!((early, started.elapsed()), ((0..5).map(|n| (1, n)).collect(), ms(0)));
    let (late, _) = completed(running).await;
    assert_eq!((late, started.elapsed()), ((0..5).map(|n| (0, n)).collect(), ms(5_000)));
}

on_both_runtimes! {
    // Seen to fail: with one key for all items.
    async fn hot_key_does_not_block_cold_keys() {
        let (gate, hot) = (Gate::new(), Gauge::new());
        let (at, inside) = (gate.clone(), hot.clone());
        let par = Par::unordered(2).window(64).per_key(4);
        let pipeline = Pipeline::new().map_keyed(par, |(key, _): &Item| *key, move |item: Item| {
            let (gate, hot) = (at.clone(), inside.clone());
            async move {
                if item.0 == 0 {
                    let _inside = hot.enter();
                    gate.pass().await;
                }
                item
            }
        });
        // Three of the hot key come before everything else.
        let source = stream::iter((0..3).map(|n| (0, n)).chain((0..200).map(|n| (1 + n % 4, n / 4))));
        let mut running = pipeline.run(source).unwrap();
        let cold: Vec<_> = running.by_ref().take(200).collect().await;
        assert!(cold.iter().all(|(key, _)| *key > 0));
        assert!(by_key(cold).values().all(|numbers| numbers.iter().copied().eq(0..50)));
        assert_eq!((hot.now(), hot.entered(), gate.waiting()), (1, 1, 1), "the hot key is still at its first item");
        gate.open();
        let (rest, _) = completed(running).await;
        assert_eq!((rest, hot.max()), (vec![(0, 0), (0, 1), (0, 2)], 1));
    }

    async fn two_items_of_a_key_never_run_at_once() {
        let gauges: Arc<Vec<Gauge>> = Arc::new((0..4).map(|_| Gauge::new()).collect());
        let all = Gauge::new();
        let (keys, every) = (gauges.clone(), all.clone());
        let pipeline = Pipeline::new().map_keyed(Par::unordered(4).window(32), |(key, _): &Item| *key, move |item: Item| {
            let inside = (keys[usize::try_from(item.0).unwrap()].enter(), every.enter());
            async move {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                drop(inside);
                item
            }
        });
        completed(pipeline.run(mixed(4, 50)).unwrap()).await;
        assert!(gauges.iter().all(|gauge| (gauge.max(), gauge.entered()) == (1, 50)));
        assert!(all.max() > 1, "others run beside it");
    }

    async fn keyed_and_ordered_at_once() {
        let pipeline = Pipeline::new().map_keyed(Par::ordered(4).window(16), |(key, _): &Item| *key, |item: Item| async move {
            for _ in 0..(item.0 * 3 + item.1) % 5 {
                tokio::task::yield_now().await;
            }
            item
        });
        let (items, _) = completed(pipeline.run(mixed(5, 30)).unwrap()).await;
        let expected: Vec<_> = mixed(5, 30).collect().await;
        assert_eq!(items, expected);
    }

    async fn an_input_whose_key_is_full_waits() {
        let (gate, taken) = (Gate::new(), Gauge::new());
        let (at, counted) = (gate.clone(), taken.clone());
        let pipeline = Pipeline::new().inspect(move |_| drop(counted.enter())).map_keyed(
            Par::unordered(2).window(32).per_key(2),
            |(key, _): &Item| *key,
            move |item: Item| {
                let gate = at.clone();
                async move {
                    gate.pass().await;
                    item
                }
            },
        );
        let running = pipeline.run(stream::iter((0..9).map(|n| (0, n)))).unwrap();
        until("one runs", || gate.waiting() == 1).await;
        crate::support::settle().await;
        let stage = running.snapshot().stages.remove(1);
        assert_eq!(stage.workers.unwrap().in_pool, 2, "two of the key are in the pool, the third waits before it");
        gate.open();
        let (items, report) = completed(running).await;
        assert_eq!((items.len(), fates(&report)[0], taken.entered()), (9, 9, 9));
    }
}

/// The lanes of the stage's pool, as the stage's own function sees them.
#[tokio::test]
async fn a_million_keys_then_idle_frees_memory() {
    const KEYS: u64 = 1_000_000;
    type Pool = flowgate::pool::WeakPool<u64, u64, String>;
    let pool = Arc::new(std::sync::OnceLock::<Pool>::new());
    let seen = pool.clone();
    let window = 10_000;
    let pipeline = Pipeline::new().try_map_keyed(
        Par::unordered(64).window(window),
        |n: &u64| *n,
        move |n: Attempt<u64>| {
            seen.get_or_init(|| n.cx().pool().expect("it is in a pool"));
            async move { Ok::<_, String>(*n) }
        },
    );
    let (sender, receiver) = futures::channel::mpsc::channel(1);
    let mut running = pipeline.run(stream::iter(0..KEYS).chain(receiver)).unwrap();
    let lanes = || pool.get().and_then(Pool::upgrade).expect("the stage runs").stats().lanes;
    let (mut read, mut most) = (0, 0);
    while read < KEYS {
        running.next().await.expect("every item comes out");
        read += 1;
        if read % 1_000 == 0 {
            most = most.max(lanes());
        }
    }
    assert!(most > 0 && most <= window, "{most} lanes for a window of {window}");
    assert_eq!(lanes(), 0, "a million keys later nothing of them is left");
    drop(sender);
    let (_, report) = completed(running).await;
    assert_eq!(report.settled, KEYS);
}
