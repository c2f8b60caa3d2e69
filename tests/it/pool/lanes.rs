//! Keyed lanes: order per key, parallelism across keys, and no key at another's expense.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use flowgate::retry::{Jitter, RetryPolicy};
use flowgate::{Attempt, JobError, Shutdown, SubmitError, WorkerPool};
use tokio::time::Instant;

use crate::support::pools::{Echo, gated};
use crate::support::{Gate, HOUR, ms, promptly, quiet, secs, settle, soon};

type Seen = Arc<Mutex<Vec<(u8, u32)>>>;
type Keyed = WorkerPool<(u8, u32), (), ()>;

/// A pool whose jobs note their start, wait as long as `pause` says, and fail their first attempt if `fails` says so.
fn noting(
    slots: usize,
    queue: usize,
    per_key: usize,
    pause: impl Fn(u8, u32) -> u64 + Send + Sync + Copy + 'static,
    fails: impl Fn(u8, u32) -> bool + Send + Sync + Copy + 'static,
) -> (Keyed, Seen) {
    let seen = Seen::default();
    let note = seen.clone();
    let pool = Keyed::builder()
        .concurrency(slots)
        .queue(queue)
        .per_key(per_key)
        .retry(RetryPolicy::fixed(secs(10)).jitter(Jitter::None).max_attempts(3).no_budget())
        .build(move |job: Attempt<(u8, u32)>| {
            let note = note.clone();
            async move {
                let (key, number) = *job;
                if job.attempt() == 1 {
                    note.lock().unwrap().push((key, number));
                }
                tokio::time::sleep(ms(pause(key, number))).await;
                if fails(key, number) && job.attempt() == 1 { Err(()) } else { Ok(()) }
            }
        })
        .unwrap();
    (pool, seen)
}

/// However long each takes, the jobs of a key start in the order of acceptance, and never two at once.
#[tokio::test(start_paused = true)]
async fn jobs_of_one_key_run_one_after_another_in_order() {
    let running = Arc::new(Mutex::new(HashMap::<u8, u32>::new()));
    let (here, order) = (running.clone(), Arc::new(Mutex::new(HashMap::<u8, Vec<u32>>::new())));
    let note = order.clone();
    let pool = Keyed::builder()
        .concurrency(8)
        .queue(200)
        .build(move |job: Attempt<(u8, u32)>| {
            let (here, note) = (here.clone(), note.clone());
            async move {
                let (key, number) = *job;
                *here.lock().unwrap().entry(key).or_default() += 1;
                assert_eq!(here.lock().unwrap()[&key], 1, "two jobs of key {key} at once");
                note.lock().unwrap().entry(key).or_default().push(number);
                tokio::time::sleep(ms(u64::from((number * 7 + u32::from(key) * 3) % 11))).await;
                *here.lock().unwrap().get_mut(&key).unwrap() -= 1;
                Ok(())
            }
        })
        .unwrap();
    let mut handles = Vec::new();
    for number in 0..40 {
        for key in 0..5 {
            handles.push(pool.job((key, number)).key(&key).try_submit().unwrap());
        }
    }
    assert_eq!(pool.stats().lanes, 5);
    for handle in handles {
        soon(handle).await.unwrap();
    }
    assert!(order.lock().unwrap().values().all(|numbers| numbers.iter().copied().eq(0..40)));
    quiet(&pool).await;
    assert_eq!(pool.stats().lanes, 0, "an idle key costs nothing");
    assert_eq!(pool.stats().peak_running, 5, "the keys ran side by side");
}

/// A key that waits for its next attempt holds up itself and nobody else.
#[tokio::test(start_paused = true)]
async fn a_retry_holds_up_its_own_key_only() {
    let (pool, seen) = noting(2, 20, 22, |_, _| 1, |key, number| (key, number) == (0, 0));
    let began = Instant::now();
    let jobs = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)];
    let handles: Vec<_> = jobs.into_iter().map(|job| pool.job(job).key(&job.0).try_submit().unwrap()).collect();
    let [poison, behind, cold @ ..] = <[_; 5]>::try_from(handles).map_err(|_| ()).unwrap();
    for handle in cold {
        soon(handle).await.unwrap();
    }
    assert!(began.elapsed() < secs(1), "the other key waited {:?}", began.elapsed());
    assert_eq!((pool.stats().parked, pool.stats().queued), (1, 1));
    soon(poison).await.unwrap();
    soon(behind).await.unwrap();
    assert!(began.elapsed() >= secs(10), "the key's order was kept: {:?}", began.elapsed());
    assert_eq!(seen.lock().unwrap().last(), Some(&(0, 1)));
}

/// A key that has filled its share waits in a line of its own; the others come in meanwhile.
#[tokio::test(start_paused = true)]
async fn a_busy_key_leaves_room_for_the_others() {
    let (pool, seen) = noting(2, 8, 3, |key, _| if key == 0 { 1_000 } else { 1 }, |_, _| false);
    let hot: Vec<_> = (0..3).map(|number| pool.job((0, number)).key("hot").try_submit().unwrap()).collect();
    assert!(matches!(pool.job((0, 3)).key("hot").try_submit(), Err(SubmitError::Full((0, 3)))));
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.job((0, 3)).key("hot").submit().await.unwrap().await.unwrap() }
    });
    settle().await;
    assert_eq!((pool.stats().waiting, pool.len()), (1, 3));
    for number in 0..20 {
        soon(pool.job((1, number)).key("cold").run()).await.unwrap();
    }
    assert_eq!(pool.stats().waiting, 1, "the hot key still waits for itself");
    for handle in hot {
        soon(handle).await.unwrap();
    }
    soon(waiting).await.unwrap();
    let hot: Vec<_> = seen.lock().unwrap().iter().filter(|(key, _)| *key == 0).map(|(_, number)| *number).collect();
    assert_eq!(hot, [0, 1, 2, 3]);
}

