//! Knowing that a call comes from inside a handler of the same pool.
//!
//! A thread-local names the attempt whose future is being polled. A wait that a handler hands to another task
//! (`tokio::spawn(handle)`) cannot be seen here; that is the named exception to the promise of no self-deadlock.

use crate::shim::atomic::{AtomicUsize, Ordering};
use std::cell::{Cell, RefCell};
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

thread_local! {
    /// The pool whose handler is being polled, or zero.
    static POOL: Cell<PoolId> = const { Cell::new(0) };
    /// Whether `WAITS` holds anything: most polls need not look.
    static WAITED: Cell<bool> = const { Cell::new(false) };
    /// The waits of that attempt, if it has had any.
    static WAITS: RefCell<Option<Arc<Waits>>> = const { RefCell::new(None) };
}

/// Polls a handler of `pool`, counting its waits in `waits`. `poll` does not unwind.
#[inline]
pub(super) fn within<R>(pool: PoolId, waits: &mut Option<Arc<Waits>>, poll: impl FnOnce() -> R) -> R {
    let (outer_pool, outer_waited) = (POOL.replace(pool), WAITED.replace(waits.is_some()));
    // Something is set aside only by an attempt that waits, or when a handler's poll blocks on another handler's.
    let outer_waits = if waits.is_some() || outer_waited { WAITS.replace(waits.take()) } else { None };
    let result = poll();
    POOL.set(outer_pool);
    if WAITED.replace(outer_waited) || outer_waited {
        *waits = WAITS.replace(outer_waits);
    }
    result
}

/// Whether the caller is a handler of `pool`.
#[inline]
pub(super) fn is_inside(pool: PoolId) -> bool {
    POOL.get() == pool
}

/// Makes `wait` one of the calling handler of `pool`, or none if the caller is not one. A handle may be polled by one
/// attempt and then by another, or by another task.
pub(super) fn wait_here(wait: &mut Option<Wait>, pool: PoolId) {
    if !is_inside(pool) {
        *wait = None;
        return;
    }
    WAITED.set(true);
    let here = WAITS.with(|waits| waits.borrow_mut().get_or_insert_default().clone());
    if !wait.as_ref().is_some_and(|wait| Arc::ptr_eq(&wait.0, &here)) {
        *wait = Some(Wait::new(here));
    }
}

/// One wait of a handler for a job of its own pool. It counts as long as it lives, not only while it is polled, so
/// that a `select!` that polls something else in between does not hide it.
#[derive(Debug)]
pub(super) struct Wait(Arc<Waits>);

impl Wait {
    fn new(waits: Arc<Waits>) -> Self {
        // Ordering: Relaxed, see `Waits::any`.
        waits.0.fetch_add(1, Ordering::Relaxed);
        Self(waits)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        // Ordering: Relaxed, see `Waits::any`.
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
