//! The line of those who wait for room.

use super::error::SubmitError;
use super::handle::JobHandle;
use super::shared::{JobCell, Shared};
use super::submit::{Terms, take_job};
use crate::contain::discard;
use crate::kernel::engine::{Effects, Entry, Ticket, Waited};
use crate::kernel::slab::Key;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// What becomes of a job that was accepted and started before its submitter left the line.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Deserted {
    Detach,
    Cancel,
}

/// A submitter that waits for room.
pub(super) struct InLine<J, T, E> {
    shared: Arc<Shared<J, T, E>>,
    deserted: Deserted,
    /// `None` once the wait is over.
    cell: Option<JobCell<J, T, E>>,
    terms: Terms,
    line: Option<Key>,
}

impl<J, T, E> InLine<J, T, E> {
    pub(super) fn new(shared: Arc<Shared<J, T, E>>, cell: JobCell<J, T, E>, terms: Terms, deserted: Deserted) -> Self {
        Self { shared, deserted, cell: Some(cell), terms, line: None }
    }

    fn accepted(&mut self, ticket: Ticket) -> JobHandle<J, T, E> {
        JobHandle::new(self.shared.id, self.take(), ticket)
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
            Some(Waited::Closed(_)) => Err(SubmitError::Closed(take_job(self.take()))),
            _ => Err(SubmitError::Timeout(take_job(self.take()))),
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
                _ => Poll::Ready(Err(SubmitError::Closed(take_job(self.take())))),
            };
        }
        let mut fx = Effects::default();
        let cell = self.cell.clone().expect("polled after it was ready");
        let request = self.terms.request(cell);
        let entry = self.shared.engine.admit_or_wait(request, cx.waker().clone(), &mut fx);
        self.shared.apply(&mut fx);
        match entry {
            Entry::Accepted(ticket) => Poll::Ready(Ok(self.accepted(ticket))),
            Entry::Closed(_) => Poll::Ready(Err(SubmitError::Closed(take_job(self.take())))),
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
