//! Runners: the transient tasks that make the attempts.
//!
//! # What
//! A runner claims a job, makes one attempt at it, tells the engine how it ended and claims the next in the same lock
//! operation; it leaves when there is no work. It holds the handler's future on its own stack: no task and
//! no box per job.
//!
//! # States
//! | stage | engine counts it | dropped by the runtime |
//! |---|---|---|
//! | `Starting` | as starting | counted out |
//! | `Here` | as a runner | counted out; its job, if any, ends `Aborted` |
//! | `Gone` | no | nothing to do |
//!
//! # Invariants
//! 1. Between claim and conclusion `current` names the job: whatever drops the runner ends it.
//! 2. The hook runs before an outcome is counted, and it is counted before its handle wakes.
//! 3. Before a pending attempt is left alone, its waker is known to the engine and *then* its signal is read.
//!
//! # Why not the obvious
//! A task per job costs an allocation and two scheduler trips per job; parked workers have wake-ups to lose.
//!
//! # Cost
//! One spawn per busy spell, shared by all its jobs. Two lock operations on the cell and one on the engine a job.

use super::attempt::{End, Watch};
use super::context::Context as AttemptContext;
use super::error::{Failure, JobError, Panic};
use super::handler::{Exec, Home};
use super::nested::{Waits, within};
use super::shared::{History, JobCell, Outcome, Parcel, Shared, ticks};
use crate::contain::{contain, discard};
use crate::kernel::alarms::{NEVER, Ticks};
use crate::kernel::cell::Signal;
use crate::kernel::engine::{Bin, Claim, Clock, Effects, Phase, Ticket};
use crate::retry::{Decision, FailedAttempt, StopReason};
use crate::rt;
use crate::shim::Mutex;
use std::any::Any;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

/// How many first attempts are told to the retry budget at once.
const DEPOSIT: u32 = 32;

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Starting,
    Here,
    Gone,
}

/// The job that a runner has claimed.
pub(super) struct Current<J, T, E> {
    pub(super) ticket: Ticket,
    pub(super) cell: JobCell<J, T, E>,
    pub(super) deadline: Ticks,
    /// Whether its slot is lent, because it waits for another job of this pool.
    pub(super) lending: bool,
    started: Ticks,
    history: Option<Box<History<E>>>,
}

pub(super) struct Runner<J, T, E, X> {
    shared: Arc<Shared<J, T, E>>,
    exec: Arc<X>,
    stage: Stage,
    current: Option<Current<J, T, E>>,
    slot: Option<J>,
    home: Arc<Home<J>>,
    waits: Option<Arc<Waits>>,
    /// First attempts that the retry budget has not been told of.
    fresh: u32,
    fx: Effects,
}

