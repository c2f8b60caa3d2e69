//! The pool around the engine: what `src/pool/shared.rs` and its neighbours do, over loom's threads.

use super::desk::Desk;
use super::job::{JobPost, Record};
use super::{Act, Job, JobCell, Manual, Outcome, Parker, Plain, Runner, Timer};
use crate::kernel::alarms::{NEVER, Ticks};
use crate::kernel::cell::{Cell, Settled};
use crate::kernel::engine::{Bin, Cancelled, Due, Effects, Engine, Limits, Overflow, Ticket};
use crate::kernel::inbox::{Delivered, Post};
use crate::shim::Mutex;
use loom::thread::JoinHandle;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;

/// What becomes of the tasks that the engine asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Launch {
    /// Each is a loom thread of its own, of which there may be four.
    Threads,
    /// They are owed; [`Pool::settle_up`] runs them one after another.
    Later,
    /// The runtime has shut down: each is dropped at once.
    Refuse,
}

/// One pool.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) engine: Engine<JobCell, Manual>,
    pub(crate) record: Arc<Record>,
    launch: Plain<Launch>,
    crew: Plain<Vec<JoinHandle<()>>>,
    owed_runners: AtomicUsize,
    owed_timers: AtomicUsize,
    /// How many jobs a runner claims at once, once it has found jobs to be short.
    burst: AtomicUsize,
    /// Whether a runner that finds nothing to do looks once more before it leaves.
    lingers: AtomicBool,
    /// How long an attempt may take from its first wait on, or [`NEVER`].
    attempt_timeout: AtomicU64,
    /// How long a job that is asked to end may take for it.
    grace: AtomicU64,
    /// Whether runners may be stuck, and are looked after; then, the desks of those that exist.
    pub(super) patrolled: bool,
    pub(super) desks: Plain<Vec<Arc<Desk>>>,
    harvest: Plain<Vec<Job>>,
    gate: Mutex<Gate>,
}

/// What some jobs wait for.
#[derive(Debug, Default)]
struct Gate {
    open: bool,
    blocked: Vec<Waker>,
    /// Whoever waits until somebody is blocked.
    watcher: Option<Waker>,
}

/// The limits of a pool whose jobs have no deadline.
pub(crate) fn limits(concurrency: usize, capacity: usize) -> Limits {
    Limits {
        concurrency,
        capacity,
        max_parked: capacity,
        per_lane: capacity,
        threads: concurrency,
        deadline: None,
        overflow: Overflow::Wait,
    }
}

impl Pool {
    pub(crate) fn new(concurrency: usize, capacity: usize, launch: Launch) -> Arc<Self> {
        Self::with(limits(concurrency, capacity), launch)
    }

    /// A pool whose jobs must be done so long after their acceptance.
    pub(crate) fn with_deadline(concurrency: usize, capacity: usize, deadline: Ticks, launch: Launch) -> Arc<Self> {
        Self::with(Limits { deadline: Some(deadline), ..limits(concurrency, capacity) }, launch)
    }

    /// A pool whose runtime has one thread.
    pub(crate) fn on_one_thread(concurrency: usize, capacity: usize, launch: Launch) -> Arc<Self> {
        Self::with(Limits { threads: 1, ..limits(concurrency, capacity) }, launch)
    }

    /// A pool whose handlers may block without telling anybody: the timer looks every `period` whether one does.
    pub(crate) fn patrolled(limits: Limits, period: Ticks, launch: Launch) -> Arc<Self> {
        Self::around(Engine::new(limits, Manual::new()).patrolled(period), launch, true)
    }

    pub(crate) fn with(limits: Limits, launch: Launch) -> Arc<Self> {
        Self::around(Engine::new(limits, Manual::new()), launch, false)
    }

    fn around(engine: Engine<JobCell, Manual>, launch: Launch, patrolled: bool) -> Arc<Self> {
        Arc::new(Self {
            engine,
            record: Arc::new(Record::new()),
            launch: Plain::new(launch),
            crew: Plain::default(),
            owed_runners: AtomicUsize::new(0),
            owed_timers: AtomicUsize::new(0),
            burst: AtomicUsize::new(1),
            lingers: AtomicBool::new(false),
            attempt_timeout: AtomicU64::new(NEVER),
            grace: AtomicU64::new(0),
            patrolled,
            desks: Plain::default(),
            harvest: Plain::default(),
            gate: Mutex::new(Gate::default()),
        })
    }

    /// From now on tasks are launched that way.
    pub(crate) fn launch(&self, launch: Launch) {
        *self.launch.lock() = launch;
    }

    /// From now on runners find jobs to be short, and claim up to so many at once.
    pub(crate) fn claim_at_once(&self, burst: usize) {
        self.burst.store(burst, Ordering::Relaxed);
    }

