//! What a job allocates. One test, since the counting allocator is the process's.

use std::alloc::System;
use std::convert::Infallible;
use std::mem::size_of;
use std::sync::Arc;

use flowgate::{Attempt, WorkerPool};
use flowgate_benches::allocs::{Count, count_all};
use flowgate_benches::cases;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::sync::Semaphore;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that a queued job may take beyond the larger of the job and its outcome.
const OVERHEAD: f64 = 96.0;

/// The larger of the job and its outcome, here.
const LARGER: f64 = size_of::<u64>() as f64;

/// What the runners that are spawned now and then may add to a job that is streamed through.
const RUNNERS: (f64, f64) = (0.25, 40.0);

fn count() -> Count {
    let stats = ALLOCATOR.stats();
    Count { blocks: (stats.allocations + stats.reallocations) as u64, bytes: stats.bytes_allocated as u64 }
}

/// What submitting each of so many jobs allocates, while they are queued behind one that waits.
fn queued(jobs: u64) -> Vec<Count> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let gate = Arc::new(Semaphore::new(0));
        let waits = Arc::clone(&gate);
        let pool = WorkerPool::<u64, u64, Infallible>::builder()
            .concurrency(1)
            .queue(jobs as usize)
            .build(move |job: Attempt<u64>| {
                let gate = Arc::clone(&waits);
                async move {
                    gate.acquire().await.expect("never closed").forget();
                    Ok(*job)
                }
            })
            .expect("options that can be honoured");
        let (mut handles, mut counts) = (Vec::with_capacity(jobs as usize), Vec::with_capacity(jobs as usize));
        let running = pool.submit(0).await.expect("the pool is open");
        for job in 0..jobs {
            let before = count();
            handles.push(pool.submit(job).await.expect("the pool is open"));
            let after = count();
            counts.push(Count { blocks: after.blocks - before.blocks, bytes: after.bytes - before.bytes });
        }
        gate.add_permits(jobs as usize + 1);
        for handle in handles.into_iter().chain([running]) {
            handle.await.expect("a job has a result");
        }
        counts
    })
}

// Seen to fail: with `drop(Box::new(black_box(job)))` before each `submit` of `queued`: 2 allocations; with a window that keeps
// no cell for the next job: 1 allocation a job of a stream.
#[test]
fn a_job_takes_one_allocation_of_little_more_than_itself() {
    let mut counts = queued(10_000);
    let each = |all: u64| all as f64 / counts.len() as f64;
    let mean = (each(counts.iter().map(|c| c.blocks).sum()), each(counts.iter().map(|c| c.bytes).sum()));
    counts.sort_by_key(|count| (count.blocks, count.bytes));
    let (most, usual) = (counts[counts.len() - 20], counts[counts.len() / 2]);
    println!("queued: {} allocation of {} bytes a job of {LARGER}", usual.blocks, usual.bytes);
    println!("queued, with the growing of the pool's tables: {:.4} allocations, {:.1} bytes a job", mean.0, mean.1);
    // All but the handful in ten thousand that find a table full and double it.
    assert_eq!(most, usual, "some queued jobs allocate more than others");
    assert_eq!(usual.blocks, 1);
    assert!(usual.bytes as f64 <= LARGER + OVERHEAD, "{usual:?}");

    let mut case = cases().into_iter().find(|case| case.name == "pool/trivial/p1").unwrap();
    case.contenders.truncate(1);
    case.ops = 256_000;
    let streamed = &count_all(&[case], 2, count, || 0)[0];
    println!("streamed: {:.3} allocations, {:.1} bytes a job", streamed.blocks, streamed.bytes);
    assert!(streamed.blocks <= 1.0 + RUNNERS.0, "{streamed:?}");
    assert!(streamed.bytes <= LARGER + OVERHEAD + RUNNERS.1, "{streamed:?}");

    // One job at a time: its cell, and the task of a runner whose other memory was kept from the spell before.
    let mut case = cases().into_iter().find(|case| case.name == "pool/roundtrip/p1").unwrap();
    case.contenders.truncate(1);
    let alone = &count_all(&[case], 2, count, || 0)[0];
    println!("round trip: {:.3} allocations, {:.1} bytes a job", alone.blocks, alone.bytes);
    assert!(alone.blocks <= 2.0 + RUNNERS.0, "{alone:?}");

    // Jobs of a stream: their cells go round, in either order.
    for name in ["pool/map/p1", "pool/map-ordered/p1"] {
        let mut case = cases().into_iter().find(|case| case.name == name).unwrap();
        case.contenders.truncate(1);
        case.ops = 256_000;
        let mapped = &count_all(&[case], 2, count, || 0)[0];
        println!("{name}: {:.3} allocations, {:.1} bytes a job", mapped.blocks, mapped.bytes);
        assert!(mapped.blocks <= RUNNERS.0, "{mapped:?}");
    }
}
