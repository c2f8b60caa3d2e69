//! What `ratios` prints, and what it hands to plots.

use flowgate_benches::allocs::{Row, Table};
use flowgate_benches::case::{Case, Contender, Measure, Shape};
use flowgate_benches::harness::{Measured, Sample, Series};
use flowgate_benches::json::{CaseReport, RatioReport, Report};
use flowgate_benches::machine::{Machine, locked_versions};
use flowgate_benches::report::{Tables, ratio_line};
use flowgate_benches::stats::Spread;

fn measured(judged_by: Measure) -> Measured {
    let contender = |name| Contender { name, run: |_| 0 };
    let samples = |cpu: [f64; 3]| cpu.map(|cpu_ns| Sample { cpu_ns, wall_ns: 100.0, latency: None }).to_vec();
    Measured {
        case: Case {
            checksum: |_| 0,
            judged_by,
            targets: &[("rival", 0.4)],
            ..Case::new("pool/made-up/p1", Shape::default(), 10, vec![contender("ours"), contender("rival")])
        },
        ops: 10,
        series: vec![
            Series { contender: "ours", samples: samples([50.0, 40.0, 60.0]) },
            Series { contender: "rival", samples: samples([100.0, 100.0, 80.0]) },
        ],
    }
}

fn counted() -> Table {
    let row =
        Row { case: "pool/made-up/p1".into(), contender: "ours".into(), blocks: 1.0, bytes: 88.0, held: Some(72.0) };
    [row].into_iter().collect()
}

#[test]
fn a_ratio_line_has_median_range_and_target() {
    let report = CaseReport::new(&measured(Measure::Cpu), &counted());
    let line = ratio_line(&report.name, &report.ratios[0]);
    assert_eq!(line, "ratio pool/made-up/p1 rival 0.500 [0.400 0.750] target 0.40");
}

#[test]
fn a_rival_without_target_has_a_dash() {
    let ratio =
        RatioReport { rival: "rival".to_owned(), spread: Spread { median: 1.0, min: 0.5, max: 2.0 }, target: None };
    assert_eq!(ratio_line("a/b/c", &ratio), "ratio a/b/c rival 1.000 [0.500 2.000] target -");
    assert!(!ratio.behind());
}

#[test]
fn a_case_is_judged_by_its_own_clock() {
    let report = CaseReport::new(&measured(Measure::Wall), &counted());
    assert_eq!(report.ratios[0].spread, Spread { median: 1.0, min: 1.0, max: 1.0 });
}

#[test]
fn behind_is_judged_with_the_digits_that_are_printed() {
    let ratio = |median| RatioReport {
        rival: "r".to_owned(),
        spread: Spread { median, min: 0.0, max: 9.0 },
        target: Some(0.3),
    };
    assert!(!ratio(0.304).behind());
    assert!(ratio(0.306).behind());
}

#[test]
fn the_table_shows_absolute_figures_ratio_and_verdict() {
    let report = CaseReport::new(&measured(Measure::Cpu), &counted());
    let report = Report { machine: Machine::detect(2), quick: true, cases: vec![report] };
    let text = Tables(&report).to_string();
    let row = |name: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(row("ours"), "ours 50 100 1.00 88 72.0");
    assert_eq!(row("rival"), "rival 100 100 - - - 0.500 [0.400 0.750] 0.40 behind");
}

#[test]
fn json_has_machine_cases_and_ratios() {
    let report = CaseReport::new(&measured(Measure::Cpu), &counted());
    let report = Report { machine: Machine::detect(2), quick: true, cases: vec![report] };
    let json: serde_json::Value = serde_json::to_value(&report).unwrap();
    assert_eq!(json["machine"]["workers"], 2);
    assert!(json["machine"]["versions"]["tokio"].as_str().unwrap().starts_with("1."));
    let case = &json["cases"][0];
    assert_eq!((case["name"].as_str(), case["judged_by"].as_str()), (Some("pool/made-up/p1"), Some("cpu")));
    assert_eq!(case["contenders"][0]["cpu_ns"]["median"], 50.0);
    assert_eq!(case["contenders"][0]["allocs"]["bytes"], 88.0);
    assert_eq!(case["ratios"][0]["median"], 0.5);
    assert_eq!(case["ratios"][0]["target"], 0.4);
}

#[test]
fn versions_are_read_from_the_lock_file() {
    let lock = "[[package]]\nname = \"a\"\nversion = \"1.2.3\"\n\n[[package]]\nname = \"b\"\nversion = \"4.5.6\"\n";
    let versions = locked_versions(lock, &["b", "c"]);
    assert_eq!(versions.into_iter().collect::<Vec<_>>(), [("b".to_owned(), "4.5.6".to_owned())]);
}
