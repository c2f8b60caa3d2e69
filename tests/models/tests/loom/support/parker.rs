//! A waker that ends the sleep of a loom thread.

use super::Plain;
use loom::sync::atomic::AtomicBool;
use loom::thread::Thread;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Wake, Waker};

/// Puts the one thread that polls a future to sleep until its waker is used.
///
/// A wake-up before the sleep ends it at once. A thread that is never woken is a deadlock, which loom reports.
#[derive(Debug)]
pub(crate) struct Parker {
    bell: Arc<Bell>,
    waker: Waker,
}

#[derive(Debug)]
struct Bell {
    rung: AtomicBool,
    /// The thread that sleeps. loom's `unpark` is only for threads inside `park`: it would let others, such as one
    /// that waits for a lock, go on.
    sleeper: Plain<Option<Thread>>,
}

impl Parker {
    pub(crate) fn new() -> Self {
        let bell = Arc::new(Bell { rung: AtomicBool::new(false), sleeper: Plain::default() });
        let waker = Waker::from(bell.clone());
        Self { bell, waker }
    }

    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Sleeps until the waker has been used since the last sleep.
    pub(crate) fn park(&self) {
        while !self.bell.rung.swap(false, Ordering::AcqRel) {
            *self.bell.sleeper.lock() = Some(loom::thread::current());
            loom::thread::park();
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.swap(true, Ordering::AcqRel);
        let sleeper = self.sleeper.lock().take();
        if let Some(sleeper) = sleeper {
            sleeper.unpark();
        }
    }
}
