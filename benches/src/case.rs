//! Cases and contenders: the table that the harness, the allocation pass and the criterion benches walk.

use std::fmt;

use crate::setup::{Setup, Shelf};

/// Highest ratios wanted, by rival.
pub type Targets = &'static [(&'static str, f64)];

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
    /// Which figure the ratios are taken from.
    pub judged_by: Measure,
    /// Whether a quick run has it even if no filter names it.
    pub in_quick: bool,
    /// The most keys of a quick run.
    pub quick_keys: usize,
    /// Whether the allocation pass runs it.
    pub counted: bool,
    /// Ours first.
    pub contenders: Vec<Contender>,
    /// Highest ratio wanted, by rival.
    pub targets: Targets,
    /// What the runs of this case share.
    pub shelf: Shelf,
}

impl Case {
    /// A case judged by CPU time, in quick runs and counted, without targets, whose operation `n` of `0..ops` adds
    /// `n + 1` to the checksum.
    #[must_use]
    pub fn new(name: &'static str, shape: Shape, ops: u64, contenders: Vec<Contender>) -> Self {
        Self {
            name,
            shape,
            ops,
            checksum: sum_of_results,
            judged_by: Measure::Cpu,
            in_quick: true,
            quick_keys: usize::MAX,
            counted: true,
            contenders,
            targets: &[],
            shelf: Shelf::default(),
        }
    }

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

    /// The same case with a hundredth of the operations and at most a thousand keys: enough to see that a contender
    /// does the work, not to time it.
    #[must_use]
    pub fn brief(mut self) -> Self {
        self.ops = self.whole_ops(self.ops / 100);
        self.shape.keys = self.shape.keys.min(1_000);
        self
    }
}

/// The sum of `n + 1` over `0..ops`.
#[must_use]
pub fn sum_of_results(ops: u64) -> u64 {
    ops * (ops + 1) / 2
}

/// Limits shared by the contenders of a case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Producing tasks, or threads.
    pub producers: usize,
    /// Jobs that may run at once.
    pub slots: usize,
    /// Jobs that may be in the system, running ones included.
    pub capacity: usize,
    /// Results that all producers together leave unread.
    pub window: usize,
    /// Different keys.
    pub keys: usize,
}

impl fmt::Display for Shape {
    /// The limits that are set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            (self.producers, if self.slots == 0 { "thread" } else { "producer" }),
            (self.slots, "slot"),
            (self.capacity, "place"),
            (self.window, "unread result"),
            (self.keys, "key"),
        ];
        let mut before = "";
        for (number, name) in named.into_iter().filter(|(number, _)| *number > 0) {
            write!(f, "{before}{number} {name}{}", if number == 1 { "" } else { "s" })?;
            before = ", ";
        }
        Ok(())
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

/// A figure that ratios are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// CPU time of the whole process: what an operation costs.
    Cpu,
    /// Wall time: how long the operations took.
    Wall,
    /// The latency that one operation in a hundred exceeds.
    P99,
    /// The latency that one operation in a thousand exceeds.
    P999,
    /// Bytes held an operation, as counted by the allocation pass.
    Held,
}
