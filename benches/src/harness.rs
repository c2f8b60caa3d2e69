//! The interleaved runs of `ratios`.
//!
//! Every round runs every contender of a case once, on a runtime of its own, in an order that rotates by one each
//! round. The clocks start when the runtime stands and stop when the checksum is there, unless the contender names a
//! part of it to be timed; taking the runtime down is not measured. A warm-up round comes first; it also sizes the measured rounds of a quick run.

use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

use crate::case::{Case, Contender, Measure};
use crate::latency::Percentiles;
use crate::setup::Setup;
use crate::stats::rotation;

/// Time that the measured rounds of a quick run may take, all cases together.
pub const QUICK_BUDGET: Duration = Duration::from_secs(30);

/// Rounds of a full run and of a quick one.
const ROUNDS: usize = 15;
const QUICK_ROUNDS: usize = 7;

/// Fewest operations of a run, so that a runtime's first steps do not weigh.
const MIN_OPS: u64 = 200;

/// How the runs of all cases are made.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Worker threads of each runtime.
    pub workers: usize,
    /// Measured rounds.
    pub rounds: usize,
    /// Time for the measured rounds of one case; none: run [`Case::ops`] operations each.
    pub budget: Option<Duration>,
}

impl Plan {
    /// The plan of a full run, or of a quick one over so many cases.
    #[must_use]
    pub fn new(workers: usize, rounds: Option<usize>, quick: bool, cases: usize) -> Self {
        let budget = quick.then(|| QUICK_BUDGET / u32::try_from(cases.max(1)).unwrap_or(u32::MAX));
        Self { workers, rounds: rounds.unwrap_or(if quick { QUICK_ROUNDS } else { ROUNDS }), budget }
    }
}

/// Cost of one run, in nanoseconds an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// CPU time of the process.
    pub cpu_ns: f64,
    /// Wall time.
    pub wall_ns: f64,
    /// Latencies, where the case takes them.
    pub latency: Option<Percentiles>,
}

/// All rounds of one contender.
#[derive(Clone, Debug)]
pub struct Series {
    /// The contender's name.
    pub contender: &'static str,
    /// One sample a round, in the order of the rounds.
    pub samples: Vec<Sample>,
}

impl Series {
    /// One figure of each sample; none if the samples lack it.
    #[must_use]
    pub fn by(&self, measure: Measure) -> Option<Vec<f64>> {
        self.samples
            .iter()
            .map(|sample| match measure {
                Measure::Cpu => Some(sample.cpu_ns),
                Measure::Wall => Some(sample.wall_ns),
                Measure::P99 => sample.latency.map(|latency| latency.p99),
                Measure::P999 => sample.latency.map(|latency| latency.p999),
                Measure::Held => None,
            })
            .collect()
    }
}

/// A case as measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The case.
    pub case: Case,
    /// Operations of each run.
    pub ops: u64,
    /// In the order of [`Case::contenders`].
    pub series: Vec<Series>,
}

/// Runs `contender` once with `ops` operations, and asserts its checksum.
///
/// # Panics
/// If the checksum is wrong.
#[must_use]
pub fn run_once(case: &Case, contender: &Contender, ops: u64, workers: usize) -> Sample {
    let setup = Setup::new(case, ops, workers);
    let (cpu, wall) = (ProcessTime::now(), Instant::now());
    let checksum = (contender.run)(&setup);
    let (cpu, wall) = (cpu.elapsed(), wall.elapsed());
    assert_eq!(checksum, (case.checksum)(ops), "{}: {} lost or changed a result", case.name, contender.name);
    let notes = setup.notes();
    let (cpu, wall) = notes.time.unwrap_or((cpu, wall));
    let per_op = |time: Duration| time.as_secs_f64() * 1e9 / ops as f64;
    Sample { cpu_ns: per_op(cpu), wall_ns: per_op(wall), latency: notes.latency }
}

/// Measures one case.
#[must_use]
pub fn measure(case: Case, plan: &Plan) -> Measured {
    let ops = sized(&case, plan);
    let mut series: Vec<Series> = case
        .contenders
        .iter()
        .map(|contender| Series { contender: contender.name, samples: Vec::with_capacity(plan.rounds) })
        .collect();
    for round in 0..plan.rounds {
        for place in rotation(case.contenders.len(), round) {
            let sample = run_once(&case, &case.contenders[place], ops, plan.workers);
            series[place].samples.push(sample);
        }
    }
    Measured { case, ops, series }
}

/// The warm-up round; returns the operations of a measured run.
fn sized(case: &Case, plan: &Plan) -> u64 {
    let warm_up = case.whole_ops((case.ops / 8).max(MIN_OPS));
    let Some(budget) = plan.budget else {
        for contender in &case.contenders {
            let _cost = run_once(case, contender, warm_up, plan.workers);
        }
        return case.whole_ops(case.ops);
    };
    let (mut fixed, mut per_op) = (0.0, 0.0);
    for contender in &case.contenders {
        // The first run fills what the runs share, which the measured ones find there.
        let _cost = run_once(case, contender, case.whole_ops(MIN_OPS), plan.workers);
        let began = Instant::now();
        let timed = run_once(case, contender, warm_up, plan.workers).wall_ns * warm_up as f64;
        fixed += (began.elapsed().as_secs_f64() * 1e9 - timed).max(0.0);
        per_op += timed / warm_up as f64;
    }
    let round = budget.as_secs_f64() * 1e9 / plan.rounds as f64;
    let affordable = (round - fixed) / per_op;
    case.whole_ops((affordable as u64).clamp(warm_up.min(MIN_OPS), case.ops))
}
