//! The table of cases: its names, its targets, and that every contender does the work.

use std::collections::HashSet;

use flowgate_benches::case::Case;
use flowgate_benches::cases;
use flowgate_benches::harness::{Plan, measure, run_once};

#[test]
fn names_can_be_parsed_back_from_a_ratio_line() {
    let mut seen = HashSet::new();
    for case in cases() {
        assert!(seen.insert(case.name), "{} is there twice", case.name);
        assert_eq!(case.name.split('/').count(), 3, "{}: <type>/<load>/<threads>", case.name);
        let names: HashSet<_> = case.contenders.iter().map(|contender| contender.name).collect();
        assert_eq!(names.len(), case.contenders.len(), "{}: a contender is there twice", case.name);
        assert!(names.iter().all(|name| !name.contains(' ')), "{}: {names:?}", case.name);
    }
}

#[test]
fn every_target_names_a_rival_of_its_case() {
    for case in cases() {
        for (rival, target) in case.targets {
            assert!(case.contenders[1..].iter().any(|contender| contender.name == *rival), "{}: {rival}", case.name);
            assert!(*target > 0.0);
        }
    }
}

#[test]
fn every_contender_answers_every_job() {
    for case in cases().into_iter().map(Case::brief) {
        for contender in &case.contenders {
            let sample = run_once(&case, contender, case.ops, 2);
            assert!(sample.wall_ns > 0.0, "{}: {}", case.name, contender.name);
        }
    }
}

#[test]
#[should_panic(expected = "lost or changed a result")]
fn a_contender_that_skips_work_ends_the_run() {
    let mut case = cases().swap_remove(0);
    case.contenders[0].run = |setup| setup.ops;
    let _sample = run_once(&case, &case.contenders[0], 100, 1);
}

#[test]
fn a_plan_without_a_budget_runs_the_full_operations_every_round() {
    let mut case = cases().swap_remove(0);
    case.ops = 2_000;
    case.contenders.truncate(2);
    let plan = Plan::new(1, Some(3), false, 1);
    let measured = measure(case, &plan);
    assert_eq!(measured.ops, 2_000);
    assert!(measured.series.iter().all(|series| series.samples.len() == 3));
}

#[test]
fn a_budget_shrinks_the_operations_and_keeps_the_rounds() {
    let mut case = cases().swap_remove(0);
    case.contenders.truncate(2);
    let plan = Plan { budget: Some(std::time::Duration::from_millis(1)), ..Plan::new(1, None, true, 1) };
    let full = case.ops;
    let measured = measure(case, &plan);
    assert!(measured.ops < full, "{} of {full}", measured.ops);
    assert!(measured.series.iter().all(|series| series.samples.len() == 7));
}
