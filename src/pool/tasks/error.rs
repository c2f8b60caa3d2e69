//! Why a task has no output.

use crate::contain::{Payload, discard};
use crate::pool::error::JobError;
use crate::shim::Mutex;
use std::error::Error;
use std::fmt;

/// Why a task has no output.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// It panicked.
    #[error(transparent)]
    Panicked(TaskPanic),
    /// It was cancelled: by its handle, its scope, or a submitter that was dropped.
    #[error("the task was cancelled")]
    Cancelled,
    /// The pool's deadline for a task had passed.
    #[error("the task timed out")]
    TimedOut,
    /// It made room for a newer one.
    #[error("the task was dropped for a newer one")]
    Shed,
    /// The pool ended before the task did.
    #[error("the pool ended before the task did")]
    Aborted,
    /// The pool was shut down before the task was started; the task is in the shutdown's report.
    #[error("the pool was shut down before the task was started")]
    Returned,
}

impl TaskError {
    pub(super) fn new<J, E>(error: JobError<J, E>) -> Self {
        match error {
            JobError::Panicked(failure) | JobError::Failed(failure) => match failure.into_panic() {
                Some(payload) => Self::Panicked(TaskPanic(Mutex::new(payload))),
                None => unreachable!("a task does not fail"),
            },
            // What was not started is dropped here, on the thread of whoever asks, who is not to blame for it.
            JobError::TimedOut(failure) => {
                discard(failure);
                Self::TimedOut
            }
            JobError::Shed(failure) => {
                discard(failure);
                Self::Shed
            }
            JobError::Cancelled(task) => {
                discard(task);
                Self::Cancelled
            }
            JobError::Aborted(task) => {
                discard(task);
                Self::Aborted
            }
            JobError::Returned => Self::Returned,
        }
    }
}

/// What a task panicked with. In a mutex, because payloads are not `Sync` and errors should be.
pub struct TaskPanic(Mutex<Payload>);

impl TaskPanic {
    /// What it said, if it said so in text.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        let payload = self.0.lock();
        let text = payload.downcast_ref::<&str>().map(ToString::to_string);
        text.or_else(|| payload.downcast_ref::<String>().cloned())
    }

    /// The payload, to be looked at or raised again with [`std::panic::resume_unwind`].
    #[must_use]
    pub fn into_payload(self) -> Box<dyn std::any::Any + Send> {
        self.0.into_inner()
    }
}

impl fmt::Debug for TaskPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskPanic").field(&self.message()).finish()
    }
}

impl fmt::Display for TaskPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message() {
            Some(message) => write!(f, "the task panicked: {message}"),
            None => f.write_str("the task panicked"),
        }
    }
}

impl Error for TaskPanic {}

/// Why a [`TaskScope`](super::TaskScope) has no results: the first thing that went wrong in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError<E> {
    /// A task returned an error.
    #[error("a task of the scope failed")]
    Failed(#[source] E),
    /// A task did not return.
    #[error(transparent)]
    Task(TaskError),
}
