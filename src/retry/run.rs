//! A policy on its own, without a pool: the one file here that waits, reads the clock and draws random numbers.

use std::future::Future;
use std::time::Duration;

use super::{AttemptInfo, Decision, Exhausted, FailedAttempt, RetryPolicy};
use crate::rt;

impl<E> RetryPolicy<E> {
    /// Calls `op` until it succeeds or this policy stops, waiting in between.
    ///
    /// Attempts follow one another: never two at once. Nothing is spawned; attempts and waits happen inside the returned
    /// future, which is `Send` if `op` and its futures are. Time is tokio's, so tests can pause it. `op` is not
    /// interrupted: wrap its future in a timeout that gives your own error, if an attempt may hang.
    ///
    /// The call counts as one first attempt in the budget, and each retry pays. A retry without a delay goes through the
    /// timer too, so an `op` that fails at once cannot keep its thread from other tasks.
    ///
    /// # Errors
    /// [`Exhausted`]: the last attempt's error, the number of attempts, the reason and the time; or, with
    /// [`InvalidPolicy`](super::StopReason::InvalidPolicy) and no attempt made, what [`validate`](Self::validate) objects
    /// to.
    ///
    /// # Panics
    /// Where `op`, its futures or the classifier panic: nothing is caught. On the first wait, if there is no tokio
    /// runtime with its timer enabled.
    ///
    /// # Cancel safety
    /// Dropping the future drops the attempt that runs, at its await point, or ends the wait; no attempt starts after
    /// that. What the budget was paid stays paid, even for a retry that was still waiting. Nothing else is lost.
    ///
    /// ```
    /// use flowgate::retry::{RetryPolicy, Verdict};
    /// use std::time::Duration;
    ///
    /// #[derive(Debug)]
    /// struct Busy { retry_after: Duration }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let policy = RetryPolicy::exponential(Duration::from_millis(100))
    ///     .max_elapsed(Duration::from_secs(30))
    ///     .classify(|busy: &Busy, _| Verdict::RetryAfter(busy.retry_after));
    ///
    /// let answer = policy
    ///     .run(|info| async move {
    ///         if info.attempt < 3 { Err(Busy { retry_after: Duration::from_secs(1) }) } else { Ok(info.elapsed) }
    ///     })
    ///     .await;
    /// assert_eq!(answer.map(|elapsed| elapsed.as_secs()).ok(), Some(2));
    /// # }
    /// ```
    pub async fn run<T, F, Fut>(&self, mut op: F) -> Result<T, Exhausted<E>>
    where
        F: FnMut(AttemptInfo) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.validate().map_err(Exhausted::policy)?;
        let started = rt::now();
        self.deposit(rt::since_epoch(started), 1);
        let mut info = AttemptInfo::new(1, Duration::ZERO);
        loop {
            let delay = match op(info).await {
                Ok(value) => return Ok(value),
                Err(error) => self.delay_after(info, error, started)?,
            };
            rt::sleep(delay).await;
            info = AttemptInfo::new(info.attempt.saturating_add(1), started.elapsed()).with_previous_delay(delay);
        }
    }

    /// How long to wait after `error`, or the end. Not async, so that the error does not live across the wait.
    fn delay_after(&self, info: AttemptInfo, error: E, started: rt::Instant) -> Result<Duration, Exhausted<E>> {
        let now = rt::now();
        let elapsed = now.saturating_duration_since(started);
        let decision = self.decide(&FailedAttempt {
            attempt: info.attempt,
            error: Some(&error),
            elapsed,
            previous_delay: info.previous_delay,
            until_deadline: None,
            random: rt::random(),
            now: rt::since_epoch(now),
        });
        match decision {
            Decision::RetryAfter(delay) => Ok(delay),
            Decision::Stop(reason) => Err(Exhausted::attempt(error, info.attempt, reason, elapsed)),
        }
    }
}
