//! Bounded concurrency for services on tokio: work goes in up to a number that you chose, and every piece of it is
//! accounted for.
//!
//! # Which type do I want?
//!
//! | I want to | use |
//! |---|---|
//! | run many jobs of one kind, so many at a time, with retries, results and an orderly shutdown | [`WorkerPool`] |
//! | run a stream of jobs and read the outcomes as a stream, in order or as they come | [`WorkerPool::map`] |
//! | submit many jobs at once, or feed a pool from code that speaks `Sink` | [`WorkerPool::submit_batch`], [`WorkerPool::sink`] |
//! | run jobs that belong together: the first error ends them all | [`WorkerPool::scope`]; [`join`] and [`try_join`] for handles |
//! | run futures of any type, so many at a time: a `JoinSet` with a limit | [`TaskPool`] |
//! | keep the jobs of one customer, file or account in order, and run the others beside them | a pool's [keys](Submission::key) |
//! | the same for work that computes or blocks, on threads, with or without a runtime | [`WorkerPoolBuilder::build_blocking`] |
//! | repeat one fallible call, here and now | [`RetryPolicy::run`] |
//! | load what is missing once, however many ask for it | [`ConcurrentMap::get_or_load`] |
//! | bound retries over everything that talks to one dependency | a [`RetryBudget`], shared by policies |
//! | send a stream through stages, some of them parallel, in order or not, and account for every item | [`Pipeline`] |
//! | deal a stream out to competing branches, by key, or to all of them | [`fan_out`], [`partition_by`], [`broadcast`] |
//! | read many streams as one: as they come, in turn, or sorted | [`fan_in`], [`merge_sorted_by`] |
//! | share a map between tasks, with entries that may expire | [`ConcurrentMap`] |
//!
//! # Where to read on
//!
//! * [`pool`], [`pipeline`], [`retry`] and [`map`] describe what is promised, each in a table.
//! * [`docs::glossary`]: what each word means. [`docs::cancellation`]: what dropping each future does.
//! * [`docs::architecture`]: the floors of the crate and how a pool works. [`docs::limitations`]: where promises end.
#![forbid(unsafe_code)]

mod contain;
pub mod docs;
pub mod fan;
mod kernel;
pub mod map;
pub mod pipeline;
pub mod pool;
pub mod retry;
mod rt;
mod shim;

pub use fan::{
    Branch, Ended, FanIn, InvalidFan, Leg, MergeSorted, Merged, OnLag, broadcast, fan_in, fan_out, merge_sorted_by,
    partition_by,
};
pub use map::{
    Compute, Computed, ConcurrentMap, ConcurrentMapBuilder, Equivalent, InvalidMap, LoadError, LoadSource, Loaded,
    MapFull, Ticker,
};
pub use pipeline::{Batch, InvalidPipeline, OnError, Par, Pipeline, PipelineError, Running};
pub use pool::{
    Attempt, BatchError, BatchRefusal, BuildError, CancelOnDrop, Cx, Failure, Handler, JobError, JobHandle, JobId,
    Join, Map, Order, Overflow, Permit, PoolSink, PoolStats, Report, ReserveError, RunError, Scope, ScopeError,
    Shutdown, Submission, SubmitBatch, SubmitError, Task, TaskError, TaskHandle, TaskPanic, TaskPool, TaskPoolBuilder,
    TaskReport, TaskScope, Totals, TryJoin, WeakPool, WeakTaskPool, WorkerPool, WorkerPoolBuilder, WouldDeadlock,
    blocking_join, blocking_try_join, join, try_join,
};
pub use retry::{
    AttemptInfo, Backoff, Decision, Exhausted, FailedAttempt, InvalidRetry, Jitter, RetryBudget, RetryPolicy,
    StopReason, Verdict,
};

/// Runs the examples of the README as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