/// One hot key with a long backlog does not delay cold keys that are admitted: each key has one job in the queue at most.
#[tokio::test(start_paused = true)]
async fn no_key_starves_another_once_admitted() {
    let (pool, seen) = noting(1, 1_000, 1_001, |_, _| 1, |_, _| false);
    for number in 0..500 {
        drop(pool.job((0, number)).key(&0).try_submit().unwrap());
    }
    let cold: Vec<_> = (1..=10).map(|key| pool.job((key, 0)).key(&key).try_submit().unwrap()).collect();
    let began = Instant::now();
    for handle in cold {
        soon(handle).await.unwrap();
    }
    assert!(began.elapsed() < ms(30), "eleven keys share one slot in turn: {:?}", began.elapsed());
    assert!(seen.lock().unwrap().iter().filter(|(key, _)| *key == 0).count() < 5);
    soon(pool.drain()).await.unwrap();
}

/// Cancelling the job that is out, or one behind it, lets the next one start.
#[tokio::test(start_paused = true)]
async fn a_cancelled_job_makes_way_for_the_next_of_its_key() {
    let gate = Gate::new();
    let pool = gated(Echo::builder().concurrency(4), &gate);
    let handles: Vec<_> = (0..4).map(|job| pool.job(job).key("k").try_submit().unwrap()).collect();
    settle().await;
    assert_eq!((pool.stats().running, pool.stats().queued), (1, 3));
    handles[1].cancel();
    handles[0].cancel();
    settle().await;
    assert_eq!((pool.stats().running, pool.stats().queued), (1, 1));
    gate.open();
    let mut ends = Vec::new();
    for handle in handles {
        ends.push(soon(handle).await.map_err(|error| matches!(error, JobError::Cancelled(Some(_)))));
    }
    assert_eq!(ends, [Err(true), Err(true), Ok(2), Ok(3)]);
    quiet(&pool).await;
}

/// A waiter that leaves its lane's line takes nothing with it.
#[tokio::test(start_paused = true)]
async fn who_leaves_a_lanes_line_takes_no_room_along() {
    let (pool, _) = noting(1, 3, 1, |_, _| 1, |_, _| false);
    for round in 0..50 {
        let first = pool.job((0, 0)).key("k").try_submit().unwrap();
        let second = pool.job((0, 1)).key("k").submit_timeout(ms(round % 3));
        let third = pool.job((0, 2)).key("k").submit();
        let (second, third) = tokio::join!(soon(second), soon(third));
        if let Ok(second) = second {
            soon(second).await.unwrap();
        }
        soon(third.unwrap()).await.unwrap();
        soon(first).await.unwrap();
        quiet(&pool).await;
        assert_eq!(pool.stats().lanes, 0);
    }
}

/// Those behind a full lane get their job back when the pool closes, and queued jobs of a key are in the report.
#[tokio::test(start_paused = true)]
async fn a_shutdown_gives_back_what_waits_in_lanes() {
    let (pool, _) = noting(1, 9, 3, |_, _| 3_600_000, |_, _| false);
    let handles: Vec<_> = (0..3).map(|number| pool.job((0, number)).key("k").try_submit().unwrap()).collect();
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.job((0, 3)).key("k").submit().await.map(drop) }
    });
    settle().await;
    let report = soon(pool.shutdown(Shutdown::Now)).await.unwrap();
    assert_eq!((report.unstarted, report.aborted), (vec![(0, 1), (0, 2)], vec![(0, 0)]));
    assert!(matches!(soon(waiting).await.unwrap(), Err(SubmitError::Closed((0, 3)))));
    assert_eq!(pool.stats().lanes, 0);
    drop(handles);
}

/// A deadline holds for a job that waits behind another of its key, however idle the pool is.
#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_job_that_waits_for_its_key() {
    let (pool, _) = noting(4, 4, 8, |_, _| 3_600_000, |_, _| false);
    let head = pool.job((0, 0)).key("k").try_submit().unwrap();
    let began = Instant::now();
    let late = pool.job((0, 1)).key("k").deadline(secs(5)).try_submit().unwrap();
    assert!(matches!(soon(late).await, Err(JobError::TimedOut(failure)) if failure.attempts == 0));
    assert_eq!(began.elapsed().as_secs(), 5);
    assert!(soon(head).await.is_ok());
    assert!(began.elapsed() >= HOUR);
}

/// A refusal that found work for a runner starts it: with many submitters of a full lane, nothing is left behind.
///
/// Seen to fail: the effects of a refused submission dropped; the pool then waits for a runner that nobody has started.
#[test]
fn a_crowd_at_a_full_lane_leaves_no_runner_unstarted() {
    for _ in 0..20 {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let pool = WorkerPool::<u32, u32, ()>::builder()
                .concurrency(16)
                .queue(112)
                .per_key(8)
                .build(|job: Attempt<u32>| async move { Ok(*job) })
                .unwrap();
            let hot: Vec<_> = (0..32)
                .map(|_| {
                    let pool = pool.clone();
                    tokio::spawn(async move {
                        for job in 0..60 {
                            drop(pool.job(job).key("hot").submit().await.unwrap());
                        }
                    })
                })
                .collect();
            for key in 0..200_u32 {
                promptly(pool.job(key).key(&key).run()).await.unwrap();
            }
            for task in hot {
                promptly(task).await.unwrap();
            }
            let report = promptly(pool.shutdown(Shutdown::Drain)).await.unwrap();
            assert_eq!((report.totals.succeeded, report.is_complete()), (32 * 60 + 200, true));
        });
    }
}
