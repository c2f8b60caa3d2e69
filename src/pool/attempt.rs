//! One attempt: the polls of its future, and while that is pending signals, time limits, and the lending of its slot.

use super::account::Account;
use super::context::Context as AttemptContext;
use super::directory::PoolId;
use super::handler::{Exec, Lodging};
use super::nested::{Waits, within};
use super::runner::{Current, Runner};
use super::shared::{JobCell, PoolClock, Shared, ticks};
use crate::contain::{Payload, contain, discard};
use crate::kernel::alarms::{NEVER, Ticks};
use crate::kernel::bell::Signal;
use crate::kernel::engine::{Clock, Engine};
use crate::retry::StopReason;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

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

impl<J, T, E, X> Runner<J, T, E, X>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
    X: Exec<J, T, E>,
{
    /// Makes one attempt, in the task that `waker` wakes. Without a result, `otherwise` says how it ended: in a place of its
    /// own, so that most attempts move no more than their result.
    #[inline]
    pub(super) async fn attempt(&mut self, waker: &Waker) -> Option<T> {
        let Self { shared, exec, current, slot, lodging, waits, account, pace, otherwise, .. } = self;
        let (exec, lodging): (&X, &Lodging<J>) = (exec, lodging);
        let id = shared.id;
        let mut future = pin!(None);
        let mut returned = None;
        let mut polled = poll_handler(
            id,
            waits,
            future.as_mut(),
            |mut future| future.set(Some(exec.exec(slot, lodging))),
            waker,
            &mut returned,
        );
        // Most handlers are done at their first poll, of which nothing is to outlive an await.
        if let Some(Ok(result)) = returned {
            return Some(result);
        }
        if matches!(polled, Polled::Pending) {
            pace.waited = true;
            let Some(current) = current.as_mut() else { unreachable!("an attempt has a current job") };
            let mut watch = Watch::new(shared, current, lodging.context(), account);
            let mut again = false;
            polled = poll_fn(|cx| {
                if std::mem::replace(&mut again, true) {
                    match poll_handler(id, waits, future.as_mut(), |_| {}, cx.waker(), &mut returned) {
                        Polled::Pending => {}
                        ended => return Poll::Ready(ended),
                    }
                }
                let waiting = waits.as_ref().is_some_and(|waits| waits.any());
                watch.pending(waiting).map(Polled::Cut)
            })
            .await;
        }
        *otherwise = Some(match (returned, polled) {
            (Some(Ok(result)), _) => return Some(result),
            (Some(Err(error)), _) => End::Failed(error),
            (None, Polled::Cut(end)) => match contain(|| future.set(None)) {
                Ok(()) => end,
                Err(payload) => End::Panicked(payload),
            },
            (None, Polled::Panicked(payload)) => {
                discard(contain(|| future.set(None)));
                End::Panicked(payload)
            }
            (None, Polled::Returned | Polled::Pending) => {
                unreachable!("an attempt ends with what was returned, or without")
            }
        });
        None
    }
}

/// What a poll of the handler's future has come to.
enum Polled<E> {
    Returned,
    Pending,
    Panicked(Payload),
    /// It is not polled any more.
    Cut(End<E>),
}

/// Prepares the handler's future, and polls it. It is gone once it has `returned`.
#[inline]
fn poll_handler<F: Future, E>(
    pool: PoolId,
    waits: &mut Option<Arc<Waits>>,
    mut future: Pin<&mut Option<F>>,
    prepare: impl FnOnce(Pin<&mut Option<F>>),
    waker: &Waker,
    returned: &mut Option<F::Output>,
) -> Polled<E> {
    let polled = within(pool, waits, || {
        contain(|| {
            prepare(future.as_mut());
            let Some(running) = future.as_mut().as_pin_mut() else { return };
            if let Poll::Ready(out) = running.poll(&mut Context::from_waker(waker)) {
                // Written from inside, and so moved once.
                *returned = Some(out);
                future.set(None);
            }
        })
    });
    match polled {
        // What was returned stands, even if dropping the spent future panics.
        polled if returned.is_some() => {
            discard(polled);
            Polled::Returned
        }
        Ok(()) => Polled::Pending,
        Err(payload) => Polled::Panicked(payload),
    }
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
    context: &'a AttemptContext,
    account: &'a mut Account<J, T, E>,
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
