//! Producers that every contender shares.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

use crate::case::Shape;
use crate::pool::load::{Counted, Load, Plain, Tally};
use crate::setup::Setup;

/// A pool under measurement: it runs the jobs of a [`Load`] on at most [`Shape::slots`] slots and delivers each result
/// to whoever submitted the job.
pub trait Pool<L: Load>: Clone + Send + Sync + 'static {
    /// Why a result can be missing; any error ends the run.
    type Error: Debug;
    /// Delivers one result.
    type Handle: Future<Output = Result<u64, Self::Error>> + Send + 'static;

    /// Starts the pool, inside the runtime.
    fn start(shape: &Shape, load: L) -> Self;

    /// Submits one job, waiting for room.
    fn submit(&self, job: u64) -> impl Future<Output = Self::Handle> + Send;

    /// Ends the pool, all of whose `jobs` have been answered.
    fn finish(self, jobs: u64) -> impl Future<Output = ()> + Send {
        let _ = jobs;
        async {}
    }
}

/// Producers that keep a FIFO window of handles and await the oldest whenever the window is full.
///
/// A window of one is a round trip.
pub fn windowed<P: Pool<L>, L: Plain>(setup: &Setup) -> u64 {
    setup.block_on(async {
        let pool = P::start(&setup.shape, L::default());
        let window = setup.window_share();
        let sum = sum_of(setup.shares().map(|share| produce(pool.clone(), share, window))).await;
        pool.finish(setup.ops).await;
        sum
    })
}

async fn produce<P: Pool<L>, L: Load>(pool: P, jobs: Range<u64>, window: usize) -> u64 {
    let mut unread = VecDeque::with_capacity(window);
    let mut sum = 0;
    for job in jobs {
        if unread.len() == window
            && let Some(oldest) = unread.pop_front()
        {
            sum += result(oldest).await;
        }
        unread.push_back(pool.submit(job).await);
    }
    for handle in unread {
        sum += result(handle).await;
    }
    sum
}

async fn result<H: Future<Output = Result<u64, E>>, E: Debug>(handle: H) -> u64 {
    match handle.await {
        Ok(result) => result,
        Err(error) => panic!("a job has no result: {error:?}"),
    }
}

/// Producers that drop each handle at once, against a capacity that keeps them waiting for room; the jobs count
/// themselves.
pub fn detached<P: Pool<Counted>>(setup: &Setup) -> u64 {
    setup.block_on(async {
        let tally = Arc::new(Tally::expecting(setup.ops));
        let pool = P::start(&setup.shape, Counted(Arc::clone(&tally)));
        let submitted = sum_of(setup.shares().map(|share| submit_all(pool.clone(), share))).await;
        assert_eq!(submitted, setup.ops);
        let sum = tally.complete().await;
        pool.finish(setup.ops).await;
        sum
    })
}

async fn submit_all<P: Pool<Counted>>(pool: P, jobs: Range<u64>) -> u64 {
    let mut submitted = 0;
    for job in jobs {
        drop(pool.submit(job).await);
        submitted += 1;
    }
    submitted
}

/// Runs each producer as a task of its own; the sum of what they return.
pub(crate) async fn sum_of<F>(producers: impl Iterator<Item = F>) -> u64
where
    F: Future<Output = u64> + Send + 'static,
{
    let tasks: Vec<_> = producers.map(tokio::spawn).collect();
    let mut sum = 0;
    for task in tasks {
        sum += task.await.expect("a producer");
    }
    sum
}
