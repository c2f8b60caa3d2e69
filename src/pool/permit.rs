//! Places that are kept for a job to come.

use super::error::{ReserveError, SubmitError, WouldDeadlock};
use super::handle::JobHandle;
use super::shared::{Parcel, Shared};
use super::submit::take_job;
use super::{WorkerPool, nested};
use crate::kernel::engine::{Effects, Reservation, Waited};
use crate::kernel::slab::Key;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

impl<J, T, E> WorkerPool<J, T, E> {
    /// Reserves a place; waits for one, first come first served. The permit then submits a job without waiting.
    ///
    /// The place is held until the permit is used or dropped, and so is the one of a future that has been granted its
    /// place and is not polled: where that could hold up the very code that is to free a place, use `submit`.
    ///
    /// # Errors
    /// [`Closed`](ReserveError::Closed) if the pool admits no more jobs; [`Full`](ReserveError::Full) if it is full, and
    /// not to wait is its [overflow rule](super::Overflow); and [`WouldDeadlock`](ReserveError::WouldDeadlock), at once, in a
    /// handler of this very pool while it is full.
    ///
    /// # Cancel safety
    /// Safe: dropping the future gives up the place in line, or the place.
    pub async fn reserve(&self) -> Result<Permit<J, T, E>, ReserveError> {
        Reserving { shared: self.shared.clone(), line: None, inside: nested::is_inside(self.shared.id) }.await
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
        let cell = Parcel::cell(job);
        let mut fx = Effects::default();
        let filled = self.shared.engine.redeem(place, cell.clone(), &mut fx);
        self.shared.apply(&mut fx);
        match filled {
            Ok(ticket) => Ok(JobHandle::new(self.shared.id, cell, ticket)),
            Err(cell) => Err(SubmitError::Closed(take_job(cell))),
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

struct Reserving<J, T, E> {
    shared: Arc<Shared<J, T, E>>,
    line: Option<Key>,
    inside: bool,
}

impl<J, T, E> Reserving<J, T, E> {
    fn permit(&self, place: Key) -> Permit<J, T, E> {
        Permit { shared: self.shared.clone(), place: Some(place) }
    }
}

impl<J, T, E> Future for Reserving<J, T, E> {
    type Output = Result<Permit<J, T, E>, ReserveError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut fx = Effects::default();
        let reservation = match self.line {
            Some(key) => match ready!(self.shared.engine.poll_wait(key, cx.waker())) {
                Waited::Granted(place) => Reservation::Granted(place),
                _ => Reservation::Closed,
            },
            None => self.shared.engine.reserve(cx.waker().clone(), &mut fx),
        };
        self.line = None;
        let answer = match reservation {
            Reservation::Granted(place) => Poll::Ready(Ok(self.permit(place))),
            Reservation::Shedding(place, shed) => {
                self.shared.shed(shed, &mut fx);
                Poll::Ready(Ok(self.permit(place)))
            }
            Reservation::Full => Poll::Ready(Err(ReserveError::Full)),
            Reservation::Closed => Poll::Ready(Err(ReserveError::Closed)),
            Reservation::Waiting(key) if self.inside => match self.shared.engine.leave_line(key, &mut fx) {
                // A place has come free since.
                Waited::Granted(place) => Poll::Ready(Ok(self.permit(place))),
                Waited::Closed(_) => Poll::Ready(Err(ReserveError::Closed)),
                _ => Poll::Ready(Err(WouldDeadlock.into())),
            },
            Reservation::Waiting(key) => {
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
