//! Leaving early: closing, draining, shutting down in every order, and dropping what others still use.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowgate::retry::{Jitter, RetryPolicy};
use flowgate::{Attempt, BuildError, JobError, ReserveError, Shutdown, SubmitError, WorkerPool};
use futures::FutureExt as _;
use tokio::time::Instant;

use crate::support::{
    Gate, HOUR, ledger, ms, on_both_runtimes, one_thread, promptly, quiet, secs, settle, soon, spin_until, until,
};

type Pool = WorkerPool<u32, u32, &'static str>;

/// Job 0 waits at the gate, 1 fails and waits an hour for its retry, 2 never ends, the others succeed.
fn mixed(concurrency: usize, queue: usize, gate: &Gate) -> Pool {
    let gate = gate.clone();
    Pool::builder()
        .concurrency(concurrency)
        .queue(queue)
        .retry(RetryPolicy::fixed(HOUR).jitter(Jitter::None).no_budget())
        .build(move |job: Attempt<u32>| {
            let gate = gate.clone();
            async move {
                match *job {
                    0 => gate.pass().await,
                    1 if job.attempt() == 1 => return Err("not yet"),
                    2 => std::future::pending().await,
                    _ => {}
                }
                Ok(*job)
            }
        })
        .unwrap()
}

on_both_runtimes! {
    async fn close_lets_accepted_jobs_go_on_and_turns_the_line_away() {
        let gate = Gate::new();
        let pool = mixed(1, 1, &gate);
        let (running, queued) = (pool.submit(0).await.unwrap(), pool.submit(3).await.unwrap());
        let (submitting, reserving) = (pool.clone(), pool.clone());
        let submit = tokio::spawn(async move { submitting.submit(4).await.map(|_| ()) });
        let reserve = tokio::spawn(async move { reserving.reserve().await.map(|_| ()) });
        until("both stand in line", || pool.stats().waiting == 2).await;
        pool.close();
        pool.close();
        assert!(pool.is_closed() && pool.stats().closed);
        assert!(matches!(submit.await.unwrap(), Err(SubmitError::Closed(4))));
        assert_eq!(reserve.await.unwrap(), Err(ReserveError::Closed));
        assert!(matches!(pool.try_submit(5), Err(SubmitError::Closed(5))));
        gate.open();
        assert_eq!((running.await.unwrap(), queued.await.unwrap()), (0, 3));
        pool.drain().await.unwrap();
        let report = pool.shutdown(Shutdown::Drain).await.unwrap();
        ledger::check_report(&report);
        assert_eq!(report.totals.succeeded, 2);
    }

    async fn close_honours_permits_and_shutdown_revokes_them() {
        let gate = Gate::new();
        let pool = mixed(1, 2, &gate);
        let (first, second, third) =
            (pool.reserve().await.unwrap(), pool.reserve().await.unwrap(), pool.reserve().await.unwrap());
        pool.close();
        assert_eq!(first.submit(7).unwrap().await.unwrap(), 7);
        pool.drain().await.unwrap();
        // An unused permit is no job: it holds up no shutdown.
        let report = pool.shutdown(Shutdown::Drain).await.unwrap();
        assert_eq!((report.totals.accepted, report.totals.succeeded), (1, 1));
        assert!(matches!(second.submit(8), Err(SubmitError::Closed(8))));
        drop(third);
        assert_eq!((pool.stats().reserved, pool.len()), (0, 0));
    }

    async fn a_drain_sees_the_pool_empty_once_and_leaves_it_open() {
        let gate = Gate::new();
        let pool = mixed(2, 20, &gate);
        pool.drain().await.unwrap();
        for job in 3..13 {
            drop(pool.submit(job).await.unwrap());
        }
        let waiting = pool.submit(0).await.unwrap();
        let drains: Vec<_> = (0..3)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move { pool.drain().await.unwrap() })
            })
            .collect();
        until("only one is left", || pool.len() == 1).await;
        assert!(drains.iter().all(|drain| !drain.is_finished()));
        gate.open();
        for drain in drains {
            drain.await.unwrap();
        }
        assert!(waiting.is_finished() && !pool.is_closed());
        assert_eq!(pool.run(5).await.unwrap(), 5);
    }

    async fn a_weak_handle_finds_the_pool_only_while_somebody_owns_it() {
        let gate = Gate::new();
        let pool = mixed(1, 5, &gate);
        let weak = pool.downgrade();
        let again = weak.upgrade().expect("the pool is there");
        drop(pool);
        assert_eq!(again.run(5).await.unwrap(), 5);
        let running = again.try_submit(2).unwrap();
        until("it runs", || again.stats().running == 1).await;
        drop(again);
        assert!(weak.upgrade().is_none() && weak.clone().upgrade().is_none());
        assert!(matches!(running.await, Err(JobError::Aborted(Some(2)))));
        assert!(weak.upgrade().is_none(), "a handle of a job owns nothing");
    }

    async fn a_handler_that_holds_the_last_owner_ends_its_own_pool() {
        type Own = WorkerPool<u32, bool, ()>;
        let (gate, seen) = (Gate::new(), Arc::new(Mutex::new(None)));
        let (stop, keep) = (gate.clone(), seen.clone());
        let pool = Own::builder()
            .concurrency(1)
            .queue(2)
            .build(move |job: Attempt<u32>| {
                let (stop, keep) = (stop.clone(), keep.clone());
                async move {
                    let own: Own = job.cx().pool().unwrap().upgrade().unwrap();
                    stop.pass().await;
                    *keep.lock().unwrap() = Some(own.stats());
                    drop(own);
                    // It is aborted now; what it returns without another await stands.
                    Ok(job.cx().pool::<u32, bool, ()>().is_some_and(|weak| weak.upgrade().is_none()))
                }
            })
            .unwrap();
        let (first, queued) = (pool.try_submit(1).unwrap(), pool.try_submit(2).unwrap());
        until("it has an owner of its own", || gate.waiting() == 1).await;
        drop(pool);
        gate.open();
        assert!(first.await.unwrap());
        assert!(matches!(queued.await, Err(JobError::Aborted(Some(2)))));
        assert!(seen.lock().unwrap().is_some());
    }
}

