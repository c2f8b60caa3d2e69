//! The runtime: the only file that names tokio's.
//!
//! Everything that runs, sleeps or draws a random number goes through here, so that the rest of the crate
//! says *what* it waits for and this file says *how*.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

pub(crate) use tokio::time::{Instant, Sleep};
pub(crate) use tokio_util::sync::CancellationToken;

/// The runtime that was current when a pool was built. Tasks are spawned on it from any thread.
#[derive(Clone, Debug)]
pub(crate) struct Runtime(tokio::runtime::Handle);

impl Runtime {
    /// The current runtime, if the calling thread is inside one.
    pub(crate) fn current() -> Option<Self> {
        tokio::runtime::Handle::try_current().ok().map(Self)
    }

    /// Panics if it has no timer; there is no other way to learn that.
    pub(crate) fn demand_timer(&self) {
        let _inside = self.0.enter();
        drop(sleep(Duration::ZERO));
    }

    /// How many tasks it can poll at the same instant.
    pub(crate) fn threads(&self) -> usize {
        self.0.metrics().num_workers()
    }

    /// Starts `task`. On a runtime that has shut down, the task is dropped before this returns.
    ///
    /// The join handle is let go on purpose: whoever spawns keeps its own account of the task.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.0.spawn(task));
    }
}

impl Runtime {
    /// A future that is ready at `deadline`, on the caller's own runtime, or on this one if it is on none.
    pub(crate) fn sleep_until(&self, deadline: Instant) -> Sleep {
        let _inside = tokio::runtime::Handle::try_current().is_err().then(|| self.0.enter());
        sleep_until(deadline)
    }
}

/// The current time on tokio's clock, which tests may pause.
#[inline]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// `at` as the time since a moment that is fixed once per process: the `now` of whatever several pools may share, such
/// as a retry budget.
#[inline]
pub(crate) fn since_epoch(at: Instant) -> Duration {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    // A day early, so that a paused clock that is slightly behind the real one does not start before it.
    let epoch = EPOCH.get_or_init(|| {
        let now = std::time::Instant::now();
        now.checked_sub(Duration::from_secs(86_400)).unwrap_or(now).into()
    });
    at.saturating_duration_since(*epoch)
}

/// A future that is ready once `duration` has passed. Waits far in the future are cut to what the timer holds.
#[allow(clippy::disallowed_methods, reason = "the one place that sleeps")]
pub(crate) fn sleep(duration: Duration) -> Sleep {
    tokio::time::sleep(duration)
}

/// A future that is ready at `deadline`.
pub(crate) fn sleep_until(deadline: Instant) -> Sleep {
    tokio::time::sleep_until(deadline)
}

/// A random number for jitter; not for secrets.
pub(crate) fn random() -> u64 {
    fastrand::u64(..)
}

/// Which other tasks to let run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Others {
    /// Those that are ready now.
    Ready,
    /// Also those that an event of the outside world makes ready, or that are letting others run themselves.
    All,
}

/// Lets other tasks run.
pub(crate) async fn let_run(others: Option<Others>) {
    match others {
        Some(Others::All) => tokio::task::yield_now().await,
        Some(Others::Ready) => go_last().await,
        None => {}
    }
}

/// Goes to the end of the queue of ready tasks. Unlike tokio's `yield_now` it does not have the runtime look for events
/// first; on a runtime of several threads it may wake one of them.
async fn go_last() {
    let mut went = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut went, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The moment `duration` from now; one in the far future, if there is no such moment.
pub(crate) fn after(duration: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);
    let now = now();
    now.checked_add(duration).unwrap_or(now + FAR)
}

/// Runs `future` on the calling thread, which sleeps while it is pending.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        // An unpark that came before this makes it return at once; one without a wake-up costs a poll.
        std::thread::park();
    }
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
