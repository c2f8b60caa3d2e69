//! Whoever waits for a load.

use super::Load;
use super::error::Outcome;
use super::scope::{Edge, wait_here};
use crate::contain::{discard, wake};
use crate::kernel::flight::Seat;
use crate::kernel::waits::Circle;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A seat in a flight, given up when dropped.
pub(super) struct Waiter<V> {
    load: Arc<Load<V>>,
    /// `None` once it was given up.
    seat: Option<Seat>,
    /// The wait as one of the load that makes it.
    edge: Option<Edge>,
}

impl<V> Waiter<V> {
    pub(super) fn new(load: Arc<Load<V>>, seat: Seat) -> Self {
        Self { load, seat: Some(seat), edge: None }
    }

    fn leave(&mut self) {
        self.edge = None;
        let Some(seat) = self.seat.take() else { return };
        let left = self.load.shared.leave(seat);
        // A waker of the user's: its `Drop` may panic.
        discard(left.waiter);
        left.task.into_iter().for_each(wake);
    }
}

/// Ready with the outcome, or at once if the wait would close a circle.
impl<V> Future for Waiter<V> {
    type Output = Result<Arc<Outcome<V>>, Circle>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { load, seat, edge } = &mut *self;
        let Some(taken) = seat else { unreachable!("a waiter that has its answer is not polled again") };
        if let Poll::Ready(outcome) = load.shared.poll(taken, cx.waker()) {
            *edge = None;
            *seat = None;
            return Poll::Ready(Ok(outcome));
        }
        let Err(circle) = wait_here(edge, load.id) else { return Poll::Pending };
        self.leave();
        Poll::Ready(Err(circle))
    }
}

impl<V> Drop for Waiter<V> {
    fn drop(&mut self) {
        self.leave();
    }
}
