//! One run, as a contender sees it.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::case::{Case, Shape};
use crate::latency::{Percentiles, Recorder};

/// A run: the shape, the number of operations, a runtime that nothing else has used, and what the run says about itself.
#[derive(Debug)]
pub struct Setup {
    /// Limits of the case.
    pub shape: Shape,
    /// Operations to carry out.
    pub ops: u64,
    runtime: Runtime,
    shelf: Shelf,
    live: fn() -> u64,
    notes: Mutex<Notes>,
}

/// What a run has measured of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Notes {
    /// CPU and wall time of the part inside [`Setup::timed`].
    pub time: Option<(Duration, Duration)>,
    /// Latencies.
    pub latency: Option<Percentiles>,
    /// Bytes held at the moment of [`Setup::note_held`].
    pub held: Option<u64>,
}

impl Setup {
    /// A run of `case` on a new multi-threaded runtime.
    ///
    /// # Panics
    /// If the runtime's threads cannot be started.
    #[must_use]
    pub fn new(case: &Case, ops: u64, workers: usize) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(workers).enable_time().build().expect("a runtime");
        let notes = Mutex::new(Notes::default());
        Self { shape: case.shape, ops, runtime, shelf: case.shelf.clone(), live: || 0, notes }
    }

    /// The same run, under an allocator whose live bytes `live` tells.
    #[must_use]
    pub fn with_live_bytes(mut self, live: fn() -> u64) -> Self {
        self.live = live;
        self
    }

    /// Drives `future` on the calling thread, beside the runtime's workers.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// The runtime.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Jobs of each producer: contiguous ranges that together are `0..ops`.
    pub fn shares(&self) -> impl Iterator<Item = Range<u64>> + use<> {
        let share = self.ops / self.shape.producers as u64;
        (0..self.shape.producers as u64).map(move |producer| producer * share..(producer + 1) * share)
    }

    /// Unread results allowed to each producer.
    #[must_use]
    pub fn window_share(&self) -> usize {
        (self.shape.window / self.shape.producers).max(1)
    }

    /// Runs `measured` and lets its time alone count: not what came before it, not what is taken down after.
    pub fn timed<R>(&self, measured: impl FnOnce() -> R) -> R {
        let (cpu, wall) = (ProcessTime::now(), Instant::now());
        let result = measured();
        self.notes.lock().expect("not poisoned").time = Some((cpu.elapsed(), wall.elapsed()));
        result
    }

    /// Notes the latencies that `recorder` holds.
    pub fn note_latencies(&self, recorder: &Recorder) {
        self.notes.lock().expect("not poisoned").latency = Some(recorder.percentiles());
    }

    /// Bytes that are allocated now; 0 where nobody counts.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        (self.live)()
    }

    /// Notes that what was allocated since [`live_bytes`](Self::live_bytes) was `before` is held.
    pub fn note_held(&self, before: u64) {
        self.notes.lock().expect("not poisoned").held = Some(self.live_bytes().saturating_sub(before));
    }

    /// What the run has noted.
    #[must_use]
    pub fn notes(&self) -> Notes {
        *self.notes.lock().expect("not poisoned")
    }

    /// The value of type `T` that the runs of this case share; the first one makes it.
    pub fn kept<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut shelf = self.shelf.0.lock().expect("not poisoned");
        let kept = shelf.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(make()));
        Arc::clone(kept).downcast().expect("stored under its own type")
    }
}

/// Values that the runs of a case share, one of a type: key sequences, and maps that stay as they were filled.
#[derive(Clone, Default)]
pub struct Shelf(Arc<Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>>);

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").finish_non_exhaustive()
    }
}
