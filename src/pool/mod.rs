//! [`WorkerPool`]: bounded concurrency with retry, backpressure, and an account of every job.
//!
//! | | what the pool promises |
//! |---|---|
//! | bound | at most `concurrency + queue` jobs in the system: queued, running and between two attempts together |
//! | order | admitted jobs are claimed first come, first served, while they are short a [few at once](crate::docs::limitations#order); submitters are served in order; a retry goes to the back; jobs of one [key](Submission::key) run one after another |
//! | overflow | a submission without room waits, is refused, or sheds the job that has waited longest: [`Overflow`] |
//! | value back | each refusal returns the job, each error returns it if the handler did not keep it, a shutdown returns what it ended |
//! | cancel | in every state; dropping any future of the pool restores its capacity |
//! | panic | one job's outcome, with its payload; the runner goes on |
//! | drop | the last clone aborts the pool; dropping a [`JobHandle`] detaches its job |
//!
//! # A job's way
//!
//! ```text
//!  submit ──▶ (waiting for room) ──▶ queued ──▶ running ──▶ succeeded, failed, panicked, timed out, cancelled
//!                                      ▲           │
//!                                      └─ parked ◀─┘  the attempt failed and there will be another
//! ```
//!
//! A job holds its *permit* from acceptance to outcome, and a run *slot* only during an attempt.
//!
//! # Tasks or threads
//!
//! The same pool, with the same submission, retries, handles, account of every job, and shutdown; what differs is who makes
//! the attempts.
//!
//! | | [`build`](WorkerPoolBuilder::build), `build_with`, `build_handler` | [`build_blocking`](WorkerPoolBuilder::build_blocking) |
//! |---|---|---|
//! | for | work that waits: requests, queries, timers | work that computes, or calls what blocks |
//! | the handler | returns a future | is called, and returns the result |
//! | runners | tasks on the runtime that is current when the pool is built | threads: at most `concurrency`, one more for each handler that waits for its own pool, and one for the timer |
//! | needs a tokio runtime | yes, and ends with it | no |
//! | when idle | no task | no thread, once [`thread_keep_alive`](WorkerPoolBuilder::thread_keep_alive) is over |
//! | a running job that is cancelled, or whose pool is aborted | its future is dropped at the next await | it is told when it asks [`Cx::is_cancelled`] or waits for [`Cx::cancelled`]; what it returns `Ok` stands |
//! | `attempt_timeout` | drops the future | refused by the builder |
//! | `deadline` | ends a running attempt at its next await | is looked at before and after an attempt; during one, `Cx::is_cancelled` says that it has passed |
//! | `cancel_grace` | how long a cancelled attempt may go on | how long a shutdown waits for handlers that have been told |
//! | shutdown, out of time | what does not await is [unresponsive](Report::unresponsive) | whatever has not returned is; its thread ends after it |
//! | short jobs share a lock operation | until one waits | until one is found to block, within 2 ms |

mod account;
mod attempt;
mod batch;
mod berth;
mod builder;
mod context;
mod control;
mod directory;
mod entrance;
mod error;
mod handle;
mod handler;
mod join;
mod line;
pub(crate) mod member;
mod nested;
mod pace;
mod permit;
mod publish;
mod runner;
mod scope;
mod settled;
mod shared;
mod shutdown;
mod sink;
mod stats;
pub(crate) mod stream;
mod submit;
mod tasks;
mod threads;
mod timer;
mod verdict;
mod window;

pub use batch::{BatchError, BatchRefusal, SubmitBatch};
pub use builder::{Overflow, WorkerPoolBuilder};
pub use context::Cx;
pub use error::{BuildError, Failure, JobError, ReserveError, RunError, SubmitError, WouldDeadlock};
pub use handle::{CancelOnDrop, JobHandle, JobId};
pub use handler::{Attempt, Handler, JobFn};
pub use join::{Join, TryJoin, blocking_join, blocking_try_join, join, try_join};
pub use member::Order;
pub use permit::Permit;
pub use scope::Scope;
pub use shutdown::{Report, Shutdown};
pub use sink::PoolSink;
pub use stats::{PoolStats, Totals};
pub use stream::Map;
pub use submit::Submission;
pub use tasks::{
    ScopeError, Task, TaskError, TaskHandle, TaskPanic, TaskPool, TaskPoolBuilder, TaskReport, TaskScope, WeakTaskPool,
};

