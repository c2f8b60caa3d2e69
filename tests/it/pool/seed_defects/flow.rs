//! On the way in and out: S1, S2, S4 to S7.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use flowgate::retry::{Jitter, RetryPolicy};
use flowgate::{Attempt, JobError, Shutdown, SubmitError, WorkerPool};
use futures::FutureExt as _;
use futures::future::join_all;
use tokio::time::Instant;

use crate::support::{Counted, Gate, Gauge, Tally, ledger, ms, quiet, secs, settle, soon, until};

fn exact_retry<E>(attempts: u32) -> RetryPolicy<E> {
    RetryPolicy::fixed(secs(1)).jitter(Jitter::None).max_attempts(attempts).no_budget()
}

/// S1: the worker sends a failed job to its own full queue, and all workers block.
#[tokio::test(start_paused = true)]
async fn s01_every_job_fails_once_in_a_full_pool_and_all_finish() {
    let pool = WorkerPool::<u32, u32, ()>::builder()
        .concurrency(1)
        .queue(1)
        .retry(exact_retry(2))
        .build(|job: Attempt<u32>| async move { if job.attempt() == 1 { Err(()) } else { Ok(*job) } })
        .unwrap();
    let producer = async {
        let mut handles = Vec::new();
        for job in 0..100 {
            handles.push(pool.submit(job).await.unwrap());
            ledger::check_without_lending(&pool.stats());
        }
        handles
    };
    let handles = soon(producer).await;
    for (job, handle) in (0..).zip(handles) {
        assert_eq!(soon(handle).await.unwrap(), job);
    }
    let totals = pool.stats().totals;
    assert_eq!((totals.succeeded, totals.attempts, totals.retries), (100, 200, 100));
}

/// S2: a retry is sent on a queue that a shutdown has closed.
#[tokio::test(start_paused = true)]
async fn s02_a_drain_waits_for_backoffs_and_failing_attempts() {
    let gate = Gate::new();
    let stop = gate.clone();
    let pool = WorkerPool::<u32, u32, &str>::builder()
        .concurrency(2)
        .queue(4)
        .retry(exact_retry(3))
        .build(move |job: Attempt<u32>| {
            let stop = stop.clone();
            async move {
                if *job == 0 && job.attempt() == 1 {
                    stop.pass().await;
                }
                if job.attempt() < 3 { Err("not yet") } else { Ok(*job) }
            }
        })
        .unwrap();
    let handles: Vec<_> = (0..6).map(|job| pool.try_submit(job).unwrap()).collect();
    settle().await;
    assert_eq!((pool.stats().running, pool.stats().parked), (1, 5), "one is about to fail, five wait out a backoff");
    let mut shutdown = std::pin::pin!(pool.shutdown(Shutdown::Drain));
    assert!(futures::poll!(shutdown.as_mut()).is_pending());
    gate.open();
    let report = soon(shutdown).await.unwrap();
    ledger::check_report(&report);
    assert_eq!((report.totals.succeeded, report.totals.retries), (6, 12), "{report:?}");
    for (job, handle) in (0..).zip(handles) {
        assert_eq!(soon(handle).await.unwrap(), job);
    }
}

/// S4: nobody reads the results, and the workers block.
#[tokio::test(start_paused = true)]
async fn s04_ten_thousand_unread_results_hold_up_nobody() {
    let pool = WorkerPool::<u32, u32, ()>::builder()
        .concurrency(4)
        .queue(16)
        .build(|job: Attempt<u32>| async move {
            tokio::task::yield_now().await;
            Ok(*job)
        })
        .unwrap();
    let mut handles = Vec::new();
    for job in 0..10_000 {
        handles.push(soon(pool.submit(job)).await.unwrap());
    }
    soon(pool.drain()).await.unwrap();
    assert_eq!(pool.stats().totals.succeeded, 10_000);
    for (job, handle) in (0..10_000).zip(handles).rev() {
        assert!(handle.is_finished());
        assert_eq!(handle.now_or_never().unwrap().unwrap(), job);
    }
}

/// S5: the reader of the results leaves halfway.
#[tokio::test(start_paused = true)]
async fn s05_handles_dropped_at_random_points_lose_no_job() {
    let mut random = fastrand::Rng::with_seed(5);
    let (tally, results) = (Tally::new(), Tally::new());
    let make = results.clone();
    let pool = WorkerPool::<Counted, Counted, ()>::builder()
        .concurrency(3)
        .queue(7)
        .build(move |job: Attempt<Counted>| {
            let result = make.make(job.id);
            async move {
                tokio::time::sleep(ms(job.id % 7)).await;
                Ok(result)
            }
        })
        .unwrap();
    let mut kept = VecDeque::new();
    for id in 0..3_000 {
        let mut handle = soon(pool.submit(tally.make(id))).await.unwrap();
        match random.u8(0..4) {
            0 => drop(handle),
            1 => {
                // Polled, and then left.
                assert!(futures::poll!(&mut handle).is_pending());
                drop(handle);
            }
            _ => kept.push_back((id, handle)),
        }
        if kept.len() > 20 {
            let (id, handle) = kept.pop_front().unwrap();
            assert_eq!(soon(handle).await.unwrap().id, id);
        }
        ledger::check_without_lending(&pool.stats());
    }
    soon(pool.drain()).await.unwrap();
    quiet(&pool).await;
    assert_eq!(pool.stats().totals.succeeded, 3_000);
    assert_eq!(tally.alive(), 0);
    assert_eq!(results.alive(), kept.len(), "only results whose handles are there");
    drop(kept);
    assert_eq!(results.alive(), 0);
}

