//! Loads: what one job does.

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// A handler that every contender runs unchanged: takes a job, answers `job + 1`.
pub trait Load: Clone + Send + Sync + 'static {
    /// Runs one job.
    fn run(self, job: u64) -> impl Future<Output = u64> + Send + 'static;
}

/// A load without state.
pub trait Plain: Load + Default {}

/// Answers at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trivial;

impl Load for Trivial {
    async fn run(self, job: u64) -> u64 {
        job + 1
    }
}

impl Plain for Trivial {}

/// Gives way to the scheduler once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Yielding;

impl Load for Yielding {
    async fn run(self, job: u64) -> u64 {
        tokio::task::yield_now().await;
        job + 1
    }
}

impl Plain for Yielding {}

/// Computes, so many steps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Computing<const STEPS: u32>;

impl<const STEPS: u32> Load for Computing<STEPS> {
    async fn run(self, job: u64) -> u64 {
        black_box(compute(black_box(job), STEPS));
        job + 1
    }
}

impl<const STEPS: u32> Plain for Computing<STEPS> {}

/// Computes for the greater part of a microsecond: [`job_ns`] says how long on this machine, and each run prints it.
pub type Busy = Computing<BUSY_STEPS>;

/// Computes for about ten microseconds.
pub type Long = Computing<LONG_STEPS>;

/// Sleeps for a millisecond.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sleeping;

impl Load for Sleeping {
    async fn run(self, job: u64) -> u64 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        job + 1
    }
}

impl Plain for Sleeping {}

/// A load for threads: it blocks nobody but its own.
pub trait Blocking: Clone + Send + Sync + 'static {
    /// Runs one job.
    fn run_now(&self, job: u64) -> u64;
}

impl Blocking for Trivial {
    fn run_now(&self, job: u64) -> u64 {
        job + 1
    }
}

impl Blocking for Counted {
    fn run_now(&self, job: u64) -> u64 {
        self.0.record(job + 1);
        job + 1
    }
}

/// Counts itself, for producers that keep no handle.
#[derive(Clone, Debug)]
pub struct Counted(pub Arc<Tally>);

impl Load for Counted {
    async fn run(self, job: u64) -> u64 {
        self.0.record(job + 1);
        job + 1
    }
}

/// Results of detached jobs.
#[derive(Debug)]
pub struct Tally {
    sum: AtomicU64,
    left: AtomicU64,
    done: Notify,
}

impl Tally {
    /// A tally that is complete after `jobs` results.
    #[must_use]
    pub fn expecting(jobs: u64) -> Self {
        Self { sum: AtomicU64::new(0), left: AtomicU64::new(jobs), done: Notify::new() }
    }

    /// Adds one result.
    pub fn record(&self, result: u64) {
        // Ordering: Relaxed, because the decrement below publishes the sum.
        self.sum.fetch_add(result, Ordering::Relaxed);
        // Ordering: AcqRel: each decrement hands its sum on to the next, and the last one to `complete`.
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_one();
        }
    }

    /// Waits for the last result; the sum of all.
    ///
    /// # Cancel safety
    /// Safe: a tally that was complete stays so, unless the wait had already taken its notification.
    pub async fn complete(&self) -> u64 {
        self.done.notified().await;
        // Ordering: Acquire, partner of the decrement in `record`: all additions are visible.
        assert_eq!(self.left.load(Ordering::Acquire), 0, "woken before the last result");
        self.sum.load(Ordering::Relaxed)
    }
}

/// Steps of a [`Busy`] job: a fixed amount of arithmetic, so that a slow spell of the machine weighs on the load and on the
/// pool alike. So many that `spawn+semaphore` takes about 1.5 microseconds of CPU for a job on the machine that the
/// targets were set on.
pub const BUSY_STEPS: u32 = 500;

/// Steps of a [`Long`] job.
pub const LONG_STEPS: u32 = 7_500;

/// A chain of multiplications, each of which needs the one before.
#[must_use]
pub fn compute(seed: u64, steps: u32) -> u64 {
    let mut x = seed | 1;
    for _ in 0..steps {
        x = (x ^ (x >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    x
}

/// What so many steps take on this machine, alone: the quickest of many.
#[must_use]
pub fn job_ns(steps: u32) -> u64 {
    let mut best = Duration::MAX;
    for batch in 0..100_u64 {
        let start = Instant::now();
        for job in 0..100 {
            black_box(compute(black_box(batch * 100 + job), steps));
        }
        best = best.min(start.elapsed() / 100);
    }
    u64::try_from(best.as_nanos()).unwrap_or(u64::MAX)
}
