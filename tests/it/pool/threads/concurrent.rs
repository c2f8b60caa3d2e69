//! Many submitters, many threads, one ledger.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use flowgate::Shutdown;

use super::{alone, gated, options};
use crate::support::ledger::{self, Sampler};
use crate::support::{Gate, Gauge, spin_until};

#[test]
fn no_more_run_at_once_than_there_are_slots_and_no_more_threads_serve_them() {
    alone(|| {
        let (gauge, seen, sum) = (Gauge::new(), Arc::new(Mutex::new(HashSet::new())), Arc::new(AtomicU64::new(0)));
        let (inside, threads, total) = (gauge.clone(), seen.clone(), sum.clone());
        let pool = options::<u64, (), ()>(3, 5)
            .build_blocking(move |job, _| {
                let _inside = inside.enter();
                threads.lock().unwrap().insert(std::thread::current().id());
                total.fetch_add(*job, Ordering::Relaxed);
                std::thread::yield_now();
                Ok(())
            })
            .unwrap();
        let sampler = Sampler::start(&pool);
        let submitters: Vec<_> = (0..4)
            .map(|nth| {
                let pool = pool.clone();
                std::thread::spawn(move || {
                    for job in 0..2_000 {
                        drop(pool.blocking_submit(nth * 2_000 + job).unwrap());
                    }
                })
            })
            .collect();
        for submitter in submitters {
            submitter.join().unwrap();
        }
        pool.blocking_drain().unwrap();
        assert!(sampler.stop() > 0);
        let report = pool.blocking_shutdown(Shutdown::Drain).unwrap();
        ledger::check_report(&report);
        assert_eq!((report.totals.accepted, report.totals.succeeded), (8_000, 8_000));
        assert_eq!(sum.load(Ordering::Relaxed), (0..8_000).sum::<u64>());
        assert!(gauge.max() <= 3, "{} at once", gauge.max());
        // A thread that the timer has left is as good as any other; none ends in between.
        assert!(seen.lock().unwrap().len() <= 4, "{:?}", seen.lock().unwrap());
    });
}

#[test]
fn slots_that_block_are_all_used() {
    alone(|| {
        let gate = Gate::new();
        let pool = gated(16, 16, &gate);
        let handles: Vec<_> = (0..32).map(|job| pool.try_submit(job).unwrap()).collect();
        spin_until("every slot is taken", || gate.waiting() == 16);
        let stats = pool.stats();
        assert_eq!((stats.running, stats.queued), (16, 16));
        assert!(pool.try_submit(99).is_err());
        gate.open();
        let sum: u64 = handles.into_iter().map(|handle| handle.blocking_wait().unwrap()).sum();
        assert_eq!(sum, (0..32).sum::<u64>() * 2);
    });
}

#[test]
fn more_slots_are_used_at_once_and_fewer_when_jobs_end() {
    alone(|| {
        let gate = Gate::new();
        let pool = gated(1, 15, &gate);
        let handles: Vec<_> = (0..16).map(|job| pool.try_submit(job).unwrap()).collect();
        spin_until("the slot is taken", || gate.waiting() == 1);
        pool.set_concurrency(8).unwrap();
        spin_until("all slots are taken", || gate.waiting() == 8);
        pool.set_concurrency(2).unwrap();
        gate.let_through(6);
        spin_until("as few run as may", || gate.waiting() == 2 && pool.stats().running == 2);
        gate.let_through(2);
        spin_until("the next two run", || gate.waiting() == 2 && pool.stats().totals.succeeded == 8);
        assert_eq!(pool.stats().runners, 2);
        gate.open();
        assert_eq!(handles.into_iter().map(|handle| handle.blocking_wait().unwrap()).sum::<u64>(), 240);
    });
}

/// Seen to fail: without the patrol: jobs wait behind the one that blocks, and outcomes before it.
#[test]
fn a_job_that_blocks_holds_up_none_that_a_free_slot_could_run() {
    alone(|| {
        let gate = Gate::new();
        let stop = gate.clone();
        let pool = options::<bool, (), ()>(2, 2_000)
            .build_blocking(move |blocks, _| {
                if *blocks {
                    super::stop_at(&stop);
                }
                Ok(())
            })
            .unwrap();
        for _ in 0..20 {
            // Jobs that turn out short, so that runners would take along what they can.
            let short: Vec<_> = (0..1_000).map(|_| pool.blocking_submit(false).unwrap()).collect();
            let blocked = pool.blocking_submit(true).unwrap();
            let behind: Vec<_> = (0..40).map(|_| pool.blocking_submit(false).unwrap()).collect();
            for handle in short.into_iter().chain(behind) {
                handle.blocking_wait().unwrap();
            }
            gate.let_through(1);
            blocked.blocking_wait().unwrap();
        }
    });
}

/// One change may want two runners: it starts the first, which starts the second. A refusal in between starts none.
///
/// Seen to fail: a refusal that asks for a runner and forgets to start it leaves the pool waiting for that one.
#[test]
fn a_refusal_leaves_no_runner_behind() {
    alone(|| {
        let pool = options::<u32, (), ()>(2, 2).build_blocking(|_, _| Ok(())).unwrap();
        for round in 0..200 {
            pool.pause();
            for job in 0..4 {
                drop(pool.try_submit(job).unwrap());
            }
            pool.resume();
            let refused = pool.try_submit(4).is_err();
            pool.blocking_drain().unwrap();
            assert_eq!(pool.stats().totals.ended(), pool.stats().totals.accepted, "round {round}, refused: {refused}");
        }
    });
}

#[test]
fn submitters_wait_in_line_and_all_are_served() {
    alone(|| {
        let gate = Gate::new();
        let pool = gated(1, 0, &gate);
        let first = pool.blocking_submit(0).unwrap();
        let waiting: Vec<_> = (1..=8)
            .map(|job| {
                let pool = pool.clone();
                std::thread::spawn(move || pool.blocking_submit(job).unwrap().blocking_wait().unwrap())
            })
            .collect();
        spin_until("all stand in line", || pool.stats().waiting == 8);
        gate.open();
        let sum: u64 = waiting.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!((first.blocking_wait().unwrap(), sum), (0, 72));
    });
}
