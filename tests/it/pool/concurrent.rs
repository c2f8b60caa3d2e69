//! How many run at once: as many as there are slots, no more, and no fewer while there is work.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use flowgate::retry::{Jitter, RetryPolicy};
use flowgate::{Attempt, SubmitError, WorkerPool};
use futures::future::join_all;

use crate::support::ledger::{self, Sampler};
use crate::support::{Gate, Gauge, ms, on_both_runtimes, promptly, quiet, secs, settle, soon, spin_until, until};

fn gauged(concurrency: usize, queue: usize, gauge: &Gauge, gate: &Gate) -> WorkerPool<u32, u32, ()> {
    let (gauge, gate) = (gauge.clone(), gate.clone());
    WorkerPool::builder()
        .concurrency(concurrency)
        .queue(queue)
        .build(move |job: Attempt<u32>| {
            let (gauge, gate) = (gauge.clone(), gate.clone());
            async move {
                let _inside = gauge.enter();
                gate.pass().await;
                Ok(*job)
            }
        })
        .unwrap()
}

on_both_runtimes! {
    async fn every_slot_is_used_and_no_more() {
        let (gauge, gate) = (Gauge::new(), Gate::new());
        let pool = gauged(7, 100, &gauge, &gate);
        let handles: Vec<_> = (0..107).map(|job| pool.try_submit(job).unwrap()).collect();
        until("seven are inside", || gate.waiting() == 7).await;
        settle().await;
        let stats = pool.stats();
        assert_eq!((stats.running, stats.queued, stats.runners, gauge.max()), (7, 100, 7, 7));
        for ended in 1..=20 {
            gate.let_through(1);
            until("one has ended and the next is inside", || {
                gauge.entered() == 7 + ended && gate.waiting() == 7
            })
            .await;
            ledger::check_without_lending(&pool.stats());
        }
        gate.open();
        for (job, handle) in (0..).zip(handles) {
            assert_eq!(handle.await.unwrap(), job);
        }
        quiet(&pool).await;
        assert_eq!((gauge.max(), pool.stats().peak_running), (7, 7));
    }

    async fn capacity_is_slots_and_queue() {
        for (concurrency, queue) in [(1, 0), (1, 1), (3, 0), (2, 5), (8, 3)] {
            let (gauge, gate) = (Gauge::new(), Gate::new());
            let pool = gauged(concurrency, queue, &gauge, &gate);
            let capacity = concurrency + queue;
            assert_eq!((pool.capacity(), pool.stats().concurrency), (capacity, concurrency));
            for job in 0..capacity {
                drop(pool.try_submit(job as u32).unwrap());
            }
            assert_eq!(pool.len(), capacity);
            assert!(matches!(pool.try_submit(9), Err(SubmitError::Full(9))));
            gate.open();
            quiet(&pool).await;
            assert!(gauge.max() <= concurrency);
        }
    }

    async fn an_idle_pool_has_no_task_and_works_again() {
        let (gauge, gate) = (Gauge::new(), Gate::new());
        gate.open();
        let pool = gauged(4, 4, &gauge, &gate);
        for job in 0..50 {
            assert_eq!(pool.run(job).await.unwrap(), job);
            quiet(&pool).await;
            assert_eq!(pool.stats().runners, 0);
        }
    }

    async fn a_permit_holds_a_place_until_it_is_used_or_dropped() {
        let (gauge, gate) = (Gauge::new(), Gate::new());
        let pool = gauged(1, 1, &gauge, &gate);
        let (first, second) = (pool.reserve().await.unwrap(), pool.reserve().await.unwrap());
        let stats = pool.stats();
        assert_eq!((stats.reserved, stats.in_system), (2, 0));
        assert!(stats.balances());
        assert!(matches!(pool.try_submit(1), Err(SubmitError::Full(1))));
        drop(first);
        let handle = second.submit(2).unwrap();
        assert_eq!((pool.stats().reserved, pool.stats().in_system), (0, 1));
        gate.open();
        assert_eq!(handle.await.unwrap(), 2);
        quiet(&pool).await;
    }
}

