//! Time: snoozing, attempt timeouts, deadlines, and the grace of a cancelled attempt.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use flowgate::retry::{Jitter, RetryBudget, RetryPolicy, Verdict};
use flowgate::{Attempt, JobError, Shutdown, StopReason, WorkerPool};
use tokio::time::Instant;

use crate::support::{HOUR, Tally, ledger, ms, quiet, secs, settle, soon};

/// A snooze is not counted, not paid for, and needs no policy.
#[tokio::test(start_paused = true)]
async fn a_snooze_counts_no_attempt_and_costs_no_budget() {
    let budget = RetryBudget::new().min_per_sec(0).ratio(0.1);
    for policy in [None, Some(RetryPolicy::fixed(secs(1)).max_attempts(2).budget(budget.clone()))] {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = calls.clone();
        let builder = WorkerPool::<u32, u32, ()>::builder().concurrency(1);
        let builder = if let Some(policy) = policy { builder.retry(policy) } else { builder };
        let pool = builder
            .build(move |job: Attempt<u32>| {
                let call = count.fetch_add(1, Ordering::SeqCst);
                async move {
                    assert_eq!(job.attempt(), 1, "still the first");
                    if call == 10 {
                        return Ok(*job);
                    }
                    job.cx().snooze(secs(60));
                    Err(())
                }
            })
            .unwrap();
        let began = Instant::now();
        assert_eq!(soon(pool.run(5)).await.unwrap(), 5);
        assert!(began.elapsed() >= secs(600) && began.elapsed() < secs(601), "{:?}", began.elapsed());
        assert_eq!((budget.withdrawn(), budget.refused()), (0, 0));
        let totals = pool.stats().totals;
        assert_eq!((totals.attempts, totals.retries, totals.succeeded), (11, 10, 1));
    }
}

/// The slot is free meanwhile, the place is not.
#[tokio::test(start_paused = true)]
async fn a_snoozing_job_holds_its_place_and_no_slot() {
    let pool = WorkerPool::<bool, (), ()>::builder()
        .concurrency(1)
        .queue(1)
        .build(|job: Attempt<bool>| async move {
            if *job {
                job.cx().snooze(HOUR);
            }
            if *job { Err(()) } else { Ok(()) }
        })
        .unwrap();
    let snoozes = pool.try_submit(true).unwrap();
    settle().await;
    assert_eq!((pool.stats().parked, pool.stats().running, pool.len()), (1, 0, 1));
    for _ in 0..10 {
        soon(pool.run(false)).await.unwrap();
    }
    snoozes.cancel();
    assert!(matches!(soon(snoozes).await, Err(JobError::Cancelled(Some(true)))));
}

/// What a handler asks for and then succeeds without is not done; and each attempt asks for itself.
#[tokio::test(start_paused = true)]
async fn a_snooze_is_for_the_attempt_that_fails() {
    let pool = WorkerPool::<u32, u32, ()>::builder()
        .concurrency(1)
        .queue(5)
        .build(|job: Attempt<u32>| async move {
            if *job < 2 {
                job.cx().snooze(HOUR);
            }
            if *job == 0 { Ok(0) } else { Err(()) }
        })
        .unwrap();
    let began = Instant::now();
    assert_eq!(soon(pool.run(0)).await.unwrap(), 0);
    let (snoozes, fails) = (pool.try_submit(1).unwrap(), pool.try_submit(2).unwrap());
    assert!(matches!(soon(fails).await, Err(JobError::Failed(_))), "the snooze before was another job's");
    assert_eq!((began.elapsed(), snoozes.is_finished()), (secs(0), false));
    snoozes.cancel();
}

/// The deadline holds: a snooze that would pass it ends the job now.
#[tokio::test(start_paused = true)]
async fn a_snooze_beyond_the_deadline_ends_the_job_now() {
    let pool = WorkerPool::<u64, (), &str>::builder()
        .concurrency(1)
        .deadline(secs(100))
        .build(|job: Attempt<u64>| async move {
            job.cx().snooze(secs(*job));
            Err("busy")
        })
        .unwrap();
    for (snooze, ends_at, attempts) in [(200, 0, 1), (100, 0, 1), (60, 60, 1), (u64::MAX, 0, 1)] {
        let began = Instant::now();
        let error = soon(pool.try_submit(snooze).unwrap()).await.unwrap_err();
        let failure = error.failure().unwrap();
        assert!(matches!(error, JobError::Failed(_)));
        assert_eq!(
            (failure.stop, failure.attempts, failure.last_error),
            (StopReason::Deadline, attempts, Some("busy"))
        );
        assert!(began.elapsed() >= secs(ends_at) && began.elapsed() < secs(ends_at) + ms(10), "{snooze}");
    }
}

