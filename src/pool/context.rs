//! What a handler is told about its attempt, and what it may ask for.

use super::WeakPool;
use super::shared::Shared;
use super::threads::Ear;
use crate::contain::{contain, discard};
use crate::kernel::alarms::{NEVER, Ticks};
use crate::kernel::cell::Signal;
use crate::kernel::engine::Ticket;
use crate::rt::{self, CancellationToken, Instant};
use crate::shim::Mutex;
use crate::shim::atomic::{AtomicU32, AtomicU64, Ordering};
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// No snooze asked for.
const AWAKE: u64 = u64::MAX;

/// The state of one attempt. A runner uses one for job after job, as long as nobody else has kept a hold of it.
pub(super) struct Context {
    attempt: AtomicU32,
    /// When the job must be done, in the pool's ticks.
    deadline: AtomicU64,
    epoch: Instant,
    pool: Weak<dyn Any + Send + Sync>,
    /// Where a handler that is not polled hears that it should stop.
    ear: Option<Ear>,
    stop: Mutex<Stop>,
    /// Nanoseconds until the next attempt, or `AWAKE`.
    snooze: AtomicU64,
}

#[derive(Default)]
struct Stop {
    cancelled: bool,
    token: Option<CancellationToken>,
}

impl Context {
    pub(super) fn new(pool: Weak<dyn Any + Send + Sync>, epoch: Instant, ear: Option<Ear>) -> Self {
        Self {
            attempt: AtomicU32::new(0),
            deadline: AtomicU64::new(NEVER),
            epoch,
            pool,
            ear,
            stop: Mutex::default(),
            snooze: AtomicU64::new(AWAKE),
        }
    }

    /// A fresh one for the same runner.
    pub(super) fn successor(&self) -> Self {
        Self::new(self.pool.clone(), self.epoch, self.ear.as_ref().map(Ear::successor))
    }

    /// Forgets what the last attempt left.
    pub(super) fn reset(&mut self) {
        let stop = self.stop.get_mut();
        if stop.cancelled || stop.token.is_some() {
            let Stop { token, .. } = std::mem::take(stop);
            forget(self.ear.as_ref(), token);
        }
        *self.snooze.get_mut() = AWAKE;
    }

    /// Begins an attempt.
    pub(super) fn begin(&self, ticket: Ticket, attempt: u32, deadline: Ticks) {
        // Ordering: Relaxed. Whoever reads them has got the context through the handler, which is called after this.
        self.attempt.store(attempt, Ordering::Relaxed);
        self.deadline.store(deadline, Ordering::Relaxed);
        if let Some(ear) = &self.ear {
            ear.begin(ticket);
        }
    }

    /// What the attempt has heard on a thread; to others it is not said here.
    pub(super) fn heard(&self) -> Signal {
        self.ear.as_ref().map_or(Signal::Run, Ear::heard)
    }

    pub(super) fn attempt(&self) -> u32 {
        // Ordering: Relaxed, see `begin`.
        self.attempt.load(Ordering::Relaxed)
    }

    fn deadline(&self) -> Option<Instant> {
        // Ordering: Relaxed, see `begin`.
        let deadline = self.deadline.load(Ordering::Relaxed);
        (deadline != NEVER).then(|| self.epoch.checked_add(Duration::from_nanos(deadline))).flatten()
    }

    pub(super) fn cancel(&self) {
        let token = {
            let mut stop = self.stop.lock();
            stop.cancelled = true;
            stop.token.clone()
        };
        // Cancelling wakes whoever waits for it, and a waker may panic.
        if let Err(payload) = token.map_or(Ok(()), |token| contain(|| token.cancel())) {
            discard(payload);
        }
    }

    fn is_cancelled(&self) -> bool {
        if self.stop.lock().cancelled {
            return true;
        }
        let Some(ear) = &self.ear else { return false };
        let cancelled = ear.hear() > Signal::Run || self.deadline().is_some_and(|deadline| deadline <= rt::now());
        if cancelled {
            self.cancel();
        }
        cancelled
    }

