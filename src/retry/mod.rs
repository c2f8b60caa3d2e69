//! When to try again, and when to stop: pure decisions that the pool, [`RetryPolicy::run`] and your own loops share.
//!
//! # What
//! A [`RetryPolicy`] answers one question: an attempt failed; is there another one, and when? It draws no randomness and
//! reads no clock: [`RetryPolicy::decide`] gets both, so that every decision can be repeated in a test.
//!
//! | part | question |
//! |---|---|
//! | classifier → [`Verdict`] | is this error worth another attempt, and did the server say when? |
//! | [`Backoff`] + [`Jitter`] | how long to wait |
//! | `max_attempts`, `max_elapsed`, deadline | how long to go on for one job |
//! | [`RetryBudget`] | how many retries altogether, over all jobs |
//!
//! # The order of the questions
//! The first *no* ends it, and its [`StopReason`] is reported.
//!
//! | | question | no |
//! |---|---|---|
//! | 1 | is it worth another attempt? (a timed-out attempt: `on_timeout`) | `Permanent` |
//! | 2 | is `attempt < max_attempts`, and does the delay sequence go on? | `MaxAttempts` |
//! | 3 | with the delay (or the server's hint), does it start by `max_elapsed`? | `MaxElapsed` |
//! | 4 | does it start before the deadline? | `Deadline` |
//! | 5 | *(a pool only)* is there room to park? | `ParkedFull` |
//! | 6 | does the budget pay for it? | `Budget` |
//!
//! # Invariants
//! 1. `max_attempts(n)` counts the first attempt; so no more than `n` are made.
//! 2. No attempt starts later than `max_elapsed` after the first, nor at or after the deadline. A retry that would is
//!    refused at once instead of after the wait.
//! 3. The budget is asked last: a retry that something else forbids costs no token, and each token that was paid belongs
//!    to a retry that was due.
//! 4. Nothing here panics or overflows, whatever the numbers. User code (the classifier, a delay function) may panic:
//!    that is not caught here. A pool contains it as the job's outcome; out of [`RetryPolicy::run`] it propagates.
//!
//! # Why not the obvious
//! *Retries without a ceiling on the whole* are how a short outage becomes a long one: each job keeps to its own limit
//! and together they triple the load. Hence a budget that is on by default, and [`RetryPolicy::no_budget`] to say aloud
//! that you have another one.
//! *A hint cut to `max_delay`* asks again before the server is ready; *a hint that counts against nothing* parks a job
//! for a day. So a hint is honoured or ends the work with a reason that says so (compare cenkalti/backoff#159, where a
//! long hint ended retrying without a word).
//!
//! # Cost
//! A decision takes about 20 ns besides your classifier, and paying for it an uncontended lock, another 10 ns (bench
//! `retry`). A policy is cloned by counting references.

mod backoff;
mod budget;
mod error;
mod run;
mod verdict;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use backoff::{Backoff, Jitter};
pub use budget::RetryBudget;
pub use error::{Exhausted, InvalidRetry};
pub use verdict::{AttemptInfo, Decision, FailedAttempt, StopReason, Verdict};

/// `max_attempts` where none is set: the first try and two more.
const DEFAULT_MAX_ATTEMPTS: u32 = 3;

type Classifier<E> = dyn Fn(&E, &AttemptInfo) -> Verdict + Send + Sync;

/// When failed work is tried again: which errors, after what delay, how often, for how long, and for what share of the
/// traffic.
///
/// | option | default |
/// |---|---|
/// | `max_attempts` | 3, the first one included (`from_delays`: as many as the sequence gives) |
/// | `factor`, `max_delay` | 2, and 60 s or the base delay if that is longer |
/// | `jitter` | [`Jitter::Full`] (`from_delays`: none) |
/// | `max_elapsed` | none |
/// | `classify` | every error is worth a retry |
/// | `on_timeout` | [`Verdict::Retry`]: a timed-out attempt is retried |
/// | `budget` | a [`RetryBudget`] of its own with the default figures, shared by the policy's clones |
///
/// `Clone + Send + Sync` whatever `E` is. Options are checked by [`validate`](Self::validate), which `run` and a pool's
/// `build` call; setting one never panics.
///
/// ```
/// use flowgate::retry::{Decision, FailedAttempt, RetryPolicy, StopReason, Verdict};
/// use std::io::{Error, ErrorKind};
/// use std::time::Duration;
///
/// let policy = RetryPolicy::exponential(Duration::from_millis(100))
///     .max_attempts(5)
///     .classify(|error: &Error, _| match error.kind() {
///         ErrorKind::NotFound => Verdict::Stop,
///         _ => Verdict::Retry,
///     });
///
/// let gone = Error::from(ErrorKind::NotFound);
/// let decision = policy.decide(&FailedAttempt {
///     attempt: 1,
///     error: Some(&gone),
///     elapsed: Duration::ZERO,
///     previous_delay: None,
///     until_deadline: None,
///     random: 42,
///     now: Duration::ZERO,
/// });
/// assert_eq!(decision, Decision::Stop(StopReason::Permanent));
/// ```
#[must_use = "a policy does nothing until a pool or `run` uses it"]
pub struct RetryPolicy<E> {
    backoff: Backoff,
    max_attempts: u32,
    max_elapsed: Option<Duration>,
    on_timeout: Verdict,
    classifier: Option<Arc<Classifier<E>>>,
    budget: Option<RetryBudget>,
}

