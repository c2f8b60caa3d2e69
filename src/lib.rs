//! Bounded concurrency for services on tokio.
#![forbid(unsafe_code)]

pub mod retry;
mod rt;
mod shim;

pub use retry::{
    AttemptInfo, Backoff, Decision, Exhausted, FailedAttempt, InvalidRetry, Jitter, RetryBudget, RetryPolicy,
    StopReason, Verdict,
};
