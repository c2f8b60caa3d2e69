//! The runner task, as in `src/pool/runner.rs` and `attempt.rs`, with a script for a handler.

use super::{Act, Job, JobCell, Outcome, Parker, Pool};
use crate::kernel::alarms::Ticks;
use crate::kernel::cell::Signal;
use crate::kernel::engine::{Bin, Claim, Effects, Ticket};
use std::sync::Arc;

/// A number that the jobs submitted by a nesting job start from.
pub(crate) const NESTED: usize = 10;

#[derive(Debug)]
struct Current {
    ticket: Ticket,
    cell: JobCell,
    deadline: Ticks,
    lending: bool,
}

/// How an attempt ended.
enum End {
    Ended(Bin),
    Retry(Ticks),
    Stopped(Signal),
}

/// A runner that the engine has asked for.
#[derive(Debug)]
pub(crate) struct Runner {
    pool: Arc<Pool>,
    fx: Effects,
    parker: Parker,
    arrived: bool,
    next: Option<Claim<JobCell>>,
    current: Option<Current>,
    job: Option<Job>,
}

impl Runner {
    /// A task that has not been polled yet.
    pub(super) fn starting(pool: &Arc<Pool>) -> Self {
        Self {
            pool: pool.clone(),
            fx: Effects::default(),
            parker: Parker::new(),
            arrived: false,
            next: None,
            current: None,
            job: None,
        }
    }

    /// Arrives, and claims a job if there is one.
    pub(crate) fn arrive(pool: &Arc<Pool>) -> Self {
        let mut runner = Self::starting(pool);
        runner.next = pool.engine.arrive(&mut runner.fx);
        runner.arrived = true;
        pool.apply(&mut runner.fx);
        runner
    }

    /// Works until there is nothing to do, and leaves.
    pub(crate) fn work(mut self) {
        while self.step() {}
    }

    /// Makes the attempt at the claimed job, or leaves. `false`: it has left.
    pub(crate) fn step(&mut self) -> bool {
        let pool = self.pool.clone();
        let Some(claim) = self.next.take() else {
            self.next = pool.engine.leave(&mut self.fx);
            pool.apply(&mut self.fx);
            return self.next.is_some();
        };
        let end = self.begin(claim);
        self.conclude(end);
        pool.apply(&mut self.fx);
        true
    }

    /// Whether it has a job.
    pub(crate) fn has_claimed(&self) -> bool {
        self.next.is_some()
    }

    /// Takes the claimed job and makes the attempt.
    fn begin(&mut self, claim: Claim<JobCell>) -> End {
        let Claim { ticket, cell, deadline, late } = claim;
        self.job = Some(cell.lend());
        let signal = cell.signal();
        self.current = Some(Current { ticket, cell, deadline, lending: false });
        match signal {
            Signal::Run if late => End::Ended(Bin::TimedOut),
            Signal::Run => self.attempt(),
            signal => End::Stopped(signal),
        }
    }

    fn attempt(&mut self) -> End {
        let act = self.job.as_ref().expect("an attempt has its job").start();
        let mut registered = false;
        match act {
            Act::Succeed => End::Ended(Bin::Succeeded),
            Act::Panic => End::Ended(Bin::Panicked),
            Act::Retry(due) => End::Retry(due),
            Act::Pend => loop {
                if let Some(signal) = self.pending(&mut registered, false) {
                    return End::Stopped(signal);
                }
                self.parker.park();
            },
            Act::Nest | Act::NestAndReturn => self.nest(act),
        }
    }

    fn nest(&mut self, act: Act) -> End {
        let mut registered = false;
        let pool = self.pool.clone();
        let id = NESTED + self.job.as_ref().map_or(0, |job| job.id);
        if let Ok(inner) = pool.try_submit(pool.job(id, &[Act::Succeed])) {
            while inner.poll(&self.parker).is_pending() {
                if let Some(signal) = self.pending(&mut registered, true) {
                    return End::Stopped(signal);
                }
                self.parker.park();
            }
            if let (Act::NestAndReturn, Some(signal)) = (act, self.pending(&mut registered, false)) {
                return End::Stopped(signal);
            }
        }
        End::Ended(Bin::Succeeded)
    }

    /// The handler's future is pending: may it go on? `waiting`: for another job of the pool.
    fn pending(&mut self, registered: &mut bool, waiting: bool) -> Option<Signal> {
        let current = self.current.as_mut().expect("an attempt has a current job");
        if waiting != current.lending {
            current.lending = waiting;
            if waiting {
                self.pool.engine.lend(&mut self.fx);
                self.pool.apply(&mut self.fx);
            } else {
                self.pool.engine.take_back();
            }
        }
        let mut signal = Signal::Run;
        if !*registered {
            *registered = true;
            let waker = self.parker.waker().clone();
            if self.pool.engine.suspend(current.ticket, &current.cell, waker, &mut self.fx) {
                signal = Signal::Abort;
            }
            self.pool.apply(&mut self.fx);
        }
        signal = signal.max(current.cell.signal());
        (signal > Signal::Run).then_some(signal)
    }

    /// Ends or parks the current job and claims the next.
    fn conclude(&mut self, end: End) {
        match end {
            End::Ended(bin) => self.settle(bin),
            End::Stopped(Signal::Cancel) => self.settle(Bin::Cancelled),
            End::Stopped(_) => self.settle(Bin::Aborted),
            End::Retry(due) => match self.current.as_ref().map(|current| current.cell.signal()) {
                None | Some(Signal::Run) => self.park(due),
                Some(signal) => self.conclude(End::Stopped(signal)),
            },
        }
    }

    fn park(&mut self, due: Ticks) {
        let current = self.current.take().expect("only a current job is parked");
        let job = self.job.take().expect("only a job that is here is parked");
        current.cell.give_back(job);
        let times = (due, current.deadline);
        match self.pool.engine.park(current.ticket, &current.cell, times, current.lending, &mut self.fx) {
            Ok(next) => {
                self.next = next;
                if current.cell.signal() == Signal::Cancel {
                    self.pool.cancel(current.ticket, &current.cell);
                }
            }
            Err(_) => {
                self.job = Some(current.cell.lend());
                self.current = Some(current);
                self.settle(Bin::Failed);
            }
        }
    }

    /// Counts the outcome, claims the next job, then publishes.
    fn settle(&mut self, bin: Bin) {
        let current = self.current.take().expect("only a current job is settled");
        let job = self.job.take().expect("only a job that is here is settled");
        self.next = self.pool.engine.finish(current.ticket, bin, current.lending, &mut self.fx);
        self.pool.publish(&current.cell, job.id, Outcome { bin, job: Some(job) });
    }

    /// Its runtime drops it, in the middle of the attempt at the claimed job, if it has one.
    pub(crate) fn lose(mut self) {
        if let Some(Claim { ticket, cell, deadline, .. }) = self.next.take() {
            self.job = Some(cell.lend());
            self.current = Some(Current { ticket, cell, deadline, lending: false });
        }
        let ended = self.current.take();
        let ticket = ended.as_ref().map(|current| (current.ticket, current.lending));
        self.pool.engine.lose_runner(self.arrived, ticket, &mut self.fx);
        if let (Some(current), Some(job)) = (ended, self.job.take()) {
            self.pool.publish(&current.cell, job.id, Outcome { bin: Bin::Aborted, job: Some(job) });
        }
        self.pool.apply(&mut self.fx);
        self.pool.abandon();
    }
}
