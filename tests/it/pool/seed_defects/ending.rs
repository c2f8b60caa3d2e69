//! The end of a pool: S8 to S13, S23.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flowgate::retry::{Jitter, RetryPolicy, Verdict};
use flowgate::{Attempt, JobError, Shutdown, StopReason, SubmitError, WorkerPool, WouldDeadlock};
use futures::future::join_all;
use tokio::time::Instant;

use crate::support::{
    Counted, HOUR, Tally, alive_tasks, ledger, ms, one_thread, promptly, secs, settle, soon, threads, until,
};

fn hourly<E>() -> RetryPolicy<E> {
    RetryPolicy::fixed(HOUR).jitter(Jitter::None).max_attempts(3).no_budget()
}

/// A pool whose even jobs never end and whose odd jobs fail and wait for an hour.
fn stuck(concurrency: usize) -> WorkerPool<u32, (), &'static str> {
    WorkerPool::builder()
        .concurrency(concurrency)
        .queue(20)
        .retry(hourly())
        .build(
            |job: Attempt<u32>| async move { if *job % 2 == 0 { std::future::pending().await } else { Err("down") } },
        )
        .unwrap()
}

/// S8: a shutdown waits forever for a hung job, or for a long backoff.
#[tokio::test(start_paused = true)]
async fn s08_a_drain_with_a_deadline_ends_by_it_and_reports_both_jobs() {
    let pool = stuck(2);
    let (hung, parked) = (pool.try_submit(0).unwrap(), pool.try_submit(1).unwrap());
    settle().await;
    let began = Instant::now();
    let report = soon(pool.shutdown(Shutdown::DrainFor(secs(5)))).await.unwrap();
    assert!(began.elapsed() >= secs(5) && began.elapsed() < secs(5) + ms(50), "{:?}", began.elapsed());
    assert!(report.elapsed >= secs(5) && report.elapsed < secs(5) + ms(50));
    ledger::check_report(&report);
    assert_eq!((report.aborted, report.unresponsive), (vec![0], 0));
    assert_eq!(report.parked.len(), 1);
    assert_eq!(report.parked[0].job, Some(1));
    assert!(matches!(soon(hung).await, Err(JobError::Aborted(None))));
    assert!(matches!(soon(parked).await, Err(JobError::Returned)));
}

/// S9: what is queued or waits for a retry is lost at exit.
#[tokio::test(start_paused = true)]
async fn s09_what_was_not_started_and_what_was_parked_comes_back() {
    let pool = stuck(1);
    let handles: Vec<_> = [1, 3, 0, 2, 4, 5].map(|job| pool.try_submit(job).unwrap()).into_iter().collect();
    settle().await;
    let report = soon(pool.shutdown(Shutdown::Now)).await.unwrap();
    ledger::check_report(&report);
    assert_eq!(report.unstarted, [2, 4, 5]);
    assert_eq!(report.aborted, [0]);
    let mut parked: Vec<_> = report.parked.iter().map(|failure| failure.job).collect();
    parked.sort_unstable();
    assert_eq!(parked, [Some(1), Some(3)]);
    for failure in &report.parked {
        assert_eq!((failure.attempts, failure.stop), (1, StopReason::ShuttingDown));
        assert_eq!(failure.last_error, Some("down"));
    }
    assert_eq!((report.totals.returned, report.totals.aborted), (5, 1));
    for handle in handles {
        assert!(soon(handle).await.unwrap_err().into_job().is_none(), "the report has it");
    }
}

/// S10: a second shutdown closes twice and panics.
#[tokio::test(start_paused = true)]
async fn s10_shutdowns_at_the_same_time_all_return_and_one_gets_the_jobs() {
    let pool = stuck(1);
    for job in 0..10 {
        drop(pool.try_submit(job).unwrap());
    }
    settle().await;
    let modes = [Shutdown::Drain, Shutdown::DrainFor(secs(5)), Shutdown::Now, Shutdown::DrainFor(secs(1))];
    let reports = soon(join_all(modes.map(|how| pool.shutdown(how)))).await;
    let mut given_back = 0;
    let mut owners = 0;
    for report in reports {
        let report = report.unwrap();
        ledger::check_report(&report);
        let count = report.unstarted.len() + report.parked.len() + report.aborted.len();
        given_back += count;
        owners += usize::from(count > 0);
    }
    assert_eq!((given_back, owners), (10, 1));
    for how in modes {
        let again = soon(pool.shutdown(how)).await.unwrap();
        ledger::check_report(&again);
        assert_eq!(again.unstarted.len() + again.parked.len() + again.aborted.len(), 0);
    }
    pool.close();
    assert!(matches!(pool.try_submit(1), Err(SubmitError::Closed(1))));
}

