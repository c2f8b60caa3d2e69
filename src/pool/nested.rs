//! Knowing that a call comes from inside a handler of the same pool.
//!
//! A thread-local names the attempt whose future is being polled. A wait that a handler hands to another task
//! (`tokio::spawn(handle)`) cannot be seen here; that is the named exception to the promise of no self-deadlock.

use super::directory::{self, Pool, PoolId};
use super::threads::Loan;
use crate::shim::atomic::{AtomicUsize, Ordering};
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// How many jobs of its own pool an attempt waits for.
#[derive(Debug, Default)]
pub(super) struct Waits {
    count: AtomicUsize,
    /// Of a handler that blocks its thread: the runner cannot lend its slot meanwhile, so the wait does.
    loan: Loan,
}

impl Waits {
    /// Whether the attempt waits for any.
    pub(super) fn any(&self) -> bool {
        // Ordering: Relaxed. The runner reads it after it has polled the handler in which a wait began; of one that
        // ended elsewhere it learns one poll later.
        self.count.load(Ordering::Relaxed) > 0
    }
}

thread_local! {
    /// The pool whose handler is being polled, or zero.
    static POOL: Cell<u32> = const { Cell::new(0) };
    /// Whether `WAITS` holds anything: most polls need not look.
    static WAITED: Cell<bool> = const { Cell::new(false) };
    /// The waits of that attempt, if it has had any.
    static WAITS: RefCell<Option<Arc<Waits>>> = const { RefCell::new(None) };
}

/// Polls a handler of `pool`, counting its waits in `waits`. `poll` does not unwind.
#[inline]
pub(super) fn within<R>(pool: PoolId, waits: &mut Option<Arc<Waits>>, poll: impl FnOnce() -> R) -> R {
    let (outer_pool, outer_waited) = (POOL.replace(pool.number()), WAITED.replace(waits.is_some()));
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
    POOL.get() == pool.number()
}

/// Makes `wait` one of the calling handler of the pool, or none if the caller is not one. A handle may be polled by one
/// attempt and then by another, or by another task.
#[inline]
pub(super) fn wait_here(wait: &mut Option<Wait>, pool: PoolId) {
    if is_inside(pool) {
        begin_wait(wait, pool);
    } else {
        wait_over(wait, pool);
    }
}

#[cold]
fn begin_wait(wait: &mut Option<Wait>, pool: PoolId) {
    WAITED.set(true);
    let here = WAITS.with(|waits| waits.borrow_mut().get_or_insert_default().clone());
    if !wait.as_ref().is_some_and(|wait| Arc::ptr_eq(&wait.0, &here)) {
        wait_over(wait, pool);
        // Ordering: Relaxed, see `Waits::any`.
        here.count.fetch_add(1, Ordering::Relaxed);
        if let Some(pool) = directory::find(pool) {
            here.loan.begin(pool);
        }
        *wait = Some(Wait(here));
    }
}

/// Ends a wait, if there is one.
#[inline]
pub(super) fn wait_over(wait: &mut Option<Wait>, pool: PoolId) {
    if let Some(wait) = wait.take() {
        end_wait(wait, pool);
    }
}

#[cold]
fn end_wait(Wait(waits): Wait, pool: PoolId) {
    // Ordering: Relaxed, see `Waits::any`.
    waits.count.fetch_sub(1, Ordering::Relaxed);
    if let Some(pool) = directory::find(pool) {
        waits.loan.end(&*pool);
    }
}

/// The attempt that `waits` was of is over.
#[inline]
pub(super) fn attempt_over(waits: &mut Option<Arc<Waits>>, pool: &dyn Pool) {
    let Some(known) = waits else { return };
    known.loan.close(pool);
    if Arc::get_mut(known).is_none() {
        // A handle has left the handler: its wait must not be counted against the next job.
        *waits = None;
    }
}

/// One wait of a handler for a job of its own pool. It counts from [`wait_here`] to [`wait_over`], not only while it is
/// polled, so that a `select!` that polls something else in between does not hide it.
#[derive(Debug)]
pub(super) struct Wait(Arc<Waits>);
