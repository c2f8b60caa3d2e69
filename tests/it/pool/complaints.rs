//! What users of other pools have complained about, as tests: each is named after the repository and the issue.
//!
//! Where a complaint is the subject of a file of its own, that file has it: resizing in `control.rs` (ants #205), keys in
//! `lanes.rs`, a limit for ad-hoc tasks and what becomes of finished ones in the tests of the task pool.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use flowgate::retry::{Jitter, RetryBudget, RetryPolicy};
use flowgate::{Attempt, Cx, JobError, Overflow, Shutdown, StopReason, SubmitError, WorkerPool};
use tokio::time::Instant;

use crate::support::{Counted, HOUR, Tally, ms, promptly, quiet, secs, settle, soon, until};

type Failing = WorkerPool<u32, u32, &'static str>;

/// A pool whose jobs fail as often as their number says, after no time at all.
fn failing(slots: usize, queue: usize) -> Failing {
    let retry = RetryPolicy::fixed(secs(1)).jitter(Jitter::None).max_attempts(100).no_budget();
    Failing::builder()
        .concurrency(slots)
        .queue(queue)
        .retry(retry)
        .build(|job: Attempt<u32>| async move { if job.attempt() <= *job { Err("not yet") } else { Ok(*job) } })
        .unwrap()
}

/// Complaint 1: workers that put a failed job back into their own full queue wait for themselves.
#[tokio::test(start_paused = true)]
async fn saucectl_650_a_full_queue_of_failing_jobs_does_not_deadlock() {
    let pool = failing(2, 2);
    let producer = {
        let pool = pool.clone();
        tokio::spawn(async move {
            let mut handles = Vec::new();
            for _ in 0..40 {
                handles.push(pool.submit(3).await.unwrap());
            }
            for handle in handles {
                assert_eq!(handle.await.unwrap(), 3);
            }
        })
    };
    soon(producer).await.unwrap();
    assert_eq!(pool.stats().totals.retries, 120);
}

/// Complaint 2: a worker that sleeps through a backoff serves nobody.
#[tokio::test(start_paused = true)]
async fn resilience4j_1274_a_backoff_ties_up_no_worker() {
    let pool = WorkerPool::<bool, (), ()>::builder()
        .concurrency(1)
        .queue(200)
        .retry(RetryPolicy::fixed(HOUR).jitter(Jitter::None).max_attempts(2).no_budget())
        .build(|job: Attempt<bool>| async move { if *job && job.attempt() == 1 { Err(()) } else { Ok(()) } })
        .unwrap();
    let poison: Vec<_> = (0..100).map(|_| pool.try_submit(true).unwrap()).collect();
    let began = Instant::now();
    for _ in 0..100 {
        soon(pool.run(false)).await.unwrap();
    }
    assert!(began.elapsed() < secs(1), "good jobs waited {:?} for sleeping ones", began.elapsed());
    assert_eq!(pool.stats().parked, 100);
    for handle in poison {
        soon(handle).await.unwrap();
    }
}

/// Complaint 3: submitting while or after the pool stops panics, or is accepted and lost.
#[test]
fn gammazero_76_submitting_to_a_pool_that_stops_is_answered() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for _ in 0..100 {
            let pool = WorkerPool::<u32, u32, ()>::builder()
                .concurrency(2)
                .queue(2)
                .build(|job: Attempt<u32>| async move { Ok(*job) })
                .unwrap();
            let submitters: Vec<_> = (0..4)
                .map(|_| {
                    let pool = pool.clone();
                    tokio::spawn(async move {
                        let mut accepted = 0;
                        loop {
                            match pool.submit(1).await {
                                Ok(handle) => accepted += u64::from(handle.await.is_ok()),
                                Err(refused) => break (accepted, refused.is_closed()),
                            }
                        }
                    })
                })
                .collect();
            let report = promptly(pool.shutdown(Shutdown::Drain)).await.unwrap();
            let mut succeeded = 0;
            for submitter in submitters {
                let (accepted, closed) = promptly(submitter).await.unwrap();
                assert!(closed);
                succeeded += accepted;
            }
            assert_eq!((report.totals.succeeded, report.is_complete()), (succeeded, true));
            assert!(matches!(pool.try_submit(1), Err(SubmitError::Closed(1))));
        }
    });
}

