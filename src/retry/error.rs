//! What goes wrong: a policy that contradicts itself, and an operation that was tried for the last time.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::StopReason;

/// An option of a retry policy or budget that cannot be honoured: which one, its value and what is allowed.
///
/// ```
/// use flowgate::retry::RetryPolicy;
/// use std::time::Duration;
///
/// let policy = RetryPolicy::<std::io::Error>::exponential(Duration::from_millis(100)).factor(0.5);
/// let error = policy.validate().unwrap_err();
/// assert_eq!(error.option(), "factor");
/// assert_eq!(error.to_string(), "retry option `factor` is 0.5; allowed: a finite number, 1 or more");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("retry option `{option}` is {value}; allowed: {allowed}")]
pub struct InvalidRetry {
    option: &'static str,
    value: String,
    allowed: String,
}

impl InvalidRetry {
    pub(super) fn new(option: &'static str, value: impl fmt::Debug, allowed: impl Into<String>) -> Self {
        Self { option, value: format!("{value:?}"), allowed: allowed.into() }
    }

    /// The option's name, as the method that sets it is called.
    #[must_use]
    pub fn option(&self) -> &'static str {
        self.option
    }

    /// The refused value, as text.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The allowed range, in words.
    #[must_use]
    pub fn allowed(&self) -> &str {
        &self.allowed
    }
}

/// [`RetryPolicy::run`](super::RetryPolicy::run) gave up: the last error, how often it was tried and why not once more.
///
/// `Display` tells attempts, time and reason; the last attempt's error is the `source()`.
///
/// ```
/// use flowgate::retry::{RetryPolicy, StopReason};
/// # use std::{io, time::Duration};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let policy = RetryPolicy::fixed(Duration::from_millis(10)).max_attempts(2);
/// let gone = policy.run(|_| async { Err::<(), _>(io::Error::from(io::ErrorKind::NotConnected)) }).await.unwrap_err();
/// assert_eq!((gone.attempts(), gone.stop()), (2, StopReason::MaxAttempts));
/// let last: io::Error = gone.into_error().expect("it was attempted");
/// # assert_eq!(last.kind(), io::ErrorKind::NotConnected);
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhausted<E> {
    cause: Cause<E>,
    attempts: u32,
    stop: StopReason,
    elapsed: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Cause<E> {
    /// The last attempt's error.
    Attempt(E),
    /// Nothing was attempted.
    Policy(InvalidRetry),
}

impl<E> Exhausted<E> {
    pub(super) fn attempt(error: E, attempts: u32, stop: StopReason, elapsed: Duration) -> Self {
        Self { cause: Cause::Attempt(error), attempts, stop, elapsed }
    }

    pub(super) fn policy(invalid: InvalidRetry) -> Self {
        let stop = StopReason::InvalidPolicy;
        Self { cause: Cause::Policy(invalid), attempts: 0, stop, elapsed: Duration::ZERO }
    }

    /// The last attempt's error; `None` if the policy was invalid and nothing was attempted.
    #[must_use]
    pub fn error(&self) -> Option<&E> {
        match &self.cause {
            Cause::Attempt(error) => Some(error),
            Cause::Policy(_) => None,
        }
    }

    /// Takes the last attempt's error.
    ///
    /// # Errors
    /// The policy was invalid: nothing was attempted, and this says which option is wrong.
    pub fn into_error(self) -> Result<E, InvalidRetry> {
        match self.cause {
            Cause::Attempt(error) => Ok(error),
            Cause::Policy(invalid) => Err(invalid),
        }
    }

    /// How many attempts were made, the first included. Zero only if the policy was invalid.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Why there was no other attempt.
    #[must_use]
    pub fn stop(&self) -> StopReason {
        self.stop
    }

    /// The time from the start of the first attempt to the last failure.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

impl<E> fmt::Display for Exhausted<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.attempts == 1 { "" } else { "s" };
        write!(f, "gave up after {} attempt{plural} in {:?}: {}", self.attempts, self.elapsed, self.stop)
    }
}

impl<E: Error + 'static> Error for Exhausted<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::Attempt(error) => Some(error),
            Cause::Policy(invalid) => Some(invalid),
        }
    }
}
