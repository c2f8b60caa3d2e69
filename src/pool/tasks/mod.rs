//! [`TaskPool`]: futures of any type, so many at a time.
//!
//! | | what a [`TaskPool`] promises |
//! |---|---|
//! | bound | at most `concurrency + queue` tasks in the system; a task that has ended is not kept |
//! | order | tasks start first come, first served; those who wait for room are served in order |
//! | value back | a refusal returns the future; a shutdown returns the tasks that were not started |
//! | cancel | in every state; the future is dropped at its next await |
//! | panic | the task's outcome, with its payload; the runner goes on |
//! | drop | the last clone aborts the pool; dropping a [`TaskHandle`] detaches its task; dropping a [`TaskScope`] cancels its tasks |
//!
//! It is a [`WorkerPool`] whose jobs are futures: the same engine, the same line, the same ledger.

mod error;
mod handle;
mod scope;
mod task;

pub use error::{ScopeError, TaskError, TaskPanic};
pub use handle::TaskHandle;
pub use scope::TaskScope;
pub use task::Task;

use super::error::{BuildError, SubmitError, WouldDeadlock};
use super::handler::Attempt;
use super::shutdown::Shutdown;
use super::stats::{PoolStats, Totals};
use super::{Overflow, WeakPool, WorkerPool, WorkerPoolBuilder};
use crate::rt;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::time::Duration;
use task::Output;

/// The pool below: what was a future is a job.
type Tasks = WorkerPool<Task, Output, Infallible>;

/// Runs futures of any type, a bounded number at once, and accounts for each of them: a `JoinSet` with a limit.
///
/// A clone is the same pool. When the last one is dropped the pool is aborted, as a [`WorkerPool`] is; to end it in an
/// orderly way, call [`shutdown`](Self::shutdown). A task has no retry: use a [`WorkerPool`], whose handler makes a future
/// for each attempt, or [`RetryPolicy::run`](crate::RetryPolicy::run) inside the task.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::{Shutdown, TaskPool};
///
/// let tasks = TaskPool::builder().concurrency(2).queue(16).build().unwrap();
/// let name = String::from("flowgate");
/// let length = tasks.spawn(async move { name.len() }).await.unwrap(); // waits while the pool is full
/// let sum = tasks.spawn(async { (1..=10).sum::<u32>() }).await.unwrap();
/// assert_eq!((length.await.unwrap(), sum.await.unwrap()), (8, 55));
///
/// let broken = tasks.spawn(async { assert_eq!(1 + 1, 3, "arithmetic") }).await.unwrap();
/// assert!(broken.await.unwrap_err().to_string().contains("arithmetic"));
///
/// let report = tasks.shutdown(Shutdown::Drain).await.unwrap();
/// assert_eq!((report.totals.succeeded, report.totals.panicked), (2, 1));
/// # }
/// ```
pub struct TaskPool {
    pool: Tasks,
}

impl TaskPool {
    /// The options of a new pool.
    pub fn builder() -> TaskPoolBuilder {
        TaskPoolBuilder { pool: Tasks::builder() }
    }

    /// Runs a future in the pool; waits for room, first come first served.
    ///
    /// # Errors
    /// Each gives the future back: [`Closed`](SubmitError::Closed); [`Full`](SubmitError::Full), if not to wait is the pool's
    /// [overflow rule](Overflow); and [`WouldDeadlock`](SubmitError::WouldDeadlock), at once, in a task of this very pool
    /// while it is full.
    ///
    /// # Cancel safety
    /// As [`WorkerPool::submit`]: dropping this future drops the task if it was still waiting for room, cancels it if it had
    /// been accepted and not started, and detaches it if it runs.
    pub async fn spawn<F>(&self, future: F) -> Result<TaskHandle<F::Output>, SubmitError<F>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let submitted = self.pool.submit(Task::new(future)).await;
        submitted.map(TaskHandle::new).map_err(|refused| refused.map(Task::into_future))
    }

    /// Runs a future in the pool if there is room now.
    ///
    /// # Errors
    /// Each gives the future back: [`Full`](SubmitError::Full) and [`Closed`](SubmitError::Closed).
    pub fn try_spawn<F>(&self, future: F) -> Result<TaskHandle<F::Output>, SubmitError<F>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let submitted = self.pool.try_submit(Task::new(future));
        submitted.map(TaskHandle::new).map_err(|refused| refused.map(Task::into_future))
    }

    /// Runs a future in the pool, from a thread outside the runtime; blocks the thread until there is room.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn blocking_spawn<F>(&self, future: F) -> Result<TaskHandle<F::Output>, SubmitError<F>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        rt::block_on(self.spawn(future))
    }

    /// A scope for fallible tasks that belong together: the first error cancels the rest.
    #[must_use = "dropping a scope cancels its tasks"]
    pub fn scope<T, E>(&self) -> TaskScope<T, E> {
        TaskScope::new(&self.pool)
    }

    /// One consistent look at everything. A task that has returned counts as succeeded, whatever it returned.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        self.pool.stats()
    }

    /// Tasks accepted and without an outcome yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pool.len()
    }

    /// Whether no task is in the system.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pool.is_empty()
    }

    /// The most tasks that may be in the system: slots and queue.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.pool.capacity()
    }

    /// Admits no more tasks. Idempotent; returns at once. Those that were accepted go on.
    pub fn close(&self) {
        self.pool.close();
    }

    /// Whether the pool admits no more tasks.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.pool.is_closed()
    }

    /// Waits until the pool has been empty at some instant since the call. It stays open.
    ///
    /// # Errors
    /// [`WouldDeadlock`], at once, in a task of this very pool.
    ///
    /// # Cancel safety
    /// Safe: dropping the future changes nothing.
    pub async fn drain(&self) -> Result<(), WouldDeadlock> {
        self.pool.drain().await
    }

    /// Closes the pool, waits as `how` says, and accounts for every task; as [`WorkerPool::shutdown`] does.
    ///
    /// # Errors
    /// [`WouldDeadlock`], in a task of this very pool; the pool is closed.
    ///
    /// # Cancel safety
    /// Safe: dropping the future leaves the pool closed, and whatever it had given up to then is in the report of the next
    /// call.
    pub async fn shutdown(&self, how: Shutdown) -> Result<TaskReport, WouldDeadlock> {
        let report = self.pool.shutdown(how).await?;
        Ok(TaskReport {
            unstarted: report.unstarted,
            unresponsive: report.unresponsive,
            totals: report.totals,
            elapsed: report.elapsed,
        })
    }

    /// A handle that does not keep the pool alive: for tasks that spawn more tasks.
    #[must_use]
    pub fn downgrade(&self) -> WeakTaskPool {
        WeakTaskPool { pool: self.pool.downgrade() }
    }
}

