//! The forms a handler can take. The engine below knows only [`Exec`].

use super::context::{Context, Cx};
use crate::shim::Mutex;
use crate::shim::atomic::{Ordering, fence};
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A job, lent to one attempt.
///
/// It is owned (`'static`, `Send`), so the handler's future can hold it across awaits, and it dereferences to the job.
/// Dropping it, at the end of the attempt or because the attempt was cancelled, panicked or timed out, brings
/// the job home: a retry goes on with it as the last attempt left it, and an error gives it back.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use flowgate::{Attempt, RetryPolicy, WorkerPool};
/// use std::time::Duration;
///
/// struct Upload { sent: usize, bytes: Vec<u8> }
///
/// let pool = WorkerPool::<Upload, usize, &str>::builder()
///     .concurrency(4)
///     .retry(RetryPolicy::fixed(Duration::from_millis(10)).max_attempts(3))
///     .build(|mut job: Attempt<Upload>| async move {
///         job.sent += 2; // goes on where the last attempt stopped
///         if job.sent < job.bytes.len() { Err("connection reset") } else { Ok(job.sent) }
///     })
///     .unwrap();
/// assert_eq!(pool.run(Upload { sent: 0, bytes: vec![0; 6] }).await.unwrap(), 6);
/// # }
/// ```
pub struct Attempt<J> {
    job: Option<J>,
    home: Arc<Home<J>>,
}

/// Where a lent job comes back to, and the state of its attempt. A runner uses one for job after job, as long as
/// nobody else has kept a hold of it.
pub(super) struct Home<J> {
    job: Mutex<Option<J>>,
    context: Context,
}

impl<J> Attempt<J> {
    /// Takes the job for good: there is no retry after it, and an error cannot give it back.
    #[must_use]
    pub fn into_inner(mut self) -> J {
        self.job.take().expect("an attempt has its job until it is dropped")
    }

    /// The number of this attempt; the first is 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.home.context.attempt()
    }

    /// Everything else that a handler may know and ask for.
    #[must_use]
    pub fn cx(&self) -> Cx
    where
        J: Send + 'static,
    {
        Cx(self.home.clone())
    }
}

impl<J> Deref for Attempt<J> {
    type Target = J;

    fn deref(&self) -> &J {
        self.job.as_ref().expect("an attempt has its job until it is dropped")
    }
}

impl<J> DerefMut for Attempt<J> {
    fn deref_mut(&mut self) -> &mut J {
        self.job.as_mut().expect("an attempt has its job until it is dropped")
    }
}

impl<J> Drop for Attempt<J> {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            *self.home.job.lock() = Some(job);
        }
    }
}

impl<J: fmt::Debug> fmt::Debug for Attempt<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("attempt", &self.attempt()).field("job", &self.job).finish()
    }
}

/// A handler that is a struct.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::{Cx, Handler, WorkerPool};
///
/// struct Resize { width: u32 }
///
/// impl Handler<(u32, u32)> for Resize {
///     type Out = (u32, u32);
///     type Err = String;
///
///     async fn run(&self, job: &mut (u32, u32), _cx: &Cx) -> Result<(u32, u32), String> {
///         if job.0 == 0 { return Err("an image without width".into()) }
///         Ok((self.width, job.1 * self.width / job.0))
///     }
/// }
///
/// let pool = WorkerPool::builder().concurrency(2).build_handler(Resize { width: 100 }).unwrap();
/// assert_eq!(pool.run((200, 80)).await.unwrap(), (100, 40));
/// # }
/// ```
pub trait Handler<J>: Send + Sync + 'static {
    /// The result of a job.
    type Out: Send + 'static;
    /// The error of an attempt.
    type Err: Send + 'static;

    /// Makes one attempt. The job is lent: a retry sees what this attempt has done to it.
    fn run(&self, job: &mut J, cx: &Cx) -> impl Future<Output = Result<Self::Out, Self::Err>> + Send;
}

/// An async function over shared state and a lent job, whose future is `Send`.
///
/// Implemented for every such function; only named by [`build_with`](super::WorkerPoolBuilder::build_with), which asks
/// for `AsyncFn` too: that one infers the closure's parameters, this one makes its future `Send`.
pub trait JobFn<'a, S: 'a, J: 'a, T, E>: Fn(&'a S, &'a mut J, &'a Cx) -> <Self as JobFn<'a, S, J, T, E>>::Fut {
    /// The future of one attempt.
    type Fut: Future<Output = Result<T, E>> + Send + 'a;
}

