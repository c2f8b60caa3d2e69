//! Jobs that follow a script and whose fate is recorded.

use super::Plain;
use crate::kernel::alarms::Ticks;
use crate::kernel::cell::Cell;
use crate::kernel::engine::Bin;
use crate::kernel::inbox::Post;
use crate::shim::Shared;
use loom::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// What an attempt at a job does. A job whose script has come to its end repeats the last act.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Succeed,
    Panic,
    /// Fails, and asks for another attempt at that time.
    Retry(Ticks),
    /// Is pending once, and succeeds.
    Yield,
    /// Blocks its runner until [`Pool::unblock`](super::Pool::unblock), and succeeds.
    Block,
    /// Is pending until [`Pool::unblock`](super::Pool::unblock), and succeeds.
    Await,
    /// Is pending until it is cancelled or aborted.
    Pend,
    /// Is pending once, submits a job that succeeds, lends its slot while it waits for that, and succeeds.
    Nest,
}

/// A job, in a cell of the kernel, that leaves as an outcome.
pub(crate) type JobCell = Shared<Cell<Job, Outcome>>;

/// Cells on their way to an inbox.
pub(super) type JobPost = Post<JobCell>;

/// How a job ended, and the job, unless a shutdown's report has it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) bin: Bin,
    #[allow(dead_code, reason = "it is there to be dropped with the outcome")]
    pub(crate) job: Option<Job>,
}

/// A job. It is not `Clone`: what is counted as made must be counted as dropped, once.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: usize,
    /// What it has in common with the jobs of its lane.
    pub(super) key: Option<u64>,
    script: &'static [Act],
    record: Arc<Record>,
}

/// What happened in one execution.
#[derive(Debug)]
pub(crate) struct Record {
    facts: Plain<Facts>,
    /// Nothing may start any more; loom sees who sets and who reads it.
    over: AtomicBool,
}

#[derive(Debug)]
struct Facts {
    made: usize,
    dropped: usize,
    /// Jobs in the order in which their attempts started.
    started: Vec<usize>,
    /// How many of them there may be.
    most: usize,
    /// The jobs of lanes that are in an attempt, and their keys.
    running: Vec<(u64, usize)>,
    /// The last job of each lane that was started.
    latest: Vec<(u64, usize)>,
    /// Jobs and how they ended, in the order in which their outcomes were stored.
    settled: Vec<(usize, Bin)>,
}

impl Job {
    pub(super) fn new(id: usize, script: &'static [Act], record: &Arc<Record>) -> Self {
        record.facts.lock().made += 1;
        Self { id, key: None, script, record: record.clone() }
    }

    /// Starts an attempt.
    pub(super) fn start(&self) -> Act {
        let over = self.record.over.load(Ordering::Acquire);
        assert!(!over, "job {} was started after the pool had ended", self.id);
        let mut facts = self.record.facts.lock();
        let attempt = facts.started.iter().filter(|id| **id == self.id).count();
        facts.started.push(self.id);
        assert!(facts.started.len() <= facts.most, "job {} is started, after {:?}", self.id, facts.started);
        if let Some(key) = self.key {
            facts.enter(key, self.id);
        }
        self.script[attempt.min(self.script.len() - 1)]
    }
}

impl Job {
    /// Ends an attempt.
    pub(super) fn stop(&self) {
        self.record.facts.lock().running.retain(|(_, id)| *id != self.id);
    }
}

impl Facts {
    fn new() -> Self {
        let (started, running, latest, settled) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { made: 0, dropped: 0, started, most: usize::MAX, running, latest, settled }
    }

    /// The jobs of one lane run one at a time, in the order of their numbers.
    fn enter(&mut self, key: u64, id: usize) {
        let beside = self.running.iter().find(|(other, _)| *other == key);
        assert!(beside.is_none(), "job {id} runs beside {beside:?}");
        self.running.push((key, id));
        let before = self.latest.iter().filter(|(other, _)| *other == key).map(|(_, before)| *before).max();
        assert!(before.is_none_or(|before| before <= id), "job {id} starts after {before:?}");
        self.latest.push((key, id));
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.record.facts.lock().dropped += 1;
    }
}

impl Record {
    pub(super) fn new() -> Self {
        Self { facts: Plain::new(Facts::new()), over: AtomicBool::new(false) }
    }

    pub(super) fn settle(&self, id: usize, bin: Bin) {
        let mut facts = self.facts.lock();
        assert!(facts.settled.iter().all(|(settled, _)| *settled != id), "job {id} has two outcomes");
        facts.settled.push((id, bin));
    }

    /// From now on nothing may start.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// From now on so many attempts may start.
    pub(crate) fn allow_starts(&self, count: usize) {
        let mut facts = self.facts.lock();
        facts.most = facts.started.len() + count;
    }

    /// From now on any number of attempts may start.
    pub(crate) fn allow_all_starts(&self) {
        self.facts.lock().most = usize::MAX;
    }

    /// The attempts, in the order in which they started.
    pub(crate) fn started(&self) -> Vec<usize> {
        self.facts.lock().started.clone()
    }

    /// The outcome of a job.
    pub(crate) fn settled(&self, id: usize) -> Option<Bin> {
        self.facts.lock().settled.iter().find(|(settled, _)| *settled == id).map(|(_, bin)| *bin)
    }

    /// How many jobs there have been.
    pub(crate) fn made(&self) -> usize {
        self.facts.lock().made
    }

    /// How many jobs exist.
    pub(crate) fn alive(&self) -> usize {
        let facts = self.facts.lock();
        facts.made - facts.dropped
    }
}