impl<E> RetryPolicy<E> {
    /// One attempt and no retry.
    pub fn none() -> Self {
        Self { max_attempts: 1, budget: None, ..Self::new(Backoff::never()) }
    }

    /// The same delay before each retry; see [`Backoff::fixed`]. With the default full jitter each wait is anything up
    /// to `delay`.
    pub fn fixed(delay: Duration) -> Self {
        Self::new(Backoff::fixed(delay))
    }

    /// Delays that double, starting at `base`; see [`Backoff::exponential`].
    pub fn exponential(base: Duration) -> Self {
        Self::new(Backoff::exponential(base))
    }

    /// `delays(n)` is the delay after attempt `n` failed, `None` the end; see [`Backoff::from_delays`].
    ///
    /// The sequence says how many attempts there are. If it never ends, add [`max_attempts`](Self::max_attempts).
    pub fn from_delays(delays: impl Fn(u32) -> Option<Duration> + Send + Sync + 'static) -> Self {
        Self { max_attempts: u32::MAX, ..Self::new(Backoff::from_delays(delays)) }
    }

    fn new(backoff: Backoff) -> Self {
        let budget = Some(RetryBudget::new());
        let on_timeout = Verdict::Retry;
        let max_attempts = DEFAULT_MAX_ATTEMPTS;
        Self { backoff, max_attempts, max_elapsed: None, on_timeout, classifier: None, budget }
    }

    /// How much longer each delay is than the one before: finite, 1 or more.
    pub fn factor(mut self, factor: f64) -> Self {
        self.backoff = self.backoff.factor(factor);
        self
    }

    /// The longest backoff delay: above zero, and not below the base. A server's hint is not cut by it.
    pub fn max_delay(mut self, max_delay: Duration) -> Self {
        self.backoff = self.backoff.max_delay(max_delay);
        self
    }

