//! Cancellation, nested use, counts, fairness, and what tests must not need: S3, S19 to S22, S25 to S29.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use flowgate::retry::{Jitter, RetryPolicy};
use flowgate::{Attempt, JobError, JobHandle, SubmitError, WorkerPool};
use futures::FutureExt as _;
use futures::future::join_all;
use tokio::task::coop;

use crate::support::drop_at::drop_each_at_every_poll;
use crate::support::ledger::{self, Sampler};
use crate::support::{
    Counted, Gate, HOUR, Tally, alive_tasks, ms, promptly, quiet, secs, settle, soon, spin_until, until,
};

/// S3: a submission races the close: checked, then sent. (The model explores every order; this one has threads.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s03_a_submission_that_races_the_close_is_accepted_or_given_back() {
    for round in 0..200_u64 {
        let (tally, results) = (Tally::new(), Arc::new(AtomicUsize::new(0)));
        let count = results.clone();
        let pool = WorkerPool::<Counted, u64, ()>::builder()
            .concurrency(2)
            .queue(1_000)
            .build(move |job: Attempt<Counted>| {
                count.fetch_add(1, Ordering::SeqCst);
                async move { Ok(job.id) }
            })
            .unwrap();
        let submitting = pool.clone();
        let make = tally.clone();
        let submitter = std::thread::spawn(move || {
            let mut handles = Vec::new();
            for id in 0.. {
                match submitting.try_submit(make.make(id)) {
                    Ok(handle) => handles.push(handle),
                    Err(SubmitError::Full(job)) => assert_eq!(job.id, id),
                    Err(SubmitError::Closed(job)) => {
                        assert_eq!(job.id, id);
                        return handles;
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
            unreachable!("it is closed in the end")
        });
        for _ in 0..round {
            std::hint::spin_loop();
        }
        if round % 2 == 0 {
            pool.close();
        } else {
            drop(promptly(pool.shutdown(flowgate::Shutdown::Drain)).await.unwrap());
        }
        let handles = tokio::task::spawn_blocking(|| submitter.join().unwrap()).await.unwrap();
        let accepted = handles.len();
        for handle in handles {
            promptly(handle).await.unwrap();
        }
        quiet(&pool).await;
        let totals = pool.stats().totals;
        assert_eq!((totals.accepted, totals.succeeded), (accepted as u64, accepted as u64));
        assert_eq!((results.load(Ordering::SeqCst), tally.alive()), (accepted, 0));
    }
}

/// S19: a job cannot be cancelled.
#[tokio::test(start_paused = true)]
async fn s19_a_job_is_cancelled_in_every_state_and_comes_back() {
    let before = alive_tasks();
    let retry = RetryPolicy::fixed(HOUR).jitter(Jitter::None).no_budget();
    let pool = WorkerPool::<u32, (), ()>::builder()
        .concurrency(1)
        .queue(2)
        .retry(retry)
        .build(|job: Attempt<u32>| async move {
            match *job {
                0 => Ok(()),
                1 => Err(()),
                _ => std::future::pending().await,
            }
        })
        .unwrap();
    let finished = pool.try_submit(0).unwrap();
    let parked = pool.try_submit(1).unwrap();
    settle().await;
    let (running, queued) = (pool.try_submit(2).unwrap(), pool.try_submit(3).unwrap());
    settle().await;
    let mut waiting = Box::pin(pool.submit(4));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    let stats = pool.stats();
    assert_eq!((stats.parked, stats.running, stats.queued, stats.waiting), (1, 1, 1, 1));

    drop(waiting);
    assert_eq!(pool.stats().waiting, 0);
    for (handle, job) in [(queued, 3), (parked, 1)] {
        handle.cancel();
        handle.cancel();
        assert!(handle.is_finished(), "at once");
        assert!(matches!(soon(handle).await, Err(JobError::Cancelled(Some(back))) if back == job));
    }
    running.cancel();
    assert!(matches!(soon(running).await, Err(JobError::Cancelled(Some(2)))));
    finished.cancel();
    assert!(soon(finished).await.is_ok(), "no effect once it has an outcome");
    until("no task is left, not even one that waits for the backoff", || alive_tasks() == before).await;
    assert_eq!((pool.stats().totals.cancelled, pool.stats().totals.succeeded), (3, 1));
}

/// S19 against the end of the attempt: one outcome, and every value once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s19_a_cancellation_that_races_the_end_gives_one_outcome() {
    let (tally, results) = (Tally::new(), Tally::new());
    let make = results.clone();
    let pool = WorkerPool::<Counted, Counted, Counted>::builder()
        .concurrency(2)
        .queue(2)
        .retry(RetryPolicy::fixed(Duration::ZERO).max_attempts(2).no_budget())
        .build(move |job: Attempt<Counted>| {
            let result = make.make(job.id);
            async move {
                if job.id % 8 == 7 {
                    std::future::pending::<()>().await;
                }
                for _ in 0..job.id % 3 {
                    tokio::task::yield_now().await;
                }
                if job.id % 2 == 0 { Ok(result) } else { Err(result) }
            }
        })
        .unwrap();
    let (mut cancelled, mut ended) = (0, 0);
    for id in 0..3_000 {
        let handle = pool.submit(tally.make(id)).await.unwrap();
        if id % 16 == 0 {
            until("it has ended", || handle.is_finished()).await;
        }
        for _ in 0..id % 5 {
            tokio::task::yield_now().await;
        }
        handle.cancel();
        match promptly(handle).await {
            Err(JobError::Cancelled(job)) => {
                assert_eq!(job.map(|job| job.id), Some(id));
                cancelled += 1;
            }
            Ok(result) => {
                assert_eq!(result.id, id);
                ended += 1;
            }
            Err(error) => {
                assert_eq!(error.into_job().map(|job| job.id), Some(id));
                ended += 1;
            }
        }
    }
    quiet(&pool).await;
    let totals = pool.stats().totals;
    assert_eq!((totals.cancelled, totals.succeeded + totals.failed), (cancelled, ended));
    assert!(cancelled >= 375 && ended >= 188, "{cancelled} cancelled, {ended} ended");
    until("every value is dropped", || tally.alive() == 0 && results.alive() == 0).await;
}

/// S20: the one who asked has left, and the work goes on. Every other future has the same test in `drop_at`.
#[tokio::test(start_paused = true)]
async fn s20_a_run_dropped_at_any_poll_takes_its_job_with_it() {
    drop_each_at_every_poll(&["run"]).await;
}

/// S21: nested use waits for itself. (More in `ordered` and `nested`.)
#[tokio::test(start_paused = true)]
async fn s21_a_handler_awaits_its_child_and_is_refused_when_full() {
    let pool = WorkerPool::<u32, u32, u32>::builder()
        .concurrency(1)
        .queue(1)
        .build(|job: Attempt<u32>| async move {
            if *job == 0 {
                return Ok(1);
            }
            let pool = job.cx().pool::<u32, u32, u32>().unwrap().upgrade().unwrap();
            let child = pool.submit(0).await.map_err(|_| 2_u32)?;
            match pool.submit(9).await {
                Err(SubmitError::WouldDeadlock(9)) => {}
                _ => return Err(3),
            }
            Ok(child.await.map_err(|_| 4_u32)? + 10)
        })
        .unwrap();
    assert_eq!(soon(pool.run(1)).await.unwrap(), 11);
}

/// S22: sizes at the edge. (The table of refusals is in `config`.)
#[tokio::test(start_paused = true)]
async fn s22_the_smallest_pool_works() {
    let pool = WorkerPool::<u32, u32, ()>::builder()
        .concurrency(1)
        .queue(0)
        .max_parked(0)
        .build(|job: Attempt<u32>| async move { Ok(*job) })
        .unwrap();
    assert_eq!(pool.capacity(), 1);
    let handle = pool.try_submit(1).unwrap();
    assert!(matches!(pool.try_submit(2), Err(SubmitError::Full(2))));
    assert_eq!(soon(handle).await.unwrap(), 1);
    for job in 0..100 {
        assert_eq!(soon(pool.run(job)).await.unwrap(), job);
    }
}

/// S25: counters that were read one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s25_the_counts_balance_whenever_they_are_read() {
    let pool = WorkerPool::<u32, (), ()>::builder()
        .concurrency(3)
        .queue(5)
        .retry(RetryPolicy::fixed(ms(1)).no_budget())
        .build(|job: Attempt<u32>| async move {
            for _ in 0..*job % 4 {
                tokio::task::yield_now().await;
            }
            assert!(*job % 11 != 0, "one in eleven panics");
            if *job % 3 == 0 { Err(()) } else { Ok(()) }
        })
        .unwrap();
    let sampler = Sampler::start(&pool);
    let submitters = (0..4).map(|part| {
        let pool = pool.clone();
        tokio::spawn(async move {
            for job in 0..1_000 {
                let handle: JobHandle<_, _, _> = pool.submit(job * 4 + part).await.unwrap();
                if job % 7 == 0 {
                    handle.cancel();
                }
            }
        })
    });
    for submitter in promptly(join_all(submitters)).await {
        submitter.unwrap();
    }
    promptly(pool.drain()).await.unwrap();
    let samples = sampler.stop();
    let totals = pool.stats().totals;
    assert_eq!((totals.accepted, ledger::bins(&totals)), (4_000, 4_000));
    assert!(samples > 100, "{samples} samples");
}

