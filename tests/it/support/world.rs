//! A small pool in a known situation, and the rest of its world, which can be moved on step by step.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use flowgate::retry::{Jitter, RetryPolicy};
use flowgate::{Cx, JobError, JobHandle, Report, Shutdown, SubmitError, TaskPool, WorkerPool};
use tokio::task::JoinHandle;

use super::{Counted, Gate, Gauge, Tally, alive_tasks, ledger, ms, quiet, secs, settle, soon, until};

pub(crate) type Pool = WorkerPool<Job, Counted, Counted>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    /// Waits at the gate, then succeeds.
    Wait,
    /// Fails three times.
    Fail,
    /// Belongs to the future under test: waits at a gate of its own.
    Tested,
}

pub(crate) struct Job {
    does: Does,
    value: Counted,
}

/// What the pool is like before the future under test is polled, and what happens to it meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Situation {
    /// There is room.
    Room,
    /// Full of jobs; each step lets one end.
    Full,
    /// Full of jobs between two attempts.
    Parked,
    /// Full, then closed.
    Closing,
    /// Full, then drained and shut down by somebody else.
    Draining,
    /// Full, then aborted by somebody else.
    Aborting,
    /// Full, then every job is cancelled.
    Cancelling,
}

/// How far the rest of the world gets between two polls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// Not at all.
    Still,
    /// Each task is polled once.
    Yield,
    /// Until nothing can go on; then time passes.
    Settle,
}

pub(crate) const SLOTS: usize = 2;
pub(crate) const QUEUE: usize = 2;
pub(crate) const CAPACITY: usize = SLOTS + QUEUE;

struct Handling {
    tally: Tally,
    gate: Gate,
    held: Gate,
    tested: Gauge,
    seen: Arc<Mutex<Option<Cx>>>,
}

async fn handle(with: &Handling, job: &mut Job, cx: &Cx) -> Result<Counted, Counted> {
    *with.seen.lock().unwrap() = Some(cx.clone());
    match job.does {
        Does::Wait => with.gate.pass().await,
        Does::Tested => {
            let _inside = with.tested.enter();
            with.held.pass().await;
        }
        Does::Fail => {
            tokio::task::yield_now().await;
            return Err(with.tally.make(job.value.id));
        }
    }
    Ok(with.tally.make(job.value.id))
}

type Jobs = Vec<JobHandle<Job, Counted, Counted>>;

pub(crate) struct World {
    pub(crate) pool: Pool,
    pub(crate) tally: Tally,
    /// How many jobs of the future under test are in an attempt.
    pub(crate) tested: Gauge,
    gate: Gate,
    held: Gate,
    seen: Arc<Mutex<Option<Cx>>>,
    situation: Situation,
    jobs: RefCell<Jobs>,
    shutdown: RefCell<Option<JoinHandle<Report<Job, Counted>>>>,
    tasks_before: usize,
}

impl World {
    pub(crate) async fn new(situation: Situation) -> Self {
        let tasks_before = alive_tasks();
        let (tally, gate, held, tested) = (Tally::new(), Gate::new(), Gate::new(), Gauge::new());
        let seen = Arc::new(Mutex::new(None));
        let with = Handling {
            tally: tally.clone(),
            gate: gate.clone(),
            held: held.clone(),
            tested: tested.clone(),
            seen: seen.clone(),
        };
        let retry = RetryPolicy::fixed(secs(1)).jitter(Jitter::None).max_attempts(3).no_budget();
        let pool = Pool::builder().concurrency(SLOTS).queue(QUEUE).retry(retry).build_with(with, handle).unwrap();
        let (jobs, shutdown) = (RefCell::default(), RefCell::new(None));
        let world = Self { pool, tally, tested, gate, held, seen, situation, jobs, shutdown, tasks_before };
        let does = if situation == Situation::Parked { Does::Fail } else { Does::Wait };
        let background = if situation == Situation::Room { 0 } else { CAPACITY };
        for id in 0..background {
            let job = world.job(does, id as u64);
            world.jobs.borrow_mut().push(world.pool.try_submit(job).unwrap());
        }
        settle().await;
        world
    }

    fn job(&self, does: Does, id: u64) -> Job {
        Job { does, value: self.tally.make(id) }
    }

