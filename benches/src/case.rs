//! Cases and contenders: the table that the harness, the allocation pass and the criterion benches walk.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};

/// A load, and who carries it. The first contender is ours: ratios are its cost over each other contender's.
#[derive(Clone, Debug)]
pub struct Case {
    /// `<type>/<load>/<threads>`.
    pub name: &'static str,
    /// Limits that every contender gets.
    pub shape: Shape,
    /// Operations of one full run; quick runs take fewer.
    pub ops: u64,
    /// The checksum that a run of so many operations must return.
    pub checksum: fn(u64) -> u64,
    /// Which clock the ratios are taken from.
    pub judged_by: Clock,
    /// Ours first.
    pub contenders: Vec<Contender>,
    /// Highest ratio wanted, by rival.
    pub targets: &'static [(&'static str, f64)],
}

impl Case {
    /// The highest ratio wanted against `rival`, if there is one.
    #[must_use]
    pub fn target(&self, rival: &str) -> Option<f64> {
        self.targets.iter().find(|(name, _)| *name == rival).map(|(_, target)| *target)
    }

    /// `ops`, rounded down to a multiple of the producers, and at least one operation each.
    #[must_use]
    pub fn whole_ops(&self, ops: u64) -> u64 {
        let producers = self.shape.producers as u64;
        (ops / producers).max(1) * producers
    }
}

/// Limits shared by the contenders of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Producing tasks, or threads.
    pub producers: usize,
    /// Jobs that may run at once.
    pub slots: usize,
    /// Jobs that may be in the system, running ones included.
    pub capacity: usize,
    /// Results that all producers together leave unread.
    pub window: usize,
}

/// One run: the shape, the number of operations, and a runtime that nothing else has used.
#[derive(Debug)]
pub struct Setup {
    /// Limits of the case.
    pub shape: Shape,
    /// Operations to carry out.
    pub ops: u64,
    runtime: Runtime,
}

impl Setup {
    /// A run on a new multi-threaded runtime.
    ///
    /// # Panics
    /// If the runtime's threads cannot be started.
    #[must_use]
    pub fn new(shape: Shape, ops: u64, workers: usize) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(workers).enable_time().build().expect("a runtime");
        Self { shape, ops, runtime }
    }

    /// Drives `future` on the calling thread, beside the runtime's workers.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Jobs of each producer: contiguous ranges that together are `0..ops`.
    pub fn shares(&self) -> impl Iterator<Item = std::ops::Range<u64>> + use<> {
        let share = self.ops / self.shape.producers as u64;
        (0..self.shape.producers as u64).map(move |producer| producer * share..(producer + 1) * share)
    }

    /// Unread results allowed to each producer.
    #[must_use]
    pub fn window_share(&self) -> usize {
        (self.shape.window / self.shape.producers).max(1)
    }
}

/// A name, and a function that carries out [`Setup::ops`] operations and returns their checksum.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    /// Without spaces.
    pub name: &'static str,
    /// Runs once.
    pub run: fn(&Setup) -> u64,
}

/// A clock that ratios are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// CPU time of the whole process: what an operation costs.
    Cpu,
    /// Wall time: how long the operations took.
    Wall,
}
