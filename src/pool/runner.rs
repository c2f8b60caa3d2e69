//! Runners: the transient tasks that make the attempts.
//!
//! # What
//! A runner claims a job, makes one attempt at it, tells the engine how it ended and claims the next in the same lock
//! operation; it leaves when there is no work. It holds the handler's future on its own stack: no task and no box per
//! job. While jobs turn out short it claims a few at once, and tells of them together.
//!
//! # States
//! | stage | engine counts it | dropped by the runtime |
//! |---|---|---|
//! | `Starting` | as starting | counted out |
//! | `Here` | as a runner | counted out; its jobs end `Aborted` |
//! | `Gone`: it rests, or has ended | no | nothing to do |
//!
//! # Invariants
//! 1. Each claimed job is in `batch`, in `current`, in `settled` or on the desk: whatever drops the runner ends it.
//! 2. The hook runs before an outcome is counted, and it is counted before its handle can see it.
//! 3. Before a pending attempt is left alone, what is settled is published and what is claimed is given back; its bell
//!    knows the task's waker from the start. *Then* the bell is read.
//!
//! # Why not the obvious
//! A task per job costs an allocation and two scheduler trips per job; parked workers have wake-ups to lose. A batch
//! that is not given back at the first `Pending` hides runnable jobs behind a waiting one.
//!
//! # Cost
//! One spawn per busy spell, shared by all its jobs; its memory is kept from spell to spell ([`Berths`](super::berth)). One
//! lock operation on the engine a batch, one on the tray for each job but the first of it, and two on a job's cell while
//! somebody has its handle. Where a job passes from one place to the next it is written where it stays, or kept in registers:
//! a struct that is put together in memory and copied at once stalls the processor for as long as a lock operation takes.

use super::account::Account;
use super::attempt::End;
use super::berth::Rest;
use super::context::Context as AttemptContext;
use super::error::JobError;
use super::handler::{Exec, Lodging};
use super::nested::{self, Waits};
use super::pace::Pace;
use super::shared::{History, JobCell, Outcome, Parcel, Shared};
use super::threads::Ringer;
use crate::contain::discard;
use crate::kernel::alarms::{NEVER, Ticks};
use crate::kernel::bell::{Bell, Signal};
use crate::kernel::cell::Cell;
use crate::kernel::engine::{Bin, Claim, Clock, Ended, Now, Ticket};
use crate::rt;
use std::any::Any;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

/// How many first attempts are told to the retry budget at once.
const DEPOSIT: u32 = 32;

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Starting,
    Here,
    Gone,
}

/// The job of the attempt that is being made.
pub(super) struct Current<J, T, E> {
    pub(super) ticket: Ticket,
    pub(super) cell: JobCell<J, T, E>,
    pub(super) deadline: Ticks,
    /// Whether its slot is lent, because it waits for another job of this pool.
    pub(super) lending: bool,
    /// Whether an attempt was made.
    pub(super) attempted: bool,
    pub(super) started: Ticks,
    pub(super) history: Option<Box<History<E>>>,
}

pub(super) struct Runner<J, T, E, X> {
    pub(super) shared: Arc<Shared<J, T, E>>,
    pub(super) exec: Arc<X>,
    stage: Stage,
    pub(super) current: Option<Current<J, T, E>>,
    pub(super) slot: Option<J>,
    pub(super) lodging: Lodging<J>,
    /// How the last attempt ended, if it has no result.
    pub(super) otherwise: Option<End<E>>,
    /// What the handler of the last attempt asked for with `Cx::snooze`.
    pub(super) snoozed: Option<Duration>,
    pub(super) waits: Option<Arc<Waits>>,
    pub(super) account: Account<J, T, E>,
    /// First attempts that the retry budget has not been told of.
    fresh: u32,
    pub(super) pace: Pace,
    /// What the bell rings, on a thread.
    ringer: Option<Arc<Ringer>>,
}

