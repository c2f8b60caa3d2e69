//! What a queued job allocates. One test, since the counting allocator is the process's.

use std::alloc::System;
use std::mem::size_of;

use flowgate_benches::allocs::{Count, count_all};
use flowgate_benches::cases;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that a queued job may take beyond the larger of the job and its outcome.
const OVERHEAD: f64 = 96.0;

/// What spawning a runner now and then may add to a job's one allocation.
const NOISE: (f64, f64) = (0.05, 8.0);

fn count() -> Count {
    let stats = ALLOCATOR.stats();
    Count { blocks: (stats.allocations + stats.reallocations) as u64, bytes: stats.bytes_allocated as u64 }
}

// Seen to fail: with a `Box::new(job)` more in `Pool::submit` of the contender, which gives 2 allocations a job.
#[test]
fn a_streamed_job_takes_one_allocation_of_little_more_than_itself() {
    let mut case = cases().into_iter().find(|case| case.name == "pool/trivial/p1").unwrap();
    case.contenders.truncate(1);
    case.ops = 64_000;
    let job_or_outcome = size_of::<u64>().max(size_of::<Result<u64, std::convert::Infallible>>()) as f64;
    let rows = count_all(&[case], 2, count, || 0);
    println!("a job of {job_or_outcome} bytes: {:.3} allocations, {:.1} bytes", rows[0].blocks, rows[0].bytes);
    assert!(rows[0].blocks <= 1.0 + NOISE.0, "{:?}", rows[0]);
    assert!(rows[0].bytes <= job_or_outcome + OVERHEAD + NOISE.1, "{:?}", rows[0]);
}
