//! What is left when all is over: nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use flowgate::retry::{Jitter, RetryPolicy};
use flowgate::{Attempt, Cx, JobHandle, Shutdown, WorkerPool};

use crate::support::{Counted, Gate, HOUR, Tally, alive_tasks, on_both_runtimes, quiet, secs, settle, soon, until};

type Pool = WorkerPool<Counted, Counted, Counted>;

/// Odd jobs fail and wait an hour, jobs from 100 on never end and are counted in the handler's state, the others succeed.
fn counted(tally: &Tally, state: Arc<AtomicUsize>) -> Pool {
    let tally = tally.clone();
    Pool::builder()
        .concurrency(2)
        .queue(20)
        .retry(RetryPolicy::fixed(HOUR).jitter(Jitter::None).max_attempts(3).no_budget())
        .build(move |job: Attempt<Counted>| {
            let (stuck, result) = (state.clone(), tally.make(job.id));
            async move {
                if job.id >= 100 {
                    stuck.fetch_add(1, Ordering::SeqCst);
                    std::future::pending::<()>().await;
                }
                if job.id % 2 == 1 { Err(result) } else { Ok(result) }
            }
        })
        .unwrap()
}

on_both_runtimes! {
    async fn a_pool_that_was_shut_down_leaves_nothing() {
        let (before, tally, state) = (alive_tasks(), Tally::new(), Arc::new(AtomicUsize::new(0)));
        let held = Arc::downgrade(&state);
        let pool = counted(&tally, state);
        let handles: Vec<_> = [0, 1, 2, 100, 3, 101, 4].map(|id| pool.try_submit(tally.make(id)).unwrap()).into();
        // Not all of the others need have been started: job 3 is behind both of them if it was taken along with the first.
        until("two are stuck", || held.upgrade().is_some_and(|stuck| stuck.load(Ordering::SeqCst) == 2)).await;
        let report = pool.shutdown(Shutdown::Now).await.unwrap();
        assert!(report.is_complete());
        until("no task is left", || alive_tasks() == before).await;
        until("the handler has gone although handles and the pool are there", || held.strong_count() == 0).await;
        assert!(pool.is_closed());
        drop(report);
        assert!(tally.alive() > 0, "results that wait for their handles");
        drop(handles);
        assert_eq!(tally.alive(), 0);
    }

    async fn a_pool_that_was_dropped_leaves_nothing() {
        let (before, tally, state) = (alive_tasks(), Tally::new(), Arc::new(AtomicUsize::new(0)));
        let held = Arc::downgrade(&state);
        let pool = counted(&tally, state);
        let handles: Vec<_> = [0, 1, 2, 100, 3, 101, 4].map(|id| pool.try_submit(tally.make(id)).unwrap()).into();
        until("two are stuck", || pool.stats().running == 2).await;
        drop(pool);
        until("no task is left", || alive_tasks() == before).await;
        until("the handler has gone although handles are there", || held.strong_count() == 0).await;
        assert!(handles.iter().all(JobHandle::is_finished));
        drop(handles);
        assert_eq!(tally.alive(), 0);
    }

    async fn a_hundred_pools_leave_nothing() {
        let (before, tally) = (alive_tasks(), Tally::new());
        for round in 0..100 {
            let pool = counted(&tally, Arc::default());
            for id in 0..8 {
                drop(pool.try_submit(tally.make(id + if id < 4 { 0 } else { 96 })).unwrap());
            }
            match round % 3 {
                0 => drop(pool.shutdown(Shutdown::Now).await.unwrap()),
                1 => pool.close(),
                _ => {}
            }
        }
        until("no task is left", || alive_tasks() == before).await;
        until("no value is left", || tally.alive() == 0).await;
    }

    async fn escaped_attempts_and_contexts_keep_no_pool_alive() {
        let (tally, state) = (Tally::new(), Arc::new(()));
        let held: Weak<()> = Arc::downgrade(&state);
        let escaped = Arc::new(Mutex::new(Vec::<(Attempt<Counted>, Cx)>::new()));
        let keep = escaped.clone();
        let pool = WorkerPool::<Counted, (), ()>::builder()
            .concurrency(1)
            .build(move |job: Attempt<Counted>| {
                let (_held, cx) = (&state, job.cx());
                keep.lock().unwrap().push((job, cx));
                async { Ok(()) }
            })
            .unwrap();
        for id in 0..3 {
            drop(pool.run(tally.make(id)).await);
        }
        drop(pool);
        until("the handler has gone", || held.strong_count() == 0).await;
        let escaped = std::mem::take(&mut *escaped.lock().unwrap());
        assert_eq!((escaped.len(), tally.alive()), (3, 3));
        for (attempt, cx) in &escaped {
            assert!(attempt.attempt() == 1 && !cx.is_cancelled());
            assert!(cx.pool::<Counted, (), ()>().is_some_and(|weak| weak.upgrade().is_none()));
        }
        drop(escaped);
        assert_eq!(tally.alive(), 0);
    }
}

