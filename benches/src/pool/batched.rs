//! `submit_batch`, `map` and `TaskPool` beside a task per job.

use std::collections::VecDeque;
use std::convert::Infallible;

use flowgate::{Attempt, Order, Shutdown, TaskError, TaskHandle, TaskPool, WorkerPool, join};
use futures::{StreamExt as _, stream};

use crate::case::{Case, Contender, Shape};
use crate::pool::driver::{Pool, sum_of, windowed};
use crate::pool::load::{Load, Trivial};
use crate::pool::rivals::{self, SpawnSemaphore};
use crate::setup::Setup;

type Jobs = WorkerPool<u64, u64, Infallible>;

/// Trivial jobs, handed over in numbers.
#[must_use]
pub fn cases() -> Vec<Case> {
    let spawn = Contender { name: super::SPAWN, run: windowed::<SpawnSemaphore<Trivial>, Trivial> };
    let join_set = Contender { name: "joinset+semaphore", run: rivals::join_set::<Trivial> };
    let unordered = Contender { name: "buffer_unordered", run: rivals::buffer_unordered::<Trivial> };
    let case = |name, run: fn(&Setup) -> u64| Case {
        targets: &[(super::SPAWN, 0.03)],
        ..Case::new(
            name,
            super::wide(1),
            160_000,
            vec![Contender { name: super::OURS, run }, spawn, unordered, join_set],
        )
    };
    vec![
        case("pool/batch16/p1", in_batches::<16>),
        case("pool/batch64/p1", in_batches::<64>),
        case("pool/map/p1", |setup| mapped(setup, Order::Unordered)),
        case("pool/map-ordered/p1", |setup| mapped(setup, Order::Ordered)),
        Case { targets: &[], ..case("pool/tasks/p1", windowed::<Tasks, Trivial>) },
    ]
}

/// A future of any type for each job.
#[derive(Clone, Debug)]
struct Tasks(TaskPool);

impl Pool<Trivial> for Tasks {
    type Error = TaskError;
    type Handle = TaskHandle<u64>;

    fn start(shape: &Shape, _: Trivial) -> Self {
        let tasks = TaskPool::builder().concurrency(shape.slots).queue(shape.capacity - shape.slots);
        Self(tasks.build().expect("options that can be honoured"))
    }

    async fn submit(&self, job: u64) -> TaskHandle<u64> {
        self.0.spawn(Trivial.run(job)).await.expect("the pool is open")
    }
}

fn pool(shape: &Shape) -> Jobs {
    Jobs::builder()
        .concurrency(shape.slots)
        .queue(shape.capacity - shape.slots)
        .build(|job: Attempt<u64>| async move { Ok(Trivial.run(*job).await) })
        .expect("options that can be honoured")
}

/// Producers that keep a FIFO window of batches and await the oldest whenever the window is full.
fn in_batches<const N: usize>(setup: &Setup) -> u64 {
    setup.block_on(async {
        let pool = pool(&setup.shape);
        let window = setup.window_share() / N;
        let sum = sum_of(setup.shares().map(|mut share| {
            let pool = pool.clone();
            async move {
                let (mut unread, mut sum) = (VecDeque::with_capacity(window), 0);
                while !share.is_empty() {
                    if unread.len() == window
                        && let Some(oldest) = unread.pop_front()
                    {
                        sum += total(oldest).await;
                    }
                    unread.push_back(pool.submit_batch(&mut share.by_ref().take(N)).await.expect("the pool is open"));
                }
                for batch in unread {
                    sum += total(batch).await;
                }
                sum
            }
        }))
        .await;
        finish(pool, setup.ops).await;
        sum
    })
}

async fn total(batch: Vec<flowgate::JobHandle<u64, u64, Infallible>>) -> u64 {
    join(batch).await.into_iter().map(|outcome| outcome.expect("a job has a result")).sum()
}

fn mapped(setup: &Setup, order: Order) -> u64 {
    setup.block_on(async {
        let pool = pool(&setup.shape);
        let window = setup.window_share();
        let sum = sum_of(setup.shares().map(|share| {
            let mapped = pool.map(stream::iter(share), order).window(window);
            mapped.fold(0, |sum, outcome| std::future::ready(sum + outcome.expect("a job has a result")))
        }))
        .await;
        finish(pool, setup.ops).await;
        sum
    })
}

async fn finish(pool: Jobs, jobs: u64) {
    let report = pool.shutdown(Shutdown::Drain).await.expect("not in a handler");
    assert!(report.is_complete(), "{report}");
    assert_eq!(report.totals.succeeded, jobs, "{report}");
}
