//! Text of a run: a `ratio` line for each rival, then the tables.

use std::fmt::{self, Write};

use crate::json::{CaseReport, ContenderReport, RatioReport, Report};

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

fn table(case: &CaseReport, width: usize) -> Result<String, fmt::Error> {
    let mut text =
        format!("{} ({} operations x {} rounds, by {:?} time)\n", case.name, case.ops, case.rounds, case.judged_by);
    writeln!(
        text,
        "  {:<width$} {:>8} {:>8} {:>7} {:>7}   {:>6} {:>15} {:>7}",
        "ns and allocations per op",
        "CPU",
        "wall",
        "allocs",
        "bytes",
        "ratio",
        "[min max]",
        "target",
        width = width.max(25),
    )?;
    for contender in &case.contenders {
        let ratio = case.ratios.iter().find(|ratio| ratio.rival == contender.name);
        writeln!(text, "{}", row(contender, ratio, width.max(25)))?;
    }
    Ok(text)
}

fn row(contender: &ContenderReport, ratio: Option<&RatioReport>, width: usize) -> String {
    let figure =
        |value: Option<f64>, digits: usize| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"));
    let range = ratio.map_or_else(String::new, |ratio| format!("[{:.3} {:.3}]", ratio.spread.min, ratio.spread.max));
    let (blocks, bytes) = (contender.allocs.map(|a| a.blocks), contender.allocs.map(|a| a.bytes));
    let target = ratio.and_then(|ratio| ratio.target);
    let line = format!(
        "  {:<width$} {:>8.0} {:>8.0} {:>7} {:>7}   {:>6} {range:>15} {:>7}{}",
        contender.name,
        contender.cpu_ns.median,
        contender.wall_ns.median,
        figure(blocks, 2),
        figure(bytes, 0),
        ratio.map_or_else(String::new, |ratio| format!("{:.3}", ratio.spread.median)),
        target.map_or_else(String::new, |target| format!("{target:.2}")),
        if ratio.is_some_and(RatioReport::behind) { " behind" } else { "" },
    );
    line.trim_end().to_owned()
}
