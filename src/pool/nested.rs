//! Knowing that a call comes from inside a handler of the same pool.
//!
//! A thread-local names the attempt whose future is being polled. A wait that a handler hands to another task
//! (`tokio::spawn(handle)`) cannot be seen here; that is the named exception to the promise of no self-deadlock.

use super::shared::Shared;
use super::threads::Loan;
use crate::shim::atomic::{AtomicUsize, Ordering};
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// Identifies a pool for as long as it lives: the address of its shared state.
pub(super) type PoolId = usize;

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

/// Makes `wait` one of the calling handler of the pool, or none if the caller is not one. A handle may be polled by one
/// attempt and then by another, or by another task.
pub(super) fn wait_here<J, T, E>(wait: &mut Option<Wait>, shared: &Arc<Shared<J, T, E>>) {
    if !is_inside(shared.id()) {
        return wait_over(wait, shared);
    }
    WAITED.set(true);
    let here = WAITS.with(|waits| waits.borrow_mut().get_or_insert_default().clone());
    if !wait.as_ref().is_some_and(|wait| Arc::ptr_eq(&wait.0, &here)) {
        wait_over(wait, shared);
        // Ordering: Relaxed, see `Waits::any`.
        here.count.fetch_add(1, Ordering::Relaxed);
        here.loan.begin(shared);
        *wait = Some(Wait(here));
    }
}

/// Ends a wait, if there is one.
#[inline]
pub(super) fn wait_over<J, T, E>(wait: &mut Option<Wait>, shared: &Arc<Shared<J, T, E>>) {
    if let Some(wait) = wait.take() {
        end_wait(wait, shared);
    }
}

#[cold]
fn end_wait<J, T, E>(Wait(waits): Wait, shared: &Arc<Shared<J, T, E>>) {
    // Ordering: Relaxed, see `Waits::any`.
    waits.count.fetch_sub(1, Ordering::Relaxed);
    waits.loan.end(shared);
}

/// The attempt that `waits` was of is over.
#[inline]
pub(super) fn attempt_over<J, T, E>(waits: &mut Option<Arc<Waits>>, shared: &Arc<Shared<J, T, E>>) {
    let Some(known) = waits else { return };
    known.loan.close(shared);
    if Arc::get_mut(known).is_none() {
        // A handle has left the handler: its wait must not be counted against the next job.
        *waits = None;
    }
}

/// One wait of a handler for a job of its own pool. It counts from [`wait_here`] to [`wait_over`], not only while it is
/// polled, so that a `select!` that polls something else in between does not hide it.
#[derive(Debug)]
pub(super) struct Wait(Arc<Waits>);
