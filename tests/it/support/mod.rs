//! What the tests share: values that count their lives, gauges, gates, ledger checks and the drop harness.
//!
//! Waiting is always for a condition. With a paused clock `soon` turns a hang into a failure; with threads
//! `promptly` and `until` do, by a watchdog that a passing test never gets near.

pub(crate) mod counted;
pub(crate) mod drop_at;
pub(crate) mod fans;
pub(crate) mod gate;
pub(crate) mod gauge;
pub(crate) mod ledger;
pub(crate) mod many;
pub(crate) mod pools;
pub(crate) mod wakers;
pub(crate) mod world;

use std::future::Future;
use std::time::{Duration, Instant};

use flowgate::{TaskPool, WorkerPool};

pub(crate) use counted::{Counted, Tally};
pub(crate) use gate::Gate;
pub(crate) use gauge::Gauge;

pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) const HOUR: Duration = secs(3_600);

/// How long real time may pass before a test with threads gives up.
const PATIENCE: Duration = secs(20);

/// Awaits under a paused clock: what never happens fails after a virtual year instead of hanging.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(secs(86_400 * 365), future).await.expect("it hangs")
}

/// Awaits under the real clock.
pub(crate) async fn promptly<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it hangs")
}

/// Lets others run until `done`.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let watchdog = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < watchdog, "it never happens that {what}");
        tokio::task::yield_now().await;
    }
}

/// The same for a thread outside the runtime.
pub(crate) fn spin_until(what: &str, mut done: impl FnMut() -> bool) {
    let watchdog = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < watchdog, "it never happens that {what}");
        std::thread::yield_now();
    }
}

/// Keeps the calling thread busy.
pub(crate) fn compute_for(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Lets every task that can run do so, the clock standing still.
pub(crate) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// Waits until the pool has no job, no runner and no waiter, and checks its ledger.
pub(crate) async fn quiet<J, T, E>(pool: &WorkerPool<J, T, E>) {
    until("the pool is idle", || {
        let stats = pool.stats();
        ledger::check(&stats);
        stats.in_system == 0 && stats.runners == 0 && stats.waiting == 0
    })
    .await;
}

/// The same for a pool of tasks.
pub(crate) async fn quiet_tasks(tasks: &TaskPool) {
    until("the pool is idle", || {
        let stats = tasks.stats();
        ledger::check(&stats);
        stats.in_system == 0 && stats.runners == 0 && stats.waiting == 0
    })
    .await;
}

/// The tasks of this runtime, the test's own `block_on` not counted.
pub(crate) fn alive_tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Resident memory in bytes, where the system tells.
pub(crate) fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split_whitespace().nth(1)?.parse::<u64>().ok()? * 4096)
}

/// A runtime with one thread, its clock running.
pub(crate) fn one_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A runtime with `threads` threads.
pub(crate) fn threads(threads: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap()
}

/// Runs each scenario on a one-thread runtime with a paused clock, and on one with two threads and a real clock.
macro_rules! on_both_runtimes {
    ($($(#[$meta:meta])* async fn $name:ident() $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "not every scenario needs all of them")]
            use super::*;

            async fn scenario() $body

            #[tokio::test(start_paused = true)]
            async fn current_thread() {
                $crate::support::soon(scenario()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn multi_thread() {
                $crate::support::promptly(scenario()).await;
            }
        }
    )*};
}
pub(crate) use on_both_runtimes;
