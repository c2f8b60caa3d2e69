//! Rivals built from tokio's, futures' and tower's own parts.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use futures::{StreamExt, stream};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tower::buffer::Buffer;
use tower::limit::ConcurrencyLimit;
use tower::{Service, ServiceExt};

use crate::case::Shape;
use crate::pool::driver::{Pool, sum_of};
use crate::pool::load::{Load, Plain};
use crate::setup::Setup;

/// A task per job, spawned once a semaphore gave its permit.
#[derive(Clone, Debug)]
pub struct SpawnSemaphore<L> {
    permits: Arc<Semaphore>,
    load: L,
}

impl<L: Load> Pool<L> for SpawnSemaphore<L> {
    type Error = JoinError;
    type Handle = JoinHandle<u64>;

    fn start(shape: &Shape, load: L) -> Self {
        Self { permits: Arc::new(Semaphore::new(shape.slots)), load }
    }

    async fn submit(&self, job: u64) -> JoinHandle<u64> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("never closed");
        let run = self.load.clone().run(job);
        tokio::spawn(async move {
            let result = run.await;
            drop(permit);
            result
        })
    }
}

/// A task per job and no limit but the producers' window: what tokio alone takes.
#[derive(Clone, Debug)]
pub struct BareSpawn<L>(L);

impl<L: Load> Pool<L> for BareSpawn<L> {
    type Error = JoinError;
    type Handle = JoinHandle<u64>;

    fn start(_shape: &Shape, load: L) -> Self {
        Self(load)
    }

    async fn submit(&self, job: u64) -> JoinHandle<u64> {
        tokio::spawn(self.0.clone().run(job))
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<u64, tower::BoxError>> + Send>>;

/// The handler as a tower service.
#[derive(Clone, Debug)]
pub struct Handler<L>(L);

impl<L: Load> Service<u64> for Handler<L> {
    type Response = u64;
    type Error = tower::BoxError;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, job: u64) -> Answer {
        let run = self.0.clone().run(job);
        Box::pin(async move { Ok(run.await) })
    }
}

/// tower's `Buffer` over its `ConcurrencyLimit`, each response driven by a task, since a buffer's responses run only
/// while they are polled. The handler's future is boxed, because a service names its future's type: one allocation of
/// the contender's several.
pub struct Tower<L: Load> {
    service: Buffer<u64, <ConcurrencyLimit<Handler<L>> as Service<u64>>::Future>,
}

impl<L: Load> Clone for Tower<L> {
    fn clone(&self) -> Self {
        Self { service: self.service.clone() }
    }
}

impl<L: Load> fmt::Debug for Tower<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tower").finish_non_exhaustive()
    }
}

impl<L: Load> Pool<L> for Tower<L> {
    type Error = JoinError;
    type Handle = JoinHandle<u64>;

    fn start(shape: &Shape, load: L) -> Self {
        let limited = ConcurrencyLimit::new(Handler(load), shape.slots);
        Self { service: Buffer::new(limited, shape.capacity - shape.slots) }
    }

    async fn submit(&self, job: u64) -> JoinHandle<u64> {
        let mut service = self.service.clone();
        let answer = service.ready().await.expect("the buffer runs").call(job);
        tokio::spawn(async move { answer.await.expect("the handler cannot fail") })
    }
}

/// A `JoinSet` per producer and a semaphore for all; results come as they are ready.
pub fn join_set<L: Plain>(setup: &Setup) -> u64 {
    setup.block_on(async {
        let permits = Arc::new(Semaphore::new(setup.shape.slots));
        let window = setup.window_share();
        sum_of(setup.shares().map(|share| produce_joined(Arc::clone(&permits), L::default(), share, window))).await
    })
}

async fn produce_joined<L: Load>(permits: Arc<Semaphore>, load: L, jobs: Range<u64>, window: usize) -> u64 {
    let mut unread = JoinSet::new();
    let mut sum = 0;
    for job in jobs {
        if unread.len() == window
            && let Some(result) = unread.join_next().await
        {
            sum += result.expect("a job");
        }
        let permit = Arc::clone(&permits).acquire_owned().await.expect("never closed");
        let run = load.clone().run(job);
        unread.spawn(async move {
            let result = run.await;
            drop(permit);
            result
        });
    }
    while let Some(result) = unread.join_next().await {
        sum += result.expect("a job");
    }
    sum
}

/// `buffer_unordered` over the slots' share of each producer: the jobs run inside the producer's own task, one at a
/// time, and a panic would end them all.
pub fn buffer_unordered<L: Plain>(setup: &Setup) -> u64 {
    let slots = (setup.shape.slots / setup.shape.producers).max(1);
    setup.block_on(sum_of(setup.shares().map(|share| {
        stream::iter(share)
            .map(|job| L::default().run(job))
            .buffer_unordered(slots)
            .fold(0, |sum, result| std::future::ready(sum + result))
    })))
}