/// S11: a shutdown inside a handler waits for itself.
#[tokio::test(start_paused = true)]
async fn s11_a_shutdown_inside_a_handler_answers_at_once() {
    for how in [Shutdown::Drain, Shutdown::DrainFor(HOUR), Shutdown::Now] {
        let pool = WorkerPool::<Shutdown, WouldDeadlock, ()>::builder()
            .concurrency(1)
            .queue(3)
            .build(|job: Attempt<Shutdown>| async move {
                let pool = job.cx().pool::<Shutdown, WouldDeadlock, ()>().unwrap().upgrade().unwrap();
                assert_eq!(pool.drain().await, Err(WouldDeadlock));
                let answer = pool.shutdown(*job).await.map(|_| ()).unwrap_err();
                assert!(pool.is_closed());
                Ok(answer)
            })
            .unwrap();
        let began = Instant::now();
        let (inside, queued) = (pool.try_submit(how).unwrap(), pool.try_submit(how).unwrap());
        assert_eq!(soon(inside).await.unwrap(), WouldDeadlock);
        match soon(queued).await {
            Ok(answer) => assert_eq!((how == Shutdown::Now, answer), (false, WouldDeadlock)),
            Err(error) => assert!(how == Shutdown::Now && matches!(error, JobError::Returned), "{how:?}: {error:?}"),
        }
        assert_eq!(began.elapsed(), secs(0));
        let report = soon(pool.shutdown(Shutdown::Drain)).await.unwrap();
        ledger::check_report(&report);
        assert_eq!(report.unstarted.len(), usize::from(how == Shutdown::Now), "the next call from outside gets them");
    }
}

/// S12: a panic kills the worker, and the pool shrinks to nothing. (More in `panics`.)
#[tokio::test(start_paused = true)]
async fn s12_as_many_panics_as_there_are_slots_leave_every_slot() {
    let pool = WorkerPool::<u32, u32, ()>::builder()
        .concurrency(3)
        .queue(0)
        .build(|job: Attempt<u32>| async move {
            tokio::task::yield_now().await;
            assert!(*job < 100, "job {} is bad", *job);
            Ok(*job)
        })
        .unwrap();
    for round in 0..10 {
        let handles = [100, 101, 102].map(|job| pool.try_submit(job + round).unwrap());
        for handle in handles {
            let error = soon(handle).await.unwrap_err();
            let failure = error.failure().unwrap();
            assert_eq!(failure.panic_message().unwrap(), format!("job {} is bad", failure.job.unwrap()));
        }
        let good = [0, 1, 2].map(|job| pool.try_submit(job).unwrap());
        for (job, handle) in (0..).zip(good) {
            assert_eq!(soon(handle).await.unwrap(), job);
        }
    }
    assert_eq!((pool.stats().totals.panicked, pool.stats().totals.succeeded), (30, 30));
}

