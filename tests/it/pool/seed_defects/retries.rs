//! Retries: S14 to S18, S24.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowgate::retry::{Jitter, RetryBudget, RetryPolicy, Verdict};
use flowgate::{Attempt, JobError, StopReason, WorkerPool};
use tokio::time::Instant;

use crate::support::{HOUR, ledger, ms, secs, settle, soon};

fn fixed<E>(delay: Duration) -> RetryPolicy<E> {
    RetryPolicy::fixed(delay).jitter(Jitter::None).no_budget()
}

/// S14: no backoff, so that an instant failure becomes a hot loop.
#[tokio::test(start_paused = true)]
async fn s14_attempts_are_spaced_by_the_policy_and_waiting_costs_no_polls() {
    let (starts, polls) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let (seen, count) = (starts.clone(), polls.clone());
    let retry = RetryPolicy::exponential(ms(100)).jitter(Jitter::None).max_attempts(6).max_delay(ms(900)).no_budget();
    let pool = WorkerPool::<(), (), ()>::builder()
        .concurrency(1)
        .retry(retry)
        .build(move |_: Attempt<()>| {
            seen.lock().unwrap().push(Instant::now());
            let count = count.clone();
            std::future::poll_fn(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                std::task::Poll::Ready(Err(()))
            })
        })
        .unwrap();
    let error = soon(pool.run(())).await.unwrap_err();
    assert!(matches!(error, flowgate::RunError::Job(JobError::Failed(_))), "{error:?}");
    let starts = starts.lock().unwrap().clone();
    let gaps: Vec<_> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps.len(), 5);
    for (gap, policy) in gaps.iter().zip([100, 200, 400, 800, 900]) {
        assert!((ms(policy)..=ms(policy + 2)).contains(gap), "{gaps:?}");
    }
    assert_eq!(polls.load(Ordering::SeqCst), 6, "one poll an attempt");
}

/// S15: no limit on attempts or time, or a count that is lost on the way back.
#[tokio::test(start_paused = true)]
async fn s15_each_limit_ends_with_its_own_reason() {
    let hinted = |hint| fixed(secs(1)).max_delay(secs(1)).classify(move |_: &(), _| Verdict::RetryAfter(hint));
    let table = [
        ("attempts", fixed(secs(1)).max_attempts(4), None, StopReason::MaxAttempts, 4),
        ("elapsed", fixed(secs(2)).max_attempts(99).max_elapsed(secs(5)), None, StopReason::MaxElapsed, 3),
        ("deadline", fixed(secs(2)).max_attempts(99), Some(secs(5)), StopReason::Deadline, 3),
        ("permanent", fixed(secs(1)).classify(|_, _| Verdict::Stop), None, StopReason::Permanent, 1),
        ("none", RetryPolicy::none(), None, StopReason::MaxAttempts, 1),
        ("the sequence ends", RetryPolicy::from_delays(|n| (n < 3).then_some(ms(1))), None, StopReason::MaxAttempts, 3),
        ("a hint beyond the limit", hinted(secs(90)).max_elapsed(secs(60)), None, StopReason::MaxElapsed, 1),
        ("a hint beyond the deadline", hinted(secs(90)), Some(secs(60)), StopReason::Deadline, 1),
        ("a hint that fits is not cut", hinted(secs(90)).max_attempts(2), None, StopReason::MaxAttempts, 2),
    ];
    for (name, retry, deadline, stop, attempts) in table {
        let builder = WorkerPool::<u32, (), ()>::builder().concurrency(1).retry(retry);
        let builder = if let Some(deadline) = deadline { builder.deadline(deadline) } else { builder };
        let pool = builder.build(|_: Attempt<u32>| async { Err(()) }).unwrap();
        let began = Instant::now();
        let error = soon(pool.try_submit(7).unwrap()).await.unwrap_err();
        let failure = error.failure().unwrap();
        assert_eq!((failure.stop, failure.attempts), (stop, attempts), "{name}");
        assert_eq!((failure.job, failure.last_error), (Some(7), Some(())), "{name}");
        assert!(matches!(error, JobError::Failed(_)), "{name}: it failed, whatever kept it from another attempt");
        if name == "a hint that fits is not cut" {
            assert!(began.elapsed() >= secs(90), "{name}: {:?}", began.elapsed());
        }
    }
}

/// S16: a retry storm.
#[tokio::test(start_paused = true)]
async fn s16_the_budget_caps_the_retries_of_a_dependency_that_is_down() {
    let (down, attempts) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (is_down, count) = (down.clone(), attempts.clone());
    let budget = RetryBudget::new();
    let retry = RetryPolicy::exponential(ms(10)).max_attempts(5).budget(budget.clone());
    let pool = WorkerPool::<u32, (), ()>::builder()
        .concurrency(8)
        .queue(100)
        .retry(retry)
        .build(move |_: Attempt<u32>| {
            count.fetch_add(1, Ordering::SeqCst);
            let down = is_down.load(Ordering::SeqCst);
            async move { if down { Err(()) } else { Ok(()) } }
        })
        .unwrap();
    let flood = |jobs: u32| {
        let pool = &pool;
        async move {
            let mut handles = Vec::new();
            for job in 0..jobs {
                handles.push(soon(pool.submit(job)).await.unwrap());
            }
            let mut reasons = HashMap::new();
            for handle in handles {
                if let Err(error) = soon(handle).await {
                    *reasons.entry(error.failure().unwrap().stop).or_insert(0) += 1;
                }
            }
            reasons
        }
    };
    let reasons = flood(1_000).await;
    let made = attempts.load(Ordering::SeqCst);
    assert!((1_100..=1_200 + 100).contains(&made), "a fifth of the jobs, and a hundred: {made} attempts");
    assert!(reasons[&StopReason::Budget] > 500, "{reasons:?}");
    assert_eq!(budget.withdrawn(), made as u64 - 1_000);
    assert_eq!(pool.stats().totals.retries, budget.withdrawn());
    // It comes back: traffic that succeeds pays for retries again, once the storm has left the window.
    down.store(false, Ordering::SeqCst);
    tokio::time::advance(secs(12)).await;
    assert!(flood(500).await.is_empty());
    down.store(true, Ordering::SeqCst);
    let before = attempts.load(Ordering::SeqCst);
    flood(50).await;
    let retries = attempts.load(Ordering::SeqCst) - before - 50;
    assert!((150..=210).contains(&retries), "550 jobs a fifth, and a hundred: {retries} retries");
}