/// S26: a free place is taken for none, because the task had used up its share of a poll.
#[tokio::test(start_paused = true)]
async fn s26_a_spent_cooperation_budget_is_not_mistaken_for_a_full_pool() {
    let pool = WorkerPool::<u32, u32, ()>::builder()
        .concurrency(1)
        .queue(4)
        .build(|job: Attempt<u32>| async move { Ok(*job) })
        .unwrap();
    let task = async {
        tokio::task::yield_now().await;
        while coop::has_budget_remaining() {
            assert!(coop::consume_budget().now_or_never().is_some());
        }
        assert!(coop::consume_budget().now_or_never().is_none(), "it is spent");
        let tried = pool.try_submit(1);
        let submitted = pool.submit(2).now_or_never();
        let reserved = pool.reserve().now_or_never();
        let timed = pool.submit_timeout(3, Duration::ZERO).now_or_never();
        (tried, submitted, reserved.map(|permit| permit.is_ok()), timed.map(|handle| handle.is_ok()))
    };
    let (tried, submitted, reserved, timed) = soon(task).await;
    assert!(tried.is_ok() && submitted.is_some_and(|handle| handle.is_ok()));
    assert_eq!((reserved, timed), (Some(true), Some(true)));
}

/// S26: some submitters get all the turns.
#[tokio::test(start_paused = true)]
async fn s26_a_hundred_submitters_take_turns() {
    let progress: Arc<Vec<_>> = Arc::new((0..100).map(|_| AtomicUsize::new(0)).collect());
    let pool = WorkerPool::<(), (), ()>::builder()
        .concurrency(1)
        .queue(1)
        .build(|_: Attempt<()>| async {
            tokio::task::yield_now().await;
            Ok(())
        })
        .unwrap();
    let submitters = (0..100).map(|me| {
        let (pool, progress) = (pool.clone(), progress.clone());
        tokio::spawn(async move {
            for _ in 0..20 {
                drop(pool.submit(()).await.unwrap());
                let mine = progress[me].fetch_add(1, Ordering::SeqCst) + 1;
                let least = progress.iter().map(|count| count.load(Ordering::SeqCst)).min().unwrap();
                assert!(mine <= least + 3, "submitter {me} is at {mine}, another at {least}");
            }
        })
    });
    for submitter in soon(join_all(submitters)).await {
        submitter.unwrap();
    }
}

