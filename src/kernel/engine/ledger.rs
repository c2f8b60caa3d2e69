//! The ledger: what went in, what came out, and what is still inside, read under one lock.

use super::{Clock, Engine, Phase, State};

/// Where a job ends. Each accepted job ends in exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bin {
    Succeeded,
    Failed,
    Panicked,
    TimedOut,
    Cancelled,
    Shed,
    Aborted,
    Returned,
}

/// What became of all jobs so far. Each accepted job ends in exactly one of the counts from `succeeded` to `returned`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Jobs accepted.
    pub accepted: u64,
    /// Attempts that have ended.
    pub attempts: u64,
    /// Attempts that failed and were followed by a wait for another.
    pub retries: u64,
    /// Jobs that have a result.
    pub succeeded: u64,
    /// Jobs whose handler failed, with no attempt left.
    pub failed: u64,
    /// Jobs whose handler or classifier panicked.
    pub panicked: u64,
    /// Jobs that ran out of time: the last attempt, or the whole job.
    pub timed_out: u64,
    /// Jobs cancelled by their handle, or by a submitter that was dropped.
    pub cancelled: u64,
    /// Jobs dropped from the queue to make room for newer ones.
    pub shed: u64,
    /// Jobs cut short, or never started, by the end of the pool or its runtime.
    pub aborted: u64,
    /// Jobs given back in a shutdown's report before they were started, or between two attempts.
    pub returned: u64,
}

impl Totals {
    pub(super) fn count(&mut self, bin: Bin) {
        let counter = match bin {
            Bin::Succeeded => &mut self.succeeded,
            Bin::Failed => &mut self.failed,
            Bin::Panicked => &mut self.panicked,
            Bin::TimedOut => &mut self.timed_out,
            Bin::Cancelled => &mut self.cancelled,
            Bin::Shed => &mut self.shed,
            Bin::Aborted => &mut self.aborted,
            Bin::Returned => &mut self.returned,
        };
        *counter += 1;
    }

    /// The jobs that have an outcome.
    #[must_use]
    pub fn ended(&self) -> u64 {
        let without_result = self.failed + self.panicked + self.timed_out + self.cancelled + self.shed;
        self.succeeded + without_result + self.aborted + self.returned
    }
}

/// One consistent look at a pool.
///
/// At every instant `totals.accepted == totals.ended() + in_system` and `in_system == queued + running + parked`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::{Attempt, WorkerPool};
///
/// let pool = WorkerPool::<u32, u32, ()>::builder()
///     .concurrency(2)
///     .queue(8)
///     .build(|job: Attempt<u32>| async move { Ok(*job) })
///     .unwrap();
/// pool.run(7).await.unwrap();
/// let stats = pool.stats();
/// assert!(stats.balances());
/// assert_eq!(stats.totals.succeeded, 1);
/// assert_eq!(
///     stats.to_string(),
///     "0/10 in system (0 queued, 0/2 running, 0 parked), 0 waiting; \
///      1 accepted: 1 succeeded; 1 attempts, 0 retries",
/// );
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// The run slots.
    pub concurrency: usize,
    /// The most jobs that may be in the system: slots and queue.
    pub capacity: usize,
    /// Jobs accepted and without an outcome yet.
    pub in_system: usize,
    /// Jobs that wait for a slot or for another job of their key, those included that a runner has taken along to run
    /// next.
    pub queued: usize,
    /// Jobs in an attempt. Above `concurrency` only while handlers that had lent their slot have come back.
    pub running: usize,
    /// Jobs that wait for their next attempt; they hold no slot.
    pub parked: usize,
    /// Running jobs that wait for another job of this pool, their slot lent.
    pub lent: usize,
    /// Places reserved by permits that are not used yet.
    pub reserved: usize,
    /// Submitters that wait for room, with or without a job.
    pub waiting: usize,
    /// Those of them that wait because their key has as many jobs in the pool as it may.
    pub waiting_for_key: usize,
    /// Keys that have a job, or a submitter that waits.
    pub lanes: usize,
    /// Runner tasks that exist. None while the pool is idle.
    pub runners: usize,
    /// The most jobs that were in an attempt at once.
    pub peak_running: usize,
    /// Whether the pool admits no more jobs.
    pub closed: bool,
    /// Whether the pool starts no jobs at present.
    pub paused: bool,
    /// What became of all jobs so far.
    pub totals: Totals,
}

impl PoolStats {
    /// Whether everything accepted is accounted for: always.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.in_system == self.queued + self.running + self.parked
            && self.totals.accepted == self.totals.ended() + self.in_system as u64
    }
}

impl<C, K: Clock> Engine<C, K> {
    /// One consistent look at everything.
    pub(crate) fn snapshot(&self) -> PoolStats {
        self.lock().snapshot()
    }

    /// How far the pool has been closed.
    pub(crate) fn phase(&self) -> Phase {
        self.lock().phase
    }
}

impl<C> State<C> {
    fn snapshot(&self) -> PoolStats {
        // A runner whose batch was taken back from it still counts as active until it looks.
        let running = self.active.min(self.claimed);
        PoolStats {
            closed: self.phase > Phase::Open,
            concurrency: self.limits.concurrency,
            capacity: self.limits.capacity,
            in_system: self.in_system(),
            queued: self.ready.len() + self.lanes.queued() + self.claimed - running,
            running,
            parked: self.parked,
            lent: self.lent,
            reserved: self.reserved + self.held,
            waiting: self.line.len() + self.lanes.waiting(),
            waiting_for_key: self.lanes.waiting(),
            lanes: self.lanes.len(),
            paused: self.paused,
            runners: self.runners,
            peak_running: self.peak_running,
            totals: self.totals,
        }
    }
}