/// Handlers that do not await run at the same time if the runtime has the threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn handlers_that_compute_use_every_slot() {
    let inside = Arc::new(AtomicUsize::new(0));
    let count = inside.clone();
    let pool = WorkerPool::<u32, usize, ()>::builder()
        .concurrency(3)
        .queue(30)
        .build(move |_: Attempt<u32>| {
            let inside = count.clone();
            async move {
                inside.fetch_add(1, Ordering::SeqCst);
                spin_until("three handlers compute at once", || inside.load(Ordering::SeqCst) >= 3);
                Ok(3)
            }
        })
        .unwrap();
    let handles: Vec<_> = (0..30).map(|job| pool.try_submit(job).unwrap()).collect();
    for handle in handles {
        promptly(handle).await.unwrap();
    }
}

/// One job in fifty fails at its first attempt, one in five awaits.
fn shared_pool(gauge: &Gauge) -> WorkerPool<u64, u64, ()> {
    let inside = gauge.clone();
    WorkerPool::builder()
        .concurrency(3)
        .queue(4)
        .retry(RetryPolicy::fixed(ms(1)).jitter(Jitter::None).no_budget())
        .build(move |job: Attempt<u64>| {
            let inside = inside.enter();
            async move {
                let _inside = inside;
                if *job % 5 == 0 {
                    tokio::task::yield_now().await;
                }
                if *job % 50 == 0 && job.attempt() == 1 { Err(()) } else { Ok(*job) }
            }
        })
        .unwrap()
}

/// Submits five hundred jobs in its own way, one after the other.
async fn submit_part(pool: WorkerPool<u64, u64, ()>, part: u64) {
    for job in 0..500 {
        let job = 10_000 + job * 4 + part;
        let handle = match part {
            0 => pool.submit(job).await.unwrap(),
            1 => pool.reserve().await.unwrap().submit(job).unwrap(),
            2 => pool.submit_timeout(job, secs(60)).await.unwrap(),
            _ => {
                assert_eq!(pool.run(job).await.unwrap(), job);
                continue;
            }
        };
        assert_eq!(handle.await.unwrap(), job);
    }
}

/// Jobs come from many threads, through every way in, while a thread looks at the ledger.
#[test]
fn submitters_on_threads_and_tasks_share_one_pool() {
    let (runtime, gauge) = (crate::support::threads(2), Gauge::new());
    let pool = runtime.block_on(async { shared_pool(&gauge) });
    let sampler = Sampler::start(&pool);
    let start = Arc::new(Barrier::new(4));
    let threads: Vec<_> = (0..3_u64)
        .map(|part| {
            let (pool, start) = (pool.clone(), start.clone());
            std::thread::spawn(move || {
                start.wait();
                for job in 0..1_000 {
                    let job = job * 3 + part;
                    assert_eq!(pool.blocking_submit(job).unwrap().blocking_wait().unwrap(), job);
                }
            })
        })
        .collect();
    let tasks = runtime.block_on(async {
        start.wait();
        let tasks = (0..4).map(|part| tokio::spawn(submit_part(pool.clone(), part)));
        promptly(join_all(tasks)).await
    });
    tasks.into_iter().for_each(|task| task.unwrap());
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(sampler.stop() > 0);
    runtime.block_on(quiet(&pool));
    assert_eq!((pool.stats().totals.succeeded, pool.stats().totals.retries), (5_000, 100));
    assert!(gauge.max() <= 3);
}

/// `max_parked` bounds what waits out a backoff; what finds no room there ends, and fresh jobs keep theirs.
#[tokio::test(start_paused = true)]
async fn max_parked_bounds_the_jobs_in_backoff() {
    for max_parked in [0, 1, 3] {
        let pool = WorkerPool::<u32, (), ()>::builder()
            .concurrency(2)
            .queue(6)
            .max_parked(max_parked)
            .retry(RetryPolicy::fixed(secs(10)).jitter(Jitter::None).max_attempts(2).no_budget())
            .build(|_: Attempt<u32>| async { Err(()) })
            .unwrap();
        let handles: Vec<_> = (0..8).map(|job| pool.try_submit(job).unwrap()).collect();
        settle().await;
        assert_eq!((pool.stats().parked, pool.stats().in_system), (max_parked, max_parked));
        let mut reasons = Vec::new();
        for handle in handles {
            let error = soon(handle).await.unwrap_err();
            let failure = error.failure().unwrap();
            reasons.push((failure.stop, failure.attempts, failure.job.is_some()));
        }
        let full = (flowgate::StopReason::ParkedFull, 1, true);
        assert_eq!(reasons.iter().filter(|reason| **reason == full).count(), 8 - max_parked, "{reasons:?}");
        assert_eq!(pool.stats().totals.retries, max_parked as u64);
    }
}
