//! The ways into a pool.

use super::error::{RunError, SubmitError};
use super::handle::JobHandle;
use super::line::{Deserted, InLine};
use super::shared::{JobCell, Parcel, Shared, ticks};
use super::{WorkerPool, nested};
use crate::kernel::alarms::Ticks;
use crate::kernel::cell::Cell;
use crate::kernel::engine::{Admission, Effects, LaneId, Overflow, Request};
use crate::rt;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

impl<J, T, E> WorkerPool<J, T, E> {
    /// Submits a job; waits for room, first come first served.
    ///
    /// While it waits, the job stands in the pool's own line: when its turn comes it is accepted even if this
    /// future is not polled, so a submitter that is not polled holds up nobody.
    ///
    /// # Errors
    /// Each gives the job back: [`Closed`](SubmitError::Closed) if the pool admits no more jobs;
    /// [`Full`](SubmitError::Full) if it is full and not to wait is its [overflow rule](super::Overflow); and
    /// [`WouldDeadlock`](SubmitError::WouldDeadlock), at once, in a handler of this very pool while it is full.
    ///
    /// # Cancel safety
    /// Safe for the pool, not for the job: dropping the future drops the job if it was still waiting, cancels it if it
    /// had been accepted and not started, and detaches it if it runs. To keep the job, use
    /// [`reserve`](Self::reserve) or [`submit_timeout`](Self::submit_timeout).
    pub async fn submit(&self, job: J) -> Result<JobHandle<J, T, E>, SubmitError<J>> {
        match start(&self.shared, job, Terms::PLAIN) {
            Ok(handle) => Ok(handle),
            Err(refused) => wait_for_room(&self.shared, refused, Terms::PLAIN, Deserted::Detach).await,
        }
    }

    /// Submits a job if there is room now.
    ///
    /// # Errors
    /// Each gives the job back: [`Full`](SubmitError::Full) and [`Closed`](SubmitError::Closed).
    pub fn try_submit(&self, job: J) -> Result<JobHandle<J, T, E>, SubmitError<J>> {
        start(&self.shared, job, Terms::PLAIN).map_err(Refused::without_waiting)
    }

    /// Submits a job; waits for room, but no longer than `timeout`.
    ///
    /// Exact: it either was accepted, and there is a handle, or it was not, and the job comes back.
    ///
    /// # Errors
    /// As [`submit`](Self::submit), and [`Timeout`](SubmitError::Timeout); each gives the job back.
    ///
    /// # Cancel safety
    /// As [`submit`](Self::submit): dropping the future gives the job up. Let the timeout do it instead.
    pub async fn submit_timeout(&self, job: J, timeout: Duration) -> Result<JobHandle<J, T, E>, SubmitError<J>> {
        self.job(job).submit_timeout(timeout).await
    }

    /// Submits a job from a thread outside the runtime; blocks the thread until there is room.
    ///
    /// Do not call it from async code: it would block the runtime's thread, as any blocking call does.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub fn blocking_submit(&self, job: J) -> Result<JobHandle<J, T, E>, SubmitError<J>> {
        self.job(job).blocking_submit()
    }

    /// Submits a job and waits for its result. Request-scoped: dropping the future cancels the job.
    ///
    /// # Errors
    /// The refusal, as of [`submit`](Self::submit), or the job's own error.
    ///
    /// # Cancel safety
    /// Safe: dropping the future cancels the job wherever it is, and gives its place free.
    pub async fn run(&self, job: J) -> Result<T, RunError<J, E>> {
        self.job(job).run().await
    }

    /// A job that is to be submitted with a key or a deadline of its own.
    pub fn job(&self, job: J) -> Submission<'_, J, T, E> {
        Submission { shared: &self.shared, job, terms: Terms::PLAIN }
    }
}

/// The terms of one submission.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    lane: Option<LaneId>,
    deadline: Option<Ticks>,
}

impl Terms {
    /// No key, and the pool's own deadline.
    pub(super) const PLAIN: Self = Self { lane: None, deadline: None };

    /// Of a job that a stream yields.
    pub(super) fn of_lane(lane: Option<LaneId>) -> Self {
        Self { lane, deadline: None }
    }

    /// No key, and the pool's own deadline.
    pub(super) fn is_plain(self) -> bool {
        self.lane.is_none() && self.deadline.is_none()
    }

