//! Values that panic when they are dropped: a handler's locals, jobs, results, errors, panic payloads, captured state.

use std::sync::Arc;

use flowgate::retry::{Jitter, RetryPolicy};
use flowgate::{Attempt, JobError, Shutdown, WorkerPool};

use super::{Touchy, goes_on, message};
use crate::support::{Gate, HOUR, on_both_runtimes, one_thread, promptly, quiet, secs, settle, soon, threads, until};

type Pool = WorkerPool<Touchy, Touchy, Touchy>;

/// How an attempt ends that holds a local which panics when it is dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Ok,
    Err,
    Never,
}

/// A pool whose handlers hold such a local; good jobs do not.
fn with_locals(end: End, gate: &Gate) -> WorkerPool<bool, (), ()> {
    let gate = gate.clone();
    WorkerPool::builder()
        .concurrency(2)
        .queue(2)
        .attempt_timeout(HOUR)
        .build(move |job: Attempt<bool>| {
            let gate = gate.clone();
            async move {
                if *job {
                    return Ok(());
                }
                let _local = Touchy(Some("a local"));
                gate.pass().await;
                match end {
                    End::Ok => Ok(()),
                    End::Err => Err(()),
                    End::Never => std::future::pending().await,
                }
            }
        })
        .unwrap()
}

on_both_runtimes! {
    async fn locals_that_panic_at_the_end_of_an_attempt_are_its_outcome() {
        let gate = Gate::new();
        gate.open();
        for end in [End::Ok, End::Err] {
            let pool = with_locals(end, &gate);
            let error = pool.submit(false).await.unwrap().await.unwrap_err();
            assert_eq!(message(&error), "a local", "{end:?}");
            assert_eq!(error.into_job(), Some(false));
            assert_eq!(goes_on(&pool, || true).await.panicked, 1);
        }
    }

    async fn locals_that_panic_when_their_job_is_cancelled_are_its_outcome() {
        let gate = Gate::new();
        let pool = with_locals(End::Never, &gate);
        let handle = pool.submit(false).await.unwrap();
        until("it waits", || gate.waiting() == 1).await;
        handle.cancel();
        let error = handle.await.unwrap_err();
        assert_eq!(message(&error), "a local");
        assert_eq!(goes_on(&pool, || true).await.panicked, 1);
    }

    async fn locals_that_panic_when_the_pool_is_aborted_hold_up_no_shutdown() {
        for dropped in [false, true] {
            let gate = Gate::new();
            let pool = with_locals(End::Never, &gate);
            let handles = [pool.submit(false).await.unwrap(), pool.submit(false).await.unwrap()];
            until("both wait", || gate.waiting() == 2).await;
            if dropped {
                drop(pool);
            } else {
                let report = pool.shutdown(Shutdown::Now).await.unwrap();
                assert!(report.is_complete(), "{report:?}");
                assert_eq!(report.totals.panicked, 2);
            }
            for handle in handles {
                assert_eq!(message(&handle.await.unwrap_err()), "a local");
            }
        }
    }

    async fn jobs_results_and_errors_of_detached_handles_may_panic_when_they_are_dropped() {
        let gate = Gate::new();
        let stop = gate.clone();
        let pool = Pool::builder()
            .concurrency(2)
            .queue(6)
            .build(move |job: Attempt<Touchy>| {
                let stop = stop.clone();
                async move {
                    stop.pass().await;
                    match job.0 {
                        Some("a result") => Ok(Touchy(Some("a result"))),
                        Some("an error") => Err(Touchy(Some("an error"))),
                        _ => Ok(Touchy::CALM),
                    }
                }
            })
            .unwrap();
        for words in ["a job", "a result", "an error", "a job", "a result", "an error"] {
            drop(pool.submit(Touchy(Some(words))).await.unwrap());
        }
        gate.open();
        quiet(&pool).await;
        let totals = goes_on(&pool, || Touchy::CALM).await;
        assert_eq!((totals.succeeded, totals.failed, totals.panicked), (4, 2, 0), "they had their outcomes");
    }

    async fn values_that_panic_in_an_unread_handle_hurt_nobody() {
        let pool = Pool::builder()
            .concurrency(1)
            .queue(3)
            .build(|job: Attempt<Touchy>| async move {
                if job.0.is_some() { Err(Touchy(Some("an error"))) } else { Ok(Touchy(Some("a result"))) }
            })
            .unwrap();
        for job in [Touchy::CALM, Touchy(Some("a job"))] {
            let handle = pool.submit(job).await.unwrap();
            until("its outcome is there", || handle.is_finished()).await;
            drop(handle);
        }
        let cancelled = [pool.submit(Touchy(Some("a job"))).await.unwrap(), pool.submit(Touchy(Some("a job"))).await.unwrap()];
        cancelled.iter().for_each(|handle| handle.cancel());
        drop(cancelled);
        quiet(&pool).await;
        assert!(pool.stats().balances());
    }

    async fn captured_state_that_panics_when_it_is_dropped_ends_with_its_pool() {
        for shut_down in [true, false] {
            let state = Touchy(Some("the state"));
            let pool = WorkerPool::<u32, u32, ()>::builder()
                .concurrency(1)
                .queue(1)
                .build(move |job: Attempt<u32>| {
                    let _held = &state;
                    async move { if *job == 0 { std::future::pending().await } else { Ok(*job) } }
                })
                .unwrap();
            assert_eq!(pool.run(1).await.unwrap(), 1);
            let hung = pool.submit(0).await.unwrap();
            if shut_down {
                assert!(pool.shutdown(Shutdown::Now).await.unwrap().is_complete());
            }
            drop(pool);
            assert!(hung.await.is_err());
        }
    }
}