/// Complaint 4: a worker that submits to its own pool and waits for the group deadlocks.
#[tokio::test(start_paused = true)]
async fn pond_56_a_handler_may_wait_for_a_group_of_its_own_pool() {
    async fn sum(_: &(), job: &mut u64, cx: &Cx) -> Result<u64, &'static str> {
        if *job < 2 {
            return Ok(*job);
        }
        let pool = cx.pool::<u64, u64, &'static str>().and_then(|pool| pool.upgrade()).ok_or("the pool has gone")?;
        let mut group = Vec::new();
        for part in [*job / 2, *job - *job / 2] {
            group.push(pool.submit(part).await.map_err(|_| "full")?);
        }
        let mut total = 0;
        for handle in group {
            total += handle.await.map_err(|_| "a part failed")?;
        }
        Ok(total)
    }
    let pool = WorkerPool::builder().concurrency(1).queue(100).build_with((), sum).unwrap();
    assert_eq!(soon(pool.run(24)).await.unwrap(), 24);
}

/// Complaint 5: those who wait for queued work hang when the pool is stopped.
#[tokio::test(start_paused = true)]
async fn pond_138_stopping_with_work_in_the_queue_leaves_no_waiter() {
    let pool = WorkerPool::<u32, (), ()>::builder().concurrency(1).queue(3).build(|_: Attempt<u32>| pending()).unwrap();
    let handles: Vec<_> = (0..4).map(|job| pool.try_submit(job).unwrap()).collect();
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.submit(4).await.map(drop) }
    });
    let drain = tokio::spawn({
        let pool = pool.clone();
        async move { pool.drain().await }
    });
    settle().await;
    drop(soon(pool.shutdown(Shutdown::Now)).await.unwrap());
    for handle in handles {
        assert!(matches!(soon(handle).await, Err(JobError::Returned | JobError::Aborted(_))));
    }
    assert!(matches!(soon(waiting).await.unwrap(), Err(SubmitError::Closed(4))));
    soon(drain).await.unwrap().unwrap();
}

/// Complaint 6: a queue without a bound is a leak.
#[tokio::test(start_paused = true)]
async fn gammazero_30_what_is_not_accepted_is_not_kept() {
    let tally = Tally::new();
    let pool = WorkerPool::<Counted, (), ()>::builder()
        .concurrency(1)
        .queue(9)
        .build(|_: Attempt<Counted>| pending())
        .unwrap();
    for id in 0..1_000 {
        match pool.try_submit(tally.make(id)) {
            Ok(handle) => drop(handle),
            Err(refused) => drop(refused.into_job()),
        }
    }
    assert_eq!((tally.alive(), pool.len(), pool.capacity()), (10, 10, 10));
}

/// Complaint 7: no way to stop waiting for room.
#[tokio::test(start_paused = true)]
async fn conc_107_a_submission_can_give_up_and_keep_its_job() {
    let pool = WorkerPool::<u32, (), ()>::builder().concurrency(1).queue(0).build(|_: Attempt<u32>| pending()).unwrap();
    let running = pool.submit(0).await.unwrap();
    let began = Instant::now();
    assert!(matches!(soon(pool.submit_timeout(1, secs(3))).await, Err(SubmitError::Timeout(1))));
    assert_eq!(began.elapsed(), secs(3));
    running.cancel();
    drop(running);
    quiet(&pool).await;
}

/// Complaint 11: a panic is swallowed, or ends the process.
#[tokio::test(start_paused = true)]
async fn golang_53757_a_panic_is_one_jobs_outcome_with_its_message() {
    let pool = WorkerPool::<u32, u32, ()>::builder()
        .concurrency(1)
        .build(|job: Attempt<u32>| async move { Ok(6_u32.checked_div(*job).expect("divided by zero")) })
        .unwrap();
    let error = soon(pool.submit(0).await.unwrap()).await.unwrap_err();
    assert_eq!(error.to_string(), "the job panicked in attempt 1: divided by zero");
    assert_eq!(error.into_job(), Some(0));
    assert_eq!(soon(pool.run(3)).await.unwrap(), 2);
}

