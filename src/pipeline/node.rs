//! A stage while it runs: its counts, what it is doing, and how it is resized.

use super::ledger::Counter;
use super::plan::Kind;
use crate::rt::Instant;
use crate::shim::Mutex;
use crate::shim::atomic::{AtomicU8, AtomicU64, Ordering};
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
    pub(super) doing: Doing,
    pub(super) times: Times,
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
    fn set_parallelism(&self, slots: usize) -> Result<(), String>;
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
            doing: Doing::default(),
            times: Times::default(),
            workers: OnceLock::new(),
        })
    }
}

/// What a stage is doing, as far as it can tell by itself.
#[derive(Debug, Default)]
pub(super) struct Doing {
    state: AtomicU8,
    since: Mutex<Option<Instant>>,
}

/// See [`Doing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum State {
    /// It waits for its input, or has handed something on.
    Open = 0,
    /// It takes nothing in: it is full.
    Full = 1,
    /// It waits for room behind it.
    Blocked = 2,
    /// It has ended.
    Ended = 3,
}

impl Doing {
    /// It is in this state from now on. `now` is called only if it was in another.
    pub(super) fn is(&self, state: State, now: impl FnOnce() -> Instant) {
        // Ordering: Relaxed. For showing; the moment is guarded by its lock.
        if self.state.load(Ordering::Relaxed) != state as u8 {
            let since = (state != State::Open).then(now);
            *self.since.lock() = since;
            self.state.store(state as u8, Ordering::Relaxed);
        }
    }

    pub(super) fn look(&self) -> (State, Option<Instant>) {
        let state = match self.state.load(Ordering::Relaxed) {
            0 => State::Open,
            1 => State::Full,
            2 => State::Blocked,
            _ => State::Ended,
        };
        (state, *self.since.lock())
    }
}

/// How long items take, by sample.
#[derive(Debug, Default)]
pub(super) struct Times {
    seen: AtomicU64,
    run: Sampled,
    whole: Sampled,
}

#[derive(Debug, Default)]
struct Sampled {
    nanos: AtomicU64,
    samples: AtomicU64,
}

impl Times {
    /// The time, for one item of so many.
    pub(super) fn sample(&self, now: impl FnOnce() -> Instant) -> Option<Instant> {
        (self.seen.fetch_add(1, Ordering::Relaxed) % TIMED == 0).then(now)
    }

    /// An attempt took so long.
    pub(super) fn ran(&self, took: Duration) {
        self.run.add(took);
    }

    /// An item was in the stage for so long.
    pub(super) fn passed(&self, took: Duration) {
        self.whole.add(took);
    }

    /// The mean time of an attempt.
    pub(super) fn mean_run(&self) -> Option<Duration> {
        self.run.mean()
    }

    /// The mean time in the stage.
    pub(super) fn mean_whole(&self) -> Option<Duration> {
        self.whole.mean()
    }
}

impl Sampled {
    fn add(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        self.samples.fetch_add(1, Ordering::Relaxed);
    }

    fn mean(&self) -> Option<Duration> {
        let samples = self.samples.load(Ordering::Relaxed);
        (samples > 0).then(|| Duration::from_nanos(self.nanos.load(Ordering::Relaxed) / samples))
    }
}
