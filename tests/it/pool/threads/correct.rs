//! What goes in comes out, by every door.

use std::time::Duration;

use flowgate::{Cx, JobError, RetryPolicy, Shutdown, StopReason, SubmitError, WorkerPool};
use futures::executor::block_on;

use crate::support::{ledger, ms, one_thread, secs};

fn doubling() -> WorkerPool<u64, u64, ()> {
    WorkerPool::builder().concurrency(2).queue(6).build_blocking(|job: &mut u64, _: &Cx| Ok(*job * 2)).unwrap()
}

#[test]
fn a_result_comes_back_through_every_kind_of_wait() {
    let pool = doubling();
    assert_eq!(pool.blocking_submit(1).unwrap().blocking_wait().unwrap(), 2);
    assert_eq!(pool.try_submit(2).unwrap().blocking_wait().unwrap(), 4);
    assert_eq!(pool.blocking_submit_timeout(3, secs(9)).unwrap().blocking_wait().unwrap(), 6);
    assert_eq!(pool.blocking_reserve().unwrap().submit(4).unwrap().blocking_wait().unwrap(), 8);
    assert_eq!(pool.blocking_run(5).unwrap(), 10);
    block_on(async {
        assert_eq!(pool.submit(6).await.unwrap().await.unwrap(), 12);
        assert_eq!(pool.run(7).await.unwrap(), 14);
        assert_eq!(pool.submit_timeout(8, secs(9)).await.unwrap().await.unwrap(), 16);
        assert_eq!(pool.reserve().await.unwrap().submit(9).unwrap().await.unwrap(), 18);
    });
    one_thread().block_on(async { assert_eq!(pool.run(10).await.unwrap(), 20) });
    let report = pool.blocking_shutdown(Shutdown::Drain).unwrap();
    ledger::check_report(&report);
    assert_eq!((report.totals.accepted, report.totals.succeeded), (10, 10));
}

#[test]
fn a_retry_goes_on_with_the_job_as_the_last_attempt_left_it() {
    let pool = WorkerPool::<Vec<u32>, usize, &str>::builder()
        .concurrency(1)
        .retry(RetryPolicy::fixed(ms(1)).max_attempts(3).no_budget())
        .build_blocking(|job, cx| {
            job.push(cx.attempt());
            if job.len() < 3 { Err("not yet") } else { Ok(job.len()) }
        })
        .unwrap();
    assert_eq!(pool.blocking_run(vec![]).unwrap(), 3);
    let report = pool.blocking_shutdown(Shutdown::Drain).unwrap();
    assert_eq!((report.totals.attempts, report.totals.retries), (3, 2));
}

#[test]
fn the_last_failure_comes_back_with_the_job() {
    let pool = WorkerPool::<Vec<u32>, (), u32>::builder()
        .concurrency(1)
        .retry(RetryPolicy::fixed(Duration::ZERO).max_attempts(2).no_budget())
        .build_blocking(|job, cx| {
            job.push(cx.attempt());
            Err(cx.attempt())
        })
        .unwrap();
    let Err(JobError::Failed(failure)) = pool.blocking_submit(vec![]).unwrap().blocking_wait() else { panic!() };
    assert_eq!((failure.job, failure.attempts, failure.last_error), (Some(vec![1, 2]), 2, Some(2)));
    assert_eq!(failure.stop, StopReason::MaxAttempts);
}

#[test]
fn a_closed_pool_gives_the_job_back() {
    let pool = doubling();
    pool.close();
    assert!(matches!(pool.blocking_submit(1), Err(SubmitError::Closed(1))));
    assert!(matches!(pool.try_submit(2), Err(SubmitError::Closed(2))));
    assert!(matches!(pool.blocking_submit_timeout(3, secs(1)), Err(SubmitError::Closed(3))));
    pool.blocking_drain().unwrap();
}
