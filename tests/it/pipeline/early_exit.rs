//! A pipeline that ends before its source does: by `take`, by who reads it, by its owner.

use flowgate::pipeline::{BoxStage, End};
use flowgate::{Batch, Par, Pipeline};
use futures::{StreamExt as _, stream};

use super::{all, balanced, completed, fates};
use crate::support::{Gate, Gauge, Tally, alive_tasks, ms, on_both_runtimes, settle, until};

type Boxed = Pipeline<u64, BoxStage<u64, u64>>;

/// Pipelines that pass everything on, with and without tickets, tasks and workers.
fn shapes() -> Vec<(&'static str, Boxed)> {
    vec![
        ("fused", Pipeline::new().map(|n: u64| n).boxed()),
        ("tickets", Pipeline::new().flat_map(Some).boxed()),
        ("workers", Pipeline::new().map_async(Par::ordered(2), |n: u64| async move { n }).boxed()),
        ("tasks", Pipeline::new().buffer(2).map_async(Par::unordered(2), |n: u64| async move { n }).buffer(2).boxed()),
        ("batches", Pipeline::new().batch(Batch::of(3)).unbatch().boxed()),
        ("bound", Pipeline::new().map_async(Par::ordered(2), |n: u64| async move { n }).max_in_flight(3).boxed()),
    ]
}