/// No limit at all is a drain; no time at all is an abort.
#[tokio::test(start_paused = true)]
async fn drain_for_accepts_any_duration() {
    let gate = Gate::new();
    gate.open();
    for limit in [Duration::MAX, Duration::from_secs(u64::MAX / 2), secs(3_600 * 24 * 365 * 100)] {
        let pool = mixed(1, 5, &gate);
        let retried = pool.try_submit(1).unwrap();
        let report = soon(pool.shutdown(Shutdown::DrainFor(limit))).await.unwrap();
        ledger::check_report(&report);
        assert_eq!((soon(retried).await.unwrap(), report.totals.retries), (1, 1));
    }
    let pool = mixed(1, 5, &gate);
    let (hung, queued) = (pool.try_submit(2).unwrap(), pool.try_submit(3).unwrap());
    settle().await;
    let report = soon(pool.shutdown(Shutdown::DrainFor(Duration::ZERO))).await.unwrap();
    ledger::check_report(&report);
    assert_eq!((report.aborted, report.unstarted), (vec![2], vec![3]));
    assert!(soon(hung).await.is_err() && soon(queued).await.is_err());
}

/// A shutdown that is dropped midway leaves the pool closed, and loses none of what it has taken out.
#[tokio::test(start_paused = true)]
async fn a_dropped_shutdown_leaves_its_jobs_to_the_next() {
    let gate = Gate::new();
    let pool = Pool::builder()
        .concurrency(1)
        .queue(5)
        .cancel_grace(secs(10))
        .build(|job: Attempt<u32>| async move {
            let cx = job.cx();
            cx.cancelled().await;
            std::future::pending().await
        })
        .unwrap();
    let handles: Vec<_> = (0..4).map(|job| pool.try_submit(job).unwrap()).collect();
    settle().await;
    {
        let mut shutdown = Box::pin(pool.shutdown(Shutdown::Now));
        assert!(futures::poll!(shutdown.as_mut()).is_pending(), "the handler has its grace");
        assert!(pool.is_closed());
    }
    settle().await;
    assert!(handles[1..].iter().all(|handle| handle.is_finished()), "they have been given up");
    let report = soon(pool.shutdown(Shutdown::Drain)).await.unwrap();
    ledger::check_report(&report);
    assert_eq!((report.unstarted, report.aborted), (vec![1, 2, 3], vec![0]));
    drop((handles, gate));
}

/// The stricter of two shutdowns decides, whichever came first.
#[tokio::test(start_paused = true)]
async fn a_stricter_shutdown_ends_a_patient_one() {
    let gate = Gate::new();
    let pool = mixed(1, 5, &gate);
    let (hung, parked) = (pool.try_submit(2).unwrap(), pool.try_submit(1).unwrap());
    settle().await;
    let patient = pool.clone();
    let drain = tokio::spawn(async move { patient.shutdown(Shutdown::Drain).await.unwrap() });
    tokio::time::advance(secs(600)).await;
    assert!(!drain.is_finished());
    let began = Instant::now();
    let strict = soon(pool.shutdown(Shutdown::DrainFor(secs(5)))).await.unwrap();
    assert!(began.elapsed() >= secs(5) && began.elapsed() < secs(6));
    let patient = soon(drain).await.unwrap();
    ledger::check_report(&strict);
    ledger::check_report(&patient);
    assert_eq!(strict.aborted.len() + patient.aborted.len(), 1);
    assert_eq!(strict.unstarted.len() + patient.unstarted.len(), 1, "job 1 was behind it");
    assert!(soon(hung).await.is_err() && soon(parked).await.is_err());
}

