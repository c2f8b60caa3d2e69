//! The words a retry decision is made of: what the classifier is told and answers, and what the policy decides.

use std::fmt;
use std::time::Duration;

/// What a classifier says about one failure.
///
/// ```
/// use flowgate::retry::{AttemptInfo, Verdict};
/// use std::time::Duration;
///
/// enum Refused { Busy { retry_after: Duration }, Timeout, NotFound }
///
/// fn classify(error: &Refused, _: &AttemptInfo) -> Verdict {
///     match error {
///         Refused::Busy { retry_after } => Verdict::RetryAfter(*retry_after), // the server knows best
///         Refused::Timeout => Verdict::Retry,
///         Refused::NotFound => Verdict::Stop, // trying again cannot help
///     }
/// }
/// # let info = AttemptInfo::new(1, Duration::ZERO);
/// assert_eq!(classify(&Refused::NotFound, &info), Verdict::Stop);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Worth another attempt, after the delay that the policy's [`Backoff`](super::Backoff) gives.
    Retry,
    /// Worth another attempt, but not before this much time has passed: a server's hint, such as HTTP's `Retry-After`.
    ///
    /// The hint takes the place of the backoff delay and is honoured as it is:
    ///
    /// * it is **not** cut by `max_delay` (asking again sooner than a server said only makes things worse) and gets no
    ///   jitter;
    /// * it does not buy time: a hint beyond `max_elapsed` or the deadline ends the work now, with
    ///   [`StopReason::MaxElapsed`] or [`StopReason::Deadline`], instead of waiting for a retry that may not start;
    /// * zero retries at once; the attempt still counts and still pays the budget;
    /// * [`Duration::MAX`] waits for ever where neither `max_elapsed` nor a deadline is set. It overflows nothing.
    RetryAfter(Duration),
    /// Permanent: no other attempt.
    Stop,
}

/// Why there was no other attempt.
///
/// ```
/// use flowgate::retry::StopReason;
/// assert_eq!(StopReason::Budget.to_string(), "the retry budget is spent");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// The verdict on the failure was [`Verdict::Stop`].
    Permanent,
    /// `max_attempts` were made, the first one included, or the delay sequence ended.
    MaxAttempts,
    /// The next attempt would have started later than `max_elapsed` after the first.
    MaxElapsed,
    /// The retry budget had no token left: too large a share of the recent traffic was retries already.
    Budget,
    /// The next attempt could not have started before the deadline.
    Deadline,
    /// The policy itself is contradictory, and nothing was attempted.
    /// Given by [`RetryPolicy::run`](super::RetryPolicy::run) only; a pool refuses such a policy when it is built.
    InvalidPolicy,
    /// As many jobs as `max_parked` allows were waiting out a backoff already. Given by a pool only.
    ParkedFull,
    /// Newer jobs needed its place in the queue. Given by a pool only.
    Shed,
    /// The pool was shutting down. Given by a pool only.
    ShuttingDown,
    /// The handler, or the classifier, panicked. Given by a pool only.
    Panicked,
    /// The handler took the job for good, so there was nothing to try again with. Given by a pool only.
    JobKept,
}

impl StopReason {
    /// The reason in words, as `Display` shows it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permanent => "the error is permanent",
            Self::MaxAttempts => "all attempts are used up",
            Self::MaxElapsed => "the next attempt would start too late",
            Self::Budget => "the retry budget is spent",
            Self::Deadline => "the next attempt would start after the deadline",
            Self::InvalidPolicy => "the retry policy is invalid",
            Self::ParkedFull => "too many jobs are waiting to be retried",
            Self::Shed => "newer jobs needed its place",
            Self::ShuttingDown => "the pool is shutting down",
            Self::Panicked => "it panicked",
            Self::JobKept => "the handler kept the job",
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which attempt this is, for an operation that starts one and for a classifier that judges one.
///
/// ```
/// use flowgate::retry::AttemptInfo;
/// use std::time::Duration;
///
/// let info = AttemptInfo::new(2, Duration::from_millis(130));
/// assert!(info.attempt > 1, "a retry");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct AttemptInfo {
    /// The attempt's number; the first is 1.
    pub attempt: u32,
    /// The time since the first attempt started: until now when an attempt starts, until the failure when one is judged.
    pub elapsed: Duration,
    /// How long the wait before this attempt was; `None` for the first.
    pub previous_delay: Option<Duration>,
}

impl AttemptInfo {
    /// An attempt, for example to test a classifier with.
    #[must_use]
    pub const fn new(attempt: u32, elapsed: Duration) -> Self {
        Self { attempt, elapsed, previous_delay: None }
    }

    /// The same attempt, preceded by a wait of `delay`.
    #[must_use]
    pub const fn with_previous_delay(mut self, delay: Duration) -> Self {
        self.previous_delay = Some(delay);
        self
    }
}

/// Everything that [`RetryPolicy::decide`](super::RetryPolicy::decide) looks at: one failed attempt and the time.
///
/// A plain struct without defaults, so that a caller with a retry loop of its own cannot forget an input: a forgotten
/// random number would give every caller the same jitter.
///
/// ```
/// use flowgate::retry::{Decision, FailedAttempt, RetryPolicy, StopReason};
/// use std::time::Duration;
///
/// let policy = RetryPolicy::<std::io::Error>::fixed(Duration::from_millis(50)).max_attempts(2);
/// let mut failed = FailedAttempt {
///     attempt: 1,
///     error: None, // it timed out
///     elapsed: Duration::from_millis(20),
///     previous_delay: None,
///     until_deadline: Some(Duration::from_secs(1)),
///     random: u64::MAX, // the longest jitter, for the example
///     now: Duration::from_secs(7),
/// };
/// assert_eq!(policy.decide(&failed), Decision::RetryAfter(Duration::from_millis(50)));
/// failed.attempt = 2;
/// assert_eq!(policy.decide(&failed), Decision::Stop(StopReason::MaxAttempts));
/// ```
#[derive(Debug)]
pub struct FailedAttempt<'a, E> {
    /// The number of the attempt that failed; the first is 1.
    pub attempt: u32,
    /// Its error, or `None` if the attempt timed out.
    pub error: Option<&'a E>,
    /// The time from the start of the first attempt to this failure.
    pub elapsed: Duration,
    /// How long the wait before this attempt was; `None` if it was the first.
    pub previous_delay: Option<Duration>,
    /// The time left until the caller's deadline, if there is one. At the deadline itself nothing starts any more.
    pub until_deadline: Option<Duration>,
    /// Any 64 uniformly random bits, new for each failure: the jitter.
    pub random: u64,
    /// The time since a fixed moment, the same for everybody who shares the policy's budget.
    pub now: Duration,
}

impl<E> FailedAttempt<'_, E> {
    /// What the classifier is told about this attempt.
    #[must_use]
    pub const fn info(&self) -> AttemptInfo {
        AttemptInfo { attempt: self.attempt, elapsed: self.elapsed, previous_delay: self.previous_delay }
    }
}

impl<E> Clone for FailedAttempt<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for FailedAttempt<'_, E> {}

/// What a policy decides about a failed attempt. There is an example at [`FailedAttempt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a decision does nothing by itself"]
pub enum Decision {
    /// Start another attempt once this much time has passed.
    RetryAfter(Duration),
    /// Make no other attempt.
    Stop(StopReason),
}
