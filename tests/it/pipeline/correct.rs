//! What a pipeline makes of its items when nothing goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flowgate::pipeline::{Envelope, stage_fn};
use flowgate::{Attempt, Batch, Cx, Par, Pipeline, WorkerPool};
use futures::{StreamExt as _, stream};

use super::{completed, failed, fates, on_real_clocks};
use crate::support::{Gate, Gauge, ms, on_both_runtimes, settle, until};

on_both_runtimes! {
    async fn a_stage_is_a_value_that_is_used_as_often_as_one_likes() {
        let double = Pipeline::new().map(|n: u32| n * 2);
        let chained = Pipeline::new().then(double.clone()).then(double.clone()).then(double.clone());
        let (items, _) = completed(chained.run(stream::iter([1, 2])).unwrap()).await;
        assert_eq!(items, [8, 16]);
        let (items, _) = completed(double.run(stream::iter([1, 2])).unwrap()).await;
        assert_eq!(items, [2, 4]);
    }

    async fn it_starts_when_it_is_run_and_not_when_it_is_read() {
        let seen = Gauge::new();
        let inside = seen.clone();
        let running = Pipeline::new()
            .inspect(move |_| drop(inside.enter()))
            .map_async(Par::ordered(2), |n: u32| async move { n })
            .run(stream::iter(0..10))
            .unwrap();
        until("everything went through unread", || seen.entered() == 10).await;
        let (items, _) = completed(running).await;
        assert_eq!(items, (0..10).collect::<Vec<_>>());
    }

    async fn a_pipeline_that_is_not_run_does_nothing() {
        let seen = Gauge::new();
        let inside = seen.clone();
        let pipeline = Pipeline::new().map(move |n: u32| {
            drop(inside.enter());
            n
        });
        drop(pipeline.clone());
        let applied = pipeline.apply(stream::iter(0..10)).unwrap();
        settle().await;
        drop(applied);
        assert_eq!(seen.entered(), 0);
    }

    async fn the_end_of_the_input_ends_the_output_after_what_is_in_flight() {
        let gate = Gate::new();
        let at = gate.clone();
        let pipeline = Pipeline::new().map_async(Par::ordered(3), move |n: u32| {
            let gate = at.clone();
            async move {
                gate.pass().await;
                n
            }
        });
        let mut running = pipeline.run(stream::iter(0..3)).unwrap();
        until("all are in flight, the input has ended", || gate.waiting() == 3).await;
        settle().await;
        assert!(futures::poll!(running.next()).is_pending(), "the output waits for them");
        gate.open();
        let (items, report) = completed(running).await;
        assert_eq!((items, report.settled), (vec![0, 1, 2], 3));
    }

    async fn fused_stages_are_the_adapters_of_an_iterator() {
        let pipeline = Pipeline::new()
            .map(|n: u32| n + 1)
            .filter(|n| n % 3 != 0)
            .filter_map(|n| (n % 5 != 0).then_some(n * 10))
            .scan(0, |sum, n| {
                *sum += n;
                *sum
            })
            .flat_map(|n| vec![n; usize::try_from(n % 4).unwrap()])
            .inspect(|_| {})
            .batch(Batch::of(7))
            .unbatch()
            .take(50);
        let (items, report) = completed(pipeline.run(stream::iter(0..1_000)).unwrap()).await;
        let mut sum = 0;
        let expected: Vec<_> = (0..1_000_u32)
            .map(|n| n + 1)
            .filter(|n| n % 3 != 0)
            .filter(|n| n % 5 != 0)
            .map(|n| {
                sum += n * 10;
                sum
            })
            .flat_map(|n| vec![n; usize::try_from(n % 4).unwrap()])
            .take(50)
            .collect();
        assert_eq!(items, expected);
        assert!(report.filtered > 0 && report.settled > 0, "{report}");
    }

    async fn an_empty_source_ends_at_once() {
        let pipeline = Pipeline::new().map_async(Par::ordered(2), |n: u32| async move { n }).batch(Batch::of(3)).buffer(1);
        let (items, report) = completed(pipeline.clone().run(stream::empty()).unwrap()).await;
        assert_eq!((items.len(), report.taken), (0, 0));
        assert_eq!(pipeline.apply(stream::empty()).unwrap().count().await, 0);
    }

    async fn a_plain_stream_is_enough_as_a_source() {
        let (sender, receiver) = futures::channel::mpsc::channel(1);
        let running = Pipeline::new().map(|n: u32| n * 3).run(receiver).unwrap();
        let feeding = tokio::spawn(stream::iter((0..5).map(Ok)).forward(sender));
        let (items, _) = completed(running).await;
        assert_eq!(items, [0, 3, 6, 9, 12]);
        feeding.await.unwrap().unwrap();
    }

    async fn a_source_of_results_ends_at_its_first_error() {
        let source = stream::iter([Ok(1), Ok(2), Err("unreadable"), Ok(4)]);
        let (items, error) = failed(Pipeline::new().map(|n: u32| n).try_run(source).unwrap()).await;
        assert_eq!((items, error.stage(), error.report().taken), (vec![1, 2], "source", 2));
        assert_eq!(error.into_source().unwrap().to_string(), "unreadable");
    }
}

