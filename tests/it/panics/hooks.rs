//! Hooks and wakers that panic: whoever comes after them is still served.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use flowgate::{Attempt, JobError, WorkerPool};

use super::{goes_on, message};
use crate::support::pools::{gated, sized};
use crate::support::wakers::{Call, Count};
use crate::support::{Gate, on_both_runtimes, quiet, secs, settle, soon, until};

on_both_runtimes! {
    async fn a_dead_letter_hook_that_panics_changes_no_outcome() {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = calls.clone();
        let pool = WorkerPool::<u32, (), &str>::builder()
            .concurrency(2)
            .queue(2)
            .on_dead_letter(move |_: &JobError<u32, &str>| {
                count.fetch_add(1, Ordering::SeqCst);
                panic!("the hook");
            })
            .build(|job: Attempt<u32>| async move {
                assert!(*job != 1, "the handler");
                if *job == 2 { Err("failed") } else { Ok(()) }
            })
            .unwrap();
        for _ in 0..5 {
            let panicked = pool.submit(1).await.unwrap().await.unwrap_err();
            assert_eq!(message(&panicked), "the handler");
            let failed = pool.submit(2).await.unwrap().await.unwrap_err();
            assert_eq!(failed.failure().and_then(|failure| failure.last_error), Some("failed"));
            drop(pool.submit(2).await.unwrap());
        }
        let totals = goes_on(&pool, || 0).await;
        assert_eq!((totals.panicked, totals.failed, calls.load(Ordering::SeqCst)), (5, 10, 15));
    }
}

/// The hook sees what failed, panicked or timed out for good, detached or not, before the handle resolves; nothing else.
#[tokio::test(start_paused = true)]
async fn the_hook_sees_what_is_dead_and_nothing_else() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = seen.clone();
    let pool = WorkerPool::<u32, (), &str>::builder()
        .concurrency(1)
        .queue(9)
        .attempt_timeout(secs(1))
        .on_dead_letter(move |dead: &JobError<u32, &str>| {
            let failure = dead.failure().expect("it has one");
            note.lock().unwrap().push((failure.job.unwrap(), dead.to_string()));
        })
        .build(|job: Attempt<u32>| async move {
            match *job {
                1 => Err("failed"),
                2 => panic!("panicked"),
                3 | 4 => std::future::pending().await,
                _ => Ok(()),
            }
        })
        .unwrap();
    for job in [1, 2, 3] {
        let handle = pool.try_submit(job).unwrap();
        until("it has ended, or time must pass", || handle.is_finished() || pool.stats().running == 1).await;
        let watch = seen.clone();
        soon(handle).await.unwrap_err();
        assert_eq!(watch.lock().unwrap().last().map(|(job, _)| *job), Some(job), "before its handle");
    }
    drop(pool.try_submit(1).unwrap());
    soon(pool.run(0)).await.unwrap();
    let (running, queued) = (pool.try_submit(4).unwrap(), pool.try_submit(4).unwrap());
    settle().await;
    queued.cancel();
    running.cancel();
    soon(running).await.unwrap_err();
    let (running, queued) = (pool.try_submit(4).unwrap(), pool.try_submit(4).unwrap());
    settle().await;
    drop(soon(pool.shutdown(flowgate::Shutdown::Now)).await.unwrap());
    assert!(soon(running).await.is_err() && soon(queued).await.is_err());
    let told: Vec<_> = seen.lock().unwrap().iter().map(|(_, text)| text.clone()).collect();
    assert_eq!(
        told,
        [
            "the job failed after 1 attempt: all attempts are used up",
            "the job panicked in attempt 1: panicked",
            "the job timed out after 1 attempt: all attempts are used up",
            "the job failed after 1 attempt: all attempts are used up",
        ]
    );
}

fn panics() -> Waker {
    Call::waker(|| panic!("the waker"))
}

/// A reader, a submitter in line and a drain, each with a waker that panics, and one of each behind it.
#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_takes_nobody_elses_wake_up_with_it() {
    let gate = Gate::new();
    let pool = gated(sized(1, 0), &gate);
    let handle = pool.try_submit(0).unwrap();
    settle().await;
    let (bad, (count, good)) = (panics(), Count::new());
    let poll = |waker: &Waker, future: &mut (dyn Future<Output = ()> + Unpin)| {
        assert!(std::pin::Pin::new(future).poll(&mut Context::from_waker(waker)).is_pending());
    };
    let mut read = Box::pin(async { drop(handle.await) });
    let mut line: Vec<_> = (1..=4)
        .map(|job| {
            let pool = &pool;
            Box::pin(async move { drop(pool.submit(job).await.unwrap().await) })
        })
        .collect();
    let mut drains: Vec<_> = (0..4).map(|_| Box::pin(async { pool.drain().await.unwrap() })).collect();
    poll(&bad, &mut read);
    for (index, future) in line.iter_mut().enumerate() {
        poll(if index % 2 == 0 { &bad } else { &good }, future);
    }
    for (index, future) in drains.iter_mut().enumerate() {
        poll(if index % 2 == 0 { &bad } else { &good }, future);
    }
    gate.open();
    until("every job has run, though half of the wakers panic", || pool.stats().totals.succeeded == 5).await;
    quiet(&pool).await;
    assert!(count.woken() >= 4, "two submitters and two drains: {}", count.woken());
    soon(read).await;
    for future in line {
        soon(future).await;
    }
    for future in drains {
        soon(future).await;
    }
    goes_on(&pool, || 9).await;
}

/// What waits for a cancellation may have such a waker too: the cancelled job ends all the same.
#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_at_a_cancellation_does_not_stop_it() {
    let waiters = Arc::new(Mutex::new(Vec::new()));
    let keep = waiters.clone();
    let pool = WorkerPool::<u32, (), ()>::builder()
        .concurrency(1)
        .queue(1)
        .build(move |job: Attempt<u32>| {
            let (keep, cx) = (keep.clone(), job.cx());
            async move {
                if *job == 0 {
                    return Ok(());
                }
                for waker in [panics(), Count::new().1, panics()] {
                    let mut cancelled = Box::pin(cx.cancelled());
                    assert!(cancelled.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                    keep.lock().unwrap().push(cancelled);
                }
                std::future::pending().await
            }
        })
        .unwrap();
    let handle = pool.try_submit(1).unwrap();
    settle().await;
    handle.cancel();
    assert!(matches!(soon(handle).await, Err(JobError::Cancelled(Some(1)))));
    assert_eq!(goes_on(&pool, || 0).await.cancelled, 1);
    let waiters = std::mem::take(&mut *waiters.lock().unwrap());
    for waiter in waiters {
        soon(waiter).await;
    }
}