use crate::shim::atomic::Ordering;
use shared::Shared;
use std::fmt;
use std::sync::{Arc, Weak};

/// Runs jobs of one type, a bounded number at once, and accounts for each of them.
///
/// A clone is the same pool. When the last one is dropped the pool is aborted: what runs is dropped at its next
/// await, and handles resolve [`Aborted`](JobError::Aborted) with the job. To end it in an orderly way, call
/// [`shutdown`](Self::shutdown).
///
/// An idle pool has no task at all; it keeps the memory of as many runners as the runtime has threads. While there is
/// work, up to `concurrency` *runner* tasks exist; each makes one attempt after another and leaves when the queue is empty.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use flowgate::{Attempt, RetryPolicy, Shutdown, WorkerPool};
/// use std::time::Duration;
///
/// let pool = WorkerPool::builder()
///     .concurrency(16)
///     .queue(256)
///     .retry(RetryPolicy::exponential(Duration::from_millis(100)).max_attempts(5))
///     .attempt_timeout(Duration::from_secs(2))
///     .build(|job: Attempt<String>| async move {
///         if job.attempt() < 3 { Err("not yet") } else { Ok(job.len()) }
///     })
///     .unwrap();
///
/// let handle = pool.submit("hello".into()).await.unwrap(); // waits while the pool is full
/// assert_eq!(handle.await.unwrap(), 5);
///
/// let report = pool.shutdown(Shutdown::DrainFor(Duration::from_secs(10))).await.unwrap();
/// assert_eq!(report.totals.retries, 2);
/// # }
/// ```
pub struct WorkerPool<J, T, E> {
    shared: Arc<Shared<J, T, E>>,
}

impl<J, T, E> WorkerPool<J, T, E> {
    /// The options of a new pool. Write `WorkerPool::<Job, _, _>::builder()` to leave closure parameters unannotated.
    pub fn builder() -> WorkerPoolBuilder<J, T, E> {
        WorkerPoolBuilder::new()
    }

    /// A handle that does not keep the pool alive.
    #[must_use]
    pub fn downgrade(&self) -> WeakPool<J, T, E> {
        WeakPool::new(&self.shared)
    }
}

impl<J, T, E> Clone for WorkerPool<J, T, E> {
    fn clone(&self) -> Self {
        // Ordering: Relaxed. The count is above zero and stays so; see `drop` for the one that ends it.
        self.shared.owners.fetch_add(1, Ordering::Relaxed);
        Self { shared: self.shared.clone() }
    }
}

impl<J, T, E> Drop for WorkerPool<J, T, E> {
    fn drop(&mut self) {
        // Ordering: AcqRel, so that whatever other owners did with the pool happened before its end here.
        if self.shared.owners.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.abandon();
        }
    }
}

impl<J, T, E> fmt::Debug for WorkerPool<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WorkerPool").field(&self.stats()).finish()
    }
}

/// A handle to a pool that does not keep it alive: for handlers that submit to their own pool, and for monitors.
pub struct WeakPool<J, T, E> {
    shared: Weak<Shared<J, T, E>>,
}

impl<J, T, E> WeakPool<J, T, E> {
    fn new(shared: &Arc<Shared<J, T, E>>) -> Self {
        Self { shared: Arc::downgrade(shared) }
    }

    fn gone() -> Self {
        Self { shared: Weak::new() }
    }

    /// The pool, unless its last owner has gone.
    #[must_use]
    pub fn upgrade(&self) -> Option<WorkerPool<J, T, E>> {
        let shared = self.shared.upgrade()?;
        // Ordering: Relaxed on both sides; only the count itself matters. From zero there is no way back.
        let owned = shared
            .owners
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |owners| (owners > 0).then_some(owners + 1));
        owned.ok().map(|_| WorkerPool { shared })
    }
}

impl<J, T, E> Clone for WeakPool<J, T, E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<J, T, E> fmt::Debug for WeakPool<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakPool").finish_non_exhaustive()
    }
}