    fn token(&self) -> CancellationToken {
        let (token, fresh, mut cancelled) = {
            let mut stop = self.stop.lock();
            let fresh = stop.token.is_none();
            (stop.token.get_or_insert_default().clone(), fresh, stop.cancelled)
        };
        if let Some(ear) = self.ear.as_ref().filter(|_| fresh) {
            ear.lend(token.clone());
            cancelled |= ear.ask() > Signal::Run;
        }
        if cancelled {
            token.cancel();
        }
        token
    }

    pub(super) fn snoozed(&self) -> Option<Duration> {
        // Ordering: Relaxed. The handler that stored it was polled by the task that reads it.
        let nanos = self.snooze.load(Ordering::Relaxed);
        (nanos != AWAKE).then(|| Duration::from_nanos(nanos))
    }
}

/// The attempt that had made `token` is over.
fn forget(ear: Option<&Ear>, token: Option<CancellationToken>) {
    if let (Some(ear), Some(_)) = (ear, &token) {
        ear.forget();
    }
    discard(token);
}

impl Drop for Context {
    fn drop(&mut self) {
        forget(self.ear.as_ref(), self.stop.get_mut().token.take());
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("attempt", &self.attempt()).field("deadline", &self.deadline()).finish()
    }
}

/// What a handler is told about its attempt, and what it may ask for.
///
/// A clone is the same attempt's, and may be given to tasks that the handler starts: they can see its cancellation.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::{Cx, WorkerPool};
///
/// async fn describe(_: &(), job: &mut &'static str, cx: Cx) -> Result<String, ()> {
///     Ok(format!("{job}, attempt {}, cancelled: {}", cx.attempt(), cx.is_cancelled()))
/// }
/// let pool = WorkerPool::builder().concurrency(2).build_with((), describe).unwrap();
/// assert_eq!(pool.run("upload").await.unwrap(), "upload, attempt 1, cancelled: false");
/// # }
/// ```
#[derive(Clone)]
pub struct Cx(pub(super) Arc<dyn AsRef<Context> + Send + Sync>);

impl fmt::Debug for Cx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cx").field(self.context()).finish()
    }
}

impl Cx {
    fn context(&self) -> &Context {
        (*self.0).as_ref()
    }

    /// The number of this attempt; the first is 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.context().attempt()
    }

    /// When the job must be done, if the pool has a deadline.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.context().deadline()
    }

    /// How long until then; zero if it has passed.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.context().deadline().map(|deadline| deadline.saturating_duration_since(rt::now()))
    }

    /// Whether this attempt has been cut short: its job was cancelled, it ran out of time, or the pool was aborted.
    ///
    /// The attempt's future is dropped at once in that case, unless the pool has a `cancel_grace`; so this is for
    /// handlers of such pools, and for tasks that a handler has started. A handler hears of it when it awaits: a loop that
    /// never does is not told.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.context().is_cancelled()
    }

    /// Waits until this attempt is cut short, as [`is_cancelled`](Self::is_cancelled) says; forever if it is not.
    ///
    /// # Cancel safety
    /// Safe: nothing is lost when the future is dropped.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        self.context().token().cancelled_owned()
    }

    /// A token that is cancelled when this attempt is cut short, for code that takes one. Cancelling it does not cancel the job.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.context().token().child_token()
    }

    /// Asks for another attempt after `delay` if this one returns an error.
    ///
    /// Such an attempt is not counted, nor paid for from the retry budget, and the policy is not asked: it is for a
    /// handler that knows when to come back (a rate limit, a lock held by somebody else). The job's slot is
    /// free meanwhile, its permit is kept. A deadline still holds.
    pub fn snooze(&self, delay: Duration) {
        let nanos = u64::try_from(delay.as_nanos()).unwrap_or(AWAKE - 1).min(AWAKE - 1);
        // Ordering: Relaxed, read in `snoozed` by the task that polls the handler.
        self.context().snooze.store(nanos, Ordering::Relaxed);
    }

    /// The pool that runs this attempt, to submit more jobs to. `None` if its types are others than those named.
    ///
    /// Weak, so that a handler does not keep its own pool alive.
    #[must_use]
    pub fn pool<J, T, E>(&self) -> Option<WeakPool<J, T, E>>
    where
        J: Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        match self.context().pool.upgrade() {
            Some(shared) => shared.downcast::<Shared<J, T, E>>().ok().map(|shared| WeakPool::new(&shared)),
            None => Some(WeakPool::gone()),
        }
    }
}
