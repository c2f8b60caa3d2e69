//! What becomes of a submission for which there is no room.

use std::sync::{Arc, Mutex};

use flowgate::{JobError, Overflow, ReserveError, RunError, StopReason, SubmitError};

use crate::support::pools::{Echo, gated, sized};
use crate::support::{Gate, ledger, quiet, secs, settle, soon};

type Letters = Arc<Mutex<Vec<(u32, StopReason)>>>;

/// One slot; the jobs that the dead-letter hook sees are noted.
fn noted(overflow: Overflow, queue: usize) -> (Echo, Gate, Letters) {
    let (gate, dead) = (Gate::new(), Arc::new(Mutex::new(Vec::new())));
    let letters = dead.clone();
    let builder = sized(1, queue).overflow(overflow).on_dead_letter(move |error: &JobError<u32, ()>| {
        let failure = error.failure().expect("a job that failed or was shed");
        letters.lock().unwrap().push((failure.job.expect("it came back"), failure.stop));
    });
    (gated(builder, &gate), gate, dead)
}

/// Every way in answers at once, with the job.
#[tokio::test(start_paused = true)]
async fn a_pool_that_rejects_keeps_nobody_waiting() {
    let (pool, gate, dead) = noted(Overflow::Reject, 1);
    let accepted: Vec<_> = (0..2).map(|job| pool.try_submit(job).unwrap()).collect();
    assert!(matches!(soon(pool.submit(2)).await, Err(SubmitError::Full(2))));
    assert!(matches!(soon(pool.submit_timeout(3, secs(9))).await, Err(SubmitError::Full(3))));
    assert!(matches!(soon(pool.run(4)).await, Err(RunError::Submit(SubmitError::Full(4)))));
    assert!(matches!(soon(pool.job(5).key("k").submit()).await, Err(SubmitError::Full(5))));
    assert!(matches!(soon(pool.reserve()).await, Err(ReserveError::Full)));
    assert!(matches!(pool.try_submit(6), Err(SubmitError::Full(6))));
    assert_eq!((pool.stats().waiting, pool.stats().lanes), (0, 0));
    gate.open();
    for handle in accepted {
        soon(handle).await.unwrap();
    }
    assert!(dead.lock().unwrap().is_empty());
    quiet(&pool).await;
}

/// The job that has waited longest makes room; it comes back in its handle, and the hook sees it.
#[tokio::test(start_paused = true)]
async fn the_oldest_waiting_job_makes_room() {
    let (pool, gate, dead) = noted(Overflow::DropOldest, 2);
    let running = pool.submit(0).await.unwrap();
    settle().await;
    let first = pool.submit(1).await.unwrap();
    let second = pool.submit(2).await.unwrap();
    let third = soon(pool.submit(3)).await.unwrap();
    let error = soon(first).await.unwrap_err();
    assert_eq!(error.to_string(), "the job was shed after 0 attempts: newer jobs needed its place");
    assert!(matches!(error, JobError::Shed(failure) if failure.job == Some(1)));
    let permit = soon(pool.reserve()).await.unwrap();
    assert!(matches!(soon(second).await, Err(JobError::Shed(_))));
    let fourth = permit.submit(4).unwrap();
    let stats = pool.stats();
    ledger::check(&stats);
    assert_eq!((stats.totals.shed, stats.in_system), (2, 3));
    gate.open();
    for (handle, job) in [(running, 0), (third, 3), (fourth, 4)] {
        assert_eq!(soon(handle).await.unwrap(), job);
    }
    assert_eq!(*dead.lock().unwrap(), [(1, StopReason::Shed), (2, StopReason::Shed)]);
    quiet(&pool).await;
}

/// What runs is never shed: with nothing else in the pool the submission is refused.
#[tokio::test(start_paused = true)]
async fn running_jobs_are_not_shed() {
    let (pool, gate, _) = noted(Overflow::DropOldest, 0);
    let running = pool.submit(0).await.unwrap();
    settle().await;
    assert!(matches!(soon(pool.submit(1)).await, Err(SubmitError::Full(1))));
    gate.open();
    soon(running).await.unwrap();
}

/// With a key whose lane is full, the oldest waiting job of that key goes, not somebody else's.
#[tokio::test(start_paused = true)]
async fn a_full_lane_sheds_its_own() {
    let gate = Gate::new();
    let pool = gated(sized(1, 9).per_key(2).overflow(Overflow::DropOldest), &gate);
    let other = pool.submit(0).await.unwrap();
    settle().await;
    let keyed: Vec<_> = (1..=4).map(|job| pool.job(job).key("k").try_submit().unwrap()).collect();
    assert_eq!((pool.len(), pool.stats().totals.shed), (3, 2));
    gate.open();
    assert_eq!(soon(other).await.unwrap(), 0);
    let mut ends = Vec::new();
    for handle in keyed {
        ends.push(soon(handle).await.map_err(|error| matches!(error, JobError::Shed(_))));
    }
    assert_eq!(ends, [Err(true), Err(true), Ok(3), Ok(4)]);
    quiet(&pool).await;
}

/// Jobs that wait behind others of their key are shed when no other waits.
#[tokio::test(start_paused = true)]
async fn a_backlog_behind_keys_is_shed_too() {
    let (pool, gate, dead) = noted(Overflow::DropOldest, 3);
    let keyed: Vec<_> = (0..4).map(|job| pool.job(job).key("k").try_submit().unwrap()).collect();
    settle().await;
    let newest = soon(pool.submit(9)).await.unwrap();
    assert_eq!(*dead.lock().unwrap(), [(1, StopReason::Shed)]);
    gate.open();
    assert_eq!(soon(newest).await.unwrap(), 9);
    for (job, handle) in (0..).zip(keyed) {
        assert_eq!(soon(handle).await.is_ok(), job != 1);
    }
    quiet(&pool).await;
}
