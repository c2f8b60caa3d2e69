//! One job: the forms of a handler, what it is lent, and what it gives back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowgate::retry::{Jitter, RetryPolicy};
use flowgate::{Attempt, Cx, Handler, JobError, RunError, StopReason, SubmitError, WorkerPool};
use tokio::sync::oneshot;

use crate::support::{Gate, Tally, on_both_runtimes, promptly, quiet, secs, settle, soon, until};

fn retry<E>(attempts: u32) -> RetryPolicy<E> {
    RetryPolicy::fixed(Duration::from_millis(1)).jitter(Jitter::None).max_attempts(attempts).no_budget()
}

async fn by_attempt(mut job: Attempt<Vec<u32>>) -> Result<usize, String> {
    let attempt = job.attempt();
    job.push(attempt);
    tokio::task::yield_now().await;
    if job.len() < 3 { Err(format!("{} so far", job.len())) } else { Ok(job.len()) }
}

async fn by_state(least: &usize, job: &mut Vec<u32>, cx: &Cx) -> Result<usize, String> {
    job.push(cx.attempt());
    tokio::task::yield_now().await;
    if job.len() < *least { Err(format!("{} so far", job.len())) } else { Ok(job.len()) }
}

struct AtLeast(usize);

impl Handler<Vec<u32>> for AtLeast {
    type Out = usize;
    type Err = String;

    async fn run(&self, job: &mut Vec<u32>, cx: &Cx) -> Result<usize, String> {
        by_state(&self.0, job, cx).await
    }
}

type Pool = WorkerPool<Vec<u32>, usize, String>;

/// Three attempts, each of which sees what the one before has done; then two, with the job back.
async fn lends_its_job_to_each_attempt(build: impl Fn(u32) -> Pool) {
    let pool = build(3);
    assert_eq!(pool.run(Vec::new()).await.unwrap(), 3);
    assert_eq!(pool.stats().totals.retries, 2);
    let pool = build(2);
    let RunError::Job(JobError::Failed(failure)) = pool.run(Vec::new()).await.unwrap_err() else { panic!("it fails") };
    assert_eq!((failure.attempts, failure.stop), (2, StopReason::MaxAttempts));
    assert_eq!(failure.last_error.as_deref(), Some("2 so far"));
    assert_eq!(failure.job, Some(vec![1, 2]), "as the last attempt left it");
    quiet(&pool).await;
}

on_both_runtimes! {
    async fn a_handler_is_a_closure() {
        lends_its_job_to_each_attempt(|attempts| {
            let least = Arc::new(3);
            let closure = move |mut job: Attempt<Vec<u32>>| {
                let least = least.clone();
                async move {
                    let attempt = job.attempt();
                    job.push(attempt);
                    tokio::task::yield_now().await;
                    if job.len() < *least { Err(format!("{} so far", job.len())) } else { Ok(job.len()) }
                }
            };
            Pool::builder().concurrency(1).retry(retry(attempts)).build(closure).unwrap()
        })
        .await;
    }

    async fn a_handler_is_an_async_fn_that_takes_the_attempt() {
        lends_its_job_to_each_attempt(|attempts| {
            Pool::builder().concurrency(1).retry(retry(attempts)).build(by_attempt).unwrap()
        })
        .await;
    }

    async fn a_handler_is_an_async_fn_over_state() {
        lends_its_job_to_each_attempt(|attempts| {
            WorkerPool::builder().concurrency(1).retry(retry(attempts)).build_with(3, by_state).unwrap()
        })
        .await;
    }

    async fn a_handler_is_an_async_closure_over_state() {
        lends_its_job_to_each_attempt(|attempts| {
            let closure = async |least: &usize, job: &mut Vec<u32>, cx: &Cx| {
                job.push(cx.attempt());
                tokio::task::yield_now().await;
                if job.len() < *least { Err(format!("{} so far", job.len())) } else { Ok(job.len()) }
            };
            Pool::builder().concurrency(1).retry(retry(attempts)).build_with(3, closure).unwrap()
        })
        .await;
    }

    async fn a_handler_is_a_struct() {
        lends_its_job_to_each_attempt(|attempts| {
            WorkerPool::builder().concurrency(1).retry(retry(attempts)).build_handler(AtLeast(3)).unwrap()
        })
        .await;
    }

    async fn a_cancelled_running_job_comes_back_as_its_attempt_left_it() {
        let started = Gate::new();
        let there = started.clone();
        let closure = move |mut job: Attempt<Vec<u32>>| {
            let there = there.clone();
            async move {
                job.push(42);
                there.pass().await;
                Ok(0)
            }
        };
        let pool = Pool::builder().concurrency(1).build(closure).unwrap();
        let handle = pool.submit(vec![1]).await.unwrap();
        until("it waits", || started.waiting() == 1).await;
        handle.cancel();
        assert!(matches!(handle.await, Err(JobError::Cancelled(Some(job))) if job == [1, 42]));
    }
}

