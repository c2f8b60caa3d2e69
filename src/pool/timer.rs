//! The pool's timer: one transient task that ends backoffs and the deadlines of jobs that wait.
//!
//! It exists only while there is an alarm to wait for; an idle pool has none.

use super::error::JobError;
use super::shared::Shared;
use crate::contain::discard;
use crate::kernel::engine::{Clock, Effects, Expired, Ring};
use crate::retry::StopReason;
use crate::rt::{self, Sleep};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

pub(super) struct Timer<J, T, E> {
    shared: Arc<Shared<J, T, E>>,
    left: bool,
}

impl<J, T, E> Timer<J, T, E> {
    pub(super) fn new(shared: Arc<Shared<J, T, E>>) -> Self {
        Self { shared, left: false }
    }

    pub(super) async fn run(mut self) {
        let mut sleep = pin!(None);
        poll_fn(|cx| self.poll(cx, sleep.as_mut())).await;
        self.left = true;
    }

    fn poll(&self, cx: &mut Context<'_>, mut sleep: Pin<&mut Option<Sleep>>) -> Poll<()> {
        let (mut fx, mut expired) = (Effects::default(), Vec::new());
        let engine = &self.shared.engine;
        loop {
            let next = engine.ring(engine.clock().now(), cx.waker().clone(), &mut expired, &mut fx);
            self.publish(&mut expired, &mut fx);
            self.shared.apply(&mut fx);
            let Ring::SleepUntil(until) = next else { return Poll::Ready(()) };
            let Some(until) = engine.clock().instant(until) else { return Poll::Pending };
            match sleep.as_mut().as_pin_mut() {
                Some(sleep) => sleep.reset(until),
                None => sleep.set(Some(rt::sleep_until(until))),
            }
            ready!(sleep.as_mut().as_pin_mut().map_or(Poll::Pending, |sleep| sleep.poll(cx)));
        }
    }

    fn publish(&self, expired: &mut Vec<Expired<super::shared::JobCell<J, T, E>>>, fx: &mut Effects) {
        let count = expired.len();
        for Expired { cell } in expired.drain(..) {
            let error = JobError::TimedOut(Box::new(cell.lend().into_waiting(StopReason::Deadline)));
            self.shared.dead_letter(&error);
            self.shared.publish(&cell, Err(error));
        }
        if count > 0 {
            self.shared.engine.published(count, fx);
        }
        discard(std::mem::take(expired));
    }
}

impl<J, T, E> Drop for Timer<J, T, E> {
    fn drop(&mut self) {
        if !self.left {
            // Only a runtime that shuts down drops the timer early.
            self.shared.engine.lose_timer();
            self.shared.abandon();
        }
    }
}
