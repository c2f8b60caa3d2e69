//! `map`: the window, the order, errors in their place, and consumers that are slow, absent or gone.

mod delivery;
mod ending;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use flowgate::{Attempt, Order, RunError, WorkerPool};
use futures::{Stream, StreamExt as _, stream};

use crate::support::Gate;

pub(super) type Pool = WorkerPool<u32, u32, String>;

pub(super) const BOTH: [Order; 2] = [Order::Ordered, Order::Unordered];

/// Multiples of 7 fail, multiples of 13 panic, jobs from 1,000 on never end; the others wait at the gate.
pub(super) fn gated(concurrency: usize, queue: usize, gate: &Gate) -> Pool {
    let gate = gate.clone();
    Pool::builder()
        .concurrency(concurrency)
        .queue(queue)
        .build(move |job: Attempt<u32>| {
            let gate = gate.clone();
            async move {
                if *job >= 1_000 {
                    std::future::pending::<()>().await;
                }
                gate.pass().await;
                match *job {
                    job if job % 7 == 0 => Err(format!("{job}")),
                    job if job % 13 == 0 => panic!("{job}"),
                    job => Ok(job * 2),
                }
            }
        })
        .unwrap()
}

pub(super) fn open() -> Gate {
    let gate = Gate::new();
    gate.open();
    gate
}

/// The job of an item: from the result or from the error.
pub(super) fn job(item: Result<u32, RunError<u32, String>>) -> u32 {
    item.map_or_else(|error| error.into_job().expect("each error has its job"), |result| result / 2)
}

/// A stream that counts what is taken from it.
pub(super) fn counted(jobs: std::ops::Range<u32>) -> (impl Stream<Item = u32> + Send, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let count = taken.clone();
    (stream::iter(jobs).inspect(move |_| _ = count.fetch_add(1, SeqCst)), taken)
}