/// An attempt that takes too long is dropped and retried; the last bin is `timed_out`, with the last error there was.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_retried_and_ends_timed_out() {
    let locals = Tally::new();
    let make = locals.clone();
    let pool = WorkerPool::<u32, u32, &str>::builder()
        .concurrency(1)
        .attempt_timeout(secs(2))
        .retry(RetryPolicy::fixed(secs(1)).jitter(Jitter::None).max_attempts(3).no_budget())
        .build(move |job: Attempt<u32>| {
            let local = make.make(0);
            async move {
                let _local = local;
                match (*job, job.attempt()) {
                    (0, 1) => Err("refused"),
                    (1, 3) => Ok(7),
                    _ => std::future::pending().await,
                }
            }
        })
        .unwrap();
    let began = Instant::now();
    let error = soon(pool.try_submit(0).unwrap()).await.unwrap_err();
    assert!(began.elapsed() >= secs(6) && began.elapsed() < secs(6) + ms(20), "{:?}", began.elapsed());
    let JobError::TimedOut(failure) = error else { panic!("{error:?}") };
    assert_eq!((failure.attempts, failure.stop, failure.job), (3, StopReason::MaxAttempts, Some(0)));
    assert_eq!(failure.last_error, Some("refused"), "of the first attempt");
    assert_eq!(soon(pool.run(1)).await.unwrap(), 7);
    assert_eq!(locals.alive(), 0, "each attempt was dropped whole");
    let totals = pool.stats().totals;
    assert_eq!((totals.timed_out, totals.succeeded, totals.failed, totals.retries), (1, 1, 0, 4));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_final_where_the_policy_says_so() {
    let policy = RetryPolicy::fixed(secs(1)).on_timeout(Verdict::Stop);
    for (policy, stop) in [(policy, StopReason::Permanent), (RetryPolicy::none(), StopReason::MaxAttempts)] {
        let pool = WorkerPool::<(), (), ()>::builder()
            .concurrency(1)
            .attempt_timeout(secs(2))
            .retry(policy)
            .build(|_: Attempt<()>| std::future::pending())
            .unwrap();
        let error = soon(pool.try_submit(()).unwrap()).await.unwrap_err();
        let failure = error.failure().unwrap();
        assert!(matches!(error, JobError::TimedOut(_)));
        assert_eq!((failure.stop, failure.attempts, failure.last_error), (stop, 1, None));
    }
}

/// The deadline ends a job that is queued, one that runs and one between two attempts, each on time.
#[tokio::test(start_paused = true)]
async fn the_deadline_holds_in_every_state() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let hooked = seen.clone();
    let pool = WorkerPool::<u32, (), &str>::builder()
        .concurrency(1)
        .queue(2)
        .deadline(secs(10))
        .on_dead_letter(move |dead: &JobError<u32, &str>| {
            hooked.lock().unwrap().push(dead.failure().unwrap().job);
        })
        .build(|job: Attempt<u32>| async move {
            let left = job.cx().remaining().unwrap();
            assert!(left <= secs(10) && job.cx().deadline().is_some());
            if *job == 1 {
                job.cx().snooze(left - ms(1));
                return Err("asleep");
            }
            std::future::pending().await
        })
        .unwrap();
    // The first sleeps until just before its deadline, and is queued again then; the second never ends.
    let handles = [pool.try_submit(1), pool.try_submit(2), pool.try_submit(3)].map(Result::unwrap);
    let began = Instant::now();
    let mut ends = Vec::new();
    for handle in handles {
        let error = soon(handle).await.unwrap_err();
        let JobError::TimedOut(failure) = error else { panic!("{error:?}") };
        assert_eq!(failure.stop, StopReason::Deadline);
        ends.push((failure.job, failure.attempts, failure.last_error));
        assert!(began.elapsed() >= secs(10) && began.elapsed() < secs(10) + ms(20), "{:?}", began.elapsed());
    }
    assert_eq!(ends, [(Some(1), 0, Some("asleep")), (Some(2), 1, None), (Some(3), 0, None)]);
    quiet(&pool).await;
    assert_eq!(pool.stats().totals.timed_out, 3);
    assert_eq!(seen.lock().unwrap().len(), 3, "the hook saw all three");
}

/// The time in line is the submitter's own: the deadline counts from acceptance.
#[tokio::test(start_paused = true)]
async fn the_deadline_counts_from_acceptance() {
    let pool = WorkerPool::<u64, (), ()>::builder()
        .concurrency(1)
        .queue(0)
        .deadline(secs(10))
        .build(|job: Attempt<u64>| async move {
            tokio::time::sleep(secs(*job)).await;
            Ok(())
        })
        .unwrap();
    let first = pool.try_submit(9).unwrap();
    let second = soon(pool.submit(8)).await.unwrap();
    soon(first).await.unwrap();
    soon(second).await.unwrap();
}

