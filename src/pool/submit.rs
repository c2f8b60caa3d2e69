//! The ways into a pool.

use super::error::{ReserveError, RunError, SubmitError, WouldDeadlock};
use super::handle::JobHandle;
use super::shared::{JobCell, Parcel, Shared};
use super::{WorkerPool, nested};
use crate::contain::discard;
use crate::kernel::cell::Cell;
use crate::kernel::engine::{Admission, Effects, Entry, Ticket, Waited};
use crate::kernel::slab::Key;
use crate::rt;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

impl<J, T, E> WorkerPool<J, T, E> {
    /// Submits a job; waits for room, first come first served.
    ///
    /// While it waits, the job stands in the pool's own line: when its turn comes it is accepted even if this
    /// future is not polled, so a submitter that is not polled holds up nobody.
    ///
    /// # Errors
    /// Each gives the job back: [`Closed`](SubmitError::Closed) if the pool admits no more jobs, and
    /// [`WouldDeadlock`](SubmitError::WouldDeadlock), at once, in a handler of this very pool while it is full.
    ///
    /// # Cancel safety
    /// Safe for the pool, not for the job: dropping the future drops the job if it was still waiting, cancels it if it
    /// had been accepted and not started, and detaches it if it runs. To keep the job, use
    /// [`reserve`](Self::reserve) or [`submit_timeout`](Self::submit_timeout).
    pub async fn submit(&self, job: J) -> Result<JobHandle<J, T, E>, SubmitError<J>> {
        self.enter(job, Deserted::Detach).await
    }

    async fn enter(&self, job: J, deserted: Deserted) -> Result<JobHandle<J, T, E>, SubmitError<J>> {
        match self.admit(job) {
            Err(Refused::Full(cell)) if self.is_inside() => Err(SubmitError::WouldDeadlock(take_job(&cell))),
            Err(Refused::Full(cell)) => InLine::new(self.shared.clone(), cell, deserted).await,
            Err(Refused::Closed(cell)) => Err(SubmitError::Closed(take_job(&cell))),
            Ok(handle) => Ok(handle),
        }
    }

    /// Submits a job if there is room now.
    ///
    /// # Errors
    /// Each gives the job back: [`Full`](SubmitError::Full) and [`Closed`](SubmitError::Closed).
    pub fn try_submit(&self, job: J) -> Result<JobHandle<J, T, E>, SubmitError<J>> {
        self.admit(job).map_err(|refused| match refused {
            Refused::Full(cell) => SubmitError::Full(take_job(&cell)),
            Refused::Closed(cell) => SubmitError::Closed(take_job(&cell)),
        })
    }

    /// Submits a job; waits for room, but no longer than `timeout`.
    ///
    /// Exact: it either was accepted, and there is a handle, or it was not, and the job comes back.
    ///
    /// # Errors
    /// Each gives the job back: [`Timeout`](SubmitError::Timeout) and [`Closed`](SubmitError::Closed).
    ///
    /// # Cancel safety
    /// As [`submit`](Self::submit): dropping the future gives the job up. Let the timeout do it instead.
    pub async fn submit_timeout(&self, job: J, timeout: Duration) -> Result<JobHandle<J, T, E>, SubmitError<J>> {
        let cell = match self.admit(job) {
            Ok(handle) => return Ok(handle),
            Err(Refused::Closed(cell)) => return Err(SubmitError::Closed(take_job(&cell))),
            Err(Refused::Full(cell)) => cell,
        };
        let mut line = InLine::new(self.shared.clone(), cell, Deserted::Detach);
        let mut sleep = pin!(self.shared.rt.sleep_until(rt::after(timeout)));
        std::future::poll_fn(|cx| {
            if let Poll::Ready(submitted) = Pin::new(&mut line).poll(cx) {
                return Poll::Ready(submitted);
            }
            ready!(sleep.as_mut().poll(cx));
            Poll::Ready(line.give_up())
        })
        .await
    }

