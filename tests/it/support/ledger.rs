//! The books balance, at every look.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use flowgate::{PoolStats, Report, Totals, WorkerPool};

/// Every relation that holds at every instant.
pub(crate) fn check(stats: &PoolStats) {
    let PoolStats { in_system, queued, running, parked, reserved, capacity, totals, .. } = *stats;
    assert!(stats.balances(), "{stats:?}");
    assert_eq!(in_system, queued + running + parked, "{stats:?}");
    assert_eq!(totals.accepted, bins(&totals) + in_system as u64, "{stats:?}");
    assert!(in_system + reserved <= capacity, "above capacity: {stats:?}");
    assert!(stats.lent <= running, "only running jobs lend: {stats:?}");
    let for_room = stats.waiting - stats.waiting_for_key;
    assert!(for_room == 0 || in_system + reserved == capacity, "somebody waits beside a free place: {stats:?}");
    assert!(running <= stats.peak_running, "{stats:?}");
    assert!(running <= stats.runners, "each running job has a runner: {stats:?}");
}

/// The same, for a pool whose handlers never wait for their own pool.
pub(crate) fn check_without_lending(stats: &PoolStats) {
    check(stats);
    assert!(stats.running <= stats.concurrency && stats.lent == 0, "above concurrency: {stats:?}");
    assert!(stats.runners <= stats.concurrency, "more runners than slots: {stats:?}");
}

/// The bins, added up here rather than by the library.
pub(crate) fn bins(totals: &Totals) -> u64 {
    let Totals { succeeded, failed, panicked, timed_out, cancelled, shed, aborted, returned, .. } = *totals;
    succeeded + failed + panicked + timed_out + cancelled + shed + aborted + returned
}

/// A report of a pool that ended in an orderly way.
pub(crate) fn check_report<J, E: fmt::Debug>(report: &Report<J, E>) {
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.totals.accepted, bins(&report.totals), "{report:?}");
    let given_back = (report.unstarted.len() + report.parked.len()) as u64;
    assert!(given_back <= report.totals.returned, "{report:?}");
    assert!(report.aborted.len() as u64 <= report.totals.aborted, "{report:?}");
}

/// A thread that checks the ledger of a pool all the time, until it is told to stop.
#[derive(Debug)]
pub(crate) struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Sampler {
    pub(crate) fn start<J, T, E>(pool: &WorkerPool<J, T, E>) -> Self
    where
        J: Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let (stop, pool) = (Arc::new(AtomicBool::new(false)), pool.clone());
        let told = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut samples = 0;
            while !told.load(Ordering::Acquire) {
                check(&pool.stats());
                samples += 1;
                std::thread::yield_now();
            }
            samples
        });
        Self { stop, thread }
    }

    /// Ends it; the number of samples taken.
    pub(crate) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("every sample balances")
    }
}
