//! Cancelling in every state, and letting go.

use flowgate::{JobError, RetryPolicy};
use futures::executor::block_on;

use super::{alone, gated, options, stop_at, until_told};
use crate::support::{Gate, HOUR, Tally, spin_until};

#[test]
fn a_queued_job_is_cancelled_at_once() {
    alone(|| {
        let gate = Gate::new();
        let pool = gated(1, 1, &gate);
        let (first, second) = (pool.try_submit(1).unwrap(), pool.try_submit(2).unwrap());
        second.cancel();
        assert!(matches!(second.blocking_wait(), Err(JobError::Cancelled(Some(2)))));
        gate.open();
        assert_eq!(first.blocking_wait().unwrap(), 2);
    });
}

#[test]
fn a_parked_job_is_cancelled_at_once() {
    alone(|| {
        let pool = options::<u32, (), ()>(1, 1)
            .retry(RetryPolicy::fixed(HOUR).no_budget())
            .build_blocking(|_, _| Err(()))
            .unwrap();
        let handle = pool.try_submit(1).unwrap();
        spin_until("it is parked", || pool.stats().parked == 1);
        handle.cancel();
        assert!(matches!(handle.blocking_wait(), Err(JobError::Cancelled(Some(1)))));
    });
}

/// Seen to fail: with a mark that only a pending future's waker gets.
#[test]
fn a_running_job_that_asks_is_told_and_gives_the_job_back() {
    alone(|| {
        let gate = Gate::new();
        let stop = gate.clone();
        let pool = options::<u32, (), ()>(1, 1)
            .build_blocking(move |job, cx| {
                assert!(!cx.is_cancelled());
                stop_at(&stop);
                until_told(cx);
                *job += 1;
                Err(())
            })
            .unwrap();
        let handle = pool.try_submit(1).unwrap();
        spin_until("it runs", || gate.waiting() == 1);
        handle.cancel();
        gate.open();
        assert!(matches!(handle.blocking_wait(), Err(JobError::Cancelled(Some(2)))));
        assert_eq!(pool.stats().totals.cancelled, 1);
    });
}

#[test]
fn a_cancellation_is_one_jobs_and_not_the_next_ones() {
    alone(|| {
        let gate = Gate::new();
        let stop = gate.clone();
        let pool = options::<bool, bool, ()>(1, 1)
            .build_blocking(move |waits, cx| {
                if *waits {
                    stop_at(&stop);
                    until_told(cx);
                    return Err(());
                }
                Ok(cx.is_cancelled())
            })
            .unwrap();
        let (told, next) = (pool.try_submit(true).unwrap(), pool.try_submit(false).unwrap());
        spin_until("it runs", || gate.waiting() == 1);
        told.cancel();
        gate.open();
        assert!(matches!(told.blocking_wait(), Err(JobError::Cancelled(_))));
        assert!(!next.blocking_wait().unwrap());
    });
}

#[test]
fn a_running_job_that_does_not_ask_ends_as_it_would_have() {
    alone(|| {
        let gate = Gate::new();
        let pool = gated(1, 1, &gate);
        let handle = pool.try_submit(4).unwrap();
        spin_until("it runs", || gate.waiting() == 1);
        handle.cancel();
        gate.open();
        assert_eq!(handle.blocking_wait().unwrap(), 8, "what it returns stands");
    });
}

/// Seen to fail: with tokens that nobody cancels on a thread.
#[test]
fn a_token_and_the_future_of_a_cancellation_are_told_too() {
    alone(|| {
        let gate = Gate::new();
        let stop = gate.clone();
        let pool = options::<bool, (), ()>(1, 3)
            .build_blocking(move |early, cx| {
                let token = early.then(|| cx.token());
                stop_at(&stop);
                // Taken before the cancellation, or after it.
                block_on(token.unwrap_or_else(|| cx.token()).cancelled());
                block_on(cx.cancelled());
                Err(())
            })
            .unwrap();
        for early in [true, false] {
            let handle = pool.try_submit(early).unwrap();
            spin_until("it runs", || gate.waiting() == 1);
            handle.cancel();
            gate.let_through(1);
            assert!(matches!(handle.blocking_wait(), Err(JobError::Cancelled(Some(_)))));
        }
    });
}

#[test]
fn a_dropped_handle_detaches_and_a_dropped_run_cancels() {
    alone(|| {
        let (gate, tally) = (Gate::new(), Tally::new());
        let stop = gate.clone();
        let pool = options::<crate::support::Counted, (), ()>(1, 2)
            .build_blocking(move |_, _| {
                stop_at(&stop);
                Ok(())
            })
            .unwrap();
        drop(pool.try_submit(tally.make(1)).unwrap());
        drop(pool.try_submit(tally.make(2)).unwrap().cancel_on_drop());
        assert_eq!(pool.stats().totals.cancelled, 1);
        gate.open();
        pool.blocking_drain().unwrap();
        assert_eq!((pool.stats().totals.succeeded, tally.alive()), (1, 0));
    });
}

#[test]
fn dropping_the_last_handle_of_a_pool_does_not_wait_for_its_handlers() {
    alone(|| {
        let gate = Gate::new();
        let stop = gate.clone();
        let pool = options::<u32, bool, ()>(1, 1)
            .build_blocking(move |_, cx| {
                stop_at(&stop);
                if cx.is_cancelled() { Err(()) } else { Ok(true) }
            })
            .unwrap();
        let (running, queued) = (pool.try_submit(1).unwrap(), pool.try_submit(2).unwrap());
        spin_until("it runs", || gate.waiting() == 1);
        drop(pool);
        assert!(matches!(queued.blocking_wait(), Err(JobError::Aborted(Some(2)))));
        assert!(!running.is_finished());
        gate.open();
        assert!(matches!(running.blocking_wait(), Err(JobError::Aborted(Some(1)))), "it was told, and ended");
    });
}
