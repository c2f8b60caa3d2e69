//! The kernels' shim over loom: every lock operation and every atomic one is a point at which loom may switch threads.

pub(crate) use loom::sync::MutexGuard;

/// loom's thread-locals: its threads share one of the system's. `const` initialisers are taken as plain ones.
macro_rules! locals {
    ($($(#[$meta:meta])* $vis:vis static $name:ident: $type:ty = const { $init:expr };)*) => {
        loom::thread_local! { $($(#[$meta])* $vis static $name: $type = $init;)* }
    };
}
pub(crate) use locals as thread_local;

/// loom's lock with the interface of the library's: no poisoning.
#[derive(Debug)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("loom's locks are not poisoned")
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().expect("loom's locks are not poisoned")
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner().expect("loom's locks are not poisoned")
    }
}

/// Atomics and their orderings.
pub(crate) mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
}
