//! Retry: the policy alone, without a pool.

mod auto_traits;
mod backoff;
mod budget;
mod config;
mod decide;
mod exhausted;
mod run;
mod seed_defects;

use std::time::Duration;

use flowgate::retry::FailedAttempt;

pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A first attempt that failed with `error` at time zero, without a deadline.
pub(crate) fn failed<E>(error: &E) -> FailedAttempt<'_, E> {
    FailedAttempt {
        attempt: 1,
        error: Some(error),
        elapsed: Duration::ZERO,
        previous_delay: None,
        until_deadline: None,
        random: 0,
        now: Duration::ZERO,
    }
}
