//! What can go wrong: with a configuration, with a submission, with a job.

use crate::contain::Payload;
use crate::retry::{InvalidRetry, StopReason};
use crate::shim::Mutex;
use std::error::Error;
use std::fmt;

/// An option of a pool that cannot be honoured: which one, its value, and what is allowed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::{Attempt, WorkerPool};
///
/// let refused = WorkerPool::<u32, u32, ()>::builder().concurrency(0).build(|job: Attempt<u32>| async move { Ok(*job) });
/// assert_eq!(
///     refused.unwrap_err().to_string(),
///     "pool option `concurrency` is 0; allowed: 1 to 1048576",
/// );
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An option of the pool itself.
    #[error("pool option `{option}` is {value}; allowed: {allowed}")]
    Option {
        /// The option's name, as the method that sets it is called.
        option: &'static str,
        /// The refused value, as text.
        value: String,
        /// The allowed range, in words.
        allowed: String,
    },
    /// An option of its retry policy.
    #[error(transparent)]
    Retry(#[from] InvalidRetry),
    /// There is no tokio runtime for the pool's tasks to run on.
    #[error("a pool is built inside a tokio runtime: call `build` from an async fn, or under `Runtime::enter`")]
    NoRuntime,
    /// An option needs a timer, and the runtime was built without one.
    #[error("retry, time limits and `cancel_grace` need a runtime with a timer: call `enable_time` on its builder")]
    NoTimer,
}

/// A job was not accepted. It comes back inside.
pub enum SubmitError<J> {
    /// There was no room, and the caller did not wait.
    Full(J),
    /// The pool admits no more jobs: it was closed, is shutting down, or its runtime is gone.
    Closed(J),
    /// There was no room in time.
    Timeout(J),
    /// The caller is a handler of this very pool, which is full: waiting for room could wait for itself.
    WouldDeadlock(J),
}

impl<J> SubmitError<J> {
    /// The job.
    #[must_use]
    pub fn into_job(self) -> J {
        match self {
            Self::Full(job) | Self::Closed(job) | Self::Timeout(job) | Self::WouldDeadlock(job) => job,
        }
    }

    pub(super) fn map<K>(self, f: impl FnOnce(J) -> K) -> SubmitError<K> {
        match self {
            Self::Full(job) => SubmitError::Full(f(job)),
            Self::Closed(job) => SubmitError::Closed(f(job)),
            Self::Timeout(job) => SubmitError::Timeout(f(job)),
            Self::WouldDeadlock(job) => SubmitError::WouldDeadlock(f(job)),
        }
    }

    /// Whether trying again later can help.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    fn message(&self) -> &'static str {
        match self {
            Self::Full(_) => "the pool is full",
            Self::Closed(_) => "the pool is closed",
            Self::Timeout(_) => "the pool had no room in time",
            Self::WouldDeadlock(_) => {
                "the pool is full, and waiting for room inside its own handler could wait forever"
            }
        }
    }
}

impl<J> fmt::Debug for SubmitError<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
            Self::Timeout(_) => "Timeout(..)",
            Self::WouldDeadlock(_) => "WouldDeadlock(..)",
        })
    }
}

impl<J> fmt::Display for SubmitError<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl<J> Error for SubmitError<J> {}

/// No place was reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReserveError {
    /// There is no room, and the pool's overflow rule is not to wait.
    #[error("the pool is full")]
    Full,
    /// The pool admits no more jobs.
    #[error("the pool is closed")]
    Closed,
    /// The caller is a handler of this very pool, which is full.
    #[error(transparent)]
    WouldDeadlock(#[from] WouldDeadlock),
}

/// The caller is a handler of this very pool, and would wait for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a handler waits for its own pool, and so for itself")]
pub struct WouldDeadlock;

/// Why an accepted job has no result, with the job where it can be had.
#[non_exhaustive]
pub enum JobError<J, E> {
    /// The handler failed, and there was no other attempt.
    Failed(Box<Failure<J, E>>),
    /// The handler, or the retry classifier, panicked.
    Panicked(Box<Failure<J, E>>),
    /// An attempt, or the job as a whole, took too long.
    TimedOut(Box<Failure<J, E>>),
    /// It made room for a newer one, by the pool's overflow rule.
    Shed(Box<Failure<J, E>>),
    /// It was cancelled. The job, unless the handler kept it.
    Cancelled(Option<J>),
    /// The pool ended before the job did: it was aborted or its runtime shut down. The job, unless the handler kept
    /// it or it is in the shutdown's report.
    Aborted(Option<J>),
    /// The pool was shut down before the job's next attempt; the job is in the shutdown's report.
    Returned,
}

/// What is known about a job that failed for good.
pub struct Failure<J, E> {
    /// The job, as the last attempt left it; `None` if the handler kept it.
    pub job: Option<J>,
    /// How many attempts were made.
    pub attempts: u32,
    /// Why there was no other.
    pub stop: StopReason,
    /// The error of the last attempt that returned one.
    pub last_error: Option<E>,
    pub(super) panic: Option<Panic>,
}

/// A panic's payload. In a mutex only because payloads are not `Sync` and errors should be.
pub(super) struct Panic(pub(super) Mutex<Payload>);