/// Complaint 12: a budget in percent of what is in flight is zero for a little traffic, and unlimited for a storm.
#[tokio::test(start_paused = true)]
async fn failsafe_go_106_a_budget_allows_a_little_and_stops_a_storm() {
    let down = |budget: RetryBudget| {
        WorkerPool::<(), (), ()>::builder()
            .concurrency(10)
            .queue(990)
            .retry(RetryPolicy::fixed(ms(1)).max_attempts(10).budget(budget))
            .build(|_: Attempt<()>| async { Err(()) })
            .unwrap()
    };
    let quiet_service = down(RetryBudget::new().ratio(0.2).min_per_sec(1));
    drop(soon(quiet_service.run(())).await);
    assert!(quiet_service.stats().totals.retries >= 1, "the floor lets a quiet service retry");
    let storm = down(RetryBudget::new().ratio(0.2).min_per_sec(1));
    let jobs: Vec<_> = (0..1_000).map(|_| storm.try_submit(()).unwrap()).collect();
    for job in jobs {
        assert!(soon(job).await.is_err());
    }
    let retries = storm.stats().totals.retries;
    assert!((1..=300).contains(&retries), "{retries} retries of 1,000 failing jobs");
}

/// Complaint 15: cooperative scheduling's `Pending` is taken for "full".
#[tokio::test]
async fn router_9034_a_spent_coop_budget_does_not_look_like_a_full_pool() {
    let pool =
        WorkerPool::<u32, (), ()>::builder().concurrency(1).queue(99).build(|_: Attempt<u32>| pending()).unwrap();
    let semaphore = tokio::sync::Semaphore::new(10_000);
    let mut kept = Vec::new();
    poll_fn(|cx| {
        // Spends the budget of this task: the semaphore is free, and says Pending.
        while let Poll::Ready(permit) = pin!(semaphore.acquire()).poll(cx) {
            permit.unwrap().forget();
        }
        for job in 0..100 {
            kept.push(pool.try_submit(job));
        }
        Poll::Ready(())
    })
    .await;
    assert_eq!(kept.iter().filter(|handle| handle.is_ok()).count(), 100);
}

/// Complaint 15: capacity is held until somebody drops the response.
#[tokio::test(start_paused = true)]
async fn linkerd2_751_an_unread_result_holds_no_capacity() {
    let pool = failing(1, 0);
    let mut unread = Vec::new();
    for _ in 0..1_000 {
        unread.push(soon(pool.submit(0)).await.unwrap());
    }
    for handle in unread {
        assert_eq!(soon(handle).await.unwrap(), 0);
    }
}

/// Complaint 15: idle clones of a limited service hoard its permits.
#[tokio::test(start_paused = true)]
async fn vector_26457_idle_clones_hold_no_capacity() {
    let pool = failing(1, 0);
    let clones: Vec<_> = (0..100).map(|_| pool.clone()).collect();
    assert_eq!((pool.stats().reserved, soon(pool.run(0)).await.unwrap()), (0, 0));
    drop(clones);
}

/// Complaint 16: a send that is cancelled takes the value with it.
#[tokio::test(start_paused = true)]
async fn tokio_5947_a_value_survives_a_wait_that_is_given_up() {
    let tally = Tally::new();
    let pool = WorkerPool::<Counted, (), ()>::builder()
        .concurrency(1)
        .queue(0)
        .build(|_: Attempt<Counted>| pending())
        .unwrap();
    let running = pool.submit(tally.make(0)).await.unwrap();
    let job = tally.make(1);
    assert!(tokio::time::timeout(secs(1), pool.reserve()).await.is_err());
    running.cancel();
    let permit = soon(pool.reserve()).await.unwrap();
    let handle = permit.submit(job).unwrap();
    settle().await;
    assert_eq!(pool.stats().running, 1, "the same job, after a wait that was dropped");
    drop((handle, running));
}

