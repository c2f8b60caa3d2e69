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
//! | `Gone` | no | nothing to do |
//!
//! # Invariants
//! 1. Each claimed job is in `batch.claims`, in `current` or in `settled`: whatever drops the runner ends it.
//! 2. The hook runs before an outcome is counted, and it is counted before its handle can see it.
//! 3. Before a pending attempt is left alone, what is settled is published, what is claimed is given back, and its
//!    waker is known to the engine; *then* its signal is read.
//!
//! # Why not the obvious
//! A task per job costs an allocation and two scheduler trips per job; parked workers have wake-ups to lose. A batch
//! that is not given back at the first `Pending` hides runnable jobs behind a waiting one.
//!
//! # Cost
//! One spawn per busy spell, shared by all its jobs. Two lock operations on the cell a job, and one on the engine a
//! batch.

use super::account::{Account, Settlement};
use super::attempt::{End, Watch};
use super::context::Context as AttemptContext;
use super::error::JobError;
use super::handler::{Exec, Home};
use super::nested::{self, Waits, within};
use super::shared::{History, JobCell, Outcome, Parcel, Shared};
use super::threads::Ear;
use crate::contain::{contain, discard};
use crate::kernel::alarms::{NEVER, Ticks};
use crate::kernel::cell::Signal;
use crate::kernel::engine::{Bin, Claim, Clock, Ended, Ticket};
use crate::rt::{self, Instant};
use std::any::Any;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

/// How many first attempts are told to the retry budget at once.
const DEPOSIT: u32 = 32;

/// The most jobs that are claimed at once.
const MAX_BURST: usize = 32;

/// After so many jobs a runner lets other tasks run, as tokio's own budget does; after `QUICK` if they took next to no
/// time, so that short jobs do not pay for many rests.
const SERVED: u32 = 128;
const QUICK: u32 = 1024;

/// A runner that has found so many jobs in a row looks once more before it leaves: it has overtaken a submitter that is
/// still at it, and the next runner would cost a spawn and the wake-up of a thread.
const LINGER: u32 = 2;

