//! What a run reports, as `--json` prints it.

use serde::{Deserialize, Serialize};

use crate::allocs::Table;
use crate::case::Measure;
use crate::harness::{Measured, Sample, Series};
use crate::latency::Percentiles;
use crate::machine::Machine;
use crate::stats::{Spread, paired_ratios};

/// A whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Where it ran.
    pub machine: Machine,
    /// Whether it was a `--quick` run.
    pub quick: bool,
    /// One a case.
    pub cases: Vec<CaseReport>,
}

/// One case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaseReport {
    /// `<type>/<load>/<threads>`.
    pub name: String,
    /// The limits that all contenders have.
    pub limits: String,
    /// Operations of each run.
    pub ops: u64,
    /// Measured rounds.
    pub rounds: usize,
    /// The figure of the ratios.
    pub judged_by: Measure,
    /// Ours first.
    pub contenders: Vec<ContenderReport>,
    /// One a rival.
    pub ratios: Vec<RatioReport>,
}

/// What one contender takes for an operation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContenderReport {
    /// The contender's name.
    pub name: String,
    /// Nanoseconds of CPU time.
    pub cpu_ns: Spread,
    /// Nanoseconds of wall time.
    pub wall_ns: Spread,
    /// Nanoseconds of latency, where the case takes them: the median of each percentile over the rounds.
    pub latency: Option<Percentiles>,
    /// Allocations, if they were counted.
    pub allocs: Option<AllocReport>,
}

/// Allocations an operation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct AllocReport {
    /// Allocations.
    pub blocks: f64,
    /// Bytes.
    pub bytes: f64,
    /// Bytes held, where the case says when to look.
    pub held: Option<f64>,
}

/// Our cost over a rival's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RatioReport {
    /// The rival's name.
    pub rival: String,
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
        let contenders: Vec<_> = measured.series.iter().map(|series| contender(case.name, series, allocs)).collect();
        let figures: Vec<_> = match case.judged_by {
            Measure::Held => contenders.iter().map(|c| c.allocs.and_then(|a| a.held).map(|held| vec![held])).collect(),
            measure => measured.series.iter().map(|series| series.by(measure)).collect(),
        };
        let ratios = match figures.split_first() {
            Some((Some(ours), rivals)) => rivals
                .iter()
                .zip(&measured.series[1..])
                .filter_map(|(figures, series)| {
                    Some(RatioReport {
                        rival: series.contender.to_owned(),
                        spread: paired_ratios(ours, figures.as_deref()?),
                        target: case.target(series.contender),
                    })
                })
                .collect(),
            _ => Vec::new(),
        };
        Self {
            name: case.name.to_owned(),
            limits: case.shape.to_string(),
            ops: measured.ops,
            rounds: measured.series.first().map_or(0, |series| series.samples.len()),
            judged_by: case.judged_by,
            contenders,
            ratios,
        }
    }
}

fn contender(case: &str, series: &Series, allocs: &Table) -> ContenderReport {
    let figures = |figure: fn(&Sample) -> f64| Spread::of(&series.samples.iter().map(figure).collect::<Vec<_>>());
    ContenderReport {
        name: series.contender.to_owned(),
        cpu_ns: figures(|sample| sample.cpu_ns),
        wall_ns: figures(|sample| sample.wall_ns),
        latency: latency(series),
        allocs: allocs.get(case, series.contender).map(|row| AllocReport {
            blocks: row.blocks,
            bytes: row.bytes,
            held: row.held,
        }),
    }
}

fn latency(series: &Series) -> Option<Percentiles> {
    let rounds: Vec<Percentiles> = series.samples.iter().map(|sample| sample.latency).collect::<Option<_>>()?;
    let middle = |figure: fn(&Percentiles) -> f64| Spread::of(&rounds.iter().map(figure).collect::<Vec<_>>()).median;
    Some(Percentiles { p50: middle(|l| l.p50), p99: middle(|l| l.p99), p999: middle(|l| l.p999) })
}
