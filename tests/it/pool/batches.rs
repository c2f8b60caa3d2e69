//! A runner may take a few short jobs along at once. Nothing that is promised of a queued job may change for them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use flowgate::retry::{Jitter, RetryPolicy};
use flowgate::{Attempt, JobError, JobHandle, Shutdown, StopReason, WorkerPool};

use crate::support::{ledger, one_thread, secs, soon, spin_until};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Job {
    Short(u32),
    /// Does not await, and returns when it is told to.
    Blocks,
    /// Does not await, and takes three seconds.
    TakesTime,
    /// Shuts the pool down from inside.
    ShutsDown,
}

#[derive(Clone, Default)]
struct Signs {
    blocked: Arc<AtomicBool>,
    go_on: Arc<AtomicBool>,
    started: Arc<Mutex<Vec<Job>>>,
}

type Pool = WorkerPool<Job, Job, ()>;
type Handles = Vec<JobHandle<Job, Job, ()>>;

async fn handle(signs: Signs, attempt: Attempt<Job>) -> Result<Job, ()> {
    signs.started.lock().unwrap().push(*attempt);
    match *attempt {
        Job::Short(_) => {}
        Job::Blocks => {
            signs.blocked.store(true, Ordering::SeqCst);
            spin_until("the blocked handler is let go", || signs.go_on.load(Ordering::SeqCst));
        }
        Job::TakesTime => drop(futures::poll!(std::pin::pin!(tokio::time::advance(secs(3))))),
        Job::ShutsDown => {
            let pool = attempt.cx().pool::<Job, Job, ()>().unwrap().upgrade().unwrap();
            assert!(pool.shutdown(Shutdown::Now).await.is_err());
        }
    }
    Ok(*attempt)
}

/// A pool with one slot, and jobs of which enough are short to be taken along in batches.
fn busy(signs: &Signs, middle: Job, deadline: Option<u64>) -> (Pool, Handles) {
    let builder = Pool::builder().concurrency(1).queue(1_000);
    let builder = if let Some(limit) = deadline { builder.deadline(secs(limit)) } else { builder };
    let signs = signs.clone();
    let pool = builder.build(move |attempt: Attempt<Job>| handle(signs.clone(), attempt)).unwrap();
    let shorts = |range: std::ops::Range<u32>| range.map(Job::Short);
    let jobs = shorts(0..200).chain([middle]).chain(shorts(200..300));
    let handles = jobs.map(|job| pool.try_submit(job).unwrap()).collect();
    (pool, handles)
}

struct LetsGo<'a>(&'a Signs);

impl Drop for LetsGo<'_> {
    fn drop(&mut self) {
        self.0.go_on.store(true, Ordering::SeqCst);
    }
}

/// Does `outside` on a thread while the pool's only handler blocks the runtime's only thread.
fn while_blocked<R: Send>(outside: impl FnOnce(&Pool, &mut Handles) -> R + Send) -> R {
    let (signs, runtime) = (Signs::default(), one_thread());
    let (pool, mut handles) = runtime.block_on(async { busy(&signs, Job::Blocks, None) });
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let _lets_go_even_if_it_panics = LetsGo(&signs);
            spin_until("the handler blocks", || signs.blocked.load(Ordering::SeqCst));
            let result = outside(&pool, &mut handles);
            (result, handles)
        });
        runtime.block_on(async {
            while !thread.is_finished() {
                tokio::task::yield_now().await;
            }
        });
        let (result, handles) = thread.join().expect("it saw what was promised");
        runtime.block_on(async {
            for handle in handles {
                drop(soon(handle).await);
            }
        });
        ledger::check(&pool.stats());
        result
    })
}

/// "One that is queued ends at once."
#[test]
fn a_job_behind_a_blocking_handler_is_cancelled_at_once() {
    let unfinished = while_blocked(|pool, handles| {
        ledger::check(&pool.stats());
        let behind = &handles[201..];
        behind.iter().for_each(JobHandle::cancel);
        behind.iter().filter(|handle| !handle.is_finished()).count()
    });
    assert_eq!(unfinished, 0, "cancelled while they were queued, and not ended");
}

/// The most jobs that a runner takes along at once.
const BATCH: usize = 128;

/// The named limit of batches: results of short jobs wait for a handler behind them that blocks its thread, those of one
/// batch and no more, and come when it returns.
#[test]
fn results_of_one_batch_at_most_wait_for_a_blocking_handler_behind_them() {
    let unfinished = while_blocked(|_, handles| handles[..200].iter().filter(|handle| !handle.is_finished()).count());
    assert!(unfinished < BATCH, "{unfinished} have ended and are not known to their handles");
}

/// "`queued`: jobs that wait for a slot, those included that a runner has taken along", up to the same limit.
#[test]
fn what_a_blocked_runner_has_done_counts_as_taken_along_until_it_returns() {
    let (queued, running) = while_blocked(|pool, _| (pool.stats().queued, pool.stats().running));
    assert_eq!(running, 1);
    assert!((100..100 + BATCH).contains(&queued), "{queued}");
}