/// A handler that never comes to an await is reported, and its handle has the job in the end.
#[test]
fn a_handler_that_does_not_await_is_reported_and_ends_later() {
    let (pool_runtime, other) = (crate::support::threads(1), one_thread());
    let go_on = Arc::new(Mutex::new(false));
    let wait = go_on.clone();
    let pool = pool_runtime.block_on(async move {
        Pool::builder()
            .concurrency(1)
            .queue(2)
            .build(move |job: Attempt<u32>| {
                let wait = wait.clone();
                async move {
                    spin_until("the handler is let go", || *wait.lock().unwrap());
                    tokio::task::yield_now().await;
                    Ok(*job)
                }
            })
            .unwrap()
    });
    let (blocked, queued) = (pool.try_submit(1).unwrap(), pool.try_submit(2).unwrap());
    spin_until("it runs", || pool.stats().running == 1);
    let report = other.block_on(promptly(pool.shutdown(Shutdown::Now))).unwrap();
    assert_eq!((report.unresponsive, report.unstarted.clone(), report.aborted.len()), (1, vec![2], 0));
    assert!(!report.is_complete() && report.elapsed < secs(10));
    assert!(report.to_string().ends_with("; 1 still in a handler that does not await"), "{report}");
    assert!(!blocked.is_finished());
    *go_on.lock().unwrap() = true;
    other.block_on(promptly(async {
        assert!(matches!(blocked.await, Err(JobError::Aborted(Some(1)))), "the report is out: the handle has it");
        assert!(matches!(queued.await, Err(JobError::Returned)));
        quiet(&pool).await;
        let again = pool.shutdown(Shutdown::Drain).await.unwrap();
        ledger::check_report(&again);
        assert_eq!(again.aborted.len(), 0);
    }));
}

/// Unpolled submitters and reservations of a pool that has gone find that out when they are polled.
#[tokio::test(start_paused = true)]
async fn futures_of_a_pool_that_ended_meanwhile_are_told() {
    let gate = Gate::new();
    let pool = mixed(1, 0, &gate);
    let running = pool.try_submit(0).unwrap();
    let mut submit = Box::pin(pool.submit(5));
    let mut reserve = Box::pin(pool.reserve());
    assert!(futures::poll!(submit.as_mut()).is_pending() && futures::poll!(reserve.as_mut()).is_pending());
    let never_polled = pool.submit(6);
    drop(soon(pool.shutdown(Shutdown::Now)).await.unwrap());
    assert!(matches!(submit.now_or_never(), Some(Err(SubmitError::Closed(5)))));
    assert!(matches!(reserve.now_or_never(), Some(Err(ReserveError::Closed))));
    assert!(matches!(never_polled.now_or_never(), Some(Err(SubmitError::Closed(6)))));
    assert!(matches!(soon(running).await, Err(JobError::Aborted(_) | JobError::Returned)));
}

/// A drain that is dropped, or whose pool ends, leaves nothing behind.
#[tokio::test(start_paused = true)]
async fn drains_may_be_dropped() {
    let gate = Gate::new();
    let pool = mixed(1, 5, &gate);
    let running = pool.try_submit(0).unwrap();
    for _ in 0..100 {
        let mut drain = Box::pin(pool.drain());
        assert!(futures::poll!(drain.as_mut()).is_pending());
    }
    assert!(tokio::time::timeout(ms(5), pool.drain()).await.is_err());
    let last = pool.clone();
    let drain = tokio::spawn(async move { last.drain().await });
    settle().await;
    drop(soon(pool.shutdown(Shutdown::Now)).await.unwrap());
    assert!(soon(drain).await.unwrap().is_ok());
    assert!(soon(running).await.is_err());
}

/// There is nothing for the pool's tasks to run on.
#[test]
fn a_pool_outside_a_runtime_is_refused() {
    let built = Pool::builder().concurrency(1).build(|job: Attempt<u32>| async move { Ok(*job) });
    assert_eq!(built.unwrap_err(), BuildError::NoRuntime);
    let runtime = one_thread();
    let entered = runtime.enter();
    let pool = Pool::builder().concurrency(1).build(|job: Attempt<u32>| async move { Ok(*job) }).unwrap();
    drop(entered);
    // From here on any thread will do.
    let handle = std::thread::scope(|scope| scope.spawn(|| pool.blocking_submit(3).unwrap()).join().unwrap());
    assert_eq!(runtime.block_on(promptly(handle)).unwrap(), 3);
}