/// S6: all results come on one channel, without a name, and nobody knows when to close it.
#[tokio::test(start_paused = true)]
async fn s06_each_handle_resolves_with_its_own_job_also_after_close_and_abort() {
    let (gate, mut random) = (Gate::new(), fastrand::Rng::with_seed(6));
    let stop = gate.clone();
    let pool = WorkerPool::<u64, u64, ()>::builder()
        .concurrency(5)
        .queue(95)
        .build(move |job: Attempt<u64>| {
            let stop = stop.clone();
            async move {
                if *job >= 60 {
                    stop.pass().await;
                }
                tokio::time::sleep(ms(job.wrapping_mul(7_919) % 50)).await;
                Ok(*job * 2)
            }
        })
        .unwrap();
    let mut handles: Vec<_> = (0..100).map(|job| (job, pool.try_submit(job).unwrap())).collect();
    random.shuffle(&mut handles);
    pool.close();
    let (done, stuck): (Vec<_>, Vec<_>) = handles.into_iter().partition(|(job, _)| *job < 60);
    for (job, handle) in done {
        assert_eq!(soon(handle).await.unwrap(), job * 2);
    }
    settle().await;
    let report = soon(pool.shutdown(Shutdown::Now)).await.unwrap();
    ledger::check_report(&report);
    assert_eq!((report.aborted.len(), report.unstarted.len()), (5, 35));
    for (job, handle) in stuck {
        let error = soon(handle).await.unwrap_err();
        let started = report.aborted.contains(&job);
        assert!(started != report.unstarted.contains(&job), "job {job} is in one list");
        assert!(matches!((started, error), (true, JobError::Aborted(None)) | (false, JobError::Returned)));
    }
}

/// S7, first part: a full pool fails a submission at once instead of waiting in turn.
#[tokio::test(start_paused = true)]
async fn s07_submitters_are_served_in_order_and_a_timeout_gives_the_job_back() {
    let (gate, order) = (Gate::new(), Arc::new(Mutex::new(Vec::new())));
    let (stop, seen) = (gate.clone(), order.clone());
    let pool = WorkerPool::<u32, (), ()>::builder()
        .concurrency(1)
        .queue(0)
        .build(move |job: Attempt<u32>| {
            let stop = stop.clone();
            seen.lock().unwrap().push(*job);
            async move {
                stop.pass().await;
                Ok(())
            }
        })
        .unwrap();
    drop(pool.try_submit(0).unwrap());
    assert!(matches!(pool.try_submit(99), Err(SubmitError::Full(99))));
    let submitters: Vec<_> = (1..=50)
        .map(|job| {
            let pool = pool.clone();
            tokio::spawn(async move { drop(pool.submit(job).await.unwrap()) })
        })
        .collect();
    settle().await;
    assert_eq!(pool.stats().waiting, 50);
    let began = Instant::now();
    let refused = pool.submit_timeout(100, ms(250)).await;
    assert!(matches!(refused, Err(SubmitError::Timeout(100))));
    assert!(began.elapsed() >= ms(250) && began.elapsed() < ms(260), "{:?}", began.elapsed());
    assert_eq!(pool.stats().waiting, 50, "it has left the line");
    gate.open();
    soon(join_all(submitters)).await;
    soon(pool.drain()).await.unwrap();
    assert_eq!(*order.lock().unwrap(), (0..=50).collect::<Vec<_>>());
    assert!(soon(pool.submit_timeout(101, ms(250))).await.is_ok(), "there is room");
}

/// S7, second part: submitters that leave take room with them.
#[tokio::test(start_paused = true)]
async fn s07_a_thousand_waiting_submits_dropped_at_random_restore_the_capacity() {
    let mut random = fastrand::Rng::with_seed(7);
    let (tally, gate, inside) = (Tally::new(), Gate::new(), Gauge::new());
    let (stop, gauge) = (gate.clone(), inside.clone());
    let pool = WorkerPool::<Counted, (), ()>::builder()
        .concurrency(2)
        .queue(6)
        .build(move |_job: Attempt<Counted>| {
            let (stop, gauge) = (stop.clone(), gauge.clone());
            async move {
                let _inside = gauge.enter();
                stop.pass().await;
                Ok(())
            }
        })
        .unwrap();
    let mut waiting = Vec::new();
    for id in 0..1_000 {
        let mut submit = Box::pin(pool.submit(tally.make(id)));
        let _ = futures::poll!(submit.as_mut());
        waiting.push(submit);
        if random.u8(0..3) == 0 {
            gate.let_through(1);
            settle().await;
        }
        if random.bool() && !waiting.is_empty() {
            drop(waiting.swap_remove(random.usize(0..waiting.len())));
        }
        ledger::check_without_lending(&pool.stats());
    }
    random.shuffle(&mut waiting);
    waiting.truncate(10);
    drop(waiting);
    gate.open();
    soon(pool.drain()).await.unwrap();
    quiet(&pool).await;
    until("every job is dropped", || tally.alive() == 0).await;
    assert!(inside.max() <= 2);
    for id in 0..8 {
        drop(pool.try_submit(tally.make(id)).expect("the capacity is 8"));
    }
    assert!(matches!(pool.try_submit(tally.make(8)), Err(SubmitError::Full(_))), "and no more");
    soon(pool.drain()).await.unwrap();
}