/// A batch that takes longer than this is too large.
const SHORT: Duration = Duration::from_micros(100);

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
    exec: Arc<X>,
    stage: Stage,
    pub(super) current: Option<Current<J, T, E>>,
    slot: Option<J>,
    home: Arc<Home<J>>,
    /// What the handler of the last attempt asked for with `Cx::snooze`.
    pub(super) snoozed: Option<Duration>,
    waits: Option<Arc<Waits>>,
    pub(super) account: Account<J, T, E>,
    /// First attempts that the retry budget has not been told of.
    fresh: u32,
    /// When the batch was claimed; `None` if its length says nothing about jobs being short.
    batch_began: Option<Instant>,
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
        let ear = shared.threads.as_ref().map(|threads| Ear::new(threads.clone(), shared.stops()));
        let home = Home::new(AttemptContext::new(pool, shared.engine.clock().epoch(), ear));
        Self {
            shared,
            exec,
            stage: Stage::Starting,
            current: None,
            slot: None,
            home,
            snoozed: None,
            waits: None,
            account: Account::new(),
            fresh: 0,
            batch_began: None,
        }
    }

    pub(super) async fn run(mut self) {
        self.shared.engine.arrive(&mut self.account.batch, &mut self.account.fx);
        self.stage = Stage::Here;
        let (mut served, mut spell, mut rested) = (0, 0, rt::now());
        loop {
            self.shared.apply(&mut self.account.fx);
            while let Some(claim) = self.account.batch.claims.pop_front() {
                let end = match self.begin(claim) {
                    Some(Ok(())) => self.attempt().await,
                    Some(Err(end)) => end,
                    None => continue,
                };
                self.conclude(end);
                served += 1;
                spell += 1;
            }
            let now = self.pace();
            let rests = served >= QUICK || (served >= SERVED && now.saturating_duration_since(rested) > SHORT);
            if rests {
                (served, rested) = (0, now);
            }
            self.account.turn(&self.shared, !rests);
            if self.account.batch.claims.is_empty() {
                if std::mem::take(&mut spell) >= LINGER && self.shared.engine.linger() {
                    self.stage = Stage::Starting;
                    rt::yield_now().await;
                    self.shared.engine.arrive(&mut self.account.batch, &mut self.account.fx);
                    self.stage = Stage::Here;
                } else if rests {
                    rt::yield_now().await;
                }
                if self.account.batch.claims.is_empty() && self.leave() {
                    return;
                }
            }
        }
    }

    /// Chooses how many jobs to claim at once: more, while all of a batch together were short. Returns the time.
    fn pace(&mut self) -> Instant {
        let now = rt::now();
        let batch = &mut self.account.batch;
        let short = self.batch_began.is_some_and(|began| now.saturating_duration_since(began) <= SHORT);
        batch.burst = if short { (batch.burst * 2).min(MAX_BURST) } else { 1 };
        self.batch_began = Some(now);
        now
    }

    /// Leaves, if there is still nothing to do.
    fn leave(&mut self) -> bool {
        self.deposit();
        if self.shared.engine.leave(&mut self.account.batch, &mut self.account.fx) {
            self.stage = Stage::Gone;
            self.shared.apply(&mut self.account.fx);
        }
        self.stage == Stage::Gone
    }

    /// Takes a claimed job and says how it ends if there is to be no attempt. `None`: it has been taken back.
    #[inline]
    fn begin(&mut self, claim: Claim<JobCell<J, T, E>>) -> Option<Result<(), End<T, E>>> {
        let Claim { ticket, cell, deadline, late } = claim;
        let Parcel { job, history } = cell.start()?;
        let signal = cell.signal();
        let retries = self.shared.options.retry.is_some();
        // What was in time when it was claimed may have waited behind others of its batch since.
        let started = if retries || deadline != NEVER { self.shared.engine.clock().now() } else { 0 };
        let late = late || deadline <= started;
        let attempted = !late && signal == Signal::Run;
        if attempted {
            let attempts = history.as_ref().map_or(0, |history| history.attempts);
            self.home.context().begin(ticket, attempts.saturating_add(1), deadline);
            self.fresh += u32::from(retries && history.is_none());
        }
        self.slot = Some(job);
        self.current = Some(Current { ticket, cell, deadline, lending: false, attempted, started, history });
        if self.fresh >= DEPOSIT {
            self.deposit();
        }
        Some(match signal {
            Signal::Run if late => Err(End::Late),
            Signal::Run => Ok(()),
            signal => Err(End::Stopped(signal)),
        })
    }

    /// Makes one attempt. The handler's future is made, polled and dropped inside `contain`.
    async fn attempt(&mut self) -> End<T, E> {
        let Self { shared, exec, current, slot, home, waits, account, batch_began, .. } = self;
        let Some(current) = current.as_mut() else { unreachable!("an attempt has a current job") };
        let home: &Arc<Home<J>> = home;
        let mut future = pin!(None);
        match contain(|| exec.exec(slot, home)) {
            Ok(made) => future.set(Some(made)),
            Err(payload) => return End::Panicked(payload),
        }
        let id = shared.id();
        let mut sleep = pin!(None);
        let mut watch = Watch::new(shared, current, home.context(), account);
        // What the handler returned is written here from inside, and so moved once.
        let mut returned = None;
        let cut_short = poll_fn(|cx| {
            let polled = within(id, waits, || {
                contain(|| match future.as_mut().as_pin_mut().map(|future| future.poll(cx)) {
                    Some(Poll::Ready(out)) => returned = Some(out),
                    Some(Poll::Pending) | None => {}
                })
            });
            match polled {
                Ok(()) if returned.is_some() => Poll::Ready(None),
                Ok(()) => {
                    *batch_began = None;
                    let waiting = waits.as_ref().is_some_and(|waits| waits.any());
                    watch.pending(cx, waiting, sleep.as_mut()).map(Some)
                }
                Err(payload) => Poll::Ready(Some(End::Panicked(payload))),
            }
        })
        .await;
        let dropped = contain(|| future.set(None));
        match (cut_short, returned, dropped) {
            (Some(End::Panicked(payload)), _, dropped) => {
                discard(dropped);
                End::Panicked(payload)
            }
            // What was returned before stands, even if dropping the spent future panics.
            (_, Some(out), dropped) => {
                discard(dropped);
                End::Returned(out)
            }
            (_, None, Err(payload)) => End::Panicked(payload),
            (Some(end), None, Ok(())) => end,
            (None, None, Ok(())) => unreachable!("an attempt that was not cut short has returned"),
        }
    }

    /// Settles or parks the current job.
    #[inline]
    fn conclude(&mut self, end: End<T, E>) {
        self.snoozed = self.home.context().snoozed();
        let heard = self.home.context().heard();
        let home = self.home.vacate();
        let job = self.slot.take().or(home);
        nested::attempt_over(&mut self.waits, &self.shared);
        if self.current.as_mut().is_some_and(|current| std::mem::take(&mut current.lending)) {
            self.shared.engine.take_back();
        }
        match end {
            End::Returned(Ok(value)) => {
                discard(job);
                self.settle(Bin::Succeeded, Ok(value));
            }
            End::Returned(Err(error)) => match self.signal().max(heard) {
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

    fn signal(&self) -> Signal {
        self.current.as_ref().map_or(Signal::Run, |current| current.cell.signal())
    }

    fn stopped(&mut self, signal: Signal, job: Option<J>) {
        if signal == Signal::Cancel {
            return self.settle(Bin::Cancelled, Err(JobError::Cancelled(job)));
        }
        let error = self.shared.aborted(job);
        self.settle(Bin::Aborted, Err(error));
    }

    /// Notes the outcome; it is counted and published with the batch.
    #[inline]
    pub(super) fn settle(&mut self, bin: Bin, outcome: Outcome<J, T, E>) {
        let Some(current) = self.current.take() else { unreachable!("only a current job is settled") };
        let Current { ticket, cell, attempted, .. } = current;
        let ended = Ended { key: ticket.key, bin, attempted };
        self.account.settled.push(Settlement { ended, cell, outcome });
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

impl<J, T, E, X> Drop for Runner<J, T, E, X> {
    fn drop(&mut self) {
        if self.stage == Stage::Gone {
            return;
        }
        // Only a runtime that shuts down drops a runner early. Invariant 1: all its jobs are found here.
        let Account { batch, settled, fx } = &mut self.account;
        let mut lose = |ticket: Ticket, job, cell, attempted| {
            let ended = Ended { key: ticket.key, bin: Bin::Aborted, attempted };
            let outcome = Err(self.shared.aborted(job));
            settled.push(Settlement { ended, cell, outcome });
        };
        if let Some(current) = self.current.take() {
            if current.lending {
                self.shared.engine.take_back();
            }
            self.home.context().cancel();
            let home = self.home.vacate();
            let job = self.slot.take().or(home);
            lose(current.ticket, job, current.cell, current.attempted);
        }
        for Claim { ticket, cell, .. } in batch.claims.drain(..) {
            if let Some(parcel) = cell.start() {
                lose(ticket, Some(parcel.job), cell, false);
            }
        }
        let arrived = self.stage == Stage::Here;
        let count = settled.len();
        self.shared.engine.lose_runner(arrived, Account::ended(settled), batch, fx);
        self.account.publish(&self.shared);
        self.shared.engine.published(count, &mut self.account.fx);
        self.shared.apply(&mut self.account.fx);
        self.shared.abandon();
    }
}
