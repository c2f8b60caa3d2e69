//! `submit_batch`: what is taken from the iterator, what is accepted, and where everything is when it ends early.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;

use flowgate::{Attempt, BatchRefusal, Shutdown, SubmitError, WorkerPool, join};
use futures::FutureExt as _;

use crate::support::pools::{logged, sized};
use crate::support::{Gate, ledger, on_both_runtimes, quiet, settle, soon};

fn open() -> Gate {
    let gate = Gate::new();
    gate.open();
    gate
}

on_both_runtimes! {
    async fn a_batch_far_beyond_the_capacity_is_accepted_in_order() {
        let (pool, _) = logged(sized(4, 12), &open());
        let handles = pool.submit_batch(&mut (0..10_000)).await.unwrap();
        assert!(handles.windows(2).all(|pair| pair[0].id() < pair[1].id()));
        let outcomes = join(handles).await;
        assert!(outcomes.into_iter().map(Result::unwrap).eq(0..10_000));
        quiet(&pool).await;
        assert_eq!(pool.stats().totals.succeeded, 10_000);
    }

    async fn batches_beside_each_other_lose_and_double_nothing() {
        let (pool, log) = logged(sized(3, 5), &open());
        let tasks: Vec<_> = (0..4)
            .map(|nth| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    let handles = pool.submit_batch(&mut (nth * 1_000..nth * 1_000 + 500)).await.unwrap();
                    join(handles).await.into_iter().map(Result::unwrap).eq(nth * 1_000..nth * 1_000 + 500)
                })
            })
            .collect();
        for task in tasks {
            assert!(task.await.unwrap());
        }
        let mut ran = log.lock().unwrap().clone();
        ran.sort_unstable();
        assert!(ran.into_iter().eq((0..4).flat_map(|nth| nth * 1_000..nth * 1_000 + 500)));
    }
}

#[tokio::test(start_paused = true)]
async fn its_turns_in_the_line_are_like_any_other_submitters() {
    let gate = Gate::new();
    let (pool, log) = logged(sized(1, 0), &gate);
    drop(pool.try_submit(0).unwrap());
    let mut batch_jobs = 10..13;
    let (mut first, mut batch, mut second) =
        (Box::pin(pool.submit(1)), pool.submit_batch(&mut batch_jobs), Box::pin(pool.submit(2)));
    assert!(futures::poll!(&mut first).is_pending());
    assert!(futures::poll!(&mut batch).is_pending());
    assert!(futures::poll!(&mut second).is_pending());
    gate.open();
    let (first, batch, second) = soon(async { tokio::join!(first, batch, second) }).await;
    quiet(&pool).await;
    assert_eq!(*log.lock().unwrap(), [0, 1, 10, 2, 11, 12]);
    drop((first, batch, second));
}

#[tokio::test(start_paused = true)]
async fn dropped_it_leaves_the_rest_in_the_iterator() {
    let gate = Gate::new();
    let (pool, log) = logged(sized(1, 2), &gate);
    let mut jobs = 0..10;
    let mut batch = pool.submit_batch(&mut jobs);
    assert!(futures::poll!(&mut batch).is_pending());
    assert_eq!((batch.accepted(), pool.stats().waiting, pool.stats().reserved), (3, 1, 0));
    drop(batch);
    assert_eq!(jobs.next(), Some(4), "three were accepted and one stood in line");
    assert_eq!(pool.stats().waiting, 0);
    gate.open();
    quiet(&pool).await;
    assert_eq!(*log.lock().unwrap(), [0, 1, 2], "accepted jobs go on, the one in line is dropped");
}