on_real_clocks! {
    async fn every_kind_of_stage_hands_on_what_its_function_makes() {
        let pool = WorkerPool::<u64, u64, String>::builder().concurrency(2).build(|n: Attempt<u64>| async move { Ok(*n + 1) });
        let pool = pool.unwrap();
        let pipeline = Pipeline::new()
            .map_async(Par::ordered(3), |n: u64| async move { n + 1 })
            .try_map_async(Par::ordered(3), |n: Attempt<u64>| async move { Ok::<_, String>(*n + 1) })
            .map_keyed(Par::ordered(3), |n| n % 3, |n| async move { n + 1 })
            .try_map_keyed(Par::ordered(3), |n| n % 3, |n: Attempt<u64>| async move { Ok::<_, String>(*n + 1) })
            .map_on(&pool, Par::ordered(3))
            .map_blocking(Par::ordered(2), |n| n + 1)
            .try_map_blocking(Par::ordered(2), |n: &mut u64, _: &Cx| Ok::<_, String>(*n + 1))
            .then(stage_fn(|items| items.map(|envelope: Envelope<u64>| envelope.map(|n| n + 1))))
            .buffer(2);
        let (items, report) = completed(pipeline.run(stream::iter(0..100)).unwrap()).await;
        assert_eq!(items, (8..108).collect::<Vec<_>>());
        assert_eq!(fates(&report), [100, 0, 0, 0, 0, 0]);
        assert!(report.stages.iter().all(|stage| (stage.taken, stage.out) == (100, 100)), "{report:?}");
    }

    async fn unordered_stages_lose_and_double_nothing() {
        let pipeline = Pipeline::new()
            .map_async(Par::unordered(4).window(9), |n: u64| async move {
                for _ in 0..n % 5 {
                    tokio::task::yield_now().await;
                }
                n
            })
            .map_blocking(Par::unordered(2), |n| n);
        let (mut items, _) = completed(pipeline.run(stream::iter(0..200)).unwrap()).await;
        items.sort_unstable();
        assert_eq!(items, (0..200).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn ordered_stages_keep_the_order_however_long_each_item_takes() {
    let pipeline = Pipeline::new().map_async(Par::ordered(8).window(16), |n: u64| async move {
        tokio::time::sleep(ms(97 * (n + 3) % 41)).await;
        n
    });
    let (items, _) = completed(pipeline.run(stream::iter(0..300)).unwrap()).await;
    assert_eq!(items, (0..300).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn so_many_run_at_once_as_is_said_and_no_more() {
    for par in [Par::ordered(5), Par::unordered(5).window(9)] {
        let gauge = Gauge::new();
        let inside = gauge.clone();
        let pipeline = Pipeline::new().map_async(par, move |n: u64| {
            let inside = inside.enter();
            async move {
                tokio::time::sleep(ms(10)).await;
                drop(inside);
                n
            }
        });
        let started = tokio::time::Instant::now();
        let (items, _) = completed(pipeline.run(stream::iter(0..50)).unwrap()).await;
        assert_eq!((items.len(), gauge.max()), (50, 5), "{par}");
        assert_eq!(started.elapsed(), ms(100), "{par}: ten rounds of five");
    }
}

/// An item is in one stage while the one after it is in the stage before.
#[tokio::test(start_paused = true)]
async fn stages_work_at_the_same_time() {
    async fn slow(n: u32) -> u32 {
        tokio::time::sleep(ms(10)).await;
        n
    }
    let pipeline = Pipeline::new().map_async(Par::ordered(1), slow).map_async(Par::ordered(1), slow);
    let started = tokio::time::Instant::now();
    completed(pipeline.run(stream::iter(0..20)).unwrap()).await;
    assert_eq!(started.elapsed(), ms(210));
}

#[tokio::test(start_paused = true)]
async fn an_idle_source_is_waited_for_without_polling() {
    let polls = Arc::new(AtomicUsize::new(0));
    let counting = polls.clone();
    let mut late = Box::pin(tokio::time::sleep(Duration::from_secs(60)));
    let source = stream::poll_fn(move |cx| {
        counting.fetch_add(1, Ordering::SeqCst);
        late.as_mut().poll(cx).map(|()| None::<u32>)
    });
    let (items, _) = completed(Pipeline::new().map(|n| n).run(source).unwrap()).await;
    assert_eq!(items, []);
    assert!(polls.load(Ordering::SeqCst) <= 3, "{polls:?} polls of a source that slept");
}
