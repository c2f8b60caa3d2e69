//! An idle pool costs nothing: no task, no wake-up, no allocation that grows.

use std::convert::Infallible;
use std::time::Duration;

use flowgate::{Attempt, WorkerPool};
use tokio::runtime::{Builder, Handle};

/// How often the runtime's workers have gone to sleep.
fn parks() -> u64 {
    let metrics = Handle::current().metrics();
    (0..metrics.num_workers()).map(|worker| metrics.worker_park_count(worker)).sum()
}

/// Waits for the runtime to come to rest: no task left, and no worker that goes to sleep once more.
fn settled(runtime: &tokio::runtime::Runtime) -> u64 {
    let _inside = runtime.enter();
    loop {
        let before = parks();
        std::thread::sleep(Duration::from_millis(20));
        if runtime.metrics().num_alive_tasks() == 0 && parks() == before {
            return before;
        }
    }
}

// Seen to fail: with a task beside the pool that sleeps 10 ms again and again, `settled` never returns; started after
// it, the count of parks grows.
#[test]
fn an_idle_pool_has_no_task_and_wakes_nobody() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let pool = runtime.block_on(async {
        let pool = WorkerPool::<u64, u64, Infallible>::builder()
            .concurrency(16)
            .queue(1_000)
            .deadline(Duration::from_secs(60))
            .build(|job: Attempt<u64>| async move { Ok(*job + 1) })
            .unwrap();
        for job in 0..1_000 {
            drop(pool.submit(job).await.unwrap());
        }
        pool
    });
    let parked = settled(&runtime);
    std::thread::sleep(Duration::from_millis(300));
    let _inside = runtime.enter();
    assert_eq!(runtime.metrics().num_alive_tasks(), 0, "an idle pool keeps a task");
    assert_eq!(parks(), parked, "an idle pool wakes a worker");
    assert_eq!(pool.stats().totals.succeeded, 1_000);
}
