//! criterion benches of the fans and their rivals: groups `fan/<load>/<ways>`.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flowgate_benches::fan;
use flowgate_benches::harness::run_once;

/// Worker threads of each runtime.
const WORKERS: usize = 2;

fn fans(criterion: &mut Criterion) {
    for case in fan::cases() {
        let mut group = criterion.benchmark_group(case.name);
        group.throughput(Throughput::Elements(1));
        for contender in &case.contenders {
            group.bench_function(contender.name, |bencher| {
                bencher.iter_custom(|iterations| {
                    let ops = case.whole_ops(iterations);
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
    targets = fans
}
criterion_main!(benches);
