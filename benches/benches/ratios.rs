//! `cargo bench --bench ratios [-- --quick] [--json] [FILTER]`: ours beside every rival, interleaved in one process.
//!
//! Reports and exits 0; judging is the reader's. Only a wrong checksum or a wrong command line ends it otherwise.

use std::path::Path;
use std::process::ExitCode;

use flowgate_benches::allocs::{Table, run_pass};
use flowgate_benches::args::{Args, USAGE};
use flowgate_benches::case::Case;
use flowgate_benches::harness::{Plan, measure, run_once};
use flowgate_benches::json::{CaseReport, Report};
use flowgate_benches::machine::Machine;
use flowgate_benches::report::{Tables, ratio_line};

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if args.help {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let cases = args.select(flowgate_benches::cases());
    if args.list {
        list(&cases);
    } else if args.bench {
        let report = compare(&args, cases);
        if args.json {
            match serde_json::to_string_pretty(&report) {
                Ok(json) => println!("{json}"),
                Err(error) => {
                    eprintln!("{error}");
                    return ExitCode::FAILURE;
                }
            }
        } else {
            println!("\n{}", Tables(&report));
        }
    } else {
        smoke(&args, cases);
    }
    ExitCode::SUCCESS
}

fn list(cases: &[Case]) {
    for case in cases {
        let names: Vec<_> = case.contenders.iter().map(|contender| contender.name).collect();
        println!("{} {}", case.name, names.join(" "));
    }
}

/// Every contender once, briefly: asserts the checksums.
fn smoke(args: &Args, cases: Vec<Case>) {
    for case in cases.into_iter().map(Case::brief) {
        for contender in &case.contenders {
            let _cost = run_once(&case, contender, case.ops, args.worker_threads());
        }
        println!("{}: {} contenders agree", case.name, case.contenders.len());
    }
}

fn compare(args: &Args, cases: Vec<Case>) -> Report {
    let machine = Machine::detect(args.worker_threads());
    let plan = Plan::new(args.worker_threads(), args.rounds, args.quick, cases.len());
    if !args.json {
        println!("{machine}");
    }
    let allocs = if args.no_allocs { Table::default() } else { counted(args) };
    let mut reports = Vec::with_capacity(cases.len());
    for case in cases {
        let report = CaseReport::new(&measure(case, &plan), &allocs);
        if !args.json {
            for ratio in &report.ratios {
                println!("{}", ratio_line(&report.name, ratio));
            }
        }
        reports.push(report);
    }
    Report { machine, quick: args.quick, cases: reports }
}

/// The allocation pass; without it the table has its other columns.
fn counted(args: &Args) -> Table {
    run_pass(Path::new(env!("CARGO_BIN_EXE_allocs")), args).unwrap_or_else(|error| {
        eprintln!("{error}");
        Table::default()
    })
}
