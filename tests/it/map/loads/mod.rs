//! Loads: one for each key however many ask, whatever becomes of those who ask.

mod complaints;
mod crowd;
mod dropped;
mod ending;
mod failing;
mod recursive;
mod shared;
mod writes;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowgate::{ConcurrentMap, LoadError, Loaded};

use crate::support::{Gate, alive_tasks, until};

type Map = ConcurrentMap<u32, u32>;
type Answer = Result<Loaded<u32>, LoadError>;
type Asking<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// Loaders that stop at a gate, and how many of them were called.
#[derive(Clone)]
struct Source {
    gate: Gate,
    loads: Arc<AtomicUsize>,
}

impl Source {
    fn new() -> Self {
        Self { gate: Gate::new(), loads: Arc::default() }
    }

    /// A load that brings `value` in once the gate lets it through.
    fn load(&self, value: u32) -> impl Future<Output = u32> + Send + use<> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let gate = self.gate.clone();
        async move {
            gate.pass().await;
            value
        }
    }

    /// A caller that asks `map` for `key`.
    fn ask<'a>(&'a self, map: &'a Map, key: u32, value: u32) -> Asking<'a> {
        Box::pin(map.get_or_load(key, move || self.load(value)))
    }

    fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }
}

/// Polls a future once; it must be pending.
async fn begin(future: &mut Asking<'_>) {
    assert!(futures::poll!(future.as_mut()).is_pending(), "it has to wait");
}

/// Waits until no task is left but the test's own.
async fn no_task_is_left() {
    until("no task is left", || alive_tasks() == 0).await;
}
