//! Pausing, resuming and resizing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowgate::{Attempt, BuildError, JobError, Shutdown, WorkerPool};

use crate::support::{Gauge, ms, promptly, quiet, secs, settle, soon, until};

fn sleepy(slots: usize, queue: usize) -> (WorkerPool<u64, u64, ()>, Gauge) {
    let gauge = Gauge::new();
    let inside = gauge.clone();
    let pool = WorkerPool::builder()
        .concurrency(slots)
        .queue(queue)
        .build(move |job: Attempt<u64>| {
            let inside = inside.clone();
            async move {
                let _inside = inside.enter();
                tokio::time::sleep(ms(*job)).await;
                Ok(*job)
            }
        })
        .unwrap();
    (pool, gauge)
}

/// Admission goes on up to the capacity, and what runs goes on; nothing starts.
#[tokio::test(start_paused = true)]
async fn a_paused_pool_admits_and_starts_nothing() {
    let (pool, gauge) = sleepy(2, 6);
    let running = pool.submit(10).await.unwrap();
    settle().await;
    pool.pause();
    pool.pause();
    let queued: Vec<_> = (1..=7).map(|job| pool.try_submit(job).unwrap()).collect();
    assert!(pool.try_submit(9).is_err(), "the capacity stays");
    assert_eq!(soon(running).await.unwrap(), 10);
    settle().await;
    let stats = pool.stats();
    assert_eq!((stats.queued, stats.running, stats.runners, stats.paused), (7, 0, 0, true));
    pool.resume();
    for handle in queued {
        soon(handle).await.unwrap();
    }
    assert_eq!(gauge.max(), 2);
    quiet(&pool).await;
}

/// Jobs that a runner had taken along in a batch are not started after the pause.
#[test]
fn after_a_pause_nothing_of_a_batch_is_started() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for _ in 0..200 {
            let ran = Arc::new(AtomicUsize::new(0));
            let count = ran.clone();
            let pool = WorkerPool::<u32, (), ()>::builder()
                .concurrency(4)
                .queue(2_000)
                .build(move |_: Attempt<u32>| {
                    count.fetch_add(1, Ordering::SeqCst);
                    async { Ok(()) }
                })
                .unwrap();
            for job in 0..1_500 {
                drop(pool.try_submit(job).unwrap());
            }
            pool.pause();
            // Those that had started by then end; from the first instant without one, none runs.
            until("what ran has ended", || pool.stats().running == 0).await;
            let paused_at = ran.load(Ordering::SeqCst);
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            assert_eq!(ran.load(Ordering::SeqCst), paused_at);
            pool.resume();
            promptly(pool.drain()).await.unwrap();
            assert_eq!(ran.load(Ordering::SeqCst), 1_500);
        }
    });
}

/// A shutdown that drains starts what was accepted, paused or not.
#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_the_resumption() {
    let (pool, _) = sleepy(1, 3);
    pool.pause();
    let handles: Vec<_> = (1..=3).map(|job| pool.try_submit(job).unwrap()).collect();
    let report = soon(pool.shutdown(Shutdown::Drain)).await.unwrap();
    assert_eq!((report.totals.succeeded, report.is_complete()), (3, true));
    for handle in handles {
        soon(handle).await.unwrap();
    }
}

/// A deadline runs on while the pool is paused.
#[tokio::test(start_paused = true)]
async fn a_deadline_passes_while_the_pool_is_paused() {
    let (pool, _) = sleepy(1, 3);
    pool.pause();
    let late = pool.job(1).deadline(secs(3)).try_submit().unwrap();
    assert!(matches!(soon(late).await, Err(JobError::TimedOut(_))));
    pool.resume();
    soon(pool.run(1)).await.unwrap();
}

/// More slots are used at once; fewer are respected as soon as running jobs have ended.
#[tokio::test(start_paused = true)]
async fn slots_can_be_added_and_taken_away() {
    let (pool, gauge) = sleepy(2, 98);
    let handles: Vec<_> = (0..60).map(|_| pool.try_submit(100).unwrap()).collect();
    settle().await;
    assert_eq!(pool.stats().running, 2);
    pool.set_concurrency(10).unwrap();
    settle().await;
    assert_eq!((pool.stats().running, pool.stats().concurrency), (10, 10));
    pool.set_concurrency(3).unwrap();
    settle().await;
    assert_eq!(pool.stats().running, 10, "what runs goes on");
    tokio::time::sleep(ms(150)).await;
    assert_eq!(pool.stats().running, 3);
    for handle in handles {
        soon(handle).await.unwrap();
    }
    assert_eq!(gauge.max(), 10);
    quiet(&pool).await;
}

/// The bounds are those of the pool, and a refusal changes nothing.
#[tokio::test]
async fn a_number_of_slots_out_of_bounds_is_refused() {
    let (pool, _) = sleepy(2, 2);
    for slots in [0, 5, usize::MAX] {
        let refused = pool.set_concurrency(slots).unwrap_err();
        assert!(matches!(&refused, BuildError::Option { option: "concurrency", .. }));
        assert_eq!(refused.to_string(), format!("pool option `concurrency` is {slots}; allowed: 1 to 4, the capacity"));
    }
    assert_eq!(pool.stats().concurrency, 2);
}

/// ants #205: growing releases submitters that wait, since more of what is queued runs and ends.
#[tokio::test(start_paused = true)]
async fn ants_205_growing_lets_waiting_submitters_in() {
    let (pool, _) = sleepy(1, 4);
    for _ in 0..5 {
        drop(pool.try_submit(1_000).unwrap());
    }
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.submit(1_000).await.map(drop) })
        })
        .collect();
    settle().await;
    assert_eq!(pool.stats().waiting, 5);
    pool.set_concurrency(5).unwrap();
    tokio::time::sleep(ms(1_100)).await;
    assert_eq!(pool.stats().waiting, 0);
    for task in waiting {
        soon(task).await.unwrap().unwrap();
    }
}