    /// From now on runners look once more before they leave.
    pub(crate) fn linger(&self) {
        self.lingers.store(true, Ordering::Relaxed);
    }

    pub(super) fn lingers(&self) -> bool {
        self.lingers.load(Ordering::Relaxed)
    }

    pub(super) fn burst(&self) -> usize {
        self.burst.load(Ordering::Relaxed)
    }

    /// From now on an attempt may take so long from its first wait on.
    pub(crate) fn time_attempts(&self, timeout: Ticks) {
        self.attempt_timeout.store(timeout, Ordering::Relaxed);
    }

    pub(super) fn attempt_timeout(&self) -> Ticks {
        self.attempt_timeout.load(Ordering::Relaxed)
    }

    /// From now on a job that is asked to end may take so long for it.
    pub(crate) fn allow_grace(&self, grace: Ticks) {
        self.grace.store(grace, Ordering::Relaxed);
    }

    pub(super) fn grace(&self) -> Ticks {
        self.grace.load(Ordering::Relaxed)
    }

    fn launching(&self) -> Launch {
        *self.launch.lock()
    }

    pub(crate) fn job(&self, id: usize, script: &'static [Act]) -> Job {
        Job::new(id, script, &self.record)
    }

    /// Runs `task` on a loom thread, which [`settle_up`](Self::settle_up) joins.
    pub(crate) fn spawn(self: &Arc<Self>, task: impl FnOnce(&Arc<Self>) + 'static) {
        let pool = self.clone();
        let thread = loom::thread::spawn(move || task(&pool));
        self.crew.lock().push(thread);
    }

    /// Does what the engine asked for. No lock is held.
    pub(crate) fn apply(self: &Arc<Self>, fx: &mut Effects) {
        if std::mem::take(&mut fx.start_timer) {
            self.start_timer();
        }
        if std::mem::take(&mut fx.start_runner) {
            self.start_runner();
        }
        if std::mem::take(&mut fx.collect) {
            self.collect();
        }
        for due in fx.wakers.drain(..) {
            match due {
                Due::Wake(waker) => waker.wake(),
                Due::Ring(bell) => {
                    if let Some(waker) = bell.waker() {
                        waker.wake();
                    }
                }
                Due::Drop(waker) => drop(waker),
            }
        }
    }

    fn start_runner(self: &Arc<Self>) {
        match self.launching() {
            Launch::Threads => self.spawn(|pool| Runner::arrive(pool).work()),
            Launch::Later => _ = self.owed_runners.fetch_add(1, Ordering::Relaxed),
            Launch::Refuse => Runner::starting(self).lose(),
        }
    }

    fn start_timer(self: &Arc<Self>) {
        match self.launching() {
            Launch::Threads => self.spawn(|pool| Timer::new(pool).run()),
            Launch::Later => _ = self.owed_timers.fetch_add(1, Ordering::Relaxed),
            Launch::Refuse => {
                self.engine.lose_timer();
                self.abandon();
            }
        }
    }

    /// A runner that the engine has asked for, if there is one.
    pub(crate) fn owed_runner(self: &Arc<Self>) -> Option<Runner> {
        let owed = self.owed_runners.load(Ordering::Relaxed);
        self.owed_runners.store(owed.saturating_sub(1), Ordering::Relaxed);
        (owed > 0).then(|| Runner::arrive(self))
    }

    /// A timer that the engine has asked for, if there is one.
    pub(crate) fn owed_timer(self: &Arc<Self>) -> Option<Timer> {
        let owed = self.owed_timers.load(Ordering::Relaxed);
        self.owed_timers.store(owed.saturating_sub(1), Ordering::Relaxed);
        (owed > 0).then(|| Timer::new(self))
    }

    /// Blocks the calling thread until [`unblock`](Self::unblock).
    pub(super) fn block(&self, parker: &Parker) {
        while !self.is_open(parker) {
            parker.park();
        }
    }

    /// Waits until a job waits for the [`unblock`](Self::unblock).
    pub(crate) fn until_blocked(&self) {
        let parker = Parker::new();
        loop {
            let mut gate = self.gate.lock();
            if !gate.blocked.is_empty() {
                return;
            }
            gate.watcher = Some(parker.waker().clone());
            drop(gate);
            parker.park();
        }
    }

    /// Whether there was an [`unblock`](Self::unblock); if not, it will wake.
    pub(super) fn is_open(&self, parker: &Parker) -> bool {
        let mut gate = self.gate.lock();
        gate.blocked.retain(|waker| !waker.will_wake(parker.waker()));
        if gate.open {
            return true;
        }
        gate.blocked.push(parker.waker().clone());
        let watcher = gate.watcher.take();
        drop(gate);
        if let Some(watcher) = watcher {
            watcher.wake();
        }
        false
    }

