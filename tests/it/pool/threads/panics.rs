//! A panic is one job's outcome; its thread serves the next.

use flowgate::{Failure, JobError, RetryPolicy, Shutdown};

use super::{alone, options};
use crate::support::{ledger, ms};

fn message<J>(error: &JobError<J, ()>) -> Option<String> {
    let JobError::Panicked(failure) = error else { panic!("it did not panic") };
    Failure::panic_message(failure)
}

#[test]
fn a_handler_that_panics_gives_its_job_back_and_its_thread_goes_on() {
    alone(|| {
        let pool = options::<u32, u32, ()>(1, 4)
            .retry(RetryPolicy::fixed(ms(0)).max_attempts(3).no_budget())
            .build_blocking(|job, _| {
                *job += 1;
                assert!(*job != 1, "at first");
                Ok(*job)
            })
            .unwrap();
        let error = pool.try_submit(0).unwrap().blocking_wait().unwrap_err();
        assert!(message(&error).unwrap().contains("at first"));
        assert_eq!(error.into_job(), Some(1), "as the handler left it, and no retry");
        assert_eq!(pool.blocking_run(1).unwrap(), 2);
        let report = pool.blocking_shutdown(Shutdown::Drain).unwrap();
        ledger::check_report(&report);
        assert_eq!((report.totals.panicked, report.totals.succeeded), (1, 1));
    });
}

#[test]
fn a_classifier_that_panics_is_the_jobs_outcome() {
    alone(|| {
        let policy = RetryPolicy::fixed(ms(0)).classify(|(): &(), _| panic!("undecided"));
        let pool = options::<u32, u32, ()>(1, 4)
            .retry(policy)
            .build_blocking(|job, _| if *job == 0 { Err(()) } else { Ok(*job) })
            .unwrap();
        let error = pool.try_submit(0).unwrap().blocking_wait().unwrap_err();
        assert_eq!(message(&error).as_deref(), Some("undecided"));
        assert_eq!(pool.blocking_run(1).unwrap(), 1);
    });
}

#[test]
fn a_hook_that_panics_changes_nothing() {
    alone(|| {
        let pool = options::<u32, u32, ()>(1, 4)
            .on_dead_letter(|_| panic!("in the hook"))
            .build_blocking(|job, _| if *job == 0 { Err(()) } else { Ok(*job) })
            .unwrap();
        assert!(matches!(pool.try_submit(0).unwrap().blocking_wait(), Err(JobError::Failed(_))));
        assert_eq!(pool.blocking_run(1).unwrap(), 1);
    });
}

struct Touchy;

impl Drop for Touchy {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "a drop that panics");
    }
}

#[test]
fn values_that_panic_when_dropped_end_no_thread() {
    alone(|| {
        let pool = options::<Option<Touchy>, Option<Touchy>, ()>(1, 4)
            .build_blocking(|job, _| Ok(job.is_some().then(|| Touchy)))
            .unwrap();
        for _ in 0..3 {
            // The job is dropped when it has succeeded, the result because nobody takes it.
            drop(pool.blocking_submit(Some(Touchy)).unwrap());
            pool.blocking_drain().unwrap();
        }
        assert!(pool.blocking_run(None).unwrap().is_none());
        let report = pool.blocking_shutdown(Shutdown::Drain).unwrap();
        assert_eq!(report.totals.succeeded, 4);
    });
}

#[test]
fn a_handler_that_panics_while_it_has_lent_its_slot_leaves_the_slots_right() {
    alone(|| {
        let pool = options::<bool, (), ()>(1, 8)
            .build_blocking(|parent, cx| {
                if *parent {
                    let own = cx.pool::<bool, (), ()>().unwrap().upgrade().unwrap();
                    let mut child = own.try_submit(false).unwrap();
                    let _ = futures::executor::block_on(async { futures::poll!(&mut child) });
                    panic!("while it waits");
                }
                Ok(())
            })
            .unwrap();
        for _ in 0..20 {
            assert!(matches!(pool.try_submit(true).unwrap().blocking_wait(), Err(JobError::Panicked(_))));
        }
        pool.blocking_drain().unwrap();
        let stats = pool.stats();
        ledger::check(&stats);
        assert_eq!((stats.lent, stats.running, stats.totals.succeeded), (0, 0, 20));
    });
}
