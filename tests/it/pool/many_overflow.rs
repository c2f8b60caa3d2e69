//! What handles many jobs, in pools that do not let anybody wait.

use flowgate::{Attempt, BatchRefusal, JobError, Order, Overflow, RunError, SubmitError, WorkerPool, join};
use futures::{SinkExt as _, StreamExt as _, stream};

use crate::support::{Gate, quiet, settle, soon};

type Pool = WorkerPool<u32, u32, ()>;

/// One slot and a queue of two; every job waits at the gate.
fn gated(overflow: Overflow, gate: &Gate) -> Pool {
    let gate = gate.clone();
    Pool::builder()
        .concurrency(1)
        .queue(2)
        .overflow(overflow)
        .build(move |job: Attempt<u32>| {
            let gate = gate.clone();
            async move {
                gate.pass().await;
                Ok(*job)
            }
        })
        .unwrap()
}

/// Seen to fail: a batch takes a job for which there is no room; a stream does not wait for its own jobs.
#[tokio::test(start_paused = true)]
async fn where_the_full_pool_refuses_so_do_they_and_nothing_is_lost() {
    let gate = Gate::new();
    let pool = gated(Overflow::Reject, &gate);
    let mut jobs = 0..9;
    let refused = soon(pool.submit_batch(&mut jobs)).await.unwrap_err();
    assert_eq!((refused.why, refused.handles.len(), refused.jobs.len()), (BatchRefusal::Full, 3, 0));
    assert_eq!(jobs.next(), Some(3), "nothing is taken for which there is no room");
    let mut scope = pool.scope();
    assert!(matches!(soon(scope.submit(10)).await, Err(SubmitError::Full(10))));
    assert!(matches!(scope.try_submit(11), Err(SubmitError::Full(11))));
    let mut sink = pool.sink();
    let refused = soon(sink.send(12)).await.unwrap_err();
    assert!(matches!(refused, RunError::Submit(SubmitError::Full(12))), "{refused}");
    let items: Vec<_> = soon(pool.map(stream::iter(20..25), Order::Ordered).collect::<Vec<_>>()).await;
    let full = |item: &Result<_, _>| matches!(item, Err(RunError::Submit(SubmitError::Full(20..25))));
    assert!(items.len() == 5 && items.iter().all(full), "none of its jobs are inside");
    gate.open();
    quiet(&pool).await;
    let items: Vec<_> = soon(pool.map(stream::iter(0..50), Order::Ordered).window(20).collect::<Vec<_>>()).await;
    assert!(items.into_iter().map(Result::unwrap).eq(0..50), "it waits for its own jobs");
}

/// Seen to fail: a scope makes no room.
#[tokio::test(start_paused = true)]
async fn where_the_oldest_makes_room_so_it_does_for_them() {
    let gate = Gate::new();
    let pool = gated(Overflow::DropOldest, &gate);
    drop(pool.try_submit(100).unwrap());
    settle().await;
    let handles = soon(pool.submit_batch(&mut (0..6))).await.unwrap();
    let mut scope = pool.scope();
    soon(scope.submit(6)).await.unwrap();
    scope.try_submit(7).unwrap();
    let mapped = pool.map(stream::iter([8]), Order::Unordered);
    let mapped = tokio::spawn(mapped.collect::<Vec<_>>());
    settle().await;
    gate.open();
    for (job, outcome) in join(handles).await.into_iter().enumerate() {
        let Err(JobError::Shed(failure)) = outcome else { panic!("{job} was not shed") };
        assert_eq!(failure.job, Some(job as u32));
    }
    let (_, outcome) = soon(scope.next()).await.unwrap();
    assert!(matches!(outcome, Err(JobError::Shed(_))), "6 was the oldest when 8 came");
    assert_eq!(soon(scope.next()).await.unwrap().1.unwrap(), 7);
    assert_eq!(soon(mapped).await.unwrap().remove(0).unwrap(), 8);
    quiet(&pool).await;
    assert_eq!(pool.stats().totals.shed, 7);
}