/// `into_inner`: there is no other attempt, and no job to give back.
#[tokio::test(start_paused = true)]
async fn a_job_that_the_handler_keeps_is_not_retried() {
    let (tally, attempts) = (Tally::new(), Arc::new(AtomicUsize::new(0)));
    let count = attempts.clone();
    let pool = WorkerPool::<_, (), &str>::builder()
        .concurrency(1)
        .retry(retry(5))
        .build(move |job: Attempt<crate::support::Counted>| {
            count.fetch_add(1, Ordering::SeqCst);
            async move {
                let job = job.into_inner();
                tokio::task::yield_now().await;
                if job.id == 0 { Ok(()) } else { Err("and failed") }
            }
        })
        .unwrap();
    assert!(soon(pool.run(tally.make(0))).await.is_ok());
    let error = soon(pool.try_submit(tally.make(1)).unwrap()).await.unwrap_err();
    let JobError::Failed(failure) = error else { panic!("it failed") };
    assert_eq!((failure.attempts, failure.stop), (1, StopReason::JobKept));
    assert_eq!((failure.last_error, failure.job.is_none()), (Some("and failed"), true));
    assert_eq!((attempts.load(Ordering::SeqCst), tally.alive()), (2, 0));
}

/// The same for one that is cancelled, aborted or takes too long: there is nothing to give back.
#[tokio::test(start_paused = true)]
async fn a_job_that_was_kept_does_not_come_back_from_anywhere() {
    let build = || {
        WorkerPool::<u32, (), ()>::builder()
            .concurrency(1)
            .attempt_timeout(secs(10))
            .retry(retry(5))
            .build(|job: Attempt<u32>| async move {
                let _kept = job.into_inner();
                std::future::pending().await
            })
            .unwrap()
    };
    let pool = build();
    let cancelled = pool.try_submit(1).unwrap();
    settle().await;
    cancelled.cancel();
    assert!(matches!(soon(cancelled).await, Err(JobError::Cancelled(None))));
    let late = pool.try_submit(2).unwrap();
    let error = soon(late).await.unwrap_err();
    let failure = error.failure().unwrap();
    assert!(matches!(error, JobError::TimedOut(_)));
    assert_eq!((failure.stop, failure.attempts, failure.job), (StopReason::JobKept, 1, None));
    let aborted = pool.try_submit(3).unwrap();
    settle().await;
    drop(pool);
    assert!(matches!(soon(aborted).await, Err(JobError::Aborted(None))));
}

/// An attempt may escape its handler. The outcome does not wait for it; dropping it later hurts nobody.
#[tokio::test(start_paused = true)]
async fn an_attempt_outlives_its_future() {
    let tally = Tally::new();
    let (gate, escaped) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    let (stop, count) = (gate.clone(), escaped.clone());
    let pool = WorkerPool::<_, u64, &str>::builder()
        .concurrency(1)
        .queue(10)
        .retry(retry(3))
        .build(move |mut job: Attempt<crate::support::Counted>| {
            let (id, stop, count) = (job.id, stop.clone(), count.clone());
            tokio::spawn(async move {
                stop.pass().await;
                job.id += 100;
                assert_eq!((job.id, job.attempt()), (id + 100, 1));
                count.fetch_add(1, Ordering::SeqCst);
            });
            async move { if id % 2 == 0 { Ok(id) } else { Err("it has gone") } }
        })
        .unwrap();
    for round in 0..5 {
        let (even, odd) = (pool.try_submit(tally.make(0)).unwrap(), pool.try_submit(tally.make(1)).unwrap());
        assert_eq!(soon(even).await.unwrap(), 0);
        let error = soon(odd).await.unwrap_err();
        let failure = error.failure().unwrap();
        assert_eq!((failure.stop, failure.job.is_none()), (StopReason::JobKept, true));
        assert_eq!(tally.alive(), 2 * (round + 1), "in the tasks that hold them");
    }
    gate.open();
    until("all have come home", || escaped.load(Ordering::SeqCst) == 10 && tally.alive() == 0).await;
    quiet(&pool).await;
}