/// S27: a future that nobody polls has been given what others wait for.
#[tokio::test(start_paused = true)]
async fn s27_a_submit_that_is_not_polled_holds_up_nobody() {
    let gate = Gate::new();
    let stop = gate.clone();
    let pool = WorkerPool::<u32, u32, ()>::builder()
        .concurrency(1)
        .queue(0)
        .build(move |job: Attempt<u32>| {
            let stop = stop.clone();
            async move {
                if *job == 0 {
                    stop.pass().await;
                }
                Ok(*job)
            }
        })
        .unwrap();
    let first = pool.try_submit(0).unwrap();
    let mut unpolled = Box::pin(pool.submit(1));
    assert!(futures::poll!(unpolled.as_mut()).is_pending());
    gate.open();
    let last = soon(pool.submit(2)).await.unwrap();
    assert_eq!((soon(last).await.unwrap(), soon(first).await.unwrap()), (2, 0));
    let handle = futures::poll!(unpolled.as_mut());
    let std::task::Poll::Ready(Ok(handle)) = handle else { panic!("it was accepted long ago") };
    assert_eq!(handle.now_or_never().unwrap().unwrap(), 1, "and has run");
}

/// S28: a handler that blocks its thread stalls the others. With another thread there is another runner.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s28_while_one_handler_blocks_its_thread_the_other_runner_goes_on() {
    let (blocked, go_on) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (is_blocked, may_go_on) = (blocked.clone(), go_on.clone());
    let pool = WorkerPool::<bool, (), ()>::builder()
        .concurrency(2)
        .queue(100)
        .build(move |job: Attempt<bool>| {
            let (blocked, go_on) = (is_blocked.clone(), may_go_on.clone());
            async move {
                if *job {
                    blocked.store(true, Ordering::SeqCst);
                    spin_until("others have run", || go_on.load(Ordering::SeqCst));
                }
                Ok(())
            }
        })
        .unwrap();
    let blocker = pool.try_submit(true).unwrap();
    let others: Vec<_> = (0..100).map(|_| pool.try_submit(false).unwrap()).collect();
    // This wait needs a thread too: the runtime has two, and this test's own.
    until("the handler blocks", || blocked.load(Ordering::SeqCst)).await;
    for other in others {
        promptly(other).await.unwrap();
    }
    assert!(!blocker.is_finished());
    go_on.store(true, Ordering::SeqCst);
    promptly(blocker).await.unwrap();
}

/// S29: tests of backoffs and deadlines take as long as those.
#[tokio::test(start_paused = true)]
async fn s29_a_thousand_hours_of_backoff_pass_in_virtual_time() {
    let (real, began) = (std::time::Instant::now(), tokio::time::Instant::now());
    let retry = RetryPolicy::fixed(HOUR).jitter(Jitter::None).max_attempts(1_001).no_budget();
    let pool = WorkerPool::<(), (), ()>::builder()
        .concurrency(1)
        .retry(retry)
        .build(|job: Attempt<()>| async move { if job.attempt() <= 1_000 { Err(()) } else { Ok(()) } })
        .unwrap();
    soon(pool.run(())).await.unwrap();
    assert!(began.elapsed() >= HOUR * 1_000 && began.elapsed() < HOUR * 1_000 + secs(60));
    assert!(real.elapsed() < secs(60), "{:?}", real.elapsed());
}

/// S29 for this very suite: no test waits for the wall clock.
#[test]
fn s29_no_test_sleeps_on_the_wall_clock() {
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it"))];
    let (mut files, asleep) = (0, concat!("thread::", "sleep"));
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(!text.contains(asleep), "{}", path.display());
            files += 1;
        }
    }
    assert!(files > 20, "{files} files");
}
