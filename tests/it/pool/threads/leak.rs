//! No thread outlives its pool, and an idle pool has none.
#![cfg(target_os = "linux")]

use flowgate::{RetryPolicy, Shutdown};
use futures::executor::block_on;

use super::{alone, options, stop_at};
use crate::support::{Counted, Gate, HOUR, Tally, ms, spin_until};

/// The threads of this process with that name, of which the system keeps 15 bytes.
fn threads_called(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    // A thread may end while it is being looked at.
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|found| found.trim_end() == name).count()
}

/// Seen to fail: with threads that wait for shifts without an end.
#[test]
fn an_idle_pool_ends_with_no_thread() {
    alone(|| {
        let pool = options::<u32, u32, ()>(4, 4)
            .thread_name("fg-idle")
            .thread_keep_alive(ms(5))
            .build_blocking(|job, _| Ok(*job))
            .unwrap();
        assert_eq!(threads_called("fg-idle"), 0, "nothing is started before there is work");
        for _ in 0..3 {
            assert_eq!(pool.blocking_run(1).unwrap(), 1);
            spin_until("the idle pool has no thread", || threads_called("fg-idle") == 0);
        }
    });
}

#[test]
fn a_thread_is_kept_for_the_next_job() {
    alone(|| {
        let pool = options::<(), std::thread::ThreadId, ()>(4, 4)
            .thread_name("fg-kept")
            .thread_keep_alive(HOUR)
            .build_blocking(|(), _| Ok(std::thread::current().id()))
            .unwrap();
        pool.blocking_run(()).unwrap();
        for _ in 0..100 {
            spin_until("the runner has left", || pool.stats().runners == 0);
            // The thread that has just told of its outcome may still be on its way to the queue; it takes the shift there.
            pool.blocking_run(()).unwrap();
        }
        assert!(threads_called("fg-kept") <= 4);
        drop(pool);
        spin_until("the pool's threads have left with it", || threads_called("fg-kept") == 0);
    });
}

/// Seen to fail: with a shutdown that does not let the queue go.
#[test]
fn after_a_shutdown_there_is_no_thread() {
    for how in [Shutdown::Drain, Shutdown::DrainFor(HOUR), Shutdown::Now] {
        alone(move || {
            let pool = options::<u32, u32, ()>(8, 100)
                .thread_name("fg-shut")
                .thread_keep_alive(HOUR)
                .build_blocking(|job, _| Ok(*job))
                .unwrap();
            for job in 0..50 {
                drop(pool.blocking_submit(job).unwrap());
            }
            let report = pool.blocking_shutdown(how).unwrap();
            assert!(report.is_complete(), "{report:?}");
            spin_until("the last one has ended", || threads_called("fg-shut") == 0);
        });
    }
}

#[test]
fn a_thread_that_was_in_a_handler_at_the_end_ends_after_it() {
    alone(|| {
        let gate = Gate::new();
        let stop = gate.clone();
        let pool = options::<u32, (), ()>(2, 2)
            .thread_name("fg-late")
            .thread_keep_alive(HOUR)
            .build_blocking(move |_, _| {
                stop_at(&stop);
                Ok(())
            })
            .unwrap();
        for job in 0..4 {
            drop(pool.try_submit(job).unwrap());
        }
        spin_until("both run", || gate.waiting() == 2);
        assert_eq!(pool.blocking_shutdown(Shutdown::Now).unwrap().unresponsive, 2);
        assert_eq!(threads_called("fg-late"), 2);
        gate.open();
        spin_until("they have ended", || threads_called("fg-late") == 0);
    });
}

#[test]
fn the_timer_leaves_with_the_last_backoff_and_the_sleeper_with_the_last_wait() {
    alone(|| {
        let gate = Gate::new();
        let stop = gate.clone();
        let pool = options::<u32, (), ()>(1, 0)
            .thread_name("fg-timer")
            .thread_keep_alive(ms(0))
            .retry(RetryPolicy::fixed(HOUR).no_budget())
            .build_blocking(move |job, _| {
                if *job == 0 {
                    return Err(());
                }
                stop_at(&stop);
                Ok(())
            })
            .unwrap();
        let parked = pool.try_submit(0).unwrap();
        spin_until("it is parked", || pool.stats().parked == 1);
        // Another executor's wait with an end, on a full pool: it needs a thread of its own.
        let mut wait = Box::pin(pool.submit_timeout(2, HOUR));
        block_on(async { assert!(futures::poll!(&mut wait).is_pending()) });
        spin_until("the timer and the sleeper are there", || threads_called("fg-timer") >= 2);
        drop(wait);
        parked.cancel();
        spin_until("no thread is left", || threads_called("fg-timer") == 0);
        drop(parked);
        // The pool goes on.
        gate.open();
        pool.blocking_run(1).unwrap();
    });
}

#[test]
fn every_job_and_the_handler_are_dropped_once() {
    alone(|| {
        let (tally, state) = (Tally::new(), Tally::new());
        let captured = state.make(0);
        let pool = options::<Counted, Counted, Counted>(2, 6)
            .retry(RetryPolicy::fixed(ms(0)).max_attempts(2).no_budget())
            .build_blocking({
                let tally = tally.clone();
                move |job, cx| {
                    let captured: &Counted = &captured;
                    assert_eq!(captured.id, 0);
                    assert!(job.id % 4 != 3, "one in four panics");
                    if job.id % 2 == 0 || cx.attempt() == 2 { Ok(tally.make(job.id)) } else { Err(tally.make(job.id)) }
                }
            })
            .unwrap();
        for id in 0..100 {
            drop(pool.blocking_submit(tally.make(id)).unwrap());
        }
        let report = pool.blocking_shutdown(Shutdown::Drain).unwrap();
        assert_eq!((report.totals.panicked, report.totals.succeeded), (25, 75));
        assert_eq!((tally.alive(), state.alive()), (0, 0));
    });
}