    #[inline]
    pub(super) fn request<C>(self, cell: C) -> Request<C> {
        Request { cell, lane: self.lane, deadline: self.deadline }
    }
}

/// A job with terms of its own, not submitted yet. Made by [`WorkerPool::job`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::{Attempt, WorkerPool};
/// use std::time::Duration;
///
/// let pool = WorkerPool::<(&str, u32), u32, ()>::builder()
///     .concurrency(8)
///     .build(|job: Attempt<(&str, u32)>| async move { Ok(job.1) })
///     .unwrap();
/// // One account's jobs run one after another, in this order; other accounts' jobs run beside them.
/// let first = pool.job(("ada", 1)).key("ada").submit().await.unwrap();
/// let second = pool.job(("ada", 2)).key("ada").deadline(Duration::from_secs(5)).submit().await.unwrap();
/// assert_eq!((first.await.unwrap(), second.await.unwrap()), (1, 2));
/// # }
/// ```
#[must_use = "a submission does nothing until it is submitted"]
pub struct Submission<'a, J, T, E> {
    shared: &'a Arc<Shared<J, T, E>>,
    job: J,
    terms: Terms,
}

impl<'a, J, T, E> Submission<'a, J, T, E> {
    /// Puts the job in the lane of `key`: jobs of one key run one after another, in the order of acceptance; jobs of
    /// different keys run side by side.
    ///
    /// A job that waits for its next attempt holds up its own key only. Among the keys first come first served holds: a key
    /// has at most one job ready to run, so a busy one starves no other. How many jobs of one key may be in the pool is
    /// the pool's [`per_key`](super::WorkerPoolBuilder::per_key); one that finds its lane full waits in that lane's own line.
    ///
    /// A key that has no job costs nothing. The pool keeps a keyed 64-bit hash and not the key: two keys with the same
    /// hash would share a lane.
    ///
    /// A handler must not await a job of its own key: that one cannot start before the handler has ended.
    pub fn key<Q: Hash + ?Sized>(mut self, key: &Q) -> Self {
        self.terms.lane = Some(self.shared.lane(key));
        self
    }

    /// How long this job may be in the pool from its acceptance to its outcome, instead of the pool's own
    /// [`deadline`](super::WorkerPoolBuilder::deadline).
    ///
    /// # Panics
    /// If the pool's runtime was built without a timer.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        assert!(self.shared.has_timer, "a deadline needs a runtime with a timer: call `enable_time` on its builder");
        self.terms.deadline = Some(ticks(deadline));
        self
    }

    /// Submits the job, as [`WorkerPool::submit`] does; one that has a key also waits for room in its lane.
    ///
    /// # Errors
    /// As [`WorkerPool::submit`].
    ///
    /// # Cancel safety
    /// As [`WorkerPool::submit`].
    pub async fn submit(self) -> Result<JobHandle<J, T, E>, SubmitError<J>> {
        let Self { shared, job, terms } = self;
        match start(shared, job, terms) {
            Ok(handle) => Ok(handle),
            Err(refused) => wait_for_room(shared, refused, terms, Deserted::Detach).await,
        }
    }

    /// Submits the job if there is room now, as [`WorkerPool::try_submit`] does.
    ///
    /// # Errors
    /// As [`WorkerPool::try_submit`].
    pub fn try_submit(self) -> Result<JobHandle<J, T, E>, SubmitError<J>> {
        start(self.shared, self.job, self.terms).map_err(Refused::without_waiting)
    }

    /// Submits the job; waits no longer than `timeout`, as [`WorkerPool::submit_timeout`] does.
    ///
    /// # Errors
    /// As [`WorkerPool::submit_timeout`].
    ///
    /// # Cancel safety
    /// As [`WorkerPool::submit_timeout`].
    pub async fn submit_timeout(self, timeout: Duration) -> Result<JobHandle<J, T, E>, SubmitError<J>> {
        let Self { shared, job, terms } = self;
        let cell = match start(shared, job, terms) {
            Ok(handle) => return Ok(handle),
            // In a handler of this pool too: this wait has an end.
            Err(refused) => refused.waits(shared)?,
        };
        let mut line = InLine::new(shared.clone(), cell, terms, Deserted::Detach);
        let mut sleep = pin!(shared.time.sleep_until(rt::after(timeout)));
        std::future::poll_fn(|cx| {
            if let Poll::Ready(submitted) = Pin::new(&mut line).poll(cx) {
                return Poll::Ready(submitted);
            }
            ready!(sleep.as_mut().poll(cx));
            Poll::Ready(line.give_up())
        })
        .await
    }

    /// Submits the job from a thread outside the runtime, as [`WorkerPool::blocking_submit`] does.
    ///
    /// # Errors
    /// As [`WorkerPool::blocking_submit`].
    pub fn blocking_submit(self) -> Result<JobHandle<J, T, E>, SubmitError<J>> {
        let Self { shared, job, terms } = self;
        match start(shared, job, terms) {
            Ok(handle) => Ok(handle),
            Err(refused) => rt::block_on(wait_for_room(shared, refused, terms, Deserted::Detach)),
        }
    }

    /// Submits the job and waits for its result, as [`WorkerPool::run`] does.
    ///
    /// # Errors
    /// As [`WorkerPool::run`].
    ///
    /// # Cancel safety
    /// Safe: dropping the future cancels the job wherever it is, and gives its place free.
    pub async fn run(self) -> Result<T, RunError<J, E>> {
        let Self { shared, job, terms } = self;
        let handle = match start(shared, job, terms) {
            Ok(handle) => handle,
            Err(refused) => wait_for_room(shared, refused, terms, Deserted::Cancel).await?,
        };
        Ok(handle.cancel_on_drop().await?)
    }
}

