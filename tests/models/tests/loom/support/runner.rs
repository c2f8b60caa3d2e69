//! The runner task, as in `src/pool/runner.rs`, `attempt.rs` and `verdict.rs`, with a script for a handler.

use super::desk::{Desk, Settlement, ended};
use super::job::JobPost;
use super::{Act, Handle, Job, JobCell, Manual, Parker, Pool};
use crate::kernel::alarms::{NEVER, Ticks};
use crate::kernel::bell::{Bell, Signal};
use crate::kernel::cell::Cell;
use crate::kernel::engine::{Batch, Bin, Claim, Clock, Effects, Ended, Engine, Now, Parking, Ticket, Unparkable};
use crate::kernel::inbox::Post;
use std::sync::Arc;

/// The jobs that nesting jobs submit are numbered from here.
const NESTED: usize = 10;

/// The job of the attempt that is being made.
#[derive(Debug)]
struct Current {
    ticket: Ticket,
    cell: JobCell,
    deadline: Ticks,
    lending: bool,
    attempted: bool,
    job: Job,
    limit: Limit,
    /// When its alarm is due.
    due: Ticks,
    seen: Signal,
}

/// What the attempt's alarm is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Unset,
    /// The attempt's timeout or the job's deadline, if it has either.
    Time,
    /// The time that a job has to end when it is asked to.
    Grace,
}

/// How an attempt ended.
#[derive(Debug)]
enum End {
    Ended(Bin),
    Retry(Ticks),
    Stopped(Signal),
}

/// A runner that the engine has asked for.
#[derive(Debug)]
pub(crate) struct Runner {
    pool: Arc<Pool>,
    parker: Parker,
    arrived: bool,
    batch: Batch<JobCell>,
    settled: Vec<Settlement>,
    post: JobPost,
    /// In a patrolled pool: what has ended and others may tell of.
    desk: Option<Arc<Desk>>,
    fx: Effects,
    current: Option<Current>,
}

impl Runner {
    /// A task that has not been polled yet.
    pub(super) fn starting(pool: &Arc<Pool>) -> Self {
        Self {
            desk: pool.open_desk(),
            pool: pool.clone(),
            parker: Parker::new(),
            arrived: false,
            batch: Batch::new(Arc::new(Bell::new())),
            settled: Vec::new(),
            post: Post::new(),
            fx: Effects::default(),
            current: None,
        }
    }

    /// Arrives, and claims if there is something to claim.
    pub(crate) fn arrive(pool: &Arc<Pool>) -> Self {
        let mut runner = Self::starting(pool);
        let before = runner.batch.bell().attend(Some(runner.parker.waker().clone()));
        assert!(before.is_none(), "a new runner has no waker yet");
        runner.claim();
        runner
    }

    fn claim(&mut self) {
        self.pool.engine.arrive(&mut self.batch, &mut self.fx);
        self.arrived = true;
        self.pool.apply(&mut self.fx);
    }

    /// Works until there is nothing to do, and leaves.
    pub(crate) fn work(mut self) {
        loop {
            self.serve();
            if !self.has_claimed() {
                if self.linger() {
                    self.claim();
                }
                if !self.has_claimed() && self.leave() {
                    return;
                }
            }
        }
    }

    /// Begins another look before it leaves, if such looks are taken and no runner is starting: [`work`](Self::work)
    /// goes on with it, unless the runtime drops the runner meanwhile.
    pub(crate) fn linger(&mut self) -> bool {
        let lingers = self.pool.lingers() && self.pool.engine.linger(&mut self.batch);
        self.arrived = !lingers;
        lingers
    }

    /// Makes an attempt at each claimed job, tells of them and claims again.
    pub(crate) fn serve(&mut self) {
        while self.serve_one() {}
        self.turn();
    }

    /// Tells of what has ended, and claims if nothing is claimed.
    pub(crate) fn turn(&mut self) {
        self.clear_desk();
        self.batch.tempo.burst = self.pool.burst();
        let now = Now::unread(self.pool.engine.clock());
        self.pool.engine.turn(ended(&self.settled), &mut self.batch, &now, &mut self.fx);
        self.publish();
    }

    /// Makes an attempt at the next of its claimed jobs. `false`: it has none, or they have been taken back.
    pub(crate) fn serve_one(&mut self) -> bool {
        let Some(claim) = self.batch.next() else { return false };
        let end = self.begin(claim);
        self.conclude(end);
        true
    }

