//! criterion benches of the map and its rivals: groups `map/<load>/<threads>`.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flowgate_benches::case::{Case, Measure};
use flowgate_benches::harness::run_once;
use flowgate_benches::map;

/// Worker threads of each runtime; the threads that use the map are the case's own.
const WORKERS: usize = 2;

/// Fewest operations of a run, so that starting threads does not weigh.
const FEWEST: u64 = 10_000;

fn maps(criterion: &mut Criterion) {
    // Without `--bench`, as under `cargo test`, everything runs once and nothing is measured.
    let measuring = std::env::args().any(|arg| arg == "--bench");
    for case in map::cases() {
        if case.judged_by == Measure::Held {
            continue;
        }
        let case = if measuring { case } else { Case::brief(case) };
        let fewest = if measuring { FEWEST } else { 1 };
        let mut group = criterion.benchmark_group(case.name);
        group.throughput(Throughput::Elements(1));
        for contender in &case.contenders {
            group.bench_function(contender.name, |bencher| {
                bencher.iter_custom(|iterations| {
                    let ops = case.whole_ops(iterations.max(fewest));
                    let sample = run_once(&case, contender, ops, WORKERS);
                    Duration::from_secs_f64(sample.wall_ns * iterations as f64 / 1e9)
                });
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .without_plots();
    targets = maps
}
criterion_main!(benches);
