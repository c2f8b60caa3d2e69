//! One attempt while its future is pending: signals, time limits, and the lending of its slot.

use super::account::Account;
use super::context::Context as AttemptContext;
use super::runner::Current;
use super::shared::Shared;
use crate::contain::Payload;
use crate::kernel::cell::Signal;
use crate::retry::StopReason;
use crate::rt::{self, Sleep};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// How an attempt ended.
pub(super) enum End<T, E> {
    /// The handler returned.
    Returned(Result<T, E>),
    /// The handler panicked.
    Panicked(Payload),
    /// The attempt took too long; if it ran into the job's deadline, that is why there is no other.
    TimedOut(Option<StopReason>),
    /// The deadline had passed before it could start.
    Late,
    /// It was cancelled or aborted.
    Stopped(Signal),
}

/// What the timer of a pending attempt is set to.
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
    context: &'a AttemptContext,
    account: &'a mut Account<J, T, E>,
    registered: Option<Waker>,
    seen: Signal,
    limit: Limit,
}

impl<'a, J, T, E> Watch<'a, J, T, E> {
    pub(super) fn new(
        shared: &'a Arc<Shared<J, T, E>>,
        current: &'a mut Current<J, T, E>,
        context: &'a AttemptContext,
        account: &'a mut Account<J, T, E>,
    ) -> Self {
        Self { shared, current, context, account, registered: None, seen: Signal::Run, limit: Limit::Unset }
    }

    /// The handler's future is pending: may it go on?
    pub(super) fn pending(
        &mut self,
        cx: &mut Context<'_>,
        waiting: bool,
        mut sleep: Pin<&mut Option<Sleep>>,
    ) -> Poll<End<T, E>> {
        self.lend(waiting);
        while let Some(signal) = self.heard(cx.waker()) {
            self.seen = signal;
            self.registered = None;
            self.context.cancel();
            let grace = self.shared.options.cancel_grace;
            if grace.is_zero() {
                return Poll::Ready(End::Stopped(signal));
            }
            if self.limit != Limit::Grace {
                self.limit = Limit::Grace;
                sleep.set(Some(rt::sleep(grace)));
            }
        }
        self.set_limit(sleep.as_mut());
        match sleep.as_pin_mut().map_or(Poll::Pending, |sleep| sleep.poll(cx)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                // What the handler has started elsewhere learns that nobody waits for it any more.
                self.context.cancel();
                Poll::Ready(match self.limit {
                    Limit::Grace => End::Stopped(self.seen),
                    limit => End::TimedOut((limit == Limit::Deadline).then_some(StopReason::Deadline)),
                })
            }
        }
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

    /// Makes `waker` known to the engine if it is not, with an account of the batch, then reads the signal. `Some`: a
    /// new one.
    fn heard(&mut self, waker: &Waker) -> Option<Signal> {
        let mut signal = Signal::Run;
        if !self.registered.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.registered = Some(waker.clone());
            let Current { ticket, cell, .. } = &*self.current;
            let Account { batch, settled, fx } = &mut *self.account;
            let suspended = (*ticket, cell.clone(), waker.clone());
            if self.shared.engine.suspend(suspended, Account::ended(settled), batch, fx) {
                signal = Signal::Abort;
            }
            self.account.publish(self.shared);
        }
        signal = signal.max(self.current.cell.signal());
        (signal > self.seen).then_some(signal)
    }

    /// Starts the clock of this attempt at its first pending poll.
    fn set_limit(&mut self, mut sleep: Pin<&mut Option<Sleep>>) {
        if self.limit != Limit::Unset {
            return;
        }
        let timeout = self.shared.options.attempt_timeout.map(|timeout| (rt::after(timeout), Limit::AttemptTimeout));
        let deadline = self.shared.engine.clock().instant(self.current.deadline).map(|at| (at, Limit::Deadline));
        let earliest = match (timeout, deadline) {
            (Some(timeout), Some(deadline)) => Some(if deadline.0 <= timeout.0 { deadline } else { timeout }),
            (timeout, deadline) => timeout.or(deadline),
        };
        self.limit = Limit::None;
        if let Some((at, limit)) = earliest {
            self.limit = limit;
            sleep.set(Some(rt::sleep_until(at)));
        }
    }
}