/// S17: jobs that wait for a retry hold the workers.
#[tokio::test(start_paused = true)]
async fn s17_jobs_in_backoff_hold_no_slot() {
    let pool = WorkerPool::<u32, (), ()>::builder()
        .concurrency(2)
        .queue(10)
        .retry(fixed(HOUR))
        .build(|job: Attempt<u32>| async move {
            if *job == 0 {
                return Err(());
            }
            tokio::time::sleep(ms(10)).await;
            Ok(())
        })
        .unwrap();
    let poison = [pool.try_submit(0).unwrap(), pool.try_submit(0).unwrap()];
    let began = Instant::now();
    let mut handles = Vec::new();
    for job in 1..=1_000 {
        handles.push(soon(pool.submit(job)).await.unwrap());
    }
    for handle in handles {
        soon(handle).await.unwrap();
    }
    let took = began.elapsed();
    assert!((ms(5_000)..ms(5_600)).contains(&took), "1,000 jobs of 10 ms on both slots: {took:?}");
    assert_eq!((pool.stats().parked, poison[0].is_finished()), (2, false));
}

/// S17 the other way round: fresh jobs starve a retry that is due.
#[tokio::test(start_paused = true)]
async fn s17_a_due_retry_waits_for_no_more_than_the_queue() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = order.clone();
    let pool = WorkerPool::<u32, (), ()>::builder()
        .concurrency(1)
        .queue(10)
        .retry(fixed(ms(50)))
        .build(move |job: Attempt<u32>| {
            let seen = seen.clone();
            async move {
                tokio::time::sleep(ms(10)).await;
                seen.lock().unwrap().push((*job, job.attempt(), Instant::now()));
                if *job == 0 && job.attempt() == 1 { Err(()) } else { Ok(()) }
            }
        })
        .unwrap();
    let mut handles = Vec::new();
    for job in 0..200 {
        handles.push(soon(pool.submit(job)).await.unwrap());
    }
    for handle in handles {
        soon(handle).await.unwrap();
    }
    let order = order.lock().unwrap().clone();
    let (failed, retried) = (order[0], order.iter().find(|(job, attempt, _)| (*job, *attempt) == (0, 2)).unwrap());
    let due = failed.2 + ms(50);
    let before = order.iter().filter(|(.., at)| *at > due && *at < retried.2).count();
    assert!(before <= 11, "it waits for what was queued before it, {before} jobs");
}

/// S18: retries wait outside of every bound.
#[tokio::test(start_paused = true)]
async fn s18_failing_jobs_keep_their_places_and_submitters_feel_it() {
    let pool = WorkerPool::<u32, (), ()>::builder()
        .concurrency(2)
        .queue(8)
        .retry(fixed(secs(10)).max_attempts(2))
        .build(|_: Attempt<u32>| async { Err(()) })
        .unwrap();
    let began = Instant::now();
    let mut handles = Vec::new();
    for job in 0..100 {
        handles.push(soon(pool.submit(job)).await.unwrap());
        let stats = pool.stats();
        ledger::check_without_lending(&stats);
        assert!(stats.in_system <= 10);
    }
    assert!(began.elapsed() >= secs(90), "ten at a time, ten seconds each: {:?}", began.elapsed());
    for handle in handles {
        assert!(soon(handle).await.is_err());
    }
    let full = pool.stats();
    settle().await;
    assert_eq!((full.totals.failed, full.totals.retries), (100, 100));
}

#[derive(Debug)]
struct Refused(std::io::Error);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the upload was refused")
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// S24: the cause is lost, and nobody knows how often it was tried.
#[tokio::test(start_paused = true)]
async fn s24_a_failure_has_its_cause_attempts_reason_and_job() {
    let pool = WorkerPool::<String, (), Refused>::builder()
        .concurrency(1)
        .retry(fixed(secs(1)).max_attempts(3))
        .build(|job: Attempt<String>| async move {
            Err(Refused(std::io::Error::other(format!("connection {} was reset", job.attempt()))))
        })
        .unwrap();
    let error = soon(pool.try_submit("file".into()).unwrap()).await.unwrap_err();
    assert_eq!(error.to_string(), "the job failed after 3 attempts: all attempts are used up");
    let chain: Vec<_> = std::iter::successors(Some(&error as &dyn Error), |error| (*error).source()).collect();
    let told: Vec<_> = chain.iter().skip(1).map(ToString::to_string).collect();
    assert_eq!(told, ["the upload was refused", "connection 3 was reset"]);
    assert!(chain[1].is::<Refused>() && chain[2].is::<std::io::Error>());
    let failure = error.failure().unwrap();
    assert_eq!((failure.attempts, failure.stop), (3, StopReason::MaxAttempts));
    assert_eq!(error.into_job().as_deref(), Some("file"));
}
