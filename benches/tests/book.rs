//! BENCHMARKS.md and its plots.

use std::path::PathBuf;

use flowgate_benches::book::{self, BookError, PLOTS};
use flowgate_benches::case::Measure;
use flowgate_benches::json::{AllocReport, CaseReport, ContenderReport, RatioReport, Report};
use flowgate_benches::latency::Percentiles;
use flowgate_benches::machine::Machine;
use flowgate_benches::stats::Spread;

fn flat(figure: f64) -> Spread {
    Spread { median: figure, min: figure, max: figure }
}

fn contender(name: &str, ns: f64) -> ContenderReport {
    ContenderReport {
        name: name.to_owned(),
        cpu_ns: flat(ns),
        wall_ns: flat(2.0 * ns),
        latency: Some(Percentiles { p50: ns, p99: 9.0 * ns, p999: 99.0 * ns }),
        allocs: Some(AllocReport { blocks: 1.0, bytes: 88.0, held: Some(35.7) }),
    }
}

fn case(name: &str, ours: f64, rival: f64, target: Option<f64>) -> CaseReport {
    CaseReport {
        name: name.to_owned(),
        limits: "1 producer, 16 slots".to_owned(),
        ops: 1_000,
        rounds: 7,
        judged_by: Measure::Cpu,
        contenders: vec![contender("flowgate", ours), contender("dashmap", rival)],
        ratios: vec![RatioReport { rival: "dashmap".to_owned(), spread: flat(ours / rival), target }],
    }
}

fn report() -> Report {
    Report {
        machine: Machine::detect(2),
        quick: true,
        cases: vec![
            case("pool/made-up/p1", 50.0, 100.0, Some(0.6)),
            case("map/made-up/t1", 150.0, 100.0, Some(1.0)),
            case("map/made-up/t2", 1_500_000.0, 100.0, None),
        ],
    }
}

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("flowgate-book-{}-{name}", std::process::id()));
        std::fs::create_dir_all(path.join("benches")).expect("a folder");
        Self(path)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).expect("a file of the book")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("the folder is still there");
    }
}

#[test]
fn the_book_names_losses_targets_and_every_figure() {
    let folder = Folder::new("text");
    std::fs::write(folder.0.join("benches/notes.md"), "Because of two wake-ups.\n").unwrap();
    book::write(&report(), &folder.0).unwrap();
    let text = folder.read("BENCHMARKS.md");
    let losses = text.split("## Where we lose").nth(1).unwrap().split("\n## ").next().unwrap();
    assert!(losses.contains("| `map/made-up/t1` | dashmap | 1.50 [1.50 1.50] | CPU time |"), "{losses}");
    assert!(!losses.contains("pool/made-up"), "{losses}");
    assert!(losses.contains("Because of two wake-ups."), "{losses}");
    assert!(text.contains("| `pool/made-up/p1` | dashmap | 0.50 [0.50 0.50] | 0.60 | met |"), "{text}");
    assert!(text.contains("| `map/made-up/t1` | dashmap | 1.50 [1.50 1.50] | 1.00 | behind |"), "{text}");
    assert!(text.contains("| flowgate | 1,500,000 | 3,000,000 | 1.00 | 88.0 | 35.7 |"), "{text}");
    assert!(text.contains("1 producer, 16 slots; 1000 operations x 7 rounds, judged by CPU time"), "{text}");
    assert!(text.contains("| tokio | 1."), "{text}");
}

#[test]
fn every_plot_that_the_book_shows_is_drawn() {
    let folder = Folder::new("plots");
    std::fs::write(folder.0.join("benches/notes.md"), "").unwrap();
    book::write(&report(), &folder.0).unwrap();
    let text = folder.read("BENCHMARKS.md");
    let shown: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("![")?.split(['(', ')']).nth(1)).collect();
    assert!(shown.len() >= 4, "{shown:?}");
    for file in shown {
        assert!(file.starts_with(PLOTS), "{file}");
        let svg = folder.read(file);
        assert!(svg.contains("</svg>") && svg.contains("flowgate") && svg.contains("made-up"), "{file}");
    }
}

#[test]
fn a_printed_report_can_be_read_back_and_two_of_one_machine_put_together() {
    let folder = Folder::new("json");
    let (one, two) = (folder.0.join("one.json"), folder.0.join("two.json"));
    let mut later = report();
    later.machine.busy_job_ns += 1;
    later.cases[0].name = "pool/later/p1".to_owned();
    later.cases[1].ops = 2_000;
    later.cases.truncate(2);
    std::fs::write(&one, serde_json::to_string(&report()).unwrap()).unwrap();
    std::fs::write(&two, serde_json::to_string(&later).unwrap()).unwrap();
    let whole = book::read(&[one.clone(), two.clone()]).unwrap();
    assert_eq!(whole.cases.len(), 4, "the case that both have is there once");
    assert_eq!(whole.cases[3].ops, 2_000, "as the last file has it");
    assert_eq!(whole.cases[0].ratios[0].target, Some(0.6));

    later.machine.cores += 1;
    std::fs::write(&two, serde_json::to_string(&later).unwrap()).unwrap();
    assert!(matches!(book::read(&[one, two]), Err(BookError::Mixed)));
    assert!(matches!(book::read(&[]), Err(BookError::Empty)));
}
