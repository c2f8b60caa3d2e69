//! Waiting on a thread: it sleeps until it is woken, or until a moment that what it polls has named.

use crate::shim::atomic::{AtomicBool, Ordering};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

/// Wakes one thread.
struct Parker {
    thread: Thread,
    /// Whether there has been a wake-up since the last look. The thread's own token would not do: whoever else parks on
    /// the thread, in a handler or in a nested [`block_on`], may use it up.
    woken: AtomicBool,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Ordering: AcqRel pairs with the swap in `wait`: what was done before the wake-up is visible after it.
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.thread.unpark();
        }
    }
}

impl Parker {
    /// Sleeps until there has been a wake-up, or until `until`.
    fn wait(&self, until: Option<Instant>) {
        // Ordering: AcqRel, see `wake_by_ref`.
        while !self.woken.swap(false, Ordering::AcqRel) {
            match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => std::thread::park(),
                Some(left) if left.is_zero() => return,
                Some(left) => std::thread::park_timeout(left),
            }
        }
    }
}

/// A thread's parker, and the waker of it.
struct Own {
    parker: Arc<Parker>,
    waker: Waker,
}

impl Own {
    fn new() -> Self {
        let parker = Arc::new(Parker { thread: std::thread::current(), woken: AtomicBool::new(false) });
        Self { waker: Waker::from(parker.clone()), parker }
    }
}

thread_local! {
    static OWN: Own = Own::new();
    /// How many calls of `block_on` are under way on this thread.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// The earliest moment at which the future that is being polled wants to be polled again.
    static UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Calls `f` with the calling thread's own; with a fresh one where thread-locals are being destroyed.
fn with_own<R>(f: impl FnOnce(&Own) -> R) -> R {
    let mut f = Some(f);
    let mut call = |own: &Own| f.take().map(|f| f(own));
    match OWN.try_with(&mut call) {
        Ok(Some(result)) => result,
        _ => call(&Own::new()).expect("called once"),
    }
}

/// One call of `block_on`. What an enclosing one had noted is put back when it ends.
struct Level<'a> {
    parker: &'a Parker,
    outer: Option<Instant>,
}

impl<'a> Level<'a> {
    fn enter(parker: &'a Parker) -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self { parker, outer: UNTIL.take() }
    }
}

impl Drop for Level<'_> {
    fn drop(&mut self) {
        let depth = DEPTH.get() - 1;
        DEPTH.set(depth);
        UNTIL.set(self.outer);
        if depth > 0 {
            // A wake-up that was meant for the enclosing call may have been used up here.
            // Ordering: AcqRel, see `wake_by_ref`.
            self.parker.woken.swap(true, Ordering::AcqRel);
        }
    }
}

/// Runs `future` on the calling thread, which sleeps while it is pending.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    with_own(|own| {
        let level = Level::enter(&own.parker);
        let mut future = pin!(future);
        let mut cx = Context::from_waker(&own.waker);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return output;
            }
            level.parker.wait(UNTIL.take());
        }
    })
}

/// Sleeps on the calling thread until `waker`, which [`thread_waker`] gave, is woken, or until `until`.
pub(super) fn park_until(until: Option<Instant>) {
    with_own(|own| own.parker.wait(until));
}

/// Wakes the calling thread from [`park_until`].
pub(super) fn thread_waker() -> Waker {
    with_own(|own| own.waker.clone())
}

/// Whether a [`block_on`] of this thread polls with `waker`.
pub(super) fn is_ours(waker: &Waker) -> bool {
    DEPTH.get() > 0 && with_own(|own| own.waker.will_wake(waker))
}

/// Asks the [`block_on`] that polls with `waker` to poll again at `until`. `false`: another executor does.
pub(super) fn wake_at(waker: &Waker, until: Instant) -> bool {
    let ours = is_ours(waker);
    if ours {
        UNTIL.set(Some(UNTIL.get().map_or(until, |known| known.min(until))));
    }
    ours
}