    /// A job of the future under test.
    pub(crate) fn tested_job(&self) -> Job {
        self.job(Does::Tested, 1_000)
    }

    /// A pool of tasks of its own, for one task at a time.
    pub(crate) fn task_pool(&self) -> TaskPool {
        TaskPool::builder().concurrency(1).queue(0).build().unwrap()
    }

    /// The handle of a job that the world has submitted, or of one that is submitted now.
    pub(crate) fn some_handle(&self) -> JobHandle<Job, Counted, Counted> {
        let known = self.jobs.borrow_mut().pop();
        known.unwrap_or_else(|| self.pool.try_submit(self.tested_job()).unwrap())
    }

    /// What the attempt that started last was given.
    pub(crate) fn some_cx(&self) -> Cx {
        self.seen.lock().unwrap().clone().expect("an attempt has started")
    }

    /// The rest of the world goes on.
    pub(crate) async fn step(&self, pace: Pace, step: usize) {
        if step == 1 {
            self.happens();
        }
        match pace {
            Pace::Still => {}
            Pace::Yield => {
                self.gate.let_through(usize::from(step > 1));
                tokio::task::yield_now().await;
            }
            Pace::Settle => {
                self.gate.let_through(if step > 1 { CAPACITY } else { 0 });
                settle().await;
                tokio::time::advance(ms(400)).await;
                settle().await;
            }
        }
        ledger::check_without_lending(&self.pool.stats());
    }

    fn happens(&self) {
        let how = match self.situation {
            Situation::Closing => return self.pool.close(),
            Situation::Cancelling => return self.jobs.borrow().iter().for_each(JobHandle::cancel),
            Situation::Draining => Shutdown::Drain,
            Situation::Aborting => Shutdown::Now,
            Situation::Room | Situation::Full | Situation::Parked => return,
        };
        let pool = self.pool.clone();
        let task = tokio::spawn(async move { pool.shutdown(how).await.expect("not in a handler") });
        *self.shutdown.borrow_mut() = Some(task);
    }

    /// Lets the job of the future under test go on.
    pub(crate) fn let_tested_go(&self) {
        self.held.open();
    }

    /// Nothing is lost, doubled or left behind.
    pub(crate) async fn end(self) {
        ledger::check_without_lending(&self.pool.stats());
        self.gate.open();
        soon(self.pool.drain()).await.unwrap();
        quiet(&self.pool).await;
        let shutdown = self.shutdown.borrow_mut().take();
        if let Some(shutdown) = shutdown {
            ledger::check_report(&soon(shutdown).await.unwrap());
        }
        self.held.open();
        self.whole_capacity_is_free();
        soon(self.pool.drain()).await.unwrap();
        for handle in self.jobs.take() {
            let outcome = soon(handle).await;
            let known = matches!(
                outcome,
                Ok(_)
                    | Err(JobError::Failed(_)
                        | JobError::Cancelled(Some(_))
                        | JobError::Aborted(None)
                        | JobError::Returned)
            );
            assert!(known, "{:?}", outcome.map(|_| ()));
        }
        let report = soon(self.pool.shutdown(Shutdown::Now)).await.unwrap();
        ledger::check_report(&report);
        drop(report);
        let Self { pool, tally, tested, seen, tasks_before, .. } = self;
        drop((pool, seen));
        until("every value is dropped", || tally.alive() == 0).await;
        until("no task is left", || alive_tasks() == tasks_before).await;
        assert_eq!(tested.now(), 0);
    }

    fn whole_capacity_is_free(&self) {
        let stats = self.pool.stats();
        assert_eq!((stats.reserved, stats.waiting, stats.in_system), (0, 0, 0), "{stats:?}");
        if stats.closed {
            let refused = self.pool.try_submit(self.job(Does::Wait, 0));
            assert!(matches!(refused, Err(SubmitError::Closed(_))));
            return;
        }
        for _ in 0..CAPACITY {
            drop(self.pool.try_submit(self.job(Does::Wait, 0)).expect("the whole capacity is free"));
        }
        let refused = self.pool.try_submit(self.job(Does::Wait, 0));
        assert!(matches!(refused, Err(SubmitError::Full(_))), "and no more than that");
    }
}