    /// Whether it has jobs to start, as far as it knows.
    pub(crate) fn has_claimed(&self) -> bool {
        !self.batch.is_empty()
    }

    /// Leaves, if there is still nothing to do.
    fn leave(&mut self) -> bool {
        let left = self.pool.engine.leave(&mut self.batch, &mut self.fx);
        if left {
            drop(self.batch.bell().attend(None));
            self.close_desk();
        }
        self.pool.apply(&mut self.fx);
        left
    }

    fn publish(&mut self) {
        for Settlement { cell, outcome, id, .. } in self.settled.drain(..) {
            self.pool.store(cell, id, outcome, &mut self.post, &mut self.fx);
        }
        self.pool.deliver(&mut self.post, &mut self.fx);
        self.pool.apply(&mut self.fx);
    }

    fn clear_desk(&mut self) {
        if let Some(desk) = &self.desk {
            desk.clear(&mut self.settled);
        }
    }

    fn close_desk(&mut self) {
        self.clear_desk();
        if let Some(desk) = self.desk.take() {
            self.pool.close_desk(&desk);
        }
    }

    /// Takes a claimed job and makes the attempt.
    fn begin(&mut self, claim: Claim<JobCell>) -> End {
        let Claim { ticket, mut cell, deadline } = claim;
        let job = Cell::lend(&mut cell);
        let signal = self.batch.bell().signal();
        let late = deadline != NEVER && deadline <= self.pool.engine.clock().now();
        let attempted = !late && signal == Signal::Run;
        self.current = Some(Current::new((ticket, cell, deadline), attempted, job));
        match signal {
            Signal::Run if late => End::Ended(Bin::TimedOut),
            Signal::Run => self.attempt(),
            signal => End::Stopped(signal),
        }
    }

    fn current(&mut self) -> &mut Current {
        self.current.as_mut().expect("an attempt has a current job")
    }

    fn attempt(&mut self) -> End {
        match self.current().job.start() {
            Act::Succeed => End::Ended(Bin::Succeeded),
            Act::Panic => End::Ended(Bin::Panicked),
            Act::Retry(due) => End::Retry(due),
            Act::Yield => self.pending(false).unwrap_or(End::Ended(Bin::Succeeded)),
            Act::Block => {
                self.pool.block(&self.parker);
                End::Ended(Bin::Succeeded)
            }
            Act::Await => loop {
                if self.pool.is_open(&self.parker) {
                    return End::Ended(Bin::Succeeded);
                }
                if let Some(end) = self.pending(false) {
                    return end;
                }
                self.parker.park();
            },
            Act::Pend => loop {
                if let Some(end) = self.pending(false) {
                    return end;
                }
                self.parker.park();
            },
            Act::Nest => self.nest(),
        }
    }

    /// Submits another job and waits for it, with the slot lent.
    fn nest(&mut self) -> End {
        if let Some(end) = self.pending(false) {
            return end;
        }
        let pool = self.pool.clone();
        let id = NESTED + self.current().job.id;
        let inner: Handle = pool.try_submit(pool.job(id, &[Act::Succeed])).expect("there is room for the inner job");
        while inner.poll(&self.parker).is_pending() {
            if let Some(end) = self.pending(true) {
                return end;
            }
            self.parker.park();
        }
        End::Ended(Bin::Succeeded)
    }

    /// The handler's future is pending: may it go on? `waiting`: for another job of the pool.
    fn pending(&mut self, waiting: bool) -> Option<End> {
        self.lend(waiting);
        if self.current().limit == Limit::Unset {
            self.begin_to_wait();
        }
        if self.batch.bell().is_quiet() { None } else { self.rung() }
    }

    /// Holds up no other job, and has the attempt's time kept.
    fn begin_to_wait(&mut self) {
        let timeout = match self.pool.attempt_timeout() {
            NEVER => NEVER,
            timeout => self.pool.engine.clock().now() + timeout,
        };
        let due = self.current().deadline.min(timeout);
        self.current().limit = Limit::Time;
        if due != NEVER || !self.settled.is_empty() || Engine::<JobCell, Manual>::must_stall(&self.batch) {
            self.stall(due);
        }
    }

    fn stall(&mut self, due: Ticks) {
        let ticket = self.current().ticket;
        self.current().due = due;
        self.pool.engine.stall(ticket, due, ended(&self.settled), &mut self.batch, &mut self.fx);
        self.publish();
    }