#[tokio::test(start_paused = true)]
async fn given_up_it_returns_everything_that_was_taken() {
    let gate = Gate::new();
    let (pool, _) = logged(sized(1, 2), &gate);
    let mut jobs = 0..10;
    let mut batch = pool.submit_batch(&mut jobs);
    assert!(futures::poll!(&mut batch).is_pending());
    let (handles, waiting) = batch.give_up();
    assert_eq!((handles.len(), waiting, jobs.next()), (3, Some(3), Some(4)));

    let mut batch = pool.submit_batch(&mut jobs);
    assert!(futures::poll!(&mut batch).is_pending());
    gate.let_through(1);
    settle().await;
    // Its turn has come although nobody polled it: there is nothing to give back.
    let (accepted, waiting) = batch.give_up();
    assert_eq!((accepted.len(), waiting, jobs.next()), (1, None, Some(6)));
    gate.open();
    assert!(join(handles.into_iter().chain(accepted)).await.into_iter().map(Result::unwrap).eq([0, 1, 2, 5]));
    ledger::check(&pool.stats());
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_closes_midway_gives_back_what_it_did_not_accept() {
    let gate = Gate::new();
    let (pool, _) = logged(sized(1, 2), &gate);
    let mut jobs = 0..10;
    let mut batch = pool.submit_batch(&mut jobs);
    assert!(futures::poll!(&mut batch).is_pending());
    pool.close();
    let refused = soon(batch).await.unwrap_err();
    assert_eq!((refused.handles.len(), &refused.jobs[..], refused.why), (3, &[3][..], BatchRefusal::Closed));
    assert_eq!(refused.to_string(), "the pool is closed; 3 jobs of the batch were accepted before");
    gate.open();
    assert!(join(refused.handles).await.into_iter().map(Result::unwrap).eq(0..3));
    let refused = soon(pool.submit_batch(&mut jobs)).await.unwrap_err();
    assert!(refused.jobs.is_empty() && jobs.eq(4..10), "of a closed pool nothing is taken");
}

/// The iterator itself ends the pool, while places for its jobs are held.
#[tokio::test(start_paused = true)]
async fn a_shutdown_in_the_iterator_revokes_its_places() {
    let (pool, log) = logged(sized(1, 7), &open());
    let closer = pool.clone();
    let mut jobs = (0..20).inspect(|job| {
        if *job == 3 {
            closer.close();
        }
    });
    let refused = soon(pool.submit_batch(&mut jobs)).await.unwrap_err();
    assert_eq!((refused.handles.len(), refused.jobs.len()), (8, 0), "a close honours the places that were taken");
    assert_eq!(jobs.next(), Some(8));
    quiet(&pool).await;
    assert_eq!(log.lock().unwrap().len(), 8);

    let (pool, log) = logged(sized(1, 7), &open());
    let shutter = pool.clone();
    let mut jobs = (0..20).inspect(|job| {
        if *job == 3 {
            let _ = shutter.shutdown(Shutdown::Now).now_or_never();
        }
    });
    let refused = soon(pool.submit_batch(&mut jobs)).await.unwrap_err();
    assert_eq!((refused.handles.len(), refused.jobs), (0, (0..8).collect()), "a shutdown revokes them");
    assert_eq!((jobs.next(), pool.stats().reserved, log.lock().unwrap().len()), (Some(8), 0, 0));
    let report = soon(pool.shutdown(Shutdown::Drain)).await.unwrap();
    ledger::check_report(&report);
}

/// Seen to fail: places are not looked after when the iterator panics.
#[tokio::test(start_paused = true)]
async fn a_panicking_iterator_loses_neither_jobs_nor_places() {
    let (pool, log) = logged(sized(2, 6), &open());
    let mut jobs = (0..20).inspect(|job| assert!(*job != 3, "three"));
    let panicked = AssertUnwindSafe(pool.submit_batch(&mut jobs)).catch_unwind().await;
    assert!(panicked.is_err());
    assert_eq!((pool.stats().reserved, jobs.next()), (0, Some(4)));
    soon(pool.drain()).await.unwrap();
    assert_eq!(*log.lock().unwrap(), [0, 1, 2], "what it had yielded is accepted");
    ledger::check(&pool.stats());
}

/// An iterator that uses the pool itself finds it full, and nothing hangs.
#[tokio::test(start_paused = true)]
async fn an_iterator_may_use_the_pool() {
    let (pool, log) = logged(sized(1, 3), &open());
    let own = pool.clone();
    let full = Cell::new(0);
    let mut jobs = (0..4).inspect(|job| match own.try_submit(100 + job) {
        Ok(handle) => drop(handle),
        Err(SubmitError::Full(_)) => full.set(full.get() + 1),
        Err(other) => panic!("{other}"),
    });
    let handles = soon(pool.submit_batch(&mut jobs)).await.unwrap();
    assert_eq!((handles.len(), full.get()), (4, 4));
    quiet(&pool).await;
    assert_eq!(*log.lock().unwrap(), [0, 1, 2, 3]);
}

/// An iterator's hint is only a hint.
#[tokio::test(start_paused = true)]
async fn size_hints_may_lie() {
    struct Lying(std::ops::Range<u32>, Option<usize>);
    impl Iterator for Lying {
        type Item = u32;
        fn next(&mut self) -> Option<u32> {
            self.0.next()
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            (usize::MAX, self.1)
        }
    }
    let (pool, _) = logged(sized(2, 6), &open());
    for hint in [None, Some(1), Some(usize::MAX)] {
        let handles = soon(pool.submit_batch(&mut Lying(0..30, hint))).await.unwrap();
        assert!(soon(join(handles)).await.into_iter().map(Result::unwrap).eq(0..30), "{hint:?}");
    }
    let mut empty = Lying(0..3, Some(0));
    assert_eq!(soon(pool.submit_batch(&mut empty)).await.unwrap().len(), 0);
    assert_eq!(empty.next(), Some(0), "what says that it has nothing is left alone");
    let nothing: &mut dyn Iterator<Item = u32> = &mut std::iter::empty();
    assert!(soon(pool.submit_batch(nothing)).await.unwrap().is_empty());
}

/// A pool with room for everything is filled in turns.
///
/// Seen to fail: a batch takes no turns.
#[tokio::test(start_paused = true)]
async fn a_long_batch_lets_others_run() {
    let (pool, _) = logged(sized(1, 99_999), &Gate::new());
    let mut jobs = 0..5_000;
    let mut batch = pool.submit_batch(&mut jobs);
    for turn in 1..=4 {
        assert!(futures::poll!(&mut batch).is_pending());
        assert_eq!(batch.accepted(), turn * 1_024);
    }
    assert_eq!(batch.await.unwrap().len(), 5_000);
}

/// Seen to fail: it stands in line there too.
#[tokio::test(start_paused = true)]
async fn in_a_handler_of_the_full_pool_it_is_refused_at_once() {
    type Own = WorkerPool<u32, (usize, BatchRefusal), ()>;
    let pool = Own::builder()
        .concurrency(1)
        .queue(2)
        .build(|job: Attempt<u32>| async move {
            if *job > 0 {
                return Ok((0, BatchRefusal::Closed));
            }
            let own: Own = job.cx().pool().unwrap().upgrade().unwrap();
            let mut jobs = 1..10;
            let refused = own.submit_batch(&mut jobs).await.expect_err("there is room for two");
            assert!(refused.jobs.is_empty() && jobs.next() == Some(3));
            Ok((refused.handles.len(), refused.why))
        })
        .unwrap();
    assert_eq!(soon(pool.run(0)).await.unwrap(), (2, BatchRefusal::WouldDeadlock));
}