impl<J, T, E, X> Runner<J, T, E, X>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
    X: Exec<J, T, E>,
{
    pub(super) fn new(shared: Arc<Shared<J, T, E>>, exec: Arc<X>, threads: usize) -> Self {
        let weak: Weak<Shared<J, T, E>> = Arc::downgrade(&shared);
        let pool: Weak<dyn Any + Send + Sync> = weak;
        let bell = Arc::new(Bell::new());
        let desk = shared.threads.as_ref().map(|_| shared.desks.open());
        let ringer = shared.threads.as_ref().map(|_| Ringer::new(bell.clone()));
        let context = AttemptContext::new(pool, shared.engine.clock().epoch(), bell.clone(), ringer.clone());
        Self {
            shared,
            exec,
            stage: Stage::Starting,
            current: None,
            slot: None,
            lodging: Lodging::new(context),
            otherwise: None,
            snoozed: None,
            waits: None,
            account: Account::new(bell, desk),
            fresh: 0,
            pace: Pace::new(threads),
            ringer,
        }
    }

    /// One spell after another. Does not end: between two of them it rests.
    pub(super) async fn run_on(&mut self, rest: &Rest) {
        loop {
            self.run().await;
            rest.take().await;
            self.stage = Stage::Starting;
            self.pace.restart();
        }
    }

    /// From the start to the leave.
    pub(super) async fn run(&mut self) {
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        let bell = self.ringer.clone().map_or_else(|| waker.clone(), Waker::from);
        discard(self.account.batch.bell().attend(Some(bell)));
        self.arrive();
        loop {
            self.shared.apply(&mut self.account.fx);
            while let Some(begun) = self.begin_next() {
                if begun == Begun::Attempt {
                    match self.attempt(&waker).await {
                        Some(result) => self.succeeded(result),
                        None => self.failed_to_succeed(),
                    }
                }
                self.pace.served += 1;
                self.pace.spell += 1;
            }
            let rests = self.turn();
            if self.account.batch.is_empty() {
                let others = self.pace.others(rests);
                if others.is_some() && self.shared.engine.linger(&mut self.account.batch) {
                    self.stage = Stage::Starting;
                    rt::let_run(others).await;
                    self.arrive();
                } else if rests {
                    rt::let_run(others).await;
                }
                if self.account.batch.is_empty() && self.leave() {
                    return;
                }
            }
        }
    }

    fn arrive(&mut self) {
        self.shared.engine.arrive(&mut self.account.batch, &mut self.account.fx);
        self.stage = Stage::Here;
        let claimed = self.account.batch.len();
        // What others have found may no longer hold. One job alone is not worth a look at the clock.
        if claimed > 1 {
            self.pace.claimed(claimed, &Now::unread(self.shared.engine.clock()));
        }
    }

    /// Tells of what has ended and claims, unless it is time to let other tasks run.
    fn turn(&mut self) -> bool {
        let Self { shared, account, pace, .. } = self;
        let now = Now::unread(shared.engine.clock());
        let rests = pace.chooses_rest(&mut account.batch.tempo, &now);
        account.turn(shared, &now, !rests);
        if !account.batch.is_empty() {
            pace.claimed(account.batch.len(), &now);
        }
        rests
    }

    /// Leaves, if there is still nothing to do.
    fn leave(&mut self) -> bool {
        self.deposit();
        if self.shared.engine.leave(&mut self.account.batch, &mut self.account.fx) {
            self.stage = Stage::Gone;
            discard(self.account.batch.bell().attend(None));
            self.account.close_desk(&self.shared);
            self.shared.apply(&mut self.account.fx);
        }
        self.stage == Stage::Gone
    }

    /// Takes the next claimed job, if there is one. Here and not where it is awaited: a claim that outlives an await is moved
    /// about in memory.
    #[inline]
    fn begin_next(&mut self) -> Option<Begun> {
        let Claim { ticket, mut cell, deadline } = self.account.batch.next()?;
        let Parcel { job, history } = Cell::lend(&mut cell);
        // Most jobs are to be run once, at any time.
        let plain = deadline == NEVER && self.shared.options.retry.is_none() && history.is_none();
        self.slot = Some(job);
        self.current = Some(Current { ticket, cell, deadline, lending: false, attempted: true, started: 0, history });
        if !plain || self.account.batch.bell().is_asked() {
            return Some(self.begin_on_terms());
        }
        self.lodging.context().begin(ticket.number, 1, NEVER);
        Some(Begun::Attempt)
    }

    /// The same for a job that may be late, may be tried again, or is asked to end.
    fn begin_on_terms(&mut self) -> Begun {
        let Some(current) = self.current.as_mut() else { unreachable!("a job that begins is the current one") };
        let retries = self.shared.options.retry.is_some();
        let signal = self.account.batch.bell().signal();
        // What was in time when it was claimed may have waited behind others of its batch since.
        if retries || current.deadline != NEVER {
            current.started = self.shared.engine.clock().now();
        }
        let late = current.deadline <= current.started;
        current.attempted = !late && signal == Signal::Run;
        if current.attempted {
            let attempts = current.history.as_ref().map_or(0, |history| history.attempts);
            self.lodging.context().begin(current.ticket.number, attempts.saturating_add(1), current.deadline);
            self.fresh += u32::from(retries && current.history.is_none());
        }
        if self.fresh >= DEPOSIT {
            self.deposit();
        }
        let end = match signal {
            Signal::Run if late => End::Late,
            Signal::Run => return Begun::Attempt,
            signal => End::Stopped(signal),
        };
        self.ended(end);
        Begun::Over
    }

    /// The attempt has a result.
    #[inline]
    fn succeeded(&mut self, result: T) {
        discard(self.come_home());
        self.settle(Bin::Succeeded, Ok(result));
    }

    /// The attempt is over. Its job, if the handler has not kept it.
    #[inline]
    fn come_home(&mut self) -> Option<J> {
        let job = self.slot.take().or_else(|| self.lodging.take());
        self.lodging.vacate();
        nested::attempt_over(&mut self.waits, &*self.shared);
        if self.current.as_mut().is_some_and(|current| std::mem::take(&mut current.lending)) {
            self.shared.engine.take_back();
        }
        job
    }

    /// The attempt has no result.
    #[cold]
    fn failed_to_succeed(&mut self) {
        let Some(end) = self.otherwise.take() else { unreachable!("an attempt has a result, or says how it ended") };
        self.ended(end);
    }

    /// Settles the current job, or parks it.
    fn ended(&mut self, end: End<E>) {
        self.snoozed = self.lodging.context().snoozed();
        let job = self.come_home();
        match end {
            End::Failed(error) => match self.account.batch.bell().signal() {
                Signal::Run => self.failed(job, Some(error), None),
                signal => {
                    discard(error);
                    self.stopped(signal, job);
                }
            },
            End::Stopped(signal) => self.stopped(signal, job),
            End::TimedOut(stop) => self.failed(job, None, stop),
            End::Late => self.late(job),
            End::Panicked(payload) => self.panicked(job, None, payload),
        }
    }

    pub(super) fn stopped(&mut self, signal: Signal, job: Option<J>) {
        if signal == Signal::Cancel {
            return self.settle(Bin::Cancelled, Err(JobError::Cancelled(job)));
        }
        let error = self.shared.aborted(job);
        self.settle(Bin::Aborted, Err(error));
    }

    /// Notes the outcome; it is counted and published with the batch.
    #[inline(always)]
    pub(super) fn settle(&mut self, bin: Bin, outcome: Outcome<J, T, E>) {
        let Some(current) = self.current.take() else { unreachable!("only a current job is settled") };
        let Current { ticket, cell, attempted, .. } = current;
        let ended = Ended { key: ticket.key, bin, attempted };
        self.account.settle(ended, cell, outcome);
        self.account.batch.bell().end();
    }

    /// Tells the retry budget of the first attempts made since the last time.
    pub(super) fn deposit(&mut self) {
        let fresh = std::mem::take(&mut self.fresh);
        if let Some(policy) = self.shared.options.retry.as_ref().filter(|_| fresh > 0) {
            let clock = self.shared.engine.clock();
            policy.deposit(clock.shared(clock.now()), fresh);
        }
    }
}