impl Clone for TaskPool {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone() }
    }
}

impl fmt::Debug for TaskPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskPool").field(&self.stats()).finish()
    }
}

/// A handle to a [`TaskPool`] that does not keep it alive.
#[derive(Clone, Debug)]
pub struct WeakTaskPool {
    pool: WeakPool<Task, Output, Infallible>,
}

impl WeakTaskPool {
    /// The pool, unless its last owner has gone.
    #[must_use]
    pub fn upgrade(&self) -> Option<TaskPool> {
        self.pool.upgrade().map(|pool| TaskPool { pool })
    }
}

/// The options of a [`TaskPool`]; made by [`TaskPool::builder`].
///
/// | option | default | bounds |
/// |---|---|---|
/// | [`concurrency`](Self::concurrency) | none: required | tasks that run at once |
/// | [`queue`](Self::queue) | as many as slots | tasks accepted beyond those; capacity is the sum |
/// | [`overflow`](Self::overflow) | wait | what becomes of a task for which there is no room |
/// | [`deadline`](Self::deadline) | none | the time of a task from its acceptance, waits included |
#[must_use = "a builder does nothing until it is built"]
pub struct TaskPoolBuilder {
    pool: WorkerPoolBuilder<Task, Output, Infallible>,
}

impl TaskPoolBuilder {
    /// How many tasks may run at once, 1 to 1,048,576. Required.
    pub fn concurrency(mut self, slots: usize) -> Self {
        self.pool = self.pool.concurrency(slots);
        self
    }

    /// How many tasks beyond those may be accepted. 0 is allowed: then a task is accepted only if it can run.
    pub fn queue(mut self, tasks: usize) -> Self {
        self.pool = self.pool.queue(tasks);
        self
    }

    /// What becomes of a task for which there is no room.
    pub fn overflow(mut self, rule: Overflow) -> Self {
        self.pool = self.pool.overflow(rule);
        self
    }

    /// How long a task may be in the pool from its acceptance to its end, above zero. Then it is
    /// [`TimedOut`](TaskError::TimedOut), and its future dropped at its next await.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.pool = self.pool.deadline(deadline);
        self
    }

    /// Builds the pool.
    ///
    /// # Errors
    /// [`BuildError`] names the first option that cannot be honoured, or says that there is no runtime.
    pub fn build(self) -> Result<TaskPool, BuildError> {
        let pool = self.pool.build(|task: Attempt<Task>| {
            let running = task.into_inner().start();
            async move { Ok(running.await) }
        })?;
        Ok(TaskPool { pool })
    }
}

impl fmt::Debug for TaskPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskPoolBuilder").field(&self.pool).finish()
    }
}

/// What became of a pool's tasks when it was shut down.
#[derive(Debug)]
#[non_exhaustive]
pub struct TaskReport {
    /// Accepted tasks that were never started, in the order of acceptance.
    pub unstarted: Vec<Task>,
    /// Tasks that had not come to an await when the shutdown returned. They end, `Aborted`, when they do.
    pub unresponsive: usize,
    /// What became of all tasks of the pool's life.
    pub totals: Totals,
    /// How long the shutdown took.
    pub elapsed: Duration,
}

impl TaskReport {
    /// Whether every task that was ever accepted is accounted for.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unresponsive == 0 && self.totals.accepted == self.totals.ended()
    }
}

impl fmt::Display for TaskReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shut down in {:.1?}: {}; {} given back unstarted", self.elapsed, self.totals, self.unstarted.len())
    }
}
