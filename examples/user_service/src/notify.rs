//! Welcome notifications, off the request path: a bounded worker pool that retries, and a log of what it gave up.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use flowgate::{Attempt, BuildError, JobError, PoolStats, Report, RetryPolicy, Shutdown, WorkerPool, WouldDeadlock};
use uuid::Uuid;

use crate::domain::User;
use crate::error::chain;
use crate::metrics::Figure;

/// Sends messages to users.
#[async_trait]
pub trait Notifier: Send + Sync + 'static {
    /// Sends one welcome. May be called again for the same user after a failure.
    async fn welcome(&self, welcome: &Welcome) -> Result<(), NotifyError>;
}

/// One welcome to send.
pub struct Welcome {
    /// The user to welcome.
    pub user_id: Uuid,
    /// Where to.
    pub email: String,
}

impl fmt::Debug for Welcome {
    /// Leaves the address out of the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Welcome").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}

/// The notifier could not send.
#[derive(Debug, thiserror::Error)]
#[error("the notifier refused the message")]
pub struct NotifyError;

/// A stand-in for a mail service: takes a while, and fails at a given rate.
#[derive(Debug)]
pub struct FlakyNotifier {
    /// How long each message takes.
    pub latency: Duration,
    /// The share of messages that fail, 0.0..=1.0.
    pub fault_rate: f64,
}

#[async_trait]
impl Notifier for FlakyNotifier {
    async fn welcome(&self, _welcome: &Welcome) -> Result<(), NotifyError> {
        tokio::time::sleep(self.latency).await;
        if fastrand::f64() < self.fault_rate { Err(NotifyError) } else { Ok(()) }
    }
}

/// Rates and sizes of the notifications.
#[derive(Clone, Debug)]
pub struct Options {
    /// Messages sent at a time.
    pub concurrency: usize,
    /// Messages that wait beyond those.
    pub queue: usize,
    /// Attempts per message, the first one included.
    pub max_attempts: u32,
    /// The first delay between attempts; it doubles from there.
    pub backoff: Duration,
    /// How long one attempt may take.
    pub attempt_timeout: Duration,
}

/// The notifications on their way. A clone is the same pool.
#[derive(Clone)]
pub struct Notifications {
    pool: WorkerPool<Welcome, (), NotifyError>,
    refused: Arc<AtomicU64>,
}

impl Notifications {
    /// Starts a pool that sends through `notifier`. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the pool refuses the options.
    pub fn new(options: &Options, notifier: Arc<dyn Notifier>) -> Result<Self, BuildError> {
        let pool = WorkerPool::builder()
            .concurrency(options.concurrency)
            .queue(options.queue)
            .retry(RetryPolicy::exponential(options.backoff).max_attempts(options.max_attempts))
            .attempt_timeout(options.attempt_timeout)
            .on_dead_letter(log_dead_letter)
            .build(move |welcome: Attempt<Welcome>| {
                let notifier = Arc::clone(&notifier);
                async move { notifier.welcome(&welcome).await }
            })?;
        Ok(Self { pool, refused: Arc::default() })
    }

    /// Takes over the welcome of a new user and returns at once. A full or closed pool refuses: that is
    /// counted and logged, and the welcome is not sent.
    pub fn welcome(&self, user: &User) {
        self.welcome_all(std::slice::from_ref(user));
    }

    /// As [`welcome`](Self::welcome), for several new users, with one line in the log.
    pub fn welcome_all(&self, users: &[User]) {
        let welcome = |user: &User| Welcome { user_id: user.id, email: user.email.clone() };
        // The handle is let go: the outcome is in the pool's totals, and in the dead letters if it is bad.
        let submit = |user| self.pool.try_submit(welcome(user)).err().map(|refusal| (user.id, refusal));
        let refused = users.iter().filter_map(submit);
        if let Some((count, (user_id, refusal))) = (1..).zip(refused).last() {
            // Ordering: Relaxed, a count that nothing else hangs on.
            let refused = self.refused.fetch_add(count, Ordering::Relaxed) + count;
            tracing::warn!(%user_id, count, refused, "welcome refused: {refusal}");
        }
    }

    /// How many welcomes were refused so far.
    #[must_use]
    pub fn refused(&self) -> u64 {
        // Ordering: Relaxed, as where it is counted.
        self.refused.load(Ordering::Relaxed)
    }

    /// What the pool counts about itself, all of one moment.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let PoolStats { queued, running, parked, concurrency, capacity, totals, .. } = self.pool.stats();
        let lost =
            totals.panicked + totals.timed_out + totals.cancelled + totals.shed + totals.aborted + totals.returned;
        vec![
            Figure::gauge("notifications_concurrency", "Welcomes that may be sent at a time.", concurrency),
            Figure::gauge("notifications_capacity", "Welcomes that may be sent and wait together.", capacity),
            Figure::gauge("notifications_queued", "Welcomes that wait to be sent.", queued),
            Figure::gauge("notifications_running", "Welcomes that are being sent.", running),
            Figure::gauge("notifications_parked", "Welcomes that wait for their next attempt.", parked),
            Figure::counter("notifications_accepted_total", "Welcomes that were taken over.", totals.accepted),
            Figure::counter("notifications_succeeded_total", "Welcomes that were sent.", totals.succeeded),
            Figure::counter("notifications_failed_total", "Welcomes that were given up.", totals.failed),
            Figure::counter("notifications_lost_total", "Welcomes that ended in another way.", lost),
            Figure::counter("notifications_attempts_total", "Attempts to send a welcome.", totals.attempts),
            Figure::counter("notifications_retries_total", "Attempts after the first.", totals.retries),
            Figure::counter("notifications_refused_total", "Welcomes that found the queue full.", self.refused()),
        ]
    }

    /// Takes nothing more, finishes what it can within `limit`, and reports the rest.
    ///
    /// # Errors
    /// When called from a notifier.
    ///
    /// # Cancel safety
    /// The pool stays closed; calling again goes on waiting.
    pub async fn shutdown(&self, limit: Duration) -> Result<Report<Welcome, NotifyError>, WouldDeadlock> {
        self.pool.shutdown(Shutdown::DrainFor(limit)).await
    }
}

impl fmt::Debug for Notifications {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifications").field("refused", &self.refused()).finish_non_exhaustive()
    }
}

/// The dead-letter log: one line per welcome that was given up.
fn log_dead_letter(dead: &JobError<Welcome, NotifyError>) {
    let welcome = dead.failure().and_then(|failure| failure.job.as_ref());
    let user_id = welcome.map(|welcome| tracing::field::display(welcome.user_id));
    tracing::error!(user_id, "dead letter, welcome given up: {}", chain(dead));
}