impl<'a, S: 'a, J: 'a, T, E, F, Fut> JobFn<'a, S, J, T, E> for F
where
    F: Fn(&'a S, &'a mut J, &'a Cx) -> Fut,
    Fut: Future<Output = Result<T, E>> + Send + 'a,
{
    type Fut = Fut;
}

impl<J: Send> AsRef<Context> for Home<J> {
    fn as_ref(&self) -> &Context {
        &self.context
    }
}

/// A runner's hold of the home that it uses: once for itself, once in the form that handlers see.
pub(super) struct Lodging<J> {
    home: Arc<Home<J>>,
    pub(super) cx: Cx,
}

impl<J: Send + 'static> Lodging<J> {
    pub(super) fn new(context: Context) -> Self {
        let home = Arc::new(Home { job: Mutex::new(None), context });
        Self { cx: Cx(home.clone()), home }
    }

    /// Ends an attempt: makes the home ready for the next one; a new home, if somebody has kept the old.
    #[inline]
    pub(super) fn vacate(&mut self) {
        if Arc::strong_count(&self.home) == HOLDS {
            // Ordering: Acquire pairs with the Release of whoever let go of the home last: its writes come before these.
            fence(Ordering::Acquire);
            self.home.context.reset();
        } else {
            *self = Self::new(self.home.context.successor());
        }
    }
}

/// How often a runner itself holds its home.
const HOLDS: usize = 2;

impl<J> Lodging<J> {
    /// Takes the job, if an [`Attempt`] has brought it home.
    pub(super) fn take(&self) -> Option<J> {
        self.home.job.lock().take()
    }

    pub(super) fn context(&self) -> &Context {
        &self.home.context
    }
}

/// What a runner knows of a handler. The job is in `slot` when an attempt begins, and afterwards there or at home.
pub(super) trait Exec<J, T, E>: Send + Sync + 'static {
    fn exec<'a>(
        &'a self,
        slot: &'a mut Option<J>,
        lodging: &'a Lodging<J>,
    ) -> impl Future<Output = Result<T, E>> + Send + 'a;
}

pub(super) fn lent<J>(slot: &mut Option<J>) -> &mut J {
    slot.as_mut().expect("an attempt begins with its job in the slot")
}

/// A closure over an owned lend.
pub(super) struct ByAttempt<F>(pub(super) F);

impl<J, T, E, F, Fut> Exec<J, T, E> for ByAttempt<F>
where
    J: Send + 'static,
    F: Fn(Attempt<J>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
{
    fn exec<'a>(
        &'a self,
        slot: &'a mut Option<J>,
        lodging: &'a Lodging<J>,
    ) -> impl Future<Output = Result<T, E>> + Send + 'a {
        (self.0)(Attempt { job: slot.take(), home: lodging.home.clone() })
    }
}

/// An async function over shared state.
pub(super) struct ByState<S, H>(pub(super) S, pub(super) H);

impl<S, J, T, E, H> Exec<J, T, E> for ByState<S, H>
where
    S: Send + Sync + 'static,
    J: Send + 'static,
    T: 'static,
    E: 'static,
    H: for<'a> JobFn<'a, S, J, T, E> + Send + Sync + 'static,
{
    fn exec<'a>(
        &'a self,
        slot: &'a mut Option<J>,
        lodging: &'a Lodging<J>,
    ) -> impl Future<Output = Result<T, E>> + Send + 'a {
        (self.1)(&self.0, lent(slot), &lodging.cx)
    }
}

/// A struct.
pub(super) struct ByHandler<H>(pub(super) H);

impl<J: Send + 'static, H: Handler<J>> Exec<J, H::Out, H::Err> for ByHandler<H> {
    fn exec<'a>(
        &'a self,
        slot: &'a mut Option<J>,
        lodging: &'a Lodging<J>,
    ) -> impl Future<Output = Result<H::Out, H::Err>> + Send + 'a {
        self.0.run(lent(slot), &lodging.cx)
    }
}
