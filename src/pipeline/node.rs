//! A stage while it runs: its counts, what it is doing, and how it is resized.

use super::ledger::Counter;
use super::plan::Kind;
use crate::kernel::channel::{Snapshot, Watch};
use crate::pool::BuildError;
use crate::rt::Instant;
use crate::shim::Mutex;
use crate::shim::atomic::{AtomicBool, AtomicU64, Ordering};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// One of so many items is timed, the first among them: two looks at the clock cost as much as a short stage.
const TIMED: u64 = 8;

/// A stage of a running pipeline.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: Arc<str>,
    pub(super) kind: Kind,
    pub(super) flow: Flow,
    /// What came out, if that is not what went in without the rest.
    pub(super) out: Counter,
    pub(super) filtered: Counter,
    pub(super) failed: Counter,
    pub(super) dead: Counter,
    /// Whether an item whose closure panics is skipped.
    pub(super) skips_panics: bool,
    pub(super) times: Times,
    /// What only a stage between two tasks has.
    pub(super) edge: OnceLock<Arc<Edge>>,
    /// What only a stage with workers has.
    pub(super) workers: OnceLock<Box<dyn Workers>>,
}

/// How what comes out of a stage follows from what went in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// One for one, but for what is filtered or fails. Counted by what is lost.
    Through,
    /// Counted at both ends.
    Counted,
}

/// The workers of a stage.
pub(super) trait Workers: Send + Sync + std::fmt::Debug {
    /// Running, waiting for a slot, and slots.
    fn load(&self) -> Load;
    /// Changes the slots.
    fn set_parallelism(&self, slots: usize) -> Result<(), BuildError>;
}

/// What the workers of a stage are doing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    pub(super) running: usize,
    pub(super) parked: usize,
    pub(super) in_system: usize,
    pub(super) slots: usize,
}

impl Node {
    pub(super) fn new(name: Arc<str>, kind: Kind, flow: Flow, skips_panics: bool) -> Arc<Self> {
        Arc::new(Self {
            name,
            kind,
            flow,
            out: Counter::default(),
            filtered: Counter::default(),
            failed: Counter::default(),
            dead: Counter::default(),
            skips_panics,
            times: Times::default(),
            edge: OnceLock::new(),
            workers: OnceLock::new(),
        })
    }
}

/// Where items wait between two tasks.
#[derive(Default)]
pub(super) struct Edge {
    held: OnceLock<Box<dyn Fn() -> Snapshot + Send + Sync>>,
    /// Whether the task before waits for room; for who looks often.
    is_blocked: AtomicBool,
    since: Mutex<Option<Instant>>,
}

impl Edge {
    pub(super) fn watch<T: Send + 'static>(&self, watch: Watch<T>) {
        let _first = self.held.set(Box::new(move || watch.snapshot()));
    }

    /// The task before waits for room from now on.
    pub(super) fn blocked(&self, now: impl FnOnce() -> Instant) {
        // Ordering: Relaxed. Only the one task before writes; others look for showing.
        if !self.is_blocked.load(Ordering::Relaxed) {
            *self.since.lock() = Some(now());
            self.is_blocked.store(true, Ordering::Relaxed);
        }
    }

    /// It waits no longer.
    #[inline]
    pub(super) fn free(&self) {
        if self.is_blocked.load(Ordering::Relaxed) {
            *self.since.lock() = None;
            self.is_blocked.store(false, Ordering::Relaxed);
        }
    }

    /// What is held, and since when the task before has waited for room.
    pub(super) fn look(&self) -> Option<(Snapshot, Option<Instant>)> {
        self.held.get().map(|held| (held(), *self.since.lock()))
    }
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge").field("look", &self.look()).finish()
    }
}

/// How long items take, by sample.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// An attempt.
    pub(super) run: Sampled,
    /// From the entrance into the stage to the hand-over to the next.
    pub(super) whole: Sampled,
}

/// A mean over some of many.
#[derive(Debug, Default)]
pub(super) struct Sampled {
    seen: AtomicU64,
    nanos: AtomicU64,
    samples: AtomicU64,
}

impl Sampled {
    /// The time, for one item of so many.
    pub(super) fn begin(&self, now: impl FnOnce() -> Instant) -> Option<Instant> {
        // Ordering: Relaxed on all sides: a statistic.
        (self.seen.fetch_add(1, Ordering::Relaxed) % TIMED == 0).then(now)
    }

    /// It took so long.
    pub(super) fn end(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        self.samples.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn mean(&self) -> Option<Duration> {
        let samples = self.samples.load(Ordering::Relaxed);
        (samples > 0).then(|| Duration::from_nanos(self.nanos.load(Ordering::Relaxed) / samples))
    }
}
