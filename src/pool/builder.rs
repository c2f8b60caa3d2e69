//! Building a pool: every option is checked once, here.

use super::berth::Berths;
use super::directory;
use super::error::{BuildError, JobError};
use super::handler::{Attempt, ByAttempt, ByHandler, ByState, Exec, Handler, JobFn};
use super::runner::Runner;
use super::shared::{DeadLetterHook, Launcher, Options, PoolClock, Shared, Task, ticks};
use super::threads::Threads;
use super::timer::Timer;
use super::{Cx, WorkerPool};
use crate::contain::contain;
use crate::kernel::engine::{self, Engine, Limits};
use crate::retry::RetryPolicy;
use crate::rt::{Runtime, Timekeeper};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// The most run slots a pool may have.
const MAX_CONCURRENCY: usize = 1 << 20;
/// The most jobs a pool may hold: places are named by 32 bits.
const MAX_CAPACITY: usize = 1 << 31;

/// What a pool does with a submission for which there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// It waits, first come first served. `try_submit` answers `Full`.
    #[default]
    Wait,
    /// It is refused: every way in answers `Full`, with the job.
    Reject,
    /// The job that has waited longest for a slot is shed: it ends [`Shed`](JobError::Shed), with the job inside, and
    /// the dead-letter hook sees it. With a key whose lane is full, it is the oldest waiting job of that key. Where
    /// nothing waits that could be shed, the submission is refused.
    DropOldest,
}

/// How often to look whether a handler on a thread blocks behind which jobs wait that were thought to be short.
const PATROL: Duration = Duration::from_millis(1);

/// The options of a [`WorkerPool`]; made by [`WorkerPool::builder`].
///
/// | option | default | bounds |
/// |---|---|---|
/// | [`concurrency`](Self::concurrency) | none: required | jobs in an attempt at once |
/// | [`queue`](Self::queue) | as many as slots | jobs accepted beyond those; capacity is the sum |
/// | [`overflow`](Self::overflow) | wait | what becomes of a submission without room |
/// | [`per_key`](Self::per_key) | the capacity | jobs of one key in the system |
/// | [`retry`](Self::retry) | one attempt | attempts, their spacing, and the share of retries in the traffic |
/// | [`max_parked`](Self::max_parked) | the capacity | jobs between two attempts |
/// | [`attempt_timeout`](Self::attempt_timeout) | none | the time of one attempt |
/// | [`deadline`](Self::deadline) | none | the time of a job from its acceptance, waits included |
/// | [`cancel_grace`](Self::cancel_grace) | zero | the time a cancelled attempt may still take |
/// | [`thread_name`](Self::thread_name) | `flowgate` | the name of the threads of [`build_blocking`](Self::build_blocking) |
/// | [`thread_keep_alive`](Self::thread_keep_alive) | 10 s | how long such a thread waits for more work |
#[must_use = "a builder does nothing until it is built"]
pub struct WorkerPoolBuilder<J, T, E> {
    concurrency: Option<usize>,
    queue: Option<usize>,
    overflow: Overflow,
    per_key: Option<usize>,
    max_parked: Option<usize>,
    pub(super) retry: Option<RetryPolicy<E>>,
    pub(super) attempt_timeout: Option<Duration>,
    pub(super) deadline: Option<Duration>,
    cancel_grace: Duration,
    on_dead_letter: Option<DeadLetterHook<J, E>>,
    pub(super) thread_name: Option<String>,
    pub(super) thread_keep_alive: Option<Duration>,
    of: std::marker::PhantomData<fn(J) -> T>,
}

impl<J, T, E> WorkerPoolBuilder<J, T, E> {
    pub(super) fn new() -> Self {
        Self {
            concurrency: None,
            queue: None,
            overflow: Overflow::Wait,
            per_key: None,
            max_parked: None,
            retry: None,
            attempt_timeout: None,
            deadline: None,
            cancel_grace: Duration::ZERO,
            on_dead_letter: None,
            thread_name: None,
            thread_keep_alive: None,
            of: std::marker::PhantomData,
        }
    }

    /// The run slots: how many jobs may be in an attempt at once, 1 to 1,048,576. Required.
    pub fn concurrency(mut self, slots: usize) -> Self {
        self.concurrency = Some(slots);
        self
    }

    /// How many jobs beyond the run slots may be accepted, queued or between two attempts. 0 is allowed: then a job is
    /// accepted only if there is a slot for it. The capacity, slots and queue, is at most 2,147,483,648.
    pub fn queue(mut self, jobs: usize) -> Self {
        self.queue = Some(jobs);
        self
    }