/// "Gives back what has not been started"; "`unresponsive`: jobs whose handler had not come to an await", with what was
/// done just before them.
#[test]
fn a_shutdown_gives_back_what_a_blocked_runner_has_not_started() {
    let (unstarted, unresponsive) = while_blocked(|pool, _| {
        let report = one_thread().block_on(pool.shutdown(Shutdown::Now)).unwrap();
        (report.unstarted, report.unresponsive)
    });
    assert!((1..=BATCH).contains(&unresponsive), "{unresponsive}");
    assert_eq!(unstarted, (200..300).map(Job::Short).collect::<Vec<_>>());
}

/// "In the order of acceptance", those included that a runner had taken along.
#[tokio::test(start_paused = true)]
async fn jobs_taken_along_are_returned_in_the_order_of_acceptance() {
    let signs = Signs::default();
    let (pool, handles) = busy(&signs, Job::ShutsDown, None);
    let mut returned = 0;
    for handle in handles {
        returned += u32::from(matches!(soon(handle).await, Err(JobError::Returned)));
    }
    assert_eq!(returned, 100);
    let report = soon(pool.shutdown(Shutdown::Now)).await.unwrap();
    assert_eq!(report.unstarted, (200..300).map(Job::Short).collect::<Vec<_>>());
    ledger::check_report(&report);
}

/// "How long a job may be in the pool": one whose deadline has passed is not started.
#[tokio::test(start_paused = true)]
async fn a_job_taken_along_is_not_started_after_its_deadline() {
    let signs = Signs::default();
    let (_pool, handles) = busy(&signs, Job::TakesTime, Some(1));
    for (index, handle) in handles.into_iter().enumerate() {
        let outcome = soon(handle).await;
        if index <= 200 {
            assert!(outcome.is_ok(), "{index}");
            continue;
        }
        let error = outcome.expect_err("its deadline had passed");
        let failure = error.failure().unwrap();
        assert_eq!((failure.attempts, failure.stop), (0, StopReason::Deadline), "{index}");
    }
}

/// "First come first served", whatever size the batches have, also if one of the jobs awaits.
#[tokio::test(start_paused = true)]
async fn one_slot_starts_jobs_in_the_order_of_acceptance() {
    let started = Arc::new(Mutex::new(Vec::new()));
    let seen = started.clone();
    let pool = WorkerPool::<u32, (), ()>::builder()
        .concurrency(1)
        .queue(1_000)
        .build(move |job: Attempt<u32>| {
            seen.lock().unwrap().push(*job);
            async move {
                if *job % 37 == 0 {
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
        })
        .unwrap();
    for job in 0..1_000 {
        drop(pool.try_submit(job).unwrap());
    }
    soon(pool.drain()).await.unwrap();
    assert_eq!(*started.lock().unwrap(), (0..1_000).collect::<Vec<_>>());
}

/// A job that waits holds up no other: with a slot free, what is queued runs.
#[tokio::test(start_paused = true)]
async fn a_job_that_awaits_gives_back_what_its_runner_had_taken_along() {
    let pool = WorkerPool::<u32, (), ()>::builder()
        .concurrency(2)
        .queue(1_000)
        .build(|job: Attempt<u32>| async move { if *job == 200 { std::future::pending().await } else { Ok(()) } })
        .unwrap();
    let mut handles: Vec<_> = (0..400).map(|job| pool.try_submit(job).unwrap()).collect();
    let waits = handles.remove(200);
    for handle in handles {
        soon(handle).await.unwrap();
    }
    assert_eq!((pool.stats().running, pool.stats().queued), (1, 0));
    waits.cancel();
    assert!(matches!(soon(waits).await, Err(JobError::Cancelled(Some(200)))));
}

/// A job that was taken along and fails at once waits for its retry like any other, its deadline kept.
#[tokio::test(start_paused = true)]
async fn a_job_taken_along_is_parked_with_its_deadline() {
    let retry = RetryPolicy::fixed(secs(1)).jitter(Jitter::None).max_attempts(3).no_budget();
    let pool = WorkerPool::<u32, u32, ()>::builder()
        .concurrency(1)
        .queue(1_000)
        .deadline(secs(60))
        .retry(retry)
        .build(|job: Attempt<u32>| async move { if *job % 7 == 0 && job.attempt() < 3 { Err(()) } else { Ok(*job) } })
        .unwrap();
    let handles: Vec<_> = (0..1_000).map(|job| pool.try_submit(job).unwrap()).collect();
    for (job, handle) in (0..).zip(handles) {
        assert_eq!(soon(handle).await.unwrap(), job);
    }
    ledger::check(&pool.stats());
    assert_eq!(pool.stats().totals.retries, 2 * 143);
}