/// S13: the worker itself is killed, and whoever waits for its jobs waits forever.
#[test]
fn s13_when_the_runtime_ends_every_handle_and_submitter_on_another_is_told() {
    for doomed in [one_thread(), threads(2)] {
        let other = one_thread();
        let pool = doomed.block_on(async { stuck(1) });
        let (hung, queued, parked) = doomed.block_on(async {
            let parked = pool.try_submit(1).unwrap();
            until("it is parked", || pool.stats().parked == 1).await;
            let (hung, queued) = (pool.try_submit(0).unwrap(), pool.try_submit(2).unwrap());
            until("one runs", || pool.stats().running == 1).await;
            (hung, queued, parked)
        });
        let submitters = {
            let pool = pool.clone();
            for job in 0..18 {
                drop(pool.try_submit(2 * job).unwrap());
            }
            let (submitting, reserving) = (pool.clone(), pool.clone());
            let submit = other.spawn(async move { submitting.submit(7).await });
            let reserve = other.spawn(async move { reserving.reserve().await.map(|_| ()) });
            other.block_on(until("both stand in line", || pool.stats().waiting == 2));
            (submit, reserve)
        };
        drop(doomed);
        other.block_on(promptly(async {
            // The place that the running job frees may admit it, just before the pool is closed.
            let admitted = match submitters.0.await.unwrap() {
                Ok(handle) => matches!(handle.await, Err(JobError::Aborted(Some(7)))),
                Err(refused) => !matches!(refused, SubmitError::Closed(7)),
            };
            assert!(submitters.1.await.unwrap().is_err());
            assert!(matches!(hung.await, Err(JobError::Aborted(Some(0)))));
            assert!(matches!(queued.await, Err(JobError::Aborted(Some(2)))));
            assert!(matches!(parked.await, Err(JobError::Aborted(Some(1)))));
            assert!(matches!(pool.submit(9).await, Err(SubmitError::Closed(9))));
            pool.drain().await.unwrap();
            let report = pool.shutdown(Shutdown::Drain).await.unwrap();
            ledger::check_report(&report);
            let aborted = 21 + u64::from(admitted);
            assert_eq!((report.totals.aborted, report.aborted.len()), (aborted, 0), "their handles have them");
        }));
    }
}

/// S13 for a pool of which every job waits out a backoff: there is no runner to notice, only a timer.
#[test]
fn s13_when_the_runtime_ends_during_a_backoff_the_handle_is_told() {
    let (doomed, other) = (one_thread(), one_thread());
    let (pool, parked) = doomed.block_on(async {
        let pool = stuck(1);
        let parked = pool.try_submit(1).unwrap();
        until("it is parked and its runner has left", || pool.stats().parked == 1 && pool.stats().runners == 0).await;
        (pool, parked)
    });
    drop(doomed);
    other.block_on(promptly(async {
        assert!(matches!(parked.await, Err(JobError::Aborted(Some(1)))));
        assert!(matches!(pool.submit(9).await, Err(SubmitError::Closed(9))));
    }));
}

/// S13 for an idle pool: the first job after the end finds out.
#[test]
fn s13_an_idle_pool_whose_runtime_has_ended_keeps_no_job() {
    let (doomed, other) = (one_thread(), one_thread());
    let pool = doomed.block_on(async { stuck(1) });
    drop(doomed);
    other.block_on(promptly(async {
        match pool.submit(1).await {
            Ok(handle) => assert!(matches!(handle.await, Err(JobError::Aborted(Some(1))))),
            Err(refused) => assert!(matches!(refused, SubmitError::Closed(1))),
        }
        assert!(matches!(pool.submit(2).await, Err(SubmitError::Closed(2))));
        assert!(pool.is_closed() && pool.is_empty());
    }));
}

/// S23: a pool that is never shut down leaks.
#[tokio::test(start_paused = true)]
async fn s23_dropping_the_last_handle_aborts_and_leaves_no_task() {
    let (before, tally, dropped) = (alive_tasks(), Tally::new(), Arc::new(AtomicBool::new(false)));
    struct State(Arc<AtomicBool>);
    impl Drop for State {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let state = State(dropped.clone());
    let retry = hourly().classify(|_: &(), _| Verdict::Retry);
    let pool = WorkerPool::<Counted, (), ()>::builder()
        .concurrency(2)
        .queue(10)
        .retry(retry)
        .build(move |job: Attempt<Counted>| {
            let _held = &state;
            async move { if job.id % 2 == 0 { std::future::pending().await } else { Err(()) } }
        })
        .unwrap();
    let other = pool.clone();
    let handles: Vec<_> = (0..10).map(|id| pool.try_submit(tally.make(id)).unwrap()).collect();
    settle().await;
    assert!(alive_tasks() > before);
    drop(pool);
    settle().await;
    assert!(!dropped.load(Ordering::SeqCst), "a clone is the same pool");
    drop(other);
    until("no task is left", || alive_tasks() == before).await;
    assert!(dropped.load(Ordering::SeqCst), "the handler has gone although job handles are there");
    for (id, handle) in (0..).zip(handles) {
        let Err(JobError::Aborted(Some(job))) = soon(handle).await else { panic!("{id} is not given back") };
        assert_eq!(job.id, id);
    }
    assert_eq!(tally.alive(), 0);
}
