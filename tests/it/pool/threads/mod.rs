//! Pools on threads, by axis. Nothing here runs inside a tokio runtime unless it says so.
mod concurrent;
mod config;
mod correct;
mod early_exit;
mod leak;
mod nested;
mod ordered;
mod panics;
mod runtime;
mod shutdown;
mod timing;

use std::sync::mpsc;
use std::time::Duration;

use flowgate::{Cx, WorkerPool, WorkerPoolBuilder};
use futures::executor::block_on;

use crate::support::{Gate, spin_until};

/// What a test's pool runs: the number, doubled, once the gate is open.
type Gated = WorkerPool<u64, u64, ()>;

/// A pool whose handlers stop at `gate`.
fn gated(concurrency: usize, queue: usize, gate: &Gate) -> Gated {
    let gate = gate.clone();
    options(concurrency, queue)
        .build_blocking(move |job, _| {
            stop_at(&gate);
            Ok(*job * 2)
        })
        .unwrap()
}

fn options<J, T, E>(concurrency: usize, queue: usize) -> WorkerPoolBuilder<J, T, E> {
    WorkerPool::builder().concurrency(concurrency).queue(queue)
}

/// Blocks the thread until the gate lets it through.
fn stop_at(gate: &Gate) {
    block_on(gate.pass());
}

/// Blocks the thread until the attempt is told to stop.
fn until_told(cx: &Cx) {
    spin_until("the attempt is told to stop", || cx.is_cancelled());
}

/// Tries `scenario` with ever longer times, for one that needs a thread to start within them: how long that takes is the
/// machine's affair.
fn in_good_time(scenario: impl FnMut(Duration) -> Option<()>) {
    [20, 200, 2_000, 20_000]
        .map(Duration::from_millis)
        .into_iter()
        .find_map(scenario)
        .expect("a thread starts in time");
}

/// Runs `scenario` on a thread of its own: one that hangs fails instead.
fn alone(scenario: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        scenario();
        let _ = done.send(());
    });
    match wait.recv_timeout(Duration::from_secs(30)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => {
            if let Err(payload) = thread.join() {
                std::panic::resume_unwind(payload);
            }
        }
    }
}
