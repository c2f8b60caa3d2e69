//! In which order items are handed on, and how far one may run ahead of another.

use flowgate::retry::{Jitter, RetryPolicy};
use flowgate::{Attempt, Batch, OnError, Par, Pipeline};
use futures::{StreamExt as _, stream};

use super::{completed, fates};
use crate::support::{Gate, Gauge, ms, on_both_runtimes, settle, until};

/// Item 0 waits at the gate, the others do not.
fn first_waits(par: Par, gate: &Gate, done: &Gauge) -> Pipeline<u64, impl flowgate::pipeline::Stage<u64, Out = u64>> {
    let (gate, done) = (gate.clone(), done.clone());
    Pipeline::new()
        .map_async(par, move |n: u64| {
            let (gate, done) = (gate.clone(), done.clone());
            async move {
                if n == 0 {
                    gate.pass().await;
                }
                drop(done.enter());
                n
            }
        })
        .named("work")
}

on_both_runtimes! {
    async fn the_window_says_how_far_others_run_ahead_of_a_slow_item() {
        for (par, ahead) in [(Par::ordered(2), 3), (Par::ordered(2).window(10), 9), (Par::ordered(4).window(4), 3)] {
            let (gate, done) = (Gate::new(), Gauge::new());
            let running = first_waits(par, &gate, &done).run(stream::iter(0..100)).unwrap();
            until("as many are done as may be", || done.entered() == ahead).await;
            settle().await;
            assert_eq!(done.entered(), ahead, "{par}");
            let report = running.report();
            assert_eq!((report.taken, report.in_flight), (ahead as u64 + 1, ahead as u64 + 1), "{par}");
            assert_eq!(report.stage("work").map(|stage| stage.out), Some(0), "nothing overtakes it");
            gate.open();
            let (items, _) = completed(running).await;
            assert_eq!(items, (0..100).collect::<Vec<_>>());
        }
    }

    async fn unordered_items_overtake_a_slow_one() {
        let (gate, done) = (Gate::new(), Gauge::new());
        let mut running = first_waits(Par::unordered(2), &gate, &done).run(stream::iter(0..100)).unwrap();
        let early: Vec<_> = running.by_ref().take(99).collect().await;
        assert_eq!((early, gate.waiting()), ((1..100).collect(), 1));
        gate.open();
        let (late, _) = completed(running).await;
        assert_eq!(late, [0]);
    }

    async fn the_order_is_kept_while_the_parallelism_changes() {
        let pipeline = Pipeline::new().map_async(Par::ordered(2).window(16), |n: u64| async move {
            for _ in 0..n % 7 {
                tokio::task::yield_now().await;
            }
            n
        });
        let mut running = pipeline.named("work").run(stream::iter(0..400)).unwrap();
        let control = running.stage("work").unwrap();
        let mut items = Vec::new();
        while let Some(item) = running.next().await {
            items.push(item);
            control.set_parallelism(1 + items.len() % 16).unwrap();
        }
        assert_eq!(items, (0..400).collect::<Vec<_>>());
    }

    async fn filtered_failed_and_several_items_leave_no_gap() {
        let pipeline = Pipeline::new()
            .flat_map(|n: u64| vec![n; usize::try_from(n % 3).unwrap()])
            .try_map_async(Par::ordered(3).window(7), |n: Attempt<u64>| async move {
                for _ in 0..(*n * 5) % 4 {
                    tokio::task::yield_now().await;
                }
                if *n % 7 == 1 { Err("unlucky") } else { Ok(*n) }
            })
            .on_error(OnError::skip())
            .filter(|n| n % 5 != 2)
            .map_async(Par::ordered(2), |n| async move { n })
            .batch(Batch::of(3))
            .buffer(1)
            .unbatch();
        let (items, _) = completed(pipeline.run(stream::iter(0..200)).unwrap()).await;
        let expected: Vec<_> = (0..200_u64)
            .flat_map(|n| vec![n; usize::try_from(n % 3).unwrap()])
            .filter(|n| n % 7 != 1 && n % 5 != 2)
            .collect();
        assert_eq!(items, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_item_that_is_tried_again_keeps_its_place() {
    let policy = RetryPolicy::fixed(ms(100)).jitter(Jitter::None).max_attempts(3).no_budget();
    let pipeline = Pipeline::new()
        .try_map_async(Par::ordered(4).window(32), |n: Attempt<u64>| async move {
            if *n % 5 == 0 && n.attempt() < 3 { Err("again") } else { Ok(*n) }
        })
        .on_error(OnError::retry(policy));
    let (items, report) = completed(pipeline.run(stream::iter(0..60)).unwrap()).await;
    assert_eq!((items, fates(&report)[0]), ((0..60).collect::<Vec<_>>(), 60));
}