impl<J, E> Failure<J, E> {
    /// What the panic said, if there was one and it said so in text.
    #[must_use]
    pub fn panic_message(&self) -> Option<String> {
        let payload = self.panic.as_ref()?.0.lock();
        let text = payload.downcast_ref::<&str>().map(ToString::to_string);
        text.or_else(|| payload.downcast_ref::<String>().cloned())
    }

    /// The panic's payload, to be looked at or raised again with [`std::panic::resume_unwind`].
    #[must_use]
    pub fn into_panic(self) -> Option<Box<dyn std::any::Any + Send>> {
        self.panic.map(|panic| panic.0.into_inner())
    }
}

impl<J, E> JobError<J, E> {
    /// Of a job for which something panicked before it was submitted.
    pub(crate) fn panicked_before(job: J, payload: Payload) -> Self {
        let panic = Some(Panic(Mutex::new(payload)));
        let failure = Failure { job: Some(job), attempts: 0, stop: StopReason::Panicked, last_error: None, panic };
        Self::Panicked(Box::new(failure))
    }

    /// The job, if it came back.
    #[must_use]
    pub fn into_job(self) -> Option<J> {
        match self {
            Self::Failed(failure) | Self::Panicked(failure) | Self::TimedOut(failure) | Self::Shed(failure) => {
                failure.job
            }
            Self::Cancelled(job) | Self::Aborted(job) => job,
            Self::Returned => None,
        }
    }

    /// Attempts, reason and last error, for a job that failed, panicked, timed out or was shed.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure<J, E>> {
        match self {
            Self::Failed(failure) | Self::Panicked(failure) | Self::TimedOut(failure) | Self::Shed(failure) => {
                Some(failure)
            }
            _ => None,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Failed(_) => "Failed",
            Self::Panicked(_) => "Panicked",
            Self::TimedOut(_) => "TimedOut",
            Self::Shed(_) => "Shed",
            Self::Cancelled(_) => "Cancelled",
            Self::Aborted(_) => "Aborted",
            Self::Returned => "Returned",
        }
    }
}

impl<J, E: fmt::Debug> fmt::Debug for Failure<J, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("attempts", &self.attempts)
            .field("stop", &self.stop)
            .field("last_error", &self.last_error)
            .field("panic", &self.panic_message())
            .field("job", &self.job.as_ref().map(|_| ".."))
            .finish()
    }
}

impl<J, E: fmt::Debug> fmt::Debug for JobError<J, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.failure() {
            Some(failure) => f.debug_tuple(self.name()).field(failure).finish(),
            None => f.write_str(self.name()),
        }
    }
}

impl<J, E> fmt::Display for JobError<J, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(failure) = self.failure() else {
            return f.write_str(match self {
                Self::Cancelled(_) => "the job was cancelled",
                Self::Aborted(_) => "the pool ended before the job did",
                _ => "the pool was shut down before the job's next attempt",
            });
        };
        match self {
            Self::Panicked(_) => match failure.panic_message() {
                Some(message) => write!(f, "the job panicked in attempt {}: {message}", failure.attempts),
                None => write!(f, "the job panicked in attempt {}", failure.attempts),
            },
            Self::TimedOut(_) => {
                write!(f, "the job timed out after {}: {}", Attempts(failure.attempts), failure.stop)
            }
            Self::Shed(_) => write!(f, "the job was shed after {}: {}", Attempts(failure.attempts), failure.stop),
            _ => write!(f, "the job failed after {}: {}", Attempts(failure.attempts), failure.stop),
        }
    }
}

struct Attempts(u32);

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} attempt{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

impl<J, E: Error + 'static> Error for JobError<J, E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.failure()?.last_error.as_ref().map(|error| error as &(dyn Error + 'static))
    }
}

/// Why `run` has no result: the job was not accepted, or it did not succeed.
pub enum RunError<J, E> {
    /// It was not accepted.
    Submit(SubmitError<J>),
    /// It did not succeed.
    Job(JobError<J, E>),
}

impl<J, E> RunError<J, E> {
    /// The job, if it came back.
    #[must_use]
    pub fn into_job(self) -> Option<J> {
        match self {
            Self::Submit(refused) => Some(refused.into_job()),
            Self::Job(error) => error.into_job(),
        }
    }
}

impl<J, E: fmt::Debug> fmt::Debug for RunError<J, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Submit(refused) => f.debug_tuple("Submit").field(refused).finish(),
            Self::Job(error) => f.debug_tuple("Job").field(error).finish(),
        }
    }
}

impl<J, E> fmt::Display for RunError<J, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Submit(refused) => refused.fmt(f),
            Self::Job(error) => error.fmt(f),
        }
    }
}

impl<J, E: Error + 'static> Error for RunError<J, E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Submit(_) => None,
            Self::Job(error) => error.source(),
        }
    }
}

impl<J, E> From<SubmitError<J>> for RunError<J, E> {
    fn from(refused: SubmitError<J>) -> Self {
        Self::Submit(refused)
    }
}

impl<J, E> From<JobError<J, E>> for RunError<J, E> {
    fn from(error: JobError<J, E>) -> Self {
        Self::Job(error)
    }
}