impl<J: fmt::Debug, T, E> fmt::Debug for Submission<'_, J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submission").field("job", &self.job).field("keyed", &self.terms.lane.is_some()).finish()
    }
}

/// Waits for room for a job that found none.
#[cold]
async fn wait_for_room<J, T, E>(
    shared: &Arc<Shared<J, T, E>>,
    refused: Refused<J, T, E>,
    terms: Terms,
    deserted: Deserted,
) -> Result<JobHandle<J, T, E>, SubmitError<J>> {
    match refused {
        Refused::Full(cell) if nested::is_inside(shared.id) && shared.options.overflow == Overflow::Wait => {
            Err(SubmitError::WouldDeadlock(take_job(cell)))
        }
        refused => InLine::new(shared.clone(), refused.waits(shared)?, terms, deserted).await,
    }
}

/// Submits a job if there is room now.
#[inline]
pub(super) fn start<J, T, E>(
    shared: &Arc<Shared<J, T, E>>,
    job: J,
    terms: Terms,
) -> Result<JobHandle<J, T, E>, Refused<J, T, E>> {
    let cell = Parcel::cell(job);
    let mut fx = Effects::default();
    let admitted = match shared.engine.admit(terms.request(cell.clone()), &mut fx) {
        Admission::Accepted(ticket) => Ok(ticket),
        Admission::Shedding(ticket, shed) => {
            shared.shed(shed, &mut fx);
            Ok(ticket)
        }
        Admission::Full(cell) => Err(Refused::Full(cell)),
        Admission::Closed(cell) => Err(Refused::Closed(cell)),
    };
    // A refusal, too, may have counted a runner that is to be started.
    shared.apply(&mut fx);
    let ticket = admitted?;
    Ok(JobHandle::new(shared.id, cell, ticket))
}

pub(super) enum Refused<J, T, E> {
    Full(JobCell<J, T, E>),
    Closed(JobCell<J, T, E>),
}

impl<J, T, E> Refused<J, T, E> {
    /// The job, for a caller that does not wait.
    pub(super) fn without_waiting(self) -> SubmitError<J> {
        match self {
            Self::Full(cell) => SubmitError::Full(take_job(cell)),
            Self::Closed(cell) => SubmitError::Closed(take_job(cell)),
        }
    }

    /// The job, if it is to wait for room.
    fn waits(self, shared: &Arc<Shared<J, T, E>>) -> Result<JobCell<J, T, E>, SubmitError<J>> {
        match self {
            Self::Closed(cell) => Err(SubmitError::Closed(take_job(cell))),
            Self::Full(cell) if shared.options.overflow != Overflow::Wait => Err(SubmitError::Full(take_job(cell))),
            Self::Full(cell) => Ok(cell),
        }
    }
}

/// The job of a cell that was not accepted.
pub(super) fn take_job<J, T, E>(mut cell: JobCell<J, T, E>) -> J {
    Cell::lend(&mut cell).job
}
