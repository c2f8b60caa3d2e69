//! Knowing that a call comes from inside a handler of the same pool.
//!
//! A thread-local names the attempt whose future is being polled. A wait that a handler hands to another task
//! (`tokio::spawn(handle)`) cannot be seen here; that is the named exception to the promise of no self-deadlock.

use crate::shim::atomic::{AtomicUsize, Ordering};
use std::cell::RefCell;
use std::sync::Arc;

/// Identifies a pool for as long as it lives: the address of its shared state.
pub(super) type PoolId = usize;

/// How many jobs of its own pool an attempt waits for.
#[derive(Debug, Default)]
pub(super) struct Waits(AtomicUsize);

impl Waits {
    /// Whether the attempt waits for any.
    pub(super) fn any(&self) -> bool {
        // Ordering: Relaxed. The runner reads it after it has polled the handler in which a wait began; of one that
        // ended elsewhere it learns one poll later.
        self.0.load(Ordering::Relaxed) > 0
    }
}

#[derive(Debug)]
struct Inside {
    pool: PoolId,
    waits: Arc<Waits>,
}

thread_local! {
    static INSIDE: RefCell<Option<Inside>> = const { RefCell::new(None) };
}

/// Polls a handler of `pool`, counting its waits in `waits`; moved in and out, so that no count is touched.
pub(super) fn within<R>(pool: PoolId, waits: &mut Option<Arc<Waits>>, poll: impl FnOnce() -> R) -> R {
    let inside = Inside { pool, waits: waits.take().unwrap_or_default() };
    let outer = INSIDE.with(|slot| slot.replace(Some(inside)));
    let result = poll();
    // A nested `within` puts back what it found, so this is the one from above. `poll` does not unwind.
    *waits = INSIDE.with(|slot| slot.replace(outer)).map(|inside| inside.waits);
    result
}

/// Whether the caller is a handler of `pool`.
pub(super) fn is_inside(pool: PoolId) -> bool {
    INSIDE.try_with(|inside| inside.borrow().as_ref().is_some_and(|inside| inside.pool == pool)).unwrap_or(false)
}

/// Makes `wait` one of the calling handler of `pool`, or none if the caller is not one. A handle may be polled by one
/// attempt and then by another, or by another task.
pub(super) fn wait_here(wait: &mut Option<Wait>, pool: PoolId) {
    let renewed = INSIDE.try_with(|slot| {
        let slot = slot.borrow();
        let waits = slot.as_ref().filter(|inside| inside.pool == pool).map(|inside| &inside.waits);
        let (known, here) = (wait.as_ref().map(|wait| Arc::as_ptr(&wait.0)), waits.map(Arc::as_ptr));
        if known != here {
            *wait = waits.map(Wait::new);
        }
    });
    if renewed.is_err() {
        *wait = None;
    }
}

/// One wait of a handler for a job of its own pool. It counts as long as it lives, not only while it is polled, so
/// that a `select!` that polls something else in between does not hide it.
#[derive(Debug)]
pub(super) struct Wait(Arc<Waits>);

impl Wait {
    fn new(waits: &Arc<Waits>) -> Self {
        // Ordering: Relaxed, see `Waits::any`.
        waits.0.fetch_add(1, Ordering::Relaxed);
        Self(waits.clone())
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        // Ordering: Relaxed, see `Waits::any`.
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
