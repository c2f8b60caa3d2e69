//! What the loads are made of: keys, sequences, latencies, and what a run notes of itself.

use std::collections::HashSet;

use flowgate_benches::args::Args;
use flowgate_benches::case::{Case, Contender, Shape};
use flowgate_benches::cases;
use flowgate_benches::harness::run_once;
use flowgate_benches::latency::Recorder;
use flowgate_benches::map::keys::{Sequence, mixed};
use flowgate_benches::setup::Setup;

#[test]
fn a_zipf_sequence_asks_for_few_keys_often_and_for_many_seldom() {
    let sequence = Sequence::zipf(1_000_000);
    let asked: Vec<usize> = (0..200_000).map(|n| sequence.at(n)).collect();
    let share = |keys: usize| asked.iter().filter(|key| **key < keys).count() as f64 / asked.len() as f64;
    // The sums of i^-0.99 up to 1, 1,000 and 100,000 over the sum up to a million.
    let wanted = [(1, 0.065), (1_000, 0.503), (100_000, 0.835)];
    for (keys, wanted) in wanted {
        assert!((share(keys) - wanted).abs() < 0.02, "{keys} keys get {}", share(keys));
    }
    assert!(asked.iter().all(|key| *key < 1_000_000));
}

#[test]
fn keys_do_not_collide() {
    let keys: HashSet<u64> = (0..100_000).map(mixed).collect();
    assert_eq!(keys.len(), 100_000);
}

#[test]
fn percentiles_are_those_of_what_was_recorded() {
    let recorder = Recorder::new(2_000);
    for n in 0..1_000 {
        recorder.record(n, n as u64 + 1);
    }
    let percentiles = recorder.percentiles();
    assert_eq!((percentiles.p50, percentiles.p99, percentiles.p999), (500.0, 990.0, 999.0));
}

#[test]
#[should_panic(expected = "no latency was recorded")]
fn a_run_that_records_nothing_has_no_percentiles() {
    let _percentiles = Recorder::new(10).percentiles();
}

fn slow_start(setup: &Setup) -> u64 {
    std::thread::sleep(std::time::Duration::from_millis(30));
    setup.timed(|| setup.ops)
}

#[test]
fn what_a_run_prepares_is_not_timed() {
    let contender = Contender { name: "slow-start", run: slow_start };
    let case =
        Case { checksum: |ops| ops, ..Case::new("made/up/t1", Shape { producers: 1, ..Shape::default() }, 1, vec![]) };
    assert!(run_once(&case, &contender, 1, 1).wall_ns < 10e6);
}

#[test]
fn runs_of_a_case_share_what_the_first_one_made() {
    let case = Case::new("made/up/t1", Shape::default(), 1, vec![]);
    assert_eq!(*Setup::new(&case, 1, 1).kept(|| 7_u8), 7);
    assert_eq!(*Setup::new(&case, 1, 1).kept(|| 8_u8), 7);
    let other = Case::new("made/up/t2", Shape::default(), 1, vec![]);
    assert_eq!(*Setup::new(&other, 1, 1).kept(|| 9_u8), 9);
}

#[test]
fn a_quick_run_leaves_large_cases_out_unless_they_are_named() {
    let select = |line: &str| -> Vec<&str> {
        let args = Args::parse(line.split_whitespace().map(str::to_owned)).unwrap();
        args.select(cases()).into_iter().map(|case| case.name).collect()
    };
    assert!(!select("--quick map").contains(&"map/zipf/t8"));
    assert_eq!(select("--quick map/zipf/t8"), ["map/zipf/t8"]);
    assert!(select("map").contains(&"map/zipf/t8"));
}