/// Freed by a deadline, a place goes to whoever waits.
#[tokio::test(start_paused = true)]
async fn a_deadline_that_ends_a_queued_job_lets_the_next_submitter_in() {
    let pool = WorkerPool::<u32, (), ()>::builder()
        .concurrency(1)
        .queue(1)
        .deadline(secs(10))
        .build(|_: Attempt<u32>| async {
            // Beyond its own deadline, but not at an await of ours.
            std::future::pending().await
        })
        .unwrap();
    let began = Instant::now();
    let handles = [pool.try_submit(1).unwrap(), pool.try_submit(2).unwrap()];
    let waiting = [soon(pool.submit(3)).await.unwrap(), soon(pool.submit(4)).await.unwrap()];
    assert!(began.elapsed() >= secs(10) && began.elapsed() < secs(10) + ms(20), "{:?}", began.elapsed());
    for handle in handles.into_iter().chain(waiting) {
        assert!(matches!(soon(handle).await, Err(JobError::TimedOut(_))));
    }
    assert!(began.elapsed() < secs(20) + ms(40));
    ledger::check_without_lending(&pool.stats());
}

fn graceful(grace: std::time::Duration, tidied: &Arc<AtomicUsize>) -> WorkerPool<u32, &'static str, &'static str> {
    let tidied = tidied.clone();
    WorkerPool::builder()
        .concurrency(1)
        .queue(2)
        .cancel_grace(grace)
        .build(move |job: Attempt<u32>| {
            let (tidied, cx) = (tidied.clone(), job.cx());
            async move {
                cx.cancelled().await;
                assert!(cx.is_cancelled());
                tokio::time::sleep(secs(2)).await;
                tidied.fetch_add(1, Ordering::SeqCst);
                if *job % 2 == 0 { Ok("saved half of it") } else { Err("undone") }
            }
        })
        .unwrap()
}

/// A cancelled handler that watches may tidy up: what it returns `Ok` stands, an error is the cancellation.
#[tokio::test(start_paused = true)]
async fn a_cancelled_attempt_may_tidy_up_within_its_grace() {
    let tidied = Arc::new(AtomicUsize::new(0));
    let pool = graceful(secs(5), &tidied);
    for job in [0, 1] {
        let began = Instant::now();
        let handle = pool.try_submit(job).unwrap();
        settle().await;
        handle.cancel();
        handle.cancel();
        let outcome = soon(handle).await;
        assert!(began.elapsed() >= secs(2) && began.elapsed() < secs(2) + ms(10), "{:?}", began.elapsed());
        match outcome {
            Ok(result) => assert_eq!((job, result), (0, "saved half of it")),
            Err(error) => assert!(matches!(error, JobError::Cancelled(Some(1))), "{error:?}"),
        }
    }
    assert_eq!(tidied.load(Ordering::SeqCst), 2);
    let pool = graceful(secs(1), &tidied);
    let began = Instant::now();
    let handle = pool.try_submit(0).unwrap();
    settle().await;
    handle.cancel();
    assert!(matches!(soon(handle).await, Err(JobError::Cancelled(Some(0)))));
    assert!(began.elapsed() >= secs(1) && began.elapsed() < secs(1) + ms(10), "the grace is over");
    assert_eq!(tidied.load(Ordering::SeqCst), 2);
}

/// A shutdown waits for the grace, and the abort of a dropped pool grants it too.
#[tokio::test(start_paused = true)]
async fn an_aborted_attempt_has_its_grace_too() {
    let tidied = Arc::new(AtomicUsize::new(0));
    let pool = graceful(secs(5), &tidied);
    let (kept, queued) = (pool.try_submit(0).unwrap(), pool.try_submit(1).unwrap());
    settle().await;
    let began = Instant::now();
    let report = soon(pool.shutdown(Shutdown::Now)).await.unwrap();
    assert!(began.elapsed() >= secs(2) && began.elapsed() < secs(3), "{:?}", began.elapsed());
    ledger::check_report(&report);
    assert_eq!((report.totals.succeeded, report.totals.returned, report.unstarted), (1, 1, vec![1]));
    assert_eq!(soon(kept).await.unwrap(), "saved half of it");
    assert!(matches!(soon(queued).await, Err(JobError::Returned)));

    let pool = graceful(secs(5), &tidied);
    let failing = pool.try_submit(1).unwrap();
    settle().await;
    drop(pool);
    let began = Instant::now();
    assert!(matches!(soon(failing).await, Err(JobError::Aborted(Some(1)))));
    assert!(began.elapsed() >= secs(2) && began.elapsed() < secs(3));
    assert_eq!(tidied.load(Ordering::SeqCst), 2);
}

/// An abort during the grace of a cancellation does not take the grace away, nor start another without end.
#[tokio::test(start_paused = true)]
async fn a_shutdown_during_the_grace_of_a_cancelled_job_returns_by_its_own() {
    let tidied = Arc::new(AtomicUsize::new(0));
    let pool = graceful(secs(5), &tidied);
    let handle = pool.try_submit(1).unwrap();
    settle().await;
    handle.cancel();
    tokio::time::advance(secs(1)).await;
    let began = Instant::now();
    let report = soon(pool.shutdown(Shutdown::Now)).await.unwrap();
    assert!(began.elapsed() <= secs(5) + ms(110), "{:?}", began.elapsed());
    ledger::check_report(&report);
    let job = soon(handle).await.unwrap_err();
    assert!(matches!(job, JobError::Cancelled(Some(1)) | JobError::Aborted(_)), "{job:?}");
}
