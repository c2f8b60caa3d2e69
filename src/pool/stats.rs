//! A pool seen from outside: counts that balance whenever they are read.

use super::WorkerPool;
use std::fmt;

pub use crate::kernel::engine::{PoolStats, Totals};

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} accepted: {} succeeded", self.accepted, self.succeeded)?;
        let others = [
            ("failed", self.failed),
            ("panicked", self.panicked),
            ("timed out", self.timed_out),
            ("cancelled", self.cancelled),
            ("shed", self.shed),
            ("aborted", self.aborted),
            ("returned", self.returned),
        ];
        for (name, count) in others.into_iter().filter(|(_, count)| *count > 0) {
            write!(f, ", {count} {name}")?;
        }
        write!(f, "; {} attempts, {} retries", self.attempts, self.retries)
    }
}

impl fmt::Display for PoolStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{} in system ({} queued, {}/{} running, {} parked), {} waiting; {}",
            self.in_system,
            self.capacity,
            self.queued,
            self.running,
            self.concurrency,
            self.parked,
            self.waiting,
            self.totals
        )
    }
}

impl<J, T, E> WorkerPool<J, T, E> {
    /// One consistent look at everything: every count is of the same instant.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        self.shared.engine.snapshot()
    }

    /// Jobs accepted and without an outcome yet: queued, running and parked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.engine.snapshot().in_system
    }

    /// Whether no job is in the system.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most jobs that may be in the system: slots and queue.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.engine.snapshot().capacity
    }
}
