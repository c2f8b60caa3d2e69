//! The text of BENCHMARKS.md.

use std::fmt::Write;

use crate::book::bars::grouped;
use crate::book::{PLOTS, Plot};
use crate::case::Measure;
use crate::json::{CaseReport, ContenderReport, RatioReport, Report};

/// The whole text. `notes` are written by hand.
#[must_use]
pub fn book(report: &Report, plots: &[Plot], notes: &str) -> String {
    let mut text = String::new();
    head(&mut text, report);
    let _ = writeln!(text, "## Where we lose, and why\n");
    losses(&mut text, report);
    let _ = writeln!(text, "\n{}\n", notes.trim());
    let _ = writeln!(text, "## Against the targets\n");
    targets(&mut text, report);
    let _ = writeln!(text, "\n## Plots\n");
    for plot in plots {
        let _ = writeln!(text, "{}\n\n![{}]({PLOTS}/{})\n", plot.caption, plot.caption, plot.file);
    }
    let _ = writeln!(text, "## Every case\n\n{LEGEND}\n");
    for case in &report.cases {
        table(&mut text, case);
    }
    text
}

const LEGEND: &str = "Nanoseconds, allocations and bytes are an operation's. *held*: bytes that an entry, or a waiting submitter, keeps. \
*p50*, *p99*, *p999*: nanoseconds.";

fn head(text: &mut String, report: &Report) {
    let machine = &report.machine;
    let kind = if report.quick { "a quick run (`--quick`): fewer operations, seven rounds" } else { "a full run" };
    let _ = writeln!(
        text,
        "# Benchmarks\n\n\
         Written by a command, from {kind}; the notes in it come from `benches/notes.md`. To write it anew:\n\n\
         ```sh\n\
         cargo bench --bench ratios -- --json > results.json                              # or `--quick`, by concept\n\
         cargo run --release -p flowgate-benches --bin benchmarks -- results.json         # several files: the later counts\n\
         ```\n\n\
         A ratio is the cost of flowgate divided by the cost of the rival, so **below 1 is ahead**: the median of the rounds' \
         own ratios, with the least and the greatest in brackets. Ours and all rivals run interleaved in one process, on a \
         fresh runtime each, and every result is checked. CPU time is that of the whole process.\n\n\
         ## Machine and versions\n\n\
         {}, {} cores, {}, {}, {} tokio workers. A job of the `1us` load takes {} ns on it.\n\n\
         | package | version |\n|---|---|",
        machine.cpu, machine.cores, machine.system, machine.rustc, machine.workers, machine.busy_job_ns
    );
    for (name, version) in &machine.versions {
        let _ = writeln!(text, "| {name} | {version} |");
    }
    text.push('\n');
}

/// Every rival that is ahead of us beyond what rounding hides.
fn losses(text: &mut String, report: &Report) {
    let _ = writeln!(text, "| case | rival | ratio [min max] | judged by |\n|---|---|---|---|");
    for case in &report.cases {
        for ratio in case.ratios.iter().filter(|ratio| ratio.spread.median >= 1.05) {
            let _ =
                writeln!(text, "| `{}` | {} | {} | {} |", case.name, ratio.rival, spread(ratio), judge(case.judged_by));
        }
    }
}

fn targets(text: &mut String, report: &Report) {
    let _ = writeln!(text, "| case | rival | ratio [min max] | target | |\n|---|---|---|---|---|");
    for case in &report.cases {
        for ratio in &case.ratios {
            if let Some(target) = ratio.target {
                let verdict = if ratio.behind() { "behind" } else { "met" };
                let _ = writeln!(
                    text,
                    "| `{}` | {} | {} | {target:.2} | {verdict} |",
                    case.name,
                    ratio.rival,
                    spread(ratio)
                );
            }
        }
    }
}

fn table(text: &mut String, case: &CaseReport) {
    let has = |column: fn(&ContenderReport) -> bool| case.contenders.iter().any(column);
    let columns: Vec<Column> = COLUMNS.iter().filter(|column| has(column.present)).copied().collect();
    let heads: Vec<&str> = columns.iter().map(|column| column.head).collect();
    let _ = writeln!(
        text,
        "### {}\n\n{}; {} operations x {} rounds, judged by {}\n\n| | {} | ratio [min max] | target |\n|---{}|---|---|",
        case.name,
        case.limits,
        case.ops,
        case.rounds,
        judge(case.judged_by),
        heads.join(" | "),
        "|---".repeat(columns.len()),
    );
    for contender in &case.contenders {
        let cells: Vec<String> = columns.iter().map(|column| (column.cell)(contender)).collect();
        let ratio = case.ratios.iter().find(|ratio| ratio.rival == contender.name);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            contender.name,
            cells.join(" | "),
            ratio.map_or_else(String::new, spread),
            ratio.and_then(|ratio| ratio.target).map_or_else(String::new, |target| format!("{target:.2}")),
        );
    }
    text.push('\n');
}

#[derive(Clone, Copy)]
struct Column {
    head: &'static str,
    present: fn(&ContenderReport) -> bool,
    cell: fn(&ContenderReport) -> String,
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), grouped)
}

const COLUMNS: &[Column] = &[
    Column { head: "CPU ns", present: |_| true, cell: |c| grouped(c.cpu_ns.median) },
    Column { head: "wall ns", present: |_| true, cell: |c| grouped(c.wall_ns.median) },
    Column {
        head: "allocations",
        present: |c| c.allocs.is_some(),
        cell: |c| c.allocs.map_or_else(|| "-".to_owned(), |allocs| format!("{:.2}", allocs.blocks)),
    },
    Column { head: "bytes", present: |c| c.allocs.is_some(), cell: |c| number(c.allocs.map(|allocs| allocs.bytes)) },
    Column {
        head: "held",
        present: |c| c.allocs.is_some_and(|allocs| allocs.held.is_some()),
        cell: |c| number(c.allocs.and_then(|allocs| allocs.held)),
    },
    Column { head: "p50", present: |c| c.latency.is_some(), cell: |c| number(c.latency.map(|l| l.p50)) },
    Column { head: "p99", present: |c| c.latency.is_some(), cell: |c| number(c.latency.map(|l| l.p99)) },
    Column { head: "p999", present: |c| c.latency.is_some(), cell: |c| number(c.latency.map(|l| l.p999)) },
];

fn spread(ratio: &RatioReport) -> String {
    let spread = ratio.spread;
    let digits = if spread.median < 0.1 { 4 } else { 2 };
    format!("{:.digits$} [{:.digits$} {:.digits$}]", spread.median, spread.min, spread.max)
}

fn judge(measure: Measure) -> &'static str {
    match measure {
        Measure::Cpu => "CPU time",
        Measure::Wall => "wall time",
        Measure::P99 => "p99",
        Measure::P999 => "p999",
        Measure::Held => "bytes held",
    }
}
