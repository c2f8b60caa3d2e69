//! criterion benches of the pipeline and its rivals: groups `pipeline/<load>/p1`, and what an envelope costs.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use flowgate::pipeline::{Envelope, Ticket};
use flowgate_benches::pipeline;
use std::hint::black_box;

fn pipelines(criterion: &mut Criterion) {
    common::measure(criterion, pipeline::cases(), 1);
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
    config = common::short();
    targets = pipelines, envelopes
}
criterion_main!(benches);
