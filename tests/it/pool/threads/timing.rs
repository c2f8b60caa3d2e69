//! Waits with an end, without a runtime: real delays, as small as they can be, and no test that depends on their length.

use std::time::Duration;

use flowgate::{JobError, RetryPolicy, Shutdown, StopReason, SubmitError};
use futures::executor::block_on;

use super::{alone, gated, in_good_time, options, until_told};
use crate::support::{Gate, HOUR, ledger, ms, spin_until};

#[test]
fn many_retries_at_once_all_come_back() {
    alone(|| {
        let pool = options::<u64, u64, ()>(2, 98)
            .retry(RetryPolicy::exponential(ms(1)).max_attempts(4).no_budget())
            .build_blocking(|job, cx| if cx.attempt() < 4 { Err(()) } else { Ok(*job) })
            .unwrap();
        let handles: Vec<_> = (0..300).map(|job| pool.blocking_submit(job).unwrap()).collect();
        let sum: u64 = handles.into_iter().map(|handle| handle.blocking_wait().unwrap()).sum();
        assert_eq!(sum, (0..300).sum::<u64>());
        let report = pool.blocking_shutdown(Shutdown::Drain).unwrap();
        ledger::check_report(&report);
        assert_eq!((report.totals.attempts, report.totals.retries), (1200, 900));
    });
}

#[test]
fn a_deadline_ends_a_job_that_waits_for_a_slot() {
    alone(|| {
        in_good_time(|deadline| {
            let gate = Gate::new();
            let pool = gated(1, 1, &gate);
            let running = pool.job(1).deadline(deadline).try_submit().unwrap();
            let queued = pool.job(2).deadline(deadline).try_submit().unwrap();
            let Err(JobError::TimedOut(failure)) = queued.blocking_wait() else { panic!("its time was over") };
            assert_eq!((failure.job, failure.stop), (Some(2), StopReason::Deadline));
            if gate.waiting() == 0 {
                return None;
            }
            gate.open();
            assert_eq!(running.blocking_wait().expect("what it returns stands, late as it is"), 2);
            Some(())
        });
    });
}

/// Seen to fail: with an attempt that hears only of what others tell it.
#[test]
fn a_running_attempt_that_asks_hears_that_its_deadline_has_passed() {
    alone(|| {
        in_good_time(|deadline| {
            let pool = options::<u32, (), u8>(1, 1)
                .deadline(deadline)
                .retry(RetryPolicy::fixed(ms(0)).no_budget())
                .build_blocking(|_, cx| {
                    until_told(cx);
                    assert_eq!(cx.remaining(), Some(Duration::ZERO));
                    Err(1)
                })
                .unwrap();
            match pool.try_submit(1).unwrap().blocking_wait() {
                Err(JobError::Failed(failure)) => {
                    assert_eq!(
                        (failure.stop, failure.attempts, failure.last_error),
                        (StopReason::Deadline, 1, Some(1))
                    );
                    Some(())
                }
                Err(JobError::TimedOut(late)) if late.attempts == 0 => None,
                other => panic!("{other:?}"),
            }
        });
    });
}

#[test]
fn a_handler_says_when_to_be_called_again() {
    alone(|| {
        let pool = options::<u32, u32, ()>(1, 1)
            .build_blocking(|job, cx| {
                *job += 1;
                if *job < 5 {
                    cx.snooze(ms(1));
                    return Err(());
                }
                Ok(cx.attempt())
            })
            .unwrap();
        assert_eq!(pool.blocking_run(0).unwrap(), 1, "snoozing is not an attempt");
    });
}

#[test]
fn a_submitter_waits_no_longer_than_it_said() {
    alone(|| {
        let gate = Gate::new();
        let pool = gated(1, 0, &gate);
        let handle = pool.try_submit(1).unwrap();
        assert!(matches!(pool.blocking_submit_timeout(2, ms(1)), Err(SubmitError::Timeout(2))));
        assert!(matches!(block_on(pool.submit_timeout(3, ms(1))), Err(SubmitError::Timeout(3))));
        let both = block_on(async { futures::join!(pool.submit_timeout(4, ms(2)), pool.submit_timeout(5, ms(1))) });
        assert!(matches!(both, (Err(SubmitError::Timeout(4)), Err(SubmitError::Timeout(5)))));
        gate.open();
        assert_eq!(handle.blocking_wait().unwrap(), 2);
        assert_eq!(block_on(pool.submit_timeout(6, HOUR)).unwrap().blocking_wait().unwrap(), 12);
    });
}

#[test]
fn a_shutdown_on_any_executor_ends_by_its_deadline() {
    alone(|| {
        let gate = Gate::new();
        let pool = gated(1, 1, &gate);
        drop((pool.try_submit(1).unwrap(), pool.try_submit(2).unwrap()));
        spin_until("it runs", || gate.waiting() == 1);
        let report = block_on(pool.shutdown(Shutdown::DrainFor(ms(1)))).unwrap();
        assert_eq!((report.unresponsive, report.unstarted), (1, vec![2]));
        gate.open();
    });
}

/// A wake-up for an enclosing wait that a nested one uses up must not be lost.
#[test]
fn waits_may_be_nested_on_one_thread() {
    alone(|| {
        let pool = gated(1, 1, &{
            let open = Gate::new();
            open.open();
            open
        });
        let outer = options::<u32, u64, ()>(1, 1)
            .build_blocking(move |job, _| {
                let inner = pool.blocking_submit(u64::from(*job)).map_err(drop)?;
                inner.blocking_wait().map_err(drop)
            })
            .unwrap();
        for job in 0..200 {
            assert_eq!(outer.blocking_run(job).unwrap(), u64::from(job) * 2);
        }
    });
}