    /// What becomes of a submission for which there is no room. By default it waits.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// How many jobs of one [key](super::Submission::key) may be in the pool at once, 1 to the capacity, which is the
    /// default. With a lower value a busy key leaves room for the others: its submitters wait in a line of their own.
    pub fn per_key(mut self, jobs: usize) -> Self {
        self.per_key = Some(jobs);
        self
    }

    /// How failed attempts are repeated. Without it, there is one attempt.
    ///
    /// A job keeps its place while it waits for another attempt, and frees its slot: a retry needs no room to come
    /// back, and cannot be lost or block anybody.
    pub fn retry(mut self, policy: RetryPolicy<E>) -> Self {
        self.retry = Some(policy);
        self
    }

    /// How many jobs may wait for another attempt at once, 0 to the capacity, which is the default: a failing
    /// dependency then fills the pool and submitters feel it. With a lower value fresh jobs keep some room, and a
    /// job that finds no room to wait ends with [`StopReason::ParkedFull`](crate::StopReason::ParkedFull).
    pub fn max_parked(mut self, jobs: usize) -> Self {
        self.max_parked = Some(jobs);
        self
    }

    /// How long one attempt may take, above zero, counted from its first await. The attempt's future is then dropped,
    /// and the retry policy decides; the last bin is `timed_out`. There is no retry if the handler had given its
    /// [`Attempt`] away, to a blocking task for example: the job must be back for that
    /// ([`StopReason::JobKept`](crate::StopReason::JobKept)). Refused by [`build_blocking`](Self::build_blocking): a thread
    /// cannot be stopped.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// How long a job may be in the pool from its acceptance to its outcome, above zero: queued, running or between
    /// attempts. Then it ends `TimedOut`, at its next await if it runs. A retry due later than that ends the job now. An
    /// attempt on a thread goes on; it can ask [`Cx::is_cancelled`].
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How long an attempt may go on after it was cancelled or the pool aborted, so that a handler which watches
    /// [`Cx::cancelled`] can tidy up. Zero, the default, drops its future at the next await. With threads it is how much
    /// longer a shutdown waits for handlers that have been told.
    pub fn cancel_grace(mut self, grace: Duration) -> Self {
        self.cancel_grace = grace;
        self
    }

    /// Is shown each job that failed, panicked or timed out for good or was shed, before its handle resolves; detached
    /// jobs too.
    ///
    /// Not those that were cancelled, aborted or returned. It runs in the job's slot, so it should be short; it
    /// is never called under a lock, and a panic in it is contained.
    pub fn on_dead_letter(mut self, hook: impl Fn(&JobError<J, E>) + Send + Sync + 'static) -> Self {
        self.on_dead_letter = Some(Box::new(hook));
        self
    }
}