/// Complaint 17: a future that was granted its turn and is not polled holds up everybody.
#[tokio::test(start_paused = true)]
async fn omicron_9259_an_unpolled_submission_holds_up_nobody() {
    let pool = failing(1, 0);
    let blocker = pool.submit(1).await.unwrap();
    let mut first = pin!(pool.submit(0));
    assert!(poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_pending())).await);
    // `first` is next in line, and not polled again while this task waits for the second.
    assert_eq!(soon(pool.run(0)).await.unwrap(), 0);
    assert_eq!(soon(first).await.unwrap().await.unwrap(), 0);
    assert_eq!(soon(blocker).await.unwrap(), 1);
}

/// Complaint 19: one tenant's backlog starves all others.
#[tokio::test(start_paused = true)]
async fn glific_5680_one_tenant_does_not_starve_the_others() {
    let pool = WorkerPool::<u32, (), ()>::builder()
        .concurrency(4)
        .queue(96)
        .per_key(50)
        .build(|_: Attempt<u32>| async move {
            tokio::time::sleep(ms(10)).await;
            Ok(())
        })
        .unwrap();
    let flood = tokio::spawn({
        let pool = pool.clone();
        async move {
            for _ in 0..500 {
                drop(pool.job(0).key("flood").submit().await);
            }
        }
    });
    settle().await;
    for tenant in 1..50_u32 {
        let began = Instant::now();
        soon(pool.job(tenant).key(&tenant).run()).await.unwrap();
        assert!(began.elapsed() <= ms(30), "tenant {tenant} waited {:?}", began.elapsed());
    }
    assert!(!flood.is_finished());
    flood.abort();
}

/// Complaint 20: a stop that is neither awaitable nor bounded, and says nothing.
#[tokio::test(start_paused = true)]
async fn agenda_1652_a_drain_is_bounded_and_says_what_became_of_everything() {
    let pool = failing(1, 3);
    let handles: Vec<_> = [0, 0, 50, 0].into_iter().map(|fails| pool.try_submit(fails).unwrap()).collect();
    let began = Instant::now();
    let report = soon(pool.shutdown(Shutdown::DrainFor(secs(5)))).await.unwrap();
    assert_eq!(began.elapsed(), secs(5));
    assert_eq!((report.totals.succeeded, report.parked.len()), (3, 1));
    assert_eq!((report.parked[0].job, report.parked[0].stop), (Some(50), StopReason::ShuttingDown));
    assert!(report.is_complete());
    drop(handles);
}

/// Complaint 21: a failure does not say which item it was.
#[tokio::test(start_paused = true)]
async fn elixir_6395_a_timeout_names_its_item() {
    let pool = WorkerPool::<String, (), ()>::builder()
        .concurrency(4)
        .attempt_timeout(secs(1))
        .build(|job: Attempt<String>| async move { if job.as_str() == "slow" { pending().await } else { Ok(()) } })
        .unwrap();
    let mut slow = Vec::new();
    for item in ["a", "slow", "b"] {
        if let Err(error) = soon(pool.submit(item.to_owned()).await.unwrap()).await {
            slow.extend(error.into_job());
        }
    }
    assert_eq!(slow, ["slow"]);
}

/// Complaint 22: under overload a queue serves only what is too old to matter.
#[tokio::test(start_paused = true)]
async fn envoy_28982_old_work_makes_way_for_new() {
    let started = Arc::new(AtomicUsize::new(0));
    let count = started.clone();
    let pool = WorkerPool::<u32, (), ()>::builder()
        .concurrency(1)
        .queue(5)
        .overflow(Overflow::DropOldest)
        .deadline(secs(3))
        .build(move |_: Attempt<u32>| {
            count.fetch_add(1, Ordering::SeqCst);
            async {
                tokio::time::sleep(secs(1)).await;
                Ok(())
            }
        })
        .unwrap();
    let handles: Vec<_> = (0..20).map(|job| pool.try_submit(job).unwrap()).collect();
    soon(pool.drain()).await.unwrap();
    let totals = pool.stats().totals;
    assert_eq!((totals.shed, totals.succeeded + totals.timed_out), (14, 6));
    assert_eq!(started.load(Ordering::SeqCst), 3, "what was too late to matter was not started");
    for (job, handle) in (0..).zip(handles) {
        let shed = matches!(soon(handle).await, Err(JobError::Shed(_)));
        assert_eq!(shed, job < 14, "job {job}");
    }
    until("the timer has gone", || pool.stats().runners == 0).await;
}
