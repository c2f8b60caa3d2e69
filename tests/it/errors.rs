//! What errors, statistics and reports say, word for word; and that they ask nothing of the job's type.

use std::error::Error;
use std::io;

use flowgate::retry::{Jitter, RetryPolicy};
use flowgate::{
    Attempt, BuildError, JobError, PoolStats, Report, ReserveError, RunError, Shutdown, StopReason, SubmitError,
    Totals, WorkerPool, WouldDeadlock,
};

use crate::support::{quiet, secs, settle, soon};

/// Neither `Debug`, `Display`, `Clone` nor `PartialEq`.
struct Opaque(u32);

type Pool = WorkerPool<Opaque, (), io::Error>;

/// Job 1 fails, 2 panics with text, 3 with a number, 4 fails for good at once, from 5 on they never end.
fn pool() -> Pool {
    Pool::builder()
        .concurrency(1)
        .queue(3)
        .retry(RetryPolicy::fixed(secs(1)).jitter(Jitter::None).max_attempts(2).no_budget().classify(
            |error: &io::Error, _| match error.kind() {
                io::ErrorKind::NotFound => flowgate::Verdict::Stop,
                _ => flowgate::Verdict::Retry,
            },
        ))
        .attempt_timeout(secs(2))
        .build(|job: Attempt<Opaque>| async move {
            match job.0 {
                1 => Err(io::Error::other("connection reset")),
                2 => panic!("out of {}", "paper"),
                3 => std::panic::panic_any(3),
                4 => Err(io::ErrorKind::NotFound.into()),
                _ => std::future::pending().await,
            }
        })
        .unwrap()
}