impl<J, T, E, X> Runner<J, T, E, X>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
    X: Exec<J, T, E>,
{
    pub(super) fn new(shared: Arc<Shared<J, T, E>>, exec: Arc<X>) -> Self {
        let weak: Weak<Shared<J, T, E>> = Arc::downgrade(&shared);
        let pool: Weak<dyn Any + Send + Sync> = weak;
        Self {
            shared,
            exec,
            stage: Stage::Starting,
            current: None,
            slot: None,
            home: Home::new(AttemptContext::new(pool)),
            waits: None,
            fresh: 0,
            fx: Effects::default(),
        }
    }

    pub(super) async fn run(mut self) {
        let mut next = self.shared.engine.arrive(&mut self.fx);
        self.stage = Stage::Here;
        loop {
            self.shared.apply(&mut self.fx);
            let Some(claim) = next else {
                self.deposit();
                next = self.shared.engine.leave(&mut self.fx);
                if next.is_none() {
                    self.stage = Stage::Gone;
                    self.shared.apply(&mut self.fx);
                    return;
                }
                continue;
            };
            let start = self.begin(claim);
            // Only here: invariant 1 holds while the runner is away.
            rt::yield_if_spent().await;
            let end = if start { self.attempt().await } else { self.unattempted() };
            next = self.conclude(end);
        }
    }

    /// Takes the claimed job. `false`: there will be no attempt.
    fn begin(&mut self, claim: Claim<JobCell<J, T, E>>) -> bool {
        let Claim { ticket, cell, deadline, late } = claim;
        let Parcel { job, history } = cell.lend();
        self.slot = Some(job);
        let attempts = history.as_ref().map_or(0, |history| history.attempts);
        let retries = self.shared.options.retry.is_some();
        let clock = self.shared.engine.clock();
        let started = if retries { clock.now() } else { 0 };
        let start = !late && cell.signal() == Signal::Run;
        if start {
            self.home.renew(attempts.saturating_add(1), clock.instant(deadline));
            self.fresh += u32::from(retries && history.is_none());
        }
        self.current = Some(Current { ticket, cell, deadline, lending: false, started, history });
        if self.fresh >= DEPOSIT {
            self.deposit();
        }
        start
    }

    fn unattempted(&self) -> End<T, E> {
        match self.current.as_ref().map(|current| current.cell.signal()) {
            Some(signal) if signal != Signal::Run => End::Stopped(signal),
            _ => End::Late,
        }
    }

    /// Makes one attempt. The future is created, polled and dropped inside `contain`.
    async fn attempt(&mut self) -> End<T, E> {
        let Self { shared, exec, current, slot, home, waits, fx, .. } = self;
        let Some(current) = current.as_mut() else { unreachable!("an attempt has a current job") };
        let home: &Arc<Home<J>> = home;
        let mut future = pin!(None);
        match contain(|| exec.exec(slot, home)) {
            Ok(made) => future.set(Some(made)),
            Err(payload) => return End::Panicked(payload),
        }
        let id = shared.id();
        let mut sleep = pin!(None);
        let mut watch = Watch::new(shared, current, home.context(), fx);
        let end = poll_fn(|cx| {
            let polled = within(id, waits, || {
                contain(|| match future.as_mut().as_pin_mut() {
                    Some(future) => future.poll(cx),
                    None => Poll::Pending,
                })
            });
            match polled {
                Err(payload) => Poll::Ready(End::Panicked(payload)),
                Ok(Poll::Ready(out)) => Poll::Ready(End::Returned(out)),
                Ok(Poll::Pending) => {
                    let waiting = waits.as_ref().is_some_and(|waits| waits.any());
                    watch.pending(cx, waiting, sleep.as_mut())
                }
            }
        })
        .await;
        match contain(|| future.set(None)) {
            Ok(()) => end,
            Err(payload) => end.spoiled(payload),
        }
    }

    /// Ends or parks the current job and claims the next.
    fn conclude(&mut self, end: End<T, E>) -> Option<Claim<JobCell<J, T, E>>> {
        let job = self.slot.take().or_else(|| self.home.take());
        if self.waits.as_mut().is_some_and(|waits| Arc::get_mut(waits).is_none()) {
            // A handle has left the handler: its wait must not be counted against the next job.
            self.waits = None;
        }
        match end {
            End::Returned(Ok(value)) => {
                discard(job);
                self.settle(Bin::Succeeded, Ok(value))
            }
            End::Returned(Err(error)) => match self.signal() {
                Signal::Run => self.failed(job, Some(error), None),
                signal => {
                    discard(error);
                    self.stopped(signal, job)
                }
            },
            End::TimedOut { at_deadline } => self.failed(job, None, at_deadline.then_some(StopReason::Deadline)),
            End::Late => {
                let history = self.current.as_mut().and_then(|current| current.history.take());
                let (attempts, last_error) =
                    history.map_or((0, None), |history| (history.attempts, history.last_error));
                let failure = Failure { job, attempts, stop: StopReason::Deadline, last_error, panic: None };
                self.bury(Bin::TimedOut, failure)
            }
            End::Panicked(payload) => {
                let panic = Some(Panic(Mutex::new(payload)));
                self.dead(Bin::Panicked, job, None, StopReason::Panicked, panic)
            }
            End::Stopped(signal) => self.stopped(signal, job),
        }
    }

    fn signal(&self) -> Signal {
        self.current.as_ref().map_or(Signal::Run, |current| current.cell.signal())
    }

    fn stopped(&mut self, signal: Signal, job: Option<J>) -> Option<Claim<JobCell<J, T, E>>> {
        if signal == Signal::Cancel {
            return self.settle(Bin::Cancelled, Err(JobError::Cancelled(job)));
        }
        let error = self.shared.aborted(job);
        self.settle(Bin::Aborted, Err(error))
    }

    /// Decides about an attempt that failed: another one later, or none. `stop`: none, for that reason.
    fn failed(
        &mut self,
        job: Option<J>,
        error: Option<E>,
        stop: Option<StopReason>,
    ) -> Option<Claim<JobCell<J, T, E>>> {
        let bin = if error.is_some() { Bin::Failed } else { Bin::TimedOut };
        let planned = match stop {
            Some(stop) => Ok(Decision::Stop(stop)),
            None if job.is_none() => Ok(Decision::Stop(StopReason::JobKept)),
            None => contain(|| self.plan(error.as_ref())),
        };
        match planned {
            Err(payload) => {
                let panic = Some(Panic(Mutex::new(payload)));
                self.dead(Bin::Panicked, job, error, StopReason::Panicked, panic)
            }
            Ok(Decision::Stop(stop)) => self.dead(bin, job, error, stop, None),
            Ok(Decision::RetryAfter(delay)) => match job {
                Some(job) => self.park(job, error, delay, bin),
                None => self.dead(bin, None, error, StopReason::JobKept, None),
            },
        }
    }

    /// What the policy, or the handler itself, says about the failure.
    fn plan(&mut self, error: Option<&E>) -> Decision {
        let Some(current) = self.current.as_ref() else { unreachable!("a failed attempt has a current job") };
        let clock = self.shared.engine.clock();
        let now = clock.now();
        let until_deadline =
            (current.deadline != NEVER).then(|| Duration::from_nanos(current.deadline.saturating_sub(now)));
        if let Some(delay) = error.and_then(|_| self.home.context().snoozed()) {
            return match until_deadline {
                Some(left) if delay >= left => Decision::Stop(StopReason::Deadline),
                _ => self.room_to_park(Decision::RetryAfter(delay)),
            };
        }
        let Some(policy) = &self.shared.options.retry else { return Decision::Stop(StopReason::MaxAttempts) };
        let history = current.history.as_ref();
        let first = history.map_or(current.started, |history| history.first);
        let decision = policy.plan(&FailedAttempt {
            attempt: history.map_or(0, |history| history.attempts).saturating_add(1),
            error,
            elapsed: Duration::from_nanos(now.saturating_sub(first)),
            previous_delay: history.and_then(|history| history.previous_delay),
            until_deadline,
            random: rt::random(),
            now: clock.shared(now),
        });
        let shared_now = clock.shared(now);
        match self.room_to_park(decision) {
            Decision::RetryAfter(delay) => {
                self.deposit();
                let paid = self.shared.options.retry.as_ref().is_none_or(|policy| policy.pay(shared_now));
                if paid { Decision::RetryAfter(delay) } else { Decision::Stop(StopReason::Budget) }
            }
            stop @ Decision::Stop(_) => stop,
        }
    }

    fn room_to_park(&self, decision: Decision) -> Decision {
        match (decision, self.shared.engine.may_park()) {
            (Decision::RetryAfter(_), Err(phase)) => Decision::Stop(unparkable(phase)),
            (decision, _) => decision,
        }
    }

    fn park(&mut self, job: J, error: Option<E>, delay: Duration, bin: Bin) -> Option<Claim<JobCell<J, T, E>>> {
        let Some(mut current) = self.current.take() else { unreachable!("only a current job is parked") };
        let snoozed = self.home.context().snoozed().is_some();
        let mut history = current.history.take().unwrap_or_else(|| {
            Box::new(History { attempts: 0, first: current.started, previous_delay: None, last_error: None })
        });
        if !snoozed {
            history.attempts = history.attempts.saturating_add(1);
            history.previous_delay = Some(delay);
        }
        if error.is_some() {
            discard(std::mem::replace(&mut history.last_error, error));
        }
        let clock = self.shared.engine.clock();
        let due = clock.now().saturating_add(ticks(delay));
        current.cell.give_back(Parcel { job, history: Some(history) });
        let times = (due.min(NEVER - 1), current.deadline);
        match self.shared.engine.park(current.ticket, &current.cell, times, current.lending, &mut self.fx) {
            Ok(next) => {
                if current.cell.signal() == Signal::Cancel {
                    // Cancel: asked for between the end of the attempt and here, when no list had the job.
                    self.shared.cancel(current.ticket, &current.cell);
                }
                next
            }
            Err(phase) => {
                let Parcel { job, history } = current.cell.lend();
                let (attempts, error) = history.map_or((1, None), |history| (history.attempts, history.last_error));
                self.current = Some(current);
                let failure =
                    Failure { job: Some(job), attempts, stop: unparkable(phase), last_error: error, panic: None };
                self.bury(bin, failure)
            }
        }
    }

    /// Ends the current job, after an attempt, as failed for good.
    fn dead(
        &mut self,
        bin: Bin,
        job: Option<J>,
        error: Option<E>,
        stop: StopReason,
        panic: Option<Panic>,
    ) -> Option<Claim<JobCell<J, T, E>>> {
        let history = self.current.as_mut().and_then(|current| current.history.take());
        let (before, earlier) = history.map_or((0, None), |history| (history.attempts, history.last_error));
        let attempts = before.saturating_add(1);
        let last_error = match error {
            Some(error) => {
                discard(earlier);
                Some(error)
            }
            None => earlier,
        };
        self.bury(bin, Failure { job, attempts, stop, last_error, panic })
    }

    fn bury(&mut self, bin: Bin, failure: Failure<J, E>) -> Option<Claim<JobCell<J, T, E>>> {
        let failure = Box::new(failure);
        let error = match bin {
            Bin::Panicked => JobError::Panicked(failure),
            Bin::TimedOut => JobError::TimedOut(failure),
            _ => JobError::Failed(failure),
        };
        self.shared.dead_letter(&error);
        self.settle(bin, Err(error))
    }

    /// Counts the outcome, claims the next job, then publishes.
    fn settle(&mut self, bin: Bin, outcome: Outcome<J, T, E>) -> Option<Claim<JobCell<J, T, E>>> {
        let Some(current) = self.current.take() else { unreachable!("only a current job is settled") };
        let next = self.shared.engine.finish(current.ticket, bin, current.lending, &mut self.fx);
        self.shared.publish(&current.cell, outcome);
        discard(current);
        next
    }

    /// Tells the retry budget of the first attempts made since the last time.
    fn deposit(&mut self) {
        let fresh = std::mem::take(&mut self.fresh);
        if let Some(policy) = self.shared.options.retry.as_ref().filter(|_| fresh > 0) {
            let clock = self.shared.engine.clock();
            policy.deposit(clock.shared(clock.now()), fresh);
        }
    }
}

fn unparkable(phase: Phase) -> StopReason {
    if phase == Phase::Aborted { StopReason::ShuttingDown } else { StopReason::ParkedFull }
}

impl<J, T, E, X> Drop for Runner<J, T, E, X> {
    fn drop(&mut self) {
        if self.stage == Stage::Gone {
            return;
        }
        // Only a runtime that shuts down drops a runner early.
        let arrived = self.stage == Stage::Here;
        let ended = self.current.take();
        let ticket = ended.as_ref().map(|current| (current.ticket, current.lending));
        self.shared.engine.lose_runner(arrived, ticket, &mut self.fx);
        if let Some(current) = ended {
            self.home.context().cancel();
            let job = self.slot.take().or_else(|| self.home.take());
            let error = self.shared.aborted(job);
            self.shared.publish(&current.cell, Err(error));
            self.shared.engine.published(1, &mut self.fx);
        }
        self.shared.apply(&mut self.fx);
        self.shared.abandon();
    }
}
