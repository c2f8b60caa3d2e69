//! Pools that several tests start from: each handler waits at a gate and returns its job.

use std::sync::{Arc, Mutex};

use flowgate::{Attempt, WorkerPool, WorkerPoolBuilder};

use super::Gate;

pub(crate) type Echo = WorkerPool<u32, u32, ()>;
pub(crate) type Log = Arc<Mutex<Vec<u32>>>;

/// Every job waits at `gate`.
pub(crate) fn gated(builder: WorkerPoolBuilder<u32, u32, ()>, gate: &Gate) -> Echo {
    logged(builder, gate).0
}

/// The same, and each start is noted.
pub(crate) fn logged(builder: WorkerPoolBuilder<u32, u32, ()>, gate: &Gate) -> (Echo, Log) {
    let (gate, log) = (gate.clone(), Log::default());
    let seen = log.clone();
    let pool = builder
        .build(move |job: Attempt<u32>| {
            seen.lock().unwrap().push(*job);
            let gate = gate.clone();
            async move {
                gate.pass().await;
                Ok(*job)
            }
        })
        .unwrap();
    (pool, log)
}

/// So many slots, and so many places beyond them.
pub(crate) fn sized(concurrency: usize, queue: usize) -> WorkerPoolBuilder<u32, u32, ()> {
    Echo::builder().concurrency(concurrency).queue(queue)
}
