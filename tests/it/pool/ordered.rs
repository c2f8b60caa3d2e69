//! Who comes first: jobs in the queue, submitters in line, retries, and awaits in any order.

use std::sync::{Arc, Mutex};

use flowgate::retry::{Jitter, RetryPolicy};
use flowgate::{Attempt, WorkerPool};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use crate::support::pools::{logged, sized};
use crate::support::{Gate, ms, on_both_runtimes, quiet, secs, settle, soon, until};

on_both_runtimes! {
    async fn one_slot_starts_jobs_in_turn() {
        let gate = Gate::new();
        let (pool, log) = logged(sized(1, 99), &gate);
        let handles: Vec<_> = (0..100).map(|job| pool.try_submit(job).unwrap()).collect();
        gate.open();
        // Awaited the other way round, each has its own result.
        for (job, handle) in (0..100).zip(handles).rev() {
            assert_eq!(handle.await.unwrap(), job);
        }
        assert_eq!(*log.lock().unwrap(), (0..100).collect::<Vec<_>>());
    }

    async fn slots_take_jobs_in_turn() {
        let gate = Gate::new();
        let (pool, log) = logged(sized(4, 96), &gate);
        for job in 0..100 {
            drop(pool.try_submit(job).unwrap());
        }
        for ended in 0..=96 {
            until("the slots are taken", || gate.waiting() == 4).await;
            let mut started = log.lock().unwrap().clone();
            assert_eq!(started.len(), 4 + ended);
            started.sort_unstable();
            assert_eq!(started, (0..4 + ended as u32).collect::<Vec<_>>(), "nobody has overtaken");
            gate.let_through(1);
            until("one has gone", || gate.waiting() == 3 || log.lock().unwrap().len() > 4 + ended).await;
        }
        gate.open();
        quiet(&pool).await;
    }
}

/// Submitters that wait for room, with a job or for a permit, are served in the order in which they came.
#[tokio::test(start_paused = true)]
async fn waiters_of_both_kinds_stand_in_one_line() {
    let gate = Gate::new();
    let (pool, log) = logged(sized(1, 0), &gate);
    drop(pool.try_submit(0).unwrap());
    let mut tasks = Vec::new();
    for job in 1..=30 {
        let submitting = pool.clone();
        tasks.push(tokio::spawn(async move {
            match job % 3 {
                0 => drop(submitting.reserve().await.unwrap().submit(job).unwrap()),
                1 => drop(submitting.submit(job).await.unwrap()),
                _ => drop(submitting.submit_timeout(job, secs(3_600)).await.unwrap()),
            }
        }));
        settle().await;
        assert_eq!(pool.stats().waiting, job as usize);
    }
    assert!(pool.try_submit(99).is_err(), "nobody jumps the line");
    gate.open();
    for task in tasks {
        soon(task).await.unwrap();
    }
    quiet(&pool).await;
    assert_eq!(*log.lock().unwrap(), (0..=30).collect::<Vec<_>>());
}

/// One that leaves the line, or whose time is over, is passed by without a gap.
#[tokio::test(start_paused = true)]
async fn whoever_leaves_the_line_is_passed_by() {
    let gate = Gate::new();
    let (pool, log) = logged(sized(1, 0), &gate);
    drop(pool.try_submit(0).unwrap());
    let mut waiting: Vec<_> = (1..=10).map(|job| Box::pin(pool.submit_timeout(job, secs(u64::from(job))))).collect();
    for waiter in &mut waiting {
        assert!(futures::poll!(waiter.as_mut()).is_pending());
    }
    drop(waiting.remove(8)); // The ninth.
    tokio::time::advance(secs(5) + ms(500)).await;
    let mut unordered: FuturesUnordered<_> = waiting.into_iter().collect();
    let mut refused = Vec::new();
    for _ in 0..5 {
        refused.push(soon(unordered.next()).await.unwrap().unwrap_err().into_job());
    }
    refused.sort_unstable();
    assert_eq!(refused, [1, 2, 3, 4, 5]);
    gate.open();
    while let Some(accepted) = soon(unordered.next()).await {
        assert!(accepted.is_ok());
    }
    quiet(&pool).await;
    assert_eq!(*log.lock().unwrap(), [0, 6, 7, 8, 10]);
}

/// Retries that are due go to the back of the queue, in the order in which they are due.
#[tokio::test(start_paused = true)]
async fn due_retries_queue_at_the_back_in_the_order_of_their_due_times() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = log.clone();
    let pool = WorkerPool::<u64, (), ()>::builder()
        .concurrency(1)
        .queue(20)
        .retry(RetryPolicy::none())
        .build(move |job: Attempt<u64>| {
            let again = {
                let mut seen = seen.lock().unwrap();
                let again = seen.contains(&*job);
                seen.push(*job);
                again
            };
            async move {
                if *job >= 100 || again {
                    tokio::time::sleep(secs(1)).await;
                    return Ok(());
                }
                job.cx().snooze(ms(*job));
                Err(())
            }
        })
        .unwrap();
    for job in [50, 20, 40, 10, 30] {
        drop(pool.try_submit(job).unwrap());
    }
    settle().await;
    for job in 100..105 {
        drop(pool.try_submit(job).unwrap());
    }
    soon(pool.drain()).await.unwrap();
    let log = log.lock().unwrap().clone();
    assert_eq!(log[..5], [50, 20, 40, 10, 30]);
    assert_eq!(log[5..10], [100, 101, 102, 103, 104], "those were queued before");
    assert_eq!(log[10..], [10, 20, 30, 40, 50], "then the retries, as they fell due");
}

/// Equal due times keep the order in which the attempts ended.
#[tokio::test(start_paused = true)]
async fn a_burst_of_failures_comes_back_whole() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = log.clone();
    let pool = WorkerPool::<u32, (), ()>::builder()
        .concurrency(1)
        .queue(50)
        .retry(RetryPolicy::fixed(secs(1)).jitter(Jitter::None).no_budget())
        .build(move |job: Attempt<u32>| {
            seen.lock().unwrap().push((job.attempt(), *job));
            async move { if job.attempt() < 3 { Err(()) } else { Ok(()) } }
        })
        .unwrap();
    let handles: Vec<_> = (0..50).map(|job| pool.try_submit(job).unwrap()).collect();
    for handle in handles {
        soon(handle).await.unwrap();
    }
    let log = log.lock().unwrap().clone();
    assert_eq!(log.len(), 150);
    for (round, attempts) in (1..).zip(log.chunks(50)) {
        let mut jobs: Vec<_> = attempts.iter().map(|(_, job)| *job).collect();
        assert!(attempts.iter().all(|(attempt, _)| *attempt == round), "{attempts:?}");
        jobs.sort_unstable();
        assert_eq!(jobs, (0..50).collect::<Vec<_>>());
    }
}