#[tokio::test(start_paused = true)]
async fn an_escaped_cx_sees_the_cancellation_of_its_attempt_only() {
    let escaped = Arc::new(Mutex::new(Vec::<Cx>::new()));
    let keep = escaped.clone();
    let pool = WorkerPool::<u32, (), ()>::builder()
        .concurrency(2)
        .build(move |job: Attempt<u32>| {
            keep.lock().unwrap().push(job.cx());
            async move { if *job == 0 { Ok(()) } else { std::future::pending().await } }
        })
        .unwrap();
    soon(pool.run(0)).await.unwrap();
    let (one, two) = (pool.try_submit(1).unwrap(), pool.try_submit(2).unwrap());
    settle().await;
    let cxs = escaped.lock().unwrap().clone();
    let token = cxs[1].token();
    let waiter = tokio::spawn(cxs[1].cancelled());
    settle().await;
    one.cancel();
    soon(one).await.unwrap_err();
    soon(waiter).await.unwrap();
    assert!(token.is_cancelled());
    assert_eq!(cxs.iter().map(Cx::is_cancelled).collect::<Vec<_>>(), [false, true, false]);
    soon(cxs[1].cancelled()).await;
    // A token is for listening: cancelling it does not cancel the job.
    cxs[2].token().cancel();
    settle().await;
    assert!(!cxs[2].is_cancelled() && !two.is_finished());
    drop(pool);
    soon(two).await.unwrap_err();
    assert!(cxs[2].is_cancelled(), "an abort is one too");
    assert!(!cxs[0].is_cancelled(), "that one had ended");
}

/// A job's number is its place in the order of acceptance.
#[tokio::test(start_paused = true)]
async fn jobs_are_numbered_as_they_are_accepted() {
    let pool =
        WorkerPool::<(), (), ()>::builder().concurrency(1).queue(1).build(|_: Attempt<()>| async { Ok(()) }).unwrap();
    for number in 0..20 {
        let handle = pool.submit(()).await.unwrap();
        assert_eq!(handle.id().to_string(), format!("job {number}"));
        soon(handle).await.unwrap();
    }
    let (first, second) = (pool.try_submit(()).unwrap(), pool.try_submit(()).unwrap());
    assert!(first.id() < second.id());
}

/// The error of a refusal has the job, whatever way it was submitted.
#[tokio::test(start_paused = true)]
async fn each_refusal_gives_its_own_job_back() {
    let pool = WorkerPool::<String, (), ()>::builder()
        .concurrency(1)
        .queue(0)
        .build(|_: Attempt<String>| std::future::pending())
        .unwrap();
    let blocker = pool.try_submit("blocker".into()).unwrap();
    assert!(matches!(pool.try_submit("try".into()), Err(SubmitError::Full(job)) if job == "try"));
    let timed = soon(pool.submit_timeout("timed".into(), secs(1))).await;
    assert!(matches!(timed, Err(SubmitError::Timeout(job)) if job == "timed"));
    let permit = tokio::time::timeout(secs(1), pool.reserve()).await;
    assert!(permit.is_err(), "no place to reserve");
    let waiting = pool.clone();
    let (told, tell) = oneshot::channel();
    tokio::spawn(async move { tell_the(told, waiting.submit("waiting".into()).await.map(|_| ())) });
    settle().await;
    pool.close();
    assert!(matches!(soon(tell).await.unwrap(), Err(SubmitError::Closed(job)) if job == "waiting"));
    assert!(matches!(pool.try_submit("try".into()), Err(SubmitError::Closed(job)) if job == "try"));
    let refused = soon(pool.run("run".into())).await.unwrap_err();
    assert_eq!(refused.into_job().as_deref(), Some("run"));
    assert!(soon(pool.reserve()).await.is_err());
    blocker.cancel();
    promptly(pool.drain()).await.unwrap();
}

fn tell_the<T>(told: oneshot::Sender<T>, what: T) {
    assert!(told.send(what).is_ok(), "the test waits for it");
}

/// What a handler has started elsewhere learns that its attempt ran out of time; the next attempt is not told.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_times_out_cancels_its_own_context() {
    let contexts = Arc::new(Mutex::new(Vec::new()));
    let kept = contexts.clone();
    let pool = WorkerPool::<u32, bool, ()>::builder()
        .concurrency(1)
        .attempt_timeout(secs(1))
        .retry(retry(2))
        .build(move |job: Attempt<u32>| {
            kept.lock().unwrap().push(job.cx());
            async move {
                if job.attempt() == 1 {
                    std::future::pending::<()>().await;
                }
                Ok(job.cx().is_cancelled())
            }
        })
        .unwrap();
    assert!(!soon(pool.run(1)).await.unwrap(), "a new attempt begins afresh");
    let told: Vec<_> = contexts.lock().unwrap().iter().map(flowgate::Cx::is_cancelled).collect();
    assert_eq!(told, [true, false]);
}
