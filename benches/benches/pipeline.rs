//! criterion benches of the pipeline and its rivals: groups `pipeline/<load>/p1`, and what an envelope costs.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flowgate::pipeline::{Envelope, Ticket};
use flowgate_benches::harness::run_once;
use flowgate_benches::pipeline;

/// Worker threads of each runtime.
const WORKERS: usize = 2;

fn pipelines(criterion: &mut Criterion) {
    for case in pipeline::cases() {
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

/// A value alone, in an envelope for which nothing is owed, and with a ticket.
fn envelopes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pipeline/envelope");
    group.bench_function("bare", |bencher| bencher.iter(|| black_box(black_box(1_u64) + 1)));
    group.bench_function("owing-nothing", |bencher| {
        bencher.iter(|| black_box(Envelope::new(black_box(1_u64))).map(|n| n + 1).ack());
    });
    group.bench_function("with-a-ticket", |bencher| {
        bencher.iter(|| black_box(Envelope::with(black_box(1_u64), Ticket::new(drop))).map(|n| n + 1).ack());
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .without_plots();
    targets = pipelines, envelopes
}
criterion_main!(benches);
