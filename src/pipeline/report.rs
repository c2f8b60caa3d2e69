//! What became of every item of a run.

use super::ledger::{Counter, Fate};
use super::node::{Flow, Node};
use super::scope::Run;
use crate::rt;
use crate::shim::atomic::Ordering;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How a run ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// It has not ended.
    Running,
    /// The source ended, or a stage had all that it wanted, and everything was handed on.
    Completed,
    /// It was closed, and everything that was inside was handed on.
    Drained,
    /// It was cancelled.
    Cancelled,
    /// A stage failed.
    Failed,
}

/// The account of a run, by item of the source: `taken = settled + filtered + failed + dead + cancelled + requeued +
/// in_flight`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Items taken from the source.
    pub taken: u64,
    /// Items of which everything was handed on at the end.
    pub settled: u64,
    /// Items dropped on purpose, by a filter for example.
    pub filtered: u64,
    /// Items that failed, and were skipped or ended the pipeline.
    pub failed: u64,
    /// Items that were given to a dead-letter sink.
    pub dead: u64,
    /// Items that were inside when the pipeline was cancelled, failed or had enough.
    pub cancelled: u64,
    /// Items that a stage of your own dropped without a word.
    pub requeued: u64,
    /// Items whose fate is not known yet. At the end of a run: those whose envelopes you hold, and those of handlers that have
    /// not come to an await.
    pub in_flight: u64,
    /// Outputs that nobody read: a [`join`](super::Running::join) does not wait for a reader.
    pub discarded: u64,
    /// Failures after the first.
    pub later_failures: u64,
    /// Handlers that had not ended when their pool was shut down.
    pub unresponsive: usize,
    /// How it ended.
    pub end: End,
    /// From the start to the end.
    pub elapsed: Duration,
    /// What went into each stage and what came out, in order.
    pub stages: Vec<StageReport>,
}

/// What went into a stage and what came out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StageReport {
    /// Its name.
    pub name: Arc<str>,
    /// Items that it was given.
    pub taken: u64,
    /// Items that it handed on.
    pub out: u64,
    /// Items that it dropped on purpose.
    pub filtered: u64,
    /// Items that it failed for, the dead letters not counted.
    pub failed: u64,
    /// Items that it gave to a dead-letter sink.
    pub dead: u64,
}

impl Report {
    pub(super) fn of(run: &Run) -> Self {
        let ledger = &run.ledger;
        // Fates first, then stages, what was taken last: what goes on meanwhile is then seen as in flight, and never as less
        // than nothing.
        let [settled, filtered, failed, dead, cancelled, requeued] =
            [Fate::Settled, Fate::Filtered, Fate::Failed, Fate::Dead, Fate::Cancelled, Fate::Requeued]
                .map(|fate| ledger.of(fate));
        let known = settled + filtered + failed + dead + cancelled + requeued;
        let counts = Counts::of(&run.nodes());
        let taken = ledger.taken.get();
        let unknown = taken.saturating_sub(known);
        let life = run.life.lock();
        let torn_down = ledger.torn_down.load(Ordering::Relaxed);
        // Items without tickets have no other fate left once their pipeline has been torn down.
        let dropped = if !ledger.tracked && torn_down && life.ended.is_some() { unknown } else { 0 };
        Self {
            taken,
            settled,
            filtered,
            failed,
            dead,
            cancelled: cancelled + dropped,
            requeued,
            in_flight: unknown - dropped,
            discarded: ledger.discarded.get(),
            later_failures: life.later_failures,
            unresponsive: life.unresponsive,
            end: match life.ended {
                _ if life.failure.is_some() => End::Failed,
                _ if life.cancelled => End::Cancelled,
                None => End::Running,
                Some(_) if life.closed => End::Drained,
                Some(_) => End::Completed,
            },
            elapsed: life.ended.unwrap_or_else(rt::now).saturating_duration_since(run.started),
            stages: counts.reports(taken),
        }
    }

    /// Whether every item that was taken is accounted for, and none is in flight.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        let known = self.settled + self.filtered + self.failed + self.dead + self.cancelled + self.requeued;
        self.taken == known && self.in_flight == 0
    }

    /// The account of a stage.
    #[must_use]
    pub fn stage(&self, name: &str) -> Option<&StageReport> {
        self.stages.iter().find(|stage| &*stage.name == name)
    }
}

/// The counts of all stages, read from the last to the first: none is seen to have done more than those before it.
pub(super) struct Counts(Vec<(Arc<Node>, [u64; 4])>);

impl Counts {
    pub(super) fn of(nodes: &[Arc<Node>]) -> Self {
        let read = |node: &Arc<Node>| {
            let counts = [&node.out, &node.filtered, &node.failed, &node.dead].map(Counter::get);
            (node.clone(), counts)
        };
        Self(nodes.iter().rev().map(read).collect())
    }

    /// What went into each stage and what came out, in order. `taken`: from the source, read after this was made.
    pub(super) fn reports(self, taken: u64) -> Vec<StageReport> {
        let mut before = taken;
        let report = |(node, [out, filtered, failed, dead]): (Arc<Node>, [u64; 4])| {
            let out = match node.flow {
                Flow::Through => before.saturating_sub(filtered + failed + dead),
                Flow::Counted => out,
            };
            let taken = std::mem::replace(&mut before, out);
            StageReport { name: node.name.clone(), taken, out, filtered, failed, dead }
        };
        self.0.into_iter().rev().map(report).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = match self.end {
            End::Running => "running",
            End::Completed => "completed",
            End::Drained => "drained",
            End::Cancelled => "cancelled",
            End::Failed => "failed",
        };
        write!(f, "{end} after {:.1?}: {} taken, {} settled", self.elapsed, self.taken, self.settled)?;
        let others = [
            ("filtered", self.filtered),
            ("failed", self.failed),
            ("dead", self.dead),
            ("cancelled", self.cancelled),
            ("requeued", self.requeued),
            ("in flight", self.in_flight),
        ];
        for (name, count) in others.into_iter().filter(|(_, count)| *count > 0) {
            write!(f, ", {count} {name}")?;
        }
        if self.discarded > 0 {
            write!(f, "; {} outputs discarded", self.discarded)?;
        }
        if self.unresponsive > 0 {
            write!(f, "; {} handlers have not ended", self.unresponsive)?;
        }
        Ok(())
    }
}
