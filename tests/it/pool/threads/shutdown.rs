//! Ending a pool whose handlers cannot be stopped.

use flowgate::{JobError, RetryPolicy, Shutdown, SubmitError, WouldDeadlock};
use futures::executor::block_on;

use super::{alone, gated, options, stop_at, until_told};
use crate::support::ledger::check_report;
use crate::support::{Gate, HOUR, ms, spin_until};

#[test]
fn a_drain_waits_for_every_job_retries_included() {
    alone(|| {
        let pool = options::<u32, u32, ()>(2, 8)
            .retry(RetryPolicy::fixed(ms(1)).max_attempts(3).no_budget())
            .build_blocking(|job, cx| if cx.attempt() < 3 { Err(()) } else { Ok(*job) })
            .unwrap();
        let handles: Vec<_> = (0..10).map(|job| pool.try_submit(job).unwrap()).collect();
        let report = pool.blocking_shutdown(Shutdown::Drain).unwrap();
        check_report(&report);
        assert_eq!((report.totals.succeeded, report.totals.retries), (10, 20));
        assert!(handles.iter().all(flowgate::JobHandle::is_finished));
        assert!(matches!(pool.try_submit(1), Err(SubmitError::Closed(1))));
    });
}

#[test]
fn what_was_not_started_comes_back_and_what_blocks_is_unresponsive() {
    for how in [Shutdown::Now, Shutdown::DrainFor(ms(1))] {
        alone(move || {
            let gate = Gate::new();
            let pool = gated(1, 2, &gate);
            let handles: Vec<_> = (0..3).map(|job| pool.try_submit(job).unwrap()).collect();
            spin_until("it runs", || gate.waiting() == 1);
            let report = pool.blocking_shutdown(how).unwrap();
            assert_eq!((report.unstarted.as_slice(), report.unresponsive), ([1, 2].as_slice(), 1));
            assert!(!report.is_complete());
            gate.open();
            let ends: Vec<_> = handles.into_iter().map(flowgate::JobHandle::blocking_wait).collect();
            assert!(matches!(ends.as_slice(), [Ok(0), Err(JobError::Returned), Err(JobError::Returned)]), "{ends:?}");
            let report = pool.blocking_shutdown(Shutdown::Drain).unwrap();
            assert!(report.is_complete(), "{report:?}");
        });
    }
}

/// Seen to fail: with an abort that only futures hear of.
#[test]
fn a_handler_that_asks_is_told_of_an_abort() {
    alone(|| {
        let gate = Gate::new();
        let stop = gate.clone();
        let pool = options::<u32, (), ()>(2, 0)
            .cancel_grace(HOUR)
            .build_blocking(move |_, cx| {
                stop_at(&stop);
                until_told(cx);
                Err(())
            })
            .unwrap();
        let handles = [pool.try_submit(1).unwrap(), pool.try_submit(2).unwrap()];
        gate.open();
        spin_until("both run", || pool.stats().running == 2);
        let mut report = block_on(pool.shutdown(Shutdown::Now)).unwrap();
        check_report(&report);
        report.aborted.sort_unstable();
        assert_eq!((report.aborted.as_slice(), report.totals.aborted), ([1, 2].as_slice(), 2));
        for handle in handles {
            assert!(matches!(handle.blocking_wait(), Err(JobError::Aborted(None))));
        }
    });
}

#[test]
fn a_job_between_two_attempts_comes_back_with_its_history() {
    alone(|| {
        let pool = options::<u32, (), &str>(1, 1)
            .retry(RetryPolicy::fixed(HOUR).no_budget())
            .build_blocking(|_, _| Err("down"))
            .unwrap();
        drop(pool.try_submit(7).unwrap());
        spin_until("it is parked", || pool.stats().parked == 1);
        let report = pool.blocking_shutdown(Shutdown::Now).unwrap();
        check_report(&report);
        let [failure] = report.parked.as_slice() else { panic!("{report:?}") };
        assert_eq!((failure.job, failure.attempts, failure.last_error), (Some(7), 1, Some("down")));
    });
}

#[test]
fn a_handler_cannot_wait_for_the_end_of_its_own_pool() {
    alone(|| {
        let pool = options::<u32, (), ()>(1, 1)
            .build_blocking(|_, cx| {
                let own = cx.pool::<u32, (), ()>().unwrap().upgrade().unwrap();
                assert!(matches!(own.blocking_drain(), Err(WouldDeadlock)));
                assert!(matches!(own.blocking_shutdown(Shutdown::Drain), Err(WouldDeadlock)));
                Ok(())
            })
            .unwrap();
        pool.blocking_run(1).unwrap();
        assert!(pool.is_closed());
    });
}

#[test]
fn a_closed_pool_finishes_what_it_has_and_honours_permits() {
    alone(|| {
        let gate = Gate::new();
        let pool = gated(1, 1, &gate);
        let (first, permit) = (pool.try_submit(1).unwrap(), pool.blocking_reserve().unwrap());
        pool.close();
        let second = permit.submit(2).unwrap();
        gate.open();
        assert_eq!((first.blocking_wait().unwrap(), second.blocking_wait().unwrap()), (2, 4));
    });
}
