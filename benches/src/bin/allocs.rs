//! Counts the allocations of every contender and prints them as JSON rows. `ratios` starts it.
//!
//! It is a program of its own so that the timed runs keep the plain system allocator.

use std::alloc::System;
use std::process::ExitCode;

use flowgate_benches::allocs::{Count, count_all};
use flowgate_benches::args::Args;
use flowgate_benches::cases;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn count() -> Count {
    let stats = ALLOCATOR.stats();
    // `bytes_allocated` has what reallocations added.
    Count { blocks: (stats.allocations + stats.reallocations) as u64, bytes: stats.bytes_allocated as u64 }
}

fn live() -> u64 {
    let stats = ALLOCATOR.stats();
    // Deallocations may have been counted before the allocation that another thread is about to count.
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated) as u64
}

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let rows = count_all(&args.select(cases()), args.worker_threads(), count, live);
    match serde_json::to_string(&rows) {
        Ok(rows) => {
            println!("{rows}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
