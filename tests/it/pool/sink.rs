//! The sink of a pool: what waits, what is held, which errors come out, and what a drop leaves.

use std::pin::Pin;
use std::task::{Context, Poll};

use flowgate::{Attempt, JobError, RunError, SubmitError, WorkerPool};
use futures::{Sink as _, SinkExt as _, StreamExt as _, stream};

use crate::support::{Counted, Gate, Tally, alive_tasks, on_both_runtimes, quiet, settle, soon, until, wakers};

type Pool = WorkerPool<u32, u32, String>;

/// Jobs from 90 on fail, 99 panics; all wait at the gate.
fn gated(concurrency: usize, queue: usize, gate: &Gate) -> Pool {
    let gate = gate.clone();
    Pool::builder()
        .concurrency(concurrency)
        .queue(queue)
        .build(move |job: Attempt<u32>| {
            let gate = gate.clone();
            async move {
                gate.pass().await;
                assert!(*job != 99, "ninety-nine");
                if *job >= 90 { Err(format!("{} is too much", *job)) } else { Ok(*job) }
            }
        })
        .unwrap()
}

fn open() -> Gate {
    let gate = Gate::new();
    gate.open();
    gate
}

on_both_runtimes! {
    /// Seen to fail: an outcome comes for a job whose acceptance nobody has seen, and it is taken for one in line.
    async fn a_stream_is_forwarded_and_its_outcomes_are_awaited() {
        let pool = gated(3, 5, &open());
        stream::iter((0..5_000).map(|job| job % 90)).map(Ok).forward(pool.sink()).await.unwrap();
        assert_eq!((pool.stats().totals.succeeded, pool.is_closed()), (5_000, false));
    }

    async fn the_first_error_ends_a_forward_and_comes_with_its_job() {
        let pool = gated(2, 2, &open());
        let error = stream::iter([1, 2, 95, 3]).map(Ok).forward(pool.sink()).await.unwrap_err();
        let RunError::Job(JobError::Failed(failure)) = error else { panic!("{error:?}") };
        assert_eq!((failure.job, failure.last_error.as_deref()), (Some(95), Some("95 is too much")));
        quiet(&pool).await;
    }
}

/// Seen to fail: it is ready while a job waits.
#[tokio::test(start_paused = true)]
async fn it_is_ready_without_a_permit_and_flushed_once_all_is_accepted() {
    let gate = Gate::new();
    let pool = gated(1, 1, &gate);
    let mut sink = pool.sink();
    for job in 0..2 {
        soon(sink.feed(job)).await.unwrap();
        soon(sink.flush()).await.unwrap();
    }
    assert_eq!((sink.len(), pool.len()), (2, 2), "accepted, not ended");
    // The third is buffered and counted; the sink is not ready for a fourth, and holds no place meanwhile.
    soon(sink.feed(2)).await.unwrap();
    let (count, waker) = wakers::Count::new();
    let mut cx = Context::from_waker(&waker);
    assert!(Pin::new(&mut sink).poll_ready(&mut cx).is_pending());
    assert!(Pin::new(&mut sink).poll_flush(&mut cx).is_pending());
    assert_eq!((sink.len(), pool.stats().waiting, pool.stats().reserved), (3, 1, 0));
    gate.let_through(1);
    until("it is woken", || count.woken() > 0).await;
    assert!(matches!(Pin::new(&mut sink).poll_flush(&mut cx), Poll::Ready(Ok(()))));
    assert_eq!((sink.len(), pool.len()), (2, 2));
    assert!(Pin::new(&mut sink).poll_close(&mut cx).is_pending(), "the outcomes are not there");
    gate.open();
    soon(sink.close()).await.unwrap();
    assert!(sink.is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_error_comes_out_once_and_the_sink_goes_on() {
    let pool = gated(1, 9, &open());
    let mut sink = pool.sink();
    for job in [1, 95, 2, 99, 96] {
        soon(sink.feed(job)).await.unwrap();
    }
    let mut failed = Vec::new();
    while let Err(error) = soon(sink.close()).await {
        failed.push(error.into_job());
    }
    assert_eq!(failed, [Some(95), Some(99), Some(96)]);
    soon(sink.send(3)).await.unwrap();
    soon(sink.close()).await.unwrap();
    assert_eq!(pool.stats().totals.succeeded, 3);
    pool.close();
    let refused = soon(sink.send(4)).await.unwrap_err();
    assert!(matches!(refused, RunError::Submit(SubmitError::Closed(4))), "{refused}");
    soon(sink.close()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_waits_when_the_pool_closes_gives_its_job_back() {
    let gate = Gate::new();
    let pool = gated(1, 0, &gate);
    let mut sink = pool.sink();
    soon(sink.send(1)).await.unwrap();
    let mut sending = Box::pin(sink.send(2));
    assert!(futures::poll!(&mut sending).is_pending());
    pool.close();
    let refused = soon(sending).await.unwrap_err();
    assert!(matches!(refused, RunError::Submit(SubmitError::Closed(2))), "{refused}");
    gate.open();
    soon(sink.close()).await.unwrap();
    assert_eq!(pool.stats().totals.succeeded, 1);
}

/// Seen to fail: its jobs are cancelled.
#[tokio::test(start_paused = true)]
async fn dropped_it_detaches_its_jobs_and_can_give_the_unsent_one_back() {
    let (before, tally, gate) = (alive_tasks(), Tally::new(), Gate::new());
    let (make, pass) = (tally.clone(), gate.clone());
    let pool = WorkerPool::<Counted, Counted, ()>::builder()
        .concurrency(1)
        .build(move |job: Attempt<Counted>| {
            let (make, pass) = (make.clone(), pass.clone());
            async move {
                pass.pass().await;
                Ok(make.make(job.id))
            }
        })
        .unwrap();
    let mut sink = pool.sink();
    for id in 0..3 {
        soon(sink.feed(tally.make(id))).await.unwrap();
    }
    assert_eq!(sink.into_unsent().map(|job| job.id), Some(2));
    assert_eq!((pool.len(), pool.stats().waiting), (2, 0));
    let mut sink = pool.sink();
    soon(sink.feed(tally.make(3))).await.unwrap();
    assert!(futures::poll!(sink.flush()).is_pending());
    drop(sink);
    assert_eq!(pool.stats().waiting, 0);
    gate.open();
    quiet(&pool).await;
    assert_eq!((pool.stats().totals.succeeded, tally.alive()), (2, 0));
    drop(pool);
    settle().await;
    assert_eq!(alive_tasks(), before);
}

#[tokio::test(start_paused = true)]
async fn in_a_handler_of_the_full_pool_it_is_refused_at_once() {
    type Own = WorkerPool<u32, bool, ()>;
    let pool = Own::builder()
        .concurrency(1)
        .build(|job: Attempt<u32>| async move {
            if *job > 0 {
                return Ok(false);
            }
            let own: Own = job.cx().pool().unwrap().upgrade().unwrap();
            let mut sink = own.sink();
            sink.feed(1).await.unwrap();
            let refused = sink.send(2).await.expect_err("there is room for one");
            assert!(matches!(refused, RunError::Submit(SubmitError::WouldDeadlock(2))), "{refused}");
            sink.close().await.expect("the slot is lent while it waits");
            Ok(true)
        })
        .unwrap();
    assert!(soon(pool.run(0)).await.unwrap());
    quiet(&pool).await;
}
