//! The futures, streams and sinks that handle many jobs, for the drop harness.

use flowgate::{BatchRefusal, Order, RunError, Shutdown, SubmitError, join, try_join};
use futures::{SinkExt as _, StreamExt as _, stream};

use super::drop_at::{Case, EACH, Job, Tested};
use super::world::{CAPACITY, World};

/// More jobs than there is room for.
const MANY: usize = CAPACITY + 2;

pub(crate) fn many_jobs() -> Vec<Case> {
    let mut cases = batches_and_streams();
    cases.extend(tasks());
    cases.extend(together());
    cases
}

fn case(name: &'static str, job: Job, make: for<'a> fn(&'a World) -> Tested<'a>) -> Case {
    Case { name, make, job, situations: EACH }
}

fn batches_and_streams() -> Vec<Case> {
    vec![
        case("batch", Job::Detached, |world| {
            Box::pin(async {
                let mut jobs = (0..2).map(|_| world.tested_job());
                if let Err(refused) = world.pool.submit_batch(&mut jobs).await {
                    assert_eq!(refused.why, BatchRefusal::Closed);
                }
            })
        }),
        case("batch, given up", Job::Detached, |world| {
            Box::pin(async {
                let mut jobs = (0..MANY).map(|_| world.tested_job());
                let mut batch = world.pool.submit_batch(&mut jobs);
                for _ in 0..3 {
                    if futures::poll!(&mut batch).is_ready() {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
                let (handles, waiting) = batch.give_up();
                assert!(handles.len() + usize::from(waiting.is_some()) + jobs.len() == MANY, "nothing is lost");
            })
        }),
        case("Map, ordered", Job::Cancelled, |world| mapped(world, Order::Ordered)),
        case("Map, unordered", Job::Cancelled, |world| mapped(world, Order::Unordered)),
        case("PoolSink", Job::Detached, |world| {
            Box::pin(async {
                let mut sink = world.pool.sink();
                for _ in 0..2 {
                    if let Err(refused) = sink.send(world.tested_job()).await {
                        assert!(matches!(refused, RunError::Job(_) | RunError::Submit(SubmitError::Closed(_))));
                    }
                }
                while sink.close().await.is_err() {}
            })
        }),
    ]
}

fn tasks() -> Vec<Case> {
    vec![
        case("TaskPool::spawn", Job::Detached, |world| {
            Box::pin(async {
                let tasks = world.task_pool();
                for _ in 0..2 {
                    let value = world.tally.make(0);
                    if let Ok(task) = tasks.spawn(async move { drop(value) }).await {
                        drop(task.await);
                    }
                }
            })
        }),
        case("TaskPool::shutdown", Job::Detached, |world| {
            Box::pin(async {
                let tasks = world.task_pool();
                let value = world.tally.make(0);
                drop(tasks.try_spawn(async move { drop(value) }));
                tasks.drain().await.expect("not in a task");
                drop(tasks.shutdown(Shutdown::Drain).await.expect("not in a task"));
            })
        }),
        case("TaskScope", Job::Detached, |world| {
            Box::pin(async {
                let tasks = world.task_pool();
                let mut scope = tasks.scope();
                for nth in 0..4 {
                    let (value, outcome) = (world.tally.make(0), world.tally.make(1));
                    let task = async move {
                        tokio::task::yield_now().await;
                        drop(value);
                        if nth == 2 { Err(outcome) } else { Ok(outcome) }
                    };
                    if scope.spawn(task).await.is_err() {
                        break;
                    }
                }
                assert!(scope.join().await.is_err(), "the third has failed");
            })
        }),
    ]
}

fn together() -> Vec<Case> {
    vec![
        case("Scope::submit", Job::Cancelled, |world| {
            Box::pin(async {
                let mut scope = world.pool.scope();
                for _ in 0..2 {
                    if let Err(refused) = scope.submit(world.tested_job()).await {
                        assert!(matches!(refused, SubmitError::Closed(_)));
                    }
                }
            })
        }),
        case("Scope::next", Job::Cancelled, |world| {
            Box::pin(async {
                let mut scope = world.pool.scope();
                if scope.submit(world.tested_job()).await.is_ok() {
                    let (_, outcome) = scope.next().await.expect("one was submitted");
                    assert!(outcome.is_err());
                    assert!(scope.next().await.is_none());
                }
            })
        }),
        case("Scope::join", Job::Cancelled, |world| {
            Box::pin(async {
                let mut scope = world.pool.scope();
                if scope.submit(world.tested_job()).await.is_ok() {
                    assert!(scope.join().await.is_err());
                }
            })
        }),
        case("join", Job::Detached, |world| {
            Box::pin(async { drop(join([world.some_handle(), world.some_handle()]).await) })
        }),
        case("try_join", Job::Detached, |world| {
            Box::pin(async { drop(try_join([world.some_handle(), world.some_handle()]).await) })
        }),
    ]
}

fn mapped(world: &World, order: Order) -> Tested<'_> {
    Box::pin(async move {
        let jobs = stream::iter((0..MANY).map(|_| world.tested_job()));
        let mut mapped = world.pool.map(jobs, order).window(CAPACITY);
        while let Some(outcome) = mapped.next().await {
            assert!(outcome.is_err(), "nobody lets the jobs go on");
        }
    })
}