/// A timer exists while there is something to wait for, and no longer: neither a cancelled backoff nor a deadline
/// that was met keeps it.
#[tokio::test(start_paused = true)]
async fn timers_go_with_what_they_were_for() {
    let before = alive_tasks();
    let tally = Tally::new();
    let pool = counted(&tally, Arc::default());
    for _ in 0..10 {
        let handles: Vec<_> = (0..10).map(|id| pool.try_submit(tally.make(2 * id + 1)).unwrap()).collect();
        settle().await;
        assert_eq!((pool.stats().parked, alive_tasks() - before), (10, 1), "one timer for all of them");
        handles.iter().for_each(JobHandle::cancel);
        until("the timer has gone", || alive_tasks() == before).await;
        drop(handles);
        assert_eq!(tally.alive(), 0);
    }
    let pool = WorkerPool::<u64, (), ()>::builder()
        .concurrency(1)
        .queue(10)
        .deadline(HOUR)
        .build(|job: Attempt<u64>| async move {
            tokio::time::sleep(secs(*job)).await;
            Ok(())
        })
        .unwrap();
    for job in 0..10 {
        drop(pool.try_submit(job).unwrap());
    }
    soon(pool.drain()).await.unwrap();
    until("the timer has gone", || alive_tasks() == before).await;
}

struct Knot {
    other: Mutex<Option<JobHandle<Arc<Knot>, (), ()>>>,
}

/// Jobs that hold handles of each other, and results that nobody reads, are freed with the pool.
#[tokio::test(start_paused = true)]
async fn jobs_that_hold_handles_of_their_own_pool_are_freed_with_it() {
    let pool = WorkerPool::<Arc<Knot>, (), ()>::builder()
        .concurrency(1)
        .queue(4)
        .build(|_: Attempt<Arc<Knot>>| std::future::pending())
        .unwrap();
    let knots: Vec<_> = (0..4).map(|_| Arc::new(Knot { other: Mutex::new(None) })).collect();
    let handles: Vec<_> = knots.iter().map(|knot| pool.try_submit(knot.clone()).unwrap()).collect();
    for (knot, handle) in knots.iter().zip(handles.into_iter().rev()) {
        *knot.other.lock().unwrap() = Some(handle);
    }
    let weak: Vec<_> = knots.iter().map(Arc::downgrade).collect();
    drop(knots);
    settle().await;
    drop(pool);
    settle().await;
    // A handle holds its job's outcome, which is the job: a knot of the test's own making, cut here.
    for knot in weak.iter().filter_map(Weak::upgrade) {
        drop(knot.other.lock().unwrap().take());
    }
    settle().await;
    assert!(weak.iter().all(|knot| knot.strong_count() == 0));
}

/// What a job's future holds is dropped with the attempt, before its handle resolves.
#[tokio::test(start_paused = true)]
async fn locals_of_an_attempt_are_gone_when_its_outcome_is_there() {
    let (tally, gate) = (Tally::new(), Gate::new());
    let (make, stop) = (tally.clone(), gate.clone());
    let pool = WorkerPool::<u32, (), ()>::builder()
        .concurrency(1)
        .attempt_timeout(HOUR)
        .build(move |job: Attempt<u32>| {
            let (local, stop) = (make.make(0), stop.clone());
            async move {
                let _local = local;
                assert!(*job != 1, "panics");
                stop.pass().await;
                if *job == 0 { Ok(()) } else { Err(()) }
            }
        })
        .unwrap();
    for job in 0..5 {
        let handle = pool.try_submit(job).unwrap();
        settle().await;
        match job {
            3 => handle.cancel(),
            4 => {}
            _ => gate.let_through(usize::from(job != 1)),
        }
        let outcome = soon(handle).await;
        assert_eq!((outcome.is_ok(), tally.alive()), (job == 0, 0), "job {job}");
    }
    quiet(&pool).await;
    assert_eq!(tally.made(), 5);
}
