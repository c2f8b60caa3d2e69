//! Bounded concurrency for services on tokio.
#![forbid(unsafe_code)]

mod contain;
mod kernel;
pub mod pool;
pub mod retry;
mod rt;
mod shim;

pub use pool::{
    Attempt, BuildError, CancelOnDrop, Cx, Failure, Handler, JobError, JobHandle, JobId, Permit, PoolStats, Report,
    ReserveError, RunError, Shutdown, SubmitError, Totals, WeakPool, WorkerPool, WorkerPoolBuilder, WouldDeadlock,
};
pub use retry::{
    AttemptInfo, Backoff, Decision, Exhausted, FailedAttempt, InvalidRetry, Jitter, RetryBudget, RetryPolicy,
    StopReason, Verdict,
};