impl<J, T, E> WorkerPoolBuilder<J, T, E>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    /// Builds the pool around a closure, or async fn, that takes the job as an owned [`Attempt`].
    ///
    /// # Errors
    /// [`BuildError`] names the first option that cannot be honoured, or says that there is no runtime.
    pub fn build<F, Fut>(self, handler: F) -> Result<WorkerPool<J, T, E>, BuildError>
    where
        F: Fn(Attempt<J>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.finish(ByAttempt(handler))
    }

    /// Builds the pool around shared state and an async fn (or an async closure that captures nothing) which borrows
    /// the state and the job.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn build_with<S, H>(self, state: S, handler: H) -> Result<WorkerPool<J, T, E>, BuildError>
    where
        S: Send + Sync + 'static,
        H: AsyncFn(&S, &mut J, &Cx) -> Result<T, E> + for<'a> JobFn<'a, S, J, T, E> + Send + Sync + 'static,
    {
        self.finish(ByState(state, handler))
    }

    /// Builds the pool around a struct that implements [`Handler`].
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn build_handler<H>(self, handler: H) -> Result<WorkerPool<J, T, E>, BuildError>
    where
        H: Handler<J, Out = T, Err = E>,
    {
        self.finish(ByHandler(handler))
    }

    fn finish<X: Exec<J, T, E>>(self, exec: X) -> Result<WorkerPool<J, T, E>, BuildError> {
        let mut limits = self.check()?;
        self.refuse_thread_options()?;
        let rt = Runtime::current().ok_or(BuildError::NoRuntime)?;
        if self.is_timed() && contain(|| rt.demand_timer()).is_err() {
            return Err(BuildError::NoTimer);
        }
        let threads = rt.threads();
        limits.threads = threads;
        let exec = Arc::new(exec);
        let home = rt.clone();
        let berths = Berths::new(threads);
        let launch = move |task, shared: Arc<Shared<J, T, E>>| match task {
            Task::Runner => home.spawn(berths.spell(shared, |shared, rest| {
                // Borrowed by its own future: moved into it, it would take twice the room.
                let mut runner = Runner::new(shared, exec.clone(), threads);
                async move { runner.run_on(&rest).await }
            })),
            Task::Timer | Task::SpareTimer => home.spawn(Timer::new(shared).run()),
            // No task of this pool waits for a thread.
            Task::Threads(_) => {}
        };
        Ok(self.open(limits, Arc::new(launch), Timekeeper::Runtime(rt), None))
    }

    /// The pool, all options checked.
    pub(super) fn open(
        self,
        limits: Limits,
        launcher: Launcher<J, T, E>,
        time: Timekeeper,
        threads: Option<Arc<Threads>>,
    ) -> WorkerPool<J, T, E> {
        let options = Options {
            retry: self.retry.filter(RetryPolicy::retries),
            attempt_timeout: self.attempt_timeout,
            cancel_grace: self.cancel_grace,
            on_dead_letter: self.on_dead_letter,
            overflow: limits.overflow,
        };
        let mut engine = Engine::new(limits, PoolClock::new());
        if threads.is_some() {
            engine = engine.patrolled(ticks(PATROL));
        }
        WorkerPool { shared: directory::enter(|id| Shared::new(id, engine, options, launcher, time, threads)) }
    }

    /// Says what is wrong with the options, without building the pool.
    pub(crate) fn validate(&self) -> Result<(), BuildError> {
        self.check().map(drop)
    }

    /// Whether an option needs a timer.
    pub(super) fn is_timed(&self) -> bool {
        self.attempt_timeout.is_some()
            || self.deadline.is_some()
            || !self.cancel_grace.is_zero()
            || self.retry.as_ref().is_some_and(RetryPolicy::retries)
    }

    pub(super) fn check(&self) -> Result<Limits, BuildError> {
        let slots = format!("1 to {MAX_CONCURRENCY}");
        let concurrency = self.concurrency.ok_or_else(|| refusal("concurrency", "not set", slots.clone()))?;
        if !(1..=MAX_CONCURRENCY).contains(&concurrency) {
            return Err(refusal("concurrency", concurrency, slots));
        }
        let queue = self.queue.unwrap_or(concurrency);
        let most = MAX_CAPACITY - concurrency;
        if queue > most {
            return Err(refusal("queue", queue, format!("0 to {most} with {concurrency} run slots")));
        }
        let capacity = concurrency + queue;
        let max_parked = self.max_parked.unwrap_or(capacity);
        if max_parked > capacity {
            return Err(refusal("max_parked", max_parked, format!("0 to {capacity}, the capacity")));
        }
        let per_key = self.per_key.unwrap_or(capacity);
        if !(1..=capacity).contains(&per_key) {
            return Err(refusal("per_key", per_key, format!("1 to {capacity}, the capacity")));
        }
        let above_zero = || String::from("above zero");
        for (option, value) in [("attempt_timeout", self.attempt_timeout), ("deadline", self.deadline)] {
            if value == Some(Duration::ZERO) {
                return Err(refusal(option, "0s", above_zero()));
            }
        }
        if let (Some(timeout), Some(deadline)) = (self.attempt_timeout, self.deadline) {
            if timeout > deadline {
                let allowed = format!("above zero, to {deadline:?}, the deadline");
                return Err(refusal("attempt_timeout", format_args!("{timeout:?}"), allowed));
            }
        }
        if let Some(policy) = &self.retry {
            policy.validate()?;
        }
        let overflow = match self.overflow {
            Overflow::Wait => engine::Overflow::Wait,
            Overflow::Reject => engine::Overflow::Reject,
            Overflow::DropOldest => engine::Overflow::DropOldest,
        };
        let deadline = self.deadline.map(ticks);
        Ok(Limits { concurrency, capacity, max_parked, per_lane: per_key, threads: 1, deadline, overflow })
    }
}

pub(super) fn refusal(option: &'static str, value: impl fmt::Display, allowed: String) -> BuildError {
    BuildError::Option { option, value: value.to_string(), allowed }
}

impl<J, T, E> fmt::Debug for WorkerPoolBuilder<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPoolBuilder")
            .field("concurrency", &self.concurrency)
            .field("queue", &self.queue)
            .field("overflow", &self.overflow)
            .field("per_key", &self.per_key)
            .field("max_parked", &self.max_parked)
            .field("retry", &self.retry)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("deadline", &self.deadline)
            .field("cancel_grace", &self.cancel_grace)
            .field("thread_name", &self.thread_name)
            .field("thread_keep_alive", &self.thread_keep_alive)
            .finish_non_exhaustive()
    }
}
