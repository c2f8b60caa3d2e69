//! Jobs that follow a script and whose fate is recorded.

use super::Plain;
use crate::kernel::alarms::Ticks;
use crate::kernel::cell::Cell;
use crate::kernel::engine::Bin;
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
    /// Is pending until it is cancelled or aborted.
    Pend,
    /// Is pending once, submits a job that succeeds, lends its slot while it waits for that, and succeeds.
    Nest,
}

/// A job, in a cell of the kernel, that leaves as an outcome.
pub(crate) type JobCell = Arc<Cell<Job, Outcome>>;

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

#[derive(Debug, Default)]
struct Facts {
    made: usize,
    dropped: usize,
    /// Jobs in the order in which their attempts started.
    started: Vec<usize>,
    /// Jobs and how they ended, in the order in which their outcomes were stored.
    settled: Vec<(usize, Bin)>,
}

impl Job {
    pub(super) fn new(id: usize, script: &'static [Act], record: &Arc<Record>) -> Self {
        record.facts.lock().made += 1;
        Self { id, script, record: record.clone() }
    }

    /// Starts an attempt.
    pub(super) fn start(&self) -> Act {
        let over = self.record.over.load(Ordering::Acquire);
        assert!(!over, "job {} was started after the pool had ended", self.id);
        let mut facts = self.record.facts.lock();
        let attempt = facts.started.iter().filter(|id| **id == self.id).count();
        facts.started.push(self.id);
        self.script[attempt.min(self.script.len() - 1)]
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.record.facts.lock().dropped += 1;
    }
}

impl Record {
    pub(super) fn new() -> Self {
        Self { facts: Plain::default(), over: AtomicBool::new(false) }
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

    /// The attempts, in the order in which they started.
    pub(crate) fn started(&self) -> Vec<usize> {
        self.facts.lock().started.clone()
    }

    /// The outcome of a job.
    pub(crate) fn settled(&self, id: usize) -> Option<Bin> {
        self.facts.lock().settled.iter().find(|(settled, _)| *settled == id).map(|(_, bin)| *bin)
    }

    /// How many jobs exist.
    pub(crate) fn alive(&self) -> usize {
        let facts = self.facts.lock();
        facts.made - facts.dropped
    }
}
