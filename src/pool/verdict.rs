//! What becomes of a job whose attempt did not succeed: another attempt later, or its end.

use super::account::Account;
use super::error::{Failure, JobError, Panic};
use super::handler::Exec;
use super::runner::{Current, Runner};
use super::shared::{History, Parcel, ticks};
use crate::contain::{Payload, contain, discard};
use crate::kernel::alarms::NEVER;
use crate::kernel::bell::Signal;
use crate::kernel::cell::Cell;
use crate::kernel::engine::{Bin, Clock, Parking, Unparkable};
use crate::retry::{Decision, FailedAttempt, StopReason};
use crate::rt;
use crate::shim::Mutex;
use std::time::Duration;

impl<J, T, E, X> Runner<J, T, E, X>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
    X: Exec<J, T, E>,
{
    /// The attempt returned an error, or timed out (`None`). With a reason to `stop` there is no other.
    pub(super) fn failed(&mut self, job: Option<J>, error: Option<E>, stop: Option<StopReason>) {
        let bin = if error.is_some() { Bin::Failed } else { Bin::TimedOut };
        let Some(job) = job else {
            return self.bury(bin, None, error, stop.unwrap_or(StopReason::JobKept), None);
        };
        let decision = match stop {
            Some(stop) => Ok(Decision::Stop(stop)),
            None => contain(|| self.decide(error.as_ref())),
        };
        match decision {
            Ok(Decision::RetryAfter(delay)) => self.park(bin, job, error, delay),
            Ok(Decision::Stop(stop)) => self.bury(bin, Some(job), error, stop, None),
            Err(payload) => self.panicked(Some(job), error, payload),
        }
    }

    /// The deadline passed while the job waited.
    pub(super) fn late(&mut self, job: Option<J>) {
        self.bury(Bin::TimedOut, job, None, StopReason::Deadline, None);
    }

    /// The handler panicked, or the classifier did over `error`.
    pub(super) fn panicked(&mut self, job: Option<J>, error: Option<E>, payload: Payload) {
        self.bury(Bin::Panicked, job, error, StopReason::Panicked, Some(Panic(Mutex::new(payload))));
    }

    /// What the handler itself asked for, or else the policy says.
    fn decide(&mut self, error: Option<&E>) -> Decision {
        let Some(current) = self.current.as_ref() else { unreachable!("a failed attempt has a current job") };
        let clock = self.shared.engine.clock();
        let now = clock.now();
        let until_deadline =
            (current.deadline != NEVER).then(|| Duration::from_nanos(current.deadline.saturating_sub(now)));
        if let Some(delay) = error.and(self.snoozed) {
            return match until_deadline {
                Some(left) if delay >= left => Decision::Stop(StopReason::Deadline),
                _ => self.if_room(Decision::RetryAfter(delay)),
            };
        }
        let Some(policy) = &self.shared.options.retry else { return Decision::Stop(StopReason::MaxAttempts) };
        let history = current.history.as_ref();
        let first = history.map_or(current.started, |history| history.first);
        let failed = FailedAttempt {
            attempt: history.map_or(0, |history| history.attempts).saturating_add(1),
            error,
            elapsed: Duration::from_nanos(now.saturating_sub(first)),
            previous_delay: history.and_then(|history| history.previous_delay),
            until_deadline,
            random: rt::random(),
            now: clock.shared(now),
        };
        match self.if_room(policy.plan(&failed)) {
            Decision::RetryAfter(delay) => {
                let now = failed.now;
                self.deposit();
                let paid = self.shared.options.retry.as_ref().is_none_or(|policy| policy.pay(now));
                if paid { Decision::RetryAfter(delay) } else { Decision::Stop(StopReason::Budget) }
            }
            stop @ Decision::Stop(_) => stop,
        }
    }

    /// The decision, unless it needs room for a job to wait and there is none.
    fn if_room(&self, decision: Decision) -> Decision {
        match (decision, self.shared.engine.may_park()) {
            (Decision::RetryAfter(_), Err(why)) => Decision::Stop(stop_reason(why)),
            (decision, _) => decision,
        }
    }

    fn park(&mut self, bin: Bin, job: J, error: Option<E>, delay: Duration) {
        let Some(mut current) = self.current.take() else { unreachable!("only a current job is parked") };
        let first = current.started;
        let mut history = current
            .history
            .take()
            .unwrap_or_else(|| Box::new(History { attempts: 0, first, previous_delay: None, last_error: None }));
        let snoozed = error.is_some() && self.snoozed.is_some();
        if !snoozed {
            history.attempts = history.attempts.saturating_add(1);
            history.previous_delay = Some(delay);
        }
        if error.is_some() {
            discard(std::mem::replace(&mut history.last_error, error));
        }
        Cell::give_back(&mut current.cell, Parcel { job, history: Some(history) });
        let due = self.shared.engine.clock().now().saturating_add(ticks(delay)).min(NEVER - 1);
        let Current { ticket, cell, deadline, .. } = current;
        let parking = Parking { ticket, cell, due, deadline };
        self.account.clear_desk();
        let Account { batch, settled, fx, .. } = &mut self.account;
        match self.shared.engine.park(parking, settled.ended(), batch, fx) {
            Ok(()) => self.account.publish(&self.shared),
            Err((why, mut cell)) => {
                let Parcel { job, history } = Cell::lend(&mut cell);
                self.current = Some(Current { cell, history, ..current });
                // Cancel: asked for between the end of the attempt and here, when no list had the job.
                if why == Unparkable::Cancelled {
                    return self.stopped(Signal::Cancel, Some(job));
                }
                self.bury_counted(bin, job, stop_reason(why));
            }
        }
    }

    /// Ends the current job for good; its history does not include the last attempt.
    fn bury(&mut self, bin: Bin, job: Option<J>, error: Option<E>, stop: StopReason, panic: Option<Panic>) {
        let Some(current) = self.current.as_mut() else { unreachable!("only a current job is buried") };
        let (before, earlier) = current.history.take().map_or((0, None), |past| (past.attempts, past.last_error));
        let attempts = before.saturating_add(u32::from(current.attempted));
        let last_error = match error {
            Some(error) => {
                discard(earlier);
                Some(error)
            }
            None => earlier,
        };
        self.end(bin, Failure { job, attempts, stop, last_error, panic });
    }

    /// The same for a job whose history includes the last attempt.
    fn bury_counted(&mut self, bin: Bin, job: J, stop: StopReason) {
        let history = self.current.as_mut().and_then(|current| current.history.take());
        let (attempts, last_error) = history.map_or((1, None), |past| (past.attempts, past.last_error));
        self.end(bin, Failure { job: Some(job), attempts, stop, last_error, panic: None });
    }

    fn end(&mut self, bin: Bin, failure: Failure<J, E>) {
        let failure = Box::new(failure);
        let error = match bin {
            Bin::Panicked => JobError::Panicked(failure),
            Bin::TimedOut => JobError::TimedOut(failure),
            _ => JobError::Failed(failure),
        };
        self.shared.dead_letter(&error);
        self.settle(bin, Err(error));
    }
}

fn stop_reason(why: Unparkable) -> StopReason {
    match why {
        Unparkable::Full => StopReason::ParkedFull,
        Unparkable::Aborted | Unparkable::Cancelled => StopReason::ShuttingDown,
    }
}
