//! One async stage that works on sixteen items at once.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;

use flowgate::{Attempt, Order, Par, Pipeline, WorkerPool};
use futures::{Stream, StreamExt as _, stream};
use par_stream::ParStreamExt as _;

use crate::setup::Setup;

/// What the stage does with an item.
pub trait Load: 'static {
    /// Its number plus 1.
    fn work(n: u64) -> impl Future<Output = u64> + Send + 'static;
}

/// Nothing that takes time.
#[derive(Debug)]
pub struct Trivial;

impl Load for Trivial {
    async fn work(n: u64) -> u64 {
        n + 1
    }
}

/// Gives its thread away once.
#[derive(Debug)]
pub struct Yielding;

impl Load for Yielding {
    async fn work(n: u64) -> u64 {
        tokio::task::yield_now().await;
        n + 1
    }
}

async fn sum(items: impl Stream<Item = u64>) -> u64 {
    let (mut items, mut sum) = (pin!(items), 0);
    while let Some(item) = items.next().await {
        sum += item;
    }
    sum
}

fn ours<L: Load>(setup: &Setup, par: Par) -> u64 {
    let stage = Pipeline::new().map_async(par.window(setup.shape.window), L::work);
    setup.block_on(async {
        let mut running = stage.run(stream::iter(0..setup.ops)).expect("a pipeline that can be run");
        let sum = sum(&mut running).await;
        let report = running.join().await.expect("nothing fails");
        assert_eq!(report.settled, setup.ops);
        sum
    })
}

/// `map_async`, in order.
pub fn ours_ordered<L: Load>(setup: &Setup) -> u64 {
    ours::<L>(setup, Par::ordered(setup.shape.slots))
}

/// `map_async`, as they come.
pub fn ours_unordered<L: Load>(setup: &Setup) -> u64 {
    ours::<L>(setup, Par::unordered(setup.shape.slots))
}

fn pool<L: Load>(setup: &Setup, order: Order) -> u64 {
    let (slots, window) = (setup.shape.slots, setup.shape.window);
    setup.block_on(async {
        let pool = WorkerPool::<u64, u64, Infallible>::builder()
            .concurrency(slots)
            .queue(window - slots)
            .build(|job: Attempt<u64>| async move { Ok(L::work(job.into_inner()).await) })
            .expect("options that can be honoured");
        let items = pool.map(stream::iter(0..setup.ops), order).window(window);
        sum(items.map(|item| item.expect("nothing fails"))).await
    })
}

/// The pool below a parallel stage, alone.
pub fn pool_ordered<L: Load>(setup: &Setup) -> u64 {
    pool::<L>(setup, Order::Ordered)
}

/// The same, as they come.
pub fn pool_unordered<L: Load>(setup: &Setup) -> u64 {
    pool::<L>(setup, Order::Unordered)
}

/// `buffered`: all in the task that reads.
pub fn buffered<L: Load>(setup: &Setup) -> u64 {
    setup.block_on(sum(stream::iter(0..setup.ops).map(L::work).buffered(setup.shape.slots)))
}

/// `buffered` over tasks.
pub fn buffered_spawned<L: Load>(setup: &Setup) -> u64 {
    let tasks = stream::iter(0..setup.ops).map(|n| tokio::spawn(L::work(n)));
    setup.block_on(sum(tasks.buffered(setup.shape.slots).map(|item| item.expect("nothing panics"))))
}

/// `buffer_unordered`: all in the task that reads.
pub fn unordered<L: Load>(setup: &Setup) -> u64 {
    setup.block_on(sum(stream::iter(0..setup.ops).map(L::work).buffer_unordered(setup.shape.slots)))
}

/// `buffer_unordered` over tasks.
pub fn unordered_spawned<L: Load>(setup: &Setup) -> u64 {
    let tasks = stream::iter(0..setup.ops).map(|n| tokio::spawn(L::work(n)));
    setup.block_on(sum(tasks.buffer_unordered(setup.shape.slots).map(|item| item.expect("nothing panics"))))
}

/// par-stream, in order.
pub fn par_then<L: Load>(setup: &Setup) -> u64 {
    setup.block_on(async { sum(stream::iter(0..setup.ops).par_then(setup.shape.slots, L::work)).await })
}

/// par-stream, as they come.
pub fn par_then_unordered<L: Load>(setup: &Setup) -> u64 {
    setup.block_on(async { sum(stream::iter(0..setup.ops).par_then_unordered(setup.shape.slots, L::work)).await })
}
