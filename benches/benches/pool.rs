//! criterion benches of the pool and its rivals: groups `pool/<load>/<producers>`.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use flowgate_benches::pool;

fn pools(criterion: &mut Criterion) {
    common::measure(criterion, pool::cases(), 1);
}

criterion_group! {
    name = benches;
    config = common::short();
    targets = pools
}
criterion_main!(benches);