    /// Submits a job from a thread outside the runtime; blocks the thread until there is room.
    ///
    /// Do not call it from async code: it would block the runtime's thread, as any blocking call does.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub fn blocking_submit(&self, job: J) -> Result<JobHandle<J, T, E>, SubmitError<J>> {
        rt::block_on(self.submit(job))
    }

    /// Reserves a place; waits for one, first come first served. The permit then submits a job without waiting.
    ///
    /// The place is held until the permit is used or dropped, and so is the one of a future that has been granted its
    /// place and is not polled: where that could hold up the very code that is to free a place, use `submit`.
    ///
    /// # Errors
    /// [`Closed`](ReserveError::Closed) if the pool admits no more jobs, and
    /// [`WouldDeadlock`](ReserveError::WouldDeadlock), at once, in a handler of this very pool while it is full.
    ///
    /// # Cancel safety
    /// Safe: dropping the future gives up the place in line, or the place.
    pub async fn reserve(&self) -> Result<Permit<J, T, E>, ReserveError> {
        Reserving { shared: self.shared.clone(), line: None, inside: self.is_inside() }.await
    }

    /// Submits a job and waits for its result. Request-scoped: dropping the future cancels the job.
    ///
    /// # Errors
    /// The refusal, as of [`submit`](Self::submit), or the job's own error.
    ///
    /// # Cancel safety
    /// Safe: dropping the future cancels the job wherever it is, and gives its place free.
    pub async fn run(&self, job: J) -> Result<T, RunError<J, E>> {
        let handle = self.enter(job, Deserted::Cancel).await?;
        Ok(handle.cancel_on_drop().await?)
    }

    fn admit(&self, job: J) -> Result<JobHandle<J, T, E>, Refused<J, T, E>> {
        let cell = Arc::new(Cell::new(Parcel::new(job)));
        let mut fx = Effects::default();
        match self.shared.engine.admit(cell.clone(), &mut fx) {
            Admission::Accepted(ticket) => {
                self.shared.apply(&mut fx);
                Ok(JobHandle::new(self.shared.clone(), cell, ticket))
            }
            Admission::Full(cell) => Err(Refused::Full(cell)),
            Admission::Closed(cell) => Err(Refused::Closed(cell)),
        }
    }

    fn is_inside(&self) -> bool {
        nested::is_inside(self.shared.id())
    }
}

enum Refused<J, T, E> {
    Full(JobCell<J, T, E>),
    Closed(JobCell<J, T, E>),
}

/// The job of a cell that was not accepted.
pub(super) fn take_job<J, T, E>(cell: &JobCell<J, T, E>) -> J {
    cell.lend().job
}

/// What becomes of a job that was accepted and started before its submitter left the line.
#[derive(Clone, Copy, PartialEq)]
enum Deserted {
    Detach,
    Cancel,
}

/// A submitter that waits for room.
pub(super) struct InLine<J, T, E> {
    shared: Arc<Shared<J, T, E>>,
    deserted: Deserted,
    /// `None` once the wait is over.
    cell: Option<JobCell<J, T, E>>,
    line: Option<Key>,
}

impl<J, T, E> InLine<J, T, E> {
    fn new(shared: Arc<Shared<J, T, E>>, cell: JobCell<J, T, E>, deserted: Deserted) -> Self {
        Self { shared, deserted, cell: Some(cell), line: None }
    }

    /// One that has not been tried before: it may be accepted at its first poll.
    pub(super) fn with_job(shared: &Arc<Shared<J, T, E>>, job: J) -> Self {
        Self::new(shared.clone(), Arc::new(Cell::new(Parcel::new(job))), Deserted::Detach)
    }

    fn accepted(&mut self, ticket: Ticket) -> JobHandle<J, T, E> {
        JobHandle::new(self.shared.clone(), self.take(), ticket)
    }

    fn take(&mut self) -> JobCell<J, T, E> {
        self.line = None;
        self.cell.take().expect("polled after it was ready")
    }

    /// Ends the wait: a handle if the job has been accepted by now, the job if not.
    pub(super) fn give_up(&mut self) -> Result<JobHandle<J, T, E>, SubmitError<J>> {
        let mut fx = Effects::default();
        let waited = self.line.take().map(|key| self.shared.engine.leave_line(key, &mut fx));
        self.shared.apply(&mut fx);
        match waited {
            Some(Waited::Accepted(ticket)) => Ok(self.accepted(ticket)),
            Some(Waited::Closed(_)) => Err(SubmitError::Closed(take_job(&self.take()))),
            _ => Err(SubmitError::Timeout(take_job(&self.take()))),
        }
    }
}

impl<J, T, E> Unpin for InLine<J, T, E> {}

impl<J, T, E> Future for InLine<J, T, E> {
    type Output = Result<JobHandle<J, T, E>, SubmitError<J>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(key) = self.line {
            return match ready!(self.shared.engine.poll_wait(key, cx.waker())) {
                Waited::Accepted(ticket) => Poll::Ready(Ok(self.accepted(ticket))),
                _ => Poll::Ready(Err(SubmitError::Closed(take_job(&self.take())))),
            };
        }
        let mut fx = Effects::default();
        let cell = self.cell.clone().expect("polled after it was ready");
        let entry = self.shared.engine.admit_or_wait(cell, cx.waker().clone(), &mut fx);
        self.shared.apply(&mut fx);
        match entry {
            Entry::Accepted(ticket) => Poll::Ready(Ok(self.accepted(ticket))),
            Entry::Closed(_) => Poll::Ready(Err(SubmitError::Closed(take_job(&self.take())))),
            Entry::Waiting(key) => {
                self.line = Some(key);
                Poll::Pending
            }
        }
    }
}

