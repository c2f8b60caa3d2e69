//! What the submitter of a job holds: its outcome to come, and the way to cancel it.

use super::directory::{self, PoolId};
use super::error::JobError;
use super::nested::{self, Wait};
use super::shared::{JobCell, JobInbox, Outcome};
use crate::contain::discard;
use crate::kernel::cell::Cell;
use crate::kernel::engine::Ticket;
use crate::kernel::slab::Key;
use crate::rt;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A job's number in the order in which its pool accepted jobs, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub(super) u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {}", self.0)
    }
}

/// The outcome of an accepted job, to be awaited.
///
/// Dropping it detaches: the job goes on, its outcome is dropped when it comes (the dead-letter hook still sees
/// a failure). Awaiting it inside a handler of the same pool lends that handler's slot for as long as the wait lasts,
/// so a pool cannot deadlock on its own jobs. A wait that is handed to another task is not seen.
///
/// # Cancel safety
/// Safe: it can be polled again later, through `&mut`. It keeps no place in any queue.
///
/// # Panics
/// When polled again after it was ready.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use flowgate::{Attempt, WorkerPool};
///
/// let pool = WorkerPool::<u64, u64, ()>::builder()
///     .concurrency(2)
///     .build(|job: Attempt<u64>| async move { Ok(*job * 2) })
///     .unwrap();
/// let (a, b) = (pool.submit(1).await.unwrap(), pool.submit(2).await.unwrap());
/// assert_eq!((b.await.unwrap(), a.await.unwrap()), (4, 2)); // in any order
/// # }
/// ```
#[must_use = "dropping a JobHandle detaches the job"]
pub struct JobHandle<J, T, E> {
    /// `None` once the outcome has been taken, or goes elsewhere.
    cell: Option<JobCell<J, T, E>>,
    pool: PoolId,
    ticket: Ticket,
    wait: Option<Wait>,
}

impl<J, T, E> JobHandle<J, T, E> {
    #[inline]
    pub(super) fn new(pool: PoolId, cell: JobCell<J, T, E>, ticket: Ticket) -> Self {
        Self { cell: Some(cell), pool, ticket, wait: None }
    }

    /// The job's number.
    #[must_use]
    pub fn id(&self) -> JobId {
        JobId(self.ticket.number)
    }

    /// Whether the outcome is there.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.cell.as_ref().is_none_or(|cell| cell.is_done())
    }
}

impl<J, T, E> JobHandle<J, T, E> {
    /// Cancels the job. Idempotent; no effect once it has an outcome.
    ///
    /// One that is queued or waits out a backoff ends at once, `Cancelled`, with the job inside. One that runs is told
    /// (see [`Cx::is_cancelled`](super::Cx::is_cancelled)) and its future is dropped at its next await, or once the
    /// pool's `cancel_grace` is over; what it returns `Ok` before then stands.
    pub fn cancel(&self) {
        if let Some(pool) = directory::find(self.pool) {
            pool.cancel(self.ticket);
        }
    }

    /// Cancels the job if it has not been started.
    pub(super) fn withdraw(&self) {
        if let Some(pool) = directory::find(self.pool) {
            pool.withdraw(self.ticket);
        }
    }

    /// Has the outcome go to `inbox`, under `key`: from here on the handle has none. Returns it if it is there already.
    pub(super) fn address(&mut self, inbox: &Arc<JobInbox<J, T, E>>, key: Key) -> Option<Outcome<J, T, E>> {
        self.wait = None;
        let cell = self.cell.take()?;
        let (outcome, waker) = cell.address(inbox.clone(), key);
        discard(waker);
        outcome
    }

    /// The pool that the job is in.
    pub(super) fn pool(&self) -> PoolId {
        self.pool
    }

    /// The same handle, but dropping it cancels the job.
    pub fn cancel_on_drop(self) -> CancelOnDrop<J, T, E> {
        CancelOnDrop { handle: self }
    }

    /// Blocks the thread until the outcome is there; for threads outside the runtime. In a handler of a pool built with
    /// [`build_blocking`](super::WorkerPoolBuilder::build_blocking), also that handler's own pool: its slot is lent meanwhile.
    ///
    /// # Errors
    /// The job's own.
    pub fn blocking_wait(mut self) -> Result<T, JobError<J, E>> {
        // Without setting up a wait that there may not be.
        if let Some(outcome) = self.cell.as_ref().and_then(|cell| cell.take()) {
            self.cell = None;
            return outcome;
        }
        rt::block_on(self)
    }
}

// Neither job nor outcome is ever pinned.
impl<J, T, E> Unpin for JobHandle<J, T, E> {}

impl<J, T, E> Future for JobHandle<J, T, E> {
    type Output = Outcome<J, T, E>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(cell) = this.cell.take() else { panic!("a JobHandle was polled after it had given its outcome") };
        let polled = match Cell::into_outcome(cell) {
            Ok(outcome) => Poll::Ready(outcome),
            Err(cell) => {
                let polled = cell.poll(cx.waker());
                this.cell = polled.is_pending().then_some(cell);
                polled
            }
        };
        if polled.is_ready() {
            nested::wait_over(&mut this.wait, this.pool);
            return polled;
        }
        nested::wait_here(&mut this.wait, this.pool);
        Poll::Pending
    }
}

impl<J, T, E> Drop for JobHandle<J, T, E> {
    #[inline]
    fn drop(&mut self) {
        nested::wait_over(&mut self.wait, self.pool);
        if let Some(cell) = self.cell.take() {
            leave_unread(&cell);
        }
    }
}

/// Nobody will read the outcome of a job.
fn leave_unread<J, T, E>(cell: &JobCell<J, T, E>) {
    let (unread, waker) = cell.detach();
    discard(unread);
    discard(waker);
}

impl<J, T, E> fmt::Debug for JobHandle<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobHandle").field("id", &self.ticket.number).field("finished", &self.is_finished()).finish()
    }
}

/// A [`JobHandle`] that cancels its job when it is dropped. Made by [`JobHandle::cancel_on_drop`].
///
/// # Cancel safety
/// Dropping it is how the job is cancelled; polling it again later is safe.
#[must_use = "dropping it cancels the job"]
pub struct CancelOnDrop<J, T, E> {
    handle: JobHandle<J, T, E>,
}

impl<J, T, E> Future for CancelOnDrop<J, T, E> {
    type Output = Outcome<J, T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.handle).poll(cx));
        Poll::Ready(outcome)
    }
}

impl<J, T, E> Drop for CancelOnDrop<J, T, E> {
    fn drop(&mut self) {
        if !self.handle.is_finished() {
            self.handle.cancel();
        }
    }
}

impl<J, T, E> fmt::Debug for CancelOnDrop<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancelOnDrop").field(&self.handle).finish()
    }
}
