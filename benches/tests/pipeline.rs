//! What an item of a pipeline takes. One test, since the counting allocator is the process's.

use std::alloc::System;
use std::mem::size_of;

use flowgate::pipeline::Envelope;
use flowgate_benches::allocs::{Count, count_all};
use flowgate_benches::cases;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn count() -> Count {
    let stats = ALLOCATOR.stats();
    Count { blocks: (stats.allocations + stats.reallocations) as u64, bytes: stats.bytes_allocated as u64 }
}

/// Allocations of ours for an item.
fn of(name: &str) -> f64 {
    let mut case = cases().into_iter().find(|case| case.name == name).expect("a case of this name");
    case.contenders.truncate(1);
    case.ops = 100_000;
    let row = &count_all(&[case], 2, count, || 0)[0];
    println!("{name}: {:.4} allocations, {:.1} bytes an item", row.blocks, row.bytes);
    row.blocks
}

// Seen to fail: with a box for each item in two of the stages of `pipeline/handoff`: 2 allocations an item.
#[test]
fn an_item_is_two_words_and_stages_allocate_nothing_for_it() {
    assert_eq!(size_of::<Envelope<u64>>(), 16);
    for name in ["pipeline/fused/p1", "pipeline/handoff/p1"] {
        let blocks = of(name);
        assert!(blocks < 0.1, "{name}: {blocks} allocations an item");
    }
}
