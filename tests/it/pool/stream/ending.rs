//! How a stream ends: by an error, with its pool, by a panic of its input, or dropped.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering::SeqCst;

use flowgate::{Attempt, Order, RunError, Shutdown, SubmitError, WorkerPool};
use futures::stream::FusedStream as _;
use futures::{FutureExt as _, StreamExt as _, stream};

use super::{BOTH, counted, gated, job, open};
use crate::support::{Counted, Gate, Tally, alive_tasks, ledger, quiet, settle, soon};

/// Seen to fail: the jobs that are left are detached.
#[tokio::test(start_paused = true)]
async fn the_first_error_ends_the_stream_and_cancels_the_rest() {
    for order in BOTH {
        let pool = gated(8, 0, &open());
        let jobs = [1, 2, 1_000, 1_001, 7, 3, 1_002, 14];
        let jobs = jobs.into_iter().filter(move |job| order == Order::Unordered || *job < 1_000);
        let mut mapped = pool.map(stream::iter(jobs), order).first_error();
        let mut seen = Vec::new();
        let error = loop {
            match soon(mapped.next()).await.expect("it ends with an error") {
                Ok(result) => seen.push(result / 2),
                Err(error) => break error,
            }
        };
        if order == Order::Ordered {
            assert_eq!(
                (error.into_job(), &seen[..]),
                (Some(7), &[1, 2][..]),
                "the first in order, though others failed"
            );
        } else {
            assert!(matches!(error.into_job(), Some(7 | 14)));
        }
        assert!(mapped.is_terminated() && soon(mapped.next()).await.is_none());
        quiet(&pool).await;
        assert_eq!(pool.stats().totals.cancelled, if order == Order::Ordered { 0 } else { 3 }, "{order:?}");
    }
}

/// Seen to fail: a dropped window lets its jobs go on.
#[tokio::test(start_paused = true)]
async fn dropped_it_cancels_its_jobs_and_leaves_the_line() {
    for order in BOTH {
        let pool = gated(2, 2, &open());
        let mut mapped = pool.map(stream::iter(1_000..1_100), order).window(10);
        assert!(futures::poll!(mapped.next()).is_pending());
        settle().await;
        assert_eq!((pool.len(), pool.stats().waiting), (4, 1));
        let beside = pool.clone();
        let behind = tokio::spawn(async move { beside.run(1).await });
        settle().await;
        drop(mapped);
        assert_eq!(soon(behind).await.unwrap().unwrap(), 2);
        quiet(&pool).await;
        assert_eq!(pool.stats().totals.cancelled, 4);
    }
}

/// Seen to fail: the input is read on until a refusal has been handed on.
#[tokio::test(start_paused = true)]
async fn a_pool_that_closes_midway_hands_everything_taken_on() {
    for order in BOTH {
        let gate = Gate::new();
        let pool = gated(2, 2, &gate);
        let (jobs, taken) = counted(1..100);
        let mut mapped = pool.map(jobs, order).window(6);
        assert!(futures::poll!(mapped.next()).is_pending());
        pool.close();
        gate.open();
        let items: Vec<_> = soon(mapped.by_ref().collect::<Vec<_>>()).await;
        let mut refused = BTreeSet::new();
        let mut ran = BTreeSet::new();
        for item in items {
            match item {
                Err(RunError::Submit(SubmitError::Closed(job))) => assert!(refused.insert(job)),
                other => assert!(ran.insert(job(other))),
            }
        }
        assert_eq!((ran, refused), ((1..=4).collect(), (5..=6).collect()), "{order:?}");
        assert_eq!(taken.load(SeqCst), 6, "nothing more was taken");
        assert!(mapped.is_terminated());
    }
}

/// However the pool ends, each job that was taken is handed on once, and then the stream ends.
#[tokio::test(start_paused = true)]
async fn it_yields_one_item_a_job_whatever_becomes_of_the_pool() {
    for order in BOTH {
        for end in ["shut down", "dropped"] {
            let gate = Gate::new();
            let pool = gated(2, 4, &gate);
            let (jobs, taken) = counted(1..100);
            let mapped = pool.map(jobs, order).window(8);
            let mut mapped = Box::pin(mapped);
            gate.let_through(3);
            let mut items = 0;
            for _ in 0..3 {
                assert!(soon(mapped.next()).await.is_some());
                items += 1;
            }
            assert!(futures::poll!(mapped.next()).is_pending());
            if end == "dropped" {
                drop(pool);
            } else {
                ledger::check_report(&soon(pool.shutdown(Shutdown::Now)).await.unwrap());
            }
            items += soon(mapped.as_mut().count()).await;
            assert_eq!(items, taken.load(SeqCst), "{order:?}, the pool was {end}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_input_that_panics_loses_no_job() {
    for order in BOTH {
        let pool = gated(2, 6, &open());
        let jobs = stream::iter(1..10).inspect(|job| assert!(*job != 4, "four"));
        let mut mapped = pool.map(jobs, order);
        assert!(AssertUnwindSafe(mapped.next()).catch_unwind().await.is_err());
        // Polled on, it hands on what was taken, and goes on with what the input has after the panic.
        let seen: Vec<_> = soon(mapped.map(job).collect()).await;
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), (1..10).filter(|job| *job != 4).collect());
        quiet(&pool).await;
    }
}

/// Wherever it is dropped, no value is left, whether it was waiting, running, done or handed on.
///
/// Seen to fail: a dropped window lets its jobs go on.
#[tokio::test(start_paused = true)]
async fn it_leaves_nothing_wherever_it_is_dropped() {
    for order in BOTH {
        for polls in 0..24 {
            let (before, tally, gate) = (alive_tasks(), Tally::new(), Gate::new());
            let (make, pass) = (tally.clone(), gate.clone());
            let pool = WorkerPool::<Counted, Counted, Counted>::builder()
                .concurrency(2)
                .queue(2)
                .build(move |job: Attempt<Counted>| {
                    let (make, pass) = (make.clone(), pass.clone());
                    async move {
                        pass.pass().await;
                        if job.id % 3 == 0 { Err(make.make(job.id)) } else { Ok(make.make(job.id)) }
                    }
                })
                .unwrap();
            let values = tally.clone();
            let mut mapped = pool.map(stream::iter(0..12).map(move |id| values.make(id)), order).window(6);
            for _ in 0..polls {
                let _handed_on = futures::poll!(mapped.next());
                gate.let_through(1);
                settle().await;
                ledger::check_without_lending(&pool.stats());
            }
            drop(mapped);
            quiet(&pool).await;
            assert_eq!(tally.alive(), 0, "{order:?}, {polls} polls");
            drop(pool);
            settle().await;
            assert_eq!(alive_tasks(), before);
        }
    }
}