    /// How delays are spread out, so that callers which failed together do not come back together.
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.backoff = self.backoff.jitter(jitter);
        self
    }

    /// How many attempts there are at most, **the first one included**: 1 or more. `u32::MAX` is as good as no limit;
    /// then set [`max_elapsed`](Self::max_elapsed) or a deadline.
    pub fn max_attempts(mut self, max_attempts: u32) -> Self {
        self.max_attempts = max_attempts;
        self
    }

    /// The latest start of an attempt, counted from the start of the first: above zero.
    ///
    /// The time that attempts take counts. An attempt that runs is never interrupted by this; that is what an attempt
    /// timeout is for. A job whose first attempt takes longer is therefore not retried.
    pub fn max_elapsed(mut self, max_elapsed: Duration) -> Self {
        self.max_elapsed = Some(max_elapsed);
        self
    }

    /// Asks `classifier` about each error. Without one, every error is worth a retry.
    ///
    /// It is also asked about the last attempt's error, so that a permanent one is reported as permanent. A panic in it
    /// is not caught here: a pool makes it the job's outcome, [`run`](Self::run) lets it through.
    pub fn classify(mut self, classifier: impl Fn(&E, &AttemptInfo) -> Verdict + Send + Sync + 'static) -> Self {
        self.classifier = Some(Arc::new(classifier));
        self
    }

    /// The verdict on an attempt that timed out and so has no error to classify. Default [`Verdict::Retry`].
    ///
    /// ```
    /// use flowgate::retry::{RetryPolicy, Verdict};
    /// use std::time::Duration;
    ///
    /// // A write that timed out may have happened: do not repeat it.
    /// let policy = RetryPolicy::<std::io::Error>::exponential(Duration::from_millis(50)).on_timeout(Verdict::Stop);
    /// # assert!(policy.validate().is_ok());
    /// ```
    pub fn on_timeout(mut self, verdict: Verdict) -> Self {
        self.on_timeout = verdict;
        self
    }

    /// Pays retries from `budget`. Give clones of one budget to every policy that leads to the same dependency.
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Retries without a ceiling on the whole, for example where a proxy keeps a budget already.
    pub fn no_budget(mut self) -> Self {
        self.budget = None;
        self
    }

    /// The delay sequence.
    #[must_use]
    pub fn backoff(&self) -> &Backoff {
        &self.backoff
    }

    /// The budget that retries are paid from, if there is one: for its counters.
    #[must_use]
    pub fn retry_budget(&self) -> Option<&RetryBudget> {
        self.budget.as_ref()
    }

    /// Whether there can be a second attempt at all.
    #[must_use]
    pub fn retries(&self) -> bool {
        self.max_attempts > 1 && self.backoff.retries()
    }

    /// Checks that the options go together. [`run`](Self::run) and a pool's `build` do this for you.
    ///
    /// # Errors
    /// The first option that cannot be honoured, with its value and what is allowed.
    pub fn validate(&self) -> Result<(), InvalidRetry> {
        if self.max_attempts == 0 {
            return Err(InvalidRetry::new("max_attempts", 0, "1 or more (the first attempt counts)"));
        }
        if self.max_attempts > 1 && !self.backoff.retries() {
            return Err(InvalidRetry::new("max_attempts", self.max_attempts, "1 with `RetryPolicy::none`"));
        }
        if self.max_elapsed == Some(Duration::ZERO) {
            return Err(InvalidRetry::new("max_elapsed", Duration::ZERO, "above zero"));
        }
        self.backoff.validate()?;
        self.budget.as_ref().map_or(Ok(()), RetryBudget::validate)
    }

    /// Decides about a failed attempt: [`plan`](Self::plan), then [`pay`](Self::pay).
    ///
    /// A pure function but for the budget's account. Calls the classifier, and so panics where that does.
    pub fn decide(&self, failed: &FailedAttempt<'_, E>) -> Decision {
        match self.plan(failed) {
            Decision::RetryAfter(_) if !self.pay(failed.now) => Decision::Stop(StopReason::Budget),
            decision => decision,
        }
    }

    /// Everything that [`decide`](Self::decide) asks except the budget, for callers with a question of their own in
    /// between. A [`Decision::RetryAfter`] from here must be paid for with [`pay`](Self::pay) before it is made.
    pub fn plan(&self, failed: &FailedAttempt<'_, E>) -> Decision {
        let verdict = match (failed.error, &self.classifier) {
            (None, _) => self.on_timeout,
            (Some(_), None) => Verdict::Retry,
            (Some(error), Some(classifier)) => classifier(error, &failed.info()),
        };
        let hint = match verdict {
            Verdict::Stop => return Decision::Stop(StopReason::Permanent),
            Verdict::Retry => None,
            Verdict::RetryAfter(hint) => Some(hint),
        };
        if failed.attempt >= self.max_attempts {
            return Decision::Stop(StopReason::MaxAttempts);
        }
        let Some(backoff) = self.backoff.delay(failed.attempt, failed.previous_delay, failed.random) else {
            return Decision::Stop(StopReason::MaxAttempts);
        };
        let delay = hint.unwrap_or(backoff);
        if self.max_elapsed.is_some_and(|max| failed.elapsed.saturating_add(delay) > max) {
            return Decision::Stop(StopReason::MaxElapsed);
        }
        if failed.until_deadline.is_some_and(|left| delay >= left) {
            return Decision::Stop(StopReason::Deadline);
        }
        Decision::RetryAfter(delay)
    }

    /// Pays the budget for one retry that will be made; always `true` without a budget.
    #[must_use = "a retry that was not paid for must not be made"]
    pub fn pay(&self, now: Duration) -> bool {
        self.budget.as_ref().is_none_or(|budget| budget.try_withdraw(now))
    }

    /// Tells the budget that `n` first attempts started; nothing without a budget. `run` and pools do this for you.
    pub fn deposit(&self, now: Duration, n: u32) {
        if let Some(budget) = &self.budget {
            budget.deposit(now, n);
        }
    }
}

impl<E> Clone for RetryPolicy<E> {
    fn clone(&self) -> Self {
        Self {
            backoff: self.backoff.clone(),
            max_attempts: self.max_attempts,
            max_elapsed: self.max_elapsed,
            on_timeout: self.on_timeout,
            classifier: self.classifier.clone(),
            budget: self.budget.clone(),
        }
    }
}

impl<E> fmt::Debug for RetryPolicy<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("backoff", &self.backoff)
            .field("max_attempts", &self.max_attempts)
            .field("max_elapsed", &self.max_elapsed)
            .field("on_timeout", &self.on_timeout)
            .field("classify", &self.classifier.as_ref().map(|_| "Fn(&E, &AttemptInfo)"))
            .field("budget", &self.budget)
            .finish()
    }
}
