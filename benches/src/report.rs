//! Text of a run: a `ratio` line for each rival, then the tables.

use std::fmt::{self, Write};

use crate::json::{CaseReport, ContenderReport, RatioReport, Report};
use crate::latency::Percentiles;

/// `ratio <case> <rival> <median> [min max] target <t>`.
#[must_use]
pub fn ratio_line(case: &str, ratio: &RatioReport) -> String {
    let target = ratio.target.map_or_else(|| "-".to_owned(), |target| format!("{target:.2}"));
    let spread = ratio.spread;
    format!("ratio {case} {} {:.3} [{:.3} {:.3}] target {target}", ratio.rival, spread.median, spread.min, spread.max)
}

/// The tables at the end of a run, as `Display`.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'r>(pub &'r Report);

impl fmt::Display for Tables<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.cases.iter().flat_map(|case| &case.contenders).map(|c| c.name.len()).max().unwrap_or(0);
        for case in &self.0.cases {
            writeln!(f, "{}", table(case, width)?)?;
        }
        writeln!(
            f,
            "ratio: cost of ours / cost of the rival, below 1 is ahead; median of the rounds' own ratios [min max]"
        )
    }
}

const NO_CELL: &str = "-";

fn table(case: &CaseReport, width: usize) -> Result<String, fmt::Error> {
    let width = width.max(25);
    let mut text = format!(
        "{} ({}; {} operations x {} rounds, by {:?})\n",
        case.name, case.limits, case.ops, case.rounds, case.judged_by
    );
    let heads = [
        format!("{:>8} {:>8} {:>7} {:>7}", "CPU", "wall", "allocs", "bytes"),
        if holds(case) { format!(" {:>9}", "held") } else { String::new() },
        if has_latencies(case) { format!(" {:>9} {:>9} {:>9}", "p50", "p99", "p999") } else { String::new() },
        format!("   {:>6} {:>15} {:>7}", "ratio", "[min max]", "target"),
    ];
    writeln!(text, "  {:<width$} {}", "ns and allocations per op", heads.concat())?;
    for contender in &case.contenders {
        let ratio = case.ratios.iter().find(|ratio| ratio.rival == contender.name);
        writeln!(text, "{}", row(case, contender, ratio, width))?;
    }
    Ok(text)
}

fn holds(case: &CaseReport) -> bool {
    case.contenders.iter().any(|contender| contender.allocs.is_some_and(|allocs| allocs.held.is_some()))
}

fn has_latencies(case: &CaseReport) -> bool {
    case.contenders.iter().any(|contender| contender.latency.is_some())
}

fn row(case: &CaseReport, contender: &ContenderReport, ratio: Option<&RatioReport>, width: usize) -> String {
    let figure = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| NO_CELL.to_owned(), |value| format!("{value:.digits$}"))
    };
    let allocs = contender.allocs;
    let mut line = format!(
        "  {:<width$} {:>8.0} {:>8.0} {:>7} {:>7}",
        contender.name,
        contender.cpu_ns.median,
        contender.wall_ns.median,
        figure(allocs.map(|a| a.blocks), 2),
        figure(allocs.map(|a| a.bytes), 0),
    );
    if holds(case) {
        line += &format!(" {:>9}", figure(allocs.and_then(|a| a.held), 1));
    }
    if has_latencies(case) {
        let of = |percentile: fn(&Percentiles) -> f64| figure(contender.latency.as_ref().map(percentile), 0);
        line += &format!(" {:>9} {:>9} {:>9}", of(|l| l.p50), of(|l| l.p99), of(|l| l.p999));
    }
    if let Some(ratio) = ratio {
        let range = format!("[{:.3} {:.3}]", ratio.spread.min, ratio.spread.max);
        let target = ratio.target.map_or_else(String::new, |target| format!("{target:.2}"));
        let verdict = if ratio.behind() { " behind" } else { "" };
        line += &format!("   {:>6.3} {range:>15} {target:>7}{verdict}", ratio.spread.median);
    }
    line.trim_end().to_owned()
}