    /// Something is asked of the job, or its time is up.
    fn rung(&mut self) -> Option<End> {
        let signal = self.batch.bell().signal();
        if signal > self.current().seen {
            let number = self.current().ticket.number;
            assert!(self.batch.bell().is_stopped(number), "its handler is told as well, if it asks");
            self.current().seen = signal;
            let grace = self.pool.grace();
            if grace == 0 {
                return Some(End::Stopped(signal));
            }
            if self.current().limit != Limit::Grace {
                self.current().limit = Limit::Grace;
                let now = self.pool.engine.clock().now();
                self.stall(now + grace);
            }
        }
        if !self.batch.bell().take_due() {
            return None;
        }
        let (now, due) = (self.pool.engine.clock().now(), self.current().due);
        assert!(due <= now, "a job is told that its time is up at {now}, before {due}");
        Some(match self.current().limit {
            Limit::Grace => End::Stopped(self.current().seen),
            Limit::Unset | Limit::Time => End::Ended(Bin::TimedOut),
        })
    }

    fn lend(&mut self, waiting: bool) {
        if std::mem::replace(&mut self.current().lending, waiting) == waiting {
            return;
        }
        if waiting {
            self.pool.engine.lend(&mut self.fx);
            self.pool.apply(&mut self.fx);
        } else {
            self.pool.engine.take_back();
        }
    }

    /// Settles or parks the current job.
    fn conclude(&mut self, end: End) {
        self.lend(false);
        self.current().job.stop();
        match end {
            End::Ended(bin) => self.settle(bin),
            End::Stopped(signal) => self.stopped(signal),
            End::Retry(due) => match self.batch.bell().signal() {
                Signal::Run => self.park(due),
                signal => self.stopped(signal),
            },
        }
    }

    fn stopped(&mut self, signal: Signal) {
        self.settle(if signal == Signal::Cancel { Bin::Cancelled } else { Bin::Aborted });
    }

    fn park(&mut self, due: Ticks) {
        let Current { ticket, mut cell, deadline, attempted, job, .. } =
            self.current.take().expect("only a current job is parked");
        Cell::give_back(&mut cell, job);
        self.clear_desk();
        let parking = Parking { ticket, cell, due, deadline };
        match self.pool.engine.park(parking, ended(&self.settled), &mut self.batch, &mut self.fx) {
            Ok(()) => self.publish(),
            Err((why, mut cell)) => {
                let job = Cell::lend(&mut cell);
                self.current = Some(Current::new((ticket, cell, deadline), attempted, job));
                self.settle(if why == Unparkable::Cancelled { Bin::Cancelled } else { Bin::Failed });
            }
        }
    }

    /// Notes the outcome; it is counted and published with the batch.
    fn settle(&mut self, bin: Bin) {
        let Current { ticket, cell, attempted, job, .. } = self.current.take().expect("only a current job is settled");
        let (id, ended) = (job.id, Ended { key: ticket.key, bin, attempted });
        let outcome = self.pool.outcome(bin, job);
        let settlement = Settlement { ended, cell, outcome, id };
        match &self.desk {
            Some(desk) if self.batch.tempo.burst > 1 => desk.leave(settlement),
            _ => self.settled.push(settlement),
        }
        self.batch.bell().end();
    }

    /// Its runtime drops it, in the middle of the attempt at its first claimed job, if it has one, or while it lingers.
    pub(crate) fn lose(mut self) {
        let mut attempted = true;
        drop(self.batch.bell().attend(None));
        self.close_desk();
        while let Some(Claim { ticket, mut cell, deadline }) = self.batch.next() {
            let job = Cell::lend(&mut cell);
            self.current = Some(Current::new((ticket, cell, deadline), attempted, job));
            self.settle(Bin::Aborted);
            attempted = false;
        }
        let count = self.settled.len();
        self.pool.engine.lose_runner(self.arrived, ended(&self.settled), &mut self.batch, &mut self.fx);
        self.publish();
        self.pool.engine.published(count, &mut self.fx);
        self.pool.apply(&mut self.fx);
        self.pool.abandon();
    }
}

impl Current {
    fn new((ticket, cell, deadline): (Ticket, JobCell, Ticks), attempted: bool, job: Job) -> Self {
        Self {
            ticket,
            cell,
            deadline,
            lending: false,
            attempted,
            job,
            limit: Limit::Unset,
            due: NEVER,
            seen: Signal::Run,
        }
    }
}
