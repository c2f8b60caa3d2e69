//! criterion benches of the map and its rivals: groups `map/<load>/<threads>`.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use flowgate_benches::case::{Case, Measure};
use flowgate_benches::map;

/// Fewest operations of a run, so that starting threads does not weigh.
const FEWEST: u64 = 10_000;

fn maps(criterion: &mut Criterion) {
    // Without `--bench`, as under `cargo test`, everything runs once and nothing is measured.
    let measuring = std::env::args().any(|arg| arg == "--bench");
    let cases = map::cases().into_iter().filter(|case| case.judged_by != Measure::Held);
    let cases = cases.map(|case| if measuring { case } else { Case::brief(case) });
    common::measure(criterion, cases, if measuring { FEWEST } else { 1 });
}

criterion_group! {
    name = benches;
    config = common::short();
    targets = maps
}
criterion_main!(benches);