    /// Lets all jobs go on that wait for it.
    pub(crate) fn unblock(&self) {
        let mut gate = self.gate.lock();
        gate.open = true;
        let blocked = std::mem::take(&mut gate.blocked);
        drop(gate);
        blocked.into_iter().for_each(Waker::wake);
    }

    /// The timer, which the model runs turn by turn.
    pub(crate) fn timer(self: &Arc<Self>) -> Timer {
        self.owed_timers.store(0, Ordering::Relaxed);
        Timer::new(self)
    }

    /// Stores an outcome that the engine has counted, and wakes whoever waits for it.
    pub(crate) fn publish(&self, cell: JobCell, id: usize, outcome: Outcome, fx: &mut Effects) {
        let mut post = Post::new();
        self.store(cell, id, outcome, &mut post, fx);
        self.deliver(&mut post, fx);
    }

    /// Stores an outcome that the engine has counted. If it goes to an inbox, it waits in `post`.
    pub(super) fn store(&self, cell: JobCell, id: usize, outcome: Outcome, post: &mut JobPost, fx: &mut Effects) {
        self.record.settle(id, outcome.bin);
        match Cell::settle(cell, outcome) {
            Settled::Kept(reader) => fx.wakers.extend(reader.map(Due::Wake)),
            Settled::Unread(outcome) => drop(outcome),
            Settled::Addressed(cell, key) => Self::delivered(post.add(key, cell), fx),
        }
    }

    /// Delivers what waits in `post`.
    pub(super) fn deliver(&self, post: &mut JobPost, fx: &mut Effects) {
        Self::delivered(post.deliver(), fx);
    }

    fn delivered(delivered: Option<Delivered<JobCell>>, fx: &mut Effects) {
        let Some(Delivered { reader, unread }) = delivered else { return };
        fx.wakers.extend(reader.map(Due::Wake));
        drop(unread);
    }

    /// Ends a job that waits, or asks its runner to end it.
    pub(crate) fn cancel(self: &Arc<Self>, ticket: Ticket) {
        let mut fx = Effects::default();
        if let Cancelled::Waiting(cell) = self.engine.cancel(ticket, &mut fx) {
            self.publish_waiting(cell, Bin::Cancelled, &mut fx);
        }
        self.apply(&mut fx);
    }

    /// Ends a job that waited and that the engine has counted.
    pub(super) fn publish_waiting(&self, mut cell: JobCell, bin: Bin, fx: &mut Effects) {
        let job = Cell::lend(&mut cell);
        let id = job.id;
        let outcome = self.outcome(bin, job);
        self.publish(cell, id, outcome, fx);
        self.engine.published(1, fx);
    }

    /// An outcome with the job inside, unless the harvest gets that.
    pub(super) fn outcome(&self, bin: Bin, job: Job) -> Outcome {
        if bin == Bin::Returned {
            self.harvest.lock().push(job);
            return Outcome { bin, job: None };
        }
        Outcome { bin, job: Some(job) }
    }

    /// The jobs that a shutdown gives back.
    pub(crate) fn harvested(&self) -> Vec<usize> {
        self.harvest.lock().iter().map(|job| job.id).collect()
    }

    /// Waits until the pool has been idle.
    pub(crate) fn drain(&self) {
        let parker = Parker::new();
        let mut key = None;
        while self.engine.poll_idle(&mut key, parker.waker()).is_pending() {
            parker.park();
        }
    }

    /// Waits for all threads.
    pub(crate) fn join(&self) {
        loop {
            let thread = self.crew.lock().pop();
            let Some(thread) = thread else { return };
            thread.join().expect("a model's thread has not panicked");
        }
    }

    /// Waits for all threads and runs all tasks that are still owed, until there is nothing left to do.
    pub(crate) fn settle_up(self: &Arc<Self>) {
        loop {
            self.join();
            if let Some(runner) = self.owed_runner() {
                runner.work();
            } else if let Some(timer) = self.owed_timer() {
                timer.run();
            } else {
                return;
            }
        }
    }

    /// Asserts that nothing is left inside: whatever was accepted has an outcome, and all room is free.
    pub(crate) fn assert_idle(&self, accepted: u64) {
        let stats = self.engine.snapshot();
        assert!(stats.balances(), "{stats:?}");
        assert_eq!(stats.totals.accepted, accepted, "{stats:?}");
        assert_eq!(stats.totals.ended(), accepted, "{stats:?}");
        let left = (stats.in_system, stats.reserved, stats.waiting, stats.runners, stats.lent);
        assert_eq!(left, (0, 0, 0, 0, 0), "{stats:?}");
    }

    /// Asserts that, with all handles gone and the harvest dropped, no job is left anywhere.
    pub(crate) fn assert_conserved(&self) {
        self.harvest.lock().clear();
        assert_eq!(self.record.alive(), 0, "each job is dropped once, by whoever it was given to");
    }
}