impl<J, T, E> Drop for InLine<J, T, E> {
    fn drop(&mut self) {
        if self.line.is_some() {
            // Cancel: a job that was accepted unseen is withdrawn; one that runs already is detached, or cancelled
            // if the caller was to have its result.
            match (self.give_up(), self.deserted) {
                (Ok(handle), Deserted::Detach) => handle.withdraw(),
                (Ok(handle), Deserted::Cancel) => handle.cancel(),
                (Err(refused), _) => discard(refused),
            }
        }
    }
}

struct Reserving<J, T, E> {
    shared: Arc<Shared<J, T, E>>,
    line: Option<Key>,
    inside: bool,
}

impl<J, T, E> Future for Reserving<J, T, E> {
    type Output = Result<Permit<J, T, E>, ReserveError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut fx = Effects::default();
        let granted = match self.line {
            Some(key) => match ready!(self.shared.engine.poll_wait(key, cx.waker())) {
                Waited::Granted(place) => Some(Ok(place)),
                _ => None,
            },
            None => self.shared.engine.reserve_or_wait(cx.waker().clone(), &mut fx),
        };
        self.line = None;
        let answer = match granted {
            None => Poll::Ready(Err(ReserveError::Closed)),
            Some(Ok(place)) => Poll::Ready(Ok(Permit { shared: self.shared.clone(), place: Some(place) })),
            Some(Err(key)) if self.inside => match self.shared.engine.leave_line(key, &mut fx) {
                // A place has come free since.
                Waited::Granted(place) => Poll::Ready(Ok(Permit { shared: self.shared.clone(), place: Some(place) })),
                Waited::Closed(_) => Poll::Ready(Err(ReserveError::Closed)),
                _ => Poll::Ready(Err(WouldDeadlock.into())),
            },
            Some(Err(key)) => {
                self.line = Some(key);
                Poll::Pending
            }
        };
        self.shared.apply(&mut fx);
        answer
    }
}

impl<J, T, E> Drop for Reserving<J, T, E> {
    fn drop(&mut self) {
        if let Some(key) = self.line.take() {
            let mut fx = Effects::default();
            if let Waited::Granted(place) = self.shared.engine.leave_line(key, &mut fx) {
                self.shared.engine.release(place, &mut fx);
            }
            self.shared.apply(&mut fx);
        }
    }
}

/// A reserved place: submits one job without waiting. Dropping it gives the place back.
///
/// [`close`](WorkerPool::close) honours it; a shutdown revokes it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::{Attempt, WorkerPool};
///
/// let pool = WorkerPool::<String, usize, ()>::builder()
///     .concurrency(1)
///     .build(|job: Attempt<String>| async move { Ok(job.len()) })
///     .unwrap();
/// let permit = pool.reserve().await.unwrap();
/// let expensive = String::from("made only once there is room for it");
/// assert_eq!(permit.submit(expensive).unwrap().await.unwrap(), 35);
/// # }
/// ```
#[must_use = "dropping a permit gives its place back"]
pub struct Permit<J, T, E> {
    shared: Arc<Shared<J, T, E>>,
    place: Option<Key>,
}

impl<J, T, E> Permit<J, T, E> {
    /// Submits the job.
    ///
    /// # Errors
    /// [`Closed`](SubmitError::Closed), with the job, if a shutdown has begun since the permit was granted.
    pub fn submit(mut self, job: J) -> Result<JobHandle<J, T, E>, SubmitError<J>> {
        let place = self.place.take().expect("a permit has its place until it is used");
        let cell = Arc::new(Cell::new(Parcel::new(job)));
        let mut fx = Effects::default();
        let filled = self.shared.engine.fill(place, cell.clone(), &mut fx);
        self.shared.apply(&mut fx);
        match filled {
            Ok(ticket) => Ok(JobHandle::new(self.shared.clone(), cell, ticket)),
            Err(cell) => Err(SubmitError::Closed(take_job(&cell))),
        }
    }
}

impl<J, T, E> Drop for Permit<J, T, E> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            let mut fx = Effects::default();
            self.shared.engine.release(place, &mut fx);
            self.shared.apply(&mut fx);
        }
    }
}

impl<J, T, E> fmt::Debug for Permit<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