on_both_runtimes! {
    async fn take_ends_it_well_and_counts_the_rest_cancelled() {
        for (name, shape) in shapes() {
            let (items, report) = completed(shape.take(5).run(stream::iter(0..)).unwrap()).await;
            assert_eq!(items, [0, 1, 2, 3, 4], "{name}");
            // What was made of an item may not have been all of it: the last one's expansion was not asked for more, and its
            // batch had one more.
            let settled = match name {
                "tickets" => 4,
                "batches" => 3,
                _ => 5,
            };
            assert_eq!(fates(&report), [settled, 0, 0, 0, report.taken - settled, 0], "{name}: {report}");
        }
    }

    async fn what_is_behind_a_take_still_gets_all_of_it() {
        for (name, shape) in shapes() {
            let whole = Pipeline::new().take(7).then(shape);
            let (items, report) = completed(whole.run(stream::iter(0..100)).unwrap()).await;
            assert_eq!((items, report.taken), ((0..7).collect(), 7), "{name}");
            assert_eq!(fates(&report), [7, 0, 0, 0, 0, 0], "{name}: {report}");
        }
    }

    async fn taking_none_or_more_than_there_is() {
        let asked = Gauge::new();
        let counted = asked.clone();
        let source = stream::iter(0..9_u64).inspect(move |_| drop(counted.enter()));
        let (items, report) = completed(Pipeline::new().take(0).run(source).unwrap()).await;
        assert_eq!((items, report.taken, asked.entered()), (vec![], 0, 0), "the source is not asked");
        let (items, _) = completed(Pipeline::new().take(u64::MAX).run(stream::iter(0..9)).unwrap()).await;
        assert_eq!(items.len(), 9);
    }

    async fn consumer_leaves_no_task_left() {
        for (name, shape) in shapes() {
            let (before, tally) = (alive_tasks(), Tally::new());
            let held = tally.make(1);
            let source = stream::iter(0..).inspect(move |_| _ = &held);
            let mut running = shape.run(source).unwrap();
            assert_eq!(running.next().await, Some(0), "{name}");
            drop(running);
            until("no task is left", || alive_tasks() == before).await;
            assert_eq!(tally.alive(), 0, "{name}: the source is let go");
        }
    }

    async fn cancel_while_blocked_on_send_on_recv_and_inside_f() {
        let before = alive_tasks();
        for ((name, shape), (_, same)) in shapes().into_iter().zip(shapes()) {
            let mut blocked_on_send = same.output_buffer(1).run(stream::iter(0..)).unwrap();
            until("it waits for a reader", || blocked_on_send.snapshot().output.unwrap().blocked_for.is_some()).await;
            blocked_on_send.cancel();
            let report = blocked_on_send.join().await.unwrap();
            assert_eq!((report.end, report.settled), (End::Cancelled, 0), "{name}");
            balanced(&report);

            let mut blocked_on_recv = shape.run(stream::pending()).unwrap();
            settle().await;
            blocked_on_recv.cancel();
            assert_eq!(blocked_on_recv.join().await.unwrap().end, End::Cancelled, "{name}");
        }
        let inside = Gauge::new();
        let gauge = inside.clone();
        let mut running = Pipeline::new()
            .map_async(Par::ordered(2), move |_: u64| {
                let inside = gauge.enter();
                async move {
                    let _inside = inside;
                    std::future::pending::<u64>().await
                }
            })
            .run(stream::iter(0..))
            .unwrap();
        until("two are inside", || inside.now() == 2).await;
        running.cancel();
        let report = running.join().await.unwrap();
        assert_eq!((inside.now(), report.end, report.unresponsive), (0, End::Cancelled, 0));
        until("no task is left", || alive_tasks() == before).await;
    }

    async fn producer_blocked_on_input_is_released_on_cancel() {
        let (mut sender, receiver) = futures::channel::mpsc::channel(0);
        let mut running = Pipeline::new()
            .map_async(Par::ordered(1), |_: u64| std::future::pending::<u64>())
            .run(receiver)
            .unwrap();
        let producer = tokio::spawn(async move {
            let mut sent = 0;
            while futures::SinkExt::send(&mut sender, sent).await.is_ok() {
                sent += 1;
            }
            sent
        });
        until("it is full", || running.report().taken == 2).await;
        settle().await;
        assert!(!producer.is_finished());
        running.cancel();
        assert!(producer.await.unwrap() >= 2, "it is told that nobody takes anything more");
    }

    async fn a_join_that_is_dropped_cancels() {
        let gate = Gate::new();
        let at = gate.clone();
        let running = Pipeline::new()
            .map_async(Par::ordered(2), move |n: u64| {
                let gate = at.clone();
                async move {
                    gate.pass().await;
                    n
                }
            })
            .run(stream::iter(0..))
            .unwrap();
        let monitor = running.monitor();
        until("two run", || gate.waiting() == 2).await;
        {
            let mut join = Box::pin(running.join());
            assert!(futures::poll!(join.as_mut()).is_pending());
        }
        until("the handlers are dropped", || gate.waiting() == 0).await;
        until("nothing is left", || monitor.report().is_none()).await;
    }

    async fn closing_hands_on_what_is_inside_and_takes_nothing_more() {
        for (name, shape) in shapes() {
            let source = stream::iter(0..).then(|n| async move {
                tokio::task::yield_now().await;
                n
            });
            let mut running = shape.run(source).unwrap();
            let first = running.next().await.unwrap();
            running.close();
            let (rest, report) = all(running).await;
            let report = report.unwrap();
            assert_eq!((first, report.end), (0, End::Drained), "{name}");
            assert!(rest.iter().copied().eq(1..report.taken), "{name}: {rest:?}");
            assert_eq!(fates(&report), [report.taken, 0, 0, 0, 0, 0], "{name}: {report}");
        }
    }

    async fn a_drain_hands_on_a_partial_batch() {
        let pipeline = Pipeline::new().batch(Batch::of(100));
        let running = pipeline.run(stream::iter(0..7).chain(stream::pending())).unwrap();
        until("all are taken", || running.report().taken == 7).await;
        let report = running.drain(ms(1_000)).await.unwrap();
        assert_eq!((report.end, report.settled, report.discarded), (End::Drained, 7, 1));
    }

    async fn dropping_an_applied_pipeline_lets_everything_go() {
        for (name, shape) in shapes() {
            let (before, tally) = (alive_tasks(), Tally::new());
            let held = tally.make(1);
            let source = stream::iter(0..).inspect(move |_| _ = &held);
            let mut applied = shape.apply(source).unwrap();
            assert_eq!(applied.next().await.unwrap().unwrap(), 0, "{name}");
            drop(applied);
            until("no task is left", || alive_tasks() == before).await;
            assert_eq!(tally.alive(), 0, "{name}");
        }
    }
}
