//! The runtime: the only file that names tokio's.
//!
//! Everything that runs, sleeps or draws a random number goes through here, so that the rest of the crate
//! says *what* it waits for and this file says *how*: on a tokio runtime, or on threads of its own where there is none.

mod park;
mod sleeper;
mod tasks;

pub(crate) use park::block_on;
pub(crate) use tasks::{TaskSet, contained};

use sleeper::Sleeper;
use std::future::{Future, poll_fn};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};
use std::time::Duration;

/// Hand-over of values between threads.
pub(crate) use crossbeam_channel as channel;

pub(crate) use tokio::time::{Instant, Sleep};

/// A task that is not awaited by whoever started it.
type TaskHandle = tokio::task::JoinHandle<()>;
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

    /// Makes it the current one of the calling thread, until the guard is dropped.
    pub(crate) fn enter(&self) -> impl Sized + use<'_> {
        self.0.enter()
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

/// Starts a thread of the system.
///
/// The join handle is let go on purpose: whoever starts one keeps its own account of it.
pub(crate) fn spawn_thread(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

/// How many threads the system can run at the same instant.
pub(crate) fn system_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

/// Wakes the calling thread from [`park_until`].
pub(crate) fn thread_waker() -> Waker {
    park::thread_waker()
}

/// Sleeps on the calling thread until [`thread_waker`] is woken, or until `until`.
pub(crate) fn park_until(until: Option<Instant>) {
    let left = until.map(|until| until.saturating_duration_since(now()));
    park::park_until(left.map(sleeper::moment_after));
}

/// Who ends the waits of a pool's callers in time.
#[derive(Clone, Debug)]
pub(crate) enum Timekeeper {
    /// The caller's runtime, or the pool's.
    Runtime(Runtime),
    /// The caller's runtime if there is one; else the thread that waits, or one that is started for it.
    Threads(Arc<Sleeper>),
}

impl Timekeeper {
    /// The one of a pool without a runtime. A thread of it will be called `name`.
    pub(crate) fn threads(name: String) -> Self {
        Self::Threads(Sleeper::new(name))
    }

    /// Panics if it cannot keep time.
    pub(crate) fn demand_timer(&self) {
        if let Self::Runtime(rt) = self {
            rt.demand_timer();
        }
    }

    /// Ready at `deadline`.
    pub(crate) async fn sleep_until(&self, deadline: Instant) {
        let sleeper = match self {
            Self::Runtime(rt) => return rt.sleep_until(deadline).await,
            Self::Threads(sleeper) => sleeper,
        };
        let parks = poll_fn(|cx| Poll::Ready(park::is_ours(cx.waker()))).await;
        let runtime = if parks { None } else { Runtime::current() };
        match runtime.map(|rt| crate::contain::contain(|| rt.sleep_until(deadline))) {
            Some(Ok(sleep)) => sleep.await,
            // A runtime without a timer.
            Some(Err(payload)) => {
                crate::contain::discard(payload);
                sleeper.sleep_until(deadline).await;
            }
            None => sleeper.sleep_until(deadline).await,
        }
    }
}
