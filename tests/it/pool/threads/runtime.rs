//! A pool on threads beside a tokio runtime: it keeps that runtime's time, and does not end with it.

use std::future::Future;

use flowgate::{Attempt, Jitter, JobError, RetryPolicy, Shutdown, SubmitError, WorkerPool};
use tokio::time::Instant;

use super::{alone, gated, options, stop_at};
use crate::support::{Gate, HOUR, ms, one_thread, promptly, spin_until, threads, until};

/// Runs `scenario` under a paused clock. It advances whenever the runtime has nothing to do, whatever threads do meanwhile:
/// so nothing here may have an end that must not come.
fn paused<F: Future<Output = ()>>(scenario: impl FnOnce() -> F + Send + 'static) {
    alone(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(scenario());
    });
}

/// Seen to fail: with a timer on a thread, which sleeps for hours.
#[test]
fn backoffs_are_as_virtual_as_the_runtimes_time() {
    paused(|| async {
        let pool = options::<u32, u32, ()>(1, 1)
            .retry(RetryPolicy::fixed(HOUR).max_attempts(5).jitter(Jitter::None).no_budget())
            .build_blocking(|_, cx| if cx.attempt() < 5 { Err(()) } else { Ok(cx.attempt()) })
            .unwrap();
        let began = Instant::now();
        assert_eq!(pool.run(1).await.unwrap(), 5);
        assert!(began.elapsed() >= 4 * HOUR, "{:?}", began.elapsed());
        pool.shutdown(Shutdown::Drain).await.unwrap();
    });
}

#[test]
fn waits_of_its_callers_are_virtual_too() {
    paused(|| async {
        let gate = Gate::new();
        let pool = gated(1, 0, &gate);
        let handle = pool.try_submit(1).unwrap();
        let began = Instant::now();
        assert!(matches!(pool.submit_timeout(2, HOUR).await, Err(SubmitError::Timeout(2))));
        assert!(began.elapsed() >= HOUR);
        gate.open();
        assert_eq!(handle.await.unwrap(), 2);
    });
}

#[test]
fn a_handler_is_in_the_context_of_the_runtime() {
    let runtime = threads(2);
    runtime.block_on(async {
        let pool = options::<u32, u32, ()>(1, 1)
            .build_blocking(|job, _| {
                let job = *job;
                Ok(tokio::runtime::Handle::current()
                    .block_on(async move { tokio::spawn(async move { job + 1 }).await.unwrap() }))
            })
            .unwrap();
        assert_eq!(promptly(pool.run(1)).await.unwrap(), 2);
    });
}

/// Seen to fail: with a timer that ends the pool when its runtime drops it.
#[test]
fn the_pool_outlives_the_runtime_that_it_was_built_in() {
    alone(|| {
        let runtime = one_thread();
        let pool = runtime.block_on(async {
            options::<u32, u32, ()>(1, 3)
                .retry(RetryPolicy::fixed(ms(30)).max_attempts(3).no_budget())
                .build_blocking(|_, cx| if cx.attempt() < 3 { Err(()) } else { Ok(cx.attempt()) })
                .unwrap()
        });
        let before = pool.try_submit(1).unwrap();
        // From here on it waits for its next attempt, unless the machine has taken longer than the backoff to get here.
        runtime.block_on(until("an attempt has failed", || pool.stats().totals.retries > 0));
        drop(runtime);
        assert_eq!(before.blocking_wait().unwrap(), 3);
        assert_eq!(pool.blocking_run(2).unwrap(), 3);
        let report = pool.blocking_shutdown(Shutdown::DrainFor(HOUR)).unwrap();
        assert!(report.is_complete(), "{report:?}");
    });
}

#[test]
fn a_task_may_await_what_a_thread_does_and_the_other_way_round() {
    let runtime = threads(2);
    runtime.block_on(async {
        let tasks = WorkerPool::<u32, u32, ()>::builder()
            .concurrency(2)
            .build(|job: Attempt<u32>| async move { Ok(*job + 1) })
            .unwrap();
        let inner = tasks.clone();
        let blocking = options::<u32, u32, ()>(2, 2)
            .build_blocking(move |job, _| inner.blocking_run(*job).map(|got| got * 10).map_err(drop))
            .unwrap();
        let outer = WorkerPool::<u32, u32, ()>::builder()
            .concurrency(4)
            .build(move |job: Attempt<u32>| {
                let blocking = blocking.clone();
                async move { blocking.run(*job).await.map_err(drop) }
            })
            .unwrap();
        for job in 0..50 {
            assert_eq!(promptly(outer.run(job)).await.unwrap(), (job + 1) * 10);
        }
    });
}

#[test]
fn a_run_that_is_dropped_tells_the_thread() {
    let runtime = one_thread();
    let gate = Gate::new();
    let stop = gate.clone();
    let pool = options::<u32, (), ()>(1, 1)
        .build_blocking(move |_, cx| {
            stop_at(&stop);
            super::until_told(cx);
            Err(())
        })
        .unwrap();
    runtime.block_on(async {
        tokio::select! {
            _ = pool.run(1) => unreachable!("it waits to be told"),
            () = until("it runs", || gate.waiting() == 1) => {}
        }
    });
    gate.open();
    spin_until("it has ended", || pool.stats().totals.cancelled == 1);
}

#[test]
fn a_handle_is_awaited_anywhere() {
    let gate = Gate::new();
    let pool = gated(2, 2, &gate);
    let (a, b) = (pool.try_submit(1).unwrap(), pool.try_submit(2).unwrap());
    let waiting = std::thread::spawn(move || futures::executor::block_on(a));
    gate.open();
    assert_eq!(one_thread().block_on(promptly(b)).unwrap(), 4);
    assert!(matches!(waiting.join().unwrap(), Ok(2)));
    assert!(!matches!(pool.try_submit(3).unwrap().blocking_wait(), Err(JobError::Aborted(_))));
}