/// What became of a claimed job when its turn came.
#[derive(Clone, Copy, PartialEq)]
enum Begun {
    /// There is to be an attempt.
    Attempt,
    /// It was over.
    Over,
}

impl<J, T, E, X> Drop for Runner<J, T, E, X> {
    fn drop(&mut self) {
        if self.stage == Stage::Gone {
            return;
        }
        // Only a runtime that shuts down drops a runner early. Invariant 1: all its jobs are found here.
        self.account.close_desk(&self.shared);
        let Account { batch, settled, fx, .. } = &mut self.account;
        let mut lose = |ticket: Ticket, job, cell, attempted| {
            let ended = Ended { key: ticket.key, bin: Bin::Aborted, attempted };
            let outcome = Err(self.shared.aborted(job));
            settled.push(ended, cell, outcome);
        };
        if let Some(current) = self.current.take() {
            if current.lending {
                self.shared.engine.take_back();
            }
            self.lodging.context().cancel();
            let job = self.slot.take().or_else(|| self.lodging.take());
            lose(current.ticket, job, current.cell, current.attempted);
        }
        discard(batch.bell().attend(None));
        while let Some(Claim { ticket, mut cell, .. }) = batch.next() {
            let parcel = Cell::lend(&mut cell);
            lose(ticket, Some(parcel.job), cell, false);
        }
        let arrived = self.stage == Stage::Here;
        let count = settled.len();
        self.shared.engine.lose_runner(arrived, settled.ended(), batch, fx);
        self.account.publish(&self.shared);
        self.shared.engine.published(count, &mut self.account.fx);
        self.shared.apply(&mut self.account.fx);
        self.shared.abandon();
    }
}
