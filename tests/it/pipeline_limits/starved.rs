//! No bound may starve a batch: it lets go of what it has when nothing more can come in.

use flowgate::pipeline::BoxStage;
use flowgate::{Batch, Par, Pipeline};
use futures::{StreamExt as _, stream};

use super::super::support::{Gauge, on_both_runtimes, settle, soon};
use super::*;

/// The consumer holds a batch of three of the four items that may be inside; the fourth alone must come out.
async fn fourth_comes_alone(stages: Pipeline<u64, BoxStage<u64, Vec<u64>>>) {
    let mut outputs = stages.run(numbers()).unwrap().envelopes();
    let first = soon(outputs.next()).await.unwrap();
    let second = soon(outputs.next()).await.unwrap();
    assert_eq!((&first.value, &second.value), (&vec![0, 1, 2], &vec![3]));
    settle().await;
    assert!(futures::poll!(outputs.next()).is_pending(), "all that may be inside is held");
    drop(first.ack());
    let mut held = Vec::new();
    let mut rest = Vec::new();
    while rest.len() < 3 {
        let batch = soon(outputs.next()).await.unwrap();
        rest.extend(batch.value.iter().copied());
        held.push(batch);
    }
    assert_eq!(
        rest,
        [4, 5, 6],
        "three places are free, so three come, together or as they come through a small buffer"
    );
    assert!(futures::poll!(outputs.next()).is_pending());
    drop((second, held, outputs));
    assert_no_task_left().await;
}

/// Seen to fail: a batch does not look at the bounds; it hangs.
#[tokio::test(start_paused = true)]
async fn no_bound_may_starve_a_batch() {
    fourth_comes_alone(Pipeline::new().max_in_flight(4).batch(Batch::of(3)).boxed()).await;
}

/// The batch's task and the entrance's are two.
#[tokio::test(start_paused = true)]
async fn no_bound_may_starve_a_batch_behind_a_buffer() {
    fourth_comes_alone(Pipeline::new().max_in_flight(4).buffer(8).batch(Batch::of(3)).boxed()).await;
    let workers = Pipeline::new().max_in_flight(4).map_async(Par::ordered(2), |n: u64| async move { n });
    fourth_comes_alone(workers.buffer(1).batch(Batch::of(3)).buffer(1).boxed()).await;
}

/// The batch is outside of the bounded pipeline, and what it collects is still inside of that.
///
/// Seen to fail: as above.
#[tokio::test(start_paused = true)]
async fn the_bound_of_a_nested_pipeline_may_not_starve_a_batch_behind_it() {
    let inner = || Pipeline::new().max_in_flight(4);
    fourth_comes_alone(Pipeline::new().then(inner()).batch(Batch::of(3)).boxed()).await;
    fourth_comes_alone(Pipeline::new().then(inner().buffer(2)).buffer(3).batch(Batch::of(3)).boxed()).await;
    fourth_comes_alone(
        Pipeline::new().max_in_flight(50).then(inner()).then(Pipeline::new().batch(Batch::of(3))).boxed(),
    )
    .await;
    fourth_comes_alone(Pipeline::new().then(inner().max_weight(1000, |_| 1)).batch(Batch::of(3)).boxed()).await;
}

#[tokio::test(start_paused = true)]
async fn no_weight_may_starve_a_batch() {
    let by_weight = Pipeline::new().max_weight(8, |_| 2).batch(Batch::of(3));
    fourth_comes_alone(by_weight.boxed()).await;
}

/// Each of two batches has a part of all that may be inside.
#[tokio::test(start_paused = true)]
async fn two_batches_in_a_line_do_not_starve_each_other() {
    let stages = Pipeline::new().max_in_flight(5).batch(Batch::of(4)).unbatch().batch(Batch::of(3));
    let (batches, report) = soon(read_all(stages.run(stream::iter(0..40_u64)).unwrap())).await;
    assert!(batches.concat().into_iter().eq(0..40), "{batches:?}");
    assert_eq!(report.settled, 40);
}

/// A batch is not cut short while there is room: the source is only slow.
#[tokio::test(start_paused = true)]
async fn a_batch_waits_while_more_may_come() {
    let source = stream::unfold(0_u64, |n| async move {
        tokio::time::sleep(super::super::support::ms(10)).await;
        (n < 9).then_some((n, n + 1))
    });
    let stages = Pipeline::new().max_in_flight(4).buffer(2).batch(Batch::of(3));
    let (batches, _) = soon(read_all(stages.run(source).unwrap())).await;
    assert_eq!(batches, [[0, 1, 2], [3, 4, 5], [6, 7, 8]]);
}

/// What shapes a line of nested, buffered, bounded and collecting stages.
#[derive(Clone, Copy, Debug)]
struct Shape {
    outer: Option<usize>,
    inner: Option<usize>,
    buffer: usize,
    batch: usize,
    parts: u64,
}

impl Shape {
    fn pipeline(self) -> Pipeline<u64, BoxStage<u64, u64>> {
        let Self { outer, inner, buffer, batch, parts } = self;
        let mut first = Pipeline::new().boxed();
        if let Some(inner) = inner {
            first = first.max_in_flight(inner);
        }
        let batches = Pipeline::new()
            .map_async(Par::unordered(2), |n: u64| async move {
                tokio::task::yield_now().await;
                n
            })
            .batch(Batch::of(batch))
            .unbatch();
        let mut whole = Pipeline::new()
            .then(first)
            .flat_map(move |n: u64| (0..parts).map(move |_| n))
            .buffer(buffer)
            .then(batches)
            .batch(Batch::of(2))
            .unbatch()
            .boxed();
        if let Some(outer) = outer {
            whole = whole.max_in_flight(outer);
        }
        whole
    }
}

on_both_runtimes! {
    /// Every combination ends: bounds outside and inside, buffers, batches, expansions.
    ///
    /// Seen to fail: as above.
    async fn no_shape_of_bounds_and_batches_hangs() {
        const ITEMS: u64 = 23;
        let mut shapes = 0;
        for outer in [None, Some(5), Some(8)] {
            for inner in [None, Some(1), Some(3)] {
                for buffer in [1, 4] {
                    for batch in [1, 2, 5] {
                        for parts in [1, 4] {
                            let shape = Shape { outer, inner, buffer, batch, parts };
                            let bound = outer.unwrap_or(usize::MAX);
                            let gauge = Gauge::new();
                            let running = shape.pipeline().run_envelopes(gauged(ITEMS, bound, &gauge)).unwrap();
                            let (items, report) = read_all(running).await;
                            assert_eq!(items.len() as u64, ITEMS * parts, "{shape:?}");
                            assert_eq!((report.settled, gauge.now()), (ITEMS, 0), "{shape:?}: {report}");
                            shapes += 1;
                        }
                    }
                }
            }
        }
        assert_eq!(shapes, 108);
    }
}
