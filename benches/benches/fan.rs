//! criterion benches of the fans and their rivals: groups `fan/<load>/<ways>`.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use flowgate_benches::fan;

fn fans(criterion: &mut Criterion) {
    common::measure(criterion, fan::cases(), 1);
}

criterion_group! {
    name = benches;
    config = common::short();
    targets = fans
}
criterion_main!(benches);