/// A local that panics when its attempt takes too long is the outcome, instead of a retry.
#[tokio::test(start_paused = true)]
async fn locals_that_panic_at_a_timeout_are_the_outcome() {
    let gate = Gate::new();
    let pool = with_locals(End::Never, &gate);
    let error = soon(pool.try_submit(false).unwrap()).await.unwrap_err();
    assert_eq!(message(&error), "a local");
    assert_eq!(goes_on(&pool, || true).await.panicked, 1);
}

/// An error that a later attempt replaces, or that a cancellation makes void, is dropped in the pool.
#[tokio::test(start_paused = true)]
async fn errors_that_panic_when_a_later_one_replaces_them_are_contained() {
    let pool = Pool::builder()
        .concurrency(1)
        .queue(1)
        .cancel_grace(secs(5))
        .retry(RetryPolicy::fixed(secs(1)).jitter(Jitter::None).no_budget().max_attempts(4))
        .build(|job: Attempt<Touchy>| async move {
            if job.0.is_none() {
                return Ok(Touchy::CALM);
            }
            if job.0 == Some("waits") {
                job.cx().cancelled().await;
            }
            Err(Touchy(if job.attempt() < 4 { Some("an error") } else { None }))
        })
        .unwrap();
    let error = soon(pool.try_submit(Touchy(Some("a job"))).unwrap()).await.unwrap_err();
    let JobError::Failed(failure) = error else { panic!("{error:?}") };
    assert_eq!((failure.attempts, failure.last_error.as_ref().map(|error| error.0)), (4, Some(None)));
    failure.job.unwrap().calm();
    let handle = pool.try_submit(Touchy(Some("waits"))).unwrap();
    settle().await;
    handle.cancel();
    let Err(JobError::Cancelled(Some(job))) = soon(handle).await else { panic!("the error is void") };
    job.calm();
    assert_eq!(goes_on(&pool, || Touchy::CALM).await.failed, 1);
}

/// A job that panics when it is dropped, because the submitter that stood in line with it has left.
#[tokio::test(start_paused = true)]
async fn a_job_that_panics_in_line_is_contained() {
    let gate = Gate::new();
    let stop = gate.clone();
    let pool = WorkerPool::<Touchy, (), ()>::builder()
        .concurrency(1)
        .queue(0)
        .build(move |_job: Attempt<Touchy>| {
            let stop = stop.clone();
            async move {
                stop.pass().await;
                Ok(())
            }
        })
        .unwrap();
    drop(pool.try_submit(Touchy::CALM).unwrap());
    settle().await;
    let left = {
        let mut submit = Box::pin(pool.submit(Touchy(Some("in line"))));
        assert!(futures::poll!(submit.as_mut()).is_pending());
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || drop(submit)))
    };
    assert_eq!(pool.stats().waiting, 0);
    gate.open();
    goes_on(&pool, || Touchy::CALM).await;
    assert!(left.is_ok(), "the panic of a job came out of the drop of `submit`");
}

struct Relentless;

impl Drop for Relentless {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::panic::panic_any(Relentless);
        }
    }
}

/// A payload that panics when dropped, with another such payload, without end.
#[tokio::test(start_paused = true)]
async fn payloads_that_panic_when_dropped_are_contained() {
    let pool = WorkerPool::<bool, (), ()>::builder()
        .concurrency(1)
        .queue(1)
        .on_dead_letter(|_: &JobError<bool, ()>| std::panic::panic_any(Relentless))
        .build(|job: Attempt<bool>| async move {
            if !*job {
                std::panic::panic_any(Relentless);
            }
            Ok(())
        })
        .unwrap();
    for _ in 0..3 {
        drop(pool.try_submit(false).unwrap());
        quiet(&pool).await;
        let handle = pool.try_submit(false).unwrap();
        quiet(&pool).await;
        assert!(handle.is_finished());
        drop(handle);
    }
    assert_eq!(goes_on(&pool, || true).await.panicked, 6);
}

/// A runtime that ends drops handlers: what panics then is not in the way of the handles.
#[test]
fn locals_that_panic_with_the_end_of_the_runtime_hide_no_outcome() {
    for doomed in [one_thread(), threads(2)] {
        let gate = Gate::new();
        let (pool, handles) = doomed.block_on(async {
            let pool = with_locals(End::Never, &gate);
            let handles: Vec<_> = [false; 4].map(|job| pool.try_submit(job).unwrap()).into();
            until("two wait", || gate.waiting() == 2).await;
            (pool, handles)
        });
        drop(doomed);
        one_thread().block_on(promptly(async {
            for handle in handles {
                assert!(matches!(handle.await, Err(JobError::Aborted(Some(false)))));
            }
            pool.drain().await.unwrap();
        }));
        assert!(pool.is_closed() && pool.is_empty());
    }
}

/// What options capture is dropped with the pool's last handle of any kind, on the thread of whoever holds it.
#[tokio::test(start_paused = true)]
async fn what_a_hook_captures_may_panic_when_it_is_dropped() {
    let held = Arc::new(Touchy(Some("the hook's")));
    let captured = held.clone();
    let pool = WorkerPool::<u32, u32, ()>::builder()
        .concurrency(1)
        .on_dead_letter(move |_: &JobError<u32, ()>| assert!(captured.0.is_some()))
        .build(|job: Attempt<u32>| async move { Ok(*job) })
        .unwrap();
    drop(held);
    assert_eq!(soon(pool.run(1)).await.unwrap(), 1);
    quiet(&pool).await;
    settle().await;
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || drop(pool)));
    assert!(dropped.is_ok(), "the panic of a hook's state came out of the drop of the pool");
}
