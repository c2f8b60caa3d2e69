//! A consumer that leaves leaves nothing behind.

use flowgate::pipeline::{BoxStage, Scope, Stage};
use flowgate::{Batch, Par, Pipeline};
use futures::{StreamExt as _, stream};

use super::super::support::{Counted, Gauge, on_both_runtimes, promptly, until};
use super::*;

type Shape = Pipeline<Counted, BoxStage<Counted, Counted>>;

/// One of everything that has tasks, workers or memory of its own.
fn shapes() -> Vec<Shape> {
    vec![
        Pipeline::new().map(|item: Counted| item).boxed(),
        Pipeline::new().buffer(3).buffer(2).boxed(),
        Pipeline::new().map_async(Par::ordered(3), |item: Counted| async move { item }).boxed(),
        Pipeline::new()
            .map_async(Par::unordered(3), |item: Counted| async move {
                if item.id % 3 == 1 {
                    std::future::pending::<()>().await;
                }
                item
            })
            .boxed(),
        Pipeline::new()
            .map_keyed(Par::ordered(2).window(8), |item: &Counted| item.id % 2, |item| async move { item })
            .boxed(),
        Pipeline::new().batch(Batch::of(5).within(super::super::support::HOUR)).unbatch().boxed(),
        Pipeline::new().max_in_flight(4).buffer(8).batch(Batch::of(3)).unbatch().boxed(),
        Pipeline::new().then(Pipeline::new().max_in_flight(2).buffer(1)).max_weight(9, |_| 3).boxed(),
    ]
}

fn supply(tally: &Tally) -> impl Stream<Item = Counted> + Send + 'static {
    let tally = tally.clone();
    stream::iter(0..).map(move |n| tally.make(n))
}

on_both_runtimes! {
    /// Whatever was read, and whether or not it is read on: tasks, source and items are gone.
    ///
    /// Seen to fail: neither the drop of a pipeline cancels it nor are its tasks aborted when nobody owns them.
    async fn consumer_leaves_no_task_left() {
        for reads in [0, 1, 2] {
            for (n, shape) in shapes().into_iter().enumerate() {
                let (tally, fates) = (Tally::new(), Fates::default());
                let before = alive_tasks();
                let mut running = shape.run(fates.plain(supply(&tally))).unwrap();
                for _ in 0..reads {
                    drop(running.next().await);
                }
                until("it runs", || tally.made() > 0).await;
                drop(running);
                until("everything is gone", || alive_tasks() == before && tally.alive() == 0 && fates.is_gone()).await;
                assert!(tally.made() >= reads, "shape {n}");
            }
        }
    }

    /// The same for a pipeline inside a stream, and for its outputs with tickets.
    async fn who_leaves_a_stream_leaves_no_task() {
        for (shape, twin) in shapes().into_iter().zip(shapes()) {
            let (tally, fates) = (Tally::new(), Fates::default());
            let before = alive_tasks();
            let mut applied = twin.apply(fates.plain(supply(&tally))).unwrap();
            drop(applied.next().await);
            drop(applied);
            until("everything is gone", || alive_tasks() == before && tally.alive() == 0 && fates.is_gone()).await;

            let (tally, fates) = (Tally::new(), Fates::default());
            let mut outputs = shape.run(fates.plain(supply(&tally))).unwrap().envelopes();
            let held = outputs.next().await;
            drop(outputs);
            until("all but one is gone", || alive_tasks() == before && tally.alive() == 1 && fates.is_gone()).await;
            drop(held);
            assert_eq!(tally.alive(), 0);
        }
    }
}

/// Threads end by themselves: what they were given and have made is dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_threads_at_work_leaves_no_task() {
    for reads in [0, 3] {
        let (tally, fates) = (Tally::new(), Fates::default());
        let stages = Pipeline::new().map_blocking(Par::ordered(2), |item: Counted| item);
        let mut running = stages.run(fates.plain(supply(&tally))).unwrap();
        for _ in 0..reads {
            drop(promptly(running.next()).await);
        }
        drop(running);
        until("everything is gone", || alive_tasks() == 0 && tally.alive() == 0 && fates.is_gone()).await;
    }
}

/// A stage whose task never ends.
struct Spawns(Gauge);

impl<T: Send + 'static> Stage<T> for Spawns {
    type Out = T;

    fn attach<S>(self, input: S, scope: Scope) -> impl Stream<Item = Envelope<T>> + Send + 'static
    where
        S: Stream<Item = Envelope<T>> + Send + 'static,
    {
        let inside = self.0.enter();
        scope.spawn(async move {
            std::future::pending::<()>().await;
            drop(inside);
        });
        input
    }
}

on_both_runtimes! {
    /// A task of a stage of the user's ends with the pipeline, also when everything was read and nobody joined.
    ///
    /// Seen to fail: tasks are aborted by a cancellation only, and one that was read to its end is not cancelled when it is dropped.
    async fn a_task_of_a_stage_does_not_outlive_the_pipeline() {
        let before = alive_tasks();
        let inside = Gauge::new();
        let mut running = Pipeline::new().then(Spawns(inside.clone())).run(stream::iter(0..3)).unwrap();
        assert_eq!(running.by_ref().collect::<Vec<_>>().await, [0, 1, 2]);
        assert_eq!(inside.now(), 1);
        drop(running);
        until("its task is gone", || inside.now() == 0 && alive_tasks() == before).await;

        let mut running = Pipeline::new().then(Spawns(inside.clone())).run(stream::iter(0..3)).unwrap();
        assert_eq!(running.by_ref().collect::<Vec<_>>().await, [0, 1, 2]);
        let mut joining = Box::pin(running.join());
        assert!(futures::poll!(joining.as_mut()).is_pending(), "its task is awaited");
        drop(joining);
        until("its task is gone", || inside.now() == 0 && alive_tasks() == before).await;

        let applied = Pipeline::new().then(Spawns(inside.clone())).apply(stream::iter(0..3)).unwrap();
        drop(applied);
        until("its task is gone", || inside.now() == 0 && alive_tasks() == before).await;
    }
}
