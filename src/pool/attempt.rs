//! One attempt while its future is pending: signals, time limits, and the lending of its slot.

use super::account::Account;
use super::context::Context;
use super::runner::Current;
use super::shared::{JobCell, PoolClock, Shared, ticks};
use crate::contain::Payload;
use crate::kernel::alarms::{NEVER, Ticks};
use crate::kernel::bell::Signal;
use crate::kernel::engine::{Clock, Engine};
use crate::retry::StopReason;
use std::sync::Arc;
use std::task::Poll;

/// How an attempt ended that has no result.
pub(super) enum End<E> {
    /// The handler returned an error.
    Failed(E),
    /// The handler panicked.
    Panicked(Payload),
    /// The attempt took too long; if it ran into the job's deadline, that is why there is no other.
    TimedOut(Option<StopReason>),
    /// The deadline had passed before it could start.
    Late,
    /// It was cancelled or aborted.
    Stopped(Signal),
}

/// What the timer is set to for a pending attempt.
#[derive(Clone, Copy, PartialEq)]
enum Limit {
    Unset,
    None,
    AttemptTimeout,
    Deadline,
    Grace,
}

pub(super) struct Watch<'a, J, T, E> {
    shared: &'a Arc<Shared<J, T, E>>,
    current: &'a mut Current<J, T, E>,
    context: &'a Context,
    account: &'a mut Account<J, T, E>,
    seen: Signal,
    limit: Limit,
}

impl<'a, J, T, E> Watch<'a, J, T, E> {
    pub(super) fn new(
        shared: &'a Arc<Shared<J, T, E>>,
        current: &'a mut Current<J, T, E>,
        context: &'a Context,
        account: &'a mut Account<J, T, E>,
    ) -> Self {
        Self { shared, current, context, account, seen: Signal::Run, limit: Limit::Unset }
    }

    /// The handler's future is pending: may it go on?
    pub(super) fn pending(&mut self, waiting: bool) -> Poll<End<E>> {
        self.lend(waiting);
        if self.limit == Limit::Unset {
            self.begin_to_wait();
        }
        if self.account.batch.bell().is_quiet() {
            return Poll::Pending;
        }
        self.rung()
    }

    /// Lends the slot while the handler waits for a job of its own pool.
    fn lend(&mut self, waiting: bool) {
        if waiting == self.current.lending {
            return;
        }
        self.current.lending = waiting;
        if waiting {
            self.shared.engine.lend(&mut self.account.fx);
            self.shared.apply(&mut self.account.fx);
        } else {
            self.shared.engine.take_back();
        }
    }

    /// Holds up no other job, and has the attempt's time kept.
    fn begin_to_wait(&mut self) {
        let (due, limit) = self.limit();
        self.limit = limit;
        let account = &*self.account;
        if due != NEVER
            || !account.settled.is_empty()
            || Engine::<JobCell<J, T, E>, PoolClock>::must_stall(&account.batch)
        {
            self.stall(due);
        }
    }

    fn stall(&mut self, due: Ticks) {
        let Account { batch, settled, fx, .. } = &mut *self.account;
        self.shared.engine.stall(self.current.ticket, due, settled.ended(), batch, fx);
        self.account.publish(self.shared);
    }

    /// When this attempt must be over: it is timed from its first pending poll.
    fn limit(&self) -> (Ticks, Limit) {
        let deadline = self.current.deadline;
        let Some(timeout) = self.shared.options.attempt_timeout else {
            return (deadline, if deadline == NEVER { Limit::None } else { Limit::Deadline });
        };
        let timeout = self.shared.engine.clock().now().saturating_add(ticks(timeout));
        if deadline <= timeout { (deadline, Limit::Deadline) } else { (timeout, Limit::AttemptTimeout) }
    }

    /// Something is asked of the job, or its time is up.
    fn rung(&mut self) -> Poll<End<E>> {
        let signal = self.account.batch.bell().signal();
        if signal > self.seen {
            self.seen = signal;
            self.context.cancel();
            let grace = self.shared.options.cancel_grace;
            if grace.is_zero() {
                return Poll::Ready(End::Stopped(signal));
            }
            if self.limit != Limit::Grace {
                self.limit = Limit::Grace;
                self.stall(self.shared.engine.clock().now().saturating_add(ticks(grace)));
            }
        }
        if !self.account.batch.bell().take_due() {
            return Poll::Pending;
        }
        // What the handler has started elsewhere learns that nobody waits for it any more.
        self.context.cancel();
        Poll::Ready(match self.limit {
            Limit::Grace => End::Stopped(self.seen),
            limit => End::TimedOut((limit == Limit::Deadline).then_some(StopReason::Deadline)),
        })
    }
}
