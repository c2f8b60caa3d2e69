//! The output of a task to come.

use super::error::TaskError;
use super::task::{Output, Task, typed};
use crate::pool::handle::{JobHandle, JobId};
use crate::rt;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The output of an accepted task, to be awaited.
///
/// Dropping it detaches: the task goes on, and its output is dropped as soon as it is there. Nothing of a task that has
/// ended is kept but the output that its handle has not read. Awaiting it inside a task of the same pool lends that task's
/// slot for as long as the wait lasts.
///
/// # Cancel safety
/// Safe: it can be polled again later, through `&mut`.
///
/// # Panics
/// When polled again after it was ready.
#[must_use = "dropping a TaskHandle detaches the task"]
pub struct TaskHandle<T> {
    job: JobHandle<Task, Output, Infallible>,
    of: PhantomData<fn() -> T>,
}

impl<T> TaskHandle<T> {
    pub(super) fn new(job: JobHandle<Task, Output, Infallible>) -> Self {
        Self { job, of: PhantomData }
    }

    /// The task's number in the order in which its pool accepted tasks.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.job.id()
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.job.is_finished()
    }

    /// Cancels the task. Idempotent; no effect once it has ended. One that is queued ends at once, one that runs at its next
    /// await.
    pub fn cancel(&self) {
        self.job.cancel();
    }
}

impl<T: 'static> TaskHandle<T> {
    /// Blocks the thread until the output is there; for threads outside the runtime.
    ///
    /// # Errors
    /// The task's own.
    pub fn blocking_wait(self) -> Result<T, TaskError> {
        rt::block_on(self)
    }
}

impl<T: 'static> Future for TaskHandle<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.job).poll(cx));
        Poll::Ready(outcome.map(typed).map_err(TaskError::new))
    }
}

impl<T> fmt::Debug for TaskHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle").field("id", &self.id()).field("finished", &self.is_finished()).finish()
    }
}
