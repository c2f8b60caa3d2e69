//! What a handler is told about its attempt, and what it may ask for.

use super::WeakPool;
use super::shared::Shared;
use super::threads::Ringer;
use crate::contain::{contain, discard};
use crate::kernel::alarms::{NEVER, Ticks};
use crate::kernel::bell::Bell;
use crate::rt::{self, CancellationToken, Instant};
use crate::shim::Mutex;
use crate::shim::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
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
    stop: Mutex<Stop>,
    /// Whether `stop` or `snooze` have been used.
    touched: AtomicBool,
    /// Nanoseconds until the next attempt, or `AWAKE`.
    snooze: AtomicU64,
    /// The number of the job, under which the bell tells of it.
    number: AtomicU64,
    bell: Arc<Bell>,
    /// Of a handler on a thread, which nobody polls: has its tokens cancelled.
    ringer: Option<Arc<Ringer>>,
}

#[derive(Default)]
struct Stop {
    cancelled: bool,
    token: Option<CancellationToken>,
}

impl Context {
    pub(super) fn new(
        pool: Weak<dyn Any + Send + Sync>,
        epoch: Instant,
        bell: Arc<Bell>,
        ringer: Option<Arc<Ringer>>,
    ) -> Self {
        Self {
            attempt: AtomicU32::new(0),
            deadline: AtomicU64::new(NEVER),
            epoch,
            pool,
            stop: Mutex::default(),
            touched: AtomicBool::new(false),
            snooze: AtomicU64::new(AWAKE),
            number: AtomicU64::new(0),
            bell,
            ringer,
        }
    }

    /// A fresh one for the same runner.
    pub(super) fn successor(&self) -> Self {
        Self::new(self.pool.clone(), self.epoch, self.bell.clone(), self.ringer.clone())
    }

    /// Forgets what the last attempt left.
    pub(super) fn reset(&self) {
        // Ordering: Relaxed. Whoever touched it has let go of it, and the caller has seen that.
        if self.touched.load(Ordering::Relaxed) {
            self.touched.store(false, Ordering::Relaxed);
            self.forget();
            self.snooze.store(AWAKE, Ordering::Relaxed);
        }
    }

    /// The token of an attempt that is over is told nothing more.
    fn forget(&self) {
        let Stop { token, .. } = std::mem::take(&mut *self.stop.lock());
        if let (Some(ringer), Some(_)) = (&self.ringer, &token) {
            // Ordering: Relaxed, see `begin`.
            ringer.forget(self.number.load(Ordering::Relaxed));
        }
        discard(token);
    }

    /// Begins an attempt.
    pub(super) fn begin(&self, number: u64, attempt: u32, deadline: Ticks) {
        // Ordering: Relaxed. Whoever reads them has got the context through the handler, which is called after this.
        self.number.store(number, Ordering::Relaxed);
        self.attempt.store(attempt, Ordering::Relaxed);
        self.deadline.store(deadline, Ordering::Relaxed);
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
            self.touch();
            stop.cancelled = true;
            stop.token.clone()
        };
        // Cancelling wakes whoever waits for it, and a waker may panic.
        if let Err(payload) = token.map_or(Ok(()), |token| contain(|| token.cancel())) {
            discard(payload);
        }
    }

    fn is_cancelled(&self) -> bool {
        // Ordering: Relaxed, see `begin`. The bell knows of what the runner has not heard yet.
        self.bell.is_stopped(self.number.load(Ordering::Relaxed)) || self.stop.lock().cancelled || self.is_out_of_time()
    }

    /// Whether the deadline has passed of an attempt on a thread, which nobody else can tell.
    fn is_out_of_time(&self) -> bool {
        self.ringer.is_some() && self.deadline().is_some_and(|deadline| deadline <= rt::now())
    }

    fn token(&self) -> CancellationToken {
        let (token, fresh) = {
            let mut stop = self.stop.lock();
            self.touch();
            let fresh = stop.token.is_none();
            (stop.token.get_or_insert_default().clone(), fresh)
        };
        if let Some(ringer) = self.ringer.as_ref().filter(|_| fresh) {
            // Ordering: Relaxed, see `begin`.
            ringer.listen(self.number.load(Ordering::Relaxed), token.clone());
        }
        if self.is_cancelled() {
            token.cancel();
        }
        token
    }

    /// Notes that there is something to forget at the end of the attempt.
    fn touch(&self) {
        // Ordering: Relaxed, see `reset`.
        self.touched.store(true, Ordering::Relaxed);
    }

    pub(super) fn snoozed(&self) -> Option<Duration> {
        // Ordering: Relaxed. The handler that stored it was polled by the task that reads it.
        let nanos = self.snooze.load(Ordering::Relaxed);
        (nanos != AWAKE).then(|| Duration::from_nanos(nanos))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.forget();
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
/// async fn describe(_: &(), job: &mut &'static str, cx: &Cx) -> Result<String, ()> {
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
    /// handlers of such pools, for tasks that a handler has started, and for loops that do not await. Running out of time
    /// is heard at an await only.
    ///
    /// A handler on a thread is not cut short at all: it is for this to look, in every loop that may take long, and to
    /// return an error. Its deadline counts here too, as soon as it has passed.
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
        self.context().touch();
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
