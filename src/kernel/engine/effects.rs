//! Effects: what an operation of the engine leaves to its caller, to be done once the lock is free.

use crate::kernel::bell::Bell;
use std::sync::Arc;
use std::task::Waker;

/// What the caller must do once the lock is free.
#[derive(Debug, Default)]
#[must_use = "runners, timers and waiting tasks depend on it"]
pub(crate) struct Effects {
    /// Spawn one runner.
    pub(crate) start_runner: bool,
    /// Spawn the timer.
    pub(crate) start_timer: bool,
    /// A runner is stuck: publish what the others have ended and not told of, see [`Engine::count_for`](super::Engine::count_for).
    pub(crate) collect: bool,
    /// Wake, ring or drop all of these.
    pub(crate) wakers: Vec<Due>,
}

/// What is due outside the lock.
#[derive(Debug)]
pub(crate) enum Due {
    /// Its task waits for this.
    Wake(Waker),
    /// The runner is to look at what is asked of it.
    Ring(Arc<Bell>),
    /// It is of no more use; dropping it may run user code.
    Drop(Waker),
}

impl Effects {
    pub(super) fn wake(&mut self, waker: Waker) {
        self.wakers.push(Due::Wake(waker));
    }

    pub(super) fn drop(&mut self, waker: Waker) {
        self.wakers.push(Due::Drop(waker));
    }

    /// Whether there is nothing to do.
    #[inline]
    pub(crate) fn is_nothing(&self) -> bool {
        !self.start_runner && !self.start_timer && !self.collect && self.wakers.is_empty()
    }
}

#[cfg(debug_assertions)]
impl Drop for Effects {
    fn drop(&mut self) {
        assert!(self.is_nothing() || crate::shim::panicking(), "what the engine asked for was not done: {self:?}");
    }
}
