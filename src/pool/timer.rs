//! The pool's timer: one transient task that ends backoffs and the deadlines of jobs that wait.
//!
//! It exists only while there is an alarm to wait for; an idle pool has none.

use super::error::JobError;
use super::shared::{Shared, Task};
use crate::contain::discard;
use crate::kernel::cell::Cell;
use crate::kernel::engine::{Clock, Effects, Expired, Ring};
use crate::retry::StopReason;
use crate::rt::{self, Sleep};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

pub(super) struct Timer<J, T, E> {
    shared: Arc<Shared<J, T, E>>,
    left: bool,
    on_thread: bool,
}

impl<J, T, E> Timer<J, T, E> {
    pub(super) fn new(shared: Arc<Shared<J, T, E>>) -> Self {
        Self { shared, left: false, on_thread: false }
    }

    /// One for a thread of its own.
    pub(super) fn on_thread(shared: Arc<Shared<J, T, E>>) -> Self {
        Self { shared, left: false, on_thread: true }
    }

    pub(super) async fn run(mut self) {
        let mut sleep = pin!(None);
        poll_fn(|cx| self.poll(cx, sleep.as_mut())).await;
        self.left = true;
    }

    /// The same, blocking the calling thread.
    pub(super) fn run_on_thread(mut self) {
        while let Ring::SleepUntil(until) = self.ring(rt::thread_waker()) {
            rt::park_until(self.shared.engine.clock().instant(until));
        }
        self.left = true;
    }

    fn poll(&self, cx: &mut Context<'_>, mut sleep: Pin<&mut Option<Sleep>>) -> Poll<()> {
        loop {
            let Ring::SleepUntil(until) = self.ring(cx.waker().clone()) else { return Poll::Ready(()) };
            let Some(until) = self.shared.engine.clock().instant(until) else { return Poll::Pending };
            match sleep.as_mut().as_pin_mut() {
                Some(sleep) => sleep.reset(until),
                None => sleep.set(Some(rt::sleep_until(until))),
            }
            ready!(sleep.as_mut().as_pin_mut().map_or(Poll::Pending, |sleep| sleep.poll(cx)));
        }
    }

    /// Ends what is due. `waker` will be woken if something comes before the next.
    fn ring(&self, waker: Waker) -> Ring {
        let (mut fx, mut expired) = (Effects::default(), Vec::new());
        let engine = &self.shared.engine;
        let next = engine.ring(engine.clock().now(), waker, &mut expired, &mut fx);
        self.publish(&mut expired, &mut fx);
        self.shared.apply(&mut fx);
        next
    }

    fn publish(&self, expired: &mut Vec<Expired<super::shared::JobCell<J, T, E>>>, fx: &mut Effects) {
        let count = expired.len();
        for Expired { mut cell } in expired.drain(..) {
            let error = JobError::TimedOut(Box::new(Cell::lend(&mut cell).into_waiting(StopReason::Deadline)));
            self.shared.dead_letter(&error);
            self.shared.publish(cell, Err(error), fx);
        }
        if count > 0 {
            self.shared.engine.published(count, fx);
        }
        discard(std::mem::take(expired));
    }
}

impl<J, T, E> Drop for Timer<J, T, E> {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        // Only a runtime that shuts down drops the timer early. A pool on threads goes on without it.
        if self.on_thread || self.shared.threads.is_none() || !self.shared.launch(Task::SpareTimer) {
            self.shared.engine.lose_timer();
            self.shared.abandon();
        }
    }
}
