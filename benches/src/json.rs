//! What a run reports, as `--json` prints it.

use serde::Serialize;

use crate::allocs::Table;
use crate::case::Clock;
use crate::harness::Measured;
use crate::machine::Machine;
use crate::stats::{Spread, paired_ratios};

/// A whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Where it ran.
    pub machine: Machine,
    /// Whether it was a `--quick` run.
    pub quick: bool,
    /// One a case.
    pub cases: Vec<CaseReport>,
}

/// One case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseReport {
    /// `<type>/<load>/<threads>`.
    pub name: &'static str,
    /// Operations of each run.
    pub ops: u64,
    /// Measured rounds.
    pub rounds: usize,
    /// The clock of the ratios.
    pub judged_by: Clock,
    /// Ours first.
    pub contenders: Vec<ContenderReport>,
    /// One a rival.
    pub ratios: Vec<RatioReport>,
}

/// What one contender takes for an operation.
#[derive(Clone, Debug, Serialize)]
pub struct ContenderReport {
    /// The contender's name.
    pub name: &'static str,
    /// Nanoseconds of CPU time.
    pub cpu_ns: Spread,
    /// Nanoseconds of wall time.
    pub wall_ns: Spread,
    /// Allocations, if they were counted.
    pub allocs: Option<AllocReport>,
}

/// Allocations an operation.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AllocReport {
    /// Allocations.
    pub blocks: f64,
    /// Bytes.
    pub bytes: f64,
}

/// Our cost over a rival's.
#[derive(Clone, Debug, Serialize)]
pub struct RatioReport {
    /// The rival's name.
    pub rival: &'static str,
    /// Of the rounds' own ratios.
    #[serde(flatten)]
    pub spread: Spread,
    /// The highest ratio wanted.
    pub target: Option<f64>,
}

impl RatioReport {
    /// Whether the median is above the target, as printed with two digits.
    #[must_use]
    pub fn behind(&self) -> bool {
        self.target.is_some_and(|target| (self.spread.median * 100.0).round() > (target * 100.0).round())
    }
}

impl CaseReport {
    /// What was measured, beside what was counted.
    #[must_use]
    pub fn new(measured: &Measured, allocs: &Table) -> Self {
        let case = &measured.case;
        let contenders = measured.series.iter().map(|series| ContenderReport {
            name: series.contender,
            cpu_ns: Spread::of(&series.by(Clock::Cpu)),
            wall_ns: Spread::of(&series.by(Clock::Wall)),
            allocs: allocs
                .get(case.name, series.contender)
                .map(|row| AllocReport { blocks: row.blocks, bytes: row.bytes }),
        });
        let ratios = measured.series.split_first().map_or_else(Vec::new, |(ours, rivals)| {
            let ours = ours.by(case.judged_by);
            let ratio = |rival: &crate::harness::Series| RatioReport {
                rival: rival.contender,
                spread: paired_ratios(&ours, &rival.by(case.judged_by)),
                target: case.target(rival.contender),
            };
            rivals.iter().map(ratio).collect()
        });
        Self {
            name: case.name,
            ops: measured.ops,
            rounds: measured.series.first().map_or(0, |series| series.samples.len()),
            judged_by: case.judged_by,
            contenders: contenders.collect(),
            ratios,
        }
    }
}
