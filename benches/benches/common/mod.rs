//! criterion over the cases that `ratios` runs too: a group a case, a function a contender.

use std::time::Duration;

use criterion::{Criterion, Throughput};
use flowgate_benches::case::Case;
use flowgate_benches::harness::run_once;

/// Worker threads of each runtime; threads of a case's own come on top.
const WORKERS: usize = 2;

/// Measures each contender of each case, in runs of at least `fewest` operations.
pub(crate) fn measure(criterion: &mut Criterion, cases: impl IntoIterator<Item = Case>, fewest: u64) {
    for case in cases {
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

/// Few samples and short ones: there are many contenders.
#[must_use]
pub(crate) fn short() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .without_plots()
}
