//! Building a pool whose runners are threads.

use super::Threads;
use super::exec::ByThread;
use super::staff::{Hiring, Staff};
use crate::contain::contain;
use crate::pool::builder::refusal;
use crate::pool::error::BuildError;
use crate::pool::{Cx, WorkerPool, WorkerPoolBuilder};
use crate::rt::{self, Runtime, Timekeeper};
use std::sync::Arc;
use std::time::Duration;

/// How long a thread waits for more work, if nothing else is said.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

const FOR_THREADS_ONLY: &str = "only with `build_blocking`";

impl<J, T, E> WorkerPoolBuilder<J, T, E> {
    /// The name of the threads of a pool built with [`build_blocking`](Self::build_blocking), as debuggers and panic
    /// messages show it. `flowgate` by default; without a zero byte.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_name = Some(name.into());
        self
    }

    /// How long a thread of a pool built with [`build_blocking`](Self::build_blocking) waits for more work before it ends.
    /// 10 s by default. With zero, a thread ends whenever the queue is empty.
    pub fn thread_keep_alive(mut self, time: Duration) -> Self {
        self.thread_keep_alive = Some(time);
        self
    }

    /// Refuses, for a pool of tasks, what only threads have.
    pub(in crate::pool) fn refuse_thread_options(&self) -> Result<(), BuildError> {
        if let Some(name) = &self.thread_name {
            return Err(refusal("thread_name", format_args!("{name:?}"), FOR_THREADS_ONLY.into()));
        }
        match self.thread_keep_alive {
            Some(time) => Err(refusal("thread_keep_alive", format_args!("{time:?}"), FOR_THREADS_ONLY.into())),
            None => Ok(()),
        }
    }

    /// Refuses, for a pool of threads, what threads cannot do.
    fn refuse_task_options(&self) -> Result<(), BuildError> {
        if let Some(timeout) = self.attempt_timeout {
            let allowed =
                "not set with `build_blocking`: a thread cannot be stopped; set a `deadline`, or look at `cx`";
            return Err(refusal("attempt_timeout", format_args!("{timeout:?}"), allowed.into()));
        }
        match &self.thread_name {
            Some(name) if name.contains('\0') => {
                Err(refusal("thread_name", format_args!("{name:?}"), "a name without a zero byte".into()))
            }
            _ => Ok(()),
        }
    }
}

impl<J, T, E> WorkerPoolBuilder<J, T, E>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    /// Builds a pool whose handler blocks: its runners are threads, at most `concurrency` of them. For work that computes, or
    /// that waits in calls which are not async. No tokio runtime is needed, to build it or to use it.
    ///
    /// Everything else is as with [`build`](Self::build), the table in [`pool`](crate::pool#tasks-or-threads) names what is
    /// not: the handler is told of a cancellation only when it asks ([`Cx::is_cancelled`]), and no attempt can be timed out.
    ///
    /// Threads are started when there is work and end when there has been none for the
    /// [`thread_keep_alive`](Self::thread_keep_alive). Beyond `concurrency`, there is one more for each handler that waits for
    /// another job of this pool, and one for the timer. Built inside a tokio runtime, the pool keeps
    /// that runtime's time, and its threads are in its context, as those of `spawn_blocking` are; it does not end with it.
    ///
    /// # Errors
    /// [`BuildError`] names the first option that cannot be honoured; `attempt_timeout` is one.
    ///
    /// ```
    /// use flowgate::{Shutdown, WorkerPool};
    ///
    /// let pool = WorkerPool::<Vec<u8>, u64, ()>::builder()
    ///     .concurrency(2)
    ///     .queue(16)
    ///     .build_blocking(|bytes, _cx| Ok(bytes.iter().map(|byte| u64::from(*byte)).sum()))
    ///     .unwrap();
    ///
    /// let handle = pool.blocking_submit(vec![1, 2, 3]).unwrap(); // waits while the pool is full
    /// assert_eq!(handle.blocking_wait().unwrap(), 6);
    ///
    /// let report = pool.blocking_shutdown(Shutdown::Drain).unwrap();
    /// assert_eq!(report.totals.succeeded, 1);
    /// ```
    pub fn build_blocking<F>(self, handler: F) -> Result<WorkerPool<J, T, E>, BuildError>
    where
        F: Fn(&mut J, &Cx) -> Result<T, E> + Send + Sync + 'static,
    {
        let mut limits = self.check()?;
        self.refuse_task_options()?;
        limits.threads = rt::system_threads();
        let hiring = Hiring {
            name: self.thread_name.clone().unwrap_or_else(|| String::from("flowgate")),
            keep_alive: self.thread_keep_alive.unwrap_or(KEEP_ALIVE),
            home: Runtime::current().filter(|home| contain(|| home.demand_timer()).is_ok()),
        };
        let time = Timekeeper::threads(hiring.name.clone());
        let threads = Threads::new(limits.concurrency);
        let staff = Staff::new(ByThread(handler), threads.clone(), limits.threads, hiring);
        Ok(self.open(limits, Arc::new(move |task, shared| staff.launch(task, shared)), time, Some(threads)))
    }
}