async fn end_of(pool: &Pool, job: u32) -> JobError<Opaque, io::Error> {
    soon(pool.try_submit(Opaque(job)).unwrap()).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn a_job_error_tells_what_happened() {
    let pool = pool();
    let told = [
        (1, "the job failed after 2 attempts: all attempts are used up"),
        (2, "the job panicked in attempt 1: out of paper"),
        (3, "the job panicked in attempt 1"),
        (4, "the job failed after 1 attempt: the error is permanent"),
        (5, "the job timed out after 2 attempts: all attempts are used up"),
    ];
    for (job, text) in told {
        assert_eq!(end_of(&pool, job).await.to_string(), text);
    }
    let handle = pool.try_submit(Opaque(6)).unwrap();
    settle().await;
    handle.cancel();
    let cancelled = soon(handle).await.unwrap_err();
    assert_eq!(
        (cancelled.to_string().as_str(), format!("{cancelled:?}").as_str()),
        ("the job was cancelled", "Cancelled")
    );
    let (running, queued) = (pool.try_submit(Opaque(6)).unwrap(), pool.try_submit(Opaque(7)).unwrap());
    settle().await;
    drop(soon(pool.shutdown(Shutdown::Now)).await.unwrap());
    let (aborted, returned) = (soon(running).await.unwrap_err(), soon(queued).await.unwrap_err());
    assert_eq!(aborted.to_string(), "the pool ended before the job did");
    assert_eq!(returned.to_string(), "the pool was shut down before the job's next attempt");
    assert_eq!((format!("{aborted:?}"), format!("{returned:?}")), ("Aborted".into(), "Returned".into()));
    assert!(aborted.source().is_none() && returned.source().is_none() && cancelled.source().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_job_error_shows_everything_but_the_job_to_developers() {
    let pool = pool();
    let failed = end_of(&pool, 1).await;
    assert_eq!(
        format!("{failed:?}"),
        "Failed(Failure { attempts: 2, stop: MaxAttempts, last_error: Some(Custom { kind: Other, error: \"connection \
         reset\" }), panic: None, job: Some(\"..\") })"
    );
    let panicked = end_of(&pool, 2).await;
    assert_eq!(
        format!("{panicked:?}"),
        "Panicked(Failure { attempts: 1, stop: Panicked, last_error: None, panic: Some(\"out of paper\"), job: \
         Some(\"..\") })"
    );
    let failure = failed.failure().unwrap();
    assert!(format!("{failure:#?}").starts_with("Failure {\n    attempts: 2,\n"));
}

#[tokio::test(start_paused = true)]
async fn the_cause_is_the_source_of_a_job_error_and_of_a_run_error() {
    let pool = pool();
    let failed = end_of(&pool, 1).await;
    let cause = failed.source().and_then(|source| source.downcast_ref::<io::Error>()).unwrap();
    assert_eq!(cause.to_string(), "connection reset");
    let run = soon(pool.run(Opaque(4))).await.unwrap_err();
    assert_eq!(run.to_string(), "the job failed after 1 attempt: the error is permanent");
    assert_eq!(format!("{run:?}"), format!("Job({:?})", end_of(&pool, 4).await));
    assert!(run.source().is_some_and(|source| source.is::<io::Error>()));
    assert_eq!(run.into_job().map(|job| job.0), Some(4));
    assert!(end_of(&pool, 2).await.source().is_none(), "a panic has no error");
    pool.close();
    let refused = soon(pool.run(Opaque(9))).await.unwrap_err();
    assert_eq!(
        (refused.to_string().as_str(), format!("{refused:?}").as_str()),
        ("the pool is closed", "Submit(Closed(..))")
    );
    assert!(refused.source().is_none());
    assert_eq!(refused.into_job().map(|job| job.0), Some(9));
}

/// In a service errors become `Box<dyn Error + Send + Sync>`, whatever the job is.
#[tokio::test(start_paused = true)]
async fn errors_of_opaque_jobs_can_be_boxed() {
    fn boxed(error: impl Error + Send + Sync + 'static) -> Box<dyn Error + Send + Sync> {
        Box::new(error)
    }
    let pool = pool();
    assert!(boxed(end_of(&pool, 2).await).to_string().contains("paper"));
    assert!(boxed(soon(pool.run(Opaque(1))).await.unwrap_err()).source().is_some());
    pool.close();
    assert!(boxed(pool.try_submit(Opaque(1)).unwrap_err()).to_string().contains("closed"));
}

#[test]
fn a_refusal_says_why_and_gives_the_job_back() {
    let told = [
        (SubmitError::Full as fn(Opaque) -> SubmitError<Opaque>, "Full(..)", "the pool is full"),
        (SubmitError::Closed, "Closed(..)", "the pool is closed"),
        (SubmitError::Timeout, "Timeout(..)", "the pool had no room in time"),
        (
            SubmitError::WouldDeadlock,
            "WouldDeadlock(..)",
            "the pool is full, and waiting for room inside its own handler could wait forever",
        ),
    ];
    for (make, debug, display) in told {
        let refused = make(Opaque(3));
        assert_eq!((format!("{refused:?}").as_str(), refused.to_string().as_str()), (debug, display));
        assert_eq!(refused.is_closed(), debug == "Closed(..)");
        assert!(refused.source().is_none());
        let run = RunError::<Opaque, io::Error>::from(refused);
        assert_eq!((format!("{run:?}"), run.to_string()), (format!("Submit({debug})"), display.to_string()));
        assert_eq!(run.into_job().map(|job| job.0), Some(3));
    }
    assert_eq!(ReserveError::Closed.to_string(), "the pool is closed");
    let deadlock = "a handler waits for its own pool, and so for itself";
    assert_eq!(ReserveError::WouldDeadlock(WouldDeadlock).to_string(), deadlock);
    assert_eq!(WouldDeadlock.to_string(), deadlock);
}

#[test]
fn a_build_error_is_a_sentence() {
    let built = WorkerPool::<u32, (), ()>::builder().concurrency(1).build(|_: Attempt<u32>| async { Ok(()) });
    let error = built.unwrap_err();
    assert_eq!(
        error.to_string(),
        "a pool is built inside a tokio runtime: call `build` from an async fn, or under `Runtime::enter`"
    );
    assert_eq!((format!("{error:?}").as_str(), error.source().is_none()), ("NoRuntime", true));
    assert_eq!(error, BuildError::NoRuntime);
}

#[test]
fn each_stop_reason_reads_on_after_a_colon() {
    let told = [
        (StopReason::Permanent, "the error is permanent"),
        (StopReason::MaxAttempts, "all attempts are used up"),
        (StopReason::MaxElapsed, "the next attempt would start too late"),
        (StopReason::Budget, "the retry budget is spent"),
        (StopReason::Deadline, "the next attempt would start after the deadline"),
        (StopReason::InvalidPolicy, "the retry policy is invalid"),
        (StopReason::ParkedFull, "too many jobs are waiting to be retried"),
        (StopReason::ShuttingDown, "the pool is shutting down"),
        (StopReason::Panicked, "it panicked"),
        (StopReason::JobKept, "the handler kept the job"),
    ];
    for (reason, text) in told {
        assert_eq!((reason.as_str(), reason.to_string().as_str()), (text, text));
    }
}

#[tokio::test(start_paused = true)]
async fn stats_and_totals_read_as_one_line() {
    let pool = pool();
    for job in [1, 2, 3, 4] {
        drop(end_of(&pool, job).await);
    }
    quiet(&pool).await;
    let parked = pool.try_submit(Opaque(1)).unwrap();
    settle().await;
    let (running, queued) = (pool.try_submit(Opaque(6)).unwrap(), pool.try_submit(Opaque(7)).unwrap());
    settle().await;
    let permit = soon(pool.reserve()).await.unwrap();
    let mut waiting = Box::pin(pool.submit(Opaque(8)));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    let stats: PoolStats = pool.stats();
    assert_eq!(
        stats.to_string(),
        "3/4 in system (1 queued, 1/1 running, 1 parked), 1 waiting; 7 accepted: 0 succeeded, 2 failed, 2 panicked; \
         6 attempts, 2 retries"
    );
    assert!(format!("{stats:?}").starts_with("PoolStats { concurrency: 1, capacity: 4, in_system: 3, queued: 1, "));
    assert!(format!("{pool:?}").starts_with("WorkerPool(PoolStats { "));
    assert_eq!(format!("{permit:?}"), "Permit { .. }");
    assert_eq!(format!("{running:?}"), "JobHandle { id: 5, finished: false }");
    assert_eq!(format!("{:?}", parked.cancel_on_drop()), "CancelOnDrop(JobHandle { id: 4, finished: false })");
    assert_eq!(format!("{:?}", pool.downgrade()), "WeakPool { .. }");
    assert_eq!(format!("{:?}", queued.id()), "JobId(6)");
    assert_eq!(Totals::default().to_string(), "0 accepted: 0 succeeded; 0 attempts, 0 retries");
}

#[tokio::test(start_paused = true)]
async fn a_report_reads_as_one_line() {
    let empty: Report<Opaque, io::Error> = soon(pool().shutdown(Shutdown::Drain)).await.unwrap();
    assert_eq!(empty.to_string(), "shut down in 0.0ns: 0 accepted: 0 succeeded; 0 attempts, 0 retries");
    let pool = pool();
    for job in [1, 6, 7, 8] {
        drop(pool.try_submit(Opaque(job)).unwrap());
    }
    settle().await;
    let report = soon(pool.shutdown(Shutdown::Now)).await.unwrap();
    assert_eq!(
        report.to_string(),
        "shut down in 0.0ns: 4 accepted: 0 succeeded, 1 aborted, 3 returned; 2 attempts, 1 retries; given back: 2 \
         unstarted, 1 between attempts, 1 aborted"
    );
    let debug = format!("{report:?}");
    assert!(
        debug.starts_with("Report { unstarted: 2, parked: [Failure { attempts: 1, stop: ShuttingDown, "),
        "{debug}"
    );
}
